//! [`Hops`]: over how many switches a frame has come, so that a loop is found: Ethernet has no such count, and a frame that goes
//! round in a loop does so for ever.
//!
//! A frame that has crossed more than [`LIMIT`] switches is lost, as one is in IP whose time to live is over. No network of
//! bridges is that deep unless it is a loop (IEEE 802.1D recommends seven). The ports by which frames came in that were more
//! than half-way there are those of the loop.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

/// How many switches a frame crosses at most.
pub(crate) const LIMIT: u8 = 64;

/// The hops of the frames that a switch is moving now.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    /// Of those that it has taken, in their order, and has not decided about yet.
    taken: RefCell<VecDeque<u8>>,
    /// Of the one whose copies it sends.
    current: Cell<u8>,
    /// The ports by which old frames came in.
    trail: RefCell<BTreeSet<String>>,
    is_loop: Cell<bool>,
}

impl Hops {
    /// A batch begins.
    pub(crate) fn begin(&self) {
        self.taken.borrow_mut().clear();
    }

    /// A frame is taken out of its cable.
    pub(crate) fn take(&self, hops: u8) {
        self.taken.borrow_mut().push_back(hops);
    }

    /// The next of them is decided about, which came in by this port.
    pub(crate) fn decide(&self, port: &str) {
        let hops = self.taken.borrow_mut().pop_front().unwrap_or_default();
        self.current.set(hops);
        if hops > LIMIT / 2 && !self.trail.borrow().contains(port) {
            self.trail.borrow_mut().insert(port.to_owned());
        }
    }

    /// How many switches a copy has crossed that leaves now; `None` if it is too many.
    pub(crate) fn leave(&self) -> Option<u8> {
        let hops = self.current.get() + 1;
        if hops > LIMIT {
            self.is_loop.set(true);
            return None;
        }
        Some(hops)
    }

    /// The ports of a loop, if one was found since this was last asked.
    pub(crate) fn found_loop(&self) -> Option<Vec<String>> {
        self.is_loop.take().then(|| std::mem::take(&mut *self.trail.borrow_mut()).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_goes_round_is_stopped_and_its_ports_are_known() {
        let hops = Hops::default();
        let mut old = 0;
        let ports = ["a", "b"].iter().cycle();
        for (crossed, port) in ports.enumerate() {
            hops.begin();
            hops.take(old);
            hops.decide(port);
            match hops.leave() {
                Some(older) => old = older,
                None => {
                    assert_eq!(crossed, usize::from(LIMIT));
                    break;
                }
            }
            assert_eq!(hops.found_loop(), None);
        }
        assert_eq!(hops.found_loop(), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(hops.found_loop(), None);
    }

    #[test]
    fn frames_of_a_batch_keep_their_own_count() {
        let hops = Hops::default();
        [3, 0, 9].into_iter().for_each(|old| hops.take(old));
        let left = [(), (), ()].map(|()| {
            hops.decide("a");
            hops.leave()
        });
        assert_eq!(left, [Some(4), Some(1), Some(10)]);
    }
}
