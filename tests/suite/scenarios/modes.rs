//! Modes host, container: and none.

use netns::interface::InterfaceInfo;

use super::scenarios;
use crate::lab::{
    Lab, NetError, Order, Place, address, counters, inspect, interface, ip_of, ports, prefix, run, run_all, station,
};

scenarios![
    a_host_container_sees_every_interface_of_the_host,
    a_port_that_is_taken_on_the_host_is_taken_for_a_host_container,
    not_one_frame_of_a_host_container_passes_the_switch,
    a_joiner_shares_everything_of_the_namespace,
    a_joiner_outlives_the_first_and_keeps_lo,
    a_joiner_of_a_joiner_is_in_the_same_namespace,
    a_joiner_of_a_host_container_is_on_the_host,
    a_none_container_has_lo_and_nothing_else,
    nothing_gets_in_or_out_of_a_none_container,
    a_none_container_can_be_configured_by_hand,
];

fn a_host_container_sees_every_interface_of_the_host(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    run(lab, Order::new("monitor").network("host"));
    assert_eq!(identity(lab.interfaces(Place::In("monitor"))), identity(lab.interfaces(Place::Host)));
    assert_eq!(interface(lab, Place::In("monitor"), "pontoon0").ipv4, [prefix("172.17.0.1/16")]);
    assert_eq!(ports(lab), ["web.eth0"], "a host container has no port");
    assert!(inspect(lab, "monitor").networks.is_empty());
}

fn a_port_that_is_taken_on_the_host_is_taken_for_a_host_container(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("monitor").network("host"));
    run_all(lab, &["web"]);
    let listener = lab.listen(Place::Host, 8080).expect("the port is free");
    assert_eq!(lab.listen(Place::In("monitor"), 8080), Err(NetError::AddressInUse));
    lab.listen(Place::In("web"), 8080).expect("web has ports of its own");
    lab.close(listener);
    lab.listen(Place::In("monitor"), 8080).expect("the port is free again");
    assert_eq!(lab.listen(Place::Host, 8080), Err(NetError::AddressInUse));
}

fn not_one_frame_of_a_host_container_passes_the_switch(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("one").network("host"));
    run(lab, Order::new("two").network("host"));
    let before = lab.statistics();
    let sent = lab.transfer(Place::In("one"), Place::In("two"), address("172.17.0.1"), 100_000);
    assert_eq!(sent.sent, sent.received);
    assert!(lab.ping(Place::In("one"), address("172.17.0.1"), 56));
    assert_eq!(lab.statistics(), before);
}

fn a_joiner_shares_everything_of_the_namespace(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let id = inspect(lab, "web").id;
    run(lab, Order::new("sidecar").network("container:web"));
    run(lab, Order::new("by-id").network(&format!("container:{}", &id[..12])));
    for joiner in ["sidecar", "by-id"] {
        assert_eq!(identity(lab.interfaces(Place::In(joiner))), identity(lab.interfaces(Place::In("web"))));
    }
    assert_eq!(ports(lab), ["web.eth0", "db.eth0"], "a joiner has no port of its own");
    assert!(inspect(lab, "sidecar").networks.is_empty());
    assert_eq!(lab.hostname("sidecar"), lab.hostname("web"));
    lab.listen(Place::In("web"), 8080).expect("listen in web");
    assert_eq!(lab.listen(Place::In("sidecar"), 8080), Err(NetError::AddressInUse));
    assert_eq!(lab.connect(Place::In("sidecar"), address("127.0.0.1"), 8080), Ok(()), "localhost is shared");
    lab.listen(Place::In("sidecar"), 8081).expect("listen in sidecar");
    let web = ip_of(lab, "web");
    assert_eq!(lab.connect(Place::In("db"), web, 8081), Ok(()), "web's address is sidecar's");
}

fn a_joiner_outlives_the_first_and_keeps_lo(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    run(lab, Order::new("sidecar").network("container:web"));
    lab.stop("web", 10).expect("stop web");
    assert_eq!(inspect(lab, "sidecar").state, "running");
    let left: Vec<String> = lab.interfaces(Place::In("sidecar")).into_iter().map(|own| own.name).collect();
    assert_eq!(left, ["lo"]);
    assert!(lab.ping(Place::In("sidecar"), address("127.0.0.1"), 56));
    assert_eq!(ports(lab), Vec::<String>::new());
    run(lab, Order::new("next"));
    assert_eq!(ip_of(lab, "next"), address("172.17.0.2"), "the address that web had");
    assert!(lab.ping(Place::Host, address("172.17.0.2"), 56));
}

fn a_joiner_of_a_joiner_is_in_the_same_namespace(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    run(lab, Order::new("second").network("container:web"));
    run(lab, Order::new("third").network("container:second"));
    lab.listen(Place::In("web"), 8080).expect("listen in web");
    assert_eq!(lab.connect(Place::In("third"), address("127.0.0.1"), 8080), Ok(()));
    lab.rm("web", true).expect("rm -f web");
    run(lab, Order::new("fourth").network("container:third"));
    lab.listen(Place::In("second"), 8081).expect("listen in second");
    assert_eq!(lab.connect(Place::In("fourth"), address("127.0.0.1"), 8081), Ok(()));
}

fn a_joiner_of_a_host_container_is_on_the_host(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("monitor").network("host"));
    run(lab, Order::new("joiner").network("container:monitor"));
    assert_eq!(identity(lab.interfaces(Place::In("joiner"))), identity(lab.interfaces(Place::Host)));
}

fn a_none_container_has_lo_and_nothing_else(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("vault").network("none"));
    let seen = lab.interfaces(Place::In("vault"));
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].name.as_str(), seen[0].up, seen[0].mtu), ("lo", true, 65_536));
    assert_eq!(seen[0].ipv4, [prefix("127.0.0.1/8")]);
    assert_eq!(lab.default_route(Place::In("vault")), None);
    assert_eq!(ports(lab), Vec::<String>::new());
}

fn nothing_gets_in_or_out_of_a_none_container(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    run(lab, Order::new("vault").network("none"));
    let web = ip_of(lab, "web");
    lab.listen(Place::In("web"), 8080).expect("listen in web");
    let before = counters(lab, "web.eth0");
    assert_eq!(lab.connect(Place::In("vault"), web, 8080), Err(NetError::Unreachable));
    assert_eq!(lab.connect(Place::In("vault"), address("172.17.0.1"), 8080), Err(NetError::Unreachable));
    assert_eq!(counters(lab, "web.eth0").tx, before.tx);
    assert!(lab.ping(Place::In("vault"), address("127.0.0.1"), 56), "but lo works");
}

fn a_none_container_can_be_configured_by_hand(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("vault").network("none"));
    lab.add_address(Place::In("vault"), "lo", prefix("10.1.2.3/32").into());
    assert!(lab.ping(Place::In("vault"), address("10.1.2.3"), 56));
    lab.add_dummy(Place::In("vault"), "dummy0", station("02:00:00:00:00:01"), prefix("10.9.0.1/24"));
    let dummy = interface(lab, Place::In("vault"), "dummy0");
    assert_eq!((dummy.ipv4, dummy.up), (vec![prefix("10.9.0.1/24")], true));
    assert!(lab.ping(Place::In("vault"), address("10.9.0.1"), 56));
}

/// What does not change by being looked at: all but the counters.
fn identity(mut interfaces: Vec<InterfaceInfo>) -> Vec<InterfaceInfo> {
    for own in &mut interfaces {
        for counter in [
            &mut own.rx_packets,
            &mut own.rx_bytes,
            &mut own.rx_dropped,
            &mut own.tx_packets,
            &mut own.tx_bytes,
            &mut own.tx_dropped,
        ] {
            *counter = 0;
        }
    }
    interfaces
}
