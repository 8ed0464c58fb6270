//! [`Try`]: another name server that was asked once, on a socket of its own, and what it says.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::EpollFlags;

use super::stream::Stream;
use crate::names::{Transport, is_answer_to};

/// How many datagrams a server has a turn for.
const BATCH: usize = 16;

/// A server that was asked.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) server: SocketAddr,
    /// The query under an id of its own.
    query: Vec<u8>,
    socket: Socket,
    /// Its number among what is waited for.
    pub(super) number: u64,
}

#[derive(Debug)]
enum Socket {
    /// Connected: the kernel takes only what comes from the server.
    Datagrams(UdpSocket),
    Stream(Stream),
}

/// What comes of listening to a server.
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    /// An answer to what it was asked.
    Answer(Vec<u8>),
    /// It is not there.
    Failure,
}

impl Try {
    /// Asks a server.
    pub(super) fn start(server: SocketAddr, query: Vec<u8>, transport: Transport) -> io::Result<Try> {
        let socket = Socket::ask(server, &query, transport)?;
        Ok(Try { server, query, socket, number: 0 })
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> EpollFlags {
        match &self.socket {
            Socket::Datagrams(_) => EpollFlags::EPOLLIN,
            Socket::Stream(stream) => stream.interest(true),
        }
    }

    /// What the server says, and how much has come that is not it.
    pub(super) fn hear(&mut self, buffer: &mut [u8]) -> (Heard, u64) {
        match &mut self.socket {
            Socket::Datagrams(socket) => {
                let mut strays = 0;
                for _ in 0..BATCH {
                    match socket.recv(buffer) {
                        Ok(length) if is_answer_to(&self.query, &buffer[..length]) => {
                            return (Heard::Answer(buffer[..length].to_vec()), strays);
                        }
                        Ok(_) => strays += 1,
                        Err(why) if why.kind() == ErrorKind::Interrupted => {}
                        Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                        Err(_) => return (Heard::Failure, strays),
                    }
                }
                (Heard::Nothing, strays)
            }
            Socket::Stream(stream) => {
                if stream.write().and_then(|_| stream.read()).is_err() {
                    return (Heard::Failure, 0);
                }
                match stream.next_message() {
                    Some(answer) if is_answer_to(&self.query, &answer) => (Heard::Answer(answer), 0),
                    // One question was asked on this connection: whoever says something else makes no sense.
                    Some(_) => (Heard::Failure, 1),
                    None if stream.is_over() => (Heard::Failure, 0),
                    None => (Heard::Nothing, 0),
                }
            }
        }
    }
}

impl AsFd for Try {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Datagrams(socket) => socket.as_fd(),
            Socket::Stream(stream) => stream.as_fd(),
        }
    }
}

impl Socket {
    /// From a port that the kernel chooses at random.
    fn ask(server: SocketAddr, query: &[u8], transport: Transport) -> io::Result<Socket> {
        match transport {
            Transport::Udp => {
                let any =
                    if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind((any, 0))?;
                socket.set_nonblocking(true)?;
                socket.connect(server)?;
                socket.send(query)?;
                Ok(Socket::Datagrams(socket))
            }
            Transport::Tcp => {
                let mut stream = Stream::connect(server)?;
                stream.push(query);
                Ok(Socket::Stream(stream))
            }
        }
    }
}
