//! The processes that the tale is played in, so that nothing of it outlives the demo, however that ends.
//!
//! * The teller is process 1 of a PID namespace. When it ends, the kernel ends every process in there: daemon, shims, commands.
//!   With the last of them go the scratch network and mount namespaces, and all files, which are in memory.
//! * The demo itself stays outside and holds the writing end of a pipe, which is the teller's standard input. When that closes,
//!   by a signal to the demo or by its death, the teller ends at once.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::os::fd::AsFd;

use crate::failure::{Failure, cause_of, io};
use crate::output::say;
use crate::signals::{Signals, is_ignored};

/// The hidden first argument of the teller.
const TELLER: &str = "__demo";
/// What ends the demo before its time.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
/// Directories that may stand for nothing while the tale is told, in the order in which they are taken.
const EMPTY: [&str; 6] = ["/mnt", "/media", "/srv", "/opt", "/run", "/tmp"];

/// Has the tale told by a process of its own, and waits until that and all that it has made is gone. Returns its exit status.
///
/// # Errors
/// If there can be no such process.
pub(super) fn run() -> Result<u8, Failure> {
    // What whoever started us has made us ignore (`nohup`) stays ignored.
    let ending: Vec<i32> = ENDING.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    let mut signals = Signals::register(&ending)?;
    let mut teller = start().map_err(|why| {
        Failure::new(format_args!("make a PID namespace: {}", cause_of(&why)))
            .with_hint("`pontoon demo --world sim` needs no privileges")
    })?;
    let asked = wait(&teller, &mut signals);
    // Nothing is written to this pipe: that it closes is the message.
    drop(teller.stdin.take());
    // The kernel lets process 1 end as the last.
    let ended = teller.wait().map_err(io("wait for the demo's processes"))?;
    if let Some(signal) = asked? {
        // All is gone: now end as if the signal had never been caught.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    let status = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    if ended.code().is_none() {
        say(format_args!("pontoon: the demo's first process has ended: {ended}"));
    }
    Ok(status.and_then(|status| u8::try_from(status).ok()).unwrap_or(1))
}

/// In a thread of its own: only the children of the thread that asks for it are in the new namespace.
fn start() -> std::io::Result<Child> {
    let start = || {
        unshare(CloneFlags::CLONE_NEWPID)?;
        Command::new("/proc/self/exe").arg(TELLER).stdin(Stdio::piped()).spawn()
    };
    std::thread::spawn(start).join().unwrap_or_else(|_| Err(std::io::Error::other("its thread panicked")))
}

/// Waits until the teller ends, or the demo is to: then by which signal.
fn wait(teller: &Child, signals: &mut Signals) -> Result<Option<i32>, Failure> {
    let pidfd = pidfd_open(Pid::from_child(teller), PidfdFlags::empty());
    let pidfd = pidfd.map_err(|why| Failure::new(format_args!("watch the demo's processes: {why}")))?;
    loop {
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(why) => return Err(Failure::new(format_args!("wait for the demo's processes: {why}"))),
        }
        let has_ended = fds[0].any().unwrap_or(true);
        if let Some(signal) = signals.pending().next() {
            return Ok(Some(signal));
        }
        if has_ended {
            return Ok(None);
        }
    }
}

/// Is the teller, if the arguments ask for it: enters the scratch namespace, and calls `tell` with a directory for files.
pub(super) fn dispatch(
    arguments: &[std::ffi::OsString],
    tell: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Option<ExitCode> {
    let [_, role] = arguments else { return None };
    if role != TELLER {
        return None;
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    // Away from the terminal: Ctrl-C there is for the demo, and what it starts is not to be ended one by one.
    let _ = nix::unistd::setsid();
    Some(match enter().and_then(tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            ExitCode::from(u8::try_from(failure.status).unwrap_or(1))
        }
    })
}

/// Enters the scratch network and mount namespace. Returns where files may be made in it: they vanish with it.
fn enter() -> Result<&'static Path, Failure> {
    netns::linux::scratch::enter().map_err(|why| {
        Failure::new(format_args!("enter a scratch namespace: {}", cause_of(&why)))
            .with_hint("`pontoon demo --world sim` needs no privileges")
    })?;
    let _ = std::env::set_current_dir("/");
    let dir = EMPTY.iter().map(Path::new).find(|dir| dir.is_dir() && !is_needed(dir));
    let dir = dir.ok_or_else(|| {
        Failure::new(format_args!("find a directory that may stand empty: tried {}", EMPTY.join(", ")))
    })?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let mounted = mount(Some("proc"), "/proc", Some("proc"), flags | MsFlags::MS_NOEXEC, None::<&str>)
        .and_then(|()| mount(Some("tmpfs"), dir, Some("tmpfs"), flags, Some("mode=0700")));
    mounted.map_err(|why| Failure::new(format_args!("mount what the demo needs: {}", why.desc())))?;
    Ok(dir)
}

/// Whether this program, or those that it starts by name, may be in this directory.
fn is_needed(dir: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut needed: Vec<_> = std::env::split_paths(&path).chain(std::env::current_exe()).collect();
    let resolved: Vec<_> = needed.iter().filter_map(|each| each.canonicalize().ok()).collect();
    needed.extend(resolved);
    needed.iter().any(|each| each.starts_with(dir))
}
