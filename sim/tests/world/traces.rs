//! What a world tells of itself: a hash, words, captures.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::process::Command;
use std::time::Duration;

use netns::manager::NetworkRequest;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pontoon_sim::fault::{Cut, Jitter, Loss};
use pontoon_sim::{Cable, Capture, Place, Scope, World};
use switch::mac::MacAddr;

use super::*;

#[test]
fn a_ping_reads_like_a_story() {
    let mut world = World::builder().seed(1).trace(true).up().expect("a world");
    let (web, _) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    world.advance(Duration::from_secs(1));
    let before = world.trace().len();
    assert!(world.ping(&web, SECOND));
    let from_switch = Scope::place(&web).from_switch();
    let jitter = Jitter::uniform(Duration::from_micros(7));
    let jitter = world.add_rule(from_switch.clone(), jitter).expect("a rule");
    assert!(world.ping(&web, SECOND));
    drop(jitter);
    let _cut = world.add_rule(from_switch, Cut).expect("a rule");
    assert!(!world.ping(&web, SECOND));
    world.cable(&web, "eth0").expect("a cable").set(Cable { queue_frames: 0, ..Cable::default() });
    assert!(!world.ping(&web, SECOND));
    world.kill_daemon();
    assert_eq!(world.trace()[before..].join("\n"), include_str!("ping.trace").trim_end());
}

#[test]
fn containers_and_ports_are_part_of_the_story() {
    let mut world = World::builder().seed(1).trace(true).up().expect("a world");
    let mac = Some(MacAddr([2, 0, 0, 0, 0, 2]));
    world.run(RunRequest { mac, ..request("web", "bridge") }, Program::Sleep).expect("a container");
    world.advance(Duration::from_secs(1));
    world.stop("web", Duration::from_secs(1)).expect("stopped");
    let of_the_world: Vec<String> = world.trace().into_iter().filter(|line| line.contains(" - ")).collect();
    let expected = [
        "0.000000000 - the daemon starts",
        "0.000000000 - bridge pontoon0 is made",
        "0.000000000 - pontoon0 is plugged in as port 0",
        "0.000000000 - 02:42:f9:7b:e5:17 is behind pontoon0 for good",
        "0.000000000 - web.eth0 is plugged in as port 1",
        "0.000000000 - container c1b89d02afc0 runs",
        "0.000010000 - 02:00:00:00:00:02 is behind web.eth0",
        "1.000000000 - container c1b89d02afc0 ends with status 143",
        "1.000000000 - port 1 is gone",
        "1.000000000 - 02:00:00:00:00:02 is forgotten",
    ];
    assert_eq!(of_the_world, expected);
}

#[test]
fn a_copy_that_does_not_fit_a_port_says_so_behind_its_name() {
    let mut world = World::builder().seed(1).trace(true).up().expect("a world");
    let (web, _) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    assert!(world.ping(&web, SECOND), "who it is, is known");
    let long = [&[0xff; 6][..], &[2, 0x42, 172, 17, 0, 2], &[0x88, 0xb5], &[0; 1501]].concat();
    world.cable(&web, "eth0").expect("a cable").inject(long).expect("injected");
    world.advance(Duration::from_millis(1));
    let flood = "web.eth0 flood to pontoon0 (exceeds_mtu), db.eth0 (exceeds_mtu): ";
    let trace = world.trace();
    assert_eq!(trace.iter().filter(|line| line.contains(flood)).count(), 1, "{}", trace.join("\n"));
    assert!(trace.last().expect("lines").contains(flood), "and nobody receives it");
}

#[test]
fn a_super_frame_whose_segments_fit_a_port_is_not_said_to_be_too_long() {
    let mut world = World::builder().seed(1).trace(true).up().expect("a world");
    let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    world.listen(&db, ANY, 80).expect("a listener");
    let sent = some_bytes(100_000);
    assert!(world.transfer(&web, SECOND, 80, &sent).expect("a transfer") == sent);
    let trace = world.trace();
    let length = |line: &&String| -> usize {
        let words = line.split_once(" bytes, ").map_or("", |(before, _)| before);
        words.rsplit(' ').next().and_then(|length| length.parse().ok()).unwrap_or_default()
    };
    let long: Vec<&String> = trace.iter().filter(|line| length(line) > 1514).collect();
    let decided = long.iter().filter(|line| line.contains("web.eth0 unicast to db.eth0: ")).count();
    let received = long.iter().filter(|line| line.contains("db.eth0 receives: ")).count();
    assert!(decided > 0, "{}", trace.join("\n"));
    assert_eq!((decided, received), (long.len() / 3, long.len() / 3), "each is sent, decided about, received");
}

#[test]
fn both_ports_of_a_cable_between_networks_are_captured() {
    let mut world = world();
    world.create_network(NetworkRequest::new("back".parse().expect("a name"))).expect("a network");
    world.join("bridge", "back").expect("joined");
    let far = start(&mut world, "far", "back");
    world.advance(Duration::from_secs(1));
    let capture = world.capture(&Scope::world()).expect("a capture");
    world.inject(&far, "eth0", &[&[0xff; 6][..], &[2; 6], &[0x88, 0xb5]].concat()).expect("injected");
    world.advance(Duration::from_secs(1));
    let seen = read(&capture);
    let story: Vec<(&str, u32)> = seen.iter().map(|packet| (packet.port.as_str(), packet.way)).collect();
    assert_eq!(story.len(), 5, "{story:?}");
    assert_eq!(story[0], ("far.eth0", 1));
    assert!(story[1..3].contains(&("bridge.1", 2)), "{story:?}");
    assert_eq!(story[3..], [("back.1", 1), ("pontoon0", 2)]);
}

#[test]
fn two_processes_have_one_trace_and_another_seed_has_another() {
    const SEED: &str = "PONTOON_SIM_TRACED_SEED";
    if let Ok(seed) = std::env::var(SEED) {
        println!("hash {:016x}", eventful(seed.parse().expect("a seed")));
        return;
    }
    let in_a_process = |seed: &str| {
        let name = "traces::two_processes_have_one_trace_and_another_seed_has_another";
        let mut this = Command::new(std::env::current_exe().expect("this program"));
        let output = this.args(["--exact", name, "--nocapture"]).env(SEED, seed).output().expect("a process");
        let text = String::from_utf8(output.stdout).expect("text");
        let hash = text.lines().find_map(|line| line.split_once("hash ")).map(|(_, hash)| hash.to_owned());
        hash.unwrap_or_else(|| panic!("it said no hash: {text}"))
    };
    let here = format!("{:016x}", eventful(5));
    assert_eq!((in_a_process("5"), in_a_process("5")), (here.clone(), here.clone()));
    assert_ne!(in_a_process("6"), here);
}

#[test]
fn a_verdict_alone_makes_another_hash() {
    // The same frames on the same cables, but for one that the switch drops instead of flooding it to nobody who minds.
    let hash = |destination: [u8; 6]| {
        let mut world = world();
        let web = start(&mut world, "web", "bridge");
        world.advance(Duration::from_secs(1));
        world.inject(&web, "eth0", &[&destination[..], &[2; 6], &[0x88, 0xb5]].concat()).expect("injected");
        world.advance(Duration::from_secs(1));
        world.trace_hash()
    };
    assert_eq!(hash([2; 6]), hash([2; 6]));
    assert_ne!(hash([2; 6]), hash([4; 6]));
}

#[test]
fn a_capture_is_what_passed() {
    let (mut world, web, db) = world_of_two();
    world.advance(Duration::from_secs(1));
    let all = world.capture(&Scope::world()).expect("a capture");
    let one = world.capture(&Scope::cable(&db, "eth0").from_switch()).expect("a capture");
    world.sniff(&db, "eth0").expect("listening");
    assert!(world.ping(&web, SECOND));
    let arrived = world.sniff(&db, "eth0").expect("heard");
    let frames = |capture: &Capture| -> Vec<Vec<u8>> { read(capture).into_iter().map(|packet| packet.frame).collect() };
    assert_eq!(frames(&one), arrived);
    // An ARP request to all, its answer, an echo request and its answer: each comes in and goes out.
    let seen = read(&all);
    let story: Vec<(&str, u32, &str)> =
        seen.iter().map(|packet| (packet.port.as_str(), packet.way, packet.comment.as_str())).collect();
    let expected = [
        ("web.eth0", 1, "flood to pontoon0, db.eth0"),
        ("pontoon0", 2, ""),
        ("db.eth0", 2, ""),
        ("db.eth0", 1, "unicast to web.eth0"),
        ("web.eth0", 2, ""),
        ("web.eth0", 1, "unicast to db.eth0"),
        ("db.eth0", 2, ""),
        ("db.eth0", 1, "unicast to web.eth0"),
        ("web.eth0", 2, ""),
    ];
    assert_eq!(story, expected);
    let began = Duration::from_secs(1_700_000_001);
    assert_eq!(seen[0].at, began + Duration::from_micros(10), "the switch takes it after the first cable");
    assert_eq!((all.missed(), seen.iter().all(|packet| [42, 98].contains(&packet.frame.len()))), (0, true));
}

#[test]
fn what_is_lost_on_a_cable_is_captured_with_the_reason_and_an_odd_frame_as_it_is() {
    let (mut world, web, _) = world_of_two();
    world.advance(Duration::from_secs(1));
    let capture = world.capture(&Scope::place(&web).to_switch()).expect("a capture");
    let odd = [&[2; 6][..], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb5], b"odd"].concat();
    world.inject(&web, "eth0", &odd).expect("injected");
    let _lossy = world.add_rule(Scope::world(), Loss::new(1.0)).expect("a rule");
    world.inject(&web, "eth0", &odd).expect("injected");
    world.advance(Duration::from_secs(1));
    let seen = read(&capture);
    let comments: Vec<&str> = seen.iter().map(|packet| packet.comment.as_str()).collect();
    assert_eq!(comments, ["lost: loss", "flood to pontoon0, db.eth0"]);
    assert!(seen.iter().all(|packet| packet.frame == odd && packet.way == 1));
}

/// A run in which something of everything happens.
fn eventful(seed: u64) -> u64 {
    let mut world = World::builder().seed(seed).up().expect("a world");
    let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    world.add_rule(Scope::world(), Loss::new(0.05)).expect("a rule").forget();
    world
        .add_rule(Scope::world(), Jitter::normal(Duration::from_millis(1), Duration::from_millis(1)))
        .expect("a rule")
        .forget();
    world.listen(&web, ANY, 80).expect("a listener");
    world.transfer(&db, FIRST, 80, &some_bytes(100_000)).expect("a transfer");
    for (place, address) in [(&web, "fd00::2/64"), (&db, "fd00::3/64")] {
        world.set_ipv6(place, "eth0", true).expect("switched on");
        world.add_address(place, "eth0", address.parse().expect("an address")).expect("added");
    }
    world.advance(Duration::from_secs(2));
    let six: Ipv6Addr = "fd00::2".parse().expect("an address");
    world.listen(&web, six, 80).expect("a listener");
    world.transfer(&db, six, 80, &some_bytes(100_000)).expect("a transfer");
    world.kill_daemon();
    world.up().expect("another daemon");
    world.ping(&Place::Host, SECOND);
    world.stop("db", Duration::from_secs(1)).expect("stopped");
    world.trace_hash()
}

/// A packet of a capture.
struct Packet {
    at: Duration,
    port: String,
    /// 1 in, 2 out.
    way: u32,
    comment: String,
    frame: Vec<u8>,
}

fn read(capture: &Capture) -> Vec<Packet> {
    let bytes = capture.bytes();
    let mut reader = PcapNgReader::new(bytes.as_slice()).expect("a section");
    let (mut ports, mut packets) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a block") {
            Block::InterfaceDescription(interface) => {
                use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption as Is;
                let name = interface.options.iter().find_map(|option| match option {
                    Is::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                assert!(interface.options.contains(&Is::IfTsResol(9)), "nanoseconds");
                ports.push(name.expect("a name"));
            }
            Block::EnhancedPacket(packet) => {
                let flags = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Flags(flags) => Some(*flags),
                    _ => None,
                });
                let comment = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                    _ => None,
                });
                assert_eq!(packet.original_len as usize, packet.data.len());
                packets.push(Packet {
                    at: packet.timestamp,
                    port: ports[packet.interface_id as usize].clone(),
                    way: flags.expect("a direction"),
                    comment: comment.unwrap_or_default(),
                    frame: Cow::into_owned(packet.data),
                });
            }
            other => panic!("{other:?}"),
        }
    }
    packets
}
