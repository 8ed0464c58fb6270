//! [`Neighbours`]: which station has which address, asked for by ARP, as Linux asks.
//!
//! The rules it keeps:
//!
//! * An unknown address is asked for by broadcast, three times, a second apart; what waits for the answer (at most
//!   [`WAITING`] packets) goes out with it, or fails with "no route to host".
//! * An answer holds for [`REACHABLE`]. After that it is still used, but its station is asked again, by unicast; one that
//!   does not answer is forgotten.
//! * Who asks for our address is learnt. Of all others, gratuitous announcements too, only what is known already changes.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use switch::mac::MacAddr;
use switch::time::Instant;

use crate::wire::Packet;

const WAITING: usize = 64;
const REACHABLE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;
/// Linux's gc_thresh3.
const LIMIT: usize = 1024;

/// The neighbours of one interface.
#[derive(Debug, Default)]
pub(crate) struct Neighbours(BTreeMap<Ipv4Addr, Neighbour>);

#[derive(Debug)]
struct Neighbour {
    mac: Option<MacAddr>,
    confirmed: Instant,
    asking: Option<Asking>,
    waiting: VecDeque<Packet>,
}

#[derive(Debug)]
struct Asking {
    tries: u32,
    next: Instant,
}

/// What is to be done after a while without an answer.
#[derive(Debug)]
pub(crate) enum Due {
    /// Ask who has the address: this station, or all.
    Ask(Ipv4Addr, Option<MacAddr>),
    /// Nobody has it: these packets can not be sent.
    Failed(VecDeque<Packet>),
}

impl Neighbours {
    /// Whom to send `packet` to; `None` if it waits for an answer. [`Neighbours::due`] may have something after this.
    pub(crate) fn resolve(&mut self, next_hop: Ipv4Addr, packet: Packet, now: Instant) -> Option<(MacAddr, Packet)> {
        if self.0.len() >= LIMIT && !self.0.contains_key(&next_hop) {
            self.evict();
        }
        let neighbour = self.0.entry(next_hop).or_insert_with(|| Neighbour {
            mac: None,
            confirmed: now,
            asking: None,
            waiting: VecDeque::new(),
        });
        let stale = neighbour.mac.is_none() || neighbour.confirmed + REACHABLE < now;
        if stale && neighbour.asking.is_none() {
            neighbour.asking = Some(Asking { tries: 0, next: now });
        }
        if let Some(mac) = neighbour.mac {
            return Some((mac, packet));
        }
        if neighbour.waiting.len() >= WAITING {
            neighbour.waiting.pop_front();
        }
        neighbour.waiting.push_back(packet);
        None
    }

    /// Somebody said that `mac` has `ip`. `certain` if that was said to us: then it is learnt even if it was not known.
    /// Returns what can be sent now.
    pub(crate) fn learn(&mut self, ip: Ipv4Addr, mac: MacAddr, certain: bool, now: Instant) -> VecDeque<Packet> {
        if certain && self.0.len() < LIMIT {
            self.0.entry(ip).or_insert_with(|| Neighbour {
                mac: None,
                confirmed: now,
                asking: None,
                waiting: VecDeque::new(),
            });
        }
        let Some(neighbour) = self.0.get_mut(&ip) else { return VecDeque::new() };
        neighbour.mac = Some(mac);
        neighbour.confirmed = now;
        neighbour.asking = None;
        std::mem::take(&mut neighbour.waiting)
    }

    /// The next thing that is to be done by now. To be asked until `None`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        let is_due = |neighbour: &Neighbour| neighbour.asking.as_ref().is_some_and(|asking| asking.next <= now);
        let (ip, neighbour) = self.0.iter_mut().find(|(_, neighbour)| is_due(neighbour))?;
        let ip = *ip;
        let asking = neighbour.asking.as_mut()?;
        if asking.tries < TRIES {
            asking.tries += 1;
            asking.next = now + RETRY;
            return Some(Due::Ask(ip, neighbour.mac));
        }
        self.0.remove(&ip).map(|neighbour| Due::Failed(neighbour.waiting))
    }

    /// When [`Neighbours::due`] has something.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().filter_map(|neighbour| neighbour.asking.as_ref()).map(|asking| asking.next).min()
    }

    /// Forgets all, as when the interface is switched off.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Makes room: the neighbour that was heard of longest ago goes.
    fn evict(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, neighbour)| neighbour.confirmed).map(|(ip, _)| *ip);
        if let Some(ip) = oldest {
            self.0.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn asks_three_times_a_second_apart_and_gives_up() {
        let (mut neighbours, mut now) = (Neighbours::default(), Instant::ZERO);
        assert!(neighbours.resolve(WEB, Packet::zeroed(20), now).is_none());
        for _ in 0..3 {
            assert!(matches!(neighbours.due(now), Some(Due::Ask(WEB, None))));
            assert!(neighbours.due(now).is_none());
            now = now + RETRY;
            assert_eq!(neighbours.poll_timeout(), Some(now));
        }
        assert!(matches!(neighbours.due(now), Some(Due::Failed(packets)) if packets.len() == 1));
        assert_eq!(neighbours.poll_timeout(), None);
    }

    #[test]
    fn an_answer_releases_what_waits_and_holds() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::ZERO);
        assert!(neighbours.resolve(WEB, Packet::zeroed(20), now).is_none());
        assert_eq!(neighbours.learn(WEB, MAC, false, now).len(), 1);
        assert_eq!(neighbours.resolve(WEB, Packet::zeroed(20), now).map(|(mac, _)| mac), Some(MAC));
        let later = now + REACHABLE + RETRY;
        assert_eq!(neighbours.resolve(WEB, Packet::zeroed(20), later).map(|(mac, _)| mac), Some(MAC));
        assert!(matches!(neighbours.due(later), Some(Due::Ask(WEB, Some(MAC)))));
    }

    #[test]
    fn an_announcement_of_a_stranger_is_not_learnt() {
        let mut neighbours = Neighbours::default();
        assert!(neighbours.learn(WEB, MAC, false, Instant::ZERO).is_empty());
        assert!(neighbours.resolve(WEB, Packet::zeroed(20), Instant::ZERO).is_none());
    }
}
