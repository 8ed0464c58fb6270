//! Ends of all kinds, after which nothing is left.

use std::time::Duration;

use netns::backend::Backend;

use crate::world::{World, family, kill_nine, living, traces};

crate::trials![
    nothing_is_left_behind,
    orphans_end_with_the_command,
    the_name_is_free_when_the_client_hears_of_the_end,
    stop_asks_first_and_ends_what_does_not_listen,
    kill_nine_of_the_shim_ends_everything,
    kill_nine_of_init_ends_everything,
    kill_nine_of_a_shim_before_its_command_is_noticed,
    to_destroy_twice_is_to_destroy_once,
];

/// Orphans of a daemon process, too, in a session of their own.
const BUSY: [&str; 3] = ["sh", "-c", "(setsid sleep 1000 &) ; (sleep 1000 &) ; echo ready; sleep 1000"];

fn nothing_is_left_behind() {
    let mut world = World::new();
    let before = traces();
    let mut processes = std::collections::BTreeSet::new();
    for network in ["bridge", "none", "host", "bridge"] {
        let mut running = world.run(network, &BUSY);
        assert_eq!(running.line(), "ready");
        let pid = world.shim(&running.id);
        processes.extend(family(pid));
        let id = running.id.clone();
        world.kill(&id, 9);
    }
    assert!(processes.len() >= 4 * 4, "{processes:?}");
    assert_eq!(living(&processes), [0; 0]);
    assert_eq!(traces(), before);
    assert!(world.manager().is_idle());
    assert_eq!(std::fs::read_dir(world.paths().runtime.join("containers")).expect("a directory").count(), 0);
    assert_eq!(std::fs::read_to_string(world.paths().shim_log()).expect("a log"), "");
}

fn orphans_end_with_the_command() {
    let mut world = World::new();
    let mut running = world.run("bridge", &["sh", "-c", "(setsid sleep 1000 &) ; (sleep 1000 &) ; echo ready; read x"]);
    assert_eq!(running.line(), "ready");
    let pid = world.shim(&running.id);
    let processes = family(pid);
    assert_eq!(world.finish(running).0, 1);
    assert_eq!(living(&processes), [0; 0]);
}

fn the_name_is_free_when_the_client_hears_of_the_end() {
    let mut world = World::new();
    for _ in 0..10 {
        let request = netns::manager::RunRequest {
            name: Some("web".parse().expect("a name")),
            ip: Some(std::net::Ipv4Addr::new(172, 17, 0, 9)),
            ..crate::world::request("bridge")
        };
        let mut running = world.try_run(request, crate::world::process(&["true"])).expect("nobody else is called so");
        assert_eq!(running.session.wait(), netns::linux::Outcome::Started);
        assert_eq!(running.session.wait(), netns::linux::Outcome::Exited(0));
    }
}

fn stop_asks_first_and_ends_what_does_not_listen() {
    let mut world = World::new();
    let polite = world.run("none", &["sleep", "1000"]);
    let id = polite.id.clone();
    world.stop(&id, Duration::from_secs(100));
    assert_eq!(world.finish(polite).0, 143);
    let mut deaf = world.run("none", &["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]);
    assert_eq!(deaf.line(), "ready");
    let id = deaf.id.clone();
    world.stop(&id, Duration::ZERO);
    assert_eq!(deaf.session.wait(), netns::linux::Outcome::Exited(137));
    assert!(world.manager().is_idle());
}

fn kill_nine_of_the_shim_ends_everything() {
    let mut world = World::new();
    let before = traces();
    let mut running = world.run("bridge", &BUSY);
    assert_eq!(running.line(), "ready");
    let shim = world.shim(&running.id);
    let processes = family(shim);
    kill_nine(shim);
    assert_eq!(world.wait_for_end().status, 137);
    assert_eq!(living(&processes), [0; 0]);
    assert_eq!(running.session.wait(), netns::linux::Outcome::Lost);
    assert_eq!(traces(), before);
    assert!(world.manager().is_idle());
}

fn kill_nine_of_init_ends_everything() {
    let mut world = World::new();
    let mut running = world.run("bridge", &BUSY);
    assert_eq!(running.line(), "ready");
    let shim = world.shim(&running.id);
    let processes = family(shim);
    let init = processes.iter().copied().find(|pid| *pid != shim).expect("an init");
    kill_nine(init);
    assert_eq!(world.finish(running).0, 137);
    assert_eq!(living(&processes), [0; 0]);
}

fn kill_nine_of_a_shim_before_its_command_is_noticed() {
    let mut world = World::new();
    let id = netns::name::Id::try_from("a".repeat(64)).expect("an id");
    let spec = netns::backend::Spec {
        id: &id,
        namespace: netns::backend::Namespace::New,
        interfaces: Vec::new(),
        hostname: None,
        log: false,
        note: "",
    };
    let backend = world.manager().backend();
    let created = backend.create(&spec).expect("created");
    kill_nine(created.pid);
    let streams = netns::linux::Streams::Log;
    let command = netns::linux::Command { process: crate::world::process(&["true"]), streams };
    let failed = backend.start(&id, command).expect_err("nobody starts it");
    assert!(matches!(failed, netns::backend::StartError::Backend(_)), "{failed}");
    assert_eq!(backend.destroy(&id).expect("destroyed"), None);
    backend.discard(&id).expect("discarded");
    assert!(backend.poll_ended().is_none());
}

fn to_destroy_twice_is_to_destroy_once() {
    let mut world = World::new();
    let id = world.run_detached("bridge", &["sleep", "1000"]);
    let backend = world.manager().backend();
    assert_eq!(backend.destroy(&id).expect("destroyed"), Some(137));
    assert_eq!(backend.destroy(&id).expect("destroyed"), Some(137));
    backend.discard(&id).expect("discarded");
    backend.discard(&id).expect("discarded");
    assert_eq!(backend.destroy(&id).expect("destroyed"), None);
    assert!(backend.poll_ended().is_none());
    let stranger = netns::name::Id::try_from("b".repeat(64)).expect("an id");
    assert_eq!(backend.destroy(&stranger).expect("nothing to do"), None);
}
