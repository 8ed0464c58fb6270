//! [`Call`]: what dockerd wants of a driver, by the path and the body of a request.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::endpoint::{EndpointOrder, JoinOrder, ProgramOrder, Subject};
use crate::failure::Refused;
use crate::network::NetworkOrder;

/// The methods of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Which plugin are you?
    Activate,
    /// Are networks of one host or of several?
    GetCapabilities,
    /// Does such a network need a gateway?
    GwAllocCheck,
    /// Of networks of several hosts only.
    AllocateNetwork,
    /// Of networks of several hosts only.
    FreeNetwork,
    /// `docker network create`, with the addresses that IPAM has chosen.
    CreateNetwork,
    /// `docker network rm`.
    DeleteNetwork,
    /// A container is about to be on a network.
    CreateEndpoint,
    /// What `docker network inspect` could show.
    EndpointOperInfo,
    /// It is not on it any more.
    DeleteEndpoint,
    /// The container's sandbox is there: make the interface.
    Join,
    /// The interface is about to go.
    Leave,
    /// The endpoint is its container's way out: publish its ports.
    ProgramExternalConnectivity,
    /// It is not any more.
    RevokeExternalConnectivity,
    /// Another host of a cluster is there.
    DiscoverNew,
    /// It is gone.
    DiscoverDelete,
}

impl Method {
    /// All of them, in the order in which a container's life takes them.
    pub const ALL: [Method; 16] = [
        Method::Activate,
        Method::GetCapabilities,
        Method::GwAllocCheck,
        Method::AllocateNetwork,
        Method::FreeNetwork,
        Method::CreateNetwork,
        Method::DeleteNetwork,
        Method::CreateEndpoint,
        Method::EndpointOperInfo,
        Method::DeleteEndpoint,
        Method::Join,
        Method::Leave,
        Method::ProgramExternalConnectivity,
        Method::RevokeExternalConnectivity,
        Method::DiscoverNew,
        Method::DiscoverDelete,
    ];

    /// Where it is posted to.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Method::Activate => "/Plugin.Activate",
            Method::GetCapabilities => "/NetworkDriver.GetCapabilities",
            Method::GwAllocCheck => "/NetworkDriver.GwAllocCheck",
            Method::AllocateNetwork => "/NetworkDriver.AllocateNetwork",
            Method::FreeNetwork => "/NetworkDriver.FreeNetwork",
            Method::CreateNetwork => "/NetworkDriver.CreateNetwork",
            Method::DeleteNetwork => "/NetworkDriver.DeleteNetwork",
            Method::CreateEndpoint => "/NetworkDriver.CreateEndpoint",
            Method::EndpointOperInfo => "/NetworkDriver.EndpointOperInfo",
            Method::DeleteEndpoint => "/NetworkDriver.DeleteEndpoint",
            Method::Join => "/NetworkDriver.Join",
            Method::Leave => "/NetworkDriver.Leave",
            Method::ProgramExternalConnectivity => "/NetworkDriver.ProgramExternalConnectivity",
            Method::RevokeExternalConnectivity => "/NetworkDriver.RevokeExternalConnectivity",
            Method::DiscoverNew => "/NetworkDriver.DiscoverNew",
            Method::DiscoverDelete => "/NetworkDriver.DiscoverDelete",
        }
    }

    /// What is done, as errors say it before the object.
    #[must_use]
    pub const fn operation(self) -> &'static str {
        match self {
            Method::Activate => "activate the plugin",
            Method::GetCapabilities => "tell the capabilities",
            Method::GwAllocCheck => "tell whether a gateway is needed",
            Method::AllocateNetwork => "allocate network",
            Method::FreeNetwork => "free network",
            Method::CreateNetwork => "create network",
            Method::DeleteNetwork => "delete network",
            Method::CreateEndpoint => "create endpoint",
            Method::EndpointOperInfo => "tell of endpoint",
            Method::DeleteEndpoint => "delete endpoint",
            Method::Join => "join endpoint",
            Method::Leave => "leave with endpoint",
            Method::ProgramExternalConnectivity => "publish the ports of endpoint",
            Method::RevokeExternalConnectivity => "publish no more the ports of endpoint",
            Method::DiscoverNew => "hear of a host",
            Method::DiscoverDelete => "hear of a host's end",
        }
    }

    /// Why it was not carried out.
    #[must_use]
    pub fn refused(self, object: &str, cause: impl std::fmt::Display) -> Refused {
        Refused::new(self.operation(), object, cause)
    }
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// [`Method::Activate`]
    Activate,
    /// [`Method::GetCapabilities`]
    GetCapabilities,
    /// [`Method::GwAllocCheck`]
    GwAllocCheck,
    /// [`Method::CreateNetwork`]
    CreateNetwork(Box<NetworkOrder>),
    /// [`Method::DeleteNetwork`], by whatever came as the id.
    DeleteNetwork(String),
    /// [`Method::CreateEndpoint`]
    CreateEndpoint(Box<EndpointOrder>),
    /// [`Method::EndpointOperInfo`]
    EndpointOperInfo(Subject),
    /// [`Method::DeleteEndpoint`]
    DeleteEndpoint(Subject),
    /// [`Method::Join`]
    Join(Box<JoinOrder>),
    /// [`Method::Leave`]
    Leave(Subject),
    /// [`Method::ProgramExternalConnectivity`]
    Program(Box<ProgramOrder>),
    /// [`Method::RevokeExternalConnectivity`]
    Revoke(Subject),
    /// There is nothing to do: of networks of several hosts we have none.
    Nothing,
}

/// Reads a call.
///
/// # Errors
/// If the body is not what the method takes, or asks for what there is not.
pub fn read(method: Method, body: &[u8]) -> Result<Call, Refused> {
    Ok(match method {
        // Their bodies are empty, or there is nothing in them that we would want to know.
        Method::Activate => Call::Activate,
        Method::GetCapabilities => Call::GetCapabilities,
        Method::GwAllocCheck => Call::GwAllocCheck,
        Method::AllocateNetwork => {
            let Network { network } = decode(method, body)?;
            let cause = "a network is of one host: this driver's scope is local";
            return Err(method.refused(&crate::lenient::short(&network), cause));
        }
        Method::FreeNetwork => {
            let Network { network: _ } = decode(method, body)?;
            Call::Nothing
        }
        Method::CreateNetwork => Call::CreateNetwork(Box::new(NetworkOrder::check(decode(method, body)?)?)),
        Method::DeleteNetwork => {
            let Network { network } = decode(method, body)?;
            Call::DeleteNetwork(network)
        }
        Method::CreateEndpoint => Call::CreateEndpoint(Box::new(EndpointOrder::check(decode(method, body)?)?)),
        Method::EndpointOperInfo => Call::EndpointOperInfo(decode(method, body)?),
        Method::DeleteEndpoint => Call::DeleteEndpoint(decode(method, body)?),
        Method::Join => Call::Join(Box::new(JoinOrder::check(decode(method, body)?)?)),
        Method::Leave => Call::Leave(decode(method, body)?),
        Method::ProgramExternalConnectivity => Call::Program(Box::new(ProgramOrder::check(decode(method, body)?)?)),
        Method::RevokeExternalConnectivity => Call::Revoke(decode(method, body)?),
        Method::DiscoverNew | Method::DiscoverDelete => {
            let IgnoredAny = decode(method, body)?;
            Call::Nothing
        }
    })
}

#[derive(Deserialize)]
struct Network {
    #[serde(rename = "NetworkID")]
    network: String,
}

fn decode<T: DeserializeOwned>(method: Method, body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|why| method.refused("", format_args!("the request can not be read: {why}")))
}
