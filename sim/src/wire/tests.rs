//! What is written here is what another library reads, and nothing that it may hear makes it panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use switch::mac::MacAddr;

use super::{Echo, Ndp, Packet};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn ends() -> impl Strategy<Value = [IpAddr; 2]> {
    prop_oneof![
        any::<[[u8; 4]; 2]>().prop_map(|ends| ends.map(|ip| Ipv4Addr::from(ip).into())),
        any::<[[u8; 16]; 2]>().prop_map(|ends| ends.map(|ip| Ipv6Addr::from(ip).into())),
    ]
}

fn frame(packet: Packet) -> Vec<u8> {
    packet.into_frame(MacAddr::BROADCAST, MAC).bytes
}

/// Both addresses, and ICMPv6's checksum over them.
fn addresses(packet: &SlicedPacket<'_>) -> [IpAddr; 2] {
    match packet.net.as_ref().expect("IP") {
        NetSlice::Ipv4(ip) => [ip.header().source_addr().into(), ip.header().destination_addr().into()],
        NetSlice::Ipv6(ip) => [ip.header().source_addr().into(), ip.header().destination_addr().into()],
        NetSlice::Arp(_) => panic!("IP"),
    }
}

fn solicitation() -> impl Strategy<Value = Ndp> {
    let mac = || prop::option::of(any::<[u8; 6]>().prop_map(MacAddr));
    (any::<[u8; 16]>(), mac(), prop::option::of(any::<[u8; 6]>()))
        .prop_map(|(target, source, nonce)| Ndp::Solicitation { target: Ipv6Addr::from(target), source, nonce })
}

fn advertisement() -> impl Strategy<Value = Ndp> {
    let mac = prop::option::of(any::<[u8; 6]>().prop_map(MacAddr));
    (any::<[u8; 16]>(), any::<[bool; 2]>(), mac).prop_map(|(target, [solicited, overrides], station)| {
        Ndp::Advertisement { target: Ipv6Addr::from(target), solicited, overrides, station }
    })
}

proptest! {
    #[test]
    fn datagrams_are_read_by_others(
        ends in ends(),
        ports: [u16; 2],
        data in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let [from, to] = [0, 1].map(|end| SocketAddr::new(ends[end], ports[end]));
        let bytes = frame(Packet::datagram(from, to, &data));
        let parsed = SlicedPacket::from_ethernet(&bytes).expect("a packet");
        prop_assert_eq!(addresses(&parsed), ends);
        let Some(TransportSlice::Udp(udp)) = &parsed.transport else { panic!("UDP") };
        prop_assert_eq!((udp.source_port(), udp.destination_port(), udp.payload()), (ports[0], ports[1], &data[..]));
        let sum = match parsed.net.as_ref().expect("IP") {
            NetSlice::Ipv4(ip) => udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), &data),
            NetSlice::Ipv6(ip) => udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), &data),
            NetSlice::Arp(_) => panic!("IP"),
        };
        prop_assert_eq!(sum.expect("a sum"), udp.checksum());
        let heard = Packet::from_frame(bytes.clone().into()).expect("a packet");
        prop_assert_eq!((heard.ends(), heard.as_datagram()), (Some((from, to)), Some(&data[..])));
    }

    #[test]
    fn echoes_are_read_by_others(
        ends in ends(),
        reply: bool,
        id: u16,
        sequence: u16,
        data in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let echo = Echo { reply, id, sequence, data };
        let bytes = frame(Packet::echo(ends[0], ends[1], &echo));
        let parsed = SlicedPacket::from_ethernet(&bytes).expect("a packet");
        prop_assert_eq!(addresses(&parsed), ends);
        let header = etherparse::IcmpEchoHeader { id, seq: sequence };
        match (&parsed.net, &parsed.transport) {
            (_, Some(TransportSlice::Icmpv4(icmp))) => {
                let kind = if reply { etherparse::Icmpv4Type::EchoReply } else { etherparse::Icmpv4Type::EchoRequest };
                prop_assert_eq!((icmp.icmp_type(), icmp.payload()), (kind(header), &echo.data[..]));
                let sum = icmp.icmp_type().calc_checksum(icmp.payload());
                prop_assert_eq!(sum, icmp.checksum());
            }
            (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) => {
                let kind = if reply { Icmpv6Type::EchoReply } else { Icmpv6Type::EchoRequest };
                prop_assert_eq!((icmp.icmp_type(), icmp.payload()), (kind(header), &echo.data[..]));
                prop_assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()));
            }
            other => panic!("an echo, not {other:?}"),
        }
        let heard = Packet::from_frame(bytes.clone().into()).expect("a packet");
        prop_assert_eq!(heard.as_echo(), Some(echo));
    }

    #[test]
    fn what_is_said_of_neighbours_is_read_by_others(
        ndp in prop_oneof![solicitation(), advertisement()],
        ends: [[u8; 16]; 2],
    ) {
        let [from, to] = ends.map(Ipv6Addr::from);
        let bytes = frame(Packet::ndp(from, to, &ndp));
        let parsed = SlicedPacket::from_ethernet(&bytes).expect("a packet");
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) = (&parsed.net, &parsed.transport) else {
            panic!("ICMPv6");
        };
        prop_assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()));
        prop_assert_eq!(ip.header().hop_limit(), 255);
        let (kind, target) = match ndp {
            Ndp::Solicitation { target, .. } => (Icmpv6Type::NeighborSolicitation, target),
            Ndp::Advertisement { target, solicited, overrides, .. } => {
                let said = etherparse::icmpv6::NeighborAdvertisementHeader {
                    router: false,
                    solicited,
                    r#override: overrides,
                };
                (Icmpv6Type::NeighborAdvertisement(said), target)
            }
        };
        prop_assert_eq!((icmp.icmp_type(), &icmp.payload()[..16]), (kind, &target.octets()[..]));
        let heard = Packet::from_frame(bytes.clone().into()).expect("a packet").as_ndp();
        let is_fair = match ndp {
            Ndp::Solicitation { target, .. } => !target.is_multicast(),
            Ndp::Advertisement { target, solicited, .. } => !(target.is_multicast() || solicited && to.is_multicast()),
        };
        // (Who has no address is as rare as a multicast address is not, among all that there are.)
        prop_assert_eq!(heard, is_fair.then_some(ndp));
    }

    /// A flipped bit behind the addresses and before the padding is seen, unless it is in what nobody checks: IPv6's traffic class
    /// and flow label, and how many routers may still come.
    #[test]
    fn a_flipped_bit_is_seen(bit in (14 + 8) * 8..(14 + 40 + 32) * 8_usize) {
        let target = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        let ndp = Ndp::Solicitation { target, source: Some(MAC), nonce: None };
        let mut bytes = frame(Packet::ndp(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), target, &ndp));
        prop_assert!(bytes.len() * 8 == (14 + 40 + 32) * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Packet::from_frame(bytes.into()).and_then(|packet| packet.as_ndp()), None);
    }

    #[test]
    fn noise_is_nothing(six: bool, mut bytes in prop::collection::vec(any::<u8>(), 14..200)) {
        bytes[12..14].copy_from_slice(if six { &[0x86, 0xdd] } else { &[0x08, 0x00] });
        if let Some(packet) = Packet::from_frame(bytes.into()) {
            let _ = (packet.as_ndp(), packet.as_echo(), packet.as_datagram().map(<[u8]>::len), packet.ends());
            let _ = (packet.is_syn(), packet.wire_len(), packet.destination());
        }
    }
}

#[test]
fn what_may_have_crossed_a_router_or_is_not_as_it_has_to_be_is_nothing() {
    let [a, b] = ["fd00::1", "fd00::2"].map(|ip| ip.parse::<Ipv6Addr>().expect("an address"));
    let heard = |packet: Packet| Packet::from_frame(frame(packet).into()).and_then(|packet| packet.as_ndp());
    let question = |source| Ndp::Solicitation { target: b, source, nonce: None };
    let mut far = Packet::ndp(a, b, &question(Some(MAC)));
    assert!(heard(far.clone()).is_some());
    far.ip_mut()[7] = 254;
    assert_eq!(heard(far), None, "it has crossed a router");
    let anonymous = |to, source| heard(Packet::ndp(Ipv6Addr::UNSPECIFIED, to, &question(source)));
    assert!(anonymous(super::solicited_node(b), None).is_some());
    assert_eq!(anonymous(super::solicited_node(b), Some(MAC)), None, "who has no address names no station");
    assert_eq!(anonymous(b, None), None, "who has no address asks the group");
    assert_eq!(
        super::solicited_node("fe80::1:2803:4142".parse().expect("an address")),
        "ff02::1:ff03:4142".parse::<Ipv6Addr>().expect("an address")
    );
    assert_eq!(super::group_mac("ff02::1:ff03:4142".parse().expect("an address")).to_string(), "33:33:ff:03:41:42");
    assert_eq!(super::link_local("02:42:ac:11:00:02".parse().expect("a MAC")).to_string(), "fe80::42:acff:fe11:2");
}
