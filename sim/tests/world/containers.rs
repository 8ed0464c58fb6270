//! What becomes of containers.

use std::time::Duration;

use netns::error::Error;
use pontoon_sim::SocketError;

use super::*;

#[test]
fn a_joiner_keeps_the_namespace_and_finds_only_lo_in_it() {
    let mut world = world();
    let web = start(&mut world, "web", "bridge");
    let joiner = start(&mut world, "joiner", "container:web");
    assert_eq!(world.interfaces(&web).expect("seen"), world.interfaces(&joiner).expect("seen"));
    assert_eq!(world.hostname(&web).expect("a name"), world.hostname(&joiner).expect("a name"));
    world.listen(&web, ANY, 80).expect("a listener");
    assert_eq!(world.listen(&joiner, ANY, 80), Err(SocketError::AddressInUse));
    assert!(world.connect(&joiner, LOCALHOST, 80).is_ok());

    world.stop("web", Duration::from_secs(1)).expect("stopped");
    let names: Vec<_> = world.interfaces(&joiner).expect("seen").into_iter().map(|each| each.name).collect();
    assert_eq!(names, ["lo"]);
    assert!(world.ping(&joiner, LOCALHOST));
    assert_eq!(world.connect(&joiner, LOCALHOST, 80), Err(SocketError::Refused));
}

#[test]
fn host_mode_is_the_host() {
    let mut world = world();
    let own = start(&mut world, "own", "host");
    assert_eq!(world.interfaces(&own).expect("seen"), world.interfaces(&Place::Host).expect("seen"));
    assert_eq!(world.hostname(&own).expect("a name"), "host");
    world.listen(&Place::Host, ANY, 80).expect("a listener");
    assert_eq!(world.listen(&own, ANY, 80), Err(SocketError::AddressInUse));
    world.rm("own", true).expect("removed");
    assert!(world.interfaces(&Place::Host).expect("seen").iter().any(|each| each.name == "pontoon0"));
}

#[test]
fn a_command_that_ends_leaves_its_status_and_frees_its_address() {
    let mut world = world();
    run(&mut world, "short", "bridge", Program::SleepFor(Duration::from_secs(5), 3)).expect("started");
    assert_eq!(world.inspect("short").expect("a view").state, "running");
    world.advance(Duration::from_secs(6));
    let view = world.inspect("short").expect("a view");
    assert_eq!((view.state.as_str(), view.exit_status, view.networks.len()), ("exited", Some(3), 0));
    assert_eq!(view.finished, Some(view.created + 5));
    start(&mut world, "next", "bridge");
    assert_eq!(world.inspect("next").expect("a view").networks["bridge"].ip.addr(), FIRST);
    world.rm("short", false).expect("removed");
    world.rm("next", true).expect("removed");
    assert_eq!(world.remains(), Vec::<String>::new());
}

#[test]
fn stop_asks_and_then_insists() {
    let mut world = world();
    run(&mut world, "meek", "bridge", Program::Sleep).expect("started");
    run(&mut world, "stubborn", "bridge", Program::IgnoreTerm).expect("started");
    let began = world.now();
    world.stop("meek", Duration::from_secs(10)).expect("stopped");
    assert_eq!(world.now(), began);
    world.stop("stubborn", Duration::from_secs(10)).expect("stopped");
    assert_eq!(world.now(), began + Duration::from_secs(10));
    assert_eq!(world.inspect("meek").expect("a view").exit_status, Some(128 + 15));
    assert_eq!(world.inspect("stubborn").expect("a view").exit_status, Some(128 + 9));
}

#[test]
fn a_command_that_does_not_run_leaves_nothing() {
    let mut world = world();
    let not_found = run(&mut world, "a", "bridge", Program::NotFound("nope".into())).expect_err("not found");
    let not_executable = run(&mut world, "b", "bridge", Program::NotExecutable("/etc".into())).expect_err("no program");
    assert_eq!((not_found.run_status(), not_executable.run_status()), (127, 126));
    assert_eq!(not_found.to_string(), "nope: command not found");
    world.advance(Duration::ZERO);
    assert_eq!(world.remains(), Vec::<String>::new());
    assert_eq!(world.statistics()[0].ports.len(), 1);
}

#[test]
fn a_transient_container_is_gone_when_it_ends() {
    let mut world = world();
    let mut foreground = request("fg", "bridge");
    foreground.detached = false;
    world.run(foreground, Program::Exit(4)).expect("started");
    world.advance(Duration::ZERO);
    assert_eq!(world.ended().iter().map(|ended| ended.status).collect::<Vec<_>>(), [4]);
    assert!(matches!(world.inspect("fg"), Err(Error::NoSuchContainer(_))));
    assert_eq!(world.remains(), Vec::<String>::new());
}

#[test]
fn a_log_is_kept_until_rm() {
    let mut world = world();
    run(&mut world, "talker", "none", Program::Print("hello\n".into(), 0)).expect("started");
    world.advance(Duration::ZERO);
    assert_eq!(world.logs("talker").expect("a log"), "hello\n");
    world.rm("talker", false).expect("removed");
    assert!(world.logs("talker").is_err());
}

#[test]
fn the_first_pool_that_the_host_does_not_use_is_taken() {
    let host = "172.17.64.3/20".parse().expect("a prefix");
    let mut world = World::builder().host_address("eth0", host).up().expect("a world");
    start(&mut world, "web", "bridge");
    let view = world.inspect("web").expect("a view").networks["bridge"].clone();
    assert_eq!((view.ip.to_string(), view.gateway.to_string()), ("172.18.0.2/16".into(), "172.18.0.1".into()));
    assert!(world.ping(&Place::Host, view.ip.addr()));
}
