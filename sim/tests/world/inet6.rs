//! IPv6, where somebody switches it on: addresses, neighbours, programs.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use netns::manager::NetworkRequest;
use pontoon_sim::fault::Loss;
use pontoon_sim::net::{TcpListener, TcpStream, UdpSocket};
use pontoon_sim::time::{Instant, timeout};
use pontoon_sim::{AddressState, CableDrop, Direction, Place, Scope, SocketError, World};
use tokio::io::AsyncReadExt;

use super::*;

const WEB: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const DB: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);
const NOBODY: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x99);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// How long an address is tentative at most.
const SETTLED: Duration = Duration::from_secs(2);
/// What `web` calls itself: its MAC is 02:42:ac:11:00:02.
const WEB_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x42, 0xacff, 0xfe11, 2);

#[test]
fn a_container_has_no_ipv6_until_somebody_switches_it_on() {
    let (mut world, web, _) = world_of_two();
    let address = || format!("{WEB}/64").parse().expect("an address");
    assert_eq!(world.add_address(&web, "eth0", address()), Err(SocketError::NotPermitted));
    assert_eq!(world.ipv6_addresses(&web, "eth0"), Ok(vec![]));
    world.block_on(&web, async {
        assert_eq!(kind(TcpStream::connect((WEB, 80)).await), ErrorKind::AddrNotAvailable);
        assert_eq!(kind(TcpStream::connect((Ipv6Addr::LOCALHOST, 80)).await), ErrorKind::AddrNotAvailable);
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80)).await.expect("the wildcard is always there");
    });
    world.set_ipv6(&web, "eth0", true).expect("switched on");
    let local = (format!("{WEB_LOCAL}/64").parse().expect("an address"), AddressState::Tentative);
    assert_eq!(world.ipv6_addresses(&web, "eth0"), Ok(vec![local]));
    world.add_address(&web, "eth0", address()).expect("added");
    world.advance(SETTLED);
    let states: Vec<AddressState> =
        world.ipv6_addresses(&web, "eth0").expect("seen").into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [AddressState::Preferred; 2]);
    assert_eq!(world.interfaces(&web).expect("seen")[1].ipv6_count, 2);
    // Once the switch has forgotten who was there, an idle world has nothing to do.
    world.advance(Duration::from_secs(1000));
    let before = world.events();
    world.advance(Duration::from_secs(100_000));
    assert_eq!(world.events(), before);
    world.set_ipv6(&web, "eth0", false).expect("switched off");
    assert_eq!(world.ipv6_addresses(&web, "eth0"), Ok(vec![]));
}

#[test]
fn an_address_is_asked_for_in_its_group_before_it_is_used() {
    let (mut world, web, db) = world_of_two();
    world.advance(Duration::from_secs(1));
    world.sniff(&db, "eth0").expect("listens");
    world.set_ipv6(&web, "eth0", true).expect("switched on");
    assert!(!world.ping(&web, WEB_LOCAL), "it is tentative");
    world.advance(SETTLED);
    let heard = world.sniff(&db, "eth0").expect("heard");
    let [question] = heard.as_slice() else { panic!("one question, not {heard:02x?}") };
    let parsed = etherparse::SlicedPacket::from_ethernet(question).expect("a packet");
    let (Some(etherparse::NetSlice::Ipv6(ip)), Some(etherparse::TransportSlice::Icmpv6(icmp))) =
        (parsed.net, parsed.transport)
    else {
        panic!("ICMPv6");
    };
    assert_eq!(question[..6], [0x33, 0x33, 0xff, 0x11, 0x00, 0x02]);
    let header = ip.header();
    let group: Ipv6Addr = "ff02::1:ff11:2".parse().expect("an address");
    assert_eq!((header.source_addr(), header.destination_addr()), (Ipv6Addr::UNSPECIFIED, group));
    assert_eq!((header.hop_limit(), icmp.icmp_type()), (255, etherparse::Icmpv6Type::NeighborSolicitation));
    assert!(icmp.is_checksum_valid(header.source(), header.destination()));
    assert_eq!(icmp.payload()[..16], WEB_LOCAL.octets());
}

#[test]
fn an_address_that_another_station_has_is_refused_and_that_of_the_other_stays() {
    let (mut world, web, db) = on_ipv6();
    let before = world.interfaces(&db).expect("seen")[1].rx_packets;
    world.add_address(&db, "eth0", format!("{WEB}/64").parse().expect("an address")).expect("tried");
    world.advance(SETTLED);
    let state = |world: &mut World, place: &Place| {
        let all = world.ipv6_addresses(place, "eth0").expect("seen");
        all.into_iter().find(|(net, _)| net.addr() == WEB).map(|(_, state)| state)
    };
    assert_eq!(state(&mut world, &db), Some(AddressState::Duplicate));
    assert_eq!(state(&mut world, &web), Some(AddressState::Preferred));
    assert_eq!(world.interfaces(&db).expect("seen")[1].rx_packets - before, 1, "it was told once");
    let bound = world.block_on(&db, async { kind(TcpListener::bind((WEB, 80)).await) });
    assert_eq!(bound, ErrorKind::AddrNotAvailable);
    assert_eq!(world.ping_sized(&db, WEB, 56), Err(SocketError::TimedOut), "it takes no other's word for it");
}

#[test]
fn of_two_who_want_an_address_at_once_neither_gets_it() {
    // Who asks first is heard by the other, whose address is tentative still.
    let (mut world, web, db) = world_of_two();
    for place in [&web, &db] {
        world.set_ipv6(place, "eth0", true).expect("switched on");
        world.add_address(place, "eth0", format!("{NOBODY}/64").parse().expect("an address")).expect("added");
    }
    world.advance(SETTLED);
    let states = [&web, &db].map(|place| world.ipv6_addresses(place, "eth0").expect("seen")[1].1);
    assert!(states.contains(&AddressState::Duplicate), "{states:?}");
    assert!(states.iter().filter(|state| **state == AddressState::Preferred).count() <= 1, "{states:?}");
}

#[test]
fn two_hosts_with_one_mac_have_one_link_local_address_between_them() {
    let mut world = world();
    let mac = Some("02:00:00:00:00:77".parse().expect("a MAC"));
    let second = NetworkRequest::new("back".parse().expect("a name"));
    world.create_network(second).expect("a network");
    for (name, network) in [("web", "bridge"), ("db", "back")] {
        world.run(RunRequest { mac, ..request(name, network) }, Program::Sleep).expect("a container");
    }
    world.join("bridge", "back").expect("joined");
    let (web, db) = (Place::container("web"), Place::container("db"));
    world.set_ipv6(&web, "eth0", true).expect("switched on");
    world.advance(SETTLED);
    world.set_ipv6(&db, "eth0", true).expect("switched on");
    world.advance(SETTLED);
    let states = [&web, &db].map(|place| world.ipv6_addresses(place, "eth0").expect("seen")[0].1);
    assert_eq!(states[0], AddressState::Preferred);
    // The answer is for all, so that it reaches the second although no frame for its station would.
    assert_eq!(states[1], AddressState::Duplicate);
    assert!(world.statistics().iter().all(|bridge| bridge.ports.iter().all(|port| port.counters.check().is_ok())));
}

#[test]
fn a_question_that_comes_back_in_a_loop_is_nobody_elses() {
    let mut world = world();
    world.create_network(NetworkRequest::new("back".parse().expect("a name"))).expect("a network");
    let web = start(&mut world, "web", "bridge");
    world.advance(Duration::from_secs(1));
    for _ in 0..2 {
        world.join("bridge", "back").expect("joined");
    }
    world.set_ipv6(&web, "eth0", true).expect("switched on");
    let looped = world.try_advance(SETTLED).expect_err("a loop");
    assert!(looped.to_string().starts_with("frames go round in a loop"), "{looped}");
    while world.try_advance(SETTLED).is_err() {}
    assert_eq!(world.ipv6_addresses(&web, "eth0").expect("seen")[0].1, AddressState::Preferred);
}

#[test]
fn neighbours_are_found_by_multicast_and_the_switch_learns_them() {
    let (mut world, web, db) = on_ipv6();
    let before = world.statistics()[0].ports.clone();
    assert!(world.ping(&db, WEB));
    let after = world.statistics()[0].ports.clone();
    // db's question is flooded, and all that comes after it goes to one port: answer, request, reply.
    let flooded: Vec<u64> =
        before.iter().zip(&after).map(|(a, b)| b.counters.rx.flooded - a.counters.rx.flooded).collect();
    let forwarded: Vec<u64> =
        before.iter().zip(&after).map(|(a, b)| b.counters.rx.forwarded - a.counters.rx.forwarded).collect();
    assert_eq!((flooded, forwarded), (vec![0, 0, 1], vec![0, 2, 1]));
    let stations: Vec<String> = world.fdb().into_iter().map(|row| row.station.to_string()).collect();
    assert!(stations.iter().all(|station| !station.starts_with("33:33")), "{stations:?}");
    let seen = |world: &mut World, place: &Place| world.interfaces(place).expect("seen")[1].clone();
    let (sent, idle) = (seen(&mut world, &web).tx_packets, world.now());
    world.advance(Duration::from_secs(3600));
    assert!(world.now() > idle);
    // Who was asked finds out whether the one who asked hears it, once, and that is all.
    assert!(seen(&mut world, &web).tx_packets - sent <= 1);
}

#[test]
fn who_is_not_there_is_unreachable_after_three_questions() {
    let (mut world, _, db) = on_ipv6();
    let before = world.interfaces(&db).expect("seen")[1].tx_packets;
    let (why, waited) = world.block_on(&db, async {
        let began = Instant::now();
        (kind(TcpStream::connect((NOBODY, 80)).await), began.elapsed())
    });
    assert_eq!((why, waited), (ErrorKind::HostUnreachable, Duration::from_secs(3)));
    assert_eq!(world.interfaces(&db).expect("seen")[1].tx_packets - before, 3);
    assert_eq!(world.connect(&db, WEB, 80).map(drop), Err(SocketError::Refused));
    assert_eq!(
        world.ping_sized(&db, "2001:db8::1".parse::<Ipv6Addr>().expect("an address"), 56),
        Err(SocketError::NetworkUnreachable)
    );
}

#[test]
fn a_neighbour_that_goes_is_asked_again_and_given_up() {
    let (mut world, web, db) = on_ipv6();
    assert!(world.ping(&db, WEB));
    world.set_link(&web, "eth0", false).expect("off");
    world.advance(Duration::from_secs(31));
    // What is known is used, and found out to be old.
    assert_eq!(world.ping_sized(&db, WEB, 56), Err(SocketError::TimedOut));
    world.advance(Duration::from_secs(10));
    let failed = world.block_on(&db, async { kind(TcpStream::connect((WEB, 80)).await) });
    assert_eq!(failed, ErrorKind::HostUnreachable);
    // An interface that was off has the address of its own making only.
    world.set_link(&web, "eth0", true).expect("on");
    world.advance(SETTLED);
    let own: Vec<IpAddr> =
        world.ipv6_addresses(&web, "eth0").expect("seen").into_iter().map(|(net, _)| net.addr().into()).collect();
    assert_eq!(own, [IpAddr::V6(WEB_LOCAL)]);
}

#[test]
fn who_has_another_station_now_says_so() {
    let (mut world, web, db) = on_ipv6();
    assert!(world.ping(&db, WEB));
    // web goes, and another comes that has its address on another station.
    world.rm("web", true).expect("removed");
    let other = start(&mut world, "other", "bridge");
    assert_ne!(web, other);
    world.set_ipv6(&other, "eth0", true).expect("switched on");
    world.add_address(&other, "eth0", format!("{WEB}/64").parse().expect("an address")).expect("added");
    world.advance(Duration::from_secs(60));
    // (The first of the packets goes where it went before, if that is somebody.)
    world.ping(&db, WEB);
    world.advance(Duration::from_secs(10));
    assert!(world.ping(&db, WEB));
}

#[test]
fn link_local_addresses_and_groups_are_of_one_interface() {
    let (mut world, web, db) = on_ipv6();
    let scoped = |world: &mut World, place: &Place, ip| world.scoped(place, "eth0", ip).expect("it is there");
    let to = scoped(&mut world, &db, WEB_LOCAL);
    assert_eq!(world.ping_at(&db, to, 56), Ok(()));
    spawn_at(&mut world, &web, echo6());
    let (peer, local) = world.block_on(&db, async move {
        assert_eq!(kind(TcpStream::connect((WEB_LOCAL, 7)).await), ErrorKind::InvalidInput);
        let at = std::net::SocketAddrV6::new(WEB_LOCAL, 7, 0, to.scope_id());
        let stream = TcpStream::connect(at).await.expect("a connection");
        (stream.peer_addr().expect("open"), stream.local_addr().expect("open"))
    });
    let SocketAddr::V6(peer) = peer else { panic!("{peer}") };
    assert_eq!((*peer.ip(), peer.scope_id()), (WEB_LOCAL, to.scope_id()));
    assert!(
        matches!(local, SocketAddr::V6(local) if local.ip().is_unicast_link_local() && local.scope_id() == to.scope_id())
    );
    // All of the network hear what is sent to all.
    let heard = world.udp_bind(&web, Ipv6Addr::UNSPECIFIED, 5353).expect("a socket");
    let socket = world.udp_bind(&db, Ipv6Addr::UNSPECIFIED, 0).expect("a socket");
    let group = std::net::SocketAddrV6::new(ALL_NODES, 5353, 0, to.scope_id());
    world.udp_send(socket, group, b"anybody?").expect("sent");
    let (from, data) = world.udp_recv(heard, Duration::from_secs(1)).expect("heard");
    assert_eq!(data, b"anybody?");
    assert!(matches!(from, SocketAddr::V6(from) if from.ip().is_unicast_link_local() && from.scope_id() != 0));
    world.udp_send(heard, from, b"I").expect("sent");
    assert_eq!(world.udp_recv(socket, Duration::from_secs(1)).map(|(_, data)| data), Ok(b"I".to_vec()));
}

#[test]
fn a_tcp_transfer_survives_loss_of_30_percent() {
    let (mut world, web, db) = on_ipv6();
    spawn_at(&mut world, &web, echo6());
    world.add_rule(Scope::place(&db), Loss::new(0.3)).expect("a rule").forget();
    let sent = some_bytes(50_000);
    let expected = sent.clone();
    let heard = world.block_on(&db, async move {
        // Neighbours are asked three times, of which all may be lost.
        let mut stream = loop {
            if let Ok(stream) = TcpStream::connect((WEB, 7)).await {
                break stream;
            }
        };
        let (mut reader, mut writer) = stream.split();
        let mut heard = Vec::new();
        let write = async {
            writer.write_all(&sent).await.expect("written");
            writer.shutdown().await.expect("open");
        };
        let (_, read) = tokio::join!(write, reader.read_to_end(&mut heard));
        read.expect("read");
        heard
    });
    assert!(heard == expected);
    let lost = world.cable(&db, "eth0").expect("a cable").statistics(Direction::ToSwitch);
    assert!(lost.dropped_for(CableDrop::Rule("loss")) > 10 && lost.adds_up(), "{lost:?}");
}

#[test]
fn super_frames_cross_whole_and_where_they_can_not_they_are_cut() {
    for offload in [true, false] {
        let mut world = World::builder().seed(1).offload(offload).up().expect("a world");
        let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
        switch_on(&mut world, &[(&web, WEB), (&db, DB)]);
        world.listen(&web, Ipv6Addr::UNSPECIFIED, 80).expect("a listener");
        let before = world.interfaces(&db).expect("seen")[1].tx_packets;
        let sent = some_bytes(3_000_000);
        assert!(world.transfer(&db, WEB, 80, &sent).expect("a transfer") == sent);
        let packets = world.interfaces(&db).expect("seen")[1].tx_packets - before;
        // A segment over IPv6 carries 1500 - 40 - 20 bytes at most.
        let least = 3_000_000_u64.div_ceil(1440);
        assert_eq!(packets < least / 5, offload, "{packets} packets of {least}");
    }
}

#[test]
fn datagrams_in_one_frame_arrive_one_by_one() {
    for offload in [true, false] {
        let mut world = World::builder().seed(1).offload(offload).up().expect("a world");
        let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
        switch_on(&mut world, &[(&web, WEB), (&db, DB)]);
        for (to, from) in [(IpAddr::V6(WEB), IpAddr::V6(DB)), (FIRST.into(), SECOND.into())] {
            assert!(world.ping(&db, to), "so that nobody has to ask for addresses");
            let server = world.udp_bind(&web, to, 53).expect("a socket");
            let client = world.udp_bind(&db, from, 1000).expect("a socket");
            let before = world.statistics()[0].ports[2].counters.rx.clone();
            let data = some_bytes(2500);
            world.udp_send_segments(client, SocketAddr::new(to, 53), &data, 1000).expect("sent");
            for piece in data.chunks(1000) {
                let (end, heard) = world.udp_recv(server, Duration::from_secs(1)).expect("it arrives");
                assert_eq!((end, heard.as_slice()), (SocketAddr::new(from, 1000), piece));
            }
            let after = world.statistics()[0].ports[2].counters.rx.clone();
            let crossed = (after.super_frames - before.super_frames, after.wire_frames - before.wire_frames);
            assert_eq!(crossed, (u64::from(offload), 3));
            let too_long = world.udp_send_segments(client, SocketAddr::new(to, 53), &data, 1500);
            assert_eq!(too_long, Err(SocketError::MessageSize));
            assert_eq!(world.udp_send_segments(client, SocketAddr::new(to, 53), &data, 0), Err(SocketError::Invalid));
        }
    }
}

#[test]
fn the_wildcard_of_ipv6_serves_both_families() {
    let (mut world, web, db) = on_ipv6();
    spawn_at(&mut world, &web, async {
        let listener = TcpListener::bind("[::]:80").await.expect("a listener");
        assert_eq!(kind(TcpListener::bind("0.0.0.0:80").await), ErrorKind::AddrInUse);
        loop {
            let (mut stream, peer) = listener.accept().await.expect("a connection");
            let seen = format!("{peer} {}", stream.local_addr().expect("open"));
            stream.write_all(seen.as_bytes()).await.expect("there is room");
        }
    });
    let told = |at: SocketAddr| async move {
        let mut stream = TcpStream::connect(at).await.expect("a connection");
        let mut told = String::new();
        stream.read_to_string(&mut told).await.expect("text");
        (told, stream.local_addr().expect("open"))
    };
    world.block_on(&db, async move {
        let (seen, own) = told((WEB, 80).into()).await;
        assert_eq!(seen, format!("{own} [{WEB}]:80"));
        let (seen, own) = told((FIRST, 80).into()).await;
        assert_eq!(seen, format!("[::ffff:{}]:{} [::ffff:{FIRST}]:80", own.ip(), own.port()));
        // A socket of IPv6 that means an address of IPv4.
        let mapped = TcpStream::connect((FIRST.to_ipv6_mapped(), 80)).await.expect("a connection");
        assert_eq!(mapped.peer_addr().expect("open"), (FIRST.to_ipv6_mapped(), 80).into());
    });
}

#[test]
fn the_wildcard_of_ipv4_serves_ipv4_only() {
    let (mut world, web, db) = on_ipv6();
    spawn_at(&mut world, &web, async {
        let four = TcpListener::bind("0.0.0.0:80").await.expect("a listener");
        let datagrams = UdpSocket::bind("0.0.0.0:53").await.expect("a socket");
        four.accept().await.expect("a connection");
        let mut bytes = [0; 9];
        let heard = timeout(Duration::from_secs(100), datagrams.recv_from(&mut bytes)).await;
        assert!(heard.is_err(), "nobody talks to it: {heard:?}");
    });
    world.block_on(&db, async {
        TcpStream::connect((FIRST, 80)).await.expect("a connection");
        assert_eq!(kind(TcpStream::connect((WEB, 80)).await), ErrorKind::ConnectionRefused);
        let six = UdpSocket::bind("[::]:0").await.expect("a socket");
        six.send_to(b"x", (WEB, 53)).await.expect("sent");
        let four = UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
        let failed = four.send_to(b"x", (WEB, 53)).await.expect_err("of another family");
        assert_eq!(failed.to_string(), "Address family not supported by protocol");
    });
    world.advance(Duration::from_secs(101));
}

#[test]
fn datagrams_know_their_ends_and_their_longest() {
    let (mut world, web, db) = on_ipv6();
    let server = world.udp_bind(&web, Ipv6Addr::UNSPECIFIED, 53).expect("a socket");
    let client = world.udp_bind(&db, DB, 1000).expect("a socket");
    world.udp_send(client, (WEB, 53), b"who?").expect("sent");
    let (from, asked) = world.udp_recv(server, Duration::from_secs(1)).expect("it arrives");
    assert_eq!((from, asked.as_slice()), ((DB, 1000).into(), &b"who?"[..]));
    // 1500 bytes are 40 of IPv6, 8 of UDP, and data.
    world.udp_send(server, from, &[7; 1452]).expect("sent");
    assert_eq!(world.udp_recv(client, Duration::from_secs(1)), Ok(((WEB, 53).into(), vec![7; 1452])));
    assert_eq!(world.udp_send(server, from, &[7; 1453]), Err(SocketError::MessageSize));
    assert_eq!(world.ping_sized(&db, WEB, 1452), Ok(()));
    assert_eq!(world.ping_sized(&db, WEB, 1453), Err(SocketError::MessageSize));
}

#[test]
fn the_loopback_is_there_where_it_is_switched_on() {
    let (mut world, web, _) = world_of_two();
    world.set_ipv6(&web, "lo", true).expect("switched on");
    for place in [Place::Host, web, start(&mut world, "none", "none")] {
        if place == Place::container("none") {
            world.set_ipv6(&place, "lo", true).expect("switched on");
        }
        assert!(world.ping(&place, Ipv6Addr::LOCALHOST));
        let heard = world.block_on(&place, async {
            let listener = TcpListener::bind("[::1]:7").await.expect("a listener");
            let (client, server) = tokio::join!(TcpStream::connect("[::1]:7"), listener.accept());
            let (mut client, (mut server, _)) = (client.expect("a connection"), server.expect("a connection"));
            server.write_all(b"here").await.expect("there is room");
            drop(server);
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.expect("text");
            heard
        });
        assert_eq!(heard, "here");
    }
}

#[test]
fn where_nobody_else_can_be_nobody_is_asked() {
    let mut world = world();
    let none = start(&mut world, "none", "none");
    world.add_interface(&none, "dummy", "10.0.0.1/24".parse().expect("an address")).expect("added");
    world.set_ipv6(&none, "lo", true).expect("switched on");
    world.set_ipv6(&none, "dummy", true).expect("switched on");
    world.add_address(&none, "dummy", format!("{WEB}/64").parse().expect("an address")).expect("added");
    let states: Vec<AddressState> =
        world.ipv6_addresses(&none, "dummy").expect("seen").into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [AddressState::Preferred; 2]);
    assert!(world.ping(&none, WEB));
    assert_eq!(world.ping_sized(&none, DB, 56), Err(SocketError::TimedOut));
    let sent = world.interfaces(&none).expect("seen")[1].tx_packets;
    assert_eq!(sent, 1, "the request itself, which is lost");
}

#[test]
fn an_interface_that_carries_too_little_is_not_for_ipv6() {
    let mut world = world();
    for (name, mtu, outcome) in [("narrow", 1279, Err(SocketError::Invalid)), ("wide", 1280, Ok(()))] {
        world.run(RunRequest { mtu: Some(mtu), ..request(name, "bridge") }, Program::Sleep).expect("a container");
        assert_eq!(world.set_ipv6(&Place::container(name), "eth0", true), outcome, "{name}");
    }
}

#[test]
fn a_gateway_is_a_station_like_others() {
    let (mut world, _, db) = on_ipv6();
    let far: Ipv6Addr = "2001:db8::1".parse().expect("an address");
    assert_eq!(world.add_default_route(&db, "eth0", far.into()), Err(SocketError::HostUnreachable));
    world.add_default_route(&db, "eth0", WEB.into()).expect("a route");
    let web = Place::container("web");
    let station = world.interfaces(&web).expect("seen")[1].mac;
    world.sniff(&web, "eth0").expect("listens");
    // The gateway forwards nothing, but what is for far away comes to it.
    assert_eq!(world.ping_sized(&db, far, 56), Err(SocketError::TimedOut));
    let heard = world.sniff(&web, "eth0").expect("heard");
    let last = heard.last().expect("a frame");
    assert_eq!((&last[..6], &last[38..54]), (&station.0[..], &far.octets()[..]));
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let (mut world, web, db) = on_ipv6();
        spawn_at(&mut world, &web, echo6());
        world.ping(&db, WEB);
        (world.trace_hash(), world.now())
    };
    assert_eq!(run(), run());
}

/// `web` and `db` with an address of IPv6 each.
fn on_ipv6() -> (World, Place, Place) {
    let (mut world, web, db) = world_of_two();
    switch_on(&mut world, &[(&web, WEB), (&db, DB)]);
    (world, web, db)
}

fn switch_on(world: &mut World, places: &[(&Place, Ipv6Addr)]) {
    for (place, ip) in places {
        world.set_ipv6(place, "eth0", true).expect("switched on");
        world.add_address(place, "eth0", format!("{ip}/64").parse().expect("an address")).expect("added");
    }
    world.advance(SETTLED);
}

/// A program beside what a container runs.
fn spawn_at<T: 'static>(world: &mut World, place: &Place, program: impl Future<Output = T> + 'static) {
    drop(world.exec(place, program).expect("the place is there"));
}

/// Echoes for ever, to both families.
async fn echo6() -> io::Result<()> {
    let listener = TcpListener::bind("[::]:7").await?;
    loop {
        echo_once(&listener).await?;
    }
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.map(drop).expect_err("an error").kind()
}
