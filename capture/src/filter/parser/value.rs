//! Words and the value behind them: one test.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use switch::mac::MacAddr;

use super::super::FilterError;
use super::super::expression::{Direction, Family, Primitive, Protocol, Resolution, Transport};
use super::super::lexer::{Kind, Token};
use super::error;

/// The words before a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Qualifiers {
    pub(super) subject: Option<Subject>,
    pub(super) direction: Direction,
    /// `None`: a host, or a network, as the value has it.
    pub(super) what: Option<What>,
    /// Where they stand.
    pub(super) at: Range<usize>,
}

/// What they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Ether,
    Protocol(Protocol),
}

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    Vlan,
}

impl Subject {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let protocol = || Protocol::ALL.into_iter().find(|protocol| protocol.name() == word).map(Subject::Protocol);
        if word == "ether" { Some(Subject::Ether) } else { protocol() }
    }

    const fn name(self) -> &'static str {
        match self {
            Subject::Ether => "ether",
            Subject::Protocol(protocol) => protocol.name(),
        }
    }
}

impl What {
    const fn word(self) -> &'static str {
        match self {
            What::Host => "host",
            What::Net => "net",
            What::Port => "port",
            What::PortRange => "portrange",
            What::Proto => "proto",
            What::Vlan => "vlan",
        }
    }
}

impl Qualifiers {
    /// Whether there is anything that these words can be said of.
    pub(super) fn check(&self) -> Result<(), FilterError> {
        use Protocol::{Arp, Ip, Ip6, Rarp, Sctp, Tcp, Udp};
        let word = self.what.map_or("host", What::word);
        let fits = match (self.what.unwrap_or(What::Host), self.subject) {
            (_, None) => true,
            (What::Host | What::Proto, Some(Subject::Ether)) => true,
            (What::Host | What::Net, Some(Subject::Protocol(protocol))) => matches!(protocol, Ip | Ip6 | Arp | Rarp),
            (What::Port | What::PortRange, Some(Subject::Protocol(protocol))) => matches!(protocol, Tcp | Udp | Sctp),
            (What::Proto, Some(Subject::Protocol(protocol))) => matches!(protocol, Ip | Ip6),
            (What::Net | What::Port | What::PortRange, Some(Subject::Ether)) | (What::Vlan, Some(_)) => false,
        };
        if let Some(subject) = self.subject.filter(|_| !fits) {
            return Err(error(&self.at, format!("there is no '{} … {word}'", subject.name())));
        }
        if self.what == Some(What::Proto) && self.direction != Direction::Either {
            return Err(error(&self.at, "a protocol has no source and no destination"));
        }
        Ok(())
    }

    /// The test that they are, with this value.
    pub(super) fn test(&self, token: &Token<'_>, mask: Option<&Token<'_>>) -> Result<Primitive, FilterError> {
        match (self.what, self.subject) {
            (Some(What::Vlan), _) => number(token, "a VLAN", 0, 4095).map(|vid| Primitive::Vlan(Some(vid as u16))),
            (Some(What::Proto), Some(Subject::Ether)) => ethertype(token).map(Primitive::EtherType),
            (Some(What::Proto), subject) => {
                let family = match subject {
                    Some(Subject::Protocol(Protocol::Ip)) => Some(Family::Ip),
                    Some(Subject::Protocol(Protocol::Ip6)) => Some(Family::Ip6),
                    Some(_) | None => None,
                };
                protocol(token).map(|number| Primitive::IpProtocol { family, number })
            }
            (Some(What::Port), _) => self.ports(token, false),
            (Some(What::PortRange), _) => self.ports(token, true),
            (_, Some(Subject::Ether)) => {
                let word = word(token, "a MAC address such as 02:42:ac:12:00:02")?;
                let station = word.parse::<MacAddr>().map_err(|wrong| error(&token.at, wrong.to_string()))?;
                Ok(Primitive::Station { direction: self.direction, station })
            }
            (Some(What::Host), _) => self.address(token, false, None),
            (Some(What::Net), _) => self.address(token, true, mask),
            (None, _) => self.address(token, matches!(token.kind, Kind::Word(word) if word.contains('/')), None),
        }
    }

    fn ports(&self, token: &Token<'_>, is_range: bool) -> Result<Primitive, FilterError> {
        let transport = match self.subject {
            Some(Subject::Protocol(Protocol::Tcp)) => Some(Transport::Tcp),
            Some(Subject::Protocol(Protocol::Udp)) => Some(Transport::Udp),
            Some(Subject::Protocol(Protocol::Sctp)) => Some(Transport::Sctp),
            Some(_) | None => None,
        };
        let direction = self.direction;
        if !is_range {
            let port = number(token, "a port", 0, 65_535)? as u16;
            return Ok(Primitive::Port { transport, direction, first: port, last: port });
        }
        let wrong = || error(&token.at, "two ports are expected here, from 0 to 65535, such as 8000-8080");
        let port = |text: &str| decimal(text).and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong);
        let (first, last) = word(token, "a range of ports")?.split_once('-').ok_or_else(wrong)?;
        let (first, last) = (port(first)?, port(last)?);
        // (As tcpdump has it: which of them comes first does not matter.)
        Ok(Primitive::Port { transport, direction, first: first.min(last), last: first.max(last) })
    }

    fn address(&self, token: &Token<'_>, is_net: bool, mask: Option<&Token<'_>>) -> Result<Primitive, FilterError> {
        let expected = if is_net { "a network such as 10.0.0.0/8" } else { "an IP address" };
        let text = word(token, expected)?;
        let wrong = |message: String| error(&token.at, message);
        let (address, length) = match text.split_once('/') {
            Some(_) if !is_net => return Err(wrong(format!("'{text}' is a network: 'net' is the word for it"))),
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let length = |whole: u8| match length {
            None => Ok(None),
            Some(text) => {
                let length = decimal(text).and_then(|length| u8::try_from(length).ok());
                let length = length.filter(|length| *length <= whole);
                length.map(Some).ok_or_else(|| wrong(format!("'/{text}' is none of the prefix lengths 0 to {whole}")))
            }
        };
        if address.contains(':') {
            let net: Ipv6Addr = address.parse().map_err(|_| wrong(not_an_address(address)))?;
            let prefix = length(128)?.unwrap_or(128);
            return self.net6(net, prefix, token, mask);
        }
        let (net, own) = if is_net { partial(address) } else { address.parse().ok().map(|net| (net, 32)) }
            .ok_or_else(|| wrong(not_an_address(address)))?;
        let prefix = match (length(32)?, mask) {
            (Some(prefix), None) => prefix,
            (None, Some(mask)) => mask_length(mask)?,
            (None, None) => own,
            (Some(_), Some(mask)) => return Err(error(&mask.at, "there is a prefix length already")),
        };
        let within = match self.subject {
            Some(Subject::Protocol(Protocol::Ip)) => Some(Resolution::Ip),
            Some(Subject::Protocol(Protocol::Arp)) => Some(Resolution::Arp),
            Some(Subject::Protocol(Protocol::Rarp)) => Some(Resolution::Rarp),
            Some(Subject::Protocol(Protocol::Ip6)) => return Err(wrong(format!("'{text}' is not of IPv6"))),
            Some(_) | None => None,
        };
        let masked = Ipv4Addr::from_bits(net.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0));
        if masked != net {
            return Err(wrong(format!(
                "{net} has bits set behind the first {prefix}: {masked}/{prefix} is the network"
            )));
        }
        Ok(Primitive::Net4 { within, direction: self.direction, net, prefix })
    }

    fn net6(
        &self,
        net: Ipv6Addr,
        prefix: u8,
        token: &Token<'_>,
        mask: Option<&Token<'_>>,
    ) -> Result<Primitive, FilterError> {
        if let Some(mask) = mask {
            return Err(error(&mask.at, "IPv6 has no masks: a prefix length is the way to say it, such as fd00::/8"));
        }
        if let Some(Subject::Protocol(protocol)) = self.subject.filter(|it| *it != Subject::Protocol(Protocol::Ip6)) {
            return Err(error(&token.at, format!("{} has no addresses of IPv6", protocol.name())));
        }
        let masked = Ipv6Addr::from_bits(net.to_bits() & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0));
        if masked != net {
            let message = format!("{net} has bits set behind the first {prefix}: {masked}/{prefix} is the network");
            return Err(error(&token.at, message));
        }
        Ok(Primitive::Net6 { direction: self.direction, net, prefix })
    }
}

/// A number within bounds, decimal or hexadecimal.
pub(super) fn number(token: &Token<'_>, what: &str, least: u64, most: u64) -> Result<u64, FilterError> {
    let text = word(token, what)?;
    let number = text.strip_prefix("0x").map_or_else(|| decimal(text), |digits| u64::from_str_radix(digits, 16).ok());
    let number = number.filter(|number| (least..=most).contains(number));
    number
        .ok_or_else(|| error(&token.at, format!("'{text}' is not {what}: a number from {least} to {most} is expected")))
}

/// What to say of a word that nobody knows.
pub(super) fn unknown(word: &str) -> String {
    match word {
        "gateway" | "inbound" | "outbound" | "ifname" | "on" | "mpls" | "pppoed" | "pppoes" | "geneve" | "vxlan"
        | "llc" => {
            format!("'{word}' is a word of tcpdump's that is not supported")
        }
        _ => format!("'{word}' is no word of a filter; names are not looked up"),
    }
}

fn ethertype(token: &Token<'_>) -> Result<u16, FilterError> {
    match word(token, "an EtherType such as 0x88cc")?.trim_start_matches('\\') {
        "ip" => Ok(0x0800),
        "arp" => Ok(0x0806),
        "rarp" => Ok(0x8035),
        "ip6" => Ok(0x86dd),
        // (What is smaller is a length, IEEE 802.3.)
        _ => number(token, "an EtherType", 0x0600, 0xffff).map(|ethertype| ethertype as u16),
    }
}

fn protocol(token: &Token<'_>) -> Result<u8, FilterError> {
    match word(token, "a protocol's number")?.trim_start_matches('\\') {
        "icmp" => Ok(1),
        "igmp" => Ok(2),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp6" => Ok(58),
        "sctp" => Ok(132),
        _ => number(token, "a protocol", 0, 255).map(|number| number as u8),
    }
}

fn word<'a>(token: &Token<'a>, expected: &str) -> Result<&'a str, FilterError> {
    match token.kind {
        Kind::Word(word) => Ok(word),
        Kind::Open | Kind::Close | Kind::And | Kind::Or | Kind::Not | Kind::End => {
            Err(error(&token.at, format!("{expected} is expected here")))
        }
    }
}

fn decimal(text: &str) -> Option<u64> {
    // (A sign would do for `parse`.)
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn not_an_address(text: &str) -> String {
    format!("'{text}' is no IP address; names are not looked up")
}

/// A network of IPv4, of which the last bytes may be missing: `10`, `192.168`. And how many bits those that are there have.
fn partial(text: &str) -> Option<(Ipv4Addr, u8)> {
    let mut octets = [0; 4];
    let mut len = 0;
    for part in text.split('.') {
        *octets.get_mut(len)? = decimal(part).and_then(|octet| u8::try_from(octet).ok())?;
        len += 1;
    }
    Some((Ipv4Addr::from(octets), 8 * len as u8))
}

fn mask_length(token: &Token<'_>) -> Result<u8, FilterError> {
    let mask = word(token, "a mask")?.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
    let mask = mask.filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32 || *mask == 0);
    let wrong = || error(&token.at, "a mask such as 255.255.0.0 is expected here: ones, and zeros behind them");
    mask.map(|mask| mask.leading_ones() as u8).ok_or_else(wrong)
}
