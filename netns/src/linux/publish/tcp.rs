//! [`Connection`]: a client's TCP connection and the one to the container, and what goes between them.
//!
//! * What one side ends, and only that, is ended at the other, once all before it was passed on: a half-closed connection
//!   stays half-open for as long as the sides like.
//! * A reset on one side, or a container that does not take the connection, is a reset for the other.
//! * What a side does not take is not read from the other: the pipe is all that is between them.
//! * Urgent data loses its urgency, as with every proxy.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketType, sockopt};

use super::listen::{FLAGS, abort_unless_finished, finished, pass_at_once};
use super::pipes::{Pipe, Pipes};

/// The client's end, and the container's.
pub(super) const CLIENT: usize = 0;
pub(super) const CONTAINER: usize = 1;
/// How many steps one direction may take before it is another connection's turn.
const TURN: usize = 16;

/// What epoll is asked of both ends. Once and for all: what was heard is remembered here.
pub(super) fn interest() -> EventFlags {
    EventFlags::IN | EventFlags::OUT | EventFlags::ET
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The container has not answered yet.
    Connects,
    /// It waits for a socket.
    Waits,
    /// It could go on at once.
    HasMore,
    /// Both sides have ended, and all was passed on.
    Done,
    /// One side failed: to be given to [`Connection::abort`].
    Failed,
}

/// Two sockets and what goes between.
#[derive(Debug)]
pub(super) struct Connection {
    ends: [End; 2],
    /// By the end that it comes from.
    flows: [Flow; 2],
    is_connecting: bool,
}

#[derive(Debug)]
struct End {
    socket: OwnedFd,
    is_readable: bool,
    is_writable: bool,
    /// It was reset, or timed out. What it said before may still be read.
    is_broken: bool,
}

#[derive(Debug, Default)]
struct Flow {
    /// If there is something on the way.
    pipe: Option<Pipe>,
    /// Its source has ended, and its destination was told.
    has_ended: bool,
}

impl Connection {
    /// Begins to connect an accepted client to the container. On failure the client is reset.
    pub(super) fn begin(client: OwnedFd, target: SocketAddrV4) -> Result<Self, Errno> {
        let container = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None)?;
        abort_unless_finished(&container)?;
        pass_at_once(&container)?;
        match rustix::net::connect(&container, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(why) => return Err(why),
        }
        let end = |socket| End { socket, is_readable: false, is_writable: false, is_broken: false };
        Ok(Connection { ends: [end(client), end(container)], flows: Default::default(), is_connecting: true })
    }

    /// One of its sockets, to be watched.
    pub(super) fn socket(&self, end: usize) -> &OwnedFd {
        &self.ends[end].socket
    }

    /// Remembers what epoll says of one end.
    pub(super) fn hear(&mut self, end: usize, flags: EventFlags) {
        let end = &mut self.ends[end];
        let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        end.is_readable |= failed || flags.contains(EventFlags::IN);
        end.is_writable |= failed || flags.contains(EventFlags::OUT);
        end.is_broken |= flags.contains(EventFlags::ERR);
    }

    /// Passes on what there is, but not for ever.
    pub(super) fn advance(&mut self, pipes: &mut Pipes) -> Progress {
        self.try_advance(pipes).unwrap_or(Progress::Failed)
    }

    /// Resets both sides.
    pub(super) fn abort(self) {
        for end in &self.ends {
            let _ = abort_unless_finished(&end.socket);
        }
    }

    fn try_advance(&mut self, pipes: &mut Pipes) -> Result<Progress, Errno> {
        if self.is_connecting && !self.has_connected()? {
            return Ok(if self.ends[CLIENT].is_broken { Progress::Failed } else { Progress::Connects });
        }
        let has_more = self.pass(CLIENT, pipes)? | self.pass(CONTAINER, pipes)?;
        if self.flows.iter().all(|flow| flow.has_ended) {
            return Ok(Progress::Done);
        }
        // The last words of an end that is broken are passed on; then there is no more to come from it.
        let has_spoken = |from: usize| {
            self.flows[from].has_ended || (self.flows[from].pipe.is_none() && !self.ends[from].is_readable)
        };
        if [CLIENT, CONTAINER].into_iter().any(|end| self.ends[end].is_broken && has_spoken(end)) {
            return Ok(Progress::Failed);
        }
        Ok(if has_more { Progress::HasMore } else { Progress::Waits })
    }

    fn has_connected(&mut self) -> Result<bool, Errno> {
        let container = &self.ends[CONTAINER];
        if container.is_writable {
            sockopt::socket_error(&container.socket)??;
            self.is_connecting = false;
        }
        Ok(!self.is_connecting)
    }

    /// Passes on what comes from one end. Whether there may be more at once.
    fn pass(&mut self, from: usize, pipes: &mut Pipes) -> Result<bool, Errno> {
        let flow = &mut self.flows[from];
        let [client, container] = &mut self.ends;
        let (source, destination) = if from == CLIENT { (client, container) } else { (container, client) };
        for _ in 0..TURN {
            if flow.has_ended || destination.is_broken {
                return Ok(false);
            }
            if let Some(mut pipe) = flow.pipe.take() {
                if destination.is_writable {
                    destination.is_writable = unless_later(pipe.empty(&destination.socket))?.is_some();
                }
                if pipe.is_empty() {
                    pipes.give(pipe);
                } else {
                    flow.pipe = Some(pipe);
                    if !destination.is_writable {
                        return Ok(false);
                    }
                }
            } else if source.is_readable {
                let mut pipe = pipes.take()?;
                match unless_later(pipe.fill(&source.socket))? {
                    Some(0) => {
                        rustix::net::shutdown(&destination.socket, Shutdown::Write)?;
                        finished(&destination.socket)?;
                        flow.has_ended = true;
                    }
                    Some(_) => {
                        flow.pipe = Some(pipe);
                        continue;
                    }
                    None => source.is_readable = false,
                }
                pipes.give(pipe);
            } else {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// `None` if the socket is to be asked again later.
fn unless_later<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::AGAIN) => Ok(None),
        Err(why) => Err(why),
    }
}
