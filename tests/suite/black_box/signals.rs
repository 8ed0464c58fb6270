//! Signals: what reaches the command in the foreground, and what `kill` can send.

use std::io::{BufRead, BufReader};

use nix::unistd::Pid;

use super::{fails, pontoon, prints, tests};
use crate::lab::linux::{Linux, status_of, waited_for};
use crate::lab::{Lab, run_all};

tests![all_signals_but_those_of_our_own_are_passed_on, kill_sends_real_time_signals_by_number_and_name,];

/// Sends a signal by its number, real-time ones as well.
fn send(pid: u32, signal: i32) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
    assert!(sent.expect("run a shell").success(), "kill -{signal}");
}

fn all_signals_but_those_of_our_own_are_passed_on() {
    let mut lab = Linux::new();
    lab.up();
    // HUP … SYS, but what can not be caught (KILL, STOP), faults of our own (ILL, BUS, FPE, SEGV), PIPE, CHLD and URG.
    let named = [1, 2, 3, 5, 6, 10, 12, 14, 15, 16, 18, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31];
    for signal in named.into_iter().chain([34, 35, 50, 64]) {
        // (dash knows no names of real-time signals, but their numbers.)
        let script = format!("trap 'exit 9' {signal}; echo ready; while :; do sleep 0.01; done");
        let mut client = lab.command(&["run", "--", "sh", "-c", &script]).spawn().expect("run pontoon");
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read");
        assert_eq!(line, "ready\n");
        send(client.id(), signal);
        assert_eq!(status_of(&client.wait_with_output().expect("wait")), 9, "signal {signal}");
    }
    // These are for the client itself, which does not mind.
    let script = "trap 'exit 9' PIPE CHLD URG; echo ready; read line; exit 4";
    let mut client = lab.command(&["run", "--", "sh", "-c", script]);
    let mut client = client.stdin(std::process::Stdio::piped()).spawn().expect("run pontoon");
    let mut line = String::new();
    BufReader::new(client.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read");
    for signal in [13, 17, 23] {
        send(client.id(), signal);
    }
    drop(client.stdin.take());
    assert_eq!(status_of(&client.wait_with_output().expect("wait")), 4);
    lab.finish();
}

fn kill_sends_real_time_signals_by_number_and_name() {
    let mut lab = Linux::new();
    lab.up();
    for signal in ["34", "36", "64", "RTMIN", "SIGRTMIN+1", "rtmax-1", "RTMAX"] {
        prints(&lab, &["run", "-d", "--name", "web", "--", "sleep", "infinity"]);
        prints(&lab, &["kill", "-s", signal, "web"]);
        lab.wait_ended("web");
        let number = match signal {
            "RTMIN" => 34,
            "SIGRTMIN+1" => 35,
            "rtmax-1" => 63,
            "RTMAX" => 64,
            number => number.parse().expect("a number"),
        };
        assert_eq!(crate::lab::inspect(&mut lab, "web").exit_status, Some(128 + number), "{signal}");
        prints(&lab, &["rm", "web"]);
    }
    run_all(&mut lab, &["web"]);
    for reserved in ["32", "33"] {
        fails(
            &lab,
            &["kill", "-s", reserved, "web"],
            2,
            &format!(
                "error: invalid value '{reserved}' for '--signal <SIGNAL>': the C library keeps this signal to itself\n\n\
                 For more information, try '--help'.\n"
            ),
        );
    }
    for wrong in ["RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMAX+1", "RTMIN+", "65"] {
        assert_eq!(pontoon(&lab, &["kill", "-s", wrong, "web"]).status, 2, "{wrong}");
    }
    let web = Pid::from_raw(lab.pid_of("web"));
    assert!(nix::sys::signal::kill(web, None).is_ok());
    prints(&lab, &["kill", "-s", "CONT", "web"]);
    prints(&lab, &["kill", "web"]);
    assert!(waited_for(|| nix::sys::signal::kill(web, None).is_err().then_some(())).is_some());
    lab.finish();
}
