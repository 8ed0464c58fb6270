//! Directories that can not be used, and the variables that choose them.

use std::process::{Command, Stdio};

use super::{Said, tests};
use crate::lab::Lab;
use crate::lab::linux::Linux;

tests![
    a_directory_too_long_for_sockets_is_told,
    the_demo_runs_whatever_tmpdir_says,
    a_directory_that_can_not_be_made_is_told_with_a_hint,
    an_empty_variable_is_as_none,
];

fn with(runtime: &str, state: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pontoon"));
    command.args(["--runtime-dir", runtime, "--state-dir", state]).args(arguments).stdin(Stdio::null());
    command.output().expect("run pontoon").into()
}

fn a_directory_too_long_for_sockets_is_told() {
    let lab = Linux::new();
    let state = lab.state_dir().display().to_string();
    let longest = format!("{}/{}", lab.dir().display(), "x".repeat(73 - 1 - lab.dir().as_os_str().len()));
    let too_long = format!("{longest}x");
    let told = format!(
        "pontoon: the runtime directory {too_long} is too long for the sockets in it: 74 bytes, 73 at most\n\
         hint: --runtime-dir chooses another one\n"
    );
    for (arguments, status) in [(&["up", "--detach"][..], 1), (&["run", "--", "true"], 125), (&["ps"], 1), (&["up"], 1)]
    {
        let said = with(&too_long, &state, arguments);
        assert_eq!((said.status, said.stderr.as_str()), (status, told.as_str()), "{arguments:?}");
    }
    // One byte less will do.
    let said = with(&longest, &state, &["run", "--", "echo", "well"]);
    assert_eq!((said.status, said.stdout.as_str()), (0, "well\n"), "{}", said.stderr);
}

fn the_demo_runs_whatever_tmpdir_says() {
    let mut lab = Linux::new();
    let long = lab.dir().join("y".repeat(80));
    std::fs::create_dir(&long).expect("make a directory");
    for temp in [long.as_path(), std::path::Path::new("/no/such"), std::path::Path::new("")] {
        let said: Said =
            lab.command(&["demo", "--world", "host"]).env("TMPDIR", temp).output().expect("run pontoon").into();
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{}", temp.display());
        lab.assert_nothing_is_left();
    }
    assert_eq!(std::fs::read_dir(&long).expect("read a directory").count(), 0);
}

fn a_directory_that_can_not_be_made_is_told_with_a_hint() {
    let lab = Linux::new();
    let (good_runtime, good_state) = (lab.runtime_dir().display().to_string(), lab.state_dir().display().to_string());
    let hint = "hint: --runtime-dir and --state-dir choose other directories\n";
    let file = lab.dir().join("file");
    std::fs::write(&file, "").expect("write a file");
    let below = format!("{}/x", file.display());
    let taken = lab.dir().join("taken").display().to_string();
    std::fs::create_dir_all(format!("{taken}/lock")).expect("make a directory");
    let cases: [(&str, &str, String); 4] = [
        ("/proc/x", &good_state, "make the directory /proc/x: No such file or directory".into()),
        (&good_runtime, &below, format!("make the directory {below}: Not a directory")),
        (&taken, &good_state, format!("open the lock file {taken}/lock: Is a directory")),
        (&good_runtime, &taken, format!("open the lock file {taken}/lock: Is a directory")),
    ];
    for (runtime, state, told) in cases {
        let said = with(runtime, state, &["up", "--detach"]);
        assert_eq!((said.status, said.stderr), (1, format!("pontoon: {told}\n{hint}")));
    }
}

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
