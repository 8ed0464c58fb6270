//! [`Wanted`]: a port of a container that is to be had by a port of the host, of which the user may leave the choice to us.
//!
//! * `-p 8080:80` names one, `-p 8000-8010:80` several to choose from, `-P` none: then it is one of [`ANY`].
//! * What comes for exposed ports alone publishes nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use netns::publish::{MAX_PORTS, PortMapping, Protocol, check};
use serde::Deserialize;
use serde_json::Value;

use crate::lenient::or_default;

const PORTMAP: &str = "com.docker.network.portmap";
/// The ports that are chosen from when the user leaves it to us: those that IANA gives to nobody.
pub const ANY: RangeInclusive<u16> = 49_153..=65_535;
/// How many ports of the host are tried for one of a container's.
const TRIES: usize = 4096;

/// One port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Which, not 0.
    pub container: u16,
    /// Which address of the host; none if the user did not say.
    pub ip: Option<Ipv4Addr>,
    /// The ports of the host that will do, none of them 0.
    pub host: RangeInclusive<u16>,
}

#[derive(Deserialize)]
struct RawPort {
    #[serde(rename = "Proto")]
    protocol: u8,
    #[serde(rename = "Port")]
    container: u16,
    #[serde(rename = "HostIP", default, deserialize_with = "or_default")]
    ip: String,
    #[serde(rename = "HostPort", default, deserialize_with = "or_default")]
    first: u16,
    #[serde(rename = "HostPortEnd", default, deserialize_with = "or_default")]
    last: u16,
}

/// The ports that the options of a call want published.
pub(crate) fn wanted(options: &BTreeMap<String, Value>) -> Result<Vec<Wanted>, String> {
    let Some(listed) = options.get(PORTMAP).filter(|listed| !listed.is_null()) else { return Ok(Vec::new()) };
    let raw = Vec::<RawPort>::deserialize(listed).map_err(|why| format!("{PORTMAP}: {why}"))?;
    if raw.len() > MAX_PORTS {
        return Err(format!("{} published ports are too many: a container has at most {MAX_PORTS}", raw.len()));
    }
    raw.iter().map(Wanted::understand).collect()
}

impl Wanted {
    fn understand(raw: &RawPort) -> Result<Self, String> {
        let container = raw.container;
        let protocol = match raw.protocol {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            132 => {
                return Err(format!("port {container}/sctp: only TCP and UDP can be published"));
            }
            other => {
                return Err(format!("port {container} of IP protocol {other}: only TCP and UDP can be published"));
            }
        };
        let wrong = |why: &str| Err(format!("port {container}/{protocol}: {why}"));
        if container == 0 {
            return wrong("0 is no port");
        }
        let ip = match raw.ip.as_str() {
            "" => None,
            text => match text.parse::<Ipv4Addr>() {
                Ok(ip) if ip.is_multicast() || ip.is_broadcast() => {
                    return wrong(&format!("{ip} is no address of a host"));
                }
                Ok(ip) => Some(ip),
                Err(_) if text.parse::<std::net::Ipv6Addr>().is_ok() => {
                    return wrong(&format!("{text} is an IPv6 address, and only IPv4 ones can be published on"));
                }
                Err(_) => return wrong(&format!("'{}' is no address of a host", text.escape_debug())),
            },
        };
        let host = match (raw.first, raw.last) {
            (0, _) => ANY,
            (first, 0) => first..=first,
            (first, last) if first > last => return wrong(&format!("the range {first}-{last} is inverted")),
            (first, last) => first..=last,
        };
        Ok(Wanted { protocol, container, ip, host })
    }

    /// Whether a mapping is what was wanted; `otherwise` is the address where the user did not say one.
    fn is_met_by(&self, mapping: &PortMapping, otherwise: Ipv4Addr) -> bool {
        mapping.protocol == self.protocol
            && mapping.container == self.container
            && mapping.ip == self.ip.unwrap_or(otherwise)
            && self.host.contains(&mapping.host)
    }
}

/// Whether an endpoint that has these mappings has what was wanted.
#[must_use]
pub fn are_met(wanted: &[Wanted], mappings: &[PortMapping], otherwise: Ipv4Addr) -> bool {
    wanted.len() == mappings.len()
        && wanted.iter().zip(mappings).all(|(wanted, mapping)| wanted.is_met_by(mapping, otherwise))
}

/// A port of the host for each, in order; `is_free` says whether one can be had. A single one is not asked for: whether it can be
/// had shows when it is taken.
///
/// # Errors
/// Which port has none, or which two want the same.
pub fn choose(
    wanted: &[Wanted],
    otherwise: Ipv4Addr,
    mut is_free: impl FnMut(&PortMapping) -> bool,
) -> Result<Vec<PortMapping>, String> {
    let mapping = |wanted: &Wanted, host| PortMapping {
        ip: wanted.ip.unwrap_or(otherwise),
        host,
        container: wanted.container,
        protocol: wanted.protocol,
    };
    let named = wanted.iter().filter(|wanted| wanted.host.len() == 1);
    // What was named is not for those that may have another.
    let named: Vec<PortMapping> = named.map(|wanted| mapping(wanted, *wanted.host.start())).collect();
    let mut chosen: Vec<PortMapping> = Vec::new();
    for wanted in wanted {
        if wanted.host.len() == 1 {
            chosen.push(mapping(wanted, *wanted.host.start()));
            continue;
        }
        let candidates = wanted.host.clone().map(|host| mapping(wanted, host));
        let candidates = candidates.filter(|mapping| !named.iter().chain(&chosen).any(|other| other.overlaps(mapping)));
        let found = candidates.take(TRIES).find(|mapping| is_free(mapping));
        chosen.push(found.ok_or_else(|| {
            let (first, last) = (wanted.host.start(), wanted.host.end());
            format!("no port of the host is free for {}/{} in {first}-{last}", wanted.container, wanted.protocol)
        })?);
    }
    check(&chosen).map_err(|why| why.to_string())?;
    Ok(chosen)
}
