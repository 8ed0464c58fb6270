//! [`Auxdata`]: what the kernel tells beside a frame (`PACKET_AUXDATA`), of which we want the VLAN tag it took out.

use linux_raw_sys::if_packet::{PACKET_AUXDATA, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID};
use nix::libc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::buffer::Buffer;
use crate::frame::Tag;

/// A control message and its header, as the kernel writes them (cmsg(3), `struct tpacket_auxdata` of packet(7)). All zeros
/// until it did.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Auxdata {
    /// Of the message, header included.
    len: usize,
    level: u32,
    kind: u32,
    status: u32,
    frame_len: u32,
    captured_len: u32,
    mac_offset: u16,
    network_offset: u16,
    tci: u16,
    tpid: u16,
    padding: [u8; PADDING],
}

/// What stands before the outer tag of a frame.
pub(super) const ADDRESSES: usize = 12;

const CONTENT: usize = size_of::<usize>() + 7 * size_of::<u32>();
/// What lacks to whole words.
const PADDING: usize = CONTENT.next_multiple_of(size_of::<usize>()) - CONTENT;

impl Auxdata {
    /// The tag that the kernel took out of the frame.
    pub(super) fn tag(&self) -> Option<Tag> {
        let is_ours = self.level == libc::SOL_PACKET as u32 && self.kind == PACKET_AUXDATA;
        if is_ours { tag(self.status, self.tpid, self.tci) } else { None }
    }
}

/// The tag that the kernel took out of a frame, by what it tells beside it, here or in a slot of the ring.
pub(super) fn tag(status: u32, tpid: u16, tci: u16) -> Option<Tag> {
    if status & TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    // (Linux before 3.14 did not tell the TPID.)
    let tpid = if status & TP_STATUS_VLAN_TPID_VALID == 0 { Tag::CUSTOMER } else { tpid };
    Some(Tag { tpid, tci })
}

/// Puts a tag into the frame again, behind the addresses. Where there is no room for it, the frame fills its buffer, as one
/// that did not fit.
pub(super) fn put_back(buffer: &mut Buffer, tag: Tag) {
    let len = buffer.frame().len();
    let vnet = buffer.vnet().shifted(Tag::LEN as i16);
    let room = buffer.room();
    let Some(longer) = room.get_mut(..len + Tag::LEN) else {
        let all = room.len();
        return buffer.set_len(all);
    };
    longer.copy_within(ADDRESSES..len, ADDRESSES + Tag::LEN);
    longer[ADDRESSES..ADDRESSES + Tag::LEN].copy_from_slice(&tag.to_bytes());
    buffer.set_len(len + Tag::LEN);
    buffer.set_vnet(vnet);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::MAX_FRAME;
    use crate::vnet::{NEEDS_CSUM, VnetHeader};

    #[test]
    fn the_tag_stands_behind_the_addresses_again_and_the_offload_header_follows() {
        let vnet = VnetHeader { flags: NEEDS_CSUM, csum_start: 34, csum_offset: 16, ..VnetHeader::default() };
        let mut buffer = Buffer::new();
        buffer.room()[..14].copy_from_slice(&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00]);
        buffer.set_len(14);
        buffer.set_vnet(vnet);
        put_back(&mut buffer, Tag { tpid: Tag::SERVICE, tci: 0x6005 });
        assert_eq!(buffer.frame(), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x88, 0xa8, 0x60, 0x05, 0x08, 0x00]);
        assert_eq!(buffer.vnet(), VnetHeader { csum_start: 38, ..vnet });
    }

    #[test]
    fn a_frame_that_its_tag_makes_too_long_fills_the_buffer() {
        let mut buffer = Buffer::new();
        buffer.set_len(MAX_FRAME - 2);
        put_back(&mut buffer, Tag { tpid: Tag::CUSTOMER, tci: 5 });
        assert_eq!(buffer.frame().len(), MAX_FRAME + 1);
    }

    #[test]
    fn an_old_kernel_that_does_not_tell_the_tpid_means_a_c_tag() {
        let told = Auxdata {
            len: size_of::<Auxdata>() - PADDING,
            level: libc::SOL_PACKET as u32,
            kind: PACKET_AUXDATA,
            status: TP_STATUS_VLAN_VALID,
            frame_len: 64,
            captured_len: 64,
            mac_offset: 0,
            network_offset: 14,
            tci: 7,
            tpid: 0,
            padding: [0; PADDING],
        };
        assert_eq!(told.tag(), Some(Tag { tpid: Tag::CUSTOMER, tci: 7 }));
        let with_tpid =
            Auxdata { status: TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID, tpid: Tag::SERVICE, ..told };
        assert_eq!(with_tpid.tag(), Some(Tag { tpid: Tag::SERVICE, tci: 7 }));
        assert_eq!(Auxdata { status: 0, ..told }.tag(), None);
        assert_eq!(Auxdata { kind: 1, ..told }.tag(), None);
    }
}
