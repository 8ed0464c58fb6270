//! Network namespaces with one interface each, and what carries frames between their links.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use switch::buffer::{Buffer, Pool};
use switch::frame::Frame;
use switch::link::plain::PlainTap;
use switch::link::port::PortLink;
use switch::link::retag::Retagged;
use switch::link::tap::Tap;
use switch::link::{Link, Received, Transmit};
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

/// Sends four megabytes by TCP from a link to another; gives length and offload header of every frame that came from the
/// sender. If `tagged`, each frame has a tag on its way, as over a trunk: pushed behind the sender's link, popped before the
/// other.
pub(super) fn send_tcp_across(from: Kind, to: Kind, tagged: bool) -> Vec<(usize, VnetHeader)> {
    const LEN: usize = 4 << 20;
    let (seen, results) = mpsc::channel();
    in_namespace(move || {
        let mut to = namespaced("10.77.0.2", to);
        let listener = to.run(|| TcpListener::bind("10.77.0.2:7").unwrap());
        let receiver = thread::spawn(move || {
            let mut received = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
            received
        });
        let mut from = namespaced("10.77.0.1", from);
        let payload: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
        let expected = payload.clone();
        let sender = from.start(move || {
            let to: SocketAddrV4 = "10.77.0.2:7".parse().unwrap();
            let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(10)).unwrap();
            stream.write_all(&payload).unwrap();
        });
        let crossed = carry(&mut from.link, &mut to.link, tagged, || receiver.is_finished());
        sender.join().unwrap();
        assert!(receiver.join().unwrap() == expected, "the bytes are those that were sent");
        let snmp = to.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
        let tcp = snmp.lines().rfind(|line| line.starts_with("Tcp:")).unwrap();
        assert!(tcp.ends_with(" 0"), "InCsumErrors of the receiver: {tcp}");
        seen.send(crossed).unwrap();
    });
    results.try_iter().next().expect("the test has run")
}

/// Carries frames between two links until `done`, at most for ten seconds; each with a tag on its way, if `tagged`.
#[expect(clippy::disallowed_methods, reason = "no event tells when the kernel has frames for us")]
pub(super) fn carry(
    from: &mut PortLink,
    to: &mut PortLink,
    tagged: bool,
    mut done: impl FnMut() -> bool,
) -> Vec<(usize, VnetHeader)> {
    let mut seen = Vec::new();
    for _ in 0..100_000 {
        for frame in receive(from).0 {
            Frame::parse(frame.frame(), frame.vnet()).unwrap_or_else(|why| panic!("{why}: {:?}", frame.vnet()));
            seen.push((frame.frame().len(), frame.vnet()));
            assert_eq!(pass(&frame, to, tagged), Transmit::Sent);
        }
        for frame in receive(to).0 {
            assert_eq!(pass(&frame, from, tagged), Transmit::Sent);
        }
        if done() {
            return seen;
        }
        thread::sleep(Duration::from_micros(100));
    }
    panic!("nothing more came in ten seconds; seen: {seen:?}");
}

fn pass(frame: &Arc<Buffer>, to: &mut PortLink, tagged: bool) -> Transmit {
    if !tagged {
        return to.transmit(frame, Retag::Keep);
    }
    let retagged = Retagged::new(frame.frame(), Retag::Push(5)).unwrap();
    let vnet = frame.vnet().shifted(retagged.shift());
    to.transmit(&Arc::new(Buffer::holding(&retagged.pieces().concat(), vnet)), Retag::Pop)
}

/// Looks until there is something to see, at most for ten seconds.
#[expect(clippy::disallowed_methods, reason = "no event tells when the kernel has frames for us")]
pub(super) fn waited_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut looks = (0..100_000).filter_map(|_| {
        thread::sleep(Duration::from_micros(100));
        look()
    });
    looks.next().expect("it comes within ten seconds")
}

pub(super) fn receive(link: &mut impl Link) -> (Vec<Arc<Buffer>>, Received) {
    let mut frames = Vec::new();
    let received = link.receive(&mut Pool::new(64), &mut frames, 32);
    (frames, received)
}

/// Which kind of link there is between the switch and a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tap,
    Plain,
    Veth,
}

/// A network namespace with one interface, which has an address; code can be run in it.
pub(super) struct Namespaced {
    pub(super) link: PortLink,
    handle: std::fs::File,
}

/// `t0` is the interface, a TAP or one end of a veth pair; the other end is in the namespace of this thread, and is called
/// `v` and the end of the address.
pub(super) fn namespaced(address: &'static str, kind: Kind) -> Namespaced {
    let handle = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        std::fs::File::open("/proc/thread-self/ns/net").unwrap()
    });
    let handle = handle.join().unwrap();
    let link = match kind {
        Kind::Tap | Kind::Plain => {
            within(&handle, move || up(PortLink::create("t0", kind == Kind::Tap).unwrap())).join().unwrap()
        }
        Kind::Veth => {
            let name = format!("v{}", &address[address.len() - 1..]);
            ip(&format!("link add {name} type veth peer name t0 netns {}", path_of(&handle)));
            let link = up(PortLink::packet(&name).unwrap());
            within(&handle, || ip("link set t0 addrgenmode none up")).join().unwrap();
            link
        }
    };
    let namespaced = Namespaced { link, handle };
    namespaced.run(move || ip(&format!("address add {address}/24 dev t0")));
    namespaced
}

fn path_of(handle: &std::fs::File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), handle.as_raw_fd())
}

/// Starts code in a network namespace.
fn within<T: Send + 'static>(handle: &std::fs::File, code: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let handle = handle.try_clone().unwrap();
    thread::spawn(move || {
        nix::sched::setns(handle, CloneFlags::CLONE_NEWNET).unwrap();
        code()
    })
}

impl Namespaced {
    /// What `ip` knows the namespace by.
    pub(super) fn path(&self) -> String {
        path_of(&self.handle)
    }

    pub(super) fn run<T: Send + 'static>(&self, code: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(code).join().unwrap()
    }

    pub(super) fn start<T: Send + 'static>(&self, code: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        within(&self.handle, code)
    }
}

/// Something of a TAP's name.
pub(super) trait Named {
    fn name(&self) -> &str;
}

impl Named for Tap {
    fn name(&self) -> &str {
        Tap::name(self)
    }
}

impl Named for PlainTap {
    fn name(&self) -> &str {
        PlainTap::name(self)
    }
}

impl Named for PortLink {
    fn name(&self) -> &str {
        PortLink::name(self)
    }
}

/// Sets a TAP up, without an IPv6 address, so that nothing is sent on it unasked.
pub(super) fn up<T: Named>(tap: T) -> T {
    ip(&format!("link set {} addrgenmode none up", tap.name()));
    tap
}

/// Runs `ip` in the namespace of this thread.
pub(super) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("run ip");
    assert!(status.success(), "ip {arguments}: {status}");
}

/// Runs a test in a fresh network namespace.
pub(super) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let ran = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Whether these tests can run here.
pub(super) fn can_run() -> Result<(), String> {
    let probe = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| format!("no network namespace can be made: {}", errno.desc()))
            .and_then(|()| Tap::create("probe").map(drop).map_err(|error| error.to_string()))
    });
    probe.join().unwrap()
}
