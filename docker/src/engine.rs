//! What dockerd's own API says of names and of what is there: the protocol sends only ids, and sends some never.

use std::collections::{BTreeMap, BTreeSet};

use netns::name::{Id, Name};
use serde::Deserialize;

use crate::lenient::or_default;

/// Where a network is to be had.
#[must_use]
pub fn network_path(network: &Id) -> String {
    format!("/networks/{network}")
}

/// Where the containers that run are to be had, and those that are about to.
pub const CONTAINERS: &str = "/containers/json?all=1";

/// Where it is told when a container is called something else: `{"type":["container"],"event":["rename"]}`.
pub const RENAMES: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22rename%22%5D%7D";

#[derive(Deserialize)]
struct RawNetwork {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Id")]
    id: String,
}

/// A network's name, from what is at [`network_path`]; none if it is not of this network, or has a name that none of ours could have.
#[must_use]
pub fn network_name(network: &Id, body: &[u8]) -> Option<Name> {
    let RawNetwork { name, id } = serde_json::from_slice(body).ok()?;
    if id == network.as_str() { name.parse().ok() } else { None }
}

#[derive(Deserialize)]
struct RawMembers {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Containers")]
    containers: BTreeMap<String, RawEndpoint>,
}

#[derive(Deserialize)]
struct RawEndpoint {
    #[serde(rename = "EndpointID")]
    endpoint: String,
}

/// The ids of a network's endpoints, from what is at [`network_path`]; none if it is not of this network, or does not say.
#[must_use]
pub fn network_endpoints(network: &Id, body: &[u8]) -> Option<BTreeSet<String>> {
    let RawMembers { id, containers } = serde_json::from_slice(body).ok()?;
    (id == network.as_str()).then(|| containers.into_values().map(|member| member.endpoint).collect())
}

#[derive(Deserialize)]
struct RawMessage {
    message: String,
}

/// Whether what is at [`network_path`] says that there is no such network, as Docker says it.
#[must_use]
pub fn is_no_network(network: &Id, body: &[u8]) -> bool {
    let said = serde_json::from_slice(body);
    said.is_ok_and(|RawMessage { message }| message == format!("network {network} not found"))
}

#[derive(Deserialize)]
struct RawContainer {
    #[serde(rename = "Names", default, deserialize_with = "or_default")]
    names: Vec<String>,
    #[serde(rename = "NetworkSettings", default, deserialize_with = "or_default")]
    settings: RawSettings,
}

#[derive(Default, Deserialize)]
struct RawSettings {
    #[serde(rename = "Networks", default, deserialize_with = "or_default")]
    networks: BTreeMap<String, RawMember>,
}

#[derive(Default, Deserialize)]
struct RawMember {
    #[serde(rename = "EndpointID", default, deserialize_with = "or_default")]
    endpoint: String,
}

/// The names of containers, by the ids of their endpoints, from what is at [`CONTAINERS`].
#[must_use]
pub fn container_names(body: &[u8]) -> BTreeMap<String, Name> {
    let containers: Vec<RawContainer> = serde_json::from_slice(body).unwrap_or_default();
    let named = containers.into_iter().filter_map(|container| {
        // A name behind another's is what a container calls the one that it is linked to.
        let own = container.names.iter().find_map(|name| name.strip_prefix('/').filter(|own| !own.contains('/')));
        Some((own?.parse::<Name>().ok()?, container.settings.networks))
    });
    let endpoints = named.flat_map(|(name, networks)| {
        networks
            .into_values()
            .filter(|member| !member.endpoint.is_empty())
            .map(move |member| (member.endpoint, name.clone()))
    });
    endpoints.collect()
}
