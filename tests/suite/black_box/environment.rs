//! What a command is started with: arguments and variables of any bytes and as many as the kernel takes, and HOSTNAME.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::tests;
use crate::lab::linux::{Linux, status_of, text};
use crate::lab::{Lab, run_all};

tests![hostname_in_the_environment_is_the_containers, a_variable_may_have_any_bytes,];

fn hostname_in_the_environment_is_the_containers() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let script = "cat /proc/sys/kernel/hostname; echo \"$HOSTNAME\"";
    let say = |arguments: &[&str]| -> Vec<String> {
        let output = lab.command(arguments).env("HOSTNAME", "callers").output().expect("run pontoon");
        assert_eq!(status_of(&output), 0, "{}", text(&output.stderr));
        text(&output.stdout).lines().map(ToString::to_string).collect()
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("read the host's name").trim().to_owned();
    let cases: [&[&str]; 6] = [
        &["run", "--", "sh", "-c", script],
        &["run", "-h", "box", "--", "sh", "-c", script],
        &["run", "--network", "none", "--", "sh", "-c", script],
        &["run", "--network", "host", "--", "sh", "-c", script],
        &["run", "--network", "container:web", "--", "sh", "-c", script],
        &["exec", "web", "--", "sh", "-c", script],
    ];
    for arguments in cases {
        let said = say(arguments);
        assert_eq!(said[0], said[1], "{arguments:?}");
        assert_ne!(said[1], "callers", "{arguments:?}");
        if arguments.contains(&"host") {
            assert_eq!(said[1], host);
        }
    }
    assert_eq!(say(&["run", "-e", "HOSTNAME=x", "--", "sh", "-c", script])[1], "x");
    assert_eq!(say(&["run", "-e", "HOSTNAME", "--", "sh", "-c", script])[1], "callers");
    assert_eq!(say(&["run", "-h", "box", "-e", "HOSTNAME=x", "--", "sh", "-c", script]), ["box", "x"]);
    assert_eq!(say(&["exec", "-e", "HOSTNAME=x", "web", "--", "sh", "-c", script])[1], "x");
    lab.finish();
}

fn a_variable_may_have_any_bytes() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    for command in [&["run"][..], &["exec"]] {
        let mut client = lab.command(command);
        client.arg("-e").arg(OsStr::from_bytes(b"B=x\xff"));
        client.env("C", OsStr::from_bytes(b"\xfe=y"));
        client.args(if command == ["exec"] { &["web"][..] } else { &[] });
        client.args(["--", "sh", "-c", "printf '%s|%s' \"$B\" \"$C\""]);
        let output = client.output().expect("run pontoon");
        assert_eq!(
            (status_of(&output), output.stdout.as_slice()),
            (0, &b"x\xff|\xfe=y"[..]),
            "{}",
            text(&output.stderr)
        );
    }
    lab.finish();
}
