//! [`Fdb`]: the filtering database (IEEE 802.1Q-2022, 8.8): which station of which VLAN is behind which port.
//!
//! Rules:
//! * A station is where it was last heard; when it is heard elsewhere, its entry moves at once.
//! * An entry whose station was silent for the ageing time is not there: a lookup ignores it from that moment, and the
//!   sweep (`handle_timeout`) takes it away soon after. Heard again in between, it has expired and is learned anew.
//! * Static entries neither move nor expire; sticky ones expire but do not move.
//! * A port has a quota of stations, so that a flood of made-up addresses costs only the port it comes from. At the
//!   quota, or with the table full, known stations go on as before and new ones are refused: frames to them are flooded.
//! * The table holds at most `max_stations` entries that age and as many static ones: a flood can not keep the
//!   administrator from setting one.
//! * With an ageing time of zero nothing is learned, and the switch floods like a hub.
//! * Every change is an event, in a bounded queue.
//!
//! Nothing depends on the table's order, and its seed is given.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::account::{Account, Counters as _};
use crate::mac::MacAddr;
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::PortId;
use crate::vlan::VlanId;

mod entry;
mod event;
mod excerpt;
mod snapshot;
mod sweep;
mod table;

pub use entry::{EntryKind, FdbCounters, FdbEntry};
pub use event::FdbEvent;
pub use snapshot::FdbSnapshot;

use entry::{Entry, Share, pack, unpack};
use event::EventQueue;
use table::Table;

/// The filtering database of one switch.
#[derive(Debug)]
pub struct Fdb {
    entries: Table,
    checks: BinaryHeap<Reverse<(Instant, u64)>>,
    shares: Slots<Share>,
    ageing: Duration,
    max_stations: usize,
    ageing_entries: usize,
    counters: Account<FdbCounters>,
    events: EventQueue,
}

/// What hearing a station did to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It was not known.
    New,
    /// It is where it was.
    Refreshed,
    /// It was behind another port.
    Moved {
        /// The port it was behind.
        from: PortId,
    },
    /// The table stays as it is.
    Refused(Refusal),
}

/// Why a station was not learned, or an entry not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A static entry says that it is behind another port.
    Static,
    /// A sticky entry says that it is behind another port.
    Sticky,
    /// The port has as many stations as it may.
    Quota,
    /// The table is full.
    TableFull,
    /// The ageing time is zero: nothing is learned. Not counted as refused.
    NotKept,
}

impl Fdb {
    /// How long a silent station is remembered by default (IEEE 802.1Q-2022, table 8-6).
    pub const DEFAULT_AGEING: Duration = Duration::from_secs(300);
    /// The longest ageing time, as in the standard; a longer one is taken for this.
    pub const MAX_AGEING: Duration = Duration::from_secs(1_000_000);

    /// An empty table.
    #[must_use]
    pub fn new(ageing: Duration, max_stations: usize, hash_seed: u64) -> Self {
        Fdb {
            entries: Table::new(FixedState::with_seed(hash_seed)),
            checks: BinaryHeap::new(),
            shares: Slots::new(),
            ageing: ageing.min(Fdb::MAX_AGEING),
            max_stations,
            ageing_entries: 0,
            counters: Account::default(),
            events: EventQueue::new(),
        }
    }

    /// Takes note that a frame of `station` came in by `port`.
    #[inline]
    pub fn learn(&mut self, vlan: VlanId, station: MacAddr, port: PortId, now: Instant) -> Learned {
        let key = pack(vlan, station);
        let expires = now + self.ageing;
        match self.entries.find(key) {
            Some(place) if self.entries.port(place) == port && self.entries.is_alive(place, now) => {
                self.entries.refresh(place, expires);
                Learned::Refreshed
            }
            Some(place) => self.learn_known(key, self.entries.entry(place), port, now),
            None => self.learn_new(key, port, now),
        }
    }

    /// The port that `station` is behind.
    #[inline]
    #[must_use]
    pub fn lookup(&self, vlan: VlanId, station: MacAddr, now: Instant) -> Option<PortId> {
        let place = self.entries.find(pack(vlan, station))?;
        self.entries.is_alive(place, now).then(|| self.entries.port(place))
    }

    /// Whether the table is so large that it is worth while to [look ahead](Fdb::look_ahead).
    #[inline]
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.entries.is_large()
    }

    /// Has the place where `station` would be found brought into the processor's caches, for a lookup a little later.
    #[inline]
    pub fn look_ahead(&self, vlan: VlanId, station: MacAddr) {
        self.entries.look_ahead(pack(vlan, station));
    }

    /// Takes note that `station` is in use, as seen by someone else (a fast path that frames take past this table).
    /// Whether there is such an entry; one that has expired does not come back.
    pub fn touch(&mut self, vlan: VlanId, station: MacAddr, now: Instant) -> bool {
        let expires = now + self.ageing;
        match self.entries.find(pack(vlan, station)).filter(|place| self.entries.is_alive(*place, now)) {
            Some(place) => {
                self.entries.refresh(place, expires);
                true
            }
            None => false,
        }
    }

    /// Makes an entry by hand, in place of whatever is known of the station. Quotas do not apply.
    ///
    /// # Errors
    /// [`Refusal::TableFull`], or [`Refusal::NotKept`] if the entry would expire at once.
    pub fn set(
        &mut self,
        vlan: VlanId,
        station: MacAddr,
        port: PortId,
        kind: EntryKind,
        now: Instant,
    ) -> Result<(), Refusal> {
        if kind.ages() && self.ageing.is_zero() {
            return Err(Refusal::NotKept);
        }
        let key = pack(vlan, station);
        let replaces_its_like = self.entries.get(key).is_some_and(|old| old.kind.ages() == kind.ages());
        if !replaces_its_like && !self.has_room(kind) {
            return Err(Refusal::TableFull);
        }
        self.evict(key);
        self.insert(key, port, kind, now + self.ageing);
        self.counters.set += 1;
        self.events.push(FdbEvent::Set { vlan, station, port, kind });
        Ok(())
    }

    /// Takes an entry away, of whatever kind. Whether there was one.
    pub fn remove(&mut self, vlan: VlanId, station: MacAddr) -> bool {
        self.evict(pack(vlan, station))
    }

    /// Forgets the stations behind `port`; static entries stay.
    pub fn flush_port(&mut self, port: PortId) {
        self.evict_where(|entry| entry.port == port && entry.kind.ages());
    }

    /// Forgets `port`: its stations, its static entries, its quota.
    pub fn remove_port(&mut self, port: PortId) {
        self.evict_where(|entry| entry.port == port);
        self.shares.remove(port.0);
    }

    /// Sets how many stations may be learned behind `port`. More that are there already stay.
    pub fn set_quota(&mut self, port: PortId, quota: usize) {
        self.shares.or_default(port.0).quota = quota;
    }

    /// The next change of the table.
    pub fn poll_event(&mut self) -> Option<FdbEvent> {
        self.events.pop()
    }

    /// How many events were lost because nobody took them in time.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.events.lost()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> FdbCounters {
        *self.counters
    }

    /// When they began to be counted, in seconds since 1970; 0 where nobody said.
    #[must_use]
    pub fn counted_since(&self) -> u64 {
        self.counters.since()
    }

    /// Counts in `account` from now on, on top of what stands there: what an earlier table counted. Its entries are not in
    /// this one, so they have been evicted.
    pub fn count_in(&mut self, mut account: Account<FdbCounters>) {
        let FdbCounters { learned, set, expired, evicted, moved, .. } = *self.counters;
        account.evicted = (account.learned + account.set).saturating_sub(account.expired);
        account.learned += learned;
        account.set += set;
        account.expired += expired;
        account.evicted += evicted;
        account.moved += moved;
        account.refused_static += self.counters.refused_static;
        account.refused_sticky += self.counters.refused_sticky;
        account.refused_quota += self.counters.refused_quota;
        account.refused_table_full += self.counters.refused_table_full;
        account.mend();
        self.counters = account;
    }

    /// How many entries there are, with those that have expired and await the sweep.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many stations `port` has towards its quota.
    #[must_use]
    pub fn stations(&self, port: PortId) -> usize {
        self.shares.get(port.0).map_or(0, |share| share.used)
    }

    /// How many stations may be learned behind `port`.
    #[must_use]
    pub fn quota(&self, port: PortId) -> usize {
        self.shares.get(port.0).map_or(Share::default().quota, |share| share.quota)
    }

    /// The ageing time.
    #[must_use]
    pub fn ageing(&self) -> Duration {
        self.ageing
    }

    /// A station that is in the table, but not alive behind this port.
    #[cold]
    fn learn_known(&mut self, key: u64, known: Entry, port: PortId, now: Instant) -> Learned {
        if !known.is_alive(now) {
            self.expire(key);
            return self.learn_new(key, port, now);
        }
        match known.kind {
            EntryKind::Static => self.refuse(Refusal::Static),
            EntryKind::Sticky => self.refuse(Refusal::Sticky),
            EntryKind::Dynamic => self.move_to(key, known.port, port, now),
        }
    }

    #[cold]
    fn learn_new(&mut self, key: u64, port: PortId, now: Instant) -> Learned {
        if self.ageing.is_zero() {
            return Learned::Refused(Refusal::NotKept);
        }
        if !self.has_quota(port) {
            return self.refuse(Refusal::Quota);
        }
        if !self.has_room(EntryKind::Dynamic) {
            return self.refuse(Refusal::TableFull);
        }
        self.insert(key, port, EntryKind::Dynamic, now + self.ageing);
        self.counters.learned += 1;
        let (vlan, station) = unpack(key);
        self.events.push(FdbEvent::Learned { vlan, station, port });
        Learned::New
    }

    fn move_to(&mut self, key: u64, from: PortId, to: PortId, now: Instant) -> Learned {
        if !self.has_quota(to) {
            return self.refuse(Refusal::Quota);
        }
        let expires = now + self.ageing;
        if let Some(place) = self.entries.find(key) {
            self.entries.set_port(place, to);
            self.entries.refresh(place, expires);
        }
        self.shares.or_default(from.0).used -= 1;
        self.shares.or_default(to.0).used += 1;
        self.counters.moved += 1;
        let (vlan, station) = unpack(key);
        self.events.push(FdbEvent::Moved { vlan, station, from, to });
        Learned::Moved { from }
    }

    fn refuse(&mut self, why: Refusal) -> Learned {
        self.counters.refuse(why);
        Learned::Refused(why)
    }

    fn has_quota(&mut self, port: PortId) -> bool {
        let share = self.shares.or_default(port.0);
        share.used < share.quota
    }

    fn has_room(&self, kind: EntryKind) -> bool {
        let of_its_kind = if kind.ages() { self.ageing_entries } else { self.entries.len() - self.ageing_entries };
        of_its_kind < self.max_stations
    }

    /// Adds an entry for a key that has none.
    fn insert(&mut self, key: u64, port: PortId, kind: EntryKind, expires: Instant) {
        let check = if kind.ages() { expires } else { Instant::FAR_FUTURE };
        self.entries.insert(key, Entry { expires, check, port, kind });
        if kind.ages() {
            self.ageing_entries += 1;
            self.shares.or_default(port.0).used += 1;
            self.push_check(check, key);
        }
    }

    /// Takes an entry out, wherever it is counted. Its check stays behind and is found to be void when it comes.
    fn take_out(&mut self, key: u64) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        if entry.kind.ages() {
            self.ageing_entries -= 1;
            self.shares.or_default(entry.port.0).used -= 1;
        }
        Some(entry)
    }

    fn evict(&mut self, key: u64) -> bool {
        let Some(Entry { port, .. }) = self.take_out(key) else { return false };
        self.counters.evicted += 1;
        let (vlan, station) = unpack(key);
        self.events.push(FdbEvent::Evicted { vlan, station, port });
        true
    }

    /// Evicts in the order of the keys, not of the map.
    fn evict_where(&mut self, leaves: impl Fn(&Entry) -> bool) {
        let mut keys: Vec<u64> = self.entries.iter().filter(|(_, entry)| leaves(entry)).map(|(key, _)| key).collect();
        keys.sort_unstable();
        for key in keys {
            self.evict(key);
        }
    }
}

#[cfg(test)]
mod tests;
