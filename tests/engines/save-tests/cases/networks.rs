//! Networks and endpoints with options, as `docker network` and `docker run` have them.

use super::cases;
use crate::docker::DRIVER;
use crate::host::{Host, IMAGE, fetched, shell, waited_for};

cases![
    a_network_has_what_it_was_asked_for,
    an_endpoint_has_what_it_was_asked_for,
    an_internal_network_has_no_way_out,
    containers_are_connected_and_disconnected_while_they_run,
    networks_are_listed_inspected_removed_and_pruned,
    a_container_that_is_stopped_and_started_is_what_it_was,
];

fn a_network_has_what_it_was_asked_for(host: &mut Host) {
    let docker = &host.docker;
    let options = [
        "--subnet=10.71.0.0/16",
        "--gateway=10.71.0.254",
        "--ip-range=10.71.5.0/30",
        "--aux-address=printer=10.71.5.1",
        "--label=tier=front",
        "--opt=com.docker.network.driver.mtu=1400",
    ];
    docker.create(&options, "ours");
    docker.starts("first", &["--network", "ours"]);
    docker.starts("second", &["--network", "ours"]);
    // The first of the range is an address like any other, the next is the printer's.
    assert_eq!((docker.address("first"), docker.address("second")), ("10.71.5.0".to_owned(), "10.71.5.2".to_owned()));
    let seen = docker.inside("second", "ip route; cat /sys/class/net/eth0/mtu");
    assert_eq!(seen, "default via 10.71.0.254 dev eth0 \n10.71.0.0/16 dev eth0 scope link  src 10.71.5.2 \n1400");
    assert!(docker.reaches("first", "second") && docker.reaches("first", "10.71.0.254"));
    let labels = docker.does(&["network", "ls", "--filter", "label=tier=front", "--format", "{{.Name}} {{.Driver}}"]);
    assert_eq!(labels, format!("ours {DRIVER}"));
    // Frames as long as the network's MTU pass, and no longer.
    let ping =
        |size: &str| docker.try_to(&["exec", "first", "ping", "-c", "1", "-W", "2", "-s", size, "10.71.5.2"]).is_well();
    assert!(ping("1372"));
}

fn an_endpoint_has_what_it_was_asked_for(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet=10.71.0.0/16"], "ours");
    let own = ["--network=ours", "--ip=10.71.9.9", "--mac-address=02:00:00:00:99:99", "--network-alias=db"];
    docker.starts("first", &own);
    docker.starts("second", &["--network=ours"]);
    let seen = docker
        .inside("first", "cat /sys/class/net/eth0/address; ip -4 -o address show dev eth0 | grep -o 'inet [^ ]*'");
    assert_eq!(seen, "02:00:00:00:99:99\ninet 10.71.9.9/16");
    assert_eq!(docker.inspects("first", "{{.NetworkSettings.Networks.ours.MacAddress}}"), "02:00:00:00:99:99");
    assert!(docker.reaches("second", "db"));
    assert_eq!(docker.address("second"), "10.71.0.2");
    let taken = docker.refuses(&["run", "--rm", "--network=ours", "--ip=10.71.9.9", IMAGE, "true"]);
    assert!(taken.contains("Address already in use"), "{taken}");
    // The name of the one that was refused is of no use any more, the network is.
    assert_eq!(docker.does(&["run", "--rm", "--network=ours", IMAGE, "hostname", "-i"]), "10.71.0.3");
}

fn an_internal_network_has_no_way_out(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--internal", "--subnet=10.71.0.0/16"], "ours");
    docker.serves("web", &["--network=ours"]);
    docker.starts("client", &["--network=ours"]);
    assert_eq!(docker.asks("client", "web"), "web");
    assert_eq!(docker.inside("client", "ip route"), "10.71.0.0/16 dev eth0 scope link  src 10.71.0.3");
    assert!(!docker.reaches("client", "198.51.100.2"));
    assert_eq!(docker.inside("client", "ls /sys/class/net"), "eth0\nlo");
    // Nor with a route of one's own.
    docker.does(&[
        "run",
        "--rm",
        "--cap-add=NET_ADMIN",
        "--network=ours",
        IMAGE,
        "sh",
        "-c",
        "ip route add default via 10.71.0.1 && ! ping -c 1 -W 1 198.51.100.2",
    ]);
    assert!(!shell("ip link show docker_gwbridge").is_well());
}

fn containers_are_connected_and_disconnected_while_they_run(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet=10.71.0.0/16"], "one");
    docker.create(&["--subnet=10.72.0.0/16"], "two");
    docker.serves("web", &["--network=two"]);
    docker.starts("client", &["--network=one"]);
    assert!(!docker.try_to(&["exec", "client", "ping", "-c", "1", "-W", "1", "10.72.0.2"]).is_well());
    docker.does(&["network", "connect", "--ip", "10.72.0.77", "--alias", "caller", "two", "client"]);
    assert_eq!(
        docker.inside("client", "ls /sys/class/net; ip -4 address | grep -o 'inet 10[^ ]*'"),
        "eth0\neth1\nlo\ninet 10.71.0.2/16\ninet 10.72.0.77/16"
    );
    assert_eq!(docker.asks("client", "web"), "web");
    assert!(docker.reaches("web", "caller"));
    assert_eq!(docker.asks("client", "198.51.100.2"), "you are 198.51.100.1");
    docker.does(&["network", "disconnect", "one", "client"]);
    assert_eq!(
        docker.asks("client", "198.51.100.2"),
        "you are 198.51.100.1",
        "the way out is by the other network now"
    );
    assert_eq!(docker.asks("client", "web"), "web");
    docker.does(&["network", "disconnect", "two", "client"]);
    assert_eq!(docker.inside("client", "ls /sys/class/net"), "lo");
    docker.does(&["network", "connect", "two", "client"]);
    assert_eq!(docker.asks("client", "web"), "web");
    // From Docker's own bridge to ours and back.
    docker.starts("mover", &[]);
    docker.does(&["network", "connect", "two", "mover"]);
    assert_eq!(docker.asks("mover", "web"), "web");
    docker.does(&["network", "disconnect", "bridge", "mover"]);
    assert_eq!(docker.asks("mover", "198.51.100.2"), "you are 198.51.100.1");
    docker.does(&["network", "connect", "bridge", "mover"]);
    docker.does(&["network", "disconnect", "two", "mover"]);
    assert_eq!(docker.asks("mover", "198.51.100.2"), "you are 198.51.100.1");
}

fn networks_are_listed_inspected_removed_and_pruned(host: &mut Host) {
    let docker = &host.docker;
    let id = docker.create(&["--subnet=10.71.0.0/16"], "ours");
    docker.create(&[], "idle");
    docker.starts("web", &["--network=ours"]);
    let listed =
        docker.does(&["network", "ls", "--filter", &format!("driver={DRIVER}"), "--format", "{{.Name}} {{.Scope}}"]);
    assert_eq!(listed, "idle local\nours local");
    let inspected = docker.inspects(
        "ours",
        "{{.Id}} {{(index .IPAM.Config 0).Subnet}} {{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}",
    );
    assert_eq!(inspected, format!("{id} 10.71.0.0/16 web 10.71.0.2/16"));
    let busy = docker.refuses(&["network", "rm", "ours"]);
    assert!(busy.contains("has active endpoints"), "{busy}");
    assert!(docker.reaches("web", "10.71.0.1"), "it is as it was");
    assert_eq!(docker.does(&["network", "prune", "--force"]), "Deleted Networks:\nidle");
    docker.does(&["rm", "--force", "web"]);
    docker.does(&["network", "rm", "ours"]);
    assert!(docker.refuses(&["network", "inspect", "ours"]).contains("No such network"));
    // An overlap with Docker's own networks is refused, as it always was, and the subnet is free again.
    docker.create(&["--subnet=10.71.0.0/16"], "ours");
    let overlap = docker.refuses(&["network", "create", "--driver", DRIVER, "--subnet=10.71.128.0/17", "other"]);
    assert!(overlap.contains("overlaps"), "{overlap}");
}

fn a_container_that_is_stopped_and_started_is_what_it_was(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet=10.71.0.0/16"], "ours");
    docker.serves("web", &["--network=ours", "--ip=10.71.0.80", "-p", "8080:80"]);
    docker.starts("client", &["--network=ours"]);
    docker.does(&["stop", "--time", "0", "web"]);
    assert!(!docker.reaches("client", "10.71.0.80"));
    docker.does(&["start", "web"]);
    docker.does(&["restart", "--time", "0", "web"]);
    let is_there = || docker.try_asking("client", "10.71.0.80").is_well().then_some(());
    assert!(waited_for(is_there).is_some());
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
    docker.does(&["pause", "web"]);
    docker.does(&["unpause", "web"]);
    assert_eq!(docker.asks("client", "web"), "web");
    docker.does(&["rename", "web", "shop"]);
    assert_eq!(docker.asks("client", "shop"), "web");
}
