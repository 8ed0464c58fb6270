//! [`Interface`]: a network interface in a namespace, with the counters that Linux would show.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netns::interface::InterfaceInfo;
use switch::mac::MacAddr;
use switch::time::Instant;

use crate::cable::{CableId, Counters, Jack};
use crate::inet6::Inet6;
use crate::neighbour::Neighbours;
use crate::offload::Frame;
use crate::rule::LineId;
use crate::wire::Packet;

/// How many frames a sniffer that nobody reads keeps.
const SNIFFED: usize = 10_000;

/// A network interface.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) addresses: Vec<Ipv4Net>,
    pub(crate) kind: Kind,
    pub(crate) neighbours: Neighbours<Ipv4Addr>,
    /// What it has of IPv6, where that is switched on.
    pub(crate) inet6: Option<Inet6>,
    /// The frames that arrived since somebody looked, once somebody has.
    pub(crate) sniffed: Option<Vec<Vec<u8>>>,
}

/// What is behind an interface.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The namespace itself.
    Loopback(Counters),
    /// A port of the switch, or another host.
    Cable(Jack),
    /// Nothing: what is sent is counted and lost.
    Dummy(Counters),
}

impl Kind {
    /// The number of the cable that is behind it, if one is.
    pub(crate) fn cable(&self) -> Option<CableId> {
        match self {
            Kind::Cable(jack) => Some(jack.id()),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        }
    }

    /// The direction of that cable in which frames come.
    pub(crate) fn line(&self) -> Option<LineId> {
        match self {
            Kind::Cable(jack) => Some(jack.line()),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        }
    }
}

impl Interface {
    pub(crate) fn loopback() -> Self {
        let mut lo = Interface::new("lo", MacAddr::ZERO, 65_536, Kind::Loopback(Counters::default()));
        lo.addresses.push(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8));
        lo.up = true;
        lo
    }

    /// An interface that is switched off and has no address yet.
    pub(crate) fn new(name: &str, mac: MacAddr, mtu: u32, kind: Kind) -> Self {
        Interface {
            name: name.to_owned(),
            mac,
            mtu,
            up: false,
            addresses: Vec::new(),
            kind,
            neighbours: Neighbours::default(),
            inet6: None,
            sniffed: None,
        }
    }

    pub(crate) fn set_up(&mut self, up: bool) {
        self.up = up;
        if !up {
            self.neighbours.clear();
            // Linux keeps addresses of IPv4, and none of IPv6.
            self.inet6.iter_mut().for_each(Inet6::clear);
        }
        if let Kind::Cable(jack) = &self.kind {
            jack.set_up(up);
        }
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        match &mut self.kind {
            Kind::Cable(jack) => jack.send(frame),
            Kind::Loopback(counters) | Kind::Dummy(counters) => {
                counters.tx_packets += 1;
                counters.tx_bytes += frame.bytes.len() as u64;
            }
        }
    }

    /// Whom to send a packet to; `None` if it waits for an answer.
    pub(crate) fn resolve(&mut self, next_hop: IpAddr, packet: Packet, now: Instant) -> Option<(MacAddr, Packet)> {
        match next_hop {
            IpAddr::V4(next_hop) => self.neighbours.resolve(next_hop, packet, now),
            IpAddr::V6(next_hop) => self.inet6.as_mut()?.neighbours.resolve(next_hop, packet, now),
        }
    }

    /// Its number, by which link-local addresses say that they are of it (RFC 4007); 0 if it leads to no switch.
    pub(crate) fn scope(&self) -> u32 {
        self.kind.cable().map_or(0, |cable| cable.0)
    }

    /// When something is to be done for want of an answer.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let inet6 = self.inet6.as_ref().and_then(Inet6::poll_timeout);
        self.neighbours.poll_timeout().into_iter().chain(inet6).min()
    }

    /// Whether super-frames can be sent, and checksums left to others.
    pub(crate) fn offloads(&self) -> bool {
        match &self.kind {
            Kind::Cable(jack) => jack.offloads(),
            Kind::Loopback(_) | Kind::Dummy(_) => false,
        }
    }

    /// The next frame that has arrived.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let Kind::Cable(jack) = &self.kind else { return None };
        let frame = jack.receive()?;
        if let Some(sniffed) = self.sniffed.as_mut().filter(|sniffed| sniffed.len() < SNIFFED) {
            sniffed.push(frame.bytes.clone());
        }
        Some(frame)
    }

    /// A frame came whose EtherType nobody knows. Linux counts it as dropped unless a packet socket took it.
    pub(crate) fn count_unknown(&self) {
        if let (Kind::Cable(jack), None) = (&self.kind, &self.sniffed) {
            jack.count_unknown();
        }
    }

    /// The loopback interface sent itself a packet: both sides count it, without an Ethernet header.
    pub(crate) fn count_loop(&mut self, len: usize) {
        if let Kind::Loopback(counters) = &mut self.kind {
            counters.tx_packets += 1;
            counters.tx_bytes += len as u64;
            counters.rx_packets += 1;
            counters.rx_bytes += len as u64;
        }
    }

    pub(crate) fn info(&self) -> InterfaceInfo {
        let counters = match &self.kind {
            Kind::Loopback(counters) | Kind::Dummy(counters) => *counters,
            Kind::Cable(jack) => jack.counters(),
        };
        InterfaceInfo {
            name: self.name.clone(),
            mac: self.mac,
            mtu: self.mtu,
            up: self.up,
            ipv4: self.addresses.clone(),
            ipv6_count: self.inet6.iter().flat_map(Inet6::addresses).count(),
            rx_packets: counters.rx_packets,
            rx_bytes: counters.rx_bytes,
            rx_dropped: counters.rx_dropped,
            tx_packets: counters.tx_packets,
            tx_bytes: counters.tx_bytes,
            tx_dropped: counters.tx_dropped,
        }
    }
}
