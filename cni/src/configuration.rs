//! [`Configuration`]: what a plugin reads on standard input, checked.
//!
//! | key | |
//! |---|---|
//! | `cniVersion`, `name`, `type` | the specification's; the network of ours has the name |
//! | `subnet`, `gateway`, `mtu`, `internal` | as `network create` has them; without a subnet a free one is chosen |
//! | `ipam` | absent, or of type `pontoon` or of none: addresses are ours ([`crate::ipam`]); of another type: that plugin's |
//! | `isDefaultGateway` | with another plugin's addresses: the default route leads to the host, whatever that plugin says |
//! | `isGateway`, `ipMasq`, `hairpinMode`, `promiscMode`, `forceAddress` | of the plugin `bridge`: with the values that tell what is done anyway |
//! | `dns` | nameservers, domain, search, options: passed on in the result |
//! | `runtimeDir`, `stateDir` | the daemon's directories, if they are not the usual ones |
//!
//! Another key is an error, so that a misspelt one is not passed over; undoing (DEL, GC) goes on regardless.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use netns::name::Name;
use serde::Deserialize;
use serde_json::Value;
use switch::mac::MacAddr;

use crate::arguments::{address, station, subnet};
use crate::capabilities::{self, Capabilities, one_address};
use crate::failure::{Code, Failure};
use crate::ipam::{Addresses, Range, Way, Wrong};
use crate::outcome::{Dns, Outcome};
use crate::version::Version;

/// The most that is read of standard input, in bytes.
pub const MAX_INPUT: usize = 1 << 20;

/// The plugin that addresses come from unless `ipam` says another.
pub const OWN_IPAM: &str = "pontoon";

/// A network as a configuration has it, and what is asked of it this time.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The version that it is written in, and the result is wanted in.
    pub version: Version,
    /// The network's name.
    pub name: Name,
    /// Its subnet.
    pub subnet: Option<Ipv4Net>,
    /// The host's address in it.
    pub gateway: Option<Ipv4Addr>,
    /// The first and the last address that are given to whoever asks for none.
    pub pool: Option<(Ipv4Addr, Ipv4Addr)>,
    /// A container's routes, where addresses are ours; the default route without it.
    pub routes: Option<Vec<Way>>,
    /// Whether the default route leads to the host, also where another plugin, which gives the addresses, says nothing of it.
    pub default_route: bool,
    /// In bytes.
    pub mtu: Option<u32>,
    /// Without a way out.
    pub internal: bool,
    /// The plugin that gives addresses, if it is not us.
    pub delegate: Option<String>,
    /// Names for the result.
    pub dns: Dns,
    /// The daemon's.
    pub runtime_dir: Option<PathBuf>,
    /// The daemon's.
    pub state_dir: Option<PathBuf>,
    /// `runtimeConfig`.
    pub capabilities: Capabilities,
    /// `args.cni.ips`, by the conventions.
    pub asked_ip: Option<Ipv4Addr>,
    /// `args.cni.mac`.
    pub asked_mac: Option<MacAddr>,
    /// What the plugins before this one, or this one on ADD, have answered.
    pub previous: Option<Outcome>,
    /// All of it as it came, for a delegate.
    pub whole: Value,
}

/// How much of a configuration has to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// All.
    Strict,
    /// What names the network: the rest is left out if it is wrong, since it has to be undone all the same.
    Undoing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    subnet: Option<String>,
    gateway: Option<String>,
    mtu: Option<u32>,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    is_default_gateway: bool,
    ipam: Option<Value>,
    #[serde(default)]
    dns: Dns,
    runtime_dir: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    runtime_config: Option<capabilities::Raw>,
    args: Option<RawArgs>,
    #[serde(flatten)]
    further: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct RawArgs {
    cni: Option<RawConventions>,
}

#[derive(Deserialize)]
struct RawConventions {
    #[serde(default)]
    ips: Vec<String>,
    mac: Option<String>,
}

/// Keys that the specification has or keeps for runtimes.
const RESERVED: [&str; 10] = [
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "capabilities",
    "prevResult",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "plugins",
];

/// Keys of the plugin `bridge` with the values that tell what is done here anyway.
const AS_BRIDGE: [(&str, &[bool]); 5] = [
    ("isGateway", &[true]),
    ("ipMasq", &[true]),
    ("hairpinMode", &[true, false]),
    ("promiscMode", &[false]),
    ("forceAddress", &[false]),
];

impl Configuration {
    /// Checks what came, in the version that it said.
    pub(crate) fn check(whole: Value, version: Version, care: Care) -> Result<Self, Failure> {
        let wrong =
            |why: String| Failure::new(Code::InvalidConfiguration, format_args!("read the configuration: {why}"));
        let name = whole.get("name").and_then(Value::as_str).ok_or_else(|| wrong("it has no name".into()))?;
        let name: Name = name.parse().map_err(|why| wrong(format!("name: {why}")))?;
        let undoing = care == Care::Undoing;
        let checked = Self::check_named(&whole, &name, version, undoing);
        match checked {
            Ok(checked) => Ok(checked),
            Err(_) if undoing => Ok(Self::bare(&whole, name, version)),
            Err(why) => Err(why),
        }
    }

    fn check_named(whole: &Value, name: &Name, version: Version, undoing: bool) -> Result<Self, Failure> {
        let decode = |why: serde_json::Error| Failure::new(Code::Decode, format_args!("read the configuration: {why}"));
        let wrong =
            |why: String| Failure::new(Code::InvalidConfiguration, format_args!("read the configuration: {why}"));
        let raw = Raw::deserialize(whole).map_err(decode)?;
        let is_known = |key: &str, value: &Value| {
            let as_bridge = AS_BRIDGE
                .iter()
                .any(|(known, values)| key == *known && value.as_bool().is_some_and(|value| values.contains(&value)));
            as_bridge || RESERVED.contains(&key) || key.starts_with("cni.dev/")
        };
        if let Some((key, value)) = raw.further.iter().find(|(key, value)| !undoing && !is_known(key, value)) {
            let message = format_args!("read the configuration: unknown key {key}: {value}");
            return Err(Failure::new(Code::UnsupportedField, message));
        }
        let delegate = delegate_of(whole);
        let own = raw.ipam.filter(|_| delegate.is_none()).map(|ipam| Addresses::read(&ipam)).transpose();
        let Addresses { range, routes } = own
            .map_err(|why| match why {
                Wrong::Unknown(key) => {
                    let message = format_args!("read the configuration: unknown key {key}");
                    Failure::new(Code::UnsupportedField, message)
                }
                Wrong::Shape(why) => Failure::new(Code::Decode, format_args!("read the configuration: {why}")),
                Wrong::Meaning(why) => wrong(why),
            })?
            .unwrap_or_default();
        let own_subnet = raw.subnet.map(|text| subnet(&text)).transpose();
        let own_gateway = raw.gateway.map(|text| address(&text)).transpose();
        let itself = Range {
            subnet: own_subnet.map_err(|why| wrong(format!("subnet: {why}")))?,
            gateway: own_gateway.map_err(|why| wrong(format!("gateway: {why}")))?,
            ..Range::default()
        };
        let asked = raw.args.and_then(|args| args.cni);
        let (ips, mac) = asked.map(|asked| (asked.ips, asked.mac)).unwrap_or_default();
        let mac = mac.map(|mac| station(&mac).map_err(|why| wrong(format!("args.cni.mac: {why}")))).transpose()?;
        let capabilities = Capabilities::check(raw.runtime_config.unwrap_or_default(), name.as_str());
        let capabilities = capabilities.map_err(|why| wrong(format!("runtimeConfig.{why}")))?;
        // A delegate sees the capability itself.
        let asked_range = capabilities.range.filter(|_| delegate.is_none()).unwrap_or_default();
        let ranges = [itself, range, asked_range];
        Ok(Configuration {
            subnet: agreed("subnet", ranges.map(|range| range.subnet)).map_err(wrong)?,
            gateway: agreed("gateway", ranges.map(|range| range.gateway)).map_err(wrong)?,
            pool: asked_range.ends().or(range.ends()),
            routes,
            default_route: raw.is_default_gateway,
            mtu: raw.mtu,
            internal: raw.internal,
            dns: raw.dns,
            runtime_dir: raw.runtime_dir,
            state_dir: raw.state_dir,
            delegate,
            capabilities,
            asked_ip: one_address(&ips).map_err(|why| wrong(format!("args.cni.{why}")))?,
            asked_mac: mac,
            previous: whole.get("prevResult").map(Outcome::deserialize).transpose().map_err(decode)?,
            ..Self::bare(whole, name.clone(), version)
        })
    }

    /// What is left of one of which nothing but the name, the directories and the delegate can be relied on.
    fn bare(whole: &Value, name: Name, version: Version) -> Self {
        let text = |key: &str| whole.get(key).and_then(Value::as_str);
        Configuration {
            version,
            name,
            subnet: None,
            gateway: None,
            pool: None,
            routes: None,
            default_route: false,
            mtu: None,
            internal: false,
            delegate: delegate_of(whole),
            dns: Dns::default(),
            runtime_dir: text("runtimeDir").map(PathBuf::from),
            state_dir: text("stateDir").map(PathBuf::from),
            capabilities: Capabilities::default(),
            asked_ip: None,
            asked_mac: None,
            previous: None,
            whole: whole.clone(),
        }
    }
}

/// The plugin that gives addresses, if it is not us.
fn delegate_of(whole: &Value) -> Option<String> {
    let kind = whole.pointer("/ipam/type").and_then(Value::as_str);
    kind.filter(|kind| !kind.is_empty() && *kind != OWN_IPAM).map(String::from)
}

/// What several places say, if they say the same.
fn agreed<T: Copy + PartialEq + std::fmt::Display>(what: &str, said: [Option<T>; 3]) -> Result<Option<T>, String> {
    let mut said = said.into_iter().flatten();
    let Some(first) = said.next() else { return Ok(None) };
    match said.find(|other| *other != first) {
        Some(other) => Err(format!("{what}: {first} in one place, {other} in another")),
        None => Ok(Some(first)),
    }
}
