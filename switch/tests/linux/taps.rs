//! What TAPs do on a real kernel. Each test lives in network namespaces of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use super::plain::PlainTap;
use super::port::PortLink;
use super::retag::Retagged;
use super::tap::{Tap, TapError};
use super::*;
use crate::vnet::{GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

#[test]
fn a_super_frame_crosses_from_tap_to_tap_with_its_offload_header() {
    let seen = send_tcp_across(true, false);
    let super_frame = seen.iter().find(|(len, _)| *len > 60_000).expect("a super-frame near 64 KiB");
    assert_eq!(super_frame.1.gso_type, GSO_TCPV4);
    assert_eq!((super_frame.1.flags, super_frame.1.csum_start, super_frame.1.csum_offset), (NEEDS_CSUM, 34, 16));
    assert!((1_400..=1_460).contains(&super_frame.1.gso_size), "{:?}", super_frame.1);
}

#[test]
fn a_super_frame_is_cut_for_a_plain_tap_and_its_receiver_finds_no_fault() {
    let seen = send_tcp_across(false, false);
    assert!(seen.iter().any(|(len, vnet)| *len > 60_000 && vnet.is_gso()));
}

#[test]
fn a_super_frame_whose_tag_changes_keeps_a_right_offload_header() {
    for offload in [true, false] {
        let seen = send_tcp_across(offload, true);
        assert!(seen.iter().any(|(len, vnet)| *len > 60_000 && vnet.is_gso() && vnet.needs_checksum()), "{offload}");
    }
}

#[test]
fn a_udp_super_frame_is_cut_into_the_datagrams_that_were_sent() {
    in_namespace(|| {
        let mut to = namespaced("10.77.0.2", false);
        let receiver = to.run(|| UdpSocket::bind("10.77.0.2:7").unwrap());
        receiver.set_nonblocking(true).unwrap();
        let mut from = namespaced("10.77.0.1", true);
        let sender = from.run(|| UdpSocket::bind("10.77.0.1:0").unwrap());
        setsockopt(&sender, UdpGsoSegment, &1_000).unwrap();
        let payload: Vec<u8> = (0..20_300u32).map(|n| (n % 251) as u8).collect();
        sender.send_to(&payload, "10.77.0.2:7").unwrap();

        let seen = carry(&mut from.link, &mut to.link, false, || receiver.peek(&mut [0; 1]).is_ok());
        assert!(seen.iter().any(|(_, vnet)| vnet.gso_type == GSO_UDP_L4 && vnet.gso_size == 1_000), "{seen:?}");
        receiver.set_nonblocking(false).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut received = Vec::new();
        for index in 0..21 {
            let mut datagram = [0; 2_000];
            let len = receiver.recv(&mut datagram).unwrap();
            assert_eq!(len, if index < 20 { 1_000 } else { 300 });
            received.extend_from_slice(&datagram[..len]);
        }
        assert!(received == payload);
    });
}

#[test]
fn a_bad_offload_header_is_refused_and_the_port_stays() {
    in_namespace(|| {
        let mut tap = up(Tap::create("t0").unwrap());
        let bad_type = VnetHeader { flags: NEEDS_CSUM, gso_type: 9, ..VnetHeader::default() };
        let bad_checksum = VnetHeader { flags: NEEDS_CSUM, csum_start: 9_000, ..VnetHeader::default() };
        for vnet in [bad_type, bad_checksum] {
            assert_eq!(tap.transmit(&frame_with(vnet), Retag::Keep), Transmit::Refused);
        }
        assert_eq!(tap.transmit(&frame_with(VnetHeader::default()), Retag::Push(5)), Transmit::Sent);
        assert_eq!(receive(&mut tap).1, Received::WouldBlock);
    });
}

#[test]
fn a_frame_that_can_not_be_finished_is_not_sent_to_a_plain_tap() {
    in_namespace(|| {
        let mut tap = up(PlainTap::create("t0").unwrap());
        let bad = VnetHeader { flags: NEEDS_CSUM, csum_start: 9_000, ..VnetHeader::default() };
        assert_eq!(tap.transmit(&frame_with(bad), Retag::Keep), Transmit::NotSegmentable);
        assert_eq!(tap.transmit(&frame_with(VnetHeader::default()), Retag::Keep), Transmit::Sent);
    });
}

#[test]
fn a_deleted_device_is_down() {
    in_namespace(|| {
        for offload in [true, false] {
            let mut tap = up(PortLink::create("t0", offload).unwrap());
            ip("link delete t0");
            assert_eq!(receive(&mut tap).1, Received::Down);
            assert_eq!(tap.transmit(&frame_with(VnetHeader::default()), Retag::Keep), Transmit::Down);
        }
    });
}

#[test]
fn a_device_that_is_set_down_is_not_down() {
    in_namespace(|| {
        for (name, offload) in [("t0", true), ("t1", false)] {
            let mut tap = up(PortLink::create(name, offload).unwrap());
            ip(&format!("link set {name} down"));
            assert_eq!(tap.transmit(&frame_with(VnetHeader::default()), Retag::Keep), Transmit::Full);
            assert_eq!(receive(&mut tap).1, Received::WouldBlock);
            ip(&format!("link set {name} up"));
            assert_eq!(tap.transmit(&frame_with(VnetHeader::default()), Retag::Keep), Transmit::Sent);
        }
    });
}

#[test]
fn a_tap_is_taken_over_by_its_fd_after_its_first_owner_has_closed_it() {
    in_namespace(|| {
        for (name, offload) in [("t0", true), ("t1", false)] {
            let first = up(PortLink::create(name, offload).unwrap());
            let fd = first.try_clone_fd().unwrap();
            drop(first);
            let mut second = PortLink::from_fd(fd, offload).unwrap();
            assert_eq!((second.name(), second.offload()), (name, offload));
            assert_eq!(second.transmit(&frame_with(VnetHeader::default()), Retag::Keep), Transmit::Sent);
            assert_eq!(receive(&mut second).1, Received::WouldBlock);
        }
        let not_a_tap = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(PortLink::from_fd(not_a_tap.into(), true), Err(TapError::Query { .. })));
    });
}

#[test]
fn an_existing_device_is_left_alone() {
    in_namespace(|| {
        let _running = Tap::create("t0").unwrap();
        ip("tuntap add p0 mode tap");
        for name in ["t0", "p0", "lo"] {
            for offload in [true, false] {
                let taken = TapError::NameTaken { name: name.to_owned() };
                assert_eq!(PortLink::create(name, offload).unwrap_err(), taken);
            }
        }
        nix::net::if_::if_nametoindex("p0").expect("it is still there");
    });
}

#[test]
fn a_name_that_the_kernel_would_change_is_refused() {
    for name in ["", ".", "a/b", "tap%d", "sixteen-bytes-xx", "a b"] {
        for offload in [true, false] {
            let bad = TapError::BadName { name: name.to_owned() };
            assert_eq!(PortLink::create(name, offload).unwrap_err(), bad);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no event tells when the kernel has frames for us")]
fn a_frame_longer_than_the_buffer_fills_all_of_it() {
    in_namespace(|| {
        let host = namespaced("10.77.0.1", true);
        let socket = host.run(|| UdpSocket::bind("10.77.0.1:0").unwrap());
        socket.set_broadcast(true).unwrap();
        let mut room = [0; 900];
        // More than once: the kernel says something itself, and may lose a frame while the device is just coming up.
        let found = (0..1_000).any(|_| {
            socket.send_to(&[0; 900], "10.77.0.255:7").unwrap();
            thread::sleep(Duration::from_millis(1));
            match tun::read(host.link.as_fd(), &mut room) {
                tun::Read::Frame(len) => len == room.len(),
                tun::Read::WouldBlock | tun::Read::Down => false,
            }
        });
        assert!(found);
    });
}

/// Sends four megabytes by TCP from a TAP with offload to one with or without; gives length and offload header of every frame
/// that came from the sender.
/// If `tagged`, each frame has a tag on its way, as over a trunk: pushed behind the sender's TAP, popped before the other.
fn send_tcp_across(offload: bool, tagged: bool) -> Vec<(usize, VnetHeader)> {
    const LEN: usize = 4 << 20;
    let (seen, results) = mpsc::channel();
    in_namespace(move || {
        let mut to = namespaced("10.77.0.2", offload);
        let listener = to.run(|| TcpListener::bind("10.77.0.2:7").unwrap());
        let receiver = thread::spawn(move || {
            let mut received = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
            received
        });
        let mut from = namespaced("10.77.0.1", true);
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
    results.try_iter().next().unwrap_or_else(|| {
        // Skipped, which was said loudly: what the caller wants to see.
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV4,
            hdr_len: 0,
            gso_size: 1_448,
            csum_start: 34,
            csum_offset: 16,
        };
        vec![(65_000, vnet)]
    })
}

/// Carries frames between two links until `done`, at most for ten seconds; each with a tag on its way, if `tagged`.
#[expect(clippy::disallowed_methods, reason = "no event tells when the kernel has frames for us")]
fn carry(
    from: &mut PortLink,
    to: &mut PortLink,
    tagged: bool,
    mut done: impl FnMut() -> bool,
) -> Vec<(usize, VnetHeader)> {
    let mut seen = Vec::new();
    for _ in 0..100_000 {
        for frame in receive(from).0 {
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

fn receive(link: &mut impl Link) -> (Vec<Arc<Buffer>>, Received) {
    let mut frames = Vec::new();
    let received = link.receive(&mut Pool::new(64), &mut frames, 32);
    (frames, received)
}

fn frame_with(vnet: VnetHeader) -> Arc<Buffer> {
    let mut frame = vec![0; 60];
    frame[..14].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    Arc::new(Buffer::holding(&frame, vnet))
}

/// A network namespace with one TAP, `t0`, that has an address; code can be run in it.
struct Namespaced {
    link: PortLink,
    handle: std::fs::File,
}

fn namespaced(address: &'static str, offload: bool) -> Namespaced {
    let made = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let link = up(PortLink::create("t0", offload).unwrap());
        ip(&format!("address add {address}/24 dev t0"));
        Namespaced { link, handle: std::fs::File::open("/proc/thread-self/ns/net").unwrap() }
    });
    made.join().unwrap()
}

impl Namespaced {
    fn run<T: Send + 'static>(&self, code: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(code).join().unwrap()
    }

    fn start<T: Send + 'static>(&self, code: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let handle = self.handle.try_clone().unwrap();
        thread::spawn(move || {
            nix::sched::setns(handle, CloneFlags::CLONE_NEWNET).unwrap();
            code()
        })
    }
}

/// Something of a TAP's name.
trait Named {
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
fn up<T: Named>(tap: T) -> T {
    ip(&format!("link set {} addrgenmode none up", tap.name()));
    tap
}

/// Runs `ip` in the namespace of this thread.
fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("run ip");
    assert!(status.success(), "ip {arguments}: {status}");
}

/// Runs a test in a fresh network namespace; says so where it can not, and fails where it must.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let ran = thread::spawn(|| {
        let possible = unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| format!("no network namespace can be made: {}", errno.desc()))
            .and_then(|()| Tap::create("probe").map(drop).map_err(|error| error.to_string()));
        match possible {
            Ok(()) => test(),
            Err(why) if std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1") => {
                panic!("PONTOON_REQUIRE_LINUX=1, but {why}")
            }
            // Past the test harness, which would keep it to itself.
            Err(why) => writeln!(std::io::stderr(), "SKIPPED, a test that needs a kernel: {why}").unwrap(),
        }
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}
