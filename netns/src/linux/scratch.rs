//! A scratch network and mount namespace that stands for the host: in tests, demonstrations and benchmarks.

use std::fs::File;
use std::io;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::mounts;
use super::netlink::{LOOPBACK, Netlink};
use super::process::cause_of;

/// Puts the calling thread, and the processes it starts from now on, into new network and mount namespaces, with `lo` up and
/// a `/sys` that agrees. They vanish with the last thread or process in them.
///
/// # Errors
/// If the kernel does not permit it: see [`can_run`].
pub fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    mounts::isolate()?;
    mounts::renew("sysfs", "/sys")?;
    Netlink::open()?.set_up(LOOPBACK)
}

/// Whether this machine lets us do what the Linux backend needs.
///
/// # Errors
/// What it does not, in words.
pub fn can_run() -> Result<(), String> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .map_err(|why| format!("/dev/net/tun can not be opened: {}", cause_of(&why)))?;
    // In a thread of its own, which takes the namespaces away with it.
    let entered = thread::spawn(enter).join().map_err(|_| "entering a scratch namespace panicked".to_owned())?;
    entered.map_err(|why| format!("network and mount namespaces can not be made: {}", cause_of(&why)))
}
