//! The processes of a cage, as its /proc shows them.

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::PATIENCE;

/// The init of the cage is not looked at: it is outside of what stands for the host.
const INIT: i32 = 1;
/// How long nothing happens where nothing will.
const A_WHILE: std::time::Duration = std::time::Duration::from_millis(100);

/// `kill -9`; one that is gone already is no failure.
pub fn kill(pid: i32) {
    match nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(nix::Error::ESRCH) => {}
        Err(why) => panic!("kill {pid}: {why}"),
    }
}

/// `kill -9`, and waits until it has taken effect.
pub fn kill_and_wait(pid: i32) {
    kill(pid);
    wait_for(pid);
}

/// Waits until a process has ended.
pub fn wait_for(pid: i32) {
    let process = rustix::process::Pid::from_raw(pid).expect("a process");
    let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else { return };
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).expect("wait for a process");
    assert_eq!(ended, 1, "process {pid} does not end");
}

/// The shim of a command: between them is an init.
pub fn grandparent_of(command: i32) -> Option<i32> {
    parent_of(parent_of(command)?)
}

/// Everything of ours that a reboot would end.
pub fn ours() -> Vec<i32> {
    all()
        .into_iter()
        .filter(|pid| words_of(*pid).contains("__"))
        .filter(|pid| !words_of(*pid).contains("__cage"))
        .collect()
}

/// Lets the kernel's life have another number, as after a reboot.
pub fn change_boot_id(dir: &Path) {
    static BOOTS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = BOOTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let file = dir.join(format!("boot-{number}"));
    std::fs::write(&file, format!("00000000-0000-4000-8000-{number:012}\n")).expect("write a boot id");
    let flags = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&file), "/proc/sys/kernel/random/boot_id", None::<&str>, flags, None::<&str>)
        .expect("mount a boot id");
}

/// Shims that have no child: their containers have ended.
pub fn shims_without_a_command() -> Vec<i32> {
    let all = all();
    let parents: BTreeSet<i32> = all.iter().filter_map(|pid| parent_of(*pid)).collect();
    all.into_iter().filter(|pid| !parents.contains(pid) && words_of(*pid).contains("__shim")).collect()
}

/// The commands of all processes but this one and the cage's init; zombies aside.
pub fn others() -> Vec<String> {
    let own = std::process::id().cast_signed();
    all().into_iter().filter(|pid| *pid != own).map(|pid| format!("{pid} {}", words_of(pid))).collect()
}

pub fn words_of(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(super::text).collect::<Vec<_>>().join(" ")
}

/// The network namespaces that processes live in. One that has no memory any more is about to have no namespaces either.
pub fn network_namespaces() -> BTreeSet<PathBuf> {
    let alive = all().into_iter().filter(|pid| !words_of(*pid).trim().is_empty());
    alive.filter_map(|pid| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()).collect()
}

/// Sockets in a directory and below.
pub fn sockets_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_socket() {
                found.push(entry.path());
            }
        }
    }
    found
}

/// All processes that live, but the cage's init.
pub fn all() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("read /proc");
    let mut pids: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.retain(|pid| *pid != INIT && state_of(*pid).is_some_and(|state| state != 'Z' && state != 'X'));
    pids.sort_unstable();
    pids
}

fn state_of(pid: i32) -> Option<char> {
    fields_of(pid)?.first()?.chars().next()
}

fn parent_of(pid: i32) -> Option<i32> {
    fields_of(pid)?.get(1)?.parse().ok()
}

/// What stands behind the name in /proc/PID/stat; the name itself may contain anything.
fn fields_of(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = stat.rsplit_once(')')?;
    Some(behind.split_whitespace().map(ToString::to_string).collect())
}

/// Whether a process of this name sleeps, in the same place for as long as it takes to look twice: nothing comes or goes.
#[expect(clippy::disallowed_methods, reason = "no event tells that nothing happens")]
pub fn waits(name: &str) -> bool {
    let look = || -> Vec<(i32, Option<u64>)> {
        let of_name = |pid: &i32| words_of(*pid).split(' ').next().is_some_and(|word| word == name);
        all()
            .into_iter()
            .filter(of_name)
            .filter(|pid| state_of(*pid) == Some('S'))
            .map(|pid| (pid, switches(pid)))
            .collect()
    };
    let first = look();
    std::thread::sleep(A_WHILE);
    !first.is_empty() && look() == first
}

/// How often it has gone to sleep by itself.
fn switches(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok())
}

/// The process that passes on the published ports of the container with this id.
pub fn publisher_of(id: &str) -> Option<i32> {
    let is_it = |pid: &i32| {
        let words = words_of(*pid);
        words.contains("__publish") && words.contains(&id[..12])
    };
    all().into_iter().find(is_it)
}
