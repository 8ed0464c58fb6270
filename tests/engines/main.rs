//! Pontoon under the real engines: Debian's dockerd and Podman, started by hand on a scratch host.
//!
//! * [`cage`]: the processes and namespaces that all of it happens in, so that nothing of it is left however it ends;
//! * [`host`]: what stands there, and is as it was after each case; [`reboot`]: how it is started anew;
//! * [`docker`], [`podman`], [`pontoon`]: the programs as their users start and call them;
//! * [`cases`]: what is expected of them.
//!
//! Cases share hosts, since an engine takes seconds to start: two at the most, so that one case may wait while another works, and
//! on each they run one after the other. The host of a case that failed is given up, and the next has a new one. Where the engines are not, or do not start, the cases are ignored, and one line
//! says so; with `PONTOON_REQUIRE_LINUX=1` they fail instead.

#![expect(unreachable_pub, reason = "nothing of a binary is reachable; `pub` says what a module offers")]
#![expect(clippy::disallowed_methods, reason = "no event tells of what engines do; a deadline bounds each wait")]

mod cage;
mod cases;
mod docker;
mod host;
mod outside;
mod podman;
mod pontoon;
mod reboot;
mod said;

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::cage::Cage;

/// Cages in which no case is played now. A case takes one, or opens another: there are as many as are played beside each other.
static CAGES: Mutex<Vec<Cage>> = Mutex::new(Vec::new());
/// How many cases are played beside each other at the most. Some do little but wait; and a host's engines take memory.
const TOGETHER: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(ended) = cage::dispatch(&arguments, host::serve) {
        return ended;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.map_or(TOGETHER, |threads| threads.min(TOGETHER)));
    let ended = libtest_mimic::run(&arguments, trials(&arguments)).exit_code();
    // A static is not dropped.
    drop(std::mem::take(&mut *cages()));
    ended
}

fn trials(arguments: &Arguments) -> Vec<Trial> {
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    let is_wanted = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let wanted = cases::all().filter(|case| is_wanted(&case.name)).count();
    let is_tried = !arguments.list && wanted > 0 && !is_required;
    // Whether the engines start is only known once they have.
    let refused = if is_tried { open().err() } else { None };
    if let Some(why) = &refused {
        eprintln!(
            "SKIPPED {wanted} tests with Docker and Podman: {why}\n\
             As root, with the engines installed and PONTOON_REQUIRE_LINUX=1, nothing is skipped."
        );
    }
    let trial = |case: cases::Case| {
        let name = case.name.clone();
        Trial::test(case.name, move || play(&name)).with_ignored_flag(refused.is_some())
    };
    cases::all().map(trial).collect()
}

fn cages() -> MutexGuard<'static, Vec<Cage>> {
    CAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the first cage.
fn open() -> Result<(), String> {
    let cage = Cage::open()?;
    cages().push(cage);
    Ok(())
}

fn play(name: &str) -> Result<(), Failed> {
    // Taken out, so that a case that fails takes its cage with it.
    let free = cages().pop();
    let mut cage = free.map_or_else(Cage::open, Ok)?;
    cage.play(name)?;
    cages().push(cage);
    Ok(())
}
