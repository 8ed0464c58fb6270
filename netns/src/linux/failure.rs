//! [`Step`] and [`Failure`]: which step on Linux failed, on what and why, also across processes.

use std::io;

use serde::{Deserialize, Serialize};

use super::process::cause_of;
use crate::backend::BackendError;

/// A step that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    SpawnShim,
    AskShim,
    EndShim,
    Signal,
    MakeNamespaces,
    JoinNamespace,
    SetHostname,
    DisableIpv6,
    CreateTap,
    AdoptTap,
    Configure,
    Listen,
    Watch,
    CreateDirectory,
    OpenLog,
    ReadHost,
    ReadRecords,
    SaveRecord,
    DeleteRecord,
    SetAside,
    Delete,
    Attach,
    /// For the reasons below apart, since each has a remedy of its own.
    Publish,
    PublishTaken,
    PublishDenied,
    PublishNowhere,
    StartPublisher,
}

impl Step {
    fn operation(self) -> &'static str {
        match self {
            Step::SpawnShim => "start the shim of",
            Step::AskShim => "ask the shim of",
            Step::EndShim => "end",
            Step::Signal => "send a signal to",
            Step::MakeNamespaces => "make the namespaces of",
            Step::JoinNamespace => "join the network namespace of",
            Step::SetHostname => "set the host name",
            Step::DisableIpv6 => "switch IPv6 off on",
            Step::CreateTap => "create TAP",
            Step::AdoptTap => "take over TAP",
            Step::Configure => "configure interface",
            Step::Listen => "listen on",
            Step::Watch => "watch",
            Step::CreateDirectory => "create the directory",
            Step::OpenLog => "open the log",
            Step::ReadHost => "read",
            Step::ReadRecords => "read the records in",
            Step::SaveRecord => "save the record",
            Step::DeleteRecord => "delete the record",
            Step::SetAside => "set aside the record",
            Step::Delete => "delete",
            Step::Attach => "connect to",
            Step::Publish | Step::PublishTaken | Step::PublishDenied | Step::PublishNowhere => "publish",
            Step::StartPublisher => "start the publisher for",
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Step::CreateTap | Step::AdoptTap => Some("is /dev/net/tun there, and may it be opened?"),
            Step::MakeNamespaces | Step::JoinNamespace => Some("namespaces can be made by root (CAP_SYS_ADMIN)"),
            Step::DisableIpv6 => Some("/proc/sys must be writable"),
            Step::CreateDirectory | Step::SaveRecord | Step::OpenLog | Step::Listen => {
                Some("--runtime-dir and --state-dir choose other directories")
            }
            Step::PublishTaken => Some("`ss -lntup` shows who has the port"),
            Step::PublishDenied => Some("ports below 1024 are for root (CAP_NET_BIND_SERVICE)"),
            Step::PublishNowhere => Some("`ip addr` shows the addresses of this host; without one it is every address"),
            Step::SpawnShim
            | Step::AskShim
            | Step::EndShim
            | Step::Signal
            | Step::SetHostname
            | Step::Configure
            | Step::Watch
            | Step::ReadHost
            | Step::ReadRecords
            | Step::DeleteRecord
            | Step::SetAside
            | Step::Delete
            | Step::Attach
            | Step::Publish
            | Step::StartPublisher => None,
        }
    }

    /// The step failed on `object`.
    pub(super) fn failed(self, object: impl ToString, cause: impl ToString) -> Failure {
        Failure { step: self, object: object.to_string(), cause: cause.to_string() }
    }

    /// What to make of the system's error in this step on `object`.
    pub(super) fn on<E: Into<io::Error>>(self, object: impl ToString) -> impl FnOnce(E) -> Failure {
        move |error| self.failed(object, cause_of(&error.into()))
    }
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    step: Step,
    object: String,
    cause: String,
}

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        let (operation, hint) = (failure.step.operation(), failure.step.hint());
        BackendError::Failed { operation, object: failure.object, cause: failure.cause, hint }
    }
}
