//! Faults on cables, and what hosts make of them.

use std::cell::RefCell;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use pontoon_sim::fault::{Corrupt, Cut, Duplicate, Flap, Jitter, Loss, MtuHole, Reorder};
use pontoon_sim::{CableDrop, CableHandle, Direction, Fate, Passage, Place, Scope, SocketError, World};

use super::*;

const TO: Direction = Direction::ToSwitch;
const FROM: Direction = Direction::FromSwitch;

#[test]
fn a_transfer_survives_everything_at_once_byte_for_byte() {
    let (mut world, web, db) = world_of_two();
    world.listen(&web, ANY, 80).expect("a listener");
    let everywhere = Scope::world;
    world.add_rule(everywhere(), Loss::new(0.01)).expect("a rule").forget();
    world.add_rule(everywhere(), Corrupt::bit(0.01)).expect("a rule").forget();
    world.add_rule(everywhere(), Duplicate::new(0.01)).expect("a rule").forget();
    world.add_rule(everywhere(), Reorder::new(0.01, Duration::from_millis(1))).expect("a rule").forget();
    world.add_rule(everywhere(), Jitter::uniform(Duration::from_micros(50))).expect("a rule").forget();
    let sent = some_bytes(1 << 20);
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
    for handle in cables(&mut world, &[&web, &db]) {
        for direction in [TO, FROM] {
            let seen = handle.statistics(direction);
            assert!(seen.adds_up() && seen.duplicated > 0 && seen.dropped_for(CableDrop::Rule("loss")) > 0, "{seen:?}");
        }
    }
}

#[test]
fn a_datagram_that_was_spoilt_does_not_arrive() {
    let (mut world, web, db) = world_of_two();
    let server = world.udp_bind(&web, ANY, 53).expect("a socket");
    let client = world.udp_bind(&db, ANY, 0).expect("a socket");
    assert!(world.ping(&db, FIRST), "so that nobody has to ask for addresses");
    let guard = world.add_rule(Scope::cable(&web, "eth0").from_switch(), Corrupt::bit(0.5)).expect("a rule");
    let (mut arrived, sent) = (0, [7; 100]);
    for _ in 0..200 {
        world.udp_send(client, SocketAddrV4::new(FIRST, 53), &sent).expect("sent");
        match world.udp_recv(server, Duration::from_millis(1)) {
            Ok((_, data)) => {
                assert_eq!(data, sent);
                arrived += 1;
            }
            Err(why) => assert_eq!(why, SocketError::TimedOut),
        }
    }
    // Of 142 bytes, the 6 of the source address are nobody's to check.
    assert_eq!(arrived, 102);
    drop(guard);
    world.udp_send(client, SocketAddrV4::new(FIRST, 53), &sent).expect("sent");
    assert!(world.udp_recv(server, Duration::from_millis(1)).is_ok());
}

#[test]
fn a_cable_that_is_cut_one_way_still_carries_the_other() {
    let (mut world, web, db) = world_of_two();
    assert!(world.ping(&web, SECOND));
    let before = world.interfaces(&web).expect("interfaces")[1].clone();
    let _cut = world.add_rule(Scope::place(&web).to_switch(), Cut).expect("a rule");
    assert!(!world.ping(&db, FIRST));
    let after = &world.interfaces(&web).expect("interfaces")[1];
    assert_eq!(after.rx_packets - before.rx_packets, 1, "the question arrives");
    assert_eq!((after.tx_packets - before.tx_packets, after.tx_dropped), (1, 0), "and the answer was sent");
    let lost = world.cable(&web, "eth0").expect("a cable").statistics(TO).dropped_for(CableDrop::Rule("cut"));
    assert_eq!(lost, 1);
}

#[test]
fn a_partition_cuts_sides_off_from_each_other_and_from_nobody_else() {
    let (mut world, web, db) = world_of_two();
    let third = start(&mut world, "third", "bridge");
    let split = world.partition(&[&web, &Place::Host], &[&db]).expect("a partition");
    assert!(!world.ping(&web, SECOND) && !world.ping(&db, FIRST) && !world.ping(&db, GATEWAY));
    assert!(world.ping(&web, GATEWAY) && world.ping(&third, FIRST) && world.ping(&third, SECOND));
    drop(split);
    assert!(world.ping(&web, SECOND));

    world.advance(Duration::from_secs(10));
    let _deaf = world.partition_oneway(&[&web], &[&db]).expect("a partition");
    let heard = |world: &mut World, place: &Place| world.interfaces(place).expect("interfaces")[1].rx_packets;
    let before = (heard(&mut world, &web), heard(&mut world, &db));
    assert!(!world.ping(&db, FIRST));
    assert_eq!((heard(&mut world, &web) - before.0, heard(&mut world, &db) - before.1), (1, 0));
}

#[test]
fn a_flapping_cable_drops_what_comes_while_it_is_down() {
    let (mut world, web, _) = world_of_two();
    assert!(world.ping(&web, SECOND));
    let second = Duration::from_secs(1);
    let _flap = world.add_rule(Scope::cable(&web, "eth0"), Flap::new(2 * second, second)).expect("a rule");
    let mut answered = Vec::new();
    for number in 0..6 {
        world.advance(second * number + second / 2 - world.now().min(second * number + second / 2));
        answered.push(world.ping(&web, SECOND));
    }
    assert_eq!(answered, [true, true, false, true, true, false]);
}

#[test]
fn short_packets_pass_a_hole_in_which_long_ones_vanish() {
    let (mut world, web, _) = world_of_two();
    let _hole = world.add_rule(Scope::place(&web), MtuHole::new(1414)).expect("a rule");
    assert_eq!(world.ping_sized(&web, SECOND, 1372), Ok(()));
    assert_eq!(world.ping_sized(&web, SECOND, 1373), Err(SocketError::TimedOut));
}

#[test]
fn a_frame_that_is_delayed_beyond_the_end_is_in_flight() {
    let (mut world, web, db) = world_of_two();
    assert!(world.ping(&web, SECOND));
    let late = |_: &mut Passage<'_>| Fate::DeliverAfter(Duration::from_secs(1_000_000));
    let guard = world.add_rule(Scope::place(&db).from_switch(), late).expect("a rule");
    assert!(!world.ping(&web, SECOND));
    drop(guard);
    assert!(world.ping(&web, SECOND), "nobody waits for it");
    let seen = world.cable(&db, "eth0").expect("a cable").statistics(FROM);
    assert_eq!((seen.in_flight, seen.adds_up()), (1, true));
    world.advance(Duration::from_secs(1_000_000));
    assert_eq!(world.cable(&db, "eth0").expect("a cable").statistics(FROM).in_flight, 0);
}

#[test]
fn a_duplicate_is_received_twice_and_sent_once() {
    let (mut world, web, db) = world_of_two();
    world.advance(Duration::from_secs(1));
    let (sender, receiver) =
        (world.interfaces(&web).expect("seen")[1].clone(), world.interfaces(&db).expect("seen")[1].clone());
    let frame = [&receiver.mac.0[..], &sender.mac.0, &[0x88, 0xb5], &[0; 46]].concat();
    let _twice = world.add_rule(Scope::place(&web).to_switch(), Duplicate::new(1.0)).expect("a rule");
    world.inject(&web, "eth0", &frame).expect("injected");
    world.advance(Duration::from_millis(1));
    let sent = world.interfaces(&web).expect("seen")[1].tx_packets - sender.tx_packets;
    let received = world.interfaces(&db).expect("seen")[1].rx_packets - receiver.rx_packets;
    assert_eq!((sent, received), (1, 2));
}

#[test]
fn a_rule_knows_when_where_and_what() {
    let (mut world, web, _) = world_of_two();
    assert!(world.ping(&web, SECOND));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&seen);
    let watcher = move |passage: &mut Passage<'_>| {
        notes.borrow_mut().push((passage.now, passage.port.to_owned(), passage.line.direction, passage.frame.len()));
        Fate::Pass
    };
    let _watch = world.add_rule(Scope::world(), watcher).expect("a rule");
    let began = world.now();
    assert!(world.ping(&web, SECOND));
    let at =
        |hops: u32, port: &str, direction| (began + Duration::from_micros(10) * hops, port.to_owned(), direction, 98);
    let expected = [at(0, "web.eth0", TO), at(1, "db.eth0", FROM), at(2, "db.eth0", TO), at(3, "web.eth0", FROM)];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn a_rule_for_what_is_not_there_is_an_error() {
    let (mut world, web, _) = world_of_two();
    let missing = [Scope::place(&Place::container("nobody")), Scope::cable(&web, "eth7"), Scope::cable(&web, "lo")];
    for scope in missing {
        assert_eq!(world.add_rule(scope, Cut).map(|_| ()), Err(SocketError::NoSuchDevice));
    }
}

fn cables(world: &mut World, places: &[&Place]) -> Vec<CableHandle> {
    places.iter().map(|place| world.cable(place, "eth0").expect("a cable")).collect()
}
