//! The trampoline: a process of ours that enters a container, takes its terminal, and then becomes the command.
//!
//! It serves `exec`, and commands with a terminal: only a session leader can take one, so what takes it must be what runs.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sched::{CloneFlags, setns};

use super::privilege::Feature;
use super::process::{NotStarted, Process};
use super::program;
use super::protocol::{EXEC, Leap};
use super::text::OsText;
use super::wire::Channel;

/// What the hidden command `__exec` does.
pub(super) fn main() -> ExitCode {
    let Ok(mut channel) = channel_on_stdin() else { return ExitCode::FAILURE };
    let why = match channel.recv() {
        Ok((leap, fds)) => match leap_into(leap, fds) {
            Err(why) => why,
        },
        Err(why) => NotStarted::other("ask", "the shim", why),
    };
    let _ = channel.send(&why, &[]);
    ExitCode::FAILURE
}

/// Starts a trampoline. The channel gives [`NotStarted`], or is closed when the command runs.
pub(super) fn spawn(
    process: Process,
    streams: &[OwnedFd],
    mounts_of: Option<&OwnedFd>,
) -> io::Result<(Child, Channel)> {
    let (mut ours, theirs) = Channel::pair()?;
    let child = ourselves(EXEC).stdin(OwnedFd::from(theirs)).spawn()?;
    let fds: Vec<_> = streams.iter().chain(mounts_of).map(AsFd::as_fd).collect();
    ours.send(&Leap { process, enter: mounts_of.is_some() }, &fds).map_err(io::Error::other)?;
    Ok((child, ours))
}

/// This program again, in another role.
pub(super) fn ourselves(role: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut command, "pontoon");
    command.arg(role).stdout(Stdio::null());
    command
}

/// The channel that a process of ours is started with.
pub(super) fn channel_on_stdin() -> io::Result<Channel> {
    Ok(Channel::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// What every process of a container has, whoever started the daemon.
pub(super) fn become_neutral(cwd: &OsText) -> Result<(), NotStarted> {
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let to = if cwd.as_ref().is_empty() { Path::new("/") } else { cwd.as_path() };
    std::env::set_current_dir(to)
        .map_err(|why| NotStarted::other("change to the directory", cwd, super::process::cause_of(&why)))
}

fn leap_into(mut leap: Leap, fds: Vec<OwnedFd>) -> Result<Infallible, NotStarted> {
    let mut fds = fds.into_iter();
    let (Some(stdin), Some(stdout), Some(stderr)) = (fds.next(), fds.next(), fds.next()) else {
        return Err(NotStarted::other("take", "the streams", "they did not come"));
    };
    if leap.enter {
        let init = fds.next().ok_or_else(|| NotStarted::other("enter", "the container", "its init did not come"))?;
        setns(init, CloneFlags::CLONE_NEWNS).map_err(|why| {
            let failed = NotStarted::other("enter", "the container", why.desc());
            if why == nix::Error::EPERM { failed.for_want_of(Feature::EnterMounts) } else { failed }
        })?;
    }
    become_neutral(&leap.process.cwd)?;
    leap.process.name_host();
    let file = program::find(&leap.process)?;
    take_streams(&stdin, &stdout, &stderr, leap.process.tty)
        .map_err(|why| NotStarted::other("take", if leap.process.tty { "the terminal" } else { "the streams" }, why))?;
    Err(execute(&file, &leap.process))
}

fn take_streams(stdin: &OwnedFd, stdout: &OwnedFd, stderr: &OwnedFd, tty: bool) -> io::Result<()> {
    // Its own session, hence its own process group, away from ours; a terminal's foreground group at once.
    rustix::process::setsid()?;
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    if tty {
        rustix::process::ioctl_tiocsctty(stdin)?;
    }
    // Rust ignores SIGPIPE, and what is ignored stays so across exec. What is caught does not.
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Not by way of [`Command`]: its exec gives a file without an interpreter to the shell.
fn execute(file: &Path, process: &Process) -> NotStarted {
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let executed = || -> io::Result<Infallible> {
        let file = c_string(file.as_os_str().as_bytes())?;
        let argv: Vec<CString> =
            process.argv.iter().map(|each| c_string(each.as_ref().as_bytes())).collect::<io::Result<_>>()?;
        let variable = |(key, value): &(OsText, OsText)| {
            c_string(&[key.as_ref().as_bytes(), b"=", value.as_ref().as_bytes()].concat())
        };
        let env: Vec<CString> = process.env.iter().map(variable).collect::<io::Result<_>>()?;
        Ok(nix::unistd::execve(&file, &argv, &env)?)
    };
    let Err(why) = executed();
    NotStarted::from_exec(process.argv.first().unwrap_or(&OsText::default()), &why)
}
