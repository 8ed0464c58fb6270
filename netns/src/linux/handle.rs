//! [`Handle`]: the daemon's hold on one shim.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::failure::{Failure, Step};
use super::paths::Paths;
use super::protocol::{Reply, Request, SHIM};
use super::records::make_directory;
use super::wire::{Channel, WireError};
use crate::name::Id;

/// How long a shim may take for an answer, or for its end, before we do without.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long the making of namespaces and the start of a command may take on a busy machine.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(40);
/// The status of a command that went without a word.
pub(super) const KILLED: i32 = 128 + 9;

/// One shim, made by this daemon or by an earlier one.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) id: Id,
    pub(super) pid: u32,
    /// Until it was closed at the other end.
    pub(super) channel: Option<Channel>,
    pub(super) pidfd: OwnedFd,
    /// The container's init, once it runs.
    pub(super) init: Option<OwnedFd>,
    /// What has been said of its end.
    pub(super) ended: Option<i32>,
    /// If it is a child of ours.
    child: Option<Child>,
}

impl Handle {
    /// Starts a shim.
    pub(super) fn spawn(paths: &Paths, exe: &Path, id: &Id, log: &File) -> Result<Handle, Failure> {
        let directory = paths.container(id);
        make_directory(&directory).map_err(Step::CreateDirectory.on(directory.display()))?;
        let spawned = || -> io::Result<Handle> {
            let (channel, theirs) = Channel::pair()?;
            channel.set_timeouts(Some(LONG_PATIENCE), Some(PATIENCE))?;
            let mut command = Command::new(exe);
            command.arg0("pontoon").arg(SHIM).arg(id.as_str()).arg(&directory);
            let child = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(log.try_clone()?).spawn()?;
            let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
            let (id, pid) = (id.clone(), child.id());
            Ok(Handle { id, pid, channel: Some(channel), pidfd, init: None, ended: None, child: Some(child) })
        };
        spawned().map_err(Step::SpawnShim.on(id.short()))
    }

    /// Finds the shim of a container that an earlier daemon made. `None` if it listens no more, or never did.
    pub(super) fn connect(paths: &Paths, id: &Id) -> io::Result<Option<Handle>> {
        let socket = match UnixStream::connect(paths.socket(id)) {
            Ok(socket) => socket,
            Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(why) => return Err(why),
        };
        let pid = rustix::net::sockopt::socket_peercred(&socket)?.pid;
        let channel = Channel::new(socket);
        channel.set_timeouts(Some(PATIENCE), Some(PATIENCE))?;
        Handle::of(id, pid, Some(channel))
    }

    /// Finds the shim of a container that an earlier daemon began to make and that does not listen yet.
    pub(super) fn find_half_made(paths: &Paths, id: &Id) -> io::Result<Option<Handle>> {
        let directory = paths.container(id);
        let command_line =
            [&b"pontoon"[..], SHIM.as_bytes(), id.as_str().as_bytes(), directory.as_os_str().as_bytes(), b""].join(&0);
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)) else { continue };
            let is_it =
                || fs::read(Path::new("/proc").join(&name).join("cmdline")).is_ok_and(|line| line == command_line);
            if !is_it() {
                continue;
            }
            // Looked at again with the pidfd in hand: it may have been another process' number since.
            if let Some(handle) = Handle::of(id, pid, None)?.filter(|_| is_it()) {
                return Ok(Some(handle));
            }
        }
        Ok(None)
    }

    fn of(id: &Id, pid: Pid, channel: Option<Channel>) -> io::Result<Option<Handle>> {
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let pid = pid.as_raw_nonzero().get().unsigned_abs();
                Ok(Some(Handle { id: id.clone(), pid, channel, pidfd, init: None, ended: None, child: None }))
            }
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Sends a request and waits for what is said next, with the descriptors that come along.
    pub(super) fn ask(&mut self, request: &Request, fds: &[OwnedFd]) -> Result<(Reply, Vec<OwnedFd>), WireError> {
        let channel = self.channel.as_mut().ok_or(WireError::Closed)?;
        channel.send(request, &fds.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
        let (reply, fds) = channel.recv::<Reply>()?;
        Ok((reply, fds))
    }

    /// Sends a request that is not answered.
    pub(super) fn tell(&mut self, request: &Request) -> Result<(), WireError> {
        self.channel.as_mut().ok_or(WireError::Closed)?.send(request, &[])
    }

    /// Takes in what the shim has said meanwhile. Whether the channel is still open.
    pub(super) fn hear(&mut self) -> bool {
        while let Some(channel) = &mut self.channel {
            match channel.try_recv::<Reply>() {
                Ok(Some((Reply::Ended { status }, _))) => self.ended = Some(status),
                Ok(Some(_)) | Err(WireError::NotJson(_)) => {}
                Ok(None) => return true,
                Err(_) => self.channel = None,
            }
        }
        false
    }

    /// Ends the shim and the container, and waits until both are gone.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let asked = self.tell(&Request::Kill).is_ok();
        if !asked || !is_over_within(&self.pidfd, PATIENCE)? {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
            if !is_over_within(&self.pidfd, PATIENCE)? {
                return Err(io::Error::other("the shim does not end"));
            }
        }
        // It ends with its shim, but a moment later.
        if let Some(init) = &self.init
            && !is_over_within(init, PATIENCE)?
        {
            return Err(io::Error::other("a process does not end"));
        }
        self.hear();
        self.reap();
        Ok(())
    }

    /// Whether the shim, and all that ran in the container, is gone.
    pub(super) fn is_over(&self) -> bool {
        let over = |pidfd: &OwnedFd| is_over_within(pidfd, Duration::ZERO).unwrap_or(true);
        over(&self.pidfd) && self.init.as_ref().is_none_or(over)
    }

    /// Takes the exit status of a shim that is gone, so that no zombie stays.
    pub(super) fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// Whether the process of this pidfd ends in time.
pub(super) fn is_over_within(pidfd: &OwnedFd, patience: Duration) -> io::Result<bool> {
    let patience = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: 0 };
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&patience)))?;
    Ok(ready > 0)
}

/// The exit status that a shim left.
pub(super) fn status_left(paths: &Paths, id: &Id) -> Option<i32> {
    fs::read_to_string(paths.status(id)).ok()?.trim().parse().ok()
}
