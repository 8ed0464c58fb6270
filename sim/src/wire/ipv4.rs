//! The header of IPv4 (RFC 791), without options of our own.

use std::net::Ipv4Addr;

use super::checksum;

/// How long the header is that we write.
pub(crate) const IPV4: usize = 20;

/// The length of the packet that this begins with, in bytes; `None` if it is not whole. Fragments are not: nothing here makes
/// any.
pub(super) fn whole(ip: &[u8]) -> Option<usize> {
    let header = ip.get(..IPV4)?;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let header_len = header_len(header);
    let is_whole = header[0] >> 4 == 4 && (IPV4..=len).contains(&header_len) && len <= ip.len();
    (is_whole && !is_fragment && checksum(ip.get(..header_len)?, 0) == 0).then_some(len)
}

/// How long the header is, with its options.
pub(super) fn header_len(header: &[u8]) -> usize {
    usize::from(header[0] & 0x0f) * 4
}

/// Writes the header of a packet: it is not to be fragmented.
pub(super) fn write(ip: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) {
    ip[0] = 0x45;
    ip[6] = 0x40; // Don't fragment.
    ip[8] = 64;
    ip[9] = protocol;
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&destination.octets());
    write_len(ip);
}

/// Writes how long the packet is, and the header's checksum.
pub(super) fn write_len(ip: &mut [u8]) {
    let len = u16::try_from(ip.len()).unwrap_or(u16::MAX);
    ip[2..4].copy_from_slice(&len.to_be_bytes());
    ip[10..12].fill(0);
    let header_len = header_len(ip);
    let sum = checksum(&ip[..header_len], 0);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
}
