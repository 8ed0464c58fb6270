//! [`Namespace`]: a network namespace, which is interfaces, addresses, routes and sockets.
//!
//! The rules it keeps:
//!
//! * What is sent to an own address or to 127/8 goes through `lo`; everything else by the longest matching prefix.
//! * A packet is taken in at any interface if its destination is an own address (Linux's weak host model), or broadcast. What
//!   becomes of others is in [`crate::forward`].
//! * A packet longer than the interface's MTU is not sent; nothing is fragmented.
//! * IPv6 has rules of its own, which are in a file of its own.
//! * An interface that is switched off loses its routes; switched on again, it has those of its addresses only.

mod inet6;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::task::Waker;
use std::time::Duration;

use ipnet::Ipv4Net;
use netns::lease::DEFAULT_MTU;
use switch::mac::MacAddr;
use switch::time::Instant;

use crate::cable::{CableId, Counters};
use crate::clock::{Clock, Wake};
use crate::interface::{Interface, Kind};
use crate::neighbour::{Certainty, Due};
use crate::offload::Frame;
use crate::path::PathMtus;
use crate::router::Router;
use crate::socket::{Interest, Owner, Ports, Protocol, SocketError};
use crate::stack::Stack;
use crate::wire::{self, Arp, Echo, Packet};

/// How long a packet is on its way through `lo`. Not zero, so that two sockets of one namespace take turns.
const LOOP: Duration = Duration::from_micros(1);
/// How many packets are on their way through `lo`: Linux's netdev_max_backlog.
const BACKLOG: usize = 1000;
/// How many echo replies wait to be taken.
const REPLIES: usize = 64;

/// The number of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamespaceId(pub(crate) u32);

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    id: NamespaceId,
    clock: Clock,
    /// Where what is random in it comes from.
    seed: u64,
    pub(crate) interfaces: Vec<Interface>,
    /// Default routes: the next hop and the name of the interface.
    defaults: Vec<(Ipv4Addr, String)>,
    /// Those of IPv6.
    defaults6: Vec<(Ipv6Addr, String)>,
    looped: VecDeque<(Instant, Packet)>,
    pub(crate) stack: Stack,
    pub(crate) ports: Ports,
    /// Echo replies that came: from where, and which.
    pub(crate) replies: Vec<(IpAddr, Echo)>,
    /// Errors about echo requests that came: from where, and about which.
    pub(crate) errors: Vec<(Ipv4Addr, Echo)>,
    /// Which process has which socket.
    pub(crate) owners: BTreeMap<u64, Owner>,
    /// Who is to be told that a call on a socket has something to say by now.
    pub(crate) waiters: BTreeMap<(u64, Interest), Vec<Waker>>,
    /// When it was last found that nobody has an address.
    pub(crate) unreachable: BTreeMap<IpAddr, Instant>,
    /// What is known of the ways to addresses.
    pub(crate) path_mtus: PathMtus,
    next_wake: Option<Instant>,
    /// What is done with packets of others.
    pub(crate) router: Router,
}

/// Where a packet is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) interface: usize,
    pub(crate) next_hop: IpAddr,
    /// The source address of a packet that says none.
    pub(crate) source: IpAddr,
}

impl Namespace {
    pub(crate) fn new(id: NamespaceId, clock: &Clock, seed: u64) -> Self {
        Namespace {
            id,
            clock: clock.clone(),
            seed,
            interfaces: vec![Interface::loopback()],
            defaults: Vec::new(),
            defaults6: Vec::new(),
            looped: VecDeque::new(),
            stack: Stack::new(seed, 1500),
            ports: Ports::default(),
            replies: Vec::new(),
            errors: Vec::new(),
            owners: BTreeMap::new(),
            waiters: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            path_mtus: PathMtus::default(),
            next_wake: None,
            router: Router::default(),
        }
    }

    pub(crate) fn id(&self) -> NamespaceId {
        self.id
    }

    /// The cable of an interface, if something is on its way from there to the switch.
    pub(crate) fn busy_cable(&self, name: &str) -> Option<CableId> {
        match &self.interfaces.iter().find(|interface| interface.name == name)?.kind {
            Kind::Cable(jack) => (!jack.is_silent()).then(|| jack.switch_end().id()),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        }
    }

    pub(crate) fn interface(&mut self, name: &str) -> Option<&mut Interface> {
        self.interfaces.iter_mut().find(|interface| interface.name == name)
    }

    /// Adds an interface, switches it on and gives it an address.
    pub(crate) fn add(&mut self, mut interface: Interface, address: Ipv4Net) {
        interface.addresses.push(address);
        interface.set_up(true);
        self.interfaces.push(interface);
        self.fit_mtu();
    }

    /// Adds an interface with nothing behind it, as `ip link add type dummy` does.
    pub(crate) fn add_dummy(&mut self, name: &str, address: Ipv4Net) {
        let [a, b, c, d] = address.addr().octets();
        let mac = MacAddr([0x52, 0x54, a, b, c, d]);
        self.add(Interface::new(name, mac, DEFAULT_MTU, Kind::Dummy(Counters::default())), address);
    }

    /// Tells everybody on an interface's network whose its addresses are now, as Linux does with `arp_notify`.
    pub(crate) fn announce(&mut self, name: &str) {
        let Some(interface) = self.interface(name) else { return };
        let own: Vec<Ipv4Addr> = interface.addresses.iter().map(Ipv4Net::addr).collect();
        for ip in own {
            let arp = Arp { reply: false, sender: (interface.mac, ip), target: (MacAddr::ZERO, ip) };
            interface.send(arp.into_frame(MacAddr::BROADCAST));
        }
    }

    /// Deletes an interface, its addresses and its routes.
    pub(crate) fn delete(&mut self, name: &str) {
        self.interfaces.retain(|interface| interface.name != name);
        self.defaults.retain(|(_, via)| via != name);
        self.defaults6.retain(|(_, via)| via != name);
        self.router.forwarding.forget(name);
        self.fit_mtu();
    }

    /// Takes an interface out, as the kernel does when it is to go to another namespace: its addresses and its routes are lost, and it
    /// is switched off.
    pub(crate) fn take_out(&mut self, name: &str) -> Option<Interface> {
        let at = self.interfaces.iter().position(|interface| interface.name == name)?;
        let mut interface = self.interfaces.remove(at);
        interface.set_up(false);
        interface.addresses.clear();
        self.delete(name);
        Some(interface)
    }

    /// Puts an interface in that was taken out elsewhere.
    pub(crate) fn put_in(&mut self, interface: Interface) {
        if let Kind::Cable(jack) = &interface.kind {
            jack.take_to(self.id);
        }
        self.interfaces.push(interface);
        self.fit_mtu();
    }

    pub(crate) fn set_mtu(&mut self, name: &str, mtu: u32) -> Option<()> {
        self.interface(name)?.mtu = mtu;
        self.fit_mtu();
        Some(())
    }

    pub(crate) fn set_link(&mut self, name: &str, up: bool) -> bool {
        let Some(interface) = self.interface(name) else { return false };
        interface.set_up(up);
        if !up {
            self.defaults.retain(|(_, via)| via != name);
            self.defaults6.retain(|(_, via)| via != name);
        }
        self.begin_inet6(name, self.clock.now());
        true
    }

    pub(crate) fn add_default_route(&mut self, next_hop: Ipv4Addr, interface: &str) {
        self.defaults.push((next_hop, interface.to_owned()));
    }

    /// Replaces the default routes, all of them.
    pub(crate) fn set_default_route(&mut self, route: Option<(&str, Ipv4Addr)>) {
        self.defaults = route.map(|(interface, next_hop)| (next_hop, interface.to_owned())).into_iter().collect();
    }

    /// Whether a default route leads out of an interface.
    pub(crate) fn has_default_route_by(&self, name: &str) -> bool {
        self.defaults.iter().any(|(_, via)| via == name) || self.defaults6.iter().any(|(_, via)| via == name)
    }

    /// Gives an interface another name, as `ip link set NAME name OTHER` does.
    pub(crate) fn rename(&mut self, name: &str, other: &str) {
        let defaults =
            self.defaults.iter_mut().map(|(_, via)| via).chain(self.defaults6.iter_mut().map(|(_, via)| via));
        defaults.filter(|via| *via == name).for_each(|via| other.clone_into(via));
        if let Some(interface) = self.interface(name) {
            other.clone_into(&mut interface.name);
        }
    }

    pub(crate) fn default_route(&self) -> Option<Ipv4Addr> {
        self.defaults.first().map(|(next_hop, _)| *next_hop)
    }

    /// Whether an address is this namespace's.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => ip.is_loopback() || self.addresses().any(|(_, own)| own.addr() == ip),
            IpAddr::V6(ip) => self.is_local6(ip),
        }
    }

    /// The way to an address.
    pub(crate) fn route(&self, to: impl Into<IpAddr>) -> Result<Route, SocketError> {
        match to.into() {
            IpAddr::V4(to) => self.route4(to),
            IpAddr::V6(to) => self.route6(to, None),
        }
    }

    /// The way of a packet.
    fn route_of(&self, packet: &Packet) -> Result<Route, SocketError> {
        match (packet.source(), packet.destination()) {
            (IpAddr::V6(source), IpAddr::V6(to)) => self.route_of6(source, to),
            (_, to) => self.route(to),
        }
    }

    /// The way to an address of IPv4, by the longest prefix.
    fn route4(&self, to: Ipv4Addr) -> Result<Route, SocketError> {
        if self.is_local(to.into()) {
            let lo = self.interfaces.iter().position(|each| matches!(each.kind, Kind::Loopback(_)) && each.up);
            let source = if to.is_loopback() { Ipv4Addr::LOCALHOST } else { to };
            return lo
                .map(|interface| Route { interface, next_hop: to.into(), source: source.into() })
                .ok_or(SocketError::NetworkUnreachable);
        }
        let direct = self
            .addresses()
            .filter(|(interface, own)| self.interfaces[*interface].up && own.contains(&to))
            .max_by_key(|(interface, own)| (own.prefix_len(), std::cmp::Reverse(*interface)));
        if let Some((interface, own)) = direct {
            return Ok(Route { interface, next_hop: to.into(), source: own.addr().into() });
        }
        let by_default = self.defaults.iter().find_map(|(next_hop, name)| {
            let interface = self.interfaces.iter().position(|each| each.name == *name && each.up)?;
            let source = self.interfaces[interface].addresses.first()?.addr();
            Some(Route { interface, next_hop: (*next_hop).into(), source: source.into() })
        });
        by_default.ok_or(SocketError::NetworkUnreachable)
    }

    /// Sends a packet that begins here on its way.
    pub(crate) fn send(&mut self, mut packet: Packet, now: Instant) -> Result<(), SocketError> {
        let tracked = self.router.track(&mut packet, now);
        let route = self.route_of(&packet)?;
        let interface = &self.interfaces[route.interface];
        let on_the_way = self.path_mtus.to(packet.destination(), now);
        on_the_way.into_iter().for_each(|mtu| packet.fit(mtu));
        if packet.wire_len() > on_the_way.unwrap_or(usize::MAX).min(interface.mtu as usize) {
            return Err(SocketError::MessageSize);
        }
        let offloads = interface.offloads();
        if let Err(why) = self.masquerade(&mut packet, route, tracked, now) {
            self.drop_forwarded(why);
            return Err(SocketError::NotPermitted);
        }
        if offloads || packet.vnet.is_gso() {
            packet.begin_checksum();
        }
        self.emit(route, packet, now);
        Ok(())
    }

    /// Puts a packet on the wire, or keeps it until its next hop is known.
    pub(crate) fn emit(&mut self, route: Route, packet: Packet, now: Instant) {
        let (len, to) = (packet.ip().len(), packet.destination());
        let is_broadcast = self.is_broadcast(to);
        let interface = &mut self.interfaces[route.interface];
        if matches!(interface.kind, Kind::Loopback(_)) {
            interface.count_loop(len);
            if self.looped.len() < BACKLOG {
                self.looped.push_back((now + LOOP, packet));
            }
            self.wake_at(now + LOOP);
            return;
        }
        let mac = interface.mac;
        if is_broadcast {
            interface.send(packet.into_frame(MacAddr::BROADCAST, mac));
        } else if let IpAddr::V6(group) = to
            && group.is_multicast()
        {
            interface.send(packet.into_frame(wire::group_mac(group), mac));
        } else if matches!(interface.kind, Kind::Dummy(_)) {
            interface.send(packet.into_frame(MacAddr::ZERO, mac));
        } else if let Some((station, packet)) = interface.resolve(route.next_hop, packet, now) {
            interface.send(packet.into_frame(station, mac));
        }
        self.ask_neighbours(now);
    }

    /// Looks what there is to do: frames, packets, timers.
    pub(crate) fn wake(&mut self, now: Instant) {
        if self.next_wake.is_some_and(|at| at <= now) {
            self.next_wake = None;
        }
        for index in 0..self.interfaces.len() {
            let is_silenced = self.router.firewall.silences(&self.interfaces[index].name);
            while let Some(frame) = self.interfaces[index].receive() {
                if is_silenced {
                    continue;
                }
                self.take_frame(index, frame, now);
            }
        }
        while let Some((_, packet)) = self.looped.pop_front_if(|(at, _)| *at <= now) {
            self.take_packet(packet, 0, now);
        }
        self.ask_neighbours(now);
        self.run_stack(now);
    }

    /// Lets the stack work, and sends what it has to say. To be called after every call on a socket.
    pub(crate) fn run_stack(&mut self, now: Instant) {
        self.stack.poll(now);
        for packet in self.joined_output() {
            // TCP tries again, and gives up by itself.
            let _ = self.send(packet, now);
        }
        self.tell_waiters();
        let timeouts = self.interfaces.iter().filter_map(Interface::poll_timeout);
        let looped = self.looped.front().map(|(at, _)| *at);
        let next = timeouts.chain(looped).chain(self.stack.poll_timeout(now)).min();
        if let Some(at) = next {
            // Never at once: what could be done now is done.
            self.wake_at(at.max(now + LOOP));
        }
    }

    /// What the stack has to say, in super-frames where they can be sent.
    fn joined_output(&mut self) -> Vec<Packet> {
        let mut output: Vec<Packet> = Vec::new();
        while let Some(packet) = self.stack.pop() {
            let last = output.iter_mut().rev().find(|other| other.is_of_stream(&packet));
            let joins = |last: &mut Packet| self.offloads(&packet) && last.join(&packet);
            if !last.is_some_and(joins) {
                output.push(packet);
            }
        }
        output
    }

    /// Whether a packet may leave as a super-frame.
    pub(crate) fn offloads(&self, packet: &Packet) -> bool {
        self.route_of(packet).is_ok_and(|route| self.interfaces[route.interface].offloads())
    }

    /// When it was found last, and after `since`, that nobody has this address or the router on the way to it.
    pub(crate) fn is_unreachable(&self, ip: impl Into<IpAddr>, since: Instant) -> bool {
        self.unreachable.get(&ip.into()).is_some_and(|at| *at >= since)
    }

    fn wake_at(&mut self, at: Instant) {
        if self.next_wake.is_none_or(|next| at < next) {
            self.next_wake = Some(at);
            self.clock.wake_at(at, Wake::Namespace(self.id));
        }
    }

    fn take_frame(&mut self, index: usize, frame: Frame, now: Instant) {
        let Frame { bytes: mut frame, mut vnet } = frame;
        let interface = &self.interfaces[index];
        if frame.len() < wire::ETHERNET {
            return;
        }
        let destination = wire::mac(&frame);
        let mac = interface.mac;
        let is_ours = destination == mac || destination.is_multicast();
        let mut ethertype = u16::from_be_bytes([frame[12], frame[13]]);
        if ethertype == wire::TYPE_VLAN && frame.len() >= wire::ETHERNET + 4 {
            // A tag with a priority and no VLAN is as good as none; any other VLAN is somebody else's.
            if u16::from_be_bytes([frame[14], frame[15]]) & 0x0fff != 0 {
                return;
            }
            ethertype = u16::from_be_bytes([frame[16], frame[17]]);
            frame.drain(12..16);
            vnet = vnet.shifted(-4);
        }
        match ethertype {
            wire::TYPE_ARP if is_ours => self.take_arp(index, &frame, now),
            wire::TYPE_IPV4 | wire::TYPE_IPV6 if is_ours => {
                let frame = Frame { bytes: frame, vnet };
                if frame.is_train() {
                    // One that can not be cut is none.
                    let datagrams = frame.cut().unwrap_or_default();
                    datagrams.into_iter().for_each(|datagram| self.take_frame(index, datagram.into(), now));
                    return;
                }
                let Some(packet) = Packet::from_frame(frame) else { return };
                if !packet.source().is_loopback() && !packet.destination().is_loopback() {
                    self.arrive(index, packet, destination == mac, now);
                }
            }
            wire::TYPE_ARP | wire::TYPE_IPV4 | wire::TYPE_IPV6 => {}
            _ => self.interfaces[index].count_unknown(),
        }
    }

    fn take_arp(&mut self, index: usize, frame: &[u8], now: Instant) {
        let Some(arp) = Arp::parse(&frame[wire::ETHERNET..]) else { return };
        let is_for_us = self.addresses().any(|(_, own)| own.addr() == arp.target.1);
        let interface = &mut self.interfaces[index];
        let (mac, (sender_mac, sender)) = (interface.mac, arp.sender);
        if !sender.is_unspecified() && sender_mac != mac {
            let certainty = match (is_for_us, arp.reply) {
                (true, true) => Certainty::Answer,
                (true, false) => Certainty::Question,
                (false, _) => Certainty::Rumour,
            };
            for packet in interface.neighbours.learn(sender, sender_mac, certainty, now) {
                interface.send(packet.into_frame(sender_mac, mac));
            }
        }
        if is_for_us && !arp.reply {
            let reply = Arp { reply: true, sender: (mac, arp.target.1), target: arp.sender };
            interface.send(reply.into_frame(sender_mac));
        }
    }

    pub(crate) fn take_packet(&mut self, packet: Packet, index: usize, now: Instant) {
        let to = packet.destination();
        let local = match to {
            IpAddr::V4(_) => self.is_local(to),
            IpAddr::V6(to) => self.is_for_us6(to, index),
        };
        let scope = self.interfaces[index].scope();
        if packet.is_ndp() {
            // Also what is for addresses that are not ours yet: they may be somebody's already.
            return self.take_ndp(index, &packet, now);
        }
        match packet.protocol() {
            wire::ICMP | wire::ICMPV6 if local => {
                self.take_error(&packet, now);
                self.take_echo(&packet, now);
            }
            wire::UDP if local && to.is_multicast() && !self.expects_datagrams(&packet) => {}
            wire::TCP if to.is_multicast() => {}
            wire::TCP if local => self.stack.push(packet, scope),
            wire::UDP if local => self.stack.push(packet, scope),
            wire::UDP if self.is_broadcast(to) && self.expects_datagrams(&packet) => self.stack.push(packet, scope),
            _ => {}
        }
    }

    /// Whether an address is that of all stations.
    pub(crate) fn is_broadcast(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => ip.is_broadcast() || self.addresses().any(|(_, own)| is_broadcast_of(own, ip)),
            // IPv6 has groups.
            IpAddr::V6(_) => false,
        }
    }

    /// Whether some socket is bound to the port: a broadcast to any other is no error, but nothing.
    fn expects_datagrams(&self, packet: &Packet) -> bool {
        packet.destination_port().is_some_and(|port| self.ports.has(Protocol::Udp, port))
    }

    fn take_echo(&mut self, packet: &Packet, now: Instant) {
        let Some(echo) = packet.as_echo() else { return };
        if echo.reply {
            // Replies that nobody takes do not pile up.
            self.replies.drain(..self.replies.len().saturating_sub(REPLIES));
            self.replies.push((packet.source(), echo));
            return;
        }
        let mut from = packet.destination();
        if from.is_multicast() {
            // A group answers nothing, but each of it does.
            let Ok(route) = self.route(packet.source()) else { return };
            from = route.source;
        }
        let reply = Packet::echo(from, packet.source(), &Echo { reply: true, ..echo });
        // Whoever asked from where no route leads back gets no answer.
        let _ = self.send(reply, now);
    }

    /// Asks for all that is to be asked for by now.
    pub(super) fn ask_neighbours(&mut self, now: Instant) {
        for index in 0..self.interfaces.len() {
            self.ask_neighbours6(index, now);
            while let Some(due) = self.interfaces[index].neighbours.due(now) {
                match due {
                    Due::Ask(ip, station) => {
                        let interface = &mut self.interfaces[index];
                        let own = interface.addresses.iter().find(|own| own.contains(&ip));
                        let source = own.or(interface.addresses.first()).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Net::addr);
                        let arp = Arp { reply: false, sender: (interface.mac, source), target: (MacAddr::ZERO, ip) };
                        interface.send(arp.into_frame(station.unwrap_or(MacAddr::BROADCAST)));
                    }
                    Due::Failed(packets) => {
                        self.unreachable.extend(packets.iter().map(|packet| (packet.destination(), now)));
                        self.give_up(packets, now);
                    }
                }
            }
        }
        self.wake_for_neighbours();
    }

    fn wake_for_neighbours(&mut self) {
        if let Some(at) = self.interfaces.iter().filter_map(Interface::poll_timeout).min() {
            self.wake_at(at);
        }
    }

    fn addresses(&self) -> impl Iterator<Item = (usize, Ipv4Net)> + '_ {
        let interfaces = self.interfaces.iter().enumerate();
        interfaces.flat_map(|(index, interface)| interface.addresses.iter().map(move |address| (index, *address)))
    }

    /// TCP's segments fit every interface.
    fn fit_mtu(&mut self) {
        let wires = self.interfaces.iter().filter(|interface| !matches!(interface.kind, Kind::Loopback(_)));
        self.stack.set_mtu(wires.map(|interface| interface.mtu).min().unwrap_or(65_535));
    }
}

/// Whether `ip` names all stations of the subnet of `own`. Subnets of one or two addresses have no such address.
fn is_broadcast_of(own: Ipv4Net, ip: Ipv4Addr) -> bool {
    own.prefix_len() < 31 && !own.addr().is_loopback() && own.broadcast() == ip
}
