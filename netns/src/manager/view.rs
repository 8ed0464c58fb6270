//! What is shown of containers and networks. JSON keys, once published, stay.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;
use switch::verdict::PortId;

use super::Manager;
use crate::backend::Backend;
use crate::error::Error;
use crate::mode::NetworkMode;
use crate::name::Id;
use crate::network::{EndpointKind, Network, Owner};
use crate::record::{Phase, Record};

/// The ids of the two networks that are no bridges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Predefined {
    pub(super) host: Id,
    pub(super) none: Id,
}

/// A line of `network ls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// The id, 64 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// Always `local`.
    pub scope: String,
    /// The engine that has made it and alone removes it, if one has: `docker` or `cni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// What `network inspect` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDetails {
    /// The id, 64 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// Always `local`.
    pub scope: String,
    /// When it was made, in seconds since 1970; 0 for those that are always there.
    pub created: u64,
    /// Whether no way leads out of it.
    pub internal: bool,
    /// Its subnet; `null` for those that have none.
    pub subnet: Option<Ipv4Net>,
    /// The host's address in it.
    pub gateway: Option<Ipv4Addr>,
    /// Where addresses that nobody asked for are taken from, if not from the whole subnet.
    pub ip_range: Option<Ipv4Net>,
    /// The MTU of its interfaces, in bytes.
    pub mtu: Option<u32>,
    /// Its bridge, and the host's interface in it.
    pub bridge: Option<String>,
    /// The MAC of the bridge.
    pub mac: Option<MacAddr>,
    /// What its containers' interfaces are: `tap` or `veth`.
    pub endpoint: Option<EndpointKind>,
    /// What the user has written on it.
    pub labels: BTreeMap<String, String>,
    /// The engine that has made it and alone removes it, if one has: `docker` or `cni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The containers on it, by their ids.
    pub containers: BTreeMap<String, MemberView>,
}

/// A container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// The container's name.
    pub name: String,
    /// What its interface is called inside; `null` where it has none of its own.
    pub ifname: Option<String>,
    /// Its address, with the prefix length.
    pub ip: Option<Ipv4Net>,
    /// Its MAC.
    pub mac: Option<MacAddr>,
}

/// An interface of a container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceView {
    /// Its address, with the prefix length.
    pub ip: Ipv4Net,
    /// Its MAC.
    pub mac: MacAddr,
    /// The default route's next hop.
    pub gateway: Ipv4Addr,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// What it is called inside.
    pub ifname: String,
    /// Further names of the container on this network.
    pub aliases: Vec<String>,
    /// The name of its port on the switch; `null` if the interface is gone.
    pub port: Option<String>,
}

/// A container, as `inspect` and `ps` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerView {
    /// The id, 64 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The process of its command, as the host numbers it; 0 when it does not run.
    pub pid: u32,
    /// `created`, `running` or `exited`.
    pub state: String,
    /// The exit status, once it has ended.
    pub exit_status: Option<i32>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ended, in seconds since 1970.
    pub finished: Option<u64>,
    /// The command and its arguments; of another engine's `(docker)` or `(cni)`.
    pub command: Vec<String>,
    /// Its host name; `null` if it has the host's.
    pub hostname: Option<String>,
    /// What `--network` said.
    pub network_mode: NetworkMode,
    /// Network's name → its interface there.
    pub networks: BTreeMap<String, InterfaceView>,
    /// Published ports; none while nothing is passed on, as on a network that is internal, or when somebody has ended the
    /// process that did and has the ports.
    pub published: Vec<String>,
    /// Whether it was started with `-d`.
    pub detached: bool,
    /// Whether it was started with `--rm`.
    pub auto_remove: bool,
    /// The engine whose it is, if it is not ours: `docker` or `cni`. Then it has no command, and the process is a keeper of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Owner>,
}

impl<B: Backend> Manager<B> {
    /// All networks, as `network ls` lists them.
    #[must_use]
    pub fn networks(&self) -> Vec<NetworkView> {
        let view = |id: &Id, name: &str, driver: &str, owner| NetworkView {
            id: id.to_string(),
            name: name.to_owned(),
            driver: driver.to_owned(),
            scope: "local".to_owned(),
            owner: engine(owner),
        };
        let (host, none) = (&self.predefined.host, &self.predefined.none);
        let others = [view(host, "host", "host", Owner::User), view(none, "none", "null", Owner::User)];
        let bridges = self.bridge_networks().into_iter();
        let mut views: Vec<NetworkView> =
            bridges.map(|network| view(&network.id, network.name.as_str(), "bridge", network.owner)).collect();
        views.splice(1..1, others);
        views
    }

    /// One network, with the containers on it.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn inspect_network(&self, text: &str) -> Result<NetworkDetails, Error> {
        match self.predefined_name(text) {
            Some("host") => Ok(self.details_of(&self.predefined.host, "host", "host", &NetworkMode::Host)),
            Some("none") => Ok(self.details_of(&self.predefined.none, "none", "null", &NetworkMode::None)),
            Some(_) => Ok(self.details(&self.net(&self.default)?.network)),
            None => Ok(self.details(&self.find_network(text)?.network)),
        }
    }

    fn details(&self, network: &Network) -> NetworkDetails {
        let member = |record: &&Record| {
            let endpoint = record.endpoint(&network.id)?;
            let view = MemberView {
                name: record.name.to_string(),
                ifname: Some(record.shown(&endpoint.ifname).to_owned()),
                ip: Some(endpoint.lease.ip),
                mac: Some(endpoint.lease.mac),
            };
            Some((record.id.to_string(), view))
        };
        NetworkDetails {
            id: network.id.to_string(),
            name: network.name.to_string(),
            driver: "bridge".into(),
            scope: "local".into(),
            created: network.created,
            internal: network.internal,
            subnet: Some(network.subnet),
            gateway: Some(network.gateway),
            ip_range: network.ip_range,
            mtu: Some(network.mtu),
            bridge: Some(network.bridge.clone()),
            mac: Some(network.mac),
            endpoint: Some(network.endpoint),
            labels: network.labels.clone(),
            owner: engine(network.owner),
            containers: self.members(&network.id).iter().filter_map(member).collect(),
        }
    }

    /// One of the networks that are no bridges.
    fn details_of(&self, id: &Id, name: &str, driver: &str, mode: &NetworkMode) -> NetworkDetails {
        let is_on_it =
            |record: &&Record| record.is_live() && record.mode == *mode && (name != "none" || record.is_in_none);
        let member = |record: &Record| {
            let view = MemberView { name: record.name.to_string(), ifname: None, ip: None, mac: None };
            (record.id.to_string(), view)
        };
        NetworkDetails {
            id: id.to_string(),
            name: name.into(),
            driver: driver.into(),
            scope: "local".into(),
            created: 0,
            internal: false,
            subnet: None,
            gateway: None,
            ip_range: None,
            mtu: None,
            bridge: None,
            mac: None,
            endpoint: None,
            labels: BTreeMap::new(),
            owner: None,
            containers: self.records.values().filter(is_on_it).map(member).collect(),
        }
    }

    /// The bridge networks: the default one first, then by name.
    #[must_use]
    pub fn bridge_networks(&self) -> Vec<&Network> {
        let mut networks: Vec<&Network> = self.networks.values().map(|net| &net.network).collect();
        networks.sort_by_key(|network| (network.id != self.default, network.name.clone()));
        networks
    }

    /// The containers that live, and with `all` the ended ones too: the newest first.
    #[must_use]
    pub fn containers(&self, all: bool) -> Vec<ContainerView> {
        let mut shown: Vec<&Record> = self.records.values().filter(|record| all || record.is_live()).collect();
        shown.sort_by_key(|record| std::cmp::Reverse(record.sequence));
        shown.into_iter().map(|record| self.view(record)).collect()
    }

    /// One container.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn inspect(&self, text: &str) -> Result<ContainerView, Error> {
        self.find(text).map(|record| self.view(record))
    }

    /// The number of the port of one of a container's interfaces.
    #[must_use]
    pub fn port_of(&self, id: &Id, ifname: &str) -> Option<PortId> {
        self.ports.get(&(id.clone(), ifname.to_owned())).copied()
    }

    /// The container whose port this is.
    #[must_use]
    pub fn owner_of(&self, port: PortId) -> Option<&Record> {
        let ((id, _), _) = self.ports.iter().find(|(_, own)| **own == port)?;
        self.records.get(id)
    }

    /// A port's link went down under us (its interface was deleted by somebody else): the port is no more. The host's own
    /// interface in a network is made again, and a guest is closed at the next timeout, which is at once: its keeper would find
    /// out by itself, but later.
    ///
    /// # Errors
    /// If that can not be: the network is down then. Or if something of an interface of the host is left.
    pub fn port_down(&mut self, port: PortId) -> Result<(), Error> {
        let of = self.ports.iter().find(|(_, own)| **own == port).map(|((id, _), _)| id.clone());
        self.ports.retain(|_, own| *own != port);
        if let Some(guest) = of.filter(|id| self.is_guest(id)) {
            self.deadlines.insert(guest, switch::time::Instant::ZERO);
            return Ok(());
        }
        if let Some(identity) = self.interface_at(port) {
            return self.interface_is_gone(&identity);
        }
        let Some(net) = self.networks.values().find(|net| net.gateway == Some(port)) else { return Ok(()) };
        let network = net.network.clone();
        let reopened = self.reopen_gateway(&network);
        if let (Err(failed), Some(net)) = (&reopened, self.networks.get_mut(&network.id)) {
            (net.gateway, net.failed) = (None, Some(failed.to_string()));
        }
        reopened
    }

    fn view(&self, record: &Record) -> ContainerView {
        let (state, exit_status, finished) = match record.phase {
            Phase::Reserved | Phase::Creating | Phase::Starting { .. } => ("created", None, None),
            Phase::Running { .. } | Phase::Stopping { .. } => ("running", None, None),
            Phase::Exited { status, at } => ("exited", Some(status), Some(at)),
            Phase::Removing => ("removing", None, None),
        };
        let live = record.endpoints.iter().filter(|_| record.is_live());
        let networks = live.map(|endpoint| {
            let network = self.networks.get(&endpoint.network);
            let name = network.map_or(endpoint.network.short(), |net| net.network.name.as_str());
            let lease = &endpoint.lease;
            let has_port = self.ports.contains_key(&(record.id.clone(), endpoint.ifname.clone()));
            let view = InterfaceView {
                ip: lease.ip,
                mac: lease.mac,
                gateway: lease.gateway,
                mtu: lease.mtu,
                ifname: record.shown(&endpoint.ifname).to_owned(),
                aliases: endpoint.aliases.clone(),
                port: has_port.then(|| record.port_name(&endpoint.ifname)),
            };
            (name.to_owned(), view)
        });
        let networks = networks.collect();
        let is_reachable =
            record.is_open() && self.published_address(&record.id).is_some() && !self.unpublished.contains(&record.id);
        ContainerView {
            id: record.id.to_string(),
            name: record.name.to_string(),
            pid: record.pid().unwrap_or(0),
            state: state.to_owned(),
            exit_status,
            created: record.created,
            finished,
            command: record
                .guest
                .as_ref()
                .map_or_else(|| record.command.clone(), |it| vec![format!("({})", it.engine)]),
            hostname: record.hostname.clone(),
            network_mode: record.mode.clone(),
            networks,
            published: record.published.iter().filter(|_| is_reachable).map(ToString::to_string).collect(),
            detached: record.detached,
            auto_remove: record.auto_remove,
            engine: engine(record.owner()),
        }
    }
}

/// What is said of an owner: nothing of the user.
fn engine(owner: Owner) -> Option<Owner> {
    Some(owner).filter(|owner| *owner != Owner::User)
}
