//! [`Session`]: the outer end of a command in a container. Signals go in; that it runs, and how it ended, come out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::failure::Step;
use super::paths::Paths;
use super::process::{NotStarted, Process};
use super::protocol::{Event, Order, Request};
use super::wire::{Channel, WireError};
use crate::backend::BackendError;
use crate::name::Id;

/// What is heard of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Started,
    /// It does not, and will not.
    Failed(NotStarted),
    /// It has ended, with this status: 128+N if signal N ended it.
    Exited(i32),
    /// It ran, and nobody is left who could tell how it ended.
    Lost,
}

/// The outer end. To let go of it leaves the command alone.
#[derive(Debug)]
pub struct Session {
    channel: Channel,
    started: bool,
}

impl Session {
    /// A session to be, and the end of it that goes into the container (with [`super::Streams::Caller`]).
    ///
    /// # Errors
    /// If the process has too many descriptors open.
    pub fn pair() -> io::Result<(Session, OwnedFd)> {
        let (channel, inner) = Channel::pair()?;
        Ok((Session { channel, started: false }, inner.into()))
    }

    /// Sends a signal, by its number, to the command.
    ///
    /// # Errors
    /// If the container is gone.
    pub fn signal(&mut self, signal: i32) -> Result<(), WireError> {
        self.channel.send(&Order::Signal { signal }, &[])
    }

    /// Waits for the next news: first `Started` or `Failed`, then `Exited` or `Lost`.
    pub fn wait(&mut self) -> Outcome {
        match self.channel.recv() {
            Ok((event, _)) => self.hear(event),
            Err(_) => self.lost(),
        }
    }

    /// The next news, if there is any. To be asked until `None` after the descriptor was ready.
    pub fn try_wait(&mut self) -> Option<Outcome> {
        match self.channel.try_recv() {
            Ok(message) => message.map(|(event, _)| self.hear(event)),
            Err(_) => Some(self.lost()),
        }
    }

    fn hear(&mut self, event: Event) -> Outcome {
        match event {
            Event::Started => {
                self.started = true;
                Outcome::Started
            }
            Event::NotStarted { why } => Outcome::Failed(why),
            Event::Exited { status } => Outcome::Exited(status),
        }
    }

    fn lost(&self) -> Outcome {
        if self.started {
            return Outcome::Lost;
        }
        let cause = "the container's shim hung up: it has ended, or serves as many as it can";
        Outcome::Failed(NotStarted::other("start", "the command", cause))
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// Starts another process in a running container, with `streams` as its standard input, output and error.
///
/// # Errors
/// [`BackendError::Gone`] if the container is not there. Whether the process runs is the session's first news.
pub fn exec(paths: &Paths, id: &Id, process: Process, streams: [OwnedFd; 3]) -> Result<Session, BackendError> {
    let failed = |why: &dyn ToString| BackendError::from(Step::Attach.failed(id.short(), why.to_string()));
    let socket = UnixStream::connect(paths.socket(id)).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => BackendError::Gone,
        _ => failed(&why),
    })?;
    let (session, inner) = Session::pair().map_err(|why| failed(&why))?;
    let [stdin, stdout, stderr] = &streams;
    let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), inner.as_fd()];
    Channel::new(socket).send(&Request::Exec { process }, &fds).map_err(|why| failed(&why))?;
    Ok(session)
}
