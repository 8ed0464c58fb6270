//! [`Sleep`]: waiting for a moment.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Instant;
use crate::context::{self, WorldId};
use crate::executor::TimerId;
use crate::process::Calls;

/// Ready from a moment on. Dropped, it is as if it had never been.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sleep {
    deadline: Instant,
    timer: Option<(WorldId, TimerId)>,
}

/// Waits for so long.
///
/// # Panics
/// If no program of a world calls it.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until a moment; not at all if it is past.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, timer: None }
}

impl Sleep {
    /// What it waits for.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether that has come.
    ///
    /// # Panics
    /// If no program of a world asks.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Waits for another moment.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
    }

    fn cancel(&mut self) {
        let Some((world, timer)) = self.timer.take() else { return };
        if let Some(machine) = context::machine_of(world) {
            machine.borrow_mut().executor.cancel_timer(timer);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let context = context::current();
        if context.now() >= self.deadline.inner() {
            self.cancel();
            return Poll::Ready(());
        }
        let is_set = self.timer.is_some_and(|(world, timer)| {
            world == context.world && context.machine.borrow_mut().executor.renew_timer(timer, cx.waker())
        });
        if !is_set {
            let timer = Calls::new(&context, cx.waker()).set_timer(self.deadline.inner());
            self.timer = Some((context.world, timer));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}
