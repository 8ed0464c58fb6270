//! Links on a real kernel, and the switch against the kernel's bridge. Each test lives in network namespaces of its own.
//!
//! Needs root, /dev/net/tun, `ip` and `nft`. Where these are not to be had the tests are ignored, and one line says so; with
//! `PONTOON_REQUIRE_LINUX=1` they fail instead.

// The name by which its dependents know it.
extern crate pontoon_switch as switch;

mod crossing;
mod engines;
mod interfaces;
mod offload_headers;
mod oracle;
mod packets;
mod ring;
mod scene;
mod segments;
mod sys;
mod taps;
mod trains;
mod veth;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests = [
        crossing::ALL,
        engines::ALL,
        interfaces::ALL,
        offload_headers::ALL,
        oracle::ALL,
        packets::ALL,
        ring::ALL,
        segments::ALL,
        taps::ALL,
        trains::ALL,
    ]
    .concat();
    let can_run = scene::can_run();
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    let is_skipped = can_run.is_err() && !is_required;
    if let (Err(why), true, false) = (&can_run, is_skipped, arguments.list) {
        let count = tests.len();
        eprintln!("SKIPPED {count} tests of links: {why}; as root with PONTOON_REQUIRE_LINUX=1 nothing is skipped");
    }
    let trial = |(name, test): (&'static str, fn())| {
        let refused = can_run.clone();
        let run = move || {
            refused.map_err(|why| format!("PONTOON_REQUIRE_LINUX=1, but {why}"))?;
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(is_skipped)
    };
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code()
}

/// The tests of a module by their names.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, fn())] = &[$((stringify!($name), $name as fn())),*];
    };
}
pub(crate) use trials;
