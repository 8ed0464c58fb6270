//! The offload header that a frame of a kernel's TAP brings along (virtio 1.2, 5.1.6), ten bytes.
//!
//! A switch changes no byte above the Ethernet header, so the header crosses with its frame verbatim; only a VLAN tag
//! pushed or popped at egress shifts its offsets. Whether it can be true is asked at ingress ([`crate::offload::claim`]). Fields are in the machine's byte order, as `TUNSETIFF` with
//! `IFF_VNET_HDR` gives them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `flags`: the transport checksum is only begun; finish it from `csum_start`, put it at `csum_start + csum_offset`.
pub const NEEDS_CSUM: u8 = 1;
/// `flags`: the transport checksum was looked at, and is right.
pub const DATA_VALID: u8 = 2;
/// `flags`: the other fields tell how many segments a device has made this frame of, and not of a checksum.
pub const RSC_INFO: u8 = 4;
/// `gso_type`: no segmentation.
pub const GSO_NONE: u8 = 0;
/// `gso_type`: TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// `gso_type`: UDP fragmentation, obsolete.
pub const GSO_UDP: u8 = 3;
/// `gso_type`: TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// `gso_type`: UDP segmentation (USO).
pub const GSO_UDP_L4: u8 = 5;
/// `gso_type`, a bit beside the type: TCP with ECN.
pub const GSO_ECN: u8 = 0x80;

/// The header. All zeros is a plain frame with finished checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VnetHeader {
    /// [`NEEDS_CSUM`] and others.
    pub flags: u8,
    /// One of the `GSO_` values, perhaps with [`GSO_ECN`].
    pub gso_type: u8,
    /// Length of all headers, in bytes; a hint, not to be relied on for forwarded frames.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the transport header starts, counted from the first byte of the frame.
    pub csum_start: u16,
    /// Where the checksum stands, counted from `csum_start`.
    pub csum_offset: u16,
}

impl VnetHeader {
    /// Length on the wire.
    pub const LEN: usize = 10;

    /// Whether it says nothing: a plain frame with finished checksums. (What else is in it nobody reads then.)
    #[inline]
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.flags == 0 && self.gso_type == GSO_NONE && self.hdr_len == 0
    }

    /// Whether this is a super-frame, to be cut into segments before it meets a real wire.
    #[must_use]
    pub const fn is_gso(&self) -> bool {
        self.gso_type & !GSO_ECN != GSO_NONE
    }

    /// Whether the transport checksum is unfinished.
    #[must_use]
    pub const fn needs_checksum(&self) -> bool {
        self.flags & NEEDS_CSUM != 0
    }

    /// The header of the same frame with its offsets moved by `by` bytes: +4 for a tag pushed, −4 for one popped.
    #[must_use]
    pub const fn shifted(mut self, by: i16) -> Self {
        if self.needs_checksum() {
            self.csum_start = self.csum_start.wrapping_add_signed(by);
        }
        if self.hdr_len != 0 {
            // (As a hint it may as well say less than there is.)
            self.hdr_len = self.hdr_len.saturating_add_signed(by);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_counted_from_the_first_byte_is_shifted() {
        let super_frame = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV4,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        };
        let tagged = VnetHeader { hdr_len: 58, csum_start: 38, ..super_frame };
        assert_eq!(super_frame.shifted(4), tagged);
        assert_eq!(tagged.shifted(-4), super_frame);
        assert_eq!(tagged.shifted(0), tagged);
        // No hint is still no hint, and of a finished frame there is nothing to shift.
        let without_hint = VnetHeader { hdr_len: 0, ..super_frame };
        assert_eq!(without_hint.shifted(4), VnetHeader { csum_start: 38, ..without_hint });
        assert_eq!(VnetHeader::default().shifted(4), VnetHeader::default());
    }
}
