//! What becomes of super-frames and unfinished checksums between two links, of whichever kinds.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use switch::vnet::{GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM};

use super::scene::{Kind, carry, in_namespace, namespaced, send_tcp_across};

crate::trials![
    a_super_frame_crosses_with_its_offload_header,
    a_super_frame_is_cut_for_a_plain_tap_and_its_receiver_finds_no_fault,
    a_super_frame_whose_tag_changes_on_its_way_arrives_as_it_was_sent,
    a_udp_super_frame_arrives_as_the_datagrams_that_were_sent,
    an_unfinished_udp_checksum_is_left_to_the_far_side,
];

fn a_super_frame_crosses_with_its_offload_header() {
    for (from, to) in
        [(Kind::Tap, Kind::Tap), (Kind::Veth, Kind::Tap), (Kind::Tap, Kind::Veth), (Kind::Veth, Kind::Veth)]
    {
        let seen = send_tcp_across(from, to, false);
        let (_, vnet) = seen.iter().find(|(len, _)| *len > 60_000).expect("a super-frame near 64 KiB");
        assert_eq!((vnet.gso_type, vnet.flags), (GSO_TCPV4, NEEDS_CSUM), "{from:?} to {to:?}");
        assert_eq!((vnet.csum_start, vnet.csum_offset), (34, 16), "{from:?} to {to:?}");
        assert!((1_400..=1_460).contains(&vnet.gso_size), "{vnet:?}");
    }
}

fn a_super_frame_is_cut_for_a_plain_tap_and_its_receiver_finds_no_fault() {
    for from in [Kind::Tap, Kind::Veth] {
        let seen = send_tcp_across(from, Kind::Plain, false);
        assert!(seen.iter().any(|(len, vnet)| *len > 60_000 && vnet.is_gso()), "{from:?}");
    }
}

fn a_super_frame_whose_tag_changes_on_its_way_arrives_as_it_was_sent() {
    for (from, to) in
        [(Kind::Tap, Kind::Tap), (Kind::Tap, Kind::Plain), (Kind::Tap, Kind::Veth), (Kind::Veth, Kind::Veth)]
    {
        let seen = send_tcp_across(from, to, true);
        let is_super_frame = |(len, vnet): &(usize, _)| *len > 60_000 && is_unfinished(vnet);
        assert!(seen.iter().any(is_super_frame), "{from:?} to {to:?}");
    }
}

fn is_unfinished(vnet: &switch::vnet::VnetHeader) -> bool {
    vnet.is_gso() && vnet.needs_checksum()
}

fn a_udp_super_frame_arrives_as_the_datagrams_that_were_sent() {
    for (from, to) in [(Kind::Tap, Kind::Plain), (Kind::Veth, Kind::Plain), (Kind::Tap, Kind::Veth)] {
        in_namespace(move || {
            let mut to = namespaced("10.77.0.2", to);
            let receiver = to.run(|| UdpSocket::bind("10.77.0.2:7").unwrap());
            receiver.set_nonblocking(true).unwrap();
            let mut from = namespaced("10.77.0.1", from);
            let sender = from.run(|| UdpSocket::bind("10.77.0.1:0").unwrap());
            setsockopt(&sender, UdpGsoSegment, &1_000).unwrap();
            let payload: Vec<u8> = (0..20_300u32).map(|n| (n % 251) as u8).collect();
            sender.send_to(&payload, "10.77.0.2:7").unwrap();

            let seen = carry(&mut from.link, &mut to.link, false, || receiver.peek(&mut [0; 1]).is_ok());
            assert!(seen.iter().any(|(_, vnet)| vnet.gso_type == GSO_UDP_L4 && vnet.gso_size == 1_000), "{seen:?}");
            receiver.set_nonblocking(false).unwrap();
            receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut received = Vec::new();
            for index in 0..21 {
                let mut datagram = [0; 2_000];
                let len = receiver.recv(&mut datagram).unwrap();
                assert_eq!(len, if index < 20 { 1_000 } else { 300 });
                received.extend_from_slice(&datagram[..len]);
            }
            assert!(received == payload);
        });
    }
}

fn an_unfinished_udp_checksum_is_left_to_the_far_side() {
    in_namespace(|| {
        let mut to = namespaced("10.77.0.2", Kind::Veth);
        let receiver = to.run(|| UdpSocket::bind("10.77.0.2:7").unwrap());
        receiver.set_nonblocking(true).unwrap();
        let mut from = namespaced("10.77.0.1", Kind::Tap);
        let sender = from.run(|| UdpSocket::bind("10.77.0.1:0").unwrap());
        sender.send_to(b"so far", "10.77.0.2:7").unwrap();
        let mut datagram = [0; 10];
        let seen = carry(&mut from.link, &mut to.link, false, || receiver.peek(&mut [0; 1]).is_ok());
        assert_eq!(receiver.recv(&mut datagram).unwrap(), 6);
        assert!(
            seen.iter().any(|(len, vnet)| *len == 48 && vnet.needs_checksum() && vnet.csum_offset == 6),
            "{seen:?}"
        );

        let sender = from.run(|| std::net::SocketAddr::from(([10, 77, 0, 1], 9)));
        let listener = from.run(move || UdpSocket::bind(sender).unwrap());
        listener.set_nonblocking(true).unwrap();
        receiver.send_to(b"and back", "10.77.0.1:9").unwrap();
        let seen = carry(&mut to.link, &mut from.link, false, || listener.peek(&mut [0; 1]).is_ok());
        assert_eq!(listener.recv(&mut datagram).unwrap(), 8);
        assert!(
            seen.iter().any(|(len, vnet)| *len == 50 && vnet.needs_checksum() && vnet.csum_offset == 6),
            "{seen:?}"
        );
        let snmp = to.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
        let udp = snmp.lines().rfind(|line| line.starts_with("Udp:")).unwrap();
        assert_eq!(udp.split(' ').nth(7), Some("0"), "InCsumErrors: {udp}");
    });
}
