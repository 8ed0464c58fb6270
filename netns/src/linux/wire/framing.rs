//! How messages lie among the bytes of a stream: pure, it is given bytes and gives lines.
//!
//! One message is one line: `{"fds":N,"body":…}`. N is how many descriptors go with it. It is said in the message because the
//! kernel glues the bytes of a message without descriptors to the one after it.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// The longest message, its newline included. A command has up to 2 MiB of arguments and environment, as kernels are set up, and
/// what is not plain text grows on its way.
pub const MAX_MESSAGE: usize = 8 << 20;
/// The most descriptors that go with one message.
pub const MAX_FDS: usize = 32;

/// A message, and how many descriptors it says that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// How many descriptors.
    pub fds: usize,
    /// What is said.
    pub body: T,
}

/// A line has come to [`MAX_MESSAGE`] bytes and has no end. Nothing that comes after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is longer than {MAX_MESSAGE} bytes")]
pub struct TooLong;

/// What has come of a stream, to be taken line by line.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// How many of `bytes` are known to hold no newline.
    searched: usize,
}

impl Lines {
    /// More bytes have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait to be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The line at the front of what has come, its newline included, if its end is here. To be asked until `None` after each
    /// [`Lines::push`]: so no more waits than [`MAX_MESSAGE`] and what was pushed last.
    ///
    /// # Errors
    /// If there is no end of it in [`MAX_MESSAGE`] bytes.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let Some(end) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return if self.bytes.len() < MAX_MESSAGE { Ok(None) } else { Err(TooLong) };
        };
        let line = self.bytes.drain(..=self.searched + end).collect();
        self.searched = 0;
        Ok(Some(line))
    }
}

/// The line of a message.
///
/// # Errors
/// If the message is nothing that JSON can say.
pub fn seal(fds: usize, body: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Envelope { fds, body })?;
    line.push(b'\n');
    Ok(line)
}

/// The message of a line.
///
/// # Errors
/// If it is no `T`.
pub fn open<T: DeserializeOwned>(line: &[u8]) -> serde_json::Result<Envelope<T>> {
    serde_json::from_slice(line)
}

/// How many descriptors go with a line that may not be understood otherwise.
#[must_use]
pub fn announced(line: &[u8]) -> usize {
    open::<IgnoredAny>(line).map_or(0, |other| other.fds)
}
