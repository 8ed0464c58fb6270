//! What other programs make of the same: filters against libpcap (`tcpdump`) and against etherparse, files against Wireshark
//! (`tshark`).
//!
//! Where a program is missing its tests are ignored, and one line says so; with `PONTOON_REQUIRE_LINUX=1` they fail instead.
//! `PROPTEST_CASES` makes it more cases, `PROPTEST_RNG_SEED` repeats a run.

// The name by which its dependents know it.
extern crate pontoon_capture as capture;

mod dice;
mod differences;
mod libpcap;
mod reference;
mod wireshark;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};

/// A test, and the program that it takes.
type Test = (&'static str, Option<&'static str>, fn());

const TESTS: [Test; 5] = [
    ("a_filter_means_what_a_reference_says", None, reference::a_filter_means_what_a_reference_says),
    ("a_filter_means_what_it_means_to_libpcap", Some("tcpdump"), libpcap::a_filter_means_what_it_means_to_libpcap),
    (
        "a_filter_means_behind_tags_what_it_means_before",
        Some("tcpdump"),
        libpcap::a_filter_means_behind_tags_what_it_means_before,
    ),
    (
        "where_it_differs_from_libpcap_it_does_so_on_purpose",
        Some("tcpdump"),
        differences::where_it_differs_from_libpcap_it_does_so_on_purpose,
    ),
    ("wireshark_shows_all_that_is_written", Some("tshark"), wireshark::wireshark_shows_all_that_is_written),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    let trial = |(name, program, test): Test| {
        let is_missing = program.is_some_and(|program| !is_there(program));
        let is_skipped = is_missing && !is_required;
        if is_skipped && !arguments.list {
            let program = program.unwrap_or_default();
            eprintln!("SKIPPED {name}: no {program}; with PONTOON_REQUIRE_LINUX=1 nothing is skipped");
        }
        let run = move || {
            if is_missing {
                return Err(format!("PONTOON_REQUIRE_LINUX=1, but there is no {}", program.unwrap_or_default()).into());
            }
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(is_skipped)
    };
    libtest_mimic::run(&arguments, TESTS.into_iter().map(trial).collect()).exit_code()
}

fn is_there(program: &str) -> bool {
    let run = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.is_ok_and(|status| status.success())
}
