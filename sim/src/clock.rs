//! [`Clock`]: virtual time, and what is to happen next.
//!
//! The rules it keeps:
//!
//! * Time moves only from one event to the next, or to where the caller wants it; a day in which nothing happens costs
//!   nothing.
//! * Events of the same moment happen in the order in which they were asked for: equal inputs give equal runs.
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
    done: u64,
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
        let Reverse((.., who)) = state.events.pop()?;
        state.done += 1;
        Some(who)
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

    /// How many wake-ups there have been.
    pub(crate) fn events(&self) -> u64 {
        self.0.borrow().done
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
