//! What the two kinds of TAP have in common: one read or write is one frame, and what an errno of it means.
//!
//! Found by trying on Linux 6.18, in the order of what happens to a device:
//!
//! * set down: a read gives EAGAIN, a write EIO. It may be set up again, so the port stays;
//! * deleted, by `ip link del` or with the namespace that it was moved to: EPOLLERR, and EBADFD from every call;
//! * a bad offload header, or less than an Ethernet header: a write gives EINVAL. The device does not mind;
//! * a frame longer than the reader's buffer is cut off without a sign: hence the guard byte.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::uio::{readv, writev};

use crate::link::Transmit;

/// How the read of one frame ended.
pub(super) enum Read {
    /// A frame of this many bytes, what stands before it not counted.
    Frame(usize),
    /// A frame that is longer than the room for it; the rest of it is lost.
    TooLong,
    /// There is none.
    WouldBlock,
    /// The device is gone.
    Down,
}

/// Reads one frame into `room`, and what stands before it into `prefix`.
pub(super) fn read(fd: BorrowedFd<'_>, prefix: &mut [u8], room: &mut [u8]) -> Read {
    let (before, longest) = (prefix.len(), room.len());
    // A byte that is written only if the frame did not fit.
    let mut guard = [0];
    let mut pieces = [IoSliceMut::new(prefix), IoSliceMut::new(room), IoSliceMut::new(&mut guard)];
    loop {
        match readv(fd, &mut pieces) {
            Ok(len) if len > before + longest => return Read::TooLong,
            Ok(len) => return Read::Frame(len.saturating_sub(before)),
            Err(Errno::EAGAIN) => return Read::WouldBlock,
            Err(Errno::EINTR) => {}
            // EBADFD, and whatever else: a device that can not be read is no port, and asking it again would never end.
            Err(_) => return Read::Down,
        }
    }
}

/// Writes one frame, given in pieces.
pub(super) fn write(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Transmit {
    loop {
        return match writev(fd, pieces) {
            Ok(_) => Transmit::Sent,
            Err(Errno::EINTR) => continue,
            // EIO: it is set down.
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EIO) => Transmit::Full,
            Err(Errno::EBADFD | Errno::ENODEV | Errno::ENXIO | Errno::EBADF) => Transmit::Down,
            // EINVAL, and whatever else the kernel finds wrong with this frame: should the device itself be broken, the
            // next read tells.
            Err(_) => Transmit::Refused,
        };
    }
}
