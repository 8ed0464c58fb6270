//! [`Change`]: what changes in the tables of a data plane, in order, for whoever follows it.
//!
//! * While nobody does nothing is kept, and nothing is paid for.
//! * Who begins to is told what is there ([`Dataplane::follow`]); from then on each change comes once.
//! * What is told stands in the order in which it happened: a port that goes takes its stations along first.

use std::collections::VecDeque;

use super::{Bridge, BridgeId, Dataplane};
use crate::fdb::FdbEvent;
use crate::link::Link;
use crate::verdict::PortId;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is a bridge.
    BridgeUp {
        /// Its number.
        bridge: BridgeId,
        /// What people call it.
        name: String,
    },
    /// A bridge is no more.
    BridgeDown {
        /// Which.
        bridge: BridgeId,
    },
    /// There is a port.
    PortUp {
        /// Its bridge.
        bridge: BridgeId,
        /// Its number.
        port: PortId,
        /// What people call it.
        name: String,
        /// Whether it is the bridge's own port: the host.
        is_local: bool,
    },
    /// A port is called something else.
    PortRenamed {
        /// Its bridge.
        bridge: BridgeId,
        /// Which.
        port: PortId,
        /// What people call it now.
        name: String,
        /// What they called it before.
        from: String,
    },
    /// A port is no more.
    PortDown {
        /// Its bridge.
        bridge: BridgeId,
        /// Which.
        port: PortId,
    },
    /// An FDB has changed.
    Fdb {
        /// Of which bridge.
        bridge: BridgeId,
        /// How.
        event: FdbEvent,
    },
    /// An FDB has changed more often than its queue of events holds: so many are not told.
    Lost {
        /// How many.
        count: u64,
    },
}

impl<L: Link> Dataplane<L> {
    /// Keeps changes from now on, until [`Dataplane::unfollow`]; they are to be taken after each call that may make some. Returns
    /// what is there: the bridges, and the ports of each.
    pub fn follow(&mut self) -> Vec<Change> {
        // What had changed before is no news.
        for (_, bridge) in self.bridges.iter_mut() {
            let fdb = bridge.switch.fdb_mut();
            while fdb.poll_event().is_some() {}
            bridge.lost_told = fdb.events_lost();
        }
        self.changes.get_or_insert_default().clear();
        let of_bridge = |(id, bridge): (u16, &Bridge)| {
            let id = BridgeId(id);
            let ports = bridge.switch.ports().map(|port| self.port_up(id, port));
            std::iter::once(self.bridge_up(id)).chain(ports).collect::<Vec<_>>()
        };
        self.bridges.iter().flat_map(of_bridge).collect()
    }

    /// Keeps no changes any more.
    pub fn unfollow(&mut self) {
        self.changes = None;
    }

    /// The next change, while they are kept.
    pub fn poll_change(&mut self) -> Option<Change> {
        match self.changes.as_mut()?.pop_front() {
            Some(change) => Some(change),
            None => self.next_of_the_fdbs(),
        }
    }

    /// Takes note of a change that is not an FDB's, behind those of the FDBs that have come before it.
    pub(super) fn note(&mut self, change: impl FnOnce(&Self) -> Change) {
        self.gather();
        self.push(change);
    }

    /// Puts what the FDBs have to tell behind what was told before.
    pub(super) fn gather(&mut self) {
        let Some(mut changes) = self.changes.take() else { return };
        changes.extend(std::iter::from_fn(|| self.next_of_the_fdbs()));
        self.changes = Some(changes);
    }

    /// Takes note of a change that comes before those of the FDBs since they were last gathered.
    pub(super) fn push(&mut self, change: impl FnOnce(&Self) -> Change) {
        let Some(mut changes) = self.changes.take() else { return };
        changes.push_back(change(self));
        self.changes = Some(changes);
    }

    pub(super) fn bridge_up(&self, bridge: BridgeId) -> Change {
        let name = self.bridges.get(bridge.0).map(|bridge| bridge.name.clone()).unwrap_or_default();
        Change::BridgeUp { bridge, name }
    }

    pub(super) fn port_up(&self, bridge: BridgeId, port: PortId) -> Change {
        let of = self.bridges.get(bridge.0);
        let name = of.map(|bridge| bridge.port_name(port)).unwrap_or_default();
        Change::PortUp { bridge, port, name, is_local: of.is_some_and(|bridge| bridge.is_local(port)) }
    }

    pub(super) fn port_renamed(&self, bridge: BridgeId, port: PortId, from: String) -> Change {
        let name = self.bridges.get(bridge.0).map(|bridge| bridge.port_name(port)).unwrap_or_default();
        Change::PortRenamed { bridge, port, name, from }
    }

    fn next_of_the_fdbs(&mut self) -> Option<Change> {
        self.bridges.iter_mut().find_map(|(id, bridge)| {
            let fdb = bridge.switch.fdb_mut();
            let count = fdb.events_lost() - bridge.lost_told;
            bridge.lost_told += count;
            if count > 0 {
                return Some(Change::Lost { count });
            }
            fdb.poll_event().map(|event| Change::Fdb { bridge: BridgeId(id), event })
        })
    }
}

/// Changes that wait to be taken: as many as one call makes, of which an FDB's queue bounds its own.
pub(super) type Changes = Option<VecDeque<Change>>;
