//! [`Clock`]: virtual time, what is to happen next, and a running hash of what did.
//!
//! The rules it keeps:
//!
//! * Time moves only from one event to the next, or to where the caller wants it; a day in which nothing happens costs
//!   nothing.
//! * Events of the same moment happen in the order in which they were asked for: equal inputs give equal traces.
//!
//! It is shared by all parts of one world, and so are its events: a wake-up that turns out to be for nothing is harmless.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use switch::time::Instant;

use crate::cable::CableId;
use crate::namespace::NamespaceId;

/// Who is to look what there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// The switch: its end of a cable has frames, or is gone.
    Port(CableId),
    /// A namespace: frames, or a timer of its stack.
    Namespace(NamespaceId),
    /// The command of a container, by the container's process id: its time is over.
    Program(u32),
    /// Tasks of programs: some are ready, or a timer has gone off.
    Tasks,
    /// The manager: a deadline.
    Manager,
    /// The data plane: a timer.
    Dataplane,
}

/// The virtual clock; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    now: Instant,
    sequence: u64,
    events: BinaryHeap<Reverse<(Instant, u64, Wake)>>,
    trace: Trace,
}

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        self.0.borrow().now
    }

    /// Asks for a wake-up; a moment in the past means now.
    pub(crate) fn wake_at(&self, at: Instant, who: Wake) {
        let mut state = self.0.borrow_mut();
        let at = at.max(state.now);
        state.sequence += 1;
        let sequence = state.sequence;
        state.events.push(Reverse((at, sequence, who)));
    }

    pub(crate) fn wake_now(&self, who: Wake) {
        self.wake_at(Instant::ZERO, who);
    }

    /// The next wake-up that is due now.
    pub(crate) fn pop_due(&self) -> Option<Wake> {
        let mut state = self.0.borrow_mut();
        let due = state.events.peek().is_some_and(|Reverse((at, ..))| *at <= state.now);
        if !due {
            return None;
        }
        state.events.pop().map(|Reverse((.., who))| who)
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.borrow().events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Moves time on. Never back.
    pub(crate) fn jump_to(&self, at: Instant) {
        let mut state = self.0.borrow_mut();
        state.now = state.now.max(at);
    }

    /// Adds what happens now to the trace.
    pub(crate) fn note(&self, what: u64, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        let now = state.now.as_nanos();
        state.trace.add(now);
        state.trace.add(what);
        state.trace.add_bytes(bytes);
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.0.borrow().trace.0
    }
}

/// A running hash: not against malice, only to tell two runs apart.
#[derive(Debug)]
struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Trace(0x9e37_79b9_7f4a_7c15)
    }
}

impl Trace {
    fn add(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.0 = (self.0 ^ u64::from_le_bytes(*word)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
    }
}

/// SplitMix64's finisher: every bit of the result depends on every bit of `word`. Also how one seed becomes many.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_of_one_moment_come_in_the_order_asked_for() {
        let clock = Clock::default();
        let soon = clock.now() + Duration::from_secs(1);
        clock.wake_at(soon, Wake::Program(2));
        clock.wake_at(soon, Wake::Program(1));
        assert_eq!(clock.pop_due(), None);
        assert_eq!(clock.next(), Some(soon));
        clock.jump_to(soon);
        assert_eq!(clock.pop_due(), Some(Wake::Program(2)));
        assert_eq!(clock.pop_due(), Some(Wake::Program(1)));
        assert_eq!(clock.next(), None);
    }

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::default();
        clock.jump_to(Instant::from_secs(5));
        clock.jump_to(Instant::from_secs(3));
        assert_eq!(clock.now(), Instant::from_secs(5));
    }
}
