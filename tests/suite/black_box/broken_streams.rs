//! Standard output or standard error that takes nothing: a reader that has gone is no failure, a full disk is one, and neither
//! stops what is under way.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::{Said, pontoon, prints, tests};
use crate::lab::Lab;
use crate::lab::linux::{Linux, text};

tests![
    an_id_that_can_not_be_printed_is_told_and_its_container_runs,
    what_can_not_be_printed_is_a_failure,
    a_reader_that_has_gone_is_no_failure,
    a_failure_that_can_not_be_told_keeps_its_status,
    a_daemon_in_the_foreground_does_without_its_standard_error,
    the_demo_does_without_a_reader_and_not_with_a_full_disk,
];

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("open /dev/full")
}

/// The writing end of a pipe that nobody reads.
fn unread() -> Stdio {
    let (_, writer) = std::io::pipe().expect("make a pipe");
    writer.into()
}

fn ends(mut command: Command) -> Said {
    command.output().expect("run pontoon").into()
}

fn an_id_that_can_not_be_printed_is_told_and_its_container_runs() {
    let mut lab = Linux::new();
    lab.up();
    let mut command = lab.command(&["run", "-d", "--name", "a", "--", "sleep", "infinity"]);
    command.stdout(full());
    let said = ends(command);
    let id = crate::lab::inspect(&mut lab, "a").id;
    let expected =
        format!("pontoon: print the container's id: No space left on device\nhint: container a runs; its id is {id}\n");
    assert_eq!((said.status, said.stderr), (125, expected));
    let mut command = lab.command(&["run", "-d", "--name", "b", "--", "sleep", "infinity"]);
    command.stdout(unread());
    let said = ends(command);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    assert_eq!(crate::lab::names(&mut lab, false), ["a", "b"]);
    lab.finish();
}

fn what_can_not_be_printed_is_a_failure() {
    let mut lab = Linux::new();
    lab.up();
    for arguments in [&["ps"][..], &["status", "-j"], &["version"], &["network", "ls"], &["--help"], &["ps", "--help"]]
    {
        let mut command = lab.command(arguments);
        command.stdout(full());
        let said = ends(command);
        assert_eq!(
            (said.status, said.stderr.as_str()),
            (1, "pontoon: print: No space left on device\n"),
            "{arguments:?}"
        );
    }
    lab.finish();
}

fn a_reader_that_has_gone_is_no_failure() {
    let mut lab = Linux::new();
    lab.up();
    for arguments in [&["ps"][..], &["version"], &["--help"]] {
        let mut command = lab.command(arguments);
        command.stdout(unread());
        let said = ends(command);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{arguments:?}");
    }
    lab.finish();
}

fn a_failure_that_can_not_be_told_keeps_its_status() {
    let mut lab = Linux::new();
    lab.up();
    let cases: [(&[&str], i32); 4] =
        [(&["inspect", "zz"], 1), (&["exec", "zz", "true"], 125), (&["fly"], 2), (&["stop", "x", "y"], 1)];
    for (arguments, status) in cases {
        for stderr in [Stdio::from(full()), unread()] {
            let mut command = lab.command(arguments);
            command.stderr(stderr);
            assert_eq!(ends(command).status, status, "{arguments:?}");
        }
    }
    lab.finish();
}

fn a_daemon_in_the_foreground_does_without_its_standard_error() {
    let mut lab = Linux::new();
    let mut daemon = lab.command(&["up"]).stderr(unread()).spawn().expect("run pontoon");
    lab.eventually("it answers", &mut |lab| lab.daemon_runs());
    assert_eq!(lab.daemon_pid(), Some(daemon.id().cast_signed()));
    lab.down();
    assert!(daemon.wait().expect("wait").success());

    // Whoever reads what it logs goes away.
    let mut daemon = lab.command(&["-vv", "up"]).spawn().expect("run pontoon");
    let mut reader = BufReader::new(daemon.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("pontoon: listening at ") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("read"), 0, "it says that it listens");
    }
    drop(reader);
    for name in ["a", "b", "c"] {
        prints(&lab, &["run", "-d", "--name", name, "--", "sleep", "infinity"]);
        prints(&lab, &["rm", "-f", name]);
    }
    assert_eq!(lab.daemon_pid(), Some(daemon.id().cast_signed()));
    lab.down();
    assert!(daemon.wait().expect("wait").success());
    lab.assert_nothing_is_left();
}

fn the_demo_does_without_a_reader_and_not_with_a_full_disk() {
    let mut lab = Linux::new();
    for world in ["host", "sim"] {
        let mut demo = lab.command(&["demo", "--world", world]).spawn().expect("run pontoon");
        let mut start = [0; 20];
        demo.stdout.take().expect("a pipe").read_exact(&mut start).expect("read its beginning");
        let output = demo.wait_with_output().expect("wait");
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{world}");
        lab.assert_nothing_is_left();
        let mut command = lab.command(&["demo", "--world", world]);
        command.stdout(full());
        let said = ends(command);
        assert_eq!((said.status, said.stderr.as_str()), (1, "pontoon: print: No space left on device\n"), "{world}");
        lab.assert_nothing_is_left();
    }
    assert_eq!(pontoon(&lab, &["version"]).status, 0);
}
