//! [`UdpSocket`].

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::addr::{self, ToSocketAddrs};
use super::handle::Handle;
use crate::process::Calls;
use crate::socket::{Interest, SocketError, SocketId};

/// A UDP socket. It holds 64 datagrams; what comes then is lost.
#[derive(Debug)]
pub struct UdpSocket {
    handle: Handle,
    /// Whose datagrams it takes, if not everybody's.
    peer: Mutex<Option<SocketAddr>>,
}

impl UdpSocket {
    /// Binds a socket to an address; port 0 is any.
    ///
    /// # Errors
    /// If the address is not there or the port is taken.
    ///
    /// # Panics
    /// If no program of a world calls it.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let mut failed = None;
        for at in addr::addresses(addr).await? {
            match Handle::open(|calls| calls.bind(at)) {
                Ok(handle) => return Ok(UdpSocket { handle, peer: Mutex::new(None) }),
                Err(why) => failed = Some(why),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
    }

    /// Sends to this address from now on, and takes no datagrams of others.
    ///
    /// # Errors
    /// If it is none, or a name that nobody knows.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let to = addr::addresses(addr).await?.first().copied();
        *self.peer() = to;
        Ok(())
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.now(|calls, id| calls.local_addr(id))
    }

    /// What it is connected to.
    ///
    /// # Errors
    /// If it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.connected()
    }

    /// Sends a datagram. It never has to wait.
    ///
    /// # Errors
    /// If no route leads there, or it is longer than the MTU.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let to = addr::addresses(target).await?.first().copied().ok_or(SocketError::Invalid)?;
        self.send_now(buf, to)
    }

    /// Sends a datagram to where it is connected.
    ///
    /// # Errors
    /// As of [`UdpSocket::send_to`], and if it is not connected.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send(buf)
    }

    /// As [`UdpSocket::send`].
    ///
    /// # Errors
    /// As of [`UdpSocket::send`].
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_now(buf, self.connected()?)
    }

    /// As [`UdpSocket::send_to`].
    ///
    /// # Errors
    /// As of [`UdpSocket::send_to`].
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.send_now(buf, target)
    }

    /// The next datagram, and from where it is. What does not fit is lost. If this is dropped while it waits, no datagram is.
    ///
    /// # Errors
    /// If the process has ended.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.handle.poll(cx, |calls, id| self.take(calls, id, buf))).await
    }

    /// The next datagram, as [`UdpSocket::recv_from`].
    ///
    /// # Errors
    /// As of [`UdpSocket::recv_from`].
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buf).await.map(|(len, _)| len)
    }

    /// As [`UdpSocket::recv_from`].
    ///
    /// # Errors
    /// In the answer, as of [`UdpSocket::recv_from`].
    pub fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        let taken = self.handle.poll(cx, |calls, id| self.take(calls, id, buf.initialize_unfilled()));
        taken.map_ok(|(len, from)| {
            buf.advance(len);
            from
        })
    }

    /// A datagram that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none is.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.handle.attempt(|calls, id| self.take(calls, id, buf))
    }

    /// A datagram that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none is.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_recv_from(buf).map(|(len, _)| len)
    }

    /// Waits until there is a datagram.
    ///
    /// # Errors
    /// If the process has ended.
    pub async fn readable(&self) -> io::Result<()> {
        self.handle.ready(Interest::Read).await
    }

    /// Waits until one can be sent, which is always.
    ///
    /// # Errors
    /// If the process has ended.
    pub async fn writable(&self) -> io::Result<()> {
        self.handle.ready(Interest::Write).await
    }

    fn send_now(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.handle.now(|calls, id| calls.send_to(id, to, buf)).map(|()| buf.len())
    }

    fn take(&self, calls: &mut Calls<'_>, id: SocketId, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let peer = *self.peer();
        loop {
            let Poll::Ready((from, data)) = calls.recv_from(id)? else { return Poll::Pending };
            if peer.is_none_or(|peer| peer == from) {
                let len = data.len().min(buf.len());
                buf[..len].copy_from_slice(&data[..len]);
                return Poll::Ready(Ok((len, from)));
            }
        }
    }

    fn connected(&self) -> io::Result<SocketAddr> {
        self.peer().ok_or_else(|| SocketError::NotConnected.into())
    }

    fn peer(&self) -> std::sync::MutexGuard<'_, Option<SocketAddr>> {
        // Nothing that is done with it can panic.
        self.peer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
