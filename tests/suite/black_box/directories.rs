//! Directories that can not be used, and the variables that choose them.

use std::process::{Command, Stdio};

use super::{Said, tests};
use crate::lab::Lab;
use crate::lab::linux::Linux;

tests![an_empty_variable_is_as_none];

fn an_empty_variable_is_as_none() {
    let mut lab = Linux::new();
    lab.up();
    let say = |arguments: &[&str]| -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pontoon"));
        command.env("PONTOON_RUNTIME_DIR", "").env("PONTOON_STATE_DIR", "").args(arguments).stdin(Stdio::null());
        command.output().expect("run pontoon").into()
    };
    assert_eq!(say(&["version"]).status, 0);
    let said = say(&["ps"]);
    assert!(said.stderr.starts_with("pontoon: no daemon listens in /run/pontoon\n"), "{}", said.stderr);
    let (runtime, state) = (lab.runtime_dir().display().to_string(), lab.state_dir().display().to_string());
    assert_eq!(say(&["--runtime-dir", &runtime, "--state-dir", &state, "ps"]).status, 0);
    // One that is given and empty is a mistake.
    assert_eq!(say(&["--runtime-dir", "", "ps"]).status, 2);
    lab.finish();
}
