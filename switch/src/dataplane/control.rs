//! [`Control`]: what a data plane can be told between two batches.

use serde::{Deserialize, Serialize};

use super::BridgeId;
use crate::account::{Account, Departed};
use crate::counters::PortCounters;
use crate::fdb::{EntryKind, FdbCounters, Refusal};
use crate::forward::{Config, PlugError};
use crate::mac::MacAddr;
use crate::port::PortConfig;
use crate::verdict::PortId;
use crate::vlan::VlanId;

/// A change of the data plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control<L> {
    /// A new bridge, without ports.
    AddBridge {
        /// Its number.
        bridge: BridgeId,
        /// What people call it.
        name: String,
        /// How it behaves.
        config: Config,
    },
    /// A bridge goes, and its ports and links with it.
    RemoveBridge {
        /// Which.
        bridge: BridgeId,
    },
    /// A new port of a bridge.
    Plug {
        /// Of which bridge.
        bridge: BridgeId,
        /// Its number, which no other port of any bridge has.
        port: PortId,
        /// How it behaves.
        config: PortConfig,
        /// What lies behind it.
        link: L,
    },
    /// A bridge counts in these accounts, on top of what stands there. It follows `AddBridge`.
    CountBridge {
        /// Which.
        bridge: BridgeId,
        /// The sum of the ports that have gone.
        departed: Account<Departed>,
        /// What happens to its FDB.
        fdb: Account<FdbCounters>,
    },
    /// A port counts in this account, on top of what stands there.
    CountPort {
        /// Which.
        port: PortId,
        /// What comes in and goes out by it.
        account: Account<PortCounters>,
    },
    /// A port that had this account has gone, while nobody was there to see it.
    CountDeparted {
        /// Of which bridge.
        bridge: BridgeId,
        /// What it had counted.
        account: Account<PortCounters>,
    },
    /// A port goes, and its link and stations with it.
    Unplug {
        /// Which.
        port: PortId,
    },
    /// A port is called something else from now on.
    RenamePort {
        /// Which.
        port: PortId,
        /// What people call it now.
        name: String,
    },
    /// An entry of the FDB is made by hand.
    SetStation {
        /// Of which bridge.
        bridge: BridgeId,
        /// Of which VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
        /// The port it is behind.
        port: PortId,
        /// How the entry behaves.
        kind: EntryKind,
    },
    /// An entry of the FDB goes, whatever its kind.
    ClearStation {
        /// Of which bridge.
        bridge: BridgeId,
        /// Of which VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
    },
    /// The stations behind a port are forgotten; static ones stay.
    FlushPort {
        /// Which.
        port: PortId,
    },
}

impl<L> Control<L> {
    /// The same change without the link: what a log has of it.
    #[must_use]
    pub fn without_link(&self) -> Control<()> {
        self.with_link(|_| ())
    }

    /// The same change with another link.
    pub fn with_link<M>(&self, make: impl FnOnce(&L) -> M) -> Control<M> {
        match self {
            Control::AddBridge { bridge, name, config } => {
                Control::AddBridge { bridge: *bridge, name: name.clone(), config: config.clone() }
            }
            Control::RemoveBridge { bridge } => Control::RemoveBridge { bridge: *bridge },
            Control::Plug { bridge, port, config, link } => {
                Control::Plug { bridge: *bridge, port: *port, config: config.clone(), link: make(link) }
            }
            Control::Unplug { port } => Control::Unplug { port: *port },
            Control::RenamePort { port, name } => Control::RenamePort { port: *port, name: name.clone() },
            Control::SetStation { bridge, vlan, station, port, kind } => {
                Control::SetStation { bridge: *bridge, vlan: *vlan, station: *station, port: *port, kind: *kind }
            }
            Control::ClearStation { bridge, vlan, station } => {
                Control::ClearStation { bridge: *bridge, vlan: *vlan, station: *station }
            }
            Control::FlushPort { port } => Control::FlushPort { port: *port },
            Control::CountBridge { bridge, departed, fdb } => {
                Control::CountBridge { bridge: *bridge, departed: departed.clone(), fdb: fdb.clone() }
            }
            Control::CountPort { port, account } => Control::CountPort { port: *port, account: account.clone() },
            Control::CountDeparted { bridge, account } => {
                Control::CountDeparted { bridge: *bridge, account: account.clone() }
            }
        }
    }
}

/// Why a change was not made. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is a bridge of this number.
    #[error("bridge {} is there already", .0.0)]
    BridgeTaken(BridgeId),
    /// There is no such bridge.
    #[error("no bridge {}", .0.0)]
    NoBridge(BridgeId),
    /// There is a port of this number.
    #[error("port {} is there already", .0.0)]
    PortTaken(PortId),
    /// There is no such port, or it is one of another bridge.
    #[error("no port {}", .0.0)]
    NoPort(PortId),
    /// There is no such entry.
    #[error("no entry for station {0}")]
    NoStation(MacAddr),
    /// The FDB is full.
    #[error("the FDB is full")]
    TableFull,
    /// The ageing time is zero: an entry that is not static would be gone at once.
    #[error("the ageing time is zero: only static entries are kept")]
    NotKept,
}

impl From<PlugError> for ControlError {
    fn from(error: PlugError) -> Self {
        match error {
            PlugError::Taken(port) => ControlError::PortTaken(port),
            PlugError::TableFull(_) => ControlError::TableFull,
        }
    }
}

impl From<Refusal> for ControlError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // (The first three are refusals to learn; an entry that is set by hand has none of them.)
            Refusal::Static | Refusal::Sticky | Refusal::Quota | Refusal::TableFull => ControlError::TableFull,
            Refusal::NotKept => ControlError::NotKept,
        }
    }
}
