//! Wrong usage, help and version: no daemon is asked, no privilege needed.

use std::process::{Command, Stdio};

use super::{Said, tests};

tests![
    wrong_usage_ends_with_2,
    the_version_is_told,
    help_tells_of_every_command,
    a_command_that_needs_a_daemon_says_that_there_is_none,
    the_demo_runs_in_the_simulator,
];

fn wrong_usage_ends_with_2() {
    let wrong: &[&[&str]] = &[
        &[],
        &["fly"],
        &["run"],
        &["run", "--network", "container:", "--", "true"],
        &["run", "--network", "a b", "--", "true"],
        &["run", "--name", "-x", "--", "true"],
        &["run", "--ip", "300.1.1.1", "--", "true"],
        &["run", "--mac-address", "02:42", "--", "true"],
        &["run", "--mtu", "many", "--", "true"],
        &["run", "-e", "=value", "--", "true"],
        &["kill", "-s", "NONSENSE", "web"],
        &["kill", "-s", "65", "web"],
        &["stop"],
        &["exec", "web"],
        &["bridge", "fdb", "show", "br"],
        &["bridge", "fdb", "delete"],
        &["up", "--bip", "172.30.0.0/16"],
        &["up", "--bip", "172.30.0.1/31"],
        &["demo", "--world", "mars"],
    ];
    for arguments in wrong {
        let said = pontoon(arguments);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "pontoon {}: {}", arguments.join(" "), said.stderr);
        assert!(!said.stderr.is_empty(), "pontoon {}", arguments.join(" "));
    }
}

fn the_version_is_told() {
    assert_eq!(pontoon(&["version"]).stdout, format!("pontoon {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(pontoon(&["--version"]).stdout, format!("pontoon {}\n", env!("CARGO_PKG_VERSION")));
    let json = pontoon(&["version", "--json"]).stdout;
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(read, serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
}

fn help_tells_of_every_command() {
    let said = pontoon(&["--help"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    for command in [
        "run", "exec", "ps", "stop", "kill", "inspect", "logs", "rm", "network", "show", "bridge", "stats", "demo",
        "up", "down", "status", "version",
    ] {
        assert!(said.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {}", said.stdout);
        let own = pontoon(&[command, "--help"]);
        assert_eq!((own.status, own.stderr.as_str()), (0, ""), "{command}");
    }
}

fn a_command_that_needs_a_daemon_says_that_there_is_none() {
    for arguments in [&["ps"][..], &["show"], &["stats"], &["status"], &["down"], &["inspect", "web"]] {
        let said = pontoon(arguments);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "pontoon {}", arguments.join(" "));
        let expected = "pontoon: no daemon listens in /nowhere/run\n\
                        hint: `pontoon up` starts one; `pontoon run` does so by itself\n";
        assert_eq!(said.stderr, expected, "pontoon {}", arguments.join(" "));
    }
}

fn the_demo_runs_in_the_simulator() {
    let said = pontoon(&["demo", "--world", "sim"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    for heading in ["bridge", "host", "container:web", "none"] {
        assert!(said.stdout.contains(&format!("== {heading}")), "{heading}: {}", said.stdout);
    }
    assert_eq!(pontoon(&["demo", "--world", "sim"]).stdout, said.stdout, "and tells the same every time");
}

/// Runs `pontoon` where no daemon can be.
fn pontoon(arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pontoon"));
    command.env("PONTOON_RUNTIME_DIR", "/nowhere/run").env("PONTOON_STATE_DIR", "/nowhere/state");
    command.args(arguments).stdin(Stdio::null()).output().expect("run pontoon").into()
}
