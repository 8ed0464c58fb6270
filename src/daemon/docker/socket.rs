//! A socket with a place in the file system, and who may take it.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, cause_of, io};

/// Whose file it is. It goes when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Where dockerd looks for sockets of plugins; a directory for the driver's own may be below it.
const PLUGINS: &str = "/run/docker/plugins";
/// The longest name of a Unix socket, in bytes.
const LONGEST: usize = 107;
/// What else may be chosen.
const ANOTHER: &str = "--docker=PATH chooses another socket: the file's name is the driver's";

/// Whether a socket could be had at `path`, as far as can be seen without making anything.
///
/// # Errors
/// If dockerd would not find it there, its directory is missing, or something else is there.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    if !path.is_absolute() {
        return Err(refused(path, "the path is relative").with_status(2).with_hint(format!(
            "dockerd takes an absolute one, such as {PLUGINS}/NAME.sock: the file's name is the driver's"
        )));
    }
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(refused(
            path,
            format_args!("the path is too long for a socket: {length} bytes, {LONGEST} at most"),
        )
        .with_hint(ANOTHER));
    }
    let directory = path.parent().unwrap_or(path);
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => {
            return Err(refused(path, format_args!("{} is no directory", directory.display())).with_hint(ANOTHER));
        }
        Ok(_) => {}
        // It is made: Docker need not have been started before.
        Err(why) if why.kind() == ErrorKind::NotFound && directory.starts_with(PLUGINS) => return Ok(()),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            let missing = refused(path, format_args!("there is no directory {}", directory.display()));
            return Err(
                missing.with_hint(format!("dockerd looks into {PLUGINS}; a directory elsewhere is yours to make"))
            );
        }
        Err(why) => return Err(refused(path, cause_of(&why)).with_hint(ANOTHER)),
    }
    let kind = match fs::symlink_metadata(path).map(|found| found.file_type()) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(refused(path, cause_of(&why)).with_hint(ANOTHER)),
        Ok(kind) if kind.is_socket() => return Ok(()),
        Ok(kind) if kind.is_dir() => "a directory",
        Ok(kind) if kind.is_symlink() => "a symbolic link",
        Ok(kind) if kind.is_file() => "a file",
        Ok(_) => "something that is no socket",
    };
    Err(refused(path, format_args!("{kind} is there")).with_hint(ANOTHER))
}

/// Listens at `path`, for root alone. A socket that nobody serves any more is replaced.
///
/// # Errors
/// As of [`check`]; if somebody serves it; or if the socket can not be made.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, Place), Failure> {
    check(path)?;
    let shown = path.display();
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(io(format_args!("make the directory {}", directory.display())))?;
    }
    match is_stale(path) {
        Ok(true) => fs::remove_file(path).map_err(io(format_args!("replace the socket {shown}")))?,
        Ok(false) => {}
        Err(why) if why.kind() == ErrorKind::AddrInUse => {
            return Err(refused(path, "another process does").with_hint(ANOTHER));
        }
        Err(why) => return Err(refused(path, cause_of(&why))),
    }
    let listen = || {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(path)?;
        Ok((listener, Place { path: path.to_owned(), identity: (found.dev(), found.ino()) }))
    };
    listen().map_err(io(format_args!("serve Docker at {shown}")))
}

fn refused(path: &Path, why: impl fmt::Display) -> Failure {
    Failure::new(format_args!("serve Docker at {}: {why}", path.display()))
}

/// Whether a socket is there that nobody serves: `false` if there is nothing at all.
fn is_stale(path: &Path) -> io::Result<bool> {
    match UnixStream::connect(path) {
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(why) if why.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_ours && let Err(why) = fs::remove_file(&self.path) {
            tracing::warn!("remove the socket {}: {}", self.path.display(), cause_of(&why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pontoon-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_that_nobody_serves_is_replaced_and_goes_with_its_owner() {
        let scratch = Scratch::new("stale");
        let path = scratch.0.join("pontoon.sock");
        let (listener, place) = bind(&path).expect("a place");
        drop((listener, place));
        drop(UnixListener::bind(&path).expect("a socket"));
        let (listener, place) = bind(&path).expect("nobody serves it");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let taken = bind(&path).expect_err("it is served").message;
        assert_eq!(taken, format!("serve Docker at {}: another process does", path.display()));
        drop((listener, place));
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_or_anothers_by_now_is_left_alone() {
        let scratch = Scratch::new("file");
        let path = scratch.0.join("pontoon.sock");
        fs::write(&path, "mine").expect("a file");
        let why = bind(&path).expect_err("it is a file").message;
        assert_eq!(why, format!("serve Docker at {}: a file is there", path.display()));
        fs::remove_file(&path).expect("it goes");
        let (_listener, place) = bind(&path).expect("a place");
        fs::remove_file(&path).expect("somebody removes it");
        fs::write(&path, "mine").expect("a file");
        drop(place);
        assert!(path.exists());
    }
}
