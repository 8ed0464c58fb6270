//! [`Channel`]: JSON messages with file descriptors over a Unix stream socket, between the command, the daemon and the shims.
//!
//! The rules it keeps:
//!
//! * One message is one line ([`framing`], which knows nothing of sockets). Its descriptors go with its first byte, so they are
//!   here before its end is.
//! * A message has at most [`MAX_MESSAGE`] bytes and [`MAX_FDS`] descriptors; more is an error before it is a burden.
//! * A descriptor is owned and close-on-exec from the moment it is here. Those that came with nonsense are closed.
//!
//! After any error but [`WireError::TimedOut`] and [`WireError::NotJson`] the channel is of no further use.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::framing::{Lines, TooLong};
pub use self::framing::{MAX_FDS, MAX_MESSAGE};

pub mod framing;

/// The most descriptors that wait for the ends of their messages.
const MAX_WAITING_FDS: usize = 4 * MAX_FDS;
/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// Why a message was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side is gone.
    #[error("the other side closed the connection")]
    Closed,
    /// A message is longer than [`MAX_MESSAGE`].
    #[error("a message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// More descriptors than [`MAX_FDS`] go with a message.
    #[error("more than {MAX_FDS} file descriptors come with a message")]
    TooManyFds,
    /// A message announces descriptors that did not come (this process may have too many open).
    #[error("{announced} file descriptors were announced, {received} came")]
    MissingFds {
        /// How many the message speaks of.
        announced: usize,
        /// How many are here.
        received: usize,
    },
    /// A message is not what was expected. It is skipped, its descriptors are closed; the next can be received.
    #[error("a message can not be understood: {0}")]
    NotJson(#[from] serde_json::Error),
    /// Nothing came, or nothing went, for as long as [`Channel::set_timeouts`] said.
    #[error("the other side does not answer")]
    TimedOut,
    /// The socket failed.
    #[error(transparent)]
    Io(io::Error),
}

impl From<TooLong> for WireError {
    fn from(_: TooLong) -> Self {
        WireError::TooLong
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => WireError::TimedOut,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                WireError::Closed
            }
            _ => WireError::Io(error),
        }
    }
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    lines: Lines,
    fds: VecDeque<OwnedFd>,
}

impl Channel {
    /// A channel over a connected socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Channel { socket, lines: Lines::default(), fds: VecDeque::new() }
    }

    /// Two ends of a new conversation.
    ///
    /// # Errors
    /// If the process has too many descriptors open.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Channel::new(one), Channel::new(other)))
    }

    /// How long [`Channel::recv`] and [`Channel::send`] may stand still; for ever with `None`, as at first.
    ///
    /// # Errors
    /// If the duration is zero.
    pub fn set_timeouts(&self, receive: Option<Duration>, send: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(receive)?;
        self.socket.set_write_timeout(send)
    }

    /// Sends one message, and duplicates of `fds` with it.
    ///
    /// # Errors
    /// If it is too long, or the other side is gone or does not read. It may have been sent in part then.
    pub fn send(&mut self, body: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        if fds.len() > MAX_FDS {
            return Err(WireError::TooManyFds);
        }
        let line = framing::seal(fds.len(), body)?;
        if line.len() > MAX_MESSAGE {
            return Err(WireError::TooLong);
        }
        let mut sent = 0;
        while sent < line.len() {
            sent += send_some(&self.socket, &line[sent..], if sent == 0 { fds } else { &[] })?;
        }
        Ok(())
    }

    /// Waits for one message and takes it, with its descriptors.
    ///
    /// # Errors
    /// If the other side is gone or silent, or the message is no `T`.
    pub fn recv<T: DeserializeOwned>(&mut self) -> Result<(T, Vec<OwnedFd>), WireError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.fill(RecvFlags::empty())?;
        }
    }

    /// Takes one message if it is here. Never waits; the beginning of a message is kept for the next call. After the socket
    /// was ready, call it until it gives `None`: several messages may have come at once.
    ///
    /// # Errors
    /// If the other side is gone, or the message is no `T`.
    pub fn try_recv<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, WireError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.fill(RecvFlags::DONTWAIT) {
                Ok(()) => {}
                Err(WireError::TimedOut) => return Ok(None),
                Err(failed) => return Err(failed),
            }
        }
    }

    /// The message at the front of what has come, if its end is here.
    fn take<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, WireError> {
        let Some(line) = self.lines.next_line()? else { return Ok(None) };
        match framing::open::<T>(&line) {
            Ok(message) => Ok(Some((message.body, self.take_fds(message.fds)?))),
            Err(why) => {
                drop(self.take_fds(framing::announced(&line))?);
                if self.lines.is_empty() {
                    self.fds.clear();
                }
                Err(WireError::NotJson(why))
            }
        }
    }

    fn take_fds(&mut self, announced: usize) -> Result<Vec<OwnedFd>, WireError> {
        if announced > self.fds.len() {
            return Err(WireError::MissingFds { announced, received: self.fds.len() });
        }
        Ok(self.fds.drain(..announced).collect())
    }

    /// Reads what is there, at most a chunk.
    fn fill(&mut self, flags: RecvFlags) -> Result<(), WireError> {
        let mut chunk = [0; CHUNK];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let into = &mut [IoSliceMut::new(&mut chunk)];
            rustix::net::recvmsg(&self.socket, into, &mut control, flags | RecvFlags::CMSG_CLOEXEC)
        })
        .map_err(io::Error::from)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > MAX_WAITING_FDS {
            return Err(WireError::TooManyFds);
        }
        if received.bytes == 0 {
            return Err(WireError::Closed);
        }
        self.lines.push(&chunk[..received.bytes]);
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    /// A channel over a descriptor that is a connected Unix stream socket.
    fn from(fd: OwnedFd) -> Self {
        Channel::new(UnixStream::from(fd))
    }
}

impl From<Channel> for OwnedFd {
    /// The socket; what had come in part is lost.
    fn from(channel: Channel) -> Self {
        channel.socket.into()
    }
}

fn send_some(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("no room for the descriptors of a message"));
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    })?;
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    fn null() -> OwnedFd {
        File::open("/dev/null").expect("/dev/null").into()
    }

    #[test]
    fn descriptors_come_with_their_own_message() {
        let (mut here, mut there) = Channel::pair().expect("a pair");
        let (reader, writer) = UnixStream::pair().expect("a pair");
        here.send(&"first", &[]).expect("sent");
        here.send(&"second", &[writer.as_fd(), reader.as_fd()]).expect("sent");
        here.send(&"third", &[]).expect("sent");
        let (first, fds) = there.recv::<String>().expect("received");
        assert_eq!((first.as_str(), fds.len()), ("first", 0));
        let (second, fds) = there.recv::<String>().expect("received");
        assert_eq!((second.as_str(), fds.len()), ("second", 2));
        assert_eq!(there.try_recv::<String>().expect("received").expect("a message").0, "third");
        assert!(there.try_recv::<String>().expect("open").is_none());
    }

    #[test]
    fn a_message_in_pieces_is_one_message() {
        let (mut one, other) = UnixStream::pair().expect("a pair");
        let mut channel = Channel::new(other);
        for byte in br#"{"fds":0,"body":[1,2]}"# {
            one.write_all(&[*byte]).expect("sent");
            assert!(channel.try_recv::<Vec<u32>>().expect("open").is_none());
        }
        one.write_all(b"\n").expect("sent");
        assert_eq!(channel.try_recv::<Vec<u32>>().expect("open").expect("a message").0, [1, 2]);
    }

    #[test]
    fn descriptors_of_nonsense_are_closed_and_the_next_message_is_understood() {
        let (mut here, mut there) = Channel::pair().expect("a pair");
        let (mut reader, writer) = UnixStream::pair().expect("a pair");
        here.send(&"not a number", &[writer.as_fd()]).expect("sent");
        here.send(&7, &[null().as_fd()]).expect("sent");
        drop(writer);
        assert!(matches!(there.recv::<u32>(), Err(WireError::NotJson(_))));
        assert_eq!(reader.read(&mut [0]).expect("end of file"), 0);
        let (seven, fds) = there.recv::<u32>().expect("received");
        assert_eq!((seven, fds.len()), (7, 1));
    }

    #[test]
    fn what_is_not_even_an_envelope_takes_its_descriptors_along() {
        let (one, other) = UnixStream::pair().expect("a pair");
        let (mut reader, writer) = UnixStream::pair().expect("a pair");
        let mut channel = Channel::new(other);
        send_some(&one, b"nonsense\n", &[writer.as_fd()]).expect("sent");
        drop(writer);
        assert!(matches!(channel.recv::<u32>(), Err(WireError::NotJson(_))));
        assert_eq!(reader.read(&mut [0]).expect("end of file"), 0);
    }

    #[test]
    fn announced_descriptors_must_come() {
        let (mut one, other) = UnixStream::pair().expect("a pair");
        let mut channel = Channel::new(other);
        one.write_all(b"{\"fds\":1,\"body\":7}\n").expect("sent");
        assert!(matches!(channel.recv::<u32>(), Err(WireError::MissingFds { announced: 1, received: 0 })));
    }

    #[test]
    fn too_long_too_many_too_late_and_closed_are_told_apart() {
        let (mut here, mut there) = Channel::pair().expect("a pair");
        assert!(matches!(here.send(&"x".repeat(MAX_MESSAGE), &[]), Err(WireError::TooLong)));
        let fd = null();
        assert!(matches!(here.send(&1, &[fd.as_fd(); MAX_FDS + 1]), Err(WireError::TooManyFds)));
        there.set_timeouts(Some(Duration::from_millis(1)), None).expect("set");
        assert!(matches!(there.recv::<u32>(), Err(WireError::TimedOut)));
        drop(here);
        assert!(matches!(there.recv::<u32>(), Err(WireError::Closed)));
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_bound() {
        let (mut one, other) = UnixStream::pair().expect("a pair");
        let endless = std::thread::spawn(move || {
            let block = [b'x'; 4096];
            while one.write_all(&block).is_ok() {}
        });
        let mut channel = Channel::new(other);
        assert!(matches!(channel.recv::<u32>(), Err(WireError::TooLong)));
        assert!(channel.lines.len() < MAX_MESSAGE + CHUNK);
        drop(channel);
        endless.join().expect("the writer ends");
    }
}
