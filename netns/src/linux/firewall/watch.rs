//! [`Watch`]: what is done to the host's nftables while we look away, as the kernel tells it.
//!
//! Whoever loads a ruleset anew (`nft flush ruleset`, the restart of a firewall's service) takes our tables along, and with
//! them the walls between networks. The kernel announces each change to whoever is in the multicast group for it, in the order
//! in which it was made; so a table of ours stands if it was made after the last of it was deleted. Our own transactions, which
//! delete and make it, need no exception.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::firewall::{TABLE, Tables};

/// The multicast group of nftables: NFNLGRP_NFTABLES in linux/netfilter/nfnetlink.h.
const GROUP: u32 = 7;
/// The subsystem of nftables, in the upper byte of a message's type: NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10;
/// NFT_MSG_NEWTABLE; NFT_MSG_DELTABLE, DELCHAIN, DELRULE, DELSET and DELSETELEM, of linux/netfilter/nf_tables.h.
const NEW_TABLE: u16 = 0;
const DELETIONS: [u16; 5] = [2, 5, 8, 11, 14];
/// NFT_MSG_NEWCHAIN, which is also what a new policy of a chain is told by.
const NEW_CHAIN: u16 = 3;
/// NFT_MSG_NEWGEN, which closes each transaction and names no table.
const NEW_GENERATION: u16 = 15;
/// The attribute that names the table, which is the same for all of them: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and so on.
const NAME: u16 = 1;
/// The families of our tables: NFPROTO_INET and NFPROTO_NETDEV.
const INET: u8 = 1;
const NETDEV: u8 = 5;
/// A netlink message's header, and that of netfilter's behind it, in bytes.
const HEADER: usize = 16;
const GENERIC: usize = 4;
/// The longest datagram of the kernel's, in bytes: NLMSG_GOODSIZE is a page, or 8 KiB at most.
const DATAGRAM: usize = 32 << 10;

/// The announcements about nftables in the network namespace of the thread that made it.
#[derive(Debug)]
pub(in crate::linux) struct Watch {
    socket: Socket,
    news: News,
}

/// What has been announced so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct News {
    inet: bool,
    netdev: bool,
    others: bool,
    /// Of these: whether something went, or a chain came.
    chains: bool,
}

impl Watch {
    pub(in crate::linux) fn start() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.add_membership(GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(Watch { socket, news: News::default() })
    }

    /// Takes in what has been announced. Whether a table of `instance`, of those that should stand, does not.
    pub(in crate::linux) fn is_broken(&mut self, instance: &str, should_stand: Tables) -> bool {
        self.hear(instance);
        (should_stand.inet && !self.news.inet) || (should_stand.netdev && !self.news.netdev)
    }

    /// Whether rules of others have changed since this was last asked.
    pub(in crate::linux) fn take_others(&mut self) -> bool {
        std::mem::take(&mut self.news.others)
    }

    /// Whether others have a chain more since this was last asked, or anything less: what they let pass may be another thing then.
    pub(in crate::linux) fn take_chains(&mut self) -> bool {
        std::mem::take(&mut self.news.chains)
    }

    fn hear(&mut self, instance: &str) {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            match self.socket.recv(&mut datagram, 0) {
                Ok(_) => self.news.take(&datagram, instance),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) if why.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                    // Some were lost: ours may be gone.
                    self.news = News { inet: false, netdev: false, others: true, chains: true };
                }
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl News {
    /// Takes in a datagram: announcements one behind the other, each on a multiple of four.
    fn take(&mut self, datagram: &[u8], instance: &str) {
        let mut rest = datagram;
        while let Some(length) = rest.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize) {
            let Some(message) = rest.get(..length).filter(|message| message.len() >= HEADER + GENERIC) else { return };
            self.note(message, instance);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    fn note(&mut self, message: &[u8], instance: &str) {
        let [low, high] = u16::from_ne_bytes([message[4], message[5]]).to_le_bytes();
        if u16::from(high) != SUBSYSTEM || u16::from(low) == NEW_GENERATION {
            return;
        }
        let name = name_in(&message[HEADER + GENERIC..]);
        let Some(whose) = name.strip_prefix(TABLE.as_bytes()) else {
            self.others = true;
            self.chains |= DELETIONS.contains(&u16::from(low)) || u16::from(low) == NEW_CHAIN;
            return;
        };
        let stands = match (message[HEADER], whose == instance.as_bytes()) {
            (INET, true) => &mut self.inet,
            (NETDEV, true) => &mut self.netdev,
            _ => return,
        };
        match u16::from(low) {
            NEW_TABLE => *stands = true,
            kind if DELETIONS.contains(&kind) => *stands = false,
            _ => {}
        }
    }
}

/// The table that an announcement is about: a text that ends with NUL, in the first attribute that is one of a name.
fn name_in(attributes: &[u8]) -> &[u8] {
    let mut rest = attributes;
    while let [a, b, c, d, ..] = *rest {
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        let Some(value) = rest.get(4..length) else { break };
        if kind == NAME {
            return value.split(|byte| *byte == 0).next().unwrap_or_default();
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel says it: `kind` of nftables, about a table of a family.
    fn said(kind: u16, family: u8, table: &str) -> Vec<u8> {
        let name = [table.as_bytes(), &[0]].concat();
        let padded = name.len().next_multiple_of(4);
        let length = HEADER + GENERIC + 4 + padded;
        let mut message = Vec::new();
        message.extend((length as u32).to_ne_bytes());
        message.extend((SUBSYSTEM << 8 | kind).to_ne_bytes());
        message.extend([0; HEADER - 6]);
        message.extend([family, 0, 0, 0]);
        message.extend((4 + name.len() as u16).to_ne_bytes());
        message.extend(NAME.to_ne_bytes());
        message.extend(&name);
        message.resize(length, 0);
        message
    }

    #[test]
    fn a_table_stands_if_it_was_made_after_the_last_of_it_was_deleted() {
        let mut news = News::default();
        // A transaction of ours, which empties what is there before.
        let ours = [8, 5, 11, 2, NEW_TABLE, 9, 3, 6].map(|kind| said(kind, INET, "pontoon_0")).concat();
        news.take(&ours, "0");
        assert_eq!(news, News { inet: true, ..News::default() });
        // Another instance, another family.
        news.take(&[said(2, INET, "pontoon_1"), said(2, NETDEV, "pontoon_0")].concat(), "0");
        assert_eq!(news, News { inet: true, ..News::default() });
        for deletion in DELETIONS {
            let mut news = news;
            news.take(&said(deletion, INET, "pontoon_0"), "0");
            assert_eq!(news, News::default(), "{deletion}");
        }
    }

    #[test]
    fn what_others_change_is_noticed_and_a_mere_generation_is_nothing() {
        let mut news = News::default();
        news.take(&said(NEW_GENERATION, 0, "x"), "0");
        assert_eq!(news, News::default());
        news.take(&said(3, 2, "filter"), "0");
        assert_eq!(news, News { others: true, chains: true, ..News::default() });
        let mut news = News::default();
        news.take(&said(6, 2, "filter"), "0");
        assert_eq!(news, News { others: true, ..News::default() });
    }

    #[test]
    fn a_message_that_is_cut_off_is_passed_over() {
        let whole = said(NEW_TABLE, INET, "pontoon_0");
        for length in 0..whole.len() {
            let mut news = News::default();
            news.take(&whole[..length], "0");
            assert_eq!(news, News::default(), "{length}");
        }
        // Attributes that claim more than there is.
        let mut lies = whole;
        lies[HEADER + GENERIC] = 0xff;
        let mut news = News::default();
        news.take(&lies, "0");
        assert!(!news.inet);
    }
}
