//! A container that wants to harm the others: by what it says of its frames, and by how many they are.

use std::sync::atomic::{AtomicBool, Ordering};

use switch::mac::MacAddr;
use switch::verdict::DropReason;
use switch::vnet::NEEDS_CSUM;

use super::{prints, tests};
use crate::frames::{EXPERIMENTAL, ethernet, pattern};
use crate::lab::linux::Linux;
use crate::lab::linux::inside::Inside;
use crate::lab::{Lab, Order, Place, counters, ip_of, mac_of, run, run_all};

tests![
    a_lie_about_a_frame_is_counted_and_reaches_nobody,
    a_lie_about_a_frame_is_counted_and_reaches_nobody_with_epoll,
    others_talk_while_one_floods_as_fast_as_it_can,
];

fn a_lie_about_a_frame_is_counted_and_reaches_nobody() {
    lies_reach_nobody(Linux::new());
}

fn a_lie_about_a_frame_is_counted_and_reaches_nobody_with_epoll() {
    lies_reach_nobody(Linux::with_epoll());
}

fn lies_reach_nobody(mut lab: Linux) {
    lab.up();
    run_all(&mut lab, &["liar", "neighbour"]);
    run(&mut lab, Order::new("plain").offload(false));
    let liar = mac_of(&mut lab, "liar");
    let ears = ["neighbour", "plain"].map(|name| lab.sniff(Place::In(name), "eth0"));
    let inside = Inside::of(lab.pid_of("liar"));
    let frame = |text: &[u8]| ethernet(MacAddr::BROADCAST, liar, EXPERIMENTAL, &[text, &pattern(100)].concat());
    // A checksum within the first bytes behind the Ethernet header: the liar's own kernel does not mind.
    let lie = header(NEEDS_CSUM, 20, 3);
    for number in 0..3 {
        inside.inject_with_header("eth0", &lie, &frame(&[number])).expect("its kernel lets it out");
    }
    // What its kernel does mind comes no further than that.
    let outside_the_frame = header(NEEDS_CSUM, 60_000, 3);
    inside.inject_with_header("eth0", &outside_the_frame, &frame(b"no")).expect_err("its kernel refuses it");
    let last = frame(b"the truth");
    inside.inject_with_header("eth0", &header(0, 0, 0), &last).expect("a plain frame");
    for ear in ears {
        let heard = lab.heard_until(ear, &last);
        let ours: Vec<_> = heard.into_iter().filter(|frame| frame[12..14] == EXPERIMENTAL.to_be_bytes()).collect();
        assert_eq!(ours, std::slice::from_ref(&last));
    }
    let rx = counters(&mut lab, "liar.eth0").rx;
    assert_eq!((rx.drops.of(DropReason::BadOffload), rx.dropped), (3, 3));
    for port in ["neighbour.eth0", "plain.eth0"] {
        assert_eq!(counters(&mut lab, port).tx.dropped, 0, "{port}");
    }
    let told = prints(&lab, &["stats", "--drops"]);
    assert!(told.contains("bad_offload"), "{told}");
    lab.finish();
}

fn others_talk_while_one_floods_as_fast_as_it_can() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["liar", "a", "b"]);
    let (liar, at_b) = (mac_of(&mut lab, "liar"), ip_of(&mut lab, "b"));
    let inside = Inside::of(lab.pid_of("liar"));
    let (enough, flooding) = (AtomicBool::new(false), AtomicBool::new(false));
    let everyone = ethernet(MacAddr::BROADCAST, liar, EXPERIMENTAL, &pattern(60));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It comes to an end, so that a failure does not hang.
            let mut frames = (0..50_000_000).take_while(|number| {
                flooding.store(*number > 10_000, Ordering::Relaxed);
                !enough.load(Ordering::Relaxed)
            });
            inside.inject_all("eth0", &mut frames.by_ref().map(|_| everyone.clone()));
        });
        lab.eventually("it floods", &mut |_| flooding.load(Ordering::Relaxed));
        let reached = (0..20).filter(|_| lab.ping(Place::In("a"), at_b, 56)).count();
        let length = lab.bulk() / 10;
        let transferred = lab.transfer(Place::In("a"), Place::In("b"), at_b, length);
        enough.store(true, Ordering::Relaxed);
        assert_eq!(reached, 20);
        assert_eq!((transferred.length, transferred.received), (length, transferred.sent));
    });
    let rx = counters(&mut lab, "liar.eth0").rx;
    assert!(rx.flooded > 1_000, "{rx:?}");
    assert_eq!(counters(&mut lab, "a.eth0").rx.dropped, 0);
    lab.finish();
}

/// An offload header (virtio 1.2, 5.1.6) that is about a checksum only.
fn header(flags: u8, csum_start: u16, csum_offset: u16) -> Vec<u8> {
    [&[flags, 0, 0, 0, 0, 0][..], &csum_start.to_ne_bytes(), &csum_offset.to_ne_bytes()].concat()
}
