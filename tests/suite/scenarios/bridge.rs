//! Mode bridge: what a container sees, whom it reaches, and which address it has.

use std::collections::BTreeSet;

use super::scenarios;
use crate::lab::{
    Lab, Order, Place, Program, address, assert_all_reach_each_other, interface, ip_of, mac_of, prefix, run, run_all,
    station,
};

scenarios![
    an_address_is_reached_at_once_although_another_station_had_it,
    a_container_sees_lo_and_eth0_and_nothing_else,
    a_container_has_a_default_route_by_the_gateway,
    counters_move_as_traffic_flows,
    there_is_no_ipv6_in_a_container,
    containers_reach_each_other_and_the_host,
    a_datagram_arrives_as_it_was_sent,
    a_port_where_nobody_listens_refuses,
    a_container_has_a_host_name_of_its_own,
    address_and_mac_are_had_as_asked,
    an_mtu_is_had_as_asked,
    no_address_is_handed_out_twice,
    an_address_is_free_in_the_moment_of_the_end,
    a_port_number_is_not_used_again_at_once,
    stations_are_learned_and_leave_with_their_container,
    an_interface_that_was_switched_off_works_again_when_switched_on,
];

fn a_container_sees_lo_and_eth0_and_nothing_else(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web"));
    let seen = lab.interfaces(Place::In("web"));
    let names: BTreeSet<&str> = seen.iter().map(|own| own.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["eth0", "lo"]));
    let lo = interface(lab, Place::In("web"), "lo");
    assert_eq!((lo.ipv4, lo.mtu, lo.up), (vec![prefix("127.0.0.1/8")], 65_536, true));
    let eth0 = interface(lab, Place::In("web"), "eth0");
    assert_eq!((eth0.mtu, eth0.up), (1500, true));
    assert_eq!(eth0.ipv4, [prefix("172.17.0.2/16")]);
    assert_eq!(eth0.ipv4[0].broadcast(), address("172.17.255.255"));
    assert_eq!(eth0.ipv4[0].netmask(), address("255.255.0.0"));
    assert_eq!(eth0.mac, station("02:42:ac:11:00:02"));
}

fn a_container_has_a_default_route_by_the_gateway(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web"));
    assert_eq!(lab.default_route(Place::In("web")), Some(address("172.17.0.1")));
}

fn counters_move_as_traffic_flows(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    let before = interface(lab, Place::In("web"), "eth0");
    assert!(lab.ping(Place::In("web"), db, 1000));
    let after = interface(lab, Place::In("web"), "eth0");
    assert!(after.tx_packets > before.tx_packets && after.rx_packets > before.rx_packets, "{before:?} {after:?}");
    assert!(
        after.tx_bytes >= before.tx_bytes + 1042 && after.rx_bytes >= before.rx_bytes + 1042,
        "{before:?} {after:?}"
    );
    let before = interface(lab, Place::In("web"), "lo");
    assert!(lab.ping(Place::In("web"), address("127.0.0.1"), 1000));
    let after = interface(lab, Place::In("web"), "lo");
    assert_eq!((after.tx_packets, after.rx_packets), (before.tx_packets + 2, before.rx_packets + 2));
    // On lo, Linux counts packets without an Ethernet header.
    assert_eq!((after.tx_bytes, after.rx_bytes), (before.tx_bytes + 2056, before.rx_bytes + 2056));
}

fn there_is_no_ipv6_in_a_container(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web"));
    run(lab, Order::new("vault").network("none"));
    for container in ["web", "vault"] {
        for own in lab.interfaces(Place::In(container)) {
            assert_eq!(own.ipv6_count, 0, "{container}: {own:?}");
        }
    }
}

fn containers_reach_each_other_and_the_host(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db", "cache"]);
    assert_all_reach_each_other(lab, &["web", "db", "cache"]);
    assert!(lab.ping(Place::In("web"), address("172.17.0.1"), 56), "the host from a container");
    let web = ip_of(lab, "web");
    assert!(lab.ping(Place::Host, web, 56), "a container from the host");
    lab.listen(Place::In("web"), 8080).expect("listen in web");
    lab.listen(Place::Host, 8081).expect("listen on the host");
    assert_eq!(lab.connect(Place::In("db"), web, 8080), Ok(()));
    assert_eq!(lab.connect(Place::Host, web, 8080), Ok(()));
    assert_eq!(lab.connect(Place::In("db"), address("172.17.0.1"), 8081), Ok(()));
}

fn a_datagram_arrives_as_it_was_sent(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let payload = crate::frames::pattern(1472);
    let (web, gateway) = (ip_of(lab, "web"), address("172.17.0.1"));
    assert_eq!(lab.udp(Place::In("db"), Place::In("web"), web, &payload), payload);
    assert_eq!(lab.udp(Place::In("db"), Place::Host, gateway, &payload), payload);
}

fn a_port_where_nobody_listens_refuses(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let web = ip_of(lab, "web");
    assert_eq!(lab.connect(Place::In("db"), web, 8080), Err(crate::lab::NetError::Refused));
}

fn a_container_has_a_host_name_of_its_own(lab: &mut dyn Lab) {
    lab.up();
    let id = run(lab, Order::new("web"));
    run(lab, Order::new("db").hostname("db-1.example"));
    assert_eq!(lab.hostname("web"), id[..12]);
    assert_eq!(lab.hostname("db"), "db-1.example");
}

fn address_and_mac_are_had_as_asked(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web").ip("172.17.200.7"));
    run(lab, Order::new("db").mac("02:00:00:00:00:07"));
    run(lab, Order::new("cache").ip("172.17.200.8").mac("02:00:00:00:00:08"));
    let web = interface(lab, Place::In("web"), "eth0");
    assert_eq!((web.ipv4[0], web.mac), (prefix("172.17.200.7/16"), station("02:42:ac:11:c8:07")));
    let db = interface(lab, Place::In("db"), "eth0");
    assert_eq!((db.ipv4[0], db.mac), (prefix("172.17.0.2/16"), station("02:00:00:00:00:07")));
    let cache = interface(lab, Place::In("cache"), "eth0");
    assert_eq!((cache.ipv4[0], cache.mac), (prefix("172.17.200.8/16"), station("02:00:00:00:00:08")));
    assert_all_reach_each_other(lab, &["web", "db", "cache"]);
}

fn an_mtu_is_had_as_asked(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("small").mtu(68));
    run(lab, Order::new("jumbo").mtu(9000));
    run(lab, Order::new("huge").mtu(65_521));
    for (container, mtu) in [("small", 68), ("jumbo", 9000), ("huge", 65_521)] {
        assert_eq!(interface(lab, Place::In(container), "eth0").mtu, mtu);
    }
    let jumbo = ip_of(lab, "jumbo");
    assert!(lab.ping(Place::In("huge"), jumbo, 8972), "a packet of exactly the smaller MTU");
}

fn no_address_is_handed_out_twice(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b"]);
    run(lab, Order::new("c").ip("172.17.0.4"));
    lab.kill_daemon();
    lab.up();
    run_all(lab, &["d", "e"]);
    let all: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|name| ip_of(lab, name).to_string()).collect();
    assert_eq!(all, ["172.17.0.2", "172.17.0.3", "172.17.0.4", "172.17.0.5", "172.17.0.6"]);
    let macs: BTreeSet<_> = ["a", "b", "c", "d", "e"].iter().map(|name| mac_of(lab, name)).collect();
    assert_eq!(macs.len(), 5);
}

fn an_address_is_free_in_the_moment_of_the_end(lab: &mut dyn Lab) {
    lab.up();
    let take = |lab: &mut dyn Lab, name: &str| run(lab, Order::new(name).ip("172.17.9.9").mac("02:00:00:00:09:09"));
    take(lab, "first");
    lab.stop("first", 10).expect("stop");
    take(lab, "second");
    lab.kill("second", 9).expect("kill");
    take(lab, "third");
    lab.kill_shim("third");
    lab.wait_ended("third");
    take(lab, "fourth");
    lab.kill_command("fourth");
    lab.wait_ended("fourth");
    take(lab, "fifth");
    lab.rm("fifth", true).expect("rm -f");
    let short = Order::nameless().ip("172.17.9.9").foreground().program(Program::Exit(0));
    assert_eq!(lab.run_to_end(short.clone()), Ok(0));
    assert_eq!(lab.run_to_end(short), Ok(0));
    take(lab, "last");
    assert_eq!(ip_of(lab, "last"), address("172.17.9.9"));
    assert!(lab.ping(Place::Host, address("172.17.9.9"), 56));
}

fn a_port_number_is_not_used_again_at_once(lab: &mut dyn Lab) {
    lab.up();
    let mut seen = BTreeSet::new();
    for name in ["a", "b", "c"] {
        run(lab, Order::new(name));
        let ports: Vec<_> = lab.statistics().into_iter().flat_map(|bridge| bridge.ports).collect();
        let own = ports.iter().find(|port| port.name == format!("{name}.eth0")).expect("it has a port");
        assert!(seen.insert(own.port), "{name} has the number of a port that has just gone: {seen:?}");
        lab.rm(name, true).expect("rm -f");
    }
}

fn stations_are_learned_and_leave_with_their_container(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let (web, db_ip) = (mac_of(lab, "web"), ip_of(lab, "db"));
    assert!(lab.ping(Place::In("web"), db_ip, 56));
    let behind = |lab: &mut dyn Lab| -> Vec<String> {
        lab.fdb().into_iter().filter(|row| !row.is_permanent).map(|row| format!("{} {}", row.mac, row.port)).collect()
    };
    assert_eq!(behind(lab), ["02:42:ac:11:00:02 web.eth0", "02:42:ac:11:00:03 db.eth0"]);
    let own = lab.fdb().into_iter().filter(|row| row.is_permanent).collect::<Vec<_>>();
    assert_eq!(own.len(), 1, "the bridge's own address");
    assert_eq!(own[0].mac, interface(lab, Place::Host, "pontoon0").mac);
    lab.stop("web", 10).expect("stop web");
    assert_eq!(behind(lab), ["02:42:ac:11:00:03 db.eth0"]);
    assert!(lab.fdb().iter().all(|row| row.mac != web));
}

fn an_interface_that_was_switched_off_works_again_when_switched_on(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    lab.set_link(Place::In("db"), "eth0", false);
    assert!(!lab.ping(Place::In("web"), db, 56));
    assert!(!interface(lab, Place::In("db"), "eth0").up);
    lab.set_link(Place::In("db"), "eth0", true);
    lab.eventually("db answers again", &mut |lab| lab.ping(Place::In("web"), db, 56));
}

fn an_address_is_reached_at_once_although_another_station_had_it(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["first", "second"]);
    run(lab, Order::new("old").ip("172.17.9.9").mac("02:00:00:00:00:77"));
    for place in [Place::Host, Place::In("first"), Place::In("second")] {
        assert!(lab.ping(place, address("172.17.9.9"), 56));
    }
    lab.stop("old", 0).expect("stop old");
    run(lab, Order::new("new").ip("172.17.9.9"));
    // What is on its way arrives meanwhile.
    assert!(!lab.ping(Place::Host, address("172.17.200.200"), 56), "nobody has this");
    // (One echo request each, answered within seconds: what they know of the old station would hold for longer.)
    for place in [Place::Host, Place::In("first"), Place::In("second")] {
        assert!(lab.ping(place, address("172.17.9.9"), 56), "{place:?}");
    }
}
