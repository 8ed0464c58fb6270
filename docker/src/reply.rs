//! What is answered, where it is more than that it is done.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use switch::mac::MacAddr;

/// Done, and there is nothing to say.
#[must_use]
pub fn done() -> Value {
    json!({})
}

/// What the plugin is for.
#[must_use]
pub fn activated() -> Value {
    json!({"Implements": ["NetworkDriver"]})
}

/// Networks are of one host.
#[must_use]
pub fn capabilities() -> Value {
    json!({"Scope": "local", "ConnectivityScope": "local", "GwAllocChecker": false})
}

/// Every network has a gateway of IPv4, and none of IPv6.
#[must_use]
pub fn gateways() -> Value {
    json!({"SkipIPv4": false, "SkipIPv6": true})
}

/// An endpoint is made. Only what dockerd left empty may be filled in: what it knows already is an error to it.
#[must_use]
pub fn endpoint(address: Option<Ipv4Net>, mac: Option<MacAddr>) -> Value {
    let mut interface = serde_json::Map::new();
    interface.extend(address.map(|address| ("Address".to_owned(), address.to_string().into())));
    interface.extend(mac.map(|mac| ("MacAddress".to_owned(), mac.to_string().into())));
    json!({"Interface": interface})
}

/// What there is to be told of an endpoint: nothing. (An error here would keep a container from its start.)
#[must_use]
pub fn nothing_to_tell() -> Value {
    json!({"Value": {}})
}

/// The interface to be moved into the sandbox, what its name there begins with, and where the default route goes. Without one dockerd is
/// told not to look for another way out: it would add a second interface, on a bridge of its own.
#[must_use]
pub fn joined(interface: &str, prefix: &str, gateway: Option<Ipv4Addr>) -> Value {
    let name = json!({"SrcName": interface, "DstPrefix": prefix});
    match gateway {
        Some(gateway) => json!({"InterfaceName": name, "Gateway": gateway}),
        None => json!({"InterfaceName": name, "DisableGatewayService": true}),
    }
}
