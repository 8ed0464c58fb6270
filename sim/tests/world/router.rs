//! What the host passes on: under whose address, through which rules, and what is told of what it does not.

use std::net::SocketAddr;
use std::time::Duration;

use netns::manager::NetworkRequest;
use pontoon_sim::fault::Loss;
use pontoon_sim::net::TcpStream;
use pontoon_sim::{CableDrop, Direction, ForwardDrop, Place, Scope, SocketError, World};
use tokio::io::AsyncReadExt;

use super::*;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);

/// A host between a server outside, by `uplink0`, and its containers.
fn world_with_server() -> (World, Place) {
    let mut world = World::builder().seed(1).build();
    let server = add_server(&mut world, "server", "uplink0", [10, 200, 0]);
    world.up().expect("a daemon");
    (world, server)
}

fn add_server(world: &mut World, name: &str, interface: &str, [a, b, c]: [u8; 3]) -> Place {
    let address = |last| format!("{a}.{b}.{c}.{last}/24").parse().expect("an address");
    world.add_outside(name, address(2), interface, address(1)).expect("a host outside")
}

/// Tells everybody who connects whom it sees.
async fn tell() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, peer) = listener.accept().await?;
        stream.write_all(peer.to_string().as_bytes()).await?;
    }
}

async fn ask(server: Ipv4Addr) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect((server, 7)).await?;
    let mut told = String::new();
    stream.read_to_string(&mut told).await?;
    Ok((stream.local_addr()?.to_string(), told))
}

#[test]
fn who_is_outside_sees_the_host_and_answers_reach_who_asked() {
    let (mut world, server) = world_with_server();
    let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    world.exec(&server, tell()).expect("a server");
    // Both begin with the same port, and only one can leave with it.
    let first = world.block_on(&web, ask(SERVER)).expect("an answer");
    let second = world.block_on(&db, ask(SERVER)).expect("an answer");
    assert_eq!(first, ("172.17.0.2:32768".into(), "10.200.0.1:32768".into()));
    assert_eq!(second, ("172.17.0.3:32768".into(), "10.200.0.1:32769".into()));
    assert!(world.ping(&web, SERVER) && world.ping(&db, SERVER));
    let datagrams = world.udp_bind(&server, ANY, 9).expect("bound");
    let socket = world.udp_bind(&web, ANY, 5000).expect("bound");
    world.udp_send(socket, SocketAddr::from((SERVER, 9)), b"question").expect("sent");
    let (from, asked) = world.udp_recv(datagrams, Duration::from_secs(1)).expect("it comes");
    assert_eq!((from, asked.as_slice()), (SocketAddr::from((HOST, 5000)), &b"question"[..]));
    world.udp_send(datagrams, from, b"answer").expect("sent");
    let (from, answer) = world.udp_recv(socket, Duration::from_secs(1)).expect("it comes");
    assert_eq!((from, answer.as_slice()), (SocketAddr::from((SERVER, 9)), &b"answer"[..]));
    assert_eq!(world.forward_statistics(&Place::Host).expect("the host").dropped(), 0);
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let (mut world, server) = world_with_server();
    let web = start(&mut world, "web", "bridge");
    let datagrams = world.udp_bind(&server, ANY, 9).expect("bound");
    let socket = world.udp_bind(&web, ANY, 5000).expect("bound");
    world.udp_send(socket, SocketAddr::from((SERVER, 9)), b"question").expect("sent");
    let (from, _) = world.udp_recv(datagrams, Duration::from_secs(1)).expect("it comes");
    world.advance(Duration::from_secs(31));
    world.udp_send(datagrams, from, b"answer").expect("sent");
    assert_eq!(world.udp_recv(socket, Duration::from_secs(5)), Err(SocketError::TimedOut));
    assert_eq!(world.tracked_connections(&Place::Host), Ok(1), "the server has begun to talk with the host");
}

#[test]
fn bulk_crosses_in_super_frames_and_is_whole() {
    let (mut world, server) = world_with_server();
    let web = start(&mut world, "web", "bridge");
    world.listen(&server, ANY, 80).expect("a listener");
    let sent = some_bytes(3 << 20);
    assert!(world.transfer(&web, SERVER, 80, &sent).expect("a transfer") == sent);
    let forwarded = world.forward_statistics(&Place::Host).expect("the host").forwarded;
    assert!(forwarded < 1500, "{forwarded} packets for {} segments and as many acknowledgements", (3 << 20) / 1460);
    // On a real wire each segment is a frame, and one that is lost comes again.
    let lossy = world.add_rule(Scope::cable(&Place::Host, "uplink0"), Loss::new(0.02)).expect("it is there");
    assert!(world.transfer(&web, SERVER, 80, &sent).expect("a transfer") == sent);
    drop(lossy);
    // Nor does a host take more than it says.
    let plain = RunRequest {
        name: Some("plain".parse().expect("a name")),
        offload: false,
        ..RunRequest::new(vec!["x".into()])
    };
    world.run(plain, Program::Sleep).expect("a container");
    let plain = Place::container("plain");
    assert!(world.transfer(&plain, SERVER, 80, &sent).expect("a transfer") == sent);
}

#[test]
fn networks_are_kept_apart_and_internal_ones_within() {
    let (mut world, server) = world_with_server();
    for (name, internal) in [("red", false), ("vault", true)] {
        let request = NetworkRequest { internal, ..NetworkRequest::new(name.parse().expect("a name")) };
        world.create_network(request).expect("a network");
    }
    let (web, red, safe) =
        (start(&mut world, "web", "bridge"), start(&mut world, "r", "red"), start(&mut world, "s", "vault"));
    let (in_red, in_vault) = (Ipv4Addr::new(172, 18, 0, 2), Ipv4Addr::new(172, 19, 0, 2));
    assert!(world.ping(&red, SERVER));
    world.set_default_route(&safe, Ipv4Addr::new(172, 19, 0, 1)).expect("by hand");
    world.set_default_route(&server, HOST).expect("by hand");
    for (from, to) in [(&web, in_red), (&red, FIRST), (&web, in_vault), (&safe, FIRST), (&safe, SERVER)] {
        assert!(!world.ping(from, to), "{from:?} reaches {to}");
    }
    for to in [FIRST, in_red, in_vault] {
        assert!(!world.ping(&server, to), "{to} has asked for nothing");
    }
    let told = world.forward_statistics(&Place::Host).expect("the host");
    assert_eq!((told.dropped_for(ForwardDrop::Firewall), told.dropped()), (8, 8));
    assert!(world.ping(&Place::Host, in_vault) && world.ping(&server, HOST));
}

#[test]
fn only_what_was_forwarded_before_is_forwarded_beside_ours() {
    let mut world = World::builder().seed(1).build();
    let server = add_server(&mut world, "server", "uplink0", [10, 200, 0]);
    let other = add_server(&mut world, "other", "lan0", [10, 201, 0]);
    let far = Ipv4Addr::new(10, 201, 0, 2);
    world.set_default_route(&server, HOST).expect("a route");
    world.set_default_route(&other, Ipv4Addr::new(10, 201, 0, 1)).expect("a route");
    assert!(!world.ping(&server, far));
    world.set_interface_forwarding("lan0", true);
    world.up().expect("a daemon");
    assert!(world.forwards() && world.interface_forwards("uplink0"));
    assert!(!world.ping(&server, far), "its requests are not forwarded");
    assert!(!world.ping(&other, SERVER), "requests are, but the answers are not, as before");
    let drops = |world: &mut World| world.forward_statistics(&Place::Host).expect("the host");
    assert_eq!((drops(&mut world).forwarded, drops(&mut world).dropped_for(ForwardDrop::Firewall)), (1, 2));
    world.down(Duration::ZERO).expect("it ends");
    assert!(!world.forwards() && !world.interface_forwards("uplink0") && world.interface_forwards("lan0"));
    // Where the host forwards by itself, it goes on with that.
    world.set_forwarding(true);
    world.up().expect("a daemon");
    assert!(world.ping(&server, far) && world.ping(&other, SERVER));
    world.down(Duration::ZERO).expect("it ends");
    assert!(world.forwards());
}

#[test]
fn what_a_daemon_found_is_put_back_by_the_next_one_too() {
    let (mut world, _) = world_with_server();
    start(&mut world, "web", "bridge");
    world.kill_daemon();
    assert!(world.forwards(), "its containers go on");
    world.up().expect("another");
    world.down(Duration::ZERO).expect("it ends");
    assert!(!world.forwards());
    world.up().expect("another");
    world.reboot();
    assert!(!world.forwards());
    world.up().expect("another");
    assert!(world.forwards());
}

#[test]
fn a_packet_has_so_many_hops_and_who_drops_it_says_so() {
    let (mut world, server) = world_with_server();
    let web = start(&mut world, "web", "bridge");
    assert_eq!(world.trace_route(&web, SERVER), Ok(vec![Some(GATEWAY), Some(SERVER)]));
    assert_eq!(world.trace_route(&web, GATEWAY), Ok(vec![Some(GATEWAY)]));
    assert_eq!(world.forward_statistics(&Place::Host).expect("the host").dropped_for(ForwardDrop::TimeExceeded), 1);
    // Nobody answers for the one, and no route leads to the other.
    let began = world.now();
    let nobody = Ipv4Addr::new(10, 200, 0, 9);
    assert_eq!(world.connect(&web, nobody, 80), Err(SocketError::HostUnreachable));
    assert!(world.now() - began < Duration::from_secs(4), "as soon as the host knows");
    assert_eq!(world.connect(&web, Ipv4Addr::new(192, 0, 2, 1), 80), Err(SocketError::HostUnreachable));
    let told = world.forward_statistics(&Place::Host).expect("the host");
    assert_eq!(told.dropped_for(ForwardDrop::NoRoute), 1);
    // A server that refuses is heard as well.
    assert_eq!(world.connect(&web, SERVER, 81), Err(SocketError::Refused));
    drop(server);
}

#[test]
fn what_is_too_long_for_the_next_link_is_dropped_and_told() {
    let (mut world, _) = world_with_server();
    let web = start(&mut world, "web", "bridge");
    world.set_mtu(&Place::Host, "uplink0", 1400).expect("set");
    assert_eq!(world.ping_sized(&web, SERVER, 1400 - 28), Ok(()));
    world.sniff(&web, "eth0").expect("listening");
    assert!(world.ping_sized(&web, SERVER, 1400 - 27).is_err());
    let heard = world.sniff(&web, "eth0").expect("heard");
    // Destination unreachable, fragmentation needed, and the next link's MTU (RFC 1191, 4).
    let icmp = &heard.first().expect("it is told")[34..];
    assert_eq!((&icmp[..2], &icmp[4..8]), (&[3, 4][..], &[0, 0, 5, 120][..]));
    assert_eq!(world.forward_statistics(&Place::Host).expect("the host").dropped_for(ForwardDrop::TooLong), 1);
}

#[test]
fn a_stream_finds_out_how_long_its_segments_may_be() {
    for offload in [true, false] {
        let mut world = World::builder().seed(1).offload(offload).build();
        let server = add_server(&mut world, "server", "uplink0", [10, 200, 0]);
        world.up().expect("a daemon");
        let web = start(&mut world, "web", "bridge");
        world.set_mtu(&Place::Host, "uplink0", 1400).expect("set");
        world.listen(&server, ANY, 80).expect("a listener");
        world.sniff(&server, "eth0").expect("listening");
        let sent = some_bytes(1 << 20);
        assert!(world.transfer(&web, SERVER, 80, &sent).expect("a transfer") == sent, "offload {offload}");
        let heard = world.sniff(&server, "eth0").expect("heard");
        assert!(offload || heard.iter().all(|frame| frame.len() <= 1414), "and each fits the link");
        let dropped = world.forward_statistics(&Place::Host).expect("the host").dropped_for(ForwardDrop::TooLong);
        assert!((1..20).contains(&dropped), "{dropped}");
    }
}

#[test]
fn an_error_about_what_left_under_another_address_reaches_who_sent_it() {
    let (mut world, _) = world_with_server();
    let web = start(&mut world, "web", "bridge");
    let socket = world.udp_bind(&web, ANY, 5000).expect("bound");
    world.sniff(&web, "eth0").expect("listening");
    world.udp_send(socket, SocketAddr::from((SERVER, 9)), b"is anybody there?").expect("sent");
    world.advance(Duration::from_secs(1));
    let heard = world.sniff(&web, "eth0").expect("heard");
    let told = heard.iter().find(|frame| frame.get(23) == Some(&1)).expect("port unreachable comes");
    assert_eq!(told[34..36], [3, 3]);
    assert_eq!((&told[26..30], &told[30..34]), (&SERVER.octets()[..], &FIRST.octets()[..]));
    // Of what it is about: the sender and its port.
    assert_eq!((&told[54..58], &told[62..64]), (&FIRST.octets()[..], &5000_u16.to_be_bytes()[..]));
}

#[test]
fn rules_that_somebody_takes_away_are_put_back_at_once() {
    let (mut world, server) = world_with_server();
    world.create_network(NetworkRequest::new("red".parse().expect("a name"))).expect("a network");
    let (web, red) = (start(&mut world, "web", "bridge"), start(&mut world, "r", "red"));
    assert!(world.ping(&web, SERVER));
    world.flush_firewall();
    assert!(!world.ping(&red, FIRST));
    world.exec(&server, tell()).expect("a server");
    let (_, told) = world.block_on(&web, ask(SERVER)).expect("an answer");
    assert!(told.starts_with("10.200.0.1:"), "{told}");
    // While nobody looks after them they are gone.
    world.kill_daemon();
    world.flush_firewall();
    world.up().expect("another");
    assert!(!world.ping(&red, FIRST) && world.ping(&red, SERVER));
}

#[test]
fn a_foreign_chain_that_drops_is_told_with_what_helps() {
    let (mut world, _) = world_with_server();
    world.add_foreign_drop("ip filter", "FORWARD");
    let warned = world.run(RunRequest::new(vec!["x".into()]), Program::Sleep).expect("a container").warnings;
    let expected = "the host's own firewall drops what leaves pontoon0 (table ip filter, chain FORWARD); to let it pass: \
                    nft 'insert rule ip filter FORWARD iifname \"pontoon0\" accept; insert rule ip filter FORWARD oifname \
                    \"pontoon0\" ct state established,related accept'";
    assert_eq!(warned, [expected]);
    let web = start(&mut world, "web", "bridge");
    assert!(!world.ping(&web, SERVER));
    assert!(world.accept_in_foreign("ip filter", "FORWARD", "pontoon0"));
    assert!(world.ping(&web, SERVER));
}

#[test]
fn the_cable_outside_is_one_like_others() {
    let (mut world, server) = world_with_server();
    let [at_host, at_server] = [(&Place::Host, "uplink0"), (&server, "eth0")]
        .map(|(place, interface)| world.cable(place, interface).expect("a cable"));
    assert!(world.ping(&Place::Host, SERVER));
    let counted = |world: &mut World, place: &Place, name: &str| {
        let all = world.interfaces(place).expect("the place");
        let own = all.into_iter().find(|each| each.name == name).expect("the interface");
        (own.rx_packets, own.tx_packets)
    };
    // A question and its answer, by ARP and then by ICMP.
    assert_eq!(counted(&mut world, &Place::Host, "uplink0"), (2, 2));
    assert_eq!(counted(&mut world, &server, "eth0"), (2, 2));
    assert_eq!(at_host.statistics(Direction::FromSwitch), at_server.statistics(Direction::FromSwitch));
    world.set_link(&server, "eth0", false).expect("off");
    assert!(!world.ping(&Place::Host, SERVER));
    assert!(at_host.statistics(Direction::FromSwitch).dropped_for(CableDrop::Off) > 0);
    world.set_link(&server, "eth0", true).expect("on");
    let split = world.partition(&[&server], &[&Place::Host]).expect("cut");
    assert!(!world.ping(&Place::Host, SERVER) && !world.ping(&server, HOST));
    drop(split);
    world.advance(Duration::from_secs(5));
    assert!(world.ping(&server, HOST), "nobody waits for an answer from before any more");
    world.reboot();
    assert!(world.ping(&server, HOST), "it is another machine");
}

#[test]
fn equal_seeds_cross_equally() {
    let hash = |seed: u64| {
        let mut world = World::builder().seed(seed).build();
        let server = add_server(&mut world, "server", "uplink0", [10, 200, 0]);
        world.up().expect("a daemon");
        let web = start(&mut world, "web", "bridge");
        world.exec(&server, tell()).expect("a server");
        world.block_on(&web, ask(SERVER)).expect("an answer");
        world.trace_hash()
    };
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}
