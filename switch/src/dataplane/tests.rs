use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::buffer::MAX_FRAME;
use crate::counters::PortCounters;
use crate::fdb::EntryKind;
use crate::forward::Config;
use crate::mac::MacAddr;
use crate::port::PortConfig;
use crate::vlan::{PortVlans, Retag, VlanId};
use crate::vnet::VnetHeader;

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const ALL: [u8; 6] = [0xff; 6];
const NOW: Instant = Instant::ZERO;
const BRIDGE: BridgeId = BridgeId(0);

#[test]
fn moves_a_flood_and_its_answer() {
    let mut plane = plane(3);
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    assert_eq!(plane.service(PortId(0), NOW), Serviced::Idle);
    assert_eq!((sent(&plane, 0), sent(&plane, 1), sent(&plane, 2)), (0, 1, 1));

    arrive(&mut plane, 2, &[frame(A, B)]);
    plane.service(PortId(2), NOW);
    assert_eq!((sent(&plane, 0), sent(&plane, 1), sent(&plane, 2)), (1, 1, 1));
    let rx = &counters(&plane, 2).rx;
    assert_eq!((rx.packets, rx.forwarded, rx.unicast, rx.bytes), (1, 1, 1, 60));
    let tx = &counters(&plane, 0).tx;
    assert_eq!((tx.packets, tx.unicast, tx.wire_frames, tx.bytes), (1, 1, 1, 60));
}

#[test]
fn takes_no_more_than_a_batch_at_a_time() {
    let mut plane = plane_with(Settings { batch: 4, buffers: 8 }, 2);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 6]);
    assert_eq!(plane.service(PortId(0), NOW), Serviced::More);
    assert_eq!(sent(&plane, 1), 4);
    assert_eq!(plane.service(PortId(0), NOW), Serviced::Idle);
    assert_eq!(sent(&plane, 1), 6);
}

#[test]
fn a_turn_ends_when_floods_have_become_many_copies() {
    let mut plane = plane_with(Settings { batch: 64, buffers: 512 }, 500);
    let number = |number: u8| [&frame(ALL, A)[..], &[number]].concat();
    arrive(&mut plane, 0, &(0..64).map(number).collect::<Vec<_>>());
    let mut turns = Vec::new();
    while plane.service(PortId(0), NOW) == Serviced::More {
        turns.push(sent(&plane, 1));
    }
    // Three floods to 499 others are more than 1,024 copies. The first turn took all 64, and they wait for the others.
    assert_eq!(turns, (1..=22).map(|turn| (3 * turn).min(64)).collect::<Vec<_>>());
    let order: Vec<u8> = link(&mut plane, 499).sent.iter().map(|(frame, _)| frame[60]).collect();
    assert_eq!(order, (0..64).collect::<Vec<_>>());
    // Who has flooded takes few at a time, so that others find buffers; and more again when there are fewer copies.
    arrive(&mut plane, 1, &[frame(ALL, B)]);
    plane.service(PortId(1), NOW);
    arrive(&mut plane, 0, &vec![frame(B, A); 64]);
    plane.service(PortId(0), NOW);
    let few = counters(&plane, 1).tx.packets - 64;
    assert!(few < 16, "{few} at a time");
    while plane.service(PortId(0), NOW) == Serviced::More {}
    assert_eq!(counters(&plane, 1).tx.packets, 128);
}

/// A bridge of the kernel ends at 1,023 ports.
#[test]
fn two_thousand_ports_reach_each_other() {
    const PORTS: u16 = 2_001;
    let mut plane = plane(PORTS);
    let station = |port: u16| [2, 0, 0, 1, port.to_be_bytes()[0], port.to_be_bytes()[1]];
    for port in 0..PORTS {
        arrive(&mut plane, port, &[frame(ALL, station(port))]);
        plane.service(PortId(port), NOW);
    }
    assert!((0..PORTS).all(|port| sent(&plane, port) == usize::from(PORTS) - 1), "everybody has heard all others");
    for port in 0..PORTS {
        arrive(&mut plane, port, &[frame(station((port + 1) % PORTS), station(port))]);
        plane.service(PortId(port), NOW);
    }
    assert!((0..PORTS).all(|port| sent(&plane, port) == usize::from(PORTS)), "and its neighbour once more");
}

#[test]
fn frames_that_wait_go_with_their_port() {
    let mut plane = plane_with(Settings { batch: 64, buffers: 64 }, 500);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 64]);
    assert_eq!(plane.service(PortId(0), NOW), Serviced::More);
    plane.control(Control::Unplug { port: PortId(0) }, NOW).unwrap();
    assert_eq!((plane.service(PortId(0), NOW), sent(&plane, 1)), (Serviced::Gone, 3));
    // Their buffers are there for others.
    arrive(&mut plane, 1, &vec![frame(A, B); 2]);
    assert_eq!(plane.service(PortId(1), NOW), Serviced::Idle);
    assert_eq!(sent(&plane, 2), 5);
}

#[test]
fn goes_on_when_buffers_are_fewer_than_frames() {
    let mut plane = plane_with(Settings { batch: 64, buffers: 2 }, 2);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 5]);
    while plane.service(PortId(0), NOW) == Serviced::More {}
    assert_eq!(sent(&plane, 1), 5);
}

#[test]
fn a_batch_goes_the_same_way_whether_its_stations_are_looked_for_ahead_or_not() {
    let mut planes = [plane(4), plane(4)];
    let fdb = planes[1].switch_mut(BRIDGE).unwrap().fdb_mut();
    for station in 0..20_000_u32 {
        let [a, b, c, d] = station.to_be_bytes();
        fdb.set(VlanId::NONE, MacAddr([2, 1, a, b, c, d]), PortId(3), EntryKind::Static, NOW).unwrap();
    }
    assert_eq!(planes.each_ref().map(|plane| plane.switch(BRIDGE).unwrap().fdb().is_large()), [false, true]);
    let batch = [
        frame(B, A),
        frame(ALL, A),
        vec![1; 5],
        [&ALL[..], &A, &[0x81, 0]].concat(),
        vec![2; MAX_FRAME + 1],
        frame(A, A),
        [&B[..], &A, &[0x81, 0, 0, 7], &[0x08, 0x00], &[0; 46]].concat(),
        frame([1, 0x80, 0xc2, 0, 0, 0], A),
        frame(B, ALL),
    ];
    let told = planes.each_mut().map(|plane| {
        arrive(plane, 1, &[frame(ALL, B)]);
        plane.service(PortId(1), NOW);
        arrive(plane, 0, &batch);
        assert_eq!(plane.service(PortId(0), NOW), Serviced::Idle);
        (0..4).map(|port| (link(plane, port).sent.clone(), counters(plane, port).clone())).collect::<Vec<_>>()
    });
    assert_eq!(told[0], told[1]);
    assert_eq!([0, 1, 2, 3].map(|port| told[0][port].0.len()), [1, 3, 2, 2]);
}

#[test]
fn makes_no_new_buffers_once_it_is_warm() {
    let mut plane = plane_with(Settings { batch: 4, buffers: 100 }, 3);
    for _ in 0..50 {
        arrive(&mut plane, 0, &vec![frame(ALL, A); 4]);
        plane.service(PortId(0), NOW);
    }
    assert_eq!((sent(&plane, 1), link(&mut plane, 0).new_buffers), (200, 4));
}

#[test]
fn counts_a_frame_that_goes_nowhere() {
    let mut plane = plane(2);
    arrive(&mut plane, 0, &[vec![1; 5], frame(A, A), [&ALL[..], &A, &[0x81, 0]].concat(), vec![2; MAX_FRAME + 1]]);
    plane.service(PortId(0), NOW);
    let rx = &counters(&plane, 0).rx;
    let drops: Vec<_> = rx.drops.iter().collect();
    let reasons = [DropReason::Runt, DropReason::Oversized, DropReason::TruncatedTag, DropReason::Hairpin];
    assert_eq!(drops, reasons.map(|reason| (reason, 1)));
    assert_eq!((rx.packets, rx.dropped, rx.bytes), (4, 4, 5 + 60 + 14 + 65_558));
    assert_eq!(plane.check(), Ok(()));
}

#[test]
fn an_offload_header_that_can_not_be_true_is_counted_for_its_port_and_goes_no_further() {
    let mut plane = plane(3);
    let lie = VnetHeader { flags: 1, gso_type: 1, hdr_len: 0, gso_size: 0, csum_start: 34, csum_offset: 16 };
    let told = plane.forward(PortId(0), &Arc::new(Buffer::holding(&frame(ALL, A), lie)), NOW);
    plane.flush();
    assert_eq!(told, Some(Verdict::Drop(DropReason::BadOffload)));
    assert_eq!((sent(&plane, 1), sent(&plane, 2)), (0, 0));
    let rx = counters(&plane, 0).rx.clone();
    assert_eq!((rx.packets, rx.dropped, rx.bytes, rx.super_frames, rx.wire_frames), (1, 1, 60, 0, 1));
    assert_eq!(rx.drops.of(DropReason::BadOffload), 1);
    assert_eq!(plane.switch(BRIDGE).unwrap().fdb().len(), 0, "nor is anything learned of it");
}

#[test]
fn finds_counters_that_do_not_add_up_also_those_of_ports_that_have_gone() {
    let mut plane = plane(2);
    arrive(&mut plane, 1, &[frame(ALL, B)]);
    plane.service(PortId(1), NOW);
    plane.control(Control::Unplug { port: PortId(1) }, NOW).unwrap();
    assert_eq!(plane.check(), Ok(()));
    let whole = plane.bridges.get(0).unwrap().departed.clone();
    let lost = &mut plane.bridges.get_mut(0).unwrap().departed;
    lost.sum_mut().rx.flooded -= 1;
    let imbalance = lost.sum().check().unwrap_err();
    assert_eq!(plane.check(), Err(Unbalanced::Departed { bridge: BRIDGE, imbalance }));
    plane.bridges.get_mut(0).unwrap().departed = whole;

    let invented = &mut plane.ports.get_mut(0).unwrap().counters;
    invented.rx.packets += 1;
    let imbalance = invented.check().unwrap_err();
    assert_eq!(plane.check(), Err(Unbalanced::Port { port: PortId(0), imbalance }));
}

#[test]
fn tells_the_verdict_of_a_single_frame() {
    let mut plane = plane(2);
    let buffer = Arc::new(Buffer::holding(&frame(ALL, A), VnetHeader::default()));
    let to = crate::verdict::PortSet::new([PortId(1)].into(), PortId(0));
    let verdict = plane.forward(PortId(0), &buffer, NOW);
    assert_eq!(verdict, Some(Verdict::Flood { vlan: VlanId::NONE, to }));
    plane.flush();
    assert_eq!(sent(&plane, 1), 1);
    assert_eq!(plane.forward(PortId(9), &buffer, NOW), None);
}

#[test]
fn a_link_that_is_full_costs_one_copy() {
    let mut plane = plane(3);
    answer(&mut plane, 1, &[Transmit::Full]);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 2]);
    plane.service(PortId(0), NOW);
    assert_eq!((sent(&plane, 1), sent(&plane, 2)), (1, 2));
    assert_eq!(drops(&plane, 1), [(DropReason::LinkFull, 1)]);
    assert_eq!(counters(&plane, 0).rx.flooded, 2);
}

#[test]
fn a_frame_that_a_link_refuses_is_counted_and_the_port_stays() {
    let mut plane = plane(2);
    answer(&mut plane, 1, &[Transmit::Refused]);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 2]);
    plane.service(PortId(0), NOW);
    assert_eq!(drops(&plane, 1), [(DropReason::LinkRefused, 1)]);
    assert_eq!((counters(&plane, 1).tx.packets, counters(&plane, 1).tx.dropped), (1, 1));
}

#[test]
fn a_link_that_ends_takes_its_port_but_nothing_from_the_batch() {
    let mut plane = plane(3);
    arrive(&mut plane, 1, &[frame(ALL, B)]);
    plane.service(PortId(1), NOW);
    answer(&mut plane, 1, &[Transmit::Sent, Transmit::Down]);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 5]);
    assert_eq!(plane.service(PortId(0), NOW), Serviced::Idle);
    assert_eq!(sent(&plane, 2), 1 + 5);
    assert_eq!(plane.poll_event(), Some(Event::PortDown { port: PortId(1) }));
    assert_eq!(plane.poll_event(), None);
    assert_eq!(plane.ports().collect::<Vec<_>>(), [PortId(0), PortId(2)]);
    assert_eq!(plane.service(PortId(1), NOW), Serviced::Gone);

    let statistics = &plane.statistics()[0];
    let departed = &statistics.departed;
    assert_eq!((departed.tx.packets, departed.tx.drops.of(DropReason::LinkDown)), (1, 4));
    assert_eq!(departed.rx.packets, 1);
    assert_eq!((statistics.fdb.evicted, statistics.stations), (1, 1));

    arrive(&mut plane, 0, &[frame(B, A)]);
    plane.service(PortId(0), NOW);
    assert_eq!(counters(&plane, 0).rx.flooded, 6, "its station is unknown again");
}

#[test]
fn frames_that_came_before_a_link_ended_still_go() {
    let mut plane = plane(2);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 2]);
    plane.link_mut(PortId(0)).unwrap().is_down = true;
    assert_eq!(plane.service(PortId(0), NOW), Serviced::Gone);
    assert_eq!(sent(&plane, 1), 2);
    assert_eq!(plane.poll_event(), Some(Event::PortDown { port: PortId(0) }));
    assert_eq!(plane.statistics()[0].departed.rx.flooded, 2);
}

#[test]
fn queued_frames_are_counted_when_their_results_come() {
    let mut plane = plane(2);
    answer(&mut plane, 1, &[Transmit::Queued; 4]);
    link(&mut plane, 1).results.extend([Transmit::Sent, Transmit::Full]);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 4]);
    plane.service(PortId(0), NOW);
    assert_eq!((counters(&plane, 1).tx.packets, drops(&plane, 1)), (1, vec![(DropReason::LinkFull, 1)]));

    link(&mut plane, 1).results.extend([Transmit::Refused, Transmit::Sent]);
    plane.settle(PortId(1));
    let tx = &counters(&plane, 1).tx;
    assert_eq!((tx.packets, tx.broadcast, tx.bytes, tx.dropped), (2, 2, 120, 2));
    assert_eq!(tx.drops.of(DropReason::LinkRefused), 1);
}

#[test]
fn frames_that_a_link_had_queued_when_it_ended_have_not_left() {
    let mut plane = plane(2);
    answer(&mut plane, 1, &[Transmit::Queued; 3]);
    link(&mut plane, 1).results.extend([Transmit::Sent, Transmit::Down]);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 3]);
    plane.service(PortId(0), NOW);
    assert_eq!(plane.poll_event(), Some(Event::PortDown { port: PortId(1) }));
    let tx = &plane.statistics()[0].departed.tx;
    assert_eq!((tx.packets, tx.drops.of(DropReason::LinkDown)), (1, 2));
}

#[test]
fn a_copy_that_is_too_long_is_dropped_where_it_was_to_leave() {
    let mut plane = plane(2);
    plug(&mut plane, 5, PortConfig { mtu: 40, ..PortConfig::default() });
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), NOW);
    assert_eq!((sent(&plane, 1), sent(&plane, 5)), (1, 0));
    assert_eq!(drops(&plane, 5), [(DropReason::ExceedsMtu, 1)]);
}

#[test]
fn bytes_are_counted_as_they_leave() {
    let mut plane: Dataplane<Fake> = Dataplane::new(Settings::default());
    let config = Config { vlan_filtering: true, ..Config::default() };
    plane.control(Control::AddBridge { bridge: BRIDGE, name: "vlans".to_owned(), config }, NOW).unwrap();
    let vlan = VlanId::DEFAULT;
    plug(&mut plane, 0, PortConfig::default());
    let vlans = PortVlans::Trunk { native: None, tagged: vec![vlan] };
    plug(&mut plane, 1, PortConfig { vlans, ..PortConfig::default() });
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), NOW);
    assert_eq!(plane.link(PortId(1)).unwrap().sent[0].1, Retag::Push(1));
    assert_eq!(counters(&plane, 1).tx.bytes, 64);
    arrive(&mut plane, 1, &[[&A[..], &B, &[0x81, 0, 0, 1], &[0; 46]].concat()]);
    plane.service(PortId(1), NOW);
    assert_eq!((counters(&plane, 1).rx.bytes, counters(&plane, 0).tx.bytes), (62, 58));
}

#[test]
fn a_flood_gives_every_link_the_one_buffer_that_the_frame_came_in() {
    let mut plane: Dataplane<Fake> = Dataplane::new(Settings { batch: 4, buffers: 4 });
    let config = Config { vlan_filtering: true, ..Config::default() };
    plane.control(Control::AddBridge { bridge: BRIDGE, name: "vlans".to_owned(), config }, NOW).unwrap();
    // Also to those that change its tag.
    for port in 0..100 {
        let vlans = match port % 2 {
            0 => PortVlans::default(),
            _ => PortVlans::Trunk { native: None, tagged: vec![VlanId::DEFAULT] },
        };
        plug(&mut plane, port, PortConfig { vlans, ..PortConfig::default() });
    }
    for _ in 0..10 {
        arrive(&mut plane, 0, &vec![frame(ALL, A); 4]);
        plane.service(PortId(0), NOW);
    }
    let first = plane.link(PortId(1)).unwrap().sent_from.clone();
    assert_eq!(first.len(), 40);
    for port in 2..100 {
        assert_eq!(plane.link(PortId(port)).unwrap().sent_from, first, "port {port}");
    }
    assert_eq!(plane.link(PortId(0)).unwrap().new_buffers, 4, "and they are used again");
}

#[test]
fn bridges_do_not_mix() {
    let mut plane = plane(2);
    let other = BridgeId(7);
    plane
        .control(Control::AddBridge { bridge: other, name: "other".to_owned(), config: Config::default() }, NOW)
        .unwrap();
    for port in [2, 3] {
        let (port, config, link) = (PortId(port), PortConfig::default(), Fake::default());
        plane.control(Control::Plug { bridge: other, port, config, link }, NOW).unwrap();
    }
    arrive(&mut plane, 2, &[frame(ALL, A)]);
    plane.service(PortId(2), NOW);
    assert_eq!([0, 1, 2, 3].map(|port| sent(&plane, port)), [0, 0, 0, 1]);
    assert_eq!(plane.fdb(NOW).into_iter().map(|row| row.bridge).collect::<Vec<_>>(), ["other"]);

    plane.control(Control::RemoveBridge { bridge: other }, NOW).unwrap();
    assert_eq!(plane.ports().collect::<Vec<_>>(), [PortId(0), PortId(1)]);
    assert_eq!(plane.bridges().collect::<Vec<_>>(), [BRIDGE]);
    assert_eq!(plane.poll_event(), None, "what is asked for is no event");
}

#[test]
fn stations_are_set_cleared_flushed_and_shown() {
    let mut plane = plane(2);
    let (vlan, station, port) = (VlanId::NONE, MacAddr(B), PortId(1));
    plane.control(Control::SetStation { bridge: BRIDGE, vlan, station, port, kind: EntryKind::Static }, NOW).unwrap();
    arrive(&mut plane, 0, &[frame(B, A)]);
    plane.service(PortId(0), NOW);
    let rows = plane.fdb(Instant::from_secs(3));
    let row = |station, port, name: &str, kind| {
        let (bridge, name) = ("net".to_owned(), name.to_owned());
        FdbRow { bridge, vlan, station, port, name, is_local: false, kind, age: 3 }
    };
    assert_eq!(
        rows,
        [
            row(MacAddr(A), PortId(0), "port0", EntryKind::Dynamic),
            row(MacAddr(B), PortId(1), "port1", EntryKind::Static)
        ]
    );
    assert_eq!(plane.poll_fdb_event().map(|(bridge, _)| bridge), Some(BRIDGE));
    plane.control(Control::FlushPort { port: PortId(0) }, NOW).unwrap();
    plane.control(Control::ClearStation { bridge: BRIDGE, vlan, station }, NOW).unwrap();
    assert_eq!(plane.fdb(NOW), []);
    let again = plane.control(Control::ClearStation { bridge: BRIDGE, vlan, station }, NOW);
    assert_eq!(again, Err(ControlError::NoStation(station)));
}

#[test]
fn a_change_that_can_not_be_made_changes_nothing() {
    let mut plane = plane(1);
    let (bridge, nowhere) = (BRIDGE, BridgeId(9));
    let (config, link) = (PortConfig::default(), Fake::default());
    let refused = [
        (
            Control::AddBridge { bridge, name: String::new(), config: Config::default() },
            ControlError::BridgeTaken(bridge),
        ),
        (Control::RemoveBridge { bridge: nowhere }, ControlError::NoBridge(nowhere)),
        (
            Control::Plug { bridge, port: PortId(0), config: config.clone(), link: link.clone() },
            ControlError::PortTaken(PortId(0)),
        ),
        (Control::Plug { bridge: nowhere, port: PortId(1), config, link }, ControlError::NoBridge(nowhere)),
        (Control::Unplug { port: PortId(1) }, ControlError::NoPort(PortId(1))),
        (Control::FlushPort { port: PortId(1) }, ControlError::NoPort(PortId(1))),
        (Control::RenamePort { port: PortId(1), name: "web".to_owned() }, ControlError::NoPort(PortId(1))),
        (
            Control::SetStation {
                bridge,
                vlan: VlanId::NONE,
                station: MacAddr(A),
                port: PortId(1),
                kind: EntryKind::Static,
            },
            ControlError::NoPort(PortId(1)),
        ),
    ];
    for (control, error) in refused {
        assert_eq!(plane.control(control, NOW), Err(error));
    }
    assert_eq!((plane.ports().count(), plane.fdb(NOW).len()), (1, 0));
}

#[test]
fn a_number_may_be_used_again_at_once() {
    let mut plane = plane(2);
    answer(&mut plane, 1, &[Transmit::Down]);
    let buffer = Arc::new(Buffer::holding(&frame(ALL, A), VnetHeader::default()));
    plane.forward(PortId(0), &buffer, NOW);
    plane.control(Control::Unplug { port: PortId(1) }, NOW).unwrap();
    plug(&mut plane, 1, PortConfig::default());
    plane.flush();
    assert!(plane.link(PortId(1)).is_some(), "the new port is not the one that ended");
}

#[test]
fn forgets_silent_stations_when_told_the_time() {
    let mut plane = plane(2);
    assert_eq!(plane.poll_timeout(), None);
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), NOW);
    let due = NOW + Duration::from_secs(300);
    assert_eq!(plane.poll_timeout(), Some(due));
    plane.handle_timeout(due);
    assert_eq!((plane.poll_timeout(), plane.statistics()[0].fdb.expired), (None, 1));
}

#[test]
fn statistics_are_plain_json() {
    let mut plane = plane(1);
    arrive(&mut plane, 0, &[vec![0; 3]]);
    plane.service(PortId(0), NOW);
    let json = serde_json::to_value(plane.statistics()).unwrap();
    assert_eq!(json[0]["name"], "net");
    assert_eq!(json[0]["ports"][0]["name"], "port0");
    assert_eq!(json[0]["ports"][0]["rx"]["packets"], 1);
    assert_eq!(json[0]["ports"][0]["rx"]["drops"], serde_json::json!({ "runt": 1 }));
    assert_eq!(serde_json::from_value::<Vec<BridgeStatistics>>(json).unwrap(), plane.statistics());
}

/// A link in memory: what arrives is put there by hand, what leaves stays to be looked at, and answers are made up.
#[derive(Clone, Debug, Default)]
struct Fake {
    arriving: VecDeque<Vec<u8>>,
    is_down: bool,
    sent: Vec<(Vec<u8>, Retag)>,
    /// Where in memory those frames were.
    sent_from: Vec<usize>,
    /// Answers to the next frames; `Sent` when there are none left.
    answers: VecDeque<Transmit>,
    /// Results for the next flush.
    results: Vec<Transmit>,
    /// How many of the buffers that frames arrived in had never been used before.
    new_buffers: usize,
}

impl Link for Fake {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        for _ in 0..limit {
            let Some(frame) = self.arriving.front() else {
                return if self.is_down { Received::Down } else { Received::WouldBlock };
            };
            let Some(mut buffer) = pool.take() else { return Received::More };
            let it = Arc::get_mut(&mut buffer).unwrap();
            it.room()[..frame.len()].copy_from_slice(frame);
            it.set_len(frame.len());
            // (The last byte is nobody's, unless a frame is too long.)
            let stamp = it.room().last_mut().unwrap();
            self.new_buffers += usize::from(std::mem::replace(stamp, 1) == 0);
            into.push(buffer);
            self.arriving.pop_front();
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        let answer = self.answers.pop_front().unwrap_or(Transmit::Sent);
        if answer == Transmit::Sent {
            self.sent.push((frame.frame().to_vec(), retag));
            self.sent_from.push(frame.frame().as_ptr().addr());
        }
        answer
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        results.append(&mut self.results);
    }
}

fn plane(ports: u16) -> Dataplane<Fake> {
    plane_with(Settings::default(), ports)
}

fn plane_with(settings: Settings, ports: u16) -> Dataplane<Fake> {
    let mut plane = Dataplane::new(settings);
    let config = Config::default();
    plane.control(Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config }, NOW).unwrap();
    for port in 0..ports {
        plug(&mut plane, port, PortConfig { name: format!("port{port}"), ..PortConfig::default() });
    }
    plane
}

fn plug(plane: &mut Dataplane<Fake>, port: u16, config: PortConfig) {
    let plug = Control::Plug { bridge: BRIDGE, port: PortId(port), config, link: Fake::default() };
    plane.control(plug, NOW).unwrap();
}

fn link(plane: &mut Dataplane<Fake>, port: u16) -> &mut Fake {
    plane.link_mut(PortId(port)).unwrap()
}

fn arrive(plane: &mut Dataplane<Fake>, port: u16, frames: &[Vec<u8>]) {
    link(plane, port).arriving.extend(frames.iter().cloned());
}

fn answer(plane: &mut Dataplane<Fake>, port: u16, answers: &[Transmit]) {
    link(plane, port).answers.extend(answers);
}

fn sent(plane: &Dataplane<Fake>, port: u16) -> usize {
    plane.link(PortId(port)).unwrap().sent.len()
}

fn counters(plane: &Dataplane<Fake>, port: u16) -> &PortCounters {
    plane.counters(PortId(port)).unwrap()
}

fn drops(plane: &Dataplane<Fake>, port: u16) -> Vec<(DropReason, u64)> {
    counters(plane, port).tx.drops.iter().collect()
}

fn frame(destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
    [&destination[..], &source, &[0x08, 0x00], &[0; 46]].concat()
}

mod following;
mod watching;
