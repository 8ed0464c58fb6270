//! [`EndpointOrder`], [`JoinOrder`], [`ProgramOrder`], [`Subject`]: a container's place on a network, as dockerd asks for it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use netns::name::Id;
use serde::Deserialize;
use serde_json::Value;
use switch::mac::MacAddr;

use crate::call::Method;
use crate::failure::Refused;
use crate::lenient::{NO_ID, or_default, short};
use crate::network::address;
use crate::ports::{Wanted, wanted};

const MAC: &str = "com.docker.network.endpoint.macaddress";

/// Which endpoint of which network, by whatever came as their ids.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subject {
    /// The network.
    #[serde(rename = "NetworkID", default, deserialize_with = "or_default")]
    pub network: String,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint: String,
}

/// An endpoint to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOrder {
    /// Its network.
    pub network: Id,
    /// Docker's id of it.
    pub endpoint: Id,
    /// Its address, which IPAM has chosen.
    pub ip: Option<Ipv4Addr>,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// Whether the MAC stands where we could have filled it in: then it is not to be answered.
    pub mac_is_filled: bool,
}

/// An endpoint's interface is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinOrder {
    /// Its network.
    pub network: Id,
    /// Docker's id of it.
    pub endpoint: Id,
    /// The file of the network namespace that it will be moved to.
    pub sandbox: String,
}

/// An endpoint's ports are to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOrder {
    /// Its network.
    pub network: Id,
    /// Docker's id of it.
    pub endpoint: Id,
    /// Which ports.
    pub ports: Vec<Wanted>,
}

/// As it comes, of all the calls that make something.
#[derive(Deserialize)]
pub(crate) struct RawEndpoint {
    #[serde(flatten)]
    subject: Subject,
    #[serde(rename = "SandboxKey", default, deserialize_with = "or_default")]
    sandbox: String,
    #[serde(rename = "Interface", default, deserialize_with = "or_default")]
    interface: RawInterface,
    #[serde(rename = "Options", default, deserialize_with = "or_default")]
    options: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
struct RawInterface {
    #[serde(rename = "Address", default, deserialize_with = "or_default")]
    v4: String,
    #[serde(rename = "AddressIPv6", default, deserialize_with = "or_default")]
    v6: String,
    #[serde(rename = "MacAddress", default, deserialize_with = "or_default")]
    mac: String,
}

impl RawEndpoint {
    fn ids(&self) -> Result<(Id, Id), String> {
        let Subject { network, endpoint } = &self.subject;
        let network =
            Id::try_from(network.clone()).map_err(|_| format!("its network {} is {NO_ID}", short(network)))?;
        Ok((network, Id::try_from(endpoint.clone()).map_err(|_| format!("this is {NO_ID}"))?))
    }

    /// Checks it; whatever is wrong is wrong with this endpoint.
    fn check<T>(&self, method: Method, understand: impl FnOnce(Id, Id) -> Result<T, String>) -> Result<T, Refused> {
        let understood = self.ids().and_then(|(network, endpoint)| understand(network, endpoint));
        understood.map_err(|why| method.refused(&short(&self.subject.endpoint), why))
    }
}

impl EndpointOrder {
    pub(crate) fn check(raw: RawEndpoint) -> Result<Self, Refused> {
        raw.check(Method::CreateEndpoint, |network, endpoint| {
            let RawInterface { v4, v6, mac } = &raw.interface;
            if !v6.is_empty() {
                return Err("an IPv6 address can not be had".to_owned());
            }
            let ip = (!v4.is_empty()).then(|| address(v4));
            let ip = ip.map(|ip| ip.ok_or_else(|| format!("'{}' is no IPv4 address", v4.escape_debug())));
            let filled =
                (!mac.is_empty()).then(|| mac.parse::<MacAddr>().map_err(|why| why.to_string())).transpose()?;
            let asked = raw.options.get(MAC).filter(|asked| !asked.is_null()).map(station).transpose()?;
            Ok(EndpointOrder {
                network,
                endpoint,
                ip: ip.transpose()?,
                mac: filled.or(asked),
                mac_is_filled: filled.is_some(),
            })
        })
    }
}

impl JoinOrder {
    pub(crate) fn check(raw: RawEndpoint) -> Result<Self, Refused> {
        raw.check(Method::Join, |network, endpoint| Ok(JoinOrder { network, endpoint, sandbox: raw.sandbox.clone() }))
    }
}

impl ProgramOrder {
    pub(crate) fn check(raw: RawEndpoint) -> Result<Self, Refused> {
        raw.check(Method::ProgramExternalConnectivity, |network, endpoint| {
            Ok(ProgramOrder { network, endpoint, ports: wanted(&raw.options)? })
        })
    }
}

/// A MAC in the options: a text as people write it, or its bytes as Go's encoder writes them, in base64.
fn station(asked: &Value) -> Result<MacAddr, String> {
    let wrong = || format!("{MAC} is no MAC address");
    let text = asked.as_str().ok_or_else(wrong)?;
    if let Ok(mac) = text.parse() {
        return Ok(mac);
    }
    let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
    bytes.try_into().map(MacAddr).map_err(|_| wrong())
}
