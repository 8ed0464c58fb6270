//! Interfaces of ours in sandboxes of other engines, which do with them what Docker and CNI do.

mod sandbox;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;

use netns::error::Error;
use netns::guest::{GuestRequest, GuestView, Place, Route};
use netns::interface::InterfaceInfo;
use netns::linux::Linux;
use netns::linux::privilege::{Role, hold_only};
use netns::manager::Manager;
use netns::network::Owner;
use netns::publish::PortMapping;

use self::sandbox::{Sandbox, ip, read_from};
use crate::world::{NOW, World, kill_nine, listen_to, living, names, traces};

crate::trials![
    an_interface_on_the_host_is_off_and_has_nothing_but_its_mac_and_mtu,
    what_an_engine_has_moved_and_renamed_is_switched,
    an_interface_is_put_into_a_sandbox_ready_for_use,
    a_keeper_holds_one_capability_and_no_namespace,
    a_daemon_needs_no_more_than_it_holds,
    the_next_daemon_takes_it_over_as_it_is,
    what_its_interface_had_no_room_for_is_counted_wherever_it_is,
    a_port_of_the_host_leads_to_a_guest_as_long_as_it_is_there,
    a_guest_whose_sandbox_has_gone_is_a_reservation,
    the_switch_tells_of_a_sandbox_that_has_gone,
    a_guest_whose_interface_was_deleted_is_a_reservation,
    a_guest_whose_keeper_was_killed_has_another_and_its_interface,
    an_interface_is_deleted_wherever_it_is,
    what_an_earlier_life_of_the_guest_left_is_no_obstacle,
    what_is_anothers_stays,
    a_sandbox_must_be_one,
    twenty_lives_leave_nothing,
    a_daemon_may_crash_at_every_step_of_a_guest,
];

fn an_interface_on_the_host_is_off_and_has_nothing_but_its_mac_and_mtu() {
    let mut world = World::new();
    let guest = reserve(&mut world, "one");
    let before = host();
    let guest = open(&mut world, &guest, on_host("ptest0"));
    assert_eq!(guest.port.as_deref(), Some("one.eth0"));
    let made = only_new(&before, &host());
    assert_eq!((made.name.as_str(), made.mac, made.mtu), ("ptest0", guest.lease.mac, guest.lease.mtu));
    assert_eq!((made.up, made.ipv4, made.ipv6_count), (false, vec![], 0));
    assert!(ip("link show ptest0").contains(&format!("alias pontoon {}", guest.id.short())));
    // Not by whoever switches it on either.
    ip("link set ptest0 up");
    assert_eq!(only_new(&before, &host()).ipv6_count, 0);
}

fn what_an_engine_has_moved_and_renamed_is_switched() {
    let mut world = World::new();
    world.switch_frames();
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let first = reserve(&mut world, "one");
    let first = open(&mut world, &first, on_host("ptest0"));
    one.take("ptest0", &first, "eth0");
    let second = reserve(&mut world, "other");
    let second = open(&mut world, &second, on_host("ptest1"));
    // Docker's second interface of a container is called so.
    other.take("ptest1", &second, "eth1");
    assert_eq!(names(&other.interfaces()), ["lo", "eth1"]);
    let server = one.serve(7, "x".repeat(1 << 20));
    assert_eq!(other.run(move || read_from(server)).len(), 1 << 20);
    // And a container of ours hears it as well.
    let command = listen_to(one.serve(8, "hello".to_owned()));
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(world.run_to_end("bridge", &command), (0, "hello\n".to_owned()));
}

fn an_interface_is_put_into_a_sandbox_ready_for_use() {
    let mut world = World::new();
    world.switch_frames();
    let sandbox = Sandbox::new();
    let before = host();
    let guest = reserve(&mut world, "one");
    let far = Route { to: "10.9.0.0/16".parse().expect("a prefix"), via: Some(guest.lease.gateway) };
    let near = Route { to: "10.8.0.0/16".parse().expect("a prefix"), via: None };
    let default = Route { to: "0.0.0.0/0".parse().expect("a prefix"), via: Some(guest.lease.gateway) };
    let guest = open(&mut world, &guest, sandbox.place("net1", vec![far, near, default]));
    assert_eq!(host(), before, "the host has it no more");
    let inside = sandbox.interfaces();
    assert_eq!(names(&inside), ["lo", "net1"]);
    assert!(!inside[0].up, "the loopback is others' affair");
    let lease = &guest.lease;
    assert_eq!((inside[1].mac, inside[1].mtu, inside[1].up), (lease.mac, lease.mtu, true));
    assert_eq!((&inside[1].ipv4, inside[1].ipv6_count), (&vec![lease.ip], 0));
    let routes = sandbox.run(|| ip("route show"));
    let (gateway, subnet, own) = (lease.gateway, lease.ip.trunc(), lease.ip.addr());
    for route in [
        format!("default via {gateway} dev net1 "),
        format!("10.9.0.0/16 via {gateway} dev net1 "),
        "10.8.0.0/16 dev net1 scope link ".to_owned(),
        format!("{subnet} dev net1 proto kernel scope link src {own} "),
    ] {
        assert!(routes.lines().any(|line| line == route), "{route:?} is none of {routes}");
    }
    assert_eq!(routes.lines().count(), 4);
    // The host is its gateway.
    let server = sandbox.serve(7, "hello".to_owned());
    assert_eq!(read_from(server), "hello");
}

fn a_keeper_holds_one_capability_and_no_namespace() {
    let mut world = World::new();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, sandbox.place("eth0", vec![]));
    let keeper = world.shim(&guest.id);
    let status = fs::read_to_string(format!("/proc/{keeper}/status")).expect("it runs");
    // CAP_NET_ADMIN.
    for set in ["CapEff:\t0000000000001000", "CapPrm:\t0000000000001000", "CapInh:\t0000000000000000"] {
        assert!(status.contains(set), "{set} is not in {status}");
    }
    let own = fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
    assert_eq!(fs::read_link(format!("/proc/{keeper}/ns/net")).expect("a namespace"), own);
    let held = fs::read_dir(format!("/proc/{keeper}/fd")).expect("it runs");
    let held: Vec<_> = held.filter_map(|fd| fs::read_link(fd.expect("a descriptor").path()).ok()).collect();
    let is_namespace = |path: &&std::path::PathBuf| path.to_string_lossy().starts_with("net:");
    assert_eq!(held.iter().filter(is_namespace).count(), 0, "{held:?}");
    let is_tap = |path: &&std::path::PathBuf| path.ends_with("net/tun");
    assert_eq!(held.iter().filter(is_tap).count(), 2, "its own and the gateway's: {held:?}");
}

fn a_daemon_needs_no_more_than_it_holds() {
    let mut world = World::new();
    let sandbox = Sandbox::new();
    let mut engines = sandbox.run(|| std::process::Command::new("sleep").arg("1000").spawn().expect("it starts"));
    let netns = format!("/proc/{}/ns/net", engines.id());
    hold_only(Role::Daemon).expect("let go");
    // To open it is to look into a process that holds more.
    let denied = fs::File::open(&netns).expect_err("it is not for us");
    assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
    let guest = reserve(&mut world, "one");
    let place = || Place::Inside { netns: netns.clone(), ifname: "eth0".to_owned(), routes: vec![] };
    let guest = open(&mut world, &guest, place());
    assert_eq!(names(&sandbox.interfaces()), ["lo", "eth0"]);
    let port = world.manager().port_of(&guest.id, "eth0").expect("it has a port");
    assert_eq!(world.manager().missed().get(&port), Some(&0));
    // Nor to start another keeper.
    kill_keeper(&mut world, &guest);
    assert_eq!(names(&sandbox.interfaces()), ["lo", "eth0"]);
    close(&mut world, &guest);
    assert_eq!(names(&sandbox.interfaces()), ["lo"]);
    open(&mut world, &guest, place());
    close(&mut world, &guest);
    assert_eq!(names(&sandbox.interfaces()), ["lo"]);
    engines.kill().and_then(|()| engines.wait()).expect("it ends");
}

fn the_next_daemon_takes_it_over_as_it_is() {
    let mut world = World::new();
    world.switch_frames();
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let first = reserve(&mut world, "one");
    let first = open(&mut world, &first, on_host("ptest0"));
    one.take("ptest0", &first, "eth7");
    let second = reserve(&mut world, "other");
    let second = open(&mut world, &second, other.place("eth0", vec![]));
    one.run(|| ip("link set eth7 mtu 1300"));
    let server = one.serve(7, "before".to_owned());
    assert_eq!(other.run(move || read_from(server)), "before");
    let (keeper, inside) = (world.shim(&first.id), one.interfaces());
    world.kill_daemon();
    assert_eq!(counted(&inside), counted(&one.interfaces()));
    world.start_daemon();
    world.switch_frames();
    assert_eq!(world.shim(&first.id), keeper);
    let found = world.manager().guest(Owner::Docker, "one").expect("it is known");
    assert_eq!(found, first);
    assert_eq!(world.manager().guest(Owner::Docker, "other").expect("it is known"), second);
    let server = one.serve(8, "x".repeat(1 << 20));
    assert_eq!(other.run(move || read_from(server)).len(), 1 << 20);
    assert_eq!(one.interfaces()[1].mtu, 1300);
    // It is as much its own as if it had made it.
    close(&mut world, &first);
    assert_eq!(names(&one.interfaces()), ["lo"]);
    assert_eq!(living(&[keeper].into()), [0; 0]);
}

fn what_its_interface_had_no_room_for_is_counted_wherever_it_is() {
    // There is nobody to read the frames.
    let mut world = World::new();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, on_host("ptest0"));
    sandbox.take("ptest0", &guest, "eth3");
    let gateway = guest.lease.gateway;
    let dropped = sandbox.run(move || {
        ip(&format!("neigh add {gateway} lladdr 02:00:00:00:00:01 dev eth3"));
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        for _ in 0..3000 {
            // That the kernel has no room for it, it says as well.
            let _ = socket.send_to(b"hello", (gateway, 9));
        }
        let interfaces = netns::linux::interfaces().expect("the kernel answers");
        interfaces.into_iter().find(|it| it.name == "eth3").expect("it is there").tx_dropped
    });
    assert!(dropped > 0, "a queue of 1000 frames takes them all");
    let port = world.manager().port_of(&guest.id, "eth0").expect("it has a port");
    assert_eq!(world.manager().missed().get(&port), Some(&dropped));
}

fn a_port_of_the_host_leads_to_a_guest_as_long_as_it_is_there() {
    let mut world = World::new();
    world.switch_frames();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, sandbox.place("eth0", vec![]));
    let mappings = PortMapping::parse("8080:80").expect("a mapping");
    world.manager().publish_guest(Owner::Docker, "one", mappings, NOW).expect("published");
    sandbox.serve(80, "hello".to_owned());
    let outside: SocketAddr = (Ipv4Addr::LOCALHOST, 8080).into();
    assert_eq!(read_from(outside), "hello");
    world.kill_daemon();
    world.start_daemon();
    world.switch_frames();
    sandbox.serve(80, "again".to_owned());
    assert_eq!(read_from(outside), "again");
    close(&mut world, &guest);
    TcpListener::bind(outside).expect("the port is free");
}

fn a_guest_whose_sandbox_has_gone_is_a_reservation() {
    let mut world = World::new();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, on_host("ptest0"));
    sandbox.take("ptest0", &guest, "eth0");
    let mappings = PortMapping::parse("8080:80").expect("a mapping");
    world.manager().publish_guest(Owner::Docker, "one", mappings, NOW).expect("published");
    let keeper = world.shim(&guest.id);
    drop(sandbox);
    wait_until_closed(&mut world);
    let reserved = world.manager().guest(Owner::Docker, "one").expect("it is known");
    assert_eq!((reserved.port, reserved.lease), (None, guest.lease));
    assert_eq!(living(&[keeper].into()), [0; 0]);
    TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).expect("the port is free");
}

fn the_switch_tells_of_a_sandbox_that_has_gone() {
    let mut world = World::new();
    world.switch_frames();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, sandbox.place("eth0", vec![]));
    let keeper = world.shim(&guest.id);
    // Who can not move can not have told.
    stop(keeper);
    drop(sandbox);
    world.wait_for(|manager, _| manager.guest(Owner::Docker, "one").expect("it is known").port.is_none().then_some(()));
    assert_eq!(living(&[keeper].into()), [0; 0]);
    wait_until_closed(&mut world);
}

fn a_guest_whose_interface_was_deleted_is_a_reservation() {
    let mut world = World::new();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, sandbox.place("eth0", vec![]));
    sandbox.run(|| ip("link del eth0"));
    wait_until_closed(&mut world);
    // Again, at the same place.
    let guest = open(&mut world, &guest, sandbox.place("eth0", vec![]));
    assert_eq!(sandbox.interfaces()[1].ipv4, [guest.lease.ip]);
}

fn a_guest_whose_keeper_was_killed_has_another_and_its_interface() {
    let mut world = World::new();
    world.switch_frames();
    let sandbox = Sandbox::new();
    let guest = reserve(&mut world, "one");
    let guest = open(&mut world, &guest, sandbox.place("eth0", vec![]));
    let before = sandbox.interfaces();
    kill_keeper(&mut world, &guest);
    assert_eq!(names(&sandbox.interfaces()), names(&before));
    let server = sandbox.serve(7, "hello".to_owned());
    assert_eq!(read_from(server), "hello");
    close(&mut world, &guest);
    assert_eq!(names(&sandbox.interfaces()), ["lo"]);
}

fn an_interface_is_deleted_wherever_it_is() {
    let mut world = World::new();
    let before = traces();
    let (sandbox, further) = (Sandbox::new(), Sandbox::new());
    let guest = reserve(&mut world, "one");
    // Not taken at all.
    open(&mut world, &guest, on_host("ptest0"));
    close(&mut world, &guest);
    assert_eq!(traces().1, before.1);
    // Taken back, as Docker does, and renamed.
    open(&mut world, &guest, on_host("ptest0"));
    sandbox.take("ptest0", &guest, "eth0");
    sandbox.give_back("eth0", "ptest7");
    close(&mut world, &guest);
    assert_eq!(traces().1, before.1);
    // Taken on from where it was taken, by somebody of whom the host knows nothing.
    open(&mut world, &guest, on_host("ptest0"));
    sandbox.take("ptest0", &guest, "eth0");
    further.take_from(&sandbox, "eth0");
    assert_eq!((names(&sandbox.interfaces()), names(&further.interfaces())), (vec!["lo"], vec!["lo", "eth0"]));
    close(&mut world, &guest);
    assert_eq!(names(&further.interfaces()), ["lo"]);
    // Its sandbox gone, which nobody has heard of yet.
    open(&mut world, &guest, on_host("ptest0"));
    further.take("ptest0", &guest, "eth0");
    drop(further);
    close(&mut world, &guest);
    // And once more: there is nothing.
    close(&mut world, &guest);
    release(&mut world, &guest);
    release(&mut world, &guest);
    drop(sandbox);
    assert_eq!(traces(), before);
}

fn what_an_earlier_life_of_the_guest_left_is_no_obstacle() {
    let mut world = World::new();
    let guest = reserve(&mut world, "one");
    let before = traces().1;
    ip("link add ptest0 type bridge");
    let alias = format!("pontoon {}", guest.id.short());
    let set = std::process::Command::new("ip").args(["link", "set", "ptest0", "alias", &alias]).status();
    assert!(set.expect("it runs").success());
    open(&mut world, &guest, on_host("ptest0"));
    assert!(ip("-d link show ptest0").contains("tun type tap"));
    close(&mut world, &guest);
    assert_eq!(traces().1, before);
}

fn what_is_anothers_stays() {
    let mut world = World::new();
    let sandbox = Sandbox::new();
    sandbox.run(|| ip("link add eth0 type bridge"));
    ip("link add ptest0 type bridge");
    let before = (traces(), sandbox.interfaces());
    let guest = reserve(&mut world, "one");
    let why = refusal(&mut world, &guest, on_host("ptest0"));
    assert_eq!(why, "the host has an interface ptest0 already");
    let why = refusal(&mut world, &guest, sandbox.place("eth0", vec![]));
    assert_eq!(why, format!("make an interface in {}: it has an interface eth0 already", sandbox.path()));
    assert_eq!((traces(), sandbox.interfaces()), before);
    // It is a reservation still.
    open(&mut world, &guest, sandbox.place("eth1", vec![]));
    assert_eq!(names(&sandbox.interfaces()), ["lo", "eth0", "eth1"]);
}

fn a_sandbox_must_be_one() {
    let mut world = World::new();
    let before = traces();
    let directory = world.paths().runtime;
    let path = |name: &str| directory.join(name).display().to_string();
    fs::write(path("file"), "").expect("written");
    nix::unistd::mkfifo(path("pipe").as_str(), nix::sys::stat::Mode::S_IRUSR).expect("made");
    symlink("nowhere", path("link")).expect("made");
    let own = fs::read_link("/proc/thread-self").expect("a thread");
    let guest = reserve(&mut world, "one");
    let none = "it is no network namespace";
    for (netns, because) in [
        (path("file"), none),
        (path("pipe"), none),
        (path("link"), "No such file or directory"),
        (path("no/such/file"), "No such file or directory"),
        ("/proc/self/ns/mnt".to_owned(), none),
        ("/dev/null".to_owned(), none),
        (format!("/proc/{}/ns/net", own.display()), "it is the host's own network namespace"),
    ] {
        let place = Place::Inside { netns: netns.clone(), ifname: "eth0".to_owned(), routes: vec![] };
        assert_eq!(refusal(&mut world, &guest, place), format!("make an interface in {netns}: {because}"));
    }
    assert_eq!(traces(), before);
    assert_eq!(world.manager().guest(Owner::Docker, "one").expect("it is known").place, None);
}

fn twenty_lives_leave_nothing() {
    let mut world = World::new();
    world.switch_frames();
    // What is made once, at the first use.
    live(&mut world, 0);
    // (An account goes when what is handed on next has been done.)
    world.drive();
    let before = (traces(), held(), files_below(&world.paths().runtime));
    let mut keepers = std::collections::BTreeSet::new();
    for number in 0..20 {
        keepers.insert(live(&mut world, number));
    }
    world.drive();
    assert_eq!((traces(), held(), files_below(&world.paths().runtime)), before);
    assert_eq!(living(&keepers), [0; 0]);
    assert!(world.manager().is_idle());
    assert_eq!(fs::read_to_string(world.paths().shim_log()).expect("a log"), "");
}

fn a_daemon_may_crash_at_every_step_of_a_guest() {
    let mut world = World::new();
    let before = traces();
    let mut found = std::collections::BTreeSet::new();
    for saves in 1.. {
        if !world.crash_host_after(saves) {
            break;
        }
        world.start_daemon();
        let guests = world.manager().guests(Owner::Docker);
        for guest in &guests {
            assert_eq!(guest.place.is_some(), guest.port.is_some(), "{guest:?}");
            let is_there = host().iter().any(|it| it.name == "ptest0");
            assert_eq!(guest.place.is_some(), is_there, "after {saves} saves: {guest:?}");
            // Its engine asks for all of it once more.
            let again = reserve(&mut world, "one");
            assert_eq!(again.lease, guest.lease);
            assert_eq!(open(&mut world, &again, on_host("ptest0")).port.as_deref(), Some("one.eth0"));
            let keeper = world.shim(&guest.id);
            release(&mut world, guest);
            assert_eq!(living(&[keeper].into()), [0; 0]);
        }
        found.insert((guests.len(), guests.iter().any(|guest| guest.place.is_some())));
        assert!(world.manager().is_idle());
        assert_eq!(traces(), before, "after {saves} saves");
    }
    // Not there, reserved, open: it came to all of it.
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(0, false), (1, false), (1, true)]);
}

/// What a daemon does that crashes on the way.
pub(crate) fn be_crashing_host(manager: &mut netns::manager::Manager<netns::linux::Linux>) {
    manager.reserve(GuestRequest::new(Owner::Docker, "one", "bridge"), NOW).expect("reserved");
    manager.open_guest(Owner::Docker, "one", on_host("ptest0"), NOW).expect("opened");
    manager.close_guest(Owner::Docker, "one", NOW).expect("closed");
    manager.release(Owner::Docker, "one", NOW).expect("released");
}

/// One life of a guest, of either kind. Its keeper.
fn live(world: &mut World, number: usize) -> u32 {
    let sandbox = Sandbox::new();
    let guest = reserve(world, &format!("guest{number}"));
    let guest = if number.is_multiple_of(2) {
        let guest = open(world, &guest, on_host("ptest0"));
        sandbox.take("ptest0", &guest, "eth0");
        guest
    } else {
        open(world, &guest, sandbox.place("eth0", vec![]))
    };
    let keeper = world.shim(&guest.id);
    if number.is_multiple_of(3) {
        close(world, &guest);
    }
    release(world, &guest);
    keeper
}

fn reserve(world: &mut World, key: &str) -> GuestView {
    let request = GuestRequest::new(Owner::Docker, key, "bridge");
    let guest = world.manager().reserve(request, NOW).expect("reserved");
    world.drive();
    guest
}

fn try_open(world: &mut World, guest: &GuestView, place: Place) -> Result<GuestView, Error> {
    let opened = world.manager().open_guest(guest.engine, &guest.key, place, NOW);
    world.drive();
    opened
}

fn open(world: &mut World, guest: &GuestView, place: Place) -> GuestView {
    try_open(world, guest, place).expect("opened")
}

/// Why it can not be opened there. Nothing stays.
fn refusal(world: &mut World, guest: &GuestView, place: Place) -> String {
    try_open(world, guest, place).expect_err("it can not be").to_string()
}

fn close(world: &mut World, guest: &GuestView) {
    world.manager().close_guest(guest.engine, &guest.key, NOW).expect("closed");
    world.drive();
}

fn release(world: &mut World, guest: &GuestView) {
    world.manager().release(guest.engine, &guest.key, NOW).expect("released");
    world.drive();
}

fn stop(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stopped");
}

/// Somebody kills the keeper of a guest. Returns when it has another.
fn kill_keeper(world: &mut World, guest: &GuestView) {
    let killed = world.shim(&guest.id);
    kill_nine(killed);
    let keeper = |manager: &mut Manager<Linux>| manager.inspect(guest.id.as_str()).expect("it is known").pid;
    world.wait_for(|manager, _| (keeper(manager) != killed).then_some(()));
}

/// Until the guest `one` has no interface any more.
fn wait_until_closed(world: &mut World) {
    world
        .wait_for(|manager, _| manager.guest(Owner::Docker, "one").expect("it is known").place.is_none().then_some(()));
}

fn on_host(ifname: &str) -> Place {
    Place::Host { ifname: ifname.to_owned() }
}

/// The host's interfaces, as they are configured.
fn host() -> Vec<InterfaceInfo> {
    let quiet = |it| InterfaceInfo {
        rx_packets: 0,
        rx_bytes: 0,
        tx_packets: 0,
        tx_bytes: 0,
        rx_dropped: 0,
        tx_dropped: 0,
        ..it
    };
    netns::linux::interfaces().expect("the kernel answers").into_iter().map(quiet).collect()
}

fn only_new(before: &[InterfaceInfo], after: &[InterfaceInfo]) -> InterfaceInfo {
    let is_new = |it: &&InterfaceInfo| !before.iter().any(|other| other.name == it.name);
    let new: Vec<&InterfaceInfo> = after.iter().filter(is_new).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    new[0].clone()
}

/// What an interface has, but for what it is counting at this moment.
fn counted(interfaces: &[InterfaceInfo]) -> Vec<(String, u32, bool, Vec<ipnet::Ipv4Net>)> {
    interfaces.iter().map(|it| (it.name.clone(), it.mtu, it.up, it.ipv4.clone())).collect()
}

/// What this process has open, by kind.
fn held() -> std::collections::BTreeMap<String, usize> {
    let mut kinds = std::collections::BTreeMap::new();
    for fd in fs::read_dir("/proc/self/fd").expect("a /proc") {
        let Ok(path) = fs::read_link(fd.expect("a descriptor").path()) else { continue };
        let kind: String = path.to_string_lossy().chars().take_while(|each| *each != '[' && *each != '(').collect();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}
