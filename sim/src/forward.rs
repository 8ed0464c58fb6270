//! The way of a packet through a namespace that is not its end, or not its beginning.
//!
//! What comes in by a wire is tracked, and is then for the namespace itself or for somebody else. In the latter case, as on
//! Linux, these are asked in this order: does the interface forward; is the sender possible; may the packet have one more
//! hop; is there a route; does the next link take it; what does the firewall say. What leaves, from here or from somewhere
//! else, is asked under which address last of all.
//!
//! It forwards IPv4. It does not tell senders of better routers (redirects), and does not bound how many errors it sends.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use switch::time::Instant;

use crate::icmp;
use crate::interface::Kind;
use crate::namespace::{Namespace, Route};
use crate::router::connections::Refused;
use crate::router::{ForwardDrop, Tracked};
use crate::wire::Packet;

/// The flag of IPv4 that forbids to fragment, in the seventh byte of the header.
const DONT_FRAGMENT: u8 = 0x40;

impl Namespace {
    /// A packet has come in by a wire, addressed to this station itself or to several.
    pub(crate) fn arrive(&mut self, index: usize, mut packet: Packet, to_us_alone: bool, now: Instant) {
        if packet.is_v6() {
            return self.take_packet(packet, index, now);
        }
        let tracked = self.router.track(&mut packet, now);
        if self.is_for_us(packet.destination()) {
            match self.router.enter(&packet, tracked, now) {
                Ok(()) => self.take_packet(packet, index, now),
                Err(why) => self.drop_forwarded(why.into()),
            }
        } else if to_us_alone && let Err(why) = self.forward(index, packet, tracked, now) {
            self.drop_forwarded(why);
        }
    }

    fn forward(&mut self, index: usize, mut packet: Packet, tracked: Tracked, now: Instant) -> Result<(), ForwardDrop> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (packet.source(), packet.destination()) else {
            return Err(ForwardDrop::NotForwarding);
        };
        if !self.router.forwarding.of(&self.interfaces[index].name) {
            return Err(ForwardDrop::NotForwarding);
        }
        if from.is_unspecified()
            || from.is_loopback()
            || from.is_multicast()
            || self.is_for_us(from.into())
            || to.is_multicast()
        {
            return Err(ForwardDrop::Martian);
        }
        let Ok(route) = self.route(to) else {
            self.complain(icmp::NET_UNREACHABLE, 0, &packet, now);
            return Err(ForwardDrop::NoRoute);
        };
        if packet.ttl() <= 1 {
            self.complain(icmp::TIME_EXCEEDED, 0, &packet, now);
            return Err(ForwardDrop::TimeExceeded);
        }
        let output = &self.interfaces[route.interface];
        if packet.wire_len() > output.mtu as usize {
            if packet.ip()[6] & DONT_FRAGMENT != 0 {
                let mtu = u16::try_from(output.mtu).unwrap_or(u16::MAX);
                self.complain(icmp::FRAGMENTATION_NEEDED, mtu, &packet, now);
            }
            return Err(ForwardDrop::TooLong);
        }
        if !self.router.firewall.lets_pass(&self.interfaces[index].name, &output.name, tracked.is_known()) {
            return Err(ForwardDrop::Firewall);
        }
        packet.decrement_ttl();
        self.masquerade(&mut packet, route, tracked, now)?;
        if packet.vnet.is_gso() {
            packet.begin_checksum();
        }
        self.router.statistics.forwarded += 1;
        self.emit(route, packet, now);
        Ok(())
    }

    /// Lets a packet leave under the address that it is to have.
    pub(crate) fn masquerade(
        &mut self,
        packet: &mut Packet,
        route: Route,
        tracked: Tracked,
        now: Instant,
    ) -> Result<(), ForwardDrop> {
        let output = &self.interfaces[route.interface];
        // `lo` has no address that means anything elsewhere.
        let own = match output.kind {
            Kind::Loopback(_) => None,
            Kind::Cable(_) | Kind::Dummy(_) => {
                let is_beside = |own: &&Ipv4Net| matches!(route.next_hop, IpAddr::V4(hop) if own.contains(&hop));
                let beside = output.addresses.iter().find(is_beside);
                beside.or(output.addresses.first()).map(Ipv4Net::addr)
            }
        };
        Ok(self.router.leave(packet, tracked, &output.name, own, now)?)
    }

    /// Packets that were to be passed on, and for which nobody answers.
    pub(crate) fn give_up(&mut self, packets: impl IntoIterator<Item = Packet>, now: Instant) {
        for packet in packets {
            if !self.is_for_us(packet.source()) || self.router.has_translated(&packet, now) {
                self.drop_forwarded(ForwardDrop::Unreachable);
                self.complain(icmp::HOST_UNREACHABLE, 0, &packet, now);
            }
        }
    }

    /// Tells the sender of a packet what became of it, if it is to be told.
    fn complain(&mut self, kind: icmp::Kind, mtu: u16, packet: &Packet, now: Instant) {
        let Ok(back) = self.route(packet.source()) else { return };
        if let (IpAddr::V4(own), IpAddr::V4(sender)) = (back.source, packet.source())
            && icmp::is_deserved(packet)
        {
            // Whom no route leads to hears nothing.
            let _ = self.send(icmp::error([own, sender], kind, mtu, packet), now);
        }
    }

    pub(crate) fn drop_forwarded(&mut self, why: ForwardDrop) {
        self.router.statistics.drop_for(why);
    }

    /// Whether an address is this namespace's, or that of everybody around it.
    pub(crate) fn is_for_us(&self, ip: IpAddr) -> bool {
        self.is_local(ip) || self.is_broadcast(ip)
    }
}

impl From<Refused> for ForwardDrop {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Full => ForwardDrop::TooManyConnections,
            Refused::NoPort => ForwardDrop::NoPort,
        }
    }
}
