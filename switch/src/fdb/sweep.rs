//! Forgetting: how entries expire.
//!
//! There is one check per entry, not one per refresh: a frame of a known station writes one word, and the check, when it
//! comes, finds out that the entry was used and looks again later. Checks come in the order of their moments, then of the
//! keys. An entry that goes leaves its check behind; it is void, since a check is valid only if its entry names it.

use std::cmp::Reverse;
use std::time::Duration;

use super::entry::{Entry, unpack};
use super::{Fdb, FdbEvent};
use crate::time::Instant;

/// Checks in one call of `handle_timeout`, so that no sweep holds the frames up for long.
const SWEEP: usize = 4096;

impl Fdb {
    /// Sets the ageing time, for the entries that are there as well. Those that have expired, by the old time or by the new
    /// one, are taken away at once: a longer time does not bring them back.
    pub fn set_ageing(&mut self, ageing: Duration, now: Instant) {
        self.expire_all(now);
        let before = std::mem::replace(&mut self.ageing, ageing.min(Fdb::MAX_AGEING));
        let after = self.ageing;
        self.entries.reschedule(|entry| {
            let left = after.saturating_sub(entry.age(before, now));
            entry.expires = now + left;
            entry.check = if entry.kind.ages() { entry.expires } else { Instant::FAR_FUTURE };
        });
        self.expire_all(now);
        self.rebuild_checks();
    }

    /// Takes away entries that have expired; at most a few thousand at once, after which [`Fdb::poll_timeout`] still
    /// tells a moment that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..SWEEP {
            let Some(&Reverse((check, key))) = self.checks.peek() else { return };
            if check > now {
                return;
            }
            self.checks.pop();
            self.check(key, check, now);
        }
    }

    /// When [`Fdb::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.checks.peek().map(|Reverse((check, _))| *check)
    }

    /// Expires in the order of the keys, not of the map.
    fn expire_all(&mut self, now: Instant) {
        let expired = self.entries.iter().filter(|(_, entry)| !entry.is_alive(now));
        let mut keys: Vec<u64> = expired.map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.into_iter().for_each(|key| self.expire(key));
    }

    /// Takes away all entries that have expired, and makes the table what [`Fdb::restore`] makes of its snapshot: whatever
    /// comes then, both go the same way.
    pub fn tidy(&mut self, now: Instant) {
        self.expire_all(now);
        self.entries.reschedule(|entry| {
            if entry.kind.ages() {
                entry.check = entry.expires;
            }
        });
        self.rebuild_checks();
    }

    pub(super) fn expire(&mut self, key: u64) {
        let Some(Entry { port, .. }) = self.take_out(key) else { return };
        self.counters.expired += 1;
        let (vlan, station) = unpack(key);
        self.events.push(FdbEvent::Expired { vlan, station, port });
    }

    fn check(&mut self, key: u64, check: Instant, now: Instant) {
        let Some(place) = self.entries.find(key) else { return };
        let entry = self.entries.entry(place);
        if entry.check != check {
            return;
        }
        if entry.is_alive(now) {
            self.entries.set_check(place, entry.expires);
            self.push_check(entry.expires, key);
        } else {
            self.expire(key);
        }
    }

    /// Void checks are swept out when they outnumber the valid ones, which keeps the queue in bounds at a constant cost
    /// per entry.
    pub(super) fn push_check(&mut self, check: Instant, key: u64) {
        if self.checks.len() > 2 * self.ageing_entries + 64 {
            self.rebuild_checks();
        } else {
            self.checks.push(Reverse((check, key)));
        }
    }

    fn rebuild_checks(&mut self) {
        let valid = self.entries.iter().filter(|(_, entry)| entry.kind.ages());
        self.checks = valid.map(|(key, entry)| Reverse((entry.check, key))).collect();
    }
}
