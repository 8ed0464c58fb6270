//! [`Options`]: what `docker network create -o` says.
//!
//! | option | |
//! |---|---|
//! | `com.docker.network.driver.mtu` | the longest packet, in bytes |
//! | `com.docker.network.bridge.name` | what the bridge is called, instead of `br-` and digits of the id |
//! | `com.docker.network.bridge.host_binding_ipv4` | where ports are published that name no address of the host |
//! | `com.docker.network.container_iface_prefix` | what a container's interfaces are called, before their number: `eth` |
//!
//! Others of Docker's bridge, and ours (`endpoint=tap`), are taken if they say what is so anyway (`enable_icc=true`). All else is refused: what is misspelt, or
//! can not be had, is not to be found out later.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netns::ifname::{IfName, MAX_IFNAME};
use serde::Deserialize;
use serde_json::Value;

const MTU: &str = "com.docker.network.driver.mtu";
const BRIDGE: &str = "com.docker.network.bridge.name";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
/// What else Docker's bridge or ours knows, and the only value of it that is true here.
const FIXED: [(&str, &str); 7] = [
    ("com.docker.network.bridge.default_bridge", "false"),
    ("com.docker.network.bridge.enable_icc", "true"),
    ("com.docker.network.bridge.enable_ip_masquerade", "true"),
    ("com.docker.network.bridge.gateway_mode_ipv4", "nat"),
    ("com.docker.network.bridge.inhibit_ipv4", "false"),
    ("com.docker.network.enable_ipv4", "true"),
    ("endpoint", "tap"),
];
/// What a container's interface is called before its number, where nothing else was asked for.
pub const DEFAULT_PREFIX: &str = "eth";
/// How many digits the number of an interface may have.
const DIGITS: usize = 3;

/// What was asked for, as far as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// In bytes.
    pub mtu: Option<u32>,
    /// The bridge's name.
    pub bridge: Option<IfName>,
    /// Where ports are published that name no address of the host.
    pub host_binding: Ipv4Addr,
    /// What a container's interfaces are called before their number.
    pub prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { mtu: None, bridge: None, host_binding: Ipv4Addr::UNSPECIFIED, prefix: DEFAULT_PREFIX.to_owned() }
    }
}

impl Options {
    /// Reads them: by their names, as texts.
    ///
    /// # Errors
    /// Which option is wrong, and why.
    pub fn read<'a>(given: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Self, String> {
        let mut options = Options::default();
        for (name, value) in given {
            options.take(name, value).map_err(|why| format!("-o {}={}: {why}", printed(name), printed(value)))?;
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            MTU => self.mtu = Some(value.parse().map_err(|_| "this is no number of bytes".to_owned())?),
            BRIDGE => self.bridge = Some(value.parse().map_err(|why| format!("{why}"))?),
            HOST_BINDING => {
                let address: Ipv4Addr = value.parse().map_err(|_| "this is no IPv4 address".to_owned())?;
                if address.is_multicast() || address.is_broadcast() {
                    return Err("this is no address of a host".to_owned());
                }
                self.host_binding = address;
            }
            PREFIX => self.prefix = prefix(value)?,
            _ => return fixed(name, value),
        }
        Ok(())
    }
}

/// A prefix makes a name of an interface with any number behind it.
fn prefix(value: &str) -> Result<String, String> {
    let named: IfName = format!("{value}0").parse().map_err(|why| format!("{why}"))?;
    if value.is_empty() || named.as_str().len() + DIGITS - 1 > MAX_IFNAME {
        return Err(format!("1 to {} bytes are expected", MAX_IFNAME - DIGITS));
    }
    Ok(value.to_owned())
}

fn fixed(name: &str, value: &str) -> Result<(), String> {
    let Some((_, only)) = FIXED.into_iter().find(|(known, _)| *known == name) else {
        return Err(format!("there is no such option; there are {MTU}, {BRIDGE}, {HOST_BINDING}, {PREFIX}"));
    };
    if canonical(value) == only { Ok(()) } else { Err(format!("only {only} can be had")) }
}

/// Docker takes any of Go's words for yes and no.
fn canonical(value: &str) -> &str {
    match value {
        "1" | "t" | "T" | "TRUE" | "True" => "true",
        "0" | "f" | "F" | "FALSE" | "False" => "false",
        other => other,
    }
}

/// A bounded piece of what somebody sent, without anything that would not show.
fn printed(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

/// The options as dockerd sends them: texts, but a number or a truth is taken for its text.
///
/// # Errors
/// If it is something else.
pub(crate) fn texts(generic: &Value) -> Result<BTreeMap<String, String>, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Plain {
        Text(String),
        Truth(bool),
        Number(serde_json::Number),
    }
    if generic.is_null() {
        return Ok(BTreeMap::new());
    }
    let given = BTreeMap::<String, Plain>::deserialize(generic);
    let given = given.map_err(|_| "the options are no object of texts".to_owned())?;
    let text = |plain| match plain {
        Plain::Text(text) => text,
        Plain::Truth(truth) => truth.to_string(),
        Plain::Number(number) => number.to_string(),
    };
    Ok(given.into_iter().map(|(name, plain)| (name, text(plain))).collect())
}
