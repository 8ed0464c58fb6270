//! Where all of this runs, so that nothing of it is left over however it ends.
//!
//! Three processes: the one that was started, an init, and the one that measures. The init is process 1 of a PID namespace and
//! ends when the third does, or when the pipe on its standard input closes, which the death of the first does (so it is with
//! Ctrl-C). With it the kernel ends every process in there, daemons included, and with the last process go the namespaces, TAPs
//! and mounts. All files are below a `/run` of the cage's own.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use netns::linux::scratch;

/// The variable that says which of the processes this is.
const ROLE: &str = "PONTOON_PEERS_ROLE";
const INIT: &str = "init";
const INSIDE: &str = "inside";
/// Where sockets, databases and logs are.
pub const DIR: &str = "/run/peers";

/// Whether this is the process that was started.
pub fn is_outside() -> bool {
    std::env::var_os(ROLE).is_none()
}

/// Runs this program with these arguments in a cage; how it ended.
///
/// # Errors
/// If this machine or this user has not what that takes.
pub fn run(arguments: &[OsString]) -> Result<ExitCode, String> {
    scratch::can_run().map_err(|why| format!("the peers can not be measured here: {why}"))?;
    let arguments = arguments.to_vec();
    // A thread of its own: it can make no further threads once its children are in another PID namespace.
    let spawn = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWPID).map_err(std::io::Error::from)?;
        again(&arguments, INIT)?.stdin(Stdio::piped()).spawn()
    });
    let mut init = spawn.join().map_err(|_| "the thread that makes the cage panicked")?.map_err(in_cage)?;
    // (`wait` would close the pipe first, which ends the cage.)
    let pipe = init.stdin.take();
    let status = init.wait().map_err(in_cage)?;
    drop(pipe);
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn in_cage(why: std::io::Error) -> String {
    format!("start in a PID namespace: {why}")
}

/// This program once more, in another role.
fn again(arguments: &[OsString], role: &str) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(&arguments[1..]).env(ROLE, role);
    Ok(command)
}

/// Serves as init, if that is the role; how what it looked after ended.
pub fn serve_as_init() -> Option<ExitCode> {
    if std::env::var_os(ROLE)? != INIT {
        return None;
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let inside = again(&arguments, INSIDE).and_then(|mut command| command.stdin(Stdio::null()).spawn());
    Some(match inside {
        Ok(inside) => reap_until(Pid::from_raw(inside.id().cast_signed())),
        Err(why) => {
            eprintln!("peers: {}", in_cage(why));
            ExitCode::FAILURE
        }
    })
}

/// Reaps every orphan until a process ends.
fn reap_until(last: Pid) -> ExitCode {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if pid == last => {
                return u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == last => {
                eprintln!("peers: ended by {signal}");
                return ExitCode::FAILURE;
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(why) => {
                eprintln!("peers: wait for the one that measures: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
}

/// Enters the cage's own network and mount namespace, with a `/proc` of its processes and a `/run` for its files.
///
/// # Errors
/// If the kernel does not permit it.
pub fn enter() -> Result<(), String> {
    scratch::enter().map_err(|why| format!("enter a scratch namespace: {why}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).map_err(|why| format!("mount /proc: {why}"))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), flags, None::<&str>).map_err(|why| format!("mount /run: {why}"))?;
    std::fs::create_dir(DIR).map_err(|why| format!("make {DIR}: {why}"))
}
