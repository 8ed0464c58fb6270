//! What a container reads of names: its own host name, its addresses, its name servers.

use super::scenarios;
use crate::lab::{Lab, NetworkOrder, Order, create, run};

scenarios![
    a_container_on_the_default_network_has_the_hosts_name_servers,
    a_container_on_a_users_network_asks_the_gateway,
    what_a_container_reads_follows_its_networks,
    a_joiner_reads_what_its_target_reads,
];

const HOSTS: &str = "127.0.0.1\tlocalhost\n";

fn a_container_on_the_default_network_has_the_hosts_name_servers(lab: &mut dyn Lab) {
    lab.host_resolv_conf("# the host's\nnameserver 127.0.0.53\nnameserver 10.0.0.53\nsearch example.org\n");
    lab.up();
    run(lab, Order::new("web").hostname("web.example.org"));
    let [resolv, hosts, hostname] = lab.etc("web");
    assert!(resolv.contains("nameserver 10.0.0.53\n") && resolv.contains("search example.org\n"), "{resolv}");
    assert!(!resolv.contains("127.0.0.53"), "{resolv}");
    assert_eq!(hosts, format!("{HOSTS}172.17.0.2\tweb.example.org web\n"));
    assert_eq!(hostname, "web.example.org\n");
    run(lab, Order::new("other").dns("10.9.9.9").dns("10.9.9.8"));
    let [resolv, ..] = lab.etc("other");
    assert!(resolv.contains("nameserver 10.9.9.9\nnameserver 10.9.9.8\n") && !resolv.contains("10.0.0.53"), "{resolv}");
}

fn a_container_on_a_users_network_asks_the_gateway(lab: &mut dyn Lab) {
    lab.host_resolv_conf("nameserver 10.0.0.53\nsearch example.org\n");
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web").network("red").dns("10.9.9.9"));
    let [resolv, ..] = lab.etc("web");
    assert_eq!(resolv, "nameserver 172.18.0.1\nsearch example.org\noptions ndots:0\n");
}

fn what_a_container_reads_follows_its_networks(lab: &mut dyn Lab) {
    lab.host_resolv_conf("nameserver 10.0.0.53\n");
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web").hostname("web"));
    let before = lab.etc("web");
    assert!(before[0].contains("10.0.0.53"), "{before:?}");
    lab.connect_network("red", "web", None).expect("connect");
    let [resolv, hosts, _] = lab.etc("web");
    assert!(resolv.starts_with("nameserver 172.18.0.1\n"), "{resolv}");
    assert_eq!(hosts, format!("{HOSTS}172.17.0.2\tweb\n172.18.0.2\tweb\n"));
    lab.disconnect_network("red", "web").expect("disconnect");
    assert_eq!(lab.etc("web"), before);
    lab.disconnect_network("bridge", "web").expect("disconnect");
    assert_eq!(lab.etc("web")[1], HOSTS);
    run(lab, Order::new("vault").network("none").hostname("vault"));
    let [_, hosts, hostname] = lab.etc("vault");
    assert_eq!((hosts.as_str(), hostname.as_str()), (HOSTS, "vault\n"));
}

fn a_joiner_reads_what_its_target_reads(lab: &mut dyn Lab) {
    lab.host_resolv_conf("nameserver 10.0.0.53\n");
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web").network("red").hostname("web"));
    run(lab, Order::new("sidecar").network("container:web"));
    assert_eq!(lab.etc("sidecar"), lab.etc("web"));
    lab.connect_network("bridge", "web", None).expect("connect");
    assert_eq!(lab.etc("sidecar"), lab.etc("web"));
    assert!(lab.etc("sidecar")[1].contains("172.17.0.2"));
}
