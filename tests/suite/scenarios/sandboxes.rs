//! Interfaces in sandboxes that other engines have made.

use std::net::Ipv4Addr;

use super::scenarios;
use crate::lab::{Lab, NetError, Order, PODS, Place, address, inspect, interface, ip_on, names, ports, run};

scenarios![
    sandboxes_and_containers_of_ours_reach_each_other,
    a_sandbox_outlives_the_daemon_and_the_next_one_has_it,
    a_sandbox_that_ends_frees_its_port_and_keeps_its_address_until_it_is_let_go,
    ports_of_a_sandbox_are_published_until_it_is_let_go,
    a_sandbox_whose_keeper_is_killed_keeps_its_interface_and_its_ports,
    a_keeper_that_is_killed_without_a_daemon_takes_its_interface_along,
    what_becomes_of_a_sandbox_says_its_engine,
    after_a_reboot_no_sandbox_has_an_address,
    a_daemon_killed_at_any_step_of_attaching_leaves_all_or_nothing,
];

/// The host's address on the network of sandboxes.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

/// Makes a sandbox with an interface.
fn pod(lab: &mut dyn Lab, name: &str) -> Ipv4Addr {
    lab.add_sandbox(name);
    attach(lab, name, &[])
}

fn attach(lab: &mut dyn Lab, name: &str, publish: &[&str]) -> Ipv4Addr {
    lab.attach(name, publish).unwrap_or_else(|why| panic!("attach {name}: {why}"))
}

/// The names of the interfaces of a sandbox, `lo` aside.
fn interfaces(lab: &mut dyn Lab, name: &str) -> Vec<String> {
    let all = lab.interfaces(Place::Sandbox(name)).into_iter().map(|own| own.name);
    all.filter(|name| name != "lo").collect()
}

/// The ports of the switches that are no bridges' own.
fn pods(lab: &mut dyn Lab) -> Vec<String> {
    let mut pods = ports(lab);
    pods.sort();
    pods
}

fn sandboxes_and_containers_of_ours_reach_each_other(lab: &mut dyn Lab) {
    lab.up();
    let (one, two) = (pod(lab, "one"), pod(lab, "two"));
    assert_eq!([one, two], [address("10.88.0.2"), address("10.88.0.3")]);
    run(lab, Order::new("web").network(PODS.0));
    let web = ip_on(lab, "web", PODS.0);
    let eth0 = interface(lab, Place::Sandbox("one"), "eth0");
    assert_eq!((eth0.up, eth0.mtu, eth0.ipv4[0].to_string().as_str()), (true, 1500, "10.88.0.2/24"));
    assert_eq!(lab.default_route(Place::Sandbox("one")), Some(GATEWAY));
    let ways = [
        (Place::Sandbox("one"), two),
        (Place::Sandbox("one"), web),
        (Place::In("web"), two),
        (Place::Sandbox("two"), GATEWAY),
        (Place::Host, one),
    ];
    for (from, to) in ways {
        assert!(lab.ping(from, to, 1400), "{from:?} does not reach {to}");
    }
    let length = lab.bulk() / 10;
    let done = lab.transfer(Place::Sandbox("one"), Place::In("web"), web, length);
    assert_eq!((done.length, done.received), (length, done.sent));
    assert_eq!(pods(lab), ["one.eth0", "two.eth0", "web.eth0"]);
    let shown = inspect(lab, "one");
    assert_eq!((shown.state.as_str(), shown.command), ("running", vec!["(cni)".to_owned()]));
    assert_eq!(names(lab, false), ["one", "two", "web"]);
    for name in ["one", "two"] {
        lab.detach(name);
        assert_eq!(interfaces(lab, name), Vec::<String>::new());
    }
    assert_eq!(pods(lab), ["web.eth0"]);
    assert_eq!(names(lab, true), ["web"]);
}

fn a_sandbox_outlives_the_daemon_and_the_next_one_has_it(lab: &mut dyn Lab) {
    lab.up();
    let (_, two) = (pod(lab, "one"), pod(lab, "two"));
    let mac = interface(lab, Place::Sandbox("one"), "eth0").mac;
    lab.kill_daemon();
    assert_eq!(interface(lab, Place::Sandbox("one"), "eth0").mac, mac);
    assert!(!lab.ping(Place::Sandbox("one"), two, 56));
    lab.up();
    assert!(lab.ping(Place::Sandbox("one"), two, 56));
    assert_eq!(pods(lab), ["one.eth0", "two.eth0"]);
    // Whose sandbox has ended meanwhile is found out, too.
    lab.kill_daemon();
    lab.end_sandbox("two");
    lab.up();
    assert_eq!(pods(lab), ["one.eth0"]);
    assert!(lab.ping(Place::Sandbox("one"), GATEWAY, 56));
    lab.detach("two");
    lab.add_sandbox("three");
    assert_eq!(attach(lab, "three", &[]), two);
}

fn a_sandbox_that_ends_frees_its_port_and_keeps_its_address_until_it_is_let_go(lab: &mut dyn Lab) {
    lab.up();
    let one = pod(lab, "one");
    lab.end_sandbox("one");
    lab.eventually("its end is seen", &mut |lab| inspect(lab, "one").state == "created");
    assert_eq!(pods(lab), Vec::<String>::new());
    let two = pod(lab, "two");
    assert_ne!(two, one);
    lab.detach("one");
    assert_eq!(names(lab, true), ["two"]);
    assert_eq!(pod(lab, "three"), one);
}

fn ports_of_a_sandbox_are_published_until_it_is_let_go(lab: &mut dyn Lab) {
    lab.host_address("10.9.0.1/24".parse().expect("an address"));
    lab.up();
    lab.add_sandbox("one");
    attach(lab, "one", &["8080:80"]);
    lab.serve(Place::Sandbox("one"), 80);
    let host = address("10.9.0.1");
    let peer = Ok(format!("hello from {GATEWAY}"));
    assert_eq!(lab.tell(Place::Host, host, 8080, "hello"), peer);
    lab.kill_daemon();
    lab.up();
    assert_eq!(lab.tell(Place::Host, host, 8080, "hello"), peer);
    assert_eq!(inspect(lab, "one").published, ["0.0.0.0:8080->80/tcp"]);
    lab.add_sandbox("two");
    let refused = lab.attach("two", &["8080:80"]).expect_err("the port is taken");
    assert!(refused.contains("container one publishes it"), "{refused}");
    assert_eq!(names(lab, true), ["one"]);
    lab.detach("one");
    assert_eq!(lab.connect(Place::Host, host, 8080), Err(NetError::Refused));
    attach(lab, "two", &["8080:80"]);
}

fn a_sandbox_whose_keeper_is_killed_keeps_its_interface_and_its_ports(lab: &mut dyn Lab) {
    lab.host_address("10.9.0.1/24".parse().expect("an address"));
    lab.up();
    let two = pod(lab, "two");
    lab.add_sandbox("one");
    attach(lab, "one", &["8080:80"]);
    lab.serve(Place::Sandbox("one"), 80);
    let (index, keeper) = (lab.ifindex(Place::Sandbox("one"), "eth0"), inspect(lab, "one").pid);
    let port = pods(lab);
    lab.kill_keeper("one");
    lab.eventually("another has its interface", &mut |lab| ![0, keeper].contains(&inspect(lab, "one").pid));
    let (host, peer) = (address("10.9.0.1"), Ok(format!("hello from {GATEWAY}")));
    let is_as_before = |lab: &mut dyn Lab| {
        assert_eq!(inspect(lab, "one").state, "running");
        assert_eq!(lab.ifindex(Place::Sandbox("one"), "eth0"), index);
        assert_eq!(pods(lab), port);
        assert!(lab.ping(Place::Sandbox("one"), two, 56));
        assert_eq!(lab.tell(Place::Host, host, 8080, "hello"), peer);
    };
    is_as_before(lab);
    // The new one is a keeper like any other: it outlives the daemon, and ends with the sandbox, or when it is told.
    lab.kill_daemon();
    lab.up();
    is_as_before(lab);
    lab.kill_keeper("two");
    lab.end_sandbox("two");
    lab.eventually("its end is seen", &mut |lab| inspect(lab, "two").state == "created");
    lab.detach("two");
    lab.kill_keeper("one");
    lab.detach("one");
    assert_eq!(interfaces(lab, "one"), Vec::<String>::new());
    assert_eq!(names(lab, true), Vec::<String>::new());
}

fn a_keeper_that_is_killed_without_a_daemon_takes_its_interface_along(lab: &mut dyn Lab) {
    lab.up();
    let one = pod(lab, "one");
    lab.kill_daemon();
    lab.kill_keeper("one");
    // What the daemon had in the kernel's hands ends a moment after it.
    lab.eventually("it is gone", &mut |lab| interfaces(lab, "one").is_empty());
    lab.up();
    assert_eq!(inspect(lab, "one").state, "created");
    lab.detach("one");
    assert_eq!(pod(lab, "two"), one);
}

fn what_becomes_of_a_sandbox_says_its_engine(lab: &mut dyn Lab) {
    lab.up();
    pod(lab, "one");
    let refusals = [
        lab.stop("one", 0),
        lab.kill("one", 9),
        lab.rm("one", true),
        lab.connect_network("bridge", "one", None),
        lab.disconnect_network(PODS.0, "one"),
    ];
    for refusal in refusals {
        assert_eq!(refusal.expect_err("it is refused").message, "container one belongs to cni");
    }
    let refusal = lab.run(Order::new("beside").network("container:one")).expect_err("it is refused");
    assert_eq!(refusal.message, "--network container:one: container one belongs to cni");
    assert!(lab.ping(Place::Sandbox("one"), GATEWAY, 56));
    assert_eq!(lab.prune_networks(), Vec::<String>::new());
}

fn after_a_reboot_no_sandbox_has_an_address(lab: &mut dyn Lab) {
    lab.up();
    let one = pod(lab, "one");
    lab.reboot();
    lab.up();
    assert_eq!(names(lab, true), Vec::<String>::new());
    assert_eq!(lab.inspect_network(PODS.0).expect("it is there").containers.len(), 0);
    assert_eq!(pod(lab, "another"), one);
}

/// As many more than any attachment takes as makes no difference.
const WELL: u32 = 3;

fn a_daemon_killed_at_any_step_of_attaching_leaves_all_or_nothing(lab: &mut dyn Lab) {
    lab.up();
    let two = pod(lab, "two");
    lab.add_sandbox("one");
    attach(lab, "one", &["8080:80"]);
    lab.detach("one");
    let mut well = 0;
    lab.kill_daemon();
    for steps in 1..80 {
        lab.up_killed_after(steps);
        let lives = lab.daemon_runs();
        let attached = lab.attach("one", &["8080:80"]);
        well = if lives && attached.is_ok() { well + 1 } else { 0 };
        // One that has not come so far yet would be killed later.
        if lab.daemon_runs() {
            lab.kill_daemon();
        }
        lab.up();
        let is_there = pods(lab).contains(&"one.eth0".to_owned());
        assert!(is_there || attached.is_err(), "after {steps} steps");
        assert_eq!(interfaces(lab, "one").len(), usize::from(is_there), "after {steps} steps");
        assert_eq!(lab.ping(Place::Sandbox("one"), two, 56), is_there, "after {steps} steps");
        lab.detach("one");
        assert_eq!(interfaces(lab, "one"), Vec::<String>::new(), "after {steps} steps");
        assert_eq!(names(lab, true), ["two"], "after {steps} steps");
        attach(lab, "one", &["8080:80"]);
        assert!(lab.ping(Place::Sandbox("one"), two, 56), "after {steps} steps");
        lab.detach("one");
        if well == WELL {
            return;
        }
        lab.kill_daemon();
    }
    panic!("it never lives long enough");
}
