//! What is not known is asked of other name servers, which are silent, refuse, or lie.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use domain::base::iana::{Rcode, Rtype};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::scene::*;

crate::trials![
    what_is_not_known_goes_to_the_hosts_servers_of_the_moment,
    a_client_with_servers_of_its_own_asks_these,
    a_query_by_tcp_is_passed_on_by_tcp,
    a_forged_answer_is_none,
    a_silent_server_gives_way_but_may_still_answer,
    silence_of_all_servers_is_a_failure,
    a_server_that_says_no_gives_way_at_once,
    nobody_asks_himself,
    an_answer_too_long_for_udp_is_had_by_tcp,
    what_is_under_way_is_bounded_for_each_and_for_all,
];

fn what_is_not_known_goes_to_the_hosts_servers_of_the_moment() {
    let resolver = scene(&[FIRST]);
    let (first, second) = (Server::at(FIRST), Server::at(SECOND));
    let question = query("WWW.Example.org", Rtype::A);
    let client = client(WEB);
    client.send(&question).expect("sent");
    let (passed_on, from) = first.receive();
    assert_eq!(passed_on[2..], question[2..]);
    assert_ne!(from.ip(), GATEWAY);
    first.send(&found(&passed_on, FOUND), from);
    let got = receive(&client);
    assert_eq!(got[..2], question[..2]);
    assert_eq!(read(&got).records, [FOUND.to_string()]);

    // Another file takes its place, as network managers do it.
    fs::write("/etc/new", format!("nameserver {SECOND}\n")).expect("written");
    fs::rename("/etc/new", "/etc/resolv.conf").expect("renamed");
    client.send(&question).expect("sent");
    let (passed_on, another) = second.receive();
    assert_ne!(another.port(), from.port(), "each query has a port of its own");
    second.send(&found(&passed_on, FOUND), another);
    assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);
    // The file is gone for a moment: what was known is in force.
    fs::remove_file("/etc/resolv.conf").expect("removed");
    client.send(&question).expect("sent");
    let (passed_on, from) = second.receive();
    second.send(&found(&passed_on, FOUND), from);
    assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);
    assert_eq!(settled(&resolver).relayed, 3);
}

fn a_client_with_servers_of_its_own_asks_these() {
    let mut resolver = scene(&[FIRST]);
    let mut table = table();
    table.upstreams.insert(WEB, vec![SECOND]);
    resolver.serve("net", GATEWAY, table).expect("served");
    let (first, second) = (Server::at(FIRST), Server::at(SECOND));
    for (from, server) in [(WEB, &second), (DB, &first)] {
        let client = client(from);
        client.send(&query("example.org", Rtype::A)).expect("sent");
        server.answer(FOUND);
        assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);
    }
}

fn a_query_by_tcp_is_passed_on_by_tcp() {
    let _resolver = scene(&[FIRST]);
    let door = TcpListener::bind((FIRST, 53)).expect("an address of ours");
    let mut client = connect(WEB);
    // Two of them, the second of which is answered first.
    let questions = [numbered("one.example", 1), numbered("two.example", 2)];
    questions.iter().for_each(|question| client.send(question));
    let mut servers: Vec<Stream> = (0..2).map(|_| Stream::of(door.accept().expect("a connection").0)).collect();
    let mut asked: Vec<(Vec<u8>, Stream)> = servers.drain(..).map(|mut server| (server.receive(), server)).collect();
    asked.sort_by_key(|(question, _)| read_name(question));
    let (two, one) = (asked.pop().expect("two"), asked.pop().expect("one"));
    for ((question, mut server), number) in [(two, 2), (one, 1)] {
        server.send(&found(&question, FOUND));
        let got = client.receive();
        assert_eq!(got[..2], [0, number]);
        assert_eq!(read(&got).records, [FOUND.to_string()]);
    }
    // A server that closes the connection is asked no more.
    client.send(&numbered("three.example", 3));
    drop(door.accept().expect("a connection"));
    assert_eq!(read(&client.receive()), answer(Rcode::SERVFAIL, &[]));
}

fn a_forged_answer_is_none() {
    let resolver = scene(&[FIRST]);
    let server = Server::at(FIRST);
    let (elsewhere, another_port) = (Server::at(SECOND), UdpSocket::bind((FIRST, 5353)).expect("bound"));
    let client = client(WEB);
    let question = query("wWw.example.org", Rtype::A);
    client.send(&question).expect("sent");
    let (passed_on, from) = server.receive();
    // The right thing from the wrong places: the kernel does not even let it in.
    elsewhere.send(&found(&passed_on, FORGED), from);
    another_port.send_to(&found(&passed_on, FORGED), from).expect("sent");
    // The wrong things from the right place.
    let mut wrong_id = found(&passed_on, FORGED);
    wrong_id[1] ^= 1;
    let under = |other: Vec<u8>| {
        let mut forged = found(&other, FORGED);
        forged[..2].copy_from_slice(&passed_on[..2]);
        forged
    };
    let wrong_question = under(query("ftp.example.org", Rtype::A));
    let wrong_case = under(query("www.example.org", Rtype::A));
    let wrong_type = under(query("wWw.example.org", Rtype::AAAA));
    for forged in [&wrong_id, &wrong_question, &wrong_case, &wrong_type, &passed_on, &passed_on[..5].to_vec(), &vec![]]
    {
        server.send(forged, from);
    }
    server.send(&found(&passed_on, FOUND), from);
    assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);
    let counters = settled(&resolver);
    assert_eq!((counters.strays, counters.relayed), (7, 1));
    // Who comes too late finds nobody.
    server.send(&found(&passed_on, FORGED), from);
    assert_eq!(read(&ask(WEB, &query("db", Rtype::A))).records, [DB.to_string()]);
}

fn a_silent_server_gives_way_but_may_still_answer() {
    let _resolver = scene(&[FIRST, SECOND]);
    let (first, second) = (Server::at(FIRST), Server::at(SECOND));
    let client = client(WEB);
    client.send(&query("example.org", Rtype::A)).expect("sent");
    let (_, _) = first.receive();
    second.answer(FOUND);
    assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);

    client.send(&query("example.net", Rtype::A)).expect("sent");
    let (passed_on, from) = first.receive();
    let (again, _) = second.receive();
    assert_eq!(passed_on[2..], again[2..]);
    first.send(&found(&passed_on, FOUND), from);
    assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);
}

fn silence_of_all_servers_is_a_failure() {
    let resolver = scene(&[FIRST, SECOND]);
    let (first, second) = (Server::at(FIRST), Server::at(SECOND));
    let question = query("example.org", Rtype::A);
    assert_eq!(read(&ask(WEB, &question)), answer(Rcode::SERVFAIL, &[]));
    for server in [&first, &second, &first] {
        assert_eq!(server.receive().0[2..], question[2..]);
    }
    assert_eq!(settled(&resolver).failed, 1);
}

fn a_server_that_says_no_gives_way_at_once() {
    let resolver = scene(&[FIRST, SECOND, THIRD]);
    // Nobody listens at the first.
    let (second, third) = (Server::at(SECOND), Server::at(THIRD));
    let client = client(WEB);
    client.send(&query("example.org", Rtype::A)).expect("sent");
    second.refuse(Rcode::SERVFAIL);
    third.answer(FOUND);
    assert_eq!(read(&receive(&client)).records, [FOUND.to_string()]);
    // All of them say no: the last word is passed on.
    client.send(&query("example.org", Rtype::A)).expect("sent");
    second.refuse(Rcode::SERVFAIL);
    third.refuse(Rcode::REFUSED);
    assert_eq!(read(&receive(&client)), answer(Rcode::REFUSED, &[]));
    // That there is no such name is an answer.
    client.send(&query("example.org", Rtype::A)).expect("sent");
    second.refuse(Rcode::NXDOMAIN);
    assert_eq!(read(&receive(&client)), answer(Rcode::NXDOMAIN, &[]));
    let counters = settled(&resolver);
    assert_eq!((counters.relayed, counters.failed), (3, 0));
}

fn nobody_asks_himself() {
    let resolver = scene(&[GATEWAY]);
    assert_eq!(read(&ask(WEB, &query("example.org", Rtype::A))), answer(Rcode::SERVFAIL, &[]));
    assert_eq!(read(&connect(WEB).ask(&query("example.org", Rtype::A))), answer(Rcode::SERVFAIL, &[]));
    let counters = settled(&resolver);
    assert_eq!((counters.queries, counters.failed, counters.tries), (2, 2, 0));
}

fn an_answer_too_long_for_udp_is_had_by_tcp() {
    let mut resolver = scene(&[FIRST]);
    let mut table = table();
    let crowd: Vec<Ipv4Addr> = (0..200).map(|last| Ipv4Addr::new(127, 18, 1, last)).collect();
    crowd.iter().for_each(|address| table.add("crowd", *address));
    resolver.serve("net", GATEWAY, table).expect("served");
    let question = query("crowd", Rtype::A);
    assert!(read(&ask(WEB, &question)).cut);
    let mut whole = read(&connect(WEB).ask(&question));
    assert!(!whole.cut);
    whole.records.sort_by_key(|address| address.parse::<Ipv4Addr>().expect("an address"));
    assert_eq!(whole.records, crowd.iter().map(ToString::to_string).collect::<Vec<_>>());

    // The same with another server, which does not mind the size of datagrams.
    let server = Server::at(FIRST);
    let door = TcpListener::bind((FIRST, 53)).expect("an address of ours");
    let question = query("long.example", Rtype::TXT);
    let client = client(WEB);
    client.send(&question).expect("sent");
    let (passed_on, from) = server.receive();
    server.send(&long(&passed_on), from);
    let cut = read(&receive(&client));
    assert_eq!((cut.cut, cut.records.len()), (true, 0));
    let mut client = connect(WEB);
    client.send(&question);
    let mut connection = Stream::of(door.accept().expect("a connection").0);
    let passed_on = connection.receive();
    connection.send(&long(&passed_on));
    let whole = client.receive();
    assert_eq!((whole.len(), read(&whole).records.len(), read(&whole).cut), (long(&question).len(), 40, false));
}

fn what_is_under_way_is_bounded_for_each_and_for_all() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("as many as there may be");
    let resolver = scene(&[FIRST]);
    let silent = Server::at(FIRST);
    let hoggers: Vec<UdpSocket> = (2..6).map(|last| client(Ipv4Addr::new(127, 18, 0, last))).collect();
    for hogger in &hoggers {
        for number in 0..256 {
            hogger.send(&numbered("example.org", number)).expect("sent");
            // Seen by the server, and so not lost on the way.
            silent.receive();
        }
        hogger.send(&numbered("example.org", 300)).expect("sent");
        let refused = receive(hogger);
        assert_eq!((&refused[..2], read(&refused)), (&[1, 44][..], answer(Rcode::SERVFAIL, &[])));
        // What needs nobody else is answered none the less.
        assert_eq!(read(&ask(WEB, &query("db", Rtype::A))).records, [DB.to_string()]);
    }
    let another = client(Ipv4Addr::new(127, 18, 0, 6));
    another.send(&query("example.org", Rtype::A)).expect("sent");
    assert_eq!(read(&receive(&another)), answer(Rcode::SERVFAIL, &[]));
    let counters = resolver.counters();
    assert_eq!(counters.full, 5);
    // In the end, all of them hear something, and there is room again.
    for hogger in &hoggers {
        let refused = (0..256).filter(|_| read(&receive(hogger)).rcode == Rcode::SERVFAIL).count();
        assert_eq!(refused, 256);
    }
    assert_eq!(settled(&resolver).failed, 1024);
}
