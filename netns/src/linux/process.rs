//! [`Process`]: what is to be executed in a container; [`Streams`]: what it reads and writes.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::privilege::{self, Feature};
use super::text::OsText;

/// What to execute, and with what around it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The command and its arguments.
    pub argv: Vec<OsText>,
    /// Its whole environment, but for [`HOSTNAME`], which is the container's where it is not said here. Its `PATH` is where the
    /// command is looked for.
    pub env: Vec<(OsText, OsText)>,
    /// The directory that it starts in.
    pub cwd: OsText,
    /// Whether its standard input is a terminal that is to control it: the far end of a pseudo-terminal.
    pub tty: bool,
}

/// The variable that every command has, whoever starts it.
pub const HOSTNAME: &str = "HOSTNAME";

impl Process {
    /// Sets [`HOSTNAME`] to the name of the host that this process is on, unless it has a value.
    pub(super) fn name_host(&mut self) {
        if !self.env.iter().any(|(name, _)| name.as_ref() == HOSTNAME)
            && let Ok(name) = nix::unistd::gethostname()
        {
            self.env.push((HOSTNAME.into(), name.into()));
        }
    }
}

/// The command of a container.
#[derive(Debug)]
pub struct Command {
    /// What to execute.
    pub process: Process,
    /// What it reads and writes.
    pub streams: Streams,
}

/// What a command reads and writes.
#[derive(Debug)]
pub enum Streams {
    /// It reads nothing and writes to the container's log.
    Log,
    /// It has the streams of whoever started it.
    Caller {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
        /// The container's end of a [`super::session::Session`].
        attach: OwnedFd,
    },
}

/// Why a command did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NotStarted {
    /// There is no such command: status 127 by convention.
    #[error("{command}: command not found")]
    NotFound {
        /// As typed.
        command: String,
    },
    /// It is there, but can not be executed: status 126.
    #[error("{command}: {cause}")]
    NotExecutable {
        /// As typed.
        command: String,
        /// What the kernel says.
        cause: String,
    },
    /// A step before it failed: status 125.
    #[error("{operation} {object}: {cause}{}", lacking.map(|feature| format!(": {} is missing", feature.capability())).unwrap_or_default())]
    Other {
        /// What was tried.
        operation: String,
        /// On what.
        object: String,
        /// Why it failed.
        cause: String,
        /// What a capability was missing for.
        #[serde(default)]
        lacking: Option<Feature>,
    },
}

impl NotStarted {
    /// A step of ours that failed.
    pub(super) fn other(operation: &str, object: impl ToString, cause: impl ToString) -> Self {
        let (operation, object, cause) = (operation.to_owned(), object.to_string(), cause.to_string());
        NotStarted::Other { operation, object, cause, lacking: None }
    }

    /// The same for want of a capability, if this process lacks the one for `feature`.
    pub(super) fn for_want_of(self, feature: Feature) -> Self {
        let lacks = privilege::missing(feature).map(|_| feature);
        match self {
            NotStarted::Other { operation, object, cause, lacking } => {
                NotStarted::Other { operation, object, cause, lacking: lacking.or(lacks) }
            }
            other @ (NotStarted::NotFound { .. } | NotStarted::NotExecutable { .. }) => other,
        }
    }

    /// What the user may do about it, if we know.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            NotStarted::Other { lacking, .. } => lacking.map(Feature::hint),
            NotStarted::NotFound { .. } | NotStarted::NotExecutable { .. } => None,
        }
    }

    /// What an error of `execve` means.
    pub(super) fn from_exec(command: &OsText, error: &std::io::Error) -> Self {
        let command = command.to_string();
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => NotStarted::NotFound { command },
            _ => NotStarted::NotExecutable { command, cause: cause_of(error) },
        }
    }
}

/// An operating system's error without Rust's ` (os error N)`.
pub(super) fn cause_of(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((cause, _)) => cause.to_owned(),
        None => text,
    }
}
