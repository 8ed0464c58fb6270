//! The halves of a [`TcpStream`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tcp_stream::TcpStream;

/// The half that reads, of [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The half that writes, of [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The half that reads, of [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The half that writes, of [`TcpStream::into_split`]. Dropped, it says that no more is written.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    shuts: bool,
}

/// The two are halves of different streams.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

pub(super) fn split(stream: &TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn into_split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(Arc::clone(&stream)), OwnedWriteHalf { stream, shuts: true })
}

impl OwnedReadHalf {
    /// The whole.
    ///
    /// # Errors
    /// If the other is no half of the same stream.
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &other.stream) {
            return Err(ReuniteError(self, other));
        }
        other.shuts = false;
        drop(other);
        Arc::try_unwrap(self.0).map_err(|_| unreachable!("a stream has two halves"))
    }
}

impl OwnedWriteHalf {
    /// As [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    /// If the other is no half of the same stream.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops it without saying that no more is written.
    pub fn forget(mut self) {
        self.shuts = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shuts {
            self.stream.shut_anywhere();
        }
    }
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same socket")
    }
}

impl std::error::Error for ReuniteError {}

macro_rules! half {
    ($half:ty, $self:ident => $stream:expr) => {
        impl $half {
            /// The own address.
            ///
            /// # Errors
            /// If the process has ended.
            pub fn local_addr(&$self) -> io::Result<SocketAddr> {
                $stream.local_addr()
            }

            /// The other side's address.
            ///
            /// # Errors
            /// If the process has ended.
            pub fn peer_addr(&$self) -> io::Result<SocketAddr> {
                $stream.peer_addr()
            }
        }
    };
}

macro_rules! reader {
    ($half:ty, $self:ident => $stream:expr) => {
        half!($half, $self => $stream);

        impl $half {
            /// As [`TcpStream::peek`].
            ///
            /// # Errors
            /// Those of reading.
            pub async fn peek(&mut $self, buf: &mut [u8]) -> io::Result<usize> {
                $stream.peek(buf).await
            }

            /// As [`TcpStream::readable`].
            ///
            /// # Errors
            /// If the process has ended.
            pub async fn readable(&$self) -> io::Result<()> {
                $stream.readable().await
            }

            /// As [`TcpStream::try_read`].
            ///
            /// # Errors
            /// [`io::ErrorKind::WouldBlock`], and those of reading.
            pub fn try_read(&$self, buf: &mut [u8]) -> io::Result<usize> {
                $stream.try_read(buf)
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                $stream.poll_read_shared(cx, buf)
            }
        }
    };
}

macro_rules! writer {
    ($half:ty, $self:ident => $stream:expr, $this:ident => $shut:expr) => {
        half!($half, $self => $stream);

        impl $half {
            /// As [`TcpStream::writable`].
            ///
            /// # Errors
            /// If the process has ended.
            pub async fn writable(&$self) -> io::Result<()> {
                $stream.writable().await
            }

            /// As [`TcpStream::try_write`].
            ///
            /// # Errors
            /// [`io::ErrorKind::WouldBlock`], and those of writing.
            pub fn try_write(&$self, buf: &[u8]) -> io::Result<usize> {
                $stream.try_write(buf)
            }
        }

        impl AsyncWrite for $half {
            fn poll_write($self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                $stream.poll_write_shared(cx, buf)
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = &mut *self;
                Poll::Ready($shut)
            }
        }
    };
}

reader!(ReadHalf<'_>, self => self.0);
reader!(OwnedReadHalf, self => self.0);
writer!(WriteHalf<'_>, self => self.0, this => this.0.shut());
writer!(OwnedWriteHalf, self => self.stream, this => {
    let done = this.stream.shut();
    // Said once, it need not be said again.
    this.shuts = this.shuts && done.is_err();
    done
});
