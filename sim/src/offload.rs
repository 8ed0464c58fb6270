//! Segmentation offload: what a host leaves to the cable, and finishes again where nobody else does.
//!
//! The rules it keeps, all of them those of Linux' TAPs:
//!
//! * Segments of one TCP stream that leave in the same moment, one after the other, leave as one super-frame; only the last may
//!   be shorter, and ends it, as does a flag that is more than an ACK.
//! * The checksum of what leaves is only begun: the sum of the pseudo-header stands there. IP's own is finished.
//! * A host takes a super-frame as it is, as one long segment.

use switch::offload::segment::{SegmentError, Segmenter};
use switch::vnet::{GSO_NONE, GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, VnetHeader};

use crate::wire::{ETHERNET, Packet, TCP, UDP, UDP_HEADER};

const ACK: u8 = 0x10;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
/// Linux' `tcp_min_snd_mss`: shorter segments would be too many.
const SHORTEST: usize = 48;
/// An IPv4 packet is no longer, and Linux makes no longer one of IPv6.
const LONGEST: usize = u16::MAX as usize;

/// A frame, and what its sender has left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) vnet: VnetHeader,
}

impl From<Vec<u8>> for Frame {
    /// A finished one.
    fn from(bytes: Vec<u8>) -> Self {
        Frame { bytes, vnet: VnetHeader::default() }
    }
}

impl Frame {
    /// Whether there is nothing left to do.
    pub(crate) fn is_finished(&self) -> bool {
        is_finished(&self.vnet)
    }

    /// The frames that a real wire can carry.
    pub(crate) fn cut(&self) -> Result<Vec<Vec<u8>>, SegmentError> {
        cut(&self.bytes, &self.vnet)
    }

    /// The same in one piece, with its checksum finished.
    pub(crate) fn finish(self) -> Result<Vec<u8>, SegmentError> {
        if self.is_finished() {
            return Ok(self.bytes);
        }
        let whole = VnetHeader { gso_type: GSO_NONE, ..self.vnet };
        cut(&self.bytes, &whole).map(|pieces| pieces.concat())
    }
}

/// Whether a frame with this header has nothing left to do.
pub(crate) fn is_finished(vnet: &VnetHeader) -> bool {
    !vnet.is_gso() && !vnet.needs_checksum()
}

/// The frames that a real wire can carry.
pub(crate) fn cut(frame: &[u8], vnet: &VnetHeader) -> Result<Vec<Vec<u8>>, SegmentError> {
    let mut segmenter = Segmenter::new();
    let (mut segments, mut finished) = (segmenter.begin(frame, vnet)?, Vec::new());
    while let Some(segment) = segments.next() {
        finished.push([segment.header, segment.payload].concat());
    }
    Ok(finished)
}

/// Where the parts of a TCP segment are, from the first byte of the IP header on.
#[derive(Clone, Copy, Debug)]
struct Segment {
    payload: usize,
    sequence: u32,
    flags: u8,
}

impl Segment {
    /// `None` if it is no TCP, or has no payload, or options of IP.
    fn of(packet: &Packet) -> Option<Self> {
        let ip = packet.ip();
        if packet.protocol() != TCP || ip[0] & 0xf0 == 0x40 && ip[0] != 0x45 {
            return None;
        }
        let header = packet.header_len();
        let tcp = ip.get(header..header + 20)?;
        let payload = header + usize::from(tcp[12] >> 4) * 4;
        let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        (payload < ip.len()).then_some(Segment { payload, sequence, flags: tcp[13] })
    }
}

impl Packet {
    /// Whether both are of the same stream, in the same direction.
    pub(crate) fn is_of_stream(&self, other: &Packet) -> bool {
        self.protocol() == TCP && other.protocol() == TCP && self.ends() == other.ends()
    }

    /// Appends the segment that comes next in the stream, if a super-frame can hold both. Returns whether it did.
    pub(crate) fn join(&mut self, next: &Packet) -> bool {
        let (Some(own), Some(other)) = (Segment::of(self), Segment::of(next)) else { return false };
        let len = self.ip().len() - own.payload;
        let size = if self.vnet.is_gso() { usize::from(self.vnet.gso_size) } else { len };
        let more = next.ip().len() - other.payload;
        let follows = own.sequence.wrapping_add(u32::try_from(len).unwrap_or(u32::MAX)) == other.sequence;
        let fits = size >= SHORTEST && len.is_multiple_of(size) && more <= size && self.ip().len() + more <= LONGEST;
        let is_plain = own.flags == ACK && other.flags & !(FIN | PSH) == ACK;
        if !follows || !fits || !is_plain || !self.has_same_header(next, own.payload, other.payload) {
            return false;
        }
        self.append(&next.ip()[other.payload..]);
        let flags = self.header_len() + 13;
        self.ip_mut()[flags] = other.flags;
        self.vnet.gso_type = if self.is_v6() { GSO_TCPV6 } else { GSO_TCPV4 };
        self.vnet.gso_size = u16::try_from(size).unwrap_or(u16::MAX);
        true
    }

    /// Leaves the checksum to whoever comes after: it is only begun. What is neither TCP nor UDP has none.
    pub(crate) fn begin_checksum(&mut self) {
        let offset = match self.protocol() {
            TCP => 16,
            UDP => 6,
            _ => return,
        };
        self.write_len();
        let (vnet, header) = (self.vnet, self.header_len());
        let field = header + offset;
        let pseudo = self.begun_checksum();
        let ip = self.ip_mut();
        ip[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        let hdr_len = if offset == 16 { header + usize::from(ip[header + 12] >> 4) * 4 } else { header + UDP_HEADER };
        self.vnet = VnetHeader {
            flags: NEEDS_CSUM,
            hdr_len: (ETHERNET + hdr_len) as u16,
            csum_start: (ETHERNET + header) as u16,
            csum_offset: offset as u16,
            ..vnet
        };
    }

    /// How long the longest packet is that this becomes on a real wire.
    pub(crate) fn wire_len(&self) -> usize {
        match Segment::of(self).filter(|_| self.vnet.is_gso()) {
            Some(segment) => segment.payload + usize::from(self.vnet.gso_size),
            None => self.ip().len(),
        }
    }

    /// Whether two TCP headers say the same but for where in the stream they are.
    fn has_same_header(&self, other: &Packet, own: usize, others: usize) -> bool {
        let parts = |packet: &Packet, end: usize| {
            let tcp = &packet.ip()[packet.header_len()..end];
            // Acknowledgement and length; window; urgent pointer and options.
            [&tcp[8..13], &tcp[14..16], &tcp[18..]].concat()
        };
        parts(self, own) == parts(other, others)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use switch::mac::MacAddr;

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    /// A segment with its checksum finished.
    fn segment(sequence: u32, flags: u8, payload: &[u8]) -> Packet {
        let mut packet = Packet::zeroed(40 + payload.len());
        let ip = packet.ip_mut();
        ip[0] = 0x45;
        ip[8] = 64;
        ip[9] = TCP;
        ip[12..16].copy_from_slice(&A.octets());
        ip[16..20].copy_from_slice(&B.octets());
        ip[20..24].copy_from_slice(&[0x80, 1, 0, 80]);
        ip[24..28].copy_from_slice(&sequence.to_be_bytes());
        ip[32] = 0x50;
        ip[33] = flags;
        ip[40..].copy_from_slice(payload);
        packet.begin_checksum();
        let finished = packet.into_frame(MacAddr::BROADCAST, MacAddr::ZERO).finish().expect("a checksum");
        Packet::from_frame(finished.into()).expect("a packet")
    }

    fn bytes(packet: Packet) -> Vec<u8> {
        packet.into_frame(MacAddr::BROADCAST, MacAddr::ZERO).bytes
    }

    #[test]
    fn what_was_joined_is_cut_into_the_same_segments() {
        let payload: Vec<u8> = (0..=255).cycle().take(2500).collect();
        let pieces = [&payload[..1000], &payload[1000..2000], &payload[2000..]];
        let segments: Vec<Packet> = (0..3)
            .map(|at| segment(7 + 1000 * at as u32, if at == 2 { ACK | PSH | FIN } else { ACK }, pieces[at]))
            .collect();
        let mut joined = segments[0].clone();
        assert!(joined.join(&segments[1]) && joined.join(&segments[2]));
        assert_eq!(joined.wire_len(), 1040);
        joined.begin_checksum();
        let frame = joined.into_frame(MacAddr::BROADCAST, MacAddr::ZERO);
        assert_eq!((frame.vnet.gso_size, frame.vnet.hdr_len, frame.vnet.csum_start), (1000, 54, 34));
        let mut cut = frame.cut().expect("segments");
        for (index, frame) in cut.iter_mut().enumerate() {
            // Each has an identification of its own, as the kernel's have, and IP's checksum is about that too.
            assert_eq!(frame[18..20], (index as u16).to_be_bytes());
            frame[18..20].fill(0);
            frame[24..26].fill(0);
        }
        let expected: Vec<Vec<u8>> = segments
            .into_iter()
            .map(|packet| {
                let mut frame = bytes(packet);
                frame[24..26].fill(0);
                frame
            })
            .collect();
        assert_eq!(cut, expected);
        // Taken whole, it is one packet, and whole.
        let whole = Packet::from_frame(frame).expect("a packet");
        assert_eq!(whole.ip()[40..], payload);
    }

    #[test]
    fn only_what_follows_is_joined() {
        let first = segment(0, ACK, &[1; 100]);
        let joins = |own: &Packet, next: &Packet| own.clone().join(next);
        assert!(joins(&first, &segment(100, ACK, &[2; 100])));
        assert!(joins(&first, &segment(100, ACK | PSH, &[2; 10])));
        assert!(!joins(&first, &segment(101, ACK, &[2; 100])), "a gap");
        assert!(!joins(&first, &segment(100, ACK, &[2; 101])), "longer than those before");
        assert!(!joins(&first, &segment(100, ACK, &[])), "no data");
        assert!(!joins(&first, &segment(100, ACK | 0x04, &[2; 100])), "a reset");
        assert!(!joins(&segment(0, ACK | PSH, &[1; 100]), &segment(100, ACK, &[2; 100])), "it was the last");
        assert!(!joins(&segment(0, ACK, &[1; 40]), &segment(40, ACK, &[2; 40])), "too many would fit");
        let mut short = first.clone();
        assert!(short.join(&segment(100, ACK, &[2; 50])));
        assert!(!short.join(&segment(150, ACK, &[3; 50])), "a short one is the last");
        let mut other_window = segment(100, ACK, &[2; 100]);
        other_window.ip_mut()[35] = 9;
        assert!(!joins(&first, &other_window));
        let mut long = segment(0, ACK, &[0; 1400]);
        let count = (1..100).take_while(|at| long.join(&segment(1400 * at, ACK, &[0; 1400]))).count();
        assert_eq!((count, long.ip().len()), (45, 40 + 46 * 1400));
    }
}
