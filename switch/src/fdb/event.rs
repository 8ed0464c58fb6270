//! [`FdbEvent`]: each change of the table, for whoever mirrors or watches it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::EntryKind;
use crate::mac::MacAddr;
use crate::verdict::PortId;
use crate::vlan::VlanId;

/// One change of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum FdbEvent {
    /// A station was heard for the first time, or again after its entry had expired.
    Learned {
        /// Its VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
        /// The port it is behind.
        port: PortId,
    },
    /// A station was heard behind another port than before.
    Moved {
        /// Its VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
        /// The port it was behind.
        from: PortId,
        /// The port it is behind now.
        to: PortId,
    },
    /// An entry was made by hand.
    Set {
        /// Its VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
        /// The port it is behind.
        port: PortId,
        /// How the entry behaves.
        kind: EntryKind,
    },
    /// A station was silent for too long.
    Expired {
        /// Its VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
        /// The port it was behind.
        port: PortId,
    },
    /// An entry was taken away: by hand, by a flush, or with its port.
    Evicted {
        /// Its VLAN.
        vlan: VlanId,
        /// Its address.
        station: MacAddr,
        /// The port it was behind.
        port: PortId,
    },
}

/// Events that nobody has read yet. When it is full the oldest is lost, and counted: who reads late sees the latest
/// changes, and knows that it must read the whole table.
#[derive(Debug)]
pub(super) struct EventQueue {
    events: VecDeque<FdbEvent>,
    lost: u64,
}

impl EventQueue {
    /// How many events wait at most.
    pub(super) const LIMIT: usize = 1024;

    pub(super) fn new() -> Self {
        EventQueue { events: VecDeque::with_capacity(EventQueue::LIMIT), lost: 0 }
    }

    pub(super) fn push(&mut self, event: FdbEvent) {
        if self.events.len() == EventQueue::LIMIT {
            self.events.pop_front();
            self.lost += 1;
        }
        self.events.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<FdbEvent> {
        self.events.pop_front()
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}
