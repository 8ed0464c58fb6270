//! The Linux backend on a real kernel. Each test makes a scratch namespace that stands for the host, and leaves nothing.
//!
//! Needs root and /dev/net/tun. Where these are not to be had it says so and tests nothing; with `PONTOON_REQUIRE_LINUX=1`
//! that is a failure.

// The name by which its dependents know it.
extern crate pontoon_netns as netns;

mod commands;
mod endings;
mod modes;
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
    // One at a time: a process that one test starts has, until it is executed, copies of what another has open, and with them
    // its ports and its TAPs live a moment longer than that expects.
    arguments.test_threads.get_or_insert(1);
    let trials: Vec<Trial> = [modes::all(), commands::all(), endings::all(), recovery::all(), publish::all()]
        .into_iter()
        .flatten()
        .collect();
    if let Err(why) = linux::scratch::can_run() {
        eprintln!("NOT TESTED: the Linux backend can not run here: {why}");
        let required = std::env::var_os("PONTOON_REQUIRE_LINUX").is_some_and(|value| value == "1");
        return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that has a thread, and hence namespaces, of its own.
fn trial(name: &'static str, test: fn()) -> Trial {
    Trial::test(name, move || {
        let outcome = std::thread::Builder::new().name(name.to_owned()).spawn(test)?.join();
        outcome.map_err(|_| Failed::from("it panicked: see above"))
    })
}

/// The tests of a module by their names.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn all() -> Vec<libtest_mimic::Trial> {
            vec![$(crate::trial(stringify!($name), $name)),*]
        }
    };
}
pub(crate) use trials;
