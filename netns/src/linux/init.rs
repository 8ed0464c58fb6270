//! PID 1 of a container: starts the command, reaps whatever its processes leave behind, and ends with the command's status.
//! When it ends, for whatever reason, the kernel ends every process of the container.
//!
//! It has a second thread if the container has files of its own in `/etc`: [`Etc::keep`], which sees to it that they stay.
//! The two share nothing.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::etc::Etc;
use super::exec::{become_neutral, channel_on_stdin, spawn as spawn_trampoline};
use super::mounts;
use super::privilege::{Role, hold_only};
use super::process::{NotStarted, Process, cause_of};
use super::program;
use super::protocol::{InitOrder, InitReport};
use super::wire::{Channel, WireError};

/// What the hidden command `__init` does.
pub(super) fn main() -> ExitCode {
    // Without its shim a container has no right to live. If the shim is gone already, the report below fails.
    let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let Ok(mut channel) = channel_on_stdin() else { return ExitCode::FAILURE };
    match bound.map_err(|why| WireError::Io(why.into())).and_then(|()| begin(&mut channel)) {
        Ok(Some(command)) => ExitCode::from(reap_until(command)),
        Ok(None) | Err(_) => ExitCode::FAILURE,
    }
}

/// Starts the command and reports how that went. Its pid, if it runs.
fn begin(channel: &mut Channel) -> Result<Option<Pid>, WireError> {
    let (mut order, streams) = channel.recv::<InitOrder>()?;
    order.process.name_host();
    let started = prepare(&order).and_then(|etc| Ok((start(order.process, streams)?, etc)));
    // From now on it waits, whatever becomes of the command. Not before: it found the command with the command's own powers.
    let let_go = |why: io::Error| NotStarted::other("let go of", "the capabilities of init", cause_of(&why));
    let watched = started.and_then(|(command, etc)| {
        hold_only(Role::Init).map_err(let_go)?;
        let inotify = etc.as_ref().and_then(Etc::inotify);
        etc.map_or(Ok(()), Etc::keep)?;
        Ok((command, [Some(pidfd(command)?), inotify]))
    });
    match watched {
        Ok((command, fds)) => {
            let fds: Vec<_> = fds.iter().flatten().map(AsFd::as_fd).collect();
            channel.send(&InitReport::Started, &fds).map(|()| Some(command))
        }
        Err(why) => channel.send(&InitReport::NotStarted { why }, &[]).map(|()| None),
    }
}

/// Makes the mounts that the container sees. Its own files, if it has any, are to be kept.
fn prepare(order: &InitOrder) -> Result<Option<Etc>, NotStarted> {
    let failed = |what: &'static str| move |why: io::Error| NotStarted::other("mount", what, cause_of(&why));
    let _ = rustix::process::setsid();
    mounts::isolate().map_err(failed("a private tree"))?;
    mounts::renew("proc", "/proc").map_err(failed("/proc"))?;
    if order.own_sysfs {
        mounts::renew("sysfs", "/sys").map_err(failed("/sys"))?;
    }
    let etc = order.etc.as_ref().map(|directory| Etc::lay(directory.as_path())).transpose()?;
    become_neutral(&order.process.cwd)?;
    Ok(etc)
}

fn start(process: Process, streams: Vec<OwnedFd>) -> Result<Pid, NotStarted> {
    let child = if process.tty { start_on_terminal(process, &streams)? } else { start_plainly(&process, streams)? };
    Ok(child)
}

fn start_plainly(process: &Process, streams: Vec<OwnedFd>) -> Result<Pid, NotStarted> {
    let file = program::find(process)?;
    let [stdin, stdout, stderr] =
        <[OwnedFd; 3]>::try_from(streams).map_err(|_| NotStarted::other("take", "the streams", "they did not come"))?;
    // The path has a slash, so that this is posix_spawn: no search of its own, no shell for what is not executable.
    let mut command = Command::new(if file.is_absolute() { file } else { std::path::Path::new(".").join(file) });
    command.args(process.argv.iter().skip(1)).env_clear().envs(process.env.iter().map(|(key, value)| (key, value)));
    command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    let name = &process.argv[0];
    command.arg0(name);
    let child = command.spawn().map_err(|why| NotStarted::from_exec(name, &why))?;
    Ok(Pid::from_child(&child))
}

fn start_on_terminal(process: Process, streams: &[OwnedFd]) -> Result<Pid, NotStarted> {
    let failed = |why: io::Error| NotStarted::other("start", "the trampoline", cause_of(&why));
    let (child, mut channel) = spawn_trampoline(process, streams, None).map_err(failed)?;
    match channel.recv::<NotStarted>() {
        Ok((why, _)) => Err(why),
        Err(WireError::Closed) => Ok(Pid::from_child(&child)),
        Err(why) => Err(NotStarted::other("start", "the trampoline", why)),
    }
}

fn pidfd(command: Pid) -> Result<OwnedFd, NotStarted> {
    // It has not been waited for, so even if it has ended this is no other process.
    rustix::process::pidfd_open(command, PidfdFlags::empty())
        .map_err(|why| NotStarted::other("watch", "the command", why))
}

/// Takes the exit status of every orphan, until it is the command's: 128+N if signal N ended it.
fn reap_until(command: Pid) -> u8 {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => {
                let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                return code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // No child is left, the command among them: it was reaped by someone else, which can not be.
            Err(_) => return u8::MAX,
        }
    }
}
