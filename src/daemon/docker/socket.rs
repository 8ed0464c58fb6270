//! A socket with a place in the file system, and who may take it.

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

/// Listens at `path`, for root alone. Its directory is made if it is not there; a socket that nobody serves any more is replaced.
///
/// # Errors
/// If there is something else, or somebody serves it; or the socket can not be made.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, Place), Failure> {
    let shown = path.display();
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(io(format_args!("make the directory {}", directory.display())))?;
    }
    match is_stale(path) {
        Ok(true) => fs::remove_file(path).map_err(io(format_args!("replace the socket {shown}")))?,
        Ok(false) => {}
        Err(why) if why.kind() == ErrorKind::AddrInUse => {
            return Err(Failure::new(format_args!("serve Docker at {shown}: another process does"))
                .with_hint("--docker=PATH chooses another socket: the file's name is the driver's"));
        }
        Err(why) => return Err(Failure::new(format_args!("serve Docker at {shown}: {}", cause_of(&why)))),
    }
    let listen = || {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(path)?;
        Ok((listener, Place { path: path.to_owned(), identity: (found.dev(), found.ino()) }))
    };
    listen().map_err(io(format_args!("serve Docker at {shown}")))
}

/// Whether a socket is there that nobody serves: `false` if there is nothing at all.
fn is_stale(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "something else is there")),
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(false),
        Err(why) => return Err(why),
    }
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
        let path = scratch.0.join("plugins/pontoon.sock");
        let (listener, place) = bind(&path).expect("a place in a new directory");
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
        assert_eq!(why, format!("serve Docker at {}: something else is there", path.display()));
        fs::remove_file(&path).expect("it goes");
        let (_listener, place) = bind(&path).expect("a place");
        fs::remove_file(&path).expect("somebody removes it");
        fs::write(&path, "mine").expect("a file");
        drop(place);
        assert!(path.exists());
    }
}
