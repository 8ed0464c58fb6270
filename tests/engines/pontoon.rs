//! [`Pontoon`]: our daemon and command, as the pages for Docker's users have them, with the usual directories.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{DIR, waited_for};
use crate::said::Said;

/// The command under test.
pub const COMMAND: &str = env!("CARGO_BIN_EXE_pontoon");
const SOCKET: &str = "/run/docker/plugins/pontoon.sock";
/// All that it listens at.
const SOCKETS: [&str; 2] = [SOCKET, "/run/pontoon/pontoon.sock"];
const CRASH: &str = "PONTOON_CRASH_AFTER_STEPS";

/// What a process has of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Open files that are no sockets.
    pub files: usize,
    pub sockets: usize,
    pub threads: usize,
    /// What is resident, in KiB.
    pub memory: u64,
}

/// The daemon that serves Docker.
pub struct Pontoon {
    daemon: Option<Child>,
}

impl Pontoon {
    /// Starts the daemon.
    ///
    /// # Errors
    /// If it does not serve in time: what it said.
    pub fn start() -> Result<Pontoon, String> {
        let mut pontoon = Pontoon { daemon: None };
        pontoon.up(&[])?;
        Ok(pontoon)
    }

    fn log_file() -> PathBuf {
        Path::new(DIR).join("pontoon.log")
    }

    fn up(&mut self, environment: &[(&str, String)]) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(Pontoon::log_file());
        let log = log.map_err(|why| format!("open the daemon's log: {why}"))?;
        let mut command = Command::new(COMMAND);
        command.args(["up", "--docker"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let is_to_crash = environment.iter().any(|(name, _)| *name == CRASH);
        let mut daemon = command.spawn().map_err(|why| format!("run {COMMAND}: {why}"))?;
        let mut ended = None;
        let is_up = waited_for(|| {
            ended = daemon.try_wait().ok().flatten();
            (ended.is_some() || SOCKETS.iter().all(|socket| UnixStream::connect(socket).is_ok())).then_some(())
        });
        self.daemon = Some(daemon);
        match (is_up, ended) {
            (Some(()), None) => Ok(()),
            // What it does by itself at its start has steps, too.
            (_, Some(status)) if is_to_crash && status.signal() == Some(Signal::SIGKILL as i32) => Ok(()),
            (_, Some(status)) => Err(format!("pontoon up --docker ended with {status}:\n{}", self.log())),
            (None, None) => Err(format!("pontoon up --docker does not serve in time:\n{}", self.log())),
        }
    }

    /// The last that it said.
    pub fn log(&self) -> String {
        let said = std::fs::read_to_string(Pontoon::log_file()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Ends the daemon as a service manager does.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        let mut daemon = self.daemon.take().expect("it has been started");
        kill(Pid::from_raw(daemon.id().cast_signed()), signal).expect("send a signal to the daemon");
        daemon.wait().expect("wait for the daemon");
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        assert!(self.daemon.is_none());
        self.up(&[]).unwrap_or_else(|why| panic!("start the daemon again: {why}"));
    }

    /// Starts it again, where a plugin of CNI may have started another one meanwhile, which would be in the way.
    pub fn start_again_alone(&mut self) {
        let status = self.try_to(&["status"]).stdout;
        let pid = status.lines().find_map(|line| line.strip_prefix("pid:")?.trim().parse().ok());
        if let Some(pid) = pid {
            // It may just be ending by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let is_gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
            assert!(waited_for(is_gone).is_some(), "the other daemon ends");
        }
        self.start_again();
    }

    /// Starts it again, to end as a crash does at a step of what it will be asked.
    pub fn start_to_crash(&mut self, steps: usize) {
        assert!(self.daemon.is_none());
        self.up(&[(CRASH, steps.to_string())]).unwrap_or_else(|why| panic!("start the daemon again: {why}"));
    }

    /// Starts it again, to miss what Docker has forgotten sooner than it does.
    pub fn start_to_miss_after(&mut self, age: Duration) {
        assert!(self.daemon.is_none());
        let age = ("PONTOON_DOCKER_FORGETS_AFTER", age.as_millis().to_string());
        self.up(&[age]).unwrap_or_else(|why| panic!("start the daemon again: {why}"));
    }

    /// What the daemon has taken of the machine.
    pub fn footprint(&self) -> Footprint {
        let pid = self.daemon.as_ref().expect("it runs").id();
        let entries =
            |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("look at the daemon").flatten();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("look at the daemon");
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        // One may be closed while it is looked at.
        let files = entries("fd").filter_map(|file| std::fs::read_link(file.path()).ok());
        let (sockets, files): (Vec<PathBuf>, Vec<PathBuf>) =
            files.partition(|file| file.to_string_lossy().starts_with("socket:"));
        Footprint {
            files: files.len(),
            sockets: sockets.len(),
            threads: entries("task").count(),
            memory: resident.expect("a number"),
        }
    }

    /// Says to the plugin what dockerd could say; the answer.
    pub fn hears(&self, method: &str, body: &serde_json::Value) -> String {
        let body = body.to_string();
        let mut stream = UnixStream::connect(SOCKET).expect("connect to the plugin");
        let head = format!("POST /NetworkDriver.{method} HTTP/1.1\r\nHost: \r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("say it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("hear the answer");
        answer
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().expect("look at the daemon").is_some());
        if ended {
            self.daemon = None;
        }
        ended
    }

    /// Runs the command.
    pub fn try_to(&self, arguments: &[&str]) -> Said {
        Said::by(Command::new("timeout").args(["60", COMMAND]).args(arguments))
    }

    /// Runs the command, which succeeds; what it prints.
    pub fn does(&self, arguments: &[&str]) -> String {
        self.try_to(arguments).printed(&format!("pontoon {}", arguments.join(" ")))
    }
}
