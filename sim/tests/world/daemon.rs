//! Daemons die, at any moment, and others come.

use std::time::Duration;

use netns::error::Error;
use netns::manager::{ConnectRequest, NetworkRequest};
use netns::publish::PortMapping;

use super::*;

#[test]
fn containers_outlive_a_killed_daemon_and_the_next_one_takes_them_over() {
    let (mut world, web, db) = world_of_two();
    world.listen(&web, ANY, 80).expect("a listener");
    assert!(world.ping(&db, FIRST));
    world.kill_daemon();
    assert!(!world.ping(&db, FIRST), "there is no switch");
    let names = |world: &mut World, place| -> Vec<String> {
        world.interfaces(place).expect("seen").into_iter().map(|each| each.name).collect()
    };
    assert_eq!(names(&mut world, &web), ["lo", "eth0"]);
    assert_eq!(names(&mut world, &Place::Host), ["lo", "pontoon0"]);

    assert_eq!(world.up().expect("a daemon"), Vec::<String>::new());
    assert!(world.ping(&db, FIRST));
    let sent = some_bytes(100_000);
    assert!(world.transfer(&db, FIRST, 80, &sent).expect("a transfer") == sent);
    start(&mut world, "third", "bridge");
    assert_eq!(world.inspect("third").expect("a view").networks["bridge"].ip.addr(), Ipv4Addr::new(172, 17, 0, 4));
}

#[test]
fn a_connection_survives_a_change_of_daemons() {
    let (mut world, web, db) = world_of_two();
    world.listen(&web, ANY, 80).expect("a listener");
    let stream = world.connect(&db, FIRST, 80).expect("a stream");
    let sent = some_bytes(50_000);
    assert!(world.pump(stream.client, stream.server, &sent).expect("sent") == sent);
    world.kill_daemon();
    world.send(stream.client, b"in between").expect("taken");
    world.advance(Duration::from_secs(3));
    world.up().expect("a daemon");
    assert_eq!(world.pump(stream.client, stream.server, b"").expect("nothing"), b"");
    let mut received = Vec::new();
    world.run_until(Duration::from_secs(10), |world| {
        world.receive(stream.server, &mut received).expect("open");
        received.len() >= 10
    });
    assert_eq!(received, b"in between");
}

#[test]
fn what_ended_while_there_was_no_daemon_is_noted_by_the_next() {
    let mut world = world();
    run(&mut world, "short", "bridge", Program::SleepFor(Duration::from_secs(5), 3)).expect("started");
    world.kill_daemon();
    world.advance(Duration::from_secs(10));
    assert!(world.interfaces(&Place::Host).expect("seen").iter().all(|each| each.name != "pontoon0"));
    world.up().expect("a daemon");
    let view = world.inspect("short").expect("a view");
    assert_eq!((view.state.as_str(), view.exit_status), ("exited", Some(3)));
    world.rm("short", false).expect("removed");
    assert_eq!(world.remains(), Vec::<String>::new());
}

/// What a daemon may be killed over.
type Work = fn(&mut World) -> Result<(), Error>;

const RUN: Work = |world| run(world, "web", "bridge", Program::Sleep).map(drop);
const RUN_BADLY: Work = |world| run(world, "web", "bridge", Program::NotFound("nope".into())).map(drop);
const STOP: Work = |world| world.stop("db", Duration::from_secs(1)).map(drop);
const STOP_AT_ONCE: Work = |world| world.stop("db", Duration::ZERO).map(drop);
const KILL: Work = |world| world.kill("db", 9).map(drop);
const REMOVE: Work = |world| world.rm("db", true).map(drop);

#[test]
fn a_crash_after_any_change_leaves_nothing_that_the_next_daemon_does_not_put_right() {
    for work in [RUN, RUN_BADLY, STOP, STOP_AT_ONCE, KILL, REMOVE] {
        let crashes = (1..100).take_while(|change| crashes_at(*change, work, World::crash_after_changes)).count();
        assert!(crashes >= 2, "{crashes}");
        let crashes = (1..100).take_while(|save| crashes_at(*save, work, World::crash_after_saves)).count();
        assert!(crashes >= 2, "{crashes}");
    }
}

#[test]
fn a_command_that_was_started_goes_on_although_its_daemon_could_not_say_so_any_more() {
    let is_kept = |change: u32| {
        let mut world = world();
        world.crash_after_changes(change);
        let _ = RUN(&mut world);
        if world.is_up() {
            return None;
        }
        world.up().expect("a daemon");
        Some(world.inspect("web").is_ok_and(|view| view.state == "running"))
    };
    let kept: Vec<bool> = (1..100).map_while(is_kept).collect();
    // The last two changes are the start of the command, and the record that says that it runs.
    let (before, started) = kept.split_at(kept.len() - 2);
    assert_eq!((before.contains(&true), started), (false, &[true, true][..]), "{kept:?}");
}

/// Kills the daemon over `work` at one moment, and checks what the next one makes of it. False if it was not killed.
fn crashes_at(moment: u32, work: Work, crash: fn(&mut World, u32)) -> bool {
    let mut world = world();
    start(&mut world, "db", "bridge");
    start(&mut world, "bystander", "bridge");
    crash(&mut world, moment);
    let done = work(&mut world);
    if world.is_up() {
        return false;
    }
    assert!(done.is_err(), "a daemon that was killed answered");
    assert_eq!(world.up().expect("a daemon"), Vec::<String>::new(), "moment {moment}");
    world.advance(Duration::from_secs(15));

    // Whatever came of it is whole: a container runs and can be reached, or has ended, or is not there.
    let views = world.containers(true).expect("containers");
    let mut addresses = Vec::new();
    for view in &views {
        assert!(["running", "exited"].contains(&view.state.as_str()), "moment {moment}: {view:?}");
        for interface in view.networks.values() {
            assert!(world.ping(&Place::Host, interface.ip.addr()), "moment {moment}: {view:?}");
            addresses.push(interface.ip.addr());
        }
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(world.statistics()[0].ports.len(), 1 + addresses.len(), "moment {moment}");
    assert!(views.iter().any(|view| view.name == "bystander" && view.state == "running"), "moment {moment}");

    // And everything can be removed.
    for view in &views {
        world.rm(&view.id, true).unwrap_or_else(|failed| panic!("moment {moment}: {failed}"));
    }
    world.advance(Duration::ZERO);
    assert_eq!(world.remains(), Vec::<String>::new(), "moment {moment}");
    start(&mut world, "web", "bridge");
    assert_eq!(world.inspect("web").expect("a view").networks["bridge"].ip.addr(), FIRST);
    true
}

#[test]
fn a_step_that_fails_leaves_nothing_that_can_not_be_removed() {
    for (work, db_lives) in
        [(RUN, true), (RUN_BADLY, true), (STOP, false), (STOP_AT_ONCE, false), (KILL, false), (REMOVE, false)]
    {
        let failures = (1..100).take_while(|change| fails_at(*change, work, db_lives)).count();
        assert!(failures >= 2, "{failures}");
    }
}

/// Lets one step of `work` fail, and checks what is left of it: what was to end has ended all the same. False if there were
/// fewer steps.
fn fails_at(moment: u32, work: Work, db_lives: bool) -> bool {
    let mut world = world();
    start(&mut world, "db", "bridge");
    start(&mut world, "bystander", "bridge");
    world.fail_change(moment);
    let done = work(&mut world);
    world.advance(Duration::from_secs(15));
    // (If nothing has failed by now, the next change would.)
    if run(&mut world, "probe", "none", Program::Sleep).is_err() {
        return false;
    }
    world.rm("probe", true).expect("removed");

    let is_db = |view: &netns::manager::ContainerView| view.name == "db";
    assert_eq!(world.containers(false).expect("containers").iter().any(is_db), db_lives, "moment {moment}: {done:?}");

    // No two that live have the same address, on the machine as in the books.
    start(&mut world, "next", "bridge");
    let living = world.containers(false).expect("containers");
    let alive = world.remains().iter().filter(|line| line.starts_with("namespace")).count();
    assert_eq!(living.len(), alive, "moment {moment}: {done:?}, {living:?}");
    for view in &world.containers(true).expect("containers") {
        world.rm(&view.id, true).unwrap_or_else(|failed| panic!("moment {moment}: {failed}"));
    }
    // What is left of files is the next daemon's, by their records.
    world.kill_daemon();
    world.up().expect("a daemon");
    assert_eq!(world.remains(), Vec::<String>::new(), "moment {moment}: {done:?}");
    true
}

#[test]
fn a_crash_while_the_first_daemon_starts_is_no_harm() {
    for moment in 1..10 {
        let mut world = World::builder().seed(2).build();
        world.crash_after_changes(moment);
        if world.up().is_ok() {
            assert!(moment > 3, "there are three changes at least");
            return;
        }
        world.up().expect("a daemon");
        let web = start(&mut world, "web", "bridge");
        assert!(world.ping(&web, GATEWAY));
        let bridges: Vec<_> = world.interfaces(&Place::Host).expect("seen").into_iter().map(|each| each.name).collect();
        assert_eq!(bridges, ["lo", "pontoon0"]);
    }
    panic!("it crashes for ever");
}

#[test]
fn of_a_network_that_is_removed_nothing_is_left() {
    let mut world = world();
    world.create_network(NetworkRequest::new("red".parse().expect("a name"))).expect("a network");
    let web = start(&mut world, "web", "red");
    assert!(world.ping(&web, LOCALHOST));
    world.rm("web", true).expect("removed");
    assert_eq!(world.remains(), ["port 1"], "the host's own in the network");
    world.remove_network("red").expect("removed");
    assert_eq!(world.remains(), Vec::<String>::new());
    assert_eq!(world.statistics().len(), 1);
}

/// Lets `web`, whose port is published, come to a network or leave one, with this going wrong in the midst of it.
fn published_ports_after(change: Work, trouble: fn(&mut World, u32), moment: u32) -> Option<World> {
    let mut world = world();
    let network =
        |name: &str, internal| NetworkRequest { internal, ..NetworkRequest::new(name.parse().expect("a name")) };
    world.create_network(network("inner", true)).expect("a network");
    world.create_network(network("outer", false)).expect("a network");
    let publish = PortMapping::parse("8080:80").expect("a mapping");
    world.run(RunRequest { publish, ..request("web", "inner") }, Program::Sleep).expect("a container");
    world.connect_network("bridge", "web", ConnectRequest::default()).expect("connected");
    trouble(&mut world, moment);
    let _ = change(&mut world);
    // (If nothing has gone wrong by now, the next change would.)
    if world.is_up() && run(&mut world, "probe", "none", Program::Sleep).is_err() {
        return None;
    }
    world.up().expect("a daemon");
    Some(world)
}

#[test]
fn published_ports_lead_to_an_address_of_their_container_whatever_went_wrong() {
    let change: [Work; 3] = [
        |world| world.disconnect_network("bridge", "web"),
        |world| {
            world.disconnect_network("bridge", "web")?;
            world.connect_network("outer", "web", ConnectRequest::default())
        },
        |world| {
            world.connect_network("outer", "web", ConnectRequest::default())?;
            world.disconnect_network("bridge", "web")
        },
    ];
    for change in change {
        for trouble in [World::crash_after_changes, World::fail_change] {
            let mut moments = 0;
            while let Some(mut world) = published_ports_after(change, trouble, moments + 1) {
                moments += 1;
                // What could not be finished is, at the second try.
                let _ = world.disconnect_network("bridge", "web");
                let networks = world.inspect("web").expect("a view").networks;
                assert!(!networks.contains_key("bridge"), "moment {moments}: {networks:?}");
                let outer = networks.get("outer").map(|interface| interface.ip.addr());
                let led = world.published_to("web");
                assert!(led.is_none() || led == outer, "moment {moments}: {led:?}, not {outer:?}");
                // What could not be published was told, and is by the next daemon.
                world.kill_daemon();
                world.up().expect("a daemon");
                assert_eq!(world.published_to("web"), outer, "moment {moments}");
            }
            assert!(moments >= 4, "only {moments}");
        }
    }
}

#[test]
fn published_ports_that_were_lost_are_taken_again_but_not_for_ever() {
    let mut world = world();
    let publish = PortMapping::parse("8080:80").expect("a mapping");
    world.run(RunRequest { publish, ..request("web", "bridge") }, Program::Sleep).expect("a container");
    let listed = |world: &mut World| world.inspect("web").expect("a view").published.len();
    world.kill_publisher("web");
    assert_eq!((world.published_to("web"), listed(&mut world)), (Some(FIRST), 1));
    world.kill_publisher("web");
    assert_eq!((world.published_to("web"), listed(&mut world)), (None, 0));
    // Whoever comes to another network, or a new daemon, tries anew.
    world.kill_daemon();
    world.up().expect("a daemon");
    assert_eq!((world.published_to("web"), listed(&mut world)), (Some(FIRST), 1));
    world.advance(Duration::from_secs(10));
    world.kill_publisher("web");
    world.advance(Duration::from_secs(10));
    world.kill_publisher("web");
    assert_eq!((world.published_to("web"), listed(&mut world)), (Some(FIRST), 1));
}
