//! The tale in real namespaces: this process is in a scratch network and mount namespace, which stands for the host, and
//! runs `pontoon` itself in it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use control::{Bridge, Station};
use netns::interface::InterfaceInfo;
use serde::de::DeserializeOwned;

use super::probe::PROBE;
use super::{Stage, TRANSFER};
use crate::failure::{Failure, io};
use crate::show;

/// A port on which nobody else listens in a new namespace.
const PORT: u16 = 8080;

/// A scratch namespace with a daemon of its own.
pub(super) struct Host {
    dir: PathBuf,
}

impl Host {
    /// Starts a daemon in the scratch namespace. Its files go into this directory.
    pub(super) fn new(dir: &Path) -> Result<Self, Failure> {
        let host = Host { dir: dir.to_owned() };
        host.pontoon(&["up", "--detach"])?;
        Ok(host)
    }

    /// Ends the containers and the daemon.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.pontoon(&["down"]).map(drop)
    }

    /// Runs `pontoon` with these arguments in the scratch namespace; what it prints.
    fn pontoon(&self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let output = self.command(arguments).output().map_err(io("run pontoon"))?;
        succeeded(arguments, output)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--runtime-dir").arg(self.dir.join("run")).arg("--state-dir").arg(self.dir.join("state"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Failure> {
        let text = self.pontoon(arguments)?;
        serde_json::from_slice(&text)
            .map_err(|why| Failure::new(format_args!("pontoon {}: {why}", arguments.join(" "))))
    }

    /// Runs a probe inside a container; what it prints.
    fn probe<T: DeserializeOwned>(&self, container: &str, words: &[&str]) -> Result<T, Failure> {
        self.json(&self.probe_arguments(container, words).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn probe_arguments(&self, container: &str, words: &[&str]) -> Vec<String> {
        // Not /proc/self/exe: inside, that is the probe's own /proc.
        let exe = std::env::current_exe().map(|exe| exe.display().to_string()).unwrap_or_else(|_| "pontoon".into());
        ["exec", container, "--", &exe, PROBE].into_iter().chain(words.iter().copied()).map(str::to_owned).collect()
    }
}

impl Stage for Host {
    fn scenery(&self) -> String {
        "The \"host\" here is a scratch namespace made for this demo; your own network is not touched.".into()
    }

    fn run(&mut self, name: &str, mode: &str) -> Result<(), Failure> {
        self.pontoon(&["run", "-d", "--name", name, "--network", mode, "--", "sleep", "300"]).map(drop)
    }

    fn interfaces(&mut self, container: &str) -> Result<Vec<InterfaceInfo>, Failure> {
        self.probe(container, &["interfaces"])
    }

    fn ping(&mut self, from: &str, to: Ipv4Addr) -> Result<Duration, Failure> {
        self.probe(from, &["ping", &to.to_string()]).map(Duration::from_nanos)
    }

    fn transfer(&mut self, from: &str, to: &str, address: Ipv4Addr) -> Result<Duration, Failure> {
        let (port, length) = (PORT.to_string(), TRANSFER.to_string());
        let receive = self.probe_arguments(to, &["receive", &port, &length]);
        let receive: Vec<&str> = receive.iter().map(String::as_str).collect();
        let receiver = self.command(&receive).spawn().map_err(io("run pontoon"))?;
        let took = self.probe(from, &["send", &address.to_string(), &port, &length]).map(Duration::from_nanos);
        let received = receiver.wait_with_output().map_err(io("wait for the receiver"))?;
        succeeded(&receive, received)?;
        took
    }

    fn bridges(&mut self) -> Result<Vec<Bridge>, Failure> {
        self.json(&["show", "--json"])
    }

    fn stations(&mut self) -> Result<Vec<Station>, Failure> {
        self.json(&["bridge", "fdb", "show", "--json"])
    }

    fn statistics(&mut self) -> Result<Vec<show::stats::Bridge>, Failure> {
        self.json(&["stats", "--json"])
    }
}

fn succeeded(arguments: &[&str], output: Output) -> Result<Vec<u8>, Failure> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format_args!("pontoon {}: {}: {}", arguments.join(" "), output.status, said.trim())))
}
