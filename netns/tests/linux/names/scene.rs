//! A scratch host on which a network is served, its clients, and other name servers, which the tests play themselves.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::message_builder::MessageBuilder;
use domain::base::name::Name;
use domain::base::{Message, ParsedRecord};
use domain::rdata::{A, Ptr, Txt};
use netns::linux;
use netns::linux::names::{Counters, Resolver};
use netns::names::NameTable;
use nix::mount::{MsFlags, mount};

use crate::world::PATIENCE;

pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(127, 18, 0, 1);
pub(super) const WEB: Ipv4Addr = Ipv4Addr::new(127, 18, 0, 2);
pub(super) const DB: Ipv4Addr = Ipv4Addr::new(127, 18, 0, 3);
pub(super) const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
pub(super) const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);
pub(super) const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 3);
pub(super) const OUTSIDER: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 9);
pub(super) const FOUND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub(super) const FORGED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// A scratch host with these name servers, and a resolver that serves one network on it. Every address that begins with 127
/// is one of the loopback interface: so none has to be added, by a command that would keep descriptors of other tests open
/// while it starts.
pub(super) fn scene(servers: &[Ipv4Addr]) -> Resolver {
    linux::scratch::enter().expect("a scratch namespace");
    mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("an /etc of its own");
    let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    fs::write("/etc/resolv.conf", text).expect("written");
    let mut resolver = Resolver::start().expect("a resolver");
    resolver.serve("net", GATEWAY, table()).expect("served");
    resolver
}

pub(super) fn table() -> NameTable {
    let mut table = NameTable::new("net", "127.18.0.0/16".parse().expect("a subnet"), false);
    for (name, address) in [("web", WEB), ("db", DB)] {
        table.add(name, address);
        table.hosts.insert(address, name.into());
    }
    table
}

/// The counters, which add up when nothing is under way.
pub(super) fn settled(resolver: &Resolver) -> Counters {
    let counters = resolver.counters();
    let Counters { ignored, foreign, answered, relayed, failed, full, abandoned, .. } = counters;
    let sum = ignored + foreign + answered + relayed + failed + full + abandoned;
    assert_eq!(counters.queries, sum, "{counters:?}");
    counters
}

/// Another name server, by UDP.
pub(super) struct Server(UdpSocket);

impl Server {
    pub(super) fn at(address: Ipv4Addr) -> Server {
        let socket = UdpSocket::bind((address, 53)).expect("an address of ours");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Server(socket)
    }

    pub(super) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 4096];
        let (length, from) = self.0.recv_from(&mut buffer).expect("a query");
        (buffer[..length].to_vec(), from)
    }

    pub(super) fn send(&self, answer: &[u8], to: SocketAddr) {
        self.0.send_to(answer, to).expect("sent");
    }

    pub(super) fn answer(&self, address: Ipv4Addr) {
        let (query, from) = self.receive();
        self.send(&found(&query, address), from);
    }

    pub(super) fn refuse(&self, rcode: Rcode) {
        let (query, from) = self.receive();
        let query = Message::from_slice(&query).expect("a query");
        self.send(&MessageBuilder::new_vec().start_error(query, rcode).finish(), from);
    }
}

pub(super) fn client(from: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).expect("an address of ours");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.connect((GATEWAY, 53)).expect("connected");
    socket
}

pub(super) fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_535];
    let length = client.recv(&mut buffer).expect("an answer");
    buffer[..length].to_vec()
}

pub(super) fn ask(from: Ipv4Addr, question: &[u8]) -> Vec<u8> {
    let client = client(from);
    client.send(question).expect("sent");
    let answer = receive(&client);
    assert_eq!(answer[..2], question[..2]);
    answer
}

/// One end of a connection.
pub(super) struct Stream(pub(super) TcpStream);

impl Stream {
    pub(super) fn of(stream: TcpStream) -> Stream {
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        Stream(stream)
    }

    pub(super) fn send(&mut self, message: &[u8]) {
        self.0.write_all(&framed(message)).expect("sent");
    }

    pub(super) fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).expect("a message");
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        self.0.read_exact(&mut message).expect("a message");
        message
    }

    pub(super) fn ask(&mut self, question: &[u8]) -> Vec<u8> {
        self.send(question);
        self.receive()
    }
}

/// A connection to the gateway from this address.
pub(super) fn connect(from: Ipv4Addr) -> Stream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
    bind(&socket, &SocketAddr::from((from, 0))).expect("an address of ours");
    connect(&socket, &SocketAddr::from((GATEWAY, 53))).expect("connected");
    Stream::of(socket.into())
}

pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message");
    [&length.to_be_bytes(), message].concat()
}

pub(super) fn query(name: &str, kind: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((Name::vec_from_str(name).expect("a name"), kind, Class::IN)).expect("room");
    builder.finish()
}

pub(super) fn numbered(name: &str, id: u16) -> Vec<u8> {
    let mut query = query(name, Rtype::A);
    query[..2].copy_from_slice(&id.to_be_bytes());
    query
}

pub(super) fn read_name(query: &[u8]) -> String {
    let message = Message::from_slice(query).expect("a query");
    message.sole_question().expect("a question").qname().to_string()
}

/// A good answer to a query.
pub(super) fn found(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let query = Message::from_slice(query).expect("a query");
    let name = query.sole_question().expect("a question");
    let mut builder = MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).expect("room");
    builder.push((name.qname(), 60, A::new(address))).expect("room");
    builder.finish()
}

/// One that is longer than 512 bytes.
pub(super) fn long(query: &[u8]) -> Vec<u8> {
    let query = Message::from_slice(query).expect("a query");
    let name = query.sole_question().expect("a question");
    let mut builder = MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).expect("room");
    for number in 0..40 {
        let text: Txt<Vec<u8>> = Txt::build_from_slice(format!("line {number}").as_bytes()).expect("a text");
        builder.push((name.qname(), 60, text)).expect("room");
    }
    builder.finish()
}

/// An answer as a resolver reads it: addresses and names; other records for their number only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) rcode: Rcode,
    pub(super) cut: bool,
    pub(super) records: Vec<String>,
}

pub(super) fn answer(rcode: Rcode, records: &[&str]) -> Answer {
    Answer { rcode, cut: false, records: records.iter().map(ToString::to_string).collect() }
}

pub(super) fn read(answer: &[u8]) -> Answer {
    let message = Message::from_slice(answer).expect("a message");
    assert!(message.header().qr());
    let shown = |record: ParsedRecord<'_, [u8]>| {
        let address = record.to_record::<A>().expect("a record").map(|record| record.data().to_string());
        let name = || record.to_record::<Ptr<_>>().expect("a record").map(|record| record.data().to_string());
        address.or_else(name).unwrap_or_default()
    };
    let records = message.answer().expect("a section").map(|record| shown(record.expect("a record")));
    Answer { rcode: message.header().rcode(), cut: message.header().tc(), records: records.collect() }
}
