//! Docker's own bridge against ours, under the real dockerd, in one run: `cargo bench --bench engines [-- OPTIONS]`; `-- --help`
//! lists the options.
//!
//! The scratch host is that of the tests with the engines (`tests/engines`): a cage from which nothing escapes, Debian's dockerd, our daemon
//! beside it. Each round makes one network of each driver, with two containers each, measures both in turn (A B A B …), and takes all away
//! again; what counts is the ratio of the medians. A round is a case of that harness, and its figures come back with the answer.
//!
//! * [`cases`]: what a round is;
//! * [`figures`]: what is measured, on which networks, and the report;
//! * [`load`], [`systems`]: what the benchmark against the peers has for TCP.
//!
//! Needs what those tests need, and iperf3; says what is missing, and fails.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(unreachable_pub, reason = "a program has no outside: `pub` is for its other modules")]

#[path = "../../tests/engines/cage.rs"]
mod cage;
mod cases;
#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../../tests/engines/docker.rs"]
mod docker;
mod figures;
#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../../tests/engines/host.rs"]
mod host;
mod load;
#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../../tests/engines/outside.rs"]
mod outside;
#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../../tests/engines/podman.rs"]
mod podman;
#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../../tests/engines/pontoon.rs"]
mod pontoon;
#[path = "../../tests/engines/said.rs"]
mod said;
#[path = "../peers/statistics.rs"]
mod statistics;
mod systems;

use std::process::ExitCode;

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::cage::Cage;
use crate::figures::Sample;

/// Measures a Docker network of the driver `pontoon` against one of Docker's own bridge, in interleaved rounds, under the real dockerd
#[derive(Debug, Parser)]
#[command(name = "engines", bin_name = "cargo bench --bench engines --")]
struct Options {
    /// How many rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = RangedU64ValueParser::<u32>::new().range(1..=100))]
    rounds: u32,
    /// How long each load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..=20))]
    seconds: u64,
    /// What cargo says to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(ended) = cage::dispatch(&arguments, host::serve) {
        return ended;
    }
    // `cargo test --benches` runs this, too, and without it.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("the engines are measured by `cargo bench --bench engines`, not tested");
        return ExitCode::SUCCESS;
    }
    // Wrong usage ends here, with status 2.
    let options = Options::parse();
    match measure(&options) {
        Ok(samples) => {
            print!("{}", figures::table(&samples, options.rounds, options.seconds));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("engines: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<Vec<Sample>, String> {
    let missing = |why| format!("the engines can not be measured here: {why}");
    systems::find("iperf3", "iperf3").map_err(missing)?;
    tell_others()?;
    let mut cage = Cage::open().map_err(missing)?;
    let mut samples = Vec::new();
    for round in 1..=options.rounds {
        let told = cage.play(&format!("{} {}", cases::ROUND, options.seconds))?;
        let taken: Vec<Sample> =
            serde_json::from_str(&told).map_err(|why| format!("round {round} tells no figures: {why}: {told}"))?;
        eprint!("{}", figures::line(&taken, round, options.rounds));
        samples.extend(taken);
    }
    drop(cage);
    tell_others()?;
    Ok(samples)
}

/// Says how much of the cores others use, who should use nothing of them.
fn tell_others() -> Result<(), String> {
    let busy = load::busy_percent()?;
    eprintln!(
        "others keep the cores busy by {busy:.0} %{}",
        if busy < 10.0 { "" } else { ": the figures are worth less" }
    );
    Ok(())
}
