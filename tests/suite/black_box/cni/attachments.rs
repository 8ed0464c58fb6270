//! Interfaces made, looked at and taken away.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use domain::base::{Message, Rtype};
use domain::rdata::A;
use serde_json::{Value, json};

use super::super::{pontoon, prints, tests};
use super::{Runtime, address_in, end_of_sandbox, execute, sandbox, sandbox_path};
use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, processes, waited_for};
use crate::lab::{Lab, NetError, Order, Place, address, ip_on, names, run};
use crate::scenarios::names::question;

tests![
    an_interface_is_made_looked_at_and_taken_away,
    a_result_has_the_form_of_the_version_asked_in,
    check_tells_what_is_not_as_it_was,
    what_is_there_is_not_made_again,
    del_needs_neither_sandbox_nor_interface_nor_daemon,
    fifty_at_once_have_fifty_addresses_and_reach_each_other,
    gc_takes_away_what_is_not_listed_and_frees_its_address,
    what_a_runtime_asks_for_is_had,
    names_are_known_on_the_network,
    ports_are_published_and_follow_the_interface,
    addresses_are_from_the_range_until_it_is_used_up,
    routes_are_those_of_the_configuration,
    an_internal_network_has_no_way_out,
    a_container_on_two_networks_knows_the_names_of_both_and_leaves_by_the_first,
    a_network_is_removed_by_hand_and_made_again_by_the_next_add,
    containers_of_ours_and_of_a_runtime_s_are_on_one_network,
    plugins_before_and_behind_it_in_a_chain_work,
];

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

fn an_interface_is_made_looked_at_and_taken_away() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let [one, other] = ["one", "other"].map(sandbox);
    let made = runtime.add("one").ok();
    let expected = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{ "name": "eth0", "mac": "02:42:0a:58:00:02", "mtu": 1500, "sandbox": sandbox_path("one") }],
        "ips": [{ "address": "10.88.0.2/24", "gateway": "10.88.0.1", "interface": 0 }],
        "routes": [{ "dst": "0.0.0.0/0", "gw": "10.88.0.1" }],
        "dns": { "nameservers": ["10.88.0.1"] },
    });
    assert_eq!(made, expected);
    let at_other = address_in(&runtime.add("other").ok());
    assert!(one.ping(at_other, 56) && other.ping(address("10.88.0.2"), 56) && one.ping(GATEWAY, 1400));
    assert_eq!(one.default_route(), Some(GATEWAY));
    assert_eq!(runtime.check("one", &made).ok(), Value::Null);
    assert_eq!(names(&mut lab, false), ["one", "other"]);

    assert_eq!(runtime.del("one").ok(), Value::Null);
    assert!(one.interfaces().iter().all(|interface| interface.name == "lo"));
    assert_eq!(runtime.del("one").ok(), Value::Null);
    assert_eq!(runtime.del("other").ok(), Value::Null);
    // The daemon was started for them, and is not needed any more.
    assert!(waited_for(|| processes::others().is_empty().then_some(())).is_some(), "{:?}", processes::others());
    lab.finish();
}

fn a_result_has_the_form_of_the_version_asked_in() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    sandbox("one");
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let runtime = runtime.with("cniVersion", json!(version));
        let made = runtime.add("one").ok();
        assert_eq!(made["cniVersion"], version);
        assert_eq!(made["ips"][0].get("version").is_some(), version < "1.0.0", "{made:#}");
        assert_eq!(made["interfaces"][0].get("mtu").is_some(), version >= "1.1.0", "{made:#}");
        if version >= "0.4.0" {
            runtime.check("one", &made).ok();
        }
        runtime.del("one").ok();
    }
    let versions = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    assert_eq!(runtime.ask("VERSION", "").ok(), json!({ "cniVersion": "1.1.0", "supportedVersions": versions }));
    lab.finish();
}

fn check_tells_what_is_not_as_it_was() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let one = sandbox("one");
    let changes: [(&[&str], &str); 5] = [
        (&["address", "del", "10.88.0.2/24", "dev", "eth0"], "it has not the address 10.88.0.2/24"),
        (&["route", "del", "default"], "there is no route to 0.0.0.0/0 by 10.88.0.1"),
        (&["link", "set", "dev", "eth0", "mtu", "1400"], "its MTU was 1500 and is 1400"),
        (
            &["link", "set", "dev", "eth0", "address", "02:00:00:00:00:77"],
            "its MAC was 02:42:0a:58:00:02 and is 02:00:00:00:00:77",
        ),
        (&["link", "set", "dev", "eth0", "down"], "it is switched off"),
    ];
    for (change, difference) in changes {
        let made = runtime.add("one").ok();
        runtime.check("one", &made).ok();
        one.ip(change);
        let told = runtime.check("one", &made).failed(101);
        assert_eq!(told, format!("check eth0 in /run/netns/one: {difference}"));
        runtime.del("one").ok();
    }
    let made = runtime.add("one").ok();
    one.ip(&["link", "del", "dev", "eth0"]);
    lab.eventually("its end is noticed", &mut |_| {
        runtime.check("one", &made).failed(101) == "check one/eth0: its interface has gone"
    });
    runtime.del("one").ok();
    assert_eq!(runtime.check("one", &made).failed(3), "check one/eth0: there is no such interface");
    assert_eq!(runtime.ask("CHECK", "one").failed(7), "read prevResult: it is missing");
    lab.finish();
}

fn what_is_there_is_not_made_again() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let one = sandbox("one");
    runtime.add("one").ok();
    let there = "make the interface eth0 in /run/netns/one: there is one of this name already";
    assert_eq!(runtime.add("one").failed(4), there);
    assert!(one.ping(GATEWAY, 56), "the first is as it was");
    // Nor is somebody else's.
    let other = sandbox("other");
    other.ip(&["link", "add", "name", "eth0", "type", "veth", "peer", "name", "peer0"]);
    assert_eq!(runtime.add("other").failed(4), there.replace("/one", "/other"));
    assert_eq!(names(&mut lab, true).len(), 1);
    // The same container in another sandbox: the first has been forgotten.
    end_of_sandbox("other");
    let other = sandbox("other");
    let mut again = runtime.plugin("pontoon-cni", "ADD", "one");
    again.env("CNI_NETNS", sandbox_path("other"));
    runtime.execute(again).ok();
    assert!(other.ping(GATEWAY, 56));
    assert!(one.interfaces().iter().all(|interface| interface.name == "lo"));
    assert_eq!(names(&mut lab, true).len(), 1);
    // Another sandbox in the place of one that has just gone.
    for _ in 0..20 {
        end_of_sandbox("one");
        let one = sandbox("one");
        runtime.add("one").ok();
        assert!(one.ping(GATEWAY, 56));
    }
    lab.finish();
}

fn del_needs_neither_sandbox_nor_interface_nor_daemon() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    // Of what never was, where there never was a daemon.
    runtime.del("never").ok();
    for (number, container) in ["one", "two", "three", "four"].into_iter().enumerate() {
        sandbox(container);
        assert_eq!(address_in(&runtime.add(container).ok()), address("10.88.0.2"), "the last one's is free");
        let mut del = runtime.plugin("pontoon-cni", "DEL", container);
        match number {
            // The sandbox has gone, and its interface with it.
            0 => end_of_sandbox(container),
            1 => drop(del.env_remove("CNI_NETNS")),
            2 => lab.kill_daemon(),
            _ => {
                lab.reboot();
                end_of_sandbox(container);
            }
        }
        runtime.execute(del).ok();
        runtime.del(container).ok();
        lab.up();
        assert_eq!(names(&mut lab, true), Vec::<String>::new());
    }
    lab.finish();
}

fn fifty_at_once_have_fifty_addresses_and_reach_each_other() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let all: Vec<String> = (0..50).map(|number| format!("c{number}")).collect();
    let insides: Vec<Inside> = all.iter().map(|container| sandbox(container)).collect();
    let ask_all = |command: &str| -> Vec<Value> {
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                all.iter().map(|container| scope.spawn(|| runtime.ask(command, container).ok())).collect();
            asked.into_iter().map(|answer| answer.join().expect("an answer")).collect()
        })
    };
    let addresses: Vec<Ipv4Addr> = ask_all("ADD").iter().map(address_in).collect();
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 50);
    for (at, inside) in insides.iter().enumerate() {
        assert!(inside.ping(addresses[(at + 1) % 50], 56), "{} reaches its neighbour", all[at]);
        assert!(inside.ping(GATEWAY, 56), "{} reaches the gateway", all[at]);
    }
    lab.up();
    ask_all("DEL");
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}

fn gc_takes_away_what_is_not_listed_and_frees_its_address() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let other_network = runtime.with("name", json!("blue")).with("subnet", json!("10.89.0.0/24"));
    let [one, two, three, blue] = ["one", "two", "three", "blue"].map(sandbox);
    for container in ["one", "two", "three"] {
        runtime.add(container).ok();
    }
    other_network.add("blue").ok();
    runtime.gc(&["two", "unknown"]).ok();
    assert!(two.ping(GATEWAY, 56));
    assert!(blue.ping(address("10.89.0.1"), 56), "another network's is nobody's business here");
    assert!([&one, &three].iter().all(|gone| gone.interfaces().iter().all(|interface| interface.name == "lo")));
    assert_eq!(names(&mut lab, true), ["blue", "two"]);
    assert_eq!(address_in(&runtime.add("three").ok()), address("10.88.0.2"));
    runtime.gc(&[]).ok();
    runtime.gc(&[]).ok();
    assert_eq!(names(&mut lab, true).len(), 1);
    lab.finish();
}

fn what_a_runtime_asks_for_is_had() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let sandboxes = ["one", "two", "three", "four"].map(sandbox);
    // As a capability, by the conventions, and in CNI_ARGS.
    let capabilities = json!({ "ips": ["10.88.0.77/24"], "mac": "02:00:00:00:00:77" });
    let made = runtime.with("runtimeConfig", capabilities).add("one").ok();
    assert_eq!(
        (address_in(&made), &made["interfaces"][0]["mac"]),
        (address("10.88.0.77"), &json!("02:00:00:00:00:77"))
    );
    let conventions = json!({ "cni": { "ips": ["10.88.0.78"], "mac": "02:00:00:00:00:78" } });
    let made = runtime.with("args", conventions).add("two").ok();
    assert_eq!(
        (address_in(&made), &made["interfaces"][0]["mac"]),
        (address("10.88.0.78"), &json!("02:00:00:00:00:78"))
    );
    let arguments = "IgnoreUnknown=1;NEW=1;K8S_POD_NAME=shop;IP=10.88.0.79;MAC=02:00:00:00:00:79";
    let asking = Runtime { arguments: arguments.into(), ..runtime.with("mtu", json!(1500)) };
    let made = asking.add("three").ok();
    assert_eq!(
        (address_in(&made), &made["interfaces"][0]["mac"]),
        (address("10.88.0.79"), &json!("02:00:00:00:00:79"))
    );
    assert!(sandboxes[0].ping(address("10.88.0.78"), 56) && sandboxes[1].ping(address("10.88.0.79"), 56));
    assert_eq!(names(&mut lab, false), ["one", "shop", "two"]);
    // What somebody has nobody else gets.
    let taken = runtime.with("runtimeConfig", json!({ "ips": ["10.88.0.77"] })).add("four").failed(100);
    assert_eq!(taken, "network web: address 10.88.0.77 is in use by another container");
    let outside = runtime.with("runtimeConfig", json!({ "ips": ["10.99.0.77"] })).add("four").failed(100);
    assert_eq!(outside, "network web: address 10.99.0.77 is not in the subnet 10.88.0.0/24");
    let unknown = Runtime { arguments: "NEW=1".into(), ..runtime.with("mtu", json!(1500)) };
    assert_eq!(unknown.add("four").failed(4), "read CNI_ARGS: unknown: NEW; IgnoreUnknown=1 lets them pass");
    // A resolver that the runtime asks for is told in the result.
    let dns = json!({ "dns": { "servers": ["192.0.2.53"], "searches": ["shop.example"], "options": ["ndots:2"] } });
    let made = runtime.with("runtimeConfig", dns).add("four").ok();
    let told = json!({ "nameservers": ["192.0.2.53"], "search": ["shop.example"], "options": ["ndots:2"] });
    assert_eq!(made["dns"], told);
    lab.finish();
}

fn names_are_known_on_the_network() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let [_, two] = ["one", "two"].map(sandbox);
    let named = Runtime { arguments: "IgnoreUnknown=1;K8S_POD_NAME=shop".into(), ..runtime.with("mtu", json!(1500)) };
    let made = named.with("runtimeConfig", json!({ "aliases": { "web": ["store"] } })).add("one").ok();
    runtime.add("two").ok();
    for name in ["shop", "store"] {
        assert_eq!(addresses_of(&two, GATEWAY, name), [address_in(&made)], "{name}");
    }
    lab.finish();
}

fn ports_are_published_and_follow_the_interface() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let [one, _] = ["one", "two"].map(sandbox);
    let publishing = runtime.with(
        "runtimeConfig",
        json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1" }] }),
    );
    let made = publishing.add("one").ok();
    one.serve(80);
    let localhost = address("127.0.0.1");
    let told = Inside::here().tell(localhost, 8080, "hello").expect("an answer");
    assert!(told.starts_with("hello"), "{told}");
    publishing.check("one", &made).ok();
    // A port of the host is one container's.
    let taken = publishing.add("two").failed(100);
    assert!(taken.contains("127.0.0.1:8080"), "{taken}");
    assert_eq!(names(&mut lab, true).len(), 1, "the other has left nothing");
    // The next daemon has it as it was.
    lab.kill_daemon();
    runtime.ask("STATUS", "").ok();
    assert!(Inside::here().tell(localhost, 8080, "hello").is_ok());
    publishing.del("one").ok();
    assert_eq!(Inside::here().tell(localhost, 8080, "hello"), Err(NetError::Refused));
    publishing.add("two").ok();
    lab.finish();
}

fn addresses_are_from_the_range_until_it_is_used_up() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let ipam =
        json!({ "type": "pontoon", "subnet": "10.88.0.0/24", "rangeStart": "10.88.0.100", "rangeEnd": "10.88.0.101" });
    let runtime = runtime.with("ipam", ipam);
    for container in ["one", "two", "three"] {
        sandbox(container);
    }
    assert_eq!(address_in(&runtime.add("one").ok()), address("10.88.0.100"));
    assert_eq!(address_in(&runtime.add("two").ok()), address("10.88.0.101"));
    let used_up = "network web: no free address is left from 10.88.0.100 to 10.88.0.101";
    assert_eq!(runtime.add("three").failed(11), used_up);
    // As a capability it is another one.
    let asked = json!({ "ipRanges": [[{ "subnet": "10.88.0.0/24", "rangeStart": "10.88.0.200" }]] });
    assert_eq!(address_in(&runtime.with("runtimeConfig", asked).add("three").ok()), address("10.88.0.200"));
    runtime.del("one").ok();
    runtime.del("three").ok();
    assert_eq!(address_in(&runtime.add("three").ok()), address("10.88.0.100"));
    lab.finish();
}

fn routes_are_those_of_the_configuration() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let routes = json!([{ "dst": "192.0.2.0/24" }, { "dst": "198.51.100.0/24", "gw": "10.88.0.9" }]);
    let runtime = runtime.with("ipam", json!({ "routes": routes }));
    let one = sandbox("one");
    let made = runtime.add("one").ok();
    let told = json!([{ "dst": "192.0.2.0/24", "gw": "10.88.0.1" }, { "dst": "198.51.100.0/24", "gw": "10.88.0.9" }]);
    assert_eq!(made["routes"], told);
    let mut routes = one.enter(|| netns::linux::routes().expect("routes"));
    routes.sort();
    let route = |to: &str, by: Option<&str>| (to.parse().expect("a prefix"), by.map(address), "eth0".to_owned());
    let expected = [
        route("10.88.0.0/24", None),
        route("192.0.2.0/24", Some("10.88.0.1")),
        route("198.51.100.0/24", Some("10.88.0.9")),
    ];
    assert_eq!(routes, expected);
    runtime.check("one", &made).ok();
    one.ip(&["route", "del", "192.0.2.0/24"]);
    let told = runtime.check("one", &made).failed(101);
    assert_eq!(told, "check eth0 in /run/netns/one: there is no route to 192.0.2.0/24 by 10.88.0.1");
    lab.finish();
}

fn a_container_on_two_networks_knows_the_names_of_both_and_leaves_by_the_first() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let back = runtime.with("name", json!("back")).with("subnet", json!("10.89.0.0/24"));
    let (front_gateway, back_gateway) = (GATEWAY, address("10.89.0.1"));
    let [both, front, other] = ["both", "front", "other"].map(sandbox);
    let at_front = address_in(&runtime.add("front").ok());
    let at_back = address_in(&back.add("other").ok());
    runtime.add("both").ok();
    let made = back.ask_about("eth1", "ADD", "both").ok();
    back.with("prevResult", made.clone()).ask_about("eth1", "CHECK", "both").ok();
    assert!(both.ping(at_front, 56) && both.ping(at_back, 56) && other.ping(address_in(&made), 56));
    assert!(!front.ping(at_back, 56), "the networks are apart as before");
    // Whoever of the two is asked: a resolver takes the first one's word for it.
    for gateway in [front_gateway, back_gateway] {
        assert_eq!(addresses_of(&both, gateway, "front"), [at_front], "asked at {gateway}");
        assert_eq!(addresses_of(&both, gateway, "other"), [at_back], "asked at {gateway}");
    }
    assert_eq!(addresses_of(&other, back_gateway, "front"), Vec::<Ipv4Addr>::new());
    assert_eq!(both.default_route(), Some(front_gateway));
    runtime.del("both").ok();
    assert_eq!(both.default_route(), Some(back_gateway));
    assert_eq!(addresses_of(&both, back_gateway, "other"), [at_back]);
    assert_eq!(addresses_of(&both, back_gateway, "front"), Vec::<Ipv4Addr>::new());
    runtime.add("both").ok();
    assert_eq!(both.default_route(), Some(back_gateway), "what is there stays");
    runtime.del("both").ok();
    back.ask_about("eth1", "DEL", "both").ok();
    assert_eq!(names(&mut lab, true), ["front", "other"]);
    lab.finish();
}

/// What a server answers to a question for a name's addresses.
fn addresses_of(asker: &Inside, server: Ipv4Addr, name: &str) -> Vec<Ipv4Addr> {
    let answer = asker.ask(server, 53, &question(name, Rtype::A)).expect("an answer");
    let answer = Message::from_octets(answer).expect("a message");
    let records = answer.answer().expect("a section").limit_to::<A>();
    records.map(|record| record.expect("a record").data().addr()).collect()
}

fn an_internal_network_has_no_way_out() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab).with("internal", json!(true)).with("mtu", json!(1400));
    let [one, _] = ["one", "two"].map(sandbox);
    let made = runtime.add("one").ok();
    assert_eq!(made["ips"], json!([{ "address": "10.88.0.2/24", "interface": 0 }]));
    assert_eq!((made.get("routes"), &made["interfaces"][0]["mtu"]), (None, &json!(1400)));
    assert_eq!(one.default_route(), None);
    let at_two = address_in(&runtime.add("two").ok());
    assert!(one.ping(at_two, 56));
    runtime.check("one", &made).ok();
    lab.finish();
}

fn a_network_is_removed_by_hand_and_made_again_by_the_next_add() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let one = sandbox("one");
    runtime.add("one").ok();
    let said = pontoon(&lab, &["network", "rm", "web"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.starts_with("pontoon: network web is in use by one (cni)\n"), "{}", said.stderr);
    assert!(one.ping(GATEWAY, 56));
    runtime.del("one").ok();
    // It is not one that `prune` takes for unused.
    prints(&lab, &["network", "prune", "--force"]);
    assert!(prints(&lab, &["network", "ls"]).contains("web"));
    prints(&lab, &["network", "rm", "web"]);
    let other = runtime.with("subnet", json!("10.99.0.0/24"));
    assert_eq!(address_in(&other.add("one").ok()), address("10.99.0.2"));
    lab.finish();
}

fn containers_of_ours_and_of_a_runtime_s_are_on_one_network() {
    let mut lab = Linux::new();
    lab.up();
    prints(&lab, &["network", "create", "--subnet", "10.88.0.0/24", "web"]);
    run(&mut lab, Order::new("ours").network("web"));
    let runtime = Runtime::new(&lab);
    let one = sandbox("one");
    let at_one = address_in(&runtime.add("one").ok());
    let at_ours = ip_on(&mut lab, "ours", "web");
    assert_ne!(at_one, at_ours);
    assert!(one.ping(at_ours, 56) && lab.ping(Place::In("ours"), at_one, 56));
    runtime.del("one").ok();
    lab.finish();
}

fn plugins_before_and_behind_it_in_a_chain_work() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab).with("cniVersion", json!("1.0.0"));
    let [one, two] = ["one", "two"].map(sandbox);
    let call = |kind: &str, command: &str, conf: &Value| {
        let mut plugin = runtime.plugin(kind, command, "one");
        if kind == "loopback" {
            plugin.env("CNI_IFNAME", "lo");
        }
        execute(plugin, conf.to_string().as_bytes()).ok()
    };
    let chained = |kind: &str, more: Value, previous: &Value| {
        let mut conf = json!({ "cniVersion": "1.0.0", "name": "web", "type": kind, "prevResult": previous });
        conf.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        conf
    };
    let loopback = json!({ "cniVersion": "1.0.0", "name": "web", "type": "loopback" });
    let before = call("loopback", "ADD", &loopback);
    let first = before["interfaces"].as_array().map_or(0, Vec::len);
    let own = runtime.with("prevResult", before);
    let made = own.add("one").ok();
    assert_eq!(made["interfaces"].as_array().map(Vec::len), Some(first + 1), "{made:#}");
    assert_eq!(made["interfaces"][first]["name"], "eth0");
    assert!(made["ips"].as_array().expect("addresses").iter().any(|ip| ip["interface"] == json!(first)), "{made:#}");
    let tuning = |previous: &Value| chained("tuning", json!({ "mac": "02:00:00:00:00:99", "sysctl": {} }), previous);
    let tuned = call("tuning", "ADD", &tuning(&made));
    let mapping = json!([{ "hostPort": 8081, "containerPort": 80, "protocol": "tcp" }]);
    let portmap = |previous: &Value| {
        chained("portmap", json!({ "snat": true, "runtimeConfig": { "portMappings": mapping } }), previous)
    };
    let last = call("portmap", "ADD", &portmap(&tuned));
    assert_eq!(last["interfaces"][first]["mac"], "02:00:00:00:00:99");
    assert!(one.ping(GATEWAY, 56), "the switch hears of its new address");
    one.serve(80);
    runtime.add("two").ok();
    let told = two.tell(GATEWAY, 8081, "hello").expect("an answer");
    assert!(told.starts_with("hello"), "{told}");
    // What the last of them has left is what is looked at.
    own.check("one", &last).ok();
    call("tuning", "CHECK", &tuning(&last));
    call("portmap", "DEL", &portmap(&last));
    call("tuning", "DEL", &tuning(&last));
    own.with("prevResult", last).del("one").ok();
    call("loopback", "DEL", &loopback);
    lab.finish();
}
