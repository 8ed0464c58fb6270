//! [`PortMapping`]: a port of the host that stands for a port of a container, as `-p` says it.
//!
//! * `-p [IP:]HOST:PORT[/tcp|udp]`; HOST and PORT may be ranges of one length, `8000-8005:80-85`. Without an IP it is every
//!   address of the host; without a protocol it is TCP.
//! * A container has at most [`MAX_PORTS`] published ports, and no two of them want the same port of the host.
//! * IPv4 only, and the host's port is always said: none is made up.

pub mod clients;

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// The most ports that one container publishes. Each is a socket of the host.
pub const MAX_PORTS: usize = 1024;

/// What is spoken on a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// One port of the host, and the port of the container that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortMapping {
    /// Which address of the host; 0.0.0.0 is every one.
    pub ip: Ipv4Addr,
    /// The port of the host, not 0.
    pub host: u16,
    /// The port of the container, not 0.
    pub container: u16,
    /// What is spoken.
    pub protocol: Protocol,
}

impl PortMapping {
    /// What a value of `-p` means: one mapping, or one for each port of a range, in ascending order.
    ///
    /// # Errors
    /// [`ParsePublishError`], which names the part that is wrong.
    pub fn parse(text: &str) -> Result<Vec<Self>, ParsePublishError> {
        parse(text).map_err(|reason| ParsePublishError { text: text.to_owned(), reason })
    }

    /// The address and port of the host, and the protocol: `0.0.0.0:8080/tcp`.
    #[must_use]
    pub fn host_side(&self) -> String {
        format!("{}:{}/{}", self.ip, self.host, self.protocol)
    }

    /// Whether both want the same port of the host.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let every = Ipv4Addr::UNSPECIFIED;
        self.protocol == other.protocol
            && self.host == other.host
            && (self.ip == other.ip || self.ip == every || other.ip == every)
    }
}

impl fmt::Display for PortMapping {
    /// As `docker ps` has it: `0.0.0.0:8080->80/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}->{}/{}", self.ip, self.host, self.container, self.protocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Checks all the mappings of one container together.
///
/// # Errors
/// If there are more than [`MAX_PORTS`], or two of them overlap.
pub fn check(mappings: &[PortMapping]) -> Result<(), PublishError> {
    if mappings.len() > MAX_PORTS {
        return Err(PublishError::TooMany(mappings.len()));
    }
    // Neighbours in this order are those of one port and protocol; 0.0.0.0 comes first among them.
    let mut sorted = mappings.to_vec();
    sorted.sort_by_key(|mapping| (mapping.protocol, mapping.host, mapping.ip, mapping.container));
    match sorted.windows(2).find(|pair| pair[0].overlaps(&pair[1])) {
        Some(pair) => Err(PublishError::Overlap(pair[0], pair[1])),
        None => Ok(()),
    }
}

/// Why mappings can not be had together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Two want the same port of the host.
    #[error("{0} and {1} overlap: a port of the host is published once")]
    Overlap(PortMapping, PortMapping),
    /// There are too many.
    #[error("{0} published ports are too many: a container has at most {MAX_PORTS}")]
    TooMany(usize),
}

/// Why a value of `-p` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("-p {text}: {reason}")]
pub struct ParsePublishError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: PublishReason,
}

/// What is wrong with a value of `-p`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishReason {
    /// The host's port is not said.
    #[error("the host's port is missing: write HOST:PORT, such as 8080:{0}")]
    NoHostPort(String),
    /// There is nothing where something is expected.
    #[error("the {0} is empty: write [IP:]HOST:PORT[/tcp|udp]")]
    Empty(&'static str),
    /// It is not an address.
    #[error("'{0}' is not an IPv4 address (a host name is none)")]
    Address(String),
    /// It is an address on which nothing can be served.
    #[error("{0} is no address of a host: it is multicast or broadcast")]
    NotHost(Ipv4Addr),
    /// It is an IPv6 address.
    #[error("IPv6 addresses can not be published on: write an IPv4 address, or none")]
    Ipv6,
    /// It is not a number.
    #[error("'{0}' is not a port: a number from 1 to 65535, or a range of two")]
    NotAPort(String),
    /// It is a number, but no port's.
    #[error("port {0} is out of range: 1 to 65535")]
    OutOfRange(String),
    /// A range ends before it begins.
    #[error("the range {0}-{1} is inverted: write {1}-{0}")]
    Inverted(u16, u16),
    /// The ranges of host and container differ in length.
    #[error("{host} ports of the host can not stand for {container} of the container: write ranges of one length")]
    Unequal {
        /// How many ports of the host.
        host: usize,
        /// How many of the container.
        container: usize,
    },
    /// The range is too long.
    #[error("a range of {0} ports is too long: a container has at most {MAX_PORTS}")]
    TooLong(usize),
    /// The protocol is not known.
    #[error("'{0}' is no protocol that can be published: tcp or udp")]
    Protocol(String),
}

fn parse(text: &str) -> Result<Vec<PortMapping>, PublishReason> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol_of(protocol)?),
        None => (text, Protocol::Tcp),
    };
    if ports.starts_with('[') || ports.split(':').count() > 3 {
        return Err(PublishReason::Ipv6);
    }
    let (rest, container) = match ports.rsplit_once(':') {
        Some(split) => split,
        None if ports.is_empty() => return Err(PublishReason::Empty("port")),
        None => return range(ports).and(Err(PublishReason::NoHostPort(ports.to_owned()))),
    };
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (address(ip)?, host),
        // IP::PORT is Docker's way to let it make up a port; IP:PORT looks like it.
        None if rest.parse::<Ipv4Addr>().is_ok() => return Err(PublishReason::NoHostPort(container.to_owned())),
        None => (Ipv4Addr::UNSPECIFIED, rest),
    };
    if host.is_empty() {
        return Err(PublishReason::Empty("host's port"));
    }
    if container.is_empty() {
        return Err(PublishReason::Empty("container's port"));
    }
    let (host, container) = (range(host)?, range(container)?);
    if host.len() != container.len() {
        return Err(PublishReason::Unequal { host: host.len(), container: container.len() });
    }
    if host.len() > MAX_PORTS {
        return Err(PublishReason::TooLong(host.len()));
    }
    Ok(host.zip(container).map(|(host, container)| PortMapping { ip, host, container, protocol }).collect())
}

fn protocol_of(text: &str) -> Result<Protocol, PublishReason> {
    match text {
        "" => Err(PublishReason::Empty("protocol")),
        _ if text.eq_ignore_ascii_case("tcp") => Ok(Protocol::Tcp),
        _ if text.eq_ignore_ascii_case("udp") => Ok(Protocol::Udp),
        _ => Err(PublishReason::Protocol(text.to_owned())),
    }
}

fn address(text: &str) -> Result<Ipv4Addr, PublishReason> {
    let ip: Ipv4Addr = match text.parse() {
        Ok(ip) => ip,
        Err(_) if text.is_empty() => return Err(PublishReason::Empty("address")),
        Err(_) => return Err(PublishReason::Address(text.to_owned())),
    };
    if ip.is_multicast() || ip.is_broadcast() { Err(PublishReason::NotHost(ip)) } else { Ok(ip) }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, PublishReason> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first, text)?, port(last, text)?),
        None => (port(text, text)?, port(text, text)?),
    };
    if first > last { Err(PublishReason::Inverted(first, last)) } else { Ok(first..=last) }
}

/// `within` is what the user will recognise it by.
fn port(text: &str, within: &str) -> Result<u16, PublishReason> {
    // Rust would take a sign.
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(PublishReason::NotAPort(within.to_owned()));
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(PublishReason::OutOfRange(text.to_owned())),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapping(ip: [u8; 4], host: u16, container: u16, protocol: Protocol) -> PortMapping {
        PortMapping { ip: ip.into(), host, container, protocol }
    }

    fn reason(text: &str) -> PublishReason {
        PortMapping::parse(text).expect_err(text).reason
    }

    #[test]
    fn a_plain_mapping_is_tcp_on_every_address() {
        let parsed = PortMapping::parse("8080:80").expect("it is one");
        assert_eq!(parsed, [mapping([0; 4], 8080, 80, Protocol::Tcp)]);
        assert_eq!(parsed[0].to_string(), "0.0.0.0:8080->80/tcp");
        assert_eq!(parsed[0].host_side(), "0.0.0.0:8080/tcp");
    }

    #[test]
    fn address_and_protocol_are_read() {
        let parsed = PortMapping::parse("127.0.0.1:53:5353/udp").expect("it is one");
        assert_eq!(parsed, [mapping([127, 0, 0, 1], 53, 5353, Protocol::Udp)]);
        assert_eq!(PortMapping::parse("1:1/TCP"), PortMapping::parse("1:1"));
    }

    #[test]
    fn a_range_is_a_mapping_for_each_port() {
        let parsed = PortMapping::parse("8000-8002:80-82/udp").expect("it is one");
        let expected = [(8000, 80), (8001, 81), (8002, 82)];
        assert_eq!(parsed, expected.map(|(host, container)| mapping([0; 4], host, container, Protocol::Udp)));
        assert_eq!(PortMapping::parse("65535-65535:1-1").map(|parsed| parsed.len()), Ok(1));
        assert_eq!(PortMapping::parse("1-1024:1-1024").map(|parsed| parsed.len()), Ok(MAX_PORTS));
    }

    #[test]
    fn what_is_wrong_is_said_precisely() {
        use PublishReason as Reason;
        let range = |text: &str| Reason::OutOfRange(text.to_owned());
        let no_port = |text: &str| Reason::NotAPort(text.to_owned());
        let cases = [
            ("", Reason::Empty("port")),
            ("80", Reason::NoHostPort("80".into())),
            ("80-90/udp", Reason::NoHostPort("80-90".into())),
            ("127.0.0.1:80", Reason::NoHostPort("80".into())),
            ("127.0.0.1::80", Reason::Empty("host's port")),
            ("0:80", range("0")),
            ("80:0", range("0")),
            ("65536:80", range("65536")),
            ("80:99999999999999999999", range("99999999999999999999")),
            ("90-80:80-90", Reason::Inverted(90, 80)),
            ("80-90:90-80", Reason::Inverted(90, 80)),
            ("8000-8005:80-84", Reason::Unequal { host: 6, container: 5 }),
            ("8000-8005:80", Reason::Unequal { host: 6, container: 1 }),
            ("1-1025:1-1025", Reason::TooLong(1025)),
            (":80", Reason::Empty("host's port")),
            ("80:", Reason::Empty("container's port")),
            (":80:80", Reason::Empty("address")),
            ("80:80/", Reason::Empty("protocol")),
            ("80:80/sctp", Reason::Protocol("sctp".into())),
            ("80:80/tcp/udp", Reason::Protocol("tcp/udp".into())),
            ("[::1]:80:80", Reason::Ipv6),
            ("::1:80:80", Reason::Ipv6),
            ("localhost:80:80", Reason::Address("localhost".into())),
            ("10.0.0.256:80:80", Reason::Address("10.0.0.256".into())),
            ("[80]:80", Reason::Ipv6),
            ("224.0.0.1:80:80", Reason::NotHost([224, 0, 0, 1].into())),
            ("http:80", no_port("http")),
            ("80:+80", no_port("+80")),
            ("80: 80", no_port(" 80")),
            ("80-:80-", no_port("80-")),
            ("1-2-3:1", no_port("1-2-3")),
        ];
        for (text, expected) in cases {
            assert_eq!(reason(text), expected, "{text}");
        }
        let whole = PortMapping::parse("80").expect_err("no host's port").to_string();
        assert_eq!(whole, "-p 80: the host's port is missing: write HOST:PORT, such as 8080:80");
    }

    #[test]
    fn two_that_want_the_same_port_overlap() {
        let every = mapping([0; 4], 80, 80, Protocol::Tcp);
        let one = mapping([10, 0, 0, 1], 80, 81, Protocol::Tcp);
        let other = mapping([10, 0, 0, 2], 80, 80, Protocol::Tcp);
        let udp = mapping([0; 4], 80, 80, Protocol::Udp);
        assert_eq!(check(&[one, other, udp]), Ok(()));
        assert_eq!(check(&[other, udp, one, every]), Err(PublishError::Overlap(every, one)));
        assert_eq!(check(&[every, every]), Err(PublishError::Overlap(every, every)));
        let many = |count: usize| -> Vec<_> {
            let ports = (1..=u16::MAX).take(count);
            ports.map(|port| mapping([0; 4], port, port, Protocol::Tcp)).collect()
        };
        assert_eq!(check(&many(MAX_PORTS)), Ok(()));
        assert_eq!(check(&many(MAX_PORTS + 1)), Err(PublishError::TooMany(MAX_PORTS + 1)));
        assert_eq!(check(&[every; MAX_PORTS + 1]), Err(PublishError::TooMany(MAX_PORTS + 1)));
    }

    fn any_protocol() -> impl Strategy<Value = Protocol> {
        prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
    }

    proptest! {
        #[test]
        fn reads_what_can_be_written(
            ip in any::<[u8; 4]>().prop_map(Ipv4Addr::from)
                .prop_filter("of a host", |ip| !ip.is_multicast() && !ip.is_broadcast()),
            host in 1..=u16::MAX,
            container in 1..=u16::MAX,
            length in 1..=MAX_PORTS,
            protocol in any_protocol(),
        ) {
            let room = usize::from(u16::MAX - host.max(container)) + 1;
            let more = u16::try_from(length.min(room) - 1).expect("a port");
            let text = format!("{ip}:{host}-{}:{container}-{}/{protocol}", host + more, container + more);
            let parsed = PortMapping::parse(&text).expect("it is one");
            let expected: Vec<_> = (0..=more)
                .map(|each| PortMapping { ip, host: host + each, container: container + each, protocol })
                .collect();
            prop_assert_eq!(&parsed, &expected);
            prop_assert_eq!(check(&parsed), Ok(()));
            let json = serde_json::to_string(&parsed).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Vec<PortMapping>>(&json).expect("mappings"), parsed);
        }

        #[test]
        fn nothing_makes_it_panic(text in "[0-9a-z:/.\\[\\] -]{0,24}") {
            if let Ok(parsed) = PortMapping::parse(&text) {
                prop_assert!((1..=MAX_PORTS).contains(&parsed.len()));
                prop_assert!(parsed.iter().all(|mapping| mapping.host > 0 && mapping.container > 0));
            }
        }

        #[test]
        fn check_finds_every_overlap(
            mappings in prop::collection::vec((0..3_u8, 1..4_u16, 1..3_u16, any_protocol()), 0..6)
        ) {
            let mappings: Vec<PortMapping> = mappings
                .into_iter()
                .map(|(ip, host, container, protocol)| mapping([0, 0, 0, ip], host, container, protocol))
                .collect();
            let overlap = mappings.iter().enumerate().any(|(at, one)| mappings[..at].iter().any(|other| one.overlaps(other)));
            prop_assert_eq!(check(&mappings).is_err(), overlap);
        }
    }
}
