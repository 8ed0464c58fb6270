//! [`Polling`]: whether the loop, when nothing is ready, asks again for a moment before it sleeps.
//!
//! To wake a thread takes longer than a frame takes to cross, if its core sleeps too: on a virtual machine some 40 µs. So a
//! loop that has lately been woken soon after it fell asleep stays awake for as long as that is likely to happen again.
//!
//! Only the mean of the latest waits decides. So a switch with nothing to do, or with little, never polls; and where other
//! threads want the core, polls grow long because they run meanwhile, and end by themselves.
//!
//! Pure: the loop tells it the times.

use std::time::Duration;

/// How long the loop polls at most before it sleeps, and how short waits must be on average for that to be worth while.
const WINDOW: Duration = Duration::from_micros(40);
/// A wait counts as at most so long: one long silence is forgotten after two dozen short waits.
const LONGEST: Duration = Duration::from_millis(1);
/// The latest wait is one part in so many of the mean.
const WEIGHT: u32 = 8;

/// Decides when to poll.
#[derive(Debug)]
pub(super) struct Polling {
    /// The mean of the latest waits, the later the weightier.
    mean: Duration,
}

impl Polling {
    pub(super) fn new() -> Self {
        Polling { mean: LONGEST }
    }

    /// How long to poll before going to sleep; zero: not at all.
    pub(super) fn window(&self) -> Duration {
        if self.mean < WINDOW { WINDOW } else { Duration::ZERO }
    }

    /// A wait has ended, after so long, asleep or awake.
    pub(super) fn waited(&mut self, wait: Duration) {
        self.mean = (self.mean * (WEIGHT - 1) + wait.min(LONGEST)) / WEIGHT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(15);

    #[test]
    fn polls_only_after_many_short_waits() {
        let mut polling = Polling::new();
        assert_eq!(polling.window(), Duration::ZERO);
        let waits = (1..100).find(|_| {
            polling.waited(SHORT);
            !polling.window().is_zero()
        });
        assert_eq!(waits, Some(28));
        assert_eq!(polling.window(), WINDOW);
    }

    #[test]
    fn sleeps_again_after_one_long_wait_or_a_few_that_polling_did_not_shorten() {
        let mut polling = Polling { mean: SHORT };
        polling.waited(Duration::from_secs(100));
        assert_eq!(polling.window(), Duration::ZERO);

        let mut polling = Polling { mean: SHORT };
        let waits = (1..100).find(|_| {
            polling.waited(2 * WINDOW);
            polling.window().is_zero()
        });
        assert_eq!(waits, Some(4));
    }

    #[test]
    fn waits_just_longer_than_the_window_never_start_it() {
        let mut polling = Polling::new();
        for _ in 0..10_000 {
            polling.waited(WINDOW + Duration::from_nanos(100));
            assert_eq!(polling.window(), Duration::ZERO);
        }
    }
}
