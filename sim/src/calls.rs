//! The calls that a program makes on sockets of its namespace: which port, which source address, and whose socket it is.
//!
//! Inside, addresses are what is on the wire: a socket of IPv6 that talks IPv4 has addresses of IPv4, and nothing has a scope.
//! What a program sees of them is made at the border, here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Waker;

use switch::time::Instant;

use crate::namespace::Namespace;
use crate::socket::{Interest, Owner, Protocol, SocketError};
use crate::wire::{Echo, Packet};

/// The identifier of our echo requests, where a real `ping` takes its process id.
const ECHO_ID: u16 = 0x5050;

/// Linux' `UDP_MAX_SEGMENTS`.
pub(crate) const SEGMENTS: usize = 128;

impl Namespace {
    /// `bind` and `listen`. Returns the port.
    pub(crate) fn listen(&mut self, socket: u64, process: u32, at: impl Into<SocketAddr>) -> Result<u16, SocketError> {
        let at = at.into();
        let bound = self.bind(Protocol::Tcp, socket, at)?;
        self.stack.listen(socket, bound);
        self.owners.insert(socket, Owner { process, is_v6: at.is_ipv6() });
        Ok(bound.port())
    }

    /// `connect`, without waiting for the handshake. Returns the own address.
    pub(crate) fn connect(
        &mut self,
        socket: u64,
        process: u32,
        to: impl Into<SocketAddr>,
        now: Instant,
    ) -> Result<SocketAddr, SocketError> {
        let to = somewhere(to.into());
        let is_v6 = to.is_ipv6();
        // Linux knows no link-local peer without its interface.
        if matches!(to, SocketAddr::V6(to) if to.ip().is_unicast_link_local() && to.scope_id() == 0) {
            return Err(SocketError::Invalid);
        }
        let source = self.source_to(to)?;
        let to = on_the_wire(to);
        let port = self.ports.bind(Protocol::Tcp, source, 0, socket)?;
        let local = SocketAddr::new(source, port);
        self.stack.connect(socket, local, to, now).inspect_err(|_| self.ports.release(socket))?;
        self.owners.insert(socket, Owner { process, is_v6 });
        self.run_stack(now);
        Ok(local)
    }

    /// `accept`, of the connection from `peer` or of any; whether there was one.
    pub(crate) fn accept(&mut self, listener: u64, peer: Option<SocketAddr>, socket: u64, now: Instant) -> bool {
        let accepted = self.stack.accept(listener, peer, socket, now);
        if let Some(owner) = self.owners.get(&listener).copied().filter(|_| accepted) {
            self.owners.insert(socket, owner);
        }
        accepted
    }

    /// How a `connect` ended, once it has: it fails also if nobody on the way has the address.
    pub(crate) fn connected(&mut self, socket: u64) -> Result<Option<()>, SocketError> {
        if self.leads_nowhere(socket) {
            self.stack.fail(socket, SocketError::HostUnreachable);
        }
        self.stack.connected(socket)
    }

    /// `getsockname`.
    pub(crate) fn local(&self, socket: u64) -> Option<SocketAddr> {
        let local = self.stack.local(socket)?;
        Some(self.as_seen(socket, local, local.ip()))
    }

    /// `getpeername`, of a stream.
    pub(crate) fn peer(&self, socket: u64) -> Option<SocketAddr> {
        let (local, peer) = self.stack.ends(socket)?;
        Some(self.as_seen(socket, peer, local.ip()))
    }

    /// `read`. See [`Stack::read`](crate::stack::Stack::read).
    pub(crate) fn read(&mut self, socket: u64, into: &mut [u8], now: Instant) -> Result<Option<usize>, SocketError> {
        let taken = self.stack.read(socket, into)?;
        if taken.is_some_and(|taken| taken > 0) {
            // The window has opened.
            self.run_stack(now);
        }
        Ok(taken)
    }

    /// `write`. See [`Stack::write`](crate::stack::Stack::write).
    pub(crate) fn write(&mut self, socket: u64, bytes: &[u8], now: Instant) -> Result<Option<usize>, SocketError> {
        let taken = self.stack.write(socket, bytes)?;
        if taken.is_some() {
            self.run_stack(now);
        }
        Ok(taken)
    }

    /// `shutdown` of the half that sends.
    pub(crate) fn shut(&mut self, socket: u64, now: Instant) -> Result<(), SocketError> {
        self.stack.shut(socket)?;
        self.run_stack(now);
        Ok(())
    }

    /// Wakes `waker`, once, when a call of this kind on the socket may have something to say.
    pub(crate) fn wait(&mut self, socket: u64, interest: Interest, waker: &Waker) {
        let waiters = self.waiters.entry((socket, interest)).or_default();
        if !waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            waiters.push(waker.clone());
        }
    }

    /// Wakes all whose wait is over.
    pub(crate) fn tell_waiters(&mut self) {
        let is_over = |(socket, interest): &(u64, Interest)| {
            self.stack.is_ready(*socket, *interest) || self.leads_nowhere(*socket)
        };
        let over: Vec<(u64, Interest)> = self.waiters.keys().copied().filter(is_over).collect();
        over.iter().filter_map(|waiters| self.waiters.remove(waiters)).flatten().for_each(Waker::wake);
    }

    /// Whether somebody connects to an address that nobody has been found to have.
    fn leads_nowhere(&self, socket: u64) -> bool {
        self.stack.connecting(socket).is_some_and(|(peer, since)| self.is_unreachable(peer.ip(), since))
    }

    /// `bind` of a datagram socket. Returns the port.
    pub(crate) fn bind_datagrams(
        &mut self,
        socket: u64,
        process: u32,
        at: impl Into<SocketAddr>,
    ) -> Result<u16, SocketError> {
        let at = at.into();
        let bound = self.bind(Protocol::Udp, socket, at)?;
        self.stack.bind_datagrams(socket, bound);
        self.owners.insert(socket, Owner { process, is_v6: at.is_ipv6() });
        Ok(bound.port())
    }

    /// `sendto`.
    pub(crate) fn send_datagram(
        &mut self,
        socket: u64,
        to: impl Into<SocketAddr>,
        data: &[u8],
        now: Instant,
    ) -> Result<(), SocketError> {
        let (source, to) = self.ends_of_datagram(socket, to.into())?;
        self.send_datagram_from(socket, source.ip(), to, data, now)
    }

    /// The same, from one of the own addresses.
    pub(crate) fn send_datagram_from(
        &mut self,
        socket: u64,
        from: IpAddr,
        to: SocketAddr,
        data: &[u8],
        now: Instant,
    ) -> Result<(), SocketError> {
        let local = self.stack.datagram_local(socket).ok_or(SocketError::Closed)?;
        if Packet::datagram_len(to.ip(), data.len()) > usize::from(u16::MAX) {
            return Err(SocketError::MessageSize);
        }
        self.send(Packet::datagram(SocketAddr::new(from, local.port()), to, data), now)
    }

    /// `sendto` with `UDP_SEGMENT`: several datagrams of so many bytes each, of which the last may be shorter. They leave in one
    /// frame where the interface takes super-frames.
    pub(crate) fn send_datagrams(
        &mut self,
        socket: u64,
        to: SocketAddr,
        (data, size): (&[u8], u16),
        now: Instant,
    ) -> Result<(), SocketError> {
        let (source, to) = self.ends_of_datagram(socket, to)?;
        let count = data.len().div_ceil(usize::from(size).max(1));
        if size == 0 || count > SEGMENTS || Packet::datagram_len(to.ip(), data.len()) > usize::from(u16::MAX) {
            return Err(SocketError::Invalid);
        }
        let mut train = Packet::datagram(source, to, data);
        if count > 1 {
            train.leave_uncut(size);
        }
        if count > 1 && !self.offloads(&train) {
            return data
                .chunks(usize::from(size))
                .try_for_each(|data| self.send(Packet::datagram(source, to, data), now));
        }
        self.send(train, now)
    }

    /// `recvfrom`: the next datagram, and from where it is.
    pub(crate) fn receive_datagram(&mut self, socket: u64) -> Result<Option<(SocketAddr, Vec<u8>)>, SocketError> {
        let received = self.stack.receive_datagram(socket)?;
        Ok(received.map(|(from, _, data)| (self.as_seen(socket, from, from.ip()), data)))
    }

    /// `close`.
    pub(crate) fn close(&mut self, socket: u64, now: Instant) {
        self.owners.remove(&socket);
        self.ports.release(socket);
        self.stack.close(socket);
        self.run_stack(now);
    }

    /// A process has ended: the kernel closes its sockets.
    pub(crate) fn close_all(&mut self, process: u32, now: Instant) {
        let is_own = |(socket, owner): (&u64, &Owner)| (owner.process == process).then_some(*socket);
        let own: Vec<u64> = self.owners.iter().filter_map(is_own).collect();
        own.iter().for_each(|socket| self.close(*socket, now));
    }

    /// Sends an echo request with so much data.
    pub(crate) fn ask_echo(
        &mut self,
        to: SocketAddr,
        sequence: u16,
        size: usize,
        now: Instant,
    ) -> Result<(), SocketError> {
        if Packet::echo_len(to.ip(), size) > usize::from(u16::MAX) {
            return Err(SocketError::MessageSize);
        }
        let source = self.source_to(to)?;
        let echo = Echo { reply: false, id: ECHO_ID, sequence, data: pattern(size) };
        self.send(Packet::echo(source, to.ip(), &echo), now)
    }

    /// Sends an echo request that may have so many hops.
    pub(crate) fn probe(&mut self, to: Ipv4Addr, sequence: u16, ttl: u8, now: Instant) -> Result<(), SocketError> {
        let source = self.route(to)?.source;
        let echo = Echo { reply: false, id: ECHO_ID, sequence, data: Vec::new() };
        let mut packet = Packet::echo(source, to.into(), &echo);
        while packet.ttl() > ttl {
            packet.decrement_ttl();
        }
        self.send(packet, now)
    }

    /// Takes the answer to it, if it has come: who answered, or who could not pass it on.
    pub(crate) fn take_probe(&mut self, to: Ipv4Addr, sequence: u16) -> Option<Ipv4Addr> {
        if self.take_echo_reply(to.into(), sequence, 0) {
            return Some(to);
        }
        let is_about = |(_, about): &(Ipv4Addr, Echo)| about.id == ECHO_ID && about.sequence == sequence;
        let found = self.errors.iter().position(is_about)?;
        Some(self.errors.swap_remove(found).0)
    }

    /// Takes the answer to an echo request, if it has come with all of its data.
    pub(crate) fn take_echo_reply(&mut self, from: IpAddr, sequence: u16, size: usize) -> bool {
        let expected = (from, Echo { reply: true, id: ECHO_ID, sequence, data: pattern(size) });
        let found = self.replies.iter().position(|reply| *reply == expected);
        found.map(|at| self.replies.swap_remove(at)).is_some()
    }

    /// Takes a port. Returns where the socket is bound, on the wire.
    fn bind(&mut self, protocol: Protocol, socket: u64, at: SocketAddr) -> Result<SocketAddr, SocketError> {
        let at = on_the_wire(at);
        if !at.ip().is_unspecified() && !self.is_local(at.ip()) {
            return Err(SocketError::AddressNotAvailable);
        }
        let port = self.ports.bind(protocol, at.ip(), at.port(), socket)?;
        Ok(SocketAddr::new(at.ip(), port))
    }

    /// The own address of what is sent to an address.
    fn source_to(&self, to: SocketAddr) -> Result<IpAddr, SocketError> {
        let route = match (on_the_wire(to).ip(), to) {
            (IpAddr::V6(ip), SocketAddr::V6(scoped)) => self.route6(ip, self.interface_of_scope(scoped.scope_id()))?,
            (ip, _) => self.route(ip)?,
        };
        Ok(route.source)
    }

    /// From where to where a datagram goes.
    fn ends_of_datagram(&self, socket: u64, to: SocketAddr) -> Result<(SocketAddr, SocketAddr), SocketError> {
        let local = self.stack.datagram_local(socket).ok_or(SocketError::Closed)?;
        let is_v6 = self.owners.get(&socket).is_some_and(|owner| owner.is_v6);
        if to.is_ipv6() && !is_v6 {
            return Err(SocketError::AddressFamily);
        }
        let source = if local.ip().is_unspecified() { self.source_to(to)? } else { local.ip() };
        let to = on_the_wire(to);
        if source.is_ipv6() != to.is_ipv6() {
            return Err(SocketError::NetworkUnreachable);
        }
        Ok((SocketAddr::new(source, local.port()), to))
    }

    /// An address as the program sees it whose socket this is.
    fn as_seen(&self, socket: u64, address: SocketAddr, own: IpAddr) -> SocketAddr {
        let is_v6 = self.owners.get(&socket).is_some_and(|owner| owner.is_v6);
        match (address, own) {
            (SocketAddr::V4(address), _) if is_v6 => {
                SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port())
            }
            (SocketAddr::V6(mut seen), IpAddr::V6(own))
                if seen.ip().is_unicast_link_local() && seen.scope_id() == 0 =>
            {
                seen.set_scope_id(self.interface_with(own).map_or(0, |index| self.interfaces[index].scope()));
                seen.into()
            }
            (SocketAddr::V4(_) | SocketAddr::V6(_), _) => address,
        }
    }
}

/// The address that is meant by one that is none: this very namespace.
fn somewhere(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => return address,
    };
    SocketAddr::new(ip, address.port())
}

/// An address as it is on the wire: without what only a program sees of it.
fn on_the_wire(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What `ping` fills its packets with.
fn pattern(size: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(size).collect()
}
