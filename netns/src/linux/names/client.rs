//! Clients: datagrams to a network, and [`Client`]s that are connected to it.

use std::io::ErrorKind;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use nix::sys::epoll::EpollFlags;
use switch::time::Instant;

use super::serve::{Asker, Loop, Timer};
use super::stream::Stream;
use super::watch::Source;
use crate::names::MAX_QUERY;

/// The longest datagram there is.
pub(super) const LONGEST: usize = 65_535;
/// How many datagrams or connections a network has a turn for.
const BATCH: usize = 64;
/// How many clients may be connected at once.
const CLIENTS: usize = 64;
/// How many of these from one address.
const CLIENTS_OF_ONE: usize = 16;
/// How many queries of one connection are under way at once. Further ones wait in its socket.
const PIPELINE: usize = 8;
/// Nothing more is taken from a client who lets so many bytes of answers wait.
const BACKLOG: usize = 65_536;
/// How long a client may say and take nothing. The pieces of a query that is not whole are nothing.
const IDLE: Duration = Duration::from_secs(5);
/// How long a door stays shut when there are no descriptors left.
const SHUT: Duration = Duration::from_millis(100);

/// One who is connected by TCP.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) asker: Asker,
    stream: Stream,
    number: u64,
    under_way: usize,
}

impl Client {
    fn may_ask(&self) -> bool {
        self.under_way < PIPELINE && self.stream.backlog() < BACKLOG
    }

    fn is_done(&self) -> bool {
        self.stream.is_over() && self.under_way == 0 && self.stream.backlog() == 0
    }
}

impl Loop {
    pub(super) fn hear_datagrams(&mut self, id: u64, now: Instant) {
        for _ in 0..BATCH {
            let Some(network) = self.networks.get(&id) else { return };
            // What is longer than any query keeps a byte too much, so that it is told.
            let (length, address) = match network.sockets.datagrams.recv_from(&mut self.buffer[..=MAX_QUERY]) {
                Ok((length, SocketAddr::V4(address))) => (length, address),
                Ok((_, SocketAddr::V6(_))) => continue,
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            if network.table.serves(*address.ip()) {
                let query = self.buffer[..length].to_vec();
                self.take(Asker { network: id, address, client: None }, query, now);
            } else {
                self.tally.queries.up();
                self.tally.foreign.up();
            }
        }
    }

    /// Lets in who has connected.
    pub(super) fn let_in(&mut self, id: u64, now: Instant) {
        for _ in 0..BATCH {
            let Some(network) = self.networks.get(&id) else { return };
            match network.sockets.door.accept() {
                Ok((socket, SocketAddr::V4(address))) => self.admit(id, socket, address, now),
                Ok((_, SocketAddr::V6(_))) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(why) if matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(why) => {
                    // Most likely there are no descriptors left, and he who knocks would wake us again and again.
                    tracing::debug!("let in who asks for names: {why}");
                    let _ = self.watch.change(&network.sockets.door, network.door, EpollFlags::empty());
                    self.deadlines.set(Timer::Door(id), now + SHUT);
                    return;
                }
            }
        }
    }

    pub(super) fn open_door(&mut self, id: u64) {
        if let Some(network) = self.networks.get(&id) {
            let _ = self.watch.change(&network.sockets.door, network.door, EpollFlags::EPOLLIN);
        }
    }

    fn admit(&mut self, network: u64, socket: TcpStream, address: SocketAddrV4, now: Instant) {
        if !self.networks.get(&network).is_some_and(|network| network.table.serves(*address.ip())) {
            self.tally.queries.up();
            self.tally.foreign.up();
            return;
        }
        let of_one = self.clients.values().filter(|client| client.asker.address.ip() == address.ip()).count();
        if self.clients.len() >= CLIENTS || of_one >= CLIENTS_OF_ONE {
            return self.tally.turned_away.up();
        }
        let id = self.watch.number();
        let watched = Stream::new(socket)
            .and_then(|stream| Ok((self.watch.add(&stream, Source::Client(id), EpollFlags::EPOLLIN)?, stream)));
        let Ok((number, stream)) = watched else { return self.tally.turned_away.up() };
        let asker = Asker { network, address, client: Some(id) };
        self.clients.insert(id, Client { asker, stream, number, under_way: 0 });
        self.deadlines.set(Timer::Client(id), now + IDLE);
    }

    pub(super) fn hear_client(&mut self, id: u64, broken: bool) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if broken || client.stream.read().is_err() {
            self.let_go(id);
        } else {
            self.line.insert(id);
        }
    }

    /// Takes the queries of a client that have come whole, sends what it has room for, and sees whether it is done.
    pub(super) fn serve_client(&mut self, id: u64, now: Instant) {
        while let Some(client) = self.clients.get_mut(&id).filter(|client| client.may_ask())
            && let Some(query) = client.stream.next_message()
        {
            client.under_way += 1;
            let asker = client.asker;
            self.deadlines.set(Timer::Client(id), now + IDLE);
            if !self.take(asker, query, now) {
                return self.let_go(id);
            }
        }
        let Some(client) = self.clients.get_mut(&id) else { return };
        match client.stream.write() {
            Ok(true) => self.deadlines.set(Timer::Client(id), now + IDLE),
            Ok(false) => {}
            Err(_) => return self.let_go(id),
        }
        // The answers may have made room for more.
        if client.may_ask() && client.stream.has_message() {
            self.line.insert(id);
        }
        let interest = client.stream.interest(client.may_ask());
        if client.is_done() || self.watch.change(&client.stream, client.number, interest).is_err() {
            self.let_go(id);
        }
    }

    /// Gives an answer to who asked, if he is still there.
    pub(super) fn deliver(&mut self, asker: Asker, answer: &[u8]) {
        let Some(id) = asker.client else {
            let sent = self.networks.get(&asker.network).map(|it| it.sockets.datagrams.send_to(answer, asker.address));
            if !matches!(sent, Some(Ok(_))) {
                self.tally.undelivered.up();
            }
            return;
        };
        match self.clients.get_mut(&id) {
            Some(client) => {
                client.under_way = client.under_way.saturating_sub(1);
                client.stream.push(answer);
                self.line.insert(id);
            }
            None => self.tally.undelivered.up(),
        }
    }

    pub(super) fn let_go(&mut self, id: u64) {
        if let Some(client) = self.clients.remove(&id) {
            self.watch.forget(client.number);
            self.deadlines.clear(Timer::Client(id));
            self.abandon(|asker| asker.client == Some(id));
        }
    }
}
