//! [`PacketPort`]: an Ethernet interface of the host as a link, by a packet socket: our end of a veth pair, above all.
//!
//! * Super-frames and unfinished checksums cross it untouched, with the same offload header as a TAP's (`PACKET_VNET_HDR`).
//!   Where the interface or the kernel can not take one as it is, it is finished by the kernel, or else here.
//! * The socket sees what arrives at the interface, before the host's own stack does, and not what the host sends by it. It
//!   does not keep the host's stack from seeing it too: that is for a firewall rule at the interface's ingress.
//! * The kernel takes the outer VLAN tag out of a frame and tells it beside the frame: it is put back, with its TPID.
//! * An interface that is set down comes back; one that is deleted, or moved to another namespace, does not: `watch` tells
//!   one from the other.
//! * Received frames wait in a ring of slots that the kernel shares with us ([`SLOTS`], [`SLOT_LEN`]), so that short frames cost
//!   no call. One that is too long for a slot, a super-frame above all, waits in the socket's queue ([`RECEIVE_BUFFER`]) and is
//!   copied once, by a call, in its turn. What finds no room is counted ([`PacketPort::missed`]). Where the kernel has no
//!   ring to give, all wait in the queue.
//!
//! What the kernel (Linux 6.18) answers to a transmission, found by trying: ENETDOWN, it is set down; ENXIO, it is gone;
//! ENOBUFS, no room, no carrier, or a super-frame that the interface can not take; EMSGSIZE, longer than its MTU; EINVAL, a
//! bad offload header, or one that an older kernel does not know.

mod auxdata;
mod slot;
mod watch;

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use linux_raw_sys::if_packet::{PACKET_MR_PROMISC, packet_mreq};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, getsockopt, recvmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::uio::writev;
use zerocopy::{FromZeros as _, IntoBytes as _};

use self::auxdata::Auxdata;
use self::slot::Content;
use self::watch::{Presence, Watch};
use crate::buffer::{Buffer, Pool};
use crate::link::errors::{Failed, ReadErrors, Reads};
use crate::link::retag::Retagged;
use crate::link::sys::ring::Ring;
use crate::link::sys::{self, packet};
use crate::link::tap::errno_of;
use crate::link::{Link, Received, Transmit, finish};
use crate::offload::segment::Segmenter;
use crate::vlan::Retag;
use crate::vnet::VnetHeader;

/// How much memory frames that wait in the socket's queue may take, as the kernel counts it, in bytes: some hundred
/// super-frames, or ten thousand small frames where there is no ring. (The kernel allows itself twice what it is told.) Nothing
/// of it is taken before a frame waits.
pub const RECEIVE_BUFFER: usize = 4 << 20;

/// Length of a slot of the ring, in bytes: a frame of the ordinary MTU, and what the kernel tells of it.
pub const SLOT_LEN: usize = 2 << 10;
/// How many slots a ring has. Its memory is taken as long as the port is open.
pub const SLOTS: usize = 128;

/// How frames are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By a ring, and long frames by calls.
    Ring,
    /// Each by a call.
    Calls,
}

/// A packet socket that is bound to one interface.
#[derive(Debug)]
pub struct PacketPort {
    socket: OwnedFd,
    /// `None`: every frame waits in the socket's queue.
    ring: Option<Ring>,
    name: String,
    watch: Watch,
    segmenter: Segmenter,
    /// Frames lost before they could be read, as far as they were asked for: the kernel forgets what it has told.
    missed: AtomicU64,
    reads: Reads,
}

/// Why there is no packet socket: a variant per cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// There is no such interface in this network namespace.
    #[error("open interface `{name}`: there is none of this name")]
    NoInterface {
        /// The name.
        name: String,
    },
    /// It is an interface for something else than Ethernet frames.
    #[error("open interface `{name}`: it is no Ethernet interface")]
    NotEthernet {
        /// The name.
        name: String,
    },
    /// A packet socket can not be made: EPERM without CAP_NET_RAW.
    #[error("make a packet socket for interface `{name}`: {}", errno.desc())]
    Open {
        /// The name.
        name: String,
        /// Why.
        errno: Errno,
    },
    /// The kernel gives no ring for received frames.
    #[error("make a receive ring for interface `{name}`: {}", errno.desc())]
    Ring {
        /// The name.
        name: String,
        /// Why.
        errno: Errno,
    },
    /// An option of the socket can not be set, or it can not be bound.
    #[error("set up a packet socket on interface `{name}`: {}", errno.desc())]
    SetUp {
        /// The name.
        name: String,
        /// Why.
        errno: Errno,
    },
}

impl PacketPort {
    /// Opens the interface of this name in the current network namespace. It may be down; it is not changed, but for its
    /// being promiscuous as long as the socket is open. Frames are received by a ring, if the kernel gives one.
    pub fn open(interface: &str) -> Result<PacketPort, PacketError> {
        match PacketPort::open_by(interface, Reading::Ring) {
            Err(PacketError::Ring { errno, .. }) => {
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    tracing::info!(interface, "no ring for received frames, each takes a call: {}", errno.desc());
                });
                PacketPort::open_by(interface, Reading::Calls)
            }
            opened => opened,
        }
    }

    /// The same, with frames received as `reading` says and in no other way.
    pub fn open_by(interface: &str, reading: Reading) -> Result<PacketPort, PacketError> {
        let name = interface.to_owned();
        let Ok(index) = if_nametoindex(interface) else { return Err(PacketError::NoInterface { name }) };
        // Without a protocol it receives nothing before it is bound.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = match socket(AddressFamily::Packet, SockType::Raw, flags, None) {
            Ok(socket) => socket,
            Err(errno) => return Err(PacketError::Open { name, errno }),
        };
        let failed = |errno| match errno {
            Errno::ENODEV => PacketError::NoInterface { name: name.clone() },
            errno => PacketError::SetUp { name: name.clone(), errno },
        };
        set_up(&socket, index as libc::c_int).map_err(failed)?;
        let ring = match reading {
            Reading::Ring => Some(ring(&socket).map_err(|errno| PacketError::Ring { name: name.clone(), errno })?),
            Reading::Calls => None,
        };
        if bind(&socket, index as libc::c_int).map_err(failed)? != libc::ARPHRD_ETHER {
            return Err(PacketError::NotEthernet { name });
        }
        let watch = Watch::new(socket.as_fd()).map_err(failed)?;
        Ok(PacketPort {
            socket,
            ring,
            name,
            watch,
            segmenter: Segmenter::new(),
            missed: AtomicU64::new(0),
            reads: Reads::default(),
        })
    }

    /// Another fd of the same socket. It does not keep the interface alive.
    pub fn try_clone_fd(&self) -> std::io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// The name that the interface had when it was opened.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How frames are received.
    #[must_use]
    pub fn reading(&self) -> Reading {
        if self.ring.is_some() { Reading::Ring } else { Reading::Calls }
    }

    /// How many frames were lost before they could be read: ring or queue were full, or the kernel had no offload header for
    /// what it is left to finish (a super-frame within a tunnel).
    #[must_use]
    pub fn missed(&self) -> u64 {
        // It answers, and begins again at zero.
        let since = getsockopt(&self.socket, packet::Statistics).map_or(0, |statistics| u64::from(statistics.tp_drops));
        self.missed.fetch_add(since, Ordering::Relaxed) + since
    }

    /// Takes one frame.
    #[inline]
    fn read(&mut self, buffer: &mut Buffer) -> nix::Result<()> {
        let Some(ring) = &mut self.ring else { return self.read_by_call(buffer) };
        let Some(slot) = ring.filled() else { return Err(Errno::EAGAIN) };
        let content = slot::take(slot, buffer);
        ring.give_back();
        match content {
            Content::Frame => Ok(()),
            Content::Elsewhere => self.read_elsewhere(buffer),
            Content::CutOff => Err(Errno::EINVAL),
        }
    }

    /// Reads one frame by a call.
    fn read_by_call(&self, buffer: &mut Buffer) -> nix::Result<()> {
        let room = buffer.room_with_header();
        let mut beside = Auxdata::new_zeroed();
        let mut pieces = [IoSliceMut::new(room)];
        let control = Some(beside.as_mut_bytes());
        let read = recvmsg::<()>(self.socket.as_raw_fd(), &mut pieces, control, MsgFlags::empty())?.bytes;
        buffer.set_len(read.saturating_sub(VnetHeader::LEN));
        if let Some(tag) = beside.tag() {
            auxdata::put_back(buffer, tag);
        }
        Ok(())
    }

    /// Reads the frame that a slot had no room for: it waits, since the kernel puts it there before it says that the slot is
    /// filled. What a call would tell instead is another matter, and comes first.
    fn read_elsewhere(&mut self, buffer: &mut Buffer) -> nix::Result<()> {
        loop {
            match self.read_by_call(buffer) {
                Err(Errno::EINTR) => {}
                Err(Errno::ENETDOWN) => self.went_down(),
                // It is not there after all.
                Err(Errno::EAGAIN) => return Err(Errno::EINVAL),
                result => return result,
            }
        }
    }

    /// What a call would have told, had there been one: with a ring nobody makes one while nothing comes.
    fn look_for_news(&mut self) {
        if self.ring.is_some() && getsockopt(&self.socket, sockopt::SocketError) == Ok(Errno::ENETDOWN as i32) {
            self.went_down();
        }
    }

    /// It is told once.
    #[cold]
    fn went_down(&mut self) {
        self.reads.failed(Errno::ENETDOWN);
        self.watch.went_down();
    }

    /// Writes one frame and the offload header before it.
    fn write(&self, pieces: &[IoSlice<'_>]) -> nix::Result<usize> {
        let write = || match pieces {
            // What is in one piece takes the shorter way into the kernel.
            [whole] => send(self.socket.as_raw_fd(), whole, MsgFlags::empty()),
            pieces => writev(&self.socket, pieces),
        };
        match write() {
            // It may be old news: whatever is asked of the socket first after the interface was set down is told so, although
            // that may be up again. If it is down, the answer is the same again.
            Err(Errno::ENETDOWN | Errno::EINTR) => write(),
            result => result,
        }
    }

    /// What became of a frame that was written as it is; and if the interface can not take it so, of a second try.
    fn conclude(
        &mut self,
        frame: &Buffer,
        retag: Retag,
        written: nix::Result<usize>,
        pieces: &[IoSlice<'_>],
    ) -> Transmit {
        match written {
            Ok(_) => {
                self.watch.is_up();
                Transmit::Sent
            }
            Err(Errno::ENOBUFS) if frame.vnet().is_gso() => match self.write_by_queue(pieces) {
                // Nor does it cut what is one segment already, which it only notices when it should.
                Err(Errno::ENOBUFS | Errno::ENOMEM) if self.is_one_segment(frame) => self.write_finished(frame, retag),
                written => outcome(written),
            },
            Err(Errno::EINVAL) if frame.vnet().is_gso() || frame.vnet().needs_checksum() => {
                self.write_finished(frame, retag)
            }
            Err(errno) => {
                if errno == Errno::ENETDOWN {
                    // The socket says so once, and may have said it to this frame only.
                    self.watch.went_down();
                }
                outcome(Err(errno))
            }
        }
    }

    /// Whether there is nothing to cut in a super-frame.
    #[cold]
    fn is_one_segment(&mut self, frame: &Buffer) -> bool {
        self.segmenter.begin(frame.frame(), &frame.vnet()).is_ok_and(|segments| segments.count() == 1)
    }

    /// Writes a super-frame the ordinary way, by the interface's queue, where the kernel cuts what the interface can not.
    /// Without the queue it drops that, and gives the errno of a full one.
    #[cold]
    fn write_by_queue(&self, pieces: &[IoSlice<'_>]) -> nix::Result<usize> {
        setsockopt(&self.socket, packet::QdiscBypass, &false)?;
        let written = self.write(pieces);
        setsockopt(&self.socket, packet::QdiscBypass, &true)?;
        written
    }

    /// Finishes a frame whose offload header the kernel does not take, and writes what it becomes.
    #[cold]
    fn write_finished(&mut self, frame: &Buffer, retag: Retag) -> Transmit {
        let plain = VnetHeader::default();
        let socket = &self.socket;
        let finished = finish::transmit(&mut self.segmenter, frame, retag, |[before, tag, after, payload]| {
            outcome(writev(socket, &[IoSlice::new(plain.as_bytes()), *before, *tag, *after, *payload]))
        });
        match finished {
            // Neither the kernel nor we can make sense of it.
            Transmit::NotSegmentable => Transmit::Refused,
            other => other,
        }
    }
}

impl Link for PacketPort {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        let mut nothing_came = true;
        for _ in 0..limit {
            let Some(mut shared) = pool.take() else { return Received::More };
            let buffer = Arc::get_mut(&mut shared).expect("a buffer from the pool is nobody else's");
            let read = self.read(buffer);
            if read.is_ok() {
                nothing_came = false;
                into.push(shared);
                self.reads.went_well();
                continue;
            }
            pool.give(shared);
            match read {
                Ok(()) | Err(Errno::EINTR) => {}
                // A frame that no offload header can tell of, or whose end found no room. It is gone.
                Err(Errno::EINVAL) => drop(self.missed.fetch_add(1, Ordering::Relaxed)),
                // What arrived before may still wait.
                Err(Errno::ENETDOWN) => self.went_down(),
                Err(Errno::EAGAIN) => {
                    self.reads.went_well();
                    // It was no frame that woke us.
                    if nothing_came {
                        self.look_for_news();
                    }
                    return match self.watch.presence(self.socket.as_fd()) {
                        Presence::There => Received::WouldBlock,
                        Presence::Gone => Received::Down,
                    };
                }
                Err(errno) => match self.reads.failed(errno) {
                    Failed::Counted => {}
                    Failed::Down => return Received::Down,
                },
            }
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        if retag == Retag::Keep {
            let pieces = [IoSlice::new(frame.with_header())];
            let written = self.write(&pieces);
            return self.conclude(frame, retag, written, &pieces);
        }
        let Some(retagged) = Retagged::new(frame.frame(), retag) else { return Transmit::Refused };
        let vnet = frame.vnet().shifted(retagged.shift());
        let [before, tag, after] = retagged.pieces().map(IoSlice::new);
        let pieces = [IoSlice::new(vnet.as_bytes()), before, tag, after];
        let written = self.write(&pieces);
        self.conclude(frame, retag, written, &pieces)
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}

    fn missed(&self) -> u64 {
        PacketPort::missed(self)
    }

    fn read_errors(&self) -> ReadErrors {
        self.reads.errors()
    }
}

impl AsFd for PacketPort {
    /// To be waited for, not to be read from: ready when there is something to receive.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Makes a socket what this module says, as far as it can be before it is bound.
fn set_up(socket: &OwnedFd, index: libc::c_int) -> nix::Result<()> {
    setsockopt(socket, packet::VnetHdr, &true)?;
    setsockopt(socket, packet::Auxdata, &true)?;
    setsockopt(socket, packet::IgnoreOutgoing, &true)?;
    setsockopt(socket, packet::QdiscBypass, &true)?;
    // Beyond the host's limit for everyone; that takes CAP_NET_ADMIN, and is no reason to do without.
    setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
    let promiscuous =
        packet_mreq { mr_ifindex: index, mr_type: PACKET_MR_PROMISC as u16, mr_alen: 0, mr_address: [0; 8] };
    setsockopt(socket, packet::AddMembership, &promiscuous)
}

/// Gives a socket a ring; what is too long for its slots is kept as well, in the queue.
fn ring(socket: &OwnedFd) -> nix::Result<Ring> {
    setsockopt(socket, packet::CopyThreshold, &1)?;
    Ring::new(socket, SLOT_LEN, SLOTS).map_err(|error| errno_of(&error))
}

/// Binds a socket: from now on it receives. Returns what kind of hardware the interface is.
fn bind(socket: &OwnedFd, index: libc::c_int) -> nix::Result<u16> {
    sys::bind_packet(socket.as_fd(), index)?;
    sys::packet_name(socket.as_fd()).map(|name| name.sll_hatype)
}

fn outcome(written: nix::Result<usize>) -> Transmit {
    match written {
        Ok(_) => Transmit::Sent,
        // ENETDOWN: it is set down, and may be set up again.
        Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENETDOWN | Errno::EINTR) => Transmit::Full,
        Err(Errno::ENXIO | Errno::ENODEV | Errno::EBADF) => Transmit::Down,
        // EMSGSIZE, EINVAL, and whatever else the kernel finds wrong with this frame: should the socket itself be broken,
        // the next read tells.
        Err(_) => Transmit::Refused,
    }
}
