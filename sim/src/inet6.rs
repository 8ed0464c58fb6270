//! [`Inet6`]: what an interface has of IPv6, once that is switched on: addresses, neighbours, groups.
//!
//! The rules it keeps, all of them Linux':
//!
//! * An interface that leads somewhere has an address of its own making (RFC 4291, 2.5.6) beside those that it is given.
//! * An address is tentative first: after up to a second its group is asked once who has it (RFC 4862, 5.4). If nobody says so
//!   within a second it is the interface's; if somebody does, or asks the same, it never is.
//! * A question of our own that comes back, as it does where networks are joined in a circle, is none of anybody else
//!   (RFC 7527). A frame that was sent twice is, too.
//! * `lo`, and what has nothing behind it, has nobody to ask.
//! * Nothing is done when nothing is to be: nobody asks for routers, and nothing is repeated.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use switch::mac::MacAddr;
use switch::time::Instant;

use crate::clock::mix;
use crate::neighbour::Neighbours;
use crate::socket::SocketError;
use crate::wire::{Ndp, Nonce, link_local, solicited_node};

/// All that have an address on a network.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// An interface that carries less is not for IPv6 (RFC 8200, 5).
pub(crate) const SHORTEST_MTU: u32 = 1280;
/// How long nobody may have spoken up, RFC 4861's RetransTimer.
const WAIT: Duration = Duration::from_secs(1);
/// So that those who start together do not ask together, RFC 4861's MAX_RTR_SOLICITATION_DELAY.
const JITTER: Duration = Duration::from_secs(1);
/// How many addresses an interface has at most.
const LIMIT: usize = 64;

/// What has become of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Others are asked whether it is theirs. It can not be used yet.
    Tentative,
    /// It is the interface's.
    Preferred,
    /// It was another's. It can not be used: Linux calls this `dadfailed`.
    Duplicate,
}

/// What an interface has of IPv6.
#[derive(Debug)]
pub(crate) struct Inet6 {
    addresses: Vec<Own>,
    pub(crate) neighbours: Neighbours<Ipv6Addr>,
    chance: u64,
}

/// An address of the interface.
#[derive(Debug)]
struct Own {
    net: Ipv6Net,
    state: AddressState,
    /// When to ask, or, if that was done, when it is known that nobody answers.
    next: Instant,
    asked: bool,
    nonce: Nonce,
}

impl Inet6 {
    /// Without an address yet.
    pub(crate) fn new(chance: u64) -> Self {
        Inet6 { addresses: Vec::new(), neighbours: Neighbours::default(), chance }
    }

    /// Gives the interface an address. `alone` if there is nobody who might have it.
    pub(crate) fn add(&mut self, net: Ipv6Net, alone: bool, now: Instant) -> Result<(), SocketError> {
        let ip = net.addr();
        if ip.is_multicast() || ip.is_unspecified() || self.addresses.len() >= LIMIT {
            return Err(SocketError::Invalid);
        }
        if self.addresses.iter().any(|own| own.net.addr() == ip) {
            return Err(SocketError::AddressInUse);
        }
        self.chance = mix(self.chance ^ u128::from(ip) as u64);
        let [.., a, b, c, d, e, f] = self.chance.to_be_bytes();
        let jitter = Duration::from_nanos(self.chance % JITTER.as_nanos() as u64);
        let state = if alone { AddressState::Preferred } else { AddressState::Tentative };
        self.addresses.push(Own { net, state, next: now + jitter, asked: false, nonce: [a, b, c, d, e, f] });
        Ok(())
    }

    /// Gives the interface the address that follows from its MAC.
    pub(crate) fn add_link_local(&mut self, mac: MacAddr, alone: bool, now: Instant) {
        // One that was given by hand is as good.
        let _ = self.add(Ipv6Net::new_assert(link_local(mac), 64), alone, now);
    }

    /// Takes all away, as when the interface is switched off.
    pub(crate) fn clear(&mut self) {
        self.addresses.clear();
        self.neighbours.clear();
    }

    /// All addresses, usable or not.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (Ipv6Net, AddressState)> + '_ {
        self.addresses.iter().map(|own| (own.net, own.state))
    }

    /// Those that can be used.
    pub(crate) fn usable(&self) -> impl Iterator<Item = Ipv6Net> + '_ {
        self.addresses().filter(|(_, state)| *state == AddressState::Preferred).map(|(net, _)| net)
    }

    pub(crate) fn has(&self, ip: Ipv6Addr) -> bool {
        self.usable().any(|own| own.addr() == ip)
    }

    /// What it says of itself to its network.
    pub(crate) fn link_local(&self) -> Option<Ipv6Addr> {
        self.usable().map(|own| own.addr()).find(Ipv6Addr::is_unicast_link_local)
    }

    /// Whether what is sent to a group is for it.
    pub(crate) fn is_member(&self, group: Ipv6Addr) -> bool {
        let of = |own: &Own| own.state != AddressState::Duplicate && solicited_node(own.net.addr()) == group;
        group == ALL_NODES || self.addresses.iter().any(of)
    }

    /// Somebody else has this address, or wants it: it is not ours if it was not yet. Returns whether that is news. `nonce` is
    /// that of a question, which may be our own.
    pub(crate) fn contest(&mut self, ip: Ipv6Addr, nonce: Option<Nonce>) -> bool {
        let is_contested =
            |own: &&mut Own| own.net.addr() == ip && own.state == AddressState::Tentative && nonce != Some(own.nonce);
        let contested = self.addresses.iter_mut().find(is_contested);
        contested.map(|own| own.state = AddressState::Duplicate).is_some()
    }

    /// The next question for an address that we want. To be asked until `None`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Ndp> {
        while let Some(own) = self.addresses.iter_mut().find(|own| own.is_due(now)) {
            if !own.asked {
                (own.asked, own.next) = (true, now + WAIT);
                return Some(Ndp::Solicitation { target: own.net.addr(), source: None, nonce: Some(own.nonce) });
            }
            own.state = AddressState::Preferred;
        }
        None
    }

    /// When [`Inet6::due`] has something to do, or a neighbour is to be asked for.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.addresses.iter().filter(|own| own.state == AddressState::Tentative).map(|own| own.next);
        waits.chain(self.neighbours.poll_timeout()).min()
    }
}

impl Own {
    fn is_due(&self, now: Instant) -> bool {
        self.state == AddressState::Tentative && self.next <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    fn tentative() -> Inet6 {
        let mut inet6 = Inet6::new(7);
        inet6.add(Ipv6Net::new_assert(IP, 64), false, Instant::ZERO).expect("it is new");
        inet6
    }

    #[test]
    fn an_address_is_asked_for_once_and_then_it_is_ours() {
        let mut inet6 = tentative();
        let asks = inet6.poll_timeout().expect("it asks");
        assert!(asks < Instant::ZERO + JITTER && inet6.due(Instant::ZERO).is_none());
        let Some(Ndp::Solicitation { target, source: None, nonce: Some(_) }) = inet6.due(asks) else {
            panic!("a question");
        };
        assert_eq!((target, inet6.has(IP), inet6.poll_timeout()), (IP, false, Some(asks + WAIT)));
        assert_eq!((inet6.due(asks + WAIT), inet6.has(IP), inet6.poll_timeout()), (None, true, None));
        assert!(!inet6.contest(IP, None) && inet6.has(IP), "what is ours stays so");
    }

    #[test]
    fn an_address_of_somebody_else_is_never_ours_but_an_echo_is_nobody() {
        let mut inet6 = tentative();
        let asks = inet6.poll_timeout().expect("it asks");
        let Some(Ndp::Solicitation { nonce, .. }) = inet6.due(asks) else { panic!("a question") };
        assert!(!inet6.contest(IP, nonce), "our own question");
        assert!(inet6.contest(IP, Some([0; 6])) && !inet6.contest(IP, None));
        assert_eq!((inet6.due(asks + WAIT), inet6.poll_timeout(), inet6.has(IP)), (None, None, false));
        assert_eq!(inet6.addresses().next().map(|(_, state)| state), Some(AddressState::Duplicate));
    }

    #[test]
    fn an_address_that_means_no_station_is_refused() {
        let mut inet6 = tentative();
        for (ip, why) in [
            (IP, SocketError::AddressInUse),
            (ALL_NODES, SocketError::Invalid),
            (Ipv6Addr::UNSPECIFIED, SocketError::Invalid),
        ] {
            assert_eq!(inet6.add(Ipv6Net::new_assert(ip, 64), false, Instant::ZERO), Err(why));
        }
    }

    #[test]
    fn listens_to_its_own_groups() {
        let inet6 = tentative();
        assert!(inet6.is_member(ALL_NODES) && inet6.is_member(solicited_node(IP)));
        assert!(!inet6.is_member(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 3)));
    }
}
