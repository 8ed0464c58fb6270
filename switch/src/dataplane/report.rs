//! What a data plane tells of itself: events, statistics, tables.

use serde::{Deserialize, Serialize};

use super::port::Port;
use super::{Bridge, BridgeId, Dataplane};
use crate::counters::{Imbalance, PortCounters};
use crate::fdb::{EntryKind, FdbCounters};
use crate::link::Link;
use crate::link::errors::ReadErrors;
use crate::mac::MacAddr;
use crate::time::Instant;
use crate::verdict::PortId;
use crate::vlan::VlanId;

/// Something that happened by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link has ended, and its port has gone with it. One such event per port that was plugged in, so their number is
    /// bounded by that of the ports.
    PortDown {
        /// Which.
        port: PortId,
    },
}

/// The counters of one bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeStatistics {
    /// Its number.
    pub bridge: BridgeId,
    /// What people call it.
    pub name: String,
    /// When its counters began, in seconds since 1970; 0 where nobody said.
    #[serde(default)]
    pub since: u64,
    /// What happened to its FDB.
    pub fdb: FdbCounters,
    /// How many entries the FDB has, with those that have expired and await the sweep.
    pub stations: usize,
    /// Its ports, ascending.
    pub ports: Vec<PortStatistics>,
    /// The sum of the ports that have gone, so that no frame vanishes from the books with its port.
    pub departed: PortCounters,
}

/// The counters of one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatistics {
    /// Its number.
    pub port: PortId,
    /// What people call it.
    pub name: String,
    /// Whether it is the bridge's own port: the host.
    pub is_local: bool,
    /// When its counters began, in seconds since 1970; 0 where nobody said.
    #[serde(default)]
    pub since: u64,
    /// How many stations it has towards its quota.
    pub stations: usize,
    /// Frames that were sent to this port and never came to the switch, since nobody had room for them. They are not among
    /// those that came in, so the law knows nothing of them. (The data plane knows those that its link has lost; those that
    /// the sending interface has lost itself are added by who can ask it.)
    #[serde(default)]
    pub rx_missed: u64,
    /// How often its link could not be read, other than that nothing was there, by reason. Nor does the law know of them: what could
    /// not be read may have been a frame or not.
    #[serde(default)]
    pub rx_errors: ReadErrors,
    /// Its counters.
    #[serde(flatten)]
    pub counters: PortCounters,
}

/// An entry of an FDB, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbRow {
    /// The name of the bridge.
    pub bridge: String,
    /// Its VLAN; 0 where tags are not looked at.
    pub vlan: VlanId,
    /// Its address.
    pub station: MacAddr,
    /// The port it is behind.
    pub port: PortId,
    /// What people call that port.
    pub name: String,
    /// Whether that is the bridge's own port: the host.
    pub is_local: bool,
    /// How the entry behaves.
    pub kind: EntryKind,
    /// How long ago the station was last heard, in whole seconds.
    pub age: u64,
}

/// Counters do not add up. Always a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbalanced {
    /// Those of a port.
    #[error("port {}: {imbalance}", .port.0)]
    Port {
        /// Which.
        port: PortId,
        /// How.
        imbalance: Imbalance,
    },
    /// The sum of those of the ports that a bridge had once.
    #[error("departed ports of bridge {}: {imbalance}", .bridge.0)]
    Departed {
        /// Which.
        bridge: BridgeId,
        /// How.
        imbalance: Imbalance,
    },
}

impl<L: Link> Dataplane<L> {
    /// The counters of a port.
    #[must_use]
    pub fn counters(&self, port: PortId) -> Option<&PortCounters> {
        self.ports.get(port.0).map(|port| &*port.counters)
    }

    /// All counters of all bridges.
    #[must_use]
    pub fn statistics(&self) -> Vec<BridgeStatistics> {
        let of_port = |bridge: &Bridge, port: PortId| PortStatistics {
            port,
            name: bridge.port_name(port),
            is_local: bridge.is_local(port),
            since: self.ports.get(port.0).map_or(0, |port| port.counters.since()),
            stations: bridge.switch.fdb().stations(port),
            rx_missed: self.ports.get(port.0).map_or(0, |port| port.link.missed()),
            rx_errors: self.ports.get(port.0).map_or(ReadErrors::default(), |port| port.link.read_errors()),
            counters: self.counters(port).cloned().unwrap_or_default(),
        };
        let of_bridge = |(id, bridge): (u16, &Bridge)| BridgeStatistics {
            bridge: BridgeId(id),
            name: bridge.name.clone(),
            since: bridge.departed.since(),
            fdb: bridge.switch.fdb().counters(),
            stations: bridge.switch.fdb().len(),
            ports: bridge.switch.ports().map(|port| of_port(bridge, port)).collect(),
            departed: bridge.departed.sum().clone(),
        };
        self.bridges.iter().map(of_bridge).collect()
    }

    /// The stations of all bridges, by bridge, VLAN and address.
    #[must_use]
    pub fn fdb(&self, now: Instant) -> Vec<FdbRow> {
        self.bridges.iter().flat_map(|(_, bridge)| bridge.rows(now)).collect()
    }

    /// Whether the law of the counters holds for every port, and for those that have gone.
    ///
    /// # Errors
    /// The first counters that do not add up.
    pub fn check(&self) -> Result<(), Unbalanced> {
        let of_port = |(port, it): (u16, &Port<L>)| {
            it.counters.check().map_err(|imbalance| Unbalanced::Port { port: PortId(port), imbalance })
        };
        let of_departed = |(bridge, it): (u16, &Bridge)| {
            it.departed.sum().check().map_err(|imbalance| Unbalanced::Departed { bridge: BridgeId(bridge), imbalance })
        };
        self.ports.iter().try_for_each(of_port)?;
        self.bridges.iter().try_for_each(of_departed)
    }
}

impl Bridge {
    fn rows(&self, now: Instant) -> Vec<FdbRow> {
        let entries = self.switch.fdb().entries(now).into_iter();
        entries
            .map(|entry| FdbRow {
                bridge: self.name.clone(),
                vlan: entry.vlan,
                station: entry.station,
                port: entry.port,
                name: self.port_name(entry.port),
                is_local: self.is_local(entry.port),
                kind: entry.kind,
                age: entry.age.as_secs(),
            })
            .collect()
    }

    pub(super) fn port_name(&self, port: PortId) -> String {
        self.switch.port(port).map(|config| config.name.clone()).unwrap_or_default()
    }

    pub(super) fn is_local(&self, port: PortId) -> bool {
        self.switch.port(port).is_some_and(|config| config.local.is_some())
    }
}
