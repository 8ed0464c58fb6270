//! What `pontoon doctor` says of networks that name the plugin.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::super::tests;
use super::Runtime;
use crate::lab::Lab;
use crate::lab::linux::{Linux, processes};

tests![the_doctor_tells_what_keeps_a_runtime_from_a_network_of_ours];

/// What is said of CNI, each with its status.
fn said(lab: &Linux, runtime: &Runtime, networks: &Path) -> Vec<(String, String)> {
    let mut doctor = lab.command(&["doctor", "--json"]);
    let output = doctor.env("CNI_PATH", &runtime.bin).env("NETCONFPATH", networks).output().expect("run pontoon");
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let own = findings.iter().filter(|finding| finding["check"] == "CNI");
    let text = |value: &Value| value.as_str().expect("text").replace(&lab.dir().display().to_string(), "[DIR]");
    own.map(|finding| (text(&finding["status"]), text(&finding["finding"]))).collect()
}

fn the_doctor_tells_what_keeps_a_runtime_from_a_network_of_ours() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let networks = lab.dir().join("net.d");
    std::fs::create_dir(&networks).expect("make a directory");
    let write = |plugins: Value| {
        let whole = json!({ "cniVersion": "1.0.0", "name": "web", "plugins": plugins });
        std::fs::write(networks.join("web.conflist"), whole.to_string()).expect("write a network");
    };
    let line = |status: &str, finding: &str| (status.to_owned(), finding.to_owned());
    let there = || line("ok", "[DIR]/bin/pontoon-cni is this version of Pontoon");
    std::fs::write(networks.join("other.conf"), "{ \"type\": \"bridge\" }").expect("write a network");
    let none = line("ok", "no network of a runtime's names `pontoon-cni`");
    assert_eq!(said(&lab, &runtime, &networks), [there(), none]);

    write(json!([runtime.conf, { "type": "portmap" }]));
    let lacks = "[DIR]/net.d/web.conflist names the plugin `portmap` as well, which is in none of [DIR]/bin";
    assert_eq!(said(&lab, &runtime, &networks), [there(), line("warn", lacks)]);
    write(json!([runtime.with("subnets", json!("10.88.0.0/24")).conf]));
    let found = said(&lab, &runtime, &networks);
    assert!(found[1].0 == "warn" && found[1].1.contains("subnets"), "{found:?}");

    write(json!([runtime.conf]));
    let alone = "[DIR]/net.d/web.conflist: network web; no daemon runs, the first container starts one";
    assert_eq!(said(&lab, &runtime, &networks), [there(), line("ok", alone)]);
    assert_eq!(processes::others(), [""; 0], "it starts none");
    lab.up();
    let ready = "[DIR]/net.d/web.conflist: network web can be had from the daemon";
    assert_eq!(said(&lab, &runtime, &networks), [there(), line("ok", ready)]);
    let daemon = Pid::from_raw(lab.daemon_pid().expect("a daemon"));
    kill(daemon, Signal::SIGSTOP).expect("stop it");
    let silent = "[DIR]/net.d/web.conflist: network web: the daemon in [DIR]/run does not answer";
    assert_eq!(said(&lab, &runtime, &networks), [there(), line("warn", silent)]);
    kill(daemon, Signal::SIGCONT).expect("let it go on");

    std::fs::remove_file(runtime.bin.join("pontoon-cni")).expect("remove the plugin");
    let nowhere = line("warn", "`pontoon-cni` is in none of [DIR]/bin, and networks name it");
    assert_eq!(said(&lab, &runtime, &networks), [nowhere, line("ok", ready)]);
    std::os::unix::fs::symlink("/nowhere", runtime.bin.join("pontoon-cni")).expect("make a link");
    let dangling = line("warn", "[DIR]/bin/pontoon-cni: it leads nowhere");
    assert_eq!(said(&lab, &runtime, &networks), [dangling, line("ok", ready)]);
    lab.finish();
}
