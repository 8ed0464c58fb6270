//! What Docker's users see on Docker's own bridge, and see on ours.

use super::cases;
use crate::docker::Docker;
use crate::host::{Host, IMAGE, fetched, shell};

cases![
    a_container_sees_what_it_sees_on_dockers_own_bridge,
    two_containers_reach_one_another_by_address_and_by_name,
    a_container_reaches_the_host_and_what_is_behind_it,
    networks_are_isolated_from_one_another,
    other_modes_are_what_they_were,
];

/// What a container sees of its network, each with what `normal` leaves of it.
const VIEWS: [&str; 8] = [
    "ifconfig",
    "ip -4 address show dev eth0",
    "ip route",
    "cat /etc/resolv.conf",
    "cat /etc/hosts",
    "ls /sys/class/net",
    "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
    "arp -n",
];

fn a_container_sees_what_it_sees_on_dockers_own_bridge(host: &mut Host) {
    let docker = &host.docker;
    docker.does(&["network", "create", "--subnet", "10.70.0.0/16", "theirs"]);
    docker.create(&["--subnet", "10.71.0.0/16"], "ours");
    for view in VIEWS {
        let seen = |network: &str| {
            let container = ["run", "--rm", "--hostname", "web", "--network", network, IMAGE];
            normal(&docker.does(&[&container[..], &["sh", "-c", view]].concat()))
        };
        assert_eq!(seen("ours"), seen("theirs"), "{view}");
    }
    let [ifconfig, route] = ["ifconfig", "ip route"].map(|view| {
        docker.does(&[&["run", "--rm", "--network", "ours", IMAGE], &view.split(' ').collect::<Vec<_>>()[..]].concat())
    });
    let expected = "eth0      Link encap:Ethernet  HWaddr 02:42:0A:47:00:02  \n          \
                    inet addr:10.71.0.2  Bcast:10.71.255.255  Mask:255.255.0.0\n          \
                    UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1\n";
    assert!(ifconfig.starts_with(expected), "{ifconfig}");
    assert_eq!(route, "default via 10.71.0.1 dev eth0 \n10.71.0.0/16 dev eth0 scope link  src 10.71.0.2");
}

/// Without what may differ between two networks: their number, counters, the length of a queue, and an interface's index and
/// kind.
fn normal(view: &str) -> String {
    let view = view.replace("10.70.", "10.7x.").replace("10.71.", "10.7x.");
    let view = view.replace(":0A:46:", ":0A:4x:").replace(":0A:47:", ":0A:4x:");
    let is_counter =
        |line: &&str| ["RX ", "TX ", "collisions:"].iter().any(|start| line.trim_start().starts_with(start));
    let without_index = |line: &str| match line.split_once(": eth0") {
        Some((_, rest)) => format!("eth0{}", rest.trim_start_matches(|each: char| each != ':')),
        None => line.to_owned(),
    };
    // (`M-DOWN` is said of the end of a pair.)
    let without_queue = |line: &str| line.split(" qdisc ").next().unwrap_or(line).replace(",M-DOWN", "");
    let lines = view.lines().filter(|line| !is_counter(line)).map(|line| without_queue(&without_index(line)));
    lines.collect::<Vec<_>>().join("\n")
}

fn two_containers_reach_one_another_by_address_and_by_name(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&[], "ours");
    docker.serves("web", &["--network", "ours", "--network-alias", "www", "--hostname", "first"]);
    docker.starts("client", &["--network", "ours"]);
    let address = docker.address("web");
    for whom in ["web", "www", address.as_str(), "web.ours"] {
        assert_eq!(docker.asks("client", whom), "web", "{whom}");
        assert!(docker.reaches("client", whom), "{whom}");
    }
    let asked = docker.inside("client", "cat /etc/resolv.conf; nslookup -type=a web");
    assert!(asked.contains("nameserver 127.0.0.11") && asked.contains(&format!("Address: {address}")), "{asked}");
    // And back, by the address' name.
    assert!(docker.reaches("web", "client"));
    let asked = docker.inside("client", &format!("nslookup {address}"));
    assert!(asked.contains("name = web.ours"), "{asked}");
    assert!(!docker.reaches("client", "nobody"));
    docker.does(&["rm", "--force", "web"]);
    let asked = docker.try_to(&["exec", "client", "nslookup", "-type=a", "web.ours"]);
    assert!(!asked.stdout.contains(&address), "{asked:?}");
}

fn a_container_reaches_the_host_and_what_is_behind_it(host: &mut Host) {
    let docker = &host.docker;
    let policy = shell("iptables -S FORWARD").printed("iptables");
    assert!(policy.starts_with("-P FORWARD DROP\n"), "Docker has set its policy: {policy}");
    docker.create(&["--subnet", "10.71.0.0/16"], "ours");
    docker.serves("web", &["--network", "ours"]);
    assert_eq!(docker.asks("web", "198.51.100.2"), "you are 198.51.100.1", "masqueraded");
    assert_eq!(
        docker.asks("web", "outside.example"),
        "you are 198.51.100.1",
        "by a name that the world's server knows"
    );
    assert!(docker.reaches("web", "10.71.0.1"), "the gateway");
    assert!(docker.reaches("web", "198.51.100.1"), "the host by its other address");
    assert_eq!(fetched("10.71.0.2").as_deref(), Some("web"), "from the host");
}

fn networks_are_isolated_from_one_another(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet", "10.71.0.0/16"], "one");
    docker.create(&["--subnet", "10.72.0.0/16"], "two");
    docker.does(&["network", "create", "--subnet", "10.70.0.0/16", "theirs"]);
    docker.serves("c1", &["--network", "one"]);
    docker.serves("c2", &["--network", "two"]);
    docker.serves("c3", &["--network", "theirs"]);
    docker.serves("c4", &[]);
    for from in ["c1", "c2", "c3", "c4"] {
        for to in ["c1", "c2", "c3", "c4"].into_iter().filter(|to| *to != from) {
            assert!(is_cut_off(docker, from, &docker.address(to)), "{from} must not reach {to}");
        }
    }
}

fn is_cut_off(docker: &Docker, from: &str, address: &str) -> bool {
    !docker.try_to(&["exec", from, "ping", "-c", "1", "-W", "1", address]).is_well()
}

fn other_modes_are_what_they_were(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet", "10.71.0.0/16"], "ours");
    docker.serves("web", &["--network", "ours"]);
    let of_host = docker.does(&["run", "--rm", "--network", "host", IMAGE, "ls", "/sys/class/net"]);
    for interface in ["docker0", "lo", "uplink0"] {
        assert!(of_host.lines().any(|line| line == interface), "{of_host}");
    }
    assert_eq!(docker.does(&["run", "--rm", "--network", "none", IMAGE, "ls", "/sys/class/net"]), "lo");
    let joined = ["run", "--rm", "--network", "container:web", IMAGE, "sh", "-c"];
    let seen = docker.does(&[&joined[..], &["ls /sys/class/net; wget -qO- http://localhost/"]].concat());
    assert_eq!(seen, "eth0\nlo\nweb");
    // No second interface on a bridge of Docker's, and no such bridge.
    assert!(!shell("ip link show docker_gwbridge").is_well());
    let networks = docker.does(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]);
    assert!(!networks.contains("docker_gwbridge"), "{networks}");
}
