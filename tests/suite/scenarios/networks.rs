//! Listing networks, and which subnet the default one gets.

use netns::lease::mac_of;

use super::scenarios;
use crate::lab::{Lab, Order, Place, address, interface, ip_of, ports, prefix, run, run_all};

scenarios![
    three_networks_exist_from_the_start,
    the_ids_of_networks_outlive_the_daemon,
    a_bridge_has_no_ports_before_any_container,
    a_containers_port_is_listed_under_its_bridge,
    the_host_holds_the_gateways_address,
    the_first_pool_that_the_host_does_not_use_is_taken,
    a_network_keeps_its_subnet_while_it_is_free,
];

fn three_networks_exist_from_the_start(lab: &mut dyn Lab) {
    lab.up();
    let networks = lab.networks();
    let rows: Vec<_> = networks.iter().map(|it| (it.name.as_str(), it.driver.as_str(), it.scope.as_str())).collect();
    assert_eq!(rows, [("bridge", "bridge", "local"), ("host", "host", "local"), ("none", "null", "local")]);
    for network in &networks {
        assert_eq!(network.id.len(), 64, "{network:?}");
        assert!(network.id.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f')), "{network:?}");
    }
}

fn the_ids_of_networks_outlive_the_daemon(lab: &mut dyn Lab) {
    lab.up();
    let before = lab.networks();
    lab.kill_daemon();
    lab.up();
    assert_eq!(lab.networks(), before, "after kill -9");
    lab.down();
    lab.up();
    assert_eq!(lab.networks(), before, "after down and up");
}

fn a_bridge_has_no_ports_before_any_container(lab: &mut dyn Lab) {
    lab.up();
    let bridges = lab.bridges();
    let gateway = interface(lab, Place::Host, "pontoon0");
    assert_eq!(bridges.len(), 1);
    assert_eq!(bridges[0].name, "pontoon0");
    assert_eq!(bridges[0].id, format!("8000.{}", gateway.mac.to_string().replace(':', "")));
    assert!(bridges[0].id.starts_with("8000.0242"), "{bridges:?}");
    assert_eq!(bridges[0].interfaces, Vec::<String>::new());
}

fn a_containers_port_is_listed_under_its_bridge(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    assert_eq!(ports(lab), ["web.eth0", "db.eth0"]);
    lab.stop("web", 10).expect("stop web");
    assert_eq!(ports(lab), ["db.eth0"]);
}

fn the_host_holds_the_gateways_address(lab: &mut dyn Lab) {
    lab.up();
    let gateway = interface(lab, Place::Host, "pontoon0");
    assert_eq!(gateway.ipv4, [prefix("172.17.0.1/16")]);
    assert_eq!(gateway.mtu, 1500);
    assert!(gateway.up);
    assert_eq!(gateway.ipv6_count, 0);
    assert_eq!(gateway.mac.0[..2], [0x02, 0x42]);
    assert!(lab.ping(Place::Host, address("172.17.0.1"), 56));
}

fn the_first_pool_that_the_host_does_not_use_is_taken(lab: &mut dyn Lab) {
    lab.host_address(prefix("172.17.64.1/20"));
    lab.up();
    run(lab, Order::new("web"));
    assert_eq!(interface(lab, Place::Host, "pontoon0").ipv4, [prefix("172.18.0.1/16")]);
    let eth0 = interface(lab, Place::In("web"), "eth0");
    assert_eq!(eth0.ipv4, [prefix("172.18.0.2/16")]);
    assert_eq!(eth0.ipv4[0].broadcast(), address("172.18.255.255"));
    assert_eq!(eth0.mac, mac_of(address("172.18.0.2")));
    assert_eq!(eth0.mac.to_string(), "02:42:ac:12:00:02");
    assert_eq!(lab.default_route(Place::In("web")), Some(address("172.18.0.1")));
}

fn a_network_keeps_its_subnet_while_it_is_free(lab: &mut dyn Lab) {
    lab.up();
    lab.down();
    lab.host_address(prefix("172.17.64.1/20"));
    lab.up();
    let moved = interface(lab, Place::Host, "pontoon0").ipv4;
    assert_eq!(moved, [prefix("172.18.0.1/16")], "the host has taken the old one meanwhile");
    lab.down();
    lab.up();
    run(lab, Order::new("web"));
    assert_eq!(ip_of(lab, "web"), address("172.18.0.2"));
}
