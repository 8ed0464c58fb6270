//! [`Cage`]: the namespaces in which the engines run, from which nothing can escape.
//!
//! Three processes: the test binary (outside), an init, and the host, which plays one case after the other as it is told.
//!
//! * The init is process 1 of a PID namespace. However it ends, the kernel ends every process in there: engines, containers,
//!   daemons. It ends when the host does, or when the pipe on its standard input closes, which the death of the test binary
//!   does, too.
//! * The host enters a scratch network and mount namespace, with files of its own in place of those that engines keep.
//! * Control groups are the one thing that is seen from outside: those of a cage are below one directory in each hierarchy, and
//!   are removed with it. What a killed test binary has left, the next removes.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

/// The hidden first argument of the init; the name of the control groups follows.
const INIT: &str = "__engines-init";
/// The hidden first argument of the host; the name of the control groups follows.
const HOST: &str = "__engines-host";
/// How long a case may take before it is taken to hang, and the start of the engines.
const LIMIT: Duration = Duration::from_secs(180);
const CGROUPS: &str = "/sys/fs/cgroup";
/// What the names of our control groups begin with. The test binary's process follows, and a number.
const PREFIX: &str = "pontoon-engines-";

/// A host with engines, in a cage.
pub struct Cage {
    init: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    /// What was said there on standard error since it was last looked at.
    said: Arc<Mutex<Vec<u8>>>,
    cgroup: String,
}

impl Cage {
    /// Makes a cage, and waits until the engines in it have started.
    ///
    /// # Errors
    /// What this machine lacks, or what the engines said.
    pub fn open() -> Result<Cage, String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        netns::linux::scratch::can_run()?;
        crate::host::is_installed()?;
        remove_stale_cgroups();
        let cgroup = format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut cage = Cage::spawn(cgroup).map_err(|why| format!("make a cage: {why}"))?;
        cage.answer()?;
        Ok(cage)
    }

    fn spawn(cgroup: String) -> std::io::Result<Cage> {
        let name = cgroup.clone();
        // A thread of its own: it can make no further threads once its children are in another PID namespace.
        let spawn = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWPID).map_err(std::io::Error::from)?;
            let mut init = Command::new(std::env::current_exe()?);
            init.args([INIT, &name]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
        });
        let mut init = spawn.join().map_err(|_| std::io::Error::other("the thread that makes it panicked"))??;
        let (answer, answers) = channel();
        let stdout = BufReader::new(init.stdout.take().expect("a pipe"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| answer.send(line)));
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut stderr, heard) = (init.stderr.take().expect("a pipe"), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                heard.lock().expect("nobody panics with it").extend_from_slice(&buffer[..length]);
            }
        });
        Ok(Cage { orders: init.stdin.take(), init, answers, said, cgroup })
    }

    /// Plays a case, whose name may have a message to it after a space; the message that comes back.
    ///
    /// # Errors
    /// How it failed. The cage is of no use any more.
    pub fn play(&mut self, order: &str) -> Result<String, String> {
        let orders = self.orders.as_mut().expect("it is open");
        writeln!(orders, "{order}").map_err(|why| format!("tell the host what to play: {why}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String, String> {
        let answer = self.answers.recv_timeout(LIMIT);
        let said = std::mem::take(&mut *self.said.lock().expect("nobody panics with it"));
        let said = String::from_utf8_lossy(&said);
        match answer {
            Ok(answer) => match serde_json::from_str::<Result<String, String>>(&answer) {
                Ok(Ok(message)) => Ok(message),
                Ok(Err(why)) => Err(format!("{why}\n{said}")),
                Err(why) => Err(format!("the host's answer is not as it should be: {why}: {answer}\n{said}")),
            },
            Err(why) => Err(format!("the host does not answer within {LIMIT:?}: {why}\n{said}")),
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.init.wait();
        if let Err(why) = remove_cgroups(&self.cgroup) {
            eprintln!("engines: a control group stays: {why}");
        }
    }
}

/// Serves as init or as the host, if the arguments ask for it.
pub fn dispatch(arguments: &[OsString], serve: impl FnOnce(&str) -> ExitCode) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        [INIT, cgroup] => Some(serve_as_init(cgroup)),
        [HOST, cgroup] => {
            enter().expect("enter a scratch host");
            Some(serve(cgroup))
        }
        _ => None,
    }
}

fn serve_as_init(cgroup: &str) -> ExitCode {
    let host = std::env::current_exe()
        .and_then(|program| Command::new(program).args([HOST, cgroup]).stdin(Stdio::piped()).spawn());
    let mut host = match host {
        Ok(host) => host,
        Err(why) => {
            eprintln!("start the host: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut orders = host.stdin.take().expect("a pipe");
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut orders);
        std::process::exit(1);
    });
    reap_until(Pid::from_raw(host.id().cast_signed()))
}

/// Reaps every orphan until the host ends.
fn reap_until(host: Pid) -> ExitCode {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if pid == host => {
                return u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == host => {
                eprintln!("the host was ended by {signal}");
                return ExitCode::FAILURE;
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(why) => {
                eprintln!("wait for the host: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
}

/// Enters the scratch host: `/run`, `/var` and `/dev/shm` are empty, and `/etc` is a copy, since dockerd writes a key there.
fn enter() -> std::io::Result<()> {
    netns::linux::scratch::enter()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let fresh = |kind: &str, place: &str| mount(Some(kind), place, Some(kind), flags, None::<&str>);
    fresh("proc", "/proc")?;
    fresh("tmpfs", "/run")?;
    // Podman numbers its containers in there.
    fresh("tmpfs", "/dev/shm")?;
    // Not without devices: the images' root file systems are in there.
    mount(Some("tmpfs"), "/var", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    for dir in ["/var/lib", "/var/tmp", "/var/log", "/var/cache", "/run/lock"] {
        std::fs::create_dir(dir)?;
    }
    std::os::unix::fs::symlink("/run", "/var/run")?;
    let copied = Command::new("cp").args(["--archive", "/etc", "/var/etc"]).status()?;
    if !copied.success() {
        return Err(std::io::Error::other("copy /etc"));
    }
    mount(Some("/var/etc"), "/etc", None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// The directories of all hierarchies; one, where there is one hierarchy only.
fn hierarchies() -> Vec<PathBuf> {
    let below = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.is_dir() && !path.is_symlink()).chain([PathBuf::from(CGROUPS)]).collect()
}

/// Removes the control groups below one name, whose processes have ended.
fn remove_cgroups(name: &str) -> Result<(), String> {
    hierarchies()
        .iter()
        .map(|hierarchy| hierarchy.join(name))
        .filter(|dir| dir.is_dir())
        .try_for_each(|dir| remove(&dir))
}

/// What is below first; the files in there are the kernel's.
fn remove(dir: &Path) -> Result<(), String> {
    let below = std::fs::read_dir(dir).map_err(|why| format!("read {}: {why}", dir.display()))?;
    below.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).try_for_each(|dir| remove(&dir))?;
    // The last processes may be on their way out.
    let removed = (0..200).find(|_| {
        let is_gone = std::fs::remove_dir(dir).is_ok();
        if !is_gone {
            std::thread::sleep(Duration::from_millis(10));
        }
        is_gone
    });
    removed.map(drop).ok_or_else(|| format!("remove {}", dir.display()))
}

fn remove_stale_cgroups() {
    for hierarchy in hierarchies() {
        for entry in std::fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                // Somebody else may be removing it.
                let _ = remove(&entry.path());
            }
        }
    }
}
