//! Mount namespaces: leaving the host's, and seeing a proc and a sysfs that tell of one's own namespaces.
//!
//! A sysfs shows, below `class/net`, the network namespace that it was mounted in; a proc shows the PID namespace. So a
//! container needs its own of both, and whatever was mounted below them (cgroups, securityfs, debugfs, …) put back on top.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

/// Gives this thread a copy of its mounts, which no change is propagated from or to.
pub(super) fn isolate() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    Ok(())
}

/// Mounts a new file system of this kind over the one at `target`, and what is mounted below that on top again.
pub(super) fn renew(kind: &str, target: &str) -> io::Result<()> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if rustix::fs::statvfs(target)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        flags |= MsFlags::MS_RDONLY;
    }
    cover(Path::new(target), || Ok(mount(Some(kind), target, Some(kind), flags, None::<&str>)?))
}

/// Lets `mount` mount something over the file system at `target`, and puts what is mounted below that on top again.
pub(super) fn cover(target: &Path, mount: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // Not `self`: the mounts of this thread may differ from those of the process.
    let table = fs::read("/proc/thread-self/mountinfo")?;
    let mut trees = Vec::new();
    for point in mounted_below(&table, target.as_os_str()) {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        trees.push((rustix::mount::open_tree(CWD, &point, flags)?, point));
    }
    mount()?;
    for (tree, point) in trees {
        match rustix::mount::move_mount(tree, "", CWD, &point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH) {
            // The new file system need not have all directories of the old.
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Ok(())
}

/// Where something is mounted directly on the mount that is seen at `target`.
fn mounted_below(mountinfo: &[u8], target: &OsStr) -> Vec<OsString> {
    let mounts = Mount::all(mountinfo);
    let at_target = |mount: &&Mount| mount.point == target;
    let is_covered =
        |lower: &Mount| mounts.iter().filter(at_target).any(|upper| upper.parent == lower.id && upper.id != lower.id);
    let Some(seen) = mounts.iter().filter(at_target).find(|mount| !is_covered(mount)) else { return Vec::new() };
    let is_below = |mount: &&Mount| mount.parent == seen.id && Path::new(&mount.point).starts_with(target);
    mounts.iter().filter(is_below).map(|mount| mount.point.clone()).collect()
}

/// One mount of a mount namespace.
pub(super) struct Mount {
    pub(super) id: u64,
    parent: u64,
    /// Where it is seen, if nothing covers it.
    pub(super) point: OsString,
}

impl Mount {
    /// All that `mountinfo` speaks of.
    pub(super) fn all(mountinfo: &[u8]) -> Vec<Mount> {
        mountinfo.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect()
    }

    /// One line of `mountinfo`: id, parent, device, root, mount point, …
    fn parse(line: &[u8]) -> Option<Mount> {
        let mut words = line.split(|byte| *byte == b' ');
        let mut number = || str::from_utf8(words.next()?).ok()?.parse().ok();
        let (id, parent) = (number()?, number()?);
        Some(Mount { id, parent, point: unescape(words.nth(2)?) })
    }
}

/// Blanks, newlines and backslashes stand as `\` and three octal digits.
fn unescape(text: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| after.get(..3)).flatten();
        let code = escaped.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn finds_what_is_mounted_on_the_mount_that_is_seen() {
        let table = b"20 1 0:1 / / rw - ext4 /dev/x rw\n\
            21 20 0:2 / /sys rw - sysfs sysfs rw\n\
            22 21 0:3 / /sys/hidden rw - tmpfs tmpfs rw\n\
            23 21 0:4 / /sys rw shared:1 - sysfs sysfs rw\n\
            24 23 0:5 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
            25 24 0:6 / /sys/fs/cgroup/deep rw - tmpfs tmpfs rw\n\
            26 23 0:7 / /sys/a\\040b rw - tmpfs tmpfs rw\n\
            27 20 0:8 / /system rw - tmpfs tmpfs rw\n";
        assert_eq!(mounted_below(table, OsStr::new("/sys")), ["/sys/fs/cgroup", "/sys/a b"]);
        assert_eq!(mounted_below(table, OsStr::new("/proc")), [""; 0]);
    }

    #[test]
    fn unescapes_only_what_is_an_escape() {
        assert_eq!(unescape(b"a\\134b\\012\\9"), OsStr::from_bytes(b"a\\b\n\\9"));
    }
}
