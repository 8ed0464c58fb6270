//! [`Pipes`]: where bytes are on their way from one socket to another, without a copy.
//!
//! A direction of a connection has a pipe only while something is in it: an idle connection has none. Pipes that became
//! empty are kept for the next, at most [`MAX_IDLE`].

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// The most empty pipes that are kept.
const MAX_IDLE: usize = 32;
/// How much a pipe holds, if the kernel allows it (`fs.pipe-max-size`, `fs.pipe-user-pages-soft`). It takes a slot for every
/// piece of a frame, so that small frames fill it with less.
const SIZE: usize = 256 * 1024;

/// The empty ones.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    idle: Vec<Pipe>,
}

/// One pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// How many bytes are in it.
    held: usize,
}

impl Pipes {
    /// An empty pipe.
    pub(super) fn take(&mut self) -> Result<Pipe, Errno> {
        if let Some(pipe) = self.idle.pop() {
            return Ok(pipe);
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // As it is if it must be.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, SIZE);
        Ok(Pipe { reader, writer, held: 0 })
    }

    /// Takes back a pipe; one that is not empty is thrown away.
    pub(super) fn give(&mut self, pipe: Pipe) {
        if pipe.held == 0 && self.idle.len() < MAX_IDLE {
            self.idle.push(pipe);
        }
    }
}

impl Pipe {
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes what the socket has into the empty pipe. 0 is the end of what it has, `AGAIN` that there is nothing yet: an empty
    /// pipe has room.
    pub(super) fn fill(&mut self, from: &OwnedFd) -> Result<usize, Errno> {
        debug_assert!(self.is_empty(), "a full pipe and a silent socket could not be told apart");
        let count = rustix::io::retry_on_intr(|| splice(from, None, &self.writer, None, SIZE, flags()))?;
        self.held = count;
        Ok(count)
    }

    /// Gives the socket what it takes. `AGAIN` is that it takes nothing now.
    pub(super) fn empty(&mut self, to: &OwnedFd) -> Result<(), Errno> {
        let count = rustix::io::retry_on_intr(|| splice(&self.reader, None, to, None, self.held, flags()))?;
        if count == 0 {
            return Err(Errno::PIPE);
        }
        self.held = self.held.saturating_sub(count);
        Ok(())
    }
}

/// Not `MORE`: nobody knows whether there is more, and the kernel would wait for it.
fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}
