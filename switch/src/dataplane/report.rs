//! What a data plane tells of itself: events, statistics, tables.

use serde::{Deserialize, Serialize};

use super::BridgeId;
use crate::counters::{Imbalance, PortCounters};
use crate::fdb::{EntryKind, FdbCounters};
use crate::mac::MacAddr;
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
    /// How many stations it has towards its quota.
    pub stations: usize,
    /// Its counters.
    #[serde(flatten)]
    pub counters: PortCounters,
}

/// An entry of an FDB, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbRow {
    /// Its VLAN; 0 where tags are not looked at.
    pub vlan: VlanId,
    /// Its address.
    pub station: MacAddr,
    /// The port it is behind.
    pub port: PortId,
    /// What people call that port.
    pub name: String,
    /// How the entry behaves.
    pub kind: EntryKind,
    /// How long ago the station was last heard, in whole seconds.
    pub age: u64,
}

/// The counters of a port do not add up. Always a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port {}: {imbalance}", .port.0)]
pub struct Unbalanced {
    /// Which.
    pub port: PortId,
    /// How.
    pub imbalance: Imbalance,
}
