//! Segmentation offload: what a host leaves to the cable, and finishes again where nobody else does.
//!
//! The rules it keeps, all of them those of Linux' TAPs:
//!
//! * Segments of one TCP stream that leave in the same moment, one after the other, leave as one super-frame; only the last may
//!   be shorter, and ends it, as does a flag that is more than an ACK.
//! * The checksum of what leaves is only begun: the sum of the pseudo-header stands there. IP's own is finished.
//! * A host takes a super-frame of TCP as it is, as one long segment, and cuts one of UDP into its datagrams.
//! * Datagrams leave as one super-frame if a program asks for it (Linux' `UDP_SEGMENT`).

use switch::offload::segment::{SegmentError, Segmenter};
use switch::vnet::{GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

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

    /// Whether these are several datagrams in one.
    pub(crate) fn is_train(&self) -> bool {
        self.vnet.gso_type == GSO_UDP_L4
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
        if !self.vnet.is_gso() {
            return self.ip().len();
        }
        let headers = Segment::of(self).map_or(self.header_len() + UDP_HEADER, |segment| segment.payload);
        headers + usize::from(self.vnet.gso_size)
    }

    /// Lets a segment of IPv4 that is too long for its way leave in shorter ones.
    pub(crate) fn fit(&mut self, mtu: usize) {
        let room = Segment::of(self).map_or(0, |segment| mtu.saturating_sub(segment.payload));
        if !self.is_v6() && room > 0 && self.wire_len() > mtu {
            self.vnet.gso_type = GSO_TCPV4;
            self.vnet.gso_size = u16::try_from(room).unwrap_or(u16::MAX);
        }
    }

    /// Leaves it to others to cut the data of a datagram into several of so many bytes each.
    pub(crate) fn leave_uncut(&mut self, size: u16) {
        self.vnet.gso_type = GSO_UDP_L4;
        self.vnet.gso_size = size;
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
mod tests;
