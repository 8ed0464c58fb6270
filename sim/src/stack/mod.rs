//! [`Stack`]: the TCP and UDP sockets of one namespace. Only what is below it knows smoltcp.
//!
//! smoltcp gets one interface of its own per namespace, without Ethernet and with any address: addresses, routes, ARP and
//! ports are the namespace's business, since smoltcp binds no socket to an interface and lets two listen on one port.
//!
//! What smoltcp has no notion of is made here: a listener with a backlog (a smoltcp socket that listens becomes the
//! connection), and sockets that linger after `close` until TCP is done with them.

mod device;
mod listener;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::storage::PacketMetadata;
use smoltcp::wire::{HardwareAddress, IpAddress, IpEndpoint, IpListenEndpoint};
use switch::time::Instant;

use self::device::Wire;
use self::listener::{Listener, new_tcp, state_of};
use crate::socket::SocketError;
use crate::wire::Packet;

/// The bytes that a datagram socket holds in each direction.
const BUFFER: usize = 128 * 1024;
/// The datagrams that a socket holds.
const DATAGRAMS: usize = 64;
/// Rounds of output for one wake-up: a bound against a stack that never falls silent.
const ROUNDS: usize = 4096;
/// A router that is never asked: smoltcp wants a route for everything, and the namespace has the real ones.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The sockets of a namespace, by number.
pub(crate) struct Stack {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    listeners: BTreeMap<u64, Listener>,
    streams: BTreeMap<u64, SocketHandle>,
    datagrams: BTreeMap<u64, SocketHandle>,
    lingering: Vec<SocketHandle>,
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

    /// A packet has arrived for this namespace.
    pub(crate) fn push(&mut self, packet: Packet) {
        self.wire.incoming.push_back(packet);
    }

    /// Works on what has arrived and on timers. [`Stack::pop`] has what is to be sent.
    pub(crate) fn poll(&mut self, now: Instant) {
        let now = to_smoltcp(now);
        while !self.wire.incoming.is_empty() {
            let result = self.interface.poll_ingress_single(now, &mut self.wire, &mut self.sockets);
            self.refill();
            if result == PollIngressSingleResult::None {
                break;
            }
        }
        self.interface.poll_maintenance(now);
        for _ in 0..ROUNDS {
            if self.interface.poll_egress(now, &mut self.wire, &mut self.sockets) == PollResult::None {
                break;
            }
        }
        self.sweep();
    }

    /// The next packet to be sent.
    pub(crate) fn pop(&mut self) -> Option<Packet> {
        self.wire.outgoing.pop_front()
    }

    /// When to call [`Stack::poll`] next, if nothing arrives before.
    pub(crate) fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        // smoltcp says "now" as the origin of time.
        let at = self.interface.poll_at(to_smoltcp(now), &self.sockets)?;
        let micros = u64::try_from(at.total_micros()).unwrap_or(0);
        Some(Instant::from_nanos(micros.saturating_mul(1000)).max(now))
    }

    pub(crate) fn listen(&mut self, number: u64, ip: Ipv4Addr, port: u16) {
        let addr = (!ip.is_unspecified()).then_some(IpAddress::Ipv4(ip));
        let at = IpListenEndpoint { addr, port };
        self.listeners.insert(number, Listener::new(at));
        self.refill();
    }

    /// The listeners, by number.
    pub(crate) fn listeners(&self) -> Vec<u64> {
        self.listeners.keys().copied().collect()
    }

    /// Takes a finished connection from a listener's queue: the one with this peer, or the oldest.
    pub(crate) fn accept(&mut self, listener: u64, peer: Option<SocketAddrV4>, number: u64) -> bool {
        let Some(listener) = self.listeners.get_mut(&listener) else { return false };
        let Some(handle) = listener.accept(peer, &self.sockets) else { return false };
        self.streams.insert(number, handle);
        self.refill();
        true
    }

    pub(crate) fn connect(
        &mut self,
        number: u64,
        local: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> Result<(), SocketError> {
        let mut socket = new_tcp();
        let local = IpListenEndpoint { addr: Some(IpAddress::Ipv4(*local.ip())), port: local.port() };
        socket
            .connect(self.interface.context(), IpEndpoint::from(remote), local)
            .map_err(|_| SocketError::AddressNotAvailable)?;
        self.streams.insert(number, self.sockets.add(socket));
        Ok(())
    }

    pub(crate) fn state(&self, number: u64) -> StreamState {
        let Some(handle) = self.streams.get(&number) else { return StreamState::Closed };
        match self.sockets.get::<tcp::Socket<'_>>(*handle).state() {
            tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => StreamState::Connecting,
            tcp::State::Established
            | tcp::State::FinWait1
            | tcp::State::FinWait2
            | tcp::State::CloseWait
            | tcp::State::Closing
            | tcp::State::LastAck => StreamState::Open,
            tcp::State::TimeWait | tcp::State::Closed => StreamState::Closed,
        }
    }

    /// Hands bytes to a stream; returns how many it took.
    pub(crate) fn send(&mut self, number: u64, bytes: &[u8]) -> Result<usize, SocketError> {
        let socket = self.stream(number)?;
        if !socket.may_send() {
            return Err(SocketError::Reset);
        }
        socket.send_slice(bytes).map_err(|_| SocketError::Reset)
    }

    /// Appends what has arrived on a stream to `into`. False at the end of the stream.
    pub(crate) fn receive(&mut self, number: u64, into: &mut Vec<u8>) -> Result<bool, SocketError> {
        let socket = self.stream(number)?;
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

    pub(crate) fn bind_datagrams(&mut self, number: u64, ip: Ipv4Addr, port: u16) -> Result<(), SocketError> {
        let buffer = || udp::PacketBuffer::new(vec![PacketMetadata::EMPTY; DATAGRAMS], vec![0; BUFFER]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        let addr = (!ip.is_unspecified()).then_some(IpAddress::Ipv4(ip));
        socket.bind(IpListenEndpoint { addr, port }).map_err(|_| SocketError::AddressNotAvailable)?;
        self.datagrams.insert(number, self.sockets.add(socket));
        Ok(())
    }

    /// Where a datagram socket is bound; its address is `0.0.0.0` if that is any.
    pub(crate) fn datagram_local(&self, number: u64) -> Option<SocketAddrV4> {
        let bound = self.sockets.get::<udp::Socket<'_>>(*self.datagrams.get(&number)?).endpoint();
        let ip = bound.addr.map_or(Ipv4Addr::UNSPECIFIED, |IpAddress::Ipv4(ip)| ip);
        Some(SocketAddrV4::new(ip, bound.port))
    }

    /// The next datagram that has arrived, and from where.
    pub(crate) fn receive_datagram(&mut self, number: u64) -> Result<Option<(SocketAddrV4, Vec<u8>)>, SocketError> {
        let handle = *self.datagrams.get(&number).ok_or(SocketError::Closed)?;
        let Ok((data, from)) = self.sockets.get_mut::<udp::Socket<'_>>(handle).recv() else { return Ok(None) };
        let IpAddress::Ipv4(ip) = from.endpoint.addr;
        Ok(Some((SocketAddrV4::new(ip, from.endpoint.port), data.to_vec())))
    }

    /// Closes a socket of any kind, as `close` does: a stream still sends what it was given.
    pub(crate) fn close(&mut self, number: u64) {
        if let Some(handle) = self.streams.remove(&number) {
            self.sockets.get_mut::<tcp::Socket<'_>>(handle).close();
            self.lingering.push(handle);
        }
        if let Some(handle) = self.datagrams.remove(&number) {
            self.sockets.remove(handle);
        }
        if let Some(listener) = self.listeners.remove(&number) {
            for handle in listener.into_sockets() {
                self.sockets.get_mut::<tcp::Socket<'_>>(handle).abort();
                self.lingering.push(handle);
            }
        }
    }

    fn stream(&mut self, number: u64) -> Result<&mut tcp::Socket<'static>, SocketError> {
        let handle = *self.streams.get(&number).ok_or(SocketError::Closed)?;
        Ok(self.sockets.get_mut::<tcp::Socket<'static>>(handle))
    }

    fn refill(&mut self) {
        self.listeners.values_mut().for_each(|listener| listener.refill(&mut self.sockets));
    }

    /// Forgets the sockets that TCP is done with.
    fn sweep(&mut self) {
        let sockets = &mut self.sockets;
        self.lingering.retain(|handle| {
            let done = state_of(sockets, *handle) == tcp::State::Closed;
            if done {
                sockets.remove(*handle);
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
    interface
}

fn to_smoltcp(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_nanos() / 1000).unwrap_or(i64::MAX))
}
