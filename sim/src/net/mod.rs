//! Sockets, as `tokio::net` has them: a program written for those needs another `use`, and no more.
//!
//! Errors are Linux', by their [`ErrorKind`](std::io::ErrorKind). `[::]` is all addresses of both families, as Linux has it where
//! nobody says otherwise; names are looked up in IPv4 only, unless `/etc/hosts` knows better. A socket is closed when it is dropped, as
//! Linux closes it: what was written is still sent, and a peer whose data nobody has read is reset. All futures can be dropped
//! half way where tokio's can.

mod addr;
mod handle;
mod resolve;
mod split;
mod tcp_listener;
mod tcp_stream;
mod udp;

pub use self::addr::{ToSocketAddrs, lookup_host};
pub use self::tcp_listener::TcpListener;
pub use self::tcp_stream::TcpStream;
pub use self::udp::UdpSocket;

/// The halves of a [`TcpStream`], where tokio has them.
pub mod tcp {
    pub use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}
