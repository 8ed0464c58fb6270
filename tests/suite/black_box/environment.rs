//! What a command is started with: arguments and variables of any bytes and as many as the kernel takes, and HOSTNAME.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{prints, tests};
use crate::lab::linux::{Linux, status_of, text};
use crate::lab::{Lab, Order, run, run_all};

tests![
    hostname_in_the_environment_is_the_containers,
    a_variable_may_have_any_bytes,
    arguments_as_long_as_the_kernel_takes_pass_through,
    arguments_that_are_too_long_are_told,
];

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

/// So many arguments of so many bytes, none of them of UTF-8: together nearly what the kernel takes, which is 2 MiB.
fn long(count: usize, length: usize) -> Vec<Vec<u8>> {
    vec![vec![0xff; length]; count]
}

fn arguments_as_long_as_the_kernel_takes_pass_through() {
    let mut lab = Linux::new();
    lab.up();
    run(&mut lab, Order::new("web"));
    let arguments = long(15, 131_000);
    for command in [&["run", "--"][..], &["exec", "web", "--"]] {
        let mut client = lab.command(command);
        client.args(["sh", "-c", "echo $# ${#1}; printf %s \"${15}\" | wc -c", "sh"]);
        client.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
        let output = client.output().expect("run pontoon");
        assert_eq!(
            (status_of(&output), text(&output.stdout).as_str()),
            (0, "15 131000\n131000\n"),
            "{}",
            text(&output.stderr)
        );
    }
    lab.finish();
}

fn arguments_that_are_too_long_are_told() {
    let mut lab = Linux::new();
    lab.up();
    run(&mut lab, Order::new("web"));
    let dirs = format!("--runtime-dir {} --state-dir {}", lab.runtime_dir().display(), lab.state_dir().display());
    let list = lab.dir().join("list");
    let cases = [
        // More than the kernel gives to a command whose stack may grow to 8 MiB.
        ("x", 20, "pontoon: true: Argument list too long\n"),
        // More than goes into a message: each of these takes six bytes there.
        ("\u{1}", 15, "pontoon: the command's arguments and environment are too long\n"),
    ];
    for (byte, count, told) in cases {
        std::fs::write(&list, format!("{}\0", byte.repeat(130_000)).repeat(count)).expect("write a list");
        for command in ["run --", "exec web --"] {
            // With a larger stack the client can have more arguments. (xargs has exit statuses of its own.)
            let client = format!("{} {dirs} {command} true \"$@\"; echo \"status $?\"", env!("CARGO_BIN_EXE_pontoon"));
            let script = "ulimit -s 65536; exec xargs -0 -s 6000000 -a \"$0\" sh -c \"$1\" sh";
            let mut shell = std::process::Command::new("sh");
            let output = shell.args(["-c", script]).arg(&list).arg(&client).output().expect("run a shell");
            let said = (text(&output.stdout), text(&output.stderr));
            assert_eq!(said, ("status 126\n".to_owned(), told.to_owned()), "{command}");
        }
    }
    assert_eq!(prints(&lab, &["exec", "web", "--", "echo", "still", "there"]), "still there\n");
    lab.finish();
}
