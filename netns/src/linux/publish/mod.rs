//! The publisher: the small process that serves a container's published ports and, as the shim, outlives the daemon.
//!
//! * The daemon binds the sockets, so that a port that can not be had is told at once, and hands them over. From then on it
//!   is needed no more: `kill -9` of the daemon, or an upgrade, breaks no connection.
//! * It ends when the container's shim does, whatever way that goes, and closes everything: its ports are free at once.
//! * It lives in the host's network namespace and connects to the container as any process of the host would. So the host's
//!   own firewall rules for incoming traffic apply, and the container sees the gateway as the peer. It holds no namespace.
//! * It gives up every capability: what needed one, ports below 1024, is done before.
//!
//! The map: [`Publisher`] is the daemon's hold on it; `listen` makes the sockets; `serve` is its loop, over `tcp` (with
//! `pipes` and `pace`) and `udp` (with [`crate::publish::clients`]); `token` tells the loop's descriptors apart.

mod listen;
mod pace;
mod pipes;
mod serve;
mod tcp;
mod token;
mod udp;

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use self::serve::Server;
use super::exec::channel_on_stdin;
use super::failure::{Failure, Step};
use super::handle::{LONG_PATIENCE, PATIENCE, born_at, is_over_within, read_birth};
use super::protocol::PUBLISH;
use super::wire::{Channel, MAX_FDS, WireError};
use crate::backend::BackendError;
use crate::publish::{MAX_PORTS, PortMapping};

/// Which process the publisher is, in the container's directory.
const BIRTH: &str = "publisher";

/// To the publisher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Order {
    /// First. Descriptor: a pidfd of the shim.
    Serve { target: Ipv4Addr, ports: usize },
    /// Then, until all are there. Descriptors: the socket of each.
    Take { mappings: Vec<PortMapping> },
}

/// From the publisher, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
enum Report {
    Serves,
    Failed { failure: Failure },
}

/// The daemon's hold on one publisher, made by this daemon or by an earlier one. To drop it does not end it.
#[derive(Debug)]
pub struct Publisher {
    pidfd: OwnedFd,
    /// If it is a child of ours.
    child: Option<Child>,
}

impl Publisher {
    /// Binds every port of `mappings`, all or none, and starts the process that passes what comes to them to `target`.
    ///
    /// `directory` is the container's, where it is written down which process that is; `exe` the program, as for
    /// [`super::Linux::new`]; `shim` a pidfd of the container's shim, with which it ends; `log` takes what it has to say.
    ///
    /// # Errors
    /// If a port can not be had, which is named; or if the process can not be started. Nothing stays.
    pub fn start(
        directory: &Path,
        exe: &Path,
        shim: &OwnedFd,
        target: Ipv4Addr,
        mappings: &[PortMapping],
        log: &File,
    ) -> Result<Publisher, BackendError> {
        let sockets = mappings.iter().map(listen::listen).collect::<Result<Vec<OwnedFd>, Failure>>()?;
        let failed = || Step::StartPublisher.on::<io::Error>(target);
        let (mut channel, theirs) = Channel::pair().map_err(failed())?;
        channel.set_timeouts(Some(LONG_PATIENCE), Some(PATIENCE)).map_err(failed())?;
        let mut command = Command::new(exe);
        command.arg0("pontoon").arg(PUBLISH).arg(directory);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(log.try_clone().map_err(failed())?);
        let mut child = command.spawn().map_err(failed())?;
        // Else the other end of the channel lived on in it.
        drop(command);
        let begun = begin(&child, directory, &mut channel, shim, target, mappings, &sockets);
        match begun {
            Ok(pidfd) => Ok(Publisher { pidfd, child: Some(child) }),
            Err(failure) => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = fs::remove_file(directory.join(BIRTH));
                Err(failure.into())
            }
        }
    }

    /// Finds the publisher that an earlier daemon started for the container of this directory. `None` if it is gone, or
    /// there never was one.
    ///
    /// # Errors
    /// If it can not be looked for.
    pub fn adopt(directory: &Path) -> io::Result<Option<Publisher>> {
        let Some((pid, born)) = read_birth(&directory.join(BIRTH)) else { return Ok(None) };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // Looked at with the pidfd in hand, so that it can not become another process between.
            Ok(pidfd) if born_at(pid).is_ok_and(|own| own == born) => {
                let publisher = Publisher { pidfd, child: None };
                Ok(if publisher.is_over() { None } else { Some(publisher) })
            }
            Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Ends it, and waits until it has: its ports are free then. What it was passing on is cut off. To be called also when it
    /// has ended by itself, so that no zombie stays.
    ///
    /// # Errors
    /// If it does not end.
    pub fn end(mut self) -> io::Result<()> {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        if !is_over_within(&self.pidfd, PATIENCE)? {
            return Err(io::Error::other("the publisher does not end"));
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        Ok(())
    }

    /// Whether it has ended, by itself or otherwise.
    #[must_use]
    pub fn is_over(&self) -> bool {
        is_over_within(&self.pidfd, Duration::ZERO).unwrap_or(true)
    }
}

impl AsFd for Publisher {
    /// A pidfd: readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Writes a publisher down, and gives it all that it serves.
fn begin(
    child: &Child,
    directory: &Path,
    channel: &mut Channel,
    shim: &OwnedFd,
    target: Ipv4Addr,
    mappings: &[PortMapping],
    sockets: &[OwnedFd],
) -> Result<OwnedFd, Failure> {
    let pid = Pid::from_child(child);
    let written = || -> io::Result<OwnedFd> {
        // Before it is given anything: one that is not written down holds nothing, and ends with its creator.
        fs::write(directory.join(BIRTH), format!("{} {}", child.id(), born_at(pid)?))?;
        Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
    };
    let pidfd = written().map_err(Step::StartPublisher.on(target))?;
    let mut asked = || -> Result<Report, WireError> {
        channel.send(&Order::Serve { target, ports: mappings.len() }, &[shim.as_fd()])?;
        for (mappings, sockets) in mappings.chunks(MAX_FDS).zip(sockets.chunks(MAX_FDS)) {
            let order = Order::Take { mappings: mappings.to_vec() };
            channel.send(&order, &sockets.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
        }
        Ok(channel.recv::<Report>()?.0)
    };
    match asked() {
        Ok(Report::Serves) => Ok(pidfd),
        Ok(Report::Failed { failure }) => Err(failure),
        Err(why) => Err(Step::StartPublisher.failed(target, why)),
    }
}

/// What the hidden command `__publish DIRECTORY` does. The directory is there to be seen in the list of processes.
pub(super) fn main() -> ExitCode {
    // Signals of the daemon's terminal are not for us.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let Ok(mut channel) = channel_on_stdin() else { return ExitCode::FAILURE };
    let server = match prepare(&mut channel) {
        Ok(server) => server,
        Err(failure) => {
            let _ = channel.send(&Report::Failed { failure }, &[]);
            return ExitCode::FAILURE;
        }
    };
    if channel.send(&Report::Serves, &[]).is_err() {
        return ExitCode::FAILURE;
    }
    drop(channel);
    server.run()
}

fn prepare(channel: &mut Channel) -> Result<Server, Failure> {
    let failed = || Step::StartPublisher.on::<io::Error>("itself");
    let refused = |why: &dyn std::fmt::Display| Step::StartPublisher.failed("itself", why);
    let (order, fds) = channel.recv::<Order>().map_err(|why| refused(&why))?;
    let (Order::Serve { target, ports }, Ok([shim])) = (order, <[OwnedFd; 1]>::try_from(fds)) else {
        return Err(refused(&"the shim did not come"));
    };
    let mut listeners = Vec::new();
    while listeners.len() < ports.min(MAX_PORTS) {
        let (order, fds) = channel.recv::<Order>().map_err(|why| refused(&why))?;
        match order {
            Order::Take { mappings } if mappings.len() == fds.len() && !fds.is_empty() => {
                listeners.extend(mappings.into_iter().zip(fds));
            }
            Order::Take { .. } | Order::Serve { .. } => return Err(refused(&"a socket did not come")),
        }
    }
    let null = File::open("/dev/null").map_err(failed())?;
    rustix::stdio::dup2_stdin(null).map_err(|why| failed()(why.into()))?;
    give_up_privileges().map_err(failed())?;
    Server::new(target, shim, listeners).map_err(failed())
}

fn give_up_privileges() -> io::Result<()> {
    let none = CapabilitySet::empty();
    rustix::thread::set_no_new_privs(true)?;
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}
