//! [`Port`]: a published UDP port, and a connected socket to the container for each of its clients.
//!
//! * The container sees each client as a port of the gateway's, and its answers find their way back by that.
//! * An answer comes from the address that the client sent to, also where the port is every address of the host.
//! * A datagram goes at once or not at all: nothing is queued but in the kernel's socket buffers. What can not go is dropped
//!   and counted.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno as Failure;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};
use switch::time::Instant;

use super::listen::FLAGS;
use crate::publish::clients::Clients;

/// The most clients that a port remembers at a time.
pub(super) const MAX_CLIENTS: usize = 1024;
/// The longest datagram that a socket gives, with room to spare.
pub(super) const MAX_DATAGRAM: usize = 1 << 16;
/// How many datagrams are taken from one socket before it is another's turn.
const TURN: usize = 64;

/// Who sent a datagram, and which of the host's addresses it was sent to.
pub(super) type Key = (SocketAddrV4, Ipv4Addr);

/// A socket of the host, and its clients.
#[derive(Debug)]
pub(super) struct Port {
    socket: OwnedFd,
    target: SocketAddrV4,
    clients: Clients<Key, OwnedFd>,
    pub(super) drops: Drops,
}

/// What was dropped, and who was forgotten before time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    /// Datagrams that a socket did not take: the container is not reachable, or a buffer is full.
    pub(super) datagrams: u64,
    /// Clients that made room for another.
    pub(super) clients: u64,
}

impl Port {
    pub(super) fn new(socket: OwnedFd, target: SocketAddrV4, max_clients: usize) -> Self {
        Port { socket, target, clients: Clients::new(max_clients), drops: Drops::default() }
    }

    /// The socket of the host, to be watched.
    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Passes on what clients sent. `watch` is told of the socket of each new one, and its number.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        mut watch: impl FnMut(&OwnedFd, u64) -> Result<(), Errno>,
    ) {
        for _ in 0..TURN {
            match receive_from(&self.socket, buffer) {
                Ok(Some((key, length))) => {
                    if self.pass_in(key, &buffer[..length], now, &mut watch).is_err() {
                        self.drops.datagrams += 1;
                    }
                }
                Ok(None) => self.drops.datagrams += 1,
                Err(Failure::EINTR) => {}
                // There is no more. Any other error of the socket is gone now that it was read.
                Err(_) => return,
            }
        }
    }

    /// Passes on what the container answered to a client.
    pub(super) fn answer(&mut self, number: u64, buffer: &mut [u8], now: Instant) {
        for _ in 0..TURN {
            let Some((key, socket)) = self.clients.hear(number, now) else { return };
            match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    if send_to(&self.socket, &buffer[..length], key).is_err() {
                        self.drops.datagrams += 1;
                    }
                }
                // Nobody listens in the container, and an earlier datagram was lost: known by now, and no matter.
                Err(Errno::INTR | Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH) => {}
                Err(_) => return,
            }
        }
    }

    /// Forgets those who were silent for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.clients.expire(now).is_some() {}
    }

    /// When [`Port::expire`] is to be called next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.clients.next_expiry()
    }

    fn pass_in(
        &mut self,
        key: Key,
        datagram: &[u8],
        now: Instant,
        watch: &mut impl FnMut(&OwnedFd, u64) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if let Some(socket) = self.clients.find(&key, now) {
            return send(socket, datagram);
        }
        if let Some(forgotten) = self.clients.make_room() {
            self.drops.clients += 1;
            drop(forgotten);
        }
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None)?;
        rustix::net::connect(&socket, &self.target)?;
        watch(&socket, self.clients.next())?;
        send(self.clients.insert(key, socket, now), datagram)
    }
}

/// The kernel tells of a datagram that was refused when the next is sent, and does not send that.
fn send(socket: &OwnedFd, datagram: &[u8]) -> Result<(), Errno> {
    let sent = || rustix::net::send(socket, datagram, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    match sent() {
        Err(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::INTR) => sent().map(drop),
        result => result.map(drop),
    }
}

/// A datagram, from whom and to which address; `None` if the kernel did not say.
fn receive_from(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<(Key, usize)>, Failure> {
    let mut control = cmsg_space!(in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let sent_to = message.cmsgs()?.find_map(|each| match each {
        // Of a broadcast it is the address of ours that would answer.
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))),
        _ => None,
    });
    let length = message.bytes;
    Ok(message.address.map(SocketAddrV4::from).zip(sent_to).map(|key| (key, length)))
}

fn send_to(socket: &OwnedFd, datagram: &[u8], (client, from): Key) -> Result<usize, Failure> {
    // Interface 0: the host's routes know the way.
    let info = in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: in_addr { s_addr: u32::from(from).to_be() },
        ipi_addr: in_addr { s_addr: 0 },
    };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(datagram)], &control, flags, Some(&SockaddrIn::from(client)))
}
