//! Podman's containers on the network that we ship for it.

use super::cases;
use crate::host::{Host, IMAGE, fetched};

cases![
    a_container_sees_what_it_sees_on_podmans_own_bridge,
    containers_reach_one_another_the_host_and_the_world,
    options_are_kept,
];

pub const OURS: &str = "--network=pontoon";
const THEIRS: &str = "--network=podman";

/// What a container sees of its network on Podman's own bridge and sees on ours, but for the addresses.
const VIEWS: [&str; 6] = [
    "ls /sys/class/net",
    "ip route | sed 's/10[0-9./]*/A/g'",
    "ip -4 address show dev eth0 | grep -c brd",
    "cat /sys/class/net/eth0/mtu",
    "hostname",
    "grep -v host.containers.internal /etc/hosts | sed 's/^10[0-9./]*/A/'",
];

fn a_container_sees_what_it_sees_on_podmans_own_bridge(host: &mut Host) {
    let podman = &host.podman;
    let script = VIEWS.map(|view| format!("echo '# {}'; {view}", view.replace('\'', ""))).join("; ");
    let seen = |network: &str, script: &str| {
        podman.does(&["run", "--rm", "--hostname=web", "--name=web", network, IMAGE, "sh", "-c", script])
    };
    assert_eq!(seen(OURS, &script), seen(THEIRS, &script));
    let routes = "default via 10.89.128.1 dev eth0 \n10.89.128.0/20 dev eth0 scope link  src 10.89.128.2";
    assert_eq!(seen(OURS, "ip route"), routes);
    // The names of containers are ours to answer; Podman's own bridge knows none.
    let resolver = "cat /etc/resolv.conf";
    assert_eq!(seen(OURS, resolver), format!("nameserver 10.89.128.1\n{}", seen(THEIRS, resolver)));
}

fn containers_reach_one_another_the_host_and_the_world(host: &mut Host) {
    let podman = &host.podman;
    podman.serves("web", &[OURS, "-p", "8080:80"]);
    podman.serves("client", &[OURS]);
    assert_eq!(podman.asks("client", "10.89.128.2"), "web");
    assert_eq!(podman.asks("client", "198.51.100.2"), "you are 198.51.100.1");
    assert_eq!(podman.asks("client", "outside.example"), "you are 198.51.100.1");
    assert_eq!(fetched("10.89.128.2").as_deref(), Some("web"));
    for address in ["127.0.0.1", "198.51.100.1"] {
        assert_eq!(fetched(&format!("{address}:8080")).as_deref(), Some("web"), "{address}");
    }
    assert_eq!(host.outside.runs(&["timeout", "5", "busybox", "wget", "-qO-", "http://198.51.100.1:8080/"]), "web");
    podman.does(&["rm", "--force", "--time", "0", "web"]);
    drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
}

fn options_are_kept(host: &mut Host) {
    let podman = &host.podman;
    let options =
        ["--ip=10.89.130.7", "--mac-address=02:00:00:00:77:77", "--network-alias=store", "-p=127.0.0.1:8081:80"];
    podman.serves("web", &[&[OURS][..], &options].concat());
    let seen =
        podman.inside("web", "cat /sys/class/net/eth0/address; ip -4 address show dev eth0 | grep -o 'inet [^ ]*'");
    assert_eq!(seen, "02:00:00:00:77:77\ninet 10.89.130.7/20");
    let of_network = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}} {{.Gateway}}{{end}}";
    let inspected = podman.does(&["inspect", "--format", of_network, "web"]);
    assert_eq!(inspected, "10.89.130.7 02:00:00:00:77:77 10.89.128.1");
    assert_eq!(podman.does(&["port", "web"]), "80/tcp -> 127.0.0.1:8081");
    assert_eq!(fetched("127.0.0.1:8081").as_deref(), Some("web"));
    let taken = podman.refuses(&["run", "--rm", OURS, "--ip=10.89.130.7", IMAGE, "true"]);
    assert!(taken.contains("address 10.89.130.7 is in use by another container"), "{taken}");
    podman.starts("client", &[OURS]);
    for whom in ["web", "store"] {
        assert_eq!(podman.asks("client", whom), "web");
    }
    podman.starts("second", &["--network=container:web"]);
    assert_eq!(podman.asks("second", "127.0.0.1"), "web");
    podman.does(&["rm", "--force", "--time", "0", "second"]);
}
