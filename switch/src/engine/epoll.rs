//! The loop: waits with epoll for frames, commands and timeouts, and hands them to the data plane.
//!
//! * This is the one place of the crate that reads a clock: when it begins to wait, when it wakes
//!   up, and again and again while it polls ([`Polling`]); never for a frame.
//! * Ready ports take turns, one batch each; one that has more goes to the end of the line. While any has more, nothing is
//!   waited for, but epoll is asked once a round who else is ready.
//! * epoll is level-triggered: a port that was left alone too early is simply ready again.
//! * A link whose fd reports an error is serviced like a ready one, and finds out by itself that it is down. It must
//!   answer [`Down`], or clear the error by reading: otherwise it would be ready for ever.
//!
//! [`Down`]: crate::link::Received::Down

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};

use super::polling::Polling;
use super::watchers::Watchers;
use super::{Command, EngineError, Follower};
use crate::dataplane::{Control, Dataplane, Event, Serviced, Watch as _};
use crate::link::Link;
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::PortId;

/// How many ready fds epoll tells of at a time; the others come with the next round, since it takes turns too.
const EVENTS: usize = 64;
/// Stands for the command channel among the port numbers.
const WAKE: u64 = u64::MAX;

/// The eventfd that stands beside the command channel, which epoll can not wait for.
pub(super) fn wake_fd() -> io::Result<EventFd> {
    Ok(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?)
}

/// All that the thread has.
pub(super) struct Loop<L> {
    dataplane: Dataplane<L>,
    epoll: Epoll,
    watches: Slots<Watch>,
    /// Ports whose turn will come. Each is in line at most once.
    line: VecDeque<PortId>,
    commands: Receiver<Command<L>>,
    wake: Arc<EventFd>,
    events: Sender<Event>,
    news: Arc<EventFd>,
    polling: Polling,
    watchers: Watchers,
    followers: Vec<Follower>,
}

/// A port that is waited for.
struct Watch {
    /// An fd of our own for the link's file. When the link has gone, with its fd, another process may still hold the file
    /// open, and only by an fd of it can epoll be told to forget it.
    fd: OwnedFd,
    is_in_line: bool,
}

impl<L: Link + AsFd> Loop<L> {
    pub(super) fn new(
        dataplane: Dataplane<L>,
        commands: Receiver<Command<L>>,
        wake: Arc<EventFd>,
        events: Sender<Event>,
        news: Arc<EventFd>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let mut it = Loop {
            dataplane,
            epoll,
            watches: Slots::new(),
            line: VecDeque::new(),
            commands,
            wake,
            events,
            news,
            polling: Polling::new(),
            watchers: Watchers::default(),
            followers: Vec::new(),
        };
        let ports: Vec<PortId> = it.dataplane.ports().collect();
        ports.into_iter().try_for_each(|port| it.watch(port))?;
        Ok(it)
    }

    /// Runs until nobody can command it any more.
    pub(super) fn run(&mut self) {
        let mut ready = [EpollEvent::empty(); EVENTS];
        let mut now = clock();
        loop {
            let count;
            (count, now) = self.wait(&mut ready, now);
            for event in &ready[..count] {
                match event.data() {
                    WAKE if self.obey(now).is_none() => return,
                    WAKE => {}
                    port => self.put_in_line(PortId(port as u16)),
                }
            }
            if self.dataplane.poll_timeout().is_some_and(|due| due <= now) {
                self.dataplane.handle_timeout_watched(now, &mut self.watchers);
            }
            self.service_line(now);
            self.tell_followers();
            self.watchers.round(&mut self.dataplane, now);
        }
    }

    /// Waits until something is ready, or a time has come. Says how much is ready, and what time it is.
    fn wait(&mut self, ready: &mut [EpollEvent], now: Instant) -> (usize, Instant) {
        let timeout = self.timeout(now);
        if timeout == EpollTimeout::ZERO {
            return (self.ask(ready, timeout), clock());
        }
        let began = clock();
        let polls_until = began + self.polling.window();
        let mut now = began;
        let mut count = 0;
        while count == 0 && now < polls_until {
            count = self.ask(ready, EpollTimeout::ZERO);
            now = clock();
        }
        if count == 0 {
            count = self.ask(ready, timeout);
            now = clock();
        }
        self.polling.waited(now.since(began));
        (count, now)
    }

    fn ask(&self, ready: &mut [EpollEvent], timeout: EpollTimeout) -> usize {
        #[cfg(test)]
        ASKED.set(ASKED.get() + 1);
        match self.epoll.wait(ready, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => panic!("wait for frames: {errno}"),
        }
    }

    /// How long to wait: not at all while a port has more, else until the data plane or a watcher wants to be called.
    fn timeout(&self, now: Instant) -> EpollTimeout {
        if !self.line.is_empty() {
            return EpollTimeout::ZERO;
        }
        match self.dataplane.poll_timeout().into_iter().chain(self.watchers.poll_timeout()).min() {
            None => EpollTimeout::NONE,
            Some(due) => in_milliseconds(due.since(now)),
        }
    }

    /// Gives every port in line one turn.
    fn service_line(&mut self, now: Instant) {
        for _ in 0..self.line.len() {
            let Some(port) = self.line.pop_front() else { return };
            // (One that went meanwhile was forgotten already.)
            let Some(watch) = self.watches.get_mut(port.0) else { continue };
            watch.is_in_line = false;
            // (Two loops, so that the frames of an engine that nobody watches pay nothing for it.)
            let serviced = if self.watchers.is_there() {
                self.dataplane.service_watched(port, now, &mut self.watchers)
            } else {
                self.dataplane.service(port, now)
            };
            match serviced {
                Serviced::More => self.put_in_line(port),
                Serviced::Idle => {}
                Serviced::Gone => self.forget(port),
            }
            self.report();
            self.tell_followers();
        }
    }

    fn put_in_line(&mut self, port: PortId) {
        if let Some(watch) = self.watches.get_mut(port.0).filter(|watch| !watch.is_in_line) {
            watch.is_in_line = true;
            self.line.push_back(port);
        }
    }

    /// Passes on what happened by itself. A port may have gone while another one was serviced.
    fn report(&mut self) {
        while let Some(event) = self.dataplane.poll_event() {
            match event {
                Event::PortDown { port } => self.forget(port),
            }
            // Nobody listens: then nobody wants to know.
            let _ = self.events.send(event);
            let _ = self.news.write(1);
        }
    }

    /// Tells those who follow of what has changed; while there are none nothing is kept to be told.
    fn tell_followers(&mut self) {
        if self.followers.is_empty() {
            return;
        }
        while let Some(change) = self.dataplane.poll_change() {
            self.followers.retain_mut(|follower| follower(&change));
        }
        if self.followers.is_empty() {
            self.dataplane.unfollow();
        }
    }

    /// Carries out the commands that have arrived; `None` once there is nobody to send any.
    fn obey(&mut self, now: Instant) -> Option<()> {
        // Emptied before the channel is: a command that comes later makes it ready again. EAGAIN: it is empty.
        let _ = self.wake.read();
        // Not until the channel is empty, so that a stream of commands holds up no frame.
        for _ in 0..=self.commands.len() {
            match self.commands.try_recv() {
                Ok(Command::Control(controls, answer)) => {
                    let done = controls.into_iter().map(|control| self.control(control, now)).collect();
                    // Before the answer: what the caller tells of next has come of it.
                    self.tell_followers();
                    let _ = answer.send(done);
                }
                Ok(Command::Inspect(look)) => look(&self.dataplane, now),
                Ok(Command::Follow(follower, answer)) => {
                    self.tell_followers();
                    let _ = answer.send(self.dataplane.follow());
                    self.followers.push(follower);
                }
                Ok(Command::Watch(make, answer)) => {
                    let watcher = make(self.watchers.start_state(&mut self.dataplane, now), now);
                    let _ = answer.send(self.watchers.add(watcher));
                }
                Ok(Command::Visit(watcher, visit)) => visit(self.watchers.get_mut(watcher), now),
                Ok(Command::Unwatch(watcher, answer)) => {
                    let _ = answer.send(self.watchers.remove(watcher));
                }
                Err(TryRecvError::Empty) => return Some(()),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        Some(())
    }

    fn control(&mut self, control: Control<L>, now: Instant) -> Result<(), EngineError> {
        let plugged = match &control {
            Control::Plug { port, .. } => Some(*port),
            Control::AddBridge { .. }
            | Control::RemoveBridge { .. }
            | Control::Unplug { .. }
            | Control::SetStation { .. }
            | Control::ClearStation { .. }
            | Control::FlushPort { .. }
            | Control::CountBridge { .. }
            | Control::CountPort { .. }
            | Control::CountDeparted { .. } => None,
        };
        self.dataplane.control_watched(control, now, &mut self.watchers)?;
        self.forget_unplugged();
        let Some(port) = plugged else { return Ok(()) };
        self.watch(port).map_err(|errno| {
            let unplugged = self.dataplane.control_watched(Control::Unplug { port }, now, &mut self.watchers);
            debug_assert_eq!(unplugged, Ok(()), "it was plugged in just now");
            EngineError::Watch { port, errno }
        })
    }

    fn watch(&mut self, port: PortId) -> nix::Result<()> {
        let link = self.dataplane.link(port).ok_or(Errno::ENOENT)?;
        let fd = link
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        self.epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(port.0)))?;
        self.watches.insert(port.0, Watch { fd, is_in_line: false });
        Ok(())
    }

    fn forget(&mut self, port: PortId) {
        if let Some(watch) = self.watches.remove(port.0) {
            self.epoll.delete(&watch.fd).expect("it was added under this fd");
            self.line.retain(|waiting| *waiting != port);
        }
    }

    fn forget_unplugged(&mut self) {
        let unplugged =
            |it: &Self| it.watches.iter().map(|(port, _)| PortId(port)).find(|port| it.dataplane.link(*port).is_none());
        while let Some(port) = unplugged(self) {
            self.forget(port);
        }
    }
}

#[cfg(test)]
thread_local! {
    /// How often the loop of this thread has asked epoll.
    pub(super) static ASKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Rounded up, so that the loop does not wake up too early and spin for the rest.
fn in_milliseconds(wait: Duration) -> EpollTimeout {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    EpollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::MAX)
}

/// The machine's monotonic clock: the origin of time is its start.
#[expect(clippy::disallowed_methods, reason = "the outermost loop, the one place that asks what time it is")]
fn clock() -> Instant {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Instant::ZERO + Duration::from(time)
}
