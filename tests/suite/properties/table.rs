//! The filtering database against a blackboard: whatever is heard, set, touched, flushed and waited for.
//!
//! The switch's plans ([`super::agreement`]) hear and ask; here the table is also changed by hand, is small enough to be full,
//! and is not always swept in time.

use std::collections::BTreeMap;
use std::time::Duration;

use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::sample::select;
use switch::fdb::{EntryKind, Fdb, FdbCounters, FdbEvent, Learned, Refusal};
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::VlanId;

use super::holds;

/// How many entries that age, and how many static ones, the table holds.
const ROOM: usize = 4;

/// One thing that is done to the table.
#[derive(Clone, Copy, Debug)]
enum Step {
    Learn(Station, PortId),
    Set(Station, PortId, EntryKind),
    Touch(Station),
    Remove(Station),
    Flush(PortId),
    RemovePort(PortId),
    Quota(PortId, usize),
    Age(Duration),
    Wait(Duration),
    Sweep,
}

type Station = (VlanId, MacAddr);

/// The table on the blackboard.
struct Board {
    ageing: Duration,
    entries: BTreeMap<Station, Chalk>,
    quotas: BTreeMap<PortId, usize>,
    counters: FdbCounters,
    events: Vec<FdbEvent>,
}

/// An entry, which stays until it is swept.
#[derive(Clone, Copy)]
struct Chalk {
    port: PortId,
    kind: EntryKind,
    heard: Instant,
}

impl Board {
    fn is_alive(&self, entry: &Chalk, now: Instant) -> bool {
        entry.kind == EntryKind::Static || now.since(entry.heard) < self.ageing
    }

    fn alive(&self, station: Station, now: Instant) -> Option<Chalk> {
        self.entries.get(&station).copied().filter(|entry| self.is_alive(entry, now))
    }

    /// How many entries that age a port has.
    fn used(&self, port: PortId) -> usize {
        self.entries.values().filter(|entry| entry.port == port && entry.kind != EntryKind::Static).count()
    }

    fn has_quota(&self, port: PortId) -> bool {
        self.used(port) < self.quotas.get(&port).copied().unwrap_or(PortConfig::DEFAULT_QUOTA)
    }

    fn is_full(&self, is_static: bool) -> bool {
        self.entries.values().filter(|entry| (entry.kind == EntryKind::Static) == is_static).count() >= ROOM
    }

    fn refuse(&mut self, why: Refusal) -> Learned {
        self.counters.refused += 1;
        match why {
            Refusal::Static => self.counters.refused_static += 1,
            Refusal::Sticky => self.counters.refused_sticky += 1,
            Refusal::Quota => self.counters.refused_quota += 1,
            Refusal::TableFull => self.counters.refused_table_full += 1,
            Refusal::NotKept => unreachable!("that is no refusal to be counted"),
        }
        Learned::Refused(why)
    }

    fn learn(&mut self, station: Station, port: PortId, now: Instant) -> Learned {
        let (vlan, address) = station;
        match self.alive(station, now) {
            Some(known) if known.port == port => {
                self.entries.insert(station, Chalk { heard: now, ..known });
                return Learned::Refreshed;
            }
            Some(Chalk { kind: EntryKind::Static, .. }) => return self.refuse(Refusal::Static),
            Some(Chalk { kind: EntryKind::Sticky, .. }) => return self.refuse(Refusal::Sticky),
            Some(_) if !self.has_quota(port) => return self.refuse(Refusal::Quota),
            Some(Chalk { port: from, kind, .. }) => {
                self.entries.insert(station, Chalk { port, kind, heard: now });
                self.counters.moved += 1;
                self.events.push(FdbEvent::Moved { vlan, station: address, from, to: port });
                return Learned::Moved { from };
            }
            None => self.expire(station),
        }
        if self.ageing.is_zero() {
            return Learned::Refused(Refusal::NotKept);
        }
        if !self.has_quota(port) {
            return self.refuse(Refusal::Quota);
        }
        if self.is_full(false) {
            return self.refuse(Refusal::TableFull);
        }
        self.entries.insert(station, Chalk { port, kind: EntryKind::Dynamic, heard: now });
        self.counters.learned += 1;
        self.events.push(FdbEvent::Learned { vlan, station: address, port });
        Learned::New
    }

    fn set(&mut self, station: Station, port: PortId, kind: EntryKind, now: Instant) -> Result<(), Refusal> {
        let is_static = kind == EntryKind::Static;
        if !is_static && self.ageing.is_zero() {
            return Err(Refusal::NotKept);
        }
        let takes_the_place_of_its_like =
            self.entries.get(&station).is_some_and(|old| (old.kind == EntryKind::Static) == is_static);
        if !takes_the_place_of_its_like && self.is_full(is_static) {
            return Err(Refusal::TableFull);
        }
        self.evict(station);
        self.entries.insert(station, Chalk { port, kind, heard: now });
        self.counters.set += 1;
        self.events.push(FdbEvent::Set { vlan: station.0, station: station.1, port, kind });
        Ok(())
    }

    fn touch(&mut self, station: Station, now: Instant) -> bool {
        let known = self.alive(station, now);
        self.entries.extend(known.map(|known| (station, Chalk { heard: now, ..known })));
        known.is_some()
    }

    fn evict(&mut self, station: Station) -> bool {
        let Some(Chalk { port, .. }) = self.entries.remove(&station) else { return false };
        self.counters.evicted += 1;
        self.events.push(FdbEvent::Evicted { vlan: station.0, station: station.1, port });
        true
    }

    fn evict_all(&mut self, stations: Vec<Station>) {
        for station in stations {
            self.evict(station);
        }
    }

    fn expire(&mut self, station: Station) {
        if let Some(Chalk { port, .. }) = self.entries.remove(&station) {
            self.counters.expired += 1;
            self.events.push(FdbEvent::Expired { vlan: station.0, station: station.1, port });
        }
    }

    fn those(&self, is_meant: impl Fn(&Chalk) -> bool) -> Vec<Station> {
        self.entries.iter().filter(|(_, entry)| is_meant(entry)).map(|(station, _)| *station).collect()
    }

    fn sweep(&mut self, now: Instant) {
        self.those(|entry| !self.is_alive(entry, now)).into_iter().for_each(|station| self.expire(station));
    }

    fn age(&mut self, ageing: Duration, now: Instant) {
        self.sweep(now);
        self.ageing = ageing;
        self.sweep(now);
    }
}

/// One of few, so that they meet and the table is full.
fn stations() -> impl Iterator<Item = Station> {
    let vlans = [VlanId::NONE, VlanId::new(2).expect("a VLAN"), VlanId::new(3).expect("a VLAN")];
    vlans.into_iter().flat_map(|vlan| (1..4).map(move |last| (vlan, MacAddr([2, 0, 0, 0, 0, last]))))
}

fn ports() -> [PortId; 3] {
    [0, 1, 2].map(PortId)
}

fn step() -> impl Strategy<Value = Step> {
    let station = || select(stations().collect::<Vec<_>>());
    let port = || select(ports().to_vec());
    let kind = select(vec![EntryKind::Dynamic, EntryKind::Sticky, EntryKind::Static]);
    let seconds = |all: Vec<u64>| select(all).prop_map(Duration::from_secs);
    prop_oneof![
        8 => (station(), port()).prop_map(|(station, port)| Step::Learn(station, port)),
        4 => (station(), port(), kind).prop_map(|(station, port, kind)| Step::Set(station, port, kind)),
        1 => station().prop_map(Step::Touch),
        1 => station().prop_map(Step::Remove),
        1 => port().prop_map(Step::Flush),
        1 => port().prop_map(Step::RemovePort),
        1 => (port(), 0..4_usize).prop_map(|(port, quota)| Step::Quota(port, quota)),
        1 => seconds(vec![0, 10, 300, 600]).prop_map(Step::Age),
        3 => seconds(vec![1, 9, 10, 290, 300]).prop_map(Step::Wait),
        2 => Just(Step::Sweep),
    ]
}

/// Takes a step here and there, and tells what each answered.
fn both(step: Step, fdb: &mut Fdb, board: &mut Board, now: Instant) -> (String, String) {
    fn told(answers: (impl std::fmt::Debug, impl std::fmt::Debug)) -> (String, String) {
        (format!("{:?}", answers.0), format!("{:?}", answers.1))
    }
    match step {
        Step::Learn(at @ (vlan, station), port) => {
            told((fdb.learn(vlan, station, port, now), board.learn(at, port, now)))
        }
        Step::Set(at @ (vlan, station), port, kind) => {
            told((fdb.set(vlan, station, port, kind, now), board.set(at, port, kind, now)))
        }
        Step::Touch(at @ (vlan, station)) => told((fdb.touch(vlan, station, now), board.touch(at, now))),
        Step::Remove(at @ (vlan, station)) => told((fdb.remove(vlan, station), board.evict(at))),
        Step::Flush(port) => {
            let gone = board.those(|entry| entry.port == port && entry.kind != EntryKind::Static);
            told((fdb.flush_port(port), board.evict_all(gone)))
        }
        Step::RemovePort(port) => {
            board.quotas.remove(&port);
            let gone = board.those(|entry| entry.port == port);
            told((fdb.remove_port(port), board.evict_all(gone)))
        }
        Step::Quota(port, quota) => {
            board.quotas.insert(port, quota);
            told((fdb.set_quota(port, quota), ()))
        }
        Step::Age(ageing) => told((fdb.set_ageing(ageing, now), board.age(ageing, now))),
        Step::Wait(_) => told(((), ())),
        Step::Sweep => told((fdb.handle_timeout(now), board.sweep(now))),
    }
}

pub(super) fn the_table_holds_what_the_blackboard_does() -> Result<(), Failed> {
    holds(&proptest::collection::vec(step(), 1..150), |steps| {
        let ageing = Duration::from_secs(300);
        let mut fdb = Fdb::new(ageing, ROOM, 1);
        let (entries, quotas) = (BTreeMap::new(), BTreeMap::new());
        let mut board = Board { ageing, entries, quotas, counters: FdbCounters::default(), events: Vec::new() };
        let mut now = Instant::ZERO;
        for step in steps {
            if let Step::Wait(time) = step {
                now = now + time;
            }
            let (answer, expected) = both(step, &mut fdb, &mut board, now);
            prop_assert_eq!(answer, expected, "{:?}", step);
            for at @ (vlan, station) in stations() {
                let expected = board.alive(at, now).map(|entry| entry.port);
                prop_assert_eq!(fdb.lookup(vlan, station, now), expected, "{} after {:?}", station, step);
            }
            let listed: Vec<_> = fdb
                .entries(now)
                .into_iter()
                .map(|entry| ((entry.vlan, entry.station), entry.port, entry.kind, age_of(entry.kind, entry.age)))
                .collect();
            let alive = board.entries.iter().filter(|(_, entry)| board.is_alive(entry, now));
            let expected: Vec<_> = alive
                .map(|(at, entry)| (*at, entry.port, entry.kind, age_of(entry.kind, now.since(entry.heard))))
                .collect();
            prop_assert_eq!(listed, expected, "listed after {:?}", step);
            prop_assert_eq!((fdb.len(), fdb.is_empty()), (board.entries.len(), board.entries.is_empty()));
            prop_assert_eq!((fdb.counters(), fdb.ageing()), (board.counters, board.ageing), "{:?}", step);
            for port in ports() {
                prop_assert_eq!(fdb.stations(port), board.used(port), "{:?} after {:?}", port, step);
            }
            // (What expires in one sweep does so in the order of its moments.)
            let told = |events: Vec<FdbEvent>| {
                let mut told: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
                told.sort();
                told
            };
            let events = std::iter::from_fn(|| fdb.poll_event()).collect();
            prop_assert_eq!(told(events), told(std::mem::take(&mut board.events)), "{:?}", step);
            prop_assert_eq!(fdb.events_lost(), 0);
            // Whoever is awaited is looked at in time.
            let first = board.entries.values().filter(|entry| entry.kind != EntryKind::Static).map(|entry| entry.heard);
            let due = first.min().map(|heard| heard + board.ageing);
            prop_assert!(fdb.poll_timeout() <= due || due.is_none(), "{:?} comes after {:?}", fdb.poll_timeout(), due);
            prop_assert!(due.is_none() || fdb.poll_timeout().is_some());
        }
        Ok(())
    })
}

/// How long ago a static entry was set is nobody's business: it is there for good.
fn age_of(kind: EntryKind, age: Duration) -> Duration {
    if kind == EntryKind::Static { Duration::ZERO } else { age }
}
