//! Looking at the machine. Nothing here fails: what can not be seen is a fact, too.
//!
//! Namespaces belong to a thread of ours, and are gone with it; so are the TAP and the table that are made in them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use netns::linux::firewall::{Foreign, foreign_drops, forwards_for_us};
use netns::linux::privilege::{self, Feature};
use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::StatVfsMountFlags;
use rustix::process::{Pid, PidfdFlags};
use switch::link::port::PortLink;

use super::facts::{Facts, Forwarding, Kernel, Nft, Tap, Tun};
use super::passage::Passage;
use super::{cni, engine, passage};
use crate::failure::cause_of;
use crate::paths::Dirs;

/// The hidden first argument of a child that tries to make a user namespace: only a process without threads can.
const USER_NAMESPACE: &str = "__doctor-user-namespace";
/// How long a child may take.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// The bridge of the default network: the first `pontoonN` that is free, and so this one on nearly every machine.
const BRIDGE: &str = "pontoon0";
/// The TAP that is tried.
const TAP: &str = "pontoon-doctor";
/// A table as ours are, that is tried.
const TABLE: &str =
    "table inet pontoon_doctor { chain out { type nat hook postrouting priority srcnat; masquerade; }; }\n";
/// Where else programs for administrators are.
const SBIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Plays the child, if the arguments ask for it: it prints why there is no user namespace, or nothing.
#[must_use]
pub fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    if arguments.get(1).is_none_or(|role| role != USER_NAMESPACE) {
        return None;
    }
    Some(match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = io::stdout().write_all(why.desc().as_bytes());
            ExitCode::FAILURE
        }
    })
}

/// Looks at everything.
pub fn look(dirs: &Dirs) -> Facts {
    let nft = nft();
    let for_us = matches!(nft, Nft::Works { .. }) && in_time(forwards_for_us).unwrap_or(false);
    Facts {
        tun: tun(),
        tap: scratch(CloneFlags::CLONE_NEWNET, tap).unwrap_or(Tap::NotTried),
        held: Feature::ALL.into_iter().filter(|feature| privilege::missing(*feature).is_none()).collect(),
        namespaces: [
            ("network", CloneFlags::CLONE_NEWNET),
            ("mount", CloneFlags::CLONE_NEWNS),
            ("UTS", CloneFlags::CLONE_NEWUTS),
            ("PID", CloneFlags::CLONE_NEWPID),
        ]
        .map(|(kind, flag)| (kind, scratch(flag, || ())))
        .into(),
        user_namespace: user_namespace(),
        foreign: foreign(&nft),
        nft,
        forwarding: Forwarding {
            for_us,
            is_on: read("/proc/sys/net/ipv4/ip_forward").map(|text| text.trim() != "0"),
            is_writable: rustix::fs::statvfs("/proc/sys/net")
                .is_ok_and(|of| !of.f_flag.contains(StatVfsMountFlags::RDONLY)),
        },
        resolv_conf: read("/etc/resolv.conf"),
        kernel: Kernel {
            release: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            pidfd: rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
                .map(drop)
                .map_err(|why| cause_of(&why.into())),
            io_uring: switch::engine::try_uring().map_err(|why| cause_of(&why)),
        },
        engine: engine::look(dirs),
        passage: passage(dirs),
        cni: cni::look(dirs),
    }
}

/// The text of a file; of a file only, since a pipe in its place would have nothing to say for ever.
fn read(path: &str) -> Result<String, String> {
    let is_file = fs::metadata(path).map_err(|why| cause_of(&why))?.is_file();
    if !is_file {
        return Err("it is no file".to_owned());
    }
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|why| cause_of(&why))
}

/// Tries something in a thread that has namespaces of its own.
fn scratch<T: Send + 'static>(flags: CloneFlags, attempt: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let tried = std::thread::spawn(move || match unshare(flags) {
        Ok(()) => Ok(attempt()),
        Err(why) => Err(why.desc().to_owned()),
    });
    tried.join().unwrap_or_else(|_| Err("the attempt panicked".to_owned()))
}

fn tun() -> Tun {
    let path = "/dev/net/tun";
    // Looked at first: to open something else in its place could wait for ever.
    let opened = fs::metadata(path).and_then(|found| {
        let is_device = found.file_type().is_char_device();
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let open = || File::options().read(true).write(true).custom_flags(nonblocking).open(path);
        if is_device { open().map(|_| true) } else { Ok(false) }
    });
    match opened {
        Ok(true) => Tun::Opens,
        Ok(false) => Tun::NoDevice,
        Err(why) => match why.kind() {
            ErrorKind::NotFound => Tun::Absent,
            ErrorKind::PermissionDenied => Tun::Denied,
            _ => Tun::Broken(cause_of(&why)),
        },
    }
}

fn tap() -> Tap {
    match PortLink::create(TAP, true) {
        Ok(link) => Tap::Works { offload: link.offload() },
        Err(why) => Tap::Fails(why.to_string()),
    }
}

fn user_namespace() -> Result<(), String> {
    let mut child = Command::new("/proc/self/exe");
    let said = run(child.arg(USER_NAMESPACE), "")?;
    if said.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said.stdout).into_owned()) }
}

fn nft() -> Nft {
    let Some(program) = find("nft") else { return Nft::NotFound };
    let version = match run(Command::new(&program).arg("--version"), "") {
        Ok(said) if said.status.success() => first_line(&said.stdout),
        Ok(said) => return Nft::Broken(first_line(&said.stderr)),
        Err(why) => return Nft::Broken(why),
    };
    let attempt = move || run(Command::new(&program).args(["-f", "-"]), TABLE);
    match scratch(CloneFlags::CLONE_NEWNET, attempt) {
        Err(_) => Nft::NotTried { version },
        Ok(Ok(said)) if said.status.success() => Nft::Works { version },
        Ok(Ok(said)) => Nft::Fails { version, why: first_line(&said.stderr) },
        Ok(Err(why)) => Nft::Fails { version, why },
    }
}

/// Reads everybody's rules, as they are for the bridge of the default network.
fn foreign(nft: &Nft) -> Result<Foreign, String> {
    if !matches!(nft, Nft::Works { .. }) {
        return Err("not looked at: that takes nft".to_owned());
    }
    let read = in_time(|| foreign_drops(BRIDGE).map_err(|why| why.to_string()));
    read.unwrap_or_else(|| Err(format!("nft takes longer than {} seconds", PATIENCE.tv_sec)))
}

/// Asks the daemon which networks have to pass Docker's rules, and reads these. One that does not answer says nothing.
fn passage(dirs: &Dirs) -> Passage {
    let dirs = dirs.clone();
    in_time(move || passage::look(&dirs)).unwrap_or(Passage::NotNeeded)
}

/// What comes of something that may never end; none if it takes too long. In a thread that nobody waits for: a program that does
/// not end ends with us.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(PATIENCE.tv_sec.cast_unsigned())).ok()
}

fn first_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().next().unwrap_or_default().trim().to_owned()
}

/// A program, where this user or an administrator would find it.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).chain(SBIN.map(PathBuf::from)).collect();
    let is_program =
        |candidate: &Path| candidate.is_file() && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok();
    places.iter().map(|place| place.join(name)).find(|candidate| candidate.is_absolute() && is_program(candidate))
}

/// Runs a child to its end, which is near: one that takes too long is killed. `input` fits in a pipe, as does what it says.
pub(super) fn run(command: &mut Command, input: &str) -> Result<Output, String> {
    let failed = |why: io::Error| cause_of(&why);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C")
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read has a reason, and tells it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let ends_in_time = || -> io::Result<bool> {
        let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&PATIENCE)))? > 0)
    };
    let ended = ends_in_time();
    if !matches!(ended, Ok(true)) {
        let _ = child.kill();
    }
    let (stdout, stderr) = (said_by(child.stdout.take()), said_by(child.stderr.take()));
    let status = child.wait().map_err(failed)?;
    match ended {
        Ok(true) => Ok(Output { status, stdout, stderr }),
        Ok(false) => Err(format!("it takes longer than {} seconds", PATIENCE.tv_sec)),
        Err(why) => Err(failed(why)),
    }
}

/// What is in the pipe of a child that has ended. Whatever it started may still hold the other end: that is not waited for.
fn said_by(pipe: Option<impl Read + AsFd>) -> Vec<u8> {
    let mut said = Vec::new();
    if let Some(mut pipe) = pipe
        && rustix::io::ioctl_fionbio(&pipe, true).is_ok()
    {
        let _ = pipe.read_to_end(&mut said);
    }
    said
}
