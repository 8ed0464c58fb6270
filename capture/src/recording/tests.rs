//! What is written, read back by the crate `pcap-file`.

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use switch::dataplane::{BridgeId, Control};
use switch::fdb::FdbSnapshot;
use switch::forward::{Config, SwitchSnapshot};
use switch::link::Transmit;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, PortSet, Verdict};
use switch::vlan::{Retag, VlanId};
use switch::vnet::VnetHeader;

use super::{BridgeStart, CopyOut, Entry, FrameIn, Outcome, Scope, Start, Writer};

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
