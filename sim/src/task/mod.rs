//! Tasks, as `tokio::task` has them. They run in their program's process, and end with it.
//!
//! One runs at a time, in the order in which they were woken. One that computes for ever holds the world still; one that asks
//! again and again with [`yield_now`] in between does not, since turns take a little time.

mod join;

use std::future::poll_fn;
use std::task::Poll;

pub(crate) use self::join::job;
pub use self::join::{AbortHandle, JoinError, JoinHandle};
use crate::context;

/// Begins a task of the program that calls this. It need not be [`Send`]. If the handle is dropped it goes on.
///
/// # Panics
/// If no program of a world calls it.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let context = context::current();
    let (work, mut handle) = job(context.world, future);
    let mut machine = context.machine.borrow_mut();
    if machine.home_of(context.pid).is_some() {
        handle.set_task(machine.executor.spawn(context.pid, work));
    } else {
        // Its process has ended, and only its destructors still run. It never begins.
        drop(machine);
        drop(work);
    }
    handle
}

/// Lets all others go first that are ready.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
