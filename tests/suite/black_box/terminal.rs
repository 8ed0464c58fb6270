//! At a terminal: the command has one of its own, and what is typed reaches it, Ctrl-C included.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::tests;
use crate::lab::Lab;
use crate::lab::linux::{Linux, processes, waited_for};

tests![
    a_command_at_a_terminal_has_one,
    what_is_typed_reaches_the_command,
    ctrl_c_interrupts_the_command,
    the_terminal_is_as_before_afterwards,
    a_client_in_the_background_goes_on,
    what_is_typed_and_not_read_holds_nobody_up,
    ctrl_c_is_heard_while_nobody_reads_what_is_written,
    what_is_written_last_is_not_lost_on_a_slow_terminal,
];

fn a_command_at_a_terminal_has_one() {
    let mut lab = Linux::new();
    lab.up();
    let mut session = Session::start(&lab, "test -t 0 && test -t 1 && test -t 2 && stty size && tty");
    let said = session.read_until("/dev/");
    assert!(said.contains("33 77"), "the size is the caller's: {said}");
    assert_eq!(session.end(), 0);
    lab.finish();
}

fn what_is_typed_reaches_the_command() {
    let mut lab = Linux::new();
    lab.up();
    let mut session = Session::start(&lab, "echo ready; read line; echo \"heard <$line>\"; exit 5");
    session.read_until("ready");
    session.type_in("a line\n");
    session.read_until("heard <a line>");
    assert_eq!(session.end(), 5);
    lab.finish();
}

fn ctrl_c_interrupts_the_command() {
    let mut lab = Linux::new();
    lab.up();
    let mut session =
        Session::start(&lab, "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.01; done");
    session.read_until("ready");
    session.type_in("\x03");
    session.read_until("interrupted");
    assert_eq!(session.end(), 9);
    let mut session = Session::start(&lab, "echo ready; exec sleep infinity");
    session.read_until("ready");
    session.type_in("\x03");
    assert_eq!(session.end(), 130);
    assert_eq!(crate::lab::names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}

fn the_terminal_is_as_before_afterwards() {
    let mut lab = Linux::new();
    lab.up();
    let mut session = Session::start_shell(&format!("stty -g; {}; stty -g", Session::pontoon(&lab, "true")));
    let said = session.read_to_end();
    let states: Vec<&str> = said.lines().map(str::trim).filter(|line| line.matches(':').count() > 10).collect();
    assert_eq!(states.len(), 2, "{said}");
    assert_eq!(states[0], states[1]);
    assert_eq!(session.end(), 0);
    lab.finish();
}

fn what_is_typed_and_not_read_holds_nobody_up() {
    let mut lab = Linux::new();
    lab.up();
    let mut session = Session::start(&lab, "echo ready; exec sleep 2");
    session.read_until("ready");
    let mut keyboard = session.terminal.try_clone().expect("duplicate the terminal");
    let typist = std::thread::spawn(move || keyboard.write_all("a line\n".repeat(2400).as_bytes()));
    assert_eq!(session.end(), 0);
    let _ = typist.join().expect("no panic");
    lab.finish();
}

fn ctrl_c_is_heard_while_nobody_reads_what_is_written() {
    let mut lab = Linux::new();
    lab.up();
    let mut session = Session::start(&lab, "echo ready; while :; do seq 1 100000; done");
    session.read_until("ready");
    // As long as it takes until no more fits anywhere: the command waits in a write to its terminal.
    let has_stopped = waited_for(|| processes::waits("seq").then_some(()));
    assert!(has_stopped.is_some(), "it writes and writes");
    session.type_in("\x03");
    lab.eventually("it is gone", &mut |lab| crate::lab::names(lab, true).is_empty());
    assert_eq!(session.end(), 130);
    lab.finish();
}

fn what_is_written_last_is_not_lost_on_a_slow_terminal() {
    let mut lab = Linux::new();
    lab.up();
    let mut session = Session::start(&lab, "echo ready; seq 1 1500; exit 3");
    session.read_until("ready");
    lab.eventually("it is gone", &mut |lab| crate::lab::names(lab, true).is_empty());
    let said = session.read_to_end();
    let numbers: Vec<&str> = said.lines().map(str::trim).skip_while(|line| *line != "1").collect();
    assert_eq!((numbers.len(), numbers.last().copied()), (1500, Some("1500")));
    assert_eq!(session.end(), 3);
    lab.finish();
}

fn a_client_in_the_background_goes_on() {
    let mut lab = Linux::new();
    lab.up();
    let client = Session::pontoon(&lab, "echo hello; exit 3");
    let mut session = Session::start_shell(&format!("set -m; {client} & wait $!; echo \"status $?.\""));
    let said = session.read_until("status ");
    assert!(said.contains("hello"), "{said}");
    assert!(session.read_until(".").contains("status 3."), "{said}");
    assert_eq!(session.end(), 0);
    lab.finish();
}

/// A terminal with a shell that runs `pontoon run` at it.
struct Session {
    terminal: File,
    shell: Child,
    seen: String,
}

impl Session {
    fn start(lab: &Linux, script: &str) -> Self {
        Session::start_shell(&format!("exec {}", Session::pontoon(lab, script)))
    }

    fn pontoon(lab: &Linux, script: &str) -> String {
        let quoted = script.replace('\'', r"'\''");
        format!(
            "{} --runtime-dir {} --state-dir {} run -- sh -c '{quoted}'",
            env!("CARGO_BIN_EXE_pontoon"),
            lab.runtime_dir().display(),
            lab.state_dir().display()
        )
    }

    /// `setsid -c` makes the terminal the controlling one, as a login does.
    fn start_shell(script: &str) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("open a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("unlock the terminal");
        let size = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("set the size");
        let name = ptsname(&terminal, Vec::new()).expect("the terminal has a name");
        let inner = || -> OwnedFd {
            let path = name.to_str().expect("a path");
            File::options().read(true).write(true).open(path).expect("open the terminal's inner end").into()
        };
        let shell = Command::new("setsid")
            .args(["-c", "-w", "sh", "-c", script])
            .stdin(Stdio::from(inner()))
            .stdout(Stdio::from(inner()))
            .stderr(Stdio::from(inner()))
            .spawn()
            .expect("start a shell");
        Session { terminal: terminal.into(), shell, seen: String::new() }
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("type");
    }

    /// All that has been printed, up to some text; the cage bounds how long that may take.
    fn read_until(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            assert!(self.read_more(), "{text:?} does not come: {:?}", self.seen);
        }
        self.seen.clone()
    }

    fn read_to_end(&mut self) -> String {
        while self.read_more() {}
        self.seen.clone()
    }

    /// A terminal whose inner end nobody holds says EIO.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.terminal.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
                true
            }
        }
    }

    fn end(&mut self) -> i32 {
        self.read_to_end();
        self.shell.wait().expect("wait for the shell").code().expect("it has ended by itself")
    }
}
