//! [`Watch`]: waits for a packet socket, and finds out when its interface is gone.
//!
//! The kernel tells a packet socket once, by ENETDOWN, that its interface was set down, and one that was up is set down
//! before it is deleted: at that moment nobody can tell which it is going to be, and of the deletion itself, a moment later,
//! the socket is told nothing. So while the interface is down it is looked after, by a timer that stands beside the socket
//! in an epoll of their own: whoever waits for that is woken by either. Once it has taken a frame, an interface costs nothing for as long as it is up.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::link::sys;

/// A deletion is over a moment after the interface was set down.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// One that was set down first, and is deleted later, has no hurry.
const NEXT_LOOK: Duration = Duration::from_secs(1);

/// What stands in `epoll`, beside the socket, is the timer.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Epoll,
    timer: TimerFd,
    may_be_down: bool,
}

/// Whether an interface is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is, up or down.
    There,
    /// It was deleted, or moved to another network namespace. The socket will never work again.
    Gone,
}

impl Watch {
    pub(super) fn new(socket: BorrowedFd<'_>) -> nix::Result<Watch> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
        Ok(Watch { epoll, timer, may_be_down: false })
    }

    /// The interface was set down: it is looked after from now on.
    #[cold]
    pub(super) fn went_down(&mut self) {
        if self.may_be_down {
            return;
        }
        let looks = Expiration::IntervalDelayed(TimeSpec::from(FIRST_LOOK), TimeSpec::from(NEXT_LOOK));
        // Nothing that can fail: the timer is ours, and the times are right.
        let _ = self.timer.set(looks, TimerSetTimeFlags::empty());
        self.may_be_down = true;
    }

    /// The interface took a frame, so the kernel will tell when it is set down again.
    pub(super) fn is_up(&mut self) {
        if self.may_be_down {
            let _ = self.timer.unset();
            self.may_be_down = false;
        }
    }

    /// Looks whether the interface of `socket` is there, if it may be down. Takes the timer's sign, should it have given one.
    pub(super) fn presence(&mut self, socket: BorrowedFd<'_>) -> Presence {
        if !self.may_be_down {
            return Presence::There;
        }
        // EAGAIN: it was something else that woke us.
        let _ = self.timer.wait();
        match sys::packet_name(socket) {
            // The kernel unbinds the socket at the end of a deletion (-1). Already before that it does not find the interface,
            // and so does not know what hardware it is (0).
            Ok(name) if name.sll_ifindex > 0 && name.sll_hatype != 0 => Presence::There,
            Ok(_) | Err(_) => Presence::Gone,
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
