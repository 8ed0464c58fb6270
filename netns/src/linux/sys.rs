//! The one call for which no safe wrapper exists.

use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

/// The first that is none of the three standard streams.
const FIRST: u32 = 3;

/// Closes every descriptor but the three standard streams. Whoever started the daemon may have left more of them open, a
/// pipe that someone waits at the other end of among them, and a shim would keep it for the life of its container.
///
/// Only for a process that has opened nothing yet: see [`super::dispatch`].
pub(super) fn close_inherited() {
    // This runs first in `main`, on the only thread. So no value of this process owns a descriptor above 2.
    close(FIRST, libc::c_uint::MAX);
}

/// Closes every descriptor but the three standard streams and this one.
///
/// Only for a thread that has just got a table of its own, in which no value owns any other descriptor: see [`super::spawn`].
pub(super) fn close_all_but(kept: &impl AsFd) {
    let kept = kept.as_fd().as_raw_fd().unsigned_abs();
    if kept > FIRST {
        close(FIRST, kept - 1);
    }
    close(kept + 1, libc::c_uint::MAX);
}

fn close(first: u32, last: u32) {
    // SAFETY: both callers run where no value owns one of these descriptors, so that none can be closed under its owner.
    #[expect(unsafe_code)]
    // It fails on kernels before 5.9 only, and then what was inherited stays open.
    let _ = unsafe { libc::close_range(first, last, 0) };
}
