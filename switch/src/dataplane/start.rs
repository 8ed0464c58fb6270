//! [`BridgeStart`]: what a log of inputs begins with.

use serde::{Deserialize, Serialize};

use super::port::Port;
use super::{Bridge, BridgeId, ControlError, Dataplane};
use crate::account::Account;
use crate::counters::Traffic;
use crate::forward::{Switch, SwitchSnapshot};
use crate::link::Link;
use crate::time::Instant;
use crate::verdict::PortId;

/// A bridge as plain data: all that its decisions depend on. Counters of ports are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeStart {
    /// Its number.
    pub bridge: BridgeId,
    /// What people call it.
    pub name: String,
    /// Its configuration, ports and stations.
    pub switch: SwitchSnapshot,
    /// How many copies the links of its ports have queued and not answered for; ports without any are left out.
    pub queued: Vec<(PortId, u64)>,
}

impl<L: Link> Dataplane<L> {
    /// All bridges, ascending, as they are between two batches. Stations that have been silent for too long are forgotten first:
    /// they would count towards quotas until the sweep, and are in no snapshot.
    pub fn start_state(&mut self, now: Instant) -> Vec<BridgeStart> {
        let ports = &self.ports;
        let of_bridge = |(id, bridge): (u16, &mut Bridge)| {
            bridge.switch.fdb_mut().tidy(now);
            let waiting = |port: PortId| Some((port, ports.get(port.0)?.queued.len() as u64));
            BridgeStart {
                bridge: BridgeId(id),
                name: bridge.name.clone(),
                switch: bridge.switch.snapshot(now),
                queued: bridge.switch.ports().filter_map(waiting).filter(|(_, count)| *count > 0).collect(),
            }
        };
        self.bridges.iter_mut().map(of_bridge).collect()
    }

    /// Makes a bridge as it was, with a link for each of its ports.
    ///
    /// # Errors
    /// If there is a bridge or a port of the same number, or the start is none that a bridge can have. Nothing has changed then.
    pub fn restore(
        &mut self,
        start: &BridgeStart,
        now: Instant,
        mut link: impl FnMut(PortId) -> L,
    ) -> Result<(), ControlError> {
        let BridgeStart { bridge, name, switch, queued } = start;
        if self.bridges.contains(bridge.0) {
            return Err(ControlError::BridgeTaken(*bridge));
        }
        let switch = Switch::restore(switch.clone(), now)?;
        if let Some(taken) = switch.ports().find(|port| self.ports.contains(port.0)) {
            return Err(ControlError::PortTaken(taken));
        }
        if let Some((missing, _)) = queued.iter().find(|(port, _)| switch.port(*port).is_none()) {
            return Err(ControlError::NoPort(*missing));
        }
        for port in switch.ports() {
            let mut it = Port::new(*bridge, link(port), self.batch_limit);
            let count = queued.iter().find(|(other, _)| *other == port).map_or(0, |(_, count)| *count);
            it.queued.extend((0..count).map(|_| Traffic::default()));
            self.add_port(port, it);
        }
        self.bridges
            .insert(bridge.0, Bridge { name: name.clone(), switch, departed: Account::default(), lost_told: 0 });
        Ok(())
    }
}
