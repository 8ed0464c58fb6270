//! The command `pontoon`: arguments in, text and exit status out. The work is done elsewhere:
//!
//! * [`daemon`] owns the switch and the containers; [`client`] finds or starts one and asks it;
//! * [`run`] is the caller's side of a foreground container, with [`terminal`] for people;
//! * [`capture`] is the caller's side of a capture;
//! * [`output`] prints; [`show`] turns answers into text; [`demo`] shows it all to somebody new;
//! * [`explain`] is asked about a frame; [`metrics`] is what Prometheus reads, [`log`] what is logged;
//! * [`plugin`] is this program as a plugin of CNI, under another name;
//! * [`doctor`] looks at the machine; [`manual`] explains the command line.
//!
//! Shims and inits are this very program under another first argument: see `netns::linux`.

#![expect(unreachable_pub, reason = "a command has no outside: `pub` is for its other modules")]

mod capture;
mod cli;
mod client;
mod commands;
mod daemon;
mod demo;
mod doctor;
mod explain;
mod failure;
mod log;
mod manual;
mod metrics;
mod monitor;
mod output;
mod paths;
mod plugin;
mod replay;
mod run;
mod several;
mod show;
mod signals;
mod stats;
mod terminal;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(ended) = netns::linux::dispatch(arguments.iter().cloned()) {
        return ended;
    }
    if let Some(ended) = plugin::dispatch(&arguments) {
        return ended;
    }
    let hidden = daemon::dispatch(&arguments).or_else(|| demo::dispatch(&arguments));
    if let Some(ended) = hidden.or_else(|| doctor::dispatch(&arguments)) {
        return ended;
    }
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(why) => return usage(&why),
    };
    log_to_stderr(cli.verbose, cli.log_format);
    let is_run = matches!(cli.command, Command::Run(_) | Command::Exec(_));
    match commands::carry_out(cli) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => report(if is_run { failure.of_run() } else { failure }),
    }
}

/// Help that was asked for, or what is wrong with the arguments.
fn usage(why: &clap::Error) -> ExitCode {
    let printed = output::forgive(why.print()).map_err(|why| format!("print: {}", failure::cause_of(&why)));
    match (why.exit_code(), printed) {
        (0, Err(why)) => report(Failure::new(why)),
        (status, Ok(()) | Err(_)) => ExitCode::from(u8::try_from(status).unwrap_or(2)),
    }
}

/// Tells a person and the shell.
fn report(failure: Failure) -> ExitCode {
    output::say(&failure);
    ExitCode::from(u8::try_from(failure.status).unwrap_or(1))
}

fn log_to_stderr(verbose: u8, format: log::Format) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    log::to(std::io::stderr, level, format);
}
