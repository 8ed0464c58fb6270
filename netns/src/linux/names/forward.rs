//! [`Forward`]: a query that was passed on, and what becomes of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand_chacha::rand_core::Rng;
use switch::time::Instant;

use super::PORT;
use super::plan::{Next, Plan};
use super::serve::{Asker, Loop, Timer};
use super::server::{Heard, Try};
use super::watch::Source;
use crate::names::{cut, is_refusal, unavailable};

/// How many queries are passed on at once.
const FORWARDS: usize = 1024;
/// How many of these for one client, so that one whose servers are silent leaves room for others.
const FORWARDS_OF_ONE: usize = 256;

/// A query on its way to other servers.
#[derive(Debug)]
pub(super) struct Forward {
    asker: Asker,
    query: Vec<u8>,
    plan: Plan,
    /// At most three: that is how many tries there are.
    tries: Vec<Try>,
    /// What a server said that could not or would not answer. If no other does, it is the answer.
    refusal: Option<Vec<u8>>,
}

impl Loop {
    /// Passes a query on, if there is room.
    pub(super) fn forward(&mut self, asker: Asker, query: Vec<u8>, now: Instant) {
        let who = asker.who();
        let of_one = self.asking.get(&who).copied().unwrap_or_default();
        if self.forwards.len() >= FORWARDS || of_one >= FORWARDS_OF_ONE {
            self.tally.full.up();
            return self.refuse(asker, &query);
        }
        self.asking.insert(who, of_one + 1);
        let plan = Plan::new(self.servers_of(who).into_iter(), now);
        let id = self.watch.number();
        self.forwards.insert(id, Forward { asker, query, plan, tries: Vec::new(), refusal: None });
        self.ask_next(id, now);
    }

    /// The client's own servers, or the host's, without ourselves.
    fn servers_of(&mut self, (network, client): (u64, Ipv4Addr)) -> Vec<SocketAddr> {
        let own = self.networks.get(&network).and_then(|network| network.table.upstreams.get(&client));
        let servers: Vec<SocketAddr> = match own.filter(|own| !own.is_empty()) {
            Some(own) => own.iter().map(|server| SocketAddr::from((*server, PORT))).collect(),
            None => self.host.servers().to_vec(),
        };
        let is_ours = |server: &SocketAddr| {
            self.networks.values().any(|network| server.ip() == IpAddr::V4(network.sockets.address))
        };
        servers.into_iter().filter(|server| !is_ours(server)).collect()
    }

    /// Does what the plan says: after a try has failed, or when its time is over.
    pub(super) fn ask_next(&mut self, id: u64, now: Instant) {
        while let Some(forward) = self.forwards.get_mut(&id) {
            match forward.plan.next(now) {
                Next::Wait => return self.deadlines.set(Timer::Forward(id), forward.plan.due()),
                Next::GiveUp => return self.give_up(id),
                Next::Ask(server) => {
                    self.deadlines.set(Timer::Forward(id), forward.plan.due());
                    self.tally.tries.up();
                    match self.ask(id, server) {
                        Some(()) => return,
                        None => self.strike(id, server),
                    }
                }
            }
        }
    }

    fn ask(&mut self, id: u64, server: SocketAddr) -> Option<()> {
        let forward = self.forwards.get_mut(&id)?;
        let mut query = forward.query.clone();
        let [high, low, ..] = self.chance.next_u32().to_be_bytes();
        query.get_mut(..2)?.copy_from_slice(&[high, low]);
        let mut asked = Try::start(server, query, forward.asker.transport()).ok()?;
        asked.number = self.watch.add(&asked, Source::Server(id), asked.interest()).ok()?;
        forward.tries.push(asked);
        Some(())
    }

    /// A server has something to say, or its connection has.
    pub(super) fn hear_server(&mut self, id: u64, number: u64, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let Some(at) = forward.tries.iter().position(|asked| asked.number == number) else { return };
        let asked = &mut forward.tries[at];
        let server = asked.server;
        let (heard, strays) = asked.hear(&mut self.buffer);
        self.tally.strays.add(strays);
        match heard {
            Heard::Nothing => {
                // If it fails, the try comes to nothing, and the next one is due in time.
                let _ = self.watch.change(&*asked, number, asked.interest());
            }
            Heard::Answer(answer) if is_refusal(&answer) => {
                forward.refusal = Some(answer);
                self.drop_try(id, at, server, now);
            }
            Heard::Answer(answer) => self.relay(id, answer),
            Heard::Failure => self.drop_try(id, at, server, now),
        }
    }

    fn drop_try(&mut self, id: u64, at: usize, server: SocketAddr, now: Instant) {
        if let Some(forward) = self.forwards.get_mut(&id) {
            let dropped = forward.tries.swap_remove(at);
            self.watch.forget(dropped.number);
        }
        self.strike(id, server);
        self.ask_next(id, now);
    }

    fn strike(&mut self, id: u64, server: SocketAddr) {
        if let Some(forward) = self.forwards.get_mut(&id) {
            forward.plan.strike(server);
        }
    }

    /// Gives the answer of another server to who asked.
    fn relay(&mut self, id: u64, answer: Vec<u8>) {
        let Some(forward) = self.close(id) else { return };
        // (Both have been read before.)
        let Some(answer) = cut(answer, &forward.query, forward.asker.transport()) else { return };
        self.tally.relayed.up();
        self.deliver(forward.asker, &answer);
    }

    fn give_up(&mut self, id: u64) {
        if let Some(refusal) = self.forwards.get_mut(&id).and_then(|forward| forward.refusal.take()) {
            return self.relay(id, refusal);
        }
        if let Some(forward) = self.close(id) {
            self.tally.failed.up();
            self.refuse(forward.asker, &forward.query);
        }
    }

    fn refuse(&mut self, asker: Asker, query: &[u8]) {
        if let Some(answer) = unavailable(query) {
            self.deliver(asker, &answer);
        }
    }

    /// Forgets the queries of those who have gone.
    pub(super) fn abandon(&mut self, gone: impl Fn(&Asker) -> bool) {
        let ids: Vec<u64> =
            self.forwards.iter().filter(|(_, forward)| gone(&forward.asker)).map(|(id, _)| *id).collect();
        for id in ids {
            self.close(id);
            self.tally.abandoned.up();
        }
    }

    fn close(&mut self, id: u64) -> Option<Forward> {
        let forward = self.forwards.remove(&id)?;
        self.deadlines.clear(Timer::Forward(id));
        forward.tries.iter().for_each(|asked| self.watch.forget(asked.number));
        let who = forward.asker.who();
        match self.asking.get_mut(&who) {
            Some(of_one) if *of_one > 1 => *of_one -= 1,
            Some(_) | None => drop(self.asking.remove(&who)),
        }
        Some(forward)
    }
}
