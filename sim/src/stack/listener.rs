//! [`Listener`]: a TCP socket that listens, with a backlog. A socket of smoltcp that listens becomes the connection itself,
//! so there is always a fresh one beside those that wait for `accept`.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

/// The bytes that a socket holds in each direction.
const BUFFER: usize = 128 * 1024;
/// The connections that wait for `accept`: Linux's SOMAXCONN was this for decades.
const BACKLOG: usize = 128;

#[derive(Debug)]
pub(super) struct Listener {
    at: IpListenEndpoint,
    idle: Option<SocketHandle>,
    handshaking: Vec<SocketHandle>,
    ready: VecDeque<SocketHandle>,
}

impl Listener {
    pub(super) fn new(at: IpListenEndpoint) -> Self {
        Listener { at, idle: None, handshaking: Vec::new(), ready: VecDeque::new() }
    }

    /// Takes the finished connection with this peer, or the oldest.
    pub(super) fn accept(&mut self, peer: Option<SocketAddrV4>, sockets: &SocketSet<'static>) -> Option<SocketHandle> {
        let is_peer = |handle: &SocketHandle| {
            let remote = sockets.get::<tcp::Socket<'_>>(*handle).remote_endpoint();
            peer.is_none_or(|peer| remote.is_some_and(|remote| remote == IpEndpoint::from(peer)))
        };
        let at = self.ready.iter().position(is_peer)?;
        self.ready.remove(at)
    }

    pub(super) fn local(&self) -> SocketAddrV4 {
        let ip = self.at.addr.map_or(Ipv4Addr::UNSPECIFIED, |IpAddress::Ipv4(ip)| ip);
        SocketAddrV4::new(ip, self.at.port)
    }

    /// Whether a connection to this address is its.
    pub(super) fn is_for(&self, to: SocketAddrV4) -> bool {
        self.at.port == to.port() && self.at.addr.is_none_or(|ip| ip == IpAddress::Ipv4(*to.ip()))
    }

    /// Whether as many connections wait as may.
    pub(super) fn is_full(&self) -> bool {
        self.handshaking.len() + self.ready.len() >= BACKLOG
    }

    /// Whether a connection waits.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Moves connections on, and sees to it that a socket listens while there is room.
    pub(super) fn refill(&mut self, sockets: &mut SocketSet<'static>) {
        self.handshaking.extend(self.idle.take_if(|idle| state_of(sockets, *idle) != tcp::State::Listen));
        for handle in std::mem::take(&mut self.handshaking) {
            match state_of(sockets, handle) {
                tcp::State::SynReceived => self.handshaking.push(handle),
                // The peer gave up in the middle: smoltcp's socket listens again, one too many.
                tcp::State::Listen | tcp::State::Closed => drop(sockets.remove(handle)),
                tcp::State::SynSent
                | tcp::State::Established
                | tcp::State::FinWait1
                | tcp::State::FinWait2
                | tcp::State::CloseWait
                | tcp::State::Closing
                | tcp::State::LastAck
                | tcp::State::TimeWait => self.ready.push_back(handle),
            }
        }
        if self.idle.is_none() && !self.is_full() {
            let mut socket = new_tcp();
            if socket.listen(self.at).is_ok() {
                self.idle = Some(sockets.add(socket));
            }
        }
    }

    /// All its sockets, when it closes.
    pub(super) fn into_sockets(self) -> impl Iterator<Item = SocketHandle> {
        self.idle.into_iter().chain(self.handshaking).chain(self.ready)
    }
}

fn state_of(sockets: &SocketSet<'static>, handle: SocketHandle) -> tcp::State {
    sockets.get::<tcp::Socket<'_>>(handle).state()
}

pub(super) fn new_tcp() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}
