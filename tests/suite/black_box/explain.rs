//! `explain`: frames in every form, the words and the data that come of them, and what is said of bad input.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use serde_json::Value;

use super::{fails, pontoon, prints, tests};
use crate::frames::{EXPERIMENTAL, ethernet};
use crate::lab::linux::Linux;
use crate::lab::{Lab, Place, address, mac_of, run_all, station};

tests![
    explain_tells_each_step_in_words,
    explain_takes_stations_by_name_and_by_address,
    explain_reads_hexadecimal_in_every_notation,
    explain_points_at_what_is_no_hexadecimal,
    explain_finds_a_port_by_its_container,
    explain_reads_pcap_and_pcapng,
    explain_as_json_is_the_steps_as_data,
    explain_tells_what_is_wrong_with_a_capture,
];

const WORDS: &str = "\
60 bytes into web.eth0 of bridge pontoon0
1.   header     02:42:ac:11:00:02 to 02:42:ac:11:00:03, ARP (0x0806), no tag (IEEE 802.3, 3.1.1)
2.   source     02:42:ac:11:00:02 is an address that a station can have
3.   vlan       bridge pontoon0 does not look at tags: all its frames are of one VLAN
4.   learning   02:42:ac:11:00:02 is behind web.eth0, as known; its age starts anew (8.7)
5.   lookup     02:42:ac:11:00:03 is behind db.eth0: last heard 0 s ago (8.8)
6.   egress     which ports get a copy (8.6.4)
   pontoon0 (the host)   out   the destination is behind another port (8.6.3)
   web.eth0              out   the frame came in by it (8.6.1)
   db.eth0               in    as it came, 60 bytes of at most 1514
verdict: unicast to db.eth0
";

/// web and db, who have both been heard.
fn two_that_have_talked() -> Linux {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    assert!(lab.ping(Place::In("web"), address("172.17.0.3"), 56));
    lab
}

/// The text without what differs between runs: how long ago a station was heard.
fn ageless(text: &str) -> String {
    let line = |line: &str| match (line.find("last heard "), line.find(" s ago")) {
        (Some(from), Some(to)) => format!("{}last heard 0{}\n", &line[..from], &line[to..]),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn explain_tells_each_step_in_words() {
    let mut lab = two_that_have_talked();
    let told = prints(&lab, &["explain", "web.eth0", "--from", "web", "--to", "db", "--type", "arp"]);
    assert_eq!(ageless(&told), WORDS);
    let long = prints(&lab, &["explain", "web", "--to", "db", "--length", "1515"]);
    let dropped = "   db.eth0               out   dropped: 1515 bytes are more than the 1514 that its MTU of 1500 allows (6.5.8)\n\
                   hint: both ends of a network need the same MTU, here 1500: `pontoon run --mtu`, `network create --mtu`\n\
                   verdict: unicast to db.eth0, where it is dropped: exceeds_mtu\n";
    assert!(long.ends_with(dropped), "{long}");
    let own = prints(&lab, &["explain", "web", "--to", "web"]);
    assert!(own.ends_with("they talk without the switch\nverdict: dropped: hairpin\n"), "{own}");
    let flooded = prints(&lab, &["explain", "db", "--to", "broadcast", "--vlan", "7"]);
    assert!(flooded.contains(", IPv4 (0x0800), C-tag of VLAN 7 with priority 0 "), "{flooded}");
    assert!(flooded.ends_with("verdict: flooded to pontoon0, web.eth0\n"), "{flooded}");
    let runt = prints(&lab, &["explain", "web", "ff"]);
    let expected = "1 byte into web.eth0 of bridge pontoon0\n\
                    1.   header   too short for an Ethernet header of 14 bytes (IEEE 802.3, 3.1.1)\n\
                    hint: is the frame whole? It begins with the destination's address\n\
                    verdict: dropped: runt\n";
    assert_eq!(runt, expected);
    assert_eq!(prints(&lab, &["stats", "--check"]), "");
    lab.finish();
}

fn explain_takes_stations_by_name_and_by_address() {
    let mut lab = two_that_have_talked();
    let verdict = |arguments: &[&str]| {
        let told = prints(&lab, &[&["explain"], arguments].concat());
        told.lines().last().unwrap_or_default().to_owned()
    };
    for db in ["db", "172.17.0.3", "02:42:ac:11:00:03", "02-42-AC-11-00-03"] {
        assert_eq!(verdict(&["web", "--to", db]), "verdict: unicast to db.eth0", "{db}");
        assert_eq!(verdict(&["pontoon0", "--to", db]), "verdict: unicast to db.eth0", "{db}");
    }
    for host in ["pontoon0", "172.17.0.1"] {
        assert_eq!(verdict(&["web", "--to", host]), "verdict: to the host, by pontoon0", "{host}");
    }
    let hint = "hint: a MAC address is expected, or the name or the address of a container on this network, a bridge's name, \
                or broadcast\n";
    let refused = |option: &str, wanted: &str| format!("pontoon: {option} {wanted}: no such station\n{hint}");
    fails(&lab, &["explain", "web", "--to", "mail"], 1, &refused("--to", "mail"));
    fails(&lab, &["explain", "web", "--to", "db", "--from", "10.0.0.1"], 1, &refused("--from", "10.0.0.1"));
    lab.finish();
}

fn explain_reads_hexadecimal_in_every_notation() {
    let mut lab = two_that_have_talked();
    let frame = [&[2, 0x42, 0xac, 0x11, 0, 3, 2, 0x42, 0xac, 0x11, 0, 2, 8, 6][..], &[0; 46]].concat();
    let byte = |byte: &u8| format!("{byte:02x}");
    let plain: String = frame.iter().map(byte).collect();
    let colons = frame.iter().map(byte).collect::<Vec<_>>().join(":");
    let words: Vec<String> = frame.chunks(2).map(|pair| pair.iter().map(byte).collect()).collect();
    let apart: Vec<&str> = words.iter().map(String::as_str).collect();
    let dump = format!("\t0x0000:  {}\n\t0x0010:  {}\n", apart[..8].join(" "), apart[8..].join(" "));
    let prefixed = format!("0x{plain}");
    for digits in [&[plain.as_str()][..], &[&colons], &[&prefixed], &apart, &[&dump]] {
        assert_eq!(ageless(&prints(&lab, &[&["explain", "web.eth0"], digits].concat())), WORDS, "{digits:?}");
    }
    let file = lab.dir().join("frame.hex");
    fs::write(&file, &dump).expect("write a file");
    let mut reader = lab.command(&["explain", "web.eth0", "-"]);
    reader.stdin(Stdio::from(File::open(&file).expect("open it")));
    let said = super::Said::from(reader.output().expect("pontoon runs"));
    assert_eq!((said.status, ageless(&said.stdout).as_str(), said.stderr.as_str()), (0, WORDS, ""));
    lab.finish();
}

fn explain_points_at_what_is_no_hexadecimal() {
    let mut lab = Linux::new();
    lab.up();
    let wrong = "pontoon: the frame: 'g' is no hexadecimal digit (character 4)\n  ff gg\n     ^\n";
    fails(&lab, &["explain", "pontoon0", "ff", "gg"], 2, wrong);
    let odd = "pontoon: the frame: a byte has two digits, the last has one (character 3)\n  ff1\n    ^\n";
    fails(&lab, &["explain", "pontoon0", "ff1"], 2, odd);
    fails(&lab, &["explain", "pontoon0", " "], 2, "pontoon: the frame: there are no digits\n");
    lab.finish();
}

fn explain_finds_a_port_by_its_container() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    prints(&lab, &["network", "create", "red"]);
    prints(&lab, &["network", "connect", "red", "db"]);
    assert!(prints(&lab, &["explain", "web", "--to", "broadcast"]).starts_with("60 bytes into web.eth0 of "));
    let several = "pontoon: container db has 2 ports\nhint: name one of them: db.eth0, db.eth1\n";
    fails(&lab, &["explain", "db", "--to", "broadcast"], 1, several);
    let none = "pontoon: no such port: mail\nhint: `pontoon show` lists bridges and ports\n";
    fails(&lab, &["explain", "mail", "--to", "broadcast"], 1, none);
    let near = "pontoon: no such port: wbe.eth0\nhint: is it web.eth0? `pontoon show` lists bridges and ports\n";
    fails(&lab, &["explain", "wbe.eth0", "--to", "broadcast"], 1, near);
    lab.finish();
}

/// Two frames: a broadcast, and one of which only 20 bytes of 2,000 were kept.
fn frames(lab: &mut Linux) -> [(Vec<u8>, u32); 2] {
    let (web, db) = (mac_of(lab, "web"), mac_of(lab, "db"));
    let broadcast = ethernet(station("ff:ff:ff:ff:ff:ff"), web, EXPERIMENTAL, b"hello");
    let cut = ethernet(db, web, EXPERIMENTAL, b"began.");
    [(broadcast, 19), (cut, 2000)]
}

fn write_pcap(path: &PathBuf, link: DataLink, frames: &[(Vec<u8>, u32)]) {
    let header = PcapHeader { datalink: link, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(File::create(path).expect("make a file"), header).expect("write a header");
    for (bytes, length) in frames {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, *length, bytes)).expect("write a frame");
    }
}

fn write_pcapng(path: &PathBuf, links: &[DataLink], frames: &[(Vec<u8>, u32)]) {
    let mut writer = PcapNgWriter::new(File::create(path).expect("make a file")).expect("write a header");
    for link in links {
        writer.write_pcapng_block(InterfaceDescriptionBlock::new(*link, 96)).expect("write an interface");
    }
    for (bytes, length) in frames {
        let (interface_id, timestamp, options) = (links.len() as u32 - 1, Duration::ZERO, Vec::new());
        let block = EnhancedPacketBlock { interface_id, timestamp, original_len: *length, data: bytes.into(), options };
        writer.write_pcapng_block(block).expect("write a frame");
    }
}

fn explain_reads_pcap_and_pcapng() {
    let mut lab = two_that_have_talked();
    let frames = frames(&mut lab);
    let [pcap, pcapng] = ["frames.pcap", "frames.pcapng"].map(|name| lab.dir().join(name));
    write_pcap(&pcap, DataLink::ETHERNET, &frames);
    write_pcapng(&pcapng, &[DataLink::ETHERNET], &frames);
    for file in [pcap, pcapng] {
        let file = file.to_str().expect("a path");
        let told = prints(&lab, &["explain", "web", "--pcap", file]);
        let heads: Vec<&str> =
            told.lines().filter(|line| line.starts_with("frame ") || line.starts_with("verdict")).collect();
        assert_eq!(
            heads,
            [
                "frame 1: 19 bytes into web.eth0 of bridge pontoon0",
                "verdict: flooded to pontoon0, db.eth0",
                "frame 2 (20 of its bytes captured, the rest taken for zeros): 2000 bytes into web.eth0 of bridge pontoon0",
                "verdict: unicast to db.eth0, where it is dropped: exceeds_mtu",
            ]
        );
        let second = prints(&lab, &["explain", "web", "--pcap", file, "--frame", "2"]);
        assert!(told.ends_with(&second) || ageless(&told).ends_with(&ageless(&second)), "{second}");
        assert_eq!(second.lines().filter(|line| line.starts_with("frame ")).count(), 1);
        let all: Value = serde_json::from_str(&prints(&lab, &["explain", "-j", "web", "--pcap", file])).expect("JSON");
        let read: Vec<_> = all.as_array().expect("an array").iter().map(|it| (&it["frame"], &it["verdict"])).collect();
        assert_eq!(read, [(&Value::from(1), &Value::from("flood")), (&Value::from(2), &Value::from("unicast"))]);
        let one: Value = serde_json::from_str(&prints(&lab, &["explain", "-j", "web", "--pcap", file, "--frame", "2"]))
            .expect("JSON");
        assert_eq!(one["frame"], 2);
        let none = format!("pontoon: no frame 3 in {file}\nhint: there are 2\n");
        fails(
            &lab,
            &["explain", "web", "--pcap", file, "--frame", "3"],
            1,
            &none.replace(lab.dir().to_str().expect("a path"), "[DIR]"),
        );
    }
    lab.finish();
}

fn explain_as_json_is_the_steps_as_data() {
    let mut lab = two_that_have_talked();
    let told: Value =
        serde_json::from_str(&prints(&lab, &["explain", "web", "--to", "02:00:00:00:00:09", "-j"])).expect("JSON");
    let expected = serde_json::json!({
        "bridge": "pontoon0",
        "port": "web.eth0",
        "steps": [
            {
                "step": "parsed", "destination": "02:00:00:00:00:09", "source": "02:42:ac:11:00:02", "tags": [],
                "ethertype": 2048, "length": 60, "wire_frames": 1, "longest_segment": 60
            },
            { "step": "source", "station": "02:42:ac:11:00:02", "reason": null },
            { "step": "vlan", "vlan": 0, "by": "not_filtering", "reason": null },
            { "step": "learning", "station": "02:42:ac:11:00:02", "result": "refreshed", "stations": 1, "quota": 1024 },
            { "step": "lookup", "station": "02:00:00:00:00:09", "result": "unknown" }
        ],
        "egress": [
            { "port": "pontoon0", "is_local": true, "fate": "leaves", "tag": "keep", "length": 60, "limit": 1514, "mtu": 1500, "frames": 1 },
            { "port": "web.eth0", "is_local": false, "fate": "out", "because": "ingress" },
            { "port": "db.eth0", "is_local": false, "fate": "leaves", "tag": "keep", "length": 60, "limit": 1514, "mtu": 1500, "frames": 1 }
        ],
        "verdict": "flood",
        "to": ["pontoon0", "db.eth0"]
    });
    assert_eq!(told, expected);
    lab.finish();
}

fn explain_tells_what_is_wrong_with_a_capture() {
    let mut lab = two_that_have_talked();
    let frames = frames(&mut lab);
    let path = |name: &str| lab.dir().join(name);
    let explain = |name: &str| {
        let file = path(name);
        pontoon(&lab, &["explain", "web", "--pcap", file.to_str().expect("a path")])
    };
    let complains = |name: &str, stderr: &str| {
        let said = explain(name);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{name}: {}", said.stderr);
        super::looks_like(&lab, &said.stderr, stderr);
    };
    complains("none", "pontoon: open the capture [DIR]/none: No such file or directory\n");
    let ethernet_only = "read the capture [DIR]/NAME: at byte [..]: link type 113, not Ethernet (1)\n\
                         hint: capture on an Ethernet interface, not on `any`\n";
    write_pcap(&path("any.pcap"), DataLink::LINUX_SLL, &frames);
    complains("any.pcap", &format!("pontoon: {}", ethernet_only.replace("NAME", "any.pcap")));
    write_pcapng(&path("any.pcapng"), &[DataLink::ETHERNET, DataLink::LINUX_SLL], &frames);
    complains("any.pcapng", &format!("pontoon: {}", ethernet_only.replace("NAME", "any.pcapng")));
    for (name, bytes) in [("empty", &b""[..]), ("text", b"What is this, a capture for ants?")] {
        fs::write(path(name), bytes).expect("write a file");
        let hint = "hint: `tcpdump -w FILE` and Wireshark write such files\n";
        complains(name, &format!("pontoon: read the capture [DIR]/{name}: it is no capture file\n{hint}"));
    }
    // What is whole is explained, and what follows is told.
    write_pcap(&path("whole.pcap"), DataLink::ETHERNET, &frames);
    write_pcapng(&path("whole.pcapng"), &[DataLink::ETHERNET], &frames);
    for name in ["whole.pcap", "whole.pcapng"] {
        let whole = fs::read(path(name)).expect("it is there");
        let cut = name.replace("whole", "cut");
        fs::write(path(&cut), &whole[..whole.len() - 7]).expect("write a file");
        let said = explain(&cut);
        assert_eq!(said.stdout.lines().filter(|line| line.starts_with("verdict: ")).count(), 1, "{}", said.stdout);
        assert_eq!(said.status, 1);
        super::looks_like(
            &lab,
            &said.stderr,
            &format!("pontoon: read the capture [DIR]/{cut}: it is cut short: what begins at byte [..] is not whole\n"),
        );
    }
    lab.finish();
}
