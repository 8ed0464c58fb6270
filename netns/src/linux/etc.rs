//! [`Etc`]: a container's own files in place of the host's `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname`.
//!
//! The host's file system is shared, so nothing is created, changed or deleted in it: all is done by mounts in the
//! container's mount namespace.
//!
//! * A file is mounted on the name itself. If the name is a symbolic link, it is mounted on the link: where that leads, and
//!   whether it leads anywhere, does not matter.
//! * Nothing can be mounted on a name that is not there. Then, and only as long as it is so, `/etc` is covered by an overlay
//!   whose upper layer has the container's files and whose lower one is the host's `/etc`.
//! * When the host replaces or deletes one of its files, the kernel takes away what was mounted on it, in every namespace and
//!   without a word; when the host renames it, the mount goes along. [`Etc::keep`] sees it and [`Etc::settle`] puts it right.
//!
//! The overlay is read-only, which the container notices if it wants to write elsewhere in `/etc`, and it may go on seeing an
//! old version of what the host replaces there. One whose writable layer is the host's `/etc` would be no remedy: it writes
//! attributes of its own into the host's files, the kernel promises nothing when two have the same writable layer, as two
//! containers would, and a read-only `/etc` can not be one. A writable layer of the container's own would take its writes,
//! and lose them without a word.
//!
//! What the command itself mounts over one of these files is left alone.

mod sources;
mod watch;

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

pub use self::sources::host_resolv_conf;
pub(super) use self::sources::{RESOLV_CONF, open_host_resolv_conf, read_host_text, share};
use self::watch::Watch;
use super::mounts::{self, Mount};
use super::process::{NotStarted, cause_of};
use crate::files::Files;

const ETC: &str = "/etc";

/// The files, and what was done to have them seen. To be made in the container's mount namespace.
pub(super) struct Etc {
    /// The directory that the files are in.
    layer: OwnedFd,
    own: Vec<Own>,
    cover: Option<Cover>,
    watch: Watch,
}

/// One file of the container's own.
struct Own {
    name: &'static str,
    file: OwnedFd,
    laid: Option<Laid>,
}

/// A mount of ours. The descriptor keeps it from being freed, and hence its number from being another's, also when it is
/// mounted no more.
struct Laid {
    mount: OwnedFd,
    id: u64,
}

/// The overlay over `/etc`, and the directory under it.
struct Cover {
    laid: Laid,
    below: OwnedFd,
}

/// A mount that could not be made: where, and why.
type Unmounted = (String, io::Error);

impl Etc {
    /// Lays the files that are in `directory` over the host's.
    pub(super) fn lay(directory: &Path) -> Result<Etc, NotStarted> {
        let at = |object: &Path| {
            let object = object.display().to_string();
            move |why: io::Error| NotStarted::other("open", object, cause_of(&why))
        };
        // Opened here, in the namespace of the mounts to be: only what belongs to it can be mounted in it again.
        let open = |path: &Path| Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
        let layer = open(directory).map_err(at(directory))?;
        let mut own = Vec::new();
        for name in Files::NAMES {
            let path = directory.join(name);
            match open(&path) {
                Ok(file) => own.push(Own { name, file, laid: None }),
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => return Err(at(&path)(why)),
            }
        }
        let watch = Watch::new().map_err(|why| NotStarted::other("watch", "the mounts", cause_of(&why)))?;
        let mut etc = Etc { layer, own, cover: None, watch };
        etc.settle(true).map_err(|(object, why)| NotStarted::other("mount", object, cause_of(&why)))?;
        Ok(etc)
    }

    /// Mounts what is not mounted, or not where it should be. Whether all is in place: a file whose name is not there is not,
    /// unless `/etc` may be covered.
    fn settle(&mut self, may_cover: bool) -> Result<bool, Unmounted> {
        let at_etc = |why: io::Error| (ETC.to_owned(), why);
        // As the table of mounts has it, should it be a symbolic link.
        let etc = fs::canonicalize(ETC).map_err(at_etc)?;
        self.uncover(&etc).map_err(at_etc)?;
        if self.cover.is_none() {
            self.watch.look_at(&etc);
        }
        if !self.lay_all(&etc)? && self.cover.is_none() && may_cover {
            self.cover(&etc).map_err(|why| (format!("an overlay on {ETC}"), why))?;
        }
        self.lay_all(&etc)
    }

    /// Lays what is not in place. Whether all is now.
    fn lay_all(&mut self, etc: &Path) -> Result<bool, Unmounted> {
        let mounts = self.watch.mounts().map_err(|why| ("the mounts".to_owned(), why))?;
        let mut complete = true;
        for own in &mut self.own {
            let point = etc.join(own.name);
            if own.laid.as_ref().is_some_and(|laid| laid.is_at(&point, &mounts)) {
                continue;
            }
            match Laid::on(&own.file, &point) {
                // What was there before may still be, under a name that the host gave to the file below.
                Ok(laid) => {
                    if let Some(before) = own.laid.replace(laid) {
                        before.take_away();
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::NotFound => complete = false,
                // For which the kernel has the same word as for many another thing.
                Err(_) if point.is_dir() => return Err((point.display().to_string(), Errno::ISDIR.into())),
                Err(why) => return Err((point.display().to_string(), why)),
            }
        }
        Ok(complete)
    }

    /// Covers `/etc` with an overlay, in which every name of ours is.
    fn cover(&mut self, etc: &Path) -> io::Result<()> {
        let below = rustix::fs::open(etc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // Named by their descriptors, so that no byte of their paths means something to the overlay.
        let layers = [&self.layer, &below].map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).join(":");
        let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(overlay.as_fd(), "source", "pontoon")?;
        fsconfig_set_string(overlay.as_fd(), "lowerdir", layers)?;
        fsconfig_create(overlay.as_fd())?;
        let mount = fsmount(overlay.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes_of(&below)?)?;
        let laid = Laid { id: mount_id(&mount)?, mount };
        match mounts::cover(etc, || laid.attach(etc)) {
            Ok(()) => self.cover = Some(Cover { laid, below }),
            Err(why) => {
                laid.take_away();
                return Err(why);
            }
        }
        Ok(())
    }

    /// Takes the overlay away if the host has all the names by now, or forgets it if the host's `/etc` is another.
    fn uncover(&mut self, etc: &Path) -> io::Result<()> {
        let Some(cover) = &self.cover else { return Ok(()) };
        let is_there = |own: &Own| rustix::fs::statat(&cover.below, own.name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let is_needless = self.own.iter().all(is_there) || !cover.laid.is_at(etc, &self.watch.mounts()?);
        if let Some(cover) = self.cover.take_if(|_| is_needless) {
            cover.laid.take_away();
        }
        Ok(())
    }
}

impl Laid {
    /// Mounts a file on a name that is there; on the link, if that is one.
    fn on(file: &OwnedFd, point: &Path) -> io::Result<Laid> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let mount = open_tree(file, "", flags)?;
        let laid = Laid { id: mount_id(&mount)?, mount };
        laid.attach(point)?;
        Ok(laid)
    }

    fn attach(&self, point: &Path) -> io::Result<()> {
        Ok(move_mount(&self.mount, "", CWD, point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    }

    fn is_at(&self, point: &Path, mounts: &[Mount]) -> bool {
        mounts.iter().any(|mount| mount.id == self.id && mount.point == point)
    }

    /// Unmounts it, wherever it is mounted. Mostly the kernel has done that already.
    fn take_away(self) {
        let _ = unmount(format!("/proc/self/fd/{}", self.mount.as_raw_fd()), UnmountFlags::DETACH);
    }
}

/// The number that a mount has in the table of mounts.
fn mount_id(mount: &OwnedFd) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", mount.as_raw_fd()))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/fdinfo is not as expected"))
}

/// What is not permitted below a directory is not in the overlay on it either.
fn attributes_of(directory: &OwnedFd) -> io::Result<MountAttrFlags> {
    let flags = rustix::fs::fstatvfs(directory)?.f_flag;
    let pairs = [
        (StatVfsMountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (StatVfsMountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (StatVfsMountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ];
    let kept = pairs.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, attribute)| attribute);
    Ok(kept.fold(MountAttrFlags::MOUNT_ATTR_RDONLY, |all, each| all | each))
}
