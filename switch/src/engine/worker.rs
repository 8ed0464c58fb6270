//! The loop: waits for frames, commands and timeouts, and hands them to the data plane.
//!
//! * This is the one place of the crate that reads a clock: when it begins to wait, when it wakes
//!   up, again and again while it polls ([`Polling`]), and around a pause ([`Manners`](super::manners::Manners)); never for a frame.
//! * Ready ports take turns, one batch each; one that has more goes to the end of the line. While any has more, nothing is
//!   waited for, but the [`Reactor`] is asked once a round who else is ready.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};

use super::polling::Polling;
use super::reactor::Reactor;
use super::watchers::Watchers;
use super::{Command, EngineError, Follower};
use crate::dataplane::{Control, Dataplane, Event, Serviced, Watch as _};
use crate::link::Link;
use crate::time::Instant;
use crate::verdict::PortId;

/// The eventfd that stands beside the command channel, which epoll can not wait for.
pub(super) fn wake_fd() -> io::Result<EventFd> {
    Ok(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?)
}

/// All that the thread has.
pub(super) struct Loop<L, R> {
    dataplane: Dataplane<L>,
    reactor: R,
    /// Ports whose turn will come. Each is in line at most once.
    line: VecDeque<PortId>,
    /// Whether a port is in line, by its number.
    in_line: Vec<bool>,
    /// Ports that are ready; empty between two rounds.
    ready: Vec<PortId>,
    commands: Receiver<Command<L>>,
    wake: Arc<EventFd>,
    events: Sender<Event>,
    news: Arc<EventFd>,
    polling: Polling,
    watchers: Watchers,
    followers: Vec<Follower>,
}

impl<L: Link, R: Reactor<L>> Loop<L, R> {
    pub(super) fn new(
        dataplane: Dataplane<L>,
        reactor: R,
        commands: Receiver<Command<L>>,
        wake: Arc<EventFd>,
        events: Sender<Event>,
        news: Arc<EventFd>,
    ) -> io::Result<Self> {
        let mut it = Loop {
            dataplane,
            reactor,
            line: VecDeque::new(),
            in_line: Vec::new(),
            ready: Vec::new(),
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
        self.reactor.begin();
        let mut now = clock();
        loop {
            let is_commanded;
            (is_commanded, now) = self.wait(now);
            // A port may have gone by a result that came while it waited; before a command gives its number to another.
            self.report();
            if is_commanded && self.obey(now).is_none() {
                return;
            }
            for at in 0..self.ready.len() {
                self.put_in_line(self.ready[at]);
            }
            self.ready.clear();
            if self.dataplane.poll_timeout().is_some_and(|due| due <= now) {
                self.dataplane.handle_timeout_watched(now, &mut self.watchers);
            }
            self.service_line(now);
            self.tell_followers();
            self.watchers.round(&mut self.dataplane, now);
        }
    }

    /// Waits until something is ready, or a time has come. Says whether there are commands, and what time it is.
    fn wait(&mut self, now: Instant) -> (bool, Instant) {
        let patience = self.patience(now);
        if patience == Some(Duration::ZERO) {
            return (self.ask(patience), clock());
        }
        let began = clock();
        let polls_until = began + self.polling.window();
        let mut now = began;
        let mut is_commanded = false;
        while self.ready.is_empty() && !is_commanded && now < polls_until {
            is_commanded = self.ask(Some(Duration::ZERO));
            now = clock();
        }
        if self.ready.is_empty() && !is_commanded {
            is_commanded = self.ask(patience);
            now = clock();
        }
        self.polling.waited(now.since(began));
        (is_commanded, now)
    }

    fn ask(&mut self, patience: Option<Duration>) -> bool {
        #[cfg(test)]
        ASKED.set(ASKED.get() + 1);
        if self.watchers.is_there() {
            self.reactor.wait(patience, &mut self.ready, &mut self.dataplane, &mut self.watchers)
        } else {
            self.reactor.wait(patience, &mut self.ready, &mut self.dataplane, &mut ())
        }
    }

    /// How long to wait: not at all while a port has more, else until the data plane or a watcher wants to be called.
    fn patience(&self, now: Instant) -> Option<Duration> {
        if !self.line.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.dataplane.poll_timeout().into_iter().chain(self.watchers.poll_timeout()).min();
        due.map(|due| due.since(now))
    }

    /// Gives every port in line one turn.
    fn service_line(&mut self, now: Instant) {
        for _ in 0..self.line.len() {
            let Some(port) = self.line.pop_front() else { return };
            self.in_line[usize::from(port.0)] = false;
            // (Two loops, so that the frames of an engine that nobody watches pay nothing for it.)
            let serviced = if self.watchers.is_there() {
                self.reactor.service(port, now, &mut self.dataplane, &mut self.watchers)
            } else {
                self.reactor.service(port, now, &mut self.dataplane, &mut ())
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
        let is_in_line = &mut self.in_line[usize::from(port.0)];
        if !std::mem::replace(is_in_line, true) {
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
                    self.reactor.set_watched(true, &mut self.dataplane);
                }
                Ok(Command::Visit(watcher, visit)) => visit(self.watchers.get_mut(watcher), now),
                Ok(Command::Unwatch(watcher, answer)) => {
                    let _ = answer.send(self.watchers.remove(watcher));
                    self.reactor.set_watched(self.watchers.is_there(), &mut self.dataplane);
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
            | Control::RenamePort { .. }
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
        let link = self.dataplane.link_mut(port).ok_or(Errno::ENOENT)?;
        self.in_line.resize(self.in_line.len().max(usize::from(port.0) + 1), false);
        self.reactor.watch(port, link)
    }

    fn forget(&mut self, port: PortId) {
        self.reactor.forget(port, &mut self.dataplane);
        if std::mem::take(&mut self.in_line[usize::from(port.0)]) {
            self.line.retain(|waiting| *waiting != port);
        }
    }

    fn forget_unplugged(&mut self) {
        let unplugged = |it: &Self| it.reactor.watched().find(|port| it.dataplane.link(*port).is_none());
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

/// The machine's monotonic clock: the origin of time is its start.
#[expect(clippy::disallowed_methods, reason = "the outermost loop, the one place that asks what time it is")]
pub(super) fn clock() -> Instant {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Instant::ZERO + Duration::from(time)
}
