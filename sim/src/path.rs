//! What routers tell of the ways to addresses: that there is none, and how long a packet may be on one (RFC 1191).
//!
//! A TCP segment that is too long for its way is sent again in shorter ones when that is known, as Linux cuts it; anything
//! else is refused from then on, since nothing here makes fragments. After [`EXPIRES`] the whole length is tried again.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use switch::time::Instant;

use crate::icmp;
use crate::namespace::Namespace;
use crate::wire::Packet;

/// Linux' `mtu_expires`.
const EXPIRES: Duration = Duration::from_secs(600);
/// Linux' `min_pmtu`: less is not believed.
const SHORTEST: u16 = 552;
/// The most ways that are remembered.
const LIMIT: usize = 1024;
/// How many errors about echo requests wait to be taken.
const ERRORS: usize = 64;

/// How long packets may be to some addresses, where that is less than the next link takes.
#[derive(Debug, Default)]
pub(crate) struct PathMtus(BTreeMap<Ipv4Addr, (u16, Instant)>);

impl PathMtus {
    fn learn(&mut self, to: Ipv4Addr, mtu: u16, now: Instant) {
        if self.0.len() >= LIMIT && !self.0.contains_key(&to) {
            let oldest = self.0.iter().min_by_key(|(_, (_, expires))| *expires).map(|(to, _)| *to);
            oldest.and_then(|to| self.0.remove(&to));
        }
        self.0.insert(to, (mtu.max(SHORTEST), now + EXPIRES));
    }

    /// How long a packet may be to an address, if less than the next link takes.
    pub(crate) fn to(&self, ip: IpAddr, now: Instant) -> Option<usize> {
        let IpAddr::V4(ip) = ip else { return None };
        self.0.get(&ip).filter(|(_, expires)| *expires > now).map(|(mtu, _)| usize::from(*mtu))
    }
}

impl Namespace {
    /// A router says that it can not pass something on.
    pub(crate) fn take_error(&mut self, packet: &Packet, now: Instant) {
        let (Some(kind), Some(to)) = (icmp::kind(packet), icmp::subject_destination(packet)) else { return };
        match kind {
            icmp::NET_UNREACHABLE | icmp::HOST_UNREACHABLE => drop(self.unreachable.insert(to.into(), now)),
            icmp::FRAGMENTATION_NEEDED => self.path_mtus.learn(to, icmp::mtu(packet), now),
            _ => {}
        }
        if let (IpAddr::V4(from), Some(echo)) = (packet.source(), icmp::subject_echo(packet)) {
            // Those that nobody takes do not pile up.
            self.errors.drain(..self.errors.len().saturating_sub(ERRORS));
            self.errors.push((from, echo));
        }
    }
}
