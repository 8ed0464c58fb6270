//! [`Deadlines`]: at most one moment for each of many things. Pure: `now` is an argument.

use std::collections::{BTreeMap, BTreeSet};

use switch::time::Instant;

/// What is due when. As large as what it is about.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord> Deadlines<K> {
    pub(super) fn new() -> Self {
        Deadlines { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// `key` is due at this moment, and at no other any more.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        self.clear(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    /// `key` is never due.
    pub(super) fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// What is due by now, the most urgent first. Each is due once.
    pub(super) fn expired(&mut self, now: Instant) -> Option<K> {
        let (_, key) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.clear(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_due_once_at_its_last_moment_in_order() {
        let at = Instant::from_secs;
        let mut deadlines = Deadlines::new();
        for (key, moment) in [('a', 5), ('b', 3), ('c', 4), ('a', 2), ('d', 1)] {
            deadlines.set(key, at(moment));
        }
        deadlines.clear('d');
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.expired(at(1)), None);
        let due: Vec<char> = std::iter::from_fn(|| deadlines.expired(at(3))).collect();
        assert_eq!(due, ['a', 'b']);
        assert_eq!(deadlines.next(), Some(at(4)));
    }
}
