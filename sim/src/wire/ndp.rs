//! [`Ndp`]: who has which IPv6 address (RFC 4861, 4.3 and 4.4).
//!
//! What is not as the standard demands it (7.1) is nothing: a packet that may have crossed a router, for one.

use std::net::Ipv6Addr;

use switch::mac::MacAddr;

use super::{ICMPV6, Packet, ipv6, mac};

/// Type, code, checksum, flags, target.
const HEADER: usize = 24;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
const NONCE: u8 = 14;
/// The unit in which options say how long they are. Ours have one each.
const UNIT: usize = 8;
/// Nobody but a station of the same network can send it.
const HOPS: u8 = 255;

/// What makes one's own question known when it comes back (RFC 3971, 5.3.2).
pub(crate) type Nonce = [u8; 6];

/// A question, or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ndp {
    /// Who has this address?
    Solicitation {
        /// The address.
        target: Ipv6Addr,
        /// Who asks, unless he has no address yet.
        source: Option<MacAddr>,
        nonce: Option<Nonce>,
    },
    /// Who has it.
    Advertisement {
        target: Ipv6Addr,
        /// Whether this answers a question to this one station.
        solicited: bool,
        /// Whether it is to replace what is known.
        overrides: bool,
        station: Option<MacAddr>,
    },
}

impl Packet {
    /// A question or an answer.
    pub(crate) fn ndp(source: Ipv6Addr, destination: Ipv6Addr, ndp: &Ndp) -> Self {
        let (kind, flags, target, options) = match ndp {
            Ndp::Solicitation { target, source, nonce } => {
                let options = [source.map(|mac| (SOURCE_LINK, mac.0)), nonce.map(|nonce| (NONCE, nonce))];
                (SOLICITATION, 0, target, options)
            }
            Ndp::Advertisement { target, solicited, overrides, station } => {
                let flags = u8::from(*solicited) << 6 | u8::from(*overrides) << 5;
                (ADVERTISEMENT, flags, target, [station.map(|mac| (TARGET_LINK, mac.0)), None])
            }
        };
        let options: Vec<(u8, [u8; 6])> = options.into_iter().flatten().collect();
        let mut packet = Packet::new(source.into(), destination.into(), ICMPV6, HEADER + UNIT * options.len());
        packet.ip_mut()[7] = HOPS;
        let icmp = packet.payload_mut();
        icmp[0] = kind;
        icmp[4] = flags;
        icmp[8..24].copy_from_slice(&target.octets());
        for (option, (kind, data)) in icmp[HEADER..].as_chunks_mut::<UNIT>().0.iter_mut().zip(&options) {
            option[..2].copy_from_slice(&[*kind, 1]);
            option[2..].copy_from_slice(data);
        }
        let sum = packet.payload_checksum();
        packet.payload_mut()[2..4].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// Whether this is about neighbours or routers, right or wrong.
    pub(crate) fn is_ndp(&self) -> bool {
        self.is_v6()
            && self.protocol() == ICMPV6
            && self.payload().first().is_some_and(|kind| (133..138).contains(kind))
    }

    /// The question or answer in this packet, if it is one and as it has to be.
    pub(crate) fn as_ndp(&self) -> Option<Ndp> {
        let icmp = self.payload();
        let (header, mut rest) = icmp.split_at_checked(HEADER)?;
        let target = ipv6::address(&header[8..]);
        if !self.is_ndp() || self.ip()[7] != HOPS || header[1] != 0 || self.payload_checksum() != 0 {
            return None;
        }
        let (mut link, mut nonce) = ([None; 2], None);
        while !rest.is_empty() {
            // An option without a length would never end.
            let len = UNIT * usize::from(*rest.get(1)?);
            let (option, others) = rest.split_at_checked(len).filter(|_| len > 0)?;
            match option[0] {
                kind @ (SOURCE_LINK | TARGET_LINK) => link[usize::from(kind - 1)] = Some(mac(&option[2..])),
                NONCE => nonce = option[2..8].try_into().ok(),
                _ => {}
            }
            rest = others;
        }
        let [source, station] = link;
        let is_anonymous = self.source() == Ipv6Addr::UNSPECIFIED;
        if target.is_multicast() {
            return None;
        }
        match header[0] {
            // Who has no address asks the group of the address, and tells no station.
            SOLICITATION if is_anonymous && (source.is_some() || self.destination() != solicited_node(target)) => None,
            SOLICITATION => Some(Ndp::Solicitation { target, source, nonce }),
            ADVERTISEMENT => {
                let (solicited, overrides) = (header[4] & 0x40 != 0, header[4] & 0x20 != 0);
                // What answers all is no answer to one.
                let is_fair = !solicited || !self.destination().is_multicast();
                is_fair.then_some(Ndp::Advertisement { target, solicited, overrides, station })
            }
            _ => None,
        }
    }
}

/// The group of all that have an address which ends as this one (RFC 4291, 2.7.1).
pub(crate) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// Where frames to a group go (RFC 2464, 7).
pub(crate) fn group_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// The address that an interface gives itself (RFC 4291, 2.5.6 and appendix A).
pub(crate) fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, word(a ^ 2, b), word(c, 0xff), word(0xfe, d), word(e, f))
}
