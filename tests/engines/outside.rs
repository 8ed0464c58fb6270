//! [`Outside`]: what is behind the host's uplink: a machine with a name server and a server that tells who asks.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};

use crate::host::waited_for;
use crate::said::{Said, run};

/// The host's address on its uplink (RFC 5737).
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The machine behind it: a server on port 80, and one for names.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// A namespace behind the host's uplink.
pub struct Outside {
    keeper: Child,
}

impl Outside {
    pub fn new() -> Outside {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        let outside = Outside { keeper: unshare.spawn().expect("run unshare") };
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let is_there = || std::fs::read_link(outside.namespace()).is_ok_and(|other| other != own).then_some(());
        assert!(waited_for(is_there).is_some(), "it has a namespace of its own");
        let pid = outside.keeper.id().to_string();
        run(&["ip", "link", "add", "uplink0", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
        run(&["ip", "address", "add", &format!("{HOST}/24"), "dev", "uplink0"]);
        run(&["ip", "link", "set", "uplink0", "up"]);
        run(&["ip", "route", "add", "default", "via", &OUTSIDE.to_string()]);
        outside.runs(&["ip", "link", "set", "lo", "up"]);
        outside.runs(&["ip", "address", "add", &format!("{OUTSIDE}/24"), "dev", "eth0"]);
        outside.runs(&["ip", "link", "set", "eth0", "up"]);
        outside.serve();
        outside
    }

    /// The process that stands for it.
    pub fn pid(&self) -> u32 {
        self.keeper.id()
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.id())
    }

    /// Runs a command there, which succeeds; what it prints.
    pub fn runs(&self, words: &[&str]) -> String {
        let net = format!("--net={}", self.namespace());
        run(&[&["nsenter", &net, "--"], words].concat())
    }

    /// Runs a command there.
    pub fn tries(&self, words: &[&str]) -> Said {
        let net = format!("--net={}", self.namespace());
        Said::by(Command::new("nsenter").args([&net, "--"]).args(words))
    }

    /// Whoever connects to port 80 is told his address. Whoever asks for the address of a name
    /// that ends in `example` is told that it is [`OUTSIDE`]; there are no other names.
    fn serve(&self) {
        let namespace = File::open(self.namespace()).expect("open a namespace");
        let sockets = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter a namespace");
            let tells = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).expect("bind");
            (tells, UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).expect("bind"))
        });
        let (tells, names) = sockets.join().expect("the sockets");
        std::thread::spawn(move || {
            for mut stream in tells.incoming().flatten() {
                let Ok(peer) = stream.peer_addr() else { continue };
                // Read first: who closes with something unread resets the connection.
                let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\nyou are {}\n", peer.ip());
            }
        });
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, peer)) = names.recv_from(&mut query) {
                let _ = names.send_to(&answer(&query[..length]), peer);
            }
        });
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// The answer to a question of DNS (RFC 1035, 4.1): the question, and for type A one address.
fn answer(query: &[u8]) -> Vec<u8> {
    const HEADER: usize = 12;
    let Some(name) = query.get(HEADER..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) else {
        return Vec::new();
    };
    let end = HEADER + name + 5;
    let Some(question) = query.get(..end) else { return Vec::new() };
    let is_known = question[..end - 4].ends_with(b"\x07example\0");
    let is_a = is_known && question[end - 4..] == [0, 1, 0, 1];
    // No error, or no such name.
    let code = if is_known { 0 } else { 3 };
    let mut answer = question.to_vec();
    // A response, recursion desired and available; one question, at most one answer.
    answer[2..HEADER].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        // The name of the question, type A, class IN, for a minute.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(OUTSIDE.octets());
    }
    answer
}
