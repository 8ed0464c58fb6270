//! Published ports.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::cases;
use crate::host::{Host, IMAGE, fetched, shell, waited_for};

cases![
    a_published_port_is_reached_on_the_host_and_from_outside,
    ranges_addresses_and_udp_are_published,
    a_port_that_is_taken_is_refused_and_free_when_its_container_ends,
    a_container_reaches_another_by_the_hosts_published_port,
];

fn a_published_port_is_reached_on_the_host_and_from_outside(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&[], "ours");
    docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    for address in ["127.0.0.1", "198.51.100.1"] {
        assert_eq!(fetched(&format!("{address}:8080")).as_deref(), Some("web"), "{address}");
    }
    let outside = host.outside.runs(&["timeout", "5", "busybox", "wget", "-qO-", "http://198.51.100.1:8080/"]);
    assert_eq!(outside, "web");
    // What was not published is not there.
    let other = host.outside.tries(&["timeout", "2", "busybox", "wget", "-qO-", "http://198.51.100.1:80/"]);
    assert!(!other.is_well(), "{other:?}");
}

fn ranges_addresses_and_udp_are_published(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&[], "ours");
    let ports = ["-p", "127.0.0.1:8081:80", "-p", "9000-9002:9000-9002", "-p", "5300:53/udp"];
    docker.serves("web", &[&["--network=ours"], &ports[..]].concat());
    docker.does(&["exec", "-d", "web", "sh", "-c", "while :; do echo range | nc -l -p 9001; done"]);
    let pid = docker.inspects("web", "{{.State.Pid}}");
    let server = inside(&pid, || UdpSocket::bind("0.0.0.0:53").expect("bind in the container"));
    std::thread::spawn(move || {
        let mut heard = [0; 100];
        let (length, peer) = server.recv_from(&mut heard).expect("hear");
        let _ = server.send_to(&[b"you said ", &heard[..length]].concat(), peer);
    });
    assert_eq!(fetched("127.0.0.1:8081").as_deref(), Some("web"));
    assert_eq!(fetched("198.51.100.1:8081"), None, "only where it was asked for");
    let range = || shell("busybox nc -w 2 198.51.100.1 9001 </dev/null").stdout.contains("range").then_some(());
    assert!(waited_for(range).is_some());
    let client = UdpSocket::bind("0.0.0.0:0").expect("bind");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
    client.send_to(b"hello", "198.51.100.1:5300").expect("send");
    let mut heard = [0; 100];
    let length = client.recv(&mut heard).expect("an answer");
    assert_eq!(&heard[..length], b"you said hello");
}

/// Does something in the network namespace of a process.
fn inside<T: Send>(pid: &str, work: impl FnOnce() -> T + Send) -> T {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).expect("open a namespace");
    std::thread::scope(|scope| {
        let entered = scope.spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter a namespace");
            work()
        });
        entered.join().expect("it does not panic")
    })
}

fn a_port_that_is_taken_is_refused_and_free_when_its_container_ends(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&[], "ours");
    docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    let taken = docker.refuses(&["run", "--rm", "--network=ours", "-p", "8080:80", IMAGE, "true"]);
    assert!(taken.contains("8080"), "{taken}");
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"), "the first still has it");
    docker.does(&["stop", "--time", "0", "web"]);
    drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
    docker.serves("next", &["--network=ours", "-p", "8080:80"]);
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("next"));
    docker.does(&["rm", "--force", "next"]);
    drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
}

fn a_container_reaches_another_by_the_hosts_published_port(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&[], "one");
    docker.create(&[], "two");
    docker.serves("web", &["--network=one", "-p", "8080:80"]);
    docker.starts("same", &["--network=one"]);
    docker.starts("other", &["--network=two"]);
    docker.starts("docker0", &[]);
    for client in ["same", "other", "docker0"] {
        assert_eq!(docker.asks(client, "198.51.100.1:8080"), "web", "{client}");
    }
}
