//! What is written, read back: by the crate `pcap-file`, and by ourselves.

use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use switch::dataplane::{BridgeId, Control};
use switch::fdb::{EntryKind, FdbEntry, FdbSnapshot};
use switch::forward::{Config, SwitchSnapshot};
use switch::link::Transmit;
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, PortSet, Verdict};
use switch::vlan::{Retag, VlanId};
use switch::vnet::VnetHeader;
use zerocopy::FromBytes;

use proptest::prelude::*;

use super::{BridgeStart, CopyOut, Entry, FrameIn, Outcome, Reader, Recording, RecordingError, Scope, Start, Writer};
use crate::pcapng::{Interface, LOCAL_BLOCK, Packet, ReadError, Section, Way, interface, local, packet, section};

const ORIGIN: u64 = 1_700_000_000_000_000_000;

#[test]
fn a_frame_and_its_copies_are_packets_of_their_ports() {
    let frame = flood(Instant::from_nanos(123));
    let mut writer = Writer::new(Vec::new(), &start(Scope::Everything)).expect("a vector takes all");
    writer.entry(&Entry::Frame(frame.clone())).expect("a vector takes all");
    let file = writer.finish(Instant::from_nanos(999)).expect("a vector takes all");
    let tagged = [&frame.bytes[..12], &[0x81, 0, 0, 7], &frame.bytes[12..]].concat();
    assert_eq!(
        packets(&file),
        [
            ("web.eth0", 123, 1, "flood to db.eth0, log.eth0", frame.bytes.clone(), 65_550),
            ("db.eth0", 123, 2, "from web.eth0", tagged, 65_554),
            ("log.eth0", 123, 2, "drop: exceeds_mtu", frame.bytes, 65_550),
        ]
        .map(|(port, nanos, way, comment, bytes, len)| (port.into(), nanos, way, comment.into(), bytes, len))
    );
}

#[test]
fn a_part_has_the_packets_of_its_ports_and_the_drops_if_only_those_are_asked_for() {
    let part = |ports: &[u16], drops| {
        let ports = ports.iter().copied().map(PortId).collect();
        let start = start(Scope::Part { ports, drops, what: String::new() });
        let mut writer = Writer::new(Vec::new(), &start).expect("a vector takes all");
        writer.entry(&Entry::Frame(flood(Instant::ZERO))).expect("a vector takes all");
        writer.entry(&Entry::Timeout { at: Instant::ZERO }).expect("a vector takes all");
        let file = writer.finish(Instant::ZERO).expect("a vector takes all");
        packets(&file).into_iter().map(|(port, .., comment, _, _)| (port, comment)).collect::<Vec<_>>()
    };
    let rows = |rows: &[(&str, &str)]| rows.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>();
    assert_eq!(part(&[2], false), rows(&[("db.eth0", "from web.eth0")]));
    let dropped = [("web.eth0", "flood to db.eth0, log.eth0"), ("log.eth0", "drop: exceeds_mtu")];
    assert_eq!(part(&[], true), rows(&dropped));
}

#[test]
fn a_port_that_is_plugged_in_later_is_an_interface_of_its_own() {
    let mut writer = Writer::new(Vec::new(), &start(Scope::Everything)).expect("a vector takes all");
    let at = Instant::ZERO;
    let config = PortConfig { name: "new.eth0".to_owned(), ..PortConfig::default() };
    for control in
        [Control::Unplug { port: PortId(1) }, Control::Plug { bridge: BridgeId(1), port: PortId(1), config, link: () }]
    {
        writer.entry(&Entry::Control { at, control, made: true }).expect("a vector takes all");
    }
    writer.entry(&Entry::Frame(flood(at))).expect("a vector takes all");
    let file = writer.finish(at).expect("a vector takes all");
    assert_eq!(packets(&file)[0].0, "new.eth0");
}

#[test]
fn what_comes_by_a_renamed_port_is_that_of_its_new_name() {
    let mut writer = Writer::new(Vec::new(), &start(Scope::Everything)).expect("a vector takes all");
    let at = Instant::ZERO;
    writer.entry(&Entry::Frame(flood(at))).expect("a vector takes all");
    let control = Control::RenamePort { port: PortId(1), name: "shop.eth0".to_owned() };
    writer.entry(&Entry::Control { at, control, made: true }).expect("a vector takes all");
    writer.entry(&Entry::Frame(flood(at))).expect("a vector takes all");
    let file = writer.finish(at).expect("a vector takes all");
    let came: Vec<String> =
        packets(&file).into_iter().filter(|row| row.3.starts_with("flood")).map(|row| row.0).collect();
    assert_eq!(came, ["web.eth0", "shop.eth0"]);
    assert!(packets(&file).iter().any(|row| row.3 == "from shop.eth0"));
}

/// Interface, nanoseconds since the origin, direction, comment, bytes, true length.
type Row = (String, u64, u32, String, Vec<u8>, u32);

fn packets(file: &[u8]) -> Vec<Row> {
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption as Is;
    let mut reader = PcapNgReader::new(file).expect("a pcapng file");
    let (mut interfaces, mut rows) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a whole block") {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    Is::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                interfaces.push(name.expect("a name"));
            }
            Block::EnhancedPacket(packet) => {
                let mut row = (String::new(), 0, 0, String::new(), packet.data.to_vec(), packet.original_len);
                row.0.clone_from(&interfaces[packet.interface_id as usize]);
                row.1 = packet.timestamp.as_nanos() as u64 - ORIGIN;
                for option in &packet.options {
                    match option {
                        EnhancedPacketOption::Flags(flags) => row.2 = *flags,
                        EnhancedPacketOption::Comment(comment) => row.3 = comment.to_string(),
                        _ => {}
                    }
                }
                rows.push(row);
            }
            _ => {}
        }
    }
    rows
}

fn start(scope: Scope) -> Start {
    let names = [(1, "web.eth0"), (2, "db.eth0"), (3, "log.eth0")];
    let port =
        |(port, name): (u16, &str)| (PortId(port), PortConfig { name: name.to_owned(), ..PortConfig::default() });
    let switch = SwitchSnapshot {
        config: Config::default(),
        ports: names.into_iter().map(port).collect(),
        fdb: FdbSnapshot::default(),
    };
    Start {
        application: "pontoon 0.0.0".to_owned(),
        os: "Linux".to_owned(),
        hardware: "x86_64".to_owned(),
        at: Instant::ZERO,
        origin: ORIGIN,
        snaplen: 0,
        scope,
        bridges: vec![BridgeStart { bridge: BridgeId(1), name: "pontoon0".to_owned(), switch, queued: Vec::new() }],
    }
}

/// A super-frame, of which the beginning is kept.
fn flood(at: Instant) -> FrameIn {
    let mut bytes = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    bytes.extend(0..50);
    let members = [1, 2, 3].map(PortId);
    FrameIn {
        at,
        port: PortId(1),
        vnet: VnetHeader { gso_type: 1, gso_size: 1448, ..VnetHeader::default() },
        bytes,
        len: 65_550,
        verdict: Verdict::Flood { vlan: VlanId::NONE, to: PortSet::new(members.into(), PortId(1)) },
        copies: vec![
            CopyOut { egress: PortId(2), outcome: Outcome::Offered { retag: Retag::Push(7), answer: Transmit::Sent } },
            CopyOut { egress: PortId(3), outcome: Outcome::Dropped(DropReason::ExceedsMtu) },
        ],
    }
}

#[test]
fn a_start_of_many_stations_is_in_several_blocks_and_read_as_one() {
    let mut start = start(Scope::Everything);
    let entry = |n: u32| FdbEntry {
        vlan: VlanId::NONE,
        station: MacAddr([2, 0, n.to_be_bytes()[0], n.to_be_bytes()[1], n.to_be_bytes()[2], n.to_be_bytes()[3]]),
        port: PortId(1),
        kind: EntryKind::Dynamic,
        age: Duration::from_nanos(u64::from(n)),
    };
    start.bridges[0].switch.fdb.entries = (0..30_000).map(entry).collect();
    let file = written(&start, &[]);
    assert!(file.len() > 2 << 20, "{} bytes", file.len());
    assert_eq!(Recording::read(&file[..]).unwrap(), Recording { start, entries: vec![] });
}

#[test]
fn a_flood_to_ten_thousand_ports_does_not_fit_an_option_and_is_read_all_the_same() {
    let members: Vec<PortId> = (1..10_000).map(PortId).collect();
    let outcome = Outcome::Offered { retag: Retag::Keep, answer: Transmit::Sent };
    let frame = FrameIn {
        verdict: Verdict::Flood { vlan: VlanId::NONE, to: PortSet::new(members.clone().into(), PortId(1)) },
        copies: members[1..].iter().map(|egress| CopyOut { egress: *egress, outcome }).collect(),
        ..flood(Instant::ZERO)
    };
    let entries = vec![Entry::Frame(frame), Entry::Frame(flood(Instant::ZERO))];
    let start = start(Scope::Everything);
    assert_eq!(Recording::read(&written(&start, &entries)[..]).unwrap(), Recording { start, entries });
}

#[test]
fn a_capture_of_somebody_elses_is_no_recording() {
    let mut theirs = Vec::new();
    section(&mut theirs, &Section { application: "Dumpcap", ..Section::default() });
    let nothing = "it is no recording of Pontoon's: nothing in it tells how the data plane was";
    assert_eq!(Recording::read(&theirs[..]).unwrap_err().to_string(), nothing);
    local(&mut theirs, LOCAL_BLOCK | 1, &[b"theirs"]);
    interface(&mut theirs, &Interface { name: "eth0", ..Interface::default() });
    let (bytes, way) = (&[&[0; 60][..]][..], Way::In);
    let theirs_is = Packet { interface: 0, nanos: 1, way, bytes, len: 60, dropped: 0, comment: "", local: &[] };
    packet(&mut theirs, &theirs_is);
    assert_eq!(Recording::read(&theirs[..]).unwrap_err().to_string(), nothing);
    let text = Recording::read(&b"no capture at all"[..]).unwrap_err().to_string();
    assert_eq!(text, "it is no recording of Pontoon's: it is no pcapng file");
}

#[test]
fn blocks_of_others_in_between_change_nothing() {
    let start = start(Scope::Everything);
    let mut file = written(&start, &[Entry::Timeout { at: Instant::ZERO }]);
    local(&mut file, super::codec::BLOCK, &[b"theirs"]);
    local(&mut file, LOCAL_BLOCK, &[b"pontoon1"]);
    let entries = vec![Entry::Timeout { at: Instant::ZERO }];
    assert_eq!(Recording::read(&file[..]).unwrap(), Recording { start, entries });
}

#[test]
fn what_the_capture_lost_is_told_with_the_next_packet_and_in_the_end() {
    use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption as Counts;
    let at = Instant::from_nanos(5);
    let gap = Entry::Gap { at, entries: 9, frames: vec![(PortId(1), 4), (PortId(2), 2)] };
    let file = written(&start(Scope::Everything), &[gap, Entry::Frame(flood(at)), Entry::Frame(flood(at))]);
    let mut reader = PcapNgReader::new(&file[..]).expect("a pcapng file");
    let (mut dropped, mut counts) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a whole block") {
            Block::EnhancedPacket(packet) => dropped.push(packet.options.iter().find_map(|option| match option {
                EnhancedPacketOption::DropCount(count) => Some(*count),
                _ => None,
            })),
            Block::InterfaceStatistics(statistics) => {
                let count = |option: &Counts<'_>| match option {
                    Counts::IsbIfRecv(count) | Counts::IsbIfDrop(count) => Some(*count),
                    _ => None,
                };
                counts.push(statistics.options.iter().filter_map(count).collect::<Vec<_>>());
            }
            _ => {}
        }
    }
    assert_eq!(dropped, [Some(4), Some(2), None, None, None, None]);
    assert_eq!(counts, [[6, 4], [4, 2], [2, 0]]);
}

fn written(start: &Start, entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), start).expect("a vector takes all");
    entries.iter().for_each(|entry| writer.entry(entry).expect("a vector takes all"));
    writer.finish(Instant::ZERO).expect("a vector takes all")
}

fn port() -> impl Strategy<Value = PortId> {
    (0..6_u16).prop_map(PortId)
}

fn vlan() -> impl Strategy<Value = VlanId> {
    (0..4095_u16).prop_map(|id| VlanId::new(id).unwrap_or(VlanId::NONE))
}

fn reason() -> impl Strategy<Value = DropReason> {
    prop::sample::select(DropReason::ALL.to_vec())
}

fn answer() -> impl Strategy<Value = Transmit> {
    use Transmit::{Down, Full, NotSegmentable, Queued, Refused, Sent};
    prop::sample::select(vec![Sent, Queued, Full, Refused, NotSegmentable, Down])
}

fn retag() -> impl Strategy<Value = Retag> {
    let (push, replace) = (any::<u16>().prop_map(Retag::Push), any::<u16>().prop_map(Retag::Replace));
    prop_oneof![Just(Retag::Keep), push, Just(Retag::Pop), replace]
}

/// Of a frame that came in by this port.
fn verdict(ingress: PortId) -> impl Strategy<Value = Verdict> {
    let flood = (vlan(), prop::collection::btree_set(port(), 0..6));
    prop_oneof![
        (vlan(), port()).prop_map(|(vlan, egress)| Verdict::Unicast { vlan, egress }),
        (vlan(), port()).prop_map(|(vlan, egress)| Verdict::Local { vlan, egress }),
        flood.prop_map(move |(vlan, members)| {
            Verdict::Flood { vlan, to: PortSet::new(members.into_iter().collect(), ingress) }
        }),
        reason().prop_map(Verdict::Drop),
    ]
}

fn frame_in() -> impl Strategy<Value = FrameIn> {
    let outcome = prop_oneof![
        reason().prop_map(Outcome::Dropped),
        (retag(), answer()).prop_map(|(retag, answer)| Outcome::Offered { retag, answer }),
    ];
    let copy = (port(), outcome).prop_map(|(egress, outcome)| CopyOut { egress, outcome });
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let verdict = port().prop_flat_map(|port| (Just(port), verdict(port)));
    let parts = (any::<u64>(), verdict, any::<[u8; 10]>(), bytes, 0..70_000_usize);
    (parts, prop::collection::vec(copy, 0..4)).prop_map(|((at, (port, verdict), vnet, bytes, more), copies)| {
        let (at, vnet) = (Instant::from_nanos(at), VnetHeader::read_from_bytes(&vnet).expect("ten bytes"));
        let len = bytes.len() + more;
        FrameIn { at, port, vnet, bytes, len, verdict, copies }
    })
}

fn control() -> impl Strategy<Value = Control<()>> {
    let bridge = || (0..3_u16).prop_map(BridgeId);
    let station = || any::<[u8; 6]>().prop_map(MacAddr);
    prop_oneof![
        (bridge(), ".{0,9}", any::<u64>()).prop_map(|(bridge, name, hash_seed)| {
            Control::AddBridge { bridge, name, config: Config { hash_seed, ..Config::default() } }
        }),
        bridge().prop_map(|bridge| Control::RemoveBridge { bridge }),
        (bridge(), port(), ".{0,9}", any::<u32>()).prop_map(|(bridge, port, name, mtu)| {
            Control::Plug { bridge, port, config: PortConfig { name, mtu, ..PortConfig::default() }, link: () }
        }),
        port().prop_map(|port| Control::Unplug { port }),
        (port(), ".{0,9}").prop_map(|(port, name)| Control::RenamePort { port, name }),
        (bridge(), vlan(), station(), port()).prop_map(|(bridge, vlan, station, port)| {
            Control::SetStation { bridge, vlan, station, port, kind: EntryKind::Sticky }
        }),
        (bridge(), vlan(), station()).prop_map(|(bridge, vlan, station)| Control::ClearStation {
            bridge,
            vlan,
            station
        }),
        port().prop_map(|port| Control::FlushPort { port }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let at = || any::<u64>().prop_map(Instant::from_nanos);
    let lost = prop::collection::vec((port(), any::<u32>().prop_map(u64::from)), 0..3);
    prop_oneof![
        4 => frame_in().prop_map(Entry::Frame),
        1 => (at(), control(), any::<bool>()).prop_map(|(at, control, made)| Entry::Control { at, control, made }),
        1 => (at(), port(), prop::collection::vec(answer(), 0..9))
            .prop_map(|(at, port, results)| Entry::Results { at, port, results }),
        1 => at().prop_map(|at| Entry::Timeout { at }),
        1 => (at(), port()).prop_map(|(at, port)| Entry::PortDown { at, port }),
        1 => (at(), any::<u64>(), lost).prop_map(|(at, entries, frames)| Entry::Gap { at, entries, frames }),
    ]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(entry(), 0..12)
}

/// What is left of an entry when no more than so many bytes of a frame are kept.
fn cut(entry: &Entry, snaplen: usize) -> Entry {
    match entry {
        Entry::Frame(frame) if snaplen > 0 => {
            let bytes = frame.bytes[..frame.bytes.len().min(snaplen)].to_vec();
            Entry::Frame(FrameIn { bytes, ..frame.clone() })
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in entries(), snaplen in 0..40_u32) {
        let start = Start { snaplen, ..start(Scope::Everything) };
        let read = Recording::read(&written(&start, &entries)[..]).expect("it was written whole");
        let expected: Vec<Entry> = entries.iter().map(|entry| cut(entry, snaplen as usize)).collect();
        prop_assert_eq!(read, Recording { start, entries: expected });
    }

    #[test]
    fn another_program_reads_what_is_written(entries in entries()) {
        let file = written(&start(Scope::Everything), &entries);
        let frames = entries.iter().map(|entry| if let Entry::Frame(frame) = entry { 1 + frame.copies.len() } else { 0 });
        prop_assert_eq!(count(&file), frames.sum::<usize>());
    }

    #[test]
    fn a_file_that_is_cut_gives_what_is_before_and_says_where(entries in entries(), at in any::<prop::sample::Index>()) {
        let file = written(&start(Scope::Everything), &entries);
        let len = at.index(file.len());
        let mut read = Vec::new();
        let cut = match Reader::new(&file[..len]) {
            Ok(reader) => reader.filter_map(|entry| entry.map(|entry| read.push(entry)).err()).next(),
            Err(error) => Some(error),
        };
        prop_assert_eq!(&read[..], &entries[..read.len()]);
        match cut {
            Some(RecordingError::Read(ReadError::Cut { at })) => prop_assert!(at < len as u64),
            // Between two blocks nothing tells that more should come.
            None => {}
            Some(RecordingError::NoRecording(_)) => prop_assert!(read.is_empty()),
            Some(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_file_that_is_spoilt_is_read_or_refused(
        entries in entries(),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
    ) {
        let mut file = written(&start(Scope::Everything), &entries);
        for (at, byte) in spoilt {
            *at.get_mut(&mut file) = byte;
        }
        if let Err(error) = Recording::read(&file[..]) {
            prop_assert!(!error.to_string().is_empty());
        }
        let _ = crate::pcap::Frames::new(&file[..]).map(|frames| frames.count());
    }
}

/// How many packets there are.
fn count(file: &[u8]) -> usize {
    let mut reader = PcapNgReader::new(file).expect("a pcapng file");
    let mut packets = 0;
    while let Some(block) = reader.next_block() {
        packets += usize::from(matches!(block.expect("a whole block"), Block::EnhancedPacket(_)));
    }
    packets
}
