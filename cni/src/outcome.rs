//! [`Outcome`]: the result of an ADD, in the form of each version.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::version::Version;

/// What an ADD has made, together with what plugins before it have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Interfaces, in the order in which they were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Address>,
    /// Routes in the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Who resolves names.
    pub dns: Dns,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The network namespace, as the runtime gave it; empty for one of the host's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// A socket that a switch in user space is reached by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// A device's, of others in the chain.
    #[serde(rename = "pciID", skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
}

/// An address of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// With its prefix length.
    pub address: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Which of the interfaces has it, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
}

/// A route in the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Where to.
    pub dst: String,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gw: Option<String>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// What TCP announces, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// Lower is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Of which routing table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// As in rtnetlink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<u32>,
}

/// Who resolves names, in the result's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Addresses of resolvers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The container's own domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// As in resolv.conf.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Keys of an interface and of a route that came with 1.1.0.
const NEW_OF_INTERFACE: [&str; 3] = ["mtu", "socketPath", "pciID"];
const NEW_OF_ROUTE: [&str; 5] = ["mtu", "advmss", "priority", "table", "scope"];

impl Outcome {
    /// What goes to standard output. What the version has no words for is left out.
    #[must_use]
    pub fn to_json(&self, version: Version) -> Value {
        let mut result = json!(self);
        result["cniVersion"] = json!(version.as_str());
        if version < Version::V1_1_0 {
            forget(&mut result["interfaces"], &NEW_OF_INTERFACE);
            forget(&mut result["routes"], &NEW_OF_ROUTE);
        }
        for ip in result["ips"].as_array_mut().into_iter().flatten().filter(|_| version < Version::V1_0_0) {
            let is_v6 = ip["address"].as_str().is_some_and(|address| address.contains(':'));
            ip["version"] = json!(if is_v6 { "6" } else { "4" });
        }
        // Looking for a list that is not there has left a null.
        if let Some(result) = result.as_object_mut() {
            result.retain(|_, value| !value.is_null());
        }
        result
    }

    /// Adds an interface with its addresses and routes to what plugins before this one have made.
    pub fn add(&mut self, interface: Interface, ips: Vec<Address>, routes: Vec<Route>) {
        let place = self.interfaces.len();
        self.interfaces.push(interface);
        self.ips.extend(ips.into_iter().map(|ip| Address { interface: Some(place), ..ip }));
        self.routes.extend(routes);
    }
}

fn forget(list: &mut Value, keys: &[&str]) {
    for each in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        each.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
