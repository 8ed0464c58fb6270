//! [`TcpStream`].

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addr::{self, ToSocketAddrs};
use super::handle::Handle;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::socket::Interest;

/// One end of a TCP connection.
#[derive(Debug)]
pub struct TcpStream {
    handle: Handle,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers. If this is dropped while it waits, there is no connection.
    ///
    /// # Errors
    /// If nobody listens, nobody answers, or no route leads there.
    ///
    /// # Panics
    /// If no program of a world calls it.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let mut failed = None;
        for to in addr::addresses(addr).await? {
            match Self::connect_to(to).await {
                Ok(stream) => return Ok(stream),
                Err(why) => failed = Some(why),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
    }

    async fn connect_to(to: SocketAddr) -> io::Result<Self> {
        let handle = Handle::open(|calls| calls.connect(to))?;
        poll_fn(|cx| handle.poll(cx, |calls, id| calls.connected(id))).await?;
        Ok(Self::new(handle))
    }

    pub(super) fn new(handle: Handle) -> Self {
        let stream = TcpStream { handle };
        // As Linux has it until somebody says otherwise. (One that has been reset already does not care.)
        let _ = stream.set_nodelay(false);
        stream
    }

    /// The own address.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.now(|calls, id| calls.local_addr(id))
    }

    /// The other side's address.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.handle.now(|calls, id| calls.peer_addr(id))
    }

    /// Whether small writes go out at once, and do not wait for earlier ones to be acknowledged.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.handle
            .now(|calls, id| calls.within(id, |namespace, number| namespace.stack.delay(number)))
            .map(|delay| !delay)
    }

    /// Says whether they do. At first they do not.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.handle.now(|calls, id| calls.within(id, |namespace, number| namespace.stack.set_delay(number, !nodelay)))
    }

    /// Says whether to close it is to reset it, whatever there is on its way.
    pub(crate) fn set_abort(&self, abort: bool) -> io::Result<()> {
        self.handle.now(|calls, id| calls.within(id, |namespace, number| namespace.stack.set_abort(number, abort)))
    }

    /// Says that no more is written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.shut()
    }

    /// Waits until there is something to read, which may be the end or an error.
    ///
    /// # Errors
    /// If the process has ended.
    pub async fn readable(&self) -> io::Result<()> {
        self.handle.ready(Interest::Read).await
    }

    /// Waits until something can be written, which may fail.
    ///
    /// # Errors
    /// If the process has ended.
    pub async fn writable(&self) -> io::Result<()> {
        self.handle.ready(Interest::Write).await
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if that is nothing, and those of reading.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.attempt(|calls, id| calls.read(id, buf))
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if that is nothing, and those of writing.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.attempt(|calls, id| calls.write(id, buf))
    }

    /// Waits for data as reading does, and leaves it there.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.handle.poll(cx, |calls, id| calls.peek(id, buf))).await
    }

    /// Two halves, for one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Two halves, for two tasks.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::into_split(self)
    }

    pub(super) fn poll_read_shared(&self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.handle.poll(cx, |calls, id| calls.read(id, buf.initialize_unfilled()));
        read.map_ok(|taken| buf.advance(taken))
    }

    pub(super) fn poll_write_shared(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.handle.poll(cx, |calls, id| calls.write(id, buf))
    }

    /// Says that no more is written.
    pub(super) fn shut(&self) -> io::Result<()> {
        self.handle.now(|calls, id| calls.shut(id))
    }

    /// Says so also where no program calls, as destructors may.
    pub(super) fn shut_anywhere(&self) {
        self.handle.shut();
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_read_shared(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut())
    }
}
