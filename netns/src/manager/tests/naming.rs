//! Who answers for names, and what is told where nobody does.

use std::net::Ipv4Addr;

use super::paper::Failure;
use super::*;
use crate::guest::{GuestRequest, Place};
use crate::names::NameTable;
use crate::network::Owner;

fn table(lab: &Lab, id: &Id) -> NameTable {
    lab.host().tables[&id.to_string()].1.clone()
}

/// A host on which port 53 is somebody else's.
fn lab_without_names(hint: Option<&'static str>) -> Lab {
    let lab = Lab::new();
    lab.host().failing.insert("serve_names", Failure { object: "172.18.0.1:53".into(), hint });
    lab
}

#[test]
fn names_are_answered_on_users_networks_and_on_the_default_one_if_the_hosts_servers_are_out_of_reach() {
    let mut lab = Lab::new();
    let red = lab.create_network(network("red"));
    let served = |lab: &Lab| lab.host().tables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(served(&lab), [red.to_string()]);
    lab.host().resolv_conf = "nameserver 127.0.0.53\n".into();
    lab.run("web", "bridge");
    assert_eq!(served(&lab).len(), 2);
    lab.host().resolv_conf = "nameserver 192.0.2.1\n".into();
    lab.run("db", "bridge");
    assert_eq!(served(&lab).len(), 2, "who came before asks the gateway yet");
    lab.manager.remove("web", true, lab.now).expect("removed");
    lab.manager.remove("db", true, lab.now).expect("removed");
    assert_eq!(served(&lab), [red.to_string()]);
}

#[test]
fn a_table_says_on_which_other_networks_its_containers_are() {
    let mut lab = Lab::new();
    let red = lab.create_network(network("red"));
    let blue = lab.create_network(network("blue"));
    lab.run("db", "red");
    lab.run("web", "red");
    lab.connect("blue", "web").expect("connected");
    let web = lab.manager.inspect("web").expect("it is there").networks;
    let beside = |id: &Id| table(&lab, id).beside.into_iter().collect::<Vec<_>>();
    assert_eq!(beside(&red), [(web["red"].ip.addr(), vec![blue.to_string()])]);
    assert_eq!(beside(&blue), [(web["blue"].ip.addr(), vec![red.to_string()])]);
}

#[test]
fn guests_in_one_sandbox_are_one_container_to_whoever_looks_for_names() {
    let mut lab = Lab::new();
    let [red, blue] = ["red", "blue"].map(|name| lab.create_network(network(name)));
    let mut open = |network: &str, key: &str, sandbox: &str| {
        let sandbox = Some(format!("/run/netns/{sandbox}"));
        let request =
            GuestRequest { sandbox, named: Some("web".into()), ..GuestRequest::new(Owner::Cni, key, network) };
        lab.manager.reserve(request, lab.now).expect("reserved");
        let place = Place::Host { ifname: format!("p{}", &key[..1]) };
        lab.manager.open_guest(Owner::Cni, key, place, lab.now).expect("open").lease.ip.addr()
    };
    let (first, second) = (open("red", "1/eth0", "one"), open("blue", "1/eth1", "one"));
    let other = open("red", "2/eth0", "two");
    let beside = |lab: &Lab, id: &Id| table(lab, id).beside.into_iter().collect::<Vec<_>>();
    assert_eq!(beside(&lab, &red), [(first, vec![blue.to_string()])], "{other} is on one network");
    assert_eq!(beside(&lab, &blue), [(second, vec![red.to_string()])]);
    let known = |lab: &Lab, id: &Id| table(lab, id).names.get("web").cloned().unwrap_or_default();
    assert_eq!((known(&lab, &red), known(&lab, &blue)), (vec![first], vec![second]), "{other} is another's");
    lab.manager.release(Owner::Cni, "1/eth0", lab.now).expect("released");
    assert_eq!(beside(&lab, &blue), []);
    assert_eq!(known(&lab, &blue), [second], "it is called so on every network that it is on");
}

#[test]
fn who_comes_to_a_network_without_names_is_told_why_and_it_is_tried_again() {
    let mut lab = lab_without_names(None);
    lab.create_network(network("red"));
    let why = "names are not resolved on network red: serve_names 172.18.0.1:53: told to fail";
    assert_eq!(lab.run("web", "red").warnings, [why]);
    assert_eq!(lab.manager.warnings_on("red"), [why]);
    assert_eq!(lab.manager.warnings_on("bridge"), Vec::<String>::new());
    assert_eq!(lab.manager.warnings_on("nowhere"), Vec::<String>::new());
    lab.host().failing.clear();
    assert_eq!(lab.manager.poll_timeout(), Some(at(5).instant));
    assert_eq!(lab.times("serve_names", |lab| drop(lab.pass(4))), 0);
    assert_eq!(lab.times("serve_names", |lab| drop(lab.pass(1))), 1);
    assert_eq!(lab.manager.poll_timeout(), None);
    assert_eq!(lab.manager.warnings_on("red"), Vec::<String>::new());
}

#[test]
fn a_new_daemon_tells_of_each_network_whose_names_are_not_answered() {
    let mut lab = lab_without_names(Some("try another"));
    lab.create_network(network("red"));
    let why = "names are not resolved on network red: serve_names 172.18.0.1:53: told to fail; try another";
    assert_eq!(lab.restart(), [why]);
}

#[test]
fn nobody_misses_names_on_the_default_network() {
    let mut lab = lab_without_names(None);
    lab.host().resolv_conf.clear();
    assert_eq!(lab.run("web", "bridge").warnings, Vec::<String>::new());
    assert_eq!(lab.restart(), Vec::<String>::new());
}

#[test]
fn a_container_that_publishes_port_53_in_the_way_of_names_is_named() {
    // Published, where, and whether it is in the way.
    for (ports, is_in_the_way) in
        [("53:53/udp", true), ("172.18.0.1:53:53/udp", true), ("172.19.0.1:53:53/udp", false), ("54:53/udp", false)]
    {
        let mut lab = lab_without_names(Some("try another"));
        lab.create(publishing("dns", "bridge", ports)).expect("a container");
        lab.create_network(network("red"));
        let warnings = lab.manager.warnings_on("red").concat();
        let is_named = warnings.contains("container dns publishes this port");
        assert_eq!(
            (is_named, warnings.contains("try another")),
            (is_in_the_way, !is_in_the_way),
            "{ports}: {warnings}"
        );
        // It is no more when it has ended.
        lab.manager.stop("dns", Duration::ZERO, lab.now).expect("stopped");
        lab.pass(5);
        assert!(!lab.manager.warnings_on("red").concat().contains("dns"));
    }
}

#[test]
fn a_container_whose_ports_are_published_no_more_is_in_nobodys_way() {
    let mut lab = lab_without_names(None);
    let dns = lab.create(publishing("dns", "bridge", "53:53/udp")).expect("a container").id;
    lab.create_network(network("red"));
    lab.host().fail("publish");
    lab.host().unpublished.push_back(dns);
    lab.manager.reap(lab.now);
    lab.pass(5);
    assert!(!lab.manager.warnings_on("red").concat().contains("container dns"));
}

#[test]
fn a_port_that_can_not_be_had_because_names_are_answered_on_it_says_so() {
    let publish = |lab: &mut Lab, ports: &str, object: &str| {
        lab.host().failing.insert("publish", Failure { object: object.into(), hint: None });
        let failed = lab.create(publishing("dns", "bridge", ports)).expect_err("refused");
        (failed.to_string(), failed.hint())
    };
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.create_network(network("blue"));
    let answered = "; names of our networks are answered on ";
    let (all, hint) = publish(&mut lab, "53:53/udp", "0.0.0.0:53/udp");
    assert!(all.contains(answered) && all.contains("172.18.0.1") && all.contains("172.19.0.1"), "{all}");
    assert!(hint.is_some_and(|hint| hint.contains("is not one of these")));
    let (one, _) = publish(&mut lab, "172.19.0.1:53:53/udp", "172.19.0.1:53/udp");
    assert!(one.ends_with("answered on 172.19.0.1, port 53"), "{one}");
    let (none, hint) = publish(&mut lab, "172.16.0.1:53:53/udp", "172.16.0.1:53/udp");
    assert_eq!((none.contains(answered), hint), (false, None));
    let (none, _) = publish(&mut lab, "80:53/udp", "0.0.0.0:80/udp");
    assert!(!none.contains(answered), "{none}");
}

#[test]
fn a_port_that_another_container_has_says_which() {
    let mut lab = Lab::new();
    lab.create(publishing("old", "bridge", "81:80")).expect("a container");
    lab.create(publishing("web", "bridge", "8080:80")).expect("a container");
    let publish = |lab: &mut Lab| {
        lab.host().failing.insert("publish", Failure { object: "0.0.0.0:8080/tcp".into(), hint: Some("look") });
        let failed = lab.create(publishing("next", "bridge", "8080:80")).expect_err("refused");
        lab.host().failing.clear();
        (failed.to_string(), failed.hint().expect("a hint"))
    };
    let (why, hint) = publish(&mut lab);
    assert!(why.ends_with("container web publishes it") && hint.contains("stop that container"), "{why}: {hint}");
    lab.manager.stop("web", Duration::ZERO, lab.now).expect("stopped");
    let (why, hint) = publish(&mut lab);
    assert!(!why.contains("container web"), "{why}");
    assert_eq!(hint, "look");
}

#[test]
fn the_servers_that_a_container_asks_for_are_in_the_tables_of_its_networks() {
    let mut lab = Lab::new();
    let red = lab.create_network(network("red"));
    let server = Ipv4Addr::new(192, 0, 2, 7);
    lab.create(RunRequest { dns: vec![server], ..request("web", "red") }).expect("a container");
    lab.run("db", "red");
    let own = lab.manager.inspect("web").expect("it is there").networks["red"].ip.addr();
    assert_eq!(table(&lab, &red).upstreams.into_iter().collect::<Vec<_>>(), [(own, vec![server])]);
}
