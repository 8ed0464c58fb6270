//! The receive ring of a packet socket: what fits its slots, what does not, and what finds no room.

use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use switch::buffer::Buffer;
use switch::link::packet::{PacketPort, Reading, SLOT_LEN, SLOTS};
use switch::link::{Link as _, Transmit};
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

use super::scene::{in_namespace, ip, receive};
use super::veth::{
    BROADCAST, NEAR, PATIENCE, each_way, frame, is_ready, next, pair, plain, send, set_mtu, udp_super_frame,
};

crate::trials![
    a_port_is_given_a_ring,
    frames_around_the_length_of_a_slot_arrive_whole,
    short_and_long_frames_arrive_in_their_order_however_often_the_ring_goes_round,
    a_long_frame_that_finds_no_room_is_counted_and_none_is_passed_on_in_part,
    frames_that_find_no_room_are_counted_as_missed,
    a_port_that_is_busy_when_its_interface_goes_down_loses_nothing_that_had_arrived,
];

fn a_port_is_given_a_ring() {
    in_namespace(|| {
        ip("link add v0 type veth peer name v1");
        assert_eq!(PacketPort::open("v0").unwrap().reading(), Reading::Ring);
        assert_eq!(PacketPort::open_by("v0", Reading::Calls).unwrap().reading(), Reading::Calls);
    });
}

fn frames_around_the_length_of_a_slot_arrive_whole() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        set_mtu("9000");
        let tags: [&[u8]; 3] = [&[], &[0x81, 0x00, 0x60, 0x05], &[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x20, 0x09]];
        for tags in tags {
            for len in SLOT_LEN - 140..SLOT_LEN + 4 {
                let sent = frame(BROADCAST, &[tags, &[0x88, 0xb5]].concat(), len - 14);
                send(&mut far, &sent);
                assert_eq!(next(&mut near).frame(), sent, "{len} bytes, and {} of tags", tags.len());
            }
        }
        assert_eq!(near.missed(), 0);
    });
}

fn short_and_long_frames_arrive_in_their_order_however_often_the_ring_goes_round() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        set_mtu("9000");
        let (super_frame, vnet) = udp_super_frame();
        let mut number = 0_usize;
        // Batches that do not divide the ring, and at last one that fills it.
        for batch in [1, 7, 31].into_iter().cycle().take(60).chain([SLOTS]) {
            let sent: Vec<Arc<Buffer>> = (0..batch)
                .map(|_| {
                    number += 1;
                    let mut bytes = match number % 5 {
                        0 => super_frame.clone(),
                        // Long ones, and more often than in turn.
                        1 | 3 if number.is_multiple_of(2) => frame(NEAR, &[0x88, 0xb5], 2_000 + number * 37 % 7_000),
                        _ => frame(NEAR, &[0x88, 0xb5], 10 + number * 53 % 1_490),
                    };
                    let end = bytes.len();
                    bytes[end - 8..].copy_from_slice(&number.to_be_bytes());
                    let vnet = if number.is_multiple_of(5) { vnet } else { VnetHeader::default() };
                    Arc::new(Buffer::holding(&bytes, vnet))
                })
                .collect();
            for frame in &sent {
                assert_eq!(far.transmit(frame, Retag::Keep), Transmit::Sent);
            }
            let mut received = Vec::new();
            while received.len() < sent.len() {
                assert!(is_ready(&near, PATIENCE), "{} of {batch}", received.len());
                received.extend(receive(&mut near).0);
            }
            for (sent, received) in sent.iter().zip(&received) {
                assert!(
                    sent.with_header() == received.with_header(),
                    "{} and {}",
                    sent.frame().len(),
                    received.frame().len()
                );
            }
            assert_eq!((received.len(), near.missed()), (batch, 0));
        }
    });
}

fn a_long_frame_that_finds_no_room_is_counted_and_none_is_passed_on_in_part() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        set_mtu("9000");
        // Room for a few of them.
        setsockopt(&near.try_clone_fd().unwrap(), sockopt::RcvBuf, &50_000).unwrap();
        let (long, short) = (frame(NEAR, &[0x88, 0xb5], 8_000), frame(NEAR, &[0x88, 0xb5], 100));
        for _ in 0..2 {
            let before = near.missed();
            let sent = SLOTS as u64 / 2;
            for _ in 0..sent / 2 {
                send(&mut far, &long);
                send(&mut far, &short);
            }
            let (mut longs, mut shorts) = (0, 0);
            while longs + shorts + near.missed() - before < sent {
                assert!(is_ready(&near, PATIENCE), "{longs} long, {shorts} short, {} missed", near.missed());
                for received in receive(&mut near).0 {
                    match received.frame() {
                        frame if frame == long => longs += 1,
                        frame if frame == short => shorts += 1,
                        other => panic!("{} bytes, of which nobody sent any", other.len()),
                    }
                }
            }
            assert_eq!(longs + shorts + near.missed() - before, sent);
            assert!(longs > 0 && longs < sent / 2, "{longs}");
            // Short ones do not wait in the queue, where there is a ring.
            assert!(reading == Reading::Calls || shorts == sent / 2, "{shorts}");
        }
    });
}

fn a_port_that_is_busy_when_its_interface_goes_down_loses_nothing_that_had_arrived() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        set_mtu("9000");
        let sent = [frame(NEAR, &[0x88, 0xb5], 100), frame(NEAR, &[0x88, 0xb5], 8_000)];
        for _ in 0..3 {
            for _ in 0..20 {
                sent.iter().for_each(|frame| send(&mut far, frame));
            }
            // The error stands before what waits in the queue.
            ip("link set v0 down");
            let mut received = receive(&mut near).0;
            received.extend(receive(&mut near).0);
            assert_eq!(received.len(), 40);
            assert!(received.iter().zip(sent.iter().cycle()).all(|(received, sent)| received.frame() == sent));
            ip("link set v0 up");
        }
        assert_eq!(near.missed(), 0);
    });
}

fn frames_that_find_no_room_are_counted_as_missed() {
    each_way(|reading| {
        const SENT: usize = 20_000;
        let (mut near, mut far) = pair(reading);
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
