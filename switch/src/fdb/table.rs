//! [`Table`]: where the entries are kept, so that finding one touches one line of the cache.
//!
//! A table of a million stations is larger than any cache, so what a lookup costs is the memory that it touches and has to wait
//! for. Hence an open hash table of buckets that are a cache line each, with three entries and all that a frame needs of them: no tag to
//! be looked at first, nothing behind a pointer. An entry whose bucket is full is in the next one that has room, and
//! each bucket knows how many have passed it by, so that a search ends where it must. There are at most two entries a bucket on
//! average: one in nine is not in its own then.
//!
//! What only the sweep needs, an entry's moment in the queue of checks, is beside the buckets.
//!
//! The seed of the hash is given; what goes over all entries sees them in an order that depends on it and on history, and
//! must not let it be seen.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;

use super::EntryKind;
use super::entry::Entry;
use crate::link::sys::memory;
use crate::time::Instant;
use crate::verdict::PortId;

/// Entries in a bucket.
const SLOTS: usize = 3;
/// Entries in a bucket on average, beyond which the table grows.
const FULL: usize = 2;
/// Buckets of the smallest table.
const SMALLEST: usize = 4;
/// Buckets of a table that is larger than the near caches of a processor: 1 MiB.
const LARGE: usize = 1 << 14;
/// A bit that keys of 60 bits leave free: a slot whose key is zero is empty.
const HELD: u64 = 1 << 63;

/// Entries by key.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them.
    buckets: Vec<Bucket>,
    /// The moments of the entries' checks, by bucket and slot.
    checks: Vec<[Instant; SLOTS]>,
    len: usize,
    hash: FixedState,
}

/// One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Bucket {
    keys: [u64; SLOTS],
    expires: [Instant; SLOTS],
    ports: [PortId; SLOTS],
    kinds: [EntryKind; SLOTS],
    /// Entries that found this bucket full, on the way from theirs to where they are.
    passed_by: u32,
}

/// Where an entry is, until one is inserted or removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    bucket: usize,
    slot: usize,
}

impl Table {
    pub(super) fn new(hash: FixedState) -> Self {
        Table::of(SMALLEST, hash)
    }

    /// An empty table with the same hash.
    pub(super) fn like(other: &Table) -> Self {
        Table::new(other.hash.clone())
    }

    fn of(buckets: usize, hash: FixedState) -> Self {
        Table { buckets: filled(buckets, Bucket::EMPTY), checks: filled(buckets, [Instant::ZERO; SLOTS]), len: 0, hash }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<Place> {
        let key = key | HELD;
        let mut at = self.home(key);
        loop {
            let bucket = &self.buckets[at];
            let slot = bucket.candidate(key);
            if bucket.keys[slot] == key {
                return Some(Place { bucket: at, slot });
            }
            if bucket.passed_by == 0 {
                return None;
            }
            at = self.after(at);
        }
    }

    /// Whether it is larger than the near caches of a processor.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        self.buckets.len() >= LARGE
    }

    /// Asks for the line that [`Table::find`] begins with.
    #[inline]
    pub(super) fn look_ahead(&self, key: u64) {
        memory::prefetch(&self.buckets[self.home(key | HELD)]);
    }

    #[inline]
    pub(super) fn port(&self, place: Place) -> PortId {
        self.buckets[place.bucket].ports[place.slot]
    }

    #[inline]
    pub(super) fn is_alive(&self, place: Place, now: Instant) -> bool {
        let bucket = &self.buckets[place.bucket];
        now < bucket.expires[place.slot] || !bucket.kinds[place.slot].ages()
    }

    /// Puts the end of an entry off, if `expires` is later.
    #[inline]
    pub(super) fn refresh(&mut self, place: Place, expires: Instant) {
        let it = &mut self.buckets[place.bucket].expires[place.slot];
        *it = (*it).max(expires);
    }

    pub(super) fn set_port(&mut self, place: Place, port: PortId) {
        self.buckets[place.bucket].ports[place.slot] = port;
    }

    pub(super) fn set_check(&mut self, place: Place, check: Instant) {
        self.checks[place.bucket][place.slot] = check;
    }

    /// All of an entry.
    pub(super) fn entry(&self, place: Place) -> Entry {
        let Place { bucket, slot } = place;
        let check = self.checks[bucket][slot];
        let bucket = &self.buckets[bucket];
        Entry { expires: bucket.expires[slot], check, port: bucket.ports[slot], kind: bucket.kinds[slot] }
    }

    pub(super) fn get(&self, key: u64) -> Option<Entry> {
        self.find(key).map(|place| self.entry(place))
    }

    /// Adds an entry for a key that has none.
    pub(super) fn insert(&mut self, key: u64, entry: Entry) {
        if self.len >= FULL * self.buckets.len() {
            self.grow();
        }
        self.put(key | HELD, entry);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Entry> {
        let place = self.find(key)?;
        let entry = self.entry(place);
        let mut at = self.home(key | HELD);
        while at != place.bucket {
            self.buckets[at].passed_by -= 1;
            at = self.after(at);
        }
        self.buckets[at].keys[place.slot] = 0;
        self.len -= 1;
        Some(entry)
    }

    pub(super) fn clear(&mut self) {
        self.buckets.fill(Bucket::EMPTY);
        self.len = 0;
    }

    /// All entries, in no order that may be seen.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Entry)> + '_ {
        let places = self.places(self.buckets.len());
        places.filter_map(|place| {
            let key = self.buckets[place.bucket].keys[place.slot];
            (key != 0).then(|| (key & !HELD, self.entry(place)))
        })
    }

    /// Changes when entries expire and are checked, each for itself.
    pub(super) fn reschedule(&mut self, mut change: impl FnMut(&mut Entry)) {
        for place in self.places(self.buckets.len()) {
            if self.buckets[place.bucket].keys[place.slot] != 0 {
                let mut entry = self.entry(place);
                change(&mut entry);
                self.buckets[place.bucket].expires[place.slot] = entry.expires;
                self.checks[place.bucket][place.slot] = entry.check;
            }
        }
    }

    fn places(&self, buckets: usize) -> impl Iterator<Item = Place> + use<> {
        (0..buckets).flat_map(|bucket| (0..SLOTS).map(move |slot| Place { bucket, slot }))
    }

    fn put(&mut self, key: u64, entry: Entry) {
        let mut at = self.home(key);
        let slot = loop {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.keys.iter().position(|held| *held == 0) {
                break slot;
            }
            bucket.passed_by += 1;
            at = self.after(at);
        };
        let Entry { expires, check, port, kind } = entry;
        let bucket = &mut self.buckets[at];
        (bucket.keys[slot], bucket.expires[slot], bucket.ports[slot], bucket.kinds[slot]) = (key, expires, port, kind);
        self.checks[at][slot] = check;
    }

    fn grow(&mut self) {
        let larger = Table { len: self.len, ..Table::of(2 * self.buckets.len(), self.hash.clone()) };
        let smaller = std::mem::replace(self, larger);
        smaller.iter().for_each(|(key, entry)| self.put(key | HELD, entry));
    }

    #[inline]
    fn home(&self, key: u64) -> usize {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u64(key);
        hasher.finish() as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn after(&self, bucket: usize) -> usize {
        (bucket + 1) & (self.buckets.len() - 1)
    }
}

/// So many of them, in huge pages where that is of use: entries are found at random, and each ordinary page would be
/// another one to be translated.
fn filled<T: Clone>(count: usize, value: T) -> Vec<T> {
    let mut all = Vec::with_capacity(count);
    memory::want_huge_pages(all.spare_capacity_mut());
    all.resize(count, value);
    all
}

impl Bucket {
    const EMPTY: Bucket = Bucket {
        keys: [0; SLOTS],
        expires: [Instant::ZERO; SLOTS],
        ports: [PortId(0); SLOTS],
        kinds: [EntryKind::Dynamic; SLOTS],
        passed_by: 0,
    };

    /// The only slot that can hold `key`. Arithmetic, not a search: which one it is is random, and a jump that can not be predicted
    /// costs more than all of this.
    #[inline]
    fn candidate(&self, key: u64) -> usize {
        usize::from(self.keys[1] == key) + 2 * usize::from(self.keys[2] == key)
    }
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is a cache line");

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn holds_what_a_map_holds_whatever_collides() {
        for seed in 0..20 {
            let mut table = Table::new(FixedState::with_seed(seed));
            let mut map = BTreeMap::new();
            let mut random = seed + 1;
            for step in 0..20_000_u64 {
                // (xorshift: no distribution to be proud of, but the same each time.)
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // Now many, now few: the table grows, and stays as large as it was.
                let key = random >> 32 & if step / 5000 % 2 == 0 { 0xfff } else { 0x3f };
                match random % 3 {
                    0 if !map.contains_key(&key) => {
                        table.insert(key, entry(step));
                        map.insert(key, step);
                    }
                    0 | 1 => assert_eq!(table.remove(key).map(|it| it.expires), map.remove(&key).map(at)),
                    _ => {
                        let place = table.find(key);
                        assert_eq!(place.map(|it| table.entry(it)), map.get(&key).map(|step| entry(*step)));
                        if let Some(place) = place {
                            table.refresh(place, at(step));
                            table.set_check(place, at(step));
                            table.set_port(place, PortId(step as u16));
                            map.insert(key, step);
                        }
                    }
                }
                assert_eq!(table.len(), map.len());
            }
            let mut held: Vec<(u64, Instant)> = table.iter().map(|(key, it)| (key, it.expires)).collect();
            held.sort_unstable();
            assert_eq!(held, map.iter().map(|(key, step)| (*key, at(*step))).collect::<Vec<_>>());
            let keys: Vec<u64> = map.into_keys().collect();
            keys.into_iter().for_each(|key| assert!(table.remove(key).is_some()));
            assert!(table.buckets.iter().all(|bucket| bucket.passed_by == 0), "a search for nobody ends at once");
        }
    }

    #[test]
    fn a_table_is_large_when_a_near_cache_does_not_hold_it() {
        let mut table = Table::new(FixedState::with_seed(1));
        let size = |table: &Table| size_of_val(&table.buckets[..]);
        for key in 1.. {
            assert_eq!(table.is_large(), size(&table) >= 1 << 20);
            if table.is_large() {
                break;
            }
            table.insert(key, entry(key));
        }
        assert_eq!(table.len(), 16_385);
        (0..17_000).for_each(|key| table.look_ahead(key));
        assert!((1..=16_385).all(|key| table.get(key) == Some(entry(key))), "nothing has changed");
    }

    #[test]
    fn a_refresh_puts_nothing_forward() {
        let mut table = Table::new(FixedState::with_seed(1));
        table.insert(7, entry(5));
        let place = table.find(7).unwrap();
        table.refresh(place, at(4));
        assert_eq!(table.entry(place), entry(5));
        assert!(table.is_alive(place, at(4)) && !table.is_alive(place, at(5)));
    }

    #[test]
    fn an_empty_table_finds_nobody_not_even_the_zero() {
        let mut table = Table::new(FixedState::with_seed(1));
        assert!(table.find(0).is_none());
        table.insert(0, entry(5));
        assert_eq!(table.get(0), Some(entry(5)));
        table.clear();
        assert!(table.find(0).is_none() && table.len() == 0);
    }

    fn entry(step: u64) -> Entry {
        Entry { expires: at(step), check: at(step), port: PortId(step as u16), kind: EntryKind::Dynamic }
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }
}
