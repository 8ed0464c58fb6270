//! [`Places`]: how many converse at a door at once, and who makes way for another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// How long somebody has been silent, at the least, who makes way: not who is about to speak, or still reads an answer.
const SILENT: Duration = Duration::from_secs(1);
/// How soon it is looked again who has been silent for long enough.
const A_MOMENT: Duration = Duration::from_millis(100);

/// What one conversation has come to.
#[derive(Debug)]
pub(super) struct Pace {
    turn: Mutex<Turn>,
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    /// We are to answer.
    Ours,
    /// They are to speak, or to go on, since then.
    Theirs(Instant),
}

impl Default for Pace {
    fn default() -> Self {
        Pace { turn: Mutex::new(Turn::Theirs(Instant::now())) }
    }
}

impl Pace {
    /// Whether an answer is being made.
    pub(super) fn is_answering(&self, is_answering: bool) {
        *self.turn() = if is_answering { Turn::Ours } else { Turn::Theirs(Instant::now()) };
    }

    /// Since when nothing has been heard, if that is long enough.
    fn silent_since(&self) -> Option<Instant> {
        match *self.turn() {
            Turn::Theirs(since) if since.elapsed() >= SILENT => Some(since),
            Turn::Theirs(_) | Turn::Ours => None,
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places at a door, and who has them.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// At most as many as there are places.
    taken: Vec<(Arc<Pace>, AbortHandle)>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Places { free: Arc::new(Semaphore::new(count)), taken: Vec::new() }
    }

    /// Waits for a place. If there is none, the conversation that has been silent for longest ends.
    pub(super) async fn find(&mut self) -> OwnedSemaphorePermit {
        loop {
            self.taken.retain(|(_, task)| !task.is_finished());
            let patience = if self.free.available_permits() > 0 || self.makes_way() { SILENT } else { A_MOMENT };
            if let Ok(Ok(place)) = timeout(patience, Arc::clone(&self.free).acquire_owned()).await {
                return place;
            }
        }
    }

    /// Notes who has a place now.
    pub(super) fn are_taken_by(&mut self, pace: Arc<Pace>, task: AbortHandle) {
        self.taken.push((pace, task));
    }

    /// Whether somebody makes way.
    fn makes_way(&mut self) -> bool {
        let silent = self.taken.iter().enumerate().filter_map(|(at, (pace, _))| Some((pace.silent_since()?, at)));
        let Some((_, at)) = silent.min() else { return false };
        let (_, task) = self.taken.remove(at);
        task.abort();
        true
    }
}
