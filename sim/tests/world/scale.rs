//! Two thousand containers on one bridge, twice as many as a Linux bridge has ports.

use std::collections::BTreeSet;
use std::time::Duration;

use pontoon_sim::{Cable, CableDrop, Direction};
use switch::mac::MacAddr;
use switch::verdict::DropReason;

use super::*;

const MANY: u32 = 2000;

/// Starts containers on the default network, `pause` apart, with MACs of this maker.
fn start_many(world: &mut World, count: u32, pause: Duration, mac: fn(u32) -> Option<MacAddr>) -> Vec<Place> {
    let start = |number: u32| {
        let name = format!("c{number}");
        world.run(RunRequest { mac: mac(number), ..request(&name, "bridge") }, Program::Sleep).expect("a container");
        world.advance(pause);
        Place::container(&name)
    };
    (0..count).map(start).collect()
}

/// A MAC that is made of nothing, so that whoever has it tells everybody.
fn chosen(number: u32) -> Option<MacAddr> {
    let [a, b, c, d] = number.to_be_bytes();
    Some(MacAddr([2, 0, a, b, c, d]))
}

/// The address of the container that was started as the `number`th, from 0.
fn address_of(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST) + number)
}

/// How many frames went to all.
fn flooded(world: &World) -> u64 {
    world.statistics()[0].ports.iter().map(|port| port.counters.rx.flooded).sum()
}

/// What could not be sent to a container because its cable was full.
fn lost_to(world: &mut World, place: &Place) -> u64 {
    world.cable(place, "eth0").expect("a cable").statistics(Direction::FromSwitch).dropped_for(CableDrop::QueueFull)
}

#[test]
fn two_thousand_containers_reach_one_another() {
    let mut world = world();
    let places = start_many(&mut world, MANY, Duration::from_micros(100), |_| None);
    assert_eq!(flooded(&world), 0, "nobody has told anybody who it is");
    let views = world.containers(false).expect("they run");
    let addresses: BTreeSet<_> = views.iter().map(|view| view.networks["bridge"].ip.addr()).collect();
    assert_eq!(addresses, (0..MANY).map(address_of).collect());

    let (first, last) = (0, MANY - 1);
    let sample = (0..MANY).step_by(100).map(|from| (from, (from + 1050) % MANY));
    for (from, to) in [(first, last), (last, first), (1, last - 1)].into_iter().chain(sample) {
        assert!(world.ping(&places[from as usize], address_of(to)), "c{from} to c{to}");
    }
    assert!(world.ping(&places[last as usize], GATEWAY));
    assert!(world.ping(&Place::Host, address_of(last)));
    assert_eq!(places.iter().map(|place| lost_to(&mut world, place)).sum::<u64>(), 0);
}

#[test]
fn two_thousand_containers_announce_themselves_without_a_loss() {
    let mut world = world();
    let places = start_many(&mut world, MANY, Duration::from_micros(100), chosen);
    assert_eq!(flooded(&world), u64::from(MANY));
    // Not one of four million copies.
    assert_eq!(places.iter().map(|place| lost_to(&mut world, place)).sum::<u64>(), 0);
}

/// A start takes no virtual time. Without any between them all announcements are in the cables at once, and a cable's queue is bounded.
#[test]
fn containers_that_start_in_one_instant_lose_announcements_and_are_reached_all_the_same() {
    let mut world =
        World::builder().seed(1).cable(Cable { queue_frames: 10, ..Cable::default() }).up().expect("a world");
    let places = start_many(&mut world, 30, Duration::ZERO, chosen);
    assert!(!world.ping(&places[15], address_of(28)), "the question comes behind announcements, and there is no room");
    // Each is told of 29 others, with room for ten; and all but the one who asked are asked.
    assert_eq!((lost_to(&mut world, &places[28]), lost_to(&mut world, &places[15])), (20, 19));
    let port = world.statistics()[0].ports.iter().find(|port| port.name == "c28.eth0").expect("a port").clone();
    assert_eq!(port.counters.tx.drops.of(DropReason::LinkFull), 20);
    assert!(world.ping(&places[15], address_of(28)));
    assert!(world.ping(&places[29], address_of(0)));
    assert!(world.ping(&places[0], address_of(29)));
}
