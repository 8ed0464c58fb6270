//! [`Error`]: what the manager answers when something can not be done, with a hint where there is one.

use crate::backend::{BackendError, StartError};
use crate::lease::{MAX_MTU, MIN_MTU};
use crate::network::LeaseError;

/// Why a request was not carried out. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container is called so.
    #[error("no such container: {0}")]
    NoSuchContainer(String),
    /// Several ids begin with it.
    #[error("'{prefix}' is ambiguous: it is the beginning of {count} containers' ids")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many ids begin so.
        count: usize,
    },
    /// The name is in use.
    #[error("the name '{name}' is in use by container {id}")]
    NameInUse {
        /// The name.
        name: String,
        /// The short id of the container that has it.
        id: String,
    },
    /// It is not running.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// It is running.
    #[error("container {0} is running")]
    Running(String),
    /// No network is called so.
    #[error("no such network: {0}")]
    NoSuchNetwork(String),
    /// `container:` names the container itself.
    #[error("a container can not join its own network namespace: '{0}' is the container itself")]
    JoinsItself(String),
    /// `container:` names a container without a namespace that could be shared.
    #[error("--network container:{target}: {source}")]
    Target {
        /// What was given.
        target: String,
        /// Why it can not be joined.
        source: Box<Error>,
    },
    /// An option makes no sense in this network mode.
    #[error("{option} can not be used with --network {mode}")]
    Conflict {
        /// The option, as typed.
        option: &'static str,
        /// The mode, as typed.
        mode: String,
    },
    /// The MTU is out of range.
    #[error("an MTU of {0} is out of range: {MIN_MTU} to {MAX_MTU} bytes")]
    Mtu(u32),
    /// The host name is none.
    #[error("'{0}' is not a host name: at most 64 letters, digits, '-' and '.'")]
    Hostname(String),
    /// An address or MAC can not be had.
    #[error("network {network}: {source}")]
    Lease {
        /// The network's name.
        network: String,
        /// Why.
        source: LeaseError,
    },
    /// All default subnets overlap addresses or routes of the host.
    #[error("network {0}: every default subnet overlaps an address or a route of the host")]
    NoSubnet(String),
    /// A subnet that was asked for is not for hosts.
    #[error("network {network}: {subnet} is no subnet for hosts: it is loopback, multicast or reserved")]
    Subnet {
        /// The network's name.
        network: String,
        /// What was asked for.
        subnet: ipnet::Ipv4Net,
    },
    /// A subnet that was asked for overlaps the host's.
    #[error("network {network}: the subnet {subnet} overlaps {other}, an address or a route of the host")]
    SubnetInUse {
        /// The network's name.
        network: String,
        /// What was asked for.
        subnet: ipnet::Ipv4Net,
        /// What it overlaps.
        other: ipnet::Ipv4Net,
    },
    /// The host's interface in a network belongs to containers that can not be asked for it.
    #[error("take over the interface {bridge}: it is held by containers that do not answer: {containers}")]
    GatewayHeld {
        /// The interface.
        bridge: String,
        /// Their names.
        containers: String,
    },
    /// There are no ports left.
    #[error("the switch has no port left")]
    NoPort,
    /// The switch does not take the container's port.
    #[error("plug into the switch: {0}")]
    Port(String),
    /// The command does not run.
    #[error(transparent)]
    Start(StartError),
    /// The world failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// More went wrong when a failed step was undone, or a tear-down went on after a failure.
    #[error("{first}; besides: {}", .also.join("; "))]
    Undo {
        /// What went wrong first.
        first: Box<Error>,
        /// What went wrong after it, all of it.
        also: Vec<String>,
    },
}

impl Error {
    /// What the user may do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::GatewayHeld { .. } => {
                Some("let them go on, or end their shims (`ps` shows them as `pontoon __shim`)".into())
            }
            Error::NoSuchContainer(_) => Some("`pontoon ps -a` lists all containers".into()),
            Error::Ambiguous { .. } => Some("give more digits of the id, or the name".into()),
            Error::NameInUse { name, .. } => Some(format!("`pontoon stop {name}` frees it")),
            Error::Running(name) => Some(format!("`pontoon stop {name}` first, or use -f")),
            Error::NoSuchNetwork(_) => Some("`pontoon network ls` lists the networks".into()),
            Error::Target { source, .. } => source.hint(),
            Error::Lease { source, .. } => lease_hint(source),
            Error::NoSubnet(_) | Error::SubnetInUse { .. } => {
                Some("`pontoon up --bip ADDRESS/LENGTH` chooses another subnet".into())
            }
            Error::Start(StartError::Backend(failed)) | Error::Backend(failed) => backend_hint(failed),
            Error::Undo { first, .. } => first.hint(),
            Error::NotRunning(_)
            | Error::JoinsItself(_)
            | Error::Conflict { .. }
            | Error::Mtu(_)
            | Error::Hostname(_)
            | Error::NoPort
            | Error::Subnet { .. }
            | Error::Port(_)
            | Error::Start(StartError::NotFound(_) | StartError::NotExecutable(..)) => None,
        }
    }

    /// The exit status of `run` and `exec` for it, as in Docker: 127 not found, 126 not executable, 125 ours.
    #[must_use]
    pub fn run_status(&self) -> i32 {
        match self {
            Error::Start(StartError::NotFound(_)) => 127,
            Error::Start(StartError::NotExecutable(..)) => 126,
            Error::Undo { first, .. } => first.run_status(),
            _ => 125,
        }
    }
}

fn lease_hint(error: &LeaseError) -> Option<String> {
    match error {
        LeaseError::AddressInUse(_) | LeaseError::MacInUse(_) => {
            Some("`pontoon ps` shows which container has it".into())
        }
        LeaseError::PoolExhausted(_) => {
            Some("stop a container, or choose a larger subnet with `pontoon up --bip`".into())
        }
        LeaseError::OutsideSubnet { .. }
        | LeaseError::NetworkAddress(_)
        | LeaseError::BroadcastAddress(_)
        | LeaseError::GatewayAddress(_)
        | LeaseError::MulticastMac(_)
        | LeaseError::ZeroMac(_) => None,
    }
}

fn backend_hint(error: &BackendError) -> Option<String> {
    match error {
        BackendError::Failed { hint, .. } => hint.map(str::to_owned),
        BackendError::NameTaken(_) | BackendError::Gone => None,
    }
}
