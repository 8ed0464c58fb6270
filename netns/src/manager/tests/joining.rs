//! Containers come to networks and leave them.

use super::*;

#[test]
fn the_host_network_is_not_connected_to_and_says_why() {
    let mut lab = Lab::new();
    lab.run("own", "host");
    lab.run("web", "bridge");
    assert_eq!(says(lab.connect("host", "own")), "container own is on network host already");
    assert!(matches!(lab.connect("host", "web"), Err(Error::NotConnectableToHost { .. })));
    assert!(matches!(lab.disconnect("host", "own"), Err(Error::NotDisconnectable { .. })));
}

#[test]
fn published_ports_stay_when_another_network_is_left_and_are_let_go_before_their_own_is() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.create(publishing("web", "bridge", "8080:80")).expect("a container").id;
    let target = |lab: &Lab| lab.host().published.get(&web).map(|(target, _)| *target);
    let first = target(&lab).expect("published");
    lab.connect("red", "web").expect("connected");
    assert_eq!(lab.times("unpublish", |lab| lab.disconnect("red", "web").expect("disconnected")), 0);
    assert_eq!(target(&lab), Some(first));
    lab.connect("red", "web").expect("connected");
    lab.asked();
    lab.disconnect("bridge", "web").expect("disconnected");
    let asked = lab.asked();
    let place = |what: &str| asked.iter().position(|asked| *asked == what);
    assert!(place("unpublish") < place("publish") && place("unpublish").is_some(), "{asked:?}");
    let red = lab.manager.inspect("web").expect("it is there").networks["red"].ip.addr();
    assert_eq!(target(&lab), Some(red));
}

#[test]
fn published_ports_are_let_alone_when_what_they_lead_to_stays() {
    let mut lab = Lab::new();
    lab.create_network(internal("inner"));
    lab.create_network(network("red"));
    lab.create(publishing("web", "inner", "8080:80")).expect("a container");
    lab.run("mute", "inner");
    lab.connect("bridge", "web").expect("connected");
    lab.asked();
    lab.connect("red", "web").expect("connected");
    lab.disconnect("inner", "web").expect("disconnected");
    lab.disconnect("red", "web").expect("disconnected");
    lab.connect("bridge", "mute").expect("connected");
    lab.disconnect("bridge", "mute").expect("disconnected");
    let asked = lab.asked();
    assert!(!asked.contains(&"publish") && !asked.contains(&"unpublish"), "{asked:?}");
}

#[test]
fn an_interface_that_can_not_be_made_leaves_nothing() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.run("web", "bridge").id;
    lab.host().fail("attach");
    assert_eq!(says(lab.connect("red", "web")), "attach it: told to fail");
    let networks = lab.manager.inspect("web").expect("it is there").networks;
    assert_eq!(networks.into_keys().collect::<Vec<_>>(), ["bridge"]);
    assert_eq!(lab.host().made(&web).interfaces.len(), 1);
}

#[test]
fn an_interface_that_can_not_be_deleted_keeps_its_address() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.run("web", "red");
    lab.host().fail("detach");
    assert_eq!(says(lab.disconnect("red", "web")), "detach it: told to fail");
    let networks = lab.manager.inspect("web").expect("it is there").networks;
    assert_eq!(networks["red"].port, None);
    lab.host().failing.clear();
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert!(lab.manager.inspect("web").expect("it is there").networks.is_empty());
}

#[test]
fn the_default_route_goes_by_the_first_network_with_a_way_out() {
    let mut lab = Lab::new();
    lab.create_network(internal("inner"));
    lab.create_network(network("red"));
    let web = lab.run("web", "inner").id;
    let route = |lab: &Lab| lab.host().made(&web).route.clone().map(|(ifname, _)| ifname);
    assert!(!lab.host().made(&web).interfaces["eth0"].is_default);
    lab.connect("red", "web").expect("connected");
    assert_eq!(route(&lab), Some("eth1".into()));
    lab.connect("bridge", "web").expect("connected");
    assert_eq!(route(&lab), Some("eth1".into()));
    lab.disconnect("red", "web").expect("disconnected");
    assert_eq!(route(&lab), Some("eth2".into()));
    lab.disconnect("bridge", "web").expect("disconnected");
    assert_eq!(route(&lab), None);
}

#[test]
fn a_host_container_has_a_host_name_of_its_own_if_it_asks_for_one() {
    let mut lab = Lab::new();
    let own =
        lab.create(RunRequest { hostname: Some("own".into()), ..request("own", "host") }).expect("a container").id;
    let other = lab.run("other", "host").id;
    let files = |id: &Id| lab.host().files[id].clone();
    assert_eq!(files(&own).own().collect::<Vec<_>>(), [("hostname", "own\n")]);
    assert_eq!(files(&other).own().count(), 0);
}
