//! [`Pause`]: the time between two readings, which ends early when nobody wants to see more.
#![expect(clippy::disallowed_methods, reason = "the command is an outermost loop: it waits for the next reading")]

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::client::Client;
use crate::failure::{Failure, io};
use crate::paths::Dirs;
use crate::signals::Signals;

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked for a daemon that listens again.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for the next reading.
pub(super) struct Pause {
    interval: Duration,
    began: Instant,
    /// When the next reading is due: readings keep their beat, however long one takes.
    due: Instant,
    /// Ctrl-C ends a watch as it should be ended; elsewhere it ends the process.
    signals: Option<Signals>,
}

impl Pause {
    pub(super) fn new(interval: Duration, is_watch: bool) -> Result<Self, Failure> {
        let signals = if is_watch { Some(Signals::register(&[SIGINT, SIGTERM])?) } else { None };
        let began = Instant::now();
        Ok(Pause { interval, began, due: began, signals })
    }

    /// Seconds since the beginning.
    pub(super) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Waits for the interval. `false`: it is over, by a signal or since nobody reads any more.
    pub(super) fn wait(&mut self) -> Result<bool, Failure> {
        self.due = (self.due + self.interval).max(Instant::now());
        self.wait_until(self.due)
    }

    /// Waits for a daemon. `None`: it is over.
    pub(super) fn for_daemon(&mut self, dirs: &Dirs) -> Result<Option<Client>, Failure> {
        loop {
            if let Some(client) = Client::look(dirs)? {
                self.due = Instant::now();
                return Ok(Some(client));
            }
            if !self.wait_until(Instant::now() + LOOK)? {
                return Ok(None);
            }
        }
    }

    fn wait_until(&mut self, due: Instant) -> Result<bool, Failure> {
        loop {
            if self.signals.as_mut().is_some_and(|signals| signals.pending().next().is_some()) {
                return Ok(false);
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            let stdout = std::io::stdout();
            // (Nothing is asked of it: that a pipe has no reader any more is told all the same.)
            let mut watched = vec![PollFd::new(&stdout, PollFlags::empty())];
            watched
                .extend(self.signals.as_ref().map(|signals| PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)));
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 86_400, tv_nsec: 0 });
            match rustix::event::poll(&mut watched, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(why) => return Err(io("wait")(why.into())),
            }
            if watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                return Ok(false);
            }
        }
    }
}
