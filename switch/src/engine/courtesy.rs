//! [`Courtesy`]: when a loop that is flooded lets others have its core.
//!
//! To pass frames on is worth nothing if their receiver has no time to take them: with each frame it loses one that was paid
//! for already (receive livelock). A scheduler that shares a core fairly does just that with a switch and a receiver on one
//! core, when senders on others are faster than both. What a switch leaves in the queues of its ports meanwhile costs nothing,
//! and what finds no room there is the sender's loss, at the earliest place.
//!
//! So a loop that had a crowded round of small frames, and was lately taken its core away by somebody who was waiting for it,
//! waits a moment before the next round; and for as long as that goes on it *stands back*: when it wakes it takes the core from
//! nobody, so that a receiver that has begun gets to its end. A receiver does that soon. Where the core was away for longer, somebody
//! has it who always has more to do, and to stand back would be to wait for each of his turns: then the loop does not, for a while.
//! One that has its core for itself never does; nor does one that
//! carries large frames, whose senders wait for their receivers anyway.
//!
//! Pure: the loop tells it what happens, and [`Manners`](super::manners::Manners) carries it out.

use std::time::Duration;

/// So long it waits, at least: the kernel's timers are good to some 50 µs more.
pub(super) const PAUSE: Duration = Duration::from_micros(1);
/// A round of so many frames is a crowded one.
const CROWD: usize = 32;
/// Frames up to this length, on average, are small ones, in bytes.
const SMALL: usize = 2048;
/// For so many crowded rounds a core that was once taken away counts as wanted.
const MEMORY: u32 = 256;
/// After so many rounds in a row without a pause it stands back no longer.
const CALM: u32 = 32;
/// A pause that took longer was not a receiver's, who has a buffer of some hundred small frames to look through.
const TOO_LONG: Duration = Duration::from_millis(1);
/// For so many pauses after that it does not stand back.
const SELFISH: u32 = 256;

/// What the loop knows of its last round, and of who wants its core.
#[derive(Debug, Default)]
pub(super) struct Courtesy {
    frames: usize,
    bytes: usize,
    /// How often the core had been taken away from the loop when that was last asked.
    preemptions: u64,
    wanted: u32,
    /// For how many more rounds without a pause it stands back.
    stands_back: u32,
    /// For how many more pauses it does not.
    selfish: u32,
}

impl Courtesy {
    /// A frame has come in.
    #[inline]
    pub(super) fn frame(&mut self, len: usize) {
        self.frames += 1;
        self.bytes += len;
    }

    /// How many frames came in this round.
    #[cfg(test)]
    pub(super) const fn frames(&self) -> usize {
        self.frames
    }

    /// A round is over. Says whether to pause before the next; `preemptions` is how often the core has been taken away from this
    /// thread, and is asked for only where it matters.
    pub(super) fn round(&mut self, preemptions: impl FnOnce() -> u64) -> bool {
        let (frames, bytes) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes));
        let pauses = frames >= CROWD && bytes <= frames * SMALL && self.is_wanted(preemptions());
        if !pauses {
            self.stands_back = self.stands_back.saturating_sub(1);
        } else if self.selfish == 0 {
            self.stands_back = CALM;
        } else {
            self.selfish -= 1;
        }
        pauses
    }

    /// So long a pause took.
    pub(super) const fn paused(&mut self, took: Duration) {
        if self.stands_back > 0 && took.as_nanos() > TOO_LONG.as_nanos() {
            (self.stands_back, self.selfish) = (0, SELFISH);
        }
    }

    /// Whether the loop stands back.
    pub(super) const fn stands_back(&self) -> bool {
        self.stands_back > 0
    }

    fn is_wanted(&mut self, preemptions: u64) -> bool {
        let before = std::mem::replace(&mut self.preemptions, preemptions);
        self.wanted = if preemptions > before { MEMORY } else { self.wanted.saturating_sub(1) };
        self.wanted > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(courtesy: &mut Courtesy, frames: usize, len: usize, preemptions: u64) -> bool {
        (0..frames).for_each(|_| courtesy.frame(len));
        courtesy.round(|| preemptions)
    }

    #[test]
    fn a_core_of_its_own_is_never_left() {
        let mut courtesy = Courtesy::default();
        assert!((0..1000).all(|_| !round(&mut courtesy, 64, 60, 0) && !courtesy.stands_back()));
    }

    #[test]
    fn a_core_that_others_want_is_left_after_crowded_rounds_of_small_frames_only() {
        let mut courtesy = Courtesy::default();
        assert!(round(&mut courtesy, 64, 60, 1));
        assert!(!round(&mut courtesy, 31, 60, 1), "not crowded");
        assert!(!round(&mut courtesy, 64, 65_000, 1), "large frames");
        assert!(round(&mut courtesy, 32, 2048, 1));
    }

    #[test]
    fn that_it_was_wanted_is_forgotten_in_time() {
        let mut courtesy = Courtesy::default();
        assert!(round(&mut courtesy, 64, 60, 7));
        let rounds = (1..1000).find(|_| !round(&mut courtesy, 64, 60, 7));
        assert_eq!(rounds, Some(256));
        assert!(round(&mut courtesy, 64, 60, 8), "and learned again");
    }

    #[test]
    fn a_loop_stands_back_until_it_has_not_paused_for_a_while() {
        let mut courtesy = Courtesy::default();
        for _ in 0..2 {
            round(&mut courtesy, 64, 60, 1);
            let rounds = (1..1000).find(|_| {
                round(&mut courtesy, 1, 60, 1);
                !courtesy.stands_back()
            });
            assert_eq!(rounds, Some(32));
        }
    }

    #[test]
    fn a_loop_whose_core_was_away_for_long_does_not_stand_back_for_a_while() {
        let mut courtesy = Courtesy::default();
        for preemptions in 1..3 {
            assert!(round(&mut courtesy, 64, 60, preemptions));
            courtesy.paused(Duration::from_millis(1));
            assert!(courtesy.stands_back());
            courtesy.paused(Duration::from_micros(1_001));
            assert!(!courtesy.stands_back());
            let rounds = (1..1000).find(|_| {
                // (It goes on to pause, however long that takes.)
                courtesy.frames = 64;
                assert!(courtesy.round(|| preemptions) || !courtesy.stands_back());
                courtesy.paused(Duration::from_millis(5));
                courtesy.wanted = MEMORY;
                courtesy.selfish == 0
            });
            assert_eq!(rounds, Some(256));
        }
    }
}
