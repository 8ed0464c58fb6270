//! ICMP errors (RFC 792, RFC 1122, RFC 1191): who sends one about which packet, and what stands in it.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use crate::wire::{Echo, ICMP, IPV4, Packet};

/// The length of ICMP's header.
const HEADER: usize = 8;
/// An error is no longer, however long the packet is that it is about (RFC 1812, 4.3.2.3).
const LONGEST: usize = 576;

/// What went wrong: ICMP's type and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind(pub(crate) u8, pub(crate) u8);

pub(crate) const NET_UNREACHABLE: Kind = Kind(3, 0);
pub(crate) const HOST_UNREACHABLE: Kind = Kind(3, 1);
#[cfg(test)]
pub(crate) const PORT_UNREACHABLE: Kind = Kind(3, 3);
pub(crate) const FRAGMENTATION_NEEDED: Kind = Kind(3, 4);
pub(crate) const TIME_EXCEEDED: Kind = Kind(11, 0);

/// An error about a packet, from a host to the packet's sender; `mtu` is the next hop's, for [`FRAGMENTATION_NEEDED`] only.
pub(crate) fn error([from, to]: [Ipv4Addr; 2], Kind(kind, code): Kind, mtu: u16, subject: &Packet) -> Packet {
    let quoted = &subject.ip()[..subject.ip().len().min(LONGEST - IPV4 - HEADER)];
    let mut message = vec![kind, code, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(quoted);
    Packet::icmp(from, to, &message)
}

/// Whether anybody may be told of what becomes of a packet: not of an error's end, nor if it came from nobody in particular.
pub(crate) fn is_deserved(packet: &Packet) -> bool {
    let is_error = packet.protocol() == ICMP && !matches!(packet.payload().first(), Some(0 | 8));
    let (IpAddr::V4(from), IpAddr::V4(to)) = (packet.source(), packet.destination()) else { return false };
    let is_of_one = !from.is_unspecified() && !from.is_multicast() && !from.is_broadcast() && !from.is_loopback();
    !is_error && is_of_one && !to.is_multicast() && !to.is_broadcast()
}

/// What an error says.
pub(crate) fn kind(packet: &Packet) -> Option<Kind> {
    subject_range(packet)?;
    Some(Kind(packet.payload()[0], packet.payload()[1]))
}

/// The beginning of the packet that an error is about.
pub(crate) fn subject(packet: &Packet) -> Option<&[u8]> {
    packet.ip().get(subject_range(packet)?)
}

/// The MTU in an error of [`FRAGMENTATION_NEEDED`].
pub(crate) fn mtu(packet: &Packet) -> u16 {
    packet.payload().get(6..8).map_or(0, |mtu| u16::from_be_bytes([mtu[0], mtu[1]]))
}

/// Where the packet was to go that an error is about.
pub(crate) fn subject_destination(packet: &Packet) -> Option<Ipv4Addr> {
    let subject = subject(packet)?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(subject.get(16..20)?).ok()?))
}

/// The echo request that an error is about, without its data.
pub(crate) fn subject_echo(packet: &Packet) -> Option<Echo> {
    let subject = subject(packet)?;
    let icmp = subject.get(usize::from(subject[0] & 0x0f) * 4..)?;
    let number = |at: usize| Some(u16::from_be_bytes([*icmp.get(at)?, *icmp.get(at + 1)?]));
    let is_request = subject[9] == ICMP && icmp.first() == Some(&8);
    is_request.then(|| Some(Echo { reply: false, id: number(4)?, sequence: number(6)?, data: Vec::new() })).flatten()
}

/// Where that is in the error; `None` if it is none, or too short to tell.
pub(crate) fn subject_range(packet: &Packet) -> Option<Range<usize>> {
    let (ip, icmp) = (packet.ip(), packet.payload());
    let is_error = packet.protocol() == ICMP && matches!(icmp.first(), Some(3 | 11 | 12));
    let inner = icmp.get(HEADER..)?;
    let is_whole = inner.len() >= IPV4 + 8 && inner[0] >> 4 == 4;
    (is_error && is_whole).then(|| ip.len() - inner.len()..ip.len())
}
