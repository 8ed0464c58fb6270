//! [`ByVlan`]: what a switch with VLANs is to be like: one bridge of the kernel for each VLAN, with the members of the VLAN
//! for its ports, and tags taken off before a frame goes in and put on when it comes out (IEEE 802.1Q, 8.6.1 and 8.8).
//!
//! (Not the kernel's own VLAN filtering: many kernels are built without it.)

use std::collections::BTreeMap;

use switch::mac::MacAddr;
use switch::vlan::VlanId;

use super::kernel::Kernel;
use super::plan::{BRIDGE, HOST, PORTS, Scene, address_of_port};
use super::{Bridge, Copies, Stations};

const TAG: [u8; 2] = [0x81, 0x00];

pub(super) struct ByVlan {
    scene: Scene,
    bridges: BTreeMap<VlanId, Kernel>,
}

impl ByVlan {
    /// The numbers of its bridges are counted up from `number`.
    pub(super) fn new(number: &mut usize, scene: Scene) -> Self {
        let mut bridges = BTreeMap::new();
        for vlan in scene.all_vlans() {
            let ports: Vec<u16> = { PORTS }.filter(|port| scene.carries(*port, vlan)).collect();
            // Where the host is not in the VLAN, its address is nobody's there.
            let address = if scene.carries(HOST, vlan) { BRIDGE } else { address_of_port(HOST) };
            bridges.insert(vlan, Kernel::new(*number, &ports, address));
            *number += 1;
        }
        ByVlan { scene, bridges }
    }

    pub(super) fn reset(&mut self) {
        self.bridges.values_mut().for_each(Kernel::reset);
    }

    /// The VLAN of a frame, the frame without the tag that says so, and the priority in that.
    fn classify(&self, port: u16, frame: &[u8]) -> Option<(VlanId, Vec<u8>, Option<u16>)> {
        if !self.scene.has_vlans() {
            return Some((VlanId::NONE, frame.to_vec(), None));
        }
        let (native, _) = self.scene.members(port);
        if frame[12..14] != TAG {
            return Some((native?, frame.to_vec(), None));
        }
        let control = u16::from_be_bytes([*frame.get(14)?, *frame.get(15)?]);
        frame.get(16..18)?;
        let untagged = [&frame[..12], &frame[16..]].concat();
        let vlan = if control & 0xfff == 0 { native? } else { VlanId::new(control & 0xfff)? };
        self.scene.carries(port, vlan).then_some((vlan, untagged, Some(control & 0xf000)))
    }
}

impl Bridge for ByVlan {
    fn send(&mut self, port: u16, frame: &[u8]) -> Copies {
        let Some((vlan, untagged, priority)) = self.classify(port, frame) else { return Copies::new() };
        let scene = self.scene;
        let bridge = self.bridges.get_mut(&vlan).expect("the port is a member");
        let copies = bridge.send(port, &untagged).into_iter().filter(|(port, _)| scene.carries(*port, vlan));
        let tagged = |(port, copy): (u16, Vec<u8>)| {
            if !scene.has_vlans() || scene.members(port).0 == Some(vlan) {
                return (port, copy);
            }
            let control = (priority.unwrap_or(0) | vlan.get()).to_be_bytes();
            (port, [&copy[..12], &TAG, &control, &copy[12..]].concat())
        };
        copies.map(tagged).collect()
    }

    fn flush_port(&mut self, port: u16) {
        let scene = self.scene;
        let carrying = self.bridges.iter_mut().filter(|(vlan, _)| scene.carries(port, **vlan));
        carrying.for_each(|(_, bridge)| bridge.flush_port(port));
    }

    fn flush(&mut self) {
        self.bridges.values_mut().for_each(Kernel::flush);
    }

    fn age_at_once(&mut self) {
        self.bridges.values_mut().for_each(Kernel::age_at_once);
    }

    fn age_slowly(&mut self) {
        self.bridges.values_mut().for_each(Kernel::age_slowly);
    }

    fn fix(&mut self, vlan: VlanId, station: MacAddr, port: u16) {
        self.bridges.get_mut(&vlan).expect("it is one of the port's").fix(VlanId::NONE, station, port);
    }

    fn stations(&mut self) -> Stations {
        let mut stations = Stations::new();
        for (vlan, bridge) in &mut self.bridges {
            let known = bridge.stations().into_iter();
            stations.extend(known.map(|((_, station), behind)| ((*vlan, station), behind)));
        }
        stations
    }
}
