//! The cage in which a test against a real kernel runs: namespaces of its own, from which nothing can escape.
//!
//! Three processes: the test binary (outside), an init, and the test proper.
//!
//! * The init is process 1 of a PID namespace. However it ends, the kernel ends every process in there: daemons, shims,
//!   commands. It ends when the test does, or when the pipe on its standard input closes, which the death of the test
//!   binary does, too. So a killed test leaks no process, and with the last process go namespaces and mounts.
//! * The test proper enters a scratch network and mount namespace, which stands for the host, with a /proc of the PID
//!   namespace and a /run of its own, where it keeps all of its files.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use libtest_mimic::Failed;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

/// The hidden first argument of the init.
const INIT: &str = "__cage-init";
/// The hidden first argument of the test proper.
const TEST: &str = "__cage-test";
/// How long a test may take before it is taken to hang.
const LIMIT: Duration = Duration::from_secs(240);
/// Where a test keeps its files.
pub const DIR: &str = "/run/lab";

/// A test that runs in a cage.
#[derive(Clone, Copy)]
pub struct Caged {
    pub name: &'static str,
    pub test: fn(),
}

/// Runs a test in a cage of its own.
pub fn run(name: &str) -> Result<(), Failed> {
    let (output, writer) = std::io::pipe().map_err(|why| format!("make a pipe: {why}"))?;
    let name = name.to_owned();
    // A thread of its own: it can make no further threads once its children are in another PID namespace.
    let spawn = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWPID).map_err(std::io::Error::from)?;
        let program = std::env::current_exe()?;
        let stderr = writer.try_clone()?;
        Command::new(program).args([INIT, &name]).stdin(Stdio::piped()).stdout(writer).stderr(stderr).spawn()
    });
    let spawned = spawn.join().map_err(|_| "the thread that makes the cage panicked")?;
    let mut init = spawned.map_err(|why| format!("make a cage: {why}"))?;
    let (said, is_in_time) = wait_for(&mut init, output);
    let status = init.wait().map_err(|why| format!("wait for the cage: {why}"))?;
    match (is_in_time, status.success()) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("{status}\n{said}").into()),
        (false, _) => Err(format!("hangs: not done after {LIMIT:?}\n{said}").into()),
    }
}

/// Waits until the last process of the cage is gone: then nobody holds the other end of the pipe.
fn wait_for(init: &mut Child, mut output: std::io::PipeReader) -> (String, bool) {
    let (done, is_done) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = output.read_to_end(&mut said);
        let _ = done.send(());
        String::from_utf8_lossy(&said).into_owned()
    });
    let is_in_time = is_done.recv_timeout(LIMIT).is_ok();
    if !is_in_time {
        let _ = init.kill();
    }
    (reader.join().unwrap_or_default(), is_in_time)
}

/// Serves as init or as the test proper, if the arguments ask for it. `run` plays the test of a name, if there is one.
pub fn dispatch(arguments: &[OsString], run: impl FnOnce(&str) -> bool) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        [INIT, name] => Some(serve_as_init(name)),
        [TEST, name] => {
            enter();
            Some(if run(name) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => None,
    }
}

fn serve_as_init(name: &str) -> ExitCode {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let test = std::env::current_exe()
        .and_then(|program| Command::new(program).args([TEST, name]).stdin(Stdio::null()).spawn());
    match test {
        Ok(test) => reap_until(Pid::from_raw(test.id().cast_signed())),
        Err(why) => {
            eprintln!("start the test: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Reaps every orphan until the test ends.
fn reap_until(test: Pid) -> ExitCode {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if pid == test => {
                return u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == test => {
                eprintln!("the test was ended by {signal}");
                return ExitCode::FAILURE;
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(why) => {
                eprintln!("wait for the test: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
}

fn enter() {
    netns::linux::scratch::enter().expect("enter a scratch namespace");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).expect("mount /proc");
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, None::<&str>)
        .expect("mount /run");
    std::fs::create_dir(DIR).expect("make the directory of the test");
}
