//! [`examine`]: whether an offload header can be true of the frame that it came with.
//!
//! The switch hands offload headers on as they came, and whoever gets one believes it. So a lie ends where it comes in, and
//! is counted for the port of whoever told it:
//!
//! * What Linux refuses to take for a frame of a TAP is refused, and besides what no stack says of its frames: an unknown
//!   flag, segmentation of another protocol than the frame's or without a checksum to be finished, a checksum within the
//!   headers of Ethernet or IP, a TCP header that says it is none, segments of fewer bytes than [`MIN_SIZE`].
//! * What real senders say passes: no hint of the headers' length, or one that covers payload, too; ECN; a checksum that was
//!   found valid; a super-frame that is but one segment; headers behind tags, IPv6 extensions, MPLS labels, or within an
//!   IP or GRE tunnel; UDP fragmentation, although it is obsolete.
//! * A super-frame within a UDP tunnel does not pass: this offload header can not say that it is one, and no stack takes it.
//! * No deeper than that: what the headers say of lengths and sums is for those who read them.

use crate::frame::Tag;
use crate::offload::layout::Transport;
use crate::vnet::{DATA_VALID, GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, NEEDS_CSUM};
use crate::vnet::{RSC_INFO, VnetHeader};

/// The most segments of UDP that Linux makes of one super-frame (`UDP_MAX_SEGMENTS`), and takes in one.
pub const MAX_UDP_SEGMENTS: usize = 128;

/// The fewest bytes that a segment of TCP, or a fragment, carries: Linux' smallest MSS of 48, less 40 bytes of options. So
/// 64 KiB are at most some 8,000 segments.
pub const MIN_SIZE: u16 = 8;

/// What can not be true of an offload header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// A flag that nobody knows.
    #[error("flags {0:#04x} are not all known")]
    Flags(u8),
    /// A kind of segmentation that nobody knows.
    #[error("segmentation of type {0:#04x} is not known")]
    Type(u8),
    /// The hint of the headers' length ends before them, or behind the frame.
    #[error("headers of {0} bytes")]
    HeaderLength(u16),
    /// The checksum is begun before the headers of Ethernet and IP have ended, stands outside the frame, or not where its
    /// protocol has it.
    #[error("checksum of bytes from {start}, at {start}+{offset}")]
    Checksum {
        /// `csum_start`.
        start: u16,
        /// `csum_offset`.
        offset: u16,
    },
    /// A super-frame whose checksum is said to be finished: that of one segment can not be.
    #[error("a super-frame whose checksum is not left to be finished")]
    Finished,
    /// A super-frame with segments of a size that none has.
    #[error("segments of size {0}")]
    Size(u16),
    /// A super-frame of another protocol than the frame.
    #[error("segmentation of type {0:#04x} for a frame of another protocol")]
    Protocol(u8),
    /// A super-frame that ends before its headers do, or whose TCP header says that it is shorter than one.
    #[error("a super-frame without whole headers")]
    Headers,
    /// More segments of UDP than anybody makes.
    #[error("{0} bytes are more than {MAX_UDP_SEGMENTS} segments")]
    TooMany(usize),
}

/// Examines the offload header of `frame`, whose payload begins at `network` and is an `ethertype`.
///
/// Returns the length of the headers that each segment of a super-frame repeats; 0 for any other frame.
///
/// # Errors
/// What is not true.
#[inline]
pub fn examine(vnet: &VnetHeader, frame: &[u8], network: usize, ethertype: u16) -> Result<usize, Lie> {
    if vnet.flags & !(NEEDS_CSUM | DATA_VALID | RSC_INFO) != 0 {
        return Err(Lie::Flags(vnet.flags));
    }
    if vnet.gso_type != GSO_NONE {
        return examine_super_frame(vnet, frame, network, ethertype);
    }
    let least = if vnet.needs_checksum() { checksum_start(vnet, frame, network)? } else { network };
    check_hint(vnet, frame, least).map(|()| 0)
}

/// As [`examine`], for those who do not ask what is not true.
///
/// A call of its own: what is said of few frames, or of large ones, would make all those that bring no header pay, since
/// [`crate::frame::Frame::parse`] would be too large to become part of its callers.
#[inline(never)]
pub(crate) fn segment_headers(vnet: &VnetHeader, frame: &[u8], network: usize, ethertype: u16) -> Option<usize> {
    examine(vnet, frame, network, ethertype).ok()
}

fn examine_super_frame(vnet: &VnetHeader, frame: &[u8], network: usize, ethertype: u16) -> Result<usize, Lie> {
    let (kind, size) = (Kind::of(vnet.gso_type)?, usize::from(vnet.gso_size));
    if !vnet.needs_checksum() {
        return Err(Lie::Finished);
    }
    let start = checksum_start(vnet, frame, network)?;
    check_hint(vnet, frame, start)?;
    if usize::from(vnet.csum_offset) != kind.transport().checksum_offset() {
        return Err(checksum(vnet));
    }
    // (All ones is how Linux marks a list of unequal segments.)
    if vnet.gso_size < kind.min_size() || vnet.gso_size == u16::MAX {
        return Err(Lie::Size(vnet.gso_size));
    }
    if !kind.is_of(frame, network, ethertype, start) {
        return Err(Lie::Protocol(vnet.gso_type));
    }
    let transport = kind.transport_header(&frame[start..]).ok_or(Lie::Headers)?;
    match kind {
        Kind::Tcp4 | Kind::Tcp6 => Ok(start + transport),
        Kind::Udp if frame.len() - start - transport > size * MAX_UDP_SEGMENTS => Err(Lie::TooMany(frame.len())),
        Kind::Udp => Ok(start + transport),
        // Fragments of an IP packet: the first alone has the UDP header.
        Kind::Fragments => Ok(start),
    }
}

/// Where the bytes begin whose checksum is unfinished: the transport header.
#[inline]
fn checksum_start(vnet: &VnetHeader, frame: &[u8], network: usize) -> Result<usize, Lie> {
    // One more tag may come before it, and it is still to be told where it is.
    const MAX_START: u16 = u16::MAX - Tag::LEN as u16;
    let start = usize::from(vnet.csum_start);
    let field = start + usize::from(vnet.csum_offset);
    if start < network + IPV4_HEADER || vnet.csum_start > MAX_START || field + 2 > frame.len() {
        return Err(checksum(vnet));
    }
    Ok(start)
}

/// The hint may be missing; it may cover payload; and it may end within the transport header, since Linux does not count a
/// tag that it puts in last. But it covers what is before that, and no more than there is.
#[inline]
fn check_hint(vnet: &VnetHeader, frame: &[u8], least: usize) -> Result<(), Lie> {
    let hint = usize::from(vnet.hdr_len);
    if hint != 0 && (hint < least || hint > frame.len()) { Err(Lie::HeaderLength(vnet.hdr_len)) } else { Ok(()) }
}

#[cold]
fn checksum(vnet: &VnetHeader) -> Lie {
    Lie::Checksum { start: vnet.csum_start, offset: vnet.csum_offset }
}

/// What a super-frame is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp4,
    Tcp6,
    Udp,
    Fragments,
}

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

impl Kind {
    #[inline]
    fn of(gso_type: u8) -> Result<Kind, Lie> {
        match gso_type {
            GSO_UDP => Ok(Kind::Fragments),
            GSO_UDP_L4 => Ok(Kind::Udp),
            // ECN is TCP's.
            tcp => match tcp & !GSO_ECN {
                GSO_TCPV4 => Ok(Kind::Tcp4),
                GSO_TCPV6 => Ok(Kind::Tcp6),
                _ => Err(Lie::Type(gso_type)),
            },
        }
    }

    const fn transport(self) -> Transport {
        match self {
            Kind::Tcp4 | Kind::Tcp6 => Transport::Tcp,
            Kind::Udp | Kind::Fragments => Transport::Udp,
        }
    }

    const fn min_size(self) -> u16 {
        match self {
            Kind::Tcp4 | Kind::Tcp6 | Kind::Fragments => MIN_SIZE,
            Kind::Udp => 1,
        }
    }

    const fn least_header(self) -> usize {
        match self {
            Kind::Tcp4 | Kind::Tcp6 => 20,
            Kind::Udp | Kind::Fragments => 8,
        }
    }

    /// The length of the transport header that `segment` begins with, if it is whole.
    #[inline]
    fn transport_header(self, segment: &[u8]) -> Option<usize> {
        let length = match self {
            Kind::Tcp4 | Kind::Tcp6 => usize::from(segment.get(12)? >> 4) * 4,
            Kind::Udp | Kind::Fragments => 8,
        };
        (length >= self.least_header() && length <= segment.len()).then_some(length)
    }

    /// Whether the transport header at `start` can be of this kind. There are [`IPV4_HEADER`] bytes before it.
    #[inline]
    fn is_of(self, frame: &[u8], network: usize, ethertype: u16, start: usize) -> bool {
        let before = &frame[network..start];
        match ethertype {
            0x0800 => self.is_in_ipv4(before),
            0x86dd => self.is_in_ipv6(before),
            other => self.is_behind(before, other),
        }
    }

    #[inline]
    fn is_in_ipv4(self, before: &[u8]) -> bool {
        const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;
        let length = usize::from(before[0] & 0x0f) * 4;
        if before[0] >> 4 != 4 || length < IPV4_HEADER {
            return false;
        }
        let is_whole = u16::from_be_bytes([before[6], before[7]]) & MORE_FRAGMENTS_OR_OFFSET == 0;
        if before[9] == self.transport().number() {
            return self != Kind::Tcp6 && before.len() == length && is_whole;
        }
        is_tunnel(before[9]) && before.len() >= length + IPV4_HEADER
    }

    #[inline]
    fn is_in_ipv6(self, before: &[u8]) -> bool {
        const EXTENSION: usize = 8;
        if before.len() < IPV6_HEADER || before[0] >> 4 != 6 {
            return false;
        }
        let next = before[6];
        if next == self.transport().number() {
            return self != Kind::Tcp4 && before.len() == IPV6_HEADER;
        }
        // What comes behind an extension is not looked for.
        is_extension(next) && before.len() >= IPV6_HEADER + EXTENSION
            || is_tunnel(next) && before.len() >= IPV6_HEADER + IPV4_HEADER
    }

    /// Behind what else an IP header may stand: the third tag and those after it, and labels.
    #[cold]
    fn is_behind(self, before: &[u8], ethertype: u16) -> bool {
        const MPLS: [u16; 2] = [0x8847, 0x8848];
        const LABEL: usize = 4;
        let (mut ethertype, mut before) = (ethertype, before);
        while let (Tag::CUSTOMER | Tag::SERVICE, [_, _, high, low, behind @ ..]) = (ethertype, before) {
            (ethertype, before) = (u16::from_be_bytes([*high, *low]), behind);
        }
        match ethertype {
            0x0800 => before.len() >= IPV4_HEADER && self.is_in_ipv4(before),
            0x86dd => self.is_in_ipv6(before),
            other => MPLS.contains(&other) && before.len() >= LABEL + IPV4_HEADER,
        }
    }
}

/// IPv4 and IPv6 in IP, and GRE (IANA, protocol numbers).
const fn is_tunnel(protocol: u8) -> bool {
    matches!(protocol, 4 | 41 | 47)
}

/// The IPv6 extension headers but for that of a fragment, which is no super-frame: hop by hop, routing, authentication,
/// destination options, mobility (IANA, IPv6 extension header types).
const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, 0 | 43 | 51 | 60 | 135)
}

#[cfg(test)]
mod tests;
