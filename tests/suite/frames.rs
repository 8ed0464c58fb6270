//! Frames, byte by byte.

use switch::mac::MacAddr;

/// An EtherType for local experiments (IEEE 802, clause 9.2.4).
pub const EXPERIMENTAL: u16 = 0x88b5;

/// A frame with this payload.
pub fn ethernet(destination: MacAddr, source: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, &ethertype.to_be_bytes(), payload].concat()
}

/// A frame of IEEE 802.3, whose type field is a length: LLC with SNAP's addresses, then the payload.
pub fn llc(destination: MacAddr, source: MacAddr, payload: &[u8]) -> Vec<u8> {
    let behind = [&[0xaa, 0xaa, 0x03][..], payload].concat();
    let length = u16::try_from(behind.len()).expect("an LLC frame is short");
    ethernet(destination, source, length, &behind)
}

/// A frame with a C-tag.
pub fn tagged(destination: MacAddr, source: MacAddr, vlan: u16, payload: &[u8]) -> Vec<u8> {
    let behind = [&vlan.to_be_bytes()[..], &EXPERIMENTAL.to_be_bytes(), payload].concat();
    ethernet(destination, source, 0x8100, &behind)
}

/// So many bytes that differ from their neighbours near and far.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}
