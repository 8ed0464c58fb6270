//! Podman's containers in pods, on several networks, and many at once.

use std::collections::BTreeSet;
use std::path::Path;

use super::cases;
use super::podman::OURS;
use crate::host::{DIR, Host, IMAGE, fetched, waited_for};
use crate::podman::Podman;

cases![
    a_pod_is_one_container_to_the_network,
    reload_makes_the_interface_anew_with_what_it_had,
    a_container_comes_to_a_network_and_leaves_one_while_it_runs,
    fifty_containers_start_at_once,
];

fn a_pod_is_one_container_to_the_network(host: &mut Host) {
    let podman = &host.podman;
    let create = ["pod", "create", OURS, "--publish=8080:80", "--name=shop"];
    podman.does(&[&create[..], &["--infra-image", IMAGE, "--infra-command", "sleep 1000000"]].concat());
    podman.serves("web", &["--pod=shop"]);
    podman.starts("second", &["--pod=shop"]);
    podman.starts("client", &[OURS]);
    let known = host.pontoon.does(&["ps"]);
    assert_eq!(known.lines().count(), 3, "the pod and the client: {known}");
    for is_started_again in [false, true] {
        if is_started_again {
            podman.does(&["pod", "stop", "--time=0", "shop"]);
            assert!(!host.pontoon.does(&["ps"]).contains(" shop "));
            podman.does(&["pod", "start", "shop"]);
            assert!(waited_for(|| fetched("127.0.0.1:8080")).is_some(), "its server starts");
        }
        assert_eq!(podman.asks("second", "127.0.0.1"), "web");
        assert_eq!(podman.asks("second", "198.51.100.2"), "you are 198.51.100.1");
        assert_eq!(podman.asks("client", "shop"), "web", "by the pod's name");
        assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
    }
    podman.does(&["pod", "rm", "--force", "--time=0", "shop"]);
    let known = host.pontoon.does(&["ps", "--all"]);
    assert!(known.lines().count() == 2 && known.contains(" client "), "{known}");
    drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
}

/// Podman takes the interface away by DEL and asks for it by ADD, in the same sandbox and with what it had in `CNI_ARGS`.
fn reload_makes_the_interface_anew_with_what_it_had(host: &mut Host) {
    let podman = &host.podman;
    podman.serves("web", &[OURS, "-p", "8080:80"]);
    // The lowest address is another's before, and free after.
    podman.starts("client", &[OURS]);
    podman.serves("last", &[OURS, "--network-alias=store"]);
    podman.does(&["rm", "--force", "--time=0", "web"]);
    let own = "cat /sys/class/net/eth0/address; ip -4 address show dev eth0 | grep -o 'inet [^ ]*'; ip route";
    let before = podman.inside("last", own);
    assert!(before.contains("inet 10.89.128.4/20"), "{before}");
    for which in ["last", "--all"] {
        podman.does(&["network", "reload", which]);
        assert_eq!(podman.inside("last", own), before);
        assert_eq!(podman.asks("client", "store"), "last");
        assert_eq!(podman.asks("last", "198.51.100.2"), "you are 198.51.100.1");
    }
    assert_eq!(host.pontoon.does(&["ps"]).lines().count(), 3);
}

fn a_container_comes_to_a_network_and_leaves_one_while_it_runs(host: &mut Host) {
    let podman = &host.podman;
    podman.makes_network("other", "10.89.144.0/20");
    podman.serves("web", &[OURS]);
    podman.serves("here", &[OURS]);
    podman.serves("there", &["--network=other"]);
    podman.does(&["network", "connect", "--alias=www", "other", "web"]);
    assert_eq!(podman.inside("web", "ls /sys/class/net"), "eth0\neth1\nlo");
    // Names of both networks are known, and the way out is the one that it had.
    for (asker, whom, answer) in
        [("web", "here", "here"), ("web", "there", "there"), ("here", "web", "web"), ("there", "www", "web")]
    {
        assert_eq!(podman.asks(asker, whom), answer, "{asker} asks {whom}");
    }
    assert!(podman.inside("web", "ip route").starts_with("default via 10.89.128.1 dev eth0 \n"));
    podman.does(&["network", "disconnect", "pontoon", "web"]);
    assert_eq!(podman.inside("web", "ls /sys/class/net"), "eth1\nlo");
    for (asker, whom, answer) in
        [("web", "there", "there"), ("there", "web", "web"), ("web", "outside.example", "you are 198.51.100.1")]
    {
        assert_eq!(podman.asks(asker, whom), answer, "{asker} asks {whom}");
    }
    podman.does(&["network", "connect", "pontoon", "web"]);
    assert_eq!(podman.asks("here", "web"), "web");
    podman.does(&["rm", "--force", "--time=0", "web"]);
    // From the first on, it is the same.
    podman.serves("web", &["--network=pontoon,other"]);
    assert_eq!(podman.inside("web", "ip route | grep -c default"), "2");
    assert_eq!(podman.asks("here", "web") + &podman.asks("there", "web"), "webweb");
    assert_eq!(podman.asks("web", "198.51.100.2"), "you are 198.51.100.1");
    podman.does(&["rm", "--force", "--time=0", "web", "there"]);
    podman.does(&["network", "rm", "other"]);
    host.pontoon.does(&["network", "rm", "other"]);
}

/// Each of them looks for some others by their names: for all of them the kernel has not room in its table of neighbours, which is one for all
/// namespaces of a machine.
fn fifty_containers_start_at_once(host: &mut Host) {
    let podman = &host.podman;
    let names: Vec<String> = (0..50).map(|number| format!("c{number}")).collect();
    let well = Path::new(DIR).join("well");
    std::fs::create_dir(&well).expect("make a directory");
    let volume = format!("--volume={}:/well", well.display());
    let start = |(number, name): (usize, &String)| {
        let run = ["run", "--detach", "--cap-add=NET_RAW", &volume, "--name", name, OURS];
        let others = [1, 7, 23].map(|step| names[(number + step) % 50].as_str()).join(" ");
        let script = format!(
            "for n in {others}; do until ping -c 1 -W 5 $n >/dev/null 2>&1; do sleep 1; done; done; \
             touch /well/{name}; exec sleep 1000000"
        );
        podman.begins(&[&run[..], &[IMAGE, "sh", "-c", &script]].concat())
    };
    let started: Vec<_> = names.iter().enumerate().map(start).collect();
    for client in started {
        let said = client.wait_with_output().expect("wait for podman");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(addresses_of(podman, &names).len(), 100, "an address and a MAC for each, none twice");
    let are_well = || (std::fs::read_dir(&well).expect("list them").count() == 50).then_some(());
    assert!(waited_for(are_well).is_some(), "each reaches the others by their names");
    podman.does(&[&["rm", "--force", "--time=0"], &names[..]].concat());
    assert_eq!(host.pontoon.does(&["ps", "--all"]).lines().count(), 1);
    std::fs::remove_dir_all(well).expect("remove a directory");
}

fn addresses_of(podman: &Podman, names: &[&str]) -> BTreeSet<String> {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}";
    let seen = podman.does(&[&["inspect", "--format", format], names].concat());
    seen.split_whitespace().map(str::to_owned).collect()
}
