//! What crosses the switch, and what does not.

use switch::mac::MacAddr;
use switch::verdict::DropReason;

use super::{scenarios, table};
use crate::frames::{EXPERIMENTAL, ethernet, llc, pattern, tagged};
use crate::lab::{Lab, Order, Place, counters, ip_of, mac_of, run, run_all, station};

scenarios![
    a_bulk_transfer_arrives_as_it_was_sent,
    a_bulk_transfer_to_and_from_the_host_arrives_as_it_was_sent,
    a_bulk_transfer_between_unequal_mtus_arrives_as_it_was_sent,
    minimum_and_jumbo_frames_cross,
    an_unknown_ethertype_crosses,
    an_802_3_frame_crosses,
    a_tagged_frame_crosses_as_it_is,
    a_broadcast_reaches_all_others_and_not_the_sender,
    an_unknown_unicast_reaches_all_others,
    a_known_unicast_reaches_its_station_only,
    a_frame_longer_than_the_mtu_is_a_counted_drop,
    a_reserved_destination_is_not_forwarded,
    a_source_that_no_station_has_is_not_forwarded,
    a_frame_to_a_station_behind_the_same_port_is_not_sent_back,
];

/// Only a real kernel makes super-frames: the simulator's cables carry finished frames whatever is asked for, so that there
/// these would be four times the same.
pub const WITH_OFFLOAD: &[super::Scenario] = table![
    a_bulk_transfer_between_ports_with_offload_crosses_in_super_frames,
    a_bulk_transfer_from_a_port_without_offload_crosses_in_finished_frames,
    a_bulk_transfer_to_a_port_without_offload_is_cut_into_segments,
    a_bulk_transfer_between_ports_without_offload_crosses_in_finished_frames,
];

fn a_bulk_transfer_arrives_as_it_was_sent(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["from", "to"]);
    let (at, length) = (ip_of(lab, "to"), lab.bulk());
    assert_transferred(lab, Place::In("from"), Place::In("to"), at, length);
}

fn a_bulk_transfer_between_ports_with_offload_crosses_in_super_frames(lab: &mut dyn Lab) {
    bulk(lab, true, true);
}

fn a_bulk_transfer_from_a_port_without_offload_crosses_in_finished_frames(lab: &mut dyn Lab) {
    bulk(lab, false, true);
}

fn a_bulk_transfer_to_a_port_without_offload_is_cut_into_segments(lab: &mut dyn Lab) {
    bulk(lab, true, false);
}

fn a_bulk_transfer_between_ports_without_offload_crosses_in_finished_frames(lab: &mut dyn Lab) {
    bulk(lab, false, false);
}

fn a_bulk_transfer_to_and_from_the_host_arrives_as_it_was_sent(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    let (web, length) = (ip_of(lab, "web"), lab.bulk() / 10);
    assert_transferred(lab, Place::Host, Place::In("web"), web, length);
    assert_transferred(lab, Place::In("web"), Place::Host, crate::lab::address("172.17.0.1"), length);
}

fn a_bulk_transfer_between_unequal_mtus_arrives_as_it_was_sent(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("jumbo").mtu(9000));
    run(lab, Order::new("plain"));
    run(lab, Order::new("small").mtu(576).offload(false));
    let length = lab.bulk() / 10;
    for (from, to) in [("jumbo", "plain"), ("plain", "jumbo"), ("jumbo", "small"), ("small", "jumbo")] {
        let at = ip_of(lab, to);
        assert_transferred(lab, Place::In(from), Place::In(to), at, length);
    }
}

fn minimum_and_jumbo_frames_cross(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("from").mtu(9000));
    run(lab, Order::new("to").mtu(9000));
    let (from, to) = (mac_of(lab, "from"), mac_of(lab, "to"));
    // 60 bytes is the least on a real wire, without the checksum; a virtual one has frames of 14.
    for payload in [1, 46, 1500, 9000] {
        let frame = ethernet(to, from, EXPERIMENTAL, &pattern(payload));
        assert_crosses(lab, &frame);
    }
    let ip = ip_of(lab, "to");
    assert!(lab.ping(Place::In("from"), ip, 8972), "an IP packet of 9000 bytes");
}

fn an_unknown_ethertype_crosses(lab: &mut dyn Lab) {
    let (from, to) = two_stations(lab);
    for ethertype in [EXPERIMENTAL, 0x0600, 0xffff, 0x8137] {
        assert_crosses(lab, &ethernet(to, from, ethertype, &pattern(100)));
    }
}

fn an_802_3_frame_crosses(lab: &mut dyn Lab) {
    let (from, to) = two_stations(lab);
    assert_crosses(lab, &llc(to, from, &pattern(43)));
    assert_crosses(lab, &llc(MacAddr::BROADCAST, from, &pattern(1000)));
    // Novell's raw 802.3: a length and no LLC at all; and a length that is a lie.
    assert_crosses(lab, &ethernet(to, from, 46, &[0xff; 46]));
    assert_crosses(lab, &ethernet(to, from, 1500, &pattern(46)));
}

fn a_tagged_frame_crosses_as_it_is(lab: &mut dyn Lab) {
    let (from, to) = two_stations(lab);
    // A priority tag, a VLAN, and one with a priority and of the last number that is no VLAN.
    for control in [0, 7, 0xefff] {
        assert_crosses(lab, &tagged(to, from, control, &pattern(1496)));
        assert_crosses(lab, &tagged(MacAddr::BROADCAST, from, control, b"short"));
    }
    assert_eq!(counters(lab, "from.eth0").rx.drops.total(), 0);
}

fn a_broadcast_reaches_all_others_and_not_the_sender(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b", "c"]);
    let (a, b) = (mac_of(lab, "a"), mac_of(lab, "b"));
    for destination in [MacAddr::BROADCAST, station("01:00:5e:01:02:03"), station("33:33:00:00:00:99")] {
        let places = [Place::In("a"), Place::In("b"), Place::In("c"), Place::Host];
        let ears = places.map(|place| lab.sniff(place, if place == Place::Host { "pontoon0" } else { "eth0" }));
        let frame = ethernet(destination, a, EXPERIMENTAL, &pattern(60));
        lab.inject(Place::In("a"), "eth0", &frame);
        for ear in &ears[1..] {
            let heard = lab.heard_until(*ear, &frame);
            assert_eq!(ours(&heard), [&frame], "once, and as it was");
        }
        // What b sends to a now comes after whatever would have come back to a.
        let after = ethernet(a, b, EXPERIMENTAL, b"after");
        lab.inject(Place::In("b"), "eth0", &after);
        let heard = lab.heard_until(ears[0], &after);
        assert_eq!(ours(&heard), [&after], "not back to the sender");
    }
}

fn an_unknown_unicast_reaches_all_others(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b", "c"]);
    let a = mac_of(lab, "a");
    let ears = [lab.sniff(Place::In("b"), "eth0"), lab.sniff(Place::In("c"), "eth0")];
    let frame = ethernet(station("02:00:00:00:0b:ad"), a, EXPERIMENTAL, &pattern(60));
    lab.inject(Place::In("a"), "eth0", &frame);
    for ear in ears {
        assert_eq!(ours(&lab.heard_until(ear, &frame)), [&frame]);
    }
    assert!(counters(lab, "a.eth0").rx.flooded >= 1);
}

fn a_known_unicast_reaches_its_station_only(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b", "c"]);
    let (a, b) = (mac_of(lab, "a"), mac_of(lab, "b"));
    let everyone = ethernet(MacAddr::BROADCAST, b, EXPERIMENTAL, b"here I am");
    let at_a = lab.sniff(Place::In("a"), "eth0");
    lab.inject(Place::In("b"), "eth0", &everyone);
    lab.heard_until(at_a, &everyone);
    let (at_b, at_c) = (lab.sniff(Place::In("b"), "eth0"), lab.sniff(Place::In("c"), "eth0"));
    let frame = ethernet(b, a, EXPERIMENTAL, b"for b alone");
    lab.inject(Place::In("a"), "eth0", &frame);
    assert_eq!(ours(&lab.heard_until(at_b, &frame)), [&frame]);
    let after = ethernet(MacAddr::BROADCAST, a, EXPERIMENTAL, b"after");
    lab.inject(Place::In("a"), "eth0", &after);
    let heard = lab.heard_until(at_c, &after);
    assert!(!heard.contains(&frame), "c heard what was for b");
}

fn a_frame_longer_than_the_mtu_is_a_counted_drop(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("from").mtu(9000));
    run(lab, Order::new("to"));
    let (from, to) = (mac_of(lab, "from"), mac_of(lab, "to"));
    let ear = lab.sniff(Place::In("to"), "eth0");
    let hello = ethernet(MacAddr::BROADCAST, to, EXPERIMENTAL, b"here I am");
    lab.inject(Place::In("to"), "eth0", &hello);
    lab.eventually("the switch knows the station", &mut |lab| lab.fdb().iter().any(|row| row.mac == to));
    let too_long = ethernet(to, from, EXPERIMENTAL, &pattern(1501));
    let fits = ethernet(to, from, EXPERIMENTAL, &pattern(1500));
    lab.inject(Place::In("from"), "eth0", &too_long);
    lab.inject(Place::In("from"), "eth0", &fits);
    let heard = lab.heard_until(ear, &fits);
    assert!(!heard.contains(&too_long));
    assert_eq!(counters(lab, "to.eth0").tx.drops.of(DropReason::ExceedsMtu), 1);
    assert_eq!(counters(lab, "to.eth0").tx.dropped, 1);
}

fn a_reserved_destination_is_not_forwarded(lab: &mut dyn Lab) {
    let (from, to) = two_stations(lab);
    let ear = lab.sniff(Place::In("to"), "eth0");
    for last in [0x00, 0x01, 0x0e, 0x0f] {
        let frame = ethernet(MacAddr([1, 0x80, 0xc2, 0, 0, last]), from, EXPERIMENTAL, &pattern(60));
        lab.inject(Place::In("from"), "eth0", &frame);
    }
    let next = ethernet(MacAddr([1, 0x80, 0xc2, 0, 0, 0x10]), from, EXPERIMENTAL, &pattern(60));
    lab.inject(Place::In("from"), "eth0", &next);
    let heard = lab.heard_until(ear, &next);
    assert_eq!(ours(&heard), [&next], "0x10 is no reserved one; to was {to}");
    assert_eq!(counters(lab, "from.eth0").rx.drops.of(DropReason::ReservedDestination), 4);
}

fn a_source_that_no_station_has_is_not_forwarded(lab: &mut dyn Lab) {
    let (from, to) = two_stations(lab);
    let ear = lab.sniff(Place::In("to"), "eth0");
    for source in [station("01:00:5e:00:00:01"), MacAddr::BROADCAST, MacAddr::ZERO] {
        lab.inject(Place::In("from"), "eth0", &ethernet(to, source, EXPERIMENTAL, b"forged"));
    }
    let after = ethernet(to, from, EXPERIMENTAL, b"after");
    lab.inject(Place::In("from"), "eth0", &after);
    assert_eq!(ours(&lab.heard_until(ear, &after)), [&after]);
    let drops = counters(lab, "from.eth0").rx.drops;
    assert_eq!((drops.of(DropReason::MulticastSource), drops.of(DropReason::ZeroSource)), (2, 1));
    assert!(lab.fdb().iter().all(|row| !row.mac.is_multicast() && row.mac != MacAddr::ZERO));
}

fn a_frame_to_a_station_behind_the_same_port_is_not_sent_back(lab: &mut dyn Lab) {
    let (from, to) = two_stations(lab);
    let nested = station("02:00:00:00:00:42");
    let ear = lab.sniff(Place::In("from"), "eth0");
    lab.inject(Place::In("from"), "eth0", &ethernet(to, nested, EXPERIMENTAL, b"a second station"));
    lab.inject(Place::In("from"), "eth0", &ethernet(nested, from, EXPERIMENTAL, b"to my neighbour"));
    let after = ethernet(from, to, EXPERIMENTAL, b"after");
    lab.inject(Place::In("to"), "eth0", &after);
    assert_eq!(ours(&lab.heard_until(ear, &after)), [&after]);
    lab.eventually("it is counted", &mut |lab| counters(lab, "from.eth0").rx.drops.of(DropReason::Hairpin) == 1);
}

/// A bulk transfer between two containers, with and without offload at its ends, and what crossed the ports.
fn bulk(lab: &mut dyn Lab, sender_offloads: bool, receiver_offloads: bool) {
    lab.up();
    run(lab, Order::new("from").offload(sender_offloads));
    run(lab, Order::new("to").offload(receiver_offloads));
    let (at, length) = (ip_of(lab, "to"), lab.bulk());
    assert_transferred(lab, Place::In("from"), Place::In("to"), at, length);

    let sent = counters(lab, "from.eth0").rx;
    assert_eq!(sent.super_frames > 0, sender_offloads, "{sent:?}");
    assert_eq!(sent.wire_frames > sent.packets, sender_offloads, "{sent:?}");
    let delivered = counters(lab, "to.eth0").tx;
    assert_eq!(delivered.super_frames > 0, sender_offloads, "{delivered:?}");
    assert_eq!(delivered.wire_frames > delivered.packets, sender_offloads, "{delivered:?}");
    // What is cut for a port without offload comes to its interface frame by frame. (The last words of TCP may be under way.)
    lab.eventually("interface and port agree", &mut |lab| {
        let came = crate::lab::interface(lab, Place::In("to"), "eth0").rx_packets;
        let tx = counters(lab, "to.eth0").tx;
        came == if receiver_offloads { tx.packets } else { tx.wire_frames }
    });
    // And what the receiver says itself is finished, too, if it has no offload.
    assert_eq!(counters(lab, "to.eth0").rx.super_frames, 0, "it sends nothing but acknowledgements");
}

fn assert_transferred(lab: &mut dyn Lab, from: Place<'_>, to: Place<'_>, at: std::net::Ipv4Addr, length: u64) {
    let transferred = lab.transfer(from, to, at, length);
    assert_eq!(transferred.length, length, "{from:?} to {to:?}");
    assert_eq!(transferred.received, transferred.sent, "{from:?} to {to:?}");
}

/// Containers `from` and `to`, and their stations.
fn two_stations(lab: &mut dyn Lab) -> (MacAddr, MacAddr) {
    lab.up();
    run_all(lab, &["from", "to"]);
    (mac_of(lab, "from"), mac_of(lab, "to"))
}

/// A frame that `from` sends arrives at `to` byte by byte, once.
fn assert_crosses(lab: &mut dyn Lab, frame: &[u8]) {
    let ear = lab.sniff(Place::In("to"), "eth0");
    lab.inject(Place::In("from"), "eth0", frame);
    let heard = lab.heard_until(ear, frame);
    let same = heard.iter().filter(|each| each.as_slice() == frame).count();
    assert_eq!(same, 1);
}

/// The frames that these tests have sent; a stack may add its own (ARP).
fn ours(heard: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    heard.iter().filter(|frame| frame[12..14] == EXPERIMENTAL.to_be_bytes()).collect()
}
