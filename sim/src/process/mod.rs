//! [`Process`]: a program as a plain state machine, and the calls that it makes.

mod calls;

use std::future::poll_fn;
use std::task::Poll;

pub use self::calls::Calls;
use crate::context;

/// A program as a state machine.
///
/// ```
/// use std::net::{Ipv4Addr, SocketAddrV4};
/// use std::task::Poll;
///
/// use netns::manager::RunRequest;
/// # use pontoon_sim as sim;
/// use sim::{Calls, Next, Process, SocketId, World};
///
/// /// Takes connections, and closes them.
/// #[derive(Default)]
/// struct Door(Option<SocketId>);
///
/// impl Process for Door {
///     fn wake(&mut self, calls: &mut Calls<'_>) -> Next {
///         let listener = match self.0 {
///             Some(listener) => listener,
///             None => match calls.listen(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80)) {
///                 Ok(listener) => *self.0.insert(listener),
///                 Err(_) => return Next::End(1),
///             },
///         };
///         while let Poll::Ready(Ok((socket, peer))) = calls.accept(listener) {
///             calls.print(&format!("{peer} was here\n"));
///             calls.close(socket);
///         }
///         Next::Wait
///     }
/// }
///
/// let mut world = World::builder().up()?;
/// let request = RunRequest { detached: true, ..RunRequest::new(vec!["door".into()]) };
/// let door = world.run(request, Door::default())?;
/// world.exec(&sim::Place::Host, async { sim::net::TcpStream::connect("172.17.0.2:80").await })?;
/// world.advance(std::time::Duration::from_secs(1));
/// assert_eq!(world.logs(door.name.as_str())?, "172.17.0.1:32768 was here\n");
/// # Ok::<(), netns::error::Error>(())
/// ```
pub trait Process: 'static {
    /// Does what can be done now. It is called once at the beginning, and then whenever a call that answered
    /// [`Poll::Pending`] may have another answer; sometimes for nothing.
    fn wake(&mut self, calls: &mut Calls<'_>) -> Next;
}

/// What a process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Waits for what its pending calls wait for.
    Wait,
    /// Ends, with this status.
    End(i32),
}

/// Runs a state machine to its end.
pub(crate) async fn run(mut process: impl Process) -> i32 {
    poll_fn(|cx| {
        let context = context::current();
        match process.wake(&mut Calls::new(&context, cx.waker())) {
            Next::Wait => Poll::Pending,
            Next::End(status) => Poll::Ready(status),
        }
    })
    .await
}
