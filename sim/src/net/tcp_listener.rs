//! [`TcpListener`].

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use super::addr::{self, ToSocketAddrs};
use super::handle::Handle;
use super::tcp_stream::TcpStream;
use crate::socket::SocketId;

/// A TCP socket that listens. At most 128 connections wait for [`TcpListener::accept`]; who comes then is not answered.
#[derive(Debug)]
pub struct TcpListener {
    handle: Handle,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens at an address; port 0 is any.
    ///
    /// # Errors
    /// If the address is not there or the port is taken.
    ///
    /// # Panics
    /// If no program of a world calls it.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let mut failed = None;
        for at in addr::addresses(addr).await? {
            match Handle::open(|calls| calls.listen(at)) {
                Ok(handle) => {
                    let local = handle.now(|calls, id| calls.local_addr(id))?;
                    return Ok(TcpListener { handle, local });
                }
                Err(why) => failed = Some(why),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
    }

    /// A listener that was bound for the program that calls.
    pub(crate) fn of(socket: SocketId) -> Self {
        let handle = Handle::of(socket);
        // One that is closed already is nowhere.
        let local = handle.now(|calls, id| calls.local_addr(id)).unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        TcpListener { handle, local }
    }

    /// The next connection, and who connected. If this is dropped while it waits, no connection is lost.
    ///
    /// # Errors
    /// If the process has ended.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`TcpListener::accept`].
    ///
    /// # Errors
    /// In the answer, as of [`TcpListener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.handle.poll(cx, |calls, id| calls.accept(id)).map_ok(|(socket, peer)| {
            let stream = TcpStream::new(self.handle.beside(socket));
            (stream, peer)
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None here.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}
