//! [`Place`]: a network namespace with a thread in it; [`Network`]s of a scratch host with an outside; and what passes
//! between them.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netns::linux::scratch;
use nix::sched::{CloneFlags, unshare};

use crate::world::PATIENCE;

type Task = Box<dyn FnOnce() + Send>;

/// A network namespace, for as long as it is held.
pub(crate) struct Place {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    /// As `ip` knows it.
    path: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let (tasks, queue): (Sender<Task>, Receiver<Task>) = channel();
        let thread = std::thread::spawn(move || queue.into_iter().for_each(|task| task()));
        let mut place = Place { tasks: Some(tasks), thread: Some(thread), path: String::new() };
        place.path = place.run(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            let (pid, tid) = (std::process::id(), rustix::thread::gettid());
            format!("/proc/{pid}/task/{}/ns/net", tid.as_raw_nonzero())
        });
        place.sh("ip link set lo up");
        place
    }

    /// Does something in there.
    pub(crate) fn run<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let task: Task = Box::new(move || drop(answer.send(what())));
        self.tasks.as_ref().expect("a place").send(task).expect("its thread lives");
        answered.recv().expect("what is done there succeeds")
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        let script = script.to_owned();
        self.run(move || sh(&script))
    }

    /// A socket that stays in there wherever it is used.
    pub(crate) fn socket(&self) -> UdpSocket {
        self.run(socket)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tasks = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A bridge of the host and a container on it. The kernel's bridge stands for our switch.
pub(crate) struct Network {
    pub(crate) bridge: String,
    pub(crate) container: Place,
    pub(crate) ip: Ipv4Addr,
    pub(crate) gateway: Ipv4Addr,
}

impl Network {
    /// 172.31.NUMBER.0/24, with the gateway .1 and the container .2.
    pub(crate) fn new(bridge: &str, number: u8) -> Self {
        let quoted = word(bridge);
        let gateway = Ipv4Addr::new(172, 31, number, 1);
        sh(&format!(
            "ip link add {quoted} type bridge forward_delay 0; ip addr add {gateway}/24 dev {quoted}; ip link set {quoted} up"
        ));
        let mut network = Network { bridge: bridge.to_owned(), container: Place::new(), ip: gateway, gateway };
        (network.container, network.ip) = network.another(2);
        network
    }

    /// One more container.
    pub(crate) fn another(&self, host: u8) -> (Place, Ipv4Addr) {
        let [a, b, number, _] = self.gateway.octets();
        let ip = Ipv4Addr::new(a, b, number, host);
        let (container, end) = (Place::new(), format!("c{number}-{host}"));
        sh(&format!(
            "ip link add {end} type veth peer name eth0 netns {}; ip link set {end} master {} up",
            container.path,
            word(&self.bridge)
        ));
        container.sh(&format!(
            "ip addr add {ip}/24 dev eth0; ip link set eth0 up; ip route add default via {}",
            self.gateway
        ));
        (container, ip)
    }

    pub(crate) fn at(&self, socket: &UdpSocket) -> SocketAddr {
        at(self.ip, socket)
    }
}

/// Makes the calling thread's namespace a scratch host that forwards.
pub(crate) fn enter_host() {
    scratch::enter().expect("a scratch namespace");
    // What the kernel's bridges switch is not to be seen as forwarded: it stands for what our switch does.
    sh(
        "if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi",
    );
    sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
}

/// A neighbour of the host, 192.0.NUMBER.2, on its interface `name` with 192.0.NUMBER.1. It has a route to our networks.
pub(crate) fn outside(name: &str, number: u8) -> (Place, Ipv4Addr) {
    let place = Place::new();
    sh(&format!(
        "ip link add {name} type veth peer name eth0 netns {}; ip addr add 192.0.{number}.1/24 dev {name}; ip link set {name} up",
        place.path
    ));
    place.sh(&format!(
        "ip addr add 192.0.{number}.2/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.{number}.1"
    ));
    (place, Ipv4Addr::new(192, 0, number, 2))
}

/// Runs a script of which every command must succeed, in the namespace of the calling thread. What it prints.
pub(crate) fn sh(script: &str) -> String {
    // The lock of iptables is the machine's.
    let mut command = Command::new("sh");
    command.args(["-ec", script]).env("XTABLES_LOCKFILE", "/dev/null");
    let output = command.output().expect("there is a shell");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {complaint}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Text as one word of a shell.
pub(crate) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A socket of the calling thread's namespace.
pub(crate) fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    socket
}

pub(crate) fn at(ip: Ipv4Addr, socket: &UdpSocket) -> SocketAddr {
    (ip, socket.local_addr().expect("bound").port()).into()
}

/// Sends until it arrives. Where it comes from, as the receiver sees it.
pub(crate) fn arrives(from: &UdpSocket, to: &UdpSocket, address: impl Into<SocketAddr>) -> SocketAddr {
    hear(from, to, address.into(), "").expect("nothing else was sent")
}

/// That nothing of what is sent from `from` to `address` is received by `to`, though what is sent there by `allowed`
/// afterwards is. `near` is a receiver on the way, so that the sender has no address left to resolve.
pub(crate) fn is_lost(
    from: &UdpSocket,
    to: &UdpSocket,
    address: SocketAddr,
    near: (&UdpSocket, SocketAddr),
    allowed: (&UdpSocket, SocketAddr),
) {
    arrives(from, near.0, near.1);
    arrives(allowed.0, to, allowed.1);
    for _ in 0..3 {
        // That there is no way may be told to the sender, too.
        let _ = from.send_to(b"forbidden", address);
    }
    let is_lost = arrives_before(allowed.0, to, allowed.1, "forbidden");
    assert!(is_lost, "what must not arrive at {address} has arrived");
}

/// Sends until it arrives. Whether that was before `unwanted`, sent by someone else, did.
pub(crate) fn arrives_before(from: &UdpSocket, to: &UdpSocket, address: SocketAddr, unwanted: &str) -> bool {
    hear(from, to, address, unwanted).is_some()
}

/// Sends something of its own until that arrives. `None` if `unwanted` arrives before.
#[expect(clippy::disallowed_methods, reason = "a deadline bounds how long a failure hangs")]
fn hear(from: &UdpSocket, to: &UdpSocket, address: SocketAddr, unwanted: &str) -> Option<SocketAddr> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let text = format!("message {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "{address} hears nothing");
        // An interface that has just come up may have no way yet.
        let _ = from.send_to(text.as_bytes(), address);
        let mut buffer = [0; 64];
        while let Ok((length, source)) = to.recv_from(&mut buffer) {
            if &buffer[..length] == text.as_bytes() {
                return Some(source);
            }
            if !unwanted.is_empty() && &buffer[..length] == unwanted.as_bytes() {
                return None;
            }
        }
    }
}
