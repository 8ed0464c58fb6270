use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use switch::mac::MacAddr;

use super::*;
use crate::calls::SEGMENTS;

/// Two hosts, of each family.
const HOSTS: [[&str; 2]; 2] = [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]];

fn hosts(names: [&str; 2]) -> [IpAddr; 2] {
    names.map(|name| name.parse().expect("an address"))
}

/// A segment with its checksum finished, as any other library makes it.
fn segment([from, to]: [IpAddr; 2], sequence: u32, flags: u8, payload: &[u8]) -> Packet {
    let mut bytes = Vec::new();
    let ethernet = etherparse::PacketBuilder::ethernet2([0; 6], [0xff; 6]);
    let ip = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("of two families"),
    };
    let mut tcp = ip.tcp(0x8001, 80, sequence, 100).ack(9);
    for (flag, set) in
        [(FIN, etherparse::PacketBuilderStep::fin as fn(_) -> _), (PSH, etherparse::PacketBuilderStep::psh)]
    {
        if flags & flag != 0 {
            tcp = set(tcp);
        }
    }
    if flags & RST != 0 {
        tcp = tcp.rst();
    }
    tcp.write(&mut bytes, payload).expect("written");
    Packet::from_frame(bytes.into()).expect("a packet")
}

const RST: u8 = 0x04;

fn bytes(packet: Packet) -> Vec<u8> {
    packet.into_frame(MacAddr::BROADCAST, MacAddr::ZERO).bytes
}

#[test]
fn what_was_joined_is_cut_into_the_same_segments() {
    for hosts in HOSTS.map(hosts) {
        let payload: Vec<u8> = (0..=255).cycle().take(2500).collect();
        let pieces = [&payload[..1000], &payload[1000..2000], &payload[2000..]];
        let segments: Vec<Packet> = (0..3)
            .map(|at| segment(hosts, 7 + 1000 * at as u32, if at == 2 { ACK | PSH | FIN } else { ACK }, pieces[at]))
            .collect();
        let header = segments[0].header_len();
        let mut joined = segments[0].clone();
        assert!(joined.join(&segments[1]) && joined.join(&segments[2]));
        assert_eq!(joined.wire_len(), header + 1020);
        joined.begin_checksum();
        let frame = joined.into_frame(MacAddr::BROADCAST, MacAddr::ZERO);
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: if hosts[0].is_ipv6() { GSO_TCPV6 } else { GSO_TCPV4 },
            hdr_len: (ETHERNET + header + 20) as u16,
            gso_size: 1000,
            csum_start: (ETHERNET + header) as u16,
            csum_offset: 16,
        };
        assert_eq!(frame.vnet, vnet);
        let whole = Packet::from_frame(frame.clone()).expect("a packet");
        let cut: Vec<Vec<u8>> = frame.cut().expect("segments").into_iter().map(without_identification).collect();
        let expected: Vec<Vec<u8>> = segments.into_iter().map(|packet| without_identification(bytes(packet))).collect();
        assert_eq!(cut, expected);
        // Taken whole, it is one packet, and whole.
        assert_eq!(whole.ip()[header + 20..], payload);
    }
}

/// Each segment of IPv4 has an identification of its own, as the kernel's have, and IP's checksum is about that too.
fn without_identification(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [0x08, 0x00] {
        frame[18..20].fill(0);
        // Whether it may be fragmented is the library's choice.
        frame[20..22].fill(0);
        frame[24..26].fill(0);
    }
    frame
}

#[test]
fn only_what_follows_is_joined() {
    for hosts in HOSTS.map(hosts) {
        let segment = |sequence, flags, payload: &[u8]| segment(hosts, sequence, flags, payload);
        let first = segment(0, ACK, &[1; 100]);
        let joins = |own: &Packet, next: &Packet| own.clone().join(next);
        assert!(joins(&first, &segment(100, ACK, &[2; 100])));
        assert!(joins(&first, &segment(100, ACK | PSH, &[2; 10])));
        assert!(!joins(&first, &segment(101, ACK, &[2; 100])), "a gap");
        assert!(!joins(&first, &segment(100, ACK, &[2; 101])), "longer than those before");
        assert!(!joins(&first, &segment(100, ACK, &[])), "no data");
        assert!(!joins(&first, &segment(100, ACK | RST, &[2; 100])), "a reset");
        assert!(!joins(&segment(0, ACK | PSH, &[1; 100]), &segment(100, ACK, &[2; 100])), "it was the last");
        assert!(!joins(&segment(0, ACK, &[1; 40]), &segment(40, ACK, &[2; 40])), "too many would fit");
        let mut short = first.clone();
        assert!(short.join(&segment(100, ACK, &[2; 50])));
        assert!(!short.join(&segment(150, ACK, &[3; 50])), "a short one is the last");
        let mut other_window = segment(100, ACK, &[2; 100]);
        let window = other_window.header_len() + 15;
        other_window.ip_mut()[window] = 9;
        assert!(!joins(&first, &other_window));
        let header = first.header_len() + 20;
        let mut long = segment(0, ACK, &[0; 1400]);
        let count = (1..100).take_while(|at| long.join(&segment(1400 * at, ACK, &[0; 1400]))).count();
        assert_eq!((count, long.ip().len()), (45, header + 46 * 1400));
    }
    let [four, six] = HOSTS.map(hosts);
    let follows = segment(four, 100, ACK, &[1; 100]);
    let first = [four, six].map(|hosts| segment(hosts, 0, ACK, &[1; 100]).is_of_stream(&follows));
    assert_eq!(first, [true, false], "of another family");
}

proptest! {
    /// However a train of datagrams is cut, each piece is what any other library would have made of its data.
    #[test]
    fn a_train_is_cut_into_whole_datagrams(
        six: bool,
        data in prop::collection::vec(any::<u8>(), 1..4000),
        size in 1_u16..1400,
    ) {
        let data = &data[..data.len().min(usize::from(size) * SEGMENTS)];
        let [from, to] = hosts(HOSTS[usize::from(six)]);
        let [from, to] = [SocketAddr::new(from, 1000), SocketAddr::new(to, 53)];
        let mut train = Packet::datagram(from, to, data);
        train.leave_uncut(size);
        train.begin_checksum();
        let frame = train.into_frame(MacAddr::BROADCAST, MacAddr::ZERO);
        prop_assert!(frame.is_train());
        let cut = frame.cut().expect("datagrams");
        let mut rest = data;
        for frame in cut {
            let piece = rest.split_off(..rest.len().min(usize::from(size))).expect("data");
            let parsed = etherparse::SlicedPacket::from_ethernet(&frame).expect("a packet");
            let Some(etherparse::TransportSlice::Udp(udp)) = &parsed.transport else { panic!("UDP") };
            prop_assert_eq!(udp.payload(), piece);
            let sum = match parsed.net.as_ref().expect("IP") {
                etherparse::NetSlice::Ipv4(ip) => udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), piece),
                etherparse::NetSlice::Ipv6(ip) => udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), piece),
                etherparse::NetSlice::Arp(_) => panic!("IP"),
            };
            prop_assert_eq!(sum.expect("a sum"), udp.checksum());
        }
        prop_assert!(rest.is_empty());
    }
}
