use proptest::prelude::*;

use super::*;
use crate::buffer::MAX_FRAME;
use crate::frame::Frame;
use crate::link::retag::Retagged;
use crate::vlan::Retag;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;

#[test]
fn what_stacks_say_of_their_frames_passes() {
    let (tcp4, tcp6) = (ipv4(TCP, tcp(32, 9_000)), ipv6(TCP, tcp(20, 9_000)));
    let (udp4, udp6) = (ipv4(UDP, vec![0; 8 + 9_000]), ipv6(UDP, vec![0; 8 + 9_000]));
    for (vnet, frame, headers) in [
        (unfinished(34, 16), &tcp4, 0),
        (unfinished(34, 6), &udp4, 0),
        (unfinished(54, 16), &tcp6, 0),
        // SCTP, whose checksum is another one.
        (unfinished(34, 8), &tcp4, 0),
        (VnetHeader { flags: DATA_VALID, ..PLAIN }, &tcp4, 0),
        (VnetHeader { flags: RSC_INFO, csum_start: 3, csum_offset: 1, ..PLAIN }, &tcp4, 0),
        (VnetHeader { hdr_len: 14, ..PLAIN }, &tcp4, 0),
        (gso(GSO_TCPV4, 34, 16), &tcp4, 66),
        (gso(GSO_TCPV4 | GSO_ECN, 34, 16), &tcp4, 66),
        (gso(GSO_TCPV6, 54, 16), &tcp6, 74),
        (gso(GSO_TCPV6 | GSO_ECN, 54, 16), &tcp6, 74),
        (gso(GSO_UDP_L4, 34, 6), &udp4, 42),
        (gso(GSO_UDP_L4, 54, 6), &udp6, 62),
        (gso(GSO_UDP, 34, 6), &udp4, 34),
        (gso(GSO_UDP, 54, 6), &udp6, 54),
    ] {
        assert_eq!(asked(vnet, frame), Ok(headers), "{vnet:?}");
    }
}

#[test]
fn a_hint_of_the_length_of_the_headers_is_a_hint() {
    let frame = ipv4(TCP, tcp(20, 5_000));
    // Of a tagged frame Linux gives it without the tag; of one that it forwards, as much as lies in one piece.
    for hdr_len in [0, 34, 50, 54, 1_000, frame.len() as u16] {
        let hinted = VnetHeader { hdr_len, ..gso(GSO_TCPV4, 34, 16) };
        assert_eq!(asked(hinted, &frame), Ok(54), "{hdr_len}");
        let hinted = VnetHeader { hdr_len, ..unfinished(34, 16) };
        assert_eq!(asked(hinted, &frame), Ok(0), "{hdr_len}");
    }
    for hdr_len in [1, 13, 14, 33, frame.len() as u16 + 1, u16::MAX] {
        for vnet in [gso(GSO_TCPV4, 34, 16), unfinished(34, 16)] {
            assert_eq!(asked(VnetHeader { hdr_len, ..vnet }, &frame), Err(Lie::HeaderLength(hdr_len)));
        }
    }
    for hdr_len in [1, 13, frame.len() as u16 + 1, u16::MAX] {
        assert_eq!(asked(VnetHeader { hdr_len, ..PLAIN }, &frame), Err(Lie::HeaderLength(hdr_len)));
    }
}

#[test]
fn an_unknown_flag_or_type_is_a_lie() {
    let frame = ipv4(TCP, tcp(20, 5_000));
    for flags in [8, 0x10, 0x80, 0xff, NEEDS_CSUM | 8] {
        assert_eq!(asked(VnetHeader { flags, ..gso(GSO_TCPV4, 34, 16) }, &frame), Err(Lie::Flags(flags)));
        assert_eq!(asked(VnetHeader { flags, ..PLAIN }, &frame), Err(Lie::Flags(flags)));
    }
    // ECN without a type, and of UDP.
    for kind in [2, 6, 7, 0x11, 0x20, 0x41, 0x7f, GSO_ECN, GSO_UDP | GSO_ECN, GSO_UDP_L4 | GSO_ECN, 0xff] {
        assert_eq!(asked(gso(kind, 34, 16), &frame), Err(Lie::Type(kind)));
    }
}

#[test]
fn a_checksum_stands_behind_the_ip_header_and_within_the_frame() {
    let frame = ipv4(TCP, tcp(20, 5_000));
    let end = frame.len() as u16;
    for (start, offset) in [(34, 0), (end - 2, 0), (34, end - 36), (40, 7)] {
        assert_eq!(asked(unfinished(start, offset), &frame), Ok(0), "{start}+{offset}");
    }
    for (start, offset) in [
        (0, 12),
        (13, 16),
        (33, 16),
        (34, end - 35),
        (end - 1, 0),
        (end, 0),
        (u16::MAX, 0),
        (34, u16::MAX),
        (u16::MAX, u16::MAX),
    ] {
        for vnet in [unfinished(start, offset), gso(GSO_TCPV4, start, offset)] {
            assert_eq!(asked(vnet, &frame), Err(Lie::Checksum { start, offset }), "{vnet:?}");
        }
    }
    // Where a tag that is put in would move it beyond what the header can say.
    let long = vec![0; MAX_FRAME];
    assert_eq!(asked(unfinished(65_531, 0), &long), Ok(0));
    assert_eq!(asked(unfinished(65_532, 0), &long), Err(Lie::Checksum { start: 65_532, offset: 0 }));
}

#[test]
fn the_checksum_of_a_super_frame_is_unfinished_and_stands_where_its_protocol_has_it() {
    let (tcp4, udp4) = (ipv4(TCP, tcp(20, 5_000)), ipv4(UDP, vec![0; 5_000]));
    for flags in [0, DATA_VALID, RSC_INFO] {
        assert_eq!(asked(VnetHeader { flags, ..gso(GSO_TCPV4, 34, 16) }, &tcp4), Err(Lie::Finished));
        assert_eq!(asked(VnetHeader { flags, ..gso(GSO_UDP_L4, 34, 6) }, &udp4), Err(Lie::Finished));
    }
    for offset in [0, 6, 15, 17] {
        assert_eq!(asked(gso(GSO_TCPV4, 34, offset), &tcp4), Err(Lie::Checksum { start: 34, offset }));
    }
    for (kind, offset) in [(GSO_UDP_L4, 16), (GSO_UDP_L4, 5), (GSO_UDP, 16)] {
        assert_eq!(asked(gso(kind, 34, offset), &udp4), Err(Lie::Checksum { start: 34, offset }));
    }
}

#[test]
fn a_super_frame_has_segments_of_a_size_that_there_is_and_not_too_many() {
    let (tcp4, udp4) = (ipv4(TCP, tcp(20, 64_000)), ipv4(UDP, vec![0; 8 + 1_280]));
    let sized = |vnet, gso_size| VnetHeader { gso_size, ..vnet };
    for size in [0, 1, 7, u16::MAX] {
        assert_eq!(asked(sized(gso(GSO_TCPV4, 34, 16), size), &tcp4), Err(Lie::Size(size)));
        assert_eq!(asked(sized(gso(GSO_UDP, 34, 6), size), &udp4), Err(Lie::Size(size)));
    }
    for size in [0, u16::MAX] {
        assert_eq!(asked(sized(gso(GSO_UDP_L4, 34, 6), size), &udp4), Err(Lie::Size(size)));
    }
    for size in [8, 36, 1_448, 65_534] {
        assert_eq!(asked(sized(gso(GSO_TCPV4, 34, 16), size), &tcp4), Ok(54));
    }
    assert_eq!(asked(sized(gso(GSO_UDP_L4, 34, 6), 10), &udp4), Ok(42), "128 segments");
    assert_eq!(asked(sized(gso(GSO_UDP_L4, 34, 6), 9), &udp4), Err(Lie::TooMany(udp4.len())), "143 segments");
    let few = ipv4(UDP, vec![0; 8 + 128]);
    assert_eq!(asked(sized(gso(GSO_UDP_L4, 34, 6), 1), &few), Ok(42));
}

#[test]
fn segmentation_is_that_of_the_frames_protocol_behind_whatever_tags() {
    let frames = [
        (GSO_TCPV4, 16, ipv4(TCP, tcp(20, 5_000)), 34),
        (GSO_TCPV6, 16, ipv6(TCP, tcp(20, 5_000)), 54),
        (GSO_UDP_L4, 6, ipv4(UDP, vec![0x50; 5_000]), 34),
        (GSO_UDP_L4, 6, ipv6(UDP, vec![0x50; 5_000]), 54),
    ];
    for (right, _, frame, start) in &frames {
        for (kind, offset) in [(GSO_TCPV4, 16), (GSO_TCPV6, 16), (GSO_UDP_L4, 6), (GSO_UDP, 6)] {
            let fits = kind == *right || (kind, *right) == (GSO_UDP, GSO_UDP_L4);
            for tags in 0..4 {
                let (tagged, start) = (tagged(frame, tags), start + 4 * tags as u16);
                let told = asked(gso(kind, start, offset), &tagged);
                let shape = format!("type {kind} for {right} behind {tags} tags");
                assert_eq!(told.is_ok(), fits, "{shape}: {told:?}");
                assert!(fits || told == Err(Lie::Protocol(kind)), "{shape}: {told:?}");
                if fits && start > 50 {
                    // Not where the transport header begins.
                    assert!(asked(gso(kind, start - 1, offset), &tagged).is_err(), "{shape}");
                    assert!(asked(gso(kind, start + 1, offset), &tagged).is_err(), "{shape}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_ip_packet_or_a_fragment_of_one_is_no_super_frame() {
    let good = ipv4(TCP, tcp(20, 5_000));
    let damaged = |at: usize, byte: u8| {
        let mut frame = good.clone();
        frame[at] = byte;
        frame
    };
    for frame in [
        damaged(13, 0x06), // ARP
        damaged(14, 0x65), // not version 4
        damaged(14, 0x44), // a header of 16 bytes
        damaged(14, 0x46), // of 24
        damaged(20, 0x20), // more fragments
        damaged(21, 1),    // not the first
        damaged(23, 1),    // ICMP
        damaged(23, UDP),  // a tunnel within UDP
    ] {
        assert_eq!(asked(gso(GSO_TCPV4, 34, 16), &frame), Err(Lie::Protocol(GSO_TCPV4)));
    }
    // An IPv6 fragment, and one of which the IPv6 header itself is cut short.
    let fragment = ipv6(44, [&[TCP, 0, 0, 1, 0, 0, 0, 0][..], &tcp(20, 5_000)].concat());
    assert_eq!(asked(gso(GSO_TCPV6, 62, 16), &fragment), Err(Lie::Protocol(GSO_TCPV6)));
    let short = ipv6(TCP, tcp(20, 5_000));
    assert_eq!(asked(gso(GSO_TCPV6, 53, 16), &short), Err(Lie::Protocol(GSO_TCPV6)));
}

#[test]
fn headers_behind_options_extensions_labels_and_within_tunnels_are_found_where_they_are_said_to_be() {
    let mut options = ipv4(TCP, [&[1; 40][..], &tcp(20, 5_000)].concat());
    options[14] = 0x4f;
    assert_eq!(asked(gso(GSO_TCPV4, 74, 16), &options), Ok(94));
    for extension in [0, 43, 51, 60] {
        let extended = ipv6(extension, [&[TCP, 0, 1, 4, 0, 0, 0, 0][..], &tcp(20, 5_000)].concat());
        assert_eq!(asked(gso(GSO_TCPV6, 62, 16), &extended), Ok(82));
        assert_eq!(asked(gso(GSO_TCPV6, 54, 16), &extended), Err(Lie::Protocol(GSO_TCPV6)), "there is none yet");
    }
    let inner = &ipv4(TCP, tcp(20, 5_000))[14..];
    let inner6 = &ipv6(TCP, tcp(20, 5_000))[14..];
    assert_eq!(asked(gso(GSO_TCPV4, 54, 16), &ipv4(4, inner.to_vec())), Ok(74), "IP in IP");
    assert_eq!(asked(gso(GSO_TCPV6, 74, 16), &ipv4(41, inner6.to_vec())), Ok(94), "IPv6 in IP");
    assert_eq!(asked(gso(GSO_TCPV4, 58, 16), &ipv4(47, [&[0, 0, 8, 0], inner].concat())), Ok(78), "GRE");
    assert_eq!(asked(gso(GSO_TCPV4, 74, 16), &ipv6(4, inner.to_vec())), Ok(94), "IP in IPv6");
    assert_eq!(asked(gso(GSO_TCPV4, 53, 16), &ipv4(4, inner.to_vec())), Err(Lie::Protocol(GSO_TCPV4)));
    let labelled = [&[0; 12][..], &[0x88, 0x47, 0, 0, 1, 64], inner].concat();
    assert_eq!(asked(gso(GSO_TCPV4, 38, 16), &labelled), Ok(58), "a label");
    assert_eq!(asked(gso(GSO_TCPV4, 37, 16), &labelled), Err(Lie::Protocol(GSO_TCPV4)));
}

#[test]
fn a_super_frame_has_whole_headers() {
    let whole = ipv4(TCP, tcp(60, 0));
    assert_eq!(asked(gso(GSO_TCPV4, 34, 16), &whole), Ok(94));
    for length in 54..94 {
        assert_eq!(asked(gso(GSO_TCPV4, 34, 16), &whole[..length]), Err(Lie::Headers), "{length}");
    }
    for length in 14..52 {
        let cut = asked(gso(GSO_TCPV4, 34, 16), &whole[..length]);
        assert_eq!(cut, Err(Lie::Checksum { start: 34, offset: 16 }), "{length}");
    }
    for length in 0..5_u8 {
        let mut short = ipv4(TCP, tcp(20, 100));
        short[46] = length << 4;
        assert_eq!(asked(gso(GSO_TCPV4, 34, 16), &short), Err(Lie::Headers), "a TCP header of {length} words");
    }
    let udp = ipv4(UDP, vec![0; 8]);
    assert_eq!(asked(gso(GSO_UDP_L4, 34, 6), &udp), Ok(42));
}

proptest! {
    /// What passes says how it is cut, into segments of some bytes each; and passes still with one tag more or less.
    #[test]
    fn what_passes_can_be_cut_and_passes_with_its_tag_changed((vnet, frame) in near_miss()) {
        let Ok(parsed) = Frame::parse(&frame, vnet) else { return Ok(()) };
        let (length, count) = (parsed.longest_segment(), parsed.wire_frames());
        prop_assert!(length <= frame.len());
        if vnet.is_gso() {
            let headers = asked(vnet, &frame).unwrap();
            prop_assert!(headers > parsed.payload_offset() && headers <= frame.len());
            prop_assert!(count as usize <= frame.len() / usize::from(MIN_SIZE) + MAX_UDP_SEGMENTS);
            prop_assert_eq!(count as usize, (frame.len() - headers).div_ceil(usize::from(vnet.gso_size)).max(1));
        } else {
            prop_assert_eq!((length, count), (frame.len(), 1));
        }
        // (A third tag is payload, behind which nobody looks for headers. With one less it is the second, and more is seen.)
        let hides = [Tag::CUSTOMER, Tag::SERVICE].contains(&parsed.ethertype());
        let pop = parsed.outer().filter(|_| !hides).map(|_| Retag::Pop);
        let push = (frame.len() + 4 <= MAX_FRAME).then_some(Retag::Push(5));
        for retag in [push, pop].into_iter().flatten() {
            let retagged = Retagged::new(&frame, retag).unwrap();
            let (shifted, bytes) = (vnet.shifted(retagged.shift()), retagged.pieces().concat());
            let again = Frame::parse(&bytes, shifted);
            prop_assert!(again.is_ok(), "{retag:?}: {shifted:?}");
            let grown = length.strict_add_signed(retagged.shift().into());
            prop_assert_eq!(again.unwrap().wire_frames(), count);
            prop_assert!(!vnet.is_gso() || again.unwrap().longest_segment() == grown);
        }
    }
}

/// Frames of some kind with an offload header that is right but for a field or two.
fn near_miss() -> impl Strategy<Value = (VnetHeader, Vec<u8>)> {
    let kind =
        prop::sample::select(vec![(GSO_TCPV4, 34, 16), (GSO_TCPV6, 54, 16), (GSO_UDP_L4, 34, 6), (GSO_UDP_L4, 54, 6)]);
    let lengths = prop_oneof![0_usize..100, 0_usize..20_000, Just(MAX_FRAME)];
    let right = (kind, lengths, 0_usize..4, 5_u8..16, any::<bool>()).prop_map(
        |((kind, start, offset), length, tags, words, is_super)| {
            let payload = if offset == 16 { tcp(words * 4, length) } else { vec![0; 8 + length] };
            let packet = if start == 34 {
                ipv4(if offset == 16 { TCP } else { UDP }, payload)
            } else {
                ipv6(if offset == 16 { TCP } else { UDP }, payload)
            };
            let mut frame = tagged(&packet, tags);
            frame.truncate(MAX_FRAME);
            let start = start + 4 * tags as u16;
            (if is_super { gso(kind, start, offset) } else { unfinished(start, offset) }, frame)
        },
    );
    let number = prop_oneof![Just(0_u16), 1_u16..100, any::<u16>(), Just(u16::MAX)];
    let changes = prop::collection::vec((0_u8..8, number), 0..3);
    (right, changes).prop_map(|((mut vnet, mut frame), changes)| {
        for (field, number) in changes {
            match field {
                0 => vnet.flags = number as u8,
                1 => vnet.gso_type = number as u8,
                2 => vnet.hdr_len = number,
                3 => vnet.gso_size = number,
                4 => vnet.csum_start = number,
                5 => vnet.csum_offset = number,
                6 => frame.truncate(usize::from(number).max(14)),
                _ => {
                    let at = 12 + usize::from(number >> 8) % (frame.len() - 12);
                    frame[at] = number as u8;
                }
            }
        }
        (vnet, frame)
    })
}

const PLAIN: VnetHeader = VnetHeader { flags: 0, gso_type: 0, hdr_len: 0, gso_size: 0, csum_start: 0, csum_offset: 0 };

fn unfinished(csum_start: u16, csum_offset: u16) -> VnetHeader {
    VnetHeader { flags: NEEDS_CSUM, csum_start, csum_offset, ..PLAIN }
}

fn gso(gso_type: u8, csum_start: u16, csum_offset: u16) -> VnetHeader {
    VnetHeader { gso_type, gso_size: 1_448, ..unfinished(csum_start, csum_offset) }
}

/// What becomes of the header where the frame is parsed.
fn asked(vnet: VnetHeader, frame: &[u8]) -> Result<usize, Lie> {
    let parsed = Frame::parse(frame, PLAIN).unwrap();
    let told = examine(&vnet, frame, parsed.payload_offset(), parsed.ethertype());
    assert_eq!(Frame::parse(frame, vnet).is_ok(), told.is_ok(), "{vnet:?}");
    told
}

fn ipv4(protocol: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut header = [0; 20];
    (header[0], header[9]) = (0x45, protocol);
    [&[0; 12][..], &IPV4.to_be_bytes(), &header, &payload].concat()
}

fn ipv6(next_header: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut header = [0; 40];
    (header[0], header[6]) = (0x60, next_header);
    [&[0; 12][..], &IPV6.to_be_bytes(), &header, &payload].concat()
}

fn tcp(header: u8, payload: usize) -> Vec<u8> {
    let mut segment = vec![0; usize::from(header) + payload];
    segment[12] = header << 2;
    segment
}

fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
    [&frame[..12], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7][..4 * tags], &frame[12..]].concat()
}
