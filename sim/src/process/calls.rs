//! [`Calls`]: what a program asks of the kernel. No call waits: one that can not be answered yet says so, and the program is
//! woken when it can.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Poll, Waker};

use netns::files::Files;
use switch::time::Instant;

use crate::context::Context;
use crate::executor::TimerId;
use crate::namespace::Namespace;
use crate::socket::{Interest, SocketError, SocketId};
use crate::stack::Datagram;

/// The calls of a program, at the moment when it runs. Errors are Linux'.
#[derive(Debug)]
pub struct Calls<'a> {
    context: &'a Context,
    waker: &'a Waker,
}

impl<'a> Calls<'a> {
    pub(crate) fn new(context: &'a Context, waker: &'a Waker) -> Self {
        Calls { context, waker }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.context.now()
    }

    /// Prints to the container's log.
    pub fn print(&self, text: &str) {
        self.context.machine.borrow_mut().print(self.context.pid, text);
    }

    /// Ready from this moment on.
    pub fn sleep_until(&mut self, at: Instant) -> Poll<()> {
        if at <= self.now() {
            return Poll::Ready(());
        }
        self.set_timer(at);
        Poll::Pending
    }

    /// Listens for TCP connections. Port 0 is any.
    ///
    /// # Errors
    /// If the address is not there or the port is taken.
    pub fn listen(&mut self, at: impl Into<SocketAddr>) -> io::Result<SocketId> {
        let pid = self.context.pid;
        self.new_socket(|namespace, socket| namespace.listen(socket, pid, at).map(drop))
    }

    /// Begins to connect by TCP; [`Calls::connected`] says what comes of it.
    ///
    /// # Errors
    /// If no route leads there.
    pub fn connect(&mut self, to: impl Into<SocketAddr>) -> io::Result<SocketId> {
        let (pid, now) = (self.context.pid, self.now());
        self.new_socket(|namespace, socket| namespace.connect(socket, pid, to, now).map(drop))
    }

    /// Whether the other side has taken the connection.
    ///
    /// # Errors
    /// In the answer: if nobody listens, or nobody answers.
    pub fn connected(&mut self, socket: SocketId) -> Poll<io::Result<()>> {
        self.wait(socket, Interest::Write, |namespace, number| namespace.connected(number))
    }

    /// The next connection, and who connected.
    ///
    /// # Errors
    /// In the answer: if the listener is closed.
    pub fn accept(&mut self, listener: SocketId) -> Poll<io::Result<(SocketId, SocketAddr)>> {
        let (number, now) = (self.context.machine.borrow_mut().new_socket(), self.now());
        self.wait(listener, Interest::Read, |namespace, listener| {
            if !namespace.stack.is_listener(listener) {
                return Err(SocketError::Closed);
            }
            let accepted = namespace.accept(listener, None, number, now);
            let peer = accepted.then(|| namespace.peer(number)).flatten();
            let socket = SocketId { namespace: namespace.id(), number };
            Ok(peer.map(|peer| (socket, peer)))
        })
    }

    /// Takes what has arrived on a stream; 0 is its end.
    ///
    /// # Errors
    /// In the answer: if it was reset or has timed out.
    pub fn read(&mut self, socket: SocketId, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let now = self.now();
        self.wait(socket, Interest::Read, |namespace, number| namespace.read(number, into, now))
    }

    /// Looks at what has arrived on a stream, and leaves it there.
    ///
    /// # Errors
    /// As of [`Calls::read`].
    pub fn peek(&mut self, socket: SocketId, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.wait(socket, Interest::Read, |namespace, number| namespace.stack.peek(number, into))
    }

    /// Sends bytes on a stream: as many of them as there is room for.
    ///
    /// # Errors
    /// In the answer: if it was reset, has timed out, or this side has said that it sends no more.
    pub fn write(&mut self, socket: SocketId, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let now = self.now();
        self.wait(socket, Interest::Write, |namespace, number| namespace.write(number, bytes, now))
    }

    /// Sends no more on a stream: the other side reads its end. What comes from there can still be read.
    ///
    /// # Errors
    /// If it is not connected.
    pub fn shut(&mut self, socket: SocketId) -> io::Result<()> {
        let now = self.now();
        self.within(socket, |namespace, number| namespace.shut(number, now))
    }

    /// Binds a datagram socket. Port 0 is any.
    ///
    /// # Errors
    /// If the address is not there or the port is taken.
    pub fn bind(&mut self, at: impl Into<SocketAddr>) -> io::Result<SocketId> {
        let pid = self.context.pid;
        self.new_socket(|namespace, socket| namespace.bind_datagrams(socket, pid, at).map(drop))
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// If no route leads there, or it is longer than the MTU.
    pub fn send_to(&mut self, socket: SocketId, to: impl Into<SocketAddr>, data: &[u8]) -> io::Result<()> {
        let now = self.now();
        self.within(socket, |namespace, number| namespace.send_datagram(number, to, data, now))
    }

    /// The next datagram, and from where it is.
    ///
    /// # Errors
    /// In the answer: if the socket is closed.
    pub fn recv_from(&mut self, socket: SocketId) -> Poll<io::Result<(SocketAddr, Vec<u8>)>> {
        self.wait(socket, Interest::Read, |namespace, number| namespace.receive_datagram(number))
    }

    /// The next datagram, with the address that it was sent to.
    pub(crate) fn recv_from_at(&mut self, socket: SocketId) -> Poll<io::Result<Datagram>> {
        self.wait(socket, Interest::Read, |namespace, number| namespace.stack.receive_datagram(number))
    }

    /// Sends a datagram from one of this host's addresses.
    pub(crate) fn send_from(&mut self, socket: SocketId, from: IpAddr, to: SocketAddr, data: &[u8]) -> io::Result<()> {
        let now = self.now();
        self.within(socket, |namespace, number| namespace.send_datagram_from(number, from, to, data, now))
    }

    /// The own address of a socket of any kind.
    ///
    /// # Errors
    /// If it is closed.
    pub fn local_addr(&mut self, socket: SocketId) -> io::Result<SocketAddr> {
        self.within(socket, |namespace, number| namespace.local(number).ok_or(SocketError::Closed))
    }

    /// The address of a stream's other side.
    ///
    /// # Errors
    /// If it is closed, or no stream.
    pub fn peer_addr(&mut self, socket: SocketId) -> io::Result<SocketAddr> {
        self.within(socket, |namespace, number| namespace.peer(number).ok_or(SocketError::NotConnected))
    }

    /// Closes a socket of any kind. What a stream was given is still sent.
    pub fn close(&mut self, socket: SocketId) {
        // One that is not there is closed.
        let now = self.now();
        let _ = self.within(socket, |namespace, number| {
            namespace.close(number, now);
            Ok(())
        });
    }

    /// Wakes the program when a call of this kind may have something to say.
    pub(crate) fn wait_for(&mut self, socket: SocketId, interest: Interest) -> Poll<io::Result<()>> {
        self.wait(socket, interest, |namespace, number| Ok(namespace.stack.is_ready(number, interest).then_some(())))
    }

    pub(crate) fn set_timer(&mut self, at: Instant) -> TimerId {
        self.context.machine.borrow_mut().executor.set_timer(at, self.waker.clone())
    }

    /// The files in `/etc` that the program sees.
    pub(crate) fn files(&self) -> Files {
        self.context.machine.borrow().files_of(self.context.pid)
    }

    /// Something that needs no waiting.
    pub(crate) fn within<T>(
        &mut self,
        socket: SocketId,
        work: impl FnOnce(&mut Namespace, u64) -> Result<T, SocketError>,
    ) -> io::Result<T> {
        let mut machine = self.context.machine.borrow_mut();
        let namespace = machine.namespaces.get_mut(&socket.namespace).ok_or(SocketError::Closed)?;
        Ok(work(namespace, socket.number)?)
    }

    /// Something that may have to wait.
    fn wait<T>(
        &mut self,
        socket: SocketId,
        interest: Interest,
        work: impl FnOnce(&mut Namespace, u64) -> Result<Option<T>, SocketError>,
    ) -> Poll<io::Result<T>> {
        let waker = self.waker;
        let answer = self.within(socket, |namespace, number| {
            let answer = work(namespace, number)?;
            if answer.is_none() {
                namespace.wait(number, interest, waker);
            }
            Ok(answer)
        });
        match answer.transpose() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }

    fn new_socket(
        &mut self,
        work: impl FnOnce(&mut Namespace, u64) -> Result<(), SocketError>,
    ) -> io::Result<SocketId> {
        let machine = &mut *self.context.machine.borrow_mut();
        let number = machine.new_socket();
        // A process that has ended opens nothing any more: only its destructors still run.
        let home = machine.home_of(self.context.pid).ok_or(SocketError::Closed)?;
        let namespace = machine.namespaces.get_mut(&home).ok_or(SocketError::Closed)?;
        work(namespace, number)?;
        Ok(SocketId { namespace: home, number })
    }
}
