//! Datagrams of UDP (RFC 768).

use std::net::{IpAddr, SocketAddr};

use super::packet::header_len_to;
use super::{Packet, UDP};

pub(crate) const UDP_HEADER: usize = 8;

impl Packet {
    /// A UDP datagram.
    pub(crate) fn datagram(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Self {
        let len = UDP_HEADER + data.len();
        let mut packet = Packet::new(source.ip(), destination.ip(), UDP, len);
        let udp = packet.payload_mut();
        udp[0..2].copy_from_slice(&source.port().to_be_bytes());
        udp[2..4].copy_from_slice(&destination.port().to_be_bytes());
        udp[4..6].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        udp[UDP_HEADER..].copy_from_slice(data);
        // A sum of zero is sent as all ones: zero means "none".
        let sum = match packet.payload_checksum() {
            0 => 0xffff,
            sum => sum,
        };
        packet.payload_mut()[6..8].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// The data of the datagram in this packet, if it is one and whole. Only over IPv4 it may have no checksum.
    pub(crate) fn as_datagram(&self) -> Option<&[u8]> {
        let udp = self.payload();
        let len = usize::from(u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?]));
        let has_none = udp.get(6..8)? == [0, 0] && !self.is_v6();
        let is_whole = self.protocol() == UDP && len == udp.len() && len >= UDP_HEADER;
        (is_whole && (has_none || self.payload_checksum() == 0)).then(|| &udp[UDP_HEADER..])
    }

    /// How long a datagram with this much data is as a packet.
    pub(crate) const fn datagram_len(to: IpAddr, data: usize) -> usize {
        header_len_to(to) + UDP_HEADER + data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switch::mac::MacAddr;

    #[test]
    fn a_datagram_survives_padding_but_not_a_flipped_bit() {
        let ends: [(SocketAddr, SocketAddr); 2] = [
            ("10.0.0.1:53".parse().expect("an address"), "10.0.0.2:1024".parse().expect("an address")),
            ("[fd00::1]:53".parse().expect("an address"), "[fd00::2]:1024".parse().expect("an address")),
        ];
        for (from, to) in ends {
            let mut frame = Packet::datagram(from, to, b"odd").into_frame(MacAddr::BROADCAST, MacAddr::ZERO).bytes;
            frame.resize(90, 0xee);
            let packet = Packet::from_frame(frame.clone().into()).expect("a packet");
            assert_eq!((packet.ends(), packet.as_datagram()), (Some((from, to)), Some(&b"odd"[..])));
            let last = super::super::ETHERNET + packet.ip().len() - 1;
            frame[last] ^= 1;
            let spoilt = Packet::from_frame(frame.into()).expect("a packet");
            assert_eq!(spoilt.as_datagram(), None);
        }
    }
}
