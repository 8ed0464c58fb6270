//! [`Outside`]: a host behind the host's uplink, which is a namespace, and the host's own firewall.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use super::inside::Inside;
use super::{text, waited_for};
use crate::lab::{HOST, OUTSIDE};

/// A namespace behind the host's uplink.
pub struct Outside {
    keeper: Child,
}

impl Outside {
    pub fn new() -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        let keeper = unshare.spawn().expect("run unshare");
        let pid = keeper.id();
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let is_there =
            || std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|other| other != own).then_some(());
        assert!(waited_for(is_there).is_some(), "it has a namespace of its own");
        let host = Inside::here();
        host.ip(&["link", "add", "uplink0", "type", "veth", "peer", "name", "eth0", "netns", &pid.to_string()]);
        host.ip(&["address", "add", &format!("{HOST}/24"), "dev", "uplink0"]);
        // An IPv6 address would be tentative for a second, and the host would change by itself.
        host.ip(&["link", "set", "uplink0", "addrgenmode", "none"]);
        host.ip(&["link", "set", "uplink0", "up"]);
        let outside = Outside { keeper };
        let there = format!("{OUTSIDE}/24");
        for words in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", &there, "dev", "eth0"],
            &["link", "set", "eth0", "up"],
        ] {
            outside.inside().ip(words);
        }
        outside
    }

    /// What goes on there.
    pub fn inside(&self) -> Inside {
        Inside::of(self.keeper.id().cast_signed())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        // (Who still listens there keeps it, so that it is not waited for.)
        let deleted = Command::new("ip").args(["link", "delete", "uplink0"]).stderr(Stdio::null()).status();
        assert!(deleted.is_ok() || std::thread::panicking(), "the uplink goes with the outside");
        let gone = || std::fs::read_dir("/sys/class/net/uplink0").is_err().then_some(());
        assert!(waited_for(gone).is_some() || std::thread::panicking(), "the uplink goes with the outside");
    }
}

/// Gives the host's firewall something to do.
pub fn nft(script: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("run nft");
    nft.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("write");
    assert!(nft.wait().expect("wait").success(), "{script}");
}

/// The tables that the host's firewall has, a line each.
pub fn tables() -> String {
    let output = Command::new("nft").args(["list", "tables"]).output().expect("run nft");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}
