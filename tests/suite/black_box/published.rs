//! Published ports, from the host and from outside of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{fails, pontoon, prints, tests};
use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, processes, waited_for};
use crate::lab::{Lab, NetworkOrder, Place, create, names};

tests![
    a_published_port_is_reached_on_the_host_and_the_gateway_is_the_peer,
    a_port_that_is_taken_is_told_and_nothing_stays,
    published_ports_are_free_when_their_container_ends,
    an_open_connection_through_a_published_port_outlives_a_killed_daemon,
    a_container_on_internal_networks_only_publishes_nothing_yet,
    a_publisher_that_somebody_ends_is_replaced,
    names_that_nobody_answers_are_told_and_resolved_once_the_port_is_free,
    the_port_of_names_is_published_unless_a_network_of_ours_needs_it,
    ports_follow_a_network_that_is_left_at_the_second_try,
    modes_without_a_network_of_their_own_publish_nothing,
    what_can_not_be_published_is_wrong_usage,
];

const PATIENCE: Duration = Duration::from_secs(20);

fn run_published(lab: &Linux, name: &str, ports: &[&str]) {
    let options: Vec<&str> = ports.iter().flat_map(|port| ["-p", port]).collect();
    prints(lab, &[&["run", "-d", "--name", name], &options[..], &["--", "sleep", "infinity"]].concat());
}

/// A server in a container that answers what it is told with its peer's address; one connection at a time.
fn serve(lab: &mut Linux, container: &str, port: u16) -> std::thread::JoinHandle<()> {
    let listener: TcpListener = Inside::of(lab.pid_of(container)).listen(port).expect("listen");
    std::thread::spawn(move || {
        for stream in listener.incoming().take(1) {
            let mut stream = stream.expect("accept");
            stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
            let mut told = String::new();
            stream.read_to_string(&mut told).expect("receive");
            let peer = stream.peer_addr().expect("a peer").ip();
            stream.write_all(format!("{told} from {peer}").as_bytes()).expect("send");
        }
    })
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask(port: u16, text: &str) -> String {
    let mut stream = connect(port).expect("connect");
    stream.write_all(text.as_bytes()).expect("send");
    stream.shutdown(std::net::Shutdown::Write).expect("say that this is all");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("receive");
    answer
}

fn a_published_port_is_reached_on_the_host_and_the_gateway_is_the_peer() {
    let mut lab = Linux::new();
    lab.up();
    run_published(&lab, "web", &["8080:80", "127.0.0.1:9000-9001:90-91"]);
    let views = prints(&lab, &["ps"]);
    let ports = "0.0.0.0:8080->80/tcp, 127.0.0.1:9000-9001->90-91/tcp";
    assert!(views.contains(ports), "{views}");
    for (host, inside) in [(8080, 80), (9000, 90), (9001, 91)] {
        let server = serve(&mut lab, "web", inside);
        assert_eq!(ask(host, "hello"), "hello from 172.17.0.1");
        server.join().expect("the server");
    }
    // Nobody listens behind it.
    let refused = connect(8080).and_then(|mut stream| stream.read(&mut [0]));
    assert!(matches!(refused.map_err(|why| why.kind()), Ok(0) | Err(std::io::ErrorKind::ConnectionReset)));
    lab.finish();
}

fn a_port_that_is_taken_is_told_and_nothing_stays() {
    let mut lab = Linux::new();
    lab.up();
    let _own = TcpListener::bind((Ipv4Addr::LOCALHOST, 8081)).expect("bind");
    let before = lab.census();
    let said = pontoon(&lab, &["run", "-d", "--name", "web", "-p", "8080:80", "-p", "8081:81", "--", "sleep", "1"]);
    assert_eq!((said.status, said.stdout.as_str()), (125, ""));
    assert!(said.stderr.starts_with("pontoon: publish 0.0.0.0:8081/tcp: Address already in use\n"), "{}", said.stderr);
    assert!(said.stderr.contains("\nhint: "), "{}", said.stderr);
    assert_eq!(lab.census(), before);
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    drop(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("the other port is free again"));
    run_published(&lab, "web", &["8080:80"]);
    let taken = "pontoon: publish 127.0.0.1:8080/tcp: Address already in use: container web publishes it\n\
                 hint: stop that container, or publish another port of the host\n";
    fails(&lab, &["run", "-d", "-p", "127.0.0.1:8080:80", "--", "sleep", "1"], 125, taken);
    lab.finish();
}

fn published_ports_are_free_when_their_container_ends() {
    let mut lab = Linux::new();
    lab.up();
    let is_free = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).map(drop).is_ok();
    let ends: [&[&str]; 3] = [&["stop", "-t", "0", "web"], &["kill", "web"], &["rm", "-f", "web"]];
    for end in ends {
        run_published(&lab, "web", &["8080:80"]);
        assert!(!is_free());
        prints(&lab, end);
        assert!(is_free(), "{end:?}");
    }
    assert_eq!(pontoon(&lab, &["run", "-p", "8080:80", "--", "true"]).status, 0);
    assert!(is_free(), "in the foreground");
    run_published(&lab, "web", &["8080:80"]);
    let shim = lab.shim_of("web");
    processes::kill_and_wait(shim);
    lab.eventually("the port is free after kill -9 of the shim", &mut |_| is_free());
    lab.finish();
}

fn an_open_connection_through_a_published_port_outlives_a_killed_daemon() {
    let mut lab = Linux::new();
    lab.up();
    run_published(&lab, "web", &["8080:80"]);
    let listener = Inside::of(lab.pid_of("web")).listen(80).expect("listen");
    let mut client = connect(8080).expect("connect");
    let (mut server, _) = listener.accept().expect("accept");
    server.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let mut pass = |text: &[u8]| {
        client.write_all(text).expect("send");
        let mut received = vec![0; text.len()];
        server.read_exact(&mut received).expect("receive");
        assert_eq!(received, text);
    };
    pass(b"before");
    lab.kill_daemon();
    lab.up();
    pass(b"after");
    let server = serve_again(listener);
    assert_eq!(ask(8080, "new"), "new");
    server.join().expect("the server");
    lab.finish();
}

fn serve_again(listener: TcpListener) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut told = Vec::new();
        stream.read_to_end(&mut told).expect("receive");
        stream.write_all(&told).expect("send");
    })
}

fn a_container_on_internal_networks_only_publishes_nothing_yet() {
    let mut lab = Linux::new();
    lab.up();
    create(&mut lab, NetworkOrder::new("inner").internal());
    let said =
        pontoon(&lab, &["run", "-d", "--name", "web", "--network", "inner", "-p", "8080:80", "--", "sleep", "99999"]);
    let warning =
        "pontoon: warning: published ports are ignored as long as the container is on --internal networks only\n";
    assert_eq!((said.status, said.stderr.as_str()), (0, warning));
    let listed = |lab: &Linux| {
        let listed = prints(lab, &["ps"]);
        ["inner", "bridge", "8080"].map(|word| listed.contains(word))
    };
    assert_eq!(listed(&lab), [true, false, false]);
    assert!(connect(8080).is_err());
    prints(&lab, &["network", "connect", "bridge", "web"]);
    assert_eq!(listed(&lab), [true, true, true]);
    // (Where nobody listened inside, the connection could be reset before it is seen to be one.)
    lab.listen(Place::In("web"), 80).expect("listen");
    drop(connect(8080).expect("somebody listens"));
    prints(&lab, &["network", "disconnect", "inner", "web"]);
    assert_eq!(listed(&lab), [false, true, true]);
    prints(&lab, &["network", "disconnect", "bridge", "web"]);
    assert_eq!(listed(&lab), [false, false, false]);
    assert!(connect(8080).is_err());
    lab.finish();
}

fn a_publisher_that_somebody_ends_is_replaced() {
    let mut lab = Linux::new();
    lab.up();
    run_published(&lab, "web", &["8080:80"]);
    let publisher = || processes::all().into_iter().find(|pid| processes::words_of(*pid).contains("__publish"));
    let end_publisher = || processes::kill_and_wait(publisher().expect("there is a publisher"));
    end_publisher();
    lab.eventually("there is another, whose ports are bound before it is", &mut |_| publisher().is_some());
    let server = serve(&mut lab, "web", 80);
    assert_eq!(ask(8080, "hello"), "hello from 172.17.0.1");
    server.join().expect("the server");
    prints(&lab, &["stop", "-t", "0", "web"]);
    // One whose port somebody else has by then.
    run_published(&lab, "db", &["8080:80"]);
    let daemon = Pid::from_raw(lab.daemon_pid().expect("a daemon runs"));
    kill(daemon, Signal::SIGSTOP).expect("stop the daemon");
    end_publisher();
    let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("it is free");
    kill(daemon, Signal::SIGCONT).expect("let the daemon go on");
    lab.eventually("it is known", &mut |lab| lab.inspect("db").expect("it runs").published.is_empty());
    drop(other);
    lab.kill_daemon();
    lab.up();
    assert_eq!(lab.inspect("db").expect("it runs").published, ["0.0.0.0:8080->80/tcp"]);
    drop(connect(8080).expect("the next daemon publishes it"));
    lab.finish();
}

fn the_port_of_names_is_published_unless_a_network_of_ours_needs_it() {
    let mut lab = Linux::new();
    lab.host_resolv_conf("nameserver 10.0.0.53\n");
    lab.up();
    run_published(&lab, "dns", &["53:53/udp", "53:53"]);
    prints(&lab, &["rm", "-f", "dns"]);
    create(&mut lab, NetworkOrder::new("red"));
    let refused = "pontoon: publish 0.0.0.0:53/udp: Address already in use; names of our networks are answered on \
                   172.18.0.1, port 53\nhint: publish it on an address of the host that is not one of these, as in \
                   -p 192.0.2.1:53:53/udp\n";
    fails(&lab, &["run", "-p", "53:53/udp", "--", "true"], 125, refused);
    run_published(&lab, "dns", &["127.0.0.1:53:53/udp"]);
    lab.finish();
}

fn names_that_nobody_answers_are_told_and_resolved_once_the_port_is_free() {
    let mut lab = Linux::new();
    lab.host_resolv_conf("nameserver 10.0.0.53\n");
    lab.up();
    run_published(&lab, "dns", &["53:53/udp"]);
    let warning = |network: &str, gateway: &str, help: &str| {
        format!(
            "pontoon: warning: names are not resolved on network {network}: answer names on {gateway}, UDP port 53: \
             Address already in use; {help}\n"
        )
    };
    let ours = "container dns publishes this port: publish it on an address of the host that is not one of these, as in \
                -p 192.0.2.1:53:53/udp";
    let warns = |arguments: &[&str], warning: &str| {
        let said = pontoon(&lab, arguments);
        assert_eq!((said.status, said.stderr.as_str()), (0, warning), "{arguments:?}");
    };
    let red = warning("red", "172.18.0.1", ours);
    warns(&["network", "create", "red"], &red);
    warns(&["run", "-d", "--network", "red", "--name", "web", "--", "sleep", "infinity"], &red);
    prints(&lab, &["run", "-d", "--name", "db", "--", "sleep", "infinity"]);
    warns(&["network", "connect", "red", "db"], &red);
    prints(&lab, &["rm", "-f", "dns"]);
    let inside = Inside::of(lab.pid_of("web"));
    let resolved = || {
        let client = inside.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("bind");
        // A question that nobody hears is asked again.
        client.set_read_timeout(Some(Duration::from_secs(1))).expect("a deadline");
        client.connect(("172.18.0.1", 53)).expect("connect");
        // A query for the A records of `web` (RFC 1035, 4.1).
        client.send(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01").ok()?;
        let mut answer = [0; 512];
        let length = client.recv(&mut answer).ok()?;
        answer[..length].ends_with(&[172, 18, 0, 2]).then_some(())
    };
    assert_eq!(waited_for(resolved), Some(()), "our own port is free, and that is known");

    // Somebody else's: nobody tells that it is free again.
    lab.kill_daemon();
    let other =
        waited_for(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).ok()).expect("the port went with the daemon");
    let theirs = "another name server has this port of every address: let it listen on addresses of its own only \
                  (dnsmasq: bind-dynamic and except-interface; unbound: interface; BIND: listen-on)";
    let said = pontoon(&lab, &["up", "--detach"]);
    assert_eq!((said.status, said.stderr), (0, warning("red", "172.18.0.1", theirs)));
    let said = pontoon(&lab, &["network", "create", "blue"]);
    assert_eq!((said.status, said.stderr), (0, warning("blue", "172.19.0.1", theirs)));
    drop(other);
    assert_eq!(waited_for(resolved), Some(()), "it is tried again and again");
    lab.finish();
}

fn ports_follow_a_network_that_is_left_at_the_second_try() {
    let mut lab = Linux::new();
    lab.up();
    create(&mut lab, NetworkOrder::new("red"));
    run_published(&lab, "web", &["8080:80"]);
    lab.connect_network("red", "web", None).expect("connect");
    // A daemon that took a container over waits for its shim for a moment only.
    lab.kill_daemon();
    lab.up();
    let shim = Pid::from_raw(lab.shim_of("web"));
    kill(shim, Signal::SIGSTOP).expect("stop the shim");
    let refused = lab.disconnect_network("bridge", "web").expect_err("nobody deletes the interface");
    assert!(refused.message.starts_with("ask the shim of "), "{refused:?}");
    kill(shim, Signal::SIGCONT).expect("let the shim go on");
    lab.disconnect_network("bridge", "web").expect("disconnect");
    let server = serve(&mut lab, "web", 80);
    assert_eq!(ask(8080, "hello"), "hello from 172.18.0.1");
    server.join().expect("the server");
    lab.finish();
}

fn modes_without_a_network_of_their_own_publish_nothing() {
    let mut lab = Linux::new();
    lab.up();
    for mode in ["host", "none"] {
        let said = pontoon(&lab, &["run", "--network", mode, "-p", "8080:80", "--", "true"]);
        let warning = format!("pontoon: warning: published ports are ignored with --network {mode}\n");
        assert_eq!((said.status, said.stderr), (0, warning));
    }
    run_published(&lab, "web", &[]);
    let refused =
        "pontoon: -p can not be used with --network container:web\nhint: the network is web's: give -p to web\n";
    fails(&lab, &["run", "--network", "container:web", "-p", "8080:80", "--", "true"], 125, refused);
    let overlap = pontoon(&lab, &["run", "-p", "8080:80", "-p", "127.0.0.1:8080:81", "--", "true"]);
    assert_eq!(overlap.status, 125);
    assert!(overlap.stderr.contains("overlap"), "{}", overlap.stderr);
    lab.finish();
}

fn what_can_not_be_published_is_wrong_usage() {
    let lab = Linux::new();
    for wrong in
        ["80", "0:80", "8080:0", "65536:80", "8080:65536", "9-8:9-8", "8-9:8-10", "8080:80/sctp", "a:80", ":80"]
    {
        let said = pontoon(&lab, &["run", "-p", wrong, "--", "true"]);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{wrong}: {}", said.stderr);
    }
    assert!(processes::others().is_empty(), "no daemon was started for it");
}
