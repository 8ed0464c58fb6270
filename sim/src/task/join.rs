//! [`JoinHandle`]: what becomes of a task.

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::context::{self, WorldId};
use crate::executor::{TaskId, Work};
use crate::program::{self, Caught};

/// A task, for whoever waits for its end. Dropped, the task goes on.
#[derive(Debug)]
pub struct JoinHandle<T> {
    world: WorldId,
    task: Option<TaskId>,
    end: Arc<End<T>>,
}

/// Ends a task.
#[derive(Clone, Debug)]
pub struct AbortHandle {
    world: WorldId,
    task: Option<TaskId>,
}

/// Why a task has no result.
#[derive(thiserror::Error)]
pub enum JoinError {
    /// It was ended: by [`JoinHandle::abort`], or with its process.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked.
    #[error("the task panicked: {}", program::said(&**.0))]
    Panicked(Box<dyn Any + Send>),
}

/// Where a task's result is put.
#[derive(Debug)]
struct End<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    Running(Option<Waker>),
    Finished(Result<T, JoinError>),
    Taken,
}

/// The task's side. Dropped without a result, the task has none.
struct Promise<T>(Arc<End<T>>);

/// A task, and the handle of it.
pub(crate) fn job<F>(world: WorldId, future: F) -> (Work, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let end = Arc::new(End(Mutex::new(State::Running(None))));
    let promise = Promise(Arc::clone(&end));
    let future = Caught(Box::pin(future));
    let work = async move {
        let result = future.await.map_err(JoinError::Panicked);
        promise.0.finish(result);
    };
    (Box::pin(work), JoinHandle { world, task: None, end })
}

impl<T> JoinHandle<T> {
    /// Ends the task at its next turn, unless it is done. Its destructors run; what it waited for is not told.
    pub fn abort(&self) {
        self.abort_handle().abort();
    }

    /// Something that can end the task, and nothing else.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { world: self.world, task: self.task }
    }

    /// Whether the task is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(*self.end.lock(), State::Finished(_) | State::Taken)
    }

    pub(crate) fn set_task(&mut self, task: TaskId) {
        self.task = Some(task);
    }

    /// The result, once.
    pub(crate) fn take_result(&mut self) -> Option<Result<T, JoinError>> {
        self.end.lock().take()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it was ready before.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.end.lock();
        match &mut *state {
            State::Running(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Taken => panic!("a JoinHandle was polled after it was ready"),
            State::Finished(_) => state.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl AbortHandle {
    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        if let (Some(machine), Some(task)) = (context::machine_of(self.world), self.task) {
            machine.borrow_mut().executor.abort(task);
        }
    }
}

impl JoinError {
    /// Whether it was ended.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, JoinError::Cancelled)
    }

    /// Whether it panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }

    /// What it panicked with, to be raised again.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self {
            JoinError::Panicked(panic) => panic,
            JoinError::Cancelled => panic!("the task did not panic: it was cancelled"),
        }
    }
}

impl std::fmt::Debug for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        std::io::Error::other(error.to_string())
    }
}

impl<T> End<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that is done with it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: Result<T, JoinError>) {
        let before = std::mem::replace(&mut *self.lock(), State::Finished(result));
        if let State::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        match std::mem::replace(self, State::Taken) {
            State::Finished(result) => Some(result),
            other @ (State::Running(_) | State::Taken) => {
                *self = other;
                None
            }
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let is_running = matches!(*self.0.lock(), State::Running(_));
        if is_running {
            self.0.finish(Err(JoinError::Cancelled));
        }
    }
}
