use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::offload::claim;
use crate::offload::segment::Segmenter;

pub(crate) type Framed = (Vec<u8>, VnetHeader);

proptest! {
    /// Whatever comes: frames of a flow or two, of sizes that fit and that do not, some of them with a byte that is not what it was.
    #[test]
    fn what_is_joined_and_cut_again_is_the_frames_that_came(
        flow in flows(),
        lengths in prop::collection::vec(select(vec![1, 17, 64, 64, 64, 64, 64, 1_400]), 2..100),
        seed: u8,
        odd in prop::collection::vec((any::<Index>(), 0..74usize, any::<u8>()), 0..4),
        lost in prop::collection::vec(any::<Index>(), 0..3),
    ) {
        let mut frames: Vec<Framed> =
            lengths.iter().enumerate().map(|(at, len)| flow.datagram(at, &vec![seed.wrapping_add(at as u8); *len])).collect();
        for (at, byte, value) in odd {
            let (frame, _) = at.get_mut(&mut frames[..]);
            let byte = byte % frame.len();
            frame[byte] = value;
        }
        for at in lost {
            frames.remove(at.index(frames.len()));
        }
        prop_assert_eq!(joined(&frames).iter().flat_map(cut).collect::<Vec<_>>(), frames.iter().flat_map(cut).collect::<Vec<_>>());
    }

    /// Frames as one socket sends them, the last of them shorter.
    #[test]
    fn datagrams_of_one_size_and_a_shorter_one_are_one_train(flow in flows(), size in 2..1_400usize, count in 1..40usize) {
        let frames: Vec<Framed> = (0..=count)
            .map(|at| flow.datagram(at, &vec![at as u8; if at < count { size } else { size / 2 }]))
            .collect();
        let whole = joined(&frames);
        prop_assert_eq!(whole.len(), 1);
        let (frame, vnet) = &whole[0];
        prop_assert_eq!((vnet.gso_type, usize::from(vnet.gso_size)), (GSO_UDP_L4, size));
        prop_assert_eq!(frame.len(), frames.iter().map(|(frame, _)| frame.len() - flow.headers()).sum::<usize>() + flow.headers());
    }
}

#[test]
fn a_train_is_no_longer_than_64_frames_and_an_ip_packet() {
    for (size, lengths) in [(1, [64, 64, 22]), (1_000, [64, 64, 22]), (1_472, [44, 44, 44]), (40_000, [1, 1, 1])] {
        for flow in [Flow::v4(), Flow::v6()] {
            let frames: Vec<Framed> = (0..150).map(|at| flow.datagram(at, &vec![7; size])).collect();
            let counts: Vec<usize> = joined(&frames).iter().map(|it| cut(it).len()).collect();
            assert_eq!(counts[..3], lengths, "{size} bytes each, {flow:?}");
        }
    }
}

#[test]
fn a_shorter_one_ends_a_train_and_a_longer_one_begins_one() {
    let flow = Flow::v4();
    let frames: Vec<Framed> =
        [9, 9, 5, 5, 9, 9].iter().enumerate().map(|(at, size)| flow.datagram(at, &vec![1; *size])).collect();
    assert_eq!(joined(&frames).iter().map(|it| cut(it).len()).collect::<Vec<_>>(), [3, 1, 2]);
}

/// Each of these would come out as something else than it was, or is not what a kernel says of what a socket has sent.
#[test]
fn frames_that_would_not_come_out_as_they_were_are_left_alone() {
    let (v4, v6) = (Flow::v4(), Flow::v6());
    let other = |change: fn(&mut Framed)| {
        move |flow: &Flow| {
            let mut second = flow.datagram(1, &[2; 64]);
            change(&mut second);
            second
        }
    };
    for (what, flow, second) in [
        ("longer than the first", &v4, v4.datagram(1, &[2; 65])),
        ("without data", &v4, v4.datagram(1, &[])),
        ("another identification", &v4, v4.datagram(2, &[2; 64])),
        ("another station", &v4, other(|(frame, _)| frame[5] ^= 1)(&v4)),
        ("another priority", &v4, Flow { tos: 8, ..v4 }.datagram(1, &[2; 64])),
        ("congestion met on its way", &v6, Flow { tos: 3, ..v6 }.datagram(1, &[2; 64])),
        ("another time to live", &v4, Flow { ttl: 63, ..v4 }.datagram(1, &[2; 64])),
        ("another hop limit", &v6, Flow { ttl: 63, ..v6 }.datagram(1, &[2; 64])),
        ("may be fragmented", &v4, Flow { fragment: 0, ..v4 }.datagram(1, &[2; 64])),
        ("from another port", &v6, Flow { port: 9, ..v6 }.datagram(1, &[2; 64])),
        ("another version of IP", &v4, v6.datagram(1, &[2; 64])),
        ("a tag more", &v4, Flow { tags: 1, ..v4 }.datagram(1, &[2; 64])),
        ("a wrong checksum of its header", &v4, other(|(frame, _)| frame[24] ^= 1)(&v4)),
        ("an unfinished checksum begun otherwise", &v4, other(|(frame, _)| frame[40] ^= 1)(&v4)),
        ("bytes behind the packet", &v6, other(|(frame, _)| frame.push(0))(&v6)),
        ("a shorter datagram than its packet", &v4, other(|(frame, _)| frame[39] -= 1)(&v4)),
        ("a finished checksum", &v4, other(|(_, vnet)| *vnet = VnetHeader::default())(&v4)),
        ("a hint", &v4, other(|(_, vnet)| vnet.hdr_len = 42)(&v4)),
    ] {
        let frames = [flow.datagram(0, &[1; 64]), second];
        assert_eq!(joined(&frames), frames, "{what}");
    }
}

#[test]
fn what_no_train_begins_with_is_left_alone() {
    let (v4, v6) = (Flow::v4(), Flow::v6());
    type Change = fn(&mut Framed);
    let to_a_group: Change = |(frame, _)| frame[0] |= 1;
    let no_pseudo_header: Change = |(frame, _)| put(frame, 40, 0);
    let of_another_protocol: Change = |(frame, _)| frame[23] = 136;
    let with_an_extension: Change = |(frame, _)| frame[20] = 0;
    let already_one: Change = |(_, vnet)| (vnet.gso_type, vnet.gso_size) = (GSO_UDP_L4, 10);
    let a_third_tag: Change = |(frame, vnet)| {
        frame.splice(12..12, [0x81, 0, 0, 1, 0x81, 0, 0, 1, 0x81, 0, 0, 1]);
        *vnet = vnet.shifted(12);
    };
    for (flow, change) in [
        (Flow { fragment: 0x2000, ..v4 }, None),
        (Flow { fragment: 0x8000, ..v4 }, None),
        (Flow { fragment: 0x0001, ..v4 }, None),
        (v4, Some(to_a_group)),
        (v4, Some(no_pseudo_header)),
        (v4, Some(of_another_protocol)),
        (v6, Some(with_an_extension)),
        (v4, Some(already_one)),
        (v4, Some(a_third_tag)),
    ] {
        let frames = [0, 1].map(|at| {
            let mut frame = flow.datagram(at, &[3; 64]);
            change.into_iter().for_each(|change| change(&mut frame));
            frame
        });
        assert_eq!(joined(&frames), frames, "{flow:?}");
    }
    for len in 0..42 {
        let (frame, vnet) = v4.datagram(0, &[]);
        assert!(Train::begin(&frame[..len], &vnet).is_none(), "{len} bytes");
    }
}

/// Frames of a batch, joined wherever they may be, as a link does it.
fn joined(frames: &[Framed]) -> Vec<Framed> {
    let mut out: Vec<Framed> = Vec::new();
    let mut train: Option<Train> = None;
    for (frame, vnet) in frames {
        if let (Some(it), Some((whole, its))) = (&mut train, out.last_mut())
            && let Some(data) = it.join(frame, vnet)
        {
            whole.extend_from_slice(data);
            let (header, vnet) = it.headers();
            whole[..header.len()].copy_from_slice(&header);
            *its = vnet;
            continue;
        }
        train = Train::begin(frame, vnet);
        out.push((frame.clone(), *vnet));
    }
    out
}

/// What a link without offload would make of a frame: finished ones. As they are, if they can not be.
fn cut((frame, vnet): &Framed) -> Vec<Vec<u8>> {
    if vnet.is_gso() {
        let parsed = crate::frame::Frame::parse(frame, *vnet).expect("a train is a frame");
        let headers = claim::examine(vnet, frame, parsed.payload_offset(), parsed.ethertype());
        assert_eq!(headers, Ok(usize::from(vnet.hdr_len)), "what is said of it is true");
    }
    let mut segmenter = Segmenter::new();
    let Ok(mut segments) = segmenter.begin(frame, vnet) else { return vec![frame.clone()] };
    let mut cut = Vec::new();
    while let Some(segment) = segments.next() {
        cut.push([segment.header, segment.payload].concat());
    }
    cut
}

/// What the datagrams of a flow have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    is_v6: bool,
    tags: usize,
    tos: u8,
    ttl: u8,
    /// Flags and offset.
    fragment: u16,
    /// The identification of the first.
    identification: u16,
    port: u16,
}

fn flows() -> impl Strategy<Value = Flow> {
    (any::<bool>(), 0..=2usize, any::<u8>(), any::<u8>(), select(vec![0, 0x4000]), any::<u16>(), any::<u16>()).prop_map(
        |(is_v6, tags, tos, ttl, fragment, identification, port)| Flow {
            is_v6,
            tags,
            tos,
            ttl,
            fragment,
            identification,
            port,
        },
    )
}

impl Flow {
    pub(crate) const fn v4() -> Flow {
        Flow { is_v6: false, tags: 0, tos: 0, ttl: 64, fragment: 0x4000, identification: 0xfff0, port: 5_201 }
    }

    const fn v6() -> Flow {
        Flow { is_v6: true, ..Flow::v4() }
    }

    const fn headers(&self) -> usize {
        14 + 4 * self.tags + if self.is_v6 { 40 } else { 20 } + 8
    }

    /// One of them, as a TAP hands it over.
    pub(crate) fn datagram(&self, at: usize, data: &[u8]) -> Framed {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        (0..self.tags).for_each(|tag| frame.extend([0x81, 0, 0x60, tag as u8 + 1]));
        frame.extend(if self.is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        let udp_len = (8 + data.len()) as u16;
        let network = frame.len();
        let addresses = if self.is_v6 {
            frame.extend([0x60 | self.tos >> 4, self.tos << 4, 0, 7]);
            frame.extend(udp_len.to_be_bytes());
            frame.extend([17, self.ttl]);
            frame.extend([[0xfd; 16], [0xfe; 16]].concat());
            network + 8..network + 40
        } else {
            frame.extend([0x45, self.tos]);
            frame.extend((20 + udp_len).to_be_bytes());
            frame.extend(self.identification.wrapping_add(at as u16).to_be_bytes());
            frame.extend(self.fragment.to_be_bytes());
            frame.extend([self.ttl, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 3]);
            let sum = Sum::default().bytes(&frame[network..]).finish();
            put(&mut frame, network + 10, sum);
            network + 12..network + 20
        };
        let transport = frame.len();
        let pseudo_header = !Sum::default().bytes(&frame[addresses]).word(17).word(udp_len).finish();
        for field in [self.port, 5_201, udp_len, pseudo_header] {
            frame.extend(field.to_be_bytes());
        }
        frame.extend(data);
        let vnet =
            VnetHeader { flags: NEEDS_CSUM, csum_start: number(transport), csum_offset: 6, ..VnetHeader::default() };
        (frame, vnet)
    }
}
