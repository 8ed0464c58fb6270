//! [`Engine`]: the thread that drives a [`Dataplane`] on a real host, and what the rest of a program sees of it.
//!
//! * One thread, `pontoon-data`, owns the data plane; nothing of it is shared, so nothing is locked.
//! * Whatever is asked of it, [`Engine::control`] or [`Engine::inspect`], happens between two batches, in the order of the
//!   calls, and has happened when the call returns. So either is a barrier for what came before.
//! * What happens by itself comes as an [`Event`].
//! * A [`Watcher`] is told of all that goes into the data plane, on its thread; without any, nothing of that costs a frame
//!   anything.
//! * Dropping the engine stops the thread, waits for it, and drops the data plane with its links.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;

use crate::dataplane::{BridgeStart, Change, Control, ControlError, Dataplane, Event};
use crate::link::Link;
use crate::time::Instant;
use crate::verdict::PortId;

mod courtesy;
mod epoll;
mod manners;
mod polling;
mod reactor;
#[cfg(test)]
#[path = "tests.rs"]
mod tests_with_epoll;
#[cfg(test)]
#[expect(clippy::duplicate_mod, reason = "all that holds with the one holds with the other")]
#[path = "tests.rs"]
mod tests_with_uring;
mod uring;
mod watchers;
mod worker;

use self::epoll::Epoll;
use self::reactor::Reactor;
use self::uring::Uring;
use self::worker::Loop;

pub use watchers::{Watcher, WatcherId};

/// What the thread waits with, and who reads and writes frames meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the kernel has it and lets us, otherwise epoll.
    #[default]
    Auto,
    /// epoll(7): the links read and write.
    Epoll,
    /// io_uring(7): the kernel does, in batches. It takes Linux 6.7.
    Uring,
}

impl Io {
    /// Its name, by which it is [parsed](str::parse) as well.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Io::Auto => "auto",
            Io::Epoll => "epoll",
            Io::Uring => "uring",
        }
    }
}

impl std::str::FromStr for Io {
    type Err = UnknownIo;

    fn from_str(name: &str) -> Result<Io, UnknownIo> {
        [Io::Auto, Io::Epoll, Io::Uring].into_iter().find(|io| io.name() == name).ok_or(UnknownIo)
    }
}

/// No [`Io`] is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auto, epoll or uring is expected")]
pub struct UnknownIo;

/// Whether io_uring can be used here.
///
/// # Errors
/// Why not: in a sandbox EPERM or ENOSYS, as a rule.
pub fn try_uring() -> io::Result<()> {
    Uring::new(&Arc::new(worker::wake_fd()?)).map(drop)
}

/// A data plane at work.
#[derive(Debug)]
pub struct Engine<L> {
    /// `None` only while it is being dropped.
    commands: Option<Sender<Command<L>>>,
    wake: Arc<EventFd>,
    /// Ready when there are events, or the thread has ended.
    news: Arc<EventFd>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
    io: Io,
    no_uring: Option<io::Error>,
}

/// Why the engine did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The data plane refused the change.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The link of a new port can not be waited for; the port is unplugged again.
    #[error("watch the link of port {}: {}", port.0, errno.desc())]
    Watch {
        /// Which.
        port: PortId,
        /// Why.
        errno: Errno,
    },
    /// The thread has ended, which only a bug of ours makes it do.
    #[error("the data plane has stopped")]
    Stopped,
}

impl<L: Link + AsFd + Send + 'static> Engine<L> {
    /// Starts a thread that drives `dataplane`, and waits as `io` says.
    ///
    /// # Errors
    /// If there are no fds or threads to be had, a link can not be waited for, or io_uring is asked for and can not be had.
    pub fn spawn(dataplane: Dataplane<L>, io: Io) -> io::Result<Engine<L>> {
        let wake = Arc::new(worker::wake_fd()?);
        // Whoever sends a command waits for its answer, so there are never more of them than callers.
        let (commands, received) = unbounded();
        // At most one event for each port that was plugged in: the data plane never waits for who reads them.
        let (sent, events) = unbounded();
        let news = Arc::new(worker::wake_fd()?);
        let ends = (received, sent, Arc::clone(&news));
        let mut no_uring = None;
        let uring = match io {
            Io::Epoll => None,
            Io::Uring => Some(Uring::new(&wake)?),
            Io::Auto => Uring::new(&wake).map_err(|why| no_uring = Some(why)).ok(),
        };
        let (io, thread) = match uring {
            Some(reactor) => (Io::Uring, start(dataplane, reactor, ends, &wake)?),
            None => (Io::Epoll, start(dataplane, Epoll::new(&wake)?, ends, &wake)?),
        };
        Ok(Engine { commands: Some(commands), wake, news, events, thread: Some(thread), io, no_uring })
    }

    /// What it waits with, which is never [`Io::Auto`].
    #[must_use]
    pub const fn io(&self) -> Io {
        self.io
    }

    /// Why it waits with epoll, if that was not asked for.
    #[must_use]
    pub const fn no_uring(&self) -> Option<&io::Error> {
        self.no_uring.as_ref()
    }

    /// An eventfd that becomes readable when there are events, or the thread has ended, which only a bug of ours makes it do
    /// before the engine is dropped: then the stream of events has ended.
    #[must_use]
    pub fn news(&self) -> Arc<EventFd> {
        Arc::clone(&self.news)
    }

    /// Makes a change of the data plane.
    ///
    /// # Errors
    /// As [`Dataplane::control`], and if the link of a new port can not be waited for.
    pub fn control(&self, control: Control<L>) -> Result<(), EngineError> {
        self.control_all([control])?.pop().unwrap_or(Err(EngineError::Stopped))
    }

    /// Makes several changes, in order and between the same two batches: no frame comes in on the first port before the last is
    /// there. Gives what became of each; one that is refused holds up no other.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn control_all(
        &self,
        controls: impl IntoIterator<Item = Control<L>>,
    ) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        let (answer, answered) = bounded(1);
        self.send(Command::Control(controls.into_iter().collect(), answer))?;
        answered.recv().map_err(|_| EngineError::Stopped)
    }

    /// Lets `look` see the data plane between two batches, and gives what it makes of it. No frame moves meanwhile.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn inspect<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Dataplane<L>, Instant) -> R + Send + 'static,
    ) -> Result<R, EngineError> {
        let (answer, answered) = bounded(1);
        let look = move |dataplane: &Dataplane<L>, now: Instant| {
            // Nobody waits for it: then nobody wants to know.
            let _ = answer.send(look(dataplane, now));
        };
        self.send(Command::Inspect(Box::new(look)))?;
        answered.recv().map_err(|_| EngineError::Stopped)
    }

    /// Lets a watcher see the data plane from now on. `make` makes it of the state between two batches, so that it misses
    /// nothing that comes after.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn watch(
        &self,
        make: impl FnOnce(Vec<BridgeStart>, Instant) -> Box<dyn Watcher> + Send + 'static,
    ) -> Result<WatcherId, EngineError> {
        let (answer, answered) = bounded(1);
        self.send(Command::Watch(Box::new(make), answer))?;
        answered.recv().map_err(|_| EngineError::Stopped)
    }

    /// Lets `visit` see a watcher between two batches, and gives what it makes of it; `None` if there is no such watcher.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn visit<R: Send + 'static>(
        &self,
        watcher: WatcherId,
        visit: impl FnOnce(&mut dyn Watcher, Instant) -> R + Send + 'static,
    ) -> Result<Option<R>, EngineError> {
        let (answer, answered) = bounded(1);
        let visit = move |watcher: Option<&mut dyn Watcher>, now: Instant| {
            let _ = answer.send(watcher.map(|watcher| visit(watcher, now)));
        };
        self.send(Command::Visit(watcher, Box::new(visit)))?;
        answered.recv().map_err(|_| EngineError::Stopped)
    }

    /// Lets `follower` hear of each change of bridges, ports and stations from now on. Returns what is there.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn follow(&self, follower: Follower) -> Result<Vec<Change>, EngineError> {
        let (answer, answered) = bounded(1);
        self.send(Command::Follow(follower, answer))?;
        answered.recv().map_err(|_| EngineError::Stopped)
    }

    /// Takes a watcher away. What happens from now on it is not told of.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn unwatch(&self, watcher: WatcherId) -> Result<Option<Box<dyn Watcher>>, EngineError> {
        let (answer, answered) = bounded(1);
        self.send(Command::Unwatch(watcher, answer))?;
        answered.recv().map_err(|_| EngineError::Stopped)
    }

    /// Where events arrive. A clone of the receiver shares the stream: each event goes to one of them.
    #[must_use]
    pub fn events(&self) -> Receiver<Event> {
        self.events.clone()
    }

    fn send(&self, command: Command<L>) -> Result<(), EngineError> {
        let commands = self.commands.as_ref().ok_or(EngineError::Stopped)?;
        commands.send(command).map_err(|_| EngineError::Stopped)?;
        self.wake.write(1).map(drop).map_err(|_| EngineError::Stopped)
    }
}

/// What a loop is given to be told by, and to tell by.
type Ends<L> = (Receiver<Command<L>>, Sender<Event>, Arc<EventFd>);

/// Starts the thread.
fn start<L: Link + Send + 'static, R: Reactor<L> + Send + 'static>(
    dataplane: Dataplane<L>,
    reactor: R,
    (received, sent, news): Ends<L>,
    wake: &Arc<EventFd>,
) -> io::Result<JoinHandle<()>> {
    let worker = Loop::new(dataplane, reactor, received, Arc::clone(wake), sent, Arc::clone(&news))?;
    let tells = TellsOfItsEnd(news);
    let run = move || {
        let _tells = tells;
        // Dropped before it is told: who hears of the end finds the stream of events ended.
        let mut worker = worker;
        worker.run();
    };
    thread::Builder::new().name("pontoon-data".to_owned()).spawn(run)
}

/// Tells of the end of the thread that owns it, whether it returns or panics.
struct TellsOfItsEnd(Arc<EventFd>);

impl Drop for TellsOfItsEnd {
    fn drop(&mut self) {
        let _ = self.0.write(1);
    }
}

impl<L> Drop for Engine<L> {
    fn drop(&mut self) {
        // The thread ends when it wakes up and finds that nobody can command it any more.
        self.commands = None;
        if let Err(errno) = self.wake.write(1) {
            tracing::error!(%errno, "wake the data plane up to stop it");
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the data plane had panicked");
        }
    }
}

/// Hears of changes, on the data plane's thread: it must not wait. Says whether it wants to hear more.
pub type Follower = Box<dyn FnMut(&Change) -> bool + Send>;

/// What the thread is asked to do.
enum Command<L> {
    /// Changes, made together.
    Control(Vec<Control<L>>, Sender<Vec<Result<(), EngineError>>>),
    Inspect(Box<Look<L>>),
    Follow(Follower, Sender<Vec<Change>>),
    Watch(Box<MakeWatcher>, Sender<WatcherId>),
    Visit(WatcherId, Box<Visit>),
    Unwatch(WatcherId, Sender<Option<Box<dyn Watcher>>>),
}

type MakeWatcher = dyn FnOnce(Vec<BridgeStart>, Instant) -> Box<dyn Watcher> + Send;
type Visit = dyn FnOnce(Option<&mut dyn Watcher>, Instant) + Send;

type Look<L> = dyn FnOnce(&Dataplane<L>, Instant) + Send;
