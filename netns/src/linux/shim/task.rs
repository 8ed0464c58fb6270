//! [`Task`]: a process that the shim has started: the container's init, or a command from outside.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::linux::exec;
use crate::linux::privilege::{self, Feature};
use crate::linux::process::{NotStarted, Process, cause_of};
use crate::linux::protocol::{Event, INIT, InitOrder, InitReport, Order};
use crate::linux::signal::signal_of;
use crate::linux::wire::{Channel, WireError};

/// How long init may take to mount what it mounts and to start the command.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process, and who is to hear of it.
pub(super) struct Task {
    child: Child,
    pub(super) pidfd: OwnedFd,
    /// Whom a signal is for: the command. It is the process itself, but for init.
    command: OwnedFd,
    /// Open as long as the trampoline has not become the command.
    pub(super) launch: Option<Channel>,
    pub(super) attached: Option<Channel>,
    /// What init hears of `/etc` by. Held so that it is not the end of init that closes it, which would take long: see
    /// [`crate::linux::etc::Etc::inotify`].
    _inotify: Option<OwnedFd>,
}

impl Task {
    /// Makes the PID namespace, and in it init, which starts the command.
    pub(super) fn init(order: InitOrder, streams: &[OwnedFd]) -> Result<Task, NotStarted> {
        let (child, pidfd, command, inotify) = start_init(&order, streams)?;
        Ok(Task { child, pidfd, command, launch: None, attached: None, _inotify: inotify })
    }

    /// Starts a trampoline into the container of this init.
    pub(super) fn exec(process: Process, streams: &[OwnedFd], init: &OwnedFd) -> Result<Task, NotStarted> {
        let started = || -> io::Result<Task> {
            let (child, launch) = exec::spawn(process, streams, Some(init))?;
            let pidfd = pidfd_of(&child)?;
            let command = pidfd.try_clone()?;
            Ok(Task { child, pidfd, command, launch: Some(launch), attached: None, _inotify: None })
        };
        started().map_err(|why| NotStarted::other("start", "the trampoline", cause_of(&why)))
    }

    /// The trampoline failed, or is the command now.
    pub(super) fn hear_launch(&mut self) {
        let Some(launch) = &mut self.launch else { return };
        match launch.try_recv::<NotStarted>() {
            Ok(None) => return,
            Ok(Some((why, _))) => {
                self.tell(&Event::NotStarted { why });
                // It has no status of its own to tell.
                self.attached = None;
            }
            Err(_) => self.tell(&Event::Started),
        }
        self.launch = None;
    }

    /// Whoever is attached sends signals, or goes away, which the command is not to notice.
    pub(super) fn hear_attached(&mut self) {
        while let Some(attached) = &mut self.attached {
            match attached.try_recv::<Order>() {
                Ok(Some((Order::Signal { signal }, _))) => self.signal(signal),
                Ok(None) => return,
                Err(WireError::NotJson(_)) => {}
                Err(_) => self.attached = None,
            }
        }
    }

    /// Sends a signal to the command: to the process alone, as Docker does. One that has ended does not mind.
    pub(super) fn signal(&self, signal: i32) {
        let Some(signal) = signal_of(signal) else { return };
        if let Err(rustix::io::Errno::PERM) = rustix::process::pidfd_send_signal(&self.command, signal) {
            // Nobody waits for an answer, so this is for the shims' log.
            let lacking = privilege::missing(Feature::Signals).map(|name| format!(": {name} is missing"));
            let lacking = lacking.unwrap_or_default();
            let _ = writeln!(io::stderr(), "pontoon: send {signal:?} to a command: Operation not permitted{lacking}");
        }
    }

    /// The command, as the host numbers processes; `None` once it has ended.
    pub(super) fn command_pid(&self) -> Option<u32> {
        let info = format!("/proc/self/fdinfo/{}", self.command.as_raw_fd());
        let text = std::fs::read_to_string(info).ok()?;
        text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
    }

    /// Ends the process itself.
    pub(super) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Takes the exit status of a process that has ended, or is about to: 128+N if signal N ended it.
    pub(super) fn wait(&mut self) -> i32 {
        // It may have ended before it was looked at.
        self.hear_launch();
        match self.child.wait() {
            Ok(status) => {
                status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(u8::MAX.into())
            }
            Err(_) => u8::MAX.into(),
        }
    }

    /// Tells whoever is attached.
    pub(super) fn tell(&mut self, event: &Event) {
        if let Some(attached) = &mut self.attached
            && (attached.set_timeouts(None, Some(super::PATIENCE)).is_err() || attached.send(event, &[]).is_err())
        {
            self.attached = None;
        }
    }
}

/// The child, pidfds of it and of the command, and what it hears of `/etc` by.
type Begun = (Child, OwnedFd, OwnedFd, Option<OwnedFd>);

fn start_init(order: &InitOrder, streams: &[OwnedFd]) -> Result<Begun, NotStarted> {
    let failed = |operation: &'static str| {
        move |why: io::Error| NotStarted::other(operation, "the container's init", cause_of(&why))
    };
    unshare(CloneFlags::CLONE_NEWPID).map_err(|why| NotStarted::other("make", "a PID namespace", why.desc()))?;
    let (mut ours, theirs) = Channel::pair().map_err(failed("speak to"))?;
    ours.set_timeouts(Some(PATIENCE), Some(PATIENCE)).map_err(failed("speak to"))?;
    let mut child = exec::ourselves(INIT).stdin(OwnedFd::from(theirs)).spawn().map_err(failed("start"))?;
    let pidfd = pidfd_of(&child).map_err(failed("watch"))?;
    let fds: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
    let report = ours
        .send(order, &fds)
        .and_then(|()| ours.recv::<InitReport>())
        .map_err(|why| NotStarted::other("ask", "the container's init", why));
    let why = match report {
        Ok((InitReport::Started, fds)) => match take_two(fds) {
            (Some(command), inotify) => return Ok((child, pidfd, command, inotify)),
            (None, _) => NotStarted::other("ask", "the container's init", "a descriptor is missing"),
        },
        Ok((InitReport::NotStarted { why }, _)) | Err(why) => why,
    };
    let _ = child.kill();
    let _ = child.wait();
    Err(why)
}

fn take_two(fds: Vec<OwnedFd>) -> (Option<OwnedFd>, Option<OwnedFd>) {
    let mut fds = fds.into_iter();
    (fds.next(), fds.next())
}

fn pidfd_of(child: &Child) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}
