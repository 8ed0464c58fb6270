//! [`Step`] and [`Failure`]: which step on Linux failed, on what and why, also across processes.

use std::io;

use serde::{Deserialize, Serialize};

use super::privilege::{self, Feature};
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
    ReadBoot,
    DeleteInterface,
    DisableIpv6,
    CreateTap,
    MakeInside,
    CreateVeth,
    AdoptTap,
    OpenPacketSocket,
    Configure,
    Listen,
    Watch,
    CreateDirectory,
    OpenLog,
    WriteFiles,
    ReadHost,
    ReadRecords,
    SaveRecord,
    DeleteRecord,
    SetAside,
    OpenAccount,
    Delete,
    Attach,
    /// For the reasons below apart, since each has a remedy of its own.
    Publish,
    PublishTaken,
    PublishDenied,
    PublishNowhere,
    StartPublisher,
    EndPublisher,
    /// As above.
    AnswerNames,
    AnswerNamesTaken,
    AnswerNamesDenied,
    FindNft,
    SetFirewall,
    ReadFirewall,
    SetSysctl,
    LetGo,
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
            Step::ReadBoot => "read",
            Step::DeleteInterface => "delete interface",
            Step::DisableIpv6 => "switch IPv6 off on",
            Step::CreateTap => "create TAP",
            Step::MakeInside => "make an interface in",
            Step::CreateVeth => "create the veth pair",
            Step::AdoptTap => "take over TAP",
            Step::OpenPacketSocket => "open a packet socket on",
            Step::Configure => "configure interface",
            Step::Listen => "listen on",
            Step::Watch => "watch",
            Step::CreateDirectory => "create the directory",
            Step::OpenLog => "open the log",
            Step::WriteFiles => "write the container's own files in",
            Step::ReadHost => "read",
            Step::ReadRecords => "read the records in",
            Step::SaveRecord => "save the record",
            Step::DeleteRecord => "delete the record",
            Step::SetAside => "set aside the record",
            Step::OpenAccount => "open the counters in",
            Step::Delete => "delete",
            Step::Attach => "connect to",
            Step::Publish | Step::PublishTaken | Step::PublishDenied | Step::PublishNowhere => "publish",
            Step::StartPublisher => "start the publisher for",
            Step::EndPublisher => "end the publisher of",
            Step::AnswerNames | Step::AnswerNamesTaken | Step::AnswerNamesDenied => "answer names on",
            Step::FindNft => "run the program",
            Step::SetFirewall => "set the firewall tables of",
            Step::ReadFirewall => "read the firewall with",
            Step::SetSysctl => "set the sysctl",
            Step::LetGo => "let go of the capabilities of",
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Step::CreateTap | Step::AdoptTap => Some("is /dev/net/tun there, and may it be opened?"),
            Step::MakeNamespaces | Step::JoinNamespace => Some("namespaces can be made by root (CAP_SYS_ADMIN)"),
            Step::DisableIpv6 | Step::SetSysctl => Some("/proc/sys must be writable"),
            Step::FindNft => Some("install nftables (the package of that name has the program nft)"),
            Step::SetFirewall => Some("it takes CAP_NET_ADMIN, and nftables in the kernel"),
            Step::CreateDirectory | Step::SaveRecord | Step::OpenLog | Step::WriteFiles | Step::Listen => {
                Some("--runtime-dir and --state-dir choose other directories")
            }
            Step::AnswerNamesDenied => Some("ports below 1024 need CAP_NET_BIND_SERVICE"),
            Step::AnswerNamesTaken => Some(
                "another name server has this port of every address: let it listen on addresses of its own only \
                 (dnsmasq: bind-dynamic and except-interface; unbound: interface; BIND: listen-on)",
            ),
            Step::PublishTaken => Some("`ss -lntup` shows who has the port"),
            Step::PublishDenied => Some("ports below 1024 are for root (CAP_NET_BIND_SERVICE)"),
            Step::PublishNowhere => Some("`ip addr` shows the addresses of this host; without one it is every address"),
            Step::SpawnShim => {
                Some("is the file of this program executable for the daemon's user? It does without CAP_DAC_OVERRIDE")
            }
            Step::AskShim
            | Step::EndShim
            | Step::Signal
            | Step::SetHostname
            | Step::ReadBoot
            | Step::DeleteInterface
            | Step::MakeInside
            | Step::CreateVeth
            | Step::OpenPacketSocket
            | Step::Configure
            | Step::Watch
            | Step::ReadHost
            | Step::ReadRecords
            | Step::DeleteRecord
            | Step::SetAside
            | Step::OpenAccount
            | Step::Delete
            | Step::Attach
            | Step::Publish
            | Step::StartPublisher
            | Step::EndPublisher
            | Step::AnswerNames
            | Step::ReadFirewall
            | Step::LetGo => None,
        }
    }

    /// What this step takes a capability for.
    fn feature(self) -> Option<Feature> {
        match self {
            Step::MakeNamespaces | Step::JoinNamespace | Step::SetHostname | Step::MakeInside => {
                Some(Feature::Namespaces)
            }
            Step::DisableIpv6
            | Step::CreateTap
            | Step::AdoptTap
            | Step::CreateVeth
            | Step::Configure
            | Step::SetFirewall
            | Step::ReadFirewall
            | Step::SetSysctl
            | Step::DeleteInterface => Some(Feature::Interfaces),
            Step::OpenPacketSocket => Some(Feature::PacketSockets),
            Step::PublishDenied => Some(Feature::LowPorts),
            Step::Signal => Some(Feature::Signals),
            Step::SpawnShim
            | Step::AskShim
            | Step::EndShim
            | Step::Listen
            | Step::Watch
            | Step::CreateDirectory
            | Step::OpenLog
            | Step::ReadHost
            | Step::ReadRecords
            | Step::SaveRecord
            | Step::DeleteRecord
            | Step::SetAside
            | Step::OpenAccount
            | Step::Delete
            | Step::Attach
            | Step::Publish
            | Step::PublishTaken
            | Step::PublishNowhere
            | Step::AnswerNames
            | Step::AnswerNamesTaken
            | Step::AnswerNamesDenied
            | Step::StartPublisher
            | Step::EndPublisher
            | Step::FindNft
            | Step::WriteFiles
            | Step::ReadBoot
            | Step::LetGo => None,
        }
    }

    /// The step failed on `object`.
    pub(super) fn failed(self, object: impl ToString, cause: impl ToString) -> Failure {
        let cause = cause.to_string();
        let lacking = self.feature().filter(|feature| is_denial(&cause) && privilege::missing(*feature).is_some());
        Failure { step: self, object: object.to_string(), cause, lacking }
    }

    /// The step would fail on `object` for want of a capability, in another process of ours.
    pub(super) fn denied(self, object: impl ToString) -> Failure {
        let cause = rustix::io::Errno::PERM.into();
        Failure { lacking: self.feature(), ..self.failed(object, cause_of(&cause)) }
    }

    /// What to make of the system's error in this step on `object`.
    pub(super) fn on<E: Into<io::Error>>(self, object: impl ToString) -> impl FnOnce(E) -> Failure {
        move |error| self.failed(object, cause_of(&error.into()))
    }
}

/// Whether the kernel says that we may not: EPERM or EACCES, at the end of a cause that others may have put into words.
fn is_denial(cause: &str) -> bool {
    [rustix::io::Errno::PERM, rustix::io::Errno::ACCESS]
        .iter()
        .any(|errno| cause.ends_with(&cause_of(&(*errno).into())))
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    step: Step,
    object: String,
    cause: String,
    /// What the process that failed lacked a capability for.
    #[serde(default)]
    lacking: Option<Feature>,
}

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        let Failure { step, object, cause, lacking } = failure;
        let (cause, hint) = match lacking {
            Some(feature) => (format!("{cause}: {} is missing", feature.capability()), Some(feature.hint())),
            None => (cause, step.hint()),
        };
        BackendError::Failed { operation: step.operation(), object, cause, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_named_only_where_it_was_the_reason() {
        let told = |failure: Failure| match BackendError::from(failure) {
            BackendError::Failed { cause, hint, .. } => (cause, hint),
            other => panic!("{other}"),
        };
        let (cause, hint) = told(Step::Signal.denied("web"));
        assert_eq!(cause, "Operation not permitted: CAP_KILL is missing");
        assert_eq!(hint, Some(Feature::Signals.hint()));
        let (cause, hint) = told(Step::CreateTap.failed("eth0", "the name is taken"));
        assert_eq!((cause.as_str(), hint), ("the name is taken", Step::CreateTap.hint()));
        // No capability helps against this one.
        let (cause, _) = told(Step::ReadHost.on("x")(io::Error::from(rustix::io::Errno::ACCESS)));
        assert_eq!(cause, "Permission denied");
    }

    #[test]
    fn what_an_older_process_says_of_a_failure_is_understood() {
        let old = r#"{"step":"create_tap","object":"eth0","cause":"no"}"#;
        assert_eq!(serde_json::from_str::<Failure>(old).expect("JSON"), Step::CreateTap.failed("eth0", "no"));
    }
}
