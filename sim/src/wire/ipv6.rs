//! The header of IPv6 (RFC 8200). Packets with extension headers are not for us: nothing here sends any that one has to read.

use std::net::Ipv6Addr;

/// How long the header is.
pub(crate) const IPV6: usize = 40;
/// How many routers a packet may cross, if nobody says otherwise.
const HOPS: u8 = 64;
/// The same for groups, which are of one network.
const NEAR: u8 = 1;

/// The length of the packet that this begins with, in bytes; `None` if it is not whole.
pub(super) fn whole(ip: &[u8]) -> Option<usize> {
    let header = ip.get(..IPV6)?;
    let len = IPV6 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    (header[0] >> 4 == 6 && len <= ip.len()).then_some(len)
}

/// Writes the header of a packet.
pub(super) fn write(ip: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr, protocol: u8) {
    ip[0] = 0x60;
    ip[6] = protocol;
    ip[7] = if destination.is_multicast() { NEAR } else { HOPS };
    ip[8..24].copy_from_slice(&source.octets());
    ip[24..40].copy_from_slice(&destination.octets());
    write_len(ip);
}

/// Writes how long the packet is.
pub(super) fn write_len(ip: &mut [u8]) {
    let len = u16::try_from(ip.len() - IPV6).unwrap_or(u16::MAX);
    ip[4..6].copy_from_slice(&len.to_be_bytes());
}

/// The address that `bytes` begin with.
pub(super) fn address(bytes: &[u8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[..16]);
    octets.into()
}
