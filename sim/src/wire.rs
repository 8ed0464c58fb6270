//! Bytes on the wire, as far as a host looks at them below TCP and UDP: Ethernet here, and what it carries in a file each.

mod arp;
mod echo;
mod ipv4;
mod ipv6;
mod ndp;
mod packet;
#[cfg(test)]
mod tests;
mod udp;

use switch::mac::MacAddr;

pub(crate) use self::arp::Arp;
pub(crate) use self::echo::Echo;
pub(crate) use self::ipv4::IPV4;
pub(crate) use self::ipv6::IPV6;
pub(crate) use self::ndp::{Ndp, Nonce, group_mac, link_local, solicited_node};
pub(crate) use self::packet::Packet;
pub(crate) use self::udp::UDP_HEADER;

pub(crate) const ETHERNET: usize = 14;
pub(crate) const TYPE_IPV4: u16 = 0x0800;
pub(crate) const TYPE_ARP: u16 = 0x0806;
pub(crate) const TYPE_VLAN: u16 = 0x8100;
pub(crate) const TYPE_IPV6: u16 = 0x86dd;
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

/// The MAC that `bytes` begin with.
pub(crate) fn mac(bytes: &[u8]) -> MacAddr {
    let mut mac = [0; 6];
    mac.copy_from_slice(&bytes[..6]);
    MacAddr(mac)
}

fn ethernet(frame: &mut [u8], destination: MacAddr, source: MacAddr, ethertype: u16) {
    frame[..6].copy_from_slice(&destination.0);
    frame[6..12].copy_from_slice(&source.0);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
}

/// The Internet checksum (RFC 1071); zero over data that has its checksum in it.
fn checksum(bytes: &[u8], initial: u32) -> u16 {
    let mut sum = initial + sum(bytes);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// The sum of 16-bit words, for a packet's length far from overflowing.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    words + rest.first().map_or(0, |last| u32::from(*last) << 8)
}
