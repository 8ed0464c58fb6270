//! [`Strangers`]: the addresses of a network that somebody may remember with another MAC than the one that is made of them.
//!
//! Who has spoken to an address remembers its MAC for minutes, whatever becomes of its holder. As a rule that is no harm: the MAC is
//! made of the address ([`mac_of`]), and the next holder has the same. It has another where one of the two was chosen, and may
//! have where stations are that we do not lease to, behind an interface of the host. Only there a new holder tells everybody who it
//! is. An announcement to all costs each container of the network some time of a processor, and so a start the more the more there are.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::lease::{Lease, mac_of};

/// How many addresses are noted one by one. With more of them it is all.
const LIMIT: usize = 256;

/// Where on a network an address may be remembered with another MAC than the one that is made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strangers {
    anywhere: bool,
    addresses: BTreeSet<Ipv4Addr>,
}

impl Strangers {
    /// Of a network of which nothing is known.
    #[must_use]
    pub fn anywhere() -> Self {
        Strangers { anywhere: true, addresses: BTreeSet::new() }
    }

    /// Whoever gets this lease has to announce itself.
    #[must_use]
    pub fn surprises(&self, lease: &Lease) -> bool {
        self.anywhere || is_chosen(lease) || self.addresses.contains(&lease.ip.addr())
    }

    /// Notes a lease that somebody is about to have. Whether anything is new.
    #[must_use]
    pub fn meet(&mut self, lease: &Lease) -> bool {
        if self.anywhere || !is_chosen(lease) || !self.addresses.insert(lease.ip.addr()) {
            return false;
        }
        if self.addresses.len() > LIMIT {
            *self = Strangers::anywhere();
        }
        true
    }

    /// Notes that stations are about to come that nobody has leased anything to. Whether that is new.
    #[must_use]
    pub fn meet_anybody(&mut self) -> bool {
        let before = std::mem::replace(self, Strangers::anywhere());
        before != *self
    }
}

fn is_chosen(lease: &Lease) -> bool {
    lease.mac != mac_of(lease.ip.addr())
}

#[cfg(test)]
mod tests {
    use ipnet::Ipv4Net;
    use switch::mac::MacAddr;

    use super::*;

    const CHOSEN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn lease(last: u16, mac: Option<MacAddr>) -> Lease {
        let [high, low] = last.to_be_bytes();
        let address = Ipv4Addr::new(172, 17, high, low);
        let ip = Ipv4Net::new(address, 16).expect("a prefix");
        Lease { ip, mac: mac.unwrap_or_else(|| mac_of(address)), gateway: Ipv4Addr::new(172, 17, 0, 1), mtu: 1500 }
    }

    #[test]
    fn only_the_address_that_was_had_with_a_chosen_mac_surprises() {
        let mut strangers = Strangers::default();
        let (plain, other, chosen) = (lease(2, None), lease(3, None), lease(2, Some(CHOSEN)));
        assert!(!strangers.meet(&plain));
        assert!(!strangers.surprises(&plain));
        assert!(strangers.surprises(&chosen), "the last holder had another MAC, whether it was ever noted or not");
        assert!(strangers.meet(&chosen));
        assert!(!strangers.meet(&chosen), "it is known");
        assert!(!strangers.meet(&plain), "nothing is forgotten, either");
        assert!(strangers.surprises(&plain));
        assert!(!strangers.surprises(&other));
    }

    #[test]
    fn a_mac_that_was_chosen_as_it_is_made_is_not_strange() {
        let mut strangers = Strangers::default();
        let asked = lease(7, Some(lease(7, None).mac));
        assert!(!strangers.meet(&asked) && !strangers.surprises(&asked));
    }

    #[test]
    fn where_too_many_are_strange_all_are() {
        let mut strangers = Strangers::default();
        for last in 0..LIMIT as u16 {
            assert!(strangers.meet(&lease(last, Some(CHOSEN))));
        }
        assert!(!strangers.surprises(&lease(9999, None)));
        assert!(strangers.meet(&lease(500, Some(CHOSEN))));
        assert_eq!(strangers, Strangers::anywhere());
        assert!(strangers.surprises(&lease(9999, None)));
        assert!(!strangers.meet(&lease(501, Some(CHOSEN))) && !strangers.meet_anybody());
    }

    #[test]
    fn stations_of_others_may_have_any_address() {
        let mut strangers = Strangers::default();
        assert!(strangers.meet_anybody());
        assert!(strangers.surprises(&lease(2, None)));
    }
}
