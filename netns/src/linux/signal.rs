//! Signals by their numbers, the real-time ones among them.

use rustix::process::Signal;
use rustix_libc_wrappers::process::SignalExt;

/// The signal of this number: 1 to 31, and 34 to 64. 32 and 33 are the C library's own, between threads of one process.
pub(super) fn signal_of(number: i32) -> Option<Signal> {
    Signal::from_raw(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_signals_but_the_c_librarys_own_have_numbers() {
        let known: Vec<i32> = (-1..=66).filter(|number| signal_of(*number).is_some()).collect();
        assert_eq!(known, (1..=31).chain(34..=64).collect::<Vec<_>>());
        assert!(known.iter().all(|number| signal_of(*number).map(Signal::as_raw) == Some(*number)));
    }
}
