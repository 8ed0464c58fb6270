//! Networks that a user makes: their subnets, who is on them, and what they keep apart.

use netns::network::EndpointKind;

use super::crashes::at_each_step;
use super::scenarios;
use crate::lab::{
    Census, Lab, NetworkOrder, Order, Place, Refusal, address, assert_all_reach_each_other, create, inspect, interface,
    ip_on, names, prefix, run, run_all,
};

scenarios![
    a_network_gets_the_next_free_pool_and_a_bridge_of_its_own,
    a_network_gets_what_it_asks_for,
    what_a_network_can_not_have_is_refused,
    a_network_whose_addresses_are_all_used_takes_no_more_containers,
    the_networks_that_are_always_there_stay,
    a_network_in_use_is_not_removed,
    prune_removes_what_nobody_is_on,
    containers_of_one_network_reach_each_other_and_no_other_network,
    an_internal_network_has_no_default_route,
    a_running_container_is_connected_and_disconnected,
    the_default_route_is_the_first_networks,
    only_containers_with_interfaces_of_their_own_are_connected,
    none_is_left_before_another_network_is_joined,
    networks_and_connections_outlive_the_daemon,
    a_reboot_ends_containers_and_keeps_networks,
    a_network_of_veths_works_as_one_of_taps,
    a_daemon_killed_at_any_step_of_connect_leaves_all_or_nothing,
    a_daemon_killed_at_any_step_of_disconnect_finishes_it,
    a_daemon_killed_at_any_step_of_a_networks_life_leaves_all_or_nothing,
];

fn refused(message: &str) -> Refusal {
    Refusal { status: 1, message: message.to_owned() }
}

fn a_network_gets_the_next_free_pool_and_a_bridge_of_its_own(lab: &mut dyn Lab) {
    lab.up();
    let id = create(lab, NetworkOrder::new("web"));
    assert_eq!(id.len(), 64);
    let details = lab.inspect_network("web").expect("inspect");
    assert_eq!(details, lab.inspect_network(&id[..12]).expect("inspect by the short id"));
    assert_eq!(details.subnet, Some(prefix("172.18.0.0/16")));
    assert_eq!(details.gateway, Some(address("172.18.0.1")));
    let bridge = format!("br-{}", &id[..12]);
    assert_eq!(details.bridge.as_deref(), Some(bridge.as_str()));
    let gateway = interface(lab, Place::Host, &bridge);
    assert_eq!((gateway.ipv4.as_slice(), gateway.mtu), (&[prefix("172.18.0.1/16")][..], 1500));
    assert!(gateway.up);
    let listed: Vec<String> = lab.networks().into_iter().map(|network| network.name).collect();
    assert_eq!(listed, ["bridge", "host", "none", "web"]);
    let bridges: Vec<String> = lab.bridges().into_iter().map(|bridge| bridge.name).collect();
    assert_eq!(bridges, ["pontoon0", &bridge]);
    run(lab, Order::new("a").network("web"));
    assert_eq!(ip_on(lab, "a", "web"), address("172.18.0.2"));
    assert_eq!(interface(lab, Place::In("a"), "eth0").ipv4, [prefix("172.18.0.2/16")]);
    assert_eq!(lab.default_route(Place::In("a")), Some(address("172.18.0.1")));
    assert!(lab.ping(Place::In("a"), address("172.18.0.1"), 56), "the host is there");
    let members = lab.inspect_network("web").expect("inspect").containers;
    assert_eq!(members.values().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a"]);
    lab.rm("a", true).expect("rm -f a");
    lab.remove_network("web").expect("network rm web");
    assert!(lab.interfaces(Place::Host).iter().all(|own| own.name != bridge), "its interface is gone");
    assert_eq!(lab.networks().len(), 3);
}

fn a_network_gets_what_it_asks_for(lab: &mut dyn Lab) {
    lab.up();
    let order =
        NetworkOrder::new("lan").subnet("10.9.0.0/24").gateway("10.9.0.254").ip_range("10.9.0.128/25").mtu(1400);
    create(lab, order);
    let details = lab.inspect_network("lan").expect("inspect");
    assert_eq!((details.gateway, details.ip_range), (Some(address("10.9.0.254")), Some(prefix("10.9.0.128/25"))));
    run(lab, Order::new("a").network("lan"));
    run(lab, Order::new("b").network("lan").ip("10.9.0.7"));
    assert_eq!((ip_on(lab, "a", "lan"), ip_on(lab, "b", "lan")), (address("10.9.0.128"), address("10.9.0.7")));
    assert_eq!(interface(lab, Place::In("a"), "eth0").mtu, 1400);
    assert_eq!(lab.default_route(Place::In("a")), Some(address("10.9.0.254")));
    assert!(lab.ping(Place::In("a"), address("10.9.0.7"), 56));
    let again = lab.run(Order::new("c").network("lan").ip("10.9.0.7")).expect_err("it is in use");
    assert_eq!(again.message, "network lan: address 10.9.0.7 is in use by another container");
}

fn what_a_network_can_not_have_is_refused(lab: &mut dyn Lab) {
    lab.host_address(prefix("10.8.0.1/16"));
    lab.up();
    create(lab, NetworkOrder::new("web").subnet("10.9.0.0/24"));
    let before = lab.census();
    let order = |subnet: &str| NetworkOrder::new("x").subnet(subnet);
    for (order, message) in [
        (NetworkOrder::new("web"), "there is a network web already"),
        (NetworkOrder::new("bridge"), "the network bridge is always there: it can not be created"),
        (
            NetworkOrder::new("default"),
            "'default' can not be a network's name: it means something else behind --network",
        ),
        (order("10.9.0.0/16"), "network x: the subnet 10.9.0.0/16 overlaps 10.9.0.0/24, the subnet of network web"),
        (
            order("10.8.3.0/24"),
            "network x: the subnet 10.8.3.0/24 overlaps 10.8.0.0/16, an address or a route of the host",
        ),
        (order("10.7.0.1/16"), "network x: 10.7.0.1/16 is no subnet: it should be 10.7.0.0/16"),
        (
            order("10.7.0.0/31"),
            "network x: the subnet 10.7.0.0/31 is too small: a prefix length of at most 30 is needed",
        ),
        (
            order("127.5.0.0/16"),
            "network x: 127.5.0.0/16 is no subnet for hosts: it is loopback, multicast or reserved",
        ),
        (order("10.7.0.0/24").gateway("10.6.0.1"), "network x: the gateway 10.6.0.1 is not in the subnet 10.7.0.0/24"),
        (
            order("10.7.0.0/24").ip_range("10.6.0.0/25"),
            "network x: the range 10.6.0.0/25 is not in the subnet 10.7.0.0/24",
        ),
        (
            order("10.7.0.0/24").ip_range("10.7.0.1/32"),
            "network x: the range 10.7.0.1/32 has no address for a container: what it has is the gateway's, or no host's in \
             10.7.0.0/24",
        ),
        (NetworkOrder::new("x").gateway("10.7.0.1"), "network x: --gateway needs --subnet beside it"),
        (order("10.7.0.0/24").mtu(67), "an MTU of 67 is out of range: 68 to 65521 bytes"),
    ] {
        assert_eq!(lab.create_network(order), Err(refused(message)));
    }
    assert_eq!(lab.census(), before);
    assert_eq!(lab.networks().len(), 4);
}

fn a_network_whose_addresses_are_all_used_takes_no_more_containers(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("tiny").subnet("10.9.0.0/29"));
    let names = ["c2", "c3", "c4", "c5", "c6"];
    for name in names {
        run(lab, Order::new(name).network("tiny"));
    }
    assert_eq!(ip_on(lab, "c6", "tiny"), address("10.9.0.6"));
    let full = "network tiny: no free address is left in the subnet 10.9.0.0/29";
    let refused = lab.run(Order::new("late").network("tiny")).expect_err("there is none");
    assert_eq!(refused, Refusal { status: 125, message: full.to_owned() });
    lab.rm("c4", true).expect("rm -f c4");
    run(lab, Order::new("late").network("tiny"));
    assert_eq!(ip_on(lab, "late", "tiny"), address("10.9.0.4"));
}

fn the_networks_that_are_always_there_stay(lab: &mut dyn Lab) {
    lab.up();
    for network in lab.networks() {
        let message = format!("the network {} is always there: it can not be removed", network.name);
        // By its name, by its id, and by the beginning of that.
        for named in [&network.name, &network.id, &network.id[..12], &network.id[..7]] {
            assert_eq!(lab.remove_network(named), Err(refused(&message)), "{named}");
            assert_eq!(lab.inspect_network(named).map(|shown| shown.id), Ok(network.id.clone()), "{named}");
        }
    }
    // A name is meant before a beginning is.
    let beginning = lab.networks()[0].id[..7].to_owned();
    create(lab, NetworkOrder::new(&beginning));
    lab.remove_network(&beginning).expect("nobody is on it");
    assert_eq!(lab.remove_network("nothing"), Err(refused("no such network: nothing")));
    assert_eq!(lab.networks().len(), 3);
}

fn a_network_in_use_is_not_removed(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("web"));
    run(lab, Order::new("a").network("web"));
    run(lab, Order::new("b"));
    lab.connect_network("web", "b", None).expect("connect b");
    assert_eq!(lab.remove_network("web"), Err(refused("network web is in use by a, b")));
    assert!(reaches(lab, Place::In("a"), "b", "web"), "it goes on");
    lab.stop("a", 10).expect("stop a");
    lab.disconnect_network("web", "b").expect("disconnect b");
    lab.remove_network("web").expect("nobody is on it");
}

fn prune_removes_what_nobody_is_on(lab: &mut dyn Lab) {
    lab.up();
    for name in ["one", "two", "three"] {
        create(lab, NetworkOrder::new(name));
    }
    run(lab, Order::new("a").network("two"));
    assert_eq!(lab.prune_networks(), ["one", "three"]);
    let left: Vec<String> = lab.networks().into_iter().map(|network| network.name).collect();
    assert_eq!(left, ["bridge", "host", "none", "two"]);
    // The pools are free again.
    create(lab, NetworkOrder::new("four"));
    assert_eq!(lab.inspect_network("four").expect("inspect").subnet, Some(prefix("172.18.0.0/16")));
}

fn containers_of_one_network_reach_each_other_and_no_other_network(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    create(lab, NetworkOrder::new("blue"));
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("b").network("red"));
    run(lab, Order::new("x").network("blue"));
    run(lab, Order::new("y"));
    let (b, x, y) = (ip_on(lab, "b", "red"), ip_on(lab, "x", "blue"), ip_on(lab, "y", "bridge"));
    assert!(lab.ping(Place::In("a"), b, 56));
    assert!(lab.ping(Place::Host, b, 56));
    assert!(lab.ping(Place::Host, x, 56));
    assert!(!lab.ping(Place::In("a"), x, 56), "red does not reach blue");
    assert!(!lab.ping(Place::In("a"), y, 56), "red does not reach the default network");
    assert!(!lab.ping(Place::In("y"), b, 56), "nor the other way round");
}

fn an_internal_network_has_no_default_route(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("vault").internal());
    run(lab, Order::new("a").network("vault"));
    run(lab, Order::new("b").network("vault"));
    assert_eq!(lab.default_route(Place::In("a")), None);
    let (b, gateway) = (ip_on(lab, "b", "vault"), address("172.18.0.1"));
    assert!(lab.ping(Place::In("a"), b, 56));
    assert!(lab.ping(Place::In("a"), gateway, 56), "the host is on it");
    run(lab, Order::new("c"));
    lab.connect_network("vault", "c", None).expect("connect c");
    assert_eq!(lab.default_route(Place::In("c")), Some(address("172.17.0.1")));
    lab.disconnect_network("bridge", "c").expect("disconnect c");
    assert_eq!(lab.default_route(Place::In("c")), None, "not by the internal one");
}

fn a_running_container_is_connected_and_disconnected(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("a").network("red"));
    run_all(lab, &["b", "c"]);
    let quiet = lab.census();
    lab.connect_network("red", "b", Some(address("172.18.7.7"))).expect("connect b");
    let eth1 = interface(lab, Place::In("b"), "eth1");
    assert_eq!(eth1.ipv4, [prefix("172.18.7.7/16")]);
    assert_eq!(eth1.mac.to_string(), "02:42:ac:12:07:07");
    let a = ip_on(lab, "a", "red");
    assert!(lab.ping(Place::In("b"), a, 56));
    assert!(lab.ping(Place::In("a"), address("172.18.7.7"), 56));
    assert_all_reach_each_other(lab, &["b", "c"]);
    let bridges = lab.bridges();
    assert_eq!(bridges[1].interfaces, ["a.eth0", "b.eth1"]);
    let again = lab.connect_network("red", "b", None);
    assert_eq!(again, Err(refused("container b is on network red already")));
    let taken = lab.connect_network("red", "c", Some(address("172.18.7.7")));
    assert_eq!(taken, Err(refused("network red: address 172.18.7.7 is in use by another container")));
    assert_eq!(lab.connect_network("nothing", "c", None), Err(refused("no such network: nothing")));
    assert_eq!(lab.connect_network("red", "nobody", None), Err(refused("no such container: nobody")));
    lab.disconnect_network("red", "b").expect("disconnect b");
    assert_eq!(lab.disconnect_network("red", "b"), Err(refused("container b is not on network red")));
    assert!(lab.interfaces(Place::In("b")).iter().all(|own| own.name != "eth1"));
    assert!(!lab.ping(Place::In("b"), a, 56));
    assert_eq!(lab.census(), quiet);
    // The address is free again, and so is the name of the interface.
    lab.connect_network("red", "c", Some(address("172.18.7.7"))).expect("connect c");
    assert_eq!(inspect(lab, "c").networks["red"].ifname, "eth1");
    lab.stop("c", 10).expect("stop c");
    assert_eq!(lab.bridges()[1].interfaces, ["a.eth0"], "its port on every network goes with it");
    let stopped = lab.connect_network("red", "c", None);
    assert_eq!(stopped, Err(refused("container c is not running")));
}

fn the_default_route_is_the_first_networks(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    create(lab, NetworkOrder::new("blue"));
    run(lab, Order::new("a").network("red"));
    let route = |lab: &mut dyn Lab| lab.default_route(Place::In("a")).map(|by| by.to_string());
    assert_eq!(route(lab).as_deref(), Some("172.18.0.1"));
    lab.connect_network("blue", "a", None).expect("connect");
    assert_eq!(route(lab).as_deref(), Some("172.18.0.1"));
    lab.disconnect_network("red", "a").expect("disconnect");
    assert_eq!(route(lab).as_deref(), Some("172.19.0.1"));
    lab.connect_network("red", "a", None).expect("connect");
    assert_eq!(route(lab).as_deref(), Some("172.19.0.1"), "the first that it is on now");
    assert_eq!(inspect(lab, "a").networks["red"].ifname, "eth0", "the first name that is free");
    for network in ["red", "blue"] {
        lab.disconnect_network(network, "a").expect("disconnect");
    }
    assert_eq!(route(lab), None);
    assert_eq!(lab.interfaces(Place::In("a")).len(), 1, "lo is left");
    lab.connect_network("bridge", "a", None).expect("connect");
    assert_eq!(route(lab).as_deref(), Some("172.17.0.1"));
}

fn only_containers_with_interfaces_of_their_own_are_connected(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web"));
    run(lab, Order::new("monitor").network("host"));
    run(lab, Order::new("sidecar").network("container:web"));
    for (container, mode) in [("monitor", "host"), ("sidecar", "container:web")] {
        let message =
            format!("container {container} can not be connected to a network: --network {mode} allows no other");
        assert_eq!(lab.connect_network("red", container, None), Err(refused(&message)));
    }
    let message = "container web can not be connected to the host's network: only started on it";
    assert_eq!(lab.connect_network("host", "web", None), Err(refused(message)));
    // What its target gets, the sidecar sees.
    lab.connect_network("red", "web", None).expect("connect web");
    assert_eq!(interface(lab, Place::In("sidecar"), "eth1").ipv4, [prefix("172.18.0.2/16")]);
}

fn none_is_left_before_another_network_is_joined(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("vault").network("none"));
    run(lab, Order::new("a").network("red"));
    let message = "container vault can not be connected to a network: --network none allows no other";
    assert_eq!(lab.connect_network("red", "vault", None), Err(refused(message)));
    assert_eq!(lab.inspect_network("none").expect("inspect").containers.len(), 1);
    lab.disconnect_network("none", "vault").expect("disconnect");
    assert_eq!(lab.disconnect_network("none", "vault"), Err(refused("container vault is not on network none")));
    lab.connect_network("red", "vault", None).expect("connect");
    let (a, vault) = (ip_on(lab, "a", "red"), ip_on(lab, "vault", "red"));
    assert!(lab.ping(Place::In("vault"), a, 56));
    assert!(lab.ping(Place::In("a"), vault, 56));
    let message = "container vault is on other networks: it can not be connected to the network none";
    assert_eq!(lab.connect_network("none", "vault", None), Err(refused(message)));
    lab.disconnect_network("red", "vault").expect("disconnect");
    lab.connect_network("none", "vault", None).expect("back to none");
    assert_eq!(lab.interfaces(Place::In("vault")).len(), 1);
}

fn networks_and_connections_outlive_the_daemon(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red").subnet("10.9.0.0/24"));
    create(lab, NetworkOrder::new("empty"));
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("b"));
    lab.connect_network("red", "b", None).expect("connect b");
    let (networks, census) = (lab.networks(), lab.census());
    let index = lab.ifindex(Place::In("b"), "eth1");
    lab.kill_daemon();
    assert!(lab.interfaces(Place::In("b")).iter().any(|own| own.name == "eth1" && own.up));
    lab.up();
    assert_eq!((lab.networks(), lab.census()), (networks.clone(), census));
    assert_eq!(lab.ifindex(Place::In("b"), "eth1"), index, "nothing is made anew");
    let a = ip_on(lab, "a", "red");
    assert!(lab.ping(Place::In("b"), a, 56));
    assert!(lab.ping(Place::Host, a, 56));
    lab.down();
    lab.up();
    assert_eq!(lab.networks(), networks, "networks outlive their containers");
    run(lab, Order::new("c").network("red"));
    assert_eq!(ip_on(lab, "c", "red"), address("10.9.0.2"));
    assert!(lab.ping(Place::In("c"), address("10.9.0.1"), 56));
}

fn a_reboot_ends_containers_and_keeps_networks(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    let networks = lab.networks();
    run(lab, Order::new("a").network("red").ip("172.18.0.9"));
    run(lab, Order::new("b").foreground());
    lab.reboot();
    lab.up();
    assert_eq!(lab.networks(), networks);
    assert_eq!(names(lab, false), Vec::<String>::new());
    assert_eq!(names(lab, true), ["a"], "what was started with -d stays listed");
    assert_eq!(inspect(lab, "a").exit_status, Some(137));
    run(lab, Order::new("c").network("red").ip("172.18.0.9"));
    assert!(lab.ping(Place::Host, address("172.18.0.9"), 56));
    lab.rm("a", false).expect("rm a");
}

/// Whether a container answers at its address on a network.
fn reaches(lab: &mut dyn Lab, from: Place<'_>, container: &str, network: &str) -> bool {
    let to = ip_on(lab, container, network);
    lab.ping(from, to, 56)
}

fn a_network_of_veths_works_as_one_of_taps(lab: &mut dyn Lab) {
    lab.up();
    let interfaces = lab.census().interfaces.len();
    create(lab, NetworkOrder { endpoint: EndpointKind::Veth, ..NetworkOrder::new("red") });
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("b").network("red"));
    run(lab, Order::new("c"));
    lab.connect_network("red", "c", None).expect("connect c");
    let addresses = ["a", "b", "c"].map(|name| ip_on(lab, name, "red"));
    let check = |lab: &mut dyn Lab| {
        for from in [Place::Host, Place::In("a"), Place::In("b"), Place::In("c")] {
            assert!(addresses.iter().all(|to| lab.ping(from, *to, 56)), "{from:?}");
        }
        assert!(lab.ping(Place::In("a"), address("172.18.0.1"), 1400));
        let moved = lab.transfer(Place::In("a"), Place::In("b"), addresses[1], 2_000_000);
        assert_eq!((moved.received, moved.length), (moved.sent, 2_000_000));
        let moved = lab.transfer(Place::Host, Place::In("c"), addresses[2], 2_000_000);
        assert_eq!((moved.received, moved.length), (moved.sent, 2_000_000));
        assert_eq!(lab.check_law(), Ok(()));
    };
    check(lab);
    let eth0 = interface(lab, Place::In("a"), "eth0");
    assert_eq!((eth0.ipv4.as_slice(), eth0.mtu), (&[prefix("172.18.0.2/16")][..], 1500));
    let index = lab.ifindex(Place::In("a"), "eth0");
    lab.kill_daemon();
    lab.up();
    assert_eq!(lab.ifindex(Place::In("a"), "eth0"), index);
    check(lab);
    lab.disconnect_network("red", "c").expect("disconnect c");
    lab.stop("a", 0).expect("stop a");
    lab.rm("b", true).expect("rm b");
    assert_eq!(lab.bridges()[1].interfaces, Vec::<String>::new());
    lab.remove_network("red").expect("network rm");
    assert_eq!(lab.census().interfaces.len(), interfaces);
}

fn on_red_and_bridge(lab: &mut dyn Lab) -> Census {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("b"));
    lab.census()
}

fn a_daemon_killed_at_any_step_of_connect_leaves_all_or_nothing(lab: &mut dyn Lab) {
    let quiet = on_red_and_bridge(lab);
    at_each_step(lab, &mut |lab| lab.connect_network("red", "b", None).is_ok(), &mut |lab| {
        if inspect(lab, "b").networks.contains_key("red") {
            let b = ip_on(lab, "b", "red");
            assert!(lab.ping(Place::In("a"), b, 56));
            lab.disconnect_network("red", "b").expect("disconnect b");
        }
        assert_eq!(lab.interfaces(Place::In("b")).len(), 2, "lo and eth0");
        assert_eq!(lab.default_route(Place::In("b")), Some(address("172.17.0.1")));
        assert_eq!(lab.census(), quiet);
        assert!(reaches(lab, Place::Host, "b", "bridge"));
    });
}

fn a_daemon_killed_at_any_step_of_disconnect_finishes_it(lab: &mut dyn Lab) {
    on_red_and_bridge(lab);
    lab.connect_network("red", "b", None).expect("connect b");
    let connected = lab.census();
    at_each_step(lab, &mut |lab| lab.disconnect_network("bridge", "b").is_ok(), &mut |lab| {
        if !inspect(lab, "b").networks.contains_key("bridge") {
            assert_eq!(lab.default_route(Place::In("b")), Some(address("172.18.0.1")));
            assert_eq!(lab.interfaces(Place::In("b")).len(), 2, "lo and eth1");
            lab.disconnect_network("red", "b").expect("disconnect b");
            for network in ["bridge", "red"] {
                lab.connect_network(network, "b", None).expect("connect b");
            }
        }
        assert_eq!(lab.census(), connected);
        assert_eq!(lab.default_route(Place::In("b")), Some(address("172.17.0.1")));
        assert!(reaches(lab, Place::In("a"), "b", "red"));
        assert!(reaches(lab, Place::Host, "b", "bridge"));
    });
}

fn a_daemon_killed_at_any_step_of_a_networks_life_leaves_all_or_nothing(lab: &mut dyn Lab) {
    let quiet = on_red_and_bridge(lab);
    at_each_step(lab, &mut |lab| lab.create_network(NetworkOrder::new("blue")).is_ok(), &mut |lab| {
        if lab.inspect_network("blue").is_ok() {
            run(lab, Order::new("c").network("blue"));
            assert!(reaches(lab, Place::Host, "c", "blue"));
            lab.rm("c", true).expect("rm -f c");
            lab.remove_network("blue").expect("network rm blue");
        }
        assert_eq!(lab.census(), quiet);
    });
    create(lab, NetworkOrder::new("blue"));
    at_each_step(lab, &mut |lab| lab.remove_network("blue").is_ok(), &mut |lab| {
        if lab.inspect_network("blue").is_ok() {
            lab.remove_network("blue").expect("network rm blue");
        }
        assert_eq!(lab.census(), quiet);
        create(lab, NetworkOrder::new("blue"));
    });
}
