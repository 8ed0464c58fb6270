//! What a packet socket on our end of a veth pair does on a real kernel. Each test lives in network namespaces of its own.

use std::process::{Command, Stdio};
use std::sync::Arc;

use switch::buffer::Buffer;
use switch::link::packet::{PacketError, PacketPort};
use switch::link::tap::Tap;
use switch::link::{Link as _, Received, Transmit};
use switch::offload::segment::Segmenter;
use switch::vlan::Retag;
use switch::vnet::{GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

use super::scene::{Kind, in_namespace, ip, namespaced, receive, up};
use super::veth::{BROADCAST, FAR, NEAR, each_way, frame, next, pair, plain, send, set_mtu, udp_super_frame};

crate::trials![
    a_tag_arrives_within_its_frame_and_leaves_with_it,
    a_tag_that_was_put_back_moves_the_unfinished_checksum_behind_it,
    a_retagged_frame_leaves_as_it_is_told,
    frames_of_every_length_and_kind_cross_and_one_longer_than_the_mtu_is_refused,
    a_header_that_makes_no_sense_is_refused_and_the_port_stays,
    a_super_frame_that_the_interface_can_not_take_is_cut_by_the_kernel,
    what_is_finished_here_arrives_as_what_the_kernel_would_have_made_of_it,
    a_super_frame_that_the_kernel_refuses_for_a_wrong_hint_is_finished_here,
    the_host_answers_for_its_gateway_a_second_time_unless_a_rule_silences_our_end,
    what_is_no_ethernet_interface_of_this_namespace_is_not_opened,
    what_the_host_itself_sends_by_the_interface_is_not_received,
];

fn a_tag_arrives_within_its_frame_and_leaves_with_it() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        let (sent, vnet) = udp_super_frame();
        let wrong = VnetHeader { hdr_len: 60_000, ..vnet };
        assert_eq!(near.transmit(&Arc::new(Buffer::holding(&sent, wrong)), Retag::Push(5)), Transmit::Sent);
        let lens: Vec<usize> = (0..10).map(|_| next(&mut far).frame().len()).collect();
        assert_eq!(lens, [1_046; 10]);
    });
}

fn the_host_answers_for_its_gateway_a_second_time_unless_a_rule_silences_our_end() {
    each_way(|reading| {
        if let Err(why) = Command::new("nft").arg("--version").stdout(Stdio::null()).status() {
            let required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
            assert!(!required, "PONTOON_REQUIRE_LINUX=1, but nft can not be run: {why}");
            eprintln!("SKIPPED, a test that needs nft: {why}");
            return;
        }
        let (mut near, mut far) = pair(reading);
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
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        let mut host = PacketPort::open_by("v0", reading).unwrap();
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        send(&mut host, &sent);
        assert_eq!(next(&mut far).frame(), sent);
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
        assert_eq!(receive(&mut host).0.len(), 0);
        assert_eq!((near.name(), near.missed()), ("v0", 0));
    });
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
