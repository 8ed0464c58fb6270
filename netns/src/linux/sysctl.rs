//! A sysctl of the network is written at the same cost however many network namespaces there are.
//!
//! Below `/proc/sys/net` each namespace has directories of its own, all of them under the same names, and the kernel's cache of names
//! keeps them in one chain for each mount: with 2,000 namespaces the way through it takes a hundred times what it takes with one. So each
//! goes by a mount of its own, which is nowhere in the tree, has nothing in its cache and is gone afterwards.

use std::fs;
use std::io::{self, Write};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Writes a sysctl of the network namespace that this thread is in, by its path below `/proc/sys`.
pub(super) fn write(path: &str, value: &str) -> io::Result<()> {
    match write_apart(path, value) {
        // Where such a mount can not be had, or has less to show than the one in the tree, that one has to do.
        Err(_) => fs::write(format!("/proc/sys/{path}"), value),
        written => written,
    }
}

fn write_apart(path: &str, value: &str) -> io::Result<()> {
    let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&proc)?;
    let flags =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let root = fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
    let file = openat(root, format!("sys/{path}"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    fs::File::from(file).write_all(value.as_bytes())
}
