//! [`Options`]: how a daemon is started, and how they reach one in the background.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use control::Answer;
use ipnet::Ipv4Net;
use switch::engine::Io;

use super::{Outcome, run};
use crate::failure::Failure;
use crate::log;
use crate::paths::Dirs;

/// The hidden first argument of a daemon in the background.
const DAEMON: &str = "__daemon";

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its directories.
    pub dirs: Dirs,
    /// Whether it stays after its last container.
    pub stays: bool,
    /// The gateway's address, if the user chose it.
    pub bip: Option<Ipv4Net>,
    /// Where it serves metrics over TCP, if it does.
    pub metrics: Option<SocketAddr>,
    /// How frames are read and written.
    pub io: Io,
    /// How many seconds the flight recorder keeps, if there is to be one.
    pub flight_recorder: Option<u64>,
    /// Where it serves Docker, if it does.
    pub docker: Option<Docker>,
}

/// How Docker is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// The plugin's socket.
    pub socket: PathBuf,
    /// The engine's, which is asked for names.
    pub api: PathBuf,
}

impl Docker {
    /// Whether it could be served so, as far as can be seen before anything is started.
    ///
    /// # Errors
    /// Why it could not.
    pub fn check(&self) -> Result<(), Failure> {
        super::docker::check(self)
    }
}

impl Options {
    /// A daemon that ends by itself after its last container.
    #[must_use]
    pub fn passing(dirs: &Dirs) -> Self {
        let dirs = dirs.clone();
        Options { dirs, stays: false, bip: None, metrics: None, io: Io::Auto, flight_recorder: None, docker: None }
    }

    /// The arguments that [`dispatch`] understands.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let stays = if self.stays { "stays" } else { "ends" };
        let bip = self.bip.map(|bip| bip.to_string()).unwrap_or_default();
        let metrics = self.metrics.map(|metrics| metrics.to_string()).unwrap_or_default();
        let flight_recorder = self.flight_recorder.map(|seconds| seconds.to_string()).unwrap_or_default();
        let Dirs { runtime, state } = self.dirs.clone();
        let options = [stays.into(), bip.into(), metrics.into(), self.io.name().into(), flight_recorder.into()];
        let docker = self.docker.clone().into_iter().flat_map(|Docker { socket, api }| [socket.into(), api.into()]);
        [DAEMON.into(), runtime.into(), state.into()].into_iter().chain(options).chain(docker).collect()
    }

    fn from_arguments(arguments: &[OsString]) -> Option<Self> {
        let [_, first, runtime, state, stays, bip, metrics, io, flight_recorder, docker @ ..] = arguments else {
            return None;
        };
        (first == DAEMON).then(|| Options {
            dirs: Dirs { runtime: runtime.into(), state: state.into() },
            stays: stays == "stays",
            bip: bip.to_str().and_then(|bip| bip.parse().ok()),
            metrics: metrics.to_str().and_then(|metrics| metrics.parse().ok()),
            io: io.to_str().and_then(|io| io.parse().ok()).unwrap_or_default(),
            flight_recorder: flight_recorder.to_str().and_then(|seconds| seconds.parse().ok()),
            docker: match docker {
                [socket, api] => Some(Docker { socket: socket.into(), api: api.into() }),
                _ => None,
            },
        })
    }
}

/// Runs a daemon in the background, if the arguments ask for one: it says on its standard output, once, that it listens
/// or why not.
#[must_use]
pub fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    let options = Options::from_arguments(arguments)?;
    log::to(std::io::stderr, "info", log::Format::from_variable());
    // Out of the caller's session: what its terminal does is nothing to us.
    let _ = nix::unistd::setsid();
    let say = |answer: &Answer| {
        let mut out = std::io::stdout();
        let _ = serde_json::to_writer(&mut out, answer).map(|()| out.write_all(b"\n").and_then(|()| out.flush()));
        // The caller reads until the end of the line only; but nothing of ours shall keep its pipe open.
        if let Ok(null) = File::options().write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdout(null);
        }
    };
    let outcome = run(&options, |warnings| {
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        say(&Answer::Done(warnings.into()));
    });
    Some(match outcome {
        Ok(Outcome::Ended) => ExitCode::SUCCESS,
        Ok(Outcome::AnotherIsThere) => {
            say(&Answer::Ended);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tracing::error!("{}", failure.message);
            say(&Answer::Failed(failure));
            ExitCode::FAILURE
        }
    })
}
