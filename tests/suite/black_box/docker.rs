//! Docker's network driver, called as dockerd calls it, in order.

pub mod dockerd;

use std::net::Ipv4Addr;

use netns::manager::ContainerView;
use serde_json::{Value, json};

use self::dockerd::{Answer, Api, Plugin, Sandbox, about, endpoint_id, network, port, program, with};
use super::{fails, pontoon, prints, tests};
use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, waited_for};
use crate::lab::{Lab, Order, Place, run};

tests![
    containers_of_dockers_live_and_go_as_dockerd_says,
    what_dockerd_says_twice_is_done_once,
    what_docker_is_refused_names_its_object_once,
    an_internal_network_of_dockers_has_no_way_out_and_no_second_interface,
    ports_of_dockers_are_published_and_one_that_is_taken_is_told,
    an_address_that_dockerd_gives_to_another_is_taken_from_the_first,
    a_daemon_killed_between_calls_forgets_nothing,
    networks_and_containers_are_called_as_docker_calls_them,
    whoever_asks_at_once_is_told_dockers_names,
    what_docker_has_forgotten_goes,
    a_network_that_docker_removed_while_nobody_listened_goes_once_nothing_is_on_it,
    what_is_dockers_is_left_to_docker,
    the_plugins_socket_is_roots_and_goes_with_the_daemon,
];

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// A container of Docker's: its sandbox, and what its interface was called on the host.
fn start(plugin: &Plugin, number: u8, address: Ipv4Addr) -> (Sandbox, String) {
    let filled = plugin.create_endpoint(number, &format!("{address}/24"));
    let [_, _, c, d] = address.octets();
    assert_eq!(filled, json!({"Interface": {"MacAddress": format!("02:42:0a:4d:{c:02x}:{d:02x}")}}));
    let joined = plugin.join(number);
    let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name").to_owned();
    let expected = json!({"InterfaceName": {"SrcName": source, "DstPrefix": "eth"}, "Gateway": GATEWAY});
    assert_eq!(joined, expected);
    let sandbox = Sandbox::new();
    sandbox.take(&source, "eth0", &format!("{address}/24"), Some(GATEWAY));
    assert_eq!(plugin.call("EndpointOperInfo", &about(number)), json!({"Value": {}}));
    (sandbox, source)
}

fn containers(lab: &Linux) -> Vec<ContainerView> {
    lab.json(&["ps", "-a"])
}

fn has_interface(name: &str) -> bool {
    Inside::here().interfaces().iter().any(|own| own.name == name)
}

fn containers_of_dockers_live_and_go_as_dockerd_says() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    plugin.is_alive();
    let capabilities = plugin.call("GetCapabilities", &json!({}));
    assert_eq!((&capabilities["Scope"], &capabilities["ConnectivityScope"]), (&json!("local"), &json!("local")));
    let before = lab.census();
    assert_eq!(plugin.call("CreateNetwork", &network()), json!({}));
    let (one, one_was) = start(&plugin, 1, FIRST);
    let (other, other_was) = start(&plugin, 2, SECOND);
    assert!(one.inside().ping(SECOND, 1000) && other.inside().ping(FIRST, 56) && one.inside().ping(GATEWAY, 56));
    let interfaces = one.inside().interfaces();
    let eth0 = interfaces.iter().find(|own| own.name == "eth0").expect("eth0");
    assert_eq!((eth0.mtu, eth0.mac.to_string().as_str()), (1400, "02:42:0a:4d:00:02"));
    let shown = containers(&lab);
    let shown: Vec<_> = shown.iter().map(|container| (container.name.as_str(), container.state.as_str())).collect();
    assert_eq!(shown, [(&endpoint_id(2)[..12], "running"), (&endpoint_id(1)[..12], "running")]);
    plugin.take_down(2, other, &other_was);
    assert!(!has_interface(&other_was) && !one.inside().ping(SECOND, 56));
    plugin.take_down(1, one, &one_was);
    assert_eq!(containers(&lab).len(), 0);
    assert_eq!(plugin.call("DeleteNetwork", &json!({"NetworkID": dockerd::NET})), json!({}));
    assert!(waited_for(|| (lab.census() == before).then_some(())).is_some(), "{:?}, {before:?}", lab.census());
    lab.down();
    lab.assert_nothing_is_left();
}

fn what_dockerd_says_twice_is_done_once() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    for _ in 0..2 {
        plugin.call("CreateNetwork", &network());
    }
    let mut another = network();
    another["IPv4Data"][0]["Gateway"] = json!("10.77.0.9/24");
    let why = plugin.refuses("CreateNetwork", &another);
    assert_eq!(why, "create network 111111111111: there is another network of this id");
    let filled = [(); 2].map(|()| plugin.create_endpoint(1, "10.77.0.2/24"));
    assert_eq!(filled[0], filled[1]);
    let joined = [(); 2].map(|()| plugin.join(1));
    assert_eq!(joined[0], joined[1]);
    for _ in 0..2 {
        plugin.program(1, &port(8080, 80));
    }
    assert_eq!(containers(&lab)[0].published, ["0.0.0.0:8080->80/tcp"]);
    for method in ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "DeleteNetwork"] {
        for _ in 0..2 {
            assert_eq!(plugin.call(method, &about(1)), json!({}), "{method}");
        }
    }
    assert_eq!((containers(&lab).len(), lab.networks().len()), (0, 3));
    lab.finish();
}

/// Operation, object, cause: the object is not in the cause again.
fn what_docker_is_refused_names_its_object_once() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    let mut overlapping = network();
    overlapping["IPv4Data"][0]["Pool"] = json!("172.17.8.0/24");
    overlapping["IPv4Data"][0]["Gateway"] = json!("172.17.8.1/24");
    let why = plugin.refuses("CreateNetwork", &overlapping);
    let expected = "create network 111111111111: the subnet 172.17.8.0/24 overlaps 172.17.0.0/16, the subnet of network bridge \
                    (--subnet chooses another one)";
    assert_eq!(why, expected);
    prints(&lab, &["network", "create", "111111111111"]);
    let why = plugin.refuses("CreateNetwork", &network());
    let called = "a network is called so already (`pontoon network inspect 111111111111` shows it)";
    assert_eq!(why, format!("create network 111111111111: {called}"));
    prints(&lab, &["network", "rm", "111111111111"]);

    plugin.call("CreateNetwork", &network());
    plugin.create_endpoint(1, "10.77.0.2/24");
    let (one, other) = (&endpoint_id(1)[..12], &endpoint_id(2)[..12]);
    let interface = |ip: &str, mac: &str| json!({"Interface": {"Address": ip, "AddressIPv6": "", "MacAddress": mac}, "Options": {}});
    let again = with(&about(1), &interface("10.77.0.9/24", ""));
    let why = plugin.refuses("CreateEndpoint", &again);
    assert_eq!(why, format!("create endpoint {one}: it is there already, with other properties"));
    // What is said of another object names that one.
    plugin.join(1);
    let mac = with(&about(2), &interface("10.77.0.9/24", "02:42:0a:4d:00:02"));
    let why = plugin.refuses("CreateEndpoint", &mac);
    let taken = "network 111111111111: MAC address 02:42:0a:4d:00:02 is in use by another station";
    let who = "`pontoon ps` shows which container has it";
    assert_eq!(why, format!("create endpoint {other}: {taken} ({who})"));

    run(&mut lab, Order::new("own").network("111111111111").ip("10.77.0.99"));
    let why = plugin.refuses("DeleteNetwork", &json!({"NetworkID": dockerd::NET}));
    let used = "it is in use by own (`pontoon network disconnect 111111111111 CONTAINER` takes one off it, `pontoon stop` ends one)";
    assert_eq!(why, format!("delete network 111111111111: {used}"));
    lab.finish();
}

fn an_internal_network_of_dockers_has_no_way_out_and_no_second_interface() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    let mut internal = network();
    internal["Options"]["com.docker.network.internal"] = json!(true);
    plugin.call("CreateNetwork", &internal);
    // With another prefix of names it would be `net0` inside.
    plugin.create_endpoint(1, "10.77.0.2/24");
    let joined = plugin.join(1);
    assert_eq!((&joined["DisableGatewayService"], joined.get("Gateway")), (&json!(true), None));
    let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name");
    let sandbox = Sandbox::new();
    sandbox.take(source, "eth0", "10.77.0.2/24", None);
    assert!(sandbox.inside().ping(GATEWAY, 56));
    plugin.take_down(1, sandbox, source);
    lab.finish();
}

fn ports_of_dockers_are_published_and_one_that_is_taken_is_told() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    plugin.call("CreateNetwork", &network());
    let (one, one_was) = start(&plugin, 1, FIRST);
    let (other, other_was) = start(&plugin, 2, SECOND);
    one.inside().serve(80);
    other.inside().serve(80);
    plugin.program(1, &port(8080, 80));
    let heard = lab.tell(Place::Host, Ipv4Addr::LOCALHOST, 8080, "hello");
    assert!(heard.as_ref().is_ok_and(|heard| heard.contains("hello")), "{heard:?}");
    let why = plugin.refuses("ProgramExternalConnectivity", &program(2, &port(8080, 80)));
    let [holder, who] = [1, 2].map(|number| endpoint_id(number)[..12].to_owned());
    let expected = format!(
        "publish the ports of endpoint {who}: 0.0.0.0:8080/tcp: Address already in use: container {holder} publishes it \
         (stop that container, or publish another port of the host)"
    );
    assert_eq!(why, expected);
    // One of several that will do, and any.
    let choice = json!([
        {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8082},
        {"Proto": 17, "IP": "", "Port": 80, "HostIP": "127.0.0.1", "HostPort": 0, "HostPortEnd": 0},
    ]);
    plugin.program(2, &choice);
    let published =
        containers(&lab).into_iter().find(|view| view.name == endpoint_id(2)[..12]).expect("it is there").published;
    assert_eq!(published, ["0.0.0.0:8081->80/tcp", "127.0.0.1:49153->80/udp"]);
    assert!(lab.tell(Place::Host, Ipv4Addr::LOCALHOST, 8081, "hello").is_ok());
    let sctp = json!([{"Proto": 132, "IP": "", "Port": 80, "HostIP": "", "HostPort": 0, "HostPortEnd": 0}]);
    let why = plugin.refuses("ProgramExternalConnectivity", &program(2, &sctp));
    assert!(why.ends_with(": port 80/sctp: only TCP and UDP can be published"), "{why}");
    plugin.take_down(1, one, &one_was);
    // What it had is free.
    plugin.program(2, &port(8080, 80));
    assert!(lab.tell(Place::Host, Ipv4Addr::LOCALHOST, 8080, "hello").is_ok());
    plugin.take_down(2, other, &other_was);
    lab.finish();
}

fn an_address_that_dockerd_gives_to_another_is_taken_from_the_first() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    plugin.call("CreateNetwork", &network());
    // dockerd was killed, and has forgotten the first.
    let (stale, stale_was) = start(&plugin, 1, FIRST);
    let (fresh, fresh_was) = start(&plugin, 2, FIRST);
    assert!(!has_interface(&stale_was) && stale.inside().interfaces().iter().all(|own| own.name == "lo"));
    assert!(fresh.inside().ping(GATEWAY, 56));
    assert_eq!(plugin.call("DeleteEndpoint", &about(1)), json!({}));
    assert!(fresh.inside().ping(GATEWAY, 56));
    drop(stale);
    plugin.take_down(2, fresh, &fresh_was);
    lab.finish();
}

fn a_daemon_killed_between_calls_forgets_nothing() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    let anew = |lab: &mut Linux| {
        lab.kill_daemon();
        Plugin::up(lab)
    };
    plugin.call("CreateNetwork", &network());
    let plugin = anew(&mut lab);
    plugin.create_endpoint(1, "10.77.0.2/24");
    let plugin = anew(&mut lab);
    let joined = plugin.join(1);
    let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name");
    // It is still on the host.
    let plugin = anew(&mut lab);
    assert_eq!(plugin.join(1), joined);
    let sandbox = Sandbox::new();
    sandbox.take(source, "eth0", "10.77.0.2/24", Some(GATEWAY));
    sandbox.inside().serve(80);
    let plugin = anew(&mut lab);
    assert!(sandbox.inside().ping(GATEWAY, 56));
    plugin.program(1, &port(8080, 80));
    let plugin = anew(&mut lab);
    assert!(lab.tell(Place::Host, Ipv4Addr::LOCALHOST, 8080, "hello").is_ok());
    plugin.call("RevokeExternalConnectivity", &about(1));
    let plugin = anew(&mut lab);
    assert!(lab.tell(Place::Host, Ipv4Addr::LOCALHOST, 8080, "hello").is_err());
    plugin.call("Leave", &about(1));
    let plugin = anew(&mut lab);
    sandbox.give_back("eth0", source);
    let plugin = {
        drop(plugin);
        anew(&mut lab)
    };
    plugin.call("DeleteEndpoint", &about(1));
    let plugin = anew(&mut lab);
    assert!(!has_interface(source));
    assert_eq!((containers(&lab).len(), lab.networks().len()), (0, 4));
    plugin.call("DeleteNetwork", &json!({"NetworkID": dockerd::NET}));
    drop((plugin, sandbox));
    anew(&mut lab);
    assert_eq!(lab.networks().len(), 3);
    lab.finish();
}

fn whoever_asks_at_once_is_told_dockers_names() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    let api = Api::serve(&lab.dir().join("docker.sock"), "shop");
    plugin.call("CreateNetwork", &network());
    assert!(prints(&lab, &["network", "inspect", "shop"]).contains("\"shop\""));
    plugin.create_endpoint(1, &format!("{FIRST}/24"));
    let joined = plugin.join(1);
    let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name");
    let sandbox = Sandbox::new();
    // The second of its container.
    sandbox.take(source, "eth1", &format!("{FIRST}/24"), Some(GATEWAY));
    api.has("web", &[1]);
    assert!(prints(&lab, &["stats", "web"]).contains("web.eth1"));
    assert_eq!(containers(&lab)[0].name, "web");
    let explained = prints(&lab, &["explain", "web", "--to", "broadcast"]);
    assert!(explained.starts_with("60 bytes into web.eth1 of bridge "), "{explained}");
    // An engine that does not say it holds nobody up for long.
    plugin.create_endpoint(2, &format!("{SECOND}/24"));
    let unknown = pontoon(&lab, &["inspect", "db"]);
    assert!(unknown.status == 1 && unknown.stderr.contains("no such container: db"), "{unknown:?}");
    // The next daemon has the names.
    lab.kill_daemon();
    drop(api);
    let plugin = Plugin::up(&lab);
    let ports: Vec<String> = lab.bridges().into_iter().flat_map(|bridge| bridge.interfaces).collect();
    assert_eq!(ports, ["web.eth1"]);
    plugin.call("DeleteEndpoint", &about(2));
    plugin.call("Leave", &about(1));
    sandbox.give_back("eth1", source);
    plugin.call("DeleteEndpoint", &about(1));
    plugin.call("DeleteNetwork", &json!({"NetworkID": dockerd::NET}));
    assert_eq!(lab.networks().len(), 3);
    drop((plugin, sandbox));
    lab.finish();
}

fn networks_and_containers_are_called_as_docker_calls_them() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    let api = Api::serve(&lab.dir().join("docker.sock"), "shop");
    plugin.call("CreateNetwork", &network());
    let (one, one_was) = start(&plugin, 1, FIRST);
    api.has("web", &[1]);
    let is_named = |lab: &mut Linux| {
        let names = lab.networks().into_iter().map(|network| network.name.to_string()).any(|name| name == "shop");
        names && containers(lab).iter().any(|container| container.name == "web")
    };
    assert!(waited_for(|| is_named(&mut lab).then_some(())).is_some(), "{:?}", containers(&lab));
    let web = &containers(&lab)[0];
    assert_eq!(web.networks.keys().collect::<Vec<_>>(), ["shop"]);
    let ports: Vec<String> = lab.bridges().into_iter().flat_map(|bridge| bridge.interfaces).collect();
    assert_eq!(ports, ["web.eth0"]);
    assert!(prints(&lab, &["stats"]).contains("web"));
    assert!(one.inside().ping(GATEWAY, 56));
    api.rename("shop-window");
    let is_renamed = || containers(&lab).iter().any(|container| container.name == "shop-window").then_some(());
    assert!(waited_for(is_renamed).is_some(), "{:?}", containers(&lab));
    api.rename("web");
    assert!(waited_for(|| is_named(&mut lab).then_some(())).is_some(), "{:?}", containers(&lab));
    // The next daemon knows.
    lab.kill_daemon();
    let plugin = Plugin::up(&lab);
    assert!(is_named(&mut lab));
    plugin.take_down(1, one, &one_was);
    plugin.call("DeleteNetwork", &json!({"NetworkID": dockerd::NET}));
    assert_eq!(lab.networks().len(), 3);
    lab.finish();
}

fn what_docker_has_forgotten_goes() {
    // In milliseconds; what is younger is not missed.
    let hasty = [("PONTOON_DOCKER_FORGETS_AFTER", "200")];
    let mut lab = Linux::new();
    let api = Api::serve(&lab.dir().join("docker.sock"), "shop");
    let plugin = Plugin::up_with(&lab, &hasty);
    plugin.call("CreateNetwork", &network());
    let (one, _) = start(&plugin, 1, FIRST);
    let (other, _) = start(&plugin, 2, SECOND);
    api.has("web", &[1]);
    api.has("db", &[2]);
    let names = |lab: &Linux| containers(lab).into_iter().map(|view| view.name.to_string()).collect::<Vec<_>>();
    let are = |lab: &Linux, expected: &[&str]| {
        assert!(waited_for(|| (names(lab) == expected).then_some(())).is_some(), "{:?}", names(lab));
    };
    are(&lab, &["db", "web"]);
    // One that does not say what is there has forgotten nothing. dockerd comes with nothing where somebody died with its call.
    let ask = |what: &str| {
        let answer = plugin.post("NetworkDriver.DeleteEndpoint", b"");
        assert!(answer.body["Err"].as_str().is_some_and(|why| why.contains("can not be read")), "{what}: {answer:?}");
    };
    api.is_broken();
    for times in 1..=4 {
        ask("broken");
        api.is_asked(times);
    }
    api.lists("shop", &[1, 2]);
    for times in 1..=4 {
        ask("listed");
        api.is_asked(times);
    }
    are(&lab, &["db", "web"]);
    assert!(one.inside().ping(SECOND, 56));
    api.lists("shop", &[2]);
    ask("the first has been forgotten");
    are(&lab, &["db"]);
    assert!(waited_for(|| one.inside().interfaces().iter().all(|own| own.name == "lo").then_some(())).is_some());
    assert!(other.inside().ping(GATEWAY, 56));
    // What an earlier daemon has left is looked at, too.
    lab.kill_daemon();
    api.lists("shop", &[]);
    let plugin = Plugin::up_with(&lab, &hasty);
    are(&lab, &[]);
    assert_eq!(lab.networks().len(), 4);
    api.has_no_network();
    let is_gone = |lab: &mut Linux| (lab.networks().len() == 3).then_some(());
    assert!(waited_for(|| is_gone(&mut lab)).is_some(), "{:?}", lab.networks());
    drop((one, other));
    plugin.is_alive();
    lab.finish();
}

fn a_network_that_docker_removed_while_nobody_listened_goes_once_nothing_is_on_it() {
    let hasty = [("PONTOON_DOCKER_FORGETS_AFTER", "200")];
    let mut lab = Linux::new();
    let api = Api::serve(&lab.dir().join("docker.sock"), "shop");
    let plugin = Plugin::up_with(&lab, &hasty);
    plugin.call("CreateNetwork", &network());
    let (one, _) = start(&plugin, 1, FIRST);
    api.has("web", &[1]);
    let names = |lab: &Linux| containers(lab).into_iter().map(|view| view.name.to_string()).collect::<Vec<_>>();
    let are = |lab: &Linux, expected: &[&str]| {
        assert!(waited_for(|| (names(lab) == expected).then_some(())).is_some(), "{:?}", names(lab));
    };
    are(&lab, &["web"]);
    prints(&lab, &["run", "-d", "--name", "own", "--network", "shop", "--ip", "10.77.0.99", "sleep", "60"]);
    lab.kill_daemon();
    api.has_no_network();
    let plugin = Plugin::up_with(&lab, &hasty);
    are(&lab, &["own"]);
    assert_eq!(lab.networks().len(), 4, "one of ours is on it");
    prints(&lab, &["rm", "-f", "own"]);
    let is_gone = |lab: &mut Linux| (lab.networks().len() == 3).then_some(());
    assert!(waited_for(|| is_gone(&mut lab)).is_some(), "{:?}", lab.networks());
    drop(one);
    plugin.is_alive();
    lab.finish();
}

fn what_is_dockers_is_left_to_docker() {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    plugin.call("CreateNetwork", &network());
    let (one, one_was) = start(&plugin, 1, FIRST);
    let name = &endpoint_id(1)[..12];
    let left = "pontoon: network [SHORT] belongs to docker\n\
                hint: remove it with docker, which has made it; if it is not known there any more, --force removes it\n";
    fails(&lab, &["network", "rm", "111111111111"], 1, left);
    let forced = ["network", "rm", "--force", "111111111111"];
    let used = "pontoon: network [SHORT] is in use by [SHORT] (docker)\n\
                hint: `docker network disconnect [SHORT] CONTAINER` takes one off it, `docker rm -f CONTAINER` removes one\n";
    fails(&lab, &forced, 1, used);
    let of_docker = "pontoon: container [SHORT] belongs to docker\nhint: manage it with docker, which has made it\n";
    for words in [&["stop", name][..], &["rm", "-f", name], &["kill", name], &["logs", name]] {
        fails(&lab, words, 1, of_docker);
    }
    fails(&lab, &["exec", name, "true"], 125, of_docker);
    assert_eq!(prints(&lab, &["network", "prune"]), "");
    // Nor is what is the user's Docker's.
    prints(&lab, &["network", "create", "mine"]);
    let id = lab.inspect_network("mine").expect("it is there").id;
    let endpoint = with(&about(2), &json!({"NetworkID": id}));
    let why = plugin.refuses("CreateEndpoint", &endpoint);
    assert!(why.contains(&format!("no such network: {}", &id[..12])), "{why}");
    assert_eq!(plugin.call("DeleteNetwork", &json!({"NetworkID": id})), json!({}));
    assert!(lab.inspect_network("mine").is_ok());
    assert!(one.inside().ping(GATEWAY, 56));
    plugin.take_down(1, one, &one_was);
    // Docker counts a network as removed even if nobody heard it.
    assert_eq!(prints(&lab, &forced), "111111111111\n");
    lab.finish();
}

fn the_plugins_socket_is_roots_and_goes_with_the_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    let path = plugin.socket.display().to_string();
    let mode = std::fs::metadata(&plugin.socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(prints(&lab, &["status"]).contains(&format!("docker:       {path}\n")));
    // Another instance does not take it.
    let other = Linux::called("other");
    let why = format!(
        "pontoon: serve Docker at {path}: another process does\n\
         hint: --docker=PATH chooses another socket: the file's name is the driver's\n"
    );
    fails(&other, &["up", "--detach", &format!("--docker={path}")], 1, &why);
    plugin.is_alive();
    // What a killed daemon left is replaced; what one that ends has is gone.
    lab.kill_daemon();
    assert!(plugin.socket.exists());
    Plugin::up(&lab).is_alive();
    let missing = plugin.post("NetworkDriver.Fly", b"{}");
    assert_eq!(missing.status, 404);
    let Answer { status, body } = plugin.say(b"GET /Plugin.Activate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((status, &body["Err"]), (405, &Value::from("serve the network driver: /Plugin.Activate takes POST.")));
    lab.down();
    assert!(!plugin.socket.exists());
}
