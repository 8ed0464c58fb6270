//! [`Spawner`]: starts processes by a thread that has next to no descriptors.
//!
//! A process begins with a copy of its parent's table of descriptors, and closes what it is not to have when it executes its program.
//! The daemon's table has some for each container, so that a start cost the more the more there were. So one thread has a
//! table of its own, with nothing in it but a channel. What a process is to have comes to it by that.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use super::sys::close_all_but;
use super::text::OsText;
use super::wire::Channel;

/// The thread that starts processes, as long as this is there.
#[derive(Debug)]
pub(super) struct Spawner {
    channel: Channel,
    children: Receiver<io::Result<Child>>,
}

/// What to start. Descriptors: its standard input and its standard error.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    program: OsText,
    arguments: Vec<OsText>,
}

impl Spawner {
    /// Starts the thread, which has the capabilities and the namespaces of this one.
    pub(super) fn start() -> io::Result<Spawner> {
        let (channel, theirs) = Channel::pair()?;
        // The two tables have a copy each: this one's is closed here, the thread's there.
        let theirs = Arc::new(OwnedFd::from(theirs));
        let lent = Arc::clone(&theirs);
        let (child, children) = sync_channel(1);
        let (begin, begun) = sync_channel(1);
        let run = move || {
            let own = set_apart(&lent);
            drop(lent);
            match own {
                Ok(channel) if begin.send(Ok(())).is_ok() => serve(channel, &child),
                Ok(_) => {}
                Err(why) => drop(begin.send(Err(why))),
            }
        };
        thread::Builder::new().name("pontoon-spawn".to_owned()).spawn(run)?;
        begun.recv().map_err(io::Error::other)??;
        Ok(Spawner { channel, children })
    }

    /// Starts this program, called `pontoon`, with an empty standard output. It is a child of this process.
    pub(super) fn spawn(
        &mut self,
        program: &Path,
        arguments: &[&OsStr],
        stdin: &OwnedFd,
        stderr: &File,
    ) -> io::Result<Child> {
        let arguments = arguments.iter().map(|argument| OsText::from(*argument)).collect();
        let order = Order { program: program.as_os_str().into(), arguments };
        self.channel.send(&order, &[stdin.as_fd(), stderr.as_fd()]).map_err(io::Error::other)?;
        self.children.recv().map_err(io::Error::other)?
    }
}

/// Gives this thread a table of its own, with nothing in it but what stands for the standard streams, and a channel.
fn set_apart(channel: &OwnedFd) -> io::Result<Channel> {
    unshare(CloneFlags::CLONE_FILES)?;
    let own = channel.try_clone()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    close_all_but(&own);
    Ok(Channel::from(own))
}

fn serve(mut channel: Channel, children: &SyncSender<io::Result<Child>>) {
    while let Ok((order, fds)) = channel.recv::<Order>() {
        if children.send(spawn(&order, fds)).is_err() {
            return;
        }
    }
}

fn spawn(order: &Order, fds: Vec<OwnedFd>) -> io::Result<Child> {
    let [stdin, stderr] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(order.program.as_path());
    command.arg0("pontoon").args(&order.arguments);
    command.stdin(stdin).stdout(Stdio::null()).stderr(stderr).spawn()
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};

    use super::*;

    /// What a shell says on its standard error.
    fn says(spawner: &mut Spawner, script: &str) -> String {
        let (mut said, stderr) = pipe().expect("a pipe");
        let stdin: OwnedFd = File::open("/dev/null").expect("opened").into();
        let stderr = File::from(OwnedFd::from(stderr));
        let arguments = ["-c", script].map(OsStr::new);
        let mut child = spawner.spawn(Path::new("/bin/sh"), &arguments, &stdin, &stderr).expect("started");
        drop(stderr);
        let mut text = String::new();
        PipeReader::read_to_string(&mut said, &mut text).expect("read");
        assert!(child.wait().expect("a child of this process").success());
        text
    }

    #[test]
    fn a_process_has_what_it_is_given_whatever_else_is_open_here() {
        let mut spawner = Spawner::start().expect("a thread");
        let (_held, beside) = pipe().expect("a pipe");
        for _ in 0..2 {
            // (The shell has one open while it looks for them.)
            let script = "for fd in /proc/$$/fd/*; do if [ -e $fd ]; then echo ${fd##*/} >&2; fi; done";
            assert_eq!(says(&mut spawner, script), "0\n1\n2\n");
        }
        drop(beside);
    }

    #[test]
    fn nothing_that_was_open_before_stays_open_in_the_thread() {
        let (mut end, other) = pipe().expect("a pipe");
        let _spawner = Spawner::start().expect("a thread");
        drop(other);
        assert_eq!(end.read(&mut [0]).expect("read"), 0, "nobody could write any more");
    }

    #[test]
    fn what_is_not_there_is_said_and_the_thread_goes_on() {
        let mut spawner = Spawner::start().expect("a thread");
        let null = File::options().read(true).write(true).open("/dev/null").expect("opened");
        let stdin: OwnedFd = null.try_clone().expect("one more").into();
        let missing = spawner.spawn(Path::new("/does/not/exist"), &[], &stdin, &null).expect_err("there is none");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert_eq!(says(&mut spawner, "echo here >&2"), "here\n");
    }
}
