//! [`Segmenter`]: a super-frame cut into the segments that a real wire can carry, and unfinished checksums finished.
//!
//! * TCP over IPv4 and IPv6 (TSO), UDP over both (USO), behind at most two VLAN tags; anything else is an error.
//! * A segment is a header, made anew in a scratch buffer, and a piece of the payload, which is not copied.
//! * As the kernel does it, byte for byte: IPv4 identification counts up, FIN and PSH stay with the last segment, CWR with
//!   the first (RFC 3168, 6.1.2). Checksums are made from nothing, whatever the super-frame's said.
//! * Offload headers come from a container and may lie: the headers are parsed, and a header that disagrees is an error.
//! * One super-frame gives at most [`MAX_SEGMENTS`].
//!
//! The obsolete UDP fragmentation (`GSO_UDP`) and tunnel offloads are not done: no link of ours asks the kernel for them.

#[cfg(test)]
mod tests;

use crate::offload::checksum::Sum;
use crate::offload::layout::{Ip, Layout, LayoutError, Transport};
use crate::vnet::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VnetHeader};

/// The most segments of one super-frame. Linux sends at least 48 bytes a segment (`tcp_min_snd_mss`), 1,366 to a
/// super-frame; without a bound a raw socket's super-frame of 64 Ki segments would hold up every other port.
pub const MAX_SEGMENTS: usize = 1_400;

/// Why a frame can not be finished in software. All mean that its sender's offload header is wrong or unknown to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The headers are not those of TCP or UDP, whole and in one piece.
    #[error("headers of a super-frame: {0}")]
    Layout(#[from] LayoutError),
    /// A kind of segmentation that is not done here.
    #[error("segmentation of type {0:#04x} is not known")]
    UnknownType(u8),
    /// The kind of segmentation is not that of the frame's protocol.
    #[error("segmentation of type {0:#04x} for a frame of another protocol")]
    WrongType(u8),
    /// The checksum would stand outside the frame, or not where its protocol has it.
    #[error("checksum of bytes from {start}, at {start}+{offset}: not in this frame")]
    ChecksumRange {
        /// `csum_start` of the offload header.
        start: u16,
        /// `csum_offset` of the offload header.
        offset: u16,
    },
    /// A super-frame with segments of no bytes.
    #[error("segments of size 0")]
    NoSize,
    /// A super-frame with more than [`MAX_SEGMENTS`].
    #[error("{0} segments, more than {MAX_SEGMENTS}")]
    TooMany(usize),
    /// A segment longer than an IP packet can be.
    #[error("a segment of {0} bytes, longer than an IP packet")]
    TooLong(usize),
}

/// Makes segments, one super-frame after the other, with one scratch buffer.
#[derive(Debug, Default)]
pub struct Segmenter {
    header: Vec<u8>,
}

/// The segments of one frame, to be taken one by one.
#[derive(Debug)]
pub struct Segments<'a> {
    header: &'a mut Vec<u8>,
    payload: &'a [u8],
    cut: Option<Cut>,
    next: usize,
    count: usize,
}

/// One finished frame, in two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// All headers, VLAN tags included.
    pub header: &'a [u8],
    /// What follows them.
    pub payload: &'a [u8],
}

impl Segmenter {
    /// A segmenter whose scratch buffer is yet to grow, to the longest header it meets.
    #[must_use]
    pub fn new() -> Self {
        Segmenter::default()
    }

    /// The frames that `frame` becomes: several for a super-frame, otherwise one, with its checksum finished.
    pub fn begin<'a>(&'a mut self, frame: &'a [u8], vnet: &VnetHeader) -> Result<Segments<'a>, SegmentError> {
        if vnet.is_gso() {
            return self.begin_super_frame(frame, vnet);
        }
        let header_end = if vnet.needs_checksum() { checksum_field(frame, vnet)? + 2 } else { frame.len() };
        let (header, payload) = frame.split_at(header_end);
        self.header.clear();
        self.header.extend_from_slice(header);
        if vnet.needs_checksum() {
            // The field holds the sum of the pseudo-header already.
            let sum = Sum::default().bytes(&frame[usize::from(vnet.csum_start)..]);
            put_u16(&mut self.header, header_end - 2, sum.finish_transport());
        }
        Ok(Segments { header: &mut self.header, payload, cut: None, next: 0, count: 1 })
    }

    fn begin_super_frame<'a>(&'a mut self, frame: &'a [u8], vnet: &VnetHeader) -> Result<Segments<'a>, SegmentError> {
        let layout = Layout::parse(frame)?;
        check_type(vnet, &layout)?;
        let (header, payload) = frame.split_at(layout.payload);
        let size = usize::from(vnet.gso_size);
        if size == 0 {
            return Err(SegmentError::NoSize);
        }
        let count = payload.len().div_ceil(size).max(1);
        if count > MAX_SEGMENTS {
            return Err(SegmentError::TooMany(count));
        }
        let longest = layout.payload - layout.network + size.min(payload.len());
        if longest > usize::from(u16::MAX) {
            return Err(SegmentError::TooLong(longest));
        }
        self.header.clear();
        self.header.extend_from_slice(header);
        let cut = Some(Cut::new(layout, size, header));
        Ok(Segments { header: &mut self.header, payload, cut, next: 0, count })
    }
}

impl Segments<'_> {
    /// How many there are in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next segment, in order. It lives in the scratch buffer until the one after it is asked for.
    #[expect(clippy::should_implement_trait, reason = "an iterator can not lend from itself")]
    pub fn next(&mut self) -> Option<Segment<'_>> {
        if self.next == self.count {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let Some(cut) = &self.cut else {
            return Some(Segment { header: self.header, payload: self.payload });
        };
        let start = index * cut.size;
        let end = self.payload.len().min(start + cut.size);
        let payload = &self.payload[start..end];
        cut.write_header(self.header, payload, index, self.next == self.count);
        Some(Segment { header: self.header, payload })
    }
}

/// How a super-frame is cut, and those of its fields that a segment's depend on.
#[derive(Clone, Copy, Debug)]
struct Cut {
    layout: Layout,
    size: usize,
    identification: u16,
    sequence: u32,
    flags: u8,
}

const TCP_FLAGS: usize = 13;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

impl Cut {
    fn new(layout: Layout, size: usize, header: &[u8]) -> Cut {
        let mut cut = Cut { layout, size, identification: 0, sequence: 0, flags: 0 };
        if layout.ip == Ip::V4 {
            let field = layout.network + 4;
            cut.identification = u16::from_be_bytes([header[field], header[field + 1]]);
        }
        if layout.transport == Transport::Tcp {
            let tcp = &header[layout.transport_start..];
            cut.sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            cut.flags = tcp[TCP_FLAGS];
        }
        cut
    }

    /// Makes the header of segment `index`, which has `payload`, out of the header of any other.
    fn write_header(&self, header: &mut [u8], payload: &[u8], index: usize, last: bool) {
        let Layout { ip, network, transport, transport_start, .. } = self.layout;
        match ip {
            Ip::V4 => {
                put_len(header, network + 2, header.len() - network + payload.len());
                put_u16(header, network + 4, self.identification.wrapping_add(index as u16));
                put_u16(header, network + 10, 0);
                let sum = Sum::default().bytes(&header[network..transport_start]).finish();
                put_u16(header, network + 10, sum);
            }
            Ip::V6 => put_len(header, network + 4, header.len() - network - 40 + payload.len()),
        }
        match transport {
            Transport::Tcp => {
                let sequence = self.sequence.wrapping_add((index * self.size) as u32);
                header[transport_start + 4..transport_start + 8].copy_from_slice(&sequence.to_be_bytes());
                let not_here = if last { 0 } else { FIN | PSH } | if index == 0 { 0 } else { CWR };
                header[transport_start + TCP_FLAGS] = self.flags & !not_here;
            }
            Transport::Udp => put_len(header, transport_start + 4, 8 + payload.len()),
        }
        self.write_checksum(header, payload);
    }

    fn write_checksum(&self, header: &mut [u8], payload: &[u8]) {
        let Layout { ip, network, transport, transport_start, .. } = self.layout;
        let addresses = match ip {
            Ip::V4 => network + 12..network + 20,
            Ip::V6 => network + 8..network + 40,
        };
        let field = transport_start + transport.checksum_offset();
        put_u16(header, field, 0);
        let len = header.len() - transport_start + payload.len();
        let sum = Sum::default()
            .bytes(&header[addresses])
            .word(u16::from(transport.number()))
            .word(len as u16)
            .bytes(&header[transport_start..])
            .bytes(payload);
        // Zero is a checksum like any other to TCP, and the kernel writes it in a segment; to UDP it would mean that there is none.
        let sum = match transport {
            Transport::Tcp => sum.finish(),
            Transport::Udp => sum.finish_transport(),
        };
        put_u16(header, field, sum);
    }
}

/// Whether the offload header tells of the frame that was parsed.
fn check_type(vnet: &VnetHeader, layout: &Layout) -> Result<(), SegmentError> {
    let fits = match vnet.gso_type & !GSO_ECN {
        GSO_TCPV4 => (layout.ip, layout.transport) == (Ip::V4, Transport::Tcp),
        GSO_TCPV6 => (layout.ip, layout.transport) == (Ip::V6, Transport::Tcp),
        GSO_UDP_L4 => layout.transport == Transport::Udp,
        _ => return Err(SegmentError::UnknownType(vnet.gso_type)),
    };
    debug_assert_ne!(vnet.gso_type & !GSO_ECN, GSO_NONE, "only super-frames are cut");
    if !fits {
        return Err(SegmentError::WrongType(vnet.gso_type));
    }
    let agrees = usize::from(vnet.csum_start) == layout.transport_start
        && usize::from(vnet.csum_offset) == layout.transport.checksum_offset();
    if vnet.needs_checksum() && !agrees {
        return Err(SegmentError::ChecksumRange { start: vnet.csum_start, offset: vnet.csum_offset });
    }
    Ok(())
}

/// Where the unfinished checksum of a plain frame stands.
fn checksum_field(frame: &[u8], vnet: &VnetHeader) -> Result<usize, SegmentError> {
    const ETHERNET_HEADER: u16 = 14;
    let field = usize::from(vnet.csum_start) + usize::from(vnet.csum_offset);
    if vnet.csum_start < ETHERNET_HEADER || field + 2 > frame.len() {
        return Err(SegmentError::ChecksumRange { start: vnet.csum_start, offset: vnet.csum_offset });
    }
    Ok(field)
}

/// Writes a length that `Segmenter::begin` has found to fit.
fn put_len(header: &mut [u8], at: usize, len: usize) {
    put_u16(header, at, u16::try_from(len).expect("a segment is no longer than an IP packet"));
}

fn put_u16(header: &mut [u8], at: usize, value: u16) {
    header[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
