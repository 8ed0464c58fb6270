//! [`SuperFrame`]: TCP and UDP over IPv4 and IPv6, with tags, options, extension headers, flags and sizes of all kinds.

use proptest::prelude::*;
use switch::offload::checksum::Sum;
use switch::vnet::{GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

use super::super::veth::{FAR, NEAR};

/// What it is, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

pub(super) const KINDS: [Kind; 4] = [Kind::Tcp4, Kind::Tcp6, Kind::Udp4, Kind::Udp6];

impl Kind {
    pub(super) fn is_tcp(self) -> bool {
        matches!(self, Kind::Tcp4 | Kind::Tcp6)
    }

    fn is_v4(self) -> bool {
        matches!(self, Kind::Tcp4 | Kind::Udp4)
    }
}

/// A super-frame as a container's kernel could give it.
#[derive(Clone, Debug)]
pub(super) struct SuperFrame {
    pub(super) kind: Kind,
    tags: usize,
    /// Words of options behind the IPv4 header, or units of eight bytes of extension headers behind that of IPv6.
    ip_extra: usize,
    /// Words of TCP options.
    pub(super) tcp_options: usize,
    /// The class of traffic, ECN in its last two bits.
    traffic_class: u8,
    identification: u16,
    fragment_bits: u16,
    sequence: u32,
    tcp_flags: u8,
    has_ecn_bit: bool,
    size: u16,
    pub(super) payload: Vec<u8>,
}

impl SuperFrame {
    /// One without anything that it need not have, in segments of 1,000 bytes.
    pub(super) fn plain(kind: Kind, payload: Vec<u8>) -> SuperFrame {
        SuperFrame {
            kind,
            tags: 0,
            ip_extra: 0,
            tcp_options: 0,
            traffic_class: 0,
            identification: 0xfffe,
            fragment_bits: 0x4000,
            sequence: 0xffff_ff00,
            tcp_flags: 0x10,
            has_ecn_bit: false,
            size: 1_000,
            payload,
        }
    }

    pub(super) fn any() -> impl Strategy<Value = SuperFrame> {
        let kind = prop::sample::select(&KINDS[..]);
        // At most 125 segments, as many as wait in a ring.
        let payload = (48..1_460_u16, 1..=120_usize, any::<u16>()).prop_flat_map(|(size, segments, rest)| {
            let len = (usize::from(size) * segments).saturating_sub(usize::from(rest % size)).clamp(1, 60_000);
            (Just(size), prop::collection::vec(any::<u8>(), len))
        });
        let headers = (kind, 0..=2_usize, 0..=10_usize, 0..=10_usize, any::<u8>());
        let fields = (any::<u16>(), any::<bool>(), any::<u32>(), any::<u8>(), any::<bool>());
        (headers, fields, payload).prop_map(|(headers, fields, (size, payload))| {
            let (kind, tags, ip_extra, tcp_options, traffic_class) = headers;
            let (identification, may_be_cut, sequence, tcp_flags, has_ecn_bit) = fields;
            let fragment_bits = if may_be_cut { 0 } else { 0x4000 };
            // SYN and RST are no super-frame's, and ACK is every one's.
            let tcp_flags = tcp_flags & !0x06 | 0x10;
            let has_ecn_bit = has_ecn_bit && kind.is_tcp();
            SuperFrame {
                kind,
                tags,
                ip_extra,
                tcp_options,
                traffic_class,
                identification,
                fragment_bits,
                sequence,
                tcp_flags,
                has_ecn_bit,
                size,
                payload,
            }
        })
    }

    pub(super) fn vnet(&self) -> VnetHeader {
        let gso_type = match self.kind {
            Kind::Tcp4 => GSO_TCPV4,
            Kind::Tcp6 => GSO_TCPV6,
            Kind::Udp4 | Kind::Udp6 => GSO_UDP_L4,
        };
        let csum_start = self.transport_start();
        VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: gso_type | if self.has_ecn_bit { GSO_ECN } else { 0 },
            hdr_len: (csum_start + self.transport_len()) as u16,
            gso_size: self.size,
            csum_start: csum_start as u16,
            csum_offset: if self.kind.is_tcp() { 16 } else { 6 },
        }
    }

    fn transport_len(&self) -> usize {
        if self.kind.is_tcp() { 20 + 4 * self.tcp_options } else { 8 }
    }

    fn transport_start(&self) -> usize {
        14 + 4 * self.tags + if self.kind.is_v4() { 20 + 4 * self.ip_extra } else { 40 + self.extensions().1.len() }
    }

    /// Hop-by-hop options and destination options, or one of them, or a routing header that is used up; and what the first is.
    fn extensions(&self) -> (u8, Vec<u8>) {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const DESTINATION: u8 = 60;
        let transport = if self.kind.is_tcp() { 6 } else { 17 };
        // PadN fills each of them.
        let options = |next: u8, units: usize| {
            let len = 8 * units;
            let mut header = vec![0; len];
            header[..4].copy_from_slice(&[next, (units - 1) as u8, 1, (len - 4) as u8]);
            header
        };
        match self.ip_extra {
            0 => (transport, Vec::new()),
            1 => (DESTINATION, options(transport, 1)),
            2 => (HOP_BY_HOP, options(transport, 2)),
            3 => (ROUTING, [&[transport, 2, 4, 0, 0, 0, 0, 0][..], &[0xfd; 16]].concat()),
            units => (HOP_BY_HOP, [options(DESTINATION, 1), options(transport, units - 1)].concat()),
        }
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = [NEAR, FAR].concat();
        for tag in 0..self.tags {
            frame.extend_from_slice(if tag + 1 == self.tags { &[0x81, 0x00, 0x60, 5] } else { &[0x88, 0xa8, 0, 9] });
        }
        let transport_len = self.transport_len() + self.payload.len();
        let protocol: u8 = if self.kind.is_tcp() { 6 } else { 17 };
        let addresses = if self.kind.is_v4() {
            let header_len = 20 + 4 * self.ip_extra;
            let mut header = vec![0; header_len];
            header[0] = 0x40 | (header_len / 4) as u8;
            header[1] = self.traffic_class;
            header[2..4].copy_from_slice(&((header_len + transport_len) as u16).to_be_bytes());
            header[4..6].copy_from_slice(&self.identification.to_be_bytes());
            header[6..8].copy_from_slice(&self.fragment_bits.to_be_bytes());
            header[8] = 64;
            header[9] = protocol;
            header[12..20].copy_from_slice(&[10, 77, 0, 2, 10, 77, 0, 1]);
            // (No operation, and an end.)
            header[20..].fill(1);
            let sum = Sum::default().bytes(&header).finish();
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend_from_slice(&[0x08, 0x00]);
            frame.extend_from_slice(&header);
            header[12..20].to_vec()
        } else {
            let (next, extensions) = self.extensions();
            let mut header = vec![0; 40];
            header[0] = 0x60 | self.traffic_class >> 4;
            header[1] = self.traffic_class << 4 | 0x0a;
            header[4..6].copy_from_slice(&((extensions.len() + transport_len) as u16).to_be_bytes());
            header[6..8].copy_from_slice(&[next, 64]);
            header[8..24].fill(0xfd);
            header[24..40].fill(0xfc);
            frame.extend_from_slice(&[0x86, 0xdd]);
            frame.extend_from_slice(&header);
            frame.extend_from_slice(&extensions);
            header[8..40].to_vec()
        };
        let mut transport = vec![0; self.transport_len()];
        transport[..4].copy_from_slice(&[0x10, 0, 0, 7]);
        // The sum of the pseudo-header, not complemented.
        let pseudo = !Sum::default().bytes(&addresses).word(protocol.into()).word(transport_len as u16).finish();
        if self.kind.is_tcp() {
            transport[4..8].copy_from_slice(&self.sequence.to_be_bytes());
            transport[8..12].copy_from_slice(&[1, 2, 3, 4]);
            transport[12] = (self.transport_len() * 4) as u8;
            transport[13] = self.tcp_flags;
            transport[14..16].copy_from_slice(&[1, 0]);
            transport[16..18].copy_from_slice(&pseudo.to_be_bytes());
            transport[20..].fill(1);
        } else {
            transport[4..6].copy_from_slice(&(transport_len as u16).to_be_bytes());
            transport[6..8].copy_from_slice(&pseudo.to_be_bytes());
        }
        [frame, transport, self.payload.clone()].concat()
    }
}
