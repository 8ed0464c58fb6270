//! A host, a container behind it, and a world outside, each a namespace of its own.
//!
//! The container is a namespace on a veth pair, its shim any process: what is tested is the publisher.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
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

pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
pub(super) const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// The host as the world outside knows it; it has two addresses.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const HOST_TOO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// What a publisher has besides its listeners: three streams, epoll, the shim.
pub(super) const FDS: usize = 5;

/// What the first argument of a process is that starts a publisher and ends.
pub(super) const STARTER: &str = "start-publisher";

/// This thread is on the host.
pub(super) struct Net {
    pub(super) directory: PathBuf,
    pub(super) shim: Child,
    pub(super) container: Namespace,
    pub(super) outside: Namespace,
}

/// A network namespace, for as long as this is there.
pub(super) struct Namespace(File);

impl Namespace {
    pub(super) fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            File::open("/proc/thread-self/ns/net").expect("a namespace")
        });
        Namespace(made.join().expect("a namespace"))
    }

    pub(super) fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = self.0.try_clone().expect("a dup");
        thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("entered");
            work()
        })
    }

    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().expect("it does not panic")
    }
}

impl Net {
    pub(super) fn new() -> Self {
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
    pub(super) fn cable(&self, name: &'static str, here: &[Ipv4Addr], to: &Namespace, there: Ipv4Addr) {
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

    pub(super) fn shim_pidfd(&self) -> OwnedFd {
        pidfd(self.shim.id())
    }

    pub(super) fn log(&self) -> File {
        File::options().create(true).append(true).open(self.directory.join("log")).expect("a log")
    }

    pub(super) fn logged(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("a log")
    }

    pub(super) fn try_publish(&self, mappings: &[&str]) -> Result<Publisher, BackendError> {
        let exe = PathBuf::from("/proc/self/exe");
        Publisher::start(&self.directory, &exe, &self.shim_pidfd(), CONTAINER, &parse(mappings), &self.log())
    }

    pub(super) fn publish(&self, mappings: &[&str]) -> Publisher {
        self.try_publish(mappings).expect("it serves")
    }

    /// Lets another process publish, which ends then. `files` is how many descriptors the publisher may have.
    pub(super) fn publish_by_another(&self, files: u64, mappings: &[&str]) -> Publisher {
        let mut starter = Command::new("/proc/self/exe");
        starter.arg(STARTER).arg(&self.directory).arg(self.shim.id().to_string()).arg(files.to_string()).args(mappings);
        assert!(starter.stdin(Stdio::null()).status().expect("it starts").success());
        Publisher::adopt(&self.directory).expect("it can be looked for").expect("it is there")
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        let birth = fs::read_to_string(self.directory.join("publisher")).expect("it is written down");
        birth.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// What its descriptors are.
    pub(super) fn fds(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it lives");
        // One may be closed meanwhile.
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.display().to_string()).collect()
    }

    /// How many descriptors it has that are not empty pipes kept for later.
    pub(super) fn count_fds(&self) -> usize {
        self.fds().iter().filter(|link| !link.starts_with("pipe:")).count()
    }

    /// Waits until it has so many of these.
    pub(super) fn wait_for_fds(&self, count: usize) {
        wait_until(|| self.count_fds() == count);
    }

    /// A TCP server in the container, with a thread for each of so many connections.
    pub(super) fn serve(&self, port: u16, connections: usize, each: fn(TcpStream)) -> JoinHandle<()> {
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
    pub(super) fn answer_udp(&self, port: u16, datagrams: usize) -> JoinHandle<BTreeSet<SocketAddr>> {
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

pub(super) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).status().expect("iproute2");
    assert!(status.success(), "ip {arguments}");
}

pub(super) fn parse(mappings: &[&str]) -> Vec<PortMapping> {
    mappings.iter().flat_map(|text| PortMapping::parse(text).expect("a mapping")).collect()
}

pub(super) fn pidfd(pid: u32) -> OwnedFd {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("it lives")
}

/// Whether it ends in time.
pub(super) fn ends(publisher: &Publisher) -> bool {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    rustix::event::poll(&mut [PollFd::new(publisher, PollFlags::IN)], Some(&patience)).expect("polled") == 1
}

#[expect(clippy::disallowed_methods, reason = "what another process does in its own time is waited for, within bounds")]
pub(super) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it does not come to be");
        thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_write_timeout(Some(PATIENCE)).expect("set");
}

pub(super) fn connect(to: (Ipv4Addr, u16)) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connected");
    patient(&stream);
    stream
}

/// Sends everything back, and ends when the client does.
pub(super) fn echo(mut stream: TcpStream) {
    io::copy(&mut stream.try_clone().expect("a dup"), &mut stream).expect("echoed");
}

pub(super) fn say_and_hear(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).expect("sent");
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).expect("heard");
    assert_eq!(heard, text);
}

pub(super) fn is_reset(result: io::Result<usize>) -> bool {
    result.is_err_and(|why| why.kind() == ErrorKind::ConnectionReset)
}

pub(super) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("set");
}

/// Bytes that are never the same for long.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
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

pub(super) fn udp_client(to: (Ipv4Addr, u16)) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    // From now on it takes what comes from there only.
    socket.connect(to).expect("connected");
    socket
}

pub(super) fn hears(socket: &UdpSocket, text: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).expect("an answer");
    assert!(buffer[..length] == *text, "{length} bytes came");
}
