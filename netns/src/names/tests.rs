use domain::base::iana::{Class, Rcode};
use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, ToName};
use domain::rdata::AllRecordData;
use proptest::prelude::*;

use super::*;

#[test]
fn a_container_is_found_by_each_of_its_names() {
    for name in ["web", "www", "0123456789ab", "web.backend", "www.backend", "WEB.Backend"] {
        let answer = ask(&table(), name, Rtype::A);
        assert_eq!(answer.rcode, Rcode::NOERROR, "{name}");
        assert_eq!(answer.records, [format!("{name}. 600 IN A 172.18.0.2")], "{name}");
        assert!(!answer.cut, "{name}");
    }
}

#[test]
fn localhost_is_who_asks() {
    // Even if a container is called so: a program that asks for it means its own.
    let mut table = table();
    table.add("localhost", Ipv4Addr::new(172, 18, 0, 9));
    for name in ["localhost", "LocalHost", "app.localhost", "a.b.localhost"] {
        let answer = ask(&table, name, Rtype::A);
        assert_eq!(answer.rcode, Rcode::NOERROR, "{name}");
        assert_eq!(answer.records, [format!("{name}. 600 IN A 127.0.0.1")], "{name}");
        assert_eq!(ask(&table, name, Rtype::AAAA).outcome(), (Rcode::NOERROR, vec![]), "{name}");
    }
}

#[test]
fn what_is_not_known_is_forwarded() {
    for (name, kind) in [
        ("mylocalhost", Rtype::A),
        ("localhost.example.org", Rtype::A),
        ("db", Rtype::A),
        ("web.frontend", Rtype::A),
        ("web.backend.example.org", Rtype::A),
        ("xweb", Rtype::A),
        ("webbackend", Rtype::A),
        ("example.org", Rtype::AAAA),
        (".", Rtype::NS),
        ("2.0.19.172.in-addr.arpa", Rtype::PTR),
        ("2.0.018.172.in-addr.arpa", Rtype::PTR),
        ("0.18.172.in-addr.arpa", Rtype::PTR),
        ("1.2.0.18.172.in-addr.arpa", Rtype::PTR),
        // One label with a dot in it, not two.
        ("web\\.backend", Rtype::A),
        ("w\\195\\164b", Rtype::A),
    ] {
        let query = query(name, kind);
        assert_eq!(table().respond(&query, Transport::Udp, 0), Response::Forward, "{name} {kind}");
    }
}

#[test]
fn what_is_known_has_no_other_records_and_is_not_asked_elsewhere() {
    for kind in [Rtype::AAAA, Rtype::MX, Rtype::ANY, Rtype::TXT, Rtype::HTTPS, Rtype::PTR, Rtype::NS] {
        assert_eq!(ask(&table(), "web", kind).outcome(), (Rcode::NOERROR, vec![]), "{kind}");
    }
    assert_eq!(ask(&table(), "2.0.18.172.in-addr.arpa", Rtype::A).outcome(), (Rcode::NOERROR, vec![]));
}

#[test]
fn an_address_of_the_subnet_has_the_containers_name_or_none() {
    let answer = ask(&table(), "2.0.18.172.IN-ADDR.arpa", Rtype::PTR);
    assert_eq!(answer.records, ["2.0.18.172.IN-ADDR.arpa. 600 IN PTR web.backend."]);
    assert_eq!(ask(&table(), "9.0.18.172.in-addr.arpa", Rtype::PTR).outcome(), (Rcode::NXDOMAIN, vec![]));
    assert_eq!(ask(&table(), "9.0.18.172.in-addr.arpa", Rtype::A).outcome(), (Rcode::NXDOMAIN, vec![]));
    // A container may be called so, but the DNS has no way to say it.
    assert_eq!(ask(&table(), "7.0.18.172.in-addr.arpa", Rtype::PTR).outcome(), (Rcode::NXDOMAIN, vec![]));
}

#[test]
fn a_shared_alias_has_all_addresses_in_turn() {
    let table = table();
    let first = |turn| match table.respond(&query("pool", Rtype::A), Transport::Udp, turn) {
        Response::Answer(answer) => read(&answer).records,
        other => panic!("{other:?}"),
    };
    let record = |last: u8| format!("pool. 600 IN A 172.18.0.{last}");
    assert_eq!(first(0), [record(2), record(3), record(4)]);
    assert_eq!(first(1), [record(3), record(4), record(2)]);
    assert_eq!(first(2), [record(4), record(2), record(3)]);
    assert_eq!(first(3), first(0));
    assert_eq!(first(u64::MAX), first(0));
}

#[test]
fn from_an_internal_network_nothing_is_asked_outside() {
    let internal = NameTable { internal: true, ..table() };
    assert_eq!(ask(&internal, "example.org", Rtype::A).outcome(), (Rcode::SERVFAIL, vec![]));
    assert_eq!(ask(&internal, "web", Rtype::A).rcode, Rcode::NOERROR);
}

#[test]
fn a_client_of_several_networks_has_the_names_of_all_of_them() {
    let internal = NameTable { internal: true, ..table() };
    let mut other = NameTable::new("frontend", "172.19.0.0/16".parse().expect("a subnet"), false);
    other.add("web", Ipv4Addr::new(172, 19, 0, 2));
    other.add("proxy", Ipv4Addr::new(172, 19, 0, 3));
    let ask = |name: &str| internal.respond_beside(&[&other], &query(name, Rtype::A), Transport::Udp, 0);
    let records = |response| match response {
        Response::Answer(answer) => read(&answer).records,
        other => panic!("{other:?}"),
    };
    assert_eq!(records(ask("web")), ["web. 600 IN A 172.18.0.2"]);
    assert_eq!(records(ask("web.frontend")), ["web.frontend. 600 IN A 172.19.0.2"]);
    assert_eq!(records(ask("proxy")), ["proxy. 600 IN A 172.19.0.3"]);
    // The other network has a way out.
    assert_eq!(ask("example.org"), Response::Forward);
}

#[test]
fn only_the_subnet_is_served() {
    assert!(table().serves(Ipv4Addr::new(172, 18, 255, 1)));
    assert!(!table().serves(Ipv4Addr::new(172, 19, 0, 1)));
}

#[test]
fn an_answer_repeats_what_belongs_to_the_question() {
    let mut query = query("web", Rtype::A);
    query[..2].copy_from_slice(&[0xab, 0xcd]);
    query[3] |= 0x10;
    let Response::Answer(answer) = table().respond(&query, Transport::Udp, 0) else { panic!("it is known") };
    let header = Message::from_slice(&answer).expect("a message").header();
    assert_eq!(header.id(), 0xabcd);
    assert_eq!((header.qr(), header.rd(), header.ra(), header.cd()), (true, true, true, true));
    assert_eq!((header.aa(), header.tc(), header.ad()), (false, false, false));
    assert!(is_answer_to(&query, &answer));
}

#[test]
fn what_is_no_query_is_ignored() {
    let mut response = query("web", Rtype::A);
    response[2] |= 0x80;
    for bytes in [&response[..], &[], &query("web", Rtype::A)[..11]] {
        assert_eq!(table().respond(bytes, Transport::Udp, 0), Response::Ignore);
        assert_eq!(unavailable(bytes), None);
    }
}

#[test]
fn a_query_that_is_not_understood_is_told_so_under_its_id() {
    let good = query("web", Rtype::A);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    for (what, bytes, rcode) in [
        ("no question", with(|bytes| bytes[5] = 0), Rcode::FORMERR),
        ("two questions", with(|bytes| bytes[5] = 2), Rcode::FORMERR),
        ("a name that ends early", with(|bytes| bytes.truncate(14)), Rcode::FORMERR),
        ("a type that ends early", with(|bytes| bytes.truncate(18)), Rcode::FORMERR),
        ("a label of a kind that is none", with(|bytes| bytes[12] = 0x43), Rcode::FORMERR),
        ("a pointer into the header", with(|bytes| bytes[12..14].copy_from_slice(&[0xc0, 0])), Rcode::FORMERR),
        ("a pointer to itself", with(|bytes| bytes[12..14].copy_from_slice(&[0xc0, 12])), Rcode::FORMERR),
        ("records that are not there", with(|bytes| bytes[11] = 1), Rcode::FORMERR),
        ("more than a question can need", with(|bytes| bytes.resize(MAX_QUERY + 1, 0)), Rcode::FORMERR),
        ("status", with(|bytes| bytes[2] |= 2 << 3), Rcode::NOTIMP),
        ("update", with(|bytes| bytes[2] |= 5 << 3), Rcode::NOTIMP),
    ] {
        let Response::Answer(answer) = table().respond(&bytes, Transport::Udp, 0) else { panic!("{what}") };
        let (answer, query) = (Message::from_slice(&answer).expect("a message"), Message::from_slice(&bytes));
        let query = query.expect("a message").header();
        assert_eq!(answer.header().rcode(), rcode, "{what}");
        assert_eq!((answer.header().id(), answer.header().opcode()), (query.id(), query.opcode()), "{what}");
        assert!(answer.header().qr() && answer.as_slice().len() == 12, "{what}");
    }
}

#[test]
fn other_classes_and_zone_transfers_are_refused() {
    let chaos = query_of_class("version.bind", Rtype::TXT, Class::CH, None);
    let Response::Answer(answer) = table().respond(&chaos, Transport::Udp, 0) else { panic!("it is refused") };
    assert_eq!(read(&answer).outcome(), (Rcode::REFUSED, vec![]));
    for kind in [Rtype::AXFR, Rtype::IXFR] {
        assert_eq!(ask(&table(), "backend", kind).outcome(), (Rcode::REFUSED, vec![]));
    }
}

#[test]
fn edns_is_answered_by_edns() {
    let query = query_of_class("web", Rtype::A, Class::IN, Some((0, 4096)));
    let Response::Answer(answer) = table().respond(&query, Transport::Udp, 0) else { panic!("it is known") };
    let answer = read(&answer);
    assert_eq!(answer.opt, Some((0, PAYLOAD, true)));
    assert_eq!(answer.records, ["web. 600 IN A 172.18.0.2"]);
    assert_eq!(ask(&table(), "web", Rtype::A).opt, None);
}

#[test]
fn a_version_of_edns_that_we_do_not_know_is_named() {
    let query = query_of_class("web", Rtype::A, Class::IN, Some((1, 4096)));
    let Response::Answer(answer) = table().respond(&query, Transport::Udp, 0) else { panic!("it is refused") };
    let message = Message::from_slice(&answer).expect("a message");
    assert_eq!(message.opt_rcode(), domain::base::iana::OptRcode::BADVERS);
    assert_eq!(read(&answer).opt, Some((0, PAYLOAD, true)));
    assert_eq!(read(&answer).records, [""; 0]);
}

#[test]
fn two_opt_records_are_one_too_many() {
    let mut query = query_of_class("web", Rtype::A, Class::IN, Some((0, 4096)));
    let opt = query[query.len() - 11..].to_vec();
    query.extend(opt);
    query[11] = 2;
    let Response::Answer(answer) = table().respond(&query, Transport::Udp, 0) else { panic!("it is refused") };
    assert_eq!(read(&answer).rcode, Rcode::FORMERR);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_says_so() {
    let mut table = table();
    for last in 0..=255 {
        table.add("crowd", Ipv4Addr::new(172, 18, 1, last));
    }
    let ask = |edns, transport| {
        let query = query_of_class("crowd", Rtype::A, Class::IN, edns);
        let Response::Answer(answer) = table.respond(&query, transport, 0) else { panic!("it is known") };
        (answer.len(), read(&answer))
    };
    // Header and question take 23 bytes, each record 16, EDNS 11.
    for (edns, fit) in [
        (None, (512 - 23) / 16),
        (Some((0, 0)), (512 - 11 - 23) / 16),
        (Some((0, 1000)), (1000 - 11 - 23) / 16),
        (Some((0, 1232)), (1232 - 11 - 23) / 16),
        (Some((0, 65535)), (1232 - 11 - 23) / 16),
    ] {
        let (length, answer) = ask(edns, Transport::Udp);
        assert_eq!(length, 23 + 16 * fit + if edns.is_some() { 11 } else { 0 });
        assert_eq!((answer.cut, answer.records.len()), (true, fit));
    }
    let (_, answer) = ask(None, Transport::Tcp);
    assert_eq!((answer.cut, answer.records.len()), (false, 256));
}

#[test]
fn another_servers_answer_is_cut_to_what_the_client_takes() {
    let query = query("example.org", Rtype::TXT);
    let answer = {
        let mut bytes = unavailable(&query).expect("a query");
        bytes[..2].copy_from_slice(&[9, 9]);
        bytes[3] &= 0xf0;
        bytes.resize(513, 0);
        bytes
    };
    let whole = cut(answer.clone(), &query, Transport::Tcp).expect("an answer");
    assert_eq!((&whole[..2], &whole[2..]), (&query[..2], &answer[2..]));
    let fits = cut(answer[..512].to_vec(), &query, Transport::Udp).expect("an answer");
    assert_eq!((&fits[..2], &fits[2..]), (&query[..2], &answer[2..512]));
    let short = read(&cut(answer.clone(), &query, Transport::Udp).expect("an answer"));
    assert_eq!((short.cut, short.outcome()), (true, (Rcode::NOERROR, vec![])));
    let roomy = query_of_class("example.org", Rtype::TXT, Class::IN, Some((0, 513)));
    assert_eq!(cut(answer, &roomy, Transport::Udp).expect("an answer").len(), 513);
}

#[test]
fn an_answer_has_the_id_and_the_very_question() {
    let asked = query("Example.org", Rtype::A);
    let answer = unavailable(&asked).expect("a query");
    assert!(is_answer_to(&asked, &answer));
    assert!(!is_answer_to(&asked, &asked), "it is no response");
    for (what, other) in [
        ("another case", query("example.org", Rtype::A)),
        ("another name", query("Example.net", Rtype::A)),
        ("another type", query("Example.org", Rtype::AAAA)),
        ("another class", query_of_class("Example.org", Rtype::A, Class::CH, None)),
    ] {
        assert!(!is_answer_to(&other, &answer), "{what}");
    }
    let mut other = asked.clone();
    other[1] ^= 1;
    assert!(!is_answer_to(&other, &answer), "another id");
    assert!(!is_answer_to(&asked, &answer[..12]), "no question");
    assert!(!is_answer_to(&asked, &answer[..5]), "no message");
}

proptest! {
    #[test]
    fn case_makes_no_difference_but_is_kept(upper in proptest::collection::vec(any::<bool>(), 11)) {
        let name: String = "web.backend".chars().zip(&upper)
            .map(|(each, upper)| if *upper { each.to_ascii_uppercase() } else { each })
            .collect();
        prop_assert_eq!(ask(&table(), &name, Rtype::A).records, [format!("{name}. 600 IN A 172.18.0.2")]);
    }

    #[test]
    fn every_turn_names_every_address_once(count in 1..20_u8, turn in any::<u64>()) {
        let mut table = table();
        let all: Vec<Ipv4Addr> = (0..count).map(|last| Ipv4Addr::new(172, 18, 3, last)).collect();
        all.iter().for_each(|address| table.add("many", *address));
        let mut named: Vec<Ipv4Addr> = rotated(&table.names["many"], turn).collect();
        prop_assert_eq!(named[0], all[(turn % u64::from(count)) as usize]);
        named.sort_unstable();
        prop_assert_eq!(named, all);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for transport in [Transport::Udp, Transport::Tcp] {
            if let Response::Answer(answer) = table().respond(&bytes, transport, 0) {
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert!(answer[2] & 0x80 != 0 && answer.len() <= 1232);
            }
        }
    }
}

fn table() -> NameTable {
    let mut table = NameTable::new("backend", "172.18.0.0/16".parse().expect("a subnet"), false);
    let web = Ipv4Addr::new(172, 18, 0, 2);
    for name in ["web", "WWW.", "0123456789ab", "pool"] {
        table.add(name, web);
    }
    for last in [3, 4, 3] {
        table.add("pool", Ipv4Addr::new(172, 18, 0, last));
    }
    table.hosts.insert(web, "web".into());
    table.hosts.insert(Ipv4Addr::new(172, 18, 0, 7), "a..b".into());
    table
}

fn query(name: &str, kind: Rtype) -> Vec<u8> {
    query_of_class(name, kind, Class::IN, None)
}

/// A query as a resolver sends it; with EDNS, by version and size, if that is given.
fn query_of_class(name: &str, kind: Rtype, class: Class, edns: Option<(u8, u16)>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((Name::vec_from_str(name).expect("a name"), kind, class)).expect("room");
    let mut builder = builder.additional();
    if let Some((version, size)) = edns {
        let opt = builder.opt(|opt| {
            opt.set_version(version);
            opt.set_udp_payload_size(size);
            opt.set_dnssec_ok(true);
            Ok(())
        });
        opt.expect("room");
    }
    builder.finish()
}

/// An answer as a resolver reads it.
struct Read {
    rcode: Rcode,
    cut: bool,
    records: Vec<String>,
    opt: Option<(u8, u16, bool)>,
}

impl Read {
    fn outcome(&self) -> (Rcode, Vec<&str>) {
        (self.rcode, self.records.iter().map(String::as_str).collect())
    }
}

fn ask(table: &NameTable, name: &str, kind: Rtype) -> Read {
    let query = query(name, kind);
    match table.respond(&query, Transport::Udp, 0) {
        Response::Answer(answer) => {
            assert!(is_answer_to(&query, &answer));
            read(&answer)
        }
        other => panic!("{other:?}"),
    }
}

fn read(answer: &[u8]) -> Read {
    let message = Message::from_slice(answer).expect("a message");
    let records = message.answer().expect("sections").map(|record| {
        let record = record.expect("a record").into_any_record::<AllRecordData<_, _>>().expect("known data");
        let (owner, data) = (record.owner().to_name::<Vec<u8>>(), record.data());
        format!("{owner}. {} {} {} {}", record.ttl().as_secs(), record.class(), record.rtype(), data_of(data))
    });
    let opt = message.opt().map(|opt| (opt.version(), opt.udp_payload_size(), opt.dnssec_ok()));
    Read { rcode: message.header().rcode(), cut: message.header().tc(), records: records.collect(), opt }
}

fn data_of<O: AsRef<[u8]>, N: std::fmt::Display>(data: &AllRecordData<O, N>) -> String {
    match data {
        AllRecordData::A(a) => a.addr().to_string(),
        AllRecordData::Ptr(ptr) => format!("{}.", ptr.ptrdname()),
        _ => panic!("neither an address nor a name"),
    }
}
