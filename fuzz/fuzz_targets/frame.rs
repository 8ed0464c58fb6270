//! `Frame::parse` against etherparse: the same header, the same tags, the same payload, the same refusals.
//!
//! An input is an offload header (ten bytes) and a frame. Where the two parsers may differ, it is said here why.

#![no_main]

use etherparse::{EtherType, Ethernet2HeaderSlice, LaxSlicedPacket, SingleVlanHeaderSlice};
use libfuzzer_sys::fuzz_target;
use switch::buffer::MAX_FRAME;
use switch::frame::{Frame, Tag};
use switch::verdict::DropReason;
use switch::vnet::VnetHeader;
use zerocopy::FromBytes;

fuzz_target!(|input: &[u8]| {
    let Ok((vnet, bytes)) = VnetHeader::read_from_prefix(input) else { return };
    let ours = Frame::parse(bytes, vnet);
    match (&ours, header_by_header(bytes)) {
        (Ok(frame), Ok(theirs)) => {
            let mine = Header {
                destination: frame.destination().0,
                source: frame.source().0,
                tags: [frame.outer(), frame.inner()],
                ethertype: frame.ethertype(),
                payload: frame.payload_offset(),
            };
            assert_eq!(mine, theirs);
            assert_eq!(frame.bytes(), bytes);
            sees_the_tags_of_a_deep_parse(frame);
            segments_make_sense(frame);
        }
        (Err(mine), Err(theirs)) => assert_eq!(*mine, theirs),
        // (What is true of an offload header is asked by `vnet_hdr`.)
        (Err(DropReason::BadOffload), Ok(_)) => assert!(!vnet.is_plain()),
        (mine, theirs) => panic!("we say {mine:?}, etherparse says {theirs:?}"),
    }
});

#[derive(Debug, PartialEq, Eq)]
struct Header {
    destination: [u8; 6],
    source: [u8; 6],
    tags: [Option<Tag>; 2],
    ethertype: u16,
    payload: usize,
}

/// The frame as etherparse's single steps see it. That there are at most two tags, and that 0x9100 (a TPID from before
/// 802.1ad, which it knows) is none, is the switch's own choice; and so is how long a frame may be, once it has a header.
fn header_by_header(bytes: &[u8]) -> Result<Header, DropReason> {
    let ethernet = Ethernet2HeaderSlice::from_slice(bytes).map_err(|_| DropReason::Runt)?;
    if bytes.len() > MAX_FRAME {
        return Err(DropReason::Oversized);
    }
    let mut header = Header {
        destination: ethernet.destination(),
        source: ethernet.source(),
        tags: [None; 2],
        ethertype: ethernet.ether_type().0,
        payload: ethernet.slice().len(),
    };
    for at in 0..2 {
        let tpid = EtherType(header.ethertype);
        if tpid != EtherType::VLAN_TAGGED_FRAME && tpid != EtherType::PROVIDER_BRIDGING {
            break;
        }
        let vlan = SingleVlanHeaderSlice::from_slice(&bytes[header.payload..]).map_err(|_| DropReason::TruncatedTag)?;
        let tci = u16::from(vlan.priority_code_point().value()) << 13
            | u16::from(vlan.drop_eligible_indicator()) << 12
            | vlan.vlan_identifier().value();
        header.tags[at] = Some(Tag { tpid: tpid.0, tci });
        header.ethertype = vlan.ether_type().0;
        header.payload += vlan.slice().len();
    }
    Ok(header)
}

/// A parse of the whole packet finds the same VLANs first. It may find more, but only behind what we take for payload:
/// a third tag, a tag of 0x9100, or one behind MACsec.
fn sees_the_tags_of_a_deep_parse(frame: &Frame<'_>) {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame.bytes()) else { return };
    let deep: Vec<u16> = packet.vlan_ids().iter().map(|id| id.value()).collect();
    let ours: Vec<u16> = [frame.outer(), frame.inner()].iter().flatten().map(|tag| tag.vid()).collect();
    assert!(deep.starts_with(&ours), "VLANs {ours:?}, in depth {deep:?}");
    if deep.len() > ours.len() {
        let behind = EtherType(frame.ethertype());
        let explained = [
            EtherType::VLAN_TAGGED_FRAME,
            EtherType::PROVIDER_BRIDGING,
            EtherType::VLAN_DOUBLE_TAGGED_FRAME,
            EtherType::MACSEC,
        ];
        assert!(explained.contains(&behind), "VLANs {ours:?}, in depth {deep:?}, behind {behind:?}");
    }
}

/// Whatever the offload header says, segments are no longer than the frame, and shorter only if there are several.
fn segments_make_sense(frame: &Frame<'_>) {
    let (longest, whole) = (frame.longest_segment(), frame.bytes().len());
    assert!(longest <= whole);
    assert!(frame.wire_frames() >= 1);
    assert_eq!(longest == whole, frame.wire_frames() == 1, "{longest} of {whole}, {} frames", frame.wire_frames());
    assert!(frame.vnet().is_gso() || longest == whole);
    assert!(longest as u64 * frame.wire_frames() >= whole as u64);
}
