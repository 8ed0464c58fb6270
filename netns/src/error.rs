//! [`Error`]: what the manager answers when something can not be done, with a hint where there is one.

use std::net::Ipv4Addr;

use crate::backend::{BackendError, StartError};
use crate::borrowed::Unfit;
use crate::lease::{MAX_MTU, MIN_MTU};
use crate::mode::NetworkMode;
use crate::network::{LeaseError, Owner};
use crate::publish::PublishError;
use crate::subnet::SubnetError;

/// Why a request was not carried out. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is another engine's, whose face alone removes it.
    #[error("network {network} belongs to {owner}")]
    NetworkOwned {
        /// Its name.
        network: String,
        /// Whose it is.
        owner: Owner,
    },
    /// It is another engine's, which alone says what becomes of it.
    #[error("container {container} belongs to {engine}")]
    OfEngine {
        /// Its name.
        container: String,
        /// Whose it is.
        engine: Owner,
    },
    /// No guest has this key.
    #[error("{engine} has no endpoint {key} here")]
    NoSuchGuest {
        /// The engine.
        engine: Owner,
        /// What was given.
        key: String,
    },
    /// The key is that of a guest that is otherwise than asked for.
    #[error("the endpoint {key} of {engine} is there already, with other properties: container {container}")]
    GuestExists {
        /// The engine.
        engine: Owner,
        /// The key.
        key: String,
        /// The name of the container that stands for it.
        container: String,
    },
    /// Its engine gives out the addresses, and none was asked for.
    #[error("network {network} belongs to {engine}, which gives out its addresses")]
    AddressesOfEngine {
        /// Its name.
        network: String,
        /// Whose it is.
        engine: Owner,
    },
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
        /// Whose that one is, if it is another engine's.
        engine: Option<Owner>,
    },
    /// It is not running.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// It is running.
    #[error("container {0} is running")]
    Running(String),
    /// It was another daemon's, and has not answered this one yet.
    #[error("container {0} does not answer: it is not known what it has")]
    Silent(String),
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
    /// Names are for the networks of users.
    #[error("no alias {alias} on network {network}: aliases are for user-defined networks only")]
    AliasOnDefault {
        /// The alias.
        alias: String,
        /// The network's name.
        network: String,
    },
    /// The MTU is out of range.
    #[error("an MTU of {0} is out of range: {MIN_MTU} to {MAX_MTU} bytes")]
    Mtu(u32),
    /// No name server can have the address.
    #[error("--dns {0} is no address of a name server: it is unspecified, multicast or broadcast")]
    Dns(Ipv4Addr),
    /// The host name is none.
    #[error("'{0}' is not a host name: at most 64 letters, digits, '-', '_' and '.', a letter or digit at each end")]
    Hostname(String),
    /// An address or MAC can not be had.
    #[error("network {network}: {source}")]
    Lease {
        /// The network's name.
        network: String,
        /// Why.
        source: LeaseError,
    },
    /// A network can not have the subnet.
    #[error("network {network}: {source}")]
    Subnet {
        /// The network's name.
        network: String,
        /// Why.
        source: SubnetError,
    },
    /// There is a network of this name.
    #[error("there is a network {0} already")]
    NetworkExists(String),
    /// The host has an interface of the name that was chosen for the bridge.
    #[error("there is an interface {0} already")]
    BridgeExists(String),
    /// A network that is always there.
    #[error("the network {network} is always there: it can not be {done}")]
    PredefinedNetwork {
        /// Its name.
        network: String,
        /// What was asked: created or removed.
        done: &'static str,
    },
    /// The name has another meaning.
    #[error("'{0}' can not be a network's name: it means something else behind --network")]
    ReservedNetworkName(String),
    /// There are as many as there may be.
    #[error("there are {0} networks already, and no more may be")]
    TooManyNetworks(usize),
    /// Containers are on it.
    #[error("network {network} is in use by {containers}")]
    NetworkInUse {
        /// Its name.
        network: String,
        /// Theirs, with their engine's behind it where that is not us.
        containers: String,
        /// Whose they are, each once.
        owners: Vec<Owner>,
    },
    /// The host's interface in it could not be made again.
    #[error("network {network} is down: {why}")]
    NetworkDown {
        /// Its name.
        network: String,
        /// Why.
        why: String,
    },
    /// Several networks' ids begin with it.
    #[error("'{prefix}' is ambiguous: it is the beginning of {count} networks' ids")]
    AmbiguousNetwork {
        /// What was given.
        prefix: String,
        /// How many ids begin so.
        count: usize,
    },
    /// It is on that network.
    #[error("container {container} is on network {network} already")]
    AlreadyConnected {
        /// The container's name.
        container: String,
        /// The network's.
        network: String,
    },
    /// It is not on that network.
    #[error("container {container} is not on network {network}")]
    NotConnected {
        /// The container's name.
        container: String,
        /// The network's.
        network: String,
    },
    /// Its network mode allows no interface of its own.
    #[error("container {container} can not be connected to a network: --network {mode} allows no other")]
    NotConnectable {
        /// The container's name.
        container: String,
        /// The mode.
        mode: NetworkMode,
    },
    /// To the host's network nobody can be connected.
    #[error("container {container} can not be connected to the host's network: only started on it")]
    NotConnectableToHost {
        /// The container's name.
        container: String,
    },
    /// From the host's network nobody can be disconnected.
    #[error("container {container} can not be disconnected from the host's network")]
    NotDisconnectable {
        /// The container's name.
        container: String,
    },
    /// The network `none` is nobody's second.
    #[error("container {container} is on other networks: it can not be connected to the network none")]
    NoneIsAlone {
        /// The container's name.
        container: String,
    },
    /// A container has as many interfaces as it may.
    #[error("container {container} is on {limit} networks already, and no more may be")]
    TooManyEndpoints {
        /// The container's name.
        container: String,
        /// How many it may be on.
        limit: usize,
    },
    /// An interface that should be there is not.
    #[error("no such interface: {0}")]
    NoSuchInterface(String),
    /// No bridge is called so.
    #[error("no such bridge: {bridge}")]
    NoSuchBridge {
        /// What was given.
        bridge: String,
        /// The bridge of the network that is called so.
        meant: Option<String>,
    },
    /// The host has no interface of this name.
    #[error("no such interface: {0}")]
    NoHostInterface(String),
    /// An interface of the host can not be a port.
    #[error("interface {name} can not be a port: {why}")]
    Unfit {
        /// Its name.
        name: String,
        /// Why not.
        why: Unfit,
    },
    /// The bridge has no such port.
    #[error("bridge {bridge} has no port {port}")]
    NoSuchPort {
        /// The bridge's name.
        bridge: String,
        /// What was given.
        port: String,
        /// The bridge that has it.
        elsewhere: Option<String>,
    },
    /// A port that goes with its container.
    #[error("port {port} is that of container {container}")]
    PortOfContainer {
        /// The port's name.
        port: String,
        /// The container's.
        container: String,
        /// Whose that is.
        owner: Owner,
        /// The network's.
        network: String,
    },
    /// The bridge's own port.
    #[error("port {0} is the bridge's own: it goes with the network")]
    PortOfBridge(String),
    /// Interfaces of the host are ports of its bridge.
    #[error("network {network} is in use: interfaces of the host are ports of its bridge: {ports}")]
    NetworkHasPorts {
        /// Its name.
        network: String,
        /// Its bridge.
        bridge: String,
        /// The interfaces' names.
        ports: String,
    },
    /// The host's interface in a network belongs to containers that can not be asked for it.
    #[error("take over the interface {bridge}: it is held by containers that do not answer: {containers}")]
    GatewayHeld {
        /// The interface.
        bridge: String,
        /// Their names.
        containers: String,
    },
    /// What is to be published does not go together.
    #[error(transparent)]
    Publish(#[from] PublishError),
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
            Error::NoSuchBridge { meant: Some(bridge), .. } => Some(format!("the bridge of that network is {bridge}")),
            Error::NoSuchBridge { meant: None, .. } => Some("`pontoon show` lists bridges and ports".into()),
            Error::NoHostInterface(_) => Some("`ip link` lists the host's interfaces".into()),
            Error::Unfit { name, why } => why.hint(name),
            Error::NoSuchPort { port, elsewhere: Some(bridge), .. } => Some(format!("{port} is a port of {bridge}")),
            Error::NoSuchPort { elsewhere: None, .. } => Some("`pontoon show` lists bridges and ports".into()),
            Error::PortOfContainer { container, owner: Owner::User, network, .. } => {
                Some(format!("`pontoon network disconnect {network} {container}` takes it off"))
            }
            Error::PortOfContainer { owner, network, .. } => Some(leaving(*owner, network)),
            Error::NetworkHasPorts { bridge, .. } => {
                Some(format!("`pontoon port del {bridge} INTERFACE` gives one back"))
            }
            Error::AddressesOfEngine { .. } => Some(
                "--ip with an address that `docker network create --aux-address` has kept free, or --network with another network".into(),
            ),
            Error::BridgeExists(_) => Some("choose another name for the bridge".into()),
            Error::OfEngine { engine, .. } => Some(format!("manage it with {engine}, which has made it")),
            Error::NoSuchContainer(_) => Some("`pontoon ps -a` lists all containers".into()),
            Error::Ambiguous { .. } => Some("give more digits of the id, or the name".into()),
            Error::NameInUse { engine: Some(engine), .. } => Some(format!("it is {engine}'s: choose another name")),
            Error::NameInUse { name, engine: None, .. } => Some(format!("`pontoon stop {name}` frees it")),
            Error::Running(name) => Some(format!("`pontoon stop {name}` first, or use -f")),
            Error::Silent(_) => Some(
                "it is asked again and again; if its shim is stopped (`ps` shows it as `pontoon __shim`), let it go on"
                    .into(),
            ),
            Error::NoSuchNetwork(_) => Some("`pontoon network ls` lists the networks".into()),
            Error::Target { source, .. } => source.hint(),
            Error::Lease { network, source } => lease_hint(network, source),
            Error::Subnet { network, source } => subnet_hint(network, source),
            Error::NetworkInUse { network, owners, .. } => Some(leaving_of_all(owners, network)),
            Error::NetworkOwned { owner, .. } => Some(format!(
                "remove it with {owner}, which has made it; if it is not known there any more, --force removes it"
            )),
            Error::AmbiguousNetwork { .. } => Some("give more digits of the id, or the name".into()),
            Error::AliasOnDefault { .. } => Some("`pontoon network create` makes one".into()),
            Error::NotConnectable { container, mode: NetworkMode::None } => {
                Some(format!("`pontoon network disconnect none {container}` first"))
            }
            Error::NotConnectableToHost { .. } => Some("`pontoon run --network host` starts one on it".into()),
            Error::NoneIsAlone { .. } => Some("disconnect it from the others first".into()),
            Error::NetworkDown { network, .. } => Some(format!("`pontoon network rm {network}` and create it again")),
            Error::NotRunning(_) => Some("`pontoon ps` lists those that run".into()),
            Error::JoinsItself(_) => Some("name one that runs: `pontoon ps` lists them".into()),
            Error::Conflict { option, mode } => Some(match mode.strip_prefix("container:") {
                Some(target) => format!("the network is {target}'s: give {option} to {target}"),
                // Nobody is found by name on the default network.
                None if *option == "--network-alias" => {
                    format!("leave {option} out, or use it on a network that `pontoon network create` made")
                }
                None => format!("leave {option} out, or use it on a bridge network"),
            }),
            Error::NetworkExists(network) => Some(format!("`pontoon network inspect {network}` shows it")),
            Error::NotConnected { network, .. } => {
                Some(format!("`pontoon network inspect {network}` shows the containers on it"))
            }
            Error::TooManyNetworks(_) => Some("`pontoon network prune` removes those that nobody is on".into()),
            Error::TooManyEndpoints { container, .. } => {
                Some(format!("`pontoon network disconnect NETWORK {container}` takes it off one"))
            }
            Error::Start(StartError::Backend(failed)) | Error::Backend(failed) => backend_hint(failed),
            Error::Undo { first, .. } => first.hint(),
            Error::Dns(_) => Some("without --dns the host's name servers are asked".into()),
            Error::Mtu(_)
            | Error::Hostname(_)
            | Error::NoPort
            | Error::NoSuchGuest { .. }
            | Error::GuestExists { .. }
            | Error::Publish(_)
            | Error::PredefinedNetwork { .. }
            | Error::ReservedNetworkName(_)
            | Error::AlreadyConnected { .. }
            | Error::NotConnectable { .. }
            | Error::NotDisconnectable { .. }
            | Error::NoSuchInterface(_)
            | Error::PortOfBridge(_)
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

/// What takes a container of this owner's off a network.
fn leaving(owner: Owner, network: &str) -> String {
    match owner {
        Owner::User => {
            format!("`pontoon network disconnect {network} CONTAINER` takes one off it, `pontoon stop` ends one")
        }
        Owner::Docker => format!(
            "`docker network disconnect {network} CONTAINER` takes one off it, `docker rm -f CONTAINER` removes one"
        ),
        Owner::Cni => "the runtime that has made one removes it, such as `podman rm -f CONTAINER`".into(),
    }
}

/// The same for several owners: ours first.
fn leaving_of_all(owners: &[Owner], network: &str) -> String {
    let told = owners.iter().enumerate().map(|(at, owner)| match at {
        0 => leaving(*owner, network),
        _ => format!("of those of {owner}: {}", leaving(*owner, network)),
    });
    told.collect::<Vec<_>>().join("; ")
}

fn subnet_hint(network: &str, error: &SubnetError) -> Option<String> {
    match error {
        SubnetError::NoneFree | SubnetError::InUse { .. } if network == "bridge" => {
            Some("`pontoon up --bip ADDRESS/LENGTH` chooses another subnet".into())
        }
        SubnetError::NoneFree | SubnetError::InUse { .. } => Some("--subnet chooses another one".into()),
        SubnetError::RangeWithoutHosts { .. } => {
            Some("a larger --ip-range has room; without one the whole subnet is used".into())
        }
        SubnetError::HostBits { .. }
        | SubnetError::TooSmall(_)
        | SubnetError::NotForHosts(_)
        | SubnetError::GatewayOutside { .. }
        | SubnetError::GatewayNoHost { .. }
        | SubnetError::RangeOutside { .. }
        | SubnetError::NoSubnet(_) => None,
    }
}

fn lease_hint(network: &str, error: &LeaseError) -> Option<String> {
    match error {
        LeaseError::AddressInUse(_) | LeaseError::MacInUse(_) => {
            Some("`pontoon ps` shows which container has it".into())
        }
        LeaseError::PoolExhausted(_) if network == "bridge" => {
            Some("stop a container, or choose a larger subnet with `pontoon up --bip ADDRESS/LENGTH`".into())
        }
        LeaseError::PoolExhausted(_) => Some(format!(
            "stop a container, or disconnect one from {network}; `pontoon network create --subnet` makes a network with more \
             addresses"
        )),
        LeaseError::RangeExhausted(_) => Some(format!(
            "stop a container, or disconnect one from {network}; --ip asks for an address outside of the range"
        )),
        LeaseError::OutsideSubnet { .. }
        | LeaseError::NetworkAddress(_)
        | LeaseError::BroadcastAddress(_)
        | LeaseError::GatewayAddress(_) => Some("without --ip a free address is chosen".into()),
        LeaseError::MulticastMac(_) | LeaseError::ZeroMac(_) => {
            Some("without --mac-address one is made of the address".into())
        }
    }
}

fn backend_hint(error: &BackendError) -> Option<String> {
    match error {
        BackendError::Failed { hint, .. } => hint.map(str::to_owned),
        BackendError::NameTaken(_) | BackendError::Gone => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_free_address_is_told_what_helps_on_that_network() {
        let hint = |network: &str| {
            let source = LeaseError::PoolExhausted("10.0.0.0/30".parse().expect("a subnet"));
            Error::Lease { network: network.into(), source }.hint().expect("a hint")
        };
        assert!(hint("bridge").contains("`pontoon up --bip ADDRESS/LENGTH`"), "{}", hint("bridge"));
        assert!(
            !hint("red").contains("--bip") && hint("red").contains("`pontoon network create --subnet`"),
            "{}",
            hint("red")
        );
    }
}
