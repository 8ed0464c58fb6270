//! Captures: what the data plane does, written to a descriptor of the client's.
//!
//! Three threads have to do with one: the data plane's fills chunks of memory ([`Recorder`]), one of its own makes pcapng of them
//! and writes it, and that of the client waits for the end. None of them waits for another but for the last: a file that takes
//! nothing costs the capture its frames, and nobody else anything.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use capture::filter::Filter;
use capture::recorder::{Decoder, Drain, End, Recorder, Ring, Selection, Tube, tube};
use capture::recording::{Entry, Scope, Start, Writer};
use control::{Answer, CaptureOrder, Captured, Capturing};
use crossbeam_channel::{Receiver, bounded};
use netns::linux::wire::Channel;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};
use switch::dataplane::BridgeStart;
use switch::engine::{EngineError, Watcher, WatcherId};
use switch::time::Instant as Moment;
use switch::verdict::PortId;

use super::serve::{Plane, ask_engine, value};
use super::state::State;
use super::{Daemon, FAREWELL};
use crate::failure::{Failure, cause_of, io};

/// How many captures there may be at once.
const CAPTURES: usize = 8;
/// How many chunks of a quarter of a megabyte a capture has between the data plane and the file.
const CHUNKS: usize = 64;
/// How much memory the flight recorder has, in bytes.
const MEMORY: usize = 64 << 20;
/// How many bytes of a frame the flight recorder keeps.
const SNAPLEN: u32 = 256;
/// What one write to a pipe may have so that it does not wait, if the pipe said that it has room (POSIX' PIPE_BUF, on Linux).
const AT_ONCE: usize = 4096;

/// The flight recorder of a daemon.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlightRecorder {
    watcher: WatcherId,
    keep: Duration,
}

impl FlightRecorder {
    /// Begins to keep what happens.
    ///
    /// # Errors
    /// If the data plane has stopped.
    pub(super) fn start(state: &State, keep: Duration) -> Result<Self, EngineError> {
        let engine = state.engine.as_ref().ok_or(EngineError::Stopped)?;
        let watcher = engine.watch(move |start, now| {
            let selection = Selection { snaplen: SNAPLEN, ..Selection::default() };
            Box::new(Recorder::new(selection, Ring::new(keep, MEMORY), start, now))
        })?;
        Ok(FlightRecorder { watcher, keep })
    }

    /// What the status tells of it.
    pub(super) fn status(self, state: &State) -> Option<control::FlightRecorder> {
        let visited = state.engine.as_ref()?.visit(self.watcher, |watcher, now| {
            let ring = recorder_of::<Ring>(watcher)?.ring();
            Some((now.since(ring.reaches_back_to()?), ring.memory()))
        });
        let (reaches_back, memory) = visited.ok().flatten().flatten()?;
        Some(control::FlightRecorder {
            seconds: self.keep.as_secs(),
            reaches_back: reaches_back.as_secs(),
            memory,
            memory_limit: MEMORY,
        })
    }
}

fn recorder_of<S: 'static>(watcher: &mut dyn Watcher) -> Option<&mut Recorder<S>> {
    (watcher as &mut dyn std::any::Any).downcast_mut()
}

/// Captures until the client has enough, or there is a reason to end; the answer is what there is to be said then.
pub(super) fn capture(
    daemon: &Daemon,
    order: CaptureOrder,
    fds: Vec<OwnedFd>,
    channel: &mut Channel,
) -> Result<Answer, Failure> {
    let Ok([file]) = <[OwnedFd; 1]>::try_from(fds) else {
        return Err(Failure::new("a capture needs one descriptor to write to"));
    };
    let stop = Arc::new(Stop::new()?);
    let outlet = Outlet::new(file, Arc::clone(&stop)).map_err(io("look at the file to write to"))?;
    let (selection, scope) = select(daemon, &order)?;
    if order.last {
        return last(daemon, &selection, scope, outlet);
    }
    let _place = Place::take(daemon)?;
    let (tube, drain) = tube(CHUNKS);
    let (told, start) = bounded(1);
    let watcher = {
        let state = daemon.state();
        let engine = state.engine.as_ref().ok_or(EngineError::Stopped);
        let snaplen = selection.snaplen;
        let watched = engine.and_then(|engine| {
            engine.watch(move |bridges, now| {
                let _ = told.send(start_of(bridges, now, snaplen, scope));
                Box::new(Recorder::new(selection, tube, Vec::new(), now))
            })
        });
        watched.map_err(|why| Failure::new(format_args!("watch the data plane: {why}")))?
    };
    let start = start.recv().map_err(|_| Failure::new("the data plane has stopped"))?;
    let ports = names_of(&start);
    let (last_words, end) = bounded(1);
    let unwatch = || daemon.state().engine.as_ref().and_then(|engine| engine.unwatch(watcher).ok().flatten());
    let writing = Writing::begin(start, drain, outlet, end).inspect_err(|_| drop(unwatch()))?;
    let told = channel.send(&Answer::Done(value(Capturing { ports })?), &[]);
    if told.is_ok() {
        wait(channel, &writing);
    }
    let recorder = unwatch().and_then(|it| (it as Box<dyn std::any::Any>).downcast::<Recorder<Tube>>().ok());
    let end = recorder.map(|recorder| recorder.finish()).unwrap_or_default();
    let lost = end.tally.lost;
    let _ = last_words.send(end);
    let (frames, error) = writing.end(&stop);
    Ok(Answer::Done(value(Captured { frames, lost, reaches_back: None, error })?))
}

/// What the client wants, as it is asked for at the data plane.
fn select(daemon: &Daemon, order: &CaptureOrder) -> Result<(Selection, Scope), Failure> {
    let filter = order.filter.as_deref().map(Filter::parse).transpose();
    let filter = filter.map_err(|why| Failure::new(format_args!("the filter: {why}")).with_status(2))?;
    let ports = if order.ports.is_empty() { None } else { Some(resolve(&daemon.state(), &order.ports)?) };
    let mut what: Vec<String> = order.ports.clone();
    what.extend(order.drops.then(|| "drops only".to_owned()));
    what.extend(order.filter.clone());
    let scope = if what.is_empty() {
        Scope::Everything
    } else {
        let ports = ports.iter().flatten().copied().collect();
        Scope::Part { ports, drops: order.drops, what: what.join(", ") }
    };
    let selection = Selection { ports, filter, drops: order.drops, snaplen: order.snaplen, count: order.count };
    Ok((selection, scope))
}

/// The numbers of ports, by their names.
fn resolve(state: &State, names: &[String]) -> Result<Vec<PortId>, Failure> {
    let known = ask_engine(state, |dataplane: &Plane, _| {
        let switches = dataplane.bridges().filter_map(|bridge| dataplane.switch(bridge));
        let ports =
            switches.flat_map(|switch| switch.ports().filter_map(|port| Some((switch.port(port)?.name.clone(), port))));
        ports.collect::<Vec<_>>()
    })?;
    let number = |name: &String| {
        let known = known.iter().find(|(known, _)| known == name).map(|(_, port)| *port);
        known.ok_or_else(|| {
            Failure::new(format_args!("no such port: {name}")).with_hint("`pontoon show` lists bridges and ports")
        })
    };
    names.iter().map(number).collect()
}

/// The moment at which a data plane's clock, which is the machine's monotonic one, was at its origin. Asked once for each
/// capture: what is done to the wall clock meanwhile tears no capture apart.
fn origin() -> u64 {
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.saturating_sub(monotonic).as_nanos()).unwrap_or(u64::MAX)
}

fn start_of(bridges: Vec<BridgeStart>, at: Moment, snaplen: u32, scope: Scope) -> Start {
    let system = rustix::system::uname();
    let os = format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy());
    let application = format!("pontoon {}", env!("CARGO_PKG_VERSION"));
    let hardware = system.machine().to_string_lossy().into_owned();
    Start { application, os, hardware, at, origin: origin(), snaplen, scope, bridges }
}

/// The ports that are captured, by their names.
fn names_of(start: &Start) -> Vec<String> {
    let all = start.bridges.iter().flat_map(|bridge| &bridge.switch.ports);
    let shown = all.filter(|(port, _)| match &start.scope {
        Scope::Everything => true,
        Scope::Part { ports, .. } => ports.is_empty() || ports.contains(port),
    });
    shown.map(|(_, config)| config.name.clone()).collect()
}

/// Waits until the client has enough or is gone, or nothing more is written.
fn wait(channel: &Channel, writing: &Writing) {
    loop {
        let mut ready =
            [PollFd::new(channel.as_fd(), PollFlags::POLLIN), PollFd::new(writing.over.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(nix::Error::EINTR) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// One of the places for captures.
struct Place<'a>(&'a Daemon);

impl<'a> Place<'a> {
    fn take(daemon: &'a Daemon) -> Result<Self, Failure> {
        let mut state = daemon.state();
        if state.captures >= CAPTURES {
            return Err(Failure::new(format_args!("{CAPTURES} captures are under way, more may not be"))
                .with_hint("try again when one has ended"));
        }
        state.captures += 1;
        Ok(Place(daemon))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().captures -= 1;
    }
}

/// Writes what the flight recorder has.
fn last(daemon: &Daemon, selection: &Selection, scope: Scope, outlet: Outlet) -> Result<Answer, Failure> {
    let saved = {
        let state = daemon.state();
        let recorder = state.flight_recorder.ok_or_else(|| {
            Failure::new("there is no flight recorder: nothing of what has happened was kept")
                .with_hint("`pontoon up --flight-recorder SECONDS` starts a daemon with one")
        })?;
        let engine = state.engine.as_ref().ok_or(EngineError::Stopped);
        let saved = engine.and_then(|engine| {
            engine.visit(recorder.watcher, |watcher, now| Some((recorder_of::<Ring>(watcher)?.sink().save(), now)))
        });
        saved.map_err(|why| Failure::new(format_args!("ask the flight recorder: {why}")))?.flatten()
    };
    let Some((saved, now)) = saved else { return Err(Failure::new("the flight recorder has gone")) };
    let (bridges, at) = saved.start().map_or((Vec::new(), now), |(bridges, at)| (bridges.to_vec(), at));
    let snaplen = if selection.snaplen == 0 { SNAPLEN } else { selection.snaplen.min(SNAPLEN) };
    let start = start_of(bridges, at, snaplen, scope);
    let mut written = Written::new(start, outlet);
    let mut left = selection.count.unwrap_or(u64::MAX);
    let done = saved.chunks().try_for_each(|chunk| {
        written.chunk(chunk, |entry| match entry {
            Entry::Frame(frame) => {
                let is_wanted = left > 0 && selection.keeps(frame);
                left -= u64::from(is_wanted);
                is_wanted
            }
            _ => true,
        })
    });
    let (frames, error) = told(done.map(|()| written).and_then(|written| written.finish(now)));
    let reaches_back = Some(u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX));
    Ok(Answer::Done(value(Captured { frames, lost: 0, reaches_back, error })?))
}

/// What the client is told of a file: how many frames are in it, and why no more. A reader that has gone is no failure.
fn told(written: Result<u64, Failed>) -> (u64, Option<String>) {
    match written {
        Ok(frames) => (frames, None),
        Err(Failed { frames, why }) if why.kind() == io::ErrorKind::BrokenPipe => (frames, None),
        Err(Failed { frames, why }) => (frames, Some(cause_of(&why))),
    }
}

/// A file could not be written to its end.
struct Failed {
    frames: u64,
    why: io::Error,
}

/// A pcapng file that grows.
struct Written {
    start: Option<Start>,
    outlet: Option<BufWriter<Outlet>>,
    writer: Option<Writer<BufWriter<Outlet>>>,
    decoder: Decoder,
    frames: u64,
}

impl Written {
    fn new(start: Start, outlet: Outlet) -> Self {
        let outlet = Some(BufWriter::with_capacity(1 << 16, outlet));
        Written { start: Some(start), outlet, writer: None, decoder: Decoder::new(), frames: 0 }
    }

    /// The writer; the file's head is written when it is first asked for.
    fn writer(&mut self) -> io::Result<&mut Writer<BufWriter<Outlet>>> {
        if let (Some(start), Some(outlet)) = (self.start.take(), self.outlet.take()) {
            self.writer = Some(Writer::new(outlet, &start)?);
        }
        self.writer.as_mut().ok_or_else(|| io::Error::other("the file could not be begun"))
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Failed> {
        let is_frame = matches!(entry, Entry::Frame(_));
        let done = self.writer().and_then(|writer| writer.entry(entry));
        self.frames += u64::from(is_frame && done.is_ok());
        done.map_err(|why| Failed { frames: self.frames, why })
    }

    fn chunk(&mut self, mut chunk: &[u8], mut keeps: impl FnMut(&Entry) -> bool) -> Result<(), Failed> {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut done = Ok(());
        while let Some(entry) = decoder.next(&mut chunk).filter(|_| done.is_ok()) {
            if keeps(entry) {
                done = self.entry(entry);
            }
        }
        self.decoder = decoder;
        done
    }

    fn flush(&mut self) -> Result<(), Failed> {
        let done = self.writer().and_then(Writer::flush);
        done.map_err(|why| Failed { frames: self.frames, why })
    }

    fn finish(mut self, at: Moment) -> Result<u64, Failed> {
        let frames = self.frames;
        let begun = self.writer().map(drop);
        let finished = begun.and_then(|()| self.writer.take().map_or(Ok(()), |writer| writer.finish(at).map(drop)));
        finished.map(|()| frames).map_err(|why| Failed { frames, why })
    }
}

/// The thread that writes.
struct Writing {
    thread: JoinHandle<Result<u64, Failed>>,
    /// Ready when nothing more is written.
    over: Arc<EventFd>,
}

impl Writing {
    fn begin(start: Start, drain: Drain, outlet: Outlet, end: Receiver<End>) -> Result<Self, Failure> {
        let over = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let over = Arc::new(over.map_err(|why| Failure::new(format_args!("make an eventfd: {why}")))?);
        let tells = Tells(Arc::clone(&over));
        let run = move || {
            let mut written = Written::new(start, outlet);
            let drained = written.flush().and_then(|()| drain_into(&drain, &mut written));
            // (Gone before the last words are waited for: what comes now is nobody's.)
            drop(drain);
            drop(tells);
            drained?;
            let end = end.recv().unwrap_or_default();
            if let Some(gap) = &end.gap {
                written.entry(gap)?;
            }
            written.finish(end.at)
        };
        let thread = std::thread::Builder::new().name("pontoon-capture".to_owned()).spawn(run);
        Ok(Writing { thread: thread.map_err(io("start a thread"))?, over })
    }

    /// Waits for what is still to be written, but not for long if nobody reads it.
    fn end(self, stop: &Stop) -> (u64, Option<String>) {
        stop.soon();
        match self.thread.join() {
            Ok(written) => told(written),
            Err(_) => (0, Some("the thread that wrote it has panicked: this is a bug in pontoon".to_owned())),
        }
    }
}

fn drain_into(drain: &Drain, written: &mut Written) -> Result<(), Failed> {
    while let Ok(chunk) = drain.chunks().recv() {
        let done = written.chunk(&chunk, |_| true);
        drain.give_back(chunk);
        done?;
        if drain.chunks().is_empty() {
            written.flush()?;
        }
    }
    Ok(())
}

/// Tells that the thread does not write any more, whether it returns or panics.
struct Tells(Arc<EventFd>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.0.write(1);
    }
}

/// Tells a writer that waits for a reader not to do so for ever.
struct Stop {
    is_soon: AtomicBool,
    wake: EventFd,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let wake = wake.map_err(|why| Failure::new(format_args!("make an eventfd: {why}")))?;
        Ok(Stop { is_soon: AtomicBool::new(false), wake })
    }

    fn soon(&self) {
        self.is_soon.store(true, Ordering::Release);
        let _ = self.wake.write(1);
    }
}

/// The client's file, pipe or terminal. It is never made non-blocking, which others who have it would feel: who can make us
/// wait is asked before whether he would.
struct Outlet {
    file: File,
    /// A file on a disk takes what it is given, or says why not.
    is_regular: bool,
    stop: Arc<Stop>,
    /// Until when the reader of a pipe may take its time, once the capture has ended.
    until: Option<Instant>,
}

impl Outlet {
    fn new(file: OwnedFd, stop: Arc<Stop>) -> io::Result<Self> {
        let file = File::from(file);
        let is_regular = file.metadata()?.is_file();
        Ok(Outlet { file, is_regular, stop, until: None })
    }

    /// Waits until the file takes something.
    fn wait(&mut self) -> io::Result<()> {
        loop {
            if self.until.is_none() && self.stop.is_soon.load(Ordering::Acquire) {
                self.until = Some(Instant::now() + FAREWELL / 2);
            }
            let timeout = match self.until {
                None => PollTimeout::NONE,
                Some(until) => {
                    PollTimeout::try_from(until.saturating_duration_since(Instant::now())).unwrap_or(PollTimeout::ZERO)
                }
            };
            let mut ready = vec![PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
            if self.until.is_none() {
                ready.push(PollFd::new(self.stop.wake.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut ready, timeout) {
                Err(nix::Error::EINTR) => {}
                Err(why) => return Err(why.into()),
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not read")),
                Ok(_) if ready[0].any() == Some(true) => return Ok(()),
                Ok(_) => {}
            }
        }
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_regular {
            return self.file.write(bytes);
        }
        self.wait()?;
        self.file.write(&bytes[..bytes.len().min(AT_ONCE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
