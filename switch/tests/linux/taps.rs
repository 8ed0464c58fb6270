//! What TAPs do on a real kernel. Each test lives in network namespaces of its own.

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use switch::buffer::Buffer;
use switch::link::plain::PlainTap;
use switch::link::port::PortLink;
use switch::link::retag::Retagged;
use switch::link::tap::{Tap, TapError};
use switch::link::{Link as _, Received, Transmit};
use switch::vlan::Retag;
use switch::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

use super::scene::{Kind, in_namespace, ip, namespaced, receive, up, waited_for};

crate::trials![
    a_bad_offload_header_is_refused_and_the_port_stays,
    a_frame_that_can_not_be_finished_is_not_sent_to_a_plain_tap,
    a_deleted_device_is_down,
    a_device_that_is_set_down_is_not_down,
    a_tap_is_taken_over_by_its_fd_after_its_first_owner_has_closed_it,
    an_existing_device_is_left_alone,
    a_frame_longer_than_the_buffer_fills_all_of_it,
    a_taken_over_plain_tap_gives_no_super_frames_whatever_was_switched_on_before,
    the_kernel_forwards_a_super_frame_whose_tag_was_popped_as_one,
];

/// Whoever had the device before may have switched offload on: with a plain TAP the kernel then gives super-frames that
/// nobody can tell from others.
fn a_taken_over_plain_tap_gives_no_super_frames_whatever_was_switched_on_before() {
    const LEN: usize = 20_300;
    in_namespace(|| {
        let mut host = namespaced("10.77.0.1", Kind::Plain);
        let socket = host.run(|| {
            ip("neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev t0");
            UdpSocket::bind("10.77.0.1:0").unwrap()
        });
        setsockopt(&socket, UdpGsoSegment, &1_000).unwrap();
        let lengths = |link: &mut PortLink| -> Vec<usize> {
            socket.send_to(&[7; LEN], "10.77.0.2:7").unwrap();
            let mut lengths: Vec<usize> = Vec::new();
            waited_for(|| {
                // (What else the kernel says is not for this station.)
                let frames = receive(link).0.into_iter().filter(|frame| frame.frame()[..6] == [2, 0, 0, 0, 0, 2]);
                lengths.extend(frames.map(|frame| frame.frame().len()));
                (lengths.iter().map(|len| len - 42).sum::<usize>() >= LEN).then_some(())
            });
            lengths
        };
        super::sys::switch_offload_on(host.link.as_fd());
        assert_eq!(lengths(&mut host.link), [42 + LEN], "as it was feared");
        let mut taken_over = PortLink::from_fd(host.link.try_clone_fd().unwrap(), false).unwrap();
        let cut = lengths(&mut taken_over);
        assert_eq!((cut.len(), cut.iter().max()), (21, Some(&1_042)));
    });
}

/// What the kernel hands on is what it understood of our offload header: the same, as if there had never been a tag.
fn the_kernel_forwards_a_super_frame_whose_tag_was_popped_as_one() {
    in_namespace(|| {
        let mut from = up(Tap::create("t0").unwrap());
        let mut to = up(Tap::create("t1").unwrap());
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        for line in [
            "link set t0 address 02:00:00:00:00:01",
            "address add 10.77.0.1/24 dev t0",
            "address add 10.78.0.1/24 dev t1",
            "neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev t0",
            "neighbour add 10.78.0.2 lladdr 02:00:00:00:00:02 dev t1",
        ] {
            ip(line);
        }
        let untagged = super_frame();
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV4,
            hdr_len: 54,
            gso_size: 1_000,
            csum_start: 34,
            csum_offset: 16,
        };
        let tagged = Retagged::new(&untagged, Retag::Push(5)).unwrap();
        let frame = Arc::new(Buffer::holding(&tagged.pieces().concat(), vnet.shifted(tagged.shift())));
        assert_eq!(from.transmit(&frame, Retag::Pop), Transmit::Sent);
        let forwarded =
            waited_for(|| receive(&mut to).0.into_iter().find(|frame| frame.frame()[12..14] == [0x08, 0x00]));
        assert_eq!((forwarded.vnet(), forwarded.frame().len()), (vnet, untagged.len()));
        assert_eq!(forwarded.frame()[34..], untagged[34..]);
    });
}

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

fn a_frame_that_can_not_be_finished_is_not_sent_to_a_plain_tap() {
    in_namespace(|| {
        let mut tap = up(PlainTap::create("t0").unwrap());
        let bad = VnetHeader { flags: NEEDS_CSUM, csum_start: 9_000, ..VnetHeader::default() };
        assert_eq!(tap.transmit(&frame_with(bad), Retag::Keep), Transmit::NotSegmentable);
        assert_eq!(tap.transmit(&frame_with(VnetHeader::default()), Retag::Keep), Transmit::Sent);
    });
}

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

#[expect(clippy::disallowed_methods, reason = "no event tells when the kernel has frames for us")]
fn a_frame_longer_than_the_buffer_fills_all_of_it() {
    in_namespace(|| {
        let host = namespaced("10.77.0.1", Kind::Tap);
        let socket = host.run(|| UdpSocket::bind("10.77.0.1:0").unwrap());
        socket.set_broadcast(true).unwrap();
        let mut room = [0; 900];
        // More than once: the kernel says something itself, and may lose a frame while the device is just coming up.
        let found = (0..1_000).any(|_| {
            socket.send_to(&[0; 900], "10.77.0.255:7").unwrap();
            thread::sleep(Duration::from_millis(1));
            nix::unistd::read(host.link.as_fd(), &mut room) == Ok(room.len())
        });
        assert!(found);
    });
}

/// TCP from 10.77.0.2 to 10.78.0.2 by way of 02:00:00:00:00:01, with 5,000 bytes and a checksum that is only begun.
fn super_frame() -> Vec<u8> {
    use switch::offload::checksum::Sum;
    let mut packet = vec![0; 40 + 5_000];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&5_040_u16.to_be_bytes());
    packet[8] = 64;
    packet[9] = 6;
    packet[12..20].copy_from_slice(&[10, 77, 0, 2, 10, 78, 0, 2]);
    let sum = Sum::default().bytes(&packet[..20]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[20 + 12] = 0x50;
    packet[20 + 13] = 0x10;
    let pseudo = !Sum::default().bytes(&packet[12..20]).word(6).word(5_020).finish();
    packet[36..38].copy_from_slice(&pseudo.to_be_bytes());
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00][..], &packet].concat()
}

fn frame_with(vnet: VnetHeader) -> Arc<Buffer> {
    let mut frame = vec![0; 60];
    frame[..14].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    Arc::new(Buffer::holding(&frame, vnet))
}
