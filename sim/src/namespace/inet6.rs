//! IPv6 in a namespace: whose an address is, the way to it, and neighbours (RFC 4861).
//!
//! The rules it keeps:
//!
//! * It is there on interfaces where it is switched on, and nowhere else.
//! * What is sent to an own address goes through `lo`. Link-local addresses and groups are of one interface, which the scope of
//!   the address says, or the own address of who sends (RFC 4007).
//! * A packet takes as its source an address of the interface that it leaves by: one of the same scope first, then the one that
//!   has most in common with the destination (RFC 6724, 5).
//! * A question for an own address is answered, and who asks is learnt; an answer is learnt if it was asked for, and never that
//!   an own address is another's, even one that is in vain.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;
use switch::mac::MacAddr;
use switch::time::Instant;

use super::{Namespace, Route};
use crate::clock::mix;
use crate::inet6::{ALL_NODES, Inet6, SHORTEST_MTU};
use crate::interface::Kind;
use crate::neighbour::{Certainty, Due};
use crate::socket::SocketError;
use crate::wire::{Ndp, Nonce, Packet, group_mac, solicited_node};

impl Namespace {
    /// Switches IPv6 on or off at an interface, as `disable_ipv6` does.
    pub(crate) fn set_inet6(&mut self, name: &str, on: bool, now: Instant) -> Result<(), SocketError> {
        let chance = mix(self.seed ^ self.interfaces.len() as u64);
        let interface = self.interface(name).ok_or(SocketError::NoSuchDevice)?;
        if on && interface.mtu < SHORTEST_MTU {
            return Err(SocketError::Invalid);
        }
        if on == interface.inet6.is_some() {
            return Ok(());
        }
        interface.inet6 = on.then(|| Inet6::new(chance));
        if !on {
            self.defaults6.retain(|(_, via)| via != name);
        }
        self.begin_inet6(name, now);
        Ok(())
    }

    /// Gives an interface that is on the addresses that follow from what it is.
    pub(super) fn begin_inet6(&mut self, name: &str, now: Instant) {
        let Some(interface) = self.interface(name).filter(|interface| interface.up) else { return };
        let mac = interface.mac;
        let Some(inet6) = &mut interface.inet6 else { return };
        match &interface.kind {
            // It may be there, and nothing else could be wrong with it.
            Kind::Loopback(_) => {
                let _ = inet6.add(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), true, now);
            }
            Kind::Cable(_) => inet6.add_link_local(mac, false, now),
            Kind::Dummy(_) => inet6.add_link_local(mac, true, now),
        }
        self.ask_neighbours(now);
    }

    /// Gives an interface a further address.
    pub(crate) fn add_address6(&mut self, name: &str, net: Ipv6Net, now: Instant) -> Result<(), SocketError> {
        let interface = self.interface(name).ok_or(SocketError::NoSuchDevice)?;
        let alone = !matches!(interface.kind, Kind::Cable(_));
        if !interface.up {
            return Err(SocketError::NetworkDown);
        }
        // Linux, too, says that it may not be done where IPv6 is switched off.
        let inet6 = interface.inet6.as_mut().ok_or(SocketError::NotPermitted)?;
        inet6.add(net, alone, now)?;
        self.ask_neighbours(now);
        Ok(())
    }

    /// Adds a default route by a gateway: one whose own address says nothing of the interface is fine.
    pub(crate) fn add_default_route6(&mut self, next_hop: Ipv6Addr, name: &str) -> Result<(), SocketError> {
        let interface = self.interface(name).ok_or(SocketError::NoSuchDevice)?;
        let inet6 = interface.inet6.as_ref().ok_or(SocketError::NotPermitted)?;
        let is_near = next_hop.is_unicast_link_local() || inet6.addresses().any(|(net, _)| net.contains(&next_hop));
        if !is_near {
            return Err(SocketError::HostUnreachable);
        }
        self.defaults6.push((next_hop, name.to_owned()));
        Ok(())
    }

    /// Whether an address is this namespace's. One that is tentative is nobody's.
    pub(super) fn is_local6(&self, ip: Ipv6Addr) -> bool {
        self.inet6().any(|(_, inet6)| inet6.has(ip))
    }

    /// Whether a packet that came by an interface is for us: a link-local address is its own only.
    pub(super) fn is_for_us6(&self, ip: Ipv6Addr, index: usize) -> bool {
        let Some(inet6) = &self.interfaces[index].inet6 else { return false };
        let is_lo = matches!(self.interfaces[index].kind, Kind::Loopback(_));
        if ip.is_multicast() {
            inet6.is_member(ip)
        } else if ip.is_unicast_link_local() && !is_lo {
            inet6.has(ip)
        } else {
            self.is_local6(ip)
        }
    }

    /// The way to an address: of this scope, if it is link-local or a group.
    pub(crate) fn route6(&self, to: Ipv6Addr, scope: Option<usize>) -> Result<Route, SocketError> {
        if self.inet6().next().is_none() {
            return Err(SocketError::AddressNotAvailable);
        }
        let route = |interface: usize, next_hop: Ipv6Addr, source: Ipv6Addr| Route {
            interface,
            next_hop: next_hop.into(),
            source: source.into(),
        };
        if self.is_local6(to) {
            // Where it is lost if `lo` itself has no IPv6.
            let lo = self.interfaces.iter().position(|each| matches!(each.kind, Kind::Loopback(_)) && each.up);
            return lo.map(|lo| route(lo, to, to)).ok_or(SocketError::NetworkUnreachable);
        }
        let (interface, next_hop) = if to.is_unicast_link_local() || to.is_multicast() {
            let is_lo = |index: &usize| matches!(self.interfaces[*index].kind, Kind::Loopback(_));
            let first = || self.inet6().map(|(index, _)| index).find(|index| !is_lo(index));
            (scope.or_else(first).ok_or(SocketError::NetworkUnreachable)?, to)
        } else {
            let direct = self
                .inet6()
                .flat_map(|(index, inet6)| inet6.addresses().map(move |(net, _)| (index, net)))
                .filter(|(_, net)| net.contains(&to))
                .max_by_key(|(index, net)| (net.prefix_len(), std::cmp::Reverse(*index)));
            let by_default = || {
                self.defaults6.iter().find_map(|(next_hop, name)| {
                    let interface = self.interfaces.iter().position(|each| each.name == *name && each.up)?;
                    Some((interface, *next_hop))
                })
            };
            let found = direct.map(|(index, _)| (index, to)).or_else(by_default);
            found.ok_or(SocketError::NetworkUnreachable)?
        };
        let source = self.source6(interface, to).ok_or(SocketError::AddressNotAvailable)?;
        Ok(route(interface, next_hop, source))
    }

    /// The way of a packet that knows from where it is.
    pub(super) fn route_of6(&self, source: Ipv6Addr, to: Ipv6Addr) -> Result<Route, SocketError> {
        self.route6(to, self.interface_with(source))
    }

    /// The interface whose number this is, which is the scope of its addresses.
    pub(crate) fn interface_of_scope(&self, scope: u32) -> Option<usize> {
        self.interfaces.iter().position(|interface| scope != 0 && interface.scope() == scope)
    }

    /// The interface that has an address.
    pub(crate) fn interface_with(&self, ip: Ipv6Addr) -> Option<usize> {
        self.inet6().find(|(_, inet6)| inet6.has(ip)).map(|(index, _)| index)
    }

    /// What is sent by an interface to an address is from here.
    fn source6(&self, interface: usize, to: Ipv6Addr) -> Option<Ipv6Addr> {
        let inet6 = self.interfaces[interface].inet6.as_ref()?;
        let is_near = to.is_unicast_link_local() || to.is_multicast();
        let in_common = |ip: Ipv6Addr| (u128::from(ip) ^ u128::from(to)).leading_zeros();
        let rank = |ip: &Ipv6Addr| (ip.is_unicast_link_local() == is_near, in_common(*ip));
        inet6.usable().map(|own| own.addr()).max_by_key(rank)
    }

    /// Takes what NDP says by an interface.
    pub(super) fn take_ndp(&mut self, index: usize, packet: &Packet, now: Instant) {
        let IpAddr::V6(source) = packet.source() else { return };
        match packet.as_ndp() {
            Some(Ndp::Solicitation { target, source: station, nonce }) => {
                self.take_solicitation(index, source, target, (station, nonce), now);
            }
            Some(Ndp::Advertisement { target, solicited, overrides, station }) => {
                let Some(inet6) = &mut self.interfaces[index].inet6 else { return };
                if inet6.contest(target, None) || inet6.addresses().any(|(own, _)| own.addr() == target) {
                    return;
                }
                let known = inet6.neighbours.station(target);
                let Some(station) = station.or(known) else { return };
                // Another station than the known one has to insist (RFC 4861, 7.2.5).
                if known.is_none_or(|known| known == station) || overrides {
                    let certainty = if solicited { Certainty::Answer } else { Certainty::Rumour };
                    self.learn6(index, target, station, certainty, now);
                }
            }
            None => {}
        }
    }

    fn take_solicitation(
        &mut self,
        index: usize,
        from: Ipv6Addr,
        target: Ipv6Addr,
        (station, nonce): (Option<MacAddr>, Option<Nonce>),
        now: Instant,
    ) {
        let own = self.interfaces[index].mac;
        let Some(inet6) = &mut self.interfaces[index].inet6 else { return };
        if from.is_unspecified() && inet6.contest(target, nonce) || !inet6.has(target) {
            return;
        }
        let answer = |solicited| Ndp::Advertisement { target, solicited, overrides: true, station: Some(own) };
        if from.is_unspecified() {
            // Who asks has no address yet: all are told, so that he hears it.
            let packet = Packet::ndp(target, ALL_NODES, &answer(false));
            self.interfaces[index].send(packet.into_frame(group_mac(ALL_NODES), own));
            return;
        }
        if let Some(station) = station {
            self.learn6(index, from, station, Certainty::Question, now);
        }
        // Who asks from where no route leads back gets no answer.
        let _ = self.send(Packet::ndp(target, from, &answer(true)), now);
    }

    fn learn6(&mut self, index: usize, ip: Ipv6Addr, station: MacAddr, certainty: Certainty, now: Instant) {
        let interface = &mut self.interfaces[index];
        let mac = interface.mac;
        let Some(inet6) = &mut interface.inet6 else { return };
        for packet in inet6.neighbours.learn(ip, station, certainty, now) {
            interface.send(packet.into_frame(station, mac));
        }
    }

    /// Asks for the neighbours that packets wait for, and for the addresses that interfaces want.
    pub(super) fn ask_neighbours6(&mut self, index: usize, now: Instant) {
        while let Some(due) = self.interfaces[index].inet6.as_mut().and_then(|inet6| inet6.neighbours.due(now)) {
            match due {
                Due::Ask(ip, station) => {
                    let Some(source) = self.source_of_question(index, ip) else { continue };
                    let mac = self.interfaces[index].mac;
                    let question = Ndp::Solicitation { target: ip, source: Some(mac), nonce: None };
                    let (to, station) = match station {
                        Some(station) => (ip, station),
                        None => (solicited_node(ip), group_mac(solicited_node(ip))),
                    };
                    let packet = Packet::ndp(source, to, &question);
                    self.interfaces[index].send(packet.into_frame(station, mac));
                }
                Due::Failed(packets) => {
                    self.unreachable.extend(packets.iter().map(|packet| (packet.destination(), now)));
                }
            }
        }
        while let Some(question) = self.interfaces[index].inet6.as_mut().and_then(|inet6| inet6.due(now)) {
            let Ndp::Solicitation { target, .. } = question else { continue };
            let group = solicited_node(target);
            let interface = &mut self.interfaces[index];
            let packet = Packet::ndp(Ipv6Addr::UNSPECIFIED, group, &question);
            interface.send(packet.into_frame(group_mac(group), interface.mac));
        }
    }

    /// Who asks for a neighbour: an address that is of the same network, so that it knows us afterwards.
    fn source_of_question(&self, index: usize, ip: Ipv6Addr) -> Option<Ipv6Addr> {
        let inet6 = self.interfaces[index].inet6.as_ref()?;
        let near = inet6.usable().find(|own| own.contains(&ip)).map(|own| own.addr());
        near.or_else(|| inet6.link_local()).or_else(|| inet6.usable().map(|own| own.addr()).next())
    }

    /// The interfaces that are on and have IPv6.
    fn inet6(&self) -> impl Iterator<Item = (usize, &Inet6)> + '_ {
        let interfaces = self.interfaces.iter().enumerate().filter(|(_, interface)| interface.up);
        interfaces.filter_map(|(index, interface)| interface.inet6.as_ref().map(|inet6| (index, inet6)))
    }
}
