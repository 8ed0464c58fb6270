//! Where the daemon's socket, lock and log are.

use std::fmt;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use netns::linux::Paths;

use crate::failure::{Failure, io};

/// As [`io`], for what an instance keeps in its directories, with a hint.
pub fn unusable(operation: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Failure {
    move |why| {
        let hint = if why.kind() != ErrorKind::PermissionDenied {
            "--runtime-dir and --state-dir choose other directories"
        } else if rustix::process::geteuid().is_root() {
            "the daemon does without root's power over other users' files (CAP_DAC_OVERRIDE): choose directories that \
             are root's, with --runtime-dir and --state-dir"
        } else {
            "containers take root; without it there is `pontoon demo`"
        };
        io(operation)(why).with_hint(hint)
    }
}

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

    /// Whether sockets can have names in the runtime directory.
    ///
    /// # Errors
    /// If it is too long for that.
    pub fn check(&self) -> Result<(), Failure> {
        let length = self.runtime.as_os_str().len();
        if length <= Paths::LONGEST_RUNTIME {
            return Ok(());
        }
        Err(Failure::new(format_args!(
            "the runtime directory {} is too long for the sockets in it: {length} bytes, {} at most",
            self.runtime.display(),
            Paths::LONGEST_RUNTIME
        ))
        .with_hint("--runtime-dir chooses another one"))
    }

    /// Makes both directories, for their owner only.
    ///
    /// # Errors
    /// If they can not be made, or not be used.
    pub fn make(&self) -> Result<(), Failure> {
        self.check()?;
        for dir in [&self.runtime, &self.state] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(unusable(format_args!("make the directory {}", dir.display())))?;
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
