//! Namespaces for hosts and containers, and how to get into them.

use std::fs::File;
use std::io;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use netns::linux::scratch;
use nix::sched::{CloneFlags, setns, unshare};

/// A process that does nothing but keep a new namespace, as long as this lives.
pub struct Keeper(Child);

impl Keeper {
    /// Of a new network namespace.
    pub fn of_network() -> Result<Self, String> {
        Keeper::after(|| unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from))
    }

    /// Of a new network namespace, with mounts that tell of it: a host.
    pub fn of_host() -> Result<Self, String> {
        Keeper::after(scratch::enter)
    }

    /// Unshares in a thread of its own, which takes nothing else along.
    fn after(unshare: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<Self, String> {
        let start = move || {
            unshare()?;
            Command::new("sleep").arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).spawn()
        };
        let started = std::thread::spawn(start).join().map_err(|_| "the thread that makes a namespace panicked")?;
        started.map(Keeper).map_err(|why| format!("make a namespace: {why}"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A command in its namespaces, with nothing on its standard input.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.pid().to_string(), "--", program]).stdin(Stdio::null());
        command
    }

    /// Runs a script in its namespaces.
    ///
    /// # Errors
    /// What it says, if it fails.
    pub fn sh(&self, script: &str) -> Result<(), String> {
        said(self.command("sh").args(["-ec", script]), script).map(|_| ())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command; what it said on its standard output.
///
/// # Errors
/// What it said on the other, if it fails; `what` names it.
pub fn said(command: &mut Command, what: &str) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|why| format!("{what}: {why}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{what}: {}",
        if complaint.trim().is_empty() { output.status.to_string() } else { complaint.trim().to_owned() }
    ))
}

/// Where a program is, or that it is not, and whose it is.
///
/// # Errors
/// That this machine has none.
pub fn find(program: &str, package: &str) -> Result<(), String> {
    let is_there = |dir: std::path::PathBuf| dir.join(program).is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(is_there) {
        return Ok(());
    }
    Err(format!("{program} is not installed (Debian's package {package})"))
}

/// Runs `work` on a thread in the network namespace of a process.
pub fn enter<T: Send + 'static>(
    pid: u32,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> JoinHandle<Result<T, String>> {
    std::thread::spawn(move || {
        let failed = |why: io::Error| format!("enter the network namespace of {pid}: {why}");
        let namespace = File::open(format!("/proc/{pid}/ns/net")).map_err(failed)?;
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|why| failed(why.into()))?;
        work()
    })
}
