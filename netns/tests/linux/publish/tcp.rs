//! Connections through a published port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::{self};

use super::scene::*;

crate::trials![
    published_tcp_is_reached_from_the_host_and_from_outside,
    a_half_closed_connection_stays_half_open,
    five_hundred_connections_at_once,
    a_server_with_a_short_queue_is_not_overrun,
    ten_thousand_connections_one_after_another,
    a_published_port_that_nobody_serves_resets_its_clients,
    a_reset_is_passed_on_both_ways,
    much_goes_both_ways_unchanged,
    who_does_not_read_holds_up_nobody_else,
    an_idle_connection_holds_two_sockets_and_nothing_else,
    at_the_bound_clients_wait_for_their_turn,
];

fn published_tcp_is_reached_from_the_host_and_from_outside() {
    let net = Net::new();
    let publisher = net.publish(&["8080:80"]);
    let server = net.serve(80, 4, echo);
    for address in [Ipv4Addr::LOCALHOST, HOST, GATEWAY] {
        say_and_hear(&mut connect((address, 8080)), b"from the host");
    }
    net.outside.run(|| say_and_hear(&mut connect((HOST_TOO, 8080)), b"from outside"));
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 1);
    publisher.end().expect("it ends");
    assert_eq!(net.logged(), "");
}

fn a_half_closed_connection_stays_half_open() {
    const LENGTH: usize = 3 << 20;
    let net = Net::new();
    let _publisher = net.publish(&["8080:80", "8081:81"]);
    let answering = net.serve(80, 1, |mut stream| {
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).expect("it ends");
        assert_eq!(asked, b"question");
        stream.write_all(&noise(1, LENGTH)).expect("sent");
    });
    let mut client = connect((HOST, 8080));
    client.write_all(b"question").expect("sent");
    client.shutdown(Shutdown::Write).expect("half closed");
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).expect("it ends");
    assert!(heard == noise(1, LENGTH), "{} bytes came", heard.len());
    answering.join().expect("it does not panic");
    // And the other way round.
    let asking = net.serve(81, 1, |mut stream| {
        stream.write_all(b"question").expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("it ends");
        assert!(heard == noise(2, LENGTH), "{} bytes came", heard.len());
    });
    let mut client = connect((HOST, 8081));
    let mut asked = String::new();
    client.read_to_string(&mut asked).expect("it ends");
    assert_eq!(asked, "question");
    client.write_all(&noise(2, LENGTH)).expect("sent");
    drop(client);
    asking.join().expect("it does not panic");
    net.wait_for_fds(FDS + 2);
}

fn five_hundred_connections_at_once() {
    let net = Net::new();
    let _publisher = net.publish(&["8080:80"]);
    let server = net.serve(80, 500, echo);
    net.outside.run(|| {
        let mut clients: Vec<TcpStream> = (0..500).map(|_| connect((HOST, 8080))).collect();
        for round in 0..3 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.write_all(&noise(round * 1000 + number as u64, 3000)).expect("sent");
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let mut heard = [0; 3000];
                client.read_exact(&mut heard).expect("heard");
                assert!(heard == *noise(round * 1000 + number as u64, 3000), "client {number} heard another");
            }
        }
    });
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 1);
}

fn a_server_with_a_short_queue_is_not_overrun() {
    let net = Net::new();
    let _publisher = net.publish(&["8080:80"]);
    let listener = net.container.run(|| TcpListener::bind((CONTAINER, 80)).expect("bound"));
    rustix::net::listen(&listener, 5).expect("as Python's socketserver has it");
    let mut clients: Vec<TcpStream> = (0..100).map(|_| connect((HOST, 8080))).collect();
    clients.iter_mut().for_each(|client| client.write_all(b"hello").expect("sent"));
    let server = thread::spawn(move || {
        for _ in 0..100 {
            let (mut stream, _) = listener.accept().expect("accepted");
            patient(&stream);
            stream.read_exact(&mut [0; 5]).expect("heard");
            stream.write_all(b"hello").expect("sent");
        }
    });
    for mut client in clients {
        client.read_exact(&mut [0; 5]).expect("heard");
        assert_eq!(client.read(&mut [0]).expect("it ends"), 0);
    }
    server.join().expect("it does not panic");
}

fn ten_thousand_connections_one_after_another() {
    const TIMES: usize = 10_000;
    let net = Net::new();
    let _publisher = net.publish(&["127.0.0.1:8080:80"]);
    let listener = net.container.run(|| TcpListener::bind((CONTAINER, 80)).expect("bound"));
    let server = thread::spawn(move || {
        for _ in 0..TIMES {
            let (stream, _) = listener.accept().expect("accepted");
            patient(&stream);
            echo(stream);
        }
    });
    for _ in 0..TIMES {
        let mut client = connect((Ipv4Addr::LOCALHOST, 8080));
        say_and_hear(&mut client, b"again");
        client.shutdown(Shutdown::Write).expect("half closed");
        assert_eq!(client.read(&mut [0]).expect("it ends"), 0);
    }
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 1);
    assert!(net.fds().len() <= FDS + 1 + 2, "pipes are used again");
}

fn a_published_port_that_nobody_serves_resets_its_clients() {
    let net = Net::new();
    let _publisher = net.publish(&["8080:80"]);
    for _ in 0..10 {
        // The kernel completes the connection before the publisher knows of it.
        let heard = TcpStream::connect((HOST, 8080)).and_then(|mut client| client.read(&mut [0]));
        assert!(is_reset(heard));
    }
    // It takes a moment until the kernel finds that nobody is there at all.
    ip("link set c0 down");
    let heard = TcpStream::connect((HOST, 8080)).and_then(|mut client| client.read(&mut [0]));
    assert!(is_reset(heard));
    net.wait_for_fds(FDS + 1);
}

fn a_reset_is_passed_on_both_ways() {
    let net = Net::new();
    let _publisher = net.publish(&["8080:80", "8081:81"]);
    let server = net.serve(80, 1, |mut stream| {
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).expect("heard");
        stream.write_all(&heard).expect("sent");
        assert!(is_reset(stream.read(&mut [0])));
    });
    let mut client = connect((HOST, 8080));
    // A reset overtakes what was sent before; so let that arrive.
    say_and_hear(&mut client, b"hello");
    reset(client);
    server.join().expect("it does not panic");
    let server = net.serve(81, 1, |mut stream| {
        stream.read_exact(&mut [0; 5]).expect("heard");
        reset(stream);
    });
    let mut client = connect((HOST, 8081));
    client.write_all(b"hello").expect("sent");
    assert!(is_reset(client.read(&mut [0])));
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 2);
}

fn much_goes_both_ways_unchanged() {
    const LENGTH: usize = 32 << 20;
    let net = Net::new();
    let _publisher = net.publish(&["8080:80"]);
    let server = net.serve(80, 1, |stream| exchange(stream, 3, 4));
    net.outside.run(|| exchange(connect((HOST, 8080)), 4, 3));
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 1);

    fn exchange(mut stream: TcpStream, own: u64, other: u64) {
        let mut out = stream.try_clone().expect("a dup");
        let sender = thread::spawn(move || {
            out.write_all(&noise(own, LENGTH)).expect("sent");
            out.shutdown(Shutdown::Write).expect("half closed");
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("it ends");
        assert!(heard == noise(other, LENGTH), "{} bytes came", heard.len());
        sender.join().expect("it does not panic");
    }
}

fn who_does_not_read_holds_up_nobody_else() {
    const LENGTH: usize = 24 << 20;
    let net = Net::new();
    let _publisher = net.publish(&["8080:80", "8081:81"]);
    let talking = net.serve(80, 1, |mut stream| stream.write_all(&noise(5, LENGTH)).expect("sent"));
    let echoing = net.serve(81, 1, echo);
    let mut slow = connect((HOST, 8080));
    // More than the kernel keeps between the two is on its way when somebody else comes.
    slow.read_exact(&mut [0; 4096]).expect("it talks");
    say_and_hear(&mut connect((HOST, 8081)), &noise(6, 100_000));
    echoing.join().expect("it does not panic");
    let mut heard = Vec::new();
    slow.read_to_end(&mut heard).expect("it ends");
    assert!(heard == noise(5, LENGTH)[4096..], "{} bytes came", heard.len());
    talking.join().expect("it does not panic");
}

fn an_idle_connection_holds_two_sockets_and_nothing_else() {
    let net = Net::new();
    let _publisher = net.publish(&["8080:80"]);
    let server = net.serve(80, 100, echo);
    let mut clients: Vec<TcpStream> = (0..100).map(|_| connect((HOST, 8080))).collect();
    clients.iter_mut().for_each(|client| say_and_hear(client, b"and then nothing more"));
    assert_eq!(net.count_fds(), FDS + 1 + 2 * 100);
    let pipes = net.fds().len() - net.count_fds();
    assert!(pipes <= 2, "one pipe is enough for all: {pipes}");
    drop(clients);
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 1);
}

fn at_the_bound_clients_wait_for_their_turn() {
    const FILES: u64 = 32 + 1 + 6 * 10;
    let net = Net::new();
    let _publisher = net.publish_by_another(FILES, &["8080:80"]);
    let server = net.serve(80, 40, echo);
    let mut clients: Vec<TcpStream> = (0..40).map(|_| connect((HOST, 8080))).collect();
    clients.iter_mut().for_each(|client| client.write_all(b"hello").expect("sent"));
    for (number, mut client) in clients.into_iter().enumerate() {
        client.read_exact(&mut [0; 5]).expect("heard");
        let most = FDS + 1 + 2 * 10;
        assert!(net.count_fds() <= most, "client {number}");
    }
    server.join().expect("it does not panic");
    net.wait_for_fds(FDS + 1);
}
