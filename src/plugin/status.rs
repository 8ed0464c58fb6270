//! STATUS: could an ADD be served?

use std::path::PathBuf;

use cni::configuration::Configuration;
use cni::{Code, Failure};
use control::CniOrder;

use super::add::network_of;
use super::daemon::{Daemon, SHORT_PATIENCE, directories};
use super::delegate::Delegate;

/// Finds out; a daemon that is not there is started, as an ADD would.
///
/// # Errors
/// Why not, as [`Code::NotAvailable`] or [`Code::NotAvailableLimited`].
pub fn status(configuration: &Configuration, path: &[PathBuf]) -> Result<(), Failure> {
    let delegate = Delegate::of(configuration, path)?;
    let asked = Daemon::reach(configuration, SHORT_PATIENCE)
        .and_then(|mut daemon| daemon.insist::<()>(CniOrder::Status(network_of(configuration))));
    asked.map_err(|failure| not_available(configuration, failure))?;
    match delegate {
        Some(delegate) => delegate.status().map(drop),
        None => Ok(()),
    }
}

/// A daemon that does not answer is none. Containers that are there may hear nothing of the world any more.
fn not_available(configuration: &Configuration, failure: Failure) -> Failure {
    if failure.code != Code::TryAgain {
        return failure;
    }
    let has_containers = directories(configuration).is_ok_and(|dirs| !dirs.paths().are_empty());
    let code = if has_containers { Code::NotAvailableLimited } else { Code::NotAvailable };
    Failure { code, ..failure }
}
