//! How time goes by, and how it is noticed that it can not: [`Runaway`].

use std::time::Duration;

use switch::dataplane::Serviced;

use super::World;
use crate::clock::Wake;
use crate::machine::HOST;

/// Why a world can not go on as it is. Without this, a test would hang.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Runaway {
    /// Networks are joined in a circle, and a frame has gone round in it until it had crossed 64 switches. That frame is lost
    /// ([`CableDrop::Loop`](crate::CableDrop::Loop)); the world goes on if it is asked to, and the next frame is the next to
    /// go round.
    #[error("frames go round in a loop: one has crossed 64 switches after {at:?}, by the ports {}", .ports.join(", "))]
    Loop {
        /// When, since the world began.
        at: Duration,
        /// By which ports frames come in that go round.
        ports: Vec<String>,
    },
    /// So much happens in one moment that time does not go on: see
    /// [`WorldBuilder::event_budget`](crate::WorldBuilder::event_budget).
    #[error("time stands still at {at:?}: there were {events} events in one moment, the last of them {last}")]
    Stuck {
        /// When, since the world began.
        at: Duration,
        /// How many.
        events: u64,
        /// What the last one was.
        last: String,
    },
}

impl World {
    /// Lets time go by, and everything happen that is due in it.
    ///
    /// # Panics
    /// If the world runs away: see [`World::try_advance`].
    pub fn advance(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// The same, without a panic.
    ///
    /// # Errors
    /// If the world runs away. Time has gone by until then.
    pub fn try_advance(&mut self, time: Duration) -> Result<(), Runaway> {
        self.try_run_until(time, |_| false).map(|_| ())
    }

    /// Lets time go by until `done`, but for no longer than `limit`. Returns whether it was done.
    ///
    /// # Panics
    /// If the world runs away: see [`World::try_run_until`].
    pub fn run_until(&mut self, limit: Duration, done: impl FnMut(&mut World) -> bool) -> bool {
        self.try_run_until(limit, done).unwrap_or_else(|runaway| panic!("{runaway}"))
    }

    /// The same, without a panic.
    ///
    /// # Errors
    /// If the world runs away. Time has gone by until then.
    pub fn try_run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut World) -> bool,
    ) -> Result<bool, Runaway> {
        let deadline = self.clock.now() + limit;
        loop {
            self.settle();
            if let Some(runaway) = self.runaway.take() {
                return Err(runaway);
            }
            if done(self) {
                return Ok(true);
            }
            match self.clock.next().filter(|at| *at <= deadline) {
                Some(at) => self.clock.jump_to(at),
                None => {
                    self.clock.jump_to(deadline);
                    return Ok(false);
                }
            }
        }
    }

    /// Everything that is due now, unless it is too much.
    pub(super) fn settle(&mut self) {
        let mut events = 0;
        if self.run_tasks() {
            self.see_ends();
        }
        while let Some(wake) = self.clock.pop_due() {
            self.handle(wake);
            events += 1;
            if let Some(ports) = self.plant.hops.found_loop() {
                self.runaway = Some(Runaway::Loop { at: self.now(), ports });
            } else if events >= self.budget {
                self.runaway = Some(Runaway::Stuck { at: self.now(), events, last: format!("{wake:?}") });
            }
            if self.runaway.is_some() {
                break;
            }
        }
    }

    fn handle(&mut self, wake: Wake) {
        let now = self.clock.now();
        match wake {
            Wake::Namespace(id) => {
                if let Some(namespace) = self.machine().namespaces.get_mut(&id) {
                    namespace.wake(now);
                }
                if id == HOST {
                    self.machine().answer_names();
                }
            }
            Wake::Port(cable) => {
                if self.serve(cable) == Serviced::More {
                    self.clock.wake_now(Wake::Port(cable));
                }
            }
            Wake::Program(pid) => self.machine().run_out(pid),
            Wake::Tasks => self.machine().executor.handle_timeout(),
            Wake::Manager => self.manager_timeout(),
            Wake::Dataplane => self.dataplane_timeout(),
        }
        self.run_tasks();
        self.see_ends();
    }

    /// An end is seen at once, as the daemon sees it by the shim's pidfd.
    pub(super) fn see_ends(&mut self) {
        if self.daemon.is_some() && self.machine().has_ended() {
            self.reap();
        }
    }
}
