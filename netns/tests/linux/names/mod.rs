//! Names: a resolver on a gateway's address, and those who ask it.

pub(crate) mod passing_on;
mod scene;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use domain::base::iana::{Rcode, Rtype};
use netns::backend::BackendError;
use netns::linux::names::Resolver;
use netns::names::NameTable;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::thread::CapabilitySet;

use self::scene::*;

crate::trials![
    a_name_is_answered_by_udp_and_by_tcp,
    a_client_by_tcp_may_ask_many_questions_at_once,
    garbage_stops_nobody,
    a_thousand_queries_are_all_answered,
    only_the_network_is_served,
    connections_are_bounded_and_the_silent_are_let_go,
    a_table_is_replaced_and_a_port_is_freed,
    names_of_a_second_network_are_known_to_who_is_in_it,
    a_port_that_can_not_be_had_is_named,
];

fn a_name_is_answered_by_udp_and_by_tcp() {
    let _resolver = scene(&[FIRST]);
    let question = query("Web.net", Rtype::A);
    let expected = Answer { rcode: Rcode::NOERROR, cut: false, records: vec![WEB.to_string()] };
    assert_eq!(read(&ask(DB, &question)), expected);
    assert_eq!(read(&connect(DB).ask(&question)), expected);
    let reverse = read(&ask(DB, &query("2.0.18.127.in-addr.arpa", Rtype::PTR)));
    assert_eq!(reverse.records, ["web.net."]);
    assert_eq!(read(&ask(DB, &query("web", Rtype::AAAA))), answer(Rcode::NOERROR, &[]));
}

fn a_client_by_tcp_may_ask_many_questions_at_once() {
    let _resolver = scene(&[FIRST]);
    let mut client = connect(WEB);
    let questions: Vec<Vec<u8>> = (0..1000).map(|number| numbered("db", number)).collect();
    // More at once than the connection and both sides' buffers need to hold: so it is also written while read.
    let mut writer = client.0.try_clone().expect("a dup");
    let all: Vec<u8> = questions.iter().flat_map(|question| framed(question)).collect();
    let writer = std::thread::spawn(move || writer.write_all(&all));
    for question in &questions {
        let got = client.receive();
        assert_eq!(got[..2], question[..2]);
        assert_eq!(read(&got).records, [DB.to_string()]);
    }
    writer.join().expect("no panic").expect("all is written");
    client.0.shutdown(std::net::Shutdown::Write).expect("shut down");
    assert_eq!(client.0.read(&mut [0]).expect("an end"), 0);
}

fn garbage_stops_nobody() {
    let resolver = scene(&[FIRST]);
    let server = Server::at(FIRST);
    let mut chance = ChaCha8Rng::seed_from_u64(0x6e61_6d65);
    let (hostile, honest) = (client(DB), client(WEB));
    for round in 0..200_u16 {
        for _ in 0..10 {
            let mut garbage = vec![0; chance.next_u32() as usize % 1400];
            chance.fill_bytes(&mut garbage);
            // Half of it looks like a query at first sight.
            if let [_, _, flags, rest @ ..] = &mut garbage[..]
                && round % 2 == 0
                && rest.len() > 9
            {
                *flags = 1;
                rest[..9].copy_from_slice(&[0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            hostile.send(&garbage).expect("sent");
        }
        // One at a time: what it is answered is thrown away, and what it makes the server hear is not looked at.
        let question = numbered("db", round);
        honest.send(&question).expect("sent");
        let got = receive(&honest);
        assert_eq!(got[..2], question[..2]);
        assert_eq!(read(&got).records, [DB.to_string()]);
    }
    drop(server);
    for garbage in [&[0xff; 3000][..], &[0, 0], &[0, 12, 1, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut hostile = connect(DB);
        let _ = hostile.0.write_all(garbage);
    }
    assert_eq!(read(&connect(WEB).ask(&query("db", Rtype::A))).records, [DB.to_string()]);
    let counters = resolver.counters();
    assert!(counters.queries >= 2200, "{counters:?}");
}

fn a_thousand_queries_are_all_answered() {
    let resolver = scene(&[FIRST]);
    let server = Server::at(FIRST);
    let upstream = std::thread::spawn(move || (0..500).for_each(|_| server.answer(FOUND)));
    let clients: Vec<UdpSocket> = [WEB, DB].into_iter().cycle().take(10).map(client).collect();
    // Each asks a hundred questions, ten under way at a time; every second one is passed on.
    for round in 0..10_u16 {
        for client in &clients {
            for number in 0..10_u16 {
                let name = if number % 2 == 0 { "web" } else { "www.example.org" };
                client.send(&numbered(name, round * 10 + number)).expect("sent");
            }
        }
        for client in &clients {
            let mut answers: Vec<(u16, Vec<String>)> = (0..10)
                .map(|_| receive(client))
                .map(|got| (u16::from_be_bytes([got[0], got[1]]), read(&got).records))
                .collect();
            answers.sort();
            let expected = (round * 10..round * 10 + 10).map(|number| {
                let address = if number % 2 == 0 { WEB } else { FOUND };
                (number, vec![address.to_string()])
            });
            assert_eq!(answers, expected.collect::<Vec<_>>());
        }
    }
    upstream.join().expect("500 queries were passed on");
    let counters = settled(&resolver);
    assert_eq!((counters.queries, counters.answered, counters.relayed), (1000, 500, 500));
    assert_eq!((counters.strays, counters.undelivered, counters.full), (0, 0, 0));
}

fn only_the_network_is_served() {
    let resolver = scene(&[FIRST]);
    let outsider = client(OUTSIDER);
    outsider.send(&query("web", Rtype::A)).expect("sent");
    assert_eq!(read(&ask(WEB, &query("web", Rtype::A))).records, [WEB.to_string()]);
    outsider.set_nonblocking(true).expect("set");
    assert_eq!(outsider.recv(&mut [0; 512]).map_err(|why| why.kind()), Err(ErrorKind::WouldBlock));
    assert_eq!(connect(OUTSIDER).0.read(&mut [0]).expect("an end"), 0);
    let counters = settled(&resolver);
    assert_eq!((counters.queries, counters.foreign), (3, 2));
}

fn connections_are_bounded_and_the_silent_are_let_go() {
    let resolver = scene(&[FIRST]);
    let question = query("db", Rtype::A);
    let mut clients: Vec<Stream> = (0..64).map(|number| connect(Ipv4Addr::new(127, 18, 0, 2 + number / 16))).collect();
    for client in &mut clients {
        assert_eq!(read(&client.ask(&question)).records, [DB.to_string()]);
    }
    for from in [WEB, Ipv4Addr::new(127, 18, 0, 9)] {
        assert_eq!(connect(from).0.read(&mut [0]).unwrap_or_default(), 0);
    }
    assert_eq!(resolver.counters().turned_away, 2);
    // The beginning of a question is no question.
    clients[0].0.write_all(&framed(&question)[..9]).expect("sent");
    for client in &mut clients {
        assert_eq!(client.0.read(&mut [0]).unwrap_or_default(), 0);
    }
    assert_eq!(read(&connect(WEB).ask(&question)).records, [DB.to_string()]);
}

fn a_table_is_replaced_and_a_port_is_freed() {
    let mut resolver = scene(&[FIRST]);
    let mut new = NameTable::new("net", "127.18.0.0/16".parse().expect("a subnet"), false);
    new.add("web", DB);
    resolver.serve("net", GATEWAY, new.clone()).expect("served");
    assert_eq!(read(&ask(WEB, &query("web", Rtype::A))).records, [DB.to_string()]);
    // The gateway moves.
    let moved = Ipv4Addr::new(127, 18, 0, 200);
    resolver.serve("net", moved, new).expect("served");
    let free = |address: Ipv4Addr| {
        UdpSocket::bind((address, 53)).and_then(|_| TcpListener::bind((address, 53))).map(drop).map_err(|it| it.kind())
    };
    assert_eq!(free(GATEWAY), Ok(()));
    assert_eq!(free(moved), Err(ErrorKind::AddrInUse));
    // A query that is under way holds nothing up.
    let server = Server::at(FIRST);
    let client = UdpSocket::bind((WEB, 0)).expect("bound");
    client.send_to(&query("example.org", Rtype::A), (moved, 53)).expect("sent");
    server.receive();
    resolver.stop("net");
    resolver.stop("net");
    assert_eq!(free(moved), Ok(()));
    assert_eq!(settled(&resolver).abandoned, 1);
    resolver.serve("net", GATEWAY, table()).expect("served");
    drop(resolver);
    assert_eq!(free(GATEWAY), Ok(()));
}

fn names_of_a_second_network_are_known_to_who_is_in_it() {
    let mut resolver = scene(&[FIRST]);
    let mut other = NameTable::new("other", "127.19.0.0/16".parse().expect("a subnet"), true);
    other.add("proxy", Ipv4Addr::new(127, 19, 0, 2));
    resolver.serve("other", Ipv4Addr::new(127, 19, 0, 1), other).expect("served");
    let mut table = NameTable { internal: true, ..table() };
    table.beside.insert(WEB, vec!["gone".into(), "other".into()]);
    resolver.serve("net", GATEWAY, table).expect("served");
    let question = query("proxy", Rtype::A);
    assert_eq!(read(&ask(WEB, &question)).records, ["127.19.0.2"]);
    assert_eq!(read(&ask(DB, &question)), answer(Rcode::SERVFAIL, &[]));
}

fn a_port_that_can_not_be_had_is_named() {
    let mut resolver = scene(&[]);
    resolver.stop("net");
    let refused = |resolver: &mut Resolver| match resolver.serve("net", GATEWAY, table()) {
        Err(why @ BackendError::Failed { hint, .. }) => (why.to_string(), hint.unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    let dnsmasq = UdpSocket::bind("0.0.0.0:53").expect("bound");
    let (error, hint) = refused(&mut resolver);
    assert_eq!(error, "answer names on 127.18.0.1, UDP port 53: Address already in use");
    assert!(hint.starts_with("another name server has this port of every address"), "{hint}");
    drop(dnsmasq);
    // This thread alone gives the capability up.
    let mut capabilities = rustix::thread::capabilities(None).expect("capabilities");
    capabilities.effective.remove(CapabilitySet::NET_BIND_SERVICE);
    rustix::thread::set_capabilities(None, capabilities).expect("given up");
    let (error, hint) = refused(&mut resolver);
    assert_eq!(error, "answer names on 127.18.0.1, UDP port 53: Permission denied");
    assert_eq!(hint, "ports below 1024 need CAP_NET_BIND_SERVICE");
}
