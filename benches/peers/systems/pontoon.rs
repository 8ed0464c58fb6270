//! Pontoon, with its own containers.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::namespace::{Keeper, said};
use super::{CONTAINERS, End, GATEWAY, Outside, System};
use crate::cage;
use crate::peer::Peer;

/// A network of veth pairs; the default one has TAPs. (It has addresses of its own, as no two networks share theirs.)
const VETH_NETWORK: &str = "veths";

/// A daemon on a host of its own, and what it has.
pub struct Pontoon {
    dir: PathBuf,
    /// Which its containers are on.
    network: &'static str,
    containers: Vec<End>,
    outside: Option<Outside>,
    /// Who watches it meanwhile.
    capture: Option<Child>,
    host: Keeper,
}

impl Pontoon {
    /// With containers and an outside.
    pub fn with_outside(peer: Peer) -> Result<Self, String> {
        let mut pontoon = Pontoon::up(peer, &[])?;
        pontoon.outside = Some(Outside::behind(&pontoon.host)?);
        pontoon.populate()
    }

    /// With containers, while a capture of all ports, of whole frames and to nowhere, runs.
    pub fn capturing() -> Result<Self, String> {
        let mut pontoon = Pontoon::up(Peer::Capturing, &[])?.populate()?;
        let mut command = pontoon.prepare(&["capture", "--all", "-w", "/dev/null"]);
        let mut capture = command.stderr(Stdio::piped()).spawn().map_err(|why| format!("pontoon capture: {why}"))?;
        let mut said = String::new();
        // It says that it captures; what comes later is in it.
        if let Some(stderr) = capture.stderr.as_mut() {
            let _ = BufReader::new(stderr).read_line(&mut said);
        }
        pontoon.capture = Some(capture);
        if said.contains("capturing") { Ok(pontoon) } else { Err(format!("pontoon capture: {said}")) }
    }

    /// With containers, while the flight recorder keeps the last ten seconds.
    pub fn recording() -> Result<Self, String> {
        Pontoon::up(Peer::Recording, &["--flight-recorder", "10"])?.populate()
    }

    /// With a daemon only.
    pub fn empty(peer: Peer) -> Result<Self, String> {
        Pontoon::up(peer, &[])
    }

    fn up(peer: Peer, options: &[&str]) -> Result<Self, String> {
        let dir = (0..).map(|number| PathBuf::from(cage::DIR).join(format!("{}-{number}", peer.key())));
        let dir = dir.into_iter().find(|dir| !dir.exists()).expect("numbers do not end");
        std::fs::create_dir(&dir).map_err(|why| format!("make {}: {why}", dir.display()))?;
        let host = Keeper::of_host()?;
        let network = if peer == Peer::PontoonVeth { VETH_NETWORK } else { "bridge" };
        let pontoon = Pontoon { dir, network, containers: Vec::new(), outside: None, capture: None, host };
        let engine = pontoon.engine(peer)?;
        pontoon.command(&[["up", "--detach", "--bip", GATEWAY].as_slice(), engine.as_slice(), options].concat())?;
        if network == VETH_NETWORK {
            pontoon.command(&["network", "create", "-o", "endpoint=veth", network])?;
        }
        Ok(pontoon)
    }

    /// The options with which it runs as `peer`.
    fn engine(&self, peer: Peer) -> Result<Vec<&'static str>, String> {
        let name = match peer {
            Peer::PontoonEpoll => "epoll",
            Peer::PontoonUring => "uring",
            _ => return Ok(Vec::new()),
        };
        let has_a_choice = String::from_utf8_lossy(&self.command(&["up", "--help"])?).contains("--io ");
        match (has_a_choice, peer) {
            (true, _) => Ok(vec!["--io", name]),
            // Where there is no choice it is epoll.
            (false, Peer::PontoonEpoll) => Ok(Vec::new()),
            (false, _) => Err("this Pontoon has no `up --io`".to_owned()),
        }
    }

    fn populate(mut self) -> Result<Self, String> {
        for number in 0..CONTAINERS {
            let name = format!("c{number}");
            self.command(&["run", "-d", "--network", self.network, "--name", &name, "--", "sleep", "infinity"])?;
            let inspected = self.command(&["inspect", &name])?;
            self.containers.push(
                end(&inspected, self.network).ok_or_else(|| format!("pontoon inspect {name}: no pid or no address"))?,
            );
        }
        Ok(self)
    }

    /// A container that starts, runs `true` and ends.
    pub fn run_true(&self) -> Result<(), String> {
        self.command(&["run", "--", "true"]).map(|_| ())
    }

    /// What a command says.
    pub fn command(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        said(&mut self.prepare(arguments), &format!("pontoon {}", arguments.join(" ")))
    }

    fn prepare(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(env!("CARGO_BIN_EXE_pontoon"));
        command.arg("--runtime-dir").arg(self.dir.join("run")).arg("--state-dir").arg(self.dir.join("state"));
        command.args(arguments);
        command
    }
}

/// Who a container is, by what `inspect` says.
fn end(inspected: &[u8], network: &str) -> Option<End> {
    let views: serde_json::Value = serde_json::from_slice(inspected).ok()?;
    let pid = u32::try_from(views[0]["pid"].as_u64()?).ok()?;
    let address = views[0]["networks"][network]["ip"].as_str()?.split('/').next()?.parse().ok()?;
    Some(End { pid, address })
}

impl System for Pontoon {
    fn container(&self, number: usize) -> End {
        self.containers[number]
    }

    fn outside(&self) -> Option<End> {
        self.outside.as_ref().map(Outside::end)
    }
}

impl Drop for Pontoon {
    fn drop(&mut self) {
        // What is left all the same, the end of the cage ends.
        let _ = self.command(&["down"]);
        if let Some(mut capture) = self.capture.take() {
            let _ = capture.kill();
            let _ = capture.wait();
        }
    }
}
