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

#[test]
fn who_is_on_the_network_none_is_on_no_other() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.run("alone", "none");
    lab.run("own", "host");
    lab.run("web", "bridge");
    lab.run("joiner", "container:web");
    assert!(matches!(lab.connect("none", "alone"), Err(Error::AlreadyConnected { .. })));
    assert!(matches!(lab.connect("none", "web"), Err(Error::NoneIsAlone { .. })));
    for other in ["own", "joiner"] {
        assert!(matches!(lab.connect("none", other), Err(Error::NotConnectable { .. })), "{other}");
        assert!(matches!(lab.connect("red", other), Err(Error::NotConnectable { .. })), "{other}");
    }
    let NetworkMode::None = refused_mode(lab.connect("red", "alone")) else { panic!("it is on none") };
    lab.disconnect("none", "alone").expect("disconnected");
    lab.connect("red", "alone").expect("connected");
    lab.disconnect("red", "alone").expect("disconnected");
    assert!(matches!(lab.disconnect("none", "alone"), Err(Error::NotConnected { .. })));
    lab.connect("none", "alone").expect("connected");
    lab.restart();
    assert!(matches!(lab.connect("none", "alone"), Err(Error::AlreadyConnected { .. })), "it is on record");
    // One that came from a network may go there as well.
    lab.disconnect("bridge", "web").expect("disconnected");
    lab.connect("none", "web").expect("connected");
}

fn refused_mode(result: Result<(), Error>) -> NetworkMode {
    match result.expect_err("refused") {
        Error::NotConnectable { mode, .. } => mode,
        other => panic!("{other}"),
    }
}

#[test]
fn aliases_are_for_users_networks() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let aliases = || vec!["www".to_owned()];
    let aliased = |called: &str, mode: &str| RunRequest { aliases: aliases(), ..request(called, mode) };
    assert!(matches!(lab.create(aliased("web", "bridge")), Err(Error::AliasOnDefault { .. })));
    lab.create(aliased("web", "red")).expect("a container");
    lab.run("db", "red");
    let connect = |lab: &mut Lab, network: &str, aliases: Vec<String>| {
        lab.manager.connect(network, "db", ConnectRequest { aliases, ..ConnectRequest::default() }, lab.now)
    };
    assert!(matches!(connect(&mut lab, "bridge", aliases()), Err(Error::AliasOnDefault { .. })));
    connect(&mut lab, "bridge", Vec::new()).expect("connected");
}

#[test]
fn a_further_interface_is_the_networks_in_every_respect() {
    let mut lab = Lab::new();
    let red = lab.create_network(NetworkRequest { mtu: Some(1400), ..network("red") });
    let web = lab.create(RunRequest { offload: false, ..request("web", "bridge") }).expect("a container").id;
    lab.controls();
    lab.connect("red", "web").expect("connected");
    let made = lab.host().made(&web).interfaces.clone();
    let bridge = format!("br-{}", red.short());
    assert_eq!((made["eth1"].bridge.as_str(), made["eth1"].mtu, made["eth1"].offload), (bridge.as_str(), 1400, false));
    assert_eq!((made["eth0"].mtu, made["eth0"].is_default), (1500, true));
    let config = lab.controls().into_iter().find_map(|control| match control {
        Control::Plug { bridge, config, .. } => Some((bridge, config)),
        _ => None,
    });
    let (bridge, config) = config.expect("plugged in");
    let expected = switch::port::PortConfig { name: "web.eth1".into(), mtu: 1400, ..Default::default() };
    assert_eq!((bridge, config), (switch::dataplane::BridgeId(1), expected));
}

#[test]
fn a_containers_files_follow_its_networks() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let server = vec![std::net::Ipv4Addr::new(192, 0, 2, 9)];
    let web = lab.run("web", "bridge").id;
    let own = lab.create(RunRequest { dns: server, ..request("own", "bridge") }).expect("a container").id;
    let server = |lab: &Lab, id: &Id| {
        let text = lab.host().files[id].resolv_conf.clone().expect("a file");
        text.lines().next().expect("a line").to_owned()
    };
    assert_eq!(server(&lab, &web), "nameserver 192.0.2.1");
    assert_eq!(server(&lab, &own), "nameserver 192.0.2.9");
    lab.connect("red", "web").expect("connected");
    assert_eq!(server(&lab, &web), "nameserver 172.18.0.1");
    let hosts = lab.host().files[&web].hosts.clone().expect("a file");
    assert_eq!(hosts.lines().count(), 3, "{hosts}");
    lab.disconnect("red", "web").expect("disconnected");
    assert_eq!(server(&lab, &web), "nameserver 192.0.2.1");
    lab.host().resolv_conf = "nameserver ::1\n".into();
    let next = lab.run("next", "bridge").id;
    assert_eq!(server(&lab, &next), "nameserver 172.17.0.1");
}
