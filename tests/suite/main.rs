//! The test suite: one binary.
//!
//! * [`scenarios`]: what a user observes, each written once against [`lab::Lab`] and played in both worlds, as
//!   `sim::NAME` and `linux::NAME`; a few, which say why, only as the latter.
//! * [`properties`]: the switch against a reference [`model`];
//! * [`plans`]: whatever users do, against a reference of it;
//! * [`black_box`]: the command as a user meets it.
//!
//! Tests against a real kernel run in a [`cage`] each. Where there can be none they are ignored, and one line says so;
//! with `PONTOON_REQUIRE_LINUX=1` they fail instead.

#![expect(unreachable_pub, reason = "nothing of a binary is reachable; `pub` says what a module offers")]

mod black_box;
mod cage;
mod frames;
mod lab;
mod model;
mod plans;
mod properties;
mod scenarios;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::cage::Caged;
use crate::lab::Lab;
use crate::lab::linux::Linux;
use crate::lab::sim::Sim;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(ended) = netns::linux::dispatch(arguments.clone()) {
        return ended;
    }
    if let Some(ended) = cage::dispatch(&arguments, run_caged) {
        return ended;
    }
    let arguments = Arguments::from_args();
    let simulated = scenarios::in_both_worlds()
        .map(|scenario| Trial::test(format!("sim::{}", scenario.name), || play_simulated(scenario)));
    let properties = properties::ALL.into_iter().map(|(name, run)| Trial::test(format!("properties::{name}"), run));
    let plans = plans::ALL.into_iter().map(|(name, run)| Trial::test(format!("plans::{name}"), run));
    let anywhere = black_box::anywhere().map(|Caged { name, test }| {
        Trial::test(format!("black_box::{name}"), || {
            test();
            Ok(())
        })
    });
    let on_linux = linux_trials(&arguments);
    let trials = simulated.chain(properties).chain(plans).chain(anywhere).chain(on_linux).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The names of the tests that need a real kernel.
fn caged() -> impl Iterator<Item = String> {
    let scenarios = on_linux().map(|scenario| format!("linux::{}", scenario.name));
    let with_epoll = scenarios::with_epoll().map(|scenario| format!("epoll::{}", scenario.name));
    scenarios.chain(with_epoll).chain(black_box::caged().map(|test| format!("black_box::{}", test.name)))
}

fn on_linux() -> impl Iterator<Item = &'static scenarios::Scenario> {
    scenarios::in_both_worlds().chain(scenarios::on_linux_only())
}

fn run_caged(name: &str) -> bool {
    if let Some(scenario) = on_linux().find(|scenario| name.strip_prefix("linux::") == Some(scenario.name)) {
        let mut lab = Linux::new();
        (scenario.play)(&mut lab);
        lab.finish();
        return true;
    }
    if let Some(scenario) = scenarios::with_epoll().find(|scenario| name.strip_prefix("epoll::") == Some(scenario.name))
    {
        let mut lab = Linux::with_epoll();
        (scenario.play)(&mut lab);
        lab.finish();
        return true;
    }
    let test = black_box::caged().find(|test| name.strip_prefix("black_box::") == Some(test.name));
    test.is_some_and(|Caged { test, .. }| {
        test();
        true
    })
}

fn play_simulated(scenario: &scenarios::Scenario) -> Result<(), Failed> {
    let mut lab = Sim::new();
    (scenario.play)(&mut lab);
    lab.finish();
    Ok(())
}

/// Those that need a real kernel: run, or marked as ignored where there is none for us.
fn linux_trials(arguments: &Arguments) -> Vec<Trial> {
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    let can_run = netns::linux::scratch::can_run();
    let is_skipped = can_run.is_err() && !is_required;
    if let (Err(why), true, false) = (&can_run, is_skipped, arguments.list) {
        eprintln!(
            "SKIPPED {} tests against a real kernel: {why}; as root with PONTOON_REQUIRE_LINUX=1 nothing is skipped",
            caged().count()
        );
    }
    let trial = |name: String| {
        let refused = can_run.clone();
        let caged = name.clone();
        Trial::test(name, move || match refused {
            Ok(()) => cage::run(&caged),
            Err(why) => Err(format!("PONTOON_REQUIRE_LINUX=1, but {why}").into()),
        })
        .with_ignored_flag(is_skipped)
    };
    caged().map(trial).collect()
}
