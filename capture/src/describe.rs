//! A frame in words, in one line, as `tcpdump -e` has it.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::icmpv6::{NdpOptionSlice, NdpOptionsIterator};
use etherparse::{
    ArpPacketSlice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice,
};
use switch::frame::Frame;
use switch::vnet::VnetHeader;

/// Who sends it to whom, how long it is, and what is in it, as far as anybody can tell. `len` is how long it is in truth, if
/// `bytes` is but its beginning.
#[must_use]
pub fn describe(bytes: &[u8], len: usize) -> String {
    let Ok(frame) = Frame::parse(bytes, VnetHeader::default()) else {
        return format!("{len} bytes, no frame");
    };
    let tags: String =
        frame.outer().into_iter().chain(frame.inner()).map(|tag| format!("VLAN {}, ", tag.vid())).collect();
    let (source, destination) = (frame.source(), frame.destination());
    format!("{source} > {destination}, {len} bytes, {tags}{}", payload(bytes, len, &frame))
}

fn payload(bytes: &[u8], len: usize, frame: &Frame<'_>) -> String {
    let unknown = || match frame.ethertype() {
        length @ ..0x600 => format!("LLC of {length} bytes"),
        ethertype => format!("EtherType 0x{ethertype:04x}"),
    };
    let Ok(packet) = LaxSlicedPacket::from_ethernet(bytes) else { return unknown() };
    // What was not captured of a packet belongs to its data; what was not captured behind it is padding.
    let missing = |is_incomplete: bool| if is_incomplete { len.saturating_sub(bytes.len()) } else { 0 };
    match &packet.net {
        Some(LaxNetSlice::Arp(packet)) => arp(packet).unwrap_or_else(unknown),
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            transport(
                header.source_addr(),
                header.destination_addr(),
                ip.payload_ip_number().0,
                packet.transport.as_ref(),
                missing(ip.payload().incomplete),
            )
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let (header, payload) = (ip.header(), ip.payload());
            let missing = missing(payload.incomplete);
            let protocol = payload.ip_number.0;
            transport(header.source_addr(), header.destination_addr(), protocol, packet.transport.as_ref(), missing)
        }
        None => unknown(),
    }
}

/// An address with a port behind it, or without one.
trait Address: std::fmt::Display + Copy {
    fn with_port(self, port: u16) -> String;
}

impl Address for Ipv4Addr {
    fn with_port(self, port: u16) -> String {
        format!("{self}:{port}")
    }
}

impl Address for Ipv6Addr {
    fn with_port(self, port: u16) -> String {
        format!("[{self}]:{port}")
    }
}

/// `missing`: how many bytes of its data were not captured.
fn transport<A: Address>(
    from: A,
    to: A,
    protocol: u8,
    transport: Option<&TransportSlice<'_>>,
    missing: usize,
) -> String {
    match transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let (from, to) = (from.with_port(tcp.source_port()), to.with_port(tcp.destination_port()));
            format!("TCP {from} > {to} {}", segment(tcp, missing))
        }
        Some(TransportSlice::Udp(udp)) => {
            let (from, to) = (from.with_port(udp.source_port()), to.with_port(udp.destination_port()));
            format!("UDP {from} > {to}, {} bytes of data", udp.payload().len() + missing)
        }
        Some(TransportSlice::Icmpv4(icmp)) => match icmp.icmp_type() {
            Icmpv4Type::EchoRequest(echo) => format!("ICMP {from} > {to} echo request {}", echo.seq),
            Icmpv4Type::EchoReply(echo) => format!("ICMP {from} > {to} echo reply {}", echo.seq),
            _ => format!("ICMP {from} > {to} type {} code {}", icmp.type_u8(), icmp.code_u8()),
        },
        Some(TransportSlice::Icmpv6(icmp)) => icmpv6(from, to, icmp),
        Some(TransportSlice::Igmp(_)) => format!("IGMP {from} > {to}"),
        None => format!("IP {from} > {to} protocol {protocol}"),
    }
}

/// ICMPv6 (RFC 4443), and what it says of neighbours (RFC 4861).
fn icmpv6<A: Address>(from: A, to: A, icmp: &Icmpv6Slice<'_>) -> String {
    let target = || icmp.payload().first_chunk::<16>().map(|target| Ipv6Addr::from(*target));
    match (icmp.icmp_type(), target()) {
        (Icmpv6Type::EchoRequest(echo), _) => format!("ICMPv6 {from} > {to} echo request {}", echo.seq),
        (Icmpv6Type::EchoReply(echo), _) => format!("ICMPv6 {from} > {to} echo reply {}", echo.seq),
        (Icmpv6Type::NeighborSolicitation, Some(target)) => format!("NDP who has {target}? {from} asks"),
        (Icmpv6Type::NeighborAdvertisement(said), Some(target)) => {
            let whose = match link_of(icmp.payload()) {
                Some(station) => format!("is at {station}"),
                None => "is there".to_owned(),
            };
            let unasked = if said.solicited { "" } else { ", unasked" };
            format!("NDP {target} {whose}{unasked}")
        }
        _ => format!("ICMPv6 {from} > {to} type {} code {}", icmp.type_u8(), icmp.code_u8()),
    }
}

/// The station that an advertisement names: its option of type 2.
fn link_of(advertisement: &[u8]) -> Option<switch::mac::MacAddr> {
    let mut options = NdpOptionsIterator::from_slice(advertisement.get(16..)?).map_while(Result::ok);
    options.find_map(|option| match option {
        NdpOptionSlice::TargetLinkLayerAddress(link) => {
            Some(switch::mac::MacAddr(*link.link_layer_address().first_chunk::<6>()?))
        }
        _ => None,
    })
}

fn segment(tcp: &TcpSlice<'_>, missing: usize) -> String {
    let flags = [
        (tcp.syn(), "SYN"),
        (tcp.fin(), "FIN"),
        (tcp.rst(), "RST"),
        (tcp.psh(), "PSH"),
        (tcp.ack(), "ACK"),
        (tcp.urg(), "URG"),
    ];
    let flags: Vec<&str> = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
    format!("[{}], {} bytes of data", flags.join(" "), tcp.payload().len() + missing)
}

/// ARP for IPv4 on Ethernet (RFC 826); `None` if it is about anything else.
fn arp(arp: &ArpPacketSlice<'_>) -> Option<String> {
    let packet = arp.to_packet();
    let ip = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
    let mac = |bytes: &[u8]| <[u8; 6]>::try_from(bytes).ok().map(switch::mac::MacAddr);
    let (sender, target) = (ip(packet.sender_protocol_addr())?, ip(packet.target_protocol_addr())?);
    match packet.operation.0 {
        1 => Some(format!("ARP who has {target}? {sender} asks")),
        2 => Some(format!("ARP {sender} is at {}", mac(packet.sender_hw_addr())?)),
        operation => Some(format!("ARP operation {operation} of {sender}")),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn told(bytes: &[u8]) -> String {
        describe(bytes, bytes.len())
    }

    const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    const ENDS: &str = "02:00:00:00:00:01 > 02:00:00:00:00:02";

    #[test]
    fn says_what_is_in_a_frame() {
        let mut tcp = Vec::new();
        let packet = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1, 80, 0, 9);
        packet.syn().ack(7).write(&mut tcp, b"hello").expect("written");
        assert_eq!(told(&tcp), format!("{ENDS}, 59 bytes, TCP 10.0.0.1:1 > 10.0.0.2:80 [SYN ACK], 5 bytes of data"));
        let mut udp = Vec::new();
        let packet = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv6([1; 16], [2; 16], 64).udp(53, 5353);
        packet.write(&mut udp, b"").expect("written");
        let ends = "[101:101:101:101:101:101:101:101]:53 > [202:202:202:202:202:202:202:202]:5353";
        assert_eq!(told(&udp), format!("{ENDS}, 62 bytes, UDP {ends}, 0 bytes of data"));
    }

    #[test]
    fn counts_the_data_that_was_not_captured() {
        let data = [7; 300];
        let mut tcp = Vec::new();
        let packet = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1, 80, 0, 9);
        packet.write(&mut tcp, &data).expect("written");
        let told = format!("{ENDS}, 354 bytes, TCP 10.0.0.1:1 > 10.0.0.2:80 [], 300 bytes of data");
        assert_eq!([describe(&tcp, 354), describe(&tcp[..100], 354)], [told.clone(), told]);
        let mut udp = Vec::new();
        let packet = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv6([1; 16], [2; 16], 64).udp(53, 5353);
        packet.write(&mut udp, &data).expect("written");
        assert_eq!(describe(&udp[..100], 362), describe(&udp, 362));
        // Bytes behind the packet are no data, captured or not.
        let mut short = Vec::new();
        let packet = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1, 2);
        packet.write(&mut short, b"hello").expect("written");
        short.resize(60, 0);
        assert!(describe(&short, 60).ends_with(", 5 bytes of data"));
        assert!(describe(&short[..50], 60).ends_with(", 5 bytes of data"));
    }

    #[test]
    fn says_what_it_can_of_anything_else() {
        let frame = |rest: &[u8]| [&MACS.1[..], &MACS.0, rest].concat();
        assert_eq!(told(&frame(&[0, 3, 0x42, 0x42, 3])), format!("{ENDS}, 17 bytes, LLC of 3 bytes"));
        let tagged = [0x81, 0, 0x20, 5, 0x88, 0xb5];
        assert_eq!(told(&frame(&tagged)), format!("{ENDS}, 18 bytes, VLAN 5, EtherType 0x88b5"));
        assert_eq!(told(&frame(&[0x08, 0x00, 0x45])), format!("{ENDS}, 15 bytes, EtherType 0x0800"));
        assert_eq!(told(&[0; 13]), "13 bytes, no frame");
    }
}
