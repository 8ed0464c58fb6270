//! Podman's containers on the network that we ship for it.

use super::cases;
use crate::host::{Host, IMAGE, fetched};

cases![
    a_container_sees_what_it_sees_on_podmans_own_bridge,
    containers_reach_one_another_the_host_and_the_world,
    options_are_kept,
    ten_containers_start_at_once,
    an_interface_outlives_our_daemon,
];

const OURS: &str = "--network=pontoon";

fn a_container_sees_what_it_sees_on_podmans_own_bridge(host: &mut Host) {
    let podman = &host.podman;
    for view in ["ls /sys/class/net", "ip route | sed 's/10[0-9./]*/A/g'", "ip -4 address show dev eth0 | grep -c brd"]
    {
        let seen = |network: &str| podman.does(&["run", "--rm", network, IMAGE, "sh", "-c", view]);
        assert_eq!(seen(OURS), seen("--network=podman"), "{view}");
    }
    let seen = podman.does(&["run", "--rm", OURS, IMAGE, "sh", "-c", "ip route; cat /sys/class/net/eth0/mtu"]);
    assert_eq!(seen, "default via 10.89.128.1 dev eth0 \n10.89.128.0/20 dev eth0 scope link  src 10.89.128.2 \n1500");
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
    podman.serves("web", &[OURS, "--ip=10.89.130.7", "--mac-address=02:00:00:00:77:77"]);
    let seen =
        podman.inside("web", "cat /sys/class/net/eth0/address; ip -4 address show dev eth0 | grep -o 'inet [^ ]*'");
    assert_eq!(seen, "02:00:00:00:77:77\ninet 10.89.130.7/20");
    let taken = podman.refuses(&["run", "--rm", OURS, "--ip=10.89.130.7", IMAGE, "true"]);
    assert!(taken.contains("10.89.130.7"), "{taken}");
    // A pod is one sandbox for several.
    podman.does(&["run", "--detach", "--network=container:web", "--name=second", IMAGE, "sleep", "1000000"]);
    assert_eq!(podman.asks("second", "127.0.0.1"), "web");
    podman.does(&["rm", "--force", "--time", "0", "second"]);
}

fn ten_containers_start_at_once(host: &mut Host) {
    let podman = &host.podman;
    let started: Vec<_> = (0..10)
        .map(|_| {
            let mut command = podman.command(&["run", "--rm", OURS, IMAGE, "sh", "-c", "hostname -i; sleep 3"]);
            command
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("run podman")
        })
        .collect();
    let mut addresses = std::collections::BTreeSet::new();
    for client in started {
        let said = client.wait_with_output().expect("wait for podman");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        addresses.insert(String::from_utf8_lossy(&said.stdout).into_owned());
    }
    assert_eq!(addresses.len(), 10, "{addresses:?}");
}

fn an_interface_outlives_our_daemon(host: &mut Host) {
    host.podman.serves("web", &[OURS, "-p", "8080:80"]);
    host.podman.serves("client", &[OURS]);
    let before = host.podman.inside("web", "cat /sys/class/net/eth0/ifindex; ip -4 address show dev eth0");
    host.pontoon.kill();
    host.pontoon.start_again();
    assert_eq!(host.podman.inside("web", "cat /sys/class/net/eth0/ifindex; ip -4 address show dev eth0"), before);
    assert_eq!(host.podman.asks("client", "10.89.128.2"), "web");
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
}
