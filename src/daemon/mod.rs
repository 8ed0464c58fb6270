//! The daemon: it owns the manager and the engine, and serves the control socket.
//!
//! * Who holds the lock file is the daemon; a second one says so and ends.
//! * One thread moves frames (the engine's), one watches for ends, deadlines and clients (here), one per client carries
//!   out requests ([`serve`]). Manager and engine are behind one lock, held for one step at a time; whoever waits for a
//!   container's end waits on `changed`.
//! * It ends on SIGTERM or SIGINT and leaves the containers running: the next daemon takes them over. One that was started
//!   by `run` ends by itself when no container is listed and no client is connected.
#![expect(clippy::disallowed_methods, reason = "the daemon is an outermost loop: time comes from here")]

mod capture;
mod clients;
mod cni;
mod docker;
mod down;
mod http;
mod journal;
mod metrics;
mod monitor;
mod options;
mod serve;
mod state;
mod statistics;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control::{CniOrder, Request};
use netns::event::Narrator;
use netns::linux::Linux;
use netns::linux::privilege;
use netns::manager::{Manager, Now, Settings};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use switch::dataplane::{Dataplane, Settings as PlaneSettings};
use switch::engine::{Engine, Io};

use self::capture::FlightRecorder;
use self::clients::{Busy, CLIENTS, Connected, turn_away};
use self::monitor::Listeners;
pub use self::options::{Docker, Options, dispatch};
use self::state::State;
use crate::failure::{Failure, cause_of, io};
use crate::paths::{Dirs, unusable};

/// How long a daemon that ends waits for clients that do not listen.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a daemon that ends by itself waits for its first client.
const FIRST_CLIENT: Duration = Duration::from_secs(10);
/// Ends the daemon just before or after a change of a record, as `kill -9` would: for the tests of recovery.
const CRASH_AFTER_STEPS: &str = "PONTOON_CRASH_AFTER_STEPS";

/// How [`run`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The daemon has done its time.
    Ended,
    /// There is a daemon already.
    AnotherIsThere,
}

/// Runs the daemon in this process until it ends. `listens` is called once it does, with warnings for people.
///
/// # Errors
/// If it can not start.
pub fn run(options: &Options, listens: impl FnOnce(&[String])) -> Result<Outcome, Failure> {
    // Before there is a second thread, which would keep what it has.
    privilege::drop_all_but_needed().map_err(netns::error::Error::from)?;
    options.dirs.make()?;
    let Some(lock) = take_lock(&options.dirs.lock())? else { return Ok(Outcome::AnotherIsThere) };
    let Some(state_lock) = take_lock(&options.dirs.state_lock())? else {
        let state = options.dirs.state.display();
        return Err(Failure::new(format_args!("the state directory {state} belongs to another daemon that runs"))
            .with_hint("an instance has both directories for itself: --runtime-dir and --state-dir"));
    };
    let metrics = options.metrics.map(metrics::Listener::bind).transpose()?;
    let face = options.docker.as_ref().map(docker::Face::bind).transpose()?;
    let (daemon, warnings) = Daemon::start(options, metrics.as_ref().map(metrics::Listener::address))?;
    let listener = listen(&options.dirs)?;
    let served = metrics.map(|metrics| metrics.serve(&daemon)).transpose()?;
    let face = face.map(|face| face.serve(&daemon)).transpose()?;
    tracing::info!(pid = std::process::id(), "listening at {}", options.dirs.socket().display());
    listens(&warnings);
    let ended = daemon.watch(&listener);
    // A client that connects from now on finds no socket; one that has just connected finds the door closed. Both try
    // again, and start the next daemon, which waits for the lock.
    let _ = std::fs::remove_file(options.dirs.socket());
    drop((listener, served, face));
    daemon.see_off();
    let mut state = daemon.state();
    state.engine.take();
    for failed in state.manager.close() {
        tracing::warn!("leave the host as it was: {failed}");
    }
    // Shims of containers that have just ended still hold our gateway: the next daemon is to find it gone.
    state.manager.backend().let_go();
    drop(state);
    drop(daemon);
    drop(state_lock);
    drop(lock);
    ended.map(|()| Outcome::Ended)
}

/// A lock of this process, if no other has it. The one in the runtime directory makes it the daemon.
fn take_lock(path: &Path) -> Result<Option<Flock<File>>, Failure> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(unusable(format_args!("open the lock file {}", path.display())))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, why)) => Err(Failure::new(format_args!("lock {}: {why}", path.display()))),
    }
}

/// Whoever holds the lock may replace the socket that a killed daemon left.
fn listen(dirs: &Dirs) -> Result<UnixListener, Failure> {
    let path = dirs.socket();
    match std::fs::remove_file(&path) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            return Err(Failure::new(format_args!("replace the socket {}: {why}", path.display())));
        }
        Ok(()) | Err(_) => {}
    }
    let listen = || {
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(io(format_args!("listen at {}", path.display())))
}

/// What all threads of the daemon share.
struct Daemon {
    dirs: Dirs,
    state: Mutex<State>,
    /// Notified whenever a container may have ended.
    changed: Condvar,
    /// Wakes the watching thread: there may be a new deadline, or a reason to end.
    wake: EventFd,
    ends: OwnedFd,
    /// Ready when something has happened in the data plane, or to it.
    news: Arc<EventFd>,
    started: Instant,
    /// The same for people, in seconds since 1970.
    started_at: u64,
    /// Where it serves metrics over TCP, if it does.
    metrics: Option<SocketAddr>,
    /// Where it serves Docker, if it does.
    docker: Option<PathBuf>,
    /// Who asks Docker for names.
    namer: OnceLock<Weak<docker::Namer>>,
}

impl Daemon {
    fn start(options: &Options, metrics: Option<SocketAddr>) -> Result<(Arc<Self>, Vec<String>), Failure> {
        let executable = "/proc/self/exe".into();
        let mut backend = Linux::new(options.dirs.paths(), executable).map_err(netns::error::Error::from)?;
        if let Some(count) = std::env::var(CRASH_AFTER_STEPS).ok().and_then(|count| count.parse().ok()) {
            backend.crash_after_steps(count);
        }
        let ends = backend.ended_fd().try_clone_to_owned().map_err(io("watch for containers' ends"))?;
        let wake = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|why| Failure::new(format_args!("make an eventfd: {why}")))?;
        let engine =
            Engine::spawn(Dataplane::new(PlaneSettings::default()), options.io).map_err(|why| match options.io {
                Io::Uring => Failure::new(format_args!("start the data plane with io_uring: {}", cause_of(&why)))
                    .with_hint("without `--io uring` epoll is used where io_uring can not be had"),
                Io::Auto | Io::Epoll => io("start the data plane")(why),
            })?;
        tracing::info!(io = engine.io().name(), "data plane");
        let no_uring = engine
            .no_uring()
            .map(|why| format!("io_uring can not be used here ({}): frames are moved with epoll", cause_of(why)));
        let news = engine.news();
        let started = Instant::now();
        let settings = Settings { seed: seed()?, bip: options.bip, defers_forwarding: options.docker.is_some() };
        tracing::info!(seed = settings.seed, "chance");
        let (manager, mut warnings) = Manager::open(backend, &settings, now_since(started))?;
        warnings.extend(no_uring);
        let mut state = State {
            manager,
            engine: Some(engine),
            stays: options.stays,
            clients: 0,
            connections: BTreeMap::new(),
            listeners: Listeners::default(),
            narrator: Narrator::default(),
            next_connection: 0,
            waiting: 0,
            busy: 0,
            had_client: false,
            closing: false,
            ending: false,
            has_stopped: false,
            captures: 0,
            flight_recorder: None,
        };
        // Before there is a port: it sees all.
        if let Some(keep) = options.flight_recorder {
            let recorder = FlightRecorder::start(&state, Duration::from_secs(keep));
            state.flight_recorder =
                Some(recorder.map_err(|why| Failure::new(format_args!("start the flight recorder: {why}")))?);
        }
        state.pump().map_err(|why| Failure::new(format_args!("set up the data plane: {why}")))?;
        let daemon = Daemon {
            dirs: options.dirs.clone(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            wake,
            ends,
            news,
            started,
            started_at: unix_seconds(),
            metrics,
            docker: options.docker.as_ref().map(|docker| docker.socket.clone()),
            namer: OnceLock::new(),
        };
        Ok((Arc::new(daemon), warnings))
    }

    /// Watches for ends, deadlines, signals and clients until the daemon is to end.
    fn watch(self: &Arc<Self>, listener: &UnixListener) -> Result<(), Failure> {
        let signals = signals().map_err(io("watch for signals"))?;
        loop {
            let Some(timeout) = self.settle() else { return Ok(()) };
            if self.state().has_stopped {
                // A bug of ours. Containers go on; the next daemon takes them over, with a data plane that works.
                self.state().ending = true;
                return Err(Failure::new("the data plane has stopped: this is a bug in pontoon")
                    .with_hint("`pontoon up` starts a daemon that takes the containers over"));
            }
            let mut ready =
                [listener.as_fd(), self.ends.as_fd(), self.wake.as_fd(), signals.as_fd(), self.news.as_fd()]
                    .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut ready, timeout) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(why) => return Err(Failure::new(format_args!("wait for events: {why}"))),
            }
            let [client, _, wake, signal, news] = ready.map(|fd| fd.any().unwrap_or(false));
            if wake {
                let _ = self.wake.read();
            }
            if news {
                let _ = self.news.read();
            }
            if signal {
                tracing::info!("asked to end; containers go on");
                self.state().ending = true;
                return Ok(());
            }
            if client {
                self.accept(listener);
            }
        }
    }

    /// Does what is due; says how long nothing more will be, or `None` if the daemon is to end.
    fn settle(&self) -> Option<PollTimeout> {
        let mut state = self.state();
        let now = self.now();
        let ended = state.manager.reap(now).len();
        for failed in state.manager.handle_timeout(now) {
            tracing::warn!("a container: {failed}");
        }
        state.note_lost_ports();
        let _ = state.pump();
        if ended > 0 {
            tracing::debug!(ended, "containers ended");
        }
        self.changed.notify_all();
        if state.is_done(self.started.elapsed()) {
            state.ending = true;
            return None;
        }
        let deadline = state.manager.poll_timeout().map(|at| at.since(now.instant));
        let first_client = (!state.stays && !state.had_client).then_some(FIRST_CLIENT);
        Some(match deadline.into_iter().chain(first_client).min() {
            // One more millisecond: poll counts in whole ones, and too early is a turn in vain.
            Some(soonest) => PollTimeout::try_from(soonest + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        })
    }

    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(why) => {
                    // Most likely there are no descriptors left: whoever waits at the door is let in when some are free again.
                    tracing::warn!("let a client in: {why}");
                    std::thread::sleep(Duration::from_millis(50));
                    return;
                }
            };
            let _ = stream.set_nonblocking(false);
            let Some(connected) = Connected::new(self, &stream) else {
                tracing::warn!("a client is turned away: {CLIENTS} are connected");
                turn_away(stream);
                continue;
            };
            let serve = move || clients::serve(&connected, stream);
            if let Err(why) = std::thread::Builder::new().name("pontoon-client".into()).spawn(serve) {
                tracing::warn!("serve a client: {why}");
            }
        }
    }

    /// Waits a moment for names that Docker has and we do not yet, before something is looked up by one or shown. Not with the state in hand.
    fn catch_up_with_names(&self) {
        if let Some(namer) = self.namer.get().and_then(Weak::upgrade) {
            namer.catch_up();
        }
    }

    /// Lets a client's request be carried out, unless the daemon ends: it does not end before the answer. The state is as it was
    /// when the request was let in: whatever ends the daemon comes before that, or after the first step of the request.
    fn begin(&self, request: &Request) -> Option<(Busy<'_>, MutexGuard<'_, State>)> {
        let comes_to_stay = match request {
            Request::Enter
            | Request::Stay
            | Request::Run(_)
            | Request::CreateNetwork(_)
            | Request::AddPort { .. }
            | Request::Cni(CniOrder::Add(_)) => true,
            Request::Hello
            | Request::Status
            | Request::Down
            | Request::Locate(_)
            | Request::Stop { .. }
            | Request::Kill { .. }
            | Request::Remove { .. }
            | Request::Containers { .. }
            | Request::Inspect(_)
            | Request::Log(_)
            | Request::Networks
            | Request::RemoveNetwork { .. }
            | Request::PruneNetworks
            | Request::InspectNetwork(_)
            | Request::Connect { .. }
            | Request::Disconnect { .. }
            | Request::RemovePort { .. }
            | Request::Statistics
            | Request::Bridges
            | Request::Stations
            | Request::Monitor
            | Request::Explain { .. }
            | Request::Capture(_)
            | Request::Cni(_) => false,
        };
        self.let_in(comes_to_stay)
    }

    /// The same for whatever is asked: whether something comes of it that stays.
    fn let_in(&self, comes_to_stay: bool) -> Option<(Busy<'_>, MutexGuard<'_, State>)> {
        let mut state = self.state();
        if state.ending || (state.closing && comes_to_stay) {
            return None;
        }
        state.busy += 1;
        Some((Busy(self), state))
    }

    /// Tells every client whose request is on its way that this daemon ends; from now on none can be sent.
    fn see_off(&self) {
        let state = self.state();
        for connection in state.connections.values() {
            let _ = connection.shutdown(std::net::Shutdown::Read);
        }
        let is_there = |state: &mut State| state.clients > 0 || state.listeners.count() > 0;
        let waited = self.changed.wait_timeout_while(state, FAREWELL, is_there);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The state, whatever a thread that panicked was doing with it: a daemon that goes on is worth more.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` holds of the state.
    fn wait_until(&self, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| !done(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn poke(&self) {
        let _ = self.wake.write(1);
    }

    fn now(&self) -> Now {
        now_since(self.started)
    }
}

/// A socket that becomes readable when the daemon is asked to end.
fn signals() -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    Ok(ours)
}

fn now_since(started: Instant) -> Now {
    let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Now { instant: switch::time::Instant::from_nanos(nanos), unix: unix_seconds() }
}

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Where chance begins: the kernel's.
fn seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut urandom| std::io::Read::read_exact(&mut urandom, &mut bytes))
        .map_err(io("read /dev/urandom"))?;
    Ok(u64::from_ne_bytes(bytes))
}
