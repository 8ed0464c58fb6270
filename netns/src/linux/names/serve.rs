//! [`Loop`]: waits for clients, servers, commands and deadlines, and lets each have its turn.
//!
//! This is the one place here that reads a clock: once per wake-up.
#![expect(clippy::disallowed_methods, reason = "an outermost loop: time comes from here")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use nix::sys::epoll::EpollFlags;
use nix::sys::eventfd::EventFd;
use rand_chacha::ChaCha8Rng;
use switch::time::Instant;

use super::client::{Client, LONGEST};
use super::counters::Tally;
use super::deadlines::Deadlines;
use super::forward::Forward;
use super::host::Host;
use super::watch::{News, Source, Watch};
use super::{Command, Sockets};
use crate::names::{NameTable, Response, Transport};

/// All that the thread has.
pub(super) struct Loop {
    commands: Receiver<Command>,
    wake: Arc<EventFd>,
    pub(super) watch: Watch,
    pub(super) tally: Arc<Tally>,
    pub(super) chance: ChaCha8Rng,
    pub(super) host: Host,
    pub(super) networks: BTreeMap<u64, Network>,
    keys: BTreeMap<String, u64>,
    pub(super) clients: BTreeMap<u64, Client>,
    pub(super) forwards: BTreeMap<u64, Forward>,
    /// How many of these each client has asked for.
    pub(super) asking: BTreeMap<(u64, Ipv4Addr), usize>,
    pub(super) deadlines: Deadlines<Timer>,
    /// Clients by TCP for whom there may be something to do.
    pub(super) line: BTreeSet<u64>,
    pub(super) buffer: Vec<u8>,
    turn: u64,
}

/// A network that is served.
pub(super) struct Network {
    pub(super) sockets: Sockets,
    pub(super) table: NameTable,
    datagrams: u64,
    pub(super) door: u64,
}

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A query that was passed on.
    Forward(u64),
    /// A client by TCP who says nothing.
    Client(u64),
    /// A door that was shut for want of descriptors.
    Door(u64),
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) network: u64,
    pub(super) address: SocketAddrV4,
    /// The connection it came by, unless it came in a datagram.
    pub(super) client: Option<u64>,
}

impl Asker {
    /// Whose query it is, however it came.
    pub(super) fn who(&self) -> (u64, Ipv4Addr) {
        (self.network, *self.address.ip())
    }

    pub(super) fn transport(&self) -> Transport {
        if self.client.is_some() { Transport::Tcp } else { Transport::Udp }
    }
}

impl Loop {
    pub(super) fn new(
        commands: Receiver<Command>,
        wake: Arc<EventFd>,
        tally: Arc<Tally>,
        chance: ChaCha8Rng,
    ) -> io::Result<Loop> {
        let mut watch = Watch::new()?;
        watch.add(&*wake, Source::Wake, EpollFlags::EPOLLIN)?;
        Ok(Loop {
            commands,
            wake,
            watch,
            tally,
            chance,
            host: Host::new(),
            networks: BTreeMap::new(),
            keys: BTreeMap::new(),
            clients: BTreeMap::new(),
            forwards: BTreeMap::new(),
            asking: BTreeMap::new(),
            deadlines: Deadlines::new(),
            line: BTreeSet::new(),
            buffer: vec![0; LONGEST],
            turn: 0,
        })
    }

    /// Runs until there is nobody to command it any more.
    pub(super) fn run(mut self) {
        let began = std::time::Instant::now();
        let clock = || Instant::ZERO + began.elapsed();
        let mut now = clock();
        loop {
            let news = match self.watch.wait(self.deadlines.next(), now) {
                Ok(news) => news,
                Err(why) => {
                    tracing::error!("wait for questions: {why}");
                    return;
                }
            };
            now = clock();
            for news in news {
                // (Its socket may have been closed for the news before it.)
                if self.watch.is_watched(news.number) && self.hear(news, now).is_none() {
                    return;
                }
            }
            while let Some(timer) = self.deadlines.expired(now) {
                self.time_out(timer, now);
                self.serve_line(now);
            }
        }
    }

    /// `None` if it is time to end.
    fn hear(&mut self, news: News, now: Instant) -> Option<()> {
        match news.source {
            Source::Wake => self.obey()?,
            Source::Datagrams(network) => self.hear_datagrams(network, now),
            Source::Door(network) => self.let_in(network, now),
            Source::Client(client) => self.hear_client(client, news.broken),
            Source::Server(forward) => self.hear_server(forward, news.number, now),
        }
        self.serve_line(now);
        Some(())
    }

    fn time_out(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Forward(forward) => self.ask_next(forward, now),
            Timer::Client(client) => self.let_go(client),
            Timer::Door(network) => self.open_door(network),
        }
    }

    fn serve_line(&mut self, now: Instant) {
        while let Some(client) = self.line.pop_first() {
            self.serve_client(client, now);
        }
    }

    /// Answers a query, or passes it on. `false` if it was none.
    pub(super) fn take(&mut self, asker: Asker, query: Vec<u8>, now: Instant) -> bool {
        self.tally.queries.up();
        self.turn = self.turn.wrapping_add(1);
        let Some(network) = self.networks.get(&asker.network) else {
            self.tally.abandoned.up();
            return true;
        };
        let beside = network.table.beside.get(asker.address.ip());
        let others = beside.into_iter().flatten().filter_map(|key| self.keys.get(key));
        let others: Vec<&NameTable> =
            others.filter_map(|id| self.networks.get(id)).map(|network| &network.table).collect();
        match network.table.respond_beside(&others, &query, asker.transport(), self.turn) {
            Response::Answer(answer) => {
                self.tally.answered.up();
                self.deliver(asker, &answer);
                true
            }
            Response::Forward => {
                self.forward(asker, query, now);
                true
            }
            Response::Ignore => {
                self.tally.ignored.up();
                false
            }
        }
    }

    /// Carries out the commands that have arrived. `None` once there is nobody to send any.
    fn obey(&mut self) -> Option<()> {
        // Emptied before the channel is: a command that comes later makes it ready again. EAGAIN: it is empty.
        let _ = self.wake.read();
        loop {
            let (outcome, done) = match self.commands.try_recv() {
                Ok(Command::Serve { key, table, sockets, done }) => (self.serve(key, table, sockets), done),
                Ok(Command::Stop { key, done }) => {
                    self.stop(&key);
                    (Ok(()), done)
                }
                Err(TryRecvError::Empty) => return Some(()),
                Err(TryRecvError::Disconnected) => return None,
            };
            // Nobody waits: then nobody wants to know.
            let _ = done.send(outcome);
        }
    }

    fn serve(&mut self, key: String, table: NameTable, sockets: Option<Sockets>) -> io::Result<()> {
        let Some(sockets) = sockets else {
            let network = self.keys.get(&key).and_then(|id| self.networks.get_mut(id));
            network.ok_or_else(|| io::Error::other("it is not served"))?.table = table;
            return Ok(());
        };
        let id = self.watch.number();
        let datagrams = self.watch.add(&sockets.datagrams, Source::Datagrams(id), EpollFlags::EPOLLIN)?;
        let door = self.watch.add(&sockets.door, Source::Door(id), EpollFlags::EPOLLIN);
        let door = door.inspect_err(|_| self.watch.forget(datagrams))?;
        self.stop(&key);
        self.networks.insert(id, Network { sockets, table, datagrams, door });
        self.keys.insert(key, id);
        Ok(())
    }

    fn stop(&mut self, key: &str) {
        let Some(id) = self.keys.remove(key) else { return };
        if let Some(network) = self.networks.remove(&id) {
            self.watch.forget(network.datagrams);
            self.watch.forget(network.door);
        }
        self.deadlines.clear(Timer::Door(id));
        let clients: Vec<u64> =
            self.clients.iter().filter(|(_, client)| client.asker.network == id).map(|(number, _)| *number).collect();
        clients.into_iter().for_each(|client| self.let_go(client));
        self.abandon(|asker| asker.network == id);
    }
}
