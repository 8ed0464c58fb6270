//! `Segmenter` against frames that were never super-frames: each segment is what its sender would have made of its piece of
//! the payload, had it sent that alone; and one frame with an unfinished checksum is what it would be with a finished one.
//!
//! An input is a [`Shape`] and the bytes that the payload repeats. A damaged frame only has to be cut into pieces of itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switch::buffer::MAX_FRAME;
use switch::frame::Frame;
use switch::offload::claim::{MAX_UDP_SEGMENTS, MIN_SIZE};
use switch::offload::segment::{MAX_SEGMENTS, SegmentError, Segmenter};
use switch::vnet::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// What a super-frame is like.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Shape {
    /// Bit 0: IPv6 instead of IPv4; bit 1: UDP instead of TCP; bit 2: a super-frame; bit 3: its checksum is unfinished;
    /// bit 4: the offload header says ECN.
    kind: u8,
    /// How many VLAN tags there are; two at most.
    tags: u8,
    /// Words of IPv4's options; which extension header of IPv6.
    ip_extra: u8,
    /// Words of TCP's options.
    tcp_extra: u8,
    tcp_flags: u8,
    size: U16,
    length: U16,
    identification: U16,
    sequence: U32,
    /// Where a byte of the frame is damaged, and how.
    damage_at: U16,
    damage: u8,
}

fuzz_target!(|input: &[u8]| {
    let Ok((shape, pattern)) = Shape::read_from_prefix(input) else { return };
    let sent = Sent::new(shape, pattern);
    let mut frame = sent.unfinished();
    let vnet = sent.vnet();
    if shape.damage != 0 {
        let at = usize::from(shape.damage_at.get()) % frame.len();
        frame[at] ^= shape.damage;
        is_cut_into_pieces_of_itself(&frame, vnet);
        return;
    }
    let mut segmenter = Segmenter::new();
    let segments = segmenter.begin(&frame, &vnet);
    let (mut segments, expected) = match (segments, sent.impossible()) {
        (Err(error), Some(why)) => return assert_eq!(error, why),
        (Ok(segments), None) => (segments, sent.segments()),
        (Ok(_), Some(why)) => panic!("{why:?}, and it is cut all the same"),
        (Err(error), None) => panic!("{error}"),
    };
    if vnet.needs_checksum() && frame.len() <= MAX_FRAME {
        match Frame::parse(&frame, vnet) {
            Ok(frame) => {
                assert_eq!(frame.wire_frames(), expected.len() as u64);
                assert_eq!(Some(frame.longest_segment()), expected.iter().map(Vec::len).max());
            }
            Err(why) => assert!(sent.is_refused_at_ingress(), "{why}"),
        }
    }
    for (index, expected) in expected.iter().enumerate() {
        let segment = segments.next().expect("another segment");
        assert_eq!([segment.header, segment.payload].concat(), *expected, "segment {index}");
    }
    assert_eq!(segments.next(), None);
});

/// Whatever the frame says, there are not too many segments, and their payloads are the end of the frame.
fn is_cut_into_pieces_of_itself(frame: &[u8], vnet: VnetHeader) {
    let mut segmenter = Segmenter::new();
    let Ok(mut segments) = segmenter.begin(frame, &vnet) else { return };
    let (mut count, mut payload) = (0, Vec::new());
    while let Some(segment) = segments.next() {
        count += 1;
        assert!(segment.header.len() + segment.payload.len() <= frame.len());
        payload.extend_from_slice(segment.payload);
    }
    assert!((1..=MAX_SEGMENTS).contains(&count), "{count} segments");
    assert!(frame.ends_with(&payload));
}

/// What somebody sends.
struct Sent {
    shape: Shape,
    is_ipv6: bool,
    is_udp: bool,
    is_super_frame: bool,
    payload: Vec<u8>,
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SOURCE: [u8; 16] = *b"fd00 is sending.";
const DESTINATION: [u8; 16] = *b"who is receiving";

impl Sent {
    fn new(shape: Shape, pattern: &[u8]) -> Sent {
        let length = usize::from(shape.length.get());
        let pattern = if pattern.is_empty() { &[0] } else { pattern };
        let payload = pattern.iter().copied().cycle().take(length).collect();
        let has = |bit: u8| shape.kind & 1 << bit != 0;
        Sent { shape, is_ipv6: has(0), is_udp: has(1), is_super_frame: has(2), payload }
    }

    fn vnet(&self) -> VnetHeader {
        let gso_type = match (self.is_super_frame, self.is_udp, self.is_ipv6) {
            (false, _, _) => GSO_NONE,
            (true, true, _) => GSO_UDP_L4,
            (true, false, false) => GSO_TCPV4,
            (true, false, true) => GSO_TCPV6,
        };
        let ecn = if self.is_super_frame && self.shape.kind & 0x10 != 0 { GSO_ECN } else { 0 };
        let transport = self.ethernet().len() + self.ip(0).len();
        VnetHeader {
            flags: if self.shape.kind & 8 != 0 { NEEDS_CSUM } else { 0 },
            gso_type: gso_type | ecn,
            hdr_len: 0,
            gso_size: self.shape.size.get(),
            csum_start: transport as u16,
            csum_offset: if self.is_udp { 6 } else { 16 },
        }
    }

    /// Whether it can be cut although nobody sends such, so that it never comes so far: segments too small or too many of
    /// them, a size that means something else, and ECN of UDP.
    fn is_refused_at_ingress(&self) -> bool {
        let (size, vnet) = (self.shape.size.get(), self.vnet());
        self.is_super_frame
            && if self.is_udp {
                vnet.gso_type & GSO_ECN != 0 || self.pieces().len() > MAX_UDP_SEGMENTS || size == u16::MAX
            } else {
                size < MIN_SIZE || size == u16::MAX
            }
    }

    /// Why it can not be cut.
    fn impossible(&self) -> Option<SegmentError> {
        if !self.is_super_frame {
            return None;
        }
        let size = usize::from(self.shape.size.get());
        if size == 0 {
            return Some(SegmentError::NoSize);
        }
        let count = self.pieces().len();
        let headers = self.ip(0).len() + self.transport(0, true, true).len();
        let longest = headers + size.min(self.payload.len());
        match () {
            () if count > MAX_SEGMENTS => Some(SegmentError::TooMany(count)),
            () if longest > 65_535 => Some(SegmentError::TooLong(longest)),
            () => None,
        }
    }

    fn pieces(&self) -> Vec<&[u8]> {
        if self.payload.is_empty() || !self.is_super_frame {
            return vec![&self.payload];
        }
        self.payload.chunks(usize::from(self.shape.size.get())).collect()
    }

    /// The frames that have come out when all is done.
    fn segments(&self) -> Vec<Vec<u8>> {
        if !self.is_super_frame && self.shape.kind & 8 == 0 {
            return vec![self.unfinished()];
        }
        let pieces = self.pieces();
        let last = pieces.len() - 1;
        (0..).zip(&pieces).map(|(index, piece)| self.finished(index, index == last, piece)).collect()
    }

    /// One segment as if it had been sent so.
    fn finished(&self, index: usize, is_last: bool, piece: &[u8]) -> Vec<u8> {
        let transport = self.transport(index * usize::from(self.shape.size.get()), index == 0, is_last);
        let mut packet = self.packet(index, transport, piece);
        let at = self.checksum_at();
        // (A segment of TCP may have a checksum of zero, as the kernel writes it; of UDP it would mean that there is none.)
        let sum = match !self.sum(&packet) {
            0 if self.is_udp || !self.is_super_frame => 0xffff,
            sum => sum,
        };
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// The frame as it is given to the segmenter: the checksum is that of the pseudo-header, if it is begun at all.
    fn unfinished(&self) -> Vec<u8> {
        let mut packet = self.packet(0, self.transport(0, true, true), &self.payload);
        let at = self.checksum_at();
        let pseudo = self.pseudo_sum(&packet);
        packet[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        packet
    }

    /// Headers and payload, with no checksum of the transport.
    fn packet(&self, index: usize, mut transport: Vec<u8>, piece: &[u8]) -> Vec<u8> {
        let length = transport.len() + piece.len();
        if self.is_udp {
            transport[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        }
        let mut ip = self.ip(index);
        if self.is_ipv6 {
            let length = ip.len() - 40 + length;
            ip[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        } else {
            let length = ip.len() + length;
            ip[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            let sum = !add_up(&ip);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        [&self.ethernet()[..], &ip, &transport, piece].concat()
    }

    fn ethernet(&self) -> Vec<u8> {
        let mut header = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in 0..self.shape.tags % 3 {
            header.extend(if tag == 0 { [0x88, 0xa8, 0, 5] } else { [0x81, 0, 0x60, 7] });
        }
        header.extend(if self.is_ipv6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        header
    }

    /// The IP header of a segment, without length and checksum.
    fn ip(&self, index: usize) -> Vec<u8> {
        let protocol = if self.is_udp { UDP } else { TCP };
        if self.is_ipv6 {
            // Hop by hop, destination options, a routing header that is used up; all but padding of eight bytes.
            let extension = [None, Some(0), Some(60), Some(43)][usize::from(self.shape.ip_extra % 4)];
            let mut header = vec![0x60, 0, 0, 0, 0, 0, extension.unwrap_or(protocol), 64];
            header.extend(SOURCE.iter().chain(&DESTINATION));
            if extension.is_some() {
                header.extend([protocol, 0, 1, 0, 1, 2, 0, 0]);
            }
            return header;
        }
        let options = self.shape.ip_extra % 11;
        let identification = self.shape.identification.get().wrapping_add(index as u16).to_be_bytes();
        let mut header =
            vec![0x45 + options, 0, 0, 0, identification[0], identification[1], 0x40, 0, 64, protocol, 0, 0];
        header.extend(SOURCE[..4].iter().chain(&DESTINATION[..4]));
        header.extend(vec![1; usize::from(options) * 4]);
        header
    }

    /// The transport header of the segment that begins at `offset`, without length and checksum.
    fn transport(&self, offset: usize, is_first: bool, is_last: bool) -> Vec<u8> {
        if self.is_udp {
            return vec![0x10, 0x00, 0x00, 0x35, 0, 0, 0, 0];
        }
        let options = self.shape.tcp_extra % 11;
        let sequence = self.shape.sequence.get().wrapping_add(offset as u32).to_be_bytes();
        let mut flags = self.shape.tcp_flags;
        if !is_first {
            flags &= !CWR;
        }
        if !is_last {
            flags &= !(FIN | PSH);
        }
        let mut header = vec![0x10, 0x00, 0x00, 0x50];
        header.extend(sequence);
        header.extend([9, 9, 9, 9, (5 + options) << 4, flags, 0xff, 0xff, 0, 0, 0, 7]);
        header.extend(vec![1; usize::from(options) * 4]);
        header
    }

    fn checksum_at(&self) -> usize {
        let vnet = self.vnet();
        usize::from(vnet.csum_start) + usize::from(vnet.csum_offset)
    }

    /// Sum of pseudo-header, transport header and payload.
    fn sum(&self, packet: &[u8]) -> u16 {
        let transport = usize::from(self.vnet().csum_start);
        add_up(&[&self.pseudo_sum(packet).to_be_bytes(), &packet[transport..]].concat())
    }

    fn pseudo_sum(&self, packet: &[u8]) -> u16 {
        let addresses = if self.is_ipv6 { 16 } else { 4 };
        let protocol = if self.is_udp { UDP } else { TCP };
        let length = (packet.len() - usize::from(self.vnet().csum_start)) as u16;
        let [high, low] = length.to_be_bytes();
        add_up(&[&SOURCE[..addresses], &DESTINATION[..addresses], &[0, protocol, high, low]].concat())
    }
}

/// The ones' complement sum of words of 16 bits, by the book.
fn add_up(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}
