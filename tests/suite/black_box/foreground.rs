//! A command in the foreground is as if there were no container around it: streams, working directory, environment,
//! signals, exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{Said, pontoon, prints, tests};
use crate::lab::linux::{Linux, status_of};
use crate::lab::{Lab, run_all};

tests![
    standard_streams_pass_through,
    the_working_directory_is_the_callers,
    the_environment_is_the_callers_and_what_e_says,
    signals_are_passed_on,
    exec_runs_a_command_in_a_running_container,
    run_d_returns_at_once_and_holds_no_stream,
    the_client_may_go_and_the_container_stays,
    the_end_of_the_command_ends_all_of_its_processes,
    the_status_comes_even_when_the_daemon_is_killed,
];

fn standard_streams_pass_through() {
    let mut lab = Linux::new();
    lab.up();
    let script = "read line; echo \"heard $line\"; echo 'and an error' >&2; exit 3";
    let mut client =
        lab.command(&["run", "--", "sh", "-c", script]).stdin(Stdio::piped()).spawn().expect("run pontoon");
    client.stdin.take().expect("a pipe").write_all(b"a line\n").expect("write");
    let said: Said = client.wait_with_output().expect("wait").into();
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (3, "heard a line\n", "and an error\n"));
    // A large pipe in and out, byte by byte.
    let bytes = crate::frames::pattern(3 << 20);
    let mut client = lab.command(&["run", "--", "cat"]).stdin(Stdio::piped()).spawn().expect("run pontoon");
    let mut stdin = client.stdin.take().expect("a pipe");
    let written = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&written));
    let output = client.wait_with_output().expect("wait");
    writer.join().expect("no panic").expect("write");
    assert_eq!((status_of(&output), output.stdout == bytes), (0, true));
    lab.finish();
}

fn the_working_directory_is_the_callers() {
    let mut lab = Linux::new();
    lab.up();
    let dir = lab.dir().join("a directory");
    std::fs::create_dir(&dir).expect("make a directory");
    let output = lab.command(&["run", "--", "pwd"]).current_dir(&dir).output().expect("run pontoon");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n", dir.display()));
    lab.finish();
}

fn the_environment_is_the_callers_and_what_e_says() {
    let mut lab = Linux::new();
    lab.up();
    let script = "echo \"$ONE,$TWO,$THREE\"";
    let mut command = lab.command(&["run", "-e", "TWO=2 and a half", "-e", "THREE", "--", "sh", "-c", script]);
    let output = command.env("ONE", "1").env("TWO", "two").env("THREE", "3").output().expect("run pontoon");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1,2 and a half,3\n");
    let named = prints(&lab, &["run", "-h", "box", "--", "sh", "-c", "echo $HOSTNAME; cat /proc/sys/kernel/hostname"]);
    assert_eq!(named, "box\nbox\n");
    lab.finish();
}

fn signals_are_passed_on() {
    let mut lab = Linux::new();
    lab.up();
    let cases = [
        ("echo ready; exec sleep infinity", Signal::SIGTERM, 143),
        ("echo ready; exec sleep infinity", Signal::SIGHUP, 129),
        ("trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done", Signal::SIGINT, 9),
        ("trap 'exit 8' USR1; echo ready; while :; do sleep 0.01; done", Signal::SIGUSR1, 8),
    ];
    for (script, signal, status) in cases {
        let mut client = lab.command(&["run", "--", "sh", "-c", script]).spawn().expect("run pontoon");
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read");
        assert_eq!(line, "ready\n");
        nix::sys::signal::kill(Pid::from_raw(client.id().cast_signed()), signal).expect("send a signal");
        let output = client.wait_with_output().expect("wait");
        assert_eq!(status_of(&output), status, "{signal}");
    }
    assert_eq!(crate::lab::names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}

fn exec_runs_a_command_in_a_running_container() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let said = pontoon(&lab, &["exec", "-e", "X=7", "web", "--", "sh", "-c", "echo $X; ls /sys/class/net; exit 5"]);
    assert_eq!((said.status, said.stdout.as_str()), (5, "7\neth0\nlo\n"));
    assert_eq!(pontoon(&lab, &["exec", "web", "--", "sh", "-c", "kill -9 $$"]).status, 137);
    lab.stop("web", 10).expect("stop web");
    let said = pontoon(&lab, &["exec", "web", "--", "true"]);
    assert_eq!(
        (said.status, said.stderr.as_str()),
        (125, "pontoon: container web is not running\nhint: `pontoon ps` lists those that run\n")
    );
    lab.finish();
}

fn run_d_returns_at_once_and_holds_no_stream() {
    let mut lab = Linux::new();
    // No daemon runs: the one that is started by the way must let go of the pipes, too.
    let shell = format!(
        "x=$({} --runtime-dir {} --state-dir {} run -d --name web -- sleep infinity 2>/dev/null); echo \"$x\"",
        env!("CARGO_BIN_EXE_pontoon"),
        lab.runtime_dir().display(),
        lab.state_dir().display()
    );
    let output = std::process::Command::new("sh").args(["-c", &shell]).output().expect("run a shell");
    let id = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    assert_eq!(crate::lab::inspect(&mut lab, "web").id, id);
    lab.finish();
}

fn the_client_may_go_and_the_container_stays() {
    let mut lab = Linux::new();
    lab.up();
    let script = "echo ready; exec sleep infinity";
    let mut client = lab.command(&["run", "--name", "web", "--", "sh", "-c", script]).spawn().expect("run pontoon");
    let mut line = [0; 6];
    client.stdout.as_mut().expect("a pipe").read_exact(&mut line).expect("read");
    client.kill().expect("kill -9 the client");
    client.wait().expect("wait");
    assert_eq!(crate::lab::names(&mut lab, false), ["web"]);
    lab.stop("web", 10).expect("stop web");
    assert_eq!(crate::lab::names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}

fn the_end_of_the_command_ends_all_of_its_processes() {
    let mut lab = Linux::new();
    lab.up();
    let said = pontoon(&lab, &["run", "--", "sh", "-c", "setsid sleep infinity >/dev/null 2>&1 </dev/null & exit 6"]);
    assert_eq!(said.status, 6);
    let others = crate::lab::linux::processes::others();
    assert!(others.iter().all(|words| !words.contains("sleep")), "{others:?}");
    lab.finish();
}

fn the_status_comes_even_when_the_daemon_is_killed() {
    let mut lab = Linux::new();
    lab.up();
    let script = "echo ready; read line; exit 11";
    let mut client =
        lab.command(&["run", "--", "sh", "-c", script]).stdin(Stdio::piped()).spawn().expect("run pontoon");
    let mut line = [0; 6];
    client.stdout.as_mut().expect("a pipe").read_exact(&mut line).expect("read");
    lab.kill_daemon();
    client.stdin.take().expect("a pipe").write_all(b"go on\n").expect("write");
    assert_eq!(status_of(&client.wait_with_output().expect("wait")), 11);
    lab.up();
    assert_eq!(crate::lab::names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}
