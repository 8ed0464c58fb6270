//! [`Datagrams`]: a UDP socket: where it is bound, and what has come for it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// The bytes that a socket holds.
const BUFFER: usize = 128 * 1024;
/// The datagrams that a socket holds. What comes then is lost.
const LIMIT: usize = 64;

/// A datagram that has arrived: from where, to which address, and what it says.
pub(crate) type Datagram = (SocketAddr, IpAddr, Vec<u8>);

#[derive(Debug)]
pub(super) struct Datagrams {
    pub(super) local: SocketAddr,
    queue: VecDeque<Datagram>,
    bytes: usize,
}

impl Datagrams {
    pub(super) fn new(local: SocketAddr) -> Self {
        Datagrams { local, queue: VecDeque::new(), bytes: 0 }
    }

    /// Takes a datagram in, if there is room.
    pub(super) fn push(&mut self, from: SocketAddr, to: IpAddr, data: &[u8]) {
        if self.queue.len() < LIMIT && self.bytes + data.len() <= BUFFER {
            self.bytes += data.len();
            self.queue.push_back((from, to, data.to_vec()));
        }
    }

    /// The oldest datagram.
    pub(super) fn pop(&mut self) -> Option<Datagram> {
        let (from, to, data) = self.queue.pop_front()?;
        self.bytes -= data.len();
        Some((from, to, data))
    }

    pub(super) fn has_some(&self) -> bool {
        !self.queue.is_empty()
    }
}
