//! [`Capabilities`]: `runtimeConfig`, what a runtime asks of the capabilities that a configuration says it has.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use netns::name::Name;
use netns::publish::{self, PortMapping, Protocol};
use serde::Deserialize;
use switch::mac::MacAddr;

use crate::arguments::{address, station};
use crate::ipam::{Range, RawRange, Wrong, one_range};

/// How many further names a container may have on a network.
pub const MAX_ALIASES: usize = 64;
/// How many resolvers, search domains and options each a container may have.
pub const MAX_DNS: usize = 16;

/// What a runtime asks for, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `portMappings`, none of which overlap.
    pub publish: Vec<PortMapping>,
    /// `ips`: at most one, IPv4.
    pub ip: Option<Ipv4Addr>,
    /// `mac`.
    pub mac: Option<MacAddr>,
    /// `ipRanges`: at most one.
    pub range: Option<Range>,
    /// `dns`.
    pub dns: Dns,
    /// `aliases`.
    pub aliases: Vec<Name>,
}

/// Who resolves names, in the capability's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Dns {
    /// Addresses of resolvers.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Search domains.
    #[serde(default)]
    pub searches: Vec<String>,
    /// As in resolv.conf.
    #[serde(default)]
    pub options: Vec<String>,
}

/// As it comes. Keys that are not known here are capabilities of others in the chain.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Raw {
    port_mappings: Option<Vec<RawMapping>>,
    ips: Option<Vec<String>>,
    mac: Option<String>,
    ip_ranges: Option<Vec<Vec<RawRange>>>,
    dns: Option<Dns>,
    aliases: Option<RawAliases>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMapping {
    host_port: u16,
    container_port: u16,
    #[serde(default)]
    protocol: String,
    #[serde(default, rename = "hostIP")]
    host_ip: String,
}

/// The conventions have a list; Podman sends a list for each network, by the network's name.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawAliases {
    Here(Vec<String>),
    Everywhere(BTreeMap<String, Vec<String>>),
}

impl Capabilities {
    /// Checks what came for a network.
    pub(crate) fn check(raw: Raw, network: &str) -> Result<Self, String> {
        let publish = raw.port_mappings.unwrap_or_default().iter().map(mapping).collect::<Result<Vec<_>, _>>()?;
        publish::check(&publish).map_err(|why| format!("portMappings: {why}"))?;
        let ips = raw.ips.unwrap_or_default();
        let range = one_range(raw.ip_ranges.unwrap_or_default(), "ipRanges").map_err(|wrong| match wrong {
            Wrong::Unknown(key) => format!("{key} is not known"),
            Wrong::Shape(why) | Wrong::Meaning(why) => why,
        })?;
        let mac = raw.mac.filter(|mac| !mac.is_empty());
        let mac = mac.map(|mac| station(&mac).map_err(|why| format!("mac: {why}"))).transpose()?;
        let aliases = match raw.aliases {
            None => Vec::new(),
            Some(RawAliases::Here(aliases)) => aliases,
            Some(RawAliases::Everywhere(mut all)) => all.remove(network).unwrap_or_default(),
        };
        at_most("aliases", aliases.len(), MAX_ALIASES)?;
        let aliases = aliases.into_iter().map(|alias| alias.parse::<Name>().map_err(|why| format!("aliases: {why}")));
        let dns = raw.dns.unwrap_or_default();
        dns.check()?;
        Ok(Capabilities {
            publish,
            ip: one_address(&ips)?,
            mac,
            range,
            dns,
            aliases: aliases.collect::<Result<_, _>>()?,
        })
    }
}

impl Dns {
    fn check(&self) -> Result<(), String> {
        for (what, list) in [("servers", &self.servers), ("searches", &self.searches), ("options", &self.options)] {
            at_most(&format!("dns.{what}"), list.len(), MAX_DNS)?;
            if let Some(word) =
                list.iter().find(|word| word.is_empty() || word.contains(|c: char| !c.is_ascii_graphic()))
            {
                return Err(format!("dns.{what}: '{}' is no word of resolv.conf", word.escape_debug()));
            }
        }
        match self.servers.iter().find(|server| server.parse::<IpAddr>().is_err()) {
            Some(server) => Err(format!("dns.servers: '{server}' is no address")),
            None => Ok(()),
        }
    }
}

/// The one address of a list.
pub(crate) fn one_address(ips: &[String]) -> Result<Option<Ipv4Addr>, String> {
    match ips {
        [] => Ok(None),
        [ip] => address(ip).map(Some).map_err(|why| format!("ips: {why}")),
        _ => Err("ips: a container has one address on a network".into()),
    }
}

fn at_most(what: &str, have: usize, most: usize) -> Result<(), String> {
    if have > most { Err(format!("{what}: {have} are too many: at most {most}")) } else { Ok(()) }
}

fn mapping(raw: &RawMapping) -> Result<PortMapping, String> {
    let wrong = |why: String| format!("portMappings: {why}");
    let protocol = match raw.protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => return Err(wrong(format!("{}/sctp: ports of SCTP can not be published", raw.container_port))),
        _ => return Err(wrong(format!("protocol '{}' is neither tcp nor udp", raw.protocol.escape_debug()))),
    };
    let ip = match raw.host_ip.as_str() {
        "" => Ipv4Addr::UNSPECIFIED,
        ip => address(ip).map_err(wrong)?,
    };
    if ip.is_multicast() || ip.is_broadcast() {
        return Err(wrong(format!("{ip} is no address of a host")));
    }
    if raw.host_port == 0 || raw.container_port == 0 {
        return Err(wrong(format!("{}:{}: a port is from 1 to 65535", raw.host_port, raw.container_port)));
    }
    Ok(PortMapping { ip, host: raw.host_port, container: raw.container_port, protocol })
}
