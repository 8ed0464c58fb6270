//! What the two kinds of TAP have in common: one read or write is one frame, and what an errno of it means.
//!
//! Found by trying on Linux 6.18, in the order of what happens to a device:
//!
//! * set down: a read gives EAGAIN, a write EIO. It may be set up again, so the port stays;
//! * deleted, by `ip link del` or with the namespace that it was moved to: EPOLLERR, and EBADFD from every call;
//! * a bad offload header, or less than an Ethernet header: a write gives EINVAL. The device does not mind;
//! * a frame longer than the reader's buffer is cut off without a sign: hence the one byte more in a [`Buffer`].
//!
//! [`Buffer`]: crate::buffer::Buffer

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::uio::writev;

use crate::link::Transmit;

/// How the read of one frame ended.
pub(super) enum Read {
    /// So many bytes: the frame, and what stands before it.
    Frame(usize),
    /// There is none.
    WouldBlock,
    /// It can not be read.
    Failed(Errno),
}

/// Reads one frame, and the offload header before it where the device has one.
pub(super) fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> Read {
    loop {
        match nix::unistd::read(fd, into) {
            Ok(len) => return Read::Frame(len),
            Err(Errno::EAGAIN) => return Read::WouldBlock,
            Err(Errno::EINTR) => {}
            Err(errno) => return Read::Failed(errno),
        }
    }
}

/// Writes one frame, with the offload header before it where the device has one.
pub(super) fn write(fd: BorrowedFd<'_>, frame: &[u8]) -> Transmit {
    loop {
        match nix::unistd::write(fd, frame) {
            Err(Errno::EINTR) => {}
            result => return outcome(result),
        }
    }
}

/// Writes one frame, given in pieces.
pub(super) fn write_pieces(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Transmit {
    loop {
        match writev(fd, pieces) {
            Err(Errno::EINTR) => {}
            result => return outcome(result),
        }
    }
}

/// What a write comes to.
pub(crate) fn outcome(written: nix::Result<usize>) -> Transmit {
    match written {
        Ok(_) => Transmit::Sent,
        // EIO: it is set down.
        Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EIO) => Transmit::Full,
        Err(Errno::EBADFD | Errno::ENODEV | Errno::ENXIO | Errno::EBADF) => Transmit::Down,
        // EINVAL, and whatever else the kernel finds wrong with this frame: should the device itself be broken, the
        // next read tells.
        Err(_) => Transmit::Refused,
    }
}
