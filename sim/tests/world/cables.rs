//! What cables are like: how long, how fast, how much waits in them.

use std::time::Duration;

use pontoon_sim::{Cable, CableDrop, Direction, Place, World};
use switch::verdict::DropReason;

use super::*;

#[test]
fn a_ping_takes_as_long_as_its_cables() {
    let (mut world, web, db) = world_of_two();
    assert!(world.ping(&web, SECOND), "so that nobody has to ask for addresses");
    let shape = Cable { latency: Duration::from_millis(3), rate: Some(1_000_000), ..Cable::default() };
    world.cable(&web, "eth0").expect("a cable").set(shape);
    let began = world.now();
    assert!(world.ping(&db, FIRST));
    // 98 bytes and 24 around them take 976 µs at a megabit, there and back; the other cable has its 10 µs each way.
    assert_eq!(world.now() - began, Duration::from_micros(2 * (3000 + 976 + 10)));
}

#[test]
fn a_transfer_is_as_fast_as_its_slowest_cable() {
    let mut world = World::builder().seed(1).rate(100_000_000).up().expect("a world");
    let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    world.listen(&web, ANY, 80).expect("a listener");
    let sent = some_bytes(1 << 20);
    let began = world.now();
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
    let took = world.now() - began;
    // 1514 bytes of each frame carry 1448 or 1460 of data.
    assert!(took > Duration::from_millis(86) && took < Duration::from_millis(95), "{took:?}");
}

#[test]
fn what_a_slow_cable_has_no_room_for_is_counted_by_the_port() {
    let (mut world, web, db) = world_of_two();
    world.advance(Duration::from_secs(1));
    let cable = world.cable(&db, "eth0").expect("a cable");
    cable.set(Cable { rate: Some(8_000), queue_bytes: 1000, ..Cable::default() });
    let station = world.interfaces(&db).expect("interfaces")[1].mac;
    let frame = [&station.0[..], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb5], &[0; 86]].concat();
    let before = cable.statistics(Direction::FromSwitch);
    (0..15).for_each(|_| world.inject(&web, "eth0", &frame).expect("injected"));
    world.advance(Duration::from_secs(10));
    let after = cable.statistics(Direction::FromSwitch);
    assert_eq!((after.sent - before.sent, after.delivered - before.delivered), (15, 10));
    assert_eq!((after.dropped_for(CableDrop::QueueFull), after.in_flight, after.adds_up()), (5, 0, true));
    let port = &world.statistics()[0].ports[2];
    assert_eq!(port.counters.tx.drops.of(DropReason::LinkFull), 5);
    assert_eq!(world.interfaces(&db).expect("interfaces")[1].tx_dropped, 0);
}

#[test]
fn through_a_cable_of_rate_zero_nothing_passes_until_it_has_one() {
    let (mut world, web, _) = world_of_two();
    assert!(world.ping(&web, SECOND));
    let cable = world.cable(&web, "eth0").expect("a cable");
    let usual = cable.get(Direction::ToSwitch);
    let sent = cable.statistics(Direction::ToSwitch).delivered;
    cable.set_direction(Direction::ToSwitch, Cable { rate: Some(0), queue_frames: 2, ..usual });
    (0..3).for_each(|_| assert!(!world.ping(&web, SECOND)));
    let stuck = cable.statistics(Direction::ToSwitch);
    assert_eq!((stuck.delivered, stuck.in_flight, stuck.dropped_for(CableDrop::QueueFull)), (sent, 2, 1));
    assert_eq!(world.interfaces(&web).expect("interfaces")[1].tx_dropped, 1);
    cable.set_direction(Direction::ToSwitch, usual);
    world.advance(Duration::from_millis(1));
    assert_eq!(cable.statistics(Direction::ToSwitch).delivered, sent + 2);
    assert!(world.ping(&web, SECOND));
}

#[test]
fn a_cable_that_is_cut_off_keeps_its_books() {
    let (mut world, web, db) = world_of_two();
    assert!(world.ping(&web, SECOND));
    let cable = world.cable(&db, "eth0").expect("a cable");
    world.set_link(&db, "eth0", false).expect("off");
    assert!(!world.ping(&web, SECOND));
    world.rm("db", true).expect("removed");
    let seen = cable.statistics(Direction::FromSwitch);
    assert_eq!((seen.dropped_for(CableDrop::Off), seen.adds_up()), (1, true));
    assert_eq!(world.cable(&Place::Host, "lo").map(|_| ()), Err(pontoon_sim::SocketError::NoSuchDevice));
}
