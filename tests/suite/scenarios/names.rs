//! Containers found by name on a user's network; on the default one nobody is.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Ptr};

use super::scenarios;
use crate::lab::{Lab, NetworkOrder, Order, Place, address, create, inspect, ip_on, run};

scenarios![
    containers_of_a_users_network_are_found_by_name,
    a_name_means_what_it_means_on_ones_own_network,
    an_alias_may_be_shared,
    an_address_leads_back_to_a_name,
    names_go_with_their_containers,
    a_container_on_two_networks_finds_the_names_of_both,
    nobody_is_found_by_name_on_the_default_network,
    the_default_network_has_no_name_server_where_the_hosts_can_be_reached,
    names_are_found_again_after_a_killed_daemon,
];

pub fn question(name: &str, kind: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    let name = Name::<Vec<u8>>::from_str(name).expect("a name");
    question.push((name, kind)).expect("a question");
    question.finish()
}

/// What a container is told by the gateway of a network; `Err` is the answer's code.
fn resolve(lab: &mut dyn Lab, from: &str, gateway: &str, name: &str) -> Result<BTreeSet<Ipv4Addr>, Rcode> {
    let answer = lab.ask(Place::In(from), address(gateway), &question(name, Rtype::A));
    let answer = Message::from_octets(answer.expect("the gateway answers")).expect("a message");
    assert_eq!(answer.header().id(), 0x1234);
    if answer.header().rcode() != Rcode::NOERROR {
        return Err(answer.header().rcode());
    }
    let records = answer.answer().expect("answers").limit_to::<A>();
    Ok(records.map(|record| record.expect("an address").data().addr()).collect())
}

fn one(ip: Ipv4Addr) -> Result<BTreeSet<Ipv4Addr>, Rcode> {
    Ok(BTreeSet::from([ip]))
}

fn containers_of_a_users_network_are_found_by_name(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web").network("red").alias("www").hostname("front"));
    let id = run(lab, Order::new("db").network("red"));
    let web = ip_on(lab, "web", "red");
    for name in ["web", "WEB", "www", "front", "web.red"] {
        assert_eq!(resolve(lab, "db", "172.18.0.1", name), one(web), "{name}");
    }
    let db = ip_on(lab, "db", "red");
    assert_eq!(resolve(lab, "web", "172.18.0.1", &id[..12]), one(db));
    let (from, to) = (Place::In("db"), Place::In("web"));
    assert!(lab.ping(from, web, 56) && lab.ping(to, db, 56));
    let six = lab.ask(from, address("172.18.0.1"), &question("web", Rtype::AAAA)).expect("an answer");
    let six = Message::from_octets(six).expect("a message");
    assert_eq!((six.header().rcode(), six.header_counts().ancount()), (Rcode::NOERROR, 0), "there is no IPv6");
}

fn a_name_means_what_it_means_on_ones_own_network(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    create(lab, NetworkOrder::new("blue"));
    run(lab, Order::new("red-db").network("red").alias("db"));
    run(lab, Order::new("blue-db").network("blue").alias("db"));
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("b").network("blue"));
    let (red, blue) = (ip_on(lab, "red-db", "red"), ip_on(lab, "blue-db", "blue"));
    assert_eq!(resolve(lab, "a", "172.18.0.1", "db"), one(red));
    assert_eq!(resolve(lab, "b", "172.19.0.1", "db"), one(blue));
    let other = lab.ask(Place::In("a"), address("172.19.0.1"), &question("db", Rtype::A));
    assert_eq!(other, None, "a gateway answers its own network only");
}

fn an_alias_may_be_shared(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    for name in ["a", "b", "c"] {
        run(lab, Order::new(name).network("red").alias("pool"));
    }
    let all: BTreeSet<Ipv4Addr> = ["a", "b", "c"].map(|name| ip_on(lab, name, "red")).into();
    assert_eq!(resolve(lab, "a", "172.18.0.1", "pool"), Ok(all));
}

fn an_address_leads_back_to_a_name(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red").subnet("10.9.0.0/24"));
    run(lab, Order::new("web").network("red").ip("10.9.0.7"));
    let answer = lab.ask(Place::In("web"), address("10.9.0.1"), &question("7.0.9.10.in-addr.arpa", Rtype::PTR));
    let answer = Message::from_octets(answer.expect("an answer")).expect("a message");
    let names = answer.answer().expect("answers").limit_to::<Ptr<_>>();
    let names: Vec<String> = names.map(|record| record.expect("a name").data().ptrdname().to_string()).collect();
    assert_eq!(names, ["web.red"]);
    let nobody = lab.ask(Place::In("web"), address("10.9.0.1"), &question("9.0.9.10.in-addr.arpa", Rtype::PTR));
    let nobody = Message::from_octets(nobody.expect("an answer")).expect("a message");
    assert_eq!(nobody.header().rcode(), Rcode::NXDOMAIN);
}

fn names_go_with_their_containers(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red").internal());
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("web").network("red"));
    let web = ip_on(lab, "web", "red");
    assert_eq!(resolve(lab, "a", "172.18.0.1", "web"), one(web));
    lab.stop("web", 0).expect("stop web");
    // (Nothing is asked outside: the network is internal.)
    assert_eq!(resolve(lab, "a", "172.18.0.1", "web"), Err(Rcode::SERVFAIL));
    run(lab, Order::new("web"));
    lab.connect_network("red", "web", Some(address("172.18.0.9"))).expect("connect");
    assert_eq!(resolve(lab, "a", "172.18.0.1", "web"), one(address("172.18.0.9")));
    lab.disconnect_network("red", "web").expect("disconnect");
    assert_eq!(resolve(lab, "a", "172.18.0.1", "web"), Err(Rcode::SERVFAIL));
}

fn a_container_on_two_networks_finds_the_names_of_both(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    create(lab, NetworkOrder::new("blue"));
    run(lab, Order::new("a").network("red"));
    run(lab, Order::new("b").network("blue"));
    run(lab, Order::new("both").network("red"));
    lab.connect_network("blue", "both", None).expect("connect");
    let (a, b) = (ip_on(lab, "a", "red"), ip_on(lab, "b", "blue"));
    assert!(lab.etc("both")[0].starts_with("nameserver 172.18.0.1\n"));
    assert_eq!(resolve(lab, "both", "172.18.0.1", "a"), one(a));
    assert_eq!(resolve(lab, "both", "172.18.0.1", "b"), one(b));
}

fn nobody_is_found_by_name_on_the_default_network(lab: &mut dyn Lab) {
    lab.host_resolv_conf("nameserver 127.0.0.53\n");
    lab.up();
    run(lab, Order::new("web"));
    run(lab, Order::new("db"));
    // Its gateway passes questions on, and in a lab nobody is there to answer.
    assert_eq!(resolve(lab, "db", "172.17.0.1", "web"), Err(Rcode::SERVFAIL));
    let refused = lab.run(Order::new("x").alias("y")).expect_err("there are no aliases");
    let expected = "no alias y on network bridge: aliases are for user-defined networks only";
    assert_eq!(refused.message, expected);
    // However the network is named.
    let id = lab.networks().into_iter().find(|network| network.name == "bridge").expect("it is always there").id;
    let refused = lab.run(Order::new("x").network(&id[..12]).alias("y")).expect_err("there are no aliases");
    assert_eq!(refused.message, expected);
}

fn the_default_network_has_no_name_server_where_the_hosts_can_be_reached(lab: &mut dyn Lab) {
    lab.host_resolv_conf("nameserver 10.0.0.53\n");
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web"));
    run(lab, Order::new("db").network("red"));
    assert_eq!(lab.etc("web")[0], "nameserver 10.0.0.53\n");
    assert_eq!(lab.ask(Place::In("web"), address("172.17.0.1"), &question("db", Rtype::A)), None);
    assert!(resolve(lab, "db", "172.18.0.1", "db").is_ok(), "networks of users have one");
    // Who was told to ask the gateway may do so for life.
    lab.host_resolv_conf("nameserver 127.0.0.53\n");
    run(lab, Order::new("late"));
    assert_eq!(lab.etc("late")[0], "nameserver 172.17.0.1\n");
    lab.host_resolv_conf("nameserver 10.0.0.53\n");
    for _ in 0..2 {
        run(lab, Order::nameless());
        assert_eq!(resolve(lab, "late", "172.17.0.1", "db"), Err(Rcode::SERVFAIL), "it passes questions on");
        lab.kill_daemon();
        lab.up();
    }
}

fn names_are_found_again_after_a_killed_daemon(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web").network("red").alias("www"));
    run(lab, Order::new("db").network("red"));
    let web = ip_on(lab, "web", "red");
    lab.kill_daemon();
    lab.up();
    assert_eq!(inspect(lab, "web").networks["red"].aliases, ["www"]);
    assert_eq!(resolve(lab, "db", "172.18.0.1", "www"), one(web));
}
