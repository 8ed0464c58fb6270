//! [`Stream`]: DNS messages over TCP, each after its length of two bytes (RFC 1035, 4.2.2). Nothing here waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::EpollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// How much is read at a time, so that streams take turns.
const CHUNK: usize = 16_384;

/// One end of a connection. What has come and is not a whole message is at most one message and a chunk; what waits to be
/// sent is bounded by whoever sends.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The other end sends nothing any more.
    ended: bool,
}

impl Stream {
    pub(super) fn new(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Stream { socket, input: Vec::new(), output: Vec::new(), ended: false })
    }

    /// Begins to connect.
    pub(super) fn connect(server: SocketAddr) -> io::Result<Stream> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        match connect(&socket, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => Stream::new(socket.into()),
            Err(why) => Err(why.into()),
        }
    }

    /// Takes a message to be sent. One that is longer than its length can say is none of ours.
    pub(super) fn push(&mut self, message: &[u8]) {
        if let Ok(length) = u16::try_from(message.len()) {
            self.output.extend(length.to_be_bytes());
            self.output.extend(message);
        }
    }

    /// Sends what the connection takes. Whether it was anything.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.socket.write(&self.output[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) => return Err(why),
            }
        }
        self.output.drain(..sent);
        Ok(sent > 0)
    }

    /// Reads a chunk, unless there is a whole message already.
    pub(super) fn read(&mut self) -> io::Result<()> {
        if self.has_message() || self.ended {
            return Ok(());
        }
        let mut chunk = [0; CHUNK];
        match self.socket.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => self.input.extend(&chunk[..count]),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(why) => return Err(why),
        }
        Ok(())
    }

    /// The next whole message that has come.
    pub(super) fn next_message(&mut self) -> Option<Vec<u8>> {
        let end = self.message_end().filter(|end| *end <= self.input.len())?;
        let message = self.input[2..end].to_vec();
        self.input.drain(..end);
        Some(message)
    }

    pub(super) fn has_message(&self) -> bool {
        self.message_end().is_some_and(|end| end <= self.input.len())
    }

    /// How much waits to be sent, in bytes.
    pub(super) fn backlog(&self) -> usize {
        self.output.len()
    }

    /// Whether no further message will come.
    pub(super) fn is_over(&self) -> bool {
        self.ended && !self.has_message()
    }

    /// What to wait for: to write what there is, and to read if that is `wanted`.
    pub(super) fn interest(&self, wanted: bool) -> EpollFlags {
        let mut interest = EpollFlags::empty();
        interest.set(EpollFlags::EPOLLIN, wanted && !self.ended);
        interest.set(EpollFlags::EPOLLOUT, !self.output.is_empty());
        interest
    }

    fn message_end(&self) -> Option<usize> {
        let length = self.input.first_chunk()?;
        Some(2 + usize::from(u16::from_be_bytes(*length)))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
