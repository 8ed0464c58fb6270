//! [`Port`]: a published UDP port, and a socket towards the container for each of its clients.
//!
//! * The container sees each client as a port of the gateway's, and its answers find their way back by that.
//! * An answer comes from the address that the client sent to, also where the port is every address of the host.
//! * A client that is silent for a minute is forgotten; one that is too much takes the place of the longest silent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::task::Poll;

use netns::publish::clients::Clients;
use switch::time::Instant;

use crate::process::{Calls, Next, Process};
use crate::socket::SocketId;

/// The most clients that a port remembers at a time.
const MAX_CLIENTS: usize = 1024;

/// Who sent a datagram, and which of the host's addresses it was sent to.
type Key = (SocketAddr, IpAddr);

/// A socket of the host, and its clients.
pub(super) struct Port {
    socket: SocketId,
    target: SocketAddrV4,
    clients: Clients<Key, SocketId>,
    /// The earliest timer that is set.
    armed: Option<Instant>,
}

impl Port {
    pub(super) fn new(socket: SocketId, target: SocketAddrV4) -> Self {
        Port { socket, target, clients: Clients::new(MAX_CLIENTS), armed: None }
    }

    /// A datagram that can not go on is lost, as it may be everywhere.
    fn pass_in(&mut self, key: Key, datagram: &[u8], calls: &mut Calls<'_>) {
        let now = calls.now();
        if let Some(socket) = self.clients.find(&key, now).copied() {
            return drop(calls.send_to(socket, self.target, datagram));
        }
        if let Some(forgotten) = self.clients.make_room() {
            calls.close(forgotten);
        }
        let Ok(socket) = calls.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)) else { return };
        self.clients.insert(key, socket, now);
        let _ = calls.send_to(socket, self.target, datagram);
    }

    fn pass_out(&mut self, number: u64, socket: SocketId, calls: &mut Calls<'_>) {
        while let Poll::Ready(Ok((from, datagram))) = calls.recv_from(socket) {
            if from == SocketAddr::from(self.target)
                && let Some(((client, sent_to), _)) = self.clients.hear(number, calls.now())
            {
                let _ = calls.send_from(self.socket, sent_to, client, &datagram);
            }
        }
    }
}

impl Process for Port {
    fn wake(&mut self, calls: &mut Calls<'_>) -> Next {
        loop {
            match calls.recv_from_at(self.socket) {
                Poll::Ready(Ok((from, to, datagram))) => self.pass_in((from, to), &datagram, calls),
                // The port is published no more; what the container still says reaches nobody.
                Poll::Ready(Err(_)) => return Next::End(0),
                Poll::Pending => break,
            }
        }
        let sockets: Vec<(u64, SocketId)> = self.clients.iter().map(|(number, socket)| (number, *socket)).collect();
        for (number, socket) in sockets {
            self.pass_out(number, socket, calls);
        }
        let now = calls.now();
        while let Some(forgotten) = self.clients.expire(now) {
            calls.close(forgotten);
        }
        // Each word of a client puts its end off: one timer at a time is enough.
        if let Some(due) = self.clients.next_expiry()
            && self.armed.is_none_or(|armed| armed <= now)
        {
            self.armed = Some(due);
            let _ = calls.sleep_until(due);
        }
        Next::Wait
    }
}
