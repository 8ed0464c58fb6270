//! How the daemon reads and writes frames: chosen, told, and done without where the kernel does not let us.

use std::thread;

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

fn where_io_uring_is_forbidden_it_is_done_without() {
    let mut lab = Linux::new();
    let forbidden = |arguments: &[&str]| {
        let mut command = lab.command(arguments);
        // What a thread may not do its children may not either.
        let run = move || {
            seccompiler::apply_filter(&without_io_uring()).expect("forbid io_uring");
            command.output().expect("run pontoon")
        };
        thread::spawn(run).join().expect("it ran")
    };
    let refused = forbidden(&["up", "--detach", "--io", "uring"]);
    assert_eq!(
        (refused.status.code(), text(&refused.stderr)),
        (
            Some(1),
            "pontoon: start the data plane with io_uring: Operation not permitted\n\
             hint: without `--io uring` epoll is used where io_uring can not be had\n"
                .to_owned()
        )
    );
    let up = forbidden(&["up", "--detach"]);
    let said =
        "pontoon: warning: io_uring can not be used here (Operation not permitted): frames are moved with epoll\n";
    assert_eq!((up.status.code(), text(&up.stderr)), (Some(0), said.to_owned()));
    let again = forbidden(&["run", "--", "true"]);
    assert_eq!((again.status.code(), text(&again.stderr)), (Some(0), String::new()), "it is said once");
    let status: serde_json::Value = serde_json::from_str(&prints(&lab, &["status", "--json"])).expect("JSON");
    assert_eq!(status["io"], "epoll");
    run_all(&mut lab, &["web", "db"]);
    assert_all_reach_each_other(&mut lab, &["web", "db"]);
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

/// Lets everything be but `io_uring_setup`, as many a sandbox does.
fn without_io_uring() -> BpfProgram {
    let rules = [(nix::libc::SYS_io_uring_setup, Vec::new())].into_iter().collect();
    let forbidden = SeccompAction::Errno(nix::libc::EPERM as u32);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture that seccomp knows");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, forbidden, arch).expect("a filter");
    filter.try_into().expect("a program")
}
