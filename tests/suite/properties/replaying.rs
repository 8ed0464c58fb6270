//! What was recorded is replayed without a difference, whatever the links answer; and a switch that has changed is seen.

use std::sync::Arc;
use std::time::Duration;

use capture::recorder::{Decoder, Recorder, Selection, tube};
use capture::recording::{Reader, Scope, Start, Writer};
use capture::replay::{Replay, Step};
use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use switch::buffer::{Buffer, Pool};
use switch::dataplane::{BridgeId, BridgeStart, BridgeStatistics, Control, Dataplane, Settings};
use switch::fdb::EntryKind;
use switch::forward;
use switch::link::{Link, Received, Transmit};
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::Retag;
use switch::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

use super::plan::{Event, Plan, bytes_of, follow};
use super::{AGEING, KNOWN, holds};

const BRIDGE: BridgeId = BridgeId(1);

/// What is done to a data plane before each entry.
type Sabotage = fn(&mut Replay);

/// A link that does all that a link may do, in turn.
#[derive(Debug, Default)]
struct Fickle {
    arriving: Option<(Vec<u8>, VnetHeader)>,
    copies: u64,
    queued: u64,
}

impl Link for Fickle {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, _limit: usize) -> Received {
        let Some((frame, vnet)) = self.arriving.take() else { return Received::Down };
        let mut shared = pool.take().expect("one at a time");
        let buffer = Arc::get_mut(&mut shared).expect("nobody else has it");
        buffer.room()[..frame.len()].copy_from_slice(&frame);
        buffer.set_len(frame.len());
        buffer.set_vnet(vnet);
        into.push(shared);
        Received::WouldBlock
    }

    fn transmit(&mut self, _frame: &Arc<Buffer>, _retag: Retag) -> Transmit {
        self.copies += 1;
        let answers = [
            Transmit::Sent,
            Transmit::Queued,
            Transmit::Full,
            Transmit::Queued,
            Transmit::Sent,
            Transmit::Refused,
            Transmit::NotSegmentable,
            Transmit::Queued,
        ];
        let answer = if self.copies == 23 { Transmit::Down } else { answers[(self.copies % 8) as usize] };
        self.queued += u64::from(answer == Transmit::Queued);
        answer
    }

    /// Answers for all but the latest; the second of them stands for a link that ends.
    fn flush(&mut self, results: &mut Vec<Transmit>) {
        let known = self.queued.saturating_sub(1);
        self.queued -= known;
        results.extend((0..known).map(|at| if at == 1 { Transmit::Down } else { Transmit::Full }));
    }
}

pub(super) fn what_was_recorded_is_replayed_without_a_difference() -> Result<(), Failed> {
    holds(&(Plan::either(), prop_oneof![Just(0), 1..40_usize]), |(plan, pause)| {
        let (file, left, counted) = recorded(&plan, pause)?;
        let mut replay = replayed(&file, |_| {})?.map_err(TestCaseError::fail)?;
        let at = Instant::from_secs(1 << 20);
        prop_assert_eq!(timeless(replay.dataplane_mut().start_state(at)), timeless(left));
        // (What was counted before is in no recording.)
        if pause == 0 {
            prop_assert_eq!(replay.dataplane().statistics(), counted);
        }
        Ok(())
    })
}

pub(super) fn a_switch_that_has_changed_is_seen_by_a_replay() -> Result<(), Failed> {
    let sabotages: [(&str, Sabotage); 2] = [
        ("forgets whom it has heard", |replay| {
            let plane = replay.dataplane_mut();
            let ports: Vec<PortId> = plane.ports().collect();
            let switch = plane.switch_mut(BRIDGE).expect("it is there");
            ports.into_iter().for_each(|port| switch.fdb_mut().flush_port(port));
        }),
        ("loses a port", |replay| {
            let third = replay.dataplane().ports().nth(2);
            if let Some(port) = third {
                replay.dataplane_mut().switch_mut(BRIDGE).expect("it is there").unplug(port);
            }
        }),
    ];
    for (what, sabotage) in sabotages {
        let config = Config { rng_seed: RngSeed::Fixed(KNOWN[0]), failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&Plan::any(false), |plan| {
            let (file, ..) = recorded(&plan, 0)?;
            replayed(&file, sabotage)?.map(drop).map_err(TestCaseError::fail)
        });
        if !matches!(outcome, Err(TestError::Fail(..))) {
            return Err(format!("a switch that {what} is not seen").into());
        }
    }
    Ok(())
}

/// What a recording is compared with: the file, how the data plane was left, and what it had counted.
type Recorded = (Vec<u8>, Vec<BridgeStart>, Vec<BridgeStatistics>);

/// Makes a frame one of TCP over IPv4; where the TCP header begins.
fn tcp_in_ipv4(bytes: &mut [u8]) -> u16 {
    let at = if bytes[12..14] == [0x81, 0x00] { 18 } else { 14 };
    bytes[at - 2..at + 1].copy_from_slice(&[0x08, 0x00, 0x45]);
    bytes[at + 6..at + 10].copy_from_slice(&[0, 0, 64, 6]);
    bytes[at + 32] = 5 << 4;
    at as u16 + 20
}

/// Carries out a plan, and records it from its `pause`th event on.
fn recorded(plan: &Plan, pause: usize) -> Result<Recorded, TestCaseError> {
    let vlan_filtering = plan.vlan_filtering;
    let config = forward::Config { ageing: AGEING, vlan_filtering, ..forward::Config::default() };
    let mut plane: Dataplane<Fickle> = Dataplane::new(Settings { batch: 4, buffers: 4 });
    let add = Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config };
    plane.control(add, Instant::ZERO).expect("it is the first");
    let (tube, drain) = tube(64);
    let mut tube = Some(tube);
    let mut recorder = None;
    let mut begun = None;
    let (mut count, mut now) = (0, Instant::ZERO);
    let mut begin = |plane: &mut Dataplane<Fickle>, now| {
        let bridges = plane.start_state(now);
        begun = Some((bridges, now));
        Recorder::new(Selection::default(), tube.take().expect("once"), Vec::new(), now)
    };
    follow(plan, |event| {
        count += 1;
        if count > pause && recorder.is_none() {
            recorder = Some(begin(&mut plane, now));
        }
        let mut nobody = ();
        let mut step = |watch: &mut dyn FnMut(&mut Dataplane<Fickle>)| watch(&mut plane);
        match (event, &mut recorder) {
            (Event::Plug(port, config, at), recorder) => {
                now = at;
                let plug = Control::Plug { bridge: BRIDGE, port, config, link: Fickle::default() };
                step(&mut |plane| {
                    let plug = plug.with_link(|_| Fickle::default());
                    let _ = match recorder {
                        Some(recorder) => plane.control_watched(plug, at, recorder),
                        None => plane.control_watched(plug, at, &mut nobody),
                    };
                });
            }
            (Event::Unplug(port), recorder) => step(&mut |plane| {
                let _ = match recorder {
                    Some(recorder) => plane.control_watched(Control::Unplug { port }, now, recorder),
                    None => plane.control(Control::Unplug { port }, now),
                };
            }),
            (Event::Wait(at), recorder) => {
                now = at;
                step(&mut |plane| match recorder {
                    Some(recorder) => plane.handle_timeout_watched(at, recorder),
                    None => plane.handle_timeout(at),
                });
            }
            (Event::Send { port, from, to, tag, now: at }, recorder) => {
                now = at;
                let mut bytes = bytes_of(to, from, tag);
                let mut vnet = VnetHeader::default();
                match count % 11 {
                    3 => bytes.truncate(count % 17),
                    5 => {
                        bytes.resize(9000, 0x55);
                        let start = tcp_in_ipv4(&mut bytes);
                        vnet = VnetHeader {
                            flags: NEEDS_CSUM,
                            gso_type: GSO_TCPV4,
                            gso_size: 700,
                            csum_start: start,
                            csum_offset: 16,
                            ..vnet
                        };
                    }
                    // A lie.
                    8 => vnet.gso_type = GSO_TCPV4,
                    _ => {}
                }
                // (One that has nothing has ended, by and by.)
                let frame = (count % 29 != 7).then_some((bytes, vnet));
                step(&mut |plane| {
                    let Some(link) = plane.link_mut(port) else { return };
                    link.arriving = frame.clone();
                    match recorder {
                        Some(recorder) => plane.service_watched(port, at, recorder),
                        None => plane.service(port, at),
                    };
                    while plane.poll_event().is_some() {}
                });
            }
        }
        Ok(())
    })?;
    let recorder = match recorder {
        Some(recorder) => recorder,
        None => begin(&mut plane, now),
    };
    let end = recorder.finish();
    assert_eq!(end.tally.lost, 0, "there is room");
    let (bridges, at) = begun.expect("it has begun");
    let nothing = String::new;
    let start = Start {
        application: nothing(),
        os: nothing(),
        hardware: nothing(),
        at,
        origin: 1_700_000_000_000_000_000,
        snaplen: 0,
        scope: Scope::Everything,
        bridges,
    };
    let mut writer = Writer::new(Vec::new(), &start).expect("memory takes it");
    let mut decoder = Decoder::new();
    while let Ok(chunk) = drain.chunks().try_recv() {
        let mut chunk = &chunk[..];
        while let Some(entry) = decoder.next(&mut chunk) {
            writer.entry(entry).expect("memory takes it");
        }
    }
    let file = writer.finish(end.at).expect("memory takes it");
    let left = plane.start_state(Instant::from_secs(1 << 20));
    Ok((file, left, plane.statistics()))
}

/// Without the ages of entries that do not age: nothing is decided by them, and a snapshot keeps them no longer than the ageing time.
fn timeless(mut bridges: Vec<BridgeStart>) -> Vec<BridgeStart> {
    let entries = bridges.iter_mut().flat_map(|bridge| &mut bridge.switch.fdb.entries);
    entries.filter(|entry| entry.kind == EntryKind::Static).for_each(|entry| entry.age = Duration::ZERO);
    bridges
}

/// Replays a file, and does something to the data plane before each entry; the first difference, in words, if there is one.
fn replayed(file: &[u8], mut before: impl FnMut(&mut Replay)) -> Result<Result<Replay, String>, TestCaseError> {
    let fail = |why: &dyn std::fmt::Display| TestCaseError::fail(why.to_string());
    let reader = Reader::new(file).map_err(|why| fail(&why))?;
    let mut replay = Replay::begin(reader.start()).map_err(|why| fail(&why))?;
    for entry in reader {
        before(&mut replay);
        match replay.step(&entry.map_err(|why| fail(&why))?).map_err(|why| fail(&why))? {
            Step::Same => {}
            Step::Differs(difference) => return Ok(Err(format!("{difference:?}"))),
        }
    }
    Ok(Ok(replay))
}
