//! [`Handle`]: the daemon's hold on one shim.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal};

use super::failure::{Failure, Step};
use super::guest;
use super::paths::Paths;
use super::protocol::{Reply, Request, SHIM};
use super::spawn::Spawner;
use super::wire::{Channel, WireError};
use crate::name::Id;

/// How long a shim may take for an answer, or for its end, before we do without.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long the shim of an earlier daemon may take to answer this one, which waits: it is asked again later.
const ATTACH_PATIENCE: Duration = Duration::from_secs(2);
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
    /// Answers that were not waited for any longer, and may still come.
    overdue: usize,
    pub(super) pidfd: OwnedFd,
    /// The container's init, once it runs.
    pub(super) init: Option<OwnedFd>,
    /// Its command, as the host numbers processes, once it runs.
    pub(super) command: Option<u32>,
    /// If it is a guest's keeper: what the interface is called in its record, and a descriptor of it.
    pub(super) guest: Option<(String, OwnedFd)>,
    /// What has been said of its end.
    pub(super) ended: Option<i32>,
    /// If it is a child of ours.
    child: Option<Child>,
}

impl Handle {
    /// Starts a shim, which may open so many `files`, and its container with it.
    pub(super) fn spawn(
        spawner: &mut Spawner,
        paths: &Paths,
        exe: &Path,
        id: &Id,
        log: &File,
        files: &Rlimit,
    ) -> Result<Handle, Failure> {
        let directory = paths.container(id);
        let mut spawned = || -> io::Result<Handle> {
            let (channel, theirs) = Channel::pair()?;
            channel.set_timeouts(Some(LONG_PATIENCE), Some(PATIENCE))?;
            let arguments = [SHIM.as_ref(), id.as_str().as_ref(), directory.as_os_str()];
            let mut child = spawner.spawn(exe, &arguments, &theirs.into(), log)?;
            let shim = Pid::from_child(&child);
            let begun = || -> io::Result<OwnedFd> {
                rustix::process::prlimit(Some(shim), Resource::Nofile, *files)?;
                // Before it is asked for anything: a shim that is not written down holds nothing, and ends with its creator.
                fs::write(paths.birth(id), format!("{} {}", child.id(), born_at(shim)?))?;
                Ok(rustix::process::pidfd_open(shim, PidfdFlags::empty())?)
            };
            match begun() {
                Ok(pidfd) => {
                    let (id, pid) = (id.clone(), child.id());
                    Ok(Handle {
                        id,
                        pid,
                        channel: Some(channel),
                        overdue: 0,
                        pidfd,
                        init: None,
                        command: None,
                        guest: None,
                        ended: None,
                        child: Some(child),
                    })
                }
                Err(why) => {
                    drop(channel);
                    let _ = child.wait();
                    Err(why)
                }
            }
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
        channel.set_timeouts(Some(ATTACH_PATIENCE), Some(PATIENCE))?;
        Handle::of(id, pid, Some(channel))
    }

    /// Finds the shim of a container that an earlier daemon made and that does not listen: not yet, or no more. It may be
    /// ending; until it has, it keeps what it holds.
    pub(super) fn find(paths: &Paths, id: &Id) -> io::Result<Option<Handle>> {
        let Some((pid, born)) = read_birth(&paths.birth(id)) else { return Ok(None) };
        // Looked at with the pidfd in hand, so that it can not become another process between.
        Ok(Handle::of(id, pid, None)?.filter(|_| born_at(pid).is_ok_and(|own| own == born)))
    }

    fn of(id: &Id, pid: Pid, channel: Option<Channel>) -> io::Result<Option<Handle>> {
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let pid = pid.as_raw_nonzero().get().unsigned_abs();
                Ok(Some(Handle {
                    id: id.clone(),
                    pid,
                    channel,
                    overdue: 0,
                    pidfd,
                    init: None,
                    command: None,
                    guest: None,
                    ended: None,
                    child: None,
                }))
            }
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Sends a request and waits for what is said to it, or that the container has ended, with the descriptors that come along.
    /// Answers to earlier requests that took too long are passed over.
    pub(super) fn ask(&mut self, request: &Request, fds: &[OwnedFd]) -> Result<(Reply, Vec<OwnedFd>), WireError> {
        let channel = self.channel.as_mut().ok_or(WireError::Closed)?;
        channel.send(request, &fds.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
        loop {
            match channel.recv::<Reply>() {
                ended @ Ok((Reply::Ended { .. }, _)) => return ended,
                Ok(_) | Err(WireError::NotJson(_)) if self.overdue > 0 => self.overdue -= 1,
                Err(WireError::TimedOut) => {
                    self.overdue += 1;
                    return Err(WireError::TimedOut);
                }
                answer => return answer,
            }
        }
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
                // (What can not be read is an answer, too.)
                Ok(Some(_)) | Err(WireError::NotJson(_)) => self.overdue = self.overdue.saturating_sub(1),
                Ok(None) => return true,
                Err(_) => self.channel = None,
            }
        }
        false
    }

    /// Ends the shim and the container, and waits until both are gone.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let asked = self.ended.is_some() || self.tell(&Request::Kill).is_ok();
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
        self.close_guest()
    }

    /// Ends a keeper without asking, and waits until it is gone: what it holds is not deleted.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        if !is_over_within(&self.pidfd, PATIENCE)? {
            return Err(io::Error::other("the shim does not end"));
        }
        self.reap();
        Ok(())
    }

    /// Deletes the interface that a keeper has left, because it was killed.
    fn close_guest(&mut self) -> io::Result<()> {
        self.guest.take().map_or(Ok(()), |(_, tap)| guest::delete(&tap))
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

/// The pid of a process that was written down, and when it was born: a pid alone may be another's by now.
pub(super) fn read_birth(path: &Path) -> Option<(Pid, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, born) = text.split_once(' ')?;
    Some((Pid::from_raw(pid.parse().ok()?)?, born.parse().ok()?))
}

/// When a process was born, in clock ticks since the machine was. Known of one that is ending, too, as its command line is not.
pub(super) fn born_at(pid: Pid) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    // The second field, the name, may hold blanks and parentheses. The 22nd is the time.
    let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest);
    let born = after_name.and_then(|rest| rest.split(' ').nth(19)?.parse().ok());
    born.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat is not as expected"))
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

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_request() {
        let (own, mut shim) = Channel::pair().expect("a pair");
        own.set_timeouts(Some(MOMENT), None).expect("set");
        let (id, pid) = ("0".repeat(64).try_into().expect("an id"), rustix::process::getpid());
        let mut handle = Handle::of(&id, pid, Some(own)).expect("a handle").expect("this process lives");
        let route = Request::DefaultRoute { route: None };
        let removal = Request::RemoveInterface { name: "eth1".into() };

        assert!(matches!(handle.ask(&route, &[]), Err(WireError::TimedOut)));
        assert!(matches!(handle.ask(&route, &[]), Err(WireError::TimedOut)));
        // Both answers come, and that to the next request behind them.
        shim.send(&Reply::Changed, &[]).expect("sent");
        shim.send(&Reply::Changed, &[]).expect("sent");
        shim.send(&Reply::Added, &[]).expect("sent");
        assert!(matches!(handle.ask(&removal, &[]), Ok((Reply::Added, _))));

        // One that has been heard meanwhile is not waited for; an end is always news.
        assert!(matches!(handle.ask(&route, &[]), Err(WireError::TimedOut)));
        shim.send(&Reply::Changed, &[]).expect("sent");
        assert!(handle.hear());
        shim.send(&Reply::Ended { status: 7 }, &[]).expect("sent");
        assert!(matches!(handle.ask(&removal, &[]), Ok((Reply::Ended { status: 7 }, _))));
    }
}
