//! [`Program`]: an expression as a list of tests, each of which says which test comes next. What can change nothing any more is
//! passed over.

use super::expression::{Direction, Expression, Family, Primitive, Protocol, Resolution};
use super::headers::{ARP, Depth, Headers, IPV4, IPV6, RARP};

/// The answers, in the place of the number of a test.
const YES: u16 = u16::MAX;
const NO: u16 = u16::MAX - 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    tests: Vec<Test>,
    first: u16,
    depth: Depth,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    is: Primitive,
    if_so: u16,
    if_not: u16,
}

impl Program {
    pub(super) fn compile(expression: &Expression) -> Self {
        let mut program = Program { tests: Vec::new(), first: NO, depth: Depth::Nothing };
        program.first = program.add(expression, YES, NO);
        program
    }

    /// How deep it has to look.
    #[inline]
    pub(super) fn depth(&self) -> Depth {
        self.depth
    }

    #[inline]
    pub(super) fn run(&self, headers: &Headers<'_>) -> bool {
        let mut next = self.first;
        // (A test is followed by one that was added before it: it comes to an end.)
        while let Some(test) = self.tests.get(usize::from(next)) {
            next = if holds(&test.is, headers) { test.if_so } else { test.if_not };
        }
        next == YES
    }

    /// Adds an expression that is followed by these, and gives the number of its first test.
    fn add(&mut self, expression: &Expression, if_so: u16, if_not: u16) -> u16 {
        match expression {
            Expression::Is(primitive) => {
                self.depth = self.depth.max(depth(primitive));
                self.tests.push(Test { is: *primitive, if_so, if_not });
                (self.tests.len() - 1) as u16
            }
            Expression::Not(inner) => self.add(inner, if_not, if_so),
            Expression::And(left, right) => {
                let right = self.add(right, if_so, if_not);
                self.add(left, right, if_not)
            }
            Expression::Or(left, right) => {
                let right = self.add(right, if_so, if_not);
                self.add(left, if_so, right)
            }
        }
    }
}

fn depth(primitive: &Primitive) -> Depth {
    match primitive {
        Primitive::Less(_) | Primitive::Greater(_) => Depth::Nothing,
        Primitive::Protocol(Protocol::Ip | Protocol::Ip6 | Protocol::Arp | Protocol::Rarp)
        | Primitive::Station { .. }
        | Primitive::EtherType(_)
        | Primitive::Broadcast
        | Primitive::Multicast
        | Primitive::Vlan(_)
        | Primitive::GroupOfHosts(_)
        | Primitive::Net4 { .. }
        | Primitive::Net6 { .. } => Depth::Link,
        Primitive::Protocol(
            Protocol::Icmp | Protocol::Icmp6 | Protocol::Igmp | Protocol::Tcp | Protocol::Udp | Protocol::Sctp,
        )
        | Primitive::IpProtocol { .. }
        | Primitive::Port { .. } => Depth::Transport,
    }
}

#[inline]
fn holds(primitive: &Primitive, headers: &Headers<'_>) -> bool {
    match *primitive {
        Primitive::Station { direction, station } => headers.stations.is_some_and(|(destination, source)| {
            directed(direction, Some(source), Some(destination), |address| address == station)
        }),
        Primitive::EtherType(ethertype) => {
            headers.ethertype == Some(ethertype) || headers.tags.iter().flatten().any(|tag| tag.tpid == ethertype)
        }
        Primitive::Broadcast => headers.stations.is_some_and(|(destination, _)| destination.is_broadcast()),
        Primitive::Multicast => headers.stations.is_some_and(|(destination, _)| destination.is_multicast()),
        Primitive::Vlan(None) => headers.tags[0].is_some(),
        Primitive::Vlan(Some(vid)) => headers.tags.iter().flatten().any(|tag| tag.vid() == vid),
        Primitive::Protocol(protocol) => match protocol {
            Protocol::Ip => headers.ethertype == Some(IPV4),
            Protocol::Ip6 => headers.ethertype == Some(IPV6),
            Protocol::Arp => headers.ethertype == Some(ARP),
            Protocol::Rarp => headers.ethertype == Some(RARP),
            Protocol::Icmp => carries(headers, Some(Family::Ip), 1),
            Protocol::Icmp6 => carries(headers, Some(Family::Ip6), 58),
            Protocol::Igmp => carries(headers, Some(Family::Ip), 2),
            Protocol::Tcp => carries(headers, None, 6),
            Protocol::Udp => carries(headers, None, 17),
            Protocol::Sctp => carries(headers, None, 132),
        },
        Primitive::IpProtocol { family, number } => carries(headers, family, number),
        Primitive::GroupOfHosts(Family::Ip) => {
            headers.ethertype == Some(IPV4) && headers.payload.get(16).is_some_and(|first| *first >= 224)
        }
        Primitive::GroupOfHosts(Family::Ip6) => {
            headers.ethertype == Some(IPV6) && headers.payload.get(24) == Some(&0xff)
        }
        Primitive::Net4 { within, direction, net, prefix } => {
            let (source, destination) = match (headers.ethertype, within) {
                (Some(IPV4), None | Some(Resolution::Ip)) => (12, 16),
                // Sender and target of ARP for IPv4 on Ethernet (RFC 826).
                (Some(ARP), None | Some(Resolution::Arp)) | (Some(RARP), None | Some(Resolution::Rarp)) => (14, 24),
                (Some(_) | None, _) => return false,
            };
            let address = |at: usize| field(headers.payload, at).map(u32::from_be_bytes);
            let (mask, net) = (u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0), net.to_bits());
            directed(direction, address(source), address(destination), |address| address & mask == net)
        }
        Primitive::Net6 { direction, net, prefix } => {
            if headers.ethertype != Some(IPV6) {
                return false;
            }
            let address = |at: usize| field(headers.payload, at).map(u128::from_be_bytes);
            let (mask, net) = (u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0), net.to_bits());
            directed(direction, address(8), address(24), |address| address & mask == net)
        }
        Primitive::Port { transport, direction, first, last } => {
            headers.ports.is_some_and(|(protocol, source, destination)| {
                transport.is_none_or(|transport| transport.number() == protocol)
                    && directed(direction, Some(source), Some(destination), |port| (first..=last).contains(&port))
            })
        }
        Primitive::Less(most) => headers.len <= most as usize,
        Primitive::Greater(least) => headers.len >= least as usize,
    }
}

#[inline]
fn carries(headers: &Headers<'_>, family: Option<Family>, number: u8) -> bool {
    let is_family = match family {
        None => true,
        Some(Family::Ip) => headers.ethertype == Some(IPV4),
        Some(Family::Ip6) => headers.ethertype == Some(IPV6),
    };
    is_family && headers.protocols().contains(&number)
}

#[inline]
fn directed<T>(direction: Direction, source: Option<T>, destination: Option<T>, test: impl Fn(T) -> bool) -> bool {
    match direction {
        Direction::Either => source.is_some_and(&test) || destination.is_some_and(&test),
        Direction::Both => source.is_some_and(&test) && destination.is_some_and(&test),
        Direction::Source => source.is_some_and(test),
        Direction::Destination => destination.is_some_and(test),
    }
}

#[inline]
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
