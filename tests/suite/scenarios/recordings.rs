//! What comes to the switch is recorded with what it decides; a switch that is given the same decides the same.

use capture::recording::{Entry, FrameIn, Outcome, Recording, in_words};
use capture::replay::{Replay, Step};
use switch::dataplane::Control;
use switch::fdb::EntryKind;
use switch::link::Transmit;
use switch::mac::MacAddr;
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::Retag;

use super::scenarios;
use crate::frames::{EXPERIMENTAL, ethernet, pattern};
use crate::lab::{
    Lab, NetworkOrder, Place, assert_all_reach_each_other, create, ip_of, mac_of, ports, run_all, sorted, station,
};

scenarios![
    a_recording_has_each_frame_with_its_decision_and_its_copies,
    a_recording_of_containers_that_come_and_go_is_replayed_without_a_difference,
];

fn a_recording_has_each_frame_with_its_decision_and_its_copies(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b"]);
    let (a, to) = (mac_of(lab, "a"), ip_of(lab, "b"));
    // From now on they know each other, and the switch knows them.
    assert!(lab.ping(Place::In("a"), to, 56));
    let injected = [
        ethernet(station("01:80:c2:00:00:0e"), a, EXPERIMENTAL, &pattern(60)),
        ethernet(a, a, EXPERIMENTAL, &pattern(61)),
        ethernet(MacAddr::BROADCAST, a, EXPERIMENTAL, &pattern(62)),
    ];
    let ear = lab.sniff(Place::In("b"), "eth0");
    let file = lab.record(&mut |lab| {
        assert!(lab.ping(Place::In("a"), to, 56));
        injected.iter().for_each(|frame| lab.inject(Place::In("a"), "eth0", frame));
        lab.heard_until(ear, &injected[2]);
    });
    let recording = replayed(&file).0;
    let frames = || recording.entries.iter().filter_map(frame);
    let echoes = frames().filter(|frame| frame.bytes[12..14] == [8, 0] && frame.bytes[23] == 1);
    let ours = frames().filter(|frame| frame.bytes[12..14] == EXPERIMENTAL.to_be_bytes());
    let sent = Outcome::Offered { retag: Retag::Keep, answer: Transmit::Sent };
    let told = |from: &str, decision: &str, to: &[&str]| Told {
        ingress: from.to_owned(),
        decision: decision.to_owned(),
        copies: to.iter().map(|port| ((*port).to_owned(), sent)).collect(),
    };
    assert_eq!(
        echoes.map(|frame| tell(&recording, frame)).collect::<Vec<_>>(),
        [told("a.eth0", "unicast to b.eth0", &["b.eth0"]), told("b.eth0", "unicast to a.eth0", &["a.eth0"])],
    );
    assert_eq!(
        ours.clone().map(|frame| tell(&recording, frame)).collect::<Vec<_>>(),
        [
            told("a.eth0", "drop: reserved_destination", &[]),
            told("a.eth0", "drop: hairpin", &[]),
            told("a.eth0", "flood to pontoon0, b.eth0", &["pontoon0", "b.eth0"]),
        ],
    );
    assert_eq!(ours.map(|frame| frame.bytes.clone()).collect::<Vec<_>>(), injected, "byte by byte");
}

fn a_recording_of_containers_that_come_and_go_is_replayed_without_a_difference(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b"]);
    let (a, to) = (mac_of(lab, "a"), ip_of(lab, "b"));
    let file = lab.record(&mut |lab| {
        run_all(lab, &["c"]);
        assert_all_reach_each_other(lab, &["a", "b", "c"]);
        let there = lab.transfer(Place::In("a"), Place::In("b"), to, 1_000_000);
        assert_eq!(there.sent, there.received);
        lab.inject(Place::In("a"), "eth0", &ethernet(a, a, EXPERIMENTAL, b"nobody needs to tell me"));
        create(lab, NetworkOrder::new("second"));
        lab.connect_network("second", "a", None).expect("nothing speaks against it");
        lab.rm("c", true).expect("it goes");
        lab.eventually("c's port goes", &mut |lab| !ports(lab).contains(&"c.eth0".to_owned()));
    });
    let (recording, replay) = replayed(&file);
    let came = recording.entries.iter().filter_map(|entry| match entry {
        Entry::Control { control: Control::Plug { config, .. }, made: true, .. } => Some(config.name.as_str()),
        _ => None,
    });
    assert_eq!(came.filter(|name| *name == "c.eth0").count(), 1);
    // In the end the two switches are the same, too.
    let bridges = replay.dataplane().statistics().into_iter().map(|bridge| {
        let all = bridge.ports.into_iter().filter(|port| !port.is_local);
        (bridge.name, sorted(all.map(|port| port.name).collect()))
    });
    let expected = lab.bridges().into_iter().map(|bridge| (bridge.name, sorted(bridge.interfaces)));
    assert_eq!(bridges.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let at = recording.entries.last().map_or(Instant::ZERO, Entry::at);
    let rows = replay.dataplane().fdb(at).into_iter();
    let mut stations: Vec<_> = rows.map(|row| (row.name, row.station, row.kind == EntryKind::Static)).collect();
    let mut expected: Vec<_> = lab.fdb().into_iter().map(|row| (row.port, row.mac, row.is_permanent)).collect();
    stations.sort_unstable();
    expected.sort_unstable();
    assert_eq!(stations, expected);
}

/// A frame of a recording, with the ports by their names.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    ingress: String,
    decision: String,
    copies: Vec<(String, Outcome)>,
}

fn tell(recording: &Recording, frame: &FrameIn) -> Told {
    let all = || recording.start.bridges.iter().flat_map(|bridge| &bridge.switch.ports);
    let name = |port: PortId| all().find(|(known, _)| *known == port).map_or("?", |(_, config)| &config.name);
    let mut decision = String::new();
    in_words(&mut decision, &frame.verdict, |into, port| into.push_str(name(port)));
    let copies = frame.copies.iter().map(|copy| (name(copy.egress).to_owned(), copy.outcome)).collect();
    Told { ingress: name(frame.port).to_owned(), decision, copies }
}

fn frame(entry: &Entry) -> Option<&FrameIn> {
    if let Entry::Frame(frame) = entry { Some(frame) } else { None }
}

/// What a file has, given to a switch, which does the same with it.
fn replayed(file: &[u8]) -> (Recording, Replay) {
    let recording = Recording::read(file).expect("it is a whole recording");
    let mut replay = Replay::begin(&recording.start).expect("it can be replayed");
    for entry in &recording.entries {
        assert_eq!(replay.step(entry), Ok(Step::Same));
    }
    (recording, replay)
}
