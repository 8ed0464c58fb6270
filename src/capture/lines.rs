//! Frames in lines, for people or as JSON.
//!
//! A line is `TIME PORT DIRECTION FRAME: WHAT`: the time of day in UTC, the port as the switch names it, `in` for what comes into
//! the switch by it and `out` for what leaves; then the decision, or for a copy that leaves, the port that it comes from, or why
//! it does not leave.

use std::io::{BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use capture::describe::describe;
use capture::pcapng::{Block, Blocks, OPTION_COMMENT, PACKET_FLAGS, PacketIn, ReadError};
use serde::Serialize;

use crate::failure::{Failure, cause_of, io as io_failure};

/// How much the pipe has room for, in bytes, if the kernel lets it: an unprivileged user's most.
const PIPE: usize = 1 << 20;
const NANOS: u64 = 1_000_000_000;

/// A packet, as JSON has it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// Seconds since 1970, with nine decimals: more than a number has room for.
    time: String,
    ifname: &'a str,
    direction: &'static str,
    /// In bytes, in truth.
    length: u32,
    frame: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<&'a str>,
}

/// Tells in lines what is written to the pipe that it gives.
///
/// # Errors
/// If there is no pipe or thread to be had.
pub(super) fn tell(json: bool) -> Result<(JoinHandle<Result<(), Failure>>, OwnedFd), Failure> {
    let (ours, theirs) = std::io::pipe().map_err(io_failure("make a pipe"))?;
    let _ = rustix::pipe::fcntl_setpipe_size(&ours, PIPE);
    let print = move || {
        let mut out = std::io::stdout().lock();
        match print(BufReader::with_capacity(1 << 16, ours), &mut out, json) {
            // It has what it wanted.
            Err(Stopped::Print(why)) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(Stopped::Print(why)) => Err(Failure::new(format_args!("print: {}", cause_of(&why)))),
            Err(Stopped::Read(why)) => Err(Failure::new(format_args!("read what was captured: {why}"))),
            Ok(()) => Ok(()),
        }
    };
    let thread = std::thread::Builder::new().name("pontoon-lines".to_owned()).spawn(print);
    Ok((thread.map_err(io_failure("start a thread"))?, theirs.into()))
}

enum Stopped {
    Read(ReadError),
    Print(std::io::Error),
}

fn print(from: BufReader<impl Read>, to: &mut impl Write, json: bool) -> Result<(), Stopped> {
    let mut blocks = Blocks::new(from);
    let mut names: Vec<String> = Vec::new();
    loop {
        let block = match blocks.next() {
            Ok(Some((_, block))) => block,
            // A daemon that was killed has not ended its last one.
            Ok(None) | Err(ReadError::Cut { .. }) => return Ok(()),
            Err(why) => return Err(Stopped::Read(why)),
        };
        match block {
            Block::Section => names.clear(),
            Block::Interface { name, .. } => names.push(name.to_owned()),
            Block::Packet(packet) => {
                let line = line(&packet, &names, json);
                to.write_all(line.as_bytes()).and_then(|()| to.flush()).map_err(Stopped::Print)?;
            }
            Block::Other { .. } => {}
        }
    }
}

fn line(packet: &PacketIn<'_>, names: &[String], json: bool) -> String {
    let name = names.get(packet.interface as usize).map_or("?", String::as_str);
    let flags = packet.options.find(PACKET_FLAGS).and_then(|flags| flags.first().copied()).unwrap_or_default();
    let direction = if flags & 3 == 1 { "in" } else { "out" };
    let comment =
        packet.options.find(OPTION_COMMENT).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    let frame = describe(packet.bytes, packet.len as usize);
    let (seconds, nanos) = (packet.nanos / NANOS, packet.nanos % NANOS);
    if json {
        let drop = comment.strip_prefix("drop: ");
        let told = Told {
            time: format!("{seconds}.{nanos:09}"),
            ifname: name,
            direction,
            length: packet.len,
            frame,
            decision: (direction == "in").then_some(comment),
            drop,
        };
        // (Texts and numbers: there is nothing that could not be written.)
        return serde_json::to_string(&told).unwrap_or_default() + "\n";
    }
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{nanos:09} {name} {direction:<3} {frame}: {comment}\n", seconds % 60)
}

#[cfg(test)]
mod tests {
    use capture::pcapng::{self, Interface, Packet, Section, Way};

    use super::*;

    #[test]
    fn a_frame_is_a_line_and_one_that_is_cut_is_none() {
        let mut file = Vec::new();
        pcapng::section(&mut file, &Section { hardware: "", os: "", application: "" });
        pcapng::interface(&mut file, &Interface { name: "web.eth0", description: "", snaplen: 0, local: &[] });
        let bytes = [&[0xff; 6][..], &[2; 6], &[0x88, 0xb5]].concat();
        let mut packet = Packet {
            interface: 0,
            nanos: 86_400 * NANOS + 3_661 * NANOS + 5,
            way: Way::In,
            bytes: &[&bytes],
            len: 1000,
            dropped: 0,
            comment: "drop: no_egress",
            local: &[],
        };
        pcapng::packet(&mut file, &packet);
        packet.way = Way::Out;
        packet.comment = "from db.eth0";
        pcapng::packet(&mut file, &packet);
        let frame = "02:02:02:02:02:02 > ff:ff:ff:ff:ff:ff, 1000 bytes, EtherType 0x88b5";
        let lines = |file: &[u8], json| {
            let mut lines = Vec::new();
            assert!(print(BufReader::new(file), &mut lines, json).is_ok());
            String::from_utf8(lines).unwrap()
        };
        let words = [
            format!("01:01:01.000000005 web.eth0 in  {frame}: drop: no_egress\n"),
            format!("01:01:01.000000005 web.eth0 out {frame}: from db.eth0\n"),
        ];
        assert_eq!(lines(&file, false), words.concat());
        assert_eq!(lines(&file[..file.len() - 1], false), words[0]);
        let first: serde_json::Value = serde_json::from_str(lines(&file, true).lines().next().unwrap()).unwrap();
        let expected = serde_json::json!({
            "time": "90061.000000005", "ifname": "web.eth0", "direction": "in", "length": 1000, "frame": frame,
            "decision": "drop: no_egress", "drop": "no_egress",
        });
        assert_eq!(first, expected);
    }
}
