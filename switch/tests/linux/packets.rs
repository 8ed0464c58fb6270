//! What a packet socket on our end of a veth pair does on a real kernel. Each test lives in network namespaces of its own.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use switch::buffer::{Buffer, Pool};
use switch::dataplane::{BridgeId, Control, Dataplane, Event, Settings};
use switch::engine::Engine;
use switch::forward::Config;
use switch::link::packet::{PacketError, PacketPort};
use switch::link::port::PortLink;
use switch::link::tap::Tap;
use switch::link::{Link, Received, Transmit};
use switch::offload::checksum::Sum;
use switch::offload::segment::Segmenter;
use switch::port::PortConfig;
use switch::verdict::PortId;
use switch::vlan::Retag;
use switch::vnet::{GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

use super::scene::{Kind, in_namespace, ip, namespaced, receive, up};

crate::trials![
    a_tag_arrives_within_its_frame_and_leaves_with_it,
    a_tag_that_was_put_back_moves_the_unfinished_checksum_behind_it,
    a_retagged_frame_leaves_as_it_is_told,
    frames_of_every_length_and_kind_cross_and_one_longer_than_the_mtu_is_refused,
    a_header_that_makes_no_sense_is_refused_and_the_port_stays,
    a_super_frame_that_the_interface_can_not_take_is_cut_by_the_kernel,
    what_is_finished_here_arrives_as_what_the_kernel_would_have_made_of_it,
    a_super_frame_that_the_kernel_refuses_for_a_wrong_hint_is_finished_here,
    an_interface_that_is_set_down_drops_and_comes_back,
    an_interface_that_is_down_when_it_is_opened_is_used_once_it_is_up,
    a_deleted_interface_is_down_even_if_nothing_is_sent_to_it,
    an_interface_that_is_deleted_while_it_is_down_or_moved_away_is_down,
    the_engine_forgets_a_deleted_interface_and_waits_for_one_that_is_down,
    frames_that_find_no_room_are_counted_as_missed,
    the_host_answers_for_its_gateway_a_second_time_unless_a_rule_silences_our_end,
    what_is_no_ethernet_interface_of_this_namespace_is_not_opened,
    what_the_host_itself_sends_by_the_interface_is_not_received,
];

const BROADCAST: [u8; 6] = [0xff; 6];
const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn a_tag_arrives_within_its_frame_and_leaves_with_it() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let tags: [&[u8]; 5] = [
            &[0x81, 0x00, 0x60, 0x05],
            // A priority alone, and not even that.
            &[0x81, 0x00, 0xe0, 0x00],
            &[0x81, 0x00, 0x00, 0x00],
            &[0x88, 0xa8, 0x0f, 0xff],
            &[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x20, 0x09],
        ];
        for tags in tags {
            let tagged = frame(BROADCAST, &[tags, &[0x88, 0xb5]].concat(), 50);
            send(&mut far, &tagged);
            assert_eq!(next(&mut near).frame(), tagged, "from the far side");
            send(&mut near, &tagged);
            assert_eq!(next(&mut far).frame(), tagged, "to the far side");
        }
    });
}

fn a_tag_that_was_put_back_moves_the_unfinished_checksum_behind_it() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let tagged = frame(BROADCAST, &[0x81, 0x00, 0x00, 0x05, 0x88, 0xb5], 50);
        let vnet = VnetHeader { flags: NEEDS_CSUM, csum_start: 38, csum_offset: 6, ..VnetHeader::default() };
        for _ in 0..2 {
            assert_eq!(far.transmit(&Arc::new(Buffer::holding(&tagged, vnet)), Retag::Keep), Transmit::Sent);
            let received = next(&mut near);
            assert_eq!((received.frame(), received.vnet()), (&tagged[..], vnet));
            std::mem::swap(&mut near, &mut far);
        }
        let popped = [&tagged[..12], &tagged[16..]].concat();
        assert_eq!(near.transmit(&Arc::new(Buffer::holding(&tagged, vnet)), Retag::Pop), Transmit::Sent);
        let received = next(&mut far);
        assert_eq!((received.frame(), received.vnet()), (&popped[..], vnet.shifted(-4)));
    });
}

fn a_retagged_frame_leaves_as_it_is_told() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let plain = frame(BROADCAST, &[0x88, 0xb5], 50);
        let with = |tag: &[u8]| [&plain[..12], tag, &plain[12..]].concat();
        for (sent, retag, received) in [
            (plain.clone(), Retag::Push(0x6005), with(&[0x81, 0x00, 0x60, 0x05])),
            (with(&[0x88, 0xa8, 0x60, 0x05]), Retag::Replace(0x0007), with(&[0x88, 0xa8, 0x00, 0x07])),
            (with(&[0x88, 0xa8, 0x60, 0x05]), Retag::Pop, plain.clone()),
        ] {
            let sent = Arc::new(Buffer::holding(&sent, VnetHeader::default()));
            assert_eq!(near.transmit(&sent, retag), Transmit::Sent);
            assert_eq!(next(&mut far).frame(), received, "{retag:?}");
        }
    });
}

fn frames_of_every_length_and_kind_cross_and_one_longer_than_the_mtu_is_refused() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let kinds = [
            frame(BROADCAST, &[0x88, 0xb5], 0),
            frame(NEAR, &[0x88, 0xb5], 46),
            // Somebody else's: promiscuous.
            frame([2, 0, 0, 0, 9, 9], &[0x08, 0x00], 46),
            // IEEE 802.3 with LLC: IPX, and a BPDU.
            frame(BROADCAST, &[0x00, 0x22, 0xe0, 0xe0, 0x03], 31),
            frame([0x01, 0x80, 0xc2, 0, 0, 0], &[0x00, 0x26, 0x42, 0x42, 0x03], 43),
            // An IPv4 header that makes no sense, and no EtherType at all.
            frame(BROADCAST, &[0x08, 0x00, 0xff, 0xff, 0xff], 20),
            frame(BROADCAST, &[0xff, 0xff], 50),
            frame(BROADCAST, &[0x88, 0xb5], 1_500),
            frame(BROADCAST, &[0x81, 0x00, 0x00, 0x05, 0x88, 0xb5], 1_500),
        ];
        for sent in &kinds {
            send(&mut near, sent);
            assert_eq!(next(&mut far).frame(), sent, "out");
            send(&mut far, sent);
            assert_eq!(next(&mut near).frame(), sent, "in");
        }
        for too_long in
            [frame(BROADCAST, &[0x88, 0xb5], 1_501), frame(BROADCAST, &[0x81, 0x00, 0x00, 0x05, 0x88, 0xb5], 1_501)]
        {
            assert_eq!(near.transmit(&plain(&too_long), Retag::Keep), Transmit::Refused);
        }
        for mtu in [9_000, 65_521] {
            set_mtu(&mtu.to_string());
            let jumbo = frame(BROADCAST, &[0x88, 0xb5], mtu);
            send(&mut near, &jumbo);
            assert!(next(&mut far).frame() == jumbo, "out, {mtu}");
            send(&mut far, &jumbo);
            assert!(next(&mut near).frame() == jumbo, "in, {mtu}");
        }
    });
}

fn a_header_that_makes_no_sense_is_refused_and_the_port_stays() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        for vnet in [
            VnetHeader { flags: NEEDS_CSUM, gso_type: 9, ..VnetHeader::default() },
            VnetHeader { flags: NEEDS_CSUM, csum_start: 9_000, ..VnetHeader::default() },
            VnetHeader {
                flags: NEEDS_CSUM,
                gso_type: GSO_UDP_L4,
                gso_size: 10,
                csum_start: 14,
                ..VnetHeader::default()
            },
            VnetHeader { hdr_len: 9_000, ..VnetHeader::default() },
        ] {
            let frame = Arc::new(Buffer::holding(&sent, vnet));
            assert_eq!(near.transmit(&frame, Retag::Keep), Transmit::Refused, "{vnet:?}");
        }
        send(&mut near, &sent);
        assert_eq!(next(&mut far).frame(), sent);
        assert_eq!(near.transmit(&plain(&sent[..13]), Retag::Keep), Transmit::Refused);
        assert_eq!(near.transmit(&plain(&sent[..10]), Retag::Push(5)), Transmit::Refused);
    });
}

fn a_super_frame_that_the_interface_can_not_take_is_cut_by_the_kernel() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        ip("link set v0 gso_max_size 4000");
        let (sent, vnet) = udp_super_frame();
        assert_eq!(near.transmit(&Arc::new(Buffer::holding(&sent, vnet)), Retag::Keep), Transmit::Sent);
        let lens: Vec<usize> = (0..10).map(|_| next(&mut far).frame().len()).collect();
        assert_eq!(lens, [1_042; 10]);
        // One that it can take crosses whole, as before.
        ip("link set v0 gso_max_size 65536");
        assert_eq!(near.transmit(&Arc::new(Buffer::holding(&sent, vnet)), Retag::Keep), Transmit::Sent);
        let whole = next(&mut far);
        assert_eq!((whole.frame().len(), whole.vnet().gso_type), (10_042, GSO_UDP_L4));
    });
}

fn what_is_finished_here_arrives_as_what_the_kernel_would_have_made_of_it() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let (sent, vnet) = udp_super_frame();
        let super_frame = Arc::new(Buffer::holding(&sent, vnet));
        ip("link set v0 gso_max_size 4000");
        assert_eq!(near.transmit(&super_frame, Retag::Keep), Transmit::Sent);
        let by_kernel: Vec<_> = (0..10).map(|_| next(&mut far)).collect();
        // With this hint the kernel refuses it.
        let refused = Arc::new(Buffer::holding(&sent, VnetHeader { hdr_len: 60_000, ..vnet }));
        assert_eq!(near.transmit(&refused, Retag::Keep), Transmit::Sent);
        for expected in by_kernel {
            let received = next(&mut far);
            assert!(!received.vnet().needs_checksum());
            // The kernel leaves the checksums of its own, which the interface says it can finish.
            let mut segmenter = Segmenter::new();
            let mut expected = segmenter.begin(expected.frame(), &expected.vnet()).unwrap();
            let expected = expected.next().unwrap();
            assert!(received.frame() == [expected.header, expected.payload].concat());
        }
    });
}

fn a_super_frame_that_the_kernel_refuses_for_a_wrong_hint_is_finished_here() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let (sent, vnet) = udp_super_frame();
        let wrong = VnetHeader { hdr_len: 60_000, ..vnet };
        assert_eq!(near.transmit(&Arc::new(Buffer::holding(&sent, wrong)), Retag::Push(5)), Transmit::Sent);
        let lens: Vec<usize> = (0..10).map(|_| next(&mut far).frame().len()).collect();
        assert_eq!(lens, [1_046; 10]);
    });
}

fn an_interface_that_is_set_down_drops_and_comes_back() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        for _ in 0..2 {
            ip("link set v0 down");
            assert_eq!(receive(&mut near).1, Received::WouldBlock);
            assert!(!is_ready(&near, 0), "the error was told once");
            assert_eq!(near.transmit(&plain(&sent), Retag::Keep), Transmit::Full);
            // The timer looks after it, and finds it there.
            assert!(is_ready(&near, PATIENCE));
            assert_eq!(receive(&mut near).1, Received::WouldBlock);
            ip("link set v0 up");
            send(&mut far, &sent);
            assert_eq!(next(&mut near).frame(), sent);
            send(&mut near, &sent);
            assert_eq!(next(&mut far).frame(), sent);
        }
        ip("link set v1 down");
        assert_eq!(near.transmit(&plain(&sent), Retag::Keep), Transmit::Full, "no carrier");
        ip("link set v1 up");
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
    });
}

fn an_interface_that_is_down_when_it_is_opened_is_used_once_it_is_up() {
    in_namespace(|| {
        ip("link add v0 type veth peer name v1");
        let mut near = PacketPort::open("v0").unwrap();
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
        let mut far = up(PortLink::packet("v1").unwrap());
        ip("link set v0 addrgenmode none up");
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        assert_eq!(far.transmit(&plain(&sent), Retag::Keep), Transmit::Sent);
        assert_eq!(next(&mut near).frame(), sent);
    });
}

fn a_deleted_interface_is_down_even_if_nothing_is_sent_to_it() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        // At once, so that its end is told in two steps, of which the socket learns the first.
        let deletion = Command::new("ip").args(["link", "delete", "v0"]).spawn();
        let ended =
            |port: &mut PacketPort| (0..100).any(|_| is_ready(port, PATIENCE) && receive(port).1 == Received::Down);
        assert!(ended(&mut near));
        assert!(ended(&mut far));
        deletion.unwrap().wait().unwrap();
        assert_eq!(near.transmit(&plain(&frame(BROADCAST, &[0x88, 0xb5], 50)), Retag::Keep), Transmit::Down);
    });
}

fn an_interface_that_is_deleted_while_it_is_down_or_moved_away_is_down() {
    in_namespace(|| {
        for deed in ["link delete v0", "link set v0 netns "] {
            let (mut near, mut far) = pair();
            let namespace = namespaced("10.77.0.9", Kind::Tap);
            let deed = if deed.ends_with(' ') { format!("{deed}{}", namespace.path()) } else { deed.to_owned() };
            send(&mut far, &frame(BROADCAST, &[0x88, 0xb5], 50));
            ip("link set v0 down");
            let (frames, received) = receive(&mut near);
            assert_eq!((frames.len(), received), (1, Received::WouldBlock), "what came before is there");
            ip(&deed);
            assert!(is_ready(&near, PATIENCE));
            assert_eq!(receive(&mut near).1, Received::Down);
            assert_eq!(near.transmit(&plain(&frame(BROADCAST, &[0x88, 0xb5], 50)), Retag::Keep), Transmit::Down);
        }
    });
}

fn the_engine_forgets_a_deleted_interface_and_waits_for_one_that_is_down() {
    in_namespace(|| {
        let engine = Engine::spawn(Dataplane::new(Settings::default())).unwrap();
        let bridge = BridgeId(1);
        engine.control(Control::AddBridge { bridge, name: "test".to_owned(), config: Config::default() }).unwrap();
        ip("link add v0 type veth peer name v1");
        for (port, interface) in [(PortId(1), "v0"), (PortId(2), "v1")] {
            let link = up(PortLink::packet(interface).unwrap());
            engine.control(Control::Plug { bridge, port, config: PortConfig::default(), link }).unwrap();
        }
        ip("link set v0 down");
        ip("link set v0 up");
        let ports = engine.inspect(|dataplane, _| dataplane.ports().count()).unwrap();
        assert_eq!(ports, 2);
        ip("link delete v0");
        let mut down: Vec<_> = (0..2).map(|_| engine.events().recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        down.sort_by_key(|Event::PortDown { port }| *port);
        assert_eq!(down, [Event::PortDown { port: PortId(1) }, Event::PortDown { port: PortId(2) }]);
    });
}

fn frames_that_find_no_room_are_counted_as_missed() {
    in_namespace(|| {
        const SENT: usize = 20_000;
        let (mut near, mut far) = pair();
        let sent = plain(&frame(NEAR, &[0x88, 0xb5], 1_000));
        // The far interface's own queue may be full for a moment; that is another loss, and the sender's.
        let left = (0..SENT).filter(|_| far.transmit(&sent, Retag::Keep) == Transmit::Sent).count();
        assert!(left > SENT / 2, "{left}");
        let early = near.missed();
        let mut received = 0;
        while received + near.missed() < left as u64 {
            assert!(is_ready(&near, PATIENCE), "{received} and {} of {left}", near.missed());
            received += receive(&mut near).0.len() as u64;
        }
        assert!(early > 0);
        assert_eq!(received + near.missed(), left as u64);
        assert_eq!(near.missed(), near.missed(), "asking changes nothing");
    });
}

fn the_host_answers_for_its_gateway_a_second_time_unless_a_rule_silences_our_end() {
    in_namespace(|| {
        if let Err(why) = Command::new("nft").arg("--version").stdout(Stdio::null()).status() {
            let required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
            assert!(!required, "PONTOON_REQUIRE_LINUX=1, but nft can not be run: {why}");
            eprintln!("SKIPPED, a test that needs nft: {why}");
            return;
        }
        let (mut near, mut far) = pair();
        let mut gateway = up(Tap::create("g0").unwrap());
        ip("address add 10.77.0.1/24 dev g0");
        std::fs::write("/proc/sys/net/ipv4/conf/v0/rp_filter", "0").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
        assert_eq!(answers(&mut far, &mut near, &mut gateway), 2, "the host's stack, on both of its interfaces");
        let rule =
            "add table netdev t; add chain netdev t c { type filter hook ingress device v0 priority 0; policy drop; }";
        assert!(Command::new("nft").arg(rule).status().unwrap().success());
        assert_eq!(answers(&mut far, &mut near, &mut gateway), 1, "the gateway's alone");
        // And nothing of what we see or send is lost by it.
        for destination in [BROADCAST, NEAR, [0x01, 0, 0x5e, 0, 0, 1]] {
            for ethertype in [[0x08, 0x00], [0x86, 0xdd], [0x88, 0xb5]] {
                let sent = frame(destination, &ethertype, 50);
                send(&mut far, &sent);
                assert_eq!(next(&mut near).frame(), sent);
                send(&mut near, &sent);
                assert_eq!(next(&mut far).frame(), sent);
            }
        }
    });
}

fn what_is_no_ethernet_interface_of_this_namespace_is_not_opened() {
    in_namespace(|| {
        ip("tuntap add n0 mode tun");
        for name in ["lo", "n0"] {
            assert_eq!(PacketPort::open(name).unwrap_err(), PacketError::NotEthernet { name: name.to_owned() });
        }
        let _elsewhere = namespaced("10.77.0.2", Kind::Tap);
        for name in ["t0", "", "a/b", "sixteen-bytes-xx"] {
            assert_eq!(PacketPort::open(name).unwrap_err(), PacketError::NoInterface { name: name.to_owned() });
        }
    });
}

fn what_the_host_itself_sends_by_the_interface_is_not_received() {
    in_namespace(|| {
        let (mut near, mut far) = pair();
        let mut host = PacketPort::open("v0").unwrap();
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        send(&mut host, &sent);
        assert_eq!(next(&mut far).frame(), sent);
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
        assert_eq!(receive(&mut host).0.len(), 0);
        assert_eq!((near.name(), near.missed()), ("v0", 0));
    });
}

/// How long anything may take, in milliseconds.
const PATIENCE: u16 = 10_000;

/// A veth pair, `v0` and `v1`, in this namespace, with a socket on either end.
fn pair() -> (PacketPort, PacketPort) {
    ip("link add v0 type veth peer name v1");
    for name in ["v0", "v1"] {
        ip(&format!("link set {name} addrgenmode none arp off up"));
    }
    ip("link set v0 arp on");
    (PacketPort::open("v0").unwrap(), PacketPort::open("v1").unwrap())
}

fn set_mtu(mtu: &str) {
    for name in ["v0", "v1"] {
        ip(&format!("link set {name} mtu {mtu}"));
    }
}

/// A frame with what stands behind the addresses, and so many bytes of payload.
fn frame(destination: [u8; 6], behind_addresses: &[u8], payload: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload).map(|n| (n % 251) as u8).collect();
    [&destination, &FAR, behind_addresses, &payload].concat()
}

fn plain(frame: &[u8]) -> Arc<Buffer> {
    Arc::new(Buffer::holding(frame, VnetHeader::default()))
}

fn send(port: &mut PacketPort, frame: &[u8]) {
    assert_eq!(port.transmit(&plain(frame), Retag::Keep), Transmit::Sent);
}

/// Waits for a frame, and takes one.
fn next(port: &mut impl Port) -> Arc<Buffer> {
    let mut frames = Vec::new();
    assert!(is_ready(port, PATIENCE), "no frame came");
    port.receive(&mut Pool::new(1), &mut frames, 1);
    frames.pop().expect("a frame")
}

trait Port: Link + AsFd {}
impl<T: Link + AsFd> Port for T {}

fn is_ready(port: &impl AsFd, timeout: u16) -> bool {
    poll(&mut [PollFd::new(port.as_fd(), PollFlags::POLLIN)], PollTimeout::from(timeout)).unwrap() == 1
}

/// Ten datagrams of 1000 bytes as one super-frame, its checksum begun as the kernel begins it.
fn udp_super_frame() -> (Vec<u8>, VnetHeader) {
    let mut frame = frame(NEAR, &[0x08, 0x00], 28 + 10_000);
    let ip_and_udp = [
        0x45, 0, 0x27, 0x2c, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1, // IPv4, 10028 bytes
        0x10, 0, 0, 7, 0x27, 0x18, 0, 0, // UDP, 10008 bytes
    ];
    frame[14..42].copy_from_slice(&ip_and_udp);
    let header = Sum::default().bytes(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    let pseudo = Sum::default().bytes(&frame[26..34]).word(17).word(10_008);
    frame[40..42].copy_from_slice(&(!pseudo.finish()).to_be_bytes());
    let vnet = VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_UDP_L4,
        hdr_len: 42,
        gso_size: 1_000,
        csum_start: 34,
        csum_offset: 6,
    };
    (frame, vnet)
}

/// Asks from the far side who has the gateway's address, does what a switch would between our end and the gateway, and gives
/// the number of answers that come to the far side.
fn answers(far: &mut PacketPort, near: &mut PacketPort, gateway: &mut Tap) -> usize {
    let mut question = frame(BROADCAST, &[0x08, 0x06], 0);
    question.extend_from_slice(&[0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    question.extend_from_slice(&[&FAR[..], &[10, 77, 0, 2], &[0; 6], &[10, 77, 0, 1]].concat());
    send(far, &question);
    let seen = next(near);
    assert_eq!(seen.frame(), question);
    assert_eq!(gateway.transmit(&seen, Retag::Keep), Transmit::Sent);
    // Unasked, the host may have something else to say on its new interface.
    let answer = loop {
        let said = next(gateway);
        if said.frame()[12..22] == [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2] {
            break said;
        }
    };
    assert_eq!(near.transmit(&answer, Retag::Keep), Transmit::Sent);
    let last = frame(FAR, &[0x88, 0xb5], 50);
    send(near, &last);
    let mut count = 0;
    loop {
        let received = next(far);
        if received.frame() == last {
            return count;
        }
        count += usize::from(received.frame()[12..14] == [0x08, 0x06]);
    }
}
