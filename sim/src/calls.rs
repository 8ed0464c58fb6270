//! The calls that a program makes on sockets of its namespace: which port, which source address, and whose socket it is.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::task::Waker;

use switch::time::Instant;

use crate::namespace::Namespace;
use crate::socket::{Interest, Protocol, SocketError};
use crate::wire::{Echo, Packet};

/// The identifier of our echo requests, where a real `ping` takes its process id.
const ECHO_ID: u16 = 0x5050;

impl Namespace {
    /// `bind` and `listen`. Returns the port.
    pub(crate) fn listen(&mut self, socket: u64, owner: u32, at: SocketAddrV4) -> Result<u16, SocketError> {
        let port = self.bind(Protocol::Tcp, socket, at)?;
        self.stack.listen(socket, *at.ip(), port);
        self.owners.insert(socket, owner);
        Ok(port)
    }

    /// `connect`, without waiting for the handshake. Returns the own address.
    pub(crate) fn connect(
        &mut self,
        socket: u64,
        owner: u32,
        to: SocketAddrV4,
        now: Instant,
    ) -> Result<SocketAddrV4, SocketError> {
        let source = self.route(*to.ip())?.source;
        let port = self.ports.bind(Protocol::Tcp, source, 0, socket)?;
        let local = SocketAddrV4::new(source, port);
        self.stack.connect(socket, local, to, now).inspect_err(|_| self.ports.release(socket))?;
        self.owners.insert(socket, owner);
        self.run_stack(now);
        Ok(local)
    }

    /// `accept`, of the connection from `peer` or of any; whether there was one.
    pub(crate) fn accept(&mut self, listener: u64, peer: Option<SocketAddrV4>, socket: u64, now: Instant) -> bool {
        let accepted = self.stack.accept(listener, peer, socket, now);
        if accepted {
            let owner = self.owners.get(&listener).copied().unwrap_or_default();
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
        self.stack.connecting(socket).is_some_and(|(peer, since)| self.is_unreachable(*peer.ip(), since))
    }

    /// `bind` of a datagram socket. Returns the port.
    pub(crate) fn bind_datagrams(&mut self, socket: u64, owner: u32, at: SocketAddrV4) -> Result<u16, SocketError> {
        let port = self.bind(Protocol::Udp, socket, at)?;
        self.stack.bind_datagrams(socket, *at.ip(), port)?;
        self.owners.insert(socket, owner);
        Ok(port)
    }

    /// `sendto`.
    pub(crate) fn send_datagram(
        &mut self,
        socket: u64,
        to: SocketAddrV4,
        data: &[u8],
        now: Instant,
    ) -> Result<(), SocketError> {
        let local = self.stack.datagram_local(socket).ok_or(SocketError::Closed)?;
        if Packet::datagram_len(data.len()) > usize::from(u16::MAX) {
            return Err(SocketError::MessageSize);
        }
        let source = if local.ip().is_unspecified() { self.route(*to.ip())?.source } else { *local.ip() };
        self.send(Packet::datagram((source, local.port()), (*to.ip(), to.port()), data), now)
    }

    /// `close`.
    pub(crate) fn close(&mut self, socket: u64, now: Instant) {
        self.owners.remove(&socket);
        self.ports.release(socket);
        self.stack.close(socket);
        self.run_stack(now);
    }

    /// A process has ended: the kernel closes its sockets.
    pub(crate) fn close_all(&mut self, owner: u32, now: Instant) {
        let is_own = |(socket, other): (&u64, &u32)| (*other == owner).then_some(*socket);
        let own: Vec<u64> = self.owners.iter().filter_map(is_own).collect();
        own.iter().for_each(|socket| self.close(*socket, now));
    }

    /// Sends an echo request with so much data.
    pub(crate) fn ask_echo(
        &mut self,
        to: Ipv4Addr,
        sequence: u16,
        size: usize,
        now: Instant,
    ) -> Result<(), SocketError> {
        if Packet::echo_len(size) > usize::from(u16::MAX) {
            return Err(SocketError::MessageSize);
        }
        let source = self.route(to)?.source;
        let echo = Echo { reply: false, id: ECHO_ID, sequence, data: pattern(size) };
        self.send(Packet::echo(source, to, &echo), now)
    }

    /// Takes the answer to an echo request, if it has come with all of its data.
    pub(crate) fn take_echo_reply(&mut self, from: Ipv4Addr, sequence: u16, size: usize) -> bool {
        let expected = (from, Echo { reply: true, id: ECHO_ID, sequence, data: pattern(size) });
        let found = self.replies.iter().position(|reply| *reply == expected);
        found.map(|at| self.replies.swap_remove(at)).is_some()
    }

    fn bind(&mut self, protocol: Protocol, socket: u64, at: SocketAddrV4) -> Result<u16, SocketError> {
        if !at.ip().is_unspecified() && !self.is_local(*at.ip()) {
            return Err(SocketError::AddressNotAvailable);
        }
        self.ports.bind(protocol, *at.ip(), at.port(), socket)
    }
}

/// What `ping` fills its packets with.
fn pattern(size: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(size).collect()
}
