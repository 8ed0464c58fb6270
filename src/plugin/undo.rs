//! DEL and GC: what was made goes, whatever is left of it, and whoever knows of it.

use std::path::PathBuf;

use cni::Failure;
use cni::call::{Attachment, Subject};
use cni::configuration::Configuration;
use control::CniOrder;

use super::daemon::{Daemon, PATIENCE, directories};
use super::delegate::Delegate;

/// Takes an interface away, and gives its address back. Neither need be there.
///
/// # Errors
/// If it is not known to be gone.
pub fn del(subject: &Subject) -> Result<(), Failure> {
    let configuration = &subject.configuration;
    let order = CniOrder::Del { key: subject.attachment.key() };
    unless_nothing_is_there(configuration, |daemon| daemon.insist::<()>(order))?;
    match Delegate::of(configuration, &subject.path)? {
        Some(delegate) => delegate.del(),
        None => Ok(()),
    }
}

/// Takes all of a network's interfaces away but those that are listed.
///
/// # Errors
/// The first thing that could not be done; the rest was.
pub fn gc(configuration: &Configuration, spared: &[Attachment], path: &[PathBuf]) -> Result<(), Failure> {
    let spared = spared.iter().map(Attachment::key).collect();
    let order = CniOrder::Gc { network: configuration.name.clone(), spared };
    let mut gone: Vec<String> = Vec::new();
    let ours = unless_nothing_is_there(configuration, |daemon| {
        gone = daemon.insist(order)?;
        Ok(())
    });
    let theirs = match Delegate::of(configuration, path) {
        Ok(Some(delegate)) => give_back(&delegate, &gone),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    ours.and(theirs)
}

/// Has a delegate give back what it can know to be left over; one that knows no GC, what was ours and has gone.
fn give_back(delegate: &Delegate<'_>, gone: &[String]) -> Result<(), Failure> {
    if delegate.gc()? {
        return Ok(());
    }
    let gone = gone.iter().filter_map(|key| Attachment::of_key(key));
    let failures: Vec<Failure> = gone.filter_map(|attachment| delegate.del_of(&attachment).err()).collect();
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// Asks the daemon, unless there is none, none can be started, and there is nothing that one could take away.
fn unless_nothing_is_there(
    configuration: &Configuration,
    ask: impl FnOnce(&mut Daemon) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match Daemon::reach(configuration, PATIENCE) {
        Ok(mut daemon) => ask(&mut daemon),
        Err(failure) => {
            let paths = directories(configuration)?.paths();
            if paths.are_empty() { Ok(()) } else { Err(failure) }
        }
    }
}
