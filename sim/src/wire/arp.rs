//! [`Arp`]: who has which IPv4 address (RFC 826).

use std::net::Ipv4Addr;

use switch::mac::MacAddr;

use super::{ETHERNET, TYPE_ARP, ethernet, mac};

/// ARP for IPv4 on Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) reply: bool,
    pub(crate) sender: (MacAddr, Ipv4Addr),
    pub(crate) target: (MacAddr, Ipv4Addr),
}

impl Arp {
    /// What the payload of a frame says; `None` if it is not about IPv4 on Ethernet.
    pub(crate) fn parse(arp: &[u8]) -> Option<Self> {
        if arp.len() < 28 || arp[..6] != [0, 1, 8, 0, 6, 4] {
            return None;
        }
        let reply = match u16::from_be_bytes([arp[6], arp[7]]) {
            1 => false,
            2 => true,
            _ => return None,
        };
        let ip = |at: usize| Ipv4Addr::new(arp[at], arp[at + 1], arp[at + 2], arp[at + 3]);
        let station = |at: usize| (mac(&arp[at..]), ip(at + 6));
        Some(Arp { reply, sender: station(8), target: station(18) })
    }

    pub(crate) fn into_frame(self, destination: MacAddr) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 28];
        ethernet(&mut frame, destination, self.sender.0, TYPE_ARP);
        let operation = if self.reply { 2 } else { 1 };
        frame[ETHERNET..][..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
        for (at, (mac, ip)) in [(22, self.sender), (32, self.target)] {
            frame[at..at + 6].copy_from_slice(&mac.0);
            frame[at + 6..at + 10].copy_from_slice(&ip.octets());
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arp_reads_what_it_writes() {
        let arp = Arp {
            reply: true,
            sender: (MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1)),
            target: (MacAddr([2, 0, 0, 0, 0, 2]), Ipv4Addr::new(10, 0, 0, 2)),
        };
        assert_eq!(Arp::parse(&arp.into_frame(MacAddr::BROADCAST)[ETHERNET..]), Some(arp));
    }
}
