//! [`Pace`]: how fast clients of one listener are let through to the container. Pure: `now` is an argument.
//!
//! The kernel completes the connections of many clients at once, and we could pass all of them on at once. But when a server
//! accepts them slowly and its queue is short (128 in many languages, 5 in some), its kernel answers such a burst with SYN
//! cookies, and then resets what it had answered. So few at a time are connecting; the others wait in our longer queue.
//!
//! One that is not answered at once holds up the others for [`PATIENCE`] only: it may not be answered at all.

use std::time::Duration;

use switch::time::Instant;

/// How many are connecting at a time: fewer than the shortest usual queue.
const AT_ONCE: usize = 4;
/// How long they hold up the next ones. A SYN that was lost comes again after a second.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who is connecting.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    connecting: usize,
    /// When the last of them began.
    last: Instant,
    /// Counts how often those who were connecting were waited for no longer.
    generation: u64,
}

/// One that is connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Pace {
    /// When the next may begin.
    pub(super) fn next(&self) -> Instant {
        if self.connecting < AT_ONCE { Instant::ZERO } else { self.last + PATIENCE }
    }

    /// One begins, after [`Pace::next`].
    pub(super) fn begin(&mut self, now: Instant) -> Ticket {
        if self.connecting >= AT_ONCE {
            self.connecting = 0;
            self.generation += 1;
        }
        self.connecting += 1;
        self.last = now;
        Ticket(self.generation)
    }

    /// One has connected, or failed to.
    pub(super) fn finish(&mut self, ticket: Ticket) {
        if ticket.0 == self.generation {
            self.connecting = self.connecting.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_waits_for_one_of_four() {
        let mut pace = Pace::default();
        let now = Instant::from_secs(1);
        let tickets: Vec<Ticket> = (0..4)
            .map(|_| {
                assert!(pace.next() <= now);
                pace.begin(now)
            })
            .collect();
        assert_eq!(pace.next(), now + PATIENCE);
        pace.finish(tickets[2]);
        assert!(pace.next() <= now);
        pace.begin(now);
        assert_eq!(pace.next(), now + PATIENCE);
    }

    #[test]
    fn those_that_are_not_answered_are_not_waited_for_long() {
        let mut pace = Pace::default();
        let mut now = Instant::from_secs(1);
        let old: Vec<Ticket> = (0..4).map(|_| pace.begin(now)).collect();
        now = pace.next();
        let new: Vec<Ticket> = (0..4)
            .map(|_| {
                assert!(pace.next() <= now);
                pace.begin(now)
            })
            .collect();
        assert_eq!(pace.next(), now + PATIENCE);
        // The end of an old one makes no room among the new.
        old.into_iter().for_each(|ticket| pace.finish(ticket));
        assert_eq!(pace.next(), now + PATIENCE);
        pace.finish(new[0]);
        assert!(pace.next() <= now);
    }
}
