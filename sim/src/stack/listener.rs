//! [`Listener`]: a TCP socket that listens, with a backlog. A socket of smoltcp that listens becomes the connection itself,
//! so there is one for each peer that knocks, and none before: which listener a peer means is found here, by Linux' rules,
//! and smoltcp only ever listens where somebody knocks just now.

use std::collections::VecDeque;
use std::net::SocketAddr;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use crate::socket::covers;

/// The bytes that a socket holds in each direction.
const BUFFER: usize = 128 * 1024;
/// The connections that wait for `accept`: Linux's SOMAXCONN was this for decades.
const BACKLOG: usize = 128;

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) local: SocketAddr,
    handshaking: Vec<SocketHandle>,
    ready: VecDeque<SocketHandle>,
}

impl Listener {
    pub(super) fn new(local: SocketAddr) -> Self {
        Listener { local, handshaking: Vec::new(), ready: VecDeque::new() }
    }

    /// Takes the finished connection with this peer, or the oldest.
    pub(super) fn accept(&mut self, peer: Option<SocketAddr>, sockets: &SocketSet<'static>) -> Option<SocketHandle> {
        let is_peer = |handle: &SocketHandle| {
            let remote = sockets.get::<tcp::Socket<'_>>(*handle).remote_endpoint();
            peer.is_none_or(|peer| remote.is_some_and(|remote| remote == IpEndpoint::from(peer)))
        };
        let at = self.ready.iter().position(is_peer)?;
        self.ready.remove(at)
    }

    /// Whether a connection to this address is its.
    pub(super) fn is_for(&self, to: SocketAddr) -> bool {
        self.local.port() == to.port() && covers(self.local.ip(), to.ip())
    }

    /// Whether as many connections wait as may.
    pub(super) fn is_full(&self) -> bool {
        self.handshaking.len() + self.ready.len() >= BACKLOG
    }

    /// Whether a connection waits.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Somebody knocks at this address: the next packet finds a socket that listens there.
    pub(super) fn open(&mut self, to: SocketAddr, sockets: &mut SocketSet<'static>) {
        let mut socket = new_tcp();
        if socket.listen(IpListenEndpoint::from(IpEndpoint::from(to))).is_ok() {
            self.handshaking.push(sockets.add(socket));
        }
    }

    /// Moves connections on.
    pub(super) fn settle(&mut self, sockets: &mut SocketSet<'static>) {
        for handle in std::mem::take(&mut self.handshaking) {
            match sockets.get::<tcp::Socket<'_>>(handle).state() {
                tcp::State::SynReceived => self.handshaking.push(handle),
                // It was no good knock, or the peer gave up in the middle and smoltcp's socket listens again.
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
    }

    /// All its sockets, when it closes.
    pub(super) fn into_sockets(self) -> impl Iterator<Item = SocketHandle> {
        self.handshaking.into_iter().chain(self.ready)
    }
}

pub(super) fn new_tcp() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}
