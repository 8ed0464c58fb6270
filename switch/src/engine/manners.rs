//! [`Manners`]: what a loop does out of [`Courtesy`]: it pauses, and its thread is scheduled as one that takes a core from
//! nobody (`SCHED_BATCH`) while it stands back.

use std::thread;

use nix::sys::resource::{UsageWho, getrusage};

use super::courtesy::{Courtesy, PAUSE};
use super::worker::clock;
use crate::dataplane::{Decided, Watch};
use crate::link::sys;

/// Of the thread that it is used on, and of no other.
#[derive(Debug, Default)]
pub(super) struct Manners {
    courtesy: Courtesy,
    /// The thread is scheduled so.
    stands_back: bool,
}

impl Manners {
    /// A frame has come in.
    #[inline]
    pub(super) fn frame(&mut self, len: usize) {
        self.courtesy.frame(len);
    }

    /// How many frames came in this round.
    #[cfg(test)]
    pub(super) const fn frames(&self) -> usize {
        self.courtesy.frames()
    }

    /// A round is over: pauses, if that is asked for, once `before` is done.
    pub(super) fn round(&mut self, before: impl FnOnce()) {
        let pauses = self.courtesy.round(preemptions);
        if self.courtesy.stands_back() != self.stands_back {
            self.stands_back = self.courtesy.stands_back();
            // Where that is not allowed, or somebody has seen to it that the thread is scheduled in another way, it stays as it is.
            let _ = sys::stand_back(self.stands_back);
        }
        if pauses {
            before();
            let began = clock();
            pause();
            self.courtesy.paused(clock().since(began));
        }
    }
}

/// Counts the frames of a round, for a loop whose links read by themselves. It is nobody that has to be told anything.
impl Watch for Manners {
    #[inline]
    fn is_there(&self) -> bool {
        false
    }

    #[inline]
    fn frame(&mut self, decided: Decided<'_>) {
        self.courtesy.frame(decided.buffer.frame().len());
    }
}

/// Leaves the core to others for a moment.
#[expect(clippy::disallowed_methods, reason = "it waits for nothing: others are to have the time")]
fn pause() {
    thread::sleep(PAUSE);
}

/// How often another thread was given the core of this one, although it had more to do.
fn preemptions() -> u64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.involuntary_context_switches() as u64)
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn a_thread_that_stands_back_is_scheduled_as_it_was_when_it_no_longer_does() {
        let of_this_thread = || {
            let said = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // (Behind the name in parentheses; the policy is field 41, and the first behind it is the third.)
            let behind = said.rsplit(')').next().unwrap().to_owned();
            behind.split_whitespace().nth(41 - 3).unwrap().parse::<i32>().unwrap()
        };
        thread::spawn(move || {
            assert_eq!(of_this_thread(), libc::SCHED_OTHER);
            assert_eq!(sys::stand_back(true), Ok(true));
            assert_eq!(of_this_thread(), libc::SCHED_BATCH);
            assert_eq!(sys::stand_back(true), Ok(false), "as it was not scheduled in the ordinary way");
            assert_eq!(sys::stand_back(false), Ok(true));
            assert_eq!(of_this_thread(), libc::SCHED_OTHER);
        })
        .join()
        .unwrap();
    }
}
