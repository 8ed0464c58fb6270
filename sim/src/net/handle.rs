//! [`Handle`]: a socket that is closed when it is dropped.

use std::io;
use std::task::{Context, Poll, Waker};

use switch::time::Instant;

use crate::context::{self, WorldId};
use crate::namespace::Namespace;
use crate::process::Calls;
use crate::socket::{Interest, SocketId};

/// A socket of a world. Wherever it is dropped, it is closed, if its world is still there.
#[derive(Debug)]
pub(super) struct Handle {
    world: WorldId,
    pub(super) id: SocketId,
}

impl Handle {
    /// A new socket of the program that calls.
    #[track_caller]
    pub(super) fn open(make: impl FnOnce(&mut Calls<'_>) -> io::Result<SocketId>) -> io::Result<Self> {
        let context = context::current();
        let id = make(&mut Calls::new(&context, Waker::noop()))?;
        Ok(Handle { world: context.world, id })
    }

    /// A socket that the program that calls was given.
    pub(super) fn of(id: SocketId) -> Self {
        Handle { world: context::current().world, id }
    }

    /// A further socket of the same world.
    pub(super) fn beside(&self, id: SocketId) -> Self {
        Handle { world: self.world, id }
    }

    /// A call that may have to wait.
    ///
    /// # Panics
    /// If no program of the socket's world makes it.
    #[track_caller]
    pub(super) fn poll<T>(
        &self,
        cx: &Context<'_>,
        call: impl FnOnce(&mut Calls<'_>, SocketId) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.with(cx.waker(), call)
    }

    /// A call that does not wait.
    ///
    /// # Panics
    /// As of [`Handle::poll`].
    #[track_caller]
    pub(super) fn now<T>(&self, call: impl FnOnce(&mut Calls<'_>, SocketId) -> io::Result<T>) -> io::Result<T> {
        self.with(Waker::noop(), call)
    }

    /// A call that would have to wait fails with [`io::ErrorKind::WouldBlock`].
    ///
    /// # Panics
    /// As of [`Handle::poll`].
    #[track_caller]
    pub(super) fn attempt<T>(
        &self,
        call: impl FnOnce(&mut Calls<'_>, SocketId) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        match self.with(Waker::noop(), call) {
            Poll::Ready(answer) => answer,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits until a call of this kind has something to say.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll(cx, |calls, id| calls.wait_for(id, interest))).await
    }

    #[track_caller]
    fn with<T>(&self, waker: &Waker, call: impl FnOnce(&mut Calls<'_>, SocketId) -> T) -> T {
        let context = context::current();
        assert!(context.world == self.world, "a socket of one world was used by a program of another");
        call(&mut Calls::new(&context, waker), self.id)
    }

    /// Says that no more is sent, from wherever that is.
    pub(super) fn shut(&self) {
        self.anywhere(|namespace, number, now| {
            // Where there is no connection any more there is nothing to say.
            let _ = namespace.shut(number, now);
        });
    }

    /// Something that needs no program to do it.
    fn anywhere(&self, work: impl FnOnce(&mut Namespace, u64, Instant)) {
        let Some(machine) = context::machine_of(self.world) else { return };
        let machine = &mut *machine.borrow_mut();
        let now = machine.clock.now();
        if let Some(namespace) = machine.namespaces.get_mut(&self.id.namespace) {
            work(namespace, self.id.number, now);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.anywhere(Namespace::close);
    }
}
