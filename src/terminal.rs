//! The caller's terminal, lent to a container: a terminal of its own (a pty) inside, joined to ours.
//!
//! The container's processes live in another session, where our terminal could not control them. So they get a new one;
//! ours is switched to raw mode and only carries bytes: Ctrl-C is a byte to us, and a signal inside. Sizes follow.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// How long the last output may take, in milliseconds.
const LAST_WORDS: u8 = 50;

/// A container's terminal and what is needed to carry bytes to and from it. The caller's own is as before once dropped.
#[derive(Debug)]
pub struct Terminal {
    saved: Termios,
    master: File,
    input_ended: bool,
}

impl Terminal {
    /// Whether the caller has a terminal to lend: it types and reads there.
    #[must_use]
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
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
        let terminal = Terminal { saved, master: master.into(), input_ended: false };
        terminal.follow_size();
        let mut raw = terminal.saved.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok((terminal, inside))
    }

    /// Gives the container's terminal the size of the caller's.
    pub fn follow_size(&self) {
        if let Ok(size) = tcgetwinsize(io::stdout()) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// Where the container's output can be read.
    #[must_use]
    pub fn output(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Whether the caller's input is still open.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.input_ended
    }

    /// Carries what the caller has typed into the container.
    pub fn carry_in(&mut self) {
        let mut typed = [0; 4096];
        match io::stdin().lock().read(&mut typed) {
            Ok(0) => self.input_ended = true,
            Ok(count) => {
                let _ = self.master.write_all(&typed[..count]);
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.input_ended = true,
        }
    }

    fn has_output_soon(&self) -> bool {
        let mut master = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        poll(&mut master, LAST_WORDS).is_ok_and(|ready| ready > 0)
    }

    /// Carries what the container has written to the caller. Says whether there may be more: reading gives EIO once no
    /// process of the container has its terminal open.
    pub fn carry_out(&mut self) -> bool {
        let mut written = [0; 16 * 1024];
        match self.master.read(&mut written) {
            Ok(0) => false,
            Ok(count) => {
                let mut out = io::stdout().lock();
                out.write_all(&written[..count]).and_then(|()| out.flush()).is_ok()
            }
            Err(why) => why.kind() == io::ErrorKind::Interrupted,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What was written last may still be on its way through the kernel; but a process that the command left behind
        // may keep the terminal open for ever.
        while self.has_output_soon() && self.carry_out() {}
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.saved);
    }
}
