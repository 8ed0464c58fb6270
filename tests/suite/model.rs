//! [`Model`]: what a learning switch does, said as shortly as possible and without a thought for speed. It shares no code
//! with `switch` but the plain data in which an answer is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, PortSet, Verdict};
use switch::vlan::{PortVlans, VlanId};

/// A switch of the blackboard.
#[derive(Clone, Debug)]
pub struct Model {
    ageing: Duration,
    vlan_filtering: bool,
    ports: BTreeMap<PortId, PortConfig>,
    /// Station of a VLAN → port, and when it was last heard.
    heard: BTreeMap<(VlanId, MacAddr), (PortId, Instant)>,
}

impl Model {
    pub fn new(ageing: Duration, vlan_filtering: bool) -> Self {
        Model { ageing, vlan_filtering, ports: BTreeMap::new(), heard: BTreeMap::new() }
    }

    pub fn plug(&mut self, port: PortId, config: PortConfig) {
        self.ports.insert(port, config);
        // Its own address is no longer one that was heard somewhere.
        let own: Vec<_> =
            self.heard.keys().copied().filter(|(vlan, mac)| self.local_of(*vlan, *mac).is_some()).collect();
        self.heard.retain(|station, _| !own.contains(station));
    }

    pub fn unplug(&mut self, port: PortId) {
        self.ports.remove(&port);
        self.heard.retain(|_, (behind, _)| *behind != port);
    }

    /// The stations that are remembered, by VLAN and address, and the ports that they are behind.
    pub fn stations(&self, now: Instant) -> Vec<(VlanId, MacAddr, PortId)> {
        let alive = self.heard.iter().filter(|(_, (_, at))| now.since(*at) < self.ageing);
        alive.map(|((vlan, station), (behind, _))| (*vlan, *station, *behind)).collect()
    }

    /// What becomes of a frame: `tag` is the VLAN in its C-tag, if it has one.
    pub fn ingress(&mut self, port: PortId, to: MacAddr, from: MacAddr, tag: Option<u16>, now: Instant) -> Verdict {
        if from.0[0] % 2 == 1 {
            return Verdict::Drop(DropReason::MulticastSource);
        }
        if from.0 == [0; 6] {
            return Verdict::Drop(DropReason::ZeroSource);
        }
        let vlan = match self.vlan_of(port, tag) {
            Ok(vlan) => vlan,
            Err(reason) => return Verdict::Drop(reason),
        };
        self.hear(vlan, from, port, now);
        if to.0[..5] == [0x01, 0x80, 0xc2, 0, 0] && to.0[5] < 16 {
            return Verdict::Drop(DropReason::ReservedDestination);
        }
        if let Some(local) = self.local_of(vlan, to) {
            return if local == port {
                Verdict::Drop(DropReason::Hairpin)
            } else {
                Verdict::Local { vlan, egress: local }
            };
        }
        match self.heard.get(&(vlan, to)) {
            Some((behind, _)) if *behind == port => Verdict::Drop(DropReason::Hairpin),
            // (The host itself may have stations behind it.)
            Some((behind, _)) if self.ports[behind].local.is_some() => Verdict::Local { vlan, egress: *behind },
            Some((behind, _)) => Verdict::Unicast { vlan, egress: *behind },
            None => self.flood(vlan, port),
        }
    }

    fn hear(&mut self, vlan: VlanId, from: MacAddr, port: PortId, now: Instant) {
        let ageing = self.ageing;
        self.heard.retain(|_, (_, at)| now.since(*at) < ageing);
        if self.local_of(vlan, from).is_some() {
            return;
        }
        let others = self.heard.iter().filter(|(station, (behind, _))| *behind == port && **station != (vlan, from));
        if others.count() < self.ports[&port].quota {
            self.heard.insert((vlan, from), (port, now));
        }
    }

    fn vlan_of(&self, port: PortId, tag: Option<u16>) -> Result<VlanId, DropReason> {
        if !self.vlan_filtering {
            return Ok(VlanId::NONE);
        }
        let native = match &self.ports[&port].vlans {
            PortVlans::Access(vlan) => Some(*vlan),
            PortVlans::Trunk { native, .. } => *native,
        };
        match tag {
            None | Some(0) => native.ok_or(DropReason::Untagged),
            Some(id) => VlanId::new(id).filter(|vlan| self.carries(port, *vlan)).ok_or(DropReason::IngressVlan),
        }
    }

    fn carries(&self, port: PortId, vlan: VlanId) -> bool {
        !self.vlan_filtering
            || match &self.ports[&port].vlans {
                PortVlans::Access(own) => *own == vlan,
                PortVlans::Trunk { native, tagged } => *native == Some(vlan) || tagged.contains(&vlan),
            }
    }

    fn local_of(&self, vlan: VlanId, station: MacAddr) -> Option<PortId> {
        let is_it =
            |(port, config): &(&PortId, &PortConfig)| config.local == Some(station) && self.carries(**port, vlan);
        self.ports.iter().find(is_it).map(|(port, _)| *port)
    }

    fn flood(&self, vlan: VlanId, ingress: PortId) -> Verdict {
        let members: Arc<[PortId]> = self.ports.keys().copied().filter(|port| self.carries(*port, vlan)).collect();
        let to = PortSet::new(members, ingress);
        if to.iter().next().is_none() { Verdict::Drop(DropReason::NoEgress) } else { Verdict::Flood { vlan, to } }
    }
}
