//! [`Daemon`]: the daemon as the plugin knows it: found or started, asked with patience, and its failures in the specification's codes.

use std::path::PathBuf;
use std::time::Duration;

use cni::configuration::Configuration;
use cni::{Code, Failure};
use control::{Answer, CniOrder, Request};
use netns::linux::wire::WireError;
use serde::de::DeserializeOwned;

use crate::client::{Client, Missed};
use crate::paths::Dirs;

/// How long the daemon may take to answer: it may have fifty to serve at once, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same for who only wants to know whether it answers at all.
pub const SHORT_PATIENCE: Duration = Duration::from_secs(5);
/// How often one that ends in the midst of a request is asked again, where that does no harm.
const TRIES: usize = 3;

/// A daemon that answers.
#[derive(Debug)]
pub struct Daemon {
    dirs: Dirs,
    client: Client,
    patience: Duration,
}

impl Daemon {
    /// Finds the daemon, or starts one that ends by itself after its last container.
    ///
    /// # Errors
    /// [`Code::TryAgain`] if one is there and does not answer; [`Code::NotAvailable`] if none can be started, or
    /// [`Code::NotAvailableLimited`] if there are containers that it was needed for.
    pub fn reach(configuration: &Configuration, patience: Duration) -> Result<Self, Failure> {
        let dirs = directories(configuration)?;
        let client = reach(&dirs, patience)?;
        Ok(Daemon { dirs, client, patience })
    }

    /// Asks it once: what it has begun when it ends is for its heir to undo.
    ///
    /// # Errors
    /// What it says, or that it does not answer.
    pub fn ask<T: DeserializeOwned>(&mut self, order: CniOrder) -> Result<T, Failure> {
        self.ask_up_to(1, order)
    }

    /// Asks for what may be done twice: if it ends meanwhile, its heir.
    ///
    /// # Errors
    /// What it says, or that it does not answer.
    pub fn insist<T: DeserializeOwned>(&mut self, order: CniOrder) -> Result<T, Failure> {
        self.ask_up_to(TRIES, order)
    }

    fn ask_up_to<T: DeserializeOwned>(&mut self, tries: usize, order: CniOrder) -> Result<T, Failure> {
        let request = Request::Cni(order);
        control::bounds::check(&request).map_err(|why| Failure::new(Code::InvalidConfiguration, why))?;
        let mut tries = tries;
        loop {
            match self.client.exchange(&request, &[]) {
                Ok(Answer::Done(value)) => return understood(value),
                Ok(Answer::Warned { done, warnings }) => {
                    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                    return understood(done);
                }
                Ok(Answer::Failed(failure)) => return Err(in_code(failure, Code::Daemon)),
                // It was just about to end, and has not begun.
                Ok(Answer::Ended) => {}
                Err(WireError::Closed) if tries > 1 => tries -= 1,
                Err(why) => return Err(Failure::new(Code::TryAgain, format_args!("ask the daemon: {why}"))),
            }
            self.client = reach(&self.dirs, self.patience)?;
        }
    }
}

/// The daemon's directories: those of the configuration, or those that the environment says to the command, too.
pub fn directories(configuration: &Configuration) -> Result<Dirs, Failure> {
    let said = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let runtime = configuration.runtime_dir.clone().or_else(|| said("PONTOON_RUNTIME_DIR"));
    let state = configuration.state_dir.clone().or_else(|| said("PONTOON_STATE_DIR"));
    let dirs = Dirs::new(runtime, state);
    dirs.map_err(|failure| in_code(failure, Code::InvalidConfiguration))
}

fn reach(dirs: &Dirs, patience: Duration) -> Result<Client, Failure> {
    Client::reach(dirs, patience).map_err(|missed| match missed {
        Missed::Silent(failure) => in_code(failure, Code::TryAgain),
        Missed::Failed(failure) if !dirs.paths().are_empty() => in_code(failure, Code::NotAvailableLimited),
        Missed::Failed(failure) => in_code(failure, Code::NotAvailable),
    })
}

/// A failure in the specification's form: its exit status is the code, unless it says no more than that something failed.
fn in_code(failure: control::Failure, otherwise: Code) -> Failure {
    let code = u32::try_from(failure.status).ok().filter(|status| *status > 1).and_then(Code::from_number);
    let told = Failure::new(code.unwrap_or(otherwise), failure.message);
    match failure.hint {
        Some(hint) => told.with_details(hint),
        None => told,
    }
}

fn understood<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|why| Failure::new(Code::Daemon, format_args!("the daemon's answer: {why}")))
}
