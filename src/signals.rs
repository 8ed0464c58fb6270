//! [`Signals`]: the signals that have reached this process, to be waited for like everything else.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::failure::{Failure, io};

/// Signals that are caught from now on. Of several of the same number that come at once, one is told.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// From now on these signals do not end us.
    ///
    /// # Errors
    /// If one of them can not be caught, or there are no descriptors left.
    pub fn register(signals: &[i32]) -> Result<Self, Failure> {
        let register = || {
            let (ours, theirs) = UnixStream::pair()?;
            SignalDelivery::with_pipe(ours, theirs, SignalOnly, signals)
        };
        register().map(|delivery| Signals { delivery }).map_err(io("watch for signals"))
    }

    /// Those that have come since the last time.
    pub fn pending(&mut self) -> impl Iterator<Item = i32> {
        self.delivery.pending()
    }
}

/// Whether this process ignores a signal, as one does that `nohup` started. `false` if the kernel does not tell.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=64).contains(&signal) && mask & (1 << (signal - 1)) != 0
}

impl AsFd for Signals {
    /// Readable when there may be one.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}
