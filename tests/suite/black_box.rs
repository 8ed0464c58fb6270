//! The command as a user meets it: what it prints, where, and with which exit status.

mod broken_streams;
mod captures;
mod cni;
mod daemons;
mod directories;
mod docker;
mod docker_forward;
mod docker_hostile;
mod engines;
mod environment;
mod explain;
mod foreground;
mod frame_io;
mod growth;
mod handover;
mod hostile;
mod interrupted_demo;
mod logs;
mod metrics;
mod monitor;
mod nonsense;
mod output;
mod outside;
mod ports;
mod privileges;
mod published;
mod refusals;
mod several;
mod shims;
mod signals;
mod statistics;
mod terminal;
mod usage;

use std::process::Output;

use snapbox::{Redactions, assert_data_eq};

use crate::cage::Caged;
use crate::lab::linux::{Linux, status_of, text};

/// Those that run anywhere.
pub fn anywhere() -> impl Iterator<Item = &'static Caged> {
    usage::ALL.iter()
}

/// Those that need a real kernel.
pub fn caged() -> impl Iterator<Item = &'static Caged> {
    [
        broken_streams::ALL,
        captures::ALL,
        cni::attachments::ALL,
        cni::delegates::ALL,
        cni::doctor::ALL,
        cni::faults::ALL,
        cni::nonsense::ALL,
        daemons::ALL,
        directories::ALL,
        docker::ALL,
        docker_forward::ALL,
        docker_hostile::ALL,
        engines::ALL,
        environment::ALL,
        explain::ALL,
        foreground::ALL,
        frame_io::ALL,
        growth::ALL,
        handover::ALL,
        hostile::ALL,
        interrupted_demo::ALL,
        logs::ALL,
        metrics::ALL,
        monitor::ALL,
        nonsense::ALL,
        output::ALL,
        outside::ALL,
        ports::ALL,
        published::ALL,
        privileges::ALL,
        refusals::ALL,
        several::ALL,
        shims::ALL,
        signals::ALL,
        statistics::ALL,
        terminal::ALL,
    ]
    .into_iter()
    .flatten()
}

/// A table of functions under their own names.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[$crate::cage::Caged] = &[$($crate::cage::Caged { name: stringify!($name), test: $name }),*];
    };
}
use tests;

/// What one command said.
#[derive(Debug)]
struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said { status: status_of(&output), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// Runs `pontoon`.
fn pontoon(lab: &Linux, arguments: &[&str]) -> Said {
    lab.pontoon(arguments).into()
}

/// Runs `pontoon`, which succeeds and says nothing on standard error; what it prints.
fn prints(lab: &Linux, arguments: &[&str]) -> String {
    let said = pontoon(lab, arguments);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "pontoon {}", arguments.join(" "));
    said.stdout
}

/// Runs `pontoon`, which fails with this status and says this on standard error, and nothing else anywhere.
fn fails(lab: &Linux, arguments: &[&str], status: i32, stderr: &str) {
    let said = pontoon(lab, arguments);
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "pontoon {}: {}", arguments.join(" "), said.stderr);
    looks_like(lab, &said.stderr, stderr);
}

/// Whether a text is as expected: `[ID]`, `[SHORT]`, `[PID]`, `[MAC]` and `[DIR]` stand for what differs between runs.
fn looks_like(lab: &Linux, actual: &str, expected: &str) {
    assert_data_eq!(redact(lab, actual), expected.to_owned());
}

fn redact(lab: &Linux, actual: &str) -> String {
    let mut redactions = Redactions::new();
    let dir = lab.dir().display().to_string();
    redactions.insert("[DIR]", dir).expect("a placeholder");
    let text = redactions.redact(actual);
    let words = text.split_inclusive(|each: char| !each.is_ascii_alphanumeric() && each != ':');
    words.map(redact_word).collect()
}

/// Long and short ids, and the MAC of a bridge, by their looks.
fn redact_word(word: &str) -> String {
    let (core, end) = word.split_at(word.trim_end_matches(|each: char| !each.is_ascii_alphanumeric()).len());
    let is_hex = core.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
    match core.len() {
        64 if is_hex => format!("[ID]{end}"),
        12 if is_hex && core.starts_with("0242") => format!("[MAC]{end}"),
        12 if is_hex => format!("[SHORT]{end}"),
        17 if core.starts_with("02:42:e") || core.starts_with("02:42:f") => format!("[MAC]{end}"),
        _ => word.to_owned(),
    }
}
