//! [`Context`]: which program runs at this moment, and in which world.
//!
//! Code of a program runs only while its world polls one of its tasks, in one thread, so that "who calls?" is a variable of
//! that thread, as it is in tokio. So programs need no handle of the world, and a socket is a number, which any type of a
//! program may hold and which can be sent between threads; but it is of use only where its world is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};

use switch::time::Instant;

use crate::clock::Clock;
use crate::machine::Machine;

/// The number of a world, which no other in this process ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorldId(u64);

/// A program at work.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) world: WorldId,
    pub(crate) machine: Rc<RefCell<Machine>>,
    pub(crate) clock: Clock,
    /// Its process.
    pub(crate) pid: u32,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
    static WORLDS: RefCell<BTreeMap<WorldId, Weak<RefCell<Machine>>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The next number of a world. It is never part of what happens in one.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl WorldId {
    pub(crate) fn new() -> Self {
        WorldId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Context {
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// The world with this number is this machine, for as long as it is there.
pub(crate) fn register(world: WorldId, machine: &Rc<RefCell<Machine>>) {
    WORLDS.with_borrow_mut(|worlds| {
        worlds.retain(|_, other| other.strong_count() > 0);
        worlds.insert(world, Rc::downgrade(machine));
    });
}

/// The machine of a world of this thread, if it is still there.
pub(crate) fn machine_of(world: WorldId) -> Option<Rc<RefCell<Machine>>> {
    // A thread that ends has forgotten its worlds.
    WORLDS.try_with(|worlds| worlds.borrow().get(&world)?.upgrade()).ok().flatten()
}

/// Lets a program work. What it returns to may be another program's work, of another world.
pub(crate) fn enter<T>(context: Context, work: impl FnOnce() -> T) -> T {
    /// Puts the former one back, also when the work panics.
    struct Before(Cell<Option<Context>>);
    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _before = Before(Cell::new(CURRENT.replace(Some(context))));
    work()
}

/// Who calls.
///
/// # Panics
/// If that is no program of a world.
#[track_caller]
pub(crate) fn current() -> Context {
    match CURRENT.with_borrow(Clone::clone) {
        Some(context) => context,
        None => panic!(
            "there is no simulated world here: sockets, time and tasks of the simulator are for the programs that \
             World::spawn, World::exec and World::block_on run"
        ),
    }
}
