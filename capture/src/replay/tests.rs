use switch::dataplane::{BridgeId, Control};
use switch::forward::Config;
use switch::link::{Link, Received};
use switch::port::PortConfig;
use switch::verdict::{DropReason, PortSet};
use switch::vlan::{Retag, VlanId};
use switch::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

use super::*;
use crate::recorder::{Decoder, Recorder, Selection, tube};

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const ALL: [u8; 6] = [0xff; 6];

#[test]
fn what_was_recorded_is_replayed_without_a_difference() {
    let (start, entries) = recorded(0);
    let mut replay = Replay::begin(&start).unwrap();
    for entry in &entries {
        assert_eq!(replay.step(entry), Ok(Step::Same), "{entry:?}");
    }
    assert_eq!(replay.tally(), Tally { frames: 4, controls: 2 });
}

#[test]
fn a_verdict_that_was_doctored_is_found() {
    let (start, mut entries) = recorded(0);
    let (at, changed) = entries
        .iter_mut()
        .enumerate()
        .find_map(|(at, entry)| match entry {
            Entry::Frame(frame) if matches!(frame.verdict, Verdict::Unicast { .. }) => Some((at, frame)),
            _ => None,
        })
        .unwrap();
    changed.verdict = Verdict::Unicast { vlan: VlanId::NONE, egress: PortId(2) };
    let difference = first_difference(&start, &entries).unwrap();
    assert_eq!((difference.entry, &difference.recorded), (at as u64 + 1, &entries[at]));
    let Now::Frame { verdict, copies } = difference.now else { panic!("{difference:?}") };
    assert_eq!(verdict, Some(Verdict::Unicast { vlan: VlanId::NONE, egress: PortId(0) }));
    assert_eq!(copies.len(), 1);
}

#[test]
fn a_copy_and_a_change_that_were_doctored_are_found() {
    let (start, entries) = recorded(0);
    let doctor = |change: &dyn Fn(&mut Entry) -> bool| {
        let mut entries = entries.clone();
        assert!(entries.iter_mut().any(change), "there is something to be changed");
        first_difference(&start, &entries).is_some()
    };
    assert!(doctor(&|entry| match entry {
        Entry::Frame(frame) => frame.copies.pop().is_some(),
        _ => false,
    }));
    assert!(doctor(&|entry| match entry {
        Entry::Frame(FrameIn { copies, .. }) if !copies.is_empty() => {
            copies[0].outcome = Outcome::Dropped(DropReason::ExceedsMtu);
            true
        }
        _ => false,
    }));
    assert!(doctor(&|entry| match entry {
        Entry::Control { made, .. } => {
            *made = !*made;
            true
        }
        _ => false,
    }));
    assert!(doctor(&|entry| match entry {
        Entry::Results { results, .. } => {
            results.extend([Transmit::Sent; 2]);
            true
        }
        _ => false,
    }));
}

#[test]
fn a_switch_that_decides_otherwise_is_found() {
    let (start, entries) = recorded(0);
    let mut replay = Replay::begin(&start).unwrap();
    let differs = entries.iter().position(|entry| {
        let step = replay.step(entry).unwrap();
        // It forgets at once whom it has heard.
        replay.dataplane_mut().switch_mut(BridgeId(0)).unwrap().fdb_mut().flush_port(PortId(0));
        step != Step::Same
    });
    let unicast = |entry: &Entry| matches!(entry, Entry::Frame(FrameIn { verdict: Verdict::Unicast { .. }, .. }));
    assert_eq!(differs, entries.iter().position(unicast));
}

#[test]
fn what_is_missing_is_told() {
    let (start, entries) = recorded(16);
    let mut replay = Replay::begin(&start).unwrap();
    let stopped = entries.iter().find_map(|entry| replay.step(entry).err());
    assert_eq!(stopped, Some(CannotReplay::Snaplen { entry: 2, kept: 16, needed: 22 }));
    let (start, entries) = recorded(22);
    assert_eq!(first_difference(&start, &entries), None, "that is enough");

    let gap = Entry::Gap { at: Instant::ZERO, entries: 7, frames: Vec::new() };
    assert_eq!(Replay::begin(&start).unwrap().step(&gap), Err(CannotReplay::Gap { entry: 1, lost: 7 }));
    let part = Scope::Part { ports: [PortId(1)].into(), drops: false, what: "web.eth0".to_owned() };
    let part = Replay::begin(&Start { scope: part, ..start.clone() });
    assert_eq!(part.unwrap_err(), CannotReplay::Part { what: "web.eth0".to_owned() });
    let mut odd = start.clone();
    odd.bridges[0].queued = vec![(PortId(1), u64::MAX)];
    assert_eq!(Replay::begin(&odd).unwrap_err(), CannotReplay::Queued(u64::MAX));
    odd.bridges.push(start.bridges[0].clone());
    odd.bridges[0].queued.clear();
    let taken = CannotReplay::Start(ControlError::BridgeTaken(BridgeId(0)));
    assert_eq!(Replay::begin(&odd).unwrap_err(), taken);
}

#[test]
fn a_super_frame_takes_as_much_as_its_headers() {
    let vnet =
        VnetHeader { flags: NEEDS_CSUM, gso_type: GSO_TCPV4, gso_size: 1448, csum_start: 34, ..VnetHeader::default() };
    let to = PortSet::new([PortId(1)].into(), PortId(0));
    let frame = FrameIn {
        at: Instant::ZERO,
        port: PortId(0),
        vnet,
        bytes: vec![0; 46],
        len: 3000,
        verdict: Verdict::Flood { vlan: VlanId::NONE, to },
        copies: Vec::new(),
    };
    assert_eq!((looked_at(&frame), looked_at(&FrameIn { len: 40, ..frame })), (47, 40));
}

fn first_difference(start: &Start, entries: &[Entry]) -> Option<Difference> {
    let mut replay = Replay::begin(start).unwrap();
    entries.iter().find_map(|entry| match replay.step(entry).unwrap() {
        Step::Same => None,
        Step::Differs(difference) => Some(*difference),
    })
}

/// A history with a bit of everything.
fn recorded(snaplen: u32) -> (Start, Vec<Entry>) {
    let mut plane = Dataplane::new(Settings::default());
    let (bridge, config) = (BridgeId(0), Config::default());
    plane.control(Control::AddBridge { bridge, name: "net".to_owned(), config }, Instant::ZERO).unwrap();
    let plug = |port, answers: &[Transmit]| {
        let config = PortConfig { name: format!("port{port}"), mtu: 100 + u32::from(port), ..PortConfig::default() };
        Control::Plug {
            bridge,
            port: PortId(port),
            config,
            link: Fake { answers: answers.to_vec(), ..Fake::default() },
        }
    };
    plane.control(plug(0, &[]), Instant::ZERO).unwrap();
    plane.control(plug(1, &[Transmit::Down, Transmit::Queued]), Instant::ZERO).unwrap();
    plane.control(plug(2, &[Transmit::Queued]), Instant::ZERO).unwrap();
    let buffer = |to: [u8; 6], from: [u8; 6], len: usize| {
        let mut bytes = [&to[..], &from, &[0x88, 0xb5]].concat();
        bytes.resize(len, 7);
        Arc::new(Buffer::holding(&bytes, VnetHeader::default()))
    };
    // One copy is queued before it begins.
    plane.forward(PortId(0), &buffer(ALL, A, 60), Instant::ZERO);
    plane.flush();

    let at = Instant::from_secs;
    let (tube, drain) = tube(4);
    let bridges = plane.start_state(at(1));
    let selection = Selection { snaplen, ..Selection::default() };
    let mut recorder = Recorder::new(selection, tube, Vec::new(), at(1));
    plane.link_mut(PortId(2)).unwrap().results = vec![Transmit::Sent];
    plane.settle_watched(PortId(2), &mut recorder);
    let mut send = |port, buffer: Arc<Buffer>, second| {
        plane.forward_watched(PortId(port), &buffer, at(second), &mut recorder);
        plane.flush_watched(&mut recorder);
    };
    send(2, buffer(A, B, 60), 2);
    send(0, buffer(ALL, A, 116), 3);
    send(0, buffer(ALL, A, 60), 4);
    plane.control_watched(plug(1, &[]), at(5), &mut recorder).unwrap();
    plane.control_watched(plug(1, &[]), at(5), &mut recorder).unwrap_err();
    plane.handle_timeout_watched(at(400), &mut recorder);
    plane.forward_watched(PortId(2), &buffer(A, B, 60), at(401), &mut recorder);
    plane.flush_watched(&mut recorder);

    let end = recorder.finish();
    assert_eq!((end.tally.lost, end.gap), (0, None));
    let mut entries = Vec::new();
    let mut decoder = Decoder::new();
    while let Ok(chunk) = drain.chunks().try_recv() {
        let mut chunk = &chunk[..];
        entries.extend(std::iter::from_fn(|| decoder.next(&mut chunk).cloned()));
    }
    let start = Start {
        application: String::new(),
        os: String::new(),
        hardware: String::new(),
        at: at(1),
        origin: 0,
        snaplen,
        scope: Scope::Everything,
        bridges,
    };
    (start, entries)
}

/// A link that gives the last of its answers first.
#[derive(Debug, Default)]
struct Fake {
    answers: Vec<Transmit>,
    results: Vec<Transmit>,
}

impl Link for Fake {
    fn receive(&mut self, _: &mut switch::buffer::Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        Received::WouldBlock
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        self.answers.pop().unwrap_or(Transmit::Sent)
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        results.append(&mut self.results);
    }
}
