//! Beside Docker: forwarding is dockerd's to switch on, and its chain FORWARD lets our networks' traffic pass, for as long as it must.

use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::json;

use super::docker::dockerd::{NET, Plugin, Sandbox, network};
use super::tests;
use crate::lab::linux::outside::{Outside, nft};
use crate::lab::linux::{Linux, text, waited_for};
use crate::lab::{Lab, OUTSIDE, address};

tests![
    forwarding_is_left_to_dockerd_and_its_chain_lets_our_networks_pass,
    a_passage_that_is_flushed_is_opened_again,
    what_is_flushed_on_the_older_side_is_told_by_the_doctor_and_put_back_by_the_next_container,
];

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// The one that dockerd runs.
fn iptables(words: &[&str]) -> String {
    let output = Command::new("iptables").args(words).output().unwrap_or_else(|why| panic!("run iptables: {why}"));
    assert!(output.status.success(), "iptables {}: {}", words.join(" "), text(&output.stderr));
    text(&output.stdout)
}

/// What dockerd does when it starts on a host that does not forward.
fn start_dockerd() {
    std::fs::write(FORWARD, "1\n").expect("switch forwarding on");
    iptables(&["-P", "FORWARD", "DROP"]);
    iptables(&["-N", "DOCKER-USER"]);
    iptables(&["-I", "FORWARD", "-j", "DOCKER-USER"]);
}

fn container(plugin: &Plugin) -> (Sandbox, String) {
    plugin.call("CreateNetwork", &network());
    plugin.create_endpoint(1, "10.77.0.2/24");
    let joined = plugin.join(1);
    let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name").to_owned();
    let sandbox = Sandbox::new();
    sandbox.take(&source, "eth0", "10.77.0.2/24", Some(Ipv4Addr::new(10, 77, 0, 1)));
    (sandbox, source)
}

fn gone(plugin: &Plugin, sandbox: Sandbox, source: &str) {
    plugin.take_down(1, sandbox, source);
    plugin.call("DeleteNetwork", &json!({"NetworkID": NET}));
}

fn forwarding_is_left_to_dockerd_and_its_chain_lets_our_networks_pass() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    let plugin = Plugin::up(&lab);
    assert_eq!(std::fs::read_to_string(FORWARD).expect("a sysctl"), "0\n");
    start_dockerd();
    let (sandbox, source) = container(&plugin);
    assert!(sandbox.inside().ping(address(OUTSIDE), 56), "{}", iptables(&["-S"]));
    // What an administrator says comes first.
    iptables(&["-I", "DOCKER-USER", "-i", "br-111111111111", "-j", "DROP"]);
    assert!(!sandbox.inside().ping(address(OUTSIDE), 56));
    iptables(&["-D", "DOCKER-USER", "-i", "br-111111111111", "-j", "DROP"]);
    assert!(sandbox.inside().ping(address(OUTSIDE), 56));
    gone(&plugin, sandbox, &source);
    assert!(!iptables(&["-S"]).contains("PONTOON"), "{}", iptables(&["-S"]));
    lab.down();
    // It was dockerd that has switched it on.
    assert_eq!(std::fs::read_to_string(FORWARD).expect("a sysctl"), "1\n");
    drop(outside);
}

fn a_passage_that_is_flushed_is_opened_again() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    let plugin = Plugin::up(&lab);
    start_dockerd();
    let (sandbox, source) = container(&plugin);
    assert!(sandbox.inside().ping(address(OUTSIDE), 56));
    iptables(&["-F", "FORWARD"]);
    let is_open = || iptables(&["-S", "FORWARD"]).contains("-A FORWARD -j PONTOON-0").then_some(());
    assert!(waited_for(is_open).is_some());
    assert!(sandbox.inside().ping(address(OUTSIDE), 56));
    // All of it, as the restart of a firewall's service does; dockerd then writes its own again.
    nft("flush ruleset\n");
    start_dockerd();
    assert!(waited_for(is_open).is_some());
    assert!(waited_for(|| sandbox.inside().ping(address(OUTSIDE), 56).then_some(())).is_some());
    gone(&plugin, sandbox, &source);
    lab.down();
    drop(outside);
}

/// Of a change that iptables-legacy makes the kernel tells nobody.
fn what_is_flushed_on_the_older_side_is_told_by_the_doctor_and_put_back_by_the_next_container() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    // A host on which `iptables` is the older one: for dockerd, and so for us.
    let bin = lab.dir().join("bin");
    std::fs::create_dir(&bin).expect("make a directory");
    for (name, program) in [("iptables", "iptables-legacy"), ("iptables-restore", "iptables-legacy-restore")] {
        std::os::unix::fs::symlink(format!("/usr/sbin/{program}"), bin.join(name)).expect("make a link");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let legacy = |words: &[&str]| {
        let output = Command::new("iptables-legacy").args(words).output().expect("run iptables-legacy");
        assert!(output.status.success(), "iptables-legacy {}: {}", words.join(" "), text(&output.stderr));
        text(&output.stdout)
    };
    let plugin = Plugin::up_with(&lab, &[("PATH", &path)]);
    std::fs::write(FORWARD, "1\n").expect("switch forwarding on");
    for words in [&["-P", "FORWARD", "DROP"][..], &["-N", "DOCKER-USER"], &["-I", "FORWARD", "-j", "DOCKER-USER"]] {
        legacy(words);
    }
    let doctor = || {
        let output = lab.command(&["doctor"]).env("PATH", &path).output().expect("run pontoon");
        text(&output.stdout)
    };
    assert!(!doctor().contains("Docker's rules"), "there is nothing to pass: {}", doctor());
    let (sandbox, source) = container(&plugin);
    assert!(sandbox.inside().ping(address(OUTSIDE), 56));
    let open = "ok    Docker's rules: they let Pontoon's networks of Docker's pass\n";
    assert!(doctor().contains(open), "{}", doctor());

    legacy(&["-F", "FORWARD"]);
    assert!(!sandbox.inside().ping(address(OUTSIDE), 56));
    let shut = "warn  Docker's rules: FORWARD of iptables does not let Pontoon's networks of Docker's pass any more: somebody has \
                removed the rules for it, as `iptables-legacy -F FORWARD` does, of which the kernel tells nobody\n      \
                hint: the next start of a container on one of them puts the rules back; so does the daemon when it starts anew";
    assert!(doctor().contains(shut), "{}", doctor());
    plugin.create_endpoint(2, "10.77.0.3/24");
    plugin.join(2);
    assert!(sandbox.inside().ping(address(OUTSIDE), 56), "{}", legacy(&["-S"]));
    assert!(doctor().contains(open), "{}", doctor());

    legacy(&["-F", "FORWARD"]);
    lab.kill_daemon();
    let plugin = Plugin::up_with(&lab, &[("PATH", &path)]);
    assert!(sandbox.inside().ping(address(OUTSIDE), 56), "{}", legacy(&["-S"]));
    plugin.call("DeleteEndpoint", &super::docker::dockerd::about(2));
    gone(&plugin, sandbox, &source);
    assert!(!legacy(&["-S"]).contains("PONTOON"), "{}", legacy(&["-S"]));
    lab.down();
    drop(outside);
}
