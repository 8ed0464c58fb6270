//! [`Clients`]: the clients of one published UDP port, for whoever passes on what they send. Pure: `now` is an argument.
//!
//! UDP has no connections, so a client is whoever sent a datagram lately. It is forgotten when nothing went either way for
//! [`IDLE`]; when there are too many, the one that was silent for longest makes room.

use std::collections::BTreeMap;
use std::time::Duration;

use switch::time::Instant;

/// How long a silent client is remembered.
pub const IDLE: Duration = Duration::from_secs(60);

/// Clients by what tells them apart, each with a `V` and a number that no other ever has.
#[derive(Debug)]
pub struct Clients<K, V> {
    bound: usize,
    numbers: BTreeMap<K, u64>,
    clients: BTreeMap<u64, Client<K, V>>,
    /// The numbers of all of them, the longest silent first: by how much had been heard when they were heard of last.
    silence: BTreeMap<u64, u64>,
    heard: u64,
    next: u64,
}

#[derive(Debug)]
struct Client<K, V> {
    key: K,
    value: V,
    last: Instant,
    /// Its place in the order of silence.
    place: u64,
}

impl<K: Ord + Copy, V> Clients<K, V> {
    /// For at most so many clients, and for one at least.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        let (numbers, clients, silence) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Clients { bound: bound.max(1), numbers, clients, silence, heard: 0, next: 0 }
    }

    /// The client of this key, which is heard of now.
    pub fn find(&mut self, key: &K, now: Instant) -> Option<&V> {
        let number = *self.numbers.get(key)?;
        self.hear(number, now).map(|(_, value)| value)
    }

    /// The client of this number, which is heard of now.
    pub fn hear(&mut self, number: u64, now: Instant) -> Option<(K, &V)> {
        let client = self.clients.get_mut(&number)?;
        self.silence.remove(&client.place);
        self.heard += 1;
        (client.last, client.place) = (now, self.heard);
        self.silence.insert(client.place, number);
        Some((client.key, &client.value))
    }

    /// All of them, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.clients.iter().map(|(number, client)| (*number, &client.value))
    }

    /// The number that the next client will have.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Makes room for one more; what was forgotten for it.
    pub fn make_room(&mut self) -> Option<V> {
        if self.clients.len() < self.bound {
            return None;
        }
        let (_, &longest_silent) = self.silence.first_key_value()?;
        self.forget(longest_silent)
    }

    /// Remembers a client that is new, under [`Clients::next`]. To be called after [`Clients::make_room`].
    pub fn insert(&mut self, key: K, value: V, now: Instant) -> &V {
        debug_assert!(self.clients.len() < self.bound, "room was made");
        let number = self.next;
        self.next += 1;
        self.heard += 1;
        let place = self.heard;
        self.numbers.insert(key, number);
        self.silence.insert(place, number);
        &self.clients.entry(number).or_insert(Client { key, value, last: now, place }).value
    }

    /// Forgets one client that was silent for too long; to be called until there is none.
    pub fn expire(&mut self, now: Instant) -> Option<V> {
        self.next_expiry().filter(|due| *due <= now)?;
        let (_, &longest_silent) = self.silence.first_key_value()?;
        self.forget(longest_silent)
    }

    /// When the next client will be forgotten, if nothing is heard of it.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let (_, longest_silent) = self.silence.first_key_value()?;
        self.clients.get(longest_silent).map(|client| client.last + IDLE)
    }

    fn forget(&mut self, number: u64) -> Option<V> {
        let client = self.clients.remove(&number)?;
        self.numbers.remove(&client.key);
        self.silence.remove(&client.place);
        Some(client.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_secs(seconds)
    }

    fn meet(clients: &mut Clients<u8, u64>, key: u8, now: Instant) -> Option<u64> {
        let forgotten = clients.make_room();
        let number = clients.next();
        clients.insert(key, number, now);
        forgotten
    }

    #[test]
    fn forgets_a_silent_client_after_a_minute_and_not_before() {
        let mut clients = Clients::new(10);
        assert_eq!(clients.next_expiry(), None);
        meet(&mut clients, 1, at(0));
        meet(&mut clients, 2, at(10));
        assert_eq!(clients.next_expiry(), Some(at(60)));
        assert_eq!(clients.find(&1, at(59)), Some(&0));
        assert_eq!(clients.expire(at(69)), None);
        assert_eq!(clients.expire(at(70)), Some(1));
        assert_eq!(clients.expire(at(118)), None);
        assert_eq!(clients.expire(at(119)), Some(0));
        assert_eq!(clients.find(&1, at(120)), None);
        assert_eq!(clients.next_expiry(), None);
    }

    #[test]
    fn an_answer_keeps_a_client_too() {
        let mut clients = Clients::new(10);
        meet(&mut clients, 1, at(0));
        assert_eq!(clients.hear(0, at(50)), Some((1, &0)));
        assert_eq!(clients.expire(at(60)), None);
        assert_eq!(clients.hear(7, at(60)), None);
    }

    #[test]
    fn at_the_bound_the_longest_silent_makes_room() {
        let mut clients = Clients::new(2);
        assert_eq!(meet(&mut clients, 1, at(0)), None);
        assert_eq!(meet(&mut clients, 2, at(1)), None);
        clients.find(&1, at(2));
        assert_eq!(meet(&mut clients, 3, at(3)), Some(1));
        assert_eq!(clients.find(&2, at(4)), None);
        assert_eq!(clients.find(&1, at(4)), Some(&0));
        // A number is never given twice.
        assert_eq!(meet(&mut clients, 2, at(5)), Some(2));
        assert_eq!(clients.next(), 4);
    }

    proptest! {
        #[test]
        fn is_the_list_of_those_heard_of_within_a_minute(
            bound in 1..5_usize,
            events in prop::collection::vec((0..8_u8, 0..30_u64), 0..60),
        ) {
            let mut clients: Clients<u8, u64> = Clients::new(bound);
            // The model: those heard of, the longest silent first.
            let mut model: Vec<(u8, Instant)> = Vec::new();
            let mut seconds = 0;
            for (key, later) in events {
                seconds += later;
                let now = at(seconds);
                while clients.expire(now).is_some() {}
                model.retain(|(_, last)| *last + IDLE > now);
                prop_assert_eq!(clients.next_expiry(), model.first().map(|(_, last)| *last + IDLE));
                let is_known = model.iter().any(|(known, _)| *known == key);
                prop_assert_eq!(clients.find(&key, now).is_some(), is_known);
                if is_known {
                    model.retain(|(known, _)| *known != key);
                } else {
                    prop_assert_eq!(meet(&mut clients, key, now).is_some(), model.len() == bound);
                    if model.len() == bound {
                        model.remove(0);
                    }
                }
                model.push((key, now));
                prop_assert_eq!(clients.clients.len(), model.len());
                prop_assert_eq!((clients.numbers.len(), clients.silence.len()), (model.len(), model.len()));
            }
        }
    }
}
