//! Published ports: how a publisher comes, what it holds, and how it ends.

mod scene;
pub(crate) mod tcp;
pub(crate) mod udp;

use std::fs::{self};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::thread::{self};

use netns::backend::BackendError;
use netns::linux::publish::Publisher;

pub(crate) use self::scene::play_role;
use self::scene::*;

crate::trials![
    a_range_of_ports_is_one_publisher,
    the_end_of_the_shim_frees_the_ports,
    to_end_it_frees_the_ports,
    a_port_that_is_taken_is_named,
    an_address_that_is_not_the_hosts_is_named,
    the_next_daemon_finds_it,
    it_keeps_no_privilege_and_no_namespace,
];

fn a_range_of_ports_is_one_publisher() {
    let net = Net::new();
    let _publisher = net.publish(&["8000-8099:9000-9099", "8000-8019:9000-9019/udp"]);
    net.wait_for_fds(FDS + 120);
    let server = net.serve(9077, 1, echo);
    say_and_hear(&mut connect((HOST, 8077)), b"tcp");
    let udp = net.answer_udp(9019, 1);
    let socket = udp_client((HOST, 8019));
    socket.send(b"udp").expect("sent");
    hears(&socket, b"udp");
    server.join().expect("it does not panic");
    udp.join().expect("it does not panic");
}

fn the_end_of_the_shim_frees_the_ports() {
    let mut net = Net::new();
    let publisher = net.publish(&["8080:80", "5353:53/udp"]);
    let server = net.serve(80, 1, |mut stream| {
        stream.read_exact(&mut [0; 5]).expect("heard");
        assert!(is_reset(stream.read(&mut [0])));
    });
    let mut client = connect((HOST, 8080));
    client.write_all(b"hello").expect("sent");
    net.wait_for_fds(FDS + 2 + 2);
    net.shim.kill().expect("killed");
    assert!(ends(&publisher));
    TcpListener::bind((HOST, 8080)).expect("the port is free");
    UdpSocket::bind((HOST, 5353)).expect("the port is free");
    // It was not told that the other had no more to say: so it is no plain end.
    assert!(is_reset(client.read(&mut [0])));
    server.join().expect("it does not panic");
    assert!(publisher.is_over());
    publisher.end().expect("it has ended");
    assert!(Publisher::adopt(&net.directory).expect("looked for").is_none());
    assert_eq!(net.logged(), "");
}

fn to_end_it_frees_the_ports() {
    const TIMES: usize = 20;
    let net = Net::new();
    let server = net.serve(80, TIMES, |mut stream| assert!(is_reset(stream.read(&mut [0]))));
    for _ in 0..TIMES {
        let publisher = net.publish(&["8080:80", "5353:53/udp"]);
        let mut client = connect((HOST, 8080));
        net.wait_for_fds(FDS + 2 + 2);
        wait_until(|| is_established(80));
        publisher.end().expect("it ends");
        assert!(is_reset(client.read(&mut [0])));
    }
    server.join().expect("it does not panic");
}

fn a_port_that_is_taken_is_named() {
    let net = Net::new();
    let taken = TcpListener::bind((HOST, 8081)).expect("bound");
    let (text, hint) = failed(net.try_publish(&["8080-8082:80-82"]));
    assert_eq!(text, "publish 0.0.0.0:8081/tcp: Address already in use");
    assert!(hint.is_some_and(|hint| hint.contains("ss -lntup")));
    drop(taken);
    let _udp = UdpSocket::bind((HOST, 5353)).expect("bound");
    let (text, _) = failed(net.try_publish(&["8080-8082:80-82", "192.0.2.1:5353:53/udp"]));
    assert_eq!(text, "publish 192.0.2.1:5353/udp: Address already in use");
    // Of what failed nothing stays.
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("the port is free");
    let publisher = net.publish(&["8080-8082:80-82"]);
    let (text, _) = failed(net.try_publish(&["127.0.0.1:8082:80"]));
    assert_eq!(text, "publish 127.0.0.1:8082/tcp: Address already in use");
    publisher.end().expect("it ends");
}

fn an_address_that_is_not_the_hosts_is_named() {
    let net = Net::new();
    let (text, hint) = failed(net.try_publish(&["203.0.113.1:8080:80"]));
    assert_eq!(text, "publish 203.0.113.1:8080/tcp: Cannot assign requested address");
    assert!(hint.is_some_and(|hint| hint.contains("ip addr")));
    let unprivileged = thread::spawn(move || {
        let mut sets = rustix::thread::capabilities(None).expect("capabilities");
        sets.effective.remove(rustix::thread::CapabilitySet::NET_BIND_SERVICE);
        rustix::thread::set_capabilities(None, sets).expect("given up");
        failed(net.try_publish(&["80:80"]))
    });
    let (text, hint) = unprivileged.join().expect("it does not panic");
    assert_eq!(text, "publish 0.0.0.0:80/tcp: Permission denied: CAP_NET_BIND_SERVICE is missing");
    assert!(hint.is_some_and(|hint| hint.contains("CAP_NET_BIND_SERVICE")));
}

fn the_next_daemon_finds_it() {
    let net = Net::new();
    assert!(Publisher::adopt(&net.directory).expect("looked for").is_none());
    let publisher = net.publish_by_another(4096, &["8080:80"]);
    let server = net.serve(80, 2, echo);
    let mut client = connect((HOST, 8080));
    say_and_hear(&mut client, b"before");
    drop(publisher);
    say_and_hear(&mut client, b"between");
    let publisher = Publisher::adopt(&net.directory).expect("looked for").expect("it is there");
    say_and_hear(&mut client, b"after");
    say_and_hear(&mut connect((HOST, 8080)), b"anew");
    drop(client);
    server.join().expect("it does not panic");
    publisher.end().expect("it ends");
    assert!(Publisher::adopt(&net.directory).expect("looked for").is_none());
    TcpListener::bind((HOST, 8080)).expect("the port is free");
    // A process of that number, but not the one that was written down.
    fs::write(net.directory.join("publisher"), format!("{} 1", std::process::id())).expect("written");
    assert!(Publisher::adopt(&net.directory).expect("looked for").is_none());
}

fn it_keeps_no_privilege_and_no_namespace() {
    let net = Net::new();
    let _publisher = net.publish(&["80:80"]);
    let status = fs::read_to_string(format!("/proc/{}/status", net.pid())).expect("it lives");
    for line in
        ["CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.lines().any(|each| each == line), "{line}: {status}");
    }
    let own = fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
    assert_eq!(fs::read_link(format!("/proc/{}/ns/net", net.pid())).expect("a namespace"), own);
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", net.pid())).expect("a directory"), PathBuf::from("/"));
    let mut fds = net.fds();
    fds.retain(|link| !link.starts_with("socket:"));
    fds.sort();
    let log = net.directory.join("log").display().to_string();
    let mut expected =
        ["/dev/null", "/dev/null", "anon_inode:[eventpoll]", "anon_inode:[pidfd]", &log].map(String::from);
    expected.sort();
    assert_eq!(fds, expected);
}
/// Whether the host has a connection to this port of the container.
fn is_established(port: u16) -> bool {
    let container = u32::from_le_bytes(CONTAINER.octets());
    let peer = format!("{container:08X}:{port:04X} 01 ");
    fs::read_to_string("/proc/thread-self/net/tcp").expect("a table").contains(&peer)
}

fn failed(result: Result<Publisher, BackendError>) -> (String, Option<&'static str>) {
    let why = result.expect_err("it is refused");
    let text = why.to_string();
    match why {
        BackendError::Failed { hint, .. } => (text, hint),
        BackendError::NameTaken(_) | BackendError::Gone => (text, None),
    }
}
