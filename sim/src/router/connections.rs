//! [`Connections`]: which connections cross the host, and under which addresses, as Linux' conntrack has them.
//!
//! The rules it keeps:
//!
//! * A connection is known from its first packet that passes. Both of its directions are known then, the way back as it will
//!   come: to the address and port that the first packet left with.
//! * A port that is used already is replaced by another of the same kind (below 512, below 1024, or not), the next that is
//!   free; where there is none, the packet is dropped.
//! * Silence ends it, after a time that its state says; nothing is to be done for that, it is just not found any more.
//! * There are at most [`LIMIT`]. One more takes the place of one that nobody has answered, or is refused.
//! * TCP's states are followed by its flags, not by its sequence numbers. What begins in the middle is let in, as Linux does
//!   unless it is told otherwise (`nf_conntrack_tcp_loose`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use switch::time::Instant;

use super::tuple::Tuple;
use crate::wire;

/// The most connections at a time: Linux' `nf_conntrack_max` on a small machine.
const LIMIT: usize = 65_536;

/// The number of a connection.
pub(crate) type Id = u64;

/// Which of a connection's directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// As its first packet.
    There,
    Back,
}

/// A connection.
#[derive(Debug)]
struct Connection {
    /// By the way in which packets come in, as they come.
    tuples: [Tuple; 2],
    state: State,
    expires: Instant,
}

/// How far a connection has come, as far as its time depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Neither TCP nor UDP nor an echo.
    Other,
    Echo,
    /// Nobody has answered yet.
    Asked,
    Answered,
    SynSent,
    SynReceived,
    Established,
    /// The sides that have sent their last.
    Closing([bool; 2]),
    Reset,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are too many.
    Full,
    /// No port is left under which it could leave.
    NoPort,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    connections: BTreeMap<Id, Connection>,
    by_tuple: BTreeMap<Tuple, (Id, Way)>,
    next: Id,
    /// How many there may be before those that are over are looked for.
    sweep_at: usize,
}

impl Connections {
    /// The connection that a tuple belongs to, if it is not over.
    pub(crate) fn find(&mut self, tuple: &Tuple, now: Instant) -> Option<(Id, Way)> {
        let (id, way) = *self.by_tuple.get(tuple)?;
        if self.connections.get(&id)?.expires <= now {
            self.forget(id);
            return None;
        }
        Some((id, way))
    }

    /// A packet of a connection passes, with TCP's flags if it has any. False if it begins another, in this one's place.
    pub(crate) fn hear(&mut self, id: Id, way: Way, flags: Option<u8>, now: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        let is_over = matches!(connection.state, State::Reset | State::Closing([true, true]));
        if is_over && way == Way::There && flags.is_some_and(|flags| flags & (SYN | ACK) == SYN) {
            self.forget(id);
            return false;
        }
        connection.state = connection.state.next(way, flags);
        connection.expires = now + connection.state.patience();
        true
    }

    /// A connection begins, whose first packet came with `there` and leaves from `source`, whose port may be another if that
    /// one is used.
    pub(crate) fn begin(
        &mut self,
        there: Tuple,
        source: Ipv4Addr,
        flags: Option<u8>,
        now: Instant,
    ) -> Result<Id, Refused> {
        if self.connections.len() >= self.sweep_at.clamp(64, LIMIT) {
            self.sweep(now);
        }
        if self.connections.len() >= LIMIT && !self.make_room() {
            return Err(Refused::Full);
        }
        let wanted = SocketAddrV4::new(source, there.source.port());
        let leaving = |port: u16| Tuple { source: SocketAddrV4::new(source, port), ..there }.back();
        let mut ports = candidates(wanted.port(), there.protocol);
        let back = ports.find_map(|port| {
            let back = leaving(port);
            self.find(&back, now).is_none().then_some(back)
        });
        let back = back.ok_or(Refused::NoPort)?;
        self.next += 1;
        let (id, state) = (self.next, State::first(there.protocol, flags));
        for (tuple, way) in [(there, Way::There), (back, Way::Back)] {
            self.by_tuple.insert(tuple, (id, way));
        }
        self.connections.insert(id, Connection { tuples: [there, back], state, expires: now + state.patience() });
        Ok(id)
    }

    /// Who began a connection, and under which address and port it left, if that is another.
    pub(crate) fn translated(&self, id: Id) -> Option<(SocketAddrV4, SocketAddrV4)> {
        let [there, back] = self.connections.get(&id)?.tuples;
        (there.source != back.destination).then_some((there.source, back.destination))
    }

    /// How many there are, those that are over not yet found out included.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    fn forget(&mut self, id: Id) {
        for tuple in self.connections.remove(&id).iter().flat_map(|connection| connection.tuples) {
            self.by_tuple.remove(&tuple);
        }
    }

    /// Forgets those that are over. Not before there are twice as many again.
    fn sweep(&mut self, now: Instant) {
        let over: Vec<Id> =
            self.connections.iter().filter(|(_, each)| each.expires <= now).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.forget(id));
        self.sweep_at = self.connections.len() * 2;
    }

    /// Forgets the one of those that nobody has answered which would be over first.
    fn make_room(&mut self) -> bool {
        let unanswered = self.connections.iter().filter(|(_, each)| each.state.is_unanswered());
        let first = unanswered.min_by_key(|(id, each)| (each.expires, **id)).map(|(id, _)| *id);
        first.map(|id| self.forget(id)).is_some()
    }
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Whether the first packet of a connection that we hear of can have these flags.
pub(crate) fn can_begin(flags: u8) -> bool {
    match flags & (SYN | ACK | RST | FIN) {
        SYN | ACK => true,
        _ => flags & (SYN | RST) == 0 && flags & ACK != 0,
    }
}

/// The ports that may stand for one, itself first.
fn candidates(port: u16, protocol: u8) -> impl Iterator<Item = u16> {
    let range = match (protocol, port) {
        (wire::ICMP, _) => 0..=u16::MAX,
        (wire::TCP | wire::UDP, ..512) => 1..=511,
        (wire::TCP | wire::UDP, ..1024) => 600..=1023,
        (wire::TCP | wire::UDP, _) => 1024..=u16::MAX,
        _ => port..=port,
    };
    let (first, last) = range.into_inner();
    std::iter::once(port).chain(port.saturating_add(1).max(first)..=last).chain(first..port)
}

impl State {
    fn first(protocol: u8, flags: Option<u8>) -> Self {
        match (protocol, flags) {
            (wire::TCP, Some(flags)) if flags & SYN != 0 => State::SynSent,
            (wire::TCP, _) => State::Established,
            (wire::UDP, _) => State::Asked,
            (wire::ICMP, _) => State::Echo,
            _ => State::Other,
        }
    }

    fn next(self, way: Way, flags: Option<u8>) -> Self {
        match (self, flags) {
            (State::Asked, _) if way == Way::Back => State::Answered,
            (State::SynSent | State::SynReceived | State::Established | State::Closing(_), Some(flags))
                if flags & RST != 0 =>
            {
                State::Reset
            }
            (State::SynSent, Some(flags)) if way == Way::Back && flags & SYN != 0 => State::SynReceived,
            (State::Reset, Some(flags)) if way == Way::There && flags & (SYN | ACK) == SYN => State::SynSent,
            (State::SynReceived | State::Established, Some(flags)) if flags & FIN != 0 => {
                State::Closing([way == Way::There, way == Way::Back])
            }
            (State::SynReceived, Some(_)) if way == Way::There => State::Established,
            (State::Closing([there, back]), Some(flags)) if flags & FIN != 0 => {
                State::Closing([there | (way == Way::There), back | (way == Way::Back)])
            }
            (same, _) => same,
        }
    }

    fn is_unanswered(self) -> bool {
        matches!(self, State::Asked | State::SynSent | State::SynReceived | State::Echo | State::Other)
    }

    /// How long silence may last: Linux' defaults.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            State::Other => 600,
            State::Echo | State::Asked => 30,
            State::Answered | State::SynSent | State::Closing(_) => 120,
            State::SynReceived => 60,
            State::Established => 432_000,
            State::Reset => 10,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);

    fn tuple(protocol: u8, last: u8, port: u16) -> Tuple {
        let source = SocketAddrV4::new(Ipv4Addr::new(172, 17, 0, last), port);
        Tuple { protocol, source, destination: SocketAddrV4::new(Ipv4Addr::new(10, 200, 0, 2), 80) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn the_way_back_is_to_the_address_that_it_left_with() {
        let mut connections = Connections::default();
        let there = tuple(wire::UDP, 2, 5000);
        let id = connections.begin(there, HOST, None, at(0)).expect("there is room");
        assert_eq!(connections.translated(id), Some((there.source, SocketAddrV4::new(HOST, 5000))));
        let back = Tuple { source: SocketAddrV4::new(HOST, 5000), ..there }.back();
        assert_eq!(connections.find(&back, at(29)), Some((id, Way::Back)));
        assert_eq!(connections.find(&there, at(29)), Some((id, Way::There)));
        assert_eq!(connections.find(&there.back(), at(29)), None);
        assert_eq!(connections.find(&back, at(30)), None, "nobody answered");
        assert_eq!((connections.len(), connections.by_tuple.len()), (0, 0));
    }

    #[test]
    fn two_with_one_port_leave_by_two() {
        let mut connections = Connections::default();
        let ports = |connections: &mut Connections, last, port| {
            let id = connections.begin(tuple(wire::TCP, last, port), HOST, Some(SYN), at(0)).expect("there is room");
            connections.translated(id).map(|(_, left)| left.port())
        };
        assert_eq!(ports(&mut connections, 2, 5000), Some(5000));
        assert_eq!(ports(&mut connections, 3, 5000), Some(5001));
        assert_eq!(ports(&mut connections, 4, 5001), Some(5002));
        assert_eq!(ports(&mut connections, 2, 65_535), Some(65_535));
        assert_eq!(ports(&mut connections, 3, 65_535), Some(1024), "round and round, but not below 1024");
        assert_eq!(ports(&mut connections, 2, 511), Some(511));
        assert_eq!(ports(&mut connections, 3, 511), Some(1));
    }

    #[test]
    fn where_no_port_is_left_there_is_no_connection() {
        let mut connections = Connections::default();
        for last in 1..=255_u8 {
            connections.begin(tuple(wire::TCP, last, 80), HOST, Some(SYN), at(0)).expect("there is room");
        }
        for last in 1..=255_u8 {
            connections.begin(tuple(wire::TCP, last, 81), HOST, Some(SYN), at(0)).expect("there is room");
        }
        connections.begin(tuple(wire::TCP, 1, 82), HOST, Some(SYN), at(0)).expect("the 511th");
        assert_eq!(connections.begin(tuple(wire::TCP, 2, 82), HOST, Some(SYN), at(0)), Err(Refused::NoPort));
        assert!(connections.begin(tuple(wire::TCP, 2, 82), HOST, Some(SYN), at(120)).is_ok(), "they are over");
    }

    #[test]
    fn tcp_is_remembered_for_days_and_its_end_for_two_minutes() {
        let mut connections = Connections::default();
        let there = tuple(wire::TCP, 2, 5000);
        let id = connections.begin(there, HOST, Some(SYN), at(0)).expect("there is room");
        assert!(connections.hear(id, Way::Back, Some(SYN | ACK), at(1)));
        assert!(connections.hear(id, Way::There, Some(ACK), at(2)));
        assert!(connections.find(&there, at(400_000)).is_some());
        assert!(connections.hear(id, Way::There, Some(FIN | ACK), at(400_000)));
        assert!(connections.hear(id, Way::Back, Some(FIN | ACK), at(400_000)));
        assert!(connections.hear(id, Way::There, Some(ACK), at(400_001)));
        assert!(connections.find(&there, at(400_120)).is_some());
        assert!(!connections.hear(id, Way::There, Some(SYN), at(400_120)), "another begins");
        assert_eq!(connections.find(&there, at(400_120)), None);
    }

    #[test]
    fn at_the_bound_who_was_not_answered_makes_room() {
        let mut connections = Connections::default();
        let number = |n: usize| Tuple {
            destination: SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 + n as u32), 80),
            ..tuple(wire::TCP, 2, 5000)
        };
        for n in 0..LIMIT {
            let id = connections.begin(number(n), HOST, Some(SYN), at(0)).expect("there is room");
            if n > 0 {
                connections.hear(id, Way::Back, Some(SYN | ACK), at(0));
                connections.hear(id, Way::There, Some(ACK), at(0));
            }
        }
        assert!(connections.begin(number(LIMIT), HOST, Some(ACK), at(0)).is_ok());
        assert_eq!(connections.find(&number(0), at(0)), None);
        assert_eq!(connections.begin(number(LIMIT + 1), HOST, Some(SYN), at(0)), Err(Refused::Full));
        assert_eq!(connections.len(), LIMIT);
    }

    #[test]
    fn a_reset_begins_nothing_and_an_answer_neither() {
        assert!(can_begin(SYN) && can_begin(ACK) && can_begin(ACK | 0x08) && can_begin(ACK | FIN));
        assert!(!can_begin(SYN | ACK) && !can_begin(RST) && !can_begin(RST | ACK) && !can_begin(FIN) && !can_begin(0));
    }
}
