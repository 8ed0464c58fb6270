//! Filters against a second reading of the same frames: headers by etherparse, and the tree walked as it stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use capture::filter::{Direction, Expression, Family, Filter, Primitive, Protocol, Resolution};
use etherparse::{Ipv6ExtensionSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::dice::{Dice, Frames, entropy};

pub(crate) fn a_filter_means_what_a_reference_says() {
    let cases = Config::default().cases * 16;
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (entropy(48), entropy(8), entropy(24), any::<bool>());
    let test = |(filter, tags, frame, is_tagged): (Vec<u8>, Vec<u8>, Vec<u8>, bool)| {
        let mut text = Dice::new(&filter).filter();
        let (mut frame, _) = Dice::new(&frame).frame(Frames::Extended);
        if is_tagged {
            frame.splice(12..12, Dice::new(&tags).tags(2));
            text += " or vlan 6 and vlan";
        }
        let filter: Filter = text.parse().expect("it is a filter");
        let facts = Facts::of(&frame);
        let theirs = holds(filter.expression(), &facts);
        prop_assert_eq!(filter.matches(&frame, frame.len()), theirs, "{} of {:02x?}", text, frame);
        Ok(())
    };
    if let Err(error) = runner.run(&strategy, test) {
        panic!("{error}");
    }
}

/// All that a filter can ask for.
#[derive(Debug, Default)]
struct Facts {
    len: usize,
    source: [u8; 6],
    destination: [u8; 6],
    tags: Vec<u16>,
    types: Vec<u16>,
    ethertype: u16,
    addresses: Option<(IpAddr, IpAddr)>,
    protocols: Vec<u8>,
    ports: Option<(u16, u16)>,
}

impl Facts {
    fn of(frame: &[u8]) -> Self {
        let packet = LaxSlicedPacket::from_ethernet(frame).expect("a whole Ethernet header");
        let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link else { panic!("no Ethernet") };
        let mut facts = Facts {
            len: frame.len(),
            source: ethernet.source(),
            destination: ethernet.destination(),
            ethertype: ethernet.ether_type().0,
            ..Facts::default()
        };
        for extension in &packet.link_exts {
            let LaxLinkExtSlice::Vlan(tag) = extension else { continue };
            facts.tags.push(tag.vlan_identifier().value());
            facts.types.push(facts.ethertype);
            facts.ethertype = tag.ether_type().0;
        }
        match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                facts.addresses = Some((header.source_addr().into(), header.destination_addr().into()));
                facts.protocols = vec![header.protocol().0];
                facts.transport(header.fragments_offset().value() == 0, ip.payload().payload);
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                facts.addresses = Some((header.source_addr().into(), header.destination_addr().into()));
                facts.protocols = vec![header.next_header().0];
                let mut is_first = true;
                for extension in ip.extensions().clone() {
                    let next = match extension {
                        Ipv6ExtensionSlice::HopByHop(it)
                        | Ipv6ExtensionSlice::Routing(it)
                        | Ipv6ExtensionSlice::DestinationOptions(it) => it.next_header(),
                        Ipv6ExtensionSlice::Fragment(it) => {
                            is_first &= it.fragment_offset().value() == 0;
                            it.next_header()
                        }
                        Ipv6ExtensionSlice::Authentication(it) => it.next_header(),
                    };
                    facts.protocols.push(next.0);
                    // What stands behind a later fragment's header is no header.
                    if !is_first {
                        break;
                    }
                }
                facts.transport(is_first, ip.payload().payload);
            }
            Some(LaxNetSlice::Arp(arp)) => {
                let ip = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(|ip| IpAddr::V4(Ipv4Addr::from(ip)));
                facts.addresses = ip(arp.sender_protocol_addr()).zip(ip(arp.target_protocol_addr()));
            }
            // (RARP is ARP under another number, RFC 903, which etherparse does not know.)
            None if facts.ethertype == 0x8035 => {
                let start = 14 + 4 * facts.tags.len();
                let ip = |at: usize| <[u8; 4]>::try_from(&frame[start + at..start + at + 4]).map(Ipv4Addr::from);
                facts.addresses = ip(14).ok().zip(ip(24).ok()).map(|(from, to)| (from.into(), to.into()));
            }
            None => {}
        }
        facts
    }

    fn transport(&mut self, is_first: bool, payload: &[u8]) {
        let has_ports = matches!(self.protocols.last(), Some(6 | 17 | 132));
        if let (true, true, [s0, s1, d0, d1, ..]) = (is_first, has_ports, payload) {
            self.ports = Some((u16::from_be_bytes([*s0, *s1]), u16::from_be_bytes([*d0, *d1])));
        }
    }
}

fn holds(expression: &Expression, facts: &Facts) -> bool {
    match expression {
        Expression::Is(primitive) => is(primitive, facts),
        Expression::Not(inner) => !holds(inner, facts),
        Expression::And(left, right) => holds(left, facts) && holds(right, facts),
        Expression::Or(left, right) => holds(left, facts) || holds(right, facts),
    }
}

fn is(primitive: &Primitive, facts: &Facts) -> bool {
    let (is_4, is_6) = (facts.ethertype == 0x0800, facts.ethertype == 0x86dd);
    let carries = |number: u8| facts.protocols.contains(&number);
    match *primitive {
        Primitive::Station { direction, station } => {
            either(direction, station.0 == facts.source, station.0 == facts.destination)
        }
        Primitive::EtherType(ethertype) => facts.ethertype == ethertype || facts.types.contains(&ethertype),
        Primitive::Broadcast => facts.destination == [0xff; 6],
        Primitive::Multicast => facts.destination[0] % 2 == 1,
        Primitive::Vlan(None) => !facts.tags.is_empty(),
        Primitive::Vlan(Some(vid)) => facts.tags.contains(&vid),
        Primitive::Protocol(protocol) => match protocol {
            Protocol::Ip => is_4,
            Protocol::Ip6 => is_6,
            Protocol::Arp => facts.ethertype == 0x0806,
            Protocol::Rarp => facts.ethertype == 0x8035,
            Protocol::Icmp => is_4 && carries(1),
            Protocol::Icmp6 => is_6 && carries(58),
            Protocol::Igmp => is_4 && carries(2),
            Protocol::Tcp => carries(6),
            Protocol::Udp => carries(17),
            Protocol::Sctp => carries(132),
        },
        Primitive::IpProtocol { family, number } => {
            carries(number)
                && match family {
                    None => true,
                    Some(Family::Ip) => is_4,
                    Some(Family::Ip6) => is_6,
                }
        }
        Primitive::GroupOfHosts(family) => facts.addresses.is_some_and(|(_, to)| match family {
            // (Those that are reserved above the groups are among them, as in libpcap.)
            Family::Ip => is_4 && matches!(to, IpAddr::V4(to) if to >= Ipv4Addr::new(224, 0, 0, 0)),
            Family::Ip6 => is_6 && to.is_multicast(),
        }),
        Primitive::Net4 { within, direction, net, prefix } => {
            let is_there = match within {
                None => !is_6,
                Some(Resolution::Ip) => is_4,
                Some(Resolution::Arp) => facts.ethertype == 0x0806,
                Some(Resolution::Rarp) => facts.ethertype == 0x8035,
            };
            is_there && within_net(facts, direction, net.into(), prefix)
        }
        Primitive::Net6 { direction, net, prefix } => within_net(facts, direction, Ipv6Addr::into(net), prefix),
        Primitive::Port { transport, direction, first, last } => facts.ports.is_some_and(|(from, to)| {
            let number = transport.map(|transport| match transport {
                capture::filter::Transport::Tcp => 6,
                capture::filter::Transport::Udp => 17,
                capture::filter::Transport::Sctp => 132,
            });
            let range = first..=last;
            number.is_none_or(carries) && either(direction, range.contains(&from), range.contains(&to))
        }),
        Primitive::Less(len) => facts.len <= len as usize,
        Primitive::Greater(len) => facts.len >= len as usize,
    }
}

fn within_net(facts: &Facts, direction: Direction, net: IpAddr, prefix: u8) -> bool {
    let net = IpNet::new(net, prefix).expect("a prefix length");
    facts.addresses.is_some_and(|(from, to)| either(direction, net.contains(&from), net.contains(&to)))
}

fn either(direction: Direction, source: bool, destination: bool) -> bool {
    match direction {
        Direction::Either => source || destination,
        Direction::Both => source && destination,
        Direction::Source => source,
        Direction::Destination => destination,
    }
}
