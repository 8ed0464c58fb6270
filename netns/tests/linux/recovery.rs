//! A daemon dies, and the next one finds what it left.

use std::os::unix::net::UnixStream;

use netns::backend::{Backend, Interface, Namespace, Spec};
use netns::lease::Lease;
use netns::linux::{Linux, Outcome};
use netns::manager::{ConnectRequest, Manager, Settings};
use netns::name::Id;
use netns::network::EndpointKind;
use switch::mac::MacAddr;

use crate::world::{NOW, PATIENCE, World, family, living, process, traces};

crate::trials![
    a_container_outlives_the_daemon_and_is_taken_over,
    the_gateway_outlives_the_daemon_with_the_last_container,
    a_container_that_has_been_on_many_networks_is_taken_over,
    a_container_whose_shim_serves_as_many_as_it_can_is_not_ended,
    a_veth_pair_of_which_only_a_killed_daemon_knew_is_removed,
    a_status_is_kept_for_the_next_daemon,
    what_was_created_but_not_started_goes_with_its_creator,
    a_daemon_may_crash_at_every_step,
];

fn a_container_outlives_the_daemon_and_is_taken_over() {
    let mut world = World::new();
    let mut running = world.run("bridge", &["sh", "-c", "echo ready; sleep 1000"]);
    assert_eq!(running.line(), "ready");
    let before = world.shim(&running.id);
    world.kill_daemon();
    // It still serves those who know it.
    let mut inside = world.exec(&running.id, process(&["cat", "/sys/class/net/eth0/operstate"]));
    assert_eq!(inside.session.wait(), Outcome::Started);
    assert_eq!(inside.output(), "unknown\n");
    world.start_daemon();
    assert_eq!(world.shim(&running.id), before);
    assert_eq!(world.plugged(), 2, "the gateway and eth0");
    assert!(world.manager().port_of(&running.id, "eth0").is_some());
    let id = running.id.clone();
    world.kill(&id, 15);
    assert_eq!(world.finish(running).0, 143);
}

fn the_gateway_outlives_the_daemon_with_the_last_container() {
    let mut world = World::new();
    let gateway =
        || netns::linux::interfaces().expect("the kernel answers").into_iter().find(|it| it.name == "pontoon0");
    let id = world.run_detached("bridge", &["sleep", "1000"]);
    let before = gateway().expect("a gateway");
    world.kill_daemon();
    assert_eq!(gateway().map(|it| (it.mac, it.ipv4)), Some((before.mac, before.ipv4.clone())));
    world.start_daemon();
    assert_eq!(gateway().map(|it| (it.mac, it.ipv4)), Some((before.mac, before.ipv4)));
    world.remove(&id);
    world.kill_daemon();
    assert!(gateway().is_none());
}

fn a_container_that_has_been_on_many_networks_is_taken_over() {
    let mut world = World::new();
    let id = world.run_detached("bridge", &["sleep", "1000"]);
    // More than the descriptors that go with a message.
    for number in 0..40 {
        let network = format!("net{number}");
        world.create_network(&network);
        world.manager().connect(&network, id.as_str(), ConnectRequest::default(), NOW).expect("connected");
        world.manager().disconnect(&network, id.as_str(), NOW).expect("disconnected");
        world.manager().remove_network(&network, NOW).expect("removed");
        world.drive();
    }
    assert_eq!(taps_held_by(world.shim(&id)), 2, "its own and the gateway's");
    world.kill_daemon();
    world.start_daemon();
    assert_eq!(world.manager().inspect(id.as_str()).expect("it is listed").state, "running");
    assert_eq!(world.plugged(), 2, "the gateway and eth0");
}

/// How many TAPs a process has open.
fn taps_held_by(pid: u32) -> usize {
    let held = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let is_tap = |fd: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_link(fd.expect("a descriptor").path()).is_ok_and(|path| path.ends_with("net/tun"))
    };
    held.filter_map(|fd| is_tap(fd).then_some(())).count()
}

fn a_container_whose_shim_serves_as_many_as_it_can_is_not_ended() {
    let mut world = World::new();
    let id = world.run_detached("bridge", &["sleep", "1000"]);
    let socket = world.paths().socket(&id);
    world.kill_daemon();
    // It accepts no more than 64; who comes then is hung up on.
    let crowd: Vec<UnixStream> = (0..80).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    let backend = Linux::new(world.paths(), "/proc/self/exe".into()).expect("a backend");
    let opened = Manager::open(backend, &Settings { seed: 7, bip: None, defers_forwarding: false }, NOW);
    assert!(opened.is_err(), "the gateway is the container's, which can not be asked for it");
    drop(crowd);
    world.start_daemon();
    assert_eq!(world.manager().inspect(id.as_str()).expect("it is listed").state, "running");
}

fn a_veth_pair_of_which_only_a_killed_daemon_knew_is_removed() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sleep", "1000"]);
    let pairs = || {
        let interfaces = netns::linux::interfaces().expect("the kernel answers").into_iter();
        interfaces.filter(|interface| interface.name.starts_with("veth")).count()
    };
    // No interface can have this MAC, so that the pair is there, and its shim knows of none.
    let ip = "172.30.0.2/16".parse().expect("an address");
    let lease = Lease { ip, mac: MacAddr([1; 6]), gateway: "172.30.0.1".parse().expect("an address"), mtu: 1500 };
    let kind = EndpointKind::Veth;
    let (is_default, announces) = (false, true);
    let interface =
        Interface { name: "eth0", lease: &lease, kind, is_default, offload: true, announces, bridge: "none" };
    world.manager().backend().attach(&id, &interface).expect_err("it can not be configured");
    assert_eq!(pairs(), 1);
    world.kill_daemon();
    world.start_daemon();
    world.manager().backend().detach(&id, "eth0", kind).expect("deleted");
    assert_eq!(pairs(), 0);
    world.manager().backend().detach(&id, "eth0", kind).expect("it is not there");
}

fn a_status_is_kept_for_the_next_daemon() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sh", "-c", "sleep 0.2; exit 9"]);
    let shim = world.shim(&id);
    let pid = rustix::process::Pid::from_raw(shim.cast_signed()).expect("a pid");
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("it runs");
    world.kill_daemon();
    wait_until_over(&pidfd);
    world.start_daemon();
    let view = world.manager().inspect(id.as_str()).expect("it is listed");
    assert_eq!((view.state.as_str(), view.exit_status), ("exited", Some(9)));
}

fn what_was_created_but_not_started_goes_with_its_creator() {
    let mut world = World::new();
    let id = Id::try_from("c".repeat(64)).expect("an id");
    let spec =
        Spec { id: &id, namespace: Namespace::New, interfaces: Vec::new(), hostname: Some("x"), log: false, note: "" };
    let created = world.manager().backend().create(&spec).expect("created");
    let pid = rustix::process::Pid::from_raw(created.pid.cast_signed()).expect("a pid");
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("it runs");
    world.kill_daemon();
    wait_until_over(&pidfd);
    assert!(!world.paths().socket(&id).exists());
    assert!(!world.paths().status(&id).exists());
}

fn a_daemon_may_crash_at_every_step() {
    let mut world = World::new();
    let before = traces();
    let mut crashed = 0;
    for saves in 1.. {
        if !world.crash_daemon_after(saves) {
            break;
        }
        crashed += 1;
        world.start_daemon();
        let listed = world.manager().containers(true);
        assert!(listed.len() <= 1, "{listed:?}");
        for view in listed {
            let id = Id::try_from(view.id).expect("an id");
            let processes = if view.pid == 0 { Default::default() } else { family(view.pid) };
            world.remove(&id);
            assert_eq!(living(&processes), [0; 0]);
        }
        assert!(world.manager().is_idle());
        assert_eq!(traces(), before, "after {saves} saves");
    }
    // The network; the record as it is made, created, started, stopped, removed; and its end.
    assert!(crashed >= 6, "only {crashed}");
}

fn wait_until_over(pidfd: &std::os::fd::OwnedFd) {
    let patience = rustix::event::Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let mut fds = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut fds, Some(&patience)).expect("polled"), 1);
}
