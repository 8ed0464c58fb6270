use std::collections::VecDeque;
use std::sync::Arc;

use switch::buffer::{Buffer, Pool};
use switch::dataplane::{BridgeId, Dataplane, Settings};
use switch::forward::Config;
use switch::link::{Link, Received};
use switch::port::PortConfig;
use switch::verdict::DropReason;
use switch::vlan::{PortVlans, Retag, VlanId};
use switch::vnet::{NEEDS_CSUM, VnetHeader};

use super::*;
use crate::recording::{Entry, FrameIn};

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const ALL: [u8; 6] = [0xff; 6];

#[test]
fn keeps_what_comes_as_it_comes() {
    let mut scene = Scene::new(Selection::default(), 4);
    scene.answer(1, &[Transmit::Queued, Transmit::Full]);
    let vnet = VnetHeader { flags: NEEDS_CSUM, csum_start: 40, csum_offset: 6, ..VnetHeader::default() };
    scene.send(0, 7, &frame(ALL, A, 100), vnet);
    scene.send(2, 8, &frame(A, B, 60), VnetHeader::default());
    scene.send(2, 8, &[1; 5], VnetHeader::default());
    scene.send(1, 9, &frame(ALL, B, 60), VnetHeader::default());
    scene.plane.link_mut(PortId(1)).unwrap().results = vec![Transmit::Refused];
    scene.plane.settle_watched(PortId(1), &mut scene.recorder);
    scene.plane.handle_timeout_watched(Instant::from_nanos(11), &mut scene.recorder);
    let unplug = || Control::Unplug { port: PortId(2) };
    for _ in 0..2 {
        let _ = scene.plane.control_watched(unplug(), Instant::from_nanos(12), &mut scene.recorder);
    }

    let entries = scene.entries();
    let Entry::Frame(first) = &entries[0] else { panic!("{entries:?}") };
    assert_eq!((first.at.as_nanos(), first.port, first.vnet, first.len), (7, PortId(0), vnet, 100));
    assert_eq!(first.bytes, frame(ALL, A, 100));
    let offered = |answer| Outcome::Offered { retag: Retag::Keep, answer };
    let outcomes: Vec<_> = first.copies.iter().map(|copy| (copy.egress.0, copy.outcome)).collect();
    assert_eq!(outcomes, [(1, offered(Transmit::Queued)), (2, offered(Transmit::Sent))]);
    let verdicts: Vec<_> = entries.iter().filter_map(|entry| Some(&as_frame(entry)?.verdict)).collect();
    let Verdict::Flood { vlan: VlanId::NONE, to } = verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!(to.iter().collect::<Vec<_>>(), [PortId(1), PortId(2)]);
    assert_eq!(
        verdicts[1..3],
        [&Verdict::Unicast { vlan: VlanId::NONE, egress: PortId(0) }, &Verdict::Drop(DropReason::Runt)]
    );
    let at = Instant::from_nanos;
    assert_eq!(
        entries[4..6],
        [
            Entry::Results { at: at(9), port: PortId(1), results: vec![Transmit::Refused] },
            Entry::Timeout { at: at(11) },
        ]
    );
    let made: Vec<_> = entries[6..]
        .iter()
        .map(|entry| match entry {
            Entry::Control { control: Control::Unplug { port: PortId(2) }, made, .. } => *made,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(made, [true, false]);
}

#[test]
fn a_tag_that_is_changed_and_a_copy_that_is_too_long_are_kept() {
    let [one, two] = [1, 2].map(|id| VlanId::new(id).unwrap());
    let mut scene = Scene::new(Selection::default(), 4);
    let trunk = |native| PortVlans::Trunk { native, tagged: vec![one, two] };
    let config = Config { vlan_filtering: true, ..Config::default() };
    let add = Control::AddBridge { bridge: BridgeId(1), name: "vlans".to_owned(), config };
    scene.plane.control(add, Instant::ZERO).unwrap();
    for (port, mtu, vlans) in [(10, 1500, PortVlans::Access(two)), (11, 1500, trunk(None)), (12, 20, trunk(Some(one)))]
    {
        let config = PortConfig { mtu, vlans, ..PortConfig::default() };
        let plug = Control::Plug { bridge: BridgeId(1), port: PortId(port), config, link: Fake::default() };
        scene.plane.control(plug, Instant::ZERO).unwrap();
    }
    scene.send(10, 1, &frame(ALL, A, 60), VnetHeader::default());
    let entries = scene.entries();
    let copies = &as_frame(&entries[0]).unwrap().copies;
    let offered = Outcome::Offered { retag: Retag::Push(2), answer: Transmit::Sent };
    assert_eq!(
        copies.iter().map(|copy| copy.outcome).collect::<Vec<_>>(),
        [offered, Outcome::Dropped(DropReason::ExceedsMtu)]
    );
}

#[test]
fn keeps_no_more_of_a_frame_than_it_is_told_but_its_true_length() {
    let mut scene = Scene::new(Selection { snaplen: 20, ..Selection::default() }, 4);
    scene.send(0, 1, &frame(ALL, A, 1000), VnetHeader::default());
    let entries = scene.entries();
    let kept = as_frame(&entries[0]).unwrap();
    assert_eq!((&kept.bytes[..], kept.len), (&frame(ALL, A, 1000)[..20], 1000));
}

#[test]
fn keeps_frames_of_the_ports_that_are_wanted_whichever_way_they_go() {
    let mut scene = Scene::new(Selection { ports: Some(vec![PortId(2)]), ..Selection::default() }, 4);
    scene.send(0, 1, &frame(ALL, A, 60), VnetHeader::default());
    scene.send(1, 2, &frame(A, B, 60), VnetHeader::default());
    scene.send(2, 3, &frame(B, B, 61), VnetHeader::default());
    scene.plane.handle_timeout_watched(Instant::from_nanos(4), &mut scene.recorder);
    // It goes, and another one comes in its place.
    scene
        .plane
        .control_watched(Control::Unplug { port: PortId(2) }, Instant::from_nanos(5), &mut scene.recorder)
        .unwrap();
    scene.plug(2);
    scene.send(2, 6, &frame(ALL, B, 62), VnetHeader::default());
    let entries = scene.entries();
    let lens: Vec<_> = entries.iter().filter_map(|entry| Some(as_frame(entry)?.len)).collect();
    assert_eq!((lens, entries.len()), (vec![60, 61], 4), "and the two changes");
}

#[test]
fn keeps_what_was_dropped_if_only_that_is_wanted_whole_or_in_one_copy() {
    let mut scene = Scene::new(Selection { drops: true, ..Selection::default() }, 4);
    scene.answer(1, &[Transmit::Sent, Transmit::Full]);
    (0..3).for_each(|extra| scene.send(0, 1, &frame(ALL, A, 60 + extra), VnetHeader::default()));
    scene.send(0, 1, &[1; 5], VnetHeader::default());
    let lens: Vec<_> = scene.entries().iter().filter_map(|entry| Some(as_frame(entry)?.len)).collect();
    assert_eq!(lens, [61, 5]);
}

#[test]
fn keeps_what_the_filter_accepts_and_ends_after_so_many() {
    let filter = Some(Filter::parse("greater 62").unwrap());
    let mut scene = Scene::new(Selection { filter, count: Some(2), ..Selection::default() }, 4);
    for extra in 0..9 {
        scene.send(0, 1, &frame(ALL, A, 60 + extra), VnetHeader::default());
        scene.recorder.round(Instant::from_nanos(2));
    }
    let end = |scene: &Scene| scene.drain.chunks().try_recv();
    assert!(end(&scene).is_ok());
    assert_eq!(end(&scene), Err(crossbeam_channel::TryRecvError::Disconnected), "who waits for more is told");
    assert_eq!(scene.recorder.tally(), Tally { frames: 2, lost: 0 });
}

#[test]
fn what_there_is_no_room_for_is_lost_and_counted_where_it_is_missing() {
    let mut scene = Scene::new(Selection::default(), 2);
    let large = frame(ALL, A, 60_000);
    // Four of them fill a chunk.
    for number in 0..11_u64 {
        scene.send(u16::from(number == 9), number, &large, VnetHeader::default());
    }
    assert_eq!(scene.recorder.tally(), Tally { frames: 8, lost: 3 });
    let first = scene.drain.chunks().try_recv().unwrap();
    assert_eq!(decode(&first).len(), 4);
    scene.drain.give_back(first);
    scene.send(0, 20, &frame(ALL, A, 60), VnetHeader::default());
    let entries = scene.entries();
    assert_eq!(entries.len(), 4 + 2);
    let frames = vec![(PortId(0), 2), (PortId(1), 1)];
    assert_eq!(entries[4], Entry::Gap { at: Instant::from_nanos(20), entries: 3, frames });
    assert_eq!(as_frame(&entries[5]).unwrap().len, 60);
}

#[test]
fn copies_that_do_not_fit_the_chunk_take_their_frame_with_them() {
    const PORTS: u16 = 3000;
    let mut scene = Scene::new(Selection::default(), 3);
    (3..PORTS).for_each(|port| scene.plug(port));
    let _ = scene.entries();
    let sizes = [65_000, 60_000, 60];
    for (number, size) in sizes.into_iter().enumerate() {
        for _ in 0..3 {
            scene.send(0, number as u64, &frame(ALL, A, size), VnetHeader::default());
            let entries = scene.entries();
            let kept: Vec<_> = entries.iter().filter_map(as_frame).collect();
            assert!(kept.iter().all(|kept| kept.copies.len() == usize::from(PORTS) - 1 && kept.len == size));
        }
    }
    assert_eq!(scene.recorder.tally(), Tally { frames: 9, lost: 0 });
}

#[test]
fn an_entry_waits_only_for_a_moment_unless_somebody_is_busy() {
    let mut scene = Scene::new(Selection::default(), 4);
    let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
    assert_eq!(scene.recorder.poll_timeout(), None);
    scene.send(0, at(1).as_nanos(), &frame(ALL, A, 60), VnetHeader::default());
    assert_eq!(scene.recorder.poll_timeout(), Some(at(6)));
    scene.recorder.round(at(5));
    assert!(scene.drain.chunks().is_empty());
    scene.recorder.round(at(6));
    assert_eq!((scene.drain.chunks().len(), scene.recorder.poll_timeout()), (1, None));
    scene.send(0, at(7).as_nanos(), &frame(ALL, A, 60), VnetHeader::default());
    scene.recorder.round(at(12));
    assert_eq!((scene.drain.chunks().len(), scene.recorder.poll_timeout()), (1, Some(at(17))));
}

#[test]
fn a_ring_forgets_the_oldest_and_begins_with_a_state() {
    let ring = Ring::new(Duration::from_secs(8), 16 * CHUNK);
    let (mut plane, mut recorder) = (plane(), Recorder::new(Selection::default(), ring, Vec::new(), Instant::ZERO));
    let mut second = |second: u64, count: usize, recorder: &mut Recorder<Ring>| {
        let now = Instant::from_secs(second);
        for _ in 0..count {
            let buffer = Arc::new(Buffer::holding(&frame(ALL, A, 60_000), VnetHeader::default()));
            plane.forward_watched(PortId(0), &buffer, now, recorder);
            plane.flush_watched(recorder);
        }
        if recorder.round(now) {
            let state = plane.start_state(now);
            recorder.start(state, now);
        }
    };
    (0..20).for_each(|now| second(now, 1, &mut recorder));
    let saved = recorder.sink().save();
    let begins = |saved: &Saved| saved.start().map(|(bridges, at)| (bridges.len(), at));
    // Its segments begin at the ends of seconds.
    assert_eq!(begins(&saved), Some((1, Instant::from_secs(11))));
    let times = |saved: &Saved| {
        let entries = saved.chunks().flat_map(decode).collect::<Vec<_>>();
        entries.iter().map(|entry| entry.at().as_nanos() / 1_000_000_000).collect::<Vec<_>>()
    };
    assert_eq!(times(&saved), (12..20).collect::<Vec<_>>());

    // More than there is room for: sixteen chunks of four, the last of each segment not full.
    (0..70).for_each(|_| second(21, 1, &mut recorder));
    let full = recorder.sink().save();
    let kept = times(&full);
    assert!(kept.len() <= 64 && kept.len() >= 36, "what is left is {}", kept.len());
    assert_eq!(begins(&full), Some((1, Instant::from_secs(21))));
    // What was saved before stays as it was.
    assert_eq!(times(&saved), (12..20).collect::<Vec<_>>());
}

fn as_frame(entry: &Entry) -> Option<&FrameIn> {
    match entry {
        Entry::Frame(frame) => Some(frame),
        _ => None,
    }
}

fn decode(mut chunk: &[u8]) -> Vec<Entry> {
    let mut decoder = Decoder::new();
    std::iter::from_fn(|| decoder.next(&mut chunk).cloned()).collect()
}

/// Three ports of a bridge, and a recorder at a tube.
struct Scene {
    plane: Dataplane<Fake>,
    recorder: Recorder<Tube>,
    drain: Drain,
}

impl Scene {
    fn new(selection: Selection, chunks: usize) -> Self {
        let (tube, drain) = tube(chunks);
        Scene { plane: plane(), recorder: Recorder::new(selection, tube, Vec::new(), Instant::ZERO), drain }
    }

    fn plug(&mut self, port: u16) {
        let (bridge, config, link) = (BridgeId(0), PortConfig::default(), Fake::default());
        let plug = Control::Plug { bridge, port: PortId(port), config, link };
        self.plane.control_watched(plug, self.recorder.now(), &mut self.recorder).unwrap();
    }

    fn answer(&mut self, port: u16, answers: &[Transmit]) {
        self.plane.link_mut(PortId(port)).unwrap().answers.extend(answers);
    }

    fn send(&mut self, port: u16, now: u64, bytes: &[u8], vnet: VnetHeader) {
        let buffer = Arc::new(Buffer::holding(bytes, vnet));
        self.plane.forward_watched(PortId(port), &buffer, Instant::from_nanos(now), &mut self.recorder);
        self.plane.flush_watched(&mut self.recorder);
    }

    /// All that has come since the last time.
    fn entries(&mut self) -> Vec<Entry> {
        self.recorder.sink();
        let mut entries = Vec::new();
        while let Ok(chunk) = self.drain.chunks().try_recv() {
            entries.extend(decode(&chunk));
            self.drain.give_back(chunk);
        }
        entries
    }
}

fn plane() -> Dataplane<Fake> {
    let mut plane = Dataplane::new(Settings::default());
    let (bridge, config) = (BridgeId(0), Config::default());
    plane.control(Control::AddBridge { bridge, name: "net".to_owned(), config }, Instant::ZERO).unwrap();
    for port in 0..3 {
        let config = PortConfig { name: format!("port{port}"), mtu: 65_535, ..PortConfig::default() };
        let plug = Control::Plug { bridge, port: PortId(port), config, link: Fake::default() };
        plane.control(plug, Instant::ZERO).unwrap();
    }
    plane
}

/// A link that answers as it was told.
#[derive(Debug, Default)]
struct Fake {
    answers: VecDeque<Transmit>,
    results: Vec<Transmit>,
}

impl Link for Fake {
    fn receive(&mut self, _: &mut Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        Received::WouldBlock
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        self.answers.pop_front().unwrap_or(Transmit::Sent)
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        results.append(&mut self.results);
    }
}

fn frame(destination: [u8; 6], source: [u8; 6], len: usize) -> Vec<u8> {
    let mut frame = [&destination[..], &source, &[0x88, 0xb5]].concat();
    frame.resize(len, 0x55);
    frame
}
