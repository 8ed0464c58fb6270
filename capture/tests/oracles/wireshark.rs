//! What Wireshark shows of a recording: all that is meant for people, and nothing that is only for us.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use capture::recording::{BridgeStart, CopyOut, Entry, FrameIn, Outcome, Scope, Start, Writer};
use switch::dataplane::{BridgeId, Control};
use switch::fdb::FdbSnapshot;
use switch::forward::{Config, SwitchSnapshot};
use switch::link::Transmit;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, PortSet, Verdict};
use switch::vlan::{Retag, VlanId};
use switch::vnet::VnetHeader;

const ARP: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0,
    0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
];

pub(crate) fn wireshark_shows_all_that_is_written() {
    let at = |nanos| Instant::from_nanos(nanos);
    let flood = Verdict::Flood { vlan: VlanId::NONE, to: PortSet::new([1, 2, 3].map(PortId).into(), PortId(1)) };
    let sent = Outcome::Offered { retag: Retag::Push(7), answer: Transmit::Sent };
    let copies = vec![
        CopyOut { egress: PortId(2), outcome: sent },
        CopyOut { egress: PortId(3), outcome: Outcome::Dropped(DropReason::ExceedsMtu) },
    ];
    let frame = |nanos, len, verdict, copies| {
        let (at, port, vnet) = (at(nanos), PortId(1), VnetHeader::default());
        Entry::Frame(FrameIn { at, port, vnet, bytes: ARP.to_vec(), len, verdict, copies })
    };
    let config = PortConfig { name: "neu.eth0 ✓".to_owned(), ..PortConfig::default() };
    let plug = Control::Plug { bridge: BridgeId(1), port: PortId(4), config, link: () };
    let unicast = Verdict::Unicast { vlan: VlanId::NONE, egress: PortId(4) };
    let to_new =
        vec![CopyOut { egress: PortId(4), outcome: Outcome::Offered { retag: Retag::Keep, answer: Transmit::Sent } }];
    let entries = [
        Entry::Timeout { at: at(1) },
        frame(2, 42, flood, copies),
        Entry::Results { at: at(3), port: PortId(2), results: vec![Transmit::Refused; 3] },
        Entry::Gap { at: at(4), entries: 12, frames: vec![(PortId(1), 11)] },
        frame(123_456_789, 42, Verdict::Drop(DropReason::Hairpin), vec![]),
        Entry::Control { at: at(200_000_000), control: plug, made: true },
        frame(999_999_999_999, 65_549, unicast, to_new),
        Entry::PortDown { at: at(1_000_000_000_000), port: PortId(1) },
    ];
    let mut writer = Writer::new(Vec::new(), &start()).expect("a vector takes all");
    entries.iter().for_each(|entry| writer.entry(entry).expect("a vector takes all"));
    let file = writer.finish(at(1_000_000_000_001)).expect("a vector takes all");

    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.comment",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.drop_count",
        "arp.dst.proto_ipv4",
        "vlan.id",
        "_ws.malformed",
    ];
    let rows = [
        [
            "web.eth0",
            "0x00000001",
            "flood to db.eth0, log.eth0",
            "1700000000.000000002",
            "42",
            "42",
            "",
            "10.0.0.2",
            "",
            "",
        ],
        ["db.eth0", "0x00000002", "from web.eth0", "1700000000.000000002", "46", "46", "", "10.0.0.2", "7", ""],
        ["log.eth0", "0x00000002", "drop: exceeds_mtu", "1700000000.000000002", "42", "42", "", "10.0.0.2", "", ""],
        ["web.eth0", "0x00000001", "drop: hairpin", "1700000000.123456789", "42", "42", "11", "10.0.0.2", "", ""],
        [
            "web.eth0",
            "0x00000001",
            "unicast to neu.eth0 ✓",
            "1700000999.999999999",
            "65549",
            "42",
            "",
            "10.0.0.2",
            "",
            "",
        ],
        ["neu.eth0 ✓", "0x00000002", "from web.eth0", "1700000999.999999999", "65549", "42", "", "10.0.0.2", "", ""],
    ];
    let expected: Vec<String> = rows.iter().map(|row| row.join("\t")).collect();
    assert_eq!(tshark(&file, &fields), expected);
}

/// A line for each packet.
fn tshark(file: &[u8], fields: &[&str]) -> Vec<String> {
    let mut child = Command::new("tshark")
        .args(["-n", "-r", "-", "-T", "fields"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tshark runs");
    let (mut stdin, file) = (child.stdin.take().expect("it is piped"), file.to_vec());
    let writer = thread::spawn(move || drop(stdin.write_all(&file)));
    let output = child.wait_with_output().expect("tshark ends");
    writer.join().expect("the file is written");
    let said = String::from_utf8_lossy(&output.stderr);
    // (It says so to root, whatever it reads.)
    let warnings: Vec<&str> =
        said.lines().filter(|line| !line.is_empty() && !line.starts_with("Running as user")).collect();
    assert_eq!((output.status.success(), &warnings[..]), (true, &[][..]));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn start() -> Start {
    let names = [(1, "web.eth0"), (2, "db.eth0"), (3, "log.eth0")];
    let port =
        |(port, name): (u16, &str)| (PortId(port), PortConfig { name: name.to_owned(), ..PortConfig::default() });
    let ports = names.into_iter().map(port).collect();
    let switch = SwitchSnapshot { config: Config::default(), ports, fdb: FdbSnapshot::default() };
    Start {
        application: "pontoon 0.0.0".to_owned(),
        os: "Linux".to_owned(),
        hardware: "x86_64".to_owned(),
        at: Instant::ZERO,
        origin: 1_700_000_000_000_000_000,
        snaplen: 0,
        scope: Scope::Everything,
        bridges: vec![BridgeStart { bridge: BridgeId(1), name: "pontoon0".to_owned(), switch, queued: Vec::new() }],
    }
}
