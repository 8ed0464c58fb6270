//! What comes to the data plane is recorded, and a switch that is given the same decides the same.

use std::time::Duration;

use capture::recording::{Entry, Recording as Data};
use capture::replay::{Replay, Step};
use pontoon_sim::fault::Loss;
use pontoon_sim::{Recording, Scope};
use switch::counters::PortCounters;
use switch::dataplane::{BridgeStatistics, Control};
use switch::fdb::FdbCounters;
use switch::time::Instant;

use super::*;

#[test]
fn a_recording_ends_with_its_daemon_and_is_whole() {
    let (mut world, web, _) = world_of_two();
    let first = world.record().expect("a daemon");
    assert!(world.ping(&web, SECOND));
    let (then, known) = (world.now(), world.fdb());
    world.kill_daemon();
    let frames = first.frames();
    assert!(frames >= 2, "{frames}");
    let file = first.bytes();
    assert!(world.record().is_err(), "there is nobody to be recorded");
    world.up().expect("a daemon");
    let second = world.record().expect("a daemon");
    assert!(world.ping(&web, SECOND));
    assert_eq!(first.frames(), frames, "the next daemon's frames are not this one's");
    assert!(first.bytes() == file);
    assert_eq!(replayed(&first).dataplane().fdb(Instant::ZERO + then), known);
    assert!(second.frames() >= 2);
    replayed(&second);
}

#[test]
fn several_record_at_once_each_from_its_own_beginning() {
    let mut world = world();
    let whole = world.record().expect("a daemon");
    let web = start(&mut world, "web", "bridge");
    start(&mut world, "db", "bridge");
    assert!(world.ping(&web, SECOND));
    world.advance(Duration::from_secs(400));
    let later = world.record().expect("a daemon");
    let dropped = world.record().expect("a daemon");
    world.listen(&web, ANY, 80).expect("a listener");
    assert!(world.ping(&Place::Host, FIRST));
    let _lossy = world.add_rule(Scope::world(), Loss::new(0.02)).expect("a rule");
    let sent = some_bytes(300_000);
    assert!(world.transfer(&Place::Host, FIRST, 80, &sent).expect("a transfer") == sent);
    drop(dropped);
    world.stop("db", Duration::from_secs(1)).expect("it ends");
    assert!(whole.frames() > later.frames() && later.frames() > 100);
    assert_eq!((whole.missed(), later.missed()), (0, 0));
    assert_eq!(counted(replayed(&whole).dataplane().statistics()), counted(world.statistics()));
    replayed(&later);
    let plugs = |recording: &Recording| {
        let entries = Data::read(&recording.bytes()[..]).expect("it is whole").entries;
        entries.iter().filter(|entry| matches!(entry, Entry::Control { control: Control::Plug { .. }, .. })).count()
    };
    assert_eq!((plugs(&whole), plugs(&later)), (2, 0));
}

#[test]
fn who_records_changes_nothing() {
    let run = |records: bool| {
        let (mut world, web, _) = world_of_two();
        let recording = records.then(|| world.record().expect("a daemon"));
        assert!(world.ping(&web, SECOND));
        world.advance(Duration::from_secs(1000));
        drop(recording.map(|recording| recording.bytes()));
        (world.trace_hash(), world.statistics())
    };
    assert_eq!(run(true), run(false));
}

/// Gives a recording to a switch, which does the same with it.
fn replayed(recording: &Recording) -> Replay {
    let Data { start, entries } = Data::read(&recording.bytes()[..]).expect("it is whole");
    let mut replay = Replay::begin(&start).expect("it can be replayed");
    for entry in &entries {
        assert_eq!(replay.step(entry), Ok(Step::Same));
    }
    assert_eq!(replay.tally().frames, recording.frames());
    replay
}

/// What each bridge has counted: its FDB, its ports by name, and those that have gone.
fn counted(bridges: Vec<BridgeStatistics>) -> Vec<(FdbCounters, Vec<(String, PortCounters)>)> {
    let of_bridge = |bridge: BridgeStatistics| {
        let ports = bridge.ports.into_iter().map(|port| (port.name, port.counters));
        (bridge.fdb, ports.chain([("departed".to_owned(), bridge.departed)]).collect())
    };
    bridges.into_iter().map(of_bridge).collect()
}
