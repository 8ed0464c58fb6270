//! An excerpt of the table, for a decision that is not to be: what one frame can see of it or change.

use std::collections::BinaryHeap;

use super::entry::pack;
use super::event::EventQueue;
use super::table::Table;
use super::{Fdb, FdbEntry};
use crate::account::Account;
use crate::mac::MacAddr;
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::PortId;
use crate::vlan::VlanId;

impl Fdb {
    /// The entry of a station, whether it has expired or not.
    #[must_use]
    pub fn entry(&self, vlan: VlanId, station: MacAddr, now: Instant) -> Option<FdbEntry> {
        let entry = self.entries.get(pack(vlan, station))?;
        Some(FdbEntry { vlan, station, port: entry.port, kind: entry.kind, age: entry.age(self.ageing, now) })
    }

    /// The entries of these stations only, and the ports that they are behind. Counts and limits are the whole table's, as
    /// are the shares of those ports and of `ingress`, so that a station is learned or refused as the whole would do it. Good for
    /// one frame: entries that the counts speak of are not here.
    pub(crate) fn excerpt(
        &self,
        ingress: PortId,
        stations: impl Iterator<Item = (VlanId, MacAddr)>,
    ) -> (Fdb, Vec<PortId>) {
        let mut entries = Table::like(&self.entries);
        let mut behind = Vec::new();
        for key in stations.map(|(vlan, station)| pack(vlan, station)) {
            if let Some(entry) = self.entries.get(key) {
                if entries.find(key).is_none() {
                    entries.insert(key, entry);
                }
                behind.push(entry.port);
            }
        }
        let mut shares = Slots::new();
        for port in behind.iter().chain([&ingress]) {
            if let Some(share) = self.shares.get(port.0) {
                shares.insert(port.0, share.clone());
            }
        }
        let excerpt = Fdb {
            entries,
            checks: BinaryHeap::new(),
            shares,
            ageing: self.ageing,
            max_stations: self.max_stations,
            ageing_entries: self.ageing_entries,
            counters: Account::clone(&self.counters),
            events: EventQueue::new(),
        };
        (excerpt, behind)
    }
}
