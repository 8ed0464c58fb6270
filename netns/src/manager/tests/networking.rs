//! Networks are made and removed, and others are quicker.

use switch::port::PortConfig;

use super::*;
use crate::network::{EndpointKind, Owner};
use crate::subnet::SubnetRequest;

fn with_subnet(called: &str, subnet: &str) -> NetworkRequest {
    let subnet = SubnetRequest { subnet: Some(subnet.parse().expect("a subnet")), ..SubnetRequest::default() };
    NetworkRequest { subnet, ..network(called) }
}

#[test]
fn a_subnet_that_another_instance_takes_in_the_same_moment_is_given_up_for_the_next_one() {
    let mut lab = Lab::new();
    lab.host().rivals = ["172.18.0.0/16", "172.19.4.0/24"].map(|prefix| prefix.parse().expect("a prefix")).into();
    let id = lab.create_network(network("red"));
    let details = lab.manager.inspect_network("red").expect("it is there");
    assert_eq!(details.subnet.map(|subnet| subnet.to_string()), Some("172.20.0.0/16".into()));
    let (ip, _) = lab.host().gateways[&format!("br-{}", id.short())];
    assert_eq!(ip.to_string(), "172.20.0.1/16");
    assert!(lab.host().disk[&format!("network-{id}")].contains("172.20.0.0/16"));
}

#[test]
fn a_subnet_that_was_asked_for_and_is_taken_in_the_same_moment_is_refused_and_leaves_nothing() {
    let mut lab = Lab::new();
    lab.controls();
    lab.host().rivals = ["10.9.0.0/16".parse().expect("a prefix")].into();
    let refused = says(lab.manager.create_network(with_subnet("red", "10.9.9.0/24"), lab.now));
    assert!(refused.contains("10.9.9.0/24 overlaps 10.9.0.0/16"), "{refused}");
    assert_eq!(lab.host().gateways.len(), 1);
    assert!(lab.controls().is_empty());
    assert!(!lab.host().disk.values().any(|text| text.contains("10.9.9.0")));
}

#[test]
fn a_network_whose_guard_can_not_be_had_leaves_nothing() {
    let mut lab = Lab::new();
    lab.controls();
    lab.host().fail("protect");
    assert_eq!(says(lab.manager.create_network(network("red"), lab.now)), "protect it: told to fail");
    assert_eq!(lab.host().gateways.len(), 1);
    assert_eq!(lab.manager.networks().len(), 3);
    let told: Vec<bool> =
        lab.controls().iter().map(|control| matches!(control, Control::RemoveBridge { .. })).collect();
    assert_eq!(told, [false, false, true]);
}

#[test]
fn there_are_1000_networks_and_no_more() {
    let mut lab = Lab::new();
    let first = lab.create_network(with_subnet("n0", "10.0.0.0/24"));
    // Made one by one, they would take half a minute: all but the last are an earlier daemon's.
    let record = lab.host().disk[&format!("network-{first}")].clone();
    for number in 1..999 {
        let id = format!("{number:064x}");
        let own = [("10.0.0.", format!("10.{}.{}.", number / 256, number % 256)), ("\"n0\"", format!("\"n{number}\""))];
        let ids = [(first.as_str(), id.clone()), (first.short(), format!("n{number}"))];
        let text = own.iter().chain(&ids).fold(record.clone(), |text, (old, new)| text.replace(*old, new));
        lab.host().disk.insert(format!("network-{id}"), text);
    }
    assert_eq!(lab.restart(), Vec::<String>::new());
    lab.create_network(with_subnet("last", "10.9.8.0/24"));
    let refused = says(lab.manager.create_network(with_subnet("more", "10.9.9.0/24"), lab.now));
    assert!(refused.contains("1000"), "{refused}");
}

#[test]
fn a_network_is_what_was_asked_for() {
    let mut lab = Lab::new();
    lab.now = at(77);
    lab.controls();
    let labels: BTreeMap<String, String> = [("tier".to_owned(), "front".to_owned())].into();
    let asked =
        NetworkRequest { mtu: Some(1400), labels: labels.clone(), endpoint: EndpointKind::Veth, ..internal("red") };
    let id = lab.create_network(asked);
    let details = lab.manager.inspect_network("red").expect("it is there");
    assert_eq!((details.created, details.internal, details.mtu), (77, true, Some(1400)));
    assert_eq!((details.labels, details.endpoint), (labels, Some(EndpointKind::Veth)));
    let bridge = format!("br-{}", id.short());
    let gateway = lab.controls().into_iter().find_map(|control| match control {
        Control::Plug { config, .. } => Some(config),
        _ => None,
    });
    let expected = PortConfig { name: bridge, mtu: 1400, local: details.mac, ..PortConfig::default() };
    assert_eq!(gateway, Some(expected));
    let web = lab.run("web", "red").id;
    let kind = lab.host().made(&web).interfaces["eth0"].kind;
    assert_eq!(kind, EndpointKind::Veth);
}

#[test]
fn a_network_that_could_not_be_removed_is_by_the_next_daemon() {
    let mut lab = Lab::new();
    let id = lab.create_network(network("red"));
    lab.host().fail("close_gateway");
    assert_eq!(says(lab.manager.remove_network("red", lab.now)), "close_gateway it: told to fail");
    assert_eq!(lab.manager.networks().len(), 3);
    lab.host().failing.clear();
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(lab.manager.networks().len(), 3);
    assert!(!lab.host().disk.contains_key(&format!("network-{id}")));
    assert_eq!(lab.host().gateways.len(), 1);
}

#[test]
fn a_gateway_that_somebody_deletes_is_made_again_and_the_network_is_down_if_it_can_not_be() {
    let mut lab = Lab::new();
    let gateway = |lab: &mut Lab| {
        let mut plugged = lab.controls().into_iter().filter_map(|control| match control {
            Control::Plug { port, config, .. } if config.local.is_some() => Some(port),
            _ => None,
        });
        plugged.next_back()
    };
    let first = gateway(&mut lab).expect("plugged in");
    lab.manager.port_down(first).expect("made again");
    let second = gateway(&mut lab).expect("plugged in again");
    assert_ne!(first, second);
    lab.host().fail("open_gateway");
    lab.manager.port_down(second).expect_err("it can not be made");
    let refused = says(lab.create(request("web", "bridge")));
    assert!(refused.contains("open_gateway it: told to fail"), "{refused}");
    lab.manager.port_down(second).expect("it is nobody's any more");
}

/// As Docker asks for one: the name is not known yet.
fn of_docker(digit: &str) -> NetworkRequest {
    let id = Id::try_from(digit.repeat(64)).expect("an id");
    NetworkRequest { owner: Owner::Docker, id: Some(id.clone()), ..network(id.short()) }
}

#[test]
fn a_network_of_another_engine_gets_its_name_later_and_keeps_it() {
    let mut lab = Lab::new();
    let id = lab.create_network(of_docker("a"));
    lab.create_network(network("red"));
    let called = |lab: &mut Lab, text: &str| lab.manager.name_network(&id, &name(text), lab.now);
    for (taken, why) in [
        ("red", "there is a network red already"),
        ("bridge", "the network bridge is always there: it can not be created"),
        ("default", "'default' can not be a network's name: it means something else behind --network"),
    ] {
        assert_eq!(says(called(&mut lab, taken)), why);
    }
    assert_eq!(lab.manager.network("aaaaaaaaaaaa").map(|network| network.id.clone()).ok(), Some(id.clone()));
    called(&mut lab, "shop").expect("nobody is called so");
    called(&mut lab, "shop").expect("it is called so");
    assert!(lab.manager.network("aaaaaaaaaaaa").is_ok_and(|network| network.name == name("shop")));
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert!(lab.manager.network("shop").is_ok_and(|network| network.id == id && network.owner == Owner::Docker));
    let unknown = Id::try_from("b".repeat(64)).expect("an id");
    assert_eq!(says(lab.manager.name_network(&unknown, &name("x"), lab.now)), "no such network: bbbbbbbbbbbb");
}

#[test]
fn a_bridge_is_called_as_its_owner_wants_unless_the_host_has_such_an_interface() {
    let mut lab = Lab::new();
    let eth9 = crate::backend::HostInterface { name: "eth9".into(), ..crate::backend::HostInterface::default() };
    lab.host().ethernet.insert("9".into(), eth9);
    let with = |bridge: &str, digit: &str| NetworkRequest {
        bridge: Some(bridge.parse().expect("a name")),
        ..of_docker(digit)
    };
    assert_eq!(says(lab.manager.create_network(with("eth9", "a"), lab.now)), "there is an interface eth9 already");
    assert_eq!(lab.host().gateways.len(), 1);
    let id = lab.create_network(with("lan0", "a"));
    assert!(lab.host().gateways.contains_key("lan0"));
    assert_eq!(says(lab.manager.create_network(with("lan0", "b"), lab.now)), "there is an interface lan0 already");
    assert!(lab.host().gateways.contains_key("lan0"));
    lab.manager.remove_network_of(Owner::Docker, id.as_str(), lab.now).expect("nobody is on it");
    assert!(!lab.host().gateways.contains_key("lan0"));
}

#[test]
fn whoever_comes_to_a_network_of_dockers_says_which_address_he_wants() {
    let mut lab = Lab::new();
    lab.create_network(NetworkRequest { name: name("shop"), ..of_docker("a") });
    let why = "network shop belongs to docker, which gives out its addresses";
    assert_eq!(says(lab.create(request("web", "shop"))), why);
    lab.run("web", "bridge");
    assert_eq!(says(lab.connect("shop", "web")), why);
    let subnet = lab.manager.network("shop").expect("it is there").subnet;
    let ip = subnet.hosts().nth(76);
    lab.manager
        .connect("shop", "web", ConnectRequest { ip, ..ConnectRequest::default() }, lab.now)
        .expect("it is free");
    lab.create(RunRequest { ip: subnet.hosts().nth(77), ..request("db", "shop") }).expect("it is free");
}
