//! Published ports: a host, a container behind it, and a world outside, each a namespace of its own.
//!
//! The container is a namespace on a veth pair, its shim any process: what is tested is the publisher.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netns::backend::BackendError;
use netns::linux::publish::Publisher;
use netns::linux::scratch;
use netns::publish::PortMapping;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, setrlimit};

use crate::world::PATIENCE;

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
    published_udp_keeps_clients_apart,
    a_udp_answer_comes_from_the_address_that_was_asked,
    a_large_datagram_arrives_whole,
    a_datagram_to_a_container_that_does_not_listen_is_dropped,
    at_the_bound_the_longest_silent_udp_client_makes_room,
    a_range_of_ports_is_one_publisher,
    the_end_of_the_shim_frees_the_ports,
    to_end_it_frees_the_ports,
    a_port_that_is_taken_is_named,
    an_address_that_is_not_the_hosts_is_named,
    the_next_daemon_finds_it,
    it_keeps_no_privilege_and_no_namespace,
];

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// The host as the world outside knows it; it has two addresses.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST_TOO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// What a publisher has besides its listeners: three streams, epoll, the shim.
const FDS: usize = 5;

/// What the first argument of a process is that starts a publisher and ends.
const STARTER: &str = "start-publisher";

/// This thread is on the host.
struct Net {
    directory: PathBuf,
    shim: Child,
    container: Namespace,
    outside: Namespace,
}

/// A network namespace, for as long as this is there.
struct Namespace(File);

impl Namespace {
    fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            File::open("/proc/thread-self/ns/net").expect("a namespace")
        });
        Namespace(made.join().expect("a namespace"))
    }

    fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = self.0.try_clone().expect("a dup");
        thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("entered");
            work()
        })
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().expect("it does not panic")
    }
}

impl Net {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        scratch::enter().expect("a scratch namespace");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("pontoon-publish-{}-{number}", std::process::id()));
        fs::create_dir(&directory).expect("a directory");
        let shim = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("it starts");
        let net = Net { directory, shim, container: Namespace::new(), outside: Namespace::new() };
        net.cable("c0", &[GATEWAY], &net.container, CONTAINER);
        net.cable("o0", &[HOST, HOST_TOO], &net.outside, Ipv4Addr::new(192, 0, 2, 9));
        net
    }

    /// A veth pair from the host to a namespace.
    fn cable(&self, name: &'static str, here: &[Ipv4Addr], to: &Namespace, there: Ipv4Addr) {
        let (said, tid) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let other = to.spawn(move || {
            said.send(rustix::thread::gettid().as_raw_nonzero().get()).expect("heard");
            wait.recv().expect("the cable is there");
            ip(&format!("addr add {there}/24 dev eth0"));
            ip("link set eth0 up");
            ip("link set lo up");
        });
        let tid = tid.recv().expect("a thread");
        ip(&format!("link add {name} type veth peer name eth0 netns {tid}"));
        for address in here {
            ip(&format!("addr add {address}/24 dev {name}"));
        }
        ip(&format!("link set {name} up"));
        done.send(()).expect("heard");
        other.join().expect("it is configured");
    }

    fn shim_pidfd(&self) -> OwnedFd {
        pidfd(self.shim.id())
    }

    fn log(&self) -> File {
        File::options().create(true).append(true).open(self.directory.join("log")).expect("a log")
    }

    fn logged(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("a log")
    }

    fn try_publish(&self, mappings: &[&str]) -> Result<Publisher, BackendError> {
        let exe = PathBuf::from("/proc/self/exe");
        Publisher::start(&self.directory, &exe, &self.shim_pidfd(), CONTAINER, &parse(mappings), &self.log())
    }

    fn publish(&self, mappings: &[&str]) -> Publisher {
        self.try_publish(mappings).expect("it serves")
    }

    /// Lets another process publish, which ends then. `files` is how many descriptors the publisher may have.
    fn publish_by_another(&self, files: u64, mappings: &[&str]) -> Publisher {
        let mut starter = Command::new("/proc/self/exe");
        starter.arg(STARTER).arg(&self.directory).arg(self.shim.id().to_string()).arg(files.to_string()).args(mappings);
        assert!(starter.stdin(Stdio::null()).status().expect("it starts").success());
        Publisher::adopt(&self.directory).expect("it can be looked for").expect("it is there")
    }

    /// The process.
    fn pid(&self) -> u32 {
        let birth = fs::read_to_string(self.directory.join("publisher")).expect("it is written down");
        birth.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// What its descriptors are.
    fn fds(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it lives");
        // One may be closed meanwhile.
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.display().to_string()).collect()
    }

    /// How many descriptors it has that are not empty pipes kept for later.
    fn count_fds(&self) -> usize {
        self.fds().iter().filter(|link| !link.starts_with("pipe:")).count()
    }

    /// Waits until it has so many of these.
    fn wait_for_fds(&self, count: usize) {
        wait_until(|| self.count_fds() == count);
    }

    /// A TCP server in the container, with a thread for each of so many connections.
    fn serve(&self, port: u16, connections: usize, each: fn(TcpStream)) -> JoinHandle<()> {
        let listener = self.container.run(move || TcpListener::bind((CONTAINER, port)).expect("bound"));
        thread::spawn(move || {
            let accepted: Vec<_> = (0..connections)
                .map(|_| {
                    let (stream, peer) = listener.accept().expect("accepted");
                    assert_eq!(peer.ip(), GATEWAY);
                    patient(&stream);
                    thread::spawn(move || each(stream))
                })
                .collect();
            accepted.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        })
    }

    /// A UDP server in the container that answers so many datagrams with who it thinks sent them.
    fn answer_udp(&self, port: u16, datagrams: usize) -> JoinHandle<BTreeSet<SocketAddr>> {
        let socket = self.container.run(move || UdpSocket::bind((CONTAINER, port)).expect("bound"));
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut peers = BTreeSet::new();
            for _ in 0..datagrams {
                let (length, peer) = socket.recv_from(&mut buffer).expect("a datagram");
                assert_eq!(peer.ip(), GATEWAY);
                peers.insert(peer);
                socket.send_to(&buffer[..length], peer).expect("sent");
            }
            peers
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.shim.kill();
        let _ = self.shim.wait();
        if let Ok(Some(publisher)) = Publisher::adopt(&self.directory) {
            let _ = publisher.end();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The process that starts a publisher and ends.
pub(crate) fn play_role() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1)? != STARTER {
        return None;
    }
    let directory = PathBuf::from(&arguments[2]);
    let shim = pidfd(arguments[3].parse().expect("a pid"));
    let files = arguments[4].parse().expect("a number");
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum: Some(files) }).expect("a lower limit");
    let mappings: Vec<&str> = arguments[5..].iter().map(String::as_str).collect();
    let log = File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    let exe = PathBuf::from("/proc/self/exe");
    Publisher::start(&directory, &exe, &shim, CONTAINER, &parse(&mappings), &log).expect("it serves");
    Some(ExitCode::SUCCESS)
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).status().expect("iproute2");
    assert!(status.success(), "ip {arguments}");
}

fn parse(mappings: &[&str]) -> Vec<PortMapping> {
    mappings.iter().flat_map(|text| PortMapping::parse(text).expect("a mapping")).collect()
}

fn pidfd(pid: u32) -> OwnedFd {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("it lives")
}

/// Whether it ends in time.
fn ends(publisher: &Publisher) -> bool {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    rustix::event::poll(&mut [PollFd::new(publisher, PollFlags::IN)], Some(&patience)).expect("polled") == 1
}

#[expect(clippy::disallowed_methods, reason = "what another process does in its own time is waited for, within bounds")]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it does not come to be");
        thread::sleep(Duration::from_millis(2));
    }
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_write_timeout(Some(PATIENCE)).expect("set");
}

fn connect(to: (Ipv4Addr, u16)) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connected");
    patient(&stream);
    stream
}

/// Sends everything back, and ends when the client does.
fn echo(mut stream: TcpStream) {
    io::copy(&mut stream.try_clone().expect("a dup"), &mut stream).expect("echoed");
}

fn say_and_hear(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).expect("sent");
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).expect("heard");
    assert_eq!(heard, text);
}

fn is_reset(result: io::Result<usize>) -> bool {
    result.is_err_and(|why| why.kind() == ErrorKind::ConnectionReset)
}

fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("set");
}

/// Bytes that are never the same for long.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

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

fn udp_client(to: (Ipv4Addr, u16)) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    // From now on it takes what comes from there only.
    socket.connect(to).expect("connected");
    socket
}

fn hears(socket: &UdpSocket, text: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).expect("an answer");
    assert!(buffer[..length] == *text, "{length} bytes came");
}

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

/// How many datagrams came to this namespace for ports that nobody has.
fn refused_datagrams() -> u64 {
    let counters = fs::read_to_string("/proc/thread-self/net/snmp").expect("counters");
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Udp: ")).map(|line| line.split(' '));
    let (names, mut values) = (lines.next().expect("names"), lines.next().expect("values"));
    let at = names.into_iter().position(|name| name == "NoPorts").expect("it is counted");
    values.nth(at).and_then(|value| value.parse().ok()).expect("a number")
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
