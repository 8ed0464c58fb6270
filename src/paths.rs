//! Where the daemon's socket, lock and log are.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use netns::linux::Paths;

use crate::failure::{Failure, io};

/// The directories of one instance. Two instances with different ones share nothing.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// Sockets and what belongs to running containers.
    pub runtime: PathBuf,
    /// What survives a restart.
    pub state: PathBuf,
}

impl Dirs {
    /// The directories that the user chose, or the usual ones: absolute, so that a daemon finds them from anywhere.
    ///
    /// # Errors
    /// If the working directory is gone and one of them is relative to it.
    pub fn new(runtime: Option<PathBuf>, state: Option<PathBuf>) -> Result<Self, Failure> {
        let absolute = |chosen: Option<PathBuf>, usual: &str| {
            let path = chosen.unwrap_or_else(|| usual.into());
            std::path::absolute(&path).map_err(io(format_args!("find the directory {}", path.display())))
        };
        Ok(Dirs { runtime: absolute(runtime, "/run/pontoon")?, state: absolute(state, "/var/lib/pontoon")? })
    }

    /// Makes both directories, for their owner only.
    ///
    /// # Errors
    /// If they can not be made.
    pub fn make(&self) -> Result<(), Failure> {
        for dir in [&self.runtime, &self.state] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            let denied = made.as_ref().is_err_and(|why| why.kind() == ErrorKind::PermissionDenied);
            made.map_err(io(format_args!("make the directory {}", dir.display()))).map_err(|failure| {
                if denied {
                    failure.with_hint("containers take root; without it there is `pontoon demo`")
                } else {
                    failure
                }
            })?;
        }
        Ok(())
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("pontoon.sock")
    }

    /// Who holds this lock is the daemon.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.runtime.join("lock")
    }

    /// And the records are its own as long as it holds this one.
    #[must_use]
    pub fn state_lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// What a daemon in the background says.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.runtime.join("daemon.log")
    }

    /// For the backend.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths { runtime: self.runtime.clone(), state: self.state.clone() }
    }
}
