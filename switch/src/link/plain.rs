//! [`PlainTap`]: a TAP without offload, by the tun-tap crate.
//!
//! * Every frame that it gives is finished, and every frame that it is given must be: a super-frame is cut into segments,
//!   an unfinished checksum is finished, in software, before it is written.
//! * One super-frame has one result: it is sent if all its segments were, otherwise what became of the first that was not;
//!   those after it are not tried.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use tun_tap::{Iface, Mode};

use crate::buffer::{Buffer, Pool};
use crate::link::errors::{Failed, ReadErrors, Reads};
use crate::link::retag::Retagged;
use crate::link::tap::{TapError, check_name, create_error, errno_of, query, set_modes};
use crate::link::tun::{self, Read};
use crate::link::{Link, Received, Transmit, finish, sys};
use crate::offload::segment::Segmenter;
use crate::verdict::DropReason;
use crate::vlan::Retag;
use crate::vnet::VnetHeader;

/// A TAP without offload header.
#[derive(Debug)]
pub struct PlainTap {
    fd: OwnedFd,
    name: String,
    segmenter: Segmenter,
    reads: Reads,
}

impl PlainTap {
    /// Makes a TAP in the current network namespace, down and without addresses. Never keeps an existing device.
    pub fn create(name: &str) -> Result<PlainTap, TapError> {
        // tun-tap would cut a long name off.
        check_name(name)?;
        let interface = Iface::without_packet_info(name, Mode::Tap).map_err(|error| refusal(name, &error))?;
        let fd = sys::own(interface);
        // tun-tap attaches to an existing device of the name, if that is persistent and idle: let go of it again.
        let (_, flags) = query(&fd)?;
        if flags & libc::IFF_PERSIST != 0 {
            return Err(TapError::NameTaken { name: name.to_owned() });
        }
        PlainTap::set_up(fd, name.to_owned())
    }

    /// Takes over a TAP by an fd of it that another process made and passed on. As with [`Tap::from_fd`], its frames must be
    /// without packet information.
    ///
    /// [`Tap::from_fd`]: crate::link::tap::Tap::from_fd
    pub fn from_fd(fd: OwnedFd) -> Result<PlainTap, TapError> {
        let (name, flags) = query(&fd)?;
        if flags & libc::IFF_TAP == 0 || flags & libc::IFF_VNET_HDR != 0 {
            return Err(TapError::WrongKind { name, expected: "a TAP without offload header" });
        }
        PlainTap::set_up(fd, name)
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

    fn set_up(fd: OwnedFd, name: String) -> Result<PlainTap, TapError> {
        // The kernel lets offload be switched on for a device without offload header, and then gives super-frames that
        // nobody can tell from others: so it is switched off, whoever switched it on.
        match set_modes(fd.as_fd()).and_then(|()| sys::set_offload(fd.as_fd(), 0)) {
            Ok(()) => Ok(PlainTap { fd, name, segmenter: Segmenter::new(), reads: Reads::default() }),
            Err(errno) => Err(TapError::SetUp { name, errno }),
        }
    }
}

/// What tun-tap's refusal means; it does not tell opening from creating.
fn refusal(name: &str, error: &std::io::Error) -> TapError {
    match errno_of(error) {
        errno @ (Errno::ENOENT | Errno::EACCES) => TapError::Open { name: name.to_owned(), errno },
        // An interface of the name that is no TAP.
        Errno::EINVAL if if_nametoindex(name).is_ok() => TapError::NameTaken { name: name.to_owned() },
        errno => create_error(name, errno),
    }
}

impl Link for PlainTap {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        for _ in 0..limit {
            let Some(mut shared) = pool.take() else { return Received::More };
            let buffer = Arc::get_mut(&mut shared).expect("a buffer from the pool is nobody else's");
            let read = tun::read(self.fd.as_fd(), buffer.room());
            let ended = match read {
                Read::Frame(len) => {
                    buffer.set_vnet(VnetHeader::default());
                    buffer.set_len(len);
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
        if frame.vnet().is_gso() || frame.vnet().needs_checksum() {
            return finish::transmit(&mut self.segmenter, frame, retag, |pieces| {
                tun::write_pieces(self.fd.as_fd(), pieces)
            });
        }
        if retag == Retag::Keep {
            return tun::write(self.fd.as_fd(), frame.frame());
        }
        let Some(retagged) = Retagged::new(frame.frame(), retag) else { return Transmit::Refused };
        tun::write_pieces(self.fd.as_fd(), &retagged.pieces().map(IoSlice::new))
    }

    fn foretell(&self, frame: &Buffer, _retag: Retag) -> Result<u64, DropReason> {
        finish::foretell(frame)
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}

    fn read_errors(&self) -> ReadErrors {
        self.reads.errors()
    }
}

impl AsFd for PlainTap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    use super::*;
    use crate::link::errors::{IN_A_ROW, ReadError};
    use crate::link::tests::{SUPER_FRAME, UNTAGGED, pair, read, write};
    use crate::vnet::NEEDS_CSUM;

    #[test]
    fn a_frame_that_is_read_into_a_used_buffer_has_no_offload_header() {
        let (mut plain, device) = plain();
        let mut pool = Pool::new(1);
        let mut used = pool.take().unwrap();
        Arc::get_mut(&mut used).unwrap().set_vnet(SUPER_FRAME);
        pool.give(used);
        write(&device, UNTAGGED);
        let mut frames = Vec::new();
        assert_eq!(plain.receive(&mut pool, &mut frames, 1), Received::More);
        assert_eq!((frames[0].vnet(), frames[0].frame()), (VnetHeader::default(), UNTAGGED));
    }

    #[test]
    fn each_segment_and_each_finished_frame_is_retagged() {
        let (mut plain, device) = plain();
        let unfinished = VnetHeader { flags: NEEDS_CSUM, csum_start: 14, csum_offset: 0, ..VnetHeader::default() };
        for vnet in [VnetHeader::default(), unfinished] {
            let frame = Arc::new(Buffer::holding(UNTAGGED, vnet));
            assert_eq!(plain.transmit(&frame, Retag::Push(5)), Transmit::Sent);
            let written = read(&device);
            assert_eq!(written[..12], UNTAGGED[..12]);
            assert_eq!(written[12..18], [0x81, 0, 0, 5, 0x08, 0x00]);
        }
        let frame = Arc::new(Buffer::holding(&super_frame(), SUPER_FRAME));
        assert_eq!(plain.transmit(&frame, Retag::Push(5)), Transmit::Sent);
        for payload in [1_000, 1_000, 500] {
            let written = read(&device);
            assert_eq!((written.len(), &written[12..18]), (14 + 4 + 40 + payload, &[0x81, 0, 0, 5, 0x08, 0x00][..]));
        }
    }

    /// What [`SUPER_FRAME`] belongs to: TCP over IPv4 without options.
    fn super_frame() -> Vec<u8> {
        let mut frame = [&UNTAGGED[..14], &[0; 40 + 2_500]].concat();
        frame[14] = 0x45;
        frame[14 + 9] = 6;
        frame[34 + 12] = 0x50;
        frame
    }

    /// What stands for the device can not be read, as long as it is connected to nothing (ENOTCONN).
    #[test]
    fn a_device_that_can_not_be_read_is_down_after_a_few_times_which_are_counted() {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_NONBLOCK, None).unwrap();
        let mut plain = PlainTap { fd: socket, ..plain().0 };
        assert_eq!(plain.receive(&mut Pool::new(1), &mut Vec::new(), 64), Received::Down);
        assert_eq!(plain.read_errors().of(ReadError::ReadFailed), u64::from(IN_A_ROW));
    }

    fn plain() -> (PlainTap, OwnedFd) {
        let (fd, device) = pair();
        (PlainTap { fd, name: "t0".to_owned(), segmenter: Segmenter::new(), reads: Reads::default() }, device)
    }
}
