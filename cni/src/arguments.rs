//! [`Arguments`]: `CNI_ARGS`, `KEY=VALUE;KEY=VALUE`. The specification deprecates it; runtimes tell the container's name in it.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use netns::name::Name;
use switch::mac::MacAddr;

use crate::failure::{Code, Failure};

/// What of `CNI_ARGS` means something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `IP`: the address that the container asks for.
    pub ip: Option<Ipv4Addr>,
    /// `MAC`: the same of its MAC.
    pub mac: Option<MacAddr>,
    /// `K8S_POD_NAME`: what people call the container. One that is no name here (a pod's may have 253 letters) is left out.
    pub name: Option<Name>,
    /// `K8S_POD_NAMESPACE`: where it is called so.
    pub namespace: Option<Name>,
}

impl Arguments {
    /// Reads them. An unknown key is an error unless `IgnoreUnknown` is set, before or behind it.
    ///
    /// # Errors
    /// [`Code::InvalidEnvironment`], naming the key.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::new(Code::InvalidEnvironment, format_args!("read CNI_ARGS: {why}"));
        let mut arguments = Arguments::default();
        let mut ignore = false;
        let mut unknown = Vec::new();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| wrong(format!("'{pair}' is not KEY=VALUE")))?;
            match key {
                "IgnoreUnknown" => {
                    ignore = boolean(value).ok_or_else(|| wrong(format!("IgnoreUnknown={value} is no boolean")))?;
                }
                "IP" => arguments.ip = Some(address(value).map_err(wrong)?),
                "MAC" => {
                    arguments.mac = Some(station(value).map_err(wrong)?);
                }
                "K8S_POD_NAME" => arguments.name = value.parse().ok(),
                "K8S_POD_NAMESPACE" => arguments.namespace = value.parse().ok(),
                "K8S_POD_INFRA_CONTAINER_ID" | "K8S_POD_UID" => {}
                _ => unknown.push(key),
            }
        }
        if !ignore && !unknown.is_empty() {
            return Err(wrong(format!("unknown: {}; IgnoreUnknown=1 lets them pass", unknown.join(", "))));
        }
        Ok(arguments)
    }
}

/// An address, with or without a prefix length.
///
/// # Errors
/// If it is none, or one of IPv6.
pub fn address(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse().or_else(|_| text.parse().map(|net: IpNet| net.addr())) {
        Ok(IpAddr::V4(address)) => Ok(address),
        Ok(IpAddr::V6(_)) => Err(format!("'{text}' is an IPv6 address, and {ONLY_IPV4}")),
        Err(_) => Err(format!("'{}' is no IPv4 address", text.escape_debug())),
    }
}

/// A prefix, with or without host bits.
///
/// # Errors
/// If it is none, or one of IPv6.
pub fn subnet(text: &str) -> Result<Ipv4Net, String> {
    match text.parse() {
        Ok(IpNet::V4(net)) => Ok(net),
        Ok(IpNet::V6(_)) => Err(format!("'{text}' is an IPv6 subnet, and {ONLY_IPV4}")),
        Err(_) => Err(format!("'{}' is no IPv4 subnet", text.escape_debug())),
    }
}

/// Why an address of IPv6 is refused.
const ONLY_IPV4: &str = "Pontoon gives addresses of IPv4 only";

/// A MAC address that a station can have.
pub(crate) fn station(text: &str) -> Result<MacAddr, String> {
    let mac: MacAddr = text.parse().map_err(|why| format!("{why}"))?;
    if mac.is_multicast() || mac == MacAddr::ZERO { Err(format!("{mac} is no station's address")) } else { Ok(mac) }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}
