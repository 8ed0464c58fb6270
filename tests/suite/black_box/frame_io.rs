//! How the daemon reads and writes frames: chosen, told, and done without where the kernel does not let us.

use std::process::{Command, Output};
use std::thread;

use nix::errno::Errno;
use nix::libc::{SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, c_long};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::{fails, prints, tests};
use crate::lab::linux::{Linux, text};
use crate::lab::{Lab, Place, assert_all_reach_each_other, ip_of, run_all};

tests![
    frames_cross_with_epoll,
    frames_cross_with_io_uring,
    where_io_uring_is_forbidden_it_is_done_without,
    another_way_has_no_effect_on_a_daemon_that_runs,
];

fn frames_cross_with_epoll() {
    frames_cross_with("epoll");
}

fn frames_cross_with_io_uring() {
    frames_cross_with("uring");
}

fn frames_cross_with(io: &str) {
    let mut lab = Linux::new();
    prints(&lab, &["up", "--detach", "--io", io]);
    assert!(prints(&lab, &["status"]).contains(&format!("\nio:           {io}\n")));
    run_all(&mut lab, &["web", "db"]);
    assert_all_reach_each_other(&mut lab, &["web", "db"]);
    let web = ip_of(&mut lab, "web");
    assert!(lab.ping(Place::Host, web, 1400));
    let db = ip_of(&mut lab, "db");
    let there = lab.transfer(Place::In("web"), Place::In("db"), db, 1_000_000);
    assert_eq!(there.sent, there.received);
    prints(&lab, &["stats", "--check"]);
    lab.finish();
}

/// Whichever of its calls a sandbox refuses, and how.
fn where_io_uring_is_forbidden_it_is_done_without() {
    let mut lab = Linux::new();
    let refusals = [
        (SYS_io_uring_setup, Errno::EPERM, "Operation not permitted"),
        (SYS_io_uring_setup, Errno::ENOSYS, "Function not implemented"),
        (SYS_io_uring_setup, Errno::ENOMEM, "Cannot allocate memory"),
        (SYS_io_uring_register, Errno::EACCES, "Permission denied"),
        (SYS_io_uring_enter, Errno::EPERM, "Operation not permitted"),
    ];
    for (call, errno, why) in refusals {
        let forbidden = |lab: &Linux, arguments: &[&str]| {
            let said = run_without(call, errno, lab.command(arguments));
            (said.status.code(), text(&said.stdout), text(&said.stderr))
        };
        let told = |code: i32, stderr: String| (Some(code), String::new(), stderr);
        let refused = format!(
            "pontoon: start the data plane with io_uring: {why}\n\
             hint: without `--io uring` epoll is used where io_uring can not be had\n"
        );
        assert_eq!(forbidden(&lab, &["up", "--detach", "--io", "uring"]), told(1, refused), "{call}");
        let warned = format!("pontoon: warning: io_uring can not be used here ({why}): frames are moved with epoll\n");
        assert_eq!(forbidden(&lab, &["up", "--detach"]), told(0, warned), "{call}");
        assert_eq!(forbidden(&lab, &["run", "--", "true"]), told(0, String::new()), "{call}: it is said once");
        let status: serde_json::Value = serde_json::from_str(&prints(&lab, &["status", "--json"])).expect("JSON");
        assert_eq!(status["io"], "epoll", "{call}");
        run_all(&mut lab, &["web", "db"]);
        assert_all_reach_each_other(&mut lab, &["web", "db"]);
        prints(&lab, &["stats", "--check"]);
        prints(&lab, &["down"]);
        // Who asks for epoll is told nothing.
        assert_eq!(forbidden(&lab, &["up", "--detach", "--io", "epoll"]), told(0, String::new()), "{call}");
        prints(&lab, &["down"]);
    }
    lab.finish();
}

fn another_way_has_no_effect_on_a_daemon_that_runs() {
    let mut lab = Linux::new();
    lab.up();
    let status: serde_json::Value = serde_json::from_str(&prints(&lab, &["status", "--json"])).expect("JSON");
    let expected = format!(
        "pontoon: a daemon runs already (pid {}); --io epoll has no effect on it\n\
         hint: end it first (SIGTERM): its containers go on, and the next daemon takes them over\n",
        status["pid"]
    );
    fails(&lab, &["up", "--detach", "--io", "epoll"], 1, &expected);
    // It is what the daemon does anyway.
    let up = lab.command(&["up", "--detach", "--io", "auto"]).output().expect("run pontoon");
    assert!(up.status.success(), "{}", text(&up.stderr));
    lab.finish();
}

/// Runs a command in a sandbox that answers one system call with an error.
fn run_without(call: c_long, errno: Errno, mut command: Command) -> Output {
    let rules = [(call, Vec::new())].into_iter().collect();
    let arch = std::env::consts::ARCH.try_into().expect("an architecture that seccomp knows");
    let refusal = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    // What a thread may not do its children may not either.
    let run = move || {
        seccompiler::apply_filter(&program).expect("forbid a call");
        command.output().expect("run pontoon")
    };
    thread::spawn(run).join().expect("it ran")
}
