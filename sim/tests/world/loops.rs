//! Networks that are joined, in a circle too, and stations that are in two places.

use std::time::Duration;

use netns::manager::NetworkRequest;
use pontoon_sim::fault::Cut;
use pontoon_sim::{CableDrop, CableHandle, Direction, Place, Runaway, Scope, World};

use super::*;

/// An address of the first network, for a container of the second one.
const BEYOND: Ipv4Addr = Ipv4Addr::new(172, 17, 9, 9);

#[test]
fn two_networks_with_a_cable_between_them_are_one() {
    let (mut world, web, far) = two_networks();
    assert!(!world.ping(&web, BEYOND));
    let cable = world.join("bridge", "back").expect("joined");
    assert!(world.ping(&web, BEYOND) && world.ping(&far, FIRST));
    let seen = Direction::ALL.map(|direction| cable.statistics(direction));
    assert!(seen.iter().all(|seen| seen.delivered > 0 && seen.adds_up()), "{seen:?}");
    let rows = world.fdb();
    let behind = |station: [u8; 6]| -> Vec<&str> {
        rows.iter().filter(|row| row.station.0 == station).map(|row| row.name.as_str()).collect()
    };
    assert_eq!(behind([2, 0x42, 172, 17, 0, 2]), ["web.eth0", "bridge.1"]);
    assert_eq!(behind([2, 0x42, 172, 18, 0, 2]), ["back.1", "far.eth0"]);
}

#[test]
fn a_cable_between_networks_outlives_the_daemon_and_takes_rules() {
    let (mut world, web, _) = two_networks();
    let cable = world.join("bridge", "back").expect("joined");
    world.kill_daemon();
    assert!(world.join("bridge", "back").is_err(), "nobody knows the networks");
    world.up().expect("another daemon");
    assert!(world.ping(&web, BEYOND));
    let _cut = world.add_rule(Scope::on(&cable), Cut).expect("a rule");
    assert!(!world.ping(&web, BEYOND));
    assert!(world.join("bridge", "nowhere").is_err());
}

#[test]
fn a_loop_is_seen_and_its_ports_are_named() {
    let (mut world, web, cables) = in_a_circle(2);
    let began = world.now();
    world.inject(&web, "eth0", &broadcast()).expect("injected");
    let Err(Runaway::Loop { at, ports }) = world.try_advance(Duration::from_secs(60)) else { panic!("no loop") };
    assert_eq!(ports, ["back.1", "back.2", "bridge.1", "bridge.2"]);
    // 64 switches, and a cable before each of them.
    assert_eq!(at - began, Duration::from_micros(10) * 65);
    let lost: u64 = cables.iter().flat_map(lost_in_loops).sum();
    assert!(lost > 0);
    assert!(cables.iter().all(|cable| Direction::ALL.iter().all(|way| cable.statistics(*way).adds_up())));
}

#[test]
fn what_goes_round_dies_out_and_the_world_goes_on() {
    let (mut world, web, cables) = in_a_circle(2);
    world.inject(&web, "eth0", &broadcast()).expect("injected");
    while world.try_advance(Duration::from_secs(1)).is_err() {}
    let in_flight = |cable: &CableHandle| Direction::ALL.map(|way| cable.statistics(way).in_flight);
    assert!(cables.iter().all(|cable| in_flight(cable) == [0, 0]));
    let _cut = world.add_rule(Scope::on(&cables[1]), Cut).expect("a rule");
    assert!(world.ping(&web, BEYOND));
}

#[test]
fn a_storm_that_grows_with_each_round_is_seen_as_well() {
    let (mut world, web, _) = in_a_circle(3);
    world.inject(&web, "eth0", &broadcast()).expect("injected");
    let Err(Runaway::Loop { ports, .. }) = world.try_advance(Duration::from_secs(1)) else { panic!("no loop") };
    assert_eq!(ports.len(), 6);
}

#[test]
#[should_panic(expected = "by the ports back.1, back.2, bridge.1, bridge.2")]
fn who_does_not_ask_for_an_error_gets_a_panic() {
    let (mut world, web, _) = in_a_circle(2);
    world.ping(&web, GATEWAY);
    world.advance(Duration::from_secs(1));
}

#[test]
fn a_loop_without_latency_is_no_hang_either() {
    let (mut world, web, cables) = in_a_circle(2);
    let instant = |cable: &CableHandle| {
        cable.set(pontoon_sim::Cable { latency: Duration::ZERO, ..cable.get(Direction::ToSwitch) });
    };
    cables.iter().for_each(instant);
    world.inject(&web, "eth0", &broadcast()).expect("injected");
    assert!(matches!(world.try_advance(Duration::from_secs(1)), Err(Runaway::Loop { .. })));
}

#[test]
fn too_much_in_one_moment_is_said_to_be_too_much() {
    let mut world = World::builder().seed(1).event_budget(20).up().expect("a world");
    (0..30).for_each(|number| drop(start(&mut world, &format!("c{number}"), "bridge")));
    let stuck = world.try_advance(Duration::from_secs(1)).expect_err("30 announcements");
    let Runaway::Stuck { events, .. } = &stuck else { panic!("{stuck}") };
    assert_eq!(*events, 20);
    assert!(stuck.to_string().starts_with("time stands still at 0ns: there were 20 events in one moment"), "{stuck}");
}

#[test]
fn two_hosts_with_one_address_take_it_from_each_other() {
    let (mut world, web, db) = world_of_two();
    world.advance(Duration::from_secs(1));
    let moved = |world: &World| world.statistics()[0].fdb.moved;
    assert_eq!(moved(&world), 0);
    let both = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], &[0x88, 0xb5]].concat();
    for place in [&web, &db, &web, &web, &db] {
        world.inject(place, "eth0", &both).expect("injected");
        world.advance(Duration::from_millis(1));
    }
    assert_eq!(moved(&world), 3);
    let row = world.fdb().into_iter().find(|row| row.station.0 == [2, 0, 0, 0, 0, 9]).expect("an entry");
    assert_eq!(row.name, "db.eth0", "who spoke last has it");
}

#[test]
fn a_station_that_moves_is_part_of_the_story() {
    let mut world = World::builder().seed(1).trace(true).up().expect("a world");
    let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    let both = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], &[0x88, 0xb5]].concat();
    for place in [&web, &db] {
        world.inject(place, "eth0", &both).expect("injected");
        world.advance(Duration::from_millis(1));
    }
    let moves: Vec<String> = world.trace().into_iter().filter(|line| line.contains(" has moved ")).collect();
    assert_eq!(moves, ["0.001010000 - 02:00:00:00:00:09 has moved from web.eth0 to db.eth0"]);
}

/// A container on the default network, and one on another that has an address of the first one as well.
fn two_networks() -> (World, Place, Place) {
    let mut world = world();
    let back = NetworkRequest::new("back".parse().expect("a name"));
    world.create_network(back).expect("a network");
    let (web, far) = (start(&mut world, "web", "bridge"), start(&mut world, "far", "back"));
    let address = format!("{BEYOND}/16").parse().expect("an address");
    world.add_address(&far, "eth0", address).expect("added");
    world.advance(Duration::from_secs(1));
    (world, web, far)
}

/// The same, joined by so many cables.
fn in_a_circle(count: usize) -> (World, Place, Vec<CableHandle>) {
    let (mut world, web, _) = two_networks();
    let cables = (0..count).map(|_| world.join("bridge", "back").expect("joined")).collect();
    (world, web, cables)
}

fn broadcast() -> Vec<u8> {
    [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], &[0x88, 0xb5]].concat()
}

fn lost_in_loops(cable: &CableHandle) -> [u64; 2] {
    Direction::ALL.map(|way| cable.statistics(way).dropped_for(CableDrop::Loop))
}
