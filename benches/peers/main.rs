//! Pontoon against its peers, end to end, in one run: `cargo bench --bench peers [-- OPTIONS]`; `-- --help` lists the options.
//!
//! The peers are the kernel bridge, docker0 as Docker leaves it, `vde_switch` and Open vSwitch's userspace datapath. Each has
//! sixteen containers of its own behind a scratch namespace that stands for its host, all with the same addresses, the same MTU and
//! the same congestion control. Rounds are interleaved (A B A B …); what counts is the ratio of the medians to the kernel
//! bridge's. A peer that this machine has not, or that fails, is left out and named. What the comparison does not show is in
//! [`limits`], and every report says it.
//!
//! `--watched` compares Pontoon with itself instead: nobody watches, a capture of everything runs, the flight recorder keeps ten
//! seconds. `--law SECONDS` measures nothing but asks whether the counters add up under load ([`law`]).
//!
//! What computes and writes, and needs neither root nor time, is tested by the test target beside this (`tests.rs`).
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(unreachable_pub, reason = "a program has no outside: `pub` is for its other modules")]

mod cage;
mod law;
mod limits;
mod load;
mod measure;
mod options;
mod peer;
mod report;
mod rounds;
mod search;
mod start;
mod statistics;
mod systems;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use options::Options;
use report::{plot, table};

fn main() -> ExitCode {
    if let Some(code) = cage::serve_as_init() {
        return code;
    }
    let arguments: Vec<_> = std::env::args_os().collect();
    // `cargo test --benches` runs this, too, and without it.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("the peers are measured by `cargo bench --bench peers`, not tested");
        return ExitCode::SUCCESS;
    }
    // Wrong usage ends here, with status 2.
    let options = Options::parse();
    if cage::is_outside() {
        return cage::run(&arguments).unwrap_or_else(|why| failed(&why));
    }
    measure(&options).unwrap_or_else(|why| failed(&why))
}

fn failed(why: &str) -> ExitCode {
    eprintln!("peers: {why}");
    ExitCode::FAILURE
}

/// All of it, inside the cage.
fn measure(options: &Options) -> Result<ExitCode, String> {
    // Opened before the cage has a /run of its own, and before anybody has waited for what can not be written.
    let json = options.json.as_deref().map(create).transpose()?;
    let plot = options.plot.as_deref().map(create).transpose()?;
    cage::enter()?;
    if let Some(length) = options.law() {
        law::hold(length)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = rounds::run(options)?;
    print!("{}", table::text(&report));
    if let Some((file, path)) = json.zip(options.json.as_deref()) {
        let text = serde_json::to_string_pretty(&report).map_err(|why| format!("write the report as JSON: {why}"))?;
        write(file, path, &(text + "\n"))?;
    }
    if let Some((file, path)) = plot.zip(options.plot.as_deref()) {
        write(file, path, &plot::svg(&report))?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens a file to write, and leaves what is in it until there is something better.
fn create(path: &Path) -> Result<File, String> {
    let opened = File::options().write(true).create(true).truncate(false).open(path);
    opened.map_err(|why| format!("open {} to write: {why}", path.display()))
}

fn write(mut file: File, path: &Path, text: &str) -> Result<(), String> {
    let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(|why| format!("write {}: {why}", path.display()))
}
