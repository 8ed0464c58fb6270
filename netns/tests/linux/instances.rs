//! Two instances on one host: forwarding stays on as long as one of them needs it, what is neither's is not forwarded
//! meanwhile, and the last one leaves the host as it was, in whatever order they come, go or are killed.

use std::fs;

use crate::places::sh;
use crate::world::World;

crate::trials![
    the_last_instance_to_leave_switches_forwarding_off,
    an_instance_that_was_killed_is_waited_for,
    what_forwarded_before_both_goes_on,
    an_instance_that_has_lost_its_record_finds_it_in_its_table,
];

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

fn forwards() -> bool {
    fs::read_to_string(IP_FORWARD).expect("readable").trim() == "1"
}

/// The instances that guard, by the end of their tables' names.
fn guards() -> Vec<String> {
    let tables = sh("nft list tables inet");
    let instances = tables.lines().filter_map(|line| line.strip_prefix("table inet pontoon_"));
    instances
        .filter(|instance| sh(&format!("nft list chain inet pontoon_{instance} forward")).contains("\t\tdrop\n"))
        .map(str::to_owned)
        .collect()
}

/// Ends a daemon that has no container.
fn leave(mut world: World) {
    assert_eq!(world.manager().close().iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    world.kill_daemon();
}

fn both() -> (World, World) {
    let first = World::new();
    assert!(forwards(), "it was off in a new namespace");
    assert_eq!(guards(), ["0"]);
    let second = World::beside();
    assert_eq!(guards(), ["0", "1"]);
    (first, second)
}

fn the_last_instance_to_leave_switches_forwarding_off() {
    for first_leaves_first in [true, false] {
        let (first, second) = both();
        let (one, other, left) = if first_leaves_first { (first, second, "1") } else { (second, first, "0") };
        leave(one);
        assert!(forwards(), "the other needs it");
        assert_eq!(guards(), [left]);
        leave(other);
        assert!(!forwards());
        assert_eq!(guards(), [""; 0]);
    }
}

fn an_instance_that_was_killed_is_waited_for() {
    for first_is_killed in [true, false] {
        let (first, second) = both();
        let (mut killed, other) = if first_is_killed { (first, second) } else { (second, first) };
        killed.kill_daemon();
        leave(other);
        assert!(forwards(), "containers of the other may live");
        assert_eq!(guards().len(), 1);
        // `down`, or the next daemon's end, puts it right.
        killed.start_daemon();
        assert!(forwards());
        leave(killed);
        assert!(!forwards());
        assert_eq!(guards(), [""; 0]);
    }
}

fn what_forwarded_before_both_goes_on() {
    let first = World::new();
    leave(first);
    fs::write(IP_FORWARD, "1").expect("written");
    let (first, second) = (World::beside(), World::beside());
    assert_eq!(guards(), [""; 0], "nothing was switched on by us");
    leave(first);
    leave(second);
    assert!(forwards());
}

fn an_instance_that_has_lost_its_record_finds_it_in_its_table() {
    let mut world = World::new();
    world.kill_daemon();
    fs::remove_file(world.paths().state.join("records/forwarding.json")).expect("it was saved");
    world.start_daemon();
    assert_eq!(guards(), ["0"]);
    leave(world);
    assert!(!forwards());
}
