//! [`Echo`]: what `ping` sends, by ICMP (RFC 792) and by ICMPv6 (RFC 4443).

use std::net::{IpAddr, Ipv4Addr};

use super::packet::header_len_to;
use super::{ICMP, ICMPV6, Packet, checksum};

const HEADER: usize = 8;

/// An echo request or reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) reply: bool,
    pub(crate) id: u16,
    pub(crate) sequence: u16,
    pub(crate) data: Vec<u8>,
}

/// The types of a request and of a reply.
const V4: [u8; 2] = [8, 0];
const V6: [u8; 2] = [128, 129];

impl Packet {
    /// An echo request, or the reply to one.
    pub(crate) fn echo(source: IpAddr, destination: IpAddr, echo: &Echo) -> Self {
        let (protocol, types) = if destination.is_ipv6() { (ICMPV6, V6) } else { (ICMP, V4) };
        let mut packet = Packet::new(source, destination, protocol, HEADER + echo.data.len());
        let icmp = packet.payload_mut();
        icmp[0] = types[usize::from(echo.reply)];
        icmp[4..6].copy_from_slice(&echo.id.to_be_bytes());
        icmp[6..8].copy_from_slice(&echo.sequence.to_be_bytes());
        icmp[HEADER..].copy_from_slice(&echo.data);
        let sum = packet.icmp_checksum();
        packet.payload_mut()[2..4].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// An ICMP message (RFC 792), whose checksum is filled in.
    pub(crate) fn icmp(source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]) -> Self {
        let mut packet = Packet::new(source.into(), destination.into(), ICMP, message.len());
        packet.payload_mut().copy_from_slice(message);
        packet.payload_mut()[2..4].fill(0);
        let sum = packet.icmp_checksum();
        packet.payload_mut()[2..4].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// The echo in this packet, if it is one and whole.
    pub(crate) fn as_echo(&self) -> Option<Echo> {
        let (protocol, types) = if self.is_v6() { (ICMPV6, V6) } else { (ICMP, V4) };
        let icmp = self.payload();
        if self.protocol() != protocol || icmp.len() < HEADER || icmp[1] != 0 || self.icmp_checksum() != 0 {
            return None;
        }
        let reply = types.iter().position(|known| *known == icmp[0])? == 1;
        let id = u16::from_be_bytes([icmp[4], icmp[5]]);
        let sequence = u16::from_be_bytes([icmp[6], icmp[7]]);
        Some(Echo { reply, id, sequence, data: icmp[HEADER..].to_vec() })
    }

    /// ICMP's checksum is over the message alone, ICMPv6's over the pseudo-header as well.
    pub(super) fn icmp_checksum(&self) -> u16 {
        if self.is_v6() { self.payload_checksum() } else { checksum(self.payload(), 0) }
    }

    /// How long an echo with this much data is as a packet.
    pub(crate) const fn echo_len(to: IpAddr, data: usize) -> usize {
        header_len_to(to) + HEADER + data
    }
}

#[cfg(test)]
mod tests {
    use switch::mac::MacAddr;

    use super::*;
    use crate::wire::ETHERNET;

    #[test]
    fn an_echo_survives_padding_but_not_a_flipped_bit() {
        let echo = Echo { reply: false, id: 7, sequence: 1, data: b"odd".to_vec() };
        for [a, b] in [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]] {
            let (a, b): (IpAddr, IpAddr) = (a.parse().expect("an address"), b.parse().expect("an address"));
            let packet = Packet::echo(a, b, &echo);
            let at = ETHERNET + packet.header_len() + 1;
            let mut frame = packet.into_frame(MacAddr::BROADCAST, MacAddr::ZERO).bytes;
            frame.resize(80, 0xee);
            let packet = Packet::from_frame(frame.clone().into()).expect("a packet");
            assert_eq!((packet.source(), packet.destination(), packet.as_echo()), (a, b, Some(echo.clone())));
            frame[at] ^= 1;
            assert_eq!(Packet::from_frame(frame.into()).and_then(|packet| packet.as_echo()), None);
        }
    }
}
