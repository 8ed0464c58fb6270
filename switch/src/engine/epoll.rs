//! [`Epoll`]: waits with epoll(7), and leaves reading and writing to the links.
//!
//! * epoll is level-triggered: a port that was left alone too early is simply ready again.
//! * A link whose fd reports an error is serviced like a ready one, and finds out by itself that it is down. It must
//!   answer [`Down`], or clear the error by reading: otherwise it would be ready for ever.
//!
//! [`Down`]: crate::link::Received::Down

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use super::manners::Manners;
use super::reactor::Reactor;
use crate::dataplane::{Dataplane, Serviced, Watch};
use crate::link::Link;
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::PortId;

/// How many ready fds epoll tells of at a time; the others come with the next round, since it takes turns too.
const EVENTS: usize = 64;
/// Stands for the command channel among the port numbers.
const WAKE: u64 = u64::MAX;

/// An epoll instance, and what it waits for.
pub(super) struct Epoll {
    epoll: epoll::Epoll,
    events: [EpollEvent; EVENTS],
    /// An fd of our own for each link's file. When the link has gone, with its fd, another process may still hold the file
    /// open, and only by an fd of it can epoll be told to forget it.
    fds: Slots<OwnedFd>,
    manners: Manners,
}

impl Epoll {
    /// Waits for `wake` and nothing else.
    pub(super) fn new(wake: &Arc<EventFd>) -> io::Result<Epoll> {
        let epoll = epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&**wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Epoll { epoll, events: [EpollEvent::empty(); EVENTS], fds: Slots::new(), manners: Manners::default() })
    }
}

impl<L: Link + AsFd> Reactor<L> for Epoll {
    fn begin(&mut self) {}

    fn watch(&mut self, port: PortId, link: &mut L) -> nix::Result<()> {
        let fd = link.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        self.epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(port.0)))?;
        self.fds.insert(port.0, fd);
        Ok(())
    }

    fn forget(&mut self, port: PortId, _: &mut Dataplane<L>) {
        if let Some(fd) = self.fds.remove(port.0) {
            self.epoll.delete(&fd).expect("it was added under this fd");
        }
    }

    fn watched(&self) -> impl Iterator<Item = PortId> + '_ {
        self.fds.iter().map(|(port, _)| PortId(port))
    }

    fn set_watched(&mut self, _: bool, _: &mut Dataplane<L>) {}

    fn wait(
        &mut self,
        patience: Option<Duration>,
        ready: &mut Vec<PortId>,
        _: &mut Dataplane<L>,
        _: &mut impl Watch,
    ) -> bool {
        self.manners.round(|| ());
        let count = match self.epoll.wait(&mut self.events, patience.map_or(EpollTimeout::NONE, in_milliseconds)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => panic!("wait for frames: {errno}"),
        };
        let mut is_woken = false;
        for event in &self.events[..count] {
            match event.data() {
                WAKE => is_woken = true,
                port => ready.push(PortId(port as u16)),
            }
        }
        is_woken
    }

    fn service(
        &mut self,
        port: PortId,
        now: Instant,
        dataplane: &mut Dataplane<L>,
        watch: &mut impl Watch,
    ) -> Serviced {
        dataplane.service_watched(port, now, &mut (&mut self.manners, watch))
    }
}

/// Rounded up, so that the loop does not wake up too early and spin for the rest.
fn in_milliseconds(wait: Duration) -> EpollTimeout {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    EpollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::MAX)
}
