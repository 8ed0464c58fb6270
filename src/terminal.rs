//! The caller's terminal, lent to a container: a terminal of its own (a pty) inside, joined to ours.
//!
//! The container's processes live in another session, where our terminal could not control them. So they get a new one;
//! ours is switched to raw mode and only carries bytes: Ctrl-C is a byte to us, and a signal inside. Sizes follow.
//!
//! Nothing here waits but [`Terminal::last_words`], at the very end: a command that does not read what is typed, and a terminal
//! that does not show what is written, hold nobody up. What waits for either is bounded; at the bound no more is read.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::signals::Signals;

/// How much of what is typed waits for a command that does not read, in bytes.
const TYPED: usize = 64 * 1024;
/// How much of what is written waits for a terminal that does not show it, in bytes.
const WRITTEN: usize = 16 * 1024;
/// How long a shell may have put us into the foreground before we see it, in milliseconds.
const SOON: u8 = 200;
/// How long the command's last output may take through the kernel, in milliseconds.
const LAST_WORDS: u8 = 50;
/// And how much that may be: more than the kernel keeps for a terminal.
const MOST_LAST_WORDS: usize = 1 << 20;

/// A container's terminal and what is needed to carry bytes to and from it. The caller's own is as before once dropped.
#[derive(Debug)]
pub struct Terminal {
    saved: Termios,
    /// The outer end of the container's terminal. It never waits.
    master: File,
    /// The caller's terminal, to be written to.
    screen: File,
    typed: Vec<u8>,
    written: Vec<u8>,
    input_ended: bool,
    output_ended: bool,
}

impl Terminal {
    /// Whether the caller has a terminal to lend: it types and reads there. In the background of a shell (`&`) it does not:
    /// the terminal is for others then, and who touches its settings is stopped.
    #[must_use]
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal() && is_in_foreground()
    }

    /// Opens a terminal for a container, with the caller's size and settings. Returns it and the end for the container.
    ///
    /// # Errors
    /// If the system has no more.
    pub fn lend() -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let inside = ioctl_tiocgptpeer(&master, flags)?;
        let stdin = io::stdin();
        let saved = tcgetattr(&stdin)?;
        tcsetattr(&inside, OptionalActions::Now, &saved)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let terminal = Terminal {
            saved,
            master: master.into(),
            screen: screen()?,
            typed: Vec::new(),
            written: Vec::new(),
            input_ended: false,
            output_ended: false,
        };
        terminal.follow_size();
        terminal.take()?;
        Ok((terminal, inside))
    }

    /// Switches the caller's terminal to raw mode.
    fn take(&self) -> io::Result<()> {
        let mut raw = self.saved.clone();
        raw.make_raw();
        Ok(tcsetattr(io::stdin(), OptionalActions::Now, &raw)?)
    }

    /// Takes the caller's terminal again after a stop, if it is for us; its size may be another now.
    pub fn resume(&self) {
        if is_in_foreground() {
            let _ = self.take();
            self.follow_size();
        }
    }

    /// Gives the container's terminal the size of the caller's.
    pub fn follow_size(&self) {
        if let Ok(size) = tcgetwinsize(io::stdout()) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// What is to be waited for before [`Terminal::carry`] has something to do.
    pub fn interest<'a>(&'a self, stdin: &'a io::Stdin) -> Vec<PollFd<'a>> {
        let wants_more = self.written.is_empty() && !self.output_ended;
        let mut at_master = PollFlags::empty();
        at_master.set(PollFlags::POLLIN, wants_more);
        at_master.set(PollFlags::POLLOUT, !self.typed.is_empty());
        let watch = |fd: BorrowedFd<'a>, flags: PollFlags, is_wanted: bool| is_wanted.then(|| PollFd::new(fd, flags));
        // Only what is wanted: that the other end is closed is told even to who did not ask, and again and again.
        [
            watch(self.master.as_fd(), at_master, !at_master.is_empty()),
            watch(stdin.as_fd(), PollFlags::POLLIN, self.wants_input()),
            watch(self.screen.as_fd(), PollFlags::POLLOUT, !self.written.is_empty()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Carries bytes both ways, as far as that goes without waiting. Says whether there may ever be more to show: not once
    /// no process of the container has its terminal open.
    pub fn carry(&mut self) -> bool {
        self.carry_in();
        self.carry_out();
        !self.output_ended || !self.written.is_empty()
    }

    /// Shows what the command wrote last: it may still be on its way through the kernel; but a process that was left behind
    /// may keep the terminal open, and write, for ever. Waits for a terminal that is slow, unless a signal says not to.
    pub fn last_words(&mut self, signals: &mut Signals) {
        let mut shown = 0;
        while shown < MOST_LAST_WORDS {
            shown += self.carry_out();
            let (waits_for, patience) = match (self.written.is_empty(), self.output_ended) {
                (false, _) => (PollFd::new(self.screen.as_fd(), PollFlags::POLLOUT), PollTimeout::NONE),
                (true, false) => (PollFd::new(self.master.as_fd(), PollFlags::POLLIN), LAST_WORDS.into()),
                (true, true) => return,
            };
            let ready = poll(&mut [waits_for, PollFd::new(signals.as_fd(), PollFlags::POLLIN)], patience);
            let asked = signals.pending().any(|signal| [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&signal));
            if asked || !matches!(ready, Ok(1..) | Err(nix::Error::EINTR)) {
                return;
            }
        }
    }

    fn wants_input(&self) -> bool {
        // In the background what is typed is not for us. To try to read it would stop us, but we catch that signal: the kernel
        // would send it again and again.
        !self.input_ended && self.typed.len() < TYPED && is_in_foreground()
    }

    /// How long to wait for what [`Terminal::interest`] says: nothing tells that we are in the foreground again.
    #[must_use]
    pub fn patience(&self) -> PollTimeout {
        if is_in_foreground() { PollTimeout::NONE } else { SOON.into() }
    }

    /// Carries what the caller has typed into the container.
    fn carry_in(&mut self) {
        let stdin = io::stdin();
        if self.wants_input() && is_ready(stdin.as_fd(), PollFlags::POLLIN) {
            let mut typed = [0; 4096];
            let room = typed.len().min(TYPED - self.typed.len());
            // Not by way of `Stdin`, whose buffer would keep what is not for us yet.
            match rustix::io::read(&stdin, &mut typed[..room]) {
                Ok(0) => self.input_ended = true,
                Ok(count) => self.typed.extend_from_slice(&typed[..count]),
                Err(why) => self.input_ended = !is_passing(&why.into()),
            }
        }
        if !self.typed.is_empty() {
            match self.master.write(&self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(why) if is_passing(&why) => {}
                // Nobody is there to read it.
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// Carries what the container has written to the caller. Returns how much.
    fn carry_out(&mut self) -> usize {
        if self.written.is_empty() && !self.output_ended {
            let mut written = [0; WRITTEN];
            match self.master.read(&mut written) {
                // It is EIO once no process of the container has its terminal open.
                Ok(0) => self.output_ended = true,
                Ok(count) => self.written.extend_from_slice(&written[..count]),
                Err(why) => self.output_ended = !is_passing(&why),
            }
        }
        if self.written.is_empty() || !is_ready(self.screen.as_fd(), PollFlags::POLLOUT) {
            return 0;
        }
        match self.screen.write(&self.written) {
            Ok(count) => {
                self.written.drain(..count);
                count
            }
            Err(why) if is_passing(&why) => 0,
            Err(_) => {
                self.output_ended = true;
                self.written.clear();
                0
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // In the background it is the shell's affair; and see `wants_input`.
        if is_in_foreground() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.saved);
        }
    }
}

/// The caller's terminal once more, so that writing to it need not wait: whether that waits belongs to the open file, and the
/// one that is there is shared with whoever started us. Where it can not be opened (it may be another user's) that one has
/// to do.
fn screen() -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open("/proc/self/fd/1", flags, Mode::empty()) {
        Ok(screen) => Ok(screen.into()),
        Err(_) => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
    }
}

/// Whether the terminal is for this process group. One that controls no session is for whoever has it.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).map_or(true, |group| group == rustix::process::getpgrp())
}

fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> bool {
    poll(&mut [PollFd::new(fd, flags)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Whether it may go better the next time.
fn is_passing(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}
