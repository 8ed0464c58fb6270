//! [`Tap`]: a TAP device with offload: super-frames and unfinished checksums cross it untouched.
//!
//! * The device belongs to the namespace that was current when `/dev/net/tun` was opened; its fd works from everywhere.
//! * A non-persistent device lives as long as any fd of it: whoever holds a duplicate keeps it alive over a restart.
//! * The offload mask belongs to the device, not to the fd, so it is set on every attach, a takeover included.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;

use crate::buffer::{Buffer, Pool};
use crate::link::errors::{Failed, ReadErrors, Reads};
use crate::link::held::{self, Held};
use crate::link::queue::Queue;
use crate::link::tun::{self, Read};
use crate::link::{Link, Received, Transmit, sys};
use crate::vlan::Retag;
use crate::vnet::VnetHeader;

/// A TAP with offload header.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    name: String,
    /// The kernel takes super-frames of UDP.
    takes_trains: bool,
    held: Held,
    reads: Reads,
    /// `None` while it reads and writes itself.
    queue: Option<Box<Queue>>,
}

/// Where the device behind an fd is now: whoever may can move it to another namespace, and rename it.
#[derive(Debug)]
pub struct Whereabouts {
    /// What it is called there.
    pub name: String,
    /// The network namespace, which lives as long as this is held.
    pub namespace: OwnedFd,
}

impl Whereabouts {
    /// Of the device of any TAP, by an fd of it.
    pub fn of(fd: impl AsFd) -> Result<Whereabouts, TapError> {
        let namespace = sys::namespace(fd.as_fd()).map_err(|errno| TapError::Query { errno })?;
        Ok(Whereabouts { name: query(&fd)?.0, namespace })
    }
}

/// Why there is no TAP: a variant per operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    /// The kernel would not have this name, or would change it.
    #[error("create TAP `{name}`: no interface can have this name (1 to 15 bytes, no '/', ':', '%' or space)")]
    BadName {
        /// The name.
        name: String,
    },
    /// There is an interface of this name already, and it is left alone.
    #[error("create TAP `{name}`: the name is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// `/dev/net/tun` can not be opened.
    #[error("open /dev/net/tun for TAP `{name}`: {}", errno.desc())]
    Open {
        /// The name of the TAP to be.
        name: String,
        /// Why.
        errno: Errno,
    },
    /// The kernel's tun devices have no offload header.
    #[error("create TAP `{name}`: this kernel's TAPs have no offload header")]
    NoOffload {
        /// The name.
        name: String,
    },
    /// The device can not be made.
    #[error("create TAP `{name}`: {}", errno.desc())]
    Create {
        /// The name.
        name: String,
        /// Why.
        errno: Errno,
    },
    /// The length of the offload header, the offload mask or the mode of the fd can not be set.
    #[error("set up TAP `{name}`: {}", errno.desc())]
    SetUp {
        /// The name.
        name: String,
        /// Why.
        errno: Errno,
    },
    /// An fd handed over is no TAP, or its device is gone.
    #[error("take over a TAP: {}", errno.desc())]
    Query {
        /// Why.
        errno: Errno,
    },
    /// An fd handed over is a tun device of another kind than was asked for.
    #[error("take over `{name}`: it is not {expected}")]
    WrongKind {
        /// The name of the device.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl Tap {
    /// Makes a TAP in the current network namespace, down and without addresses. Never attaches to an existing device.
    pub fn create(name: &str) -> Result<Tap, TapError> {
        check_name(name)?;
        let fd = open_tun(name)?;
        if features(&fd, name)? & libc::IFF_VNET_HDR == 0 {
            return Err(TapError::NoOffload { name: name.to_owned() });
        }
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
        sys::set_iff(fd.as_fd(), &sys::IfReq::new(name, flags)).map_err(|errno| create_error(name, errno))?;
        Tap::set_up(fd, name.to_owned())
    }

    /// Takes over a TAP by an fd of it that another process made and passed on.
    ///
    /// The kernel does not tell whether frames of a device carry packet information (`IFF_NO_PI` is off); it must have been
    /// made by [`Tap::create`] or alike.
    pub fn from_fd(fd: OwnedFd) -> Result<Tap, TapError> {
        let (name, flags) = query(&fd)?;
        if flags & libc::IFF_TAP == 0 || flags & libc::IFF_VNET_HDR == 0 {
            return Err(TapError::WrongKind { name, expected: "a TAP with offload header" });
        }
        Tap::set_up(fd, name)
    }

    /// Another fd of the same device, for someone who keeps the device alive or takes it over later.
    pub fn try_clone_fd(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// The name that the device had when it was made or taken over.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn set_up(fd: OwnedFd, name: String) -> Result<Tap, TapError> {
        let set_up = || -> nix::Result<bool> {
            set_modes(fd.as_fd())?;
            sys::set_vnet_header_len(fd.as_fd(), VnetHeader::LEN)?;
            let mask = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
            // Kernels before 6.2 refuse a mask with USO.
            sys::set_offload(fd.as_fd(), mask | libc::TUN_F_USO4 | libc::TUN_F_USO6)
                .map(|()| true)
                .or_else(|_| sys::set_offload(fd.as_fd(), mask).map(|()| false))
        };
        match set_up() {
            Ok(takes_trains) => {
                Ok(Tap { fd, name, takes_trains, held: Held::default(), reads: Reads::default(), queue: None })
            }
            Err(errno) => Err(TapError::SetUp { name, errno }),
        }
    }
}

impl Link for Tap {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        if let Some(queue) = &mut self.queue {
            return queue.receive(pool, into, limit);
        }
        for _ in 0..limit {
            let Some(mut shared) = pool.take() else { return Received::More };
            let buffer = Arc::get_mut(&mut shared).expect("a buffer from the pool is nobody else's");
            let read = tun::read(self.fd.as_fd(), buffer.room_with_header());
            let ended = match read {
                Read::Frame(len) => {
                    buffer.set_len(len.saturating_sub(VnetHeader::LEN));
                    into.push(shared);
                    self.reads.went_well();
                    continue;
                }
                Read::WouldBlock => {
                    self.reads.went_well();
                    Some(Received::WouldBlock)
                }
                Read::Failed(errno) => match self.reads.failed(errno) {
                    Failed::Counted => None,
                    Failed::Down => Some(Received::Down),
                },
            };
            pool.give(shared);
            if let Some(ended) = ended {
                return ended;
            }
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        if let Some(answer) = self.queue.as_mut().and_then(|queue| queue.transmit(frame, retag)) {
            return answer;
        }
        self.held.write(self.fd.as_fd());
        held::write_one(self.fd.as_fd(), frame, retag)
    }

    fn transmit_in_batch(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        if self.queue.is_none() && self.takes_trains && self.held.keep(self.fd.as_fd(), frame, retag) {
            return Transmit::Queued;
        }
        self.transmit(frame, retag)
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        match &mut self.queue {
            Some(queue) => queue.flush(results),
            None => self.held.flush(self.fd.as_fd(), results),
        }
    }

    fn queue(&mut self) -> Option<&mut Queue> {
        Some(self.queue.get_or_insert_with(|| Box::new(Queue::new(self.takes_trains))))
    }

    fn read_errors(&self) -> ReadErrors {
        let by_others = self.queue.as_ref().map_or(ReadErrors::default(), |queue| queue.read_errors());
        self.reads.errors().with(by_others)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Refuses what the kernel would refuse, cut off, or take for a pattern.
pub(super) fn check_name(name: &str) -> Result<(), TapError> {
    let odd = |byte: u8| matches!(byte, 0 | b'/' | b':' | b'%') || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name == "." || name == ".." || name.bytes().any(odd) {
        return Err(TapError::BadName { name: name.to_owned() });
    }
    Ok(())
}

/// Opens the clone device, non-blocking; std sets close-on-exec.
pub(super) fn open_tun(name: &str) -> Result<OwnedFd, TapError> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun");
    file.map(OwnedFd::from).map_err(|error| TapError::Open { name: name.to_owned(), errno: errno_of(&error) })
}

/// What this kernel's tun can do, a mask of `IFF_`.
pub(super) fn features(fd: &OwnedFd, name: &str) -> Result<libc::c_int, TapError> {
    sys::features(fd.as_fd()).map_err(|errno| TapError::Open { name: name.to_owned(), errno })
}

/// What TUNSETIFF's refusal means.
pub(super) fn create_error(name: &str, errno: Errno) -> TapError {
    let name = name.to_owned();
    match errno {
        Errno::EBUSY | Errno::EEXIST => TapError::NameTaken { name },
        errno => TapError::Create { name, errno },
    }
}

/// Name and flags of the device behind an fd.
pub(super) fn query(fd: &impl AsFd) -> Result<(String, libc::c_int), TapError> {
    let request = sys::iff(fd.as_fd()).map_err(|errno| TapError::Query { errno })?;
    let name = request.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((String::from_utf8_lossy(name).into_owned(), libc::c_int::from(request.flags)))
}

/// Close-on-exec and non-blocking, whatever the process that made the fd thought of them.
pub(super) fn set_modes(fd: BorrowedFd<'_>) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::link::errors::{IN_A_ROW, ReadError};
    use crate::link::tests::{SUPER_FRAME, TAGGED, UNTAGGED, datagram, pair, read};

    #[test]
    fn the_offload_header_that_is_written_fits_the_frame_behind_it() {
        let (fd, device) = pair();
        let mut tap = tap(fd);
        let tagged = SUPER_FRAME.shifted(4);
        for (frame, vnet, retag, written_vnet, written) in [
            (UNTAGGED, SUPER_FRAME, Retag::Keep, SUPER_FRAME, UNTAGGED),
            (UNTAGGED, SUPER_FRAME, Retag::Push(5), tagged, TAGGED),
            (TAGGED, tagged, Retag::Pop, SUPER_FRAME, UNTAGGED),
            (TAGGED, tagged, Retag::Replace(5), tagged, TAGGED),
            (TAGGED, VnetHeader::default(), Retag::Pop, VnetHeader::default(), UNTAGGED),
        ] {
            let frame = Arc::new(Buffer::holding(frame, vnet));
            assert_eq!(tap.transmit(&frame, retag), Transmit::Sent);
            assert_eq!(read(&device), [written_vnet.as_bytes(), written].concat(), "{retag:?}");
        }
    }

    /// What stands for the device can not be read, as long as it is connected to nothing (ENOTCONN).
    #[test]
    fn a_device_that_can_not_be_read_is_down_after_a_few_times_which_are_counted() {
        let (fd, flags) = (AddressFamily::Unix, SockFlag::SOCK_NONBLOCK);
        let mut tap = tap(socket(fd, SockType::SeqPacket, flags, None).unwrap());
        let (mut pool, mut into) = (Pool::new(1), Vec::new());
        let mut receive = |tap: &mut Tap, limit: u8| tap.receive(&mut pool, &mut into, usize::from(limit));
        assert_eq!(receive(&mut tap, IN_A_ROW - 1), Received::More);
        assert_eq!(tap.read_errors().of(ReadError::ReadFailed), u64::from(IN_A_ROW - 1));
        assert_eq!(receive(&mut tap, IN_A_ROW), Received::Down);
        assert_eq!(tap.read_errors().total(), u64::from(IN_A_ROW));
        assert!(into.is_empty() && pool.take().is_some(), "no buffer is lost");
    }

    fn tap(fd: OwnedFd) -> Tap {
        let name = "t0".to_owned();
        Tap { fd, name, takes_trains: true, held: Held::default(), reads: Reads::default(), queue: None }
    }

    #[test]
    fn datagrams_of_a_batch_leave_in_one_piece_before_what_comes_behind_them() {
        for retag in [Retag::Keep, Retag::Push(5)] {
            let (fd, device) = pair();
            let mut tap = tap(fd);
            let other = Arc::new(Buffer::holding(UNTAGGED, VnetHeader::default()));
            for (frame, answer) in [
                (&datagram(0), Transmit::Queued),
                (&datagram(1), Transmit::Queued),
                (&datagram(2), Transmit::Queued),
                (&other, Transmit::Sent),
                (&datagram(3), Transmit::Queued),
                (&datagram(5), Transmit::Queued),
            ] {
                assert_eq!(tap.transmit_in_batch(frame, retag), answer);
            }
            let mut results = Vec::new();
            tap.flush(&mut results);
            assert_eq!(results, [Transmit::Sent; 5]);
            let headers = if retag == Retag::Keep { 42 } else { 46 };
            let written: Vec<Vec<u8>> = (0..4).map(|_| read(&device).split_off(VnetHeader::LEN)).collect();
            assert_eq!(written[0][headers..], [0, 1, 2]);
            assert_eq!(written[1], if retag == Retag::Keep { UNTAGGED } else { TAGGED });
            assert_eq!(written[2][headers..], [3]);
            assert_eq!(written[3][headers..], [5]);
        }
    }
}
