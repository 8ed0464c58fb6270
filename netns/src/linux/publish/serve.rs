//! [`Server`]: the publisher's loop. One thread; it waits for descriptors and for nothing else.
//!
//! * Everything is bounded by how many descriptors this process may have: see [`Bounds`]. At the bound, connections wait in
//!   the kernel's queue of their listener until others end; UDP clients make room for each other.
//! * Connections that have more to pass on take turns. Listeners and UDP ports are asked as long as they have more, but a
//!   listener not before its [`Pace`] allows.
//! * It ends with the container. What the container said last is passed on as far as clients take it at once; what was not
//!   passed on to its end is reset.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use switch::time::Instant;

use super::listen::FLAGS;
use super::pace::{Pace, Ticket};
use super::pipes::Pipes;
use super::tcp::{CLIENT, CONTAINER, Connection, Progress, interest};
use super::token::Token;
use super::udp::{Drops, MAX_CLIENTS, MAX_DATAGRAM, Port};
use crate::linux::limits::allow_more_files;
use crate::publish::{PortMapping, Protocol};

/// The most connections at a time.
const MAX_CONNECTIONS: usize = 10_000;
/// What a connection takes: two sockets, and a pipe in either direction.
const FDS_PER_CONNECTION: usize = 6;
/// What is not for clients: standard streams, epoll, the shim, the last connection on its way out.
const RESERVE: usize = 32;
/// How many ready descriptors are heard of at a time.
const EVENTS: usize = 256;
/// How many clients of one listener are let in before it is another's turn.
const ACCEPTS: usize = 64;
/// How long no client is let in when the machine, not our bound, says that there are too many files.
const PAUSE: Duration = Duration::from_millis(200);

/// How many clients there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    connections: usize,
    /// Of each UDP port.
    clients: usize,
}

impl Bounds {
    /// For a process that may have so many descriptors, and so many ports of each protocol.
    fn new(files: usize, tcp: usize, udp: usize) -> Self {
        let files = files.saturating_sub(RESERVE + tcp + udp);
        let share = if tcp == 0 { files } else { files / 4 };
        let clients = share.checked_div(udp).unwrap_or_default().clamp(1, MAX_CLIENTS);
        let left = files.saturating_sub(clients * udp);
        Bounds { connections: (left / FDS_PER_CONNECTION).clamp(1, MAX_CONNECTIONS), clients }
    }
}

/// All that the process has.
pub(super) struct Server {
    epoll: OwnedFd,
    /// For as long as it is watched.
    _shim: OwnedFd,
    listeners: Vec<Listener>,
    /// The listeners that are not asked for now.
    paused: BTreeSet<usize>,
    /// Before that, none is.
    resume: Instant,
    connections: BTreeMap<u64, Admitted>,
    /// Those that something was heard of, or that have more.
    line: BTreeSet<u64>,
    next: u64,
    max_connections: usize,
    pipes: Pipes,
    ports: Vec<Port>,
    buffer: Vec<u8>,
}

struct Listener {
    socket: OwnedFd,
    target: SocketAddrV4,
    pace: Pace,
}

struct Admitted {
    connection: Connection,
    /// Until it has connected: the listener that it came by.
    ticket: Option<(usize, Ticket)>,
}

impl Server {
    pub(super) fn new(target: Ipv4Addr, shim: OwnedFd, sockets: Vec<(PortMapping, OwnedFd)>) -> io::Result<Self> {
        let (tcp, udp): (Vec<_>, Vec<_>) =
            sockets.into_iter().partition(|(mapping, _)| mapping.protocol == Protocol::Tcp);
        let files = allow_more_files()?.maximum.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
        let bounds = Bounds::new(files, tcp.len(), udp.len());
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &shim, Token::Shim, EventFlags::IN)?;
        let to = |mapping: &PortMapping| SocketAddrV4::new(target, mapping.container);
        let listeners: Vec<Listener> = tcp
            .into_iter()
            .map(|(mapping, socket)| Listener { socket, target: to(&mapping), pace: Pace::default() })
            .collect();
        let ports: Vec<Port> =
            udp.into_iter().map(|(mapping, socket)| Port::new(socket, to(&mapping), bounds.clients)).collect();
        for (index, listener) in listeners.iter().enumerate() {
            watch(&epoll, &listener.socket, Token::Listener(index), EventFlags::IN)?;
        }
        for (index, port) in ports.iter().enumerate() {
            watch(&epoll, port.socket(), Token::Port(index), EventFlags::IN)?;
        }
        Ok(Server {
            epoll,
            _shim: shim,
            listeners,
            paused: BTreeSet::new(),
            resume: Instant::ZERO,
            connections: BTreeMap::new(),
            line: BTreeSet::new(),
            next: 0,
            max_connections: bounds.connections,
            pipes: Pipes::default(),
            ports,
            buffer: vec![0; MAX_DATAGRAM],
        })
    }

    /// Until the container ends.
    pub(super) fn run(mut self) -> ExitCode {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut now = clock();
        loop {
            events.clear();
            let timeout = self.timeout(now);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(why) => {
                    // Not `eprintln!`: it panics where the log can not be written.
                    let _ = writeln!(io::stderr(), "pontoon: wait for clients of published ports: {why}");
                    return ExitCode::FAILURE;
                }
            }
            now = clock();
            let mut has_ended = false;
            for event in &events {
                // They are packed as the kernel packs them.
                let (flags, data) = (event.flags, event.data);
                match Token::decode(data.u64()) {
                    Token::Shim => has_ended = true,
                    Token::Listener(index) => self.accept(index, now),
                    Token::Connection(number, end) => self.hear(number, end, flags),
                    Token::Port(index) => self.receive(index, now),
                    Token::Client(index, number) => self.answer(index, number, now),
                }
            }
            self.advance();
            if has_ended {
                self.tell_drops();
                return ExitCode::SUCCESS;
            }
            self.ports.iter_mut().for_each(|port| port.expire(now));
            self.accept_again(now);
        }
    }

    fn timeout(&self, now: Instant) -> Option<Timespec> {
        if !self.line.is_empty() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let paused = self.paused.iter().filter_map(|index| self.next_accept(*index));
        let due = self.ports.iter().filter_map(Port::next_expiry).chain(paused).min()?;
        // Not a moment too early: that would be a busy loop.
        let wait = due.since(now) + Duration::from_millis(1);
        Some(Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() })
    }

    fn accept(&mut self, index: usize, now: Instant) {
        for _ in 0..ACCEPTS {
            if self.next_accept(index).is_none_or(|due| due > now) {
                return self.pause(index);
            }
            match rustix::net::accept_with(&self.listeners[index].socket, FLAGS) {
                // On failure the client goes, and is reset by that.
                Ok(client) => drop(self.admit(client, index, now)),
                Err(Errno::AGAIN) => return,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    self.resume = now + PAUSE;
                    return self.pause(index);
                }
                // Of this one client: it has gone already.
                Err(_) => {}
            }
        }
    }

    /// When the next client of this listener may be let in; `None` if a connection has to end first.
    fn next_accept(&self, index: usize) -> Option<Instant> {
        let has_room = self.connections.len() < self.max_connections;
        has_room.then(|| self.listeners[index].pace.next().max(self.resume))
    }

    fn admit(&mut self, client: OwnedFd, index: usize, now: Instant) -> Result<(), Errno> {
        let listener = &mut self.listeners[index];
        let connection = Connection::begin(client, listener.target)?;
        let number = self.next;
        for end in [CLIENT, CONTAINER] {
            watch(&self.epoll, connection.socket(end), Token::Connection(number, end), interest())?;
        }
        self.next += 1;
        let ticket = Some((index, listener.pace.begin(now)));
        self.connections.insert(number, Admitted { connection, ticket });
        Ok(())
    }

    fn hear(&mut self, number: u64, end: usize, flags: EventFlags) {
        if let Some(admitted) = self.connections.get_mut(&number) {
            admitted.connection.hear(end, flags);
            self.line.insert(number);
        }
    }

    /// Lets every connection in the line take its turn.
    fn advance(&mut self) {
        for number in std::mem::take(&mut self.line) {
            let Some(Admitted { connection, ticket }) = self.connections.get_mut(&number) else { continue };
            let progress = connection.advance(&mut self.pipes);
            let is_connecting = progress == Progress::Connects;
            if let Some((index, ticket)) = ticket.take_if(|_| !is_connecting) {
                self.listeners[index].pace.finish(ticket);
            }
            match progress {
                Progress::Connects | Progress::Waits => {}
                Progress::HasMore => drop(self.line.insert(number)),
                Progress::Done => drop(self.connections.remove(&number)),
                Progress::Failed => {
                    if let Some(failed) = self.connections.remove(&number) {
                        failed.connection.abort();
                    }
                }
            }
        }
    }

    fn receive(&mut self, index: usize, now: Instant) {
        let epoll = &self.epoll;
        self.ports[index].receive(&mut self.buffer, now, |socket, number| {
            watch(epoll, socket, Token::Client(index, number), EventFlags::IN)
        });
    }

    fn answer(&mut self, index: usize, number: u64, now: Instant) {
        self.ports[index].answer(number, &mut self.buffer, now);
    }

    fn pause(&mut self, index: usize) {
        self.paused.insert(index);
        self.ask(index, EventFlags::empty());
    }

    fn accept_again(&mut self, now: Instant) {
        let is_due = |index: &usize| self.next_accept(*index).is_some_and(|due| due <= now);
        let due: Vec<usize> = self.paused.iter().copied().filter(is_due).collect();
        for index in due {
            self.paused.remove(&index);
            self.ask(index, EventFlags::IN);
        }
    }

    fn ask(&self, index: usize, flags: EventFlags) {
        let data = EventData::new_u64(Token::Listener(index).encode());
        let _ = epoll::modify(&self.epoll, &self.listeners[index].socket, data, flags);
    }

    fn tell_drops(&self) {
        let drops = self.ports.iter().map(|port| port.drops).fold(Drops::default(), |sum, port| Drops {
            datagrams: sum.datagrams + port.datagrams,
            clients: sum.clients + port.clients,
        });
        if drops.clients > 0 {
            let Drops { datagrams, clients } = drops;
            let _ = writeln!(
                io::stderr(),
                "pontoon: published UDP ports had too many clients: {clients} were forgotten, {datagrams} datagrams dropped"
            );
        }
    }
}

fn watch(epoll: &OwnedFd, socket: &OwnedFd, token: Token, flags: EventFlags) -> Result<(), Errno> {
    epoll::add(epoll, socket, EventData::new_u64(token.encode()), flags)
}

#[expect(clippy::disallowed_methods, reason = "the clock of the publisher's loop, its outermost")]
fn clock() -> Instant {
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Instant::ZERO };
    Instant::ZERO + Duration::from(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_may_take_is_within_the_limit() {
        for (files, tcp, udp) in [(1024, 1, 0), (1024, 1, 1), (4096, 0, 3), (20_000, 100, 100), (usize::MAX, 5, 5)] {
            let bounds = Bounds::new(files, tcp, udp);
            let taken = RESERVE + tcp + udp + bounds.clients * udp + bounds.connections * FDS_PER_CONNECTION;
            assert!(taken <= files || tcp == 0, "{files} {tcp} {udp}: {bounds:?}");
            assert!(bounds.connections >= 1 && bounds.clients >= 1);
        }
        assert_eq!(Bounds::new(1 << 20, 1, 1), Bounds { connections: MAX_CONNECTIONS, clients: MAX_CLIENTS });
        // The usual limit.
        assert_eq!(Bounds::new(1024, 1, 0).connections, 165);
        assert_eq!(Bounds::new(1024, 1024, 0), Bounds { connections: 1, clients: 1 });
    }
}
