//! Datagrams through a published port.

use std::fs::{self};
use std::net::{Ipv4Addr, UdpSocket};

use crate::world::PATIENCE;

use super::scene::*;

crate::trials![
    published_udp_keeps_clients_apart,
    a_udp_answer_comes_from_the_address_that_was_asked,
    a_large_datagram_arrives_whole,
    a_datagram_to_a_container_that_does_not_listen_is_dropped,
    at_the_bound_the_longest_silent_udp_client_makes_room,
];

fn published_udp_keeps_clients_apart() {
    let net = Net::new();
    let _publisher = net.publish(&["5353:53/udp"]);
    let server = net.answer_udp(53, 6);
    let (one, other) = (udp_client((HOST, 5353)), udp_client((Ipv4Addr::LOCALHOST, 5353)));
    for socket in [&one, &other] {
        socket.send(format!("{socket:?}").as_bytes()).expect("sent");
    }
    hears(&other, format!("{other:?}").as_bytes());
    hears(&one, format!("{one:?}").as_bytes());
    net.outside.run(|| {
        let socket = udp_client((HOST, 5353));
        for text in [&b"outside"[..], b""] {
            socket.send(text).expect("sent");
            hears(&socket, text);
        }
    });
    for socket in [&one, &other] {
        socket.send(b"again").expect("sent");
        hears(socket, b"again");
    }
    // Three clients, each with a socket of its own, and the same one each time.
    assert_eq!(server.join().expect("it does not panic").len(), 3);
    assert_eq!(net.count_fds(), FDS + 1 + 3);
}

fn a_udp_answer_comes_from_the_address_that_was_asked() {
    let net = Net::new();
    let _publisher = net.publish(&["5353:53/udp", "192.0.2.2:5354:53/udp"]);
    let server = net.answer_udp(53, 4);
    net.outside.run(|| {
        // One socket, so that only the address that is asked tells its two conversations apart.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        for to in [(HOST_TOO, 5353), (HOST, 5353), (HOST_TOO, 5353), (HOST_TOO, 5354)] {
            socket.send_to(b"who?", to).expect("sent");
            assert_eq!(socket.recv_from(&mut [0; 9]).expect("an answer"), (4, to.into()));
        }
    });
    assert_eq!(server.join().expect("it does not panic").len(), 3);
}

fn a_large_datagram_arrives_whole() {
    const LARGEST: usize = 65_507;
    let net = Net::new();
    let _publisher = net.publish(&["5353:53/udp"]);
    let server = net.answer_udp(53, 2);
    net.outside.run(|| {
        let socket = udp_client((HOST, 5353));
        for length in [LARGEST, LARGEST - 1] {
            socket.send(&noise(7, length)).expect("sent");
            hears(&socket, &noise(7, length));
        }
    });
    server.join().expect("it does not panic");
}

fn a_datagram_to_a_container_that_does_not_listen_is_dropped() {
    let net = Net::new();
    let _publisher = net.publish(&["5353:53/udp"]);
    let socket = udp_client((HOST, 5353));
    socket.send(b"nobody").expect("sent");
    wait_until(|| net.container.run(refused_datagrams) == 1);
    let server = net.answer_udp(53, 1);
    socket.send(b"somebody").expect("sent");
    hears(&socket, b"somebody");
    server.join().expect("it does not panic");
}

fn at_the_bound_the_longest_silent_udp_client_makes_room() {
    const FILES: u64 = 32 + 1 + 3;
    let net = Net::new();
    let publisher = net.publish_by_another(FILES, &["5353:53/udp"]);
    let server = net.answer_udp(53, 5);
    let clients: Vec<UdpSocket> = (0..4).map(|_| udp_client((HOST, 5353))).collect();
    for client in &clients {
        client.send(b"hello").expect("sent");
        hears(client, b"hello");
    }
    assert_eq!(net.count_fds(), FDS + 1 + 3);
    // The first has been forgotten, and is a new one now.
    clients[0].send(b"again").expect("sent");
    hears(&clients[0], b"again");
    assert_eq!(server.join().expect("it does not panic").len(), 5);
    rustix::process::pidfd_send_signal(net.shim_pidfd(), rustix::process::Signal::KILL).expect("killed");
    assert!(ends(&publisher));
    assert_eq!(
        net.logged(),
        "pontoon: published UDP ports had too many clients: 2 were forgotten, 0 datagrams dropped\n"
    );
}

/// How many datagrams came to this namespace for ports that nobody has.
fn refused_datagrams() -> u64 {
    let counters = fs::read_to_string("/proc/thread-self/net/snmp").expect("counters");
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Udp: ")).map(|line| line.split(' '));
    let (names, mut values) = (lines.next().expect("names"), lines.next().expect("values"));
    let at = names.into_iter().position(|name| name == "NoPorts").expect("it is counted");
    values.nth(at).and_then(|value| value.parse().ok()).expect("a number")
}
