//! The demo leaves nothing, however it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::tests;
use crate::lab::linux::{Linux, processes, waited_for};
use crate::lab::{Lab, Place};

tests![
    an_interrupted_demo_leaves_nothing,
    a_killed_demo_leaves_nothing,
    a_demo_goes_on_after_a_signal_that_it_was_started_to_ignore,
    a_demo_says_that_all_is_gone_when_it_is,
];

fn an_interrupted_demo_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        for group in [false, true] {
            ends_by(signal, group);
        }
    }
}

fn a_killed_demo_leaves_nothing() {
    ends_by(Signal::SIGKILL, false);
    ends_by(Signal::SIGKILL, true);
}

/// A demo that has started containers is sent this signal, by itself or with its process group, as by Ctrl-C.
fn ends_by(signal: Signal, group: bool) {
    use std::os::unix::process::CommandExt;
    let mut lab = Linux::called(&format!("{signal}-{group}"));
    let temp = lab.dir().join("tmp");
    std::fs::create_dir(&temp).expect("make a directory");
    let interfaces = lab.interfaces(Place::Host);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
    let pontoon = lab.command(&["demo", "--world", "host"]);
    // Whatever whoever started the tests has made them ignore.
    let mut demo = Command::new("env");
    demo.arg("--default-signal=HUP,INT,QUIT,TERM").arg(pontoon.get_program()).args(pontoon.get_args());
    demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = demo.env("TMPDIR", &temp).process_group(0).spawn().expect("run env");
    let mut reader = BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut line = String::new();
    // By then web and monitor run.
    while !line.contains("monitor sees what the host sees") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("read"), 0, "it goes on");
    }
    let pid = demo.id().cast_signed();
    nix::sys::signal::kill(Pid::from_raw(if group { -pid } else { pid }), signal).expect("send a signal");
    assert_eq!(demo.wait().expect("wait").signal(), Some(signal as i32));
    let is_gone = waited_for(|| processes::others().is_empty().then_some(()));
    assert!(is_gone.is_some(), "{signal}: processes are left: {:?}", processes::others());
    let left: Vec<_> = std::fs::read_dir(&temp).expect("read a directory").collect();
    assert!(left.is_empty(), "{signal}: {left:?}");
    assert_eq!(lab.interfaces(Place::Host), interfaces);
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts"), mounts);
    let mut rest = String::new();
    while reader.read_line(&mut rest).expect("read") > 0 {}
    assert!(!rest.contains("is gone again"), "{rest}");
}

fn a_demo_goes_on_after_a_signal_that_it_was_started_to_ignore() {
    let lab = Linux::new();
    let pontoon = lab.command(&["demo", "--world", "host"]);
    let mut demo = Command::new("sh");
    demo.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(pontoon.get_program()).args(pontoon.get_args());
    let mut demo = demo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("run sh");
    let mut lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines().map(|line| line.expect("a line"));
    assert!(lines.any(|line| line.contains("monitor sees what the host sees")));
    nix::sys::signal::kill(Pid::from_raw(demo.id().cast_signed()), Signal::SIGHUP).expect("send a signal");
    assert!(lines.any(|line| line.contains("is gone again")), "it tells its tale to the end");
    assert!(demo.wait().expect("wait").success());
}

fn a_demo_says_that_all_is_gone_when_it_is() {
    let lab = Linux::new();
    let mut demo = lab.command(&["demo", "--world", "host"]).spawn().expect("run pontoon");
    let mut lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
    let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("is gone again")));
    let others: Vec<String> =
        processes::others().into_iter().filter(|line| !line.starts_with(&format!("{} ", demo.id()))).collect();
    assert!(told.is_some() && others.is_empty(), "{others:?}");
    assert!(demo.wait().expect("wait").success());
}
