//! [`Neighbours`]: which station has which address, asked for by ARP or by NDP, as Linux asks.
//!
//! The rules it keeps:
//!
//! * An unknown address is asked for by broadcast or in its group, three times, a second apart; what waits for the answer (at
//!   most [`WAITING`] packets) goes out with it, or fails with "no route to host".
//! * An answer holds for [`REACHABLE`]. After that it is still used, but [`DELAY`] after it was its station is asked again, by
//!   unicast; one that does not answer is forgotten.
//! * Who asks for our address is learnt. Of all others, gratuitous announcements too, only what is known already changes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use switch::mac::MacAddr;
use switch::time::Instant;

use crate::wire::Packet;

const WAITING: usize = 64;
const REACHABLE: Duration = Duration::from_secs(30);
/// Linux' delay_first_probe_time: who talks to us before that is there.
const DELAY: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;
/// Linux's gc_thresh3.
const LIMIT: usize = 1024;

/// The neighbours of one interface, by addresses of one family.
#[derive(Debug)]
pub(crate) struct Neighbours<A>(BTreeMap<A, Neighbour>);

#[derive(Debug)]
struct Neighbour {
    mac: Option<MacAddr>,
    /// When it was known for sure that the station is there.
    confirmed: Option<Instant>,
    /// When it was last heard of, or first asked for.
    heard: Instant,
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
pub(crate) enum Due<A> {
    /// Ask who has the address: this station, or all.
    Ask(A, Option<MacAddr>),
    /// Nobody has it: these packets can not be sent.
    Failed(VecDeque<Packet>),
}

/// How far what is said of a station goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It answered us: it hears us, and we hear it.
    Answer,
    /// It spoke to us: it is there, but whether it hears us is not known.
    Question,
    /// Somebody said so, to nobody in particular. It may replace what is known.
    Rumour,
}

impl<A> Default for Neighbours<A> {
    fn default() -> Self {
        Neighbours(BTreeMap::new())
    }
}

impl Neighbour {
    fn unknown(now: Instant) -> Self {
        Neighbour { mac: None, confirmed: None, heard: now, asking: None, waiting: VecDeque::new() }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.confirmed.is_none_or(|confirmed| confirmed + REACHABLE < now)
    }
}

impl<A: Ord + Copy> Neighbours<A> {
    /// Whom to send `packet` to; `None` if it waits for an answer. [`Neighbours::due`] may have something after this.
    pub(crate) fn resolve(&mut self, next_hop: A, packet: Packet, now: Instant) -> Option<(MacAddr, Packet)> {
        if self.0.len() >= LIMIT && !self.0.contains_key(&next_hop) {
            self.evict();
        }
        let neighbour = self.0.entry(next_hop).or_insert_with(|| Neighbour::unknown(now));
        if neighbour.is_stale(now) && neighbour.asking.is_none() {
            let next = if neighbour.mac.is_some() { now + DELAY } else { now };
            neighbour.asking = Some(Asking { tries: 0, next });
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

    /// Somebody said that `mac` has `ip`. Unless it is rumour, it is learnt even if it was not known. Returns what can be sent
    /// now.
    pub(crate) fn learn(&mut self, ip: A, mac: MacAddr, certainty: Certainty, now: Instant) -> VecDeque<Packet> {
        if certainty == Certainty::Question && self.0.len() < LIMIT {
            self.0.entry(ip).or_insert_with(|| Neighbour::unknown(now));
        }
        let Some(neighbour) = self.0.get_mut(&ip) else { return VecDeque::new() };
        let is_news = neighbour.mac != Some(mac);
        neighbour.mac = Some(mac);
        neighbour.heard = now;
        if certainty == Certainty::Answer {
            neighbour.confirmed = Some(now);
            neighbour.asking = None;
        } else if is_news {
            neighbour.confirmed = None;
            neighbour.asking = None;
        }
        std::mem::take(&mut neighbour.waiting)
    }

    /// Whether a station is known for an address.
    pub(crate) fn station(&self, ip: A) -> Option<MacAddr> {
        self.0.get(&ip)?.mac
    }

    /// The next thing that is to be done by now. To be asked until `None`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due<A>> {
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
        let oldest = self.0.iter().min_by_key(|(_, neighbour)| neighbour.heard).map(|(ip, _)| *ip);
        if let Some(ip) = oldest {
            self.0.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

    fn station(neighbours: &mut Neighbours<Ipv4Addr>, now: Instant) -> Option<MacAddr> {
        neighbours.resolve(WEB, Packet::zeroed(20), now).map(|(mac, _)| mac)
    }

    #[test]
    fn asks_three_times_a_second_apart_and_gives_up() {
        let (mut neighbours, mut now) = (Neighbours::default(), Instant::ZERO);
        assert_eq!(station(&mut neighbours, now), None);
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
        assert_eq!(station(&mut neighbours, now), None);
        assert_eq!(neighbours.learn(WEB, MAC, Certainty::Answer, now).len(), 1);
        assert_eq!((station(&mut neighbours, now + REACHABLE), neighbours.poll_timeout()), (Some(MAC), None));
    }

    #[test]
    fn a_station_that_was_silent_for_long_is_used_and_asked_again_and_forgotten() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::ZERO);
        neighbours.learn(WEB, MAC, Certainty::Question, now);
        neighbours.learn(WEB, MAC, Certainty::Answer, now);
        let later = now + REACHABLE + RETRY;
        assert_eq!((station(&mut neighbours, later), neighbours.poll_timeout()), (Some(MAC), Some(later + DELAY)));
        for probe in 0..3 {
            assert!(matches!(neighbours.due(later + DELAY + RETRY * probe), Some(Due::Ask(WEB, Some(MAC)))));
        }
        assert!(matches!(neighbours.due(later + DELAY + RETRY * 3), Some(Due::Failed(packets)) if packets.is_empty()));
        assert_eq!(station(&mut neighbours, later + DELAY + RETRY * 3), None);
    }

    #[test]
    fn who_asks_is_learnt_but_whether_he_hears_us_is_found_out() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::ZERO);
        neighbours.learn(WEB, MAC, Certainty::Question, now);
        assert_eq!(neighbours.poll_timeout(), None, "nobody wants to know");
        assert_eq!((station(&mut neighbours, now), neighbours.poll_timeout()), (Some(MAC), Some(now + DELAY)));
        neighbours.learn(WEB, MAC, Certainty::Answer, now);
        assert_eq!(neighbours.poll_timeout(), None);
    }

    #[test]
    fn a_rumour_changes_what_is_known_and_nothing_else() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::ZERO);
        assert!(neighbours.learn(WEB, MAC, Certainty::Rumour, now).is_empty());
        assert_eq!(station(&mut neighbours, now), None);
        assert_eq!(neighbours.learn(WEB, MAC, Certainty::Rumour, now).len(), 1);
        neighbours.learn(WEB, OTHER, Certainty::Rumour, now);
        assert_eq!((station(&mut neighbours, now), neighbours.station(WEB)), (Some(OTHER), Some(OTHER)));
    }
}
