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
use crate::network::Network;
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
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Its host name; `null` if it has the host's.
    pub hostname: Option<String>,
    /// What `--network` said.
    pub network_mode: NetworkMode,
    /// Network's name → its interface there.
    pub networks: BTreeMap<String, InterfaceView>,
    /// Published ports.
    pub published: Vec<String>,
    /// Whether it was started with `-d`.
    pub detached: bool,
    /// Whether it was started with `--rm`.
    pub auto_remove: bool,
}

impl<B: Backend> Manager<B> {
    /// All networks, as `network ls` lists them.
    #[must_use]
    pub fn networks(&self) -> Vec<NetworkView> {
        let view = |id: &Id, name: &str, driver: &str| NetworkView {
            id: id.to_string(),
            name: name.to_owned(),
            driver: driver.to_owned(),
            scope: "local".to_owned(),
        };
        vec![
            view(&self.network.id, self.network.name.as_str(), "bridge"),
            view(&self.networks.host, "host", "host"),
            view(&self.networks.none, "none", "null"),
        ]
    }

    /// The default bridge network.
    #[must_use]
    pub fn default_network(&self) -> &Network {
        &self.network
    }

    /// The containers that live, and with `all` the ended ones too: the newest first.
    #[must_use]
    pub fn containers(&self, all: bool) -> Vec<ContainerView> {
        let mut shown: Vec<&Record> = self.records.values().filter(|record| all || record.is_live()).collect();
        shown.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
        shown.into_iter().map(|record| self.view(record)).collect()
    }

    /// One container.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn inspect(&self, text: &str) -> Result<ContainerView, Error> {
        self.find(text).map(|record| self.view(record))
    }

    /// The number of a container's port on the switch.
    #[must_use]
    pub fn port_of(&self, id: &Id) -> Option<PortId> {
        self.ports.get(id).copied()
    }

    /// The container whose port this is.
    #[must_use]
    pub fn owner_of(&self, port: PortId) -> Option<&Record> {
        let (id, _) = self.ports.iter().find(|(_, own)| **own == port)?;
        self.records.get(id)
    }

    /// A port's link went down under us (its interface was deleted inside): the port is no more.
    pub fn port_down(&mut self, port: PortId) {
        self.ports.retain(|_, own| *own != port);
    }

    fn view(&self, record: &Record) -> ContainerView {
        let (state, exit_status, finished) = match record.phase {
            Phase::Creating | Phase::Starting { .. } => ("created", None, None),
            Phase::Running { .. } | Phase::Stopping { .. } => ("running", None, None),
            Phase::Exited { status, at } => ("exited", Some(status), Some(at)),
            Phase::Removing => ("removing", None, None),
        };
        let mut networks = BTreeMap::new();
        if let (NetworkMode::Bridge(network), Some(lease), true) = (&record.mode, &record.lease, record.is_live()) {
            let port = self.ports.contains_key(&record.id).then(|| record.port_name());
            let interface =
                InterfaceView { ip: lease.ip, mac: lease.mac, gateway: lease.gateway, mtu: lease.mtu, port };
            networks.insert(network.to_string(), interface);
        }
        ContainerView {
            id: record.id.to_string(),
            name: record.name.to_string(),
            pid: record.pid().unwrap_or(0),
            state: state.to_owned(),
            exit_status,
            created: record.created,
            finished,
            command: record.command.clone(),
            hostname: record.hostname.clone(),
            network_mode: record.mode.clone(),
            networks,
            published: Vec::new(),
            detached: record.detached,
            auto_remove: record.auto_remove,
        }
    }
}
