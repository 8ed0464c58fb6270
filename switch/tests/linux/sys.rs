//! The one ioctl that these tests need and no safe crate has: what a careless owner of a TAP may do to it.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);

/// Lets the kernel give unfinished checksums and UDP super-frames by this TAP.
pub(crate) fn switch_offload_on(tap: BorrowedFd<'_>) {
    let mask = libc::TUN_F_CSUM | libc::TUN_F_USO4 | libc::TUN_F_USO6;
    // SAFETY: the argument is a number, no pointer.
    unsafe { tun_set_offload(tap.as_raw_fd(), mask as libc::c_int) }.expect("this kernel has USO");
}
