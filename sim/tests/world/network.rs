//! What programs see of the network.

use std::net::SocketAddrV4;
use std::time::Duration;

use netns::manager::NetworkRequest;
use pontoon_sim::{Place, QUEUE, SocketError, World};
use switch::mac::MacAddr;

use super::*;

#[test]
fn containers_and_the_host_reach_each_other() {
    let (mut world, web, db) = world_of_two();
    assert!(world.ping(&web, SECOND));
    assert!(world.ping(&db, FIRST));
    assert!(world.ping(&Place::Host, FIRST));
    assert!(world.ping(&web, GATEWAY));
    assert_eq!(world.fdb().len(), 3);
}

#[test]
fn a_megabyte_arrives_byte_for_byte() {
    let (mut world, web, db) = world_of_two();
    world.listen(&web, ANY, 80).expect("a listener");
    let sent = some_bytes(1 << 20);
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
}

#[test]
fn ten_megabytes_take_well_under_a_second() {
    let (mut world, web, db) = world_of_two();
    world.listen(&web, ANY, 80).expect("a listener");
    let sent = some_bytes(10 << 20);
    let began = world.now();
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
    assert!(world.now() - began < Duration::from_secs(1), "of virtual time, which is the same on every machine");
}

#[test]
fn nobody_answers_for_a_missing_address() {
    let (mut world, web, _) = world_of_two();
    let missing = Ipv4Addr::new(172, 17, 9, 9);
    assert!(!world.ping(&web, missing));
    let began = world.now();
    assert_eq!(world.connect(&web, missing, 80), Err(SocketError::HostUnreachable));
    let waited = world.now() - began;
    assert!(waited > Duration::from_secs(1) && waited <= Duration::from_secs(3), "{waited:?}");
}

#[test]
fn an_address_beyond_all_routes_is_unreachable_at_once() {
    let mut world = world();
    let none = start(&mut world, "none", "none");
    assert_eq!(world.connect(&none, FIRST, 80), Err(SocketError::NetworkUnreachable));
    assert_eq!(world.ping_sized(&none, FIRST, 56), Err(SocketError::NetworkUnreachable));
    assert!(world.ping(&none, LOCALHOST));
}

#[test]
fn nobody_listens_is_refused_and_a_taken_port_is_in_use() {
    let (mut world, web, db) = world_of_two();
    assert_eq!(world.connect(&db, FIRST, 80), Err(SocketError::Refused));
    let listener = world.listen(&web, FIRST, 80).expect("a listener");
    assert_eq!(world.listen(&web, ANY, 80), Err(SocketError::AddressInUse));
    assert!(world.listen(&web, LOCALHOST, 80).is_ok());
    assert!(world.listen(&db, ANY, 80).is_ok());
    assert_eq!(world.listen(&web, SECOND, 81), Err(SocketError::AddressNotAvailable));
    world.close(listener);
    assert_eq!(world.connect(&db, FIRST, 80), Err(SocketError::Refused));
    assert!(world.listen(&web, FIRST, 80).is_ok());
    assert!(world.connect(&db, FIRST, 80).is_ok());
}

#[test]
fn datagrams_arrive_with_their_sender() {
    let (mut world, web, db) = world_of_two();
    let server = world.udp_bind(&web, ANY, 53).expect("a socket");
    let client = world.udp_bind(&db, ANY, 0).expect("a socket");
    world.udp_send(client, SocketAddrV4::new(FIRST, 53), b"who?").expect("sent");
    let (from, asked) = world.udp_recv(server, Duration::from_secs(1)).expect("a question");
    assert_eq!((from.ip(), asked.as_slice()), (SECOND.into(), &b"who?"[..]));
    world.udp_send(server, from, b"me").expect("sent");
    assert_eq!(world.udp_recv(client, Duration::from_secs(1)), Ok(((FIRST, 53).into(), b"me".to_vec())));
    assert_eq!(world.udp_recv(client, Duration::from_secs(1)), Err(SocketError::TimedOut));
    let too_long = vec![0; 1473];
    assert_eq!(world.udp_send(client, SocketAddrV4::new(FIRST, 53), &too_long), Err(SocketError::MessageSize));
}

#[test]
fn lo_counts_both_ways_and_eth0_counts_ethernet_headers() {
    let (mut world, web, _) = world_of_two();
    assert!(world.ping(&web, LOCALHOST));
    assert!(world.ping(&web, SECOND));
    let seen = world.interfaces(&web).expect("interfaces");
    let counted = |at: usize| (seen[at].rx_packets, seen[at].rx_bytes, seen[at].tx_packets, seen[at].tx_bytes);
    assert_eq!((seen[0].name.as_str(), seen[0].mtu, counted(0)), ("lo", 65_536, (2, 168, 2, 168)));
    // A question and an answer, by ARP and by ICMP.
    assert_eq!((seen[1].name.as_str(), seen[1].mtu, counted(1)), ("eth0", 1500, (2, 140, 2, 140)));
    assert_eq!(seen[1].mac, MacAddr([0x02, 0x42, 172, 17, 0, 2]));
}

#[test]
fn what_overflows_the_queue_is_counted_as_dropped_by_its_sender() {
    let (mut world, web, _) = world_of_two();
    let frame = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb5], &[0; 46]].concat();
    world.advance(Duration::from_secs(1));
    let before = world.interfaces(&web).expect("interfaces")[1].tx_packets;
    (0..QUEUE + 7).for_each(|_| world.inject(&web, "eth0", &frame).expect("injected"));
    world.advance(Duration::from_secs(1));
    let eth0 = &world.interfaces(&web).expect("interfaces")[1];
    assert_eq!((eth0.tx_packets - before, eth0.tx_dropped), (QUEUE as u64, 7));
    let port = &world.statistics()[0].ports[1];
    assert_eq!((port.counters.rx.packets - before, port.counters.rx.flooded - before), (QUEUE as u64, QUEUE as u64));
}

#[test]
fn an_odd_frame_arrives_as_it_was_sent() {
    let (mut world, web, db) = world_of_two();
    let station = world.interfaces(&db).expect("interfaces")[1].mac;
    world.advance(Duration::from_secs(1));
    assert_eq!(world.sniff(&db, "eth0"), Ok(Vec::new()));
    let llc = [&station.0[..], &[2, 0, 0, 0, 0, 1], &[0, 3], &[0x42, 0x42, 3], &[0; 43]].concat();
    let tagged = [&station.0[..], &[2, 0, 0, 0, 0, 1], &[0x81, 0, 0, 5, 0x08, 0], &[0; 46]].concat();
    let shortest = [&station.0[..], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb5]].concat();
    let frames = vec![llc, tagged, shortest];
    frames.iter().for_each(|frame| world.inject(&web, "eth0", frame).expect("injected"));
    world.advance(Duration::from_millis(1));
    assert_eq!(world.sniff(&db, "eth0"), Ok(frames));
    assert_eq!(world.inject(&web, "eth0", &[0; 13]), Err(SocketError::Invalid));
    assert_eq!(world.inject(&web, "eth0", &[0; 1515]), Err(SocketError::MessageSize));
}

#[test]
fn an_interface_that_is_switched_off_is_deaf_and_loses_its_default_route() {
    let (mut world, web, db) = world_of_two();
    assert!(world.ping(&db, FIRST));
    world.set_link(&web, "eth0", false).expect("off");
    assert!(!world.ping(&db, FIRST));
    assert_eq!(world.default_route(&web).expect("a place"), None);
    let lost = world.statistics()[0].ports[1].counters.tx.drops.of(switch::verdict::DropReason::LinkFull);
    assert_eq!(lost, 1);
    world.set_link(&web, "eth0", true).expect("on");
    assert!(world.ping(&db, FIRST));
}

#[test]
fn a_deleted_interface_takes_its_port_with_it() {
    let (mut world, web, db) = world_of_two();
    world.delete_interface(&web, "eth0").expect("deleted");
    assert!(!world.ping(&db, FIRST));
    assert_eq!(world.statistics()[0].ports.len(), 2);
    assert_eq!(world.inspect("web").expect("a view").networks["bridge"].port, None);
}

#[test]
fn equal_seeds_give_equal_traces_and_others_do_not() {
    let trace = |seed| {
        let mut world = World::builder().seed(seed).up().expect("a world");
        let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
        world.listen(&web, ANY, 80).expect("a listener");
        world.transfer(&db, FIRST, 80, &some_bytes(100_000)).expect("a transfer");
        world.stop("db", Duration::from_secs(1)).expect("stopped");
        world.trace_hash()
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

#[test]
fn an_idle_day_of_a_hundred_containers_is_a_handful_of_events() {
    let mut world = world();
    (0..100).for_each(|number| drop(start(&mut world, &format!("c{number}"), "bridge")));
    let last = Ipv4Addr::new(172, 17, 0, 101);
    assert!(world.ping(&Place::container("c0"), last));
    // Who was asked finds out whether the one who asked hears it.
    world.advance(Duration::from_secs(60));
    let before = world.events();
    world.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(world.events() - before, 4, "the FDB forgets, and that is all");
    assert!(world.ping(&Place::container("c0"), last));
}

/// Sends ten megabytes from `db` to `web`; what the ports of both have counted, and what `web`'s interface has.
fn ten_megabytes(mut world: World, offload: [bool; 2]) -> ([switch::counters::PortCounters; 2], u64) {
    for (name, offload) in ["web", "db"].into_iter().zip(offload) {
        let request = netns::manager::RunRequest { offload, ..request(name, "bridge") };
        world.run(request, Program::Sleep).expect("a container");
    }
    let (web, db) = (Place::container("web"), Place::container("db"));
    world.listen(&web, ANY, 80).expect("a listener");
    let sent = some_bytes(10 << 20);
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
    world.advance(Duration::from_secs(1));
    let seen = world.interfaces(&web).expect("interfaces")[1].rx_packets;
    let ports = &world.statistics()[0].ports;
    assert!(ports.iter().all(|port| port.counters.check().is_ok()));
    ([ports[1].counters.clone(), ports[2].counters.clone()], seen)
}

#[test]
fn a_transfer_crosses_the_switch_in_super_frames() {
    let ([web, db], seen) = ten_megabytes(world(), [true, true]);
    assert!(db.rx.super_frames > 100, "{:?}", db.rx);
    assert_eq!((web.tx.super_frames, web.tx.packets), (db.rx.super_frames, seen));
    // 1460 bytes to a segment.
    assert!(web.tx.wire_frames >= 7183 && web.tx.packets * 2 < web.tx.wire_frames, "{:?}", web.tx);
}

#[test]
fn whoever_takes_no_super_frames_gets_their_segments() {
    let ([web, db], seen) = ten_megabytes(world(), [false, true]);
    assert!(db.rx.super_frames > 100, "{:?}", db.rx);
    assert!(seen >= 7183, "{seen}");
    assert_eq!(web.tx.dropped, 0);
    let ([web, db], _) = ten_megabytes(world(), [true, false]);
    assert_eq!((web.tx.super_frames, db.rx.super_frames), (0, 0));
    let ([web, db], _) = ten_megabytes(World::builder().offload(false).up().expect("a world"), [true, true]);
    assert_eq!((web.tx.super_frames, db.rx.super_frames), (0, 0));
}

#[test]
fn rules_see_the_frames_of_a_real_wire() {
    let mut world = world();
    let seen = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let note = std::rc::Rc::clone(&seen);
    let look = move |passage: &mut pontoon_sim::Passage<'_>| {
        let (count, longest) = note.get();
        note.set((count + 1, passage.frame.len().max(longest)));
        pontoon_sim::Fate::Pass
    };
    world.add_rule(pontoon_sim::Scope::world(), look).expect("the world is there").forget();
    let ([web, _], _) = ten_megabytes(world, [true, true]);
    let (count, longest) = seen.get();
    assert_eq!((web.tx.super_frames, longest), (0, 1514));
    assert!(count > 2 * 7183, "{count}");
}

#[test]
fn what_is_corrupted_is_noticed_though_checksums_are_left_to_others() {
    let (mut world, web, db) = world_of_two();
    world.listen(&web, ANY, 80).expect("a listener");
    // What has no checksum of its own is said before.
    assert!(world.ping(&db, FIRST));
    let corrupt = pontoon_sim::fault::Corrupt::bit(0.02);
    world.add_rule(pontoon_sim::Scope::world(), corrupt).expect("the world is there").forget();
    let sent = some_bytes(300_000);
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
}

#[test]
fn a_network_whose_gateway_can_not_be_made_again_makes_room_for_others_when_it_is_removed() {
    let mut world = world();
    let create = |world: &mut World| world.create_network(NetworkRequest::new("net".parse().expect("a name")));
    create(&mut world).expect("a network");
    let bridge = world.inspect_network("net").expect("a view").bridge.expect("a bridge");
    world.fail_change(1);
    world.delete_interface(&Place::Host, &bridge).expect("deleted");
    assert!(run(&mut world, "web", "net", Program::Sleep).is_err(), "it is down");
    assert_eq!(world.statistics().len(), 2);
    world.remove_network("net").expect("removed");
    assert_eq!(world.statistics().len(), 1, "its switch went with it");
    create(&mut world).expect("another");
    let web = start(&mut world, "web", "net");
    assert!(world.ping(&web, Ipv4Addr::new(172, 18, 0, 1)));
}

#[test]
fn a_network_that_could_not_be_made_leaves_nothing() {
    let left = |world: &World| (world.records(), world.statistics().len());
    let host = |world: &mut World| world.interfaces(&Place::Host).expect("seen").len();
    for step in 1..20 {
        let mut world = world();
        let before = (left(&world), host(&mut world));
        world.fail_change(step);
        if world.create_network(NetworkRequest::new("net".parse().expect("a name"))).is_ok() {
            assert!(step > 2, "there are two changes at least");
            return;
        }
        assert_eq!((left(&world), host(&mut world)), before, "step {step}");
    }
    panic!("it fails for ever");
}

#[test]
fn a_network_is_removed_as_far_as_can_be_whatever_fails() {
    for step in 1..20 {
        let mut world = world();
        world.create_network(NetworkRequest::new("net".parse().expect("a name"))).expect("a network");
        world.fail_change(step);
        if world.remove_network("net").is_ok() {
            assert!(step > 3, "there are three changes at least");
            return;
        }
        let names: Vec<String> = world.networks().expect("networks").into_iter().map(|network| network.name).collect();
        // That it goes could not even be noted: then it stays whole.
        assert_eq!(names.contains(&"net".to_owned()), step == 1, "step {step}");
        let is_saved =
            world.records().iter().any(|(key, text)| key.starts_with("network-") && text.contains("\"net\""));
        let host: Vec<String> =
            world.interfaces(&Place::Host).expect("seen").into_iter().map(|interface| interface.name).collect();
        let is_made = host.iter().any(|name| name.starts_with("br-"));
        assert!(is_saved || !is_made, "step {step}: nobody knows of {host:?}");
        // What could not be removed is the next daemon's to finish.
        world.kill_daemon();
        world.up().expect("a daemon");
        assert_eq!(world.networks().expect("networks").len(), if step == 1 { 4 } else { 3 });
    }
    panic!("it fails for ever");
}
