//! The table as plain data: for people, for files, for the next daemon.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, pack, unpack};
use super::{Fdb, FdbCounters, FdbEntry};
use crate::time::Instant;

/// The whole table as plain data. Ages, not moments: the clock of another process has another origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbSnapshot {
    /// The entries, by VLAN and address.
    pub entries: Vec<FdbEntry>,
    /// The counters.
    pub counters: FdbCounters,
}

impl Fdb {
    /// The entries by VLAN and address, without those that have expired.
    #[must_use]
    pub fn entries(&self, now: Instant) -> Vec<FdbEntry> {
        let mut alive: Vec<(u64, Entry)> = self.entries.iter().filter(|(_, entry)| entry.is_alive(now)).collect();
        alive.sort_unstable_by_key(|(key, _)| *key);
        let row = |(key, entry): (u64, Entry)| {
            let (vlan, station) = unpack(key);
            FdbEntry { vlan, station, port: entry.port, kind: entry.kind, age: entry.age(self.ageing, now) }
        };
        alive.into_iter().map(row).collect()
    }

    /// The table as plain data.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> FdbSnapshot {
        FdbSnapshot { entries: self.entries(now), counters: self.counters() }
    }

    /// Puts the entries of a snapshot in the place of all that is here. No events: whoever mirrors the table reads it
    /// whole after a restore. What has no room is left out, and counts as evicted.
    pub fn restore(&mut self, snapshot: &FdbSnapshot, now: Instant) {
        self.entries.clear();
        self.checks.clear();
        self.ageing_entries = 0;
        self.shares.iter_mut().for_each(|(_, share)| share.used = 0);
        for row in &snapshot.entries {
            let left = self.ageing.saturating_sub(row.age);
            let key = pack(row.vlan, row.station);
            let is_new = self.entries.find(key).is_none();
            if is_new && self.has_room(row.kind) && (!left.is_zero() || !row.kind.ages()) {
                self.insert(key, row.port, row.kind, now + left);
            }
        }
        *self.counters = snapshot.counters;
        let made = self.counters.learned + self.counters.set;
        self.counters.evicted = made.saturating_sub(self.counters.expired + self.entries.len() as u64);
    }
}
