//! What stands in a slot of the receive ring, and how a frame gets from there into a buffer: copied once, with its tag in its
//! place.
//!
//! The kernel puts the offload header right before the frame, wherever that begins (`PACKET_VNET_HDR`).

use linux_raw_sys::if_packet::TP_STATUS_COPY;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::auxdata::{self, ADDRESSES};
use crate::buffer::Buffer;
use crate::frame::Tag;
use crate::vnet::VnetHeader;

/// The kernel's `struct tpacket2_hdr`, all of it that we read.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[cfg_attr(test, derive(zerocopy::IntoBytes))]
#[repr(C)]
struct SlotHeader {
    status: u32,
    /// How long the frame is, and how much of it is here.
    frame_len: u32,
    captured_len: u32,
    /// Where it begins, counted from the slot's first byte.
    mac_offset: u16,
    network_offset: u16,
    seconds: u32,
    nanoseconds: u32,
    tci: u16,
    tpid: u16,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A frame; it is in the buffer now.
    Frame,
    /// The beginning of one that was too long for the slot. All of it is the next that the socket gives to a call.
    Elsewhere,
    /// The beginning of one whose rest is lost.
    CutOff,
}

/// Takes what a slot holds: a frame into `buffer`, whose old content is lost in any case.
pub(super) fn take(slot: &[u8], buffer: &mut Buffer) -> Content {
    let Ok((header, _)) = SlotHeader::read_from_prefix(slot) else { return Content::CutOff };
    if header.captured_len < header.frame_len {
        return if header.status & TP_STATUS_COPY == 0 { Content::CutOff } else { Content::Elsewhere };
    }
    // (None of this fails unless the kernel has another header than we think.)
    let start = usize::from(header.mac_offset);
    let end = start + header.captured_len as usize;
    let begin = start.wrapping_sub(VnetHeader::LEN);
    let Some(with_header) = slot.get(begin..end) else { return Content::CutOff };
    let Some(()) = put(with_header, auxdata::tag(header.status, header.tpid, header.tci), buffer) else {
        return Content::CutOff;
    };
    Content::Frame
}

/// Puts an offload header and the frame behind it into a buffer. `None` if it has no room.
fn put(with_header: &[u8], tag: Option<Tag>, buffer: &mut Buffer) -> Option<()> {
    const BEFORE_TAG: usize = VnetHeader::LEN + ADDRESSES;
    let Some(tag) = tag else {
        buffer.room_with_header().get_mut(..with_header.len())?.copy_from_slice(with_header);
        buffer.set_len(with_header.len() - VnetHeader::LEN);
        return Some(());
    };
    let (before, after) = with_header.split_at_checked(BEFORE_TAG)?;
    let room = buffer.room_with_header().get_mut(..with_header.len() + Tag::LEN)?;
    room[..BEFORE_TAG].copy_from_slice(before);
    room[BEFORE_TAG..][..Tag::LEN].copy_from_slice(&tag.to_bytes());
    room[BEFORE_TAG + Tag::LEN..].copy_from_slice(after);
    buffer.set_len(with_header.len() + Tag::LEN - VnetHeader::LEN);
    let vnet = buffer.vnet().shifted(Tag::LEN as i16);
    buffer.set_vnet(vnet);
    Some(())
}

#[cfg(test)]
mod tests {
    use linux_raw_sys::if_packet::{TP_STATUS_USER, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID, tpacket2_hdr};
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::vnet::NEEDS_CSUM;

    const FRAME: &[u8] = &[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00, 9, 8, 7];
    const VNET: VnetHeader =
        VnetHeader { flags: NEEDS_CSUM, gso_type: 0, hdr_len: 0, gso_size: 0, csum_start: 34, csum_offset: 16 };
    const HEADER: SlotHeader = SlotHeader {
        status: TP_STATUS_USER,
        frame_len: FRAME.len() as u32,
        captured_len: FRAME.len() as u32,
        mac_offset: 76,
        network_offset: 90,
        seconds: 0,
        nanoseconds: 0,
        tci: 0x6005,
        tpid: Tag::SERVICE,
    };

    // The kernel's has four bytes of padding more.
    const _: () = assert!(size_of::<SlotHeader>() + 4 == size_of::<tpacket2_hdr>());

    #[test]
    fn a_frame_is_taken_with_the_offload_header_before_it() {
        let mut buffer = Buffer::new();
        assert_eq!(take(&slot(HEADER), &mut buffer), Content::Frame);
        assert_eq!((buffer.vnet(), buffer.frame()), (VNET, FRAME));
    }

    #[test]
    fn a_tag_is_put_back_and_moves_the_offload_header() {
        let mut buffer = Buffer::new();
        let status = TP_STATUS_USER | TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
        assert_eq!(take(&slot(SlotHeader { status, ..HEADER }), &mut buffer), Content::Frame);
        let expected = [&FRAME[..12], &[0x88, 0xa8, 0x60, 0x05], &FRAME[12..]].concat();
        assert_eq!((buffer.vnet(), buffer.frame()), (VNET.shifted(4), &expected[..]));
    }

    #[test]
    fn a_frame_that_is_not_all_here_is_elsewhere_or_lost() {
        let mut buffer = Buffer::new();
        let cut = SlotHeader { frame_len: FRAME.len() as u32 + 1, ..HEADER };
        assert_eq!(take(&slot(cut), &mut buffer), Content::CutOff);
        let copied = SlotHeader { status: TP_STATUS_USER | TP_STATUS_COPY, ..cut };
        assert_eq!(take(&slot(copied), &mut buffer), Content::Elsewhere);
    }

    #[test]
    fn no_header_reaches_beyond_its_slot() {
        let mut buffer = Buffer::new();
        let len = 200;
        for (mac_offset, captured_len) in [(0, 5), (9, 5), (199, 5), (201, 0), (u16::MAX, u32::MAX), (76, u32::MAX)] {
            let header = SlotHeader { mac_offset, captured_len, frame_len: captured_len, ..HEADER };
            assert_eq!(take(&slot(header)[..len], &mut buffer), Content::CutOff, "{mac_offset}, {captured_len}");
        }
        let with_tag =
            SlotHeader { status: TP_STATUS_USER | TP_STATUS_VLAN_VALID, captured_len: 11, frame_len: 11, ..HEADER };
        assert_eq!(take(&slot(with_tag), &mut buffer), Content::CutOff, "no addresses to put it behind");
        assert_eq!(take(&[0; 10], &mut buffer), Content::CutOff);
    }

    fn slot(header: SlotHeader) -> Vec<u8> {
        let mut slot = vec![0; 200];
        slot[..size_of::<SlotHeader>()].copy_from_slice(header.as_bytes());
        slot[66..76].copy_from_slice(VNET.as_bytes());
        slot[76..76 + FRAME.len()].copy_from_slice(FRAME);
        slot
    }
}
