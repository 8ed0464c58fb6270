//! What the table holds: entries, the shares that ports have of it, and the plain data that leaves it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Refusal;
use crate::account::{Counters, fingerprint};
use crate::mac::MacAddr;
use crate::port::PortConfig;
use crate::time::Instant;
use crate::verdict::PortId;
use crate::vlan::VlanId;

/// How an entry behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// As if learned: it moves with its station, and expires.
    #[default]
    Dynamic,
    /// It expires as a learned one does, but does not move while it lasts.
    Sticky,
    /// It neither moves nor expires.
    Static,
}

impl EntryKind {
    /// Whether it expires, and therefore counts towards the quota of its port.
    pub(super) const fn ages(self) -> bool {
        match self {
            EntryKind::Dynamic | EntryKind::Sticky => true,
            EntryKind::Static => false,
        }
    }
}

/// An entry as people and files see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    /// Its VLAN.
    pub vlan: VlanId,
    /// Its address.
    pub station: MacAddr,
    /// The port it is behind.
    pub port: PortId,
    /// How the entry behaves.
    pub kind: EntryKind,
    /// How long ago the station was last heard, or the entry set.
    pub age: Duration,
}

/// What happened to the table since it was made. `learned + set = expired + evicted + entries held`, always.
///
/// `refused` is the sum of the four reasons below it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[serde(default)]
#[repr(C)]
pub struct FdbCounters {
    /// Entries made by hearing a station.
    pub learned: u64,
    /// Entries made by hand.
    pub set: u64,
    /// Entries whose station was silent for too long.
    pub expired: u64,
    /// Entries taken away: by hand, by a flush, or with their port.
    pub evicted: u64,
    /// Stations heard behind another port than before.
    pub moved: u64,
    /// Frames whose source could not be learned.
    pub refused: u64,
    /// Of those: a static entry says that the station is behind another port.
    pub refused_static: u64,
    /// A sticky entry says so.
    pub refused_sticky: u64,
    /// The port had as many stations as it may.
    pub refused_quota: u64,
    /// The table was full.
    pub refused_table_full: u64,
}

impl FdbCounters {
    /// One more frame whose source could not be learned.
    pub(super) const fn refuse(&mut self, why: Refusal) {
        self.refused += 1;
        match why {
            Refusal::Static => self.refused_static += 1,
            Refusal::Sticky => self.refused_sticky += 1,
            Refusal::Quota => self.refused_quota += 1,
            Refusal::TableFull => self.refused_table_full += 1,
            Refusal::NotKept => {}
        }
    }
}

impl Counters for FdbCounters {
    const KIND: u64 = fingerprint(size_of::<FdbCounters>() as u64, "fdb; 1");

    fn mend(&mut self) {
        self.refused = self.refused_static + self.refused_sticky + self.refused_quota + self.refused_table_full;
    }
}

/// An entry as the table keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it expires, if it ages and nothing is heard.
    pub(super) expires: Instant,
    /// When the sweep looks at it next: the moment of its one valid place in the queue of checks.
    pub(super) check: Instant,
    pub(super) port: PortId,
    pub(super) kind: EntryKind,
}

impl Entry {
    #[inline]
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        now < self.expires || !self.kind.ages()
    }

    pub(super) fn age(&self, ageing: Duration, now: Instant) -> Duration {
        ageing.saturating_sub(self.expires.since(now)) + now.since(self.expires)
    }
}

/// What one port has of the table.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) quota: usize,
    pub(super) used: usize,
}

impl Default for Share {
    fn default() -> Self {
        Share { quota: PortConfig::DEFAULT_QUOTA, used: 0 }
    }
}

/// VLAN and station as one number, whose order is theirs.
#[inline]
pub(super) const fn pack(vlan: VlanId, station: MacAddr) -> u64 {
    (vlan.get() as u64) << 48 | station.to_u64()
}

pub(super) fn unpack(key: u64) -> (VlanId, MacAddr) {
    let [v0, v1, a, b, c, d, e, f] = key.to_be_bytes();
    let vlan = VlanId::new(u16::from_be_bytes([v0, v1])).unwrap_or(VlanId::NONE);
    (vlan, MacAddr([a, b, c, d, e, f]))
}
