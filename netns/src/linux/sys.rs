//! The one call for which no safe wrapper exists.

use nix::libc;

/// Closes every descriptor but the three standard streams. Whoever started the daemon may have left more of them open, a
/// pipe that someone waits at the other end of among them, and a shim would keep it for the life of its container.
///
/// Only for a process that has opened nothing yet: see [`super::dispatch`].
pub(super) fn close_inherited() {
    // SAFETY: this runs first in `main`, on the only thread. So no value of this process owns a descriptor above 2, and none
    // can be closed under its owner.
    #[expect(unsafe_code)]
    // It fails on kernels before 5.9 only, and then what was inherited stays open.
    let _ = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}
