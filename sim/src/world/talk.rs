//! The verbs of programs that talk: ping, TCP and UDP.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Place, World};
use crate::namespace::{Namespace, NamespaceId};
use crate::socket::{SocketError, SocketId};
use crate::stack::StreamState;

/// How long `ping` waits for an answer.
const PING: Duration = Duration::from_secs(1);
/// How long a connection may take to come about: longer than ARP takes to give up, as long as a patient user waits.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a transfer may go without a byte arriving.
const STALL: Duration = Duration::from_secs(30);
/// What `ping` sends by default.
const PING_SIZE: usize = 56;

/// Both ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Who connected.
    pub client: SocketId,
    /// Who listened.
    pub server: SocketId,
}

impl World {
    /// Whether an address answers an echo request within a second.
    pub fn ping(&mut self, place: &Place, to: impl Into<IpAddr>) -> bool {
        self.ping_sized(place, to, PING_SIZE).is_ok()
    }

    /// An echo request with so much data: whether all of it comes back within a second.
    ///
    /// # Errors
    /// Why not: no route, nobody there, longer than the MTU, no answer.
    pub fn ping_sized(&mut self, place: &Place, to: impl Into<IpAddr>, size: usize) -> Result<(), SocketError> {
        self.ping_at(place, SocketAddr::new(to.into(), 0), size)
    }

    /// The same of an address that may have a scope, as a link-local one needs: see [`World::scoped`].
    ///
    /// # Errors
    /// As of [`World::ping_sized`].
    pub fn ping_at(&mut self, place: &Place, to: impl Into<SocketAddr>, size: usize) -> Result<(), SocketError> {
        let to = to.into();
        let (home, _) = self.locate(place).ok_or(SocketError::NoSuchDevice)?;
        let (since, sequence) = (self.clock.now(), self.new_echo());
        self.at(home, |namespace| namespace.ask_echo(to, sequence, size, since))??;
        let answered = |world: &mut World| {
            world.at(home, |namespace| namespace.take_echo_reply(to.ip(), sequence, size)).unwrap_or(false)
        };
        if self.run_until(PING, answered) { Ok(()) } else { Err(SocketError::TimedOut) }
    }

    /// The sequence number of an echo request.
    pub(super) fn new_echo(&mut self) -> u16 {
        self.next_echo = self.next_echo.wrapping_add(1);
        self.next_echo.wrapping_sub(1)
    }

    /// Listens for TCP connections. Port 0 is any.
    ///
    /// # Errors
    /// If the address is not there or the port is taken.
    pub fn listen(&mut self, place: &Place, ip: impl Into<IpAddr>, port: u16) -> Result<SocketId, SocketError> {
        let number = self.machine().new_socket();
        let (home, pid) = self.locate(place).ok_or(SocketError::NoSuchDevice)?;
        self.at(home, |namespace| namespace.listen(number, pid, SocketAddr::new(ip.into(), port)))??;
        Ok(SocketId { namespace: home, number })
    }

    /// Connects by TCP, and accepts on the other side, wherever in this world that is, unless a program does so by itself.
    ///
    /// # Errors
    /// If nobody listens, nobody answers, or no way leads there.
    pub fn connect(&mut self, place: &Place, ip: impl Into<IpAddr>, port: u16) -> Result<Stream, SocketError> {
        let number = self.machine().new_socket();
        let (home, pid) = self.locate(place).ok_or(SocketError::NoSuchDevice)?;
        let (since, to) = (self.clock.now(), SocketAddr::new(ip.into(), port));
        let client = SocketId { namespace: home, number };
        let local = self.at(home, |namespace| namespace.connect(number, pid, to, since))??;
        let mut outcome = Err(SocketError::TimedOut);
        self.run_until(CONNECT, |world| {
            let known = world.at(home, |namespace| match namespace.stack.state(number) {
                StreamState::Open => Some(Ok(())),
                StreamState::Closed => Some(Err(SocketError::Refused)),
                StreamState::Connecting if namespace.is_unreachable(to.ip(), since) => {
                    Some(Err(SocketError::HostUnreachable))
                }
                StreamState::Connecting => None,
            });
            outcome = match known {
                Ok(None) => return false,
                Ok(Some(Ok(()))) => match world.accept_from(local, to) {
                    Some(server) => Ok(Stream { client, server }),
                    None => return false,
                },
                Ok(Some(Err(why))) | Err(why) => Err(why),
            };
            true
        });
        if outcome.is_err() {
            self.close(client);
        }
        outcome
    }

    /// Hands bytes to a stream; returns how many of them it took.
    ///
    /// # Errors
    /// If it is closed.
    pub fn send(&mut self, socket: SocketId, bytes: &[u8]) -> Result<usize, SocketError> {
        let now = self.clock.now();
        self.at(socket.namespace, |namespace| {
            let taken = namespace.stack.send(socket.number, bytes)?;
            namespace.run_stack(now);
            Ok(taken)
        })?
    }

    /// Appends what has arrived on a stream to `into`. Returns whether more may come.
    ///
    /// # Errors
    /// If it is closed.
    pub fn receive(&mut self, socket: SocketId, into: &mut Vec<u8>) -> Result<bool, SocketError> {
        let now = self.clock.now();
        self.at(socket.namespace, |namespace| {
            let before = into.len();
            let more = namespace.stack.receive(socket.number, into)?;
            if into.len() > before {
                // The window has opened.
                namespace.run_stack(now);
            }
            Ok(more)
        })?
    }

    /// Closes a socket of any kind. What a stream was given is still sent.
    pub fn close(&mut self, socket: SocketId) {
        let now = self.clock.now();
        // A namespace that is gone has taken its sockets with it.
        let _ = self.at(socket.namespace, |namespace| namespace.close(socket.number, now));
    }

    /// Sends bytes over a stream until all have arrived; returns what did.
    ///
    /// # Errors
    /// If it is closed, reset, or no byte arrives for 30 seconds.
    pub fn pump(&mut self, from: SocketId, to: SocketId, bytes: &[u8]) -> Result<Vec<u8>, SocketError> {
        let (mut sent, mut received) = (0, Vec::with_capacity(bytes.len()));
        let mut failed = None;
        while received.len() < bytes.len() && failed.is_none() {
            let before = received.len();
            let progressed = self.run_until(STALL, |world| {
                let step = world.send(from, &bytes[sent..]).and_then(|taken| {
                    sent += taken;
                    world.receive(to, &mut received)
                });
                failed = step.err();
                failed.is_some() || received.len() > before
            });
            if !progressed {
                failed = Some(SocketError::TimedOut);
            }
        }
        failed.map_or(Ok(received), Err)
    }

    /// Connects, sends bytes, and closes; returns what arrived.
    ///
    /// # Errors
    /// As of [`World::connect`] and [`World::pump`].
    pub fn transfer(
        &mut self,
        from: &Place,
        ip: impl Into<IpAddr>,
        port: u16,
        bytes: &[u8],
    ) -> Result<Vec<u8>, SocketError> {
        let stream = self.connect(from, ip, port)?;
        let received = self.pump(stream.client, stream.server, bytes);
        self.close(stream.client);
        self.close(stream.server);
        received
    }

    /// Binds a datagram socket. Port 0 is any.
    ///
    /// # Errors
    /// If the address is not there or the port is taken.
    pub fn udp_bind(&mut self, place: &Place, ip: impl Into<IpAddr>, port: u16) -> Result<SocketId, SocketError> {
        let number = self.machine().new_socket();
        let (home, pid) = self.locate(place).ok_or(SocketError::NoSuchDevice)?;
        self.at(home, |namespace| namespace.bind_datagrams(number, pid, SocketAddr::new(ip.into(), port)))??;
        Ok(SocketId { namespace: home, number })
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// If no route leads there, or it is longer than the MTU.
    pub fn udp_send(&mut self, from: SocketId, to: impl Into<SocketAddr>, data: &[u8]) -> Result<(), SocketError> {
        let now = self.clock.now();
        self.at(from.namespace, |namespace| namespace.send_datagram(from.number, to, data, now))?
    }

    /// Sends several datagrams of `size` bytes each, the last of which may be shorter, as a socket with `UDP_SEGMENT` does: in
    /// one frame, where the interface takes super-frames.
    ///
    /// # Errors
    /// As of [`World::udp_send`], and if they are more than 128 or 64 KiB.
    pub fn udp_send_segments(
        &mut self,
        from: SocketId,
        to: impl Into<SocketAddr>,
        data: &[u8],
        size: u16,
    ) -> Result<(), SocketError> {
        let (now, to) = (self.clock.now(), to.into());
        self.at(from.namespace, |namespace| namespace.send_datagrams(from.number, to, (data, size), now))?
    }

    /// The next datagram that arrives within `wait`, and from where.
    ///
    /// # Errors
    /// If none does, or the socket is closed.
    pub fn udp_recv(&mut self, at: SocketId, wait: Duration) -> Result<(SocketAddr, Vec<u8>), SocketError> {
        let mut outcome = Ok(None);
        self.run_until(wait, |world| {
            outcome = world.at(at.namespace, |namespace| namespace.receive_datagram(at.number)).flatten();
            outcome != Ok(None)
        });
        outcome?.ok_or(SocketError::TimedOut)
    }

    /// Takes the connection from `peer` out of whichever listener's queue it is in.
    fn accept_from(&mut self, client: SocketAddr, to: SocketAddr) -> Option<SocketId> {
        let now = self.clock.now();
        let machine = &mut *self.machine();
        // What is masqueraded comes from the host.
        let peer = machine.router().seen_as(client, to, now);
        let number = machine.new_socket();
        for (home, namespace) in &mut machine.namespaces {
            // Programs accept by themselves.
            let owner = |listener: &u64| namespace.owners.get(listener).map(|owner| owner.process);
            let is_free = |listener: &u64| owner(listener).is_none_or(|owner| !machine.processes.contains_key(&owner));
            let listeners: Vec<u64> = namespace.stack.listeners().into_iter().filter(is_free).collect();
            if listeners.into_iter().any(|listener| namespace.accept(listener, Some(peer), number, now)) {
                return Some(SocketId { namespace: *home, number });
            }
        }
        None
    }

    fn at<T>(&mut self, home: NamespaceId, work: impl FnOnce(&mut Namespace) -> T) -> Result<T, SocketError> {
        self.machine().namespaces.get_mut(&home).map(work).ok_or(SocketError::Closed)
    }
}
