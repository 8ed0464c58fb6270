//! [`PortLink`]: the link of a real host's port, of whichever kind the kernel can give. One switch holds mixed ports.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::libc;

use crate::buffer::{Buffer, Pool};
use crate::link::errors::ReadErrors;
use crate::link::packet::{PacketError, PacketPort};
use crate::link::plain::PlainTap;
use crate::link::queue::Queue;
use crate::link::tap::{Tap, TapError, query};
use crate::link::{Link, Received, Transmit};
use crate::verdict::DropReason;
use crate::vlan::Retag;

/// One of the links of a real host.
#[derive(Debug)]
pub enum PortLink {
    /// A TAP with offload.
    Tap(Tap),
    /// A TAP without.
    Plain(PlainTap),
    /// An interface of the host, such as our end of a veth pair.
    Packet(PacketPort),
}

impl PortLink {
    /// Makes a TAP in the current network namespace: with offload if that is asked for and the kernel's TAPs have it.
    pub fn create(name: &str, offload: bool) -> Result<PortLink, TapError> {
        if !offload {
            return PlainTap::create(name).map(PortLink::Plain);
        }
        match Tap::create(name) {
            Err(TapError::NoOffload { .. }) => PlainTap::create(name).map(PortLink::Plain),
            tap => tap.map(PortLink::Tap),
        }
    }

    /// Opens an Ethernet interface of the current network namespace, such as our end of a veth pair.
    pub fn packet(interface: &str) -> Result<PortLink, PacketError> {
        PacketPort::open(interface).map(PortLink::Packet)
    }

    /// Takes over a TAP by an fd of it that another process made with [`PortLink::create`] and the same `offload`.
    ///
    /// A device is with or without offload for its life. So one without it stays so although `offload` asks for it, as
    /// with `create` on a kernel that has none; one with it, where `offload` forbids it, is an error.
    pub fn from_fd(fd: OwnedFd, offload: bool) -> Result<PortLink, TapError> {
        let (_, flags) = query(&fd)?;
        if offload && flags & libc::IFF_VNET_HDR != 0 {
            return Tap::from_fd(fd).map(PortLink::Tap);
        }
        PlainTap::from_fd(fd).map(PortLink::Plain)
    }

    /// Whether super-frames and unfinished checksums cross it as they are.
    #[must_use]
    pub fn offload(&self) -> bool {
        match self {
            PortLink::Tap(_) | PortLink::Packet(_) => true,
            PortLink::Plain(_) => false,
        }
    }

    /// Another fd of the same device, for someone who keeps the device alive or takes it over later. One of a packet socket
    /// keeps nothing alive: its interface is the host's.
    pub fn try_clone_fd(&self) -> std::io::Result<OwnedFd> {
        match self {
            PortLink::Tap(tap) => tap.try_clone_fd(),
            PortLink::Plain(tap) => tap.try_clone_fd(),
            PortLink::Packet(port) => port.try_clone_fd(),
        }
    }

    /// The name that the device had when it was made, opened or taken over.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            PortLink::Tap(tap) => tap.name(),
            PortLink::Plain(tap) => tap.name(),
            PortLink::Packet(port) => port.name(),
        }
    }
}

impl Link for PortLink {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        match self {
            PortLink::Tap(tap) => tap.receive(pool, into, limit),
            PortLink::Plain(tap) => tap.receive(pool, into, limit),
            PortLink::Packet(port) => port.receive(pool, into, limit),
        }
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        match self {
            PortLink::Tap(tap) => tap.transmit(frame, retag),
            PortLink::Plain(tap) => tap.transmit(frame, retag),
            PortLink::Packet(port) => port.transmit(frame, retag),
        }
    }

    fn transmit_in_batch(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        match self {
            PortLink::Tap(tap) => tap.transmit_in_batch(frame, retag),
            PortLink::Plain(tap) => tap.transmit_in_batch(frame, retag),
            PortLink::Packet(port) => port.transmit_in_batch(frame, retag),
        }
    }

    fn foretell(&self, frame: &Buffer, retag: Retag) -> Result<u64, DropReason> {
        match self {
            PortLink::Tap(tap) => tap.foretell(frame, retag),
            PortLink::Plain(tap) => tap.foretell(frame, retag),
            PortLink::Packet(port) => port.foretell(frame, retag),
        }
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        match self {
            PortLink::Tap(tap) => tap.flush(results),
            PortLink::Plain(tap) => tap.flush(results),
            PortLink::Packet(port) => port.flush(results),
        }
    }

    fn queue(&mut self) -> Option<&mut Queue> {
        match self {
            PortLink::Tap(tap) => tap.queue(),
            PortLink::Plain(_) | PortLink::Packet(_) => None,
        }
    }

    fn missed(&self) -> u64 {
        match self {
            // What a TAP has no room for is its interface's, which counts it itself.
            PortLink::Tap(_) | PortLink::Plain(_) => 0,
            PortLink::Packet(port) => port.missed(),
        }
    }

    fn read_errors(&self) -> ReadErrors {
        match self {
            PortLink::Tap(tap) => tap.read_errors(),
            PortLink::Plain(tap) => tap.read_errors(),
            PortLink::Packet(port) => port.read_errors(),
        }
    }
}

impl AsFd for PortLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            PortLink::Tap(tap) => tap.as_fd(),
            PortLink::Plain(tap) => tap.as_fd(),
            PortLink::Packet(port) => port.as_fd(),
        }
    }
}
