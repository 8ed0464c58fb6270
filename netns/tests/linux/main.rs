//! The Linux backend on a real kernel. Each test makes a scratch namespace that stands for the host, and leaves nothing.
//!
//! Needs root, /dev/net/tun, iproute2, nftables and iptables. Where the first two are not to be had the tests are ignored, and
//! one line says so; with `PONTOON_REQUIRE_LINUX=1` they fail instead, as they do where one of the programs is not there.

// The name by which its dependents know it.
extern crate pontoon_netns as netns;

mod commands;
mod endings;
mod etc;
mod firewall;
mod forwarding;
mod guests;
mod instances;
mod modes;
mod names;
mod places;
mod privileges;
mod publish;
mod recovery;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use netns::linux;

fn main() -> ExitCode {
    if let Some(code) = linux::dispatch(std::env::args_os()) {
        return code;
    }
    if let Some(code) = world::play_role().or_else(publish::play_role) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One at a time: a process that one test starts has, until it is executed, a copy of what another holds open, be it a
    // TAP that is to vanish or a port that is to be free.
    arguments.test_threads.get_or_insert(1);
    let tests = [modes::ALL, commands::ALL, endings::ALL, etc::ALL, privileges::ALL, recovery::ALL].concat();
    let services = [
        firewall::ALL,
        forwarding::ALL,
        guests::ALL,
        instances::ALL,
        names::ALL,
        names::passing_on::ALL,
        publish::ALL,
        publish::tcp::ALL,
        publish::udp::ALL,
    ]
    .concat();
    let tests = [tests, services].concat();
    let can_run = linux::scratch::can_run();
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    let is_skipped = can_run.is_err() && !is_required;
    if let (Err(why), true, false) = (&can_run, is_skipped, arguments.list) {
        let count = tests.len();
        eprintln!(
            "SKIPPED {count} tests of the Linux backend: {why}; as root with PONTOON_REQUIRE_LINUX=1 nothing is skipped"
        );
    }
    let trial = |(name, test): (&'static str, fn())| {
        let refused = can_run.clone();
        let run = move || match refused {
            Ok(()) => run(name, test),
            Err(why) => Err(format!("PONTOON_REQUIRE_LINUX=1, but {why}").into()),
        };
        Trial::test(name, run).with_ignored_flag(is_skipped)
    };
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code()
}

/// Runs a test in a thread, and hence in namespaces, of its own.
fn run(name: &str, test: fn()) -> Result<(), Failed> {
    let outcome = std::thread::Builder::new().name(name.to_owned()).spawn(test)?.join();
    outcome.map_err(|_| Failed::from("it panicked: see above"))
}

/// The tests of a module by their names.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, fn())] = &[$((stringify!($name), $name as fn())),*];
    };
}
pub(crate) use trials;
