//! [`Paths`]: where one instance keeps its things.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manager::borrow::KEY as BORROWED;
use crate::manager::guard::FORWARDING;
use crate::name::Id;

/// The directories of one instance. Two instances with different ones share nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What does not outlive a reboot: sockets, exit statuses.
    pub runtime: PathBuf,
    /// What does: records, logs.
    pub state: PathBuf,
}

/// The longest name of a Unix socket, in bytes.
const SOCKET_NAME: usize = 107;

impl Paths {
    /// The longest runtime directory, in bytes: the names of the sockets in it have to fit.
    pub const LONGEST_RUNTIME: usize = SOCKET_NAME - "/containers/0123456789ab/shim.sock".len();

    /// What a container has while it runs, and its exit status afterwards. Named by the short id: the name of a Unix socket
    /// in it has 107 bytes at most.
    #[must_use]
    pub fn container(&self, id: &Id) -> PathBuf {
        self.containers().join(id.short())
    }

    pub(super) fn containers(&self) -> PathBuf {
        self.runtime.join("containers")
    }

    /// Whether containers of an earlier daemon may live, or what it changed on the host may still stand.
    #[must_use]
    pub fn are_in_use(&self) -> bool {
        let containers = fs::read_dir(self.containers()).into_iter().flatten().flatten();
        let may_one_live = containers.into_iter().any(|entry| entry.path().join("shim.sock").exists());
        let mut records = fs::read_dir(self.records()).into_iter().flatten().flatten();
        let is_borrowed = records.any(|entry| entry.file_name().to_string_lossy().starts_with(BORROWED));
        may_one_live || is_borrowed || self.records().join(format!("{FORWARDING}.json")).exists()
    }

    /// Whether there is nothing of any container, running or not: no record, and nothing that lives.
    #[must_use]
    pub fn are_empty(&self) -> bool {
        let names = |directory: PathBuf| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let mut records = names(self.records());
        !records.any(|name| name.starts_with("container-")) && names(self.containers()).next().is_none()
    }

    /// Where its shim listens.
    #[must_use]
    pub fn socket(&self, id: &Id) -> PathBuf {
        self.container(id).join("shim.sock")
    }

    /// The counters of ports and bridges.
    pub(super) fn accounts(&self) -> PathBuf {
        self.runtime.join("counters")
    }

    /// The exit status of its command, once it has ended.
    #[must_use]
    pub fn status(&self, id: &Id) -> PathBuf {
        self.container(id).join("status")
    }

    /// The files that are its own where others have the host's `/etc`. What stands there when its command is started is.
    #[must_use]
    pub fn etc(&self, id: &Id) -> PathBuf {
        etc_in(&self.container(id))
    }

    /// What is to be known of it should its record be lost.
    pub(super) fn note(&self, id: &Id) -> PathBuf {
        self.container(id).join("note")
    }

    /// Which process its shim is.
    pub(super) fn birth(&self, id: &Id) -> PathBuf {
        self.container(id).join("shim")
    }

    /// What shims have to say that they can say to nobody.
    #[must_use]
    pub fn shim_log(&self) -> PathBuf {
        self.runtime.join("shim.log")
    }

    /// What a container started with `-d` writes.
    #[must_use]
    pub fn log(&self, id: &Id) -> PathBuf {
        self.logs().join(format!("{id}.log"))
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(super) fn records(&self) -> PathBuf {
        self.state.join("records")
    }
}

/// Where in a container's directory its own files are, for a shim, which knows only the directory.
pub(super) fn etc_in(container: &Path) -> PathBuf {
    container.join("etc")
}
