//! [`Router`]: what a namespace does with packets that are not its own: whether it passes them on, and under whose address.
//!
//! The rules it keeps, all of them Linux':
//!
//! * Connections are tracked where there is a firewall, and only there: a packet that comes in or begins here belongs to a
//!   known connection, to a new one, or to none. Answers to what left under another address are told apart here, before
//!   anybody asks where they go.
//! * Only the first packet of a connection is asked under which address it leaves; the others, and errors about it, follow.
//! * What passes no rule begins no connection.
//!
//! `forwarding` is the sysctls, `firewall` the rules, `connections` who talks with whom, `tuple` how they are told apart and
//! `rewrite` what changes in a packet. The way of a packet through all of it is in [`crate::forward`].

pub(crate) mod connections;
pub(crate) mod firewall;
pub(crate) mod forwarding;
mod rewrite;
mod statistics;
mod tuple;

use std::net::{Ipv4Addr, SocketAddr};

use switch::time::Instant;

use self::connections::{Connections, Id, Refused, Way, can_begin};
use self::firewall::Firewall;
use self::forwarding::Forwarding;
use self::rewrite::End;
pub use self::statistics::{ForwardDrop, ForwardStatistics};
use self::tuple::Tuple;
use crate::wire::{self, Packet};

/// What makes a router of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Router {
    pub(crate) forwarding: Forwarding,
    pub(crate) firewall: Firewall,
    pub(crate) statistics: ForwardStatistics,
    connections: Connections,
}

/// What a packet is to the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracked {
    /// Nobody asks, or it belongs to none and begins none.
    Nothing,
    /// It is the first of one, unless it is dropped.
    New(Tuple),
    /// It belongs to one.
    Of(Id, Way),
    /// It is an error about a packet of one, and goes the other way.
    Error(Id, Way),
}

impl Tracked {
    /// Whether it is an answer, or anything else that was begun before.
    pub(crate) fn is_known(self) -> bool {
        matches!(self, Tracked::Of(..) | Tracked::Error(..))
    }
}

impl Router {
    /// Finds out what a packet is that has come in or begins here. The answer to what left under another address is for who
    /// sent that.
    pub(crate) fn track(&mut self, packet: &mut Packet, now: Instant) -> Tracked {
        if !self.firewall.is_there() {
            return Tracked::Nothing;
        }
        if let Some(subject) = Tuple::of_error(packet) {
            // The answer to what it is about would go the way that it goes.
            let Some((id, way)) = self.connections.find(&subject.back(), now) else { return Tracked::Nothing };
            if let (Way::Back, Some((own, _))) = (way, self.connections.translated(id)) {
                packet.replace_in_error(End::Destination, own);
            }
            return Tracked::Error(id, way);
        }
        let Some(tuple) = Tuple::of(packet) else { return Tracked::Nothing };
        let flags = flags(packet);
        if let Some((id, way)) = self.connections.find(&tuple, now)
            && self.connections.hear(id, way, flags, now)
        {
            if let (Way::Back, Some((own, _))) = (way, self.connections.translated(id)) {
                packet.replace(End::Destination, own);
            }
            return Tracked::Of(id, way);
        }
        let is_answer = tuple.protocol == wire::ICMP && tuple.source.port() == 0 && tuple.destination.port() != 0;
        if is_answer || flags.is_some_and(|flags| !can_begin(flags)) { Tracked::Nothing } else { Tracked::New(tuple) }
    }

    /// A packet has passed all rules and leaves by an interface that has `address`: under another address, if that is to be.
    pub(crate) fn leave(
        &mut self,
        packet: &mut Packet,
        tracked: Tracked,
        output: &str,
        address: Option<Ipv4Addr>,
        now: Instant,
    ) -> Result<(), Refused> {
        let id = match tracked {
            Tracked::New(tuple) => {
                let own = *tuple.source.ip();
                let source = address.filter(|_| self.firewall.masquerades(own, output)).unwrap_or(own);
                self.connections.begin(tuple, source, flags(packet), now)?
            }
            Tracked::Of(id, Way::There) | Tracked::Error(id, Way::There) => id,
            Tracked::Of(_, Way::Back) | Tracked::Error(_, Way::Back) | Tracked::Nothing => return Ok(()),
        };
        if let Some((_, left_as)) = self.connections.translated(id) {
            match tracked {
                Tracked::Error(..) => packet.replace_in_error(End::Source, left_as),
                Tracked::New(_) | Tracked::Of(..) | Tracked::Nothing => packet.replace(End::Source, left_as),
            }
        }
        Ok(())
    }

    /// A packet is for this namespace itself.
    pub(crate) fn enter(&mut self, packet: &Packet, tracked: Tracked, now: Instant) -> Result<(), Refused> {
        match tracked {
            Tracked::New(tuple) => self.connections.begin(tuple, *tuple.source.ip(), flags(packet), now).map(drop),
            Tracked::Of(..) | Tracked::Error(..) | Tracked::Nothing => Ok(()),
        }
    }

    /// As whom the other side sees who began a TCP connection that crosses here.
    pub(crate) fn seen_as(&mut self, client: SocketAddr, destination: SocketAddr, now: Instant) -> SocketAddr {
        let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (client, destination) else { return client };
        let there = Tuple { protocol: wire::TCP, source, destination };
        let known = self.connections.find(&there, now).and_then(|(id, _)| self.connections.translated(id));
        known.map_or(client, |(_, left_as)| left_as.into())
    }

    /// Whether a packet leaves under another address than its sender's.
    pub(crate) fn has_translated(&mut self, packet: &Packet, now: Instant) -> bool {
        let back = Tuple::of(packet).and_then(|tuple| self.connections.find(&tuple.back(), now));
        back.is_some_and(|(id, way)| way == Way::Back && self.connections.translated(id).is_some())
    }

    /// Nothing is known any more, as after a reboot.
    pub(crate) fn reset(&mut self) {
        *self = Router::default();
    }

    /// How many connections are remembered.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }
}

/// TCP's flags.
fn flags(packet: &Packet) -> Option<u8> {
    (packet.protocol() == wire::TCP).then(|| packet.payload().get(13).copied().unwrap_or_default())
}
