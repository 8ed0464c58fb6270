//! [`Expression`]: a filter as a tree, which prints as a text that is read as the same tree.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use switch::mac::MacAddr;

/// A filter as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// One test.
    Is(Primitive),
    /// The other way round.
    Not(Box<Expression>),
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// One of them, or both.
    Or(Box<Expression>, Box<Expression>),
}

/// One test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// The station that a frame comes from or goes to.
    Station {
        /// Which of the two.
        direction: Direction,
        /// Its address.
        station: MacAddr,
    },
    /// The EtherType, or the type of a tag.
    EtherType(u16),
    /// To all stations.
    Broadcast,
    /// To a group of stations, or all.
    Multicast,
    /// Tagged; with this VLAN in one of the tags.
    Vlan(Option<u16>),
    /// What is in it.
    Protocol(Protocol),
    /// The protocol in an IP header.
    IpProtocol {
        /// In which; `None`: either.
        family: Option<Family>,
        /// Its number.
        number: u8,
    },
    /// To a group of hosts.
    GroupOfHosts(Family),
    /// An IPv4 address within a network.
    Net4 {
        /// Where it is looked for; `None`: in IPv4, ARP and RARP.
        within: Option<Resolution>,
        /// Which of the two.
        direction: Direction,
        /// The network.
        net: Ipv4Addr,
        /// How many of its bits count.
        prefix: u8,
    },
    /// An IPv6 address within a network.
    Net6 {
        /// Which of the two.
        direction: Direction,
        /// The network.
        net: Ipv6Addr,
        /// How many of its bits count.
        prefix: u8,
    },
    /// A port, from the first to the last.
    Port {
        /// Of what; `None`: TCP, UDP and SCTP.
        transport: Option<Transport>,
        /// Which of the two.
        direction: Direction,
        /// The first.
        first: u16,
        /// The last.
        last: u16,
    },
    /// At most so many bytes.
    Less(u32),
    /// At least so many bytes.
    Greater(u32),
}

/// Which of source and destination is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// One of them, or both.
    #[default]
    Either,
    /// Both.
    Both,
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// What can be in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called what they are")]
pub enum Protocol {
    Ip,
    Ip6,
    Arp,
    Rarp,
    Icmp,
    Icmp6,
    Igmp,
    Tcp,
    Udp,
    Sctp,
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

/// Where an IPv4 address can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// In the header of IPv4.
    Ip,
    /// In ARP: sender and target.
    Arp,
    /// In RARP.
    Rarp,
}

/// What has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called what they are")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 10] = [
        Protocol::Ip,
        Protocol::Ip6,
        Protocol::Arp,
        Protocol::Rarp,
        Protocol::Icmp,
        Protocol::Icmp6,
        Protocol::Igmp,
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Sctp,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Ip => "ip",
            Protocol::Ip6 => "ip6",
            Protocol::Arp => "arp",
            Protocol::Rarp => "rarp",
            Protocol::Icmp => "icmp",
            Protocol::Icmp6 => "icmp6",
            Protocol::Igmp => "igmp",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl Family {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
        }
    }
}

impl Resolution {
    const fn name(self) -> &'static str {
        match self {
            Resolution::Ip => "ip",
            Resolution::Arp => "arp",
            Resolution::Rarp => "rarp",
        }
    }
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        }
    }

    /// Its number in an IP header.
    pub(super) const fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
        }
    }
}

impl Direction {
    const fn words(self) -> &'static str {
        match self {
            Direction::Either => "",
            Direction::Both => "src and dst ",
            Direction::Source => "src ",
            Direction::Destination => "dst ",
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // (Both bind from the left: what stands there needs no brackets.)
        match self {
            Expression::Is(primitive) => primitive.fmt(f),
            Expression::Not(inner) => write!(f, "not {}", Bracketed(inner)),
            Expression::And(left, right) => write!(f, "{left} and {}", Bracketed(right)),
            Expression::Or(left, right) => write!(f, "{left} or {}", Bracketed(right)),
        }
    }
}

/// An expression in brackets, if it needs them.
struct Bracketed<'a>(&'a Expression);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expression::Is(_) | Expression::Not(_) => self.0.fmt(f),
            Expression::And(..) | Expression::Or(..) => write!(f, "({})", self.0),
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Primitive::Station { direction, station } => write!(f, "ether {}host {station}", direction.words()),
            Primitive::EtherType(ethertype) => write!(f, "ether proto {ethertype:#06x}"),
            Primitive::Broadcast => f.write_str("ether broadcast"),
            Primitive::Multicast => f.write_str("ether multicast"),
            Primitive::Vlan(None) => f.write_str("vlan"),
            Primitive::Vlan(Some(vid)) => write!(f, "vlan {vid}"),
            Primitive::Protocol(protocol) => f.write_str(protocol.name()),
            Primitive::IpProtocol { family, number } => {
                put(f, family.map(Family::name))?;
                write!(f, "proto {number}")
            }
            Primitive::GroupOfHosts(family) => write!(f, "{} multicast", family.name()),
            Primitive::Net4 { within, direction, net, prefix } => {
                put(f, within.map(Resolution::name))?;
                network(f, direction, &net, prefix, 32)
            }
            Primitive::Net6 { direction, net, prefix } => network(f, direction, &net, prefix, 128),
            Primitive::Port { transport, direction, first, last } => {
                put(f, transport.map(Transport::name))?;
                f.write_str(direction.words())?;
                if first == last { write!(f, "port {first}") } else { write!(f, "portrange {first}-{last}") }
            }
            Primitive::Less(len) => write!(f, "less {len}"),
            Primitive::Greater(len) => write!(f, "greater {len}"),
        }
    }
}

fn put(f: &mut fmt::Formatter<'_>, word: Option<&str>) -> fmt::Result {
    word.map_or(Ok(()), |word| write!(f, "{word} "))
}

fn network(
    f: &mut fmt::Formatter<'_>,
    direction: Direction,
    net: &dyn fmt::Display,
    prefix: u8,
    whole: u8,
) -> fmt::Result {
    f.write_str(direction.words())?;
    if prefix == whole { write!(f, "host {net}") } else { write!(f, "net {net}/{prefix}") }
}
