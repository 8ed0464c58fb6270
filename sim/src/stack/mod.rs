//! [`Stack`]: the TCP and UDP sockets of one namespace. Only what is below it knows smoltcp.
//!
//! smoltcp gets one interface of its own per namespace, without Ethernet and with any address: addresses, routes, neighbours
//! and ports are the namespace's business, since smoltcp binds no socket to an interface and lets two listen on one port.
//!
//! What smoltcp has no notion of is made here: a listener with a backlog (a smoltcp socket that listens becomes the
//! connection), sockets that linger after `close` until TCP is done with them, and whose a packet is if sockets of one family
//! are bound beside those of both: so datagrams go to sockets of our own, and smoltcp only answers those that are nobody's.
//!
//! Addresses have no scope here: whoever calls knows by the own address which interface is meant.

mod datagrams;
mod device;
mod lingering;
mod listener;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpEndpoint, IpListenEndpoint};
use switch::time::Instant;

pub(crate) use self::datagrams::Datagram;
use self::datagrams::Datagrams;
use self::device::Wire;
use self::lingering::Lingering;
use self::listener::{Listener, new_tcp};
use self::stream::Stream;
use crate::socket::{Interest, SocketError, covers};
use crate::wire::Packet;

/// Rounds of output for one wake-up: a bound against a stack that never falls silent.
const ROUNDS: usize = 4096;
/// Routers that are never asked: smoltcp wants a route for everything, and the namespace has the real ones.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NOWHERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The sockets of a namespace, by number.
pub(crate) struct Stack {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    listeners: BTreeMap<u64, Listener>,
    streams: BTreeMap<u64, Stream>,
    datagrams: BTreeMap<u64, Datagrams>,
    lingering: Vec<Lingering>,
    seed: u64,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// The handshake is under way.
    Connecting,
    /// Both sides may send, or at least one still does.
    Open,
    /// All is said, or it was reset.
    Closed,
}

impl Stack {
    pub(crate) fn new(seed: u64, mtu: u32) -> Self {
        let mut wire = Wire { incoming: VecDeque::new(), outgoing: VecDeque::new(), mtu: mtu as usize };
        let interface = new_interface(seed, &mut wire);
        Stack {
            interface,
            wire,
            sockets: SocketSet::new(Vec::new()),
            listeners: BTreeMap::new(),
            streams: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            lingering: Vec::new(),
            seed,
        }
    }

    /// Says how long a packet may be: the MTU of the interfaces, which bounds TCP's segments.
    pub(crate) fn set_mtu(&mut self, mtu: u32) {
        if self.wire.mtu != mtu as usize {
            self.wire.mtu = mtu as usize;
            // smoltcp asks for the MTU only when an interface is made.
            self.seed = crate::clock::mix(self.seed);
            self.interface = new_interface(self.seed, &mut self.wire);
        }
    }

    /// A packet has arrived for this namespace, by the interface of this number.
    pub(crate) fn push(&mut self, packet: Packet, scope: u32) {
        if let Some((from, to)) = packet.ends() {
            let heard = self.streams.values_mut().find(|stream| (stream.peer, stream.local) == (from, to));
            heard.into_iter().for_each(Stream::hear);
            if let (Some(data), Some(socket)) = (packet.as_datagram(), self.datagrams_for(to)) {
                socket.push(scoped(from, scope), to.ip(), data);
                return;
            }
        }
        self.wire.incoming.push_back(packet);
    }

    /// Works on what has arrived and on timers. [`Stack::pop`] has what is to be sent.
    pub(crate) fn poll(&mut self, now: Instant) {
        while let Some(packet) = self.wire.incoming.front() {
            let knock = packet.ends().filter(|_| packet.is_syn());
            if knock.is_some_and(|(from, to)| !self.open(from, to)) {
                self.wire.incoming.pop_front();
                continue;
            }
            let result = self.interface.poll_ingress_single(to_smoltcp(now), &mut self.wire, &mut self.sockets);
            self.settle();
            self.observe(now);
            if result == PollIngressSingleResult::None {
                break;
            }
        }
        self.interface.poll_maintenance(to_smoltcp(now));
        for _ in 0..ROUNDS {
            if self.interface.poll_egress(to_smoltcp(now), &mut self.wire, &mut self.sockets) == PollResult::None {
                break;
            }
        }
        self.observe(now);
        self.sweep(now);
    }

    /// The next packet to be sent.
    pub(crate) fn pop(&mut self) -> Option<Packet> {
        self.wire.outgoing.pop_front()
    }

    /// When to call [`Stack::poll`] next, if nothing arrives before.
    pub(crate) fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        // smoltcp says "now" as the origin of time.
        let at = self.interface.poll_at(to_smoltcp(now), &self.sockets);
        let at = at.map(|at| Instant::from_nanos(u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(1000)));
        let silent = self.streams.values().filter_map(Stream::poll_timeout);
        let gone = self.lingering.iter().filter_map(Lingering::poll_timeout);
        at.into_iter().chain(silent).chain(gone).min().map(|at| at.max(now))
    }

    pub(crate) fn listen(&mut self, number: u64, at: SocketAddr) {
        self.listeners.insert(number, Listener::new(at));
    }

    /// The listeners, by number.
    pub(crate) fn listeners(&self) -> Vec<u64> {
        self.listeners.keys().copied().collect()
    }

    pub(crate) fn is_listener(&self, number: u64) -> bool {
        self.listeners.contains_key(&number)
    }

    /// Takes a finished connection from a listener's queue: the one with this peer, or the oldest. One that was reset
    /// meanwhile is passed over.
    pub(crate) fn accept(&mut self, listener: u64, peer: Option<SocketAddr>, number: u64, now: Instant) -> bool {
        let Some(listener) = self.listeners.get_mut(&listener) else { return false };
        while let Some(handle) = listener.accept(peer, &self.sockets) {
            let socket = self.sockets.get_mut::<tcp::Socket<'static>>(handle);
            if let (Some(local), Some(peer)) = (socket.local_endpoint(), socket.remote_endpoint()) {
                let mut stream = Stream::new(handle, to_address(local), to_address(peer), now);
                stream.observe(socket, now);
                self.streams.insert(number, stream);
                return true;
            }
            self.sockets.remove(handle);
        }
        false
    }

    pub(crate) fn connect(
        &mut self,
        number: u64,
        local: SocketAddr,
        remote: SocketAddr,
        now: Instant,
    ) -> Result<(), SocketError> {
        let mut socket = new_tcp();
        let from = IpListenEndpoint::from(IpEndpoint::from(local));
        socket
            .connect(self.interface.context(), IpEndpoint::from(remote), from)
            .map_err(|_| SocketError::AddressNotAvailable)?;
        self.streams.insert(number, Stream::new(self.sockets.add(socket), local, remote, now));
        Ok(())
    }

    pub(crate) fn state(&self, number: u64) -> StreamState {
        let Some(stream) = self.streams.get(&number) else { return StreamState::Closed };
        stream.state(self.sockets.get(stream.handle))
    }

    /// The peer of a stream whose handshake is under way, and since when it is.
    pub(crate) fn connecting(&self, number: u64) -> Option<(SocketAddr, Instant)> {
        let stream = self.streams.get(&number)?;
        let is_connecting = stream.state(self.sockets.get(stream.handle)) == StreamState::Connecting;
        is_connecting.then_some((stream.peer, stream.since))
    }

    /// How the handshake of a stream ended, once it has.
    pub(crate) fn connected(&mut self, number: u64) -> Result<Option<()>, SocketError> {
        let (stream, socket) = self.stream(number)?;
        stream.connected(socket).transpose()
    }

    /// Ends a stream without a word to its peer.
    pub(crate) fn fail(&mut self, number: u64, why: SocketError) {
        if let Ok((stream, socket)) = self.stream(number) {
            stream.fail(socket, why);
        }
    }

    /// Own and other address of a stream.
    pub(crate) fn ends(&self, number: u64) -> Option<(SocketAddr, SocketAddr)> {
        self.streams.get(&number).map(|stream| (stream.local, stream.peer))
    }

    /// Where a socket of any kind is bound; the address is `0.0.0.0` or `::` if that is any.
    pub(crate) fn local(&self, number: u64) -> Option<SocketAddr> {
        let stream = self.streams.get(&number).map(|stream| stream.local);
        let listener = || self.listeners.get(&number).map(|listener| listener.local);
        stream.or_else(listener).or_else(|| self.datagram_local(number))
    }

    /// Hands bytes to a stream; returns how many it took.
    pub(crate) fn send(&mut self, number: u64, bytes: &[u8]) -> Result<usize, SocketError> {
        let (_, socket) = self.stream(number)?;
        if !socket.may_send() {
            return Err(SocketError::Reset);
        }
        socket.send_slice(bytes).map_err(|_| SocketError::Reset)
    }

    /// Appends what has arrived on a stream to `into`. False at the end of the stream.
    pub(crate) fn receive(&mut self, number: u64, into: &mut Vec<u8>) -> Result<bool, SocketError> {
        let (_, socket) = self.stream(number)?;
        while socket.can_recv() {
            let taken = socket.recv(|bytes| {
                into.extend_from_slice(bytes);
                (bytes.len(), bytes.len())
            });
            if taken.is_err() {
                break;
            }
        }
        Ok(socket.may_recv())
    }

    /// Takes what has arrived on a stream: 0 at its end, `None` if nothing has come yet.
    pub(crate) fn read(&mut self, number: u64, into: &mut [u8]) -> Result<Option<usize>, SocketError> {
        let (stream, socket) = self.stream(number)?;
        stream.read(socket, into)
    }

    /// As [`Stack::read`], but what has arrived stays.
    pub(crate) fn peek(&mut self, number: u64, into: &mut [u8]) -> Result<Option<usize>, SocketError> {
        let (stream, socket) = self.stream(number)?;
        stream.peek(socket, into)
    }

    /// Hands bytes to a stream: how many it took, `None` if there is no room for any.
    pub(crate) fn write(&mut self, number: u64, bytes: &[u8]) -> Result<Option<usize>, SocketError> {
        let (stream, socket) = self.stream(number)?;
        stream.write(socket, bytes)
    }

    /// Says that no more is sent on a stream. It can be read on.
    pub(crate) fn shut(&mut self, number: u64) -> Result<(), SocketError> {
        let (stream, socket) = self.stream(number)?;
        match stream.state(socket) {
            StreamState::Open => socket.close(),
            StreamState::Connecting | StreamState::Closed => return Err(SocketError::NotConnected),
        }
        Ok(())
    }

    /// Whether to close a stream is to reset it (`SO_LINGER` of no time).
    pub(crate) fn set_abort(&mut self, number: u64, abort: bool) -> Result<(), SocketError> {
        self.streams.get_mut(&number).ok_or(SocketError::Closed)?.aborts = abort;
        Ok(())
    }

    /// Whether small writes wait for earlier ones to be acknowledged (Nagle's algorithm, RFC 9293, 3.7.4).
    pub(crate) fn set_delay(&mut self, number: u64, delay: bool) -> Result<(), SocketError> {
        self.stream(number).map(|(_, socket)| socket.set_nagle_enabled(delay))
    }

    /// Whether small writes wait.
    pub(crate) fn delay(&mut self, number: u64) -> Result<bool, SocketError> {
        self.stream(number).map(|(_, socket)| socket.nagle_enabled())
    }

    /// Whether a call of this kind has something to say. One on a socket that is not there has.
    pub(crate) fn is_ready(&self, number: u64, interest: Interest) -> bool {
        if let Some(stream) = self.streams.get(&number) {
            let socket = self.sockets.get(stream.handle);
            return match interest {
                Interest::Read => stream.can_read(socket),
                Interest::Write => stream.can_write(socket),
            };
        }
        if let Some(listener) = self.listeners.get(&number) {
            return listener.has_ready();
        }
        match (self.datagrams.get(&number), interest) {
            (Some(socket), Interest::Read) => socket.has_some(),
            (Some(_), Interest::Write) | (None, Interest::Read | Interest::Write) => true,
        }
    }

    pub(crate) fn bind_datagrams(&mut self, number: u64, at: SocketAddr) {
        self.datagrams.insert(number, Datagrams::new(at));
    }

    /// Where a datagram socket is bound; its address is `0.0.0.0` or `::` if that is any.
    pub(crate) fn datagram_local(&self, number: u64) -> Option<SocketAddr> {
        self.datagrams.get(&number).map(|socket| socket.local)
    }

    /// The next datagram that has arrived, from where, and to which address.
    pub(crate) fn receive_datagram(&mut self, number: u64) -> Result<Option<Datagram>, SocketError> {
        self.datagrams.get_mut(&number).map(Datagrams::pop).ok_or(SocketError::Closed)
    }

    /// Closes a socket of any kind, as `close` does: a stream still sends what it was given.
    pub(crate) fn close(&mut self, number: u64) {
        if let Some(Stream { handle, aborts, .. }) = self.streams.remove(&number) {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            if socket.state() == tcp::State::SynSent {
                // The peer has not heard of it, or is told when it answers.
                self.sockets.remove(handle);
            } else {
                // A peer whose data nobody has read must not take it for read.
                if socket.can_recv() || aborts {
                    socket.abort()
                } else {
                    socket.close()
                }
                self.lingering.push(Lingering::new(handle));
            }
        }
        self.datagrams.remove(&number);
        if let Some(listener) = self.listeners.remove(&number) {
            for handle in listener.into_sockets() {
                self.sockets.get_mut::<tcp::Socket<'_>>(handle).abort();
                self.lingering.push(Lingering::new(handle));
            }
        }
    }

    fn stream(&mut self, number: u64) -> Result<(&mut Stream, &mut tcp::Socket<'static>), SocketError> {
        let stream = self.streams.get_mut(&number).ok_or(SocketError::Closed)?;
        let socket = self.sockets.get_mut::<tcp::Socket<'static>>(stream.handle);
        Ok((stream, socket))
    }

    /// The socket that a datagram to this address is for: one that is bound to it before one that is bound to any.
    fn datagrams_for(&mut self, to: SocketAddr) -> Option<&mut Datagrams> {
        let is_for = |local: SocketAddr| local.port() == to.port() && covers(local.ip(), to.ip());
        let bound = self.datagrams.values_mut().filter(|socket| is_for(socket.local));
        bound.min_by_key(|socket| socket.local.ip() != to.ip())
    }

    /// Sees to it that whoever is meant by the first packet of a connection listens. Returns whether the packet may come in:
    /// to a listener for whom too many wait Linux gives no answer, so that it comes again.
    fn open(&mut self, from: SocketAddr, to: SocketAddr) -> bool {
        let ends = (Some(IpEndpoint::from(to)), Some(IpEndpoint::from(from)));
        let is_known = self.sockets.iter().any(|(_, socket)| match socket {
            smoltcp::socket::Socket::Tcp(socket) => (socket.local_endpoint(), socket.remote_endpoint()) == ends,
            _ => false,
        });
        let listeners = self.listeners.values_mut().filter(|listener| listener.is_for(to));
        match listeners.min_by_key(|listener| listener.local.ip() != to.ip()) {
            Some(listener) if !is_known && listener.is_full() => false,
            Some(listener) if !is_known => {
                listener.open(to, &mut self.sockets);
                true
            }
            // It is of a connection that is there, or nobody's: smoltcp knows what to say.
            Some(_) | None => true,
        }
    }

    fn observe(&mut self, now: Instant) {
        for stream in self.streams.values_mut() {
            stream.observe(self.sockets.get_mut(stream.handle), now);
        }
    }

    fn settle(&mut self) {
        self.listeners.values_mut().for_each(|listener| listener.settle(&mut self.sockets));
    }

    /// Forgets the sockets that TCP is done with.
    fn sweep(&mut self, now: Instant) {
        let sockets = &mut self.sockets;
        self.lingering.retain_mut(|lingering| {
            let done = lingering.is_done(sockets.get_mut(lingering.handle), now);
            if done {
                sockets.remove(lingering.handle);
            }
            !done
        });
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack")
            .field("listeners", &self.listeners)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

fn new_interface(seed: u64, wire: &mut Wire) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, wire, smoltcp::time::Instant::ZERO);
    interface.set_any_ip(true);
    // There is room for two routes.
    let _ = interface.routes_mut().add_default_ipv4_route(NOWHERE);
    let _ = interface.routes_mut().add_default_ipv6_route(NOWHERE6);
    interface
}

fn to_smoltcp(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_nanos() / 1000).unwrap_or(i64::MAX))
}

fn to_address(endpoint: IpEndpoint) -> SocketAddr {
    SocketAddr::new(endpoint.addr.into(), endpoint.port)
}

/// The address as one of this interface, if it means nothing without one.
fn scoped(address: SocketAddr, scope: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(mut address) if address.ip().is_unicast_link_local() => {
            address.set_scope_id(scope);
            address.into()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}
