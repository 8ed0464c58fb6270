//! [`Frame`]: the checked view of an Ethernet frame, and the only door from bytes to it.
//!
//! Rules:
//! * It looks at the Ethernet header and at most two VLAN tags; nothing behind them makes a frame invalid. What follows
//!   the tags may be an EtherType or an IEEE 802.3 length: the switch does not care, and forwards IPX as well as IP.
//! * No byte is copied and nothing is allocated.
//! * There is no least length but that of the header: frames of a virtual link are not padded to 60 bytes.
//!
//! * An offload header must be one that can be true of its frame ([`crate::offload::claim`]).
//!
//! What it does not do: judge addresses (that is [`crate::forward`]).

use crate::buffer::MAX_FRAME;
use crate::mac::MacAddr;
use crate::offload::claim;
use crate::verdict::DropReason;
use crate::vnet::VnetHeader;

/// A VLAN tag (IEEE 802.1Q-2022, clause 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// What kind of tag: [`Tag::CUSTOMER`] or [`Tag::SERVICE`].
    pub tpid: u16,
    /// The control information: priority (3 bits), drop eligibility (1), VLAN (12).
    pub tci: u16,
}

impl Tag {
    /// The TPID of a C-tag, the ordinary VLAN tag.
    pub const CUSTOMER: u16 = 0x8100;
    /// The TPID of an S-tag, a provider's.
    pub const SERVICE: u16 = 0x88a8;
    /// Bytes a tag adds to a frame.
    pub const LEN: usize = 4;

    /// The VLAN's number; 0 in a tag that carries a priority only.
    #[must_use]
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }

    /// Priority and drop eligibility, where they stand in the control information.
    #[must_use]
    pub const fn priority_bits(self) -> u16 {
        self.tci & 0xf000
    }

    /// The tag as it stands in a frame.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Tag::LEN] {
        let (tpid, tci) = (self.tpid.to_be_bytes(), self.tci.to_be_bytes());
        [tpid[0], tpid[1], tci[0], tci[1]]
    }
}

/// A frame that has a whole Ethernet header and whole tags, and an offload header that can be true.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    vnet: VnetHeader,
    /// The addresses are read where they are. A copy would be written in one width and read in another a moment later, and
    /// a processor can not give that before all that came earlier is done: not one cache miss of a frame would overlap
    /// with those of the next.
    header: &'a [u8; Frame::HEADER],
    outer: Option<Tag>,
    inner: Option<Tag>,
    ethertype: u16,
    payload: usize,
    /// Length of the headers that each segment repeats; 0 if it is no super-frame.
    segment_headers: usize,
}

impl<'a> Frame<'a> {
    /// Length of an untagged Ethernet header.
    pub const HEADER: usize = 14;

    /// Checks the headers of a frame: its own, and the offload header.
    ///
    /// # Errors
    /// [`DropReason::Runt`], [`DropReason::Oversized`], [`DropReason::TruncatedTag`] and [`DropReason::BadOffload`].
    #[inline(always)]
    pub fn parse(bytes: &'a [u8], vnet: VnetHeader) -> Result<Self, DropReason> {
        let (header, mut rest) = bytes.split_first_chunk::<{ Frame::HEADER }>().ok_or(DropReason::Runt)?;
        if bytes.len() > MAX_FRAME {
            return Err(DropReason::Oversized);
        }
        let [.., t0, t1] = *header;
        let mut ethertype = u16::from_be_bytes([t0, t1]);
        let mut tags = [None; 2];
        for tag in &mut tags {
            if ethertype != Tag::CUSTOMER && ethertype != Tag::SERVICE {
                break;
            }
            let ([c0, c1, t0, t1], behind) = rest.split_first_chunk().ok_or(DropReason::TruncatedTag)?;
            *tag = Some(Tag { tpid: ethertype, tci: u16::from_be_bytes([*c0, *c1]) });
            ethertype = u16::from_be_bytes([*t0, *t1]);
            rest = behind;
        }
        let payload = bytes.len() - rest.len();
        let segment_headers = if vnet.is_plain() {
            0
        } else {
            claim::segment_headers(&vnet, bytes, payload, ethertype).ok_or(DropReason::BadOffload)?
        };
        Ok(Frame { bytes, vnet, header, outer: tags[0], inner: tags[1], ethertype, payload, segment_headers })
    }

    /// Whom it is for.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = *self.header;
        MacAddr([a, b, c, d, e, f])
    }

    /// Whom it is from.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> MacAddr {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.header;
        MacAddr([a, b, c, d, e, f])
    }

    /// The first tag.
    #[inline]
    #[must_use]
    pub const fn outer(&self) -> Option<Tag> {
        self.outer
    }

    /// The second tag. A third is payload: [`Frame::ethertype`] is then a TPID.
    #[inline]
    #[must_use]
    pub const fn inner(&self) -> Option<Tag> {
        self.inner
    }

    /// What stands behind the tags: an EtherType from 0x0600, a length up to 1500.
    #[must_use]
    pub const fn ethertype(&self) -> u16 {
        self.ethertype
    }

    /// Where the payload starts.
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.payload
    }

    /// The whole frame.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The offload header that came with it.
    #[must_use]
    pub const fn vnet(&self) -> VnetHeader {
        self.vnet
    }

    /// Length of the longest frame that this one becomes on a real wire, header and tags included: its own, unless it
    /// is a super-frame.
    #[inline]
    #[must_use]
    pub fn longest_segment(&self) -> usize {
        let whole = self.bytes.len();
        if self.segment_headers == 0 {
            return whole;
        }
        whole.min(self.segment_headers + usize::from(self.vnet.gso_size))
    }

    /// How many frames this one becomes on a real wire: one, unless it is a super-frame.
    #[inline]
    #[must_use]
    pub fn wire_frames(&self) -> u64 {
        if self.segment_headers == 0 {
            return 1;
        }
        // (32 bits are divided faster. A super-frame has a size, and is longer than its headers, or as long.)
        let payload = (self.bytes.len() - self.segment_headers) as u32;
        u64::from(payload.div_ceil(u32::from(self.vnet.gso_size)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vnet::{GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, NEEDS_CSUM};

    const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    #[test]
    fn reads_an_untagged_frame() {
        let bytes = frame(&[0x08, 0x06, 1, 2, 3]);
        let frame = parse(&bytes).unwrap();
        assert_eq!(frame.destination().to_string(), "02:00:00:00:00:01");
        assert_eq!(frame.source().to_string(), "02:00:00:00:00:02");
        assert_eq!((frame.outer(), frame.inner()), (None, None));
        assert_eq!(frame.ethertype(), 0x0806);
        assert_eq!(frame.payload_offset(), 14);
        assert_eq!(frame.bytes(), bytes);
    }

    #[test]
    fn reads_one_tag_and_two() {
        let bytes = frame(&[0x81, 0x00, 0x60, 0x07, 0x08, 0x00]);
        let one = parse(&bytes).unwrap();
        assert_eq!(one.outer(), Some(Tag { tpid: Tag::CUSTOMER, tci: 0x6007 }));
        assert_eq!(one.outer().map(|tag| (tag.vid(), tag.priority_bits())), Some((7, 0x6000)));
        assert_eq!((one.inner(), one.ethertype(), one.payload_offset()), (None, 0x0800, 18));

        let bytes = frame(&[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06, 0x86, 0xdd]);
        let two = parse(&bytes).unwrap();
        assert_eq!(two.outer(), Some(Tag { tpid: Tag::SERVICE, tci: 5 }));
        assert_eq!(two.inner(), Some(Tag { tpid: Tag::CUSTOMER, tci: 6 }));
        assert_eq!((two.ethertype(), two.payload_offset()), (0x86dd, 22));
    }

    #[test]
    fn takes_a_third_tag_for_payload() {
        let bytes = frame(&[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0]);
        assert_eq!(parse(&bytes).unwrap().ethertype(), Tag::CUSTOMER);
    }

    #[test]
    fn takes_a_length_and_an_unknown_ethertype() {
        assert_eq!(parse(&frame(&[0x00, 0x26, 0x42, 0x42, 0x03])).unwrap().ethertype(), 0x26);
        assert_eq!(parse(&frame(&[0x88, 0xb5])).unwrap().ethertype(), 0x88b5);
        assert_eq!(parse(&frame(&[0x05, 0xff])).unwrap().ethertype(), 0x05ff);
    }

    #[test]
    fn refuses_a_runt() {
        for length in 0..14 {
            assert_eq!(parse(&vec![0xff; length]).unwrap_err(), DropReason::Runt);
        }
    }

    #[test]
    fn refuses_what_fits_in_no_buffer() {
        assert_eq!(parse(&vec![0; MAX_FRAME]).unwrap().bytes().len(), MAX_FRAME);
        assert_eq!(parse(&vec![0; MAX_FRAME + 1]).unwrap_err(), DropReason::Oversized);
    }

    #[test]
    fn refuses_a_tag_that_is_cut_off() {
        for length in 0..4 {
            let cut = [&[0x81, 0x00][..], &vec![0; length]].concat();
            assert_eq!(parse(&frame(&cut)).unwrap_err(), DropReason::TruncatedTag);
            let second = [&[0x88, 0xa8, 0, 5, 0x81, 0x00][..], &vec![0; length]].concat();
            assert_eq!(parse(&frame(&second)).unwrap_err(), DropReason::TruncatedTag);
        }
    }

    #[test]
    fn a_plain_frame_is_its_own_longest_segment() {
        let bytes = vec![0; 1514];
        let plain = parse(&bytes).unwrap();
        assert_eq!((plain.longest_segment(), plain.wire_frames()), (1514, 1));
    }

    #[test]
    fn a_super_frame_is_as_long_as_its_longest_segment() {
        let tcp = packet(6, 32, 3 * 1448);
        for ecn in [0, GSO_ECN] {
            let tcp = Frame::parse(&tcp, gso(GSO_TCPV4 | ecn, 34, 1448)).unwrap();
            assert_eq!((tcp.longest_segment(), tcp.wire_frames()), (1514, 3));
        }
        let udp = packet(17, 8, 4_344);
        let uso = Frame::parse(&udp, gso(GSO_UDP_L4, 34, 1000)).unwrap();
        assert_eq!((uso.longest_segment(), uso.wire_frames()), (1042, 5));
        // Fragments of IP: the UDP header is a part of the first one's payload.
        let ufo = Frame::parse(&udp, gso(GSO_UDP, 34, 1000)).unwrap();
        assert_eq!((ufo.longest_segment(), ufo.wire_frames()), (1034, 5));
    }

    #[test]
    fn a_super_frame_of_one_segment_is_no_longer_than_itself() {
        for payload in [0, 1, 100] {
            let bytes = packet(6, 20, payload);
            let one = Frame::parse(&bytes, gso(GSO_TCPV4, 34, 1448)).unwrap();
            assert_eq!((one.longest_segment(), one.wire_frames()), (54 + payload, 1));
        }
    }

    #[test]
    fn a_transport_header_begins_behind_the_tags() {
        let untagged = packet(17, 8, 8_000);
        let tagged = [&untagged[..12], &[0x81, 0x00, 0, 5], &untagged[12..]].concat();
        let behind_it = Frame::parse(&tagged, gso(GSO_UDP_L4, 38, 1000)).unwrap();
        assert_eq!((behind_it.longest_segment(), behind_it.wire_frames()), (1046, 8));
        let short_of_it = Frame::parse(&tagged, gso(GSO_UDP_L4, 34, 1000));
        assert_eq!(short_of_it.unwrap_err(), DropReason::BadOffload);
    }

    #[test]
    fn refuses_an_offload_header_that_can_not_be_true() {
        let bytes = packet(6, 20, 5_000);
        assert!(Frame::parse(&bytes, gso(GSO_TCPV4, 34, 1448)).is_ok());
        for lie in [gso(GSO_TCPV4, 34, 0), gso(GSO_TCPV6, 34, 1448), VnetHeader { hdr_len: 1, ..VnetHeader::default() }]
        {
            assert_eq!(Frame::parse(&bytes, lie).unwrap_err(), DropReason::BadOffload, "{lie:?}");
        }
    }

    /// IPv4 with a transport header of this length.
    fn packet(protocol: u8, transport: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; 34 + usize::from(transport) + payload];
        bytes[..12].copy_from_slice(&MACS);
        bytes[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        bytes[14 + 9] = protocol;
        bytes[34 + 12] = transport << 2;
        bytes
    }

    fn frame(after_macs: &[u8]) -> Vec<u8> {
        [&MACS, after_macs].concat()
    }

    fn parse(bytes: &[u8]) -> Result<Frame<'_>, DropReason> {
        Frame::parse(bytes, VnetHeader::default())
    }

    fn gso(gso_type: u8, csum_start: u16, gso_size: u16) -> VnetHeader {
        let csum_offset = if matches!(gso_type, GSO_UDP | GSO_UDP_L4) { 6 } else { 16 };
        VnetHeader { flags: NEEDS_CSUM, gso_type, gso_size, csum_start, csum_offset, ..VnetHeader::default() }
    }
}
