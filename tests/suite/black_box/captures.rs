//! `capture`, the flight recorder and `sim replay`: real frames, read back by other people's programs and by our own switch.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use super::{Said, fails, pontoon, prints, tests};
use crate::lab::linux::capture::Capture;
use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, processes, text};
use crate::lab::{Lab, Place, ip_of, run_all};

tests![
    a_capture_has_each_frame_with_the_decision_and_each_copy,
    a_capture_without_a_file_is_told_in_lines_and_as_json,
    a_capture_ends_after_as_many_frames_as_it_is_to_have,
    a_recording_of_real_traffic_is_replayed_without_a_difference,
    a_capture_that_nobody_reads_loses_its_own_frames_and_the_network_none,
    only_what_was_dropped_is_captured_if_that_is_asked_for,
    what_can_not_be_captured_is_told,
    a_file_that_can_not_be_written_and_a_reader_that_has_gone_end_a_capture_and_nothing_else,
    a_capture_outlives_its_daemon_as_far_as_it_came,
    the_flight_recorder_has_what_was_before_anybody_asked,
];

/// Begins a capture; when this returns, whatever comes is in it.
fn begin(lab: &Linux, arguments: &[&str]) -> Capture {
    Capture::start(lab.command(&[&["capture"], arguments].concat()))
}

/// A packet of a file, as the crate `pcap-file` reads it.
#[derive(Debug)]
struct Packet {
    interface: String,
    is_inbound: bool,
    length: u32,
    bytes: Vec<u8>,
    comment: String,
}

/// The packets of a file, and how many interfaces have statistics at its end.
fn packets(file: &Path) -> (Vec<Packet>, usize) {
    let mut reader = PcapNgReader::new(File::open(file).expect("it is there")).expect("it is pcapng");
    let (mut packets, mut statistics) = (Vec::new(), 0);
    let mut names = Vec::new();
    while let Some(block) = reader.next_block() {
        match block.expect("it is well formed").into_owned() {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                names.push(name.expect("it has a name"));
            }
            Block::EnhancedPacket(packet) => {
                let flags = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Flags(flags) => Some(*flags),
                    _ => None,
                });
                let comment = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                    _ => None,
                });
                packets.push(Packet {
                    interface: names[packet.interface_id as usize].clone(),
                    is_inbound: flags.expect("it has flags") & 3 == 1,
                    length: packet.original_len,
                    bytes: packet.data.to_vec(),
                    comment: comment.expect("it has a comment"),
                });
            }
            Block::InterfaceStatistics(_) => statistics += 1,
            _ => {}
        }
    }
    (packets, statistics)
}

fn file(lab: &Linux, name: &str) -> (PathBuf, String) {
    let path = lab.dir().join(name);
    let text = path.display().to_string();
    (path, text)
}

fn inside(lab: &mut Linux, container: &str) -> Inside {
    Inside::of(lab.pid_of(container))
}

/// So many bytes go from container a to container b by TCP, unharmed.
fn arrives(lab: &mut Linux, to: Ipv4Addr, length: u64) {
    let there = lab.transfer(Place::In("a"), Place::In("b"), to, length);
    assert_eq!(there.sent, there.received);
}

fn replays(lab: &Linux, file: &str) {
    let said = prints(lab, &["sim", "replay", file]);
    assert!(said.ends_with(" controls: no difference\n") && !said.starts_with("0 frames"), "{said}");
}

fn a_capture_has_each_frame_with_the_decision_and_each_copy() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a"]);
    let (path, name) = file(&lab, "all.pcapng");
    let capture = begin(&lab, &["--all", "-w", &name]);
    // A port that comes later.
    run_all(&mut lab, &["b"]);
    let to = ip_of(&mut lab, "b");
    assert!(lab.ping(Place::In("a"), to, 56));
    let said = Said::from(capture.interrupt());
    assert!(said.stderr.ends_with(" frames captured, 0 lost by the capture\n"), "{}", said.stderr);
    assert_eq!((said.status, said.stdout.as_str()), (0, ""));
    let (packets, statistics) = packets(&path);
    assert_eq!(statistics, 3, "pontoon0, a.eth0, b.eth0");
    // (IPv4, ICMP, echo request.)
    let requests: Vec<&Packet> = packets
        .iter()
        .filter(|packet| packet.bytes[12..14] == [8, 0] && packet.bytes[23] == 1 && packet.bytes[34] == 8)
        .collect();
    let told: Vec<_> = requests.iter().map(|it| (it.interface.as_str(), it.is_inbound, it.comment.as_str())).collect();
    assert_eq!(told, [("a.eth0", true, "unicast to b.eth0"), ("b.eth0", false, "from a.eth0")]);
    assert_eq!(requests[0].bytes.len(), requests[0].length as usize);
    replays(&lab, &name);

    // Wireshark's own reader sees the same.
    let fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment"];
    let seen = Command::new("tshark").args(["-r", &name, "-Y", "icmp.type == 8"]).args(fields).output();
    let seen = seen.expect("tshark is there");
    assert_eq!(text(&seen.stdout), "a.eth0\tunicast to b.eth0\nb.eth0\tfrom a.eth0\n", "{}", text(&seen.stderr));
    lab.finish();
}

fn a_capture_without_a_file_is_told_in_lines_and_as_json() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b"]);
    let to = ip_of(&mut lab, "b");
    // A container stands for its ports.
    let words = begin(&lab, &["b", "icmp"]);
    let json = begin(&lab, &["b.eth0", "--json", "icmp"]);
    assert!(lab.ping(Place::In("a"), to, 56));
    let said = Said::from(words.interrupt());
    assert_eq!((said.status, said.stderr.as_str()), (0, "pontoon: 2 frames captured, 0 lost by the capture\n"));
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(" b.eth0 out ") && lines[0].ends_with(": from a.eth0"), "{lines:?}");
    assert!(lines[0].contains("ICMP 172.17.0.2 > 172.17.0.3 echo request"), "{lines:?}");
    assert!(lines[1].contains(" b.eth0 in  ") && lines[1].ends_with(": unicast to a.eth0"), "{lines:?}");
    let said = Said::from(json.interrupt());
    let keys = |line: &str| {
        let told: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        told.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
    };
    let keys: Vec<_> = said.stdout.lines().map(keys).collect();
    let of_both = ["direction", "frame", "ifname", "length", "time"].map(str::to_owned).to_vec();
    let inbound = [&["decision".to_owned()], &of_both[..]].concat();
    assert_eq!(keys, [of_both, inbound]);
    lab.finish();
}

fn a_capture_ends_after_as_many_frames_as_it_is_to_have() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b"]);
    let to = ip_of(&mut lab, "b");
    let (path, name) = file(&lab, "two.pcapng");
    let capture = begin(&lab, &["--all", "-c", "1", "--snaplen", "40", "-w", &name, "icmp"]);
    assert!(lab.ping(Place::In("a"), to, 56));
    let said = Said::from(capture.end());
    assert_eq!((said.status, said.stderr.as_str()), (0, "pontoon: 1 frame captured, 0 lost by the capture\n"));
    let lengths: Vec<_> = packets(&path).0.iter().map(|packet| (packet.bytes.len(), packet.length > 40)).collect();
    assert_eq!(lengths, [(40, true), (40, true)], "as it came in, and as it left");
    let expected = "pontoon: replay [DIR]/two.pcapng: it has only a part of what came to the data plane (icmp)\n\
                    hint: a recording that can be replayed is made by `pontoon capture --all -w FILE`, without a filter\n";
    fails(&lab, &["sim", "replay", &name], 1, expected);
    lab.finish();
}

fn a_recording_of_real_traffic_is_replayed_without_a_difference() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b", "c"]);
    let (path, name) = file(&lab, "busy.pcapng");
    let capture = begin(&lab, &["--all", "--snaplen", "128", "-w", &name]);
    let to = ip_of(&mut lab, "b");
    arrives(&mut lab, to, 20_000_000);
    let from = inside(&mut lab, "a");
    prints(&lab, &["rm", "-f", "c"]);
    run_all(&mut lab, &["d"]);
    prints(&lab, &["network", "create", "second"]);
    prints(&lab, &["network", "connect", "second", "a"]);
    // Nobody has this address: it floods, and nobody answers. And a frame that goes nowhere.
    from.inject("eth0", &[&[2, 0, 0, 0, 0, 9][..], &[2, 0, 0, 0, 0, 8], &[0x88, 0xb5]].concat());
    from.inject("eth0", &[&[2, 0, 0, 0, 0, 8][..], &[2, 0, 0, 0, 0, 8], &[0x88, 0xb5]].concat());
    prints(&lab, &["network", "disconnect", "second", "a"]);
    let said = Said::from(capture.interrupt());
    assert!(said.stderr.ends_with(", 0 lost by the capture\n"), "{}", said.stderr);
    let (packets, _) = packets(&path);
    assert!(packets.iter().any(|packet| packet.length > 1514), "there are super-frames, in their true length");
    assert!(packets.iter().any(|packet| packet.comment == "drop: hairpin"));
    replays(&lab, &name);

    // One that is cut short is replayed as far as it goes.
    let whole = std::fs::read(&path).expect("read it");
    std::fs::write(&path, &whole[..whole.len() * 2 / 3]).expect("write it");
    let said = pontoon(&lab, &["sim", "replay", &name]);
    assert!(said.stdout.ends_with(": no difference\n") && said.stderr.contains(" is cut short at byte "), "{said:?}");
    let said = pontoon(&lab, &["sim", "replay", "--json", &name]);
    let told: serde_json::Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    assert!(told["frames"].as_u64() > Some(0) && told["cut_at"].is_u64() && told["difference"].is_null(), "{told}");
    lab.finish();
}

fn a_capture_that_nobody_reads_loses_its_own_frames_and_the_network_none() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b"]);
    let (unread, writer) = std::io::pipe().expect("make a pipe");
    let mut command = lab.command(&["capture", "--all", "-w", "-"]);
    command.stdout(Stdio::from(writer));
    let capture = Capture::start(command);
    let to = ip_of(&mut lab, "b");
    // Many times what there is room for between the data plane and the reader.
    arrives(&mut lab, to, 200_000_000);
    assert!(lab.ping(Place::In("a"), to, 56), "nobody waits for it");
    prints(&lab, &["stats", "--check"]);
    assert_eq!(prints(&lab, &["stats", "--drops", "--json"]).matches("link_").count(), 0);
    let said = Said::from(capture.interrupt());
    assert_eq!(said.status, 1);
    let lost = said.stderr.split(" captured, ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(lost.is_some_and(|lost| lost > 0), "{}", said.stderr);
    assert!(said.stderr.ends_with("pontoon: write to standard output: its reader does not read\n"), "{}", said.stderr);
    drop(unread);
    lab.finish();
}

fn only_what_was_dropped_is_captured_if_that_is_asked_for() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b"]);
    let to = ip_of(&mut lab, "b");
    let (path, name) = file(&lab, "drops.pcapng");
    let capture = begin(&lab, &["--all", "--drops", "-w", &name]);
    assert!(lab.ping(Place::In("a"), to, 56));
    inside(&mut lab, "a").inject("eth0", &[&[2, 0, 0, 0, 0, 8][..], &[2, 0, 0, 0, 0, 8], &[0x88, 0xb5]].concat());
    let said = lab.pontoon(&["stats", "--check"]);
    assert!(said.status.success());
    let said = Said::from(capture.interrupt());
    assert_eq!((said.status, said.stderr.as_str()), (0, "pontoon: 1 frame captured, 0 lost by the capture\n"));
    let told: Vec<_> = packets(&path).0.into_iter().map(|packet| (packet.interface, packet.comment)).collect();
    assert_eq!(told, [("a.eth0".to_owned(), "drop: hairpin".to_owned())]);
    lab.finish();
}

fn what_can_not_be_captured_is_told() {
    let mut lab = Linux::new();
    fails(&lab, &["capture"], 2, "pontoon: which ports?\nhint: name some, or say --all\n");
    let filter = "pontoon: the filter: 'prt' is no word of a filter; names are not looked up\ntcp prt 80\n    ^^^\n\
                  hint: `pontoon capture --help` has the language; ports come before the filter\n";
    // A filter is read before anybody is asked.
    fails(&lab, &["capture", "--all", "tcp prt 80"], 2, filter);
    lab.up();
    fails(&lab, &["capture", "--all", "tcp", "prt", "80"], 2, filter);
    let hint = "hint: `pontoon show` lists bridges and ports; --all is all of them\n";
    let (path, name) = file(&lab, "none.pcapng");
    fails(&lab, &["capture", "nope.eth0", "-w", &name], 1, &format!("pontoon: no such port: nope.eth0\n{hint}"));
    assert!(!path.exists(), "nothing was made of it");
    let none = "pontoon: there is no flight recorder: nothing of what has happened was kept\n\
                hint: `pontoon up --flight-recorder SECONDS` starts a daemon with one\n";
    fails(&lab, &["capture", "--last"], 1, none);
    std::fs::write(&path, "no capture").expect("write it");
    let said = pontoon(&lab, &["sim", "replay", &name]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{}", said.stderr);
    lab.finish();
}

fn a_file_that_can_not_be_written_and_a_reader_that_has_gone_end_a_capture_and_nothing_else() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b"]);
    let to = ip_of(&mut lab, "b");
    let said = Said::from(begin(&lab, &["--all", "-w", "/dev/full"]).end());
    let full =
        "pontoon: 0 frames captured, 0 lost by the capture\npontoon: write to /dev/full: No space left on device\n";
    assert_eq!((said.status, said.stderr.as_str()), (1, full));

    for arguments in [&["--all", "-w", "-"][..], &["--all"]] {
        let (reader, writer) = std::io::pipe().expect("make a pipe");
        let mut command = lab.command(&[&["capture"], arguments].concat());
        command.stdout(Stdio::from(writer));
        let capture = Capture::start(command);
        drop(reader);
        for _ in 0..2 {
            assert!(lab.ping(Place::In("a"), to, 56));
        }
        let said = Said::from(capture.end());
        assert_eq!(said.status, 0, "{}", said.stderr);
        assert!(said.stderr.ends_with(" lost by the capture\n"), "{}", said.stderr);
    }
    assert!(lab.ping(Place::In("a"), to, 56));
    lab.finish();
}

fn a_capture_outlives_its_daemon_as_far_as_it_came() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["a", "b"]);
    let to = ip_of(&mut lab, "b");
    // One that is asked to end ends its captures.
    let (path, name) = file(&lab, "ended.pcapng");
    let capture = begin(&lab, &["--all", "-w", &name]);
    assert!(lab.ping(Place::In("a"), to, 56));
    let daemon = lab.daemon_pid().expect("it runs");
    kill(Pid::from_raw(daemon), Signal::SIGTERM).expect("send SIGTERM");
    let said = Said::from(capture.end());
    assert!(said.stderr.ends_with(" frames captured, 0 lost by the capture\n"), "{}", said.stderr);
    assert_eq!(packets(&path).1, 3, "it is whole");
    replays(&lab, &name);
    processes::wait_for(daemon);

    lab.up();
    let (path, name) = file(&lab, "killed.pcapng");
    let capture = begin(&lab, &["--all", "-w", &name]);
    assert!(lab.ping(Place::In("a"), to, 56));
    let is_there = |_: &mut dyn Lab| std::fs::metadata(&path).is_ok_and(|file| file.len() > 2_000);
    lab.eventually("some of it is written", &mut |lab| is_there(lab));
    processes::kill_and_wait(lab.daemon_pid().expect("it runs"));
    let said = Said::from(capture.end());
    let gone = "pontoon: the daemon has gone; what it had captured is in the file, which ends where it did\n";
    assert_eq!((said.status, said.stderr.as_str()), (1, gone));
    replays(&lab, &name);
    lab.up();
    lab.finish();
}

fn the_flight_recorder_has_what_was_before_anybody_asked() {
    let mut lab = Linux::new();
    prints(&lab, &["up", "-d", "--flight-recorder", "600"]);
    run_all(&mut lab, &["a", "b"]);
    let to = ip_of(&mut lab, "b");
    assert!(lab.ping(Place::In("a"), to, 56));
    let (path, name) = file(&lab, "last.pcapng");
    let said = pontoon(&lab, &["capture", "--last", "-w", &name]);
    assert_eq!(said.status, 0);
    assert!(said.stderr.contains(" frames of the last "), "{}", said.stderr);
    let echoes =
        packets(&path).0.iter().filter(|packet| packet.bytes[12..14] == [8, 0] && packet.bytes[23] == 1).count();
    assert_eq!(echoes, 4, "in and out, there and back");
    replays(&lab, &name);
    let said = pontoon(&lab, &["capture", "--last", "b.eth0", "icmp"]);
    assert_eq!((said.status, said.stdout.lines().count()), (0, 2), "{}", said.stderr);
    let status = prints(&lab, &["status"]);
    assert!(status.contains("recorder:     asked for 600 s, reaches back "), "{status}");
    assert!(status.contains(" s, has 0 of 64 MiB\n"), "{status}");
    let status: serde_json::Value = lab.json(&["status"]);
    assert_eq!(status["flight_recorder"]["seconds"], 600);
    let pid = lab.daemon_pid().expect("it runs");
    let expected = format!(
        "pontoon: a daemon runs already (pid {pid}); --flight-recorder 5 has no effect on it\n\
         hint: end it first (SIGTERM): its containers go on, and the next daemon takes them over\n"
    );
    let said = pontoon(&lab, &["up", "-d", "--flight-recorder", "5"]);
    assert_eq!((said.status, said.stderr), (1, expected));
    lab.finish();
}
