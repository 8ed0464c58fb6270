//! The command under test, as the lab runs it, and what it says.

use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Linux, waited_for};
use crate::lab::{Lab, Order, Program, Refusal};

impl Linux {
    /// `pontoon` with these arguments, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pontoon"));
        command.arg("--runtime-dir").arg(self.runtime_dir()).arg("--state-dir").arg(self.state_dir()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `pontoon` with these arguments.
    pub fn pontoon(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap_or_else(|why| panic!("run pontoon: {why}"))
    }

    /// What `pontoon` prints on standard output when all goes well.
    pub fn says(&self, arguments: &[&str]) -> String {
        match self.attempt(arguments) {
            Ok(said) => said,
            Err(refusal) => panic!("pontoon {}: {refusal:?}{}", arguments.join(" "), self.daemon_log()),
        }
    }

    /// What it prints with `--json`, read.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let said = self.says(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("pontoon {}: {why}: {said}", arguments.join(" ")))
    }

    pub(super) fn attempt(&self, arguments: &[&str]) -> Result<String, Refusal> {
        let output = self.pontoon(arguments);
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(refusal_of(&output))
    }

    pub(super) fn daemon_log(&self) -> String {
        let log = std::fs::read_to_string(self.runtime_dir().join("daemon.log")).unwrap_or_default();
        format!("\nthe daemon's log:\n{log}")
    }

    /// The daemon's process, if one answers.
    pub fn daemon_pid(&self) -> Option<i32> {
        #[derive(Deserialize)]
        struct Status {
            pid: i32,
        }
        let said = self.attempt(&["status", "--json"]).ok()?;
        serde_json::from_str(&said).ok().map(|status: Status| status.pid)
    }

    /// Starts a container; its id.
    pub(super) fn start(&mut self, order: &Order) -> Result<String, Refusal> {
        if let Some(name) = &order.name {
            // Of an earlier container of this name, or of none that runs.
            self.pids.remove(name);
        }
        let waits = order.program == Program::IgnoreTerm;
        if waits && !self.ready_pipe().exists() {
            nix::unistd::mkfifo(&self.ready_pipe(), nix::sys::stat::Mode::S_IRWXU).expect("make a pipe");
        }
        let id = if order.detach {
            let arguments = self.arguments_of(order);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            self.attempt(&arguments)?.trim_end().to_owned()
        } else {
            self.run_in_foreground(order)?
        };
        self.note_pid(&id);
        if waits {
            std::fs::read(self.ready_pipe()).expect("wait for the command");
        }
        Ok(id)
    }

    /// Somebody waits for a container in the background until it runs, or until it is refused.
    pub(super) fn run_in_foreground(&mut self, order: &Order) -> Result<String, Refusal> {
        let name = order.name.clone().expect("a foreground container of a test has a name");
        let arguments = self.arguments_of(order);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut client = self.command(&arguments).spawn().unwrap_or_else(|why| panic!("run pontoon: {why}"));
        let found = waited_for(|| {
            if client.try_wait().expect("wait for the client").is_some() {
                return Some(None);
            }
            let view = self
                .inspect(&name)
                .ok()
                .filter(|view| view.state == "running" && view.command == self.command_of(order.program));
            view.map(|view| Some(view.id))
        });
        match found {
            Some(Some(id)) => {
                self.clients.push(client);
                Ok(id)
            }
            Some(None) => Err(refusal_of(&client.wait_with_output().expect("read what the client says"))),
            None => panic!("container {name} neither runs nor is refused"),
        }
    }
}

/// What was said on standard error by who succeeded: warnings, and nothing else.
pub(super) fn warnings_in(output: &Output) -> Vec<String> {
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    stderr.lines().map(|line| line.strip_prefix("pontoon: warning: ").expect("a warning").to_owned()).collect()
}

/// The exit status as a shell tells it.
pub fn status_of(output: &Output) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let by_signal = output.status.signal().map(|signal| 128 + signal);
    output.status.code().or(by_signal).expect("it has ended")
}

/// The last `pontoon: …` on standard error, and the exit status.
pub(super) fn refusal_of(output: &Output) -> Refusal {
    let said = text(&output.stderr);
    let message = said.lines().rev().find_map(|line| line.strip_prefix("pontoon: ")).unwrap_or(&said);
    Refusal { status: status_of(output), message: message.to_owned() }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
