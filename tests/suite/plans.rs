//! Whatever users do, in whatever order: random plans of commands, frames and misfortunes in a simulated world, against a
//! reference that says what is to come of each.
//!
//! The reference ([`reference`]) knows who is on which network, and asks [`crate::model::Model`] what a learning switch does; it
//! shares no code with the switch and none with the manager. After every step the world ([`subject`]) is held against it: who
//! lives, which frames came out of which interface, what each port counted and why, what the FDBs hold, whose addresses there are.
//!
//! A run prints its seed; `PROPTEST_RNG_SEED` repeats it, `PROPTEST_CASES` makes it longer. What failed once is a line of
//! [`KNOWN`], or better a scenario.

mod reference;
mod step;
mod subject;

use libtest_mimic::Failed;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use self::reference::Reference;
use self::subject::Subject;

/// Seeds of runs that have failed once.
const KNOWN: [u64; 2] = [1, 0x9e37_79b9_7f4a_7c15];
/// How long a plan is at most, in steps.
const STEPS: usize = 60;

type Run = fn() -> Result<(), Failed>;

/// The trials of this file.
pub const ALL: [(&str, Run); 1] = [("whatever_users_do_ends_as_the_reference_says", whatever_users_do)];

fn whatever_users_do() -> Result<(), Failed> {
    let chosen = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => u64::from_ne_bytes(*b"pontoon!") ^ u64::from(std::process::id()),
    };
    for seed in KNOWN.into_iter().chain([chosen]) {
        let config = Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
        let plans = Reference::sequential_strategy(1..=STEPS);
        let follow = |(state, steps, seen)| {
            Subject::test_sequential(config.clone(), state, steps, seen);
            Ok(())
        };
        match TestRunner::new(config.clone()).run(&plans, follow) {
            Ok(()) => {}
            Err(TestError::Abort(why)) => return Err(format!("with PROPTEST_RNG_SEED={seed}: {why}").into()),
            Err(TestError::Fail(why, (_, steps, _))) => {
                let steps: Vec<String> = steps.iter().map(|step| format!("  {step:?},\n")).collect();
                let steps = steps.concat();
                return Err(format!("with PROPTEST_RNG_SEED={seed}: {why}\nthe shortest plan:\n{steps}").into());
            }
        }
    }
    println!("the seed was PROPTEST_RNG_SEED={chosen}");
    Ok(())
}
