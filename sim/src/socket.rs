//! What a program in a namespace holds: numbers of sockets, and why a call on one fails, as Linux would say it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use crate::namespace::NamespaceId;

/// Why a call on a socket failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// EADDRINUSE.
    #[error("Address already in use")]
    AddressInUse,
    /// EADDRNOTAVAIL.
    #[error("Cannot assign requested address")]
    AddressNotAvailable,
    /// ECONNREFUSED.
    #[error("Connection refused")]
    Refused,
    /// ECONNRESET.
    #[error("Connection reset by peer")]
    Reset,
    /// EPIPE: this side has said that it sends no more, or the other side does not listen any more.
    #[error("Broken pipe")]
    BrokenPipe,
    /// ENOTCONN.
    #[error("Transport endpoint is not connected")]
    NotConnected,
    /// ETIMEDOUT.
    #[error("Connection timed out")]
    TimedOut,
    /// EHOSTUNREACH: nobody answers for the address.
    #[error("No route to host")]
    HostUnreachable,
    /// ENETUNREACH: no route leads there.
    #[error("Network is unreachable")]
    NetworkUnreachable,
    /// EPERM: of IPv6, at an interface where it is switched off; or no port or no place is left for a connection that is to
    /// leave under another address.
    #[error("Operation not permitted")]
    NotPermitted,
    /// EMSGSIZE: longer than the interface's MTU.
    #[error("Message too long")]
    MessageSize,
    /// EAFNOSUPPORT: an address of IPv6 for a socket of IPv4.
    #[error("Address family not supported by protocol")]
    AddressFamily,
    /// EINVAL: a frame without a whole header.
    #[error("Invalid argument")]
    Invalid,
    /// ENETDOWN: the interface is switched off.
    #[error("Network is down")]
    NetworkDown,
    /// ENODEV, or the place itself is not there.
    #[error("No such device")]
    NoSuchDevice,
    /// EBADF: closed, or never opened.
    #[error("Bad file descriptor")]
    Closed,
}

impl SocketError {
    /// What the standard library makes of it on Linux.
    fn kind(self) -> io::ErrorKind {
        match self {
            SocketError::AddressInUse => io::ErrorKind::AddrInUse,
            SocketError::AddressNotAvailable => io::ErrorKind::AddrNotAvailable,
            SocketError::Refused => io::ErrorKind::ConnectionRefused,
            SocketError::Reset => io::ErrorKind::ConnectionReset,
            SocketError::BrokenPipe => io::ErrorKind::BrokenPipe,
            SocketError::NotConnected => io::ErrorKind::NotConnected,
            SocketError::TimedOut => io::ErrorKind::TimedOut,
            SocketError::HostUnreachable => io::ErrorKind::HostUnreachable,
            SocketError::NetworkUnreachable => io::ErrorKind::NetworkUnreachable,
            SocketError::NotPermitted => io::ErrorKind::PermissionDenied,
            SocketError::NetworkDown => io::ErrorKind::NetworkDown,
            SocketError::Invalid => io::ErrorKind::InvalidInput,
            // These have a kind that can not be named.
            SocketError::MessageSize | SocketError::AddressFamily | SocketError::NoSuchDevice | SocketError::Closed => {
                io::ErrorKind::Other
            }
        }
    }
}

impl From<SocketError> for io::Error {
    /// With the kind that Linux' error has, and the [`SocketError`] inside; but with no number, which is the machine's own.
    fn from(error: SocketError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

/// A socket, anywhere in one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId {
    pub(crate) namespace: NamespaceId,
    pub(crate) number: u64,
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interest {
    /// Data, a connection, or an end.
    Read,
    /// Room, or the end of a handshake.
    Write,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) process: u32,
    /// Whether it is a socket of IPv6, which sees addresses of IPv4 as mapped ones (RFC 4291, 2.5.5.2).
    pub(crate) is_v6: bool,
}

/// Whether what comes to `ip` is for a socket that is bound to `bound`. `::` is all addresses of both families, as Linux has it
/// with `bindv6only` off.
pub(crate) fn covers(bound: IpAddr, ip: IpAddr) -> bool {
    bound == ip || bound.is_unspecified() && (bound.is_ipv6() || ip.is_ipv4())
}

/// The first and the last port that is given to a socket that asks for none.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Which local ports are taken, and by which socket.
#[derive(Debug)]
pub(crate) struct Ports {
    taken: BTreeMap<(Protocol, u16), Vec<(IpAddr, u64)>>,
    next: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Ports { taken: BTreeMap::new(), next: *EPHEMERAL.start() }
    }
}

impl Ports {
    /// Takes a port for a socket; 0 means any. Two sockets collide if they ask for the same port on the same address, or
    /// one of them asks for it on all of the other's.
    pub(crate) fn bind(&mut self, protocol: Protocol, ip: IpAddr, port: u16, socket: u64) -> Result<u16, SocketError> {
        let port = if port == 0 { self.ephemeral(protocol, ip)? } else { port };
        if self.collides(protocol, ip, port) {
            return Err(SocketError::AddressInUse);
        }
        self.taken.entry((protocol, port)).or_default().push((ip, socket));
        Ok(port)
    }

    pub(crate) fn release(&mut self, socket: u64) {
        for owners in self.taken.values_mut() {
            owners.retain(|(_, owner)| *owner != socket);
        }
        self.taken.retain(|_, owners| !owners.is_empty());
    }

    /// Whether a datagram to this port has somebody to go to.
    pub(crate) fn has(&self, protocol: Protocol, port: u16) -> bool {
        self.taken.contains_key(&(protocol, port))
    }

    fn collides(&self, protocol: Protocol, ip: IpAddr, port: u16) -> bool {
        let owners = self.taken.get(&(protocol, port)).map_or(&[][..], Vec::as_slice);
        owners.iter().any(|(other, _)| covers(*other, ip) || covers(ip, *other))
    }

    fn ephemeral(&mut self, protocol: Protocol, ip: IpAddr) -> Result<u16, SocketError> {
        for _ in EPHEMERAL {
            let port = self.next;
            self.next = if port == *EPHEMERAL.end() { *EPHEMERAL.start() } else { port + 1 };
            if !self.collides(protocol, ip, port) {
                return Ok(port);
            }
        }
        Err(SocketError::AddressInUse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_collides_with_itself_and_with_the_wildcard_only() {
        let [any, one, two] = ["0.0.0.0", "10.0.0.1", "127.0.0.1"].map(|ip| ip.parse().expect("an address"));
        let mut ports = Ports::default();
        assert_eq!(ports.bind(Protocol::Tcp, one, 80, 1), Ok(80));
        assert_eq!(ports.bind(Protocol::Tcp, two, 80, 2), Ok(80));
        assert_eq!(ports.bind(Protocol::Udp, any, 80, 3), Ok(80));
        assert_eq!(ports.bind(Protocol::Tcp, one, 80, 4), Err(SocketError::AddressInUse));
        assert_eq!(ports.bind(Protocol::Tcp, any, 80, 4), Err(SocketError::AddressInUse));
        ports.release(1);
        assert_eq!(ports.bind(Protocol::Tcp, one, 80, 4), Ok(80));
    }

    #[test]
    fn the_wildcard_of_ipv6_is_that_of_both() {
        let [any4, any6, one, two] = ["0.0.0.0", "::", "10.0.0.1", "fd00::1"].map(|ip| ip.parse().expect("an address"));
        let mut ports = Ports::default();
        assert_eq!(ports.bind(Protocol::Tcp, any6, 80, 1), Ok(80));
        for taken in [any4, any6, one, two] {
            assert_eq!(ports.bind(Protocol::Tcp, taken, 80, 2), Err(SocketError::AddressInUse));
        }
        ports.release(1);
        assert_eq!(ports.bind(Protocol::Tcp, any4, 80, 1), Ok(80));
        assert_eq!(ports.bind(Protocol::Tcp, two, 80, 2), Ok(80));
        assert_eq!(ports.bind(Protocol::Tcp, one, 80, 3), Err(SocketError::AddressInUse));
        assert_eq!(ports.bind(Protocol::Tcp, any6, 80, 3), Err(SocketError::AddressInUse));
    }

    #[test]
    fn a_socket_that_asks_for_no_port_gets_a_free_one() {
        let (mut ports, here) = (Ports::default(), "127.0.0.1".parse().expect("an address"));
        let first = ports.bind(Protocol::Tcp, here, 0, 1);
        let second = ports.bind(Protocol::Tcp, here, 0, 2);
        assert_eq!((first, second), (Ok(32_768), Ok(32_769)));
    }
}
