//! [`NetworkOrder`]: a network as dockerd wants it made.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netns::name::Id;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Method;
use crate::failure::Refused;
use crate::lenient::{NO_ID, or_default, short};
use crate::options::{Options, texts};

const GENERIC: &str = "com.docker.network.generic";
const INTERNAL: &str = "com.docker.network.internal";
const ENABLE_IPV4: &str = "com.docker.network.enable_ipv4";
const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
const NO_IPV6: &str = "IPv6 can not be had: create it without --ipv6 and without an IPv6 subnet";

/// A network to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOrder {
    /// Docker's id of it, which will be ours.
    pub id: Id,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The host's.
    pub gateway: Ipv4Addr,
    /// `--aux-address`: addresses that Docker gives to nobody.
    pub reserved: Vec<Ipv4Addr>,
    /// `--internal`.
    pub internal: bool,
    /// `-o`, understood.
    pub options: Options,
    /// `-o`, as it was said.
    pub said: BTreeMap<String, String>,
}

/// As it comes.
#[derive(Deserialize)]
pub(crate) struct RawNetwork {
    #[serde(rename = "NetworkID")]
    id: String,
    #[serde(rename = "Options", default, deserialize_with = "or_default")]
    options: BTreeMap<String, Value>,
    #[serde(rename = "IPv4Data", default, deserialize_with = "or_default")]
    v4: Vec<RawAddresses>,
    #[serde(rename = "IPv6Data", default, deserialize_with = "or_default")]
    v6: Vec<RawAddresses>,
}

#[derive(Deserialize)]
struct RawAddresses {
    #[serde(rename = "Pool", default, deserialize_with = "or_default")]
    pool: String,
    #[serde(rename = "Gateway", default, deserialize_with = "or_default")]
    gateway: String,
    #[serde(rename = "AuxAddresses", default, deserialize_with = "or_default")]
    reserved: BTreeMap<String, String>,
}

impl NetworkOrder {
    pub(crate) fn check(raw: RawNetwork) -> Result<Self, Refused> {
        let object = short(&raw.id);
        Self::understand(raw).map_err(|why| Method::CreateNetwork.refused(&object, why))
    }

    fn understand(raw: RawNetwork) -> Result<Self, String> {
        let id = Id::try_from(raw.id).map_err(|_| format!("this is {NO_ID}"))?;
        let truth = |key: &str, otherwise| match raw.options.get(key) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(value) => value.as_bool().ok_or_else(|| format!("{key} is neither true nor false")),
        };
        if truth(ENABLE_IPV6, false)? || !raw.v6.is_empty() {
            return Err(NO_IPV6.to_owned());
        }
        if !truth(ENABLE_IPV4, true)? {
            return Err("a network without IPv4 can not be had".to_owned());
        }
        let [addresses] = raw.v4.as_slice() else {
            return Err(match raw.v4.len() {
                0 => "it has no IPv4 subnet, and a network takes one".to_owned(),
                several => format!("it has {several} IPv4 subnets, and a network takes one"),
            });
        };
        let (subnet, gateway) = (pool(&addresses.pool)?, gateway(&addresses.gateway)?);
        let reserved = addresses.reserved.iter().map(|(name, text)| {
            address(text).ok_or_else(|| format!("the reserved address {} is none: '{}'", short(name), short(text)))
        });
        let said = raw.options.get(GENERIC).map(texts).transpose()?.unwrap_or_default();
        Ok(NetworkOrder {
            id,
            subnet,
            gateway,
            reserved: reserved.collect::<Result<_, _>>()?,
            internal: truth(INTERNAL, false)?,
            options: Options::read(&said)?,
            said,
        })
    }
}

fn pool(text: &str) -> Result<Ipv4Net, String> {
    text.parse().map_err(|_| format!("the subnet is none of IPv4: '{}'", short(text)))
}

/// Only with one does Docker know that it is not to be given to a container.
fn gateway(text: &str) -> Result<Ipv4Addr, String> {
    if text.is_empty() {
        return Err("it has no gateway: Docker's IPAM driver must name one".to_owned());
    }
    address(text).ok_or_else(|| format!("the gateway is no IPv4 address: '{}'", short(text)))
}

/// Addresses come with the length of their prefix, whatever the protocol's document says.
pub(crate) fn address(text: &str) -> Option<Ipv4Addr> {
    text.parse::<Ipv4Net>().map(|net| net.addr()).or_else(|_| text.parse()).ok()
}
