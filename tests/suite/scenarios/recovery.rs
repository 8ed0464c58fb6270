//! Whatever is killed: what it served goes on, or goes; nothing stays half done.

use super::scenarios;
use crate::lab::{
    Lab, NetworkOrder, Order, Place, Program, address, assert_all_reach_each_other, create, inspect, interface, ip_of,
    names, run, run_all,
};

scenarios![
    containers_keep_running_without_a_daemon,
    the_next_daemon_takes_over_and_configures_nothing_anew,
    an_open_connection_outlives_the_daemon,
    a_listener_outlives_the_daemon,
    containers_that_end_without_a_daemon_are_settled_by_the_next,
    joiners_and_others_are_taken_over_too,
    a_killed_shim_frees_all_that_its_container_held,
    a_killed_command_ends_its_container,
    a_daemon_can_be_killed_again_and_again,
    a_container_outlives_its_record,
    the_networks_of_a_container_outlive_its_record,
    a_network_in_use_outlives_its_record,
    a_killed_daemon_leaves_the_bridges_name,
    the_hosts_interface_is_made_again_when_somebody_deletes_it,
];

fn containers_keep_running_without_a_daemon(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    run(lab, Order::new("sidecar").network("container:web"));
    lab.listen(Place::In("web"), 8080).expect("listen in web");
    lab.kill_daemon();
    assert!(!lab.daemon_runs());
    let eth0 = interface(lab, Place::In("web"), "eth0");
    assert_eq!(eth0.ipv4[0].addr(), address("172.17.0.2"));
    assert!(eth0.up);
    assert!(lab.ping(Place::In("web"), address("172.17.0.2"), 56));
    assert_eq!(lab.connect(Place::In("sidecar"), address("127.0.0.1"), 8080), Ok(()));
    assert!(interface(lab, Place::Host, "pontoon0").up, "the host's interface is kept as well");
}

fn the_next_daemon_takes_over_and_configures_nothing_anew(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    assert_all_reach_each_other(lab, &["web", "db"]);
    let before = configuration(lab);
    lab.kill_daemon();
    lab.up();
    assert_eq!(configuration(lab), before);
    assert_eq!(lab.census().ports, ["db.eth0", "web.eth0"]);
    assert_all_reach_each_other(lab, &["web", "db"]);
    assert!(lab.ping(Place::Host, address("172.17.0.2"), 56), "the host reaches web");
    assert!(lab.ping(Place::In("db"), address("172.17.0.1"), 56), "db reaches the host");
    let transferred = lab.transfer(Place::In("web"), Place::In("db"), address("172.17.0.3"), 1_000_000);
    assert_eq!(transferred.received, transferred.sent);
    run(lab, Order::new("new"));
    assert_all_reach_each_other(lab, &["web", "db", "new"]);
}

fn an_open_connection_outlives_the_daemon(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let web = ip_of(lab, "web");
    let connection = lab.open(Place::In("db"), Place::In("web"), web);
    lab.write(connection, b"before");
    assert_eq!(lab.read(connection, 6), b"before");
    lab.kill_daemon();
    lab.write(connection, b"in between");
    lab.up();
    assert_eq!(lab.read(connection, 10), b"in between");
    lab.write(connection, b"after");
    assert_eq!(lab.read(connection, 5), b"after");
}

fn a_listener_outlives_the_daemon(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let web = ip_of(lab, "web");
    lab.listen(Place::In("web"), 8080).expect("listen in web");
    assert_eq!(lab.connect(Place::In("db"), web, 8080), Ok(()));
    lab.kill_daemon();
    lab.up();
    assert_eq!(lab.connect(Place::In("db"), web, 8080), Ok(()), "the listener is the same");
}

fn containers_that_end_without_a_daemon_are_settled_by_the_next(lab: &mut dyn Lab) {
    lab.up();
    let before = lab.census();
    run_all(lab, &["web", "db"]);
    run(lab, Order::new("temp").rm());
    lab.kill_daemon();
    lab.kill_command("web");
    lab.kill_shim("db");
    lab.kill_command("temp");
    lab.up();
    assert_eq!(names(lab, false), Vec::<String>::new());
    assert_eq!(names(lab, true), ["db", "web"]);
    assert_eq!(inspect(lab, "web").exit_status, Some(137));
    assert_eq!(inspect(lab, "db").exit_status, Some(137), "not known, as if killed");
    assert_eq!(lab.census(), before);
    run(lab, Order::new("next"));
    assert_eq!(ip_of(lab, "next"), address("172.17.0.2"));
    assert!(lab.ping(Place::Host, address("172.17.0.2"), 56));
}

fn joiners_and_others_are_taken_over_too(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    run(lab, Order::new("sidecar").network("container:web"));
    run(lab, Order::new("monitor").network("host"));
    run(lab, Order::new("vault").network("none"));
    run(lab, Order::new("shell").foreground());
    lab.kill_daemon();
    lab.up();
    assert_eq!(names(lab, false), ["monitor", "shell", "sidecar", "vault", "web"]);
    for container in ["monitor", "shell", "sidecar", "vault", "web"] {
        lab.stop(container, 10).unwrap_or_else(|refusal| panic!("stop {container}: {refusal:?}"));
    }
    assert_eq!(names(lab, false), Vec::<String>::new());
    assert_eq!(names(lab, true), ["monitor", "sidecar", "vault", "web"]);
    assert_eq!(inspect(lab, "sidecar").exit_status, Some(143));
}

fn a_killed_shim_frees_all_that_its_container_held(lab: &mut dyn Lab) {
    lab.up();
    let before = lab.census();
    run_all(lab, &["web"]);
    lab.kill_shim("web");
    lab.wait_ended("web");
    assert_eq!(lab.census(), before);
    assert_eq!(inspect(lab, "web").exit_status, Some(137));
    lab.rm("web", false).expect("rm web");
    run(lab, Order::new("web"));
    assert_eq!(ip_of(lab, "web"), address("172.17.0.2"));
    assert!(lab.ping(Place::Host, address("172.17.0.2"), 56));
}

fn a_killed_command_ends_its_container(lab: &mut dyn Lab) {
    lab.up();
    let before = lab.census();
    run_all(lab, &["web"]);
    run(lab, Order::new("stubborn").network("none").program(Program::IgnoreTerm));
    lab.kill_command("web");
    lab.kill_command("stubborn");
    lab.wait_ended("web");
    lab.wait_ended("stubborn");
    assert_eq!(lab.census(), before);
    assert_eq!(inspect(lab, "web").exit_status, Some(137));
    assert_eq!(inspect(lab, "stubborn").exit_status, Some(137));
}

fn a_daemon_can_be_killed_again_and_again(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let before = configuration(lab);
    for round in 0..3 {
        lab.kill_daemon();
        lab.up();
        run(lab, Order::new(&format!("c{round}")));
        assert_eq!(configuration(lab), before);
    }
    assert_all_reach_each_other(lab, &["web", "db", "c0", "c1", "c2"]);
}

fn a_container_outlives_its_record(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    run(lab, Order::new("job").program(Program::Exit(7)));
    lab.wait_ended("job");
    let before = configuration(lab);
    lab.kill_daemon();
    lab.spoil_records("container-");
    let warnings = lab.up_warned();
    let told = |what: &str| warnings.iter().filter(|warning| warning.contains(what)).count();
    assert_eq!((told("is corrupt"), told("it is kept as"), told("had no record; it is written anew")), (3, 3, 3));
    assert_eq!(configuration(lab), before);
    assert_eq!(names(lab, true), ["db", "job", "web"]);
    assert_eq!(inspect(lab, "job").exit_status, Some(7));
    assert_eq!(lab.run(Order::new("thief").ip("172.17.0.2")).expect_err("web has it").status, 125);
    assert_all_reach_each_other(lab, &["web", "db"]);
    lab.stop("web", 10).expect("stop web");
    lab.down();
    lab.up();
    assert_eq!(names(lab, true), ["db", "job", "web"]);
    assert_eq!(lab.census().ports, Vec::<String>::new());
}

fn the_networks_of_a_container_outlive_its_record(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    create(lab, NetworkOrder::new("red"));
    lab.connect_network("red", "web", None).expect("connect");
    lab.connect_network("red", "db", None).expect("connect");
    lab.disconnect_network("bridge", "web").expect("disconnect");
    let networks = |lab: &mut dyn Lab| ["web", "db"].map(|name| inspect(lab, name).networks);
    let before = networks(lab);
    assert_eq!(
        before.each_ref().map(|networks| networks.keys().map(String::as_str).collect::<Vec<_>>().join(" ")),
        ["red", "bridge red"]
    );
    lab.kill_daemon();
    lab.spoil_records("container-");
    assert_eq!(lab.up_warned().len(), 4);
    assert_eq!(networks(lab), before);
    // The address that it left is free, the one that it came to is not.
    run(lab, Order::new("next").ip("172.17.0.2"));
    assert_eq!(lab.run(Order::new("thief").network("red").ip("172.18.0.2")).expect_err("web has it").status, 125);
}

fn a_network_in_use_outlives_its_record(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let (before, networks) = (configuration(lab), lab.networks());
    lab.kill_daemon();
    lab.spoil_records("network-bridge");
    assert_eq!(lab.up_warned().len(), 2);
    assert_eq!(configuration(lab), before);
    assert_eq!(lab.networks(), networks);
    run(lab, Order::new("new"));
    assert_all_reach_each_other(lab, &["web", "db", "new"]);
    assert!(lab.ping(Place::In("new"), address("172.17.0.1"), 56), "the host is where it was");
}

fn a_killed_daemon_leaves_the_bridges_name(lab: &mut dyn Lab) {
    lab.up();
    for _ in 0..5 {
        // A container that has just ended is about to give back what it kept.
        assert_eq!(lab.run_to_end(Order::new("job").foreground().program(Program::Exit(0))), Ok(0));
        lab.kill_daemon();
        lab.up();
        let gateways: Vec<String> = lab.interfaces(Place::Host).into_iter().map(|own| own.name).collect();
        assert_eq!(gateways, ["lo", "pontoon0"]);
        assert_eq!(interface(lab, Place::Host, "pontoon0").ipv4, [crate::lab::prefix("172.17.0.1/16")]);
    }
}

fn the_hosts_interface_is_made_again_when_somebody_deletes_it(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    let before = interface(lab, Place::Host, "pontoon0");
    lab.delete_link(Place::Host, "pontoon0");
    lab.eventually("the host is on the bridge again", &mut |lab| {
        lab.interfaces(Place::Host).iter().any(|own| own.name == "pontoon0" && own.up)
    });
    let after = interface(lab, Place::Host, "pontoon0");
    assert_eq!((after.mac, after.ipv4), (before.mac, before.ipv4));
    lab.eventually("web reaches the host", &mut |lab| lab.ping(Place::In("web"), address("172.17.0.1"), 56));
    run_all(lab, &["db"]);
    assert_all_reach_each_other(lab, &["web", "db"]);
}

/// What would change if an interface were made or configured again.
fn configuration(lab: &mut dyn Lab) -> Vec<(u32, switch::mac::MacAddr, Vec<ipnet::Ipv4Net>)> {
    let places = [(Place::Host, "pontoon0"), (Place::In("web"), "eth0"), (Place::In("db"), "eth0")];
    let one = |(place, name)| {
        let own = interface(lab, place, name);
        (lab.ifindex(place, name), own.mac, own.ipv4)
    };
    places.into_iter().map(one).collect()
}
