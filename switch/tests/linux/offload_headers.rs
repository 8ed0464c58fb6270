//! Offload headers that lie, and what the kernel says of them: whatever it refuses was refused before, whatever a real stack
//! says of its frames is believed, and what a liar's own kernel lets out harms no neighbour.

use std::io::{IoSlice, Read as _, Write as _};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use nix::sys::uio::writev;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use switch::buffer::{Buffer, MAX_FRAME};
use switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use switch::forward;
use switch::frame::Frame;
use switch::link::packet::PacketPort;
use switch::link::port::PortLink;
use switch::link::tap::Tap;
use switch::link::{Link as _, Transmit};
use switch::offload::checksum::Sum;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId};
use switch::vlan::Retag;
use switch::vnet::{GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};
use zerocopy::IntoBytes as _;

use super::scene::{Kind, carry, in_namespace, ip, namespaced, receive, up, waited_for};

crate::trials![
    whatever_the_kernel_refuses_of_a_tap_was_refused_before,
    whatever_the_kernel_refuses_of_a_packet_socket_was_refused_before,
    what_a_real_stack_says_of_its_frames_is_believed,
    what_a_liar_writes_into_a_packet_socket_harms_no_neighbour,
    a_super_frame_is_judged_by_its_segments_where_the_mtu_is_smaller,
];

/// How many frames there are, if `PROPTEST_CASES` says nothing else.
const FRAMES: u32 = 20_000;

fn whatever_the_kernel_refuses_of_a_tap_was_refused_before() {
    in_namespace(|| {
        let tap = std::cell::RefCell::new(up(Tap::create("t0").unwrap()));
        agrees(|frame| match tap.borrow_mut().transmit(frame, Retag::Keep) {
            Transmit::Sent => true,
            Transmit::Refused => false,
            other => panic!("{other:?}"),
        });
    });
}

/// A packet socket is asked as a TAP is, and then the interface as one that does not trust the frame: so more is refused.
fn whatever_the_kernel_refuses_of_a_packet_socket_was_refused_before() {
    in_namespace(|| {
        ip("link add v0 type veth peer name v1");
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} addrgenmode none mtu 65535 up"));
        }
        let near = socket_on("v0");
        // The far end is where there is somebody who has them.
        agrees(|frame| {
            // Of what is believed it has no way out for some that no stack sends: what is longer than its longest MTU, UDP
            // fragmentation, and a super-frame that is one segment.
            let Ok(it) = Frame::parse(frame.frame(), frame.vnet()) else {
                return writev(&near, &[IoSlice::new(frame.with_header())]).is_ok();
            };
            let has_no_way_out = it.bytes().len() > 65_535
                || it.vnet().gso_type == GSO_UDP
                || it.vnet().is_gso() && it.wire_frames() == 1;
            has_no_way_out || writev(&near, &[IoSlice::new(frame.with_header())]).is_ok()
        });
    });
}

/// Both sides are asked about frames whose offload header is nearly right: the kernel takes whatever we believe. There are
/// some of each kind.
fn agrees(mut kernel_takes: impl FnMut(&Arc<Buffer>) -> bool) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = FRAMES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(rand_seed());
    }
    println!("PROPTEST_RNG_SEED={:?}", config.rng_seed);
    let cases = config.cases;
    let counts = std::cell::RefCell::new([0_u32; 3]);
    let kernel_takes = std::cell::RefCell::new(&mut kernel_takes);
    let ran = TestRunner::new(config).run(&nearly_right(), |(vnet, bytes)| {
        let believed = Frame::parse(&bytes, vnet);
        let taken = kernel_takes.borrow_mut()(&Arc::new(Buffer::holding(&bytes, vnet)));
        let kind = match (&believed, taken) {
            (Ok(_), true) => 0,
            (Err(reason), false) => {
                prop_assert_eq!(*reason, DropReason::BadOffload);
                1
            }
            (Err(_), true) => 2,
            (Ok(_), false) => {
                return Err(TestCaseError::fail(format!(
                    "the kernel refuses {vnet:?} of {:x?}",
                    &bytes[..60.min(bytes.len())]
                )));
            }
        };
        counts.borrow_mut()[kind] += 1;
        Ok(())
    });
    ran.unwrap_or_else(|why| panic!("{why}"));
    let counts = counts.into_inner();
    println!("{} believed, {} refused by both, {} by us alone", counts[0], counts[1], counts[2]);
    assert!(counts[0] > cases / 10 && counts[1] > cases / 10, "{counts:?}");
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one("")
}

/// Frames that stacks send, and what is said of them: the truth, but for a field or two.
fn nearly_right() -> impl Strategy<Value = (VnetHeader, Vec<u8>)> {
    let kinds = vec![
        (GSO_TCPV4, false, 16),
        (GSO_TCPV4 | GSO_ECN, false, 16),
        (GSO_TCPV6, true, 16),
        (GSO_UDP_L4, false, 6),
        (GSO_UDP_L4, true, 6),
        (0, false, 16),
        (0, true, 6),
    ];
    let lengths = prop_oneof![3 => 0_usize..200, 2 => 0_usize..20_000, 1 => 64_000_usize..65_440];
    let right = (prop::sample::select(kinds), lengths, 0_usize..3, 5_u8..16);
    let number = prop_oneof![
        Just(0_u16),
        1_u16..100,
        any::<u16>(),
        prop::sample::select(vec![1, 2, 4, 8, 13, 14, 20, 34, 54, 0x80, 0x83, 0x85, 0xfffe, 0xffff])
    ];
    let changes = prop_oneof![1 => Just(Vec::new()), 4 => prop::collection::vec((0_u8..8, number), 1..3)];
    (right, changes).prop_map(|(((gso_type, is_ipv6, csum_offset), length, tags, words), changes)| {
        let mut transport = if csum_offset == 16 { vec![0; usize::from(words) * 4] } else { vec![0; 8] };
        if csum_offset == 16 {
            transport[12] = words << 4;
        }
        transport.resize(transport.len() + length, 0x5a);
        let (mut bytes, start) = packet(is_ipv6, if csum_offset == 16 { 6 } else { 17 }, &transport, tags);
        bytes.truncate(MAX_FRAME);
        let mut vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: 0,
            gso_size: 1_448,
            csum_start: start as u16,
            csum_offset,
        };
        for (field, number) in changes {
            match field {
                0 => vnet.flags = number as u8,
                1 => vnet.gso_type = number as u8,
                2 => vnet.hdr_len = number,
                3 => vnet.gso_size = number,
                4 => vnet.csum_start = number,
                5 => vnet.csum_offset = number,
                6 => bytes.truncate(usize::from(number).max(start)),
                // A byte of the headers, but for the addresses and tags: those are no matter of offload.
                _ => {
                    let at = 12 + 4 * tags + usize::from(number >> 8) % (start - 12 - 4 * tags);
                    bytes[at] = number as u8;
                }
            }
        }
        (vnet, bytes)
    })
}

/// An IP packet in a frame behind so many tags, and where its transport header begins.
fn packet(is_ipv6: bool, protocol: u8, transport: &[u8], tags: usize) -> (Vec<u8>, usize) {
    let mut frame =
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6][8 - 4 * tags..]].concat();
    if is_ipv6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((transport.len() as u16).to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend([0xfd; 32]);
    } else {
        let mut header = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1];
        header[2..4].copy_from_slice(&(20 + transport.len() as u16).to_be_bytes());
        let sum = Sum::default().bytes(&header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend([0x08, 0x00]);
        frame.extend(header);
    }
    let start = frame.len();
    frame.extend(transport);
    (frame, start)
}

/// With and without options, with ECN, and with segments as small as Linux makes them.
fn what_a_real_stack_says_of_its_frames_is_believed() {
    for (setting, value, mtu) in
        [("tcp_timestamps", "0", 1_500), ("tcp_ecn", "1", 1_500), ("tcp_sack", "0", 9_000), ("tcp_timestamps", "1", 68)]
    {
        for kind in [Kind::Tap, Kind::Veth] {
            in_namespace(move || {
                let mut to = namespaced("10.77.0.2", Kind::Tap);
                let mut from = namespaced("10.77.0.1", kind);
                for end in [&to, &from] {
                    end.run(move || std::fs::write(format!("/proc/sys/net/ipv4/{setting}"), value).unwrap());
                }
                let listener = to.run(move || {
                    ip(&format!("link set t0 mtu {mtu}"));
                    TcpListener::bind("10.77.0.2:7").unwrap()
                });
                const LEN: usize = 300_000;
                let receiver = thread::spawn(move || {
                    let mut received = Vec::new();
                    listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
                    received.len()
                });
                let sender = from.start(|| {
                    let to: SocketAddrV4 = "10.77.0.2:7".parse().unwrap();
                    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(10)).unwrap();
                    stream.write_all(&vec![7; LEN]).unwrap();
                });
                // (Each frame is parsed on its way.)
                let seen = carry(&mut from.link, &mut to.link, false, || receiver.is_finished());
                sender.join().unwrap();
                assert_eq!(receiver.join().unwrap(), LEN, "{setting}");
                let smallest = seen.iter().filter(|(_, vnet)| vnet.is_gso()).map(|(_, vnet)| vnet.gso_size).min();
                let smallest = smallest.expect("there are super-frames");
                assert!(if mtu == 68 { smallest < 256 } else { smallest > 1_000 }, "{setting}: {smallest}");
            });
        }
    }
}

/// The kernel of who lies looks at what is written, lets some of it out as it is, some as it understood it, and some not at
/// all. What comes out is believed, and crosses; or it is counted. A neighbour's kernel refuses none of what it is given.
fn what_a_liar_writes_into_a_packet_socket_harms_no_neighbour() {
    in_namespace(|| {
        let mut plane = Dataplane::new(Settings::default());
        let bridge = BridgeId(0);
        let add = Control::AddBridge { bridge, name: "net".to_owned(), config: forward::Config::default() };
        plane.control(add, Instant::ZERO).unwrap();
        let liar = namespaced("10.77.0.2", Kind::Tap);
        let raw = liar.run(|| socket_on("t0"));
        let neighbours = [Kind::Tap, Kind::Veth, Kind::Plain].map(|kind| {
            let address = match kind {
                Kind::Tap => "10.77.0.1",
                Kind::Veth => "10.77.0.3",
                Kind::Plain => "10.77.0.4",
            };
            namespaced(address, kind)
        });
        let ears = neighbours.each_ref().map(|it| it.run(|| PortLink::packet("t0").unwrap()));
        let (mut ears, mut port) = (ears, 0);
        for link in std::iter::once(liar.link).chain(neighbours.map(|it| it.link)) {
            let config = PortConfig { mtu: 65_535, ..PortConfig::default() };
            plane.control(Control::Plug { bridge, port: PortId(port), config, link }, Instant::ZERO).unwrap();
            port += 1;
        }
        let (mut written, mut refused, mut heard) = (0, 0, 0);
        let lies = lies();
        for (vnet, bytes) in &lies {
            match writev(&raw, &[IoSlice::new(vnet.as_bytes()), IoSlice::new(bytes)]) {
                Ok(_) => written += 1,
                Err(_) => refused += 1,
            }
            while plane.service(PortId(0), Instant::ZERO) == switch::dataplane::Serviced::More {}
            for ear in &mut ears {
                for frame in receive(ear).0 {
                    Frame::parse(frame.frame(), frame.vnet()).unwrap_or_else(|why| panic!("{why}: {:?}", frame.vnet()));
                    heard += 1;
                }
            }
        }
        let statistics = &plane.statistics()[0];
        println!(
            "{written} written, {refused} refused by the liar's kernel, {heard} heard; {:?}",
            statistics.ports[0].counters
        );
        let rx = &statistics.ports[0].counters.rx;
        assert_eq!(rx.packets, rx.flooded + rx.dropped, "the law");
        assert_eq!(rx.dropped, rx.drops.of(DropReason::BadOffload));
        assert!(rx.drops.of(DropReason::BadOffload) > 0 && rx.flooded > 0 && refused > 0, "{rx:?}");
        for port in &statistics.ports[1..] {
            let drops: Vec<_> = port.counters.tx.drops.iter().collect();
            assert_eq!(drops, [], "{}: what was believed was taken", port.port.0);
        }
    });
}

/// A container with jumbo frames sends datagrams of 4,000 and of 1,000 bytes, each five to a super-frame.
fn a_super_frame_is_judged_by_its_segments_where_the_mtu_is_smaller() {
    in_namespace(|| {
        let jumbo = namespaced("10.77.0.1", Kind::Tap);
        let socket = jumbo.run(|| {
            ip("link set t0 mtu 9000");
            ip("neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev t0");
            UdpSocket::bind("10.77.0.1:0").unwrap()
        });
        let mut plane = Dataplane::new(Settings::default());
        let bridge = BridgeId(0);
        let add = Control::AddBridge { bridge, name: "net".to_owned(), config: forward::Config::default() };
        plane.control(add, Instant::ZERO).unwrap();
        let plain = namespaced("10.77.0.2", Kind::Tap);
        for (port, mtu, link) in [(0, 9_000, jumbo.link), (1, 1_500, plain.link)] {
            let config = PortConfig { mtu, ..PortConfig::default() };
            plane.control(Control::Plug { bridge, port: PortId(port), config, link }, Instant::ZERO).unwrap();
        }
        for size in [4_000, 1_000] {
            setsockopt(&socket, UdpGsoSegment, &size).unwrap();
            socket.send_to(&vec![7; 5 * size as usize], "10.77.0.2:7").unwrap();
        }
        waited_for(|| {
            plane.service(PortId(0), Instant::ZERO);
            (plane.statistics()[0].ports[0].counters.rx.super_frames == 2).then_some(())
        });
        let ports = &plane.statistics()[0].ports;
        assert_eq!(ports[0].counters.rx.drops.total(), 0);
        let tx = &ports[1].counters.tx;
        let drops: Vec<_> = tx.drops.iter().collect();
        assert_eq!(drops, [(DropReason::ExceedsMtu, 1)]);
        assert_eq!((tx.super_frames, tx.wire_frames - tx.packets), (1, 4), "{tx:?}");
    });
}

/// Broadcasts of which not everything is true.
pub(super) fn lies() -> Vec<(VnetHeader, Vec<u8>)> {
    let tcp = |is_ipv6, length: usize| {
        let mut segment = vec![0x5a; 20 + length];
        segment[12] = 5 << 4;
        let (mut frame, _) = packet(is_ipv6, 6, &segment, 0);
        frame[..6].fill(0xff);
        frame
    };
    let (whole, whole6, short) = (tcp(false, 5_000), tcp(true, 5_000), tcp(false, 500));
    let right = VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1_000,
        csum_start: 34,
        csum_offset: 16,
    };
    let plain = VnetHeader { gso_type: 0, hdr_len: 0, gso_size: 0, ..right };
    let cut = whole[..50].to_vec();
    [
        (right, &whole),
        (plain, &short),
        (VnetHeader { gso_size: 0, ..right }, &whole),
        (VnetHeader { gso_size: 1, ..right }, &whole),
        (VnetHeader { gso_size: 7, ..right }, &whole),
        (VnetHeader { csum_start: 60_000, ..right }, &whole),
        (VnetHeader { csum_start: 33, ..right }, &whole),
        (VnetHeader { csum_offset: 6, ..right }, &whole),
        (VnetHeader { csum_offset: 60_000, ..plain }, &short),
        (VnetHeader { csum_start: 14, csum_offset: 9, ..plain }, &short),
        (VnetHeader { csum_start: 20, csum_offset: 3, ..plain }, &short),
        (VnetHeader { csum_start: 0, csum_offset: 20, ..plain }, &short),
        (VnetHeader { hdr_len: 9_000, ..right }, &whole),
        (VnetHeader { hdr_len: 15, ..right }, &whole),
        (VnetHeader { flags: 0, ..right }, &whole),
        (VnetHeader { flags: 0xff, ..right }, &whole),
        (VnetHeader { flags: 0xfe, ..plain }, &short),
        (VnetHeader { gso_type: 0x42, ..right }, &whole),
        (VnetHeader { gso_type: GSO_ECN, ..right }, &whole),
        (VnetHeader { gso_type: GSO_TCPV6, csum_start: 54, ..right }, &whole),
        (VnetHeader { csum_start: 54, ..right }, &whole6),
        (VnetHeader { gso_type: GSO_UDP, csum_offset: 6, ..right }, &whole),
        (VnetHeader { gso_type: GSO_UDP_L4, csum_offset: 6, ..right }, &whole),
        (right, &cut),
        (right, &short),
    ]
    .map(|(vnet, frame)| (vnet, frame.clone()))
    .to_vec()
}

/// A packet socket with offload headers on an interface of this thread's namespace.
fn socket_on(interface: &str) -> OwnedFd {
    PacketPort::open(interface).unwrap().try_clone_fd().unwrap()
}
