//! [`Executor`]: the tasks of all programs of a world, and their timers.
//!
//! The rules it keeps:
//!
//! * One task at a time, in the order in which they were woken; timers of one moment in the order in which they were set. So
//!   equal seeds give equal runs.
//! * What programs compute takes no time: but [`TURNS`] turns of tasks take [`TURN_TIME`], so that a task that waits for
//!   something by asking again and again does not hold the clock still.
//! * A task of a process that has ended is not dropped here but put aside, to be dropped by who holds nothing that its
//!   destructors may ask for.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake as _, Waker};
use std::time::Duration;

use switch::time::Instant;

use crate::clock::{Clock, Wake};

/// How often tasks may be polled at one moment.
const TURNS: u32 = 64;
/// How long that takes.
const TURN_TIME: Duration = Duration::from_micros(1);

/// What is polled.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The number of a task, in the order in which they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskId(u64);

/// The number of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId(Instant, u64);

/// Tasks and timers.
pub(crate) struct Executor {
    clock: Clock,
    tasks: BTreeMap<TaskId, Task>,
    ready: Arc<Ready>,
    timers: BTreeMap<TimerId, Waker>,
    /// The earliest wake-up that was asked for.
    armed: Option<Instant>,
    /// How many turns there were at which moment.
    turns: (Instant, u32),
    next: u64,
    dead: Vec<(u32, Work)>,
}

struct Task {
    pid: u32,
    /// `None` while it is being polled.
    work: Option<Work>,
    notify: Arc<Notify>,
}

/// A task's turn.
pub(crate) struct Turn {
    pub(crate) task: TaskId,
    pub(crate) pid: u32,
    pub(crate) work: Work,
    pub(crate) waker: Waker,
}

/// The tasks that were woken, the first first.
#[derive(Debug, Default)]
struct Ready(Mutex<VecDeque<TaskId>>);

/// Wakes one task. (A waker must be fit for other threads, even where there are none.)
#[derive(Debug)]
struct Notify {
    task: TaskId,
    is_woken: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<TaskId>) -> T) -> T {
        // Nothing that is done with it can panic.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::task::Wake for Notify {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.ready.with(|ready| ready.push_back(self.task));
        }
    }
}

impl Executor {
    pub(crate) fn new(clock: &Clock) -> Self {
        Executor {
            clock: clock.clone(),
            tasks: BTreeMap::new(),
            ready: Arc::default(),
            timers: BTreeMap::new(),
            armed: None,
            turns: (Instant::ZERO, 0),
            next: 0,
            dead: Vec::new(),
        }
    }

    /// Begins a task of a process.
    pub(crate) fn spawn(&mut self, pid: u32, work: Work) -> TaskId {
        let task = TaskId(self.number());
        let notify = Arc::new(Notify { task, is_woken: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        notify.wake_by_ref();
        self.tasks.insert(task, Task { pid, work: Some(work), notify });
        // Whoever runs the world sees that there is something to do.
        self.clock.wake_now(Wake::Tasks);
        task
    }

    /// Ends a task.
    pub(crate) fn abort(&mut self, task: TaskId) {
        if let Some(Task { pid, work: Some(work), .. }) = self.tasks.remove(&task) {
            self.dead.push((pid, work));
        }
    }

    /// Ends all tasks of a process.
    pub(crate) fn end_process(&mut self, pid: u32) {
        let own: Vec<TaskId> = self.tasks.iter().filter(|(_, task)| task.pid == pid).map(|(task, _)| *task).collect();
        own.into_iter().for_each(|task| self.abort(task));
    }

    /// The next task that was woken, unless there were turns enough for this moment. To be given back with
    /// [`Executor::put_back`] if it is not done.
    pub(crate) fn next_turn(&mut self) -> Option<Turn> {
        let now = self.clock.now();
        if self.turns.0 != now {
            self.turns = (now, 0);
        }
        loop {
            if self.turns.1 >= TURNS {
                if !self.ready.with(|ready| ready.is_empty()) {
                    self.arm(now + TURN_TIME);
                }
                return None;
            }
            let task = self.ready.with(VecDeque::pop_front)?;
            // One that has ended meanwhile has no turn any more.
            let Some(Task { pid, work, notify }) = self.tasks.get_mut(&task) else { continue };
            notify.is_woken.store(false, Ordering::Release);
            let Some(work) = work.take() else { continue };
            self.turns.1 += 1;
            return Some(Turn { task, pid: *pid, work, waker: Waker::from(Arc::clone(notify)) });
        }
    }

    /// A task has had its turn, and is not done.
    pub(crate) fn put_back(&mut self, turn: Turn) {
        match self.tasks.get_mut(&turn.task) {
            Some(task) => task.work = Some(turn.work),
            // Its process has ended in the course of it.
            None => self.dead.push((turn.pid, turn.work)),
        }
    }

    /// A task is done.
    pub(crate) fn finish(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    /// What is left of tasks that have ended, with their processes, for the caller to drop.
    pub(crate) fn take_dead(&mut self) -> Vec<(u32, Work)> {
        std::mem::take(&mut self.dead)
    }

    /// Wakes somebody at a moment to come.
    pub(crate) fn set_timer(&mut self, at: Instant, waker: Waker) -> TimerId {
        let timer = TimerId(at, self.number());
        self.timers.insert(timer, waker);
        self.arm(at);
        timer
    }

    /// Has another woken by a timer; whether it has not gone off yet.
    pub(crate) fn renew_timer(&mut self, timer: TimerId, waker: &Waker) -> bool {
        self.timers.get_mut(&timer).map(|own| own.clone_from(waker)).is_some()
    }

    pub(crate) fn cancel_timer(&mut self, timer: TimerId) {
        self.timers.remove(&timer);
    }

    /// Wakes everybody whose moment has come.
    pub(crate) fn handle_timeout(&mut self) {
        let now = self.clock.now();
        if self.armed.is_some_and(|at| at <= now) {
            self.armed = None;
        }
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            timer.remove().wake();
        }
        if let Some((TimerId(at, _), _)) = self.timers.first_key_value() {
            self.arm(*at);
        }
    }

    fn arm(&mut self, at: Instant) {
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at);
            self.clock.wake_at(at, Wake::Tasks);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("tasks", &self.tasks.keys())
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}
