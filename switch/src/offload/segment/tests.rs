use etherparse::{IpNumber, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;
use crate::vnet::{GSO_UDP, NEEDS_CSUM};

proptest! {
    #[test]
    fn the_segments_of_a_super_frame_are_its_payload_in_order_with_valid_checksums(
        kind in kinds(),
        tags in 0..=2usize,
        payload in prop::collection::vec(any::<u8>(), 1..9_000),
        size in 48..1_460u16,
        identification: u16,
        sequence: u32,
    ) {
        let sent = SuperFrame { kind, tags, payload, size, identification, sequence, flags: FIN | PSH | CWR | 0x10 };
        let (frame, vnet) = sent.build();
        let mut segmenter = Segmenter::new();
        let mut segments = segmenter.begin(&frame, &vnet).unwrap();

        let mut received = Vec::new();
        let count = sent.payload.len().div_ceil(usize::from(size));
        for index in 0..count {
            let segment = segments.next().expect("another segment");
            prop_assert_eq!(&segment.header[..14 + 4 * tags], &frame[..14 + 4 * tags]);
            prop_assert!(segment.payload.len() == usize::from(size) || index == count - 1);
            sent.check(&[segment.header, segment.payload].concat(), index, index == count - 1);
            received.extend_from_slice(segment.payload);
        }
        prop_assert_eq!(segments.next(), None);
        prop_assert_eq!(received, sent.payload);
    }

    #[test]
    fn an_unfinished_checksum_is_finished_and_nothing_else_is_changed(
        kind in kinds(),
        tags in 0..=2usize,
        payload in prop::collection::vec(any::<u8>(), 0..1_400),
    ) {
        let mut finished = SuperFrame { kind, tags, payload, ..SuperFrame::default() }.build_finished();
        let (frame, vnet) = unfinished(&finished);
        // etherparse writes the zero of TCP as it comes.
        let checksum = &mut finished[usize::from(vnet.csum_start + vnet.csum_offset)..][..2];
        if checksum == [0, 0] {
            checksum.fill(0xff);
        }
        let mut segmenter = Segmenter::new();
        let mut segments = segmenter.begin(&frame, &vnet).unwrap();
        let segment = segments.next().unwrap();
        prop_assert_eq!([segment.header, segment.payload].concat(), finished);
        prop_assert_eq!(segments.next(), None);
    }

    #[test]
    fn no_offload_header_makes_it_panic_or_give_more_than_its_bound(
        kind in kinds(),
        garbage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        flags in 0..4u8, gso_type in prop::sample::select(vec![0, 1, 3, 4, 5, 0x20, 0x81, 0x84, 0xff]),
        gso_size: u16, csum_start in 0..200u16, csum_offset in 0..200u16,
    ) {
        let (mut frame, _) = SuperFrame { kind, payload: vec![7; 400], ..SuperFrame::default() }.build();
        for (at, byte) in garbage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(cut.index(frame.len() + 1));
        let vnet = VnetHeader { flags, gso_type, hdr_len: 0, gso_size, csum_start, csum_offset };
        let mut segmenter = Segmenter::new();
        if let Ok(mut segments) = segmenter.begin(&frame, &vnet) {
            let mut count = 0;
            while segments.next().is_some() {
                count += 1;
            }
            prop_assert!((1..=MAX_SEGMENTS).contains(&count));
        }
    }
}

#[test]
fn refuses_segments_of_no_bytes_and_too_many() {
    let sent = SuperFrame { payload: vec![0; 60_000], ..SuperFrame::default() };
    let (frame, vnet) = sent.build();
    assert_eq!(error(&frame, VnetHeader { gso_size: 0, ..vnet }), SegmentError::NoSize);
    assert_eq!(error(&frame, VnetHeader { gso_size: 1, ..vnet }), SegmentError::TooMany(60_000));
}

#[test]
fn refuses_a_type_that_is_unknown_or_not_that_of_the_frame() {
    let (frame, vnet) = SuperFrame::default().build();
    assert_eq!(error(&frame, VnetHeader { gso_type: GSO_UDP, ..vnet }), SegmentError::UnknownType(GSO_UDP));
    assert_eq!(error(&frame, VnetHeader { gso_type: GSO_TCPV6, ..vnet }), SegmentError::WrongType(GSO_TCPV6));
    assert_eq!(error(&frame, VnetHeader { gso_type: GSO_UDP_L4, ..vnet }), SegmentError::WrongType(GSO_UDP_L4));
}

#[test]
fn refuses_a_checksum_outside_the_frame_or_inside_the_ethernet_header() {
    let (frame, vnet) = SuperFrame::default().build();
    let len = u16::try_from(frame.len()).unwrap();
    for (start, offset) in [(len, 0), (len - 1, 0), (34, len), (65_535, 65_535), (13, 6), (0, 0)] {
        let vnet = VnetHeader { gso_type: GSO_NONE, csum_start: start, csum_offset: offset, ..vnet };
        assert_eq!(error(&frame, vnet), SegmentError::ChecksumRange { start, offset });
    }
    let vnet = VnetHeader { csum_start: 38, ..vnet };
    assert_eq!(error(&frame, vnet), SegmentError::ChecksumRange { start: 38, offset: 16 });
}

#[test]
fn refuses_headers_cut_off_anywhere_and_fragments() {
    let (mut frame, vnet) = SuperFrame::default().build();
    for len in 0..14 + 20 + 20 {
        assert_eq!(error(&frame[..len], vnet), SegmentError::Layout(LayoutError::Truncated), "{len} bytes");
    }
    frame[14 + 6] = 0x20;
    assert_eq!(error(&frame, vnet), SegmentError::Layout(LayoutError::Fragment));
}

#[test]
fn refuses_a_checksum_about_other_addresses_than_those_in_the_header() {
    const ROUTING: u8 = 43;
    const DESTINATION: u8 = 60;
    // A routing header of type 4 with segments left, and one that is used up.
    let routing = |segments_left| [&[0, 2, 4, segments_left, 0, 0, 0, 0][..], &[0xfd; 16]].concat();
    // A home address, behind padding of one byte, two and four, as RFC 6275 aligns it; and the tunnel limit of RFC 2473.
    let home = |padding: &[u8]| {
        let mut options = [&[0, 0][..], padding, &[0xc9, 16], &[0xfc; 16]].concat();
        options.resize(options.len().next_multiple_of(8), 0);
        options[1] = u8::try_from(options.len() / 8 - 1).unwrap();
        options
    };
    let limit = vec![0, 0, 4, 1, 0xc9, 1, 1, 0];
    for (header, extension, expected) in [
        (ROUTING, routing(1), Some(LayoutError::OtherAddresses)),
        (ROUTING, routing(0), None),
        (DESTINATION, home(&[1, 2, 0, 0]), Some(LayoutError::OtherAddresses)),
        (DESTINATION, home(&[0]), Some(LayoutError::OtherAddresses)),
        (DESTINATION, home(&[]), Some(LayoutError::OtherAddresses)),
        (DESTINATION, limit, None),
        (DESTINATION, vec![0, 0, 1, 9, 0, 0, 0, 0], None),
    ] {
        let (frame, vnet) = SuperFrame { kind: Kind::Tcp6, ..SuperFrame::default() }.build();
        let (frame, vnet) = extended(&frame, vnet, header, &extension);
        let mut segmenter = Segmenter::new();
        match (segmenter.begin(&frame, &vnet), expected) {
            (Err(error), Some(expected)) => assert_eq!(error, SegmentError::Layout(expected), "{extension:02x?}"),
            (Ok(mut segments), None) => {
                let segment = segments.next().unwrap();
                let transport = usize::from(vnet.csum_start);
                let tcp = [&segment.header[transport..], segment.payload].concat();
                let pseudo = Sum::default().bytes(&frame[22..54]).word(6).word(u16::try_from(tcp.len()).unwrap());
                assert_eq!(pseudo.bytes(&tcp).finish(), 0, "a right checksum behind {extension:02x?}");
            }
            (found, _) => panic!("{extension:02x?}: {:?}", found.err()),
        }
        // One frame alone needs no addresses: the kernel has begun the checksum with the right ones.
        let alone = VnetHeader { gso_type: GSO_NONE, gso_size: 0, ..vnet };
        assert!(Segmenter::new().begin(&frame, &alone).is_ok());
    }
}

#[test]
fn writes_a_checksum_of_zero_as_all_ones_where_zero_would_mean_that_there_is_none() {
    for (kind, offset, written) in
        [(Kind::Udp4, 6, 0xffff), (Kind::Udp6, 6, 0xffff), (Kind::Tcp4, 16, 0), (Kind::Tcp6, 16, 0)]
    {
        let mut sent = SuperFrame { kind, payload: vec![7; 3_000], ..SuperFrame::default() };
        sent.payload[998..1_000].fill(0);
        let checksum_of_first = |sent: &SuperFrame| {
            let (frame, vnet) = sent.build();
            let mut segmenter = Segmenter::new();
            let mut segments = segmenter.begin(&frame, &vnet).unwrap();
            let header = segments.next().unwrap().header.to_vec();
            let field = usize::from(vnet.csum_start) + offset;
            u16::from_be_bytes([header[field], header[field + 1]])
        };
        // With the checksum itself among what it is made from, the sum is all ones and its complement zero.
        let sum = checksum_of_first(&sent);
        sent.payload[998..1_000].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(checksum_of_first(&sent), written, "{kind:?}");
    }
}

#[test]
fn does_not_rely_on_the_hint_of_the_header_length() {
    let (frame, vnet) = SuperFrame::default().build();
    let mut segmenter = Segmenter::new();
    let mut segments = segmenter.begin(&frame, &VnetHeader { hdr_len: 9, ..vnet }).unwrap();
    assert_eq!(segments.next().unwrap().header.len(), 54);
}

/// An IPv6 frame without tags, with an extension header put in before its transport header.
fn extended(frame: &[u8], vnet: VnetHeader, header: u8, extension: &[u8]) -> (Vec<u8>, VnetHeader) {
    let (before, behind) = frame.split_at(54);
    let mut extended = [before, extension, behind].concat();
    extended[54] = extended[20];
    extended[20] = header;
    let csum_start = vnet.csum_start + u16::try_from(extension.len()).unwrap();
    (extended, VnetHeader { csum_start, ..vnet })
}

fn error(frame: &[u8], vnet: VnetHeader) -> SegmentError {
    Segmenter::new().begin(frame, &vnet).expect_err("a frame that can not be finished")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Tcp4, Kind::Tcp6, Kind::Udp4, Kind::Udp6])
}

#[derive(Clone, Debug)]
struct SuperFrame {
    kind: Kind,
    tags: usize,
    payload: Vec<u8>,
    size: u16,
    identification: u16,
    sequence: u32,
    flags: u8,
}

impl Default for SuperFrame {
    fn default() -> Self {
        SuperFrame {
            kind: Kind::Tcp4,
            tags: 0,
            payload: vec![1; 3_000],
            size: 1_000,
            identification: 0xfffe,
            sequence: 0xffff_ff00,
            flags: 0x10,
        }
    }
}

impl SuperFrame {
    /// The frame with all checksums finished, as etherparse makes it.
    fn build_finished(&self) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let vlan = |id| etherparse::VlanId::try_new(id).unwrap();
        let (four, six) = (([10, 77, 0, 1], [10, 77, 0, 2], 64), ([0xfd; 16], [0xfe; 16], 64));
        let ip = match (self.tags, matches!(self.kind, Kind::Tcp4 | Kind::Udp4)) {
            (0, true) => ethernet.ipv4(four.0, four.1, four.2),
            (0, false) => ethernet.ipv6(six.0, six.1, six.2),
            (1, true) => ethernet.single_vlan(vlan(5)).ipv4(four.0, four.1, four.2),
            (1, false) => ethernet.single_vlan(vlan(5)).ipv6(six.0, six.1, six.2),
            (_, true) => ethernet.double_vlan(vlan(5), vlan(6)).ipv4(four.0, four.1, four.2),
            (_, false) => ethernet.double_vlan(vlan(5), vlan(6)).ipv6(six.0, six.1, six.2),
        };
        let mut frame = Vec::new();
        match self.kind {
            Kind::Tcp4 | Kind::Tcp6 => ip.tcp(1000, 2000, self.sequence, 500).write(&mut frame, &self.payload),
            Kind::Udp4 | Kind::Udp6 => ip.udp(1000, 2000).write(&mut frame, &self.payload),
        }
        .unwrap();
        frame
    }

    /// The frame as the kernel would give it: to be cut, its checksum begun at most.
    fn build(&self) -> (Vec<u8>, VnetHeader) {
        let (mut frame, vnet) = unfinished(&self.build_finished());
        let network = 14 + 4 * self.tags;
        if matches!(self.kind, Kind::Tcp4 | Kind::Udp4) {
            frame[network + 4..network + 6].copy_from_slice(&self.identification.to_be_bytes());
        }
        let gso_type = match self.kind {
            Kind::Tcp4 => GSO_TCPV4 | GSO_ECN,
            Kind::Tcp6 => GSO_TCPV6,
            Kind::Udp4 | Kind::Udp6 => GSO_UDP_L4,
        };
        if matches!(self.kind, Kind::Tcp4 | Kind::Tcp6) {
            frame[usize::from(vnet.csum_start) + TCP_FLAGS] = self.flags;
        }
        (frame, VnetHeader { gso_type, gso_size: self.size, ..vnet })
    }

    /// Checks one segment of this super-frame by another parser than the one under test.
    fn check(&self, segment: &[u8], index: usize, last: bool) {
        let sliced = SlicedPacket::from_ethernet(segment).unwrap();
        let transport = sliced.transport.as_ref().unwrap();
        match transport {
            TransportSlice::Tcp(tcp) => {
                let offset = u32::try_from(index * usize::from(self.size)).unwrap();
                assert_eq!(tcp.sequence_number(), self.sequence.wrapping_add(offset));
                assert_eq!(
                    (tcp.fin(), tcp.psh(), tcp.cwr(), tcp.ack()),
                    (last, last, index == 0, true),
                    "flags of segment {index}"
                );
            }
            TransportSlice::Udp(udp) => assert_eq!(usize::from(udp.length()), 8 + udp.payload().len()),
            other => panic!("neither TCP nor UDP: {other:?}"),
        }
        match sliced.net.as_ref().unwrap() {
            NetSlice::Ipv4(ip) => {
                let header = ip.header().to_header();
                let expected = self.identification.wrapping_add(u16::try_from(index).unwrap());
                assert_eq!(header.identification, expected);
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                assert_eq!(usize::from(header.total_len), segment.len() - 14 - 4 * self.tags);
                let (found, calculated) = match transport {
                    TransportSlice::Tcp(tcp) => {
                        (tcp.checksum(), tcp.calc_checksum_ipv4(header.source, header.destination).unwrap())
                    }
                    TransportSlice::Udp(udp) => {
                        let calculated =
                            udp.to_header().calc_checksum_ipv4_raw(header.source, header.destination, udp.payload());
                        (udp.checksum(), calculated.unwrap())
                    }
                    _ => unreachable!("checked above"),
                };
                assert_same_checksum(found, calculated);
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header().to_header();
                assert_eq!(usize::from(header.payload_length), segment.len() - 54 - 4 * self.tags);
                let (found, calculated) = match transport {
                    TransportSlice::Tcp(tcp) => {
                        (tcp.checksum(), tcp.calc_checksum_ipv6(header.source, header.destination).unwrap())
                    }
                    TransportSlice::Udp(udp) => {
                        let calculated =
                            udp.to_header().calc_checksum_ipv6_raw(header.source, header.destination, udp.payload());
                        (udp.checksum(), calculated.unwrap())
                    }
                    _ => unreachable!("checked above"),
                };
                assert_same_checksum(found, calculated);
            }
            NetSlice::Arp(_) => panic!("not IP"),
        }
    }
}

/// Zero has two representations in ones' complement.
fn assert_same_checksum(found: u16, calculated: u16) {
    assert!(found == calculated || (found == 0xffff && calculated == 0), "{found:#06x} is not {calculated:#06x}");
}

/// A finished frame made unfinished: its checksum is but that of the pseudo-header, not complemented.
fn unfinished(finished: &[u8]) -> (Vec<u8>, VnetHeader) {
    let sliced = SlicedPacket::from_ethernet(finished).unwrap();
    let (transport_len, protocol, csum_offset) = match sliced.transport.as_ref().unwrap() {
        TransportSlice::Tcp(tcp) => (tcp.slice().len(), IpNumber::TCP, 16),
        TransportSlice::Udp(udp) => (udp.slice().len(), IpNumber::UDP, 6),
        other => panic!("neither TCP nor UDP: {other:?}"),
    };
    let addresses = match sliced.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => ip.header().slice()[12..20].to_vec(),
        NetSlice::Ipv6(ip) => ip.header().slice()[8..40].to_vec(),
        NetSlice::Arp(_) => panic!("not IP"),
    };
    let pseudo =
        Sum::default().bytes(&addresses).word(u16::from(protocol.0)).word(u16::try_from(transport_len).unwrap());
    let start = finished.len() - transport_len;
    let mut frame = finished.to_vec();
    put_u16(&mut frame, start + csum_offset, !pseudo.finish());
    let vnet = VnetHeader {
        flags: NEEDS_CSUM,
        csum_start: u16::try_from(start).unwrap(),
        csum_offset: u16::try_from(csum_offset).unwrap(),
        ..VnetHeader::default()
    };
    (frame, vnet)
}
