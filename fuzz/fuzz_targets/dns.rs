//! `NameTable::respond` on any bytes, and what goes around it: whatever is answered, a resolver can read, knows for an
//! answer to what it asked, and has room for.

#![no_main]

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use domain::base::iana::{Opcode, OptRcode, Rcode};
use domain::base::{Message, ParsedRecord};
use domain::rdata::AllRecordData;
use libfuzzer_sys::fuzz_target;
use netns::names::{self, MAX_QUERY, NameTable, Response, Transport};

/// A network of everything: one container, many under one name, one without a name that the DNS could say.
static OPEN: LazyLock<NameTable> = LazyLock::new(|| {
    let mut table = NameTable::new("net", "172.18.0.0/16".parse().expect("a subnet"), false);
    for last in 0..=255 {
        table.add("all", Ipv4Addr::new(172, 18, 1, last));
    }
    let web = Ipv4Addr::new(172, 18, 0, 2);
    table.add("web", web);
    table.names.insert("none".into(), Vec::new());
    table.hosts.insert(web, "web".into());
    table.hosts.insert(Ipv4Addr::new(172, 18, 0, 3), "a..b".into());
    table
});
static INTERNAL: LazyLock<NameTable> = LazyLock::new(|| NameTable { internal: true, ..OPEN.clone() });

fuzz_target!(|query: &[u8]| {
    for transport in [Transport::Udp, Transport::Tcp] {
        let turn = query.len() as u64;
        let open = OPEN.respond(query, transport, turn);
        let internal = INTERNAL.respond(query, transport, turn);
        match &open {
            Response::Answer(answer) => {
                is_in_order(query, answer, transport);
                assert_eq!(open, internal);
            }
            Response::Forward => {
                let Response::Answer(refused) = &internal else { panic!("{internal:?}") };
                is_in_order(query, refused, transport);
                assert_eq!(read(refused).header().rcode(), Rcode::SERVFAIL);
                assert_eq!(names::unavailable(query).as_ref(), Some(refused));
                assert!(query.len() <= MAX_QUERY);
                crosses_over(query, refused, transport);
            }
            Response::Ignore => {
                assert!(query.len() < 12 || query[2] & 0x80 != 0);
                assert_eq!((open, names::unavailable(query)), (internal, None));
            }
        }
    }
    // An upstream may send anything as well.
    let asked: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03www\x03org\0\0\x01\0\x01";
    if names::is_answer_to(asked, query) {
        for transport in [Transport::Udp, Transport::Tcp] {
            let passed = names::cut(query.to_vec(), asked, transport).expect("both can be read");
            assert!(names::is_answer_to(asked, &passed));
            assert_eq!(names::is_refusal(query), names::is_refusal(&passed));
            assert!(passed.len() <= 512 || transport == Transport::Tcp);
        }
    }
});

/// Every record of an answer can be read, and it is an answer to this query, no longer than it may be.
fn is_in_order(query: &[u8], answer: &[u8], transport: Transport) {
    let (asked, answered) = (read(query), read(answer));
    assert_eq!(answered.header().id(), asked.header().id());
    assert!(answered.header().qr());
    assert_eq!(answered.header().opcode(), asked.header().opcode());
    assert!(answer.len() <= room(asked, transport), "{} bytes", answer.len());
    for section in [answered.answer(), answered.authority(), answered.additional()] {
        for record in section.expect("a section") {
            let record: ParsedRecord<'_, [u8]> = record.expect("a record");
            assert!(record.into_any_record::<AllRecordData<_, _>>().is_ok());
        }
    }
    let understood = answered.header_counts().qdcount() == 1;
    assert_eq!(understood, names::is_answer_to(query, answer));
    match answered.opt_rcode() {
        OptRcode::FORMERR => assert!(!understood),
        OptRcode::NOTIMP => assert_ne!(asked.header().opcode(), Opcode::QUERY),
        _ => assert!(understood),
    }
    assert_eq!(answered.opt().is_some(), understood && asked.opt().is_some());
}

fn room(query: &Message<[u8]>, transport: Transport) -> usize {
    match transport {
        Transport::Udp => query.opt().map_or(512, |opt| usize::from(opt.udp_payload_size()).clamp(512, 1232)),
        Transport::Tcp => 65_535,
    }
}

/// A query goes to another server under another id; its answer comes back under the one that was asked.
fn crosses_over(query: &[u8], answer: &[u8], transport: Transport) {
    let mut answer = answer.to_vec();
    answer[0] ^= 0xff;
    assert!(!names::is_answer_to(query, &answer));
    let passed = names::cut(answer, query, transport).expect("both can be read");
    assert!(names::is_answer_to(query, &passed));
}

fn read(bytes: &[u8]) -> &Message<[u8]> {
    Message::from_slice(bytes).expect("a message")
}
