//! An explanation and what the data plane then does are the same, and the explanation has changed nothing.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::buffer::{MAX_FRAME, Pool};
use crate::dataplane::{BridgeId, Control, Settings};
use crate::explain::{FoundBy, Lesson};
use crate::fdb::{EntryKind, FdbCounters, Refusal};
use crate::forward::{Config, Fit};
use crate::link::{Received, Transmit, finish};
use crate::mac::MacAddr;
use crate::offload::segment::Segmenter;
use crate::port::PortConfig;
use crate::vlan::{PortVlans, Retag};
use crate::vnet::{GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM};

const BRIDGE: BridgeId = BridgeId(3);
const PORTS: u16 = 4;
const NOW: Instant = Instant::ZERO;

proptest! {
    #[test]
    fn an_explanation_is_what_then_happens_and_changes_nothing(
        config in config(),
        steps in vec(step(), 1..80),
    ) {
        let mut plane = Dataplane::new(Settings::default());
        plane.control(Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config }, NOW).unwrap();
        let mut now = NOW;
        for step in steps {
            match step {
                // (Some are refused: the number is taken, the table full, the station's port not there.)
                Happens::Plug(port, config, finishes) => {
                    let link = Recorder { finishes, ..Recorder::default() };
                    let _ = plane.control(Control::Plug { bridge: BRIDGE, port, config, link }, now);
                }
                Happens::Unplug(port) => drop(plane.control(Control::Unplug { port }, now)),
                Happens::Set(vlan, station, port, kind) => {
                    let _ = plane.control(Control::SetStation { bridge: BRIDGE, vlan, station, port, kind }, now);
                }
                Happens::Wait(seconds) => now = now + Duration::from_secs(seconds),
                Happens::Sweep => plane.handle_timeout(now),
                Happens::Frame(port, bytes, vnet) => explain_and_forward(&mut plane, port, &bytes, vnet, now)?,
            }
        }
    }
}

#[test]
fn a_link_that_has_ended_gets_no_copy_and_that_is_told_before_its_port_is_taken_away() {
    let mut plane = plane(3);
    plane.link_mut(PortId(2)).unwrap().is_down = true;
    let broadcast = frame([0xff; 6], A);
    plane.forward(PortId(0), &Arc::new(Buffer::holding(&broadcast, VnetHeader::default())), NOW);
    let explained = plane.explain(PortId(0), &broadcast, VnetHeader::default(), NOW).unwrap();
    let fates: Vec<bool> = explained.egress.iter().map(|egress| matches!(egress.fate, Fate::Leaves { .. })).collect();
    assert_eq!(fates, [false, true, false]);
    assert!(matches!(explained.egress[2].fate, Fate::Dropped { reason: DropReason::LinkDown, .. }));
    plane.flush();
    let explained = plane.explain(PortId(0), &broadcast, VnetHeader::default(), NOW).unwrap();
    assert_eq!(explained.decision, Decision::Flood { to: vec![PortId(1)] });
    assert_eq!(plane.explain(PortId(2), &broadcast, VnetHeader::default(), NOW), None, "no such port");
}

#[test]
fn each_step_says_what_it_found() {
    let mut plane = plane(3);
    plane.forward(PortId(1), &Arc::new(Buffer::holding(&frame([0xff; 6], B), VnetHeader::default())), NOW);
    let later = Instant::from_secs(7);
    let bytes = frame(B, A);
    let explained = plane.explain(PortId(0), &bytes, VnetHeader::default(), later).unwrap();
    let [a, b] = [A, B].map(MacAddr);
    let header = Header {
        destination: b,
        source: a,
        tags: Vec::new(),
        ethertype: 0x0800,
        length: 60,
        wire_frames: 1,
        longest_segment: 60,
    };
    let known = Found::Known { behind: PortId(1), kind: EntryKind::Dynamic, age: 7 };
    let steps = [
        Step::Parsed(header),
        Step::Source { station: a, reason: None },
        Step::Vlan { vlan: Some(VlanId::NONE), by: FoundBy::NotFiltering, reason: None },
        Step::Learning { station: a, learned: Lesson::New, stations: 1, quota: 1024 },
        Step::Lookup { station: b, found: known },
    ];
    assert_eq!(explained.steps, steps);
    let fit = Fit { tag: Retag::Keep, length: 60, limit: 1514, mtu: 1500 };
    let fates =
        [Fate::Out { because: Out::Ingress }, Fate::Leaves { fit, frames: 1 }, Fate::Out { because: Out::OtherPort }];
    assert_eq!(explained.egress.iter().map(|egress| egress.fate).collect::<Vec<_>>(), fates);
    assert_eq!(explained.decision, Decision::Unicast { to: PortId(1) });
    assert_eq!(explained.bridge, "net");
}

#[test]
fn a_frame_to_a_station_behind_its_own_port_is_told_port_by_port() {
    let mut plane = plane(3);
    plane.forward(PortId(0), &Arc::new(Buffer::holding(&frame([0xff; 6], B), VnetHeader::default())), NOW);
    let explained = plane.explain(PortId(0), &frame(B, A), VnetHeader::default(), NOW).unwrap();
    let fates = [Out::Ingress, Out::OtherPort, Out::OtherPort].map(|because| Fate::Out { because });
    assert_eq!(explained.egress.iter().map(|egress| egress.fate).collect::<Vec<_>>(), fates);
    assert_eq!(explained.decision, Decision::Drop { reason: DropReason::Hairpin });
}

#[test]
fn ports_have_names_for_people_and_it_is_read_back_as_it_was_written() {
    let plane = plane(2);
    let tagged = [&[0xff; 6][..], &A, &[0x81, 0x00, 0x70, 0x07, 0x08, 0x06], &[0; 42]].concat();
    for bytes in [tagged, frame(A, [0; 6]), frame(B, A), vec![1, 2, 3]] {
        let explained = plane.explain(PortId(0), &bytes, VnetHeader::default(), NOW).unwrap();
        let named = explained.named(|port| plane.name_of(port).to_owned());
        assert_eq!(named.port, "port0");
        let json = serde_json::to_string(&named).unwrap();
        assert_eq!(serde_json::from_str::<Explanation<String>>(&json).unwrap(), named, "{json}");
    }
    assert_eq!((plane.port_named("port1"), plane.port_named("port2")), (Some(PortId(1)), None));
}

fn explain_and_forward(
    plane: &mut Dataplane<Recorder>,
    port: PortId,
    bytes: &[u8],
    vnet: VnetHeader,
    now: Instant,
) -> Result<(), TestCaseError> {
    let before = (plane.switch(BRIDGE).unwrap().snapshot(now), plane.statistics());
    let explained = plane.explain(port, bytes, vnet, now);
    let after = (plane.switch(BRIDGE).unwrap().snapshot(now), plane.statistics());
    prop_assert_eq!(before, after, "something changed");
    let lost = plane.switch(BRIDGE).unwrap().fdb().events_lost();
    while plane.poll_fdb_event().is_some() {}

    let counted = plane.switch(BRIDGE).unwrap().fdb().counters();
    let drops_before: Vec<_> = plane.ports().map(|it| (it, drops(plane, it))).collect();
    let verdict = plane.forward(port, &Arc::new(Buffer::holding(bytes, vnet)), now);
    prop_assert_eq!(explained.is_some(), verdict.is_some());
    let (Some(explained), Some(verdict)) = (explained, verdict) else { return Ok(()) };

    prop_assert_eq!(&explained.decision, &Decision::from(&verdict));
    let sent = |plane: &mut Dataplane<Recorder>, it| std::mem::take(&mut plane.link_mut(it).unwrap().sent);
    for (it, before) in drops_before {
        let dropped: Vec<DropReason> =
            drops(plane, it).into_iter().filter(|drop| !before.contains(drop)).map(|(reason, _)| reason).collect();
        let due = match explained.egress.iter().find(|egress| egress.port == it).map(|egress| egress.fate) {
            Some(Fate::Leaves { fit, frames }) => (vec![(fit.tag, frames)], vec![]),
            Some(Fate::Dropped { reason, .. }) => (vec![], vec![reason]),
            Some(Fate::Out { .. }) | None => (vec![], vec![]),
        };
        prop_assert_eq!((sent(plane, it), dropped), due, "{:?} of {:?}", it, &explained);
    }
    let fdb = plane.switch(BRIDGE).unwrap().fdb();
    prop_assert_eq!(lost, fdb.events_lost());
    let vlan = explained.steps.iter().find_map(|step| match step {
        Step::Vlan { vlan, .. } => *vlan,
        _ => None,
    });
    let (mut learned, mut changes) = (FdbCounters { ..counted }, 0);
    for step in &explained.steps {
        match step {
            Step::Parsed(header) => prop_assert_eq!(header, &Header::of(&Frame::parse(bytes, vnet).unwrap())),
            Step::Unreadable { reason, .. } => prop_assert_eq!(&verdict, &Verdict::Drop(*reason)),
            Step::Source { reason, .. } | Step::Vlan { reason, .. } => {
                if let Some(reason) = reason {
                    prop_assert_eq!(&verdict, &Verdict::Drop(*reason));
                }
            }
            Step::Reserved { .. } => prop_assert_eq!(&verdict, &Verdict::Drop(DropReason::ReservedDestination)),
            Step::Learning { station, learned: lesson, stations, quota } => {
                let had_expired = fdb.counters().expired - counted.expired;
                learned.expired += had_expired;
                changes += had_expired;
                let behind = fdb.entry(vlan.unwrap(), *station, now).map(|entry| entry.port);
                match lesson {
                    Lesson::New => learned.learned += 1,
                    Lesson::Refreshed => prop_assert_eq!(behind, Some(port)),
                    Lesson::Moved { .. } => learned.moved += 1,
                    Lesson::Refused { refusal: Refusal::NotKept, .. } => {}
                    Lesson::Refused { refusal, behind: told } => {
                        learned.refused += 1;
                        match refusal {
                            Refusal::Static => learned.refused_static += 1,
                            Refusal::Sticky => learned.refused_sticky += 1,
                            Refusal::Quota => learned.refused_quota += 1,
                            Refusal::TableFull => learned.refused_table_full += 1,
                            Refusal::NotKept => prop_assert!(false, "it is no refusal that is counted"),
                        }
                        prop_assert_eq!(*told, behind);
                    }
                }
                changes += u64::from(matches!(lesson, Lesson::New | Lesson::Moved { .. }));
                prop_assert_eq!((*stations, *quota), (fdb.stations(port), fdb.quota(port)));
            }
            Step::Lookup { station, found } => {
                let known = fdb.lookup(vlan.unwrap(), *station, now);
                match found {
                    Found::Known { behind, .. } => prop_assert_eq!(known, Some(*behind)),
                    Found::Group => prop_assert!(station.is_multicast()),
                    Found::Expired { .. } | Found::Unknown => prop_assert_eq!(known, None),
                }
            }
        }
    }
    prop_assert_eq!(fdb.counters(), learned, "{:?}", explained);
    let events = std::iter::from_fn(|| plane.poll_fdb_event()).count() as u64;
    prop_assert_eq!(events, changes);
    Ok(())
}

fn drops(plane: &Dataplane<Recorder>, port: PortId) -> Vec<(DropReason, u64)> {
    plane.counters(port).unwrap().tx.drops.iter().collect()
}

/// A link that keeps a list of what it was given, and takes finished frames only if it is to.
#[derive(Debug, Default)]
struct Recorder {
    finishes: bool,
    is_down: bool,
    /// The tag's change, and as how many frames it left.
    sent: Vec<(Retag, u64)>,
}

impl Link for Recorder {
    fn receive(&mut self, _: &mut Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        Received::WouldBlock
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        if self.is_down {
            return Transmit::Down;
        }
        let mut frames = 1;
        if self.finishes {
            frames = 0;
            let result = finish::transmit(&mut Segmenter::new(), frame, retag, |_| {
                frames += 1;
                Transmit::Sent
            });
            if result != Transmit::Sent {
                return result;
            }
        }
        self.sent.push((retag, frames));
        Transmit::Sent
    }

    fn foretell(&self, frame: &Buffer, _: Retag) -> Result<u64, DropReason> {
        if self.finishes { finish::foretell(frame) } else { Ok(1) }
    }

    fn flush(&mut self, _: &mut Vec<Transmit>) {}
}

/// One thing that happens to a data plane.
#[derive(Clone, Debug)]
enum Happens {
    Plug(PortId, PortConfig, bool),
    Unplug(PortId),
    Set(VlanId, MacAddr, PortId, EntryKind),
    Wait(u64),
    Sweep,
    Frame(PortId, Vec<u8>, VnetHeader),
}

fn config() -> impl Strategy<Value = Config> {
    let ageing = select(vec![0, 300]).prop_map(Duration::from_secs);
    (ageing, any::<bool>(), select(vec![2, 5, 1000])).prop_map(|(ageing, vlan_filtering, max_stations)| Config {
        ageing,
        vlan_filtering,
        max_stations,
        ..Config::default()
    })
}

fn step() -> impl Strategy<Value = Happens> {
    let kind = select(vec![EntryKind::Dynamic, EntryKind::Sticky, EntryKind::Static]);
    prop_oneof![
        3 => (port(), port_config(), any::<bool>())
            .prop_map(|(port, config, finishes)| Happens::Plug(port, config, finishes)),
        1 => port().prop_map(Happens::Unplug),
        1 => (0..4_u16, station(), port(), kind).prop_map(|(vlan, station, port, kind)| {
            Happens::Set(VlanId::new(vlan).unwrap_or(VlanId::NONE), station, port, kind)
        }),
        1 => select(vec![1, 150, 299, 300, 301]).prop_map(Happens::Wait),
        1 => Just(Happens::Sweep),
        10 => (port(), bytes(), vnet()).prop_map(|(port, bytes, vnet)| Happens::Frame(port, bytes, vnet)),
    ]
}

fn port() -> impl Strategy<Value = PortId> {
    (0..PORTS).prop_map(PortId)
}

fn port_config() -> impl Strategy<Value = PortConfig> {
    let vlan = || select(vec![1, 2, 3]).prop_map(|id| VlanId::new(id).unwrap());
    let vlans = prop_oneof![
        vlan().prop_map(PortVlans::Access),
        (proptest::option::of(vlan()), vec(vlan(), 0..3))
            .prop_map(|(native, tagged)| PortVlans::Trunk { native, tagged }),
    ];
    let local = proptest::option::weighted(0.2, station());
    (vlans, select(vec![68, 576, 1500, 9000]), select(vec![0, 1, 2, 1024]), local)
        .prop_map(|(vlans, mtu, quota, local)| PortConfig { name: String::new(), mtu, vlans, quota, local })
}

/// One of few, so that they meet.
fn station() -> impl Strategy<Value = MacAddr> {
    (1..5_u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]))
}

/// A frame, or what was meant to be one.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let odd = select(vec![
        MacAddr::ZERO,
        MacAddr::BROADCAST,
        MacAddr([1, 0, 0x5e, 0, 0, 1]),
        MacAddr([1, 0x80, 0xc2, 0, 0, 0xe]),
    ]);
    let address = || prop_oneof![8 => station(), 1 => odd.clone()];
    let tag = (select(vec![0x8100, 0x88a8_u16]), select(vec![0, 1, 2, 3, 4095, 0x7002_u16]));
    let length = prop_oneof![0..80_usize, select(vec![562, 1482, 1486, 1490, 1500, 4000]), Just(MAX_FRAME + 1)];
    let built = (address(), address(), vec(tag, 0..4), super_frame_headers(), length).prop_map(
        |(to, from, tags, headers, length)| {
            let tags = tags.iter().flat_map(|(tpid, tci)| [tpid.to_be_bytes(), tci.to_be_bytes()]).flatten();
            let start: Vec<u8> = to.0.into_iter().chain(from.0).chain(tags).collect();
            [start, headers, vec![0x5a; length]].concat()
        },
    );
    prop_oneof![9 => built, 1 => vec(any::<u8>(), 0..40)]
}

/// An EtherType and what follows: nothing, or the headers of TCP or UDP over IPv4, which can be cut into segments.
fn super_frame_headers() -> impl Strategy<Value = Vec<u8>> {
    let ip = |protocol| [&[0x08, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol][..], &[0; 10]].concat();
    let tcp = [ip(6), vec![0; 12], vec![5 << 4, 0x10, 0, 0, 0, 0, 0, 0]].concat();
    let udp = [ip(17), vec![0; 8]].concat();
    select(vec![vec![0x88, 0xb5], vec![0x08], tcp, udp])
}

fn vnet() -> impl Strategy<Value = VnetHeader> {
    let unfinished = (select(vec![0, GSO_TCPV4, GSO_UDP_L4, 0x7f]), select(vec![0, 100, 536, 1448]), 0..3_u16)
        .prop_map(|(gso_type, gso_size, tags)| VnetHeader {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: 0,
            gso_size,
            csum_start: 34 + 4 * tags,
            csum_offset: if gso_type == GSO_UDP_L4 { 6 } else { 16 },
        });
    prop_oneof![2 => Just(VnetHeader::default()), 1 => unfinished]
}

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn plane(ports: u16) -> Dataplane<Recorder> {
    let mut plane = Dataplane::new(Settings::default());
    let config = Config::default();
    plane.control(Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config }, NOW).unwrap();
    for port in 0..ports {
        let config = PortConfig { name: format!("port{port}"), ..PortConfig::default() };
        let plug = Control::Plug { bridge: BRIDGE, port: PortId(port), config, link: Recorder::default() };
        plane.control(plug, NOW).unwrap();
    }
    plane
}

fn frame(destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
    [&destination[..], &source, &[0x08, 0x00], &[0; 46]].concat()
}
