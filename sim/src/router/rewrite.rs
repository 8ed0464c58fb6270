//! Changes of packets that are not one's own: what stands in a header, and the checksums over it, by as much as it changes
//! (RFC 1624). A packet that somebody has spoilt stays spoilt.

use std::net::SocketAddrV4;

use crate::icmp;
use crate::wire::{self, IPV4, Packet};

/// Which end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

impl Packet {
    /// One hop less to go.
    pub(crate) fn decrement_ttl(&mut self) {
        let ip = self.ip_mut();
        let (old, ttl) = (word(ip, 8), ip[8].saturating_sub(1));
        ip[8] = ttl;
        let new = word(ip, 8);
        amend(ip, 10, old, new);
    }

    /// Replaces an address and its port.
    pub(crate) fn replace(&mut self, end: End, new: SocketAddrV4) {
        let ip = self.ip_mut();
        rewrite(ip, end, new, true);
    }

    /// Replaces an address, in an ICMP error, and the same end's opposite in the packet that it is about.
    pub(crate) fn replace_in_error(&mut self, end: End, new: SocketAddrV4) {
        let Some(subject) = icmp::subject_range(self) else { return };
        let icmp = self.header_len();
        let inner_end = match end {
            End::Source => End::Destination,
            End::Destination => End::Source,
        };
        let ip = self.ip_mut();
        rewrite(ip, end, new, false);
        // The message's own checksum covers what it is about, wherever that begins: at an even byte.
        let before = ip[subject.clone()].to_vec();
        rewrite(&mut ip[subject.clone()], inner_end, new, true);
        for at in (0..before.len() & !1).step_by(2) {
            let now = word(&ip[subject.clone()], at);
            amend(ip, icmp + 2, word(&before, at), now);
        }
    }
}

/// Replaces one end of an IPv4 packet, of which the rest may be missing.
fn rewrite(ip: &mut [u8], end: End, new: SocketAddrV4, with_port: bool) {
    let (header, protocol) = (header_len(ip), ip[9]);
    let (at, port_at) = match end {
        End::Source => (12, 0),
        End::Destination => (16, 2),
    };
    // Where the checksum is, and whether it is over the addresses too.
    let (sum, has_pseudo_header) = match protocol {
        wire::TCP => (Some(header + 16), true),
        wire::UDP => (Some(header + 6), true),
        wire::ICMP => (Some(header + 2), false),
        _ => (None, false),
    };
    // A datagram without a checksum keeps none.
    let sum = sum.filter(|sum| ip.len() >= sum + 2 && !(protocol == wire::UDP && word(ip, *sum) == 0));
    let octets = new.ip().octets();
    for (at, new) in [(at, [octets[0], octets[1]]), (at + 2, [octets[2], octets[3]])] {
        let old = word(ip, at);
        ip[at..at + 2].copy_from_slice(&new);
        amend(ip, 10, old, u16::from_be_bytes(new));
        if let Some(sum) = sum.filter(|_| has_pseudo_header) {
            amend(ip, sum, old, u16::from_be_bytes(new));
        }
    }
    let port_at = match protocol {
        wire::TCP | wire::UDP => header + port_at,
        wire::ICMP => header + 4,
        _ => return,
    };
    if with_port && ip.len() >= port_at + 2 {
        let old = word(ip, port_at);
        ip[port_at..port_at + 2].copy_from_slice(&new.port().to_be_bytes());
        if let Some(sum) = sum {
            amend(ip, sum, old, new.port());
            if protocol == wire::UDP && word(ip, sum) == 0 {
                ip[sum..sum + 2].fill(0xff);
            }
        }
    }
}

fn header_len(ip: &[u8]) -> usize {
    (usize::from(ip[0] & 0x0f) * 4).max(IPV4)
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// A word under a checksum has changed: HC' = ~(~HC + ~m + m') (RFC 1624, 3).
fn amend(bytes: &mut [u8], sum_at: usize, old: u16, new: u16) {
    let mut sum = u32::from(!word(bytes, sum_at)) + u32::from(!old) + u32::from(new);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from(sum).unwrap_or(u16::MAX);
    bytes[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use switch::mac::MacAddr;

    use super::*;
    use crate::wire::Echo;

    const A: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
    const B: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
    const C: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);

    fn datagram(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), data: &[u8]) -> Packet {
        Packet::datagram(from.into(), to.into(), data)
    }

    /// The same packet as if it had been read from a wire: `None` if its header is spoilt.
    fn read(packet: Packet) -> Option<Packet> {
        Packet::from_frame(packet.into_frame(MacAddr::BROADCAST, MacAddr::ZERO))
    }

    #[test]
    fn what_is_rewritten_is_as_if_it_had_been_sent_so() {
        for data in [&b""[..], b"odd", b"even"] {
            let mut packet = datagram((A, 40_000), (C, 53), data);
            packet.replace(End::Source, SocketAddrV4::new(B, 1025));
            assert_eq!(packet.ip(), datagram((B, 1025), (C, 53), data).ip());
            let echo = Echo { reply: false, id: 7, sequence: 9, data: data.to_vec() };
            let mut packet = Packet::echo(A.into(), C.into(), &echo);
            packet.replace(End::Source, SocketAddrV4::new(B, 8));
            assert_eq!(packet.ip(), Packet::echo(B.into(), C.into(), &Echo { id: 8, ..echo }).ip());
        }
    }

    #[test]
    fn a_hop_costs_one_and_the_header_stays_whole() {
        let mut packet = datagram((A, 1), (C, 2), b"x");
        (0..63).for_each(|_| packet.decrement_ttl());
        assert_eq!(read(packet).map(|packet| packet.ip()[8]), Some(1));
    }

    #[test]
    fn an_error_is_rewritten_inside_and_out() {
        let subject = datagram((B, 1025), (C, 53), b"question");
        let mut error = icmp::error([C, B], icmp::PORT_UNREACHABLE, 0, &subject);
        error.replace_in_error(End::Destination, SocketAddrV4::new(A, 40_000));
        let expected = icmp::error([C, A], icmp::PORT_UNREACHABLE, 0, &datagram((A, 40_000), (C, 53), b"question"));
        assert_eq!(error.ip(), expected.ip());
    }

    #[test]
    fn what_was_spoilt_stays_spoilt() {
        let mut packet = datagram((A, 40_000), (C, 53), b"data");
        packet.ip_mut()[30] ^= 1;
        packet.replace(End::Source, SocketAddrV4::new(B, 1025));
        let mut mended = datagram((B, 1025), (C, 53), b"data");
        mended.ip_mut()[30] ^= 1;
        assert_eq!(packet.ip(), mended.ip());
    }
}
