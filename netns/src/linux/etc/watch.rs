//! [`Watch`]: notices when a container's own files may not be in place any more; [`Etc::keep`] acts on it.
//!
//! Two tell of it. The table of mounts changes when the kernel takes one of ours away. That is not all: the host may rename a
//! file and make a new one, when our mount stays with the old. So `/etc` is watched by inotify as well; where there is no
//! inotify to be had (a user has 128 of them as a rule), the table is left.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::Etc;
use crate::linux::mounts::Mount;
use crate::linux::process::{NotStarted, cause_of};

/// How long the host may be between deleting a file and making it anew before `/etc` is covered.
const GRACE: Duration = Duration::from_millis(200);
/// How long it takes at least from one look to the next, whatever goes on in `/etc`.
const REST: Duration = Duration::from_millis(20);
/// How long after a failure (there is no `/etc`, say) it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How much of what inotify tells is read at once. None of it matters but that there is something, and what is left over wakes
/// us again.
const GULP: usize = 4096;

/// What wakes us.
pub(super) struct Watch {
    /// The table of mounts of the namespace that this was made in.
    table: File,
    inotify: Option<OwnedFd>,
    /// What inotify calls the directory that is watched.
    directory: Option<i32>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Watch> {
        let table = File::open("/proc/thread-self/mountinfo")?;
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        Ok(Watch { table, inotify, directory: None })
    }

    pub(super) fn inotify(&self) -> Option<OwnedFd> {
        self.inotify.as_ref()?.try_clone().ok()
    }

    /// Every mount there is.
    pub(super) fn mounts(&mut self) -> io::Result<Vec<Mount>> {
        let mut text = Vec::new();
        self.table.rewind()?;
        self.table.read_to_end(&mut text)?;
        Ok(Mount::all(&text))
    }

    /// Watches this directory, and no other any more.
    pub(super) fn look_at(&mut self, directory: &Path) {
        let Some(inotify) = &self.inotify else { return };
        let changes = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        let watched = inotify::add_watch(inotify, directory, changes).ok();
        // The same directory has the same number again.
        if let Some(before) = self.directory.filter(|before| watched != Some(*before)) {
            let _ = inotify::remove_watch(inotify, before);
        }
        self.directory = watched;
    }

    /// Waits until something may have happened.
    fn wait(&self) {
        // Of a table of mounts, that it has changed is "exceptional".
        let mut fds = vec![PollFd::new(&self.table, PollFlags::PRI)];
        fds.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify, PollFlags::IN)));
        let _ = rustix::event::poll(&mut fds, None);
        if let Some(inotify) = &self.inotify {
            let _ = rustix::io::read(inotify.as_fd(), &mut [0; GULP]);
        }
    }
}

impl Etc {
    /// Another descriptor of what tells of changes, for somebody who outlives this process. To close the last one takes the kernel
    /// some 15 ms, which it spends waiting for readers that there are none of.
    pub(in crate::linux) fn inotify(&self) -> Option<OwnedFd> {
        self.watch.inotify()
    }

    /// Sees to it, in a thread of its own, that the files stay in place as long as the container lives.
    pub(in crate::linux) fn keep(mut self) -> Result<(), NotStarted> {
        let thread = std::thread::Builder::new().name("etc".to_owned());
        let spawned = thread.spawn(move || {
            loop {
                self.watch.wait();
                self.put_right();
                pause(REST);
            }
        });
        spawned.map_err(|why| NotStarted::other("start", "the thread that keeps /etc", cause_of(&why))).map(drop)
    }

    /// Settles, and tries again until that succeeds.
    fn put_right(&mut self) {
        let mut said = false;
        let mut may_cover = false;
        loop {
            match self.settle(may_cover) {
                Ok(true) => return,
                Ok(false) => pause(if std::mem::replace(&mut may_cover, true) { RETRY } else { GRACE }),
                Err((object, why)) => {
                    if !std::mem::replace(&mut said, true) {
                        // Not `eprintln!`: it panics where the log can not be written.
                        let _ = writeln!(io::stderr(), "pontoon: mount {object}: {}; tried again", cause_of(&why));
                    }
                    pause(RETRY);
                }
            }
        }
    }
}

/// Waits for nothing but the time to pass.
fn pause(duration: Duration) {
    let timeout = Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() };
    let _ = rustix::event::poll(&mut [], Some(&timeout));
}
