//! Our switch and data plane, on links that are two lists of frames.

use std::sync::Arc;
use std::time::Duration;

use switch::buffer::{Buffer, Pool};
use switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use switch::fdb::EntryKind;
use switch::forward;
use switch::link::retag::Retagged;
use switch::link::{Link, Received, Transmit};
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::{Retag, VlanId};

use super::plan::{BRIDGE, HOST, PORTS, Scene, mtu_of};
use super::{Behind, Bridge, Copies, Stations};

const ONLY: BridgeId = BridgeId(0);

pub(super) struct Ours {
    plane: Dataplane<Wire>,
    pub(super) now: Instant,
}

impl Ours {
    pub(super) fn new(scene: Scene) -> Self {
        Ours::with_quota(scene, PortConfig::DEFAULT_QUOTA)
    }

    pub(super) fn with_quota(scene: Scene, quota: usize) -> Self {
        let mut plane = Dataplane::new(Settings { batch: 1, buffers: 2 });
        let config = forward::Config { vlan_filtering: scene.has_vlans(), ..forward::Config::default() };
        let now = Instant::ZERO;
        plane.control(Control::AddBridge { bridge: ONLY, name: "ours".into(), config }, now).unwrap();
        for port in std::iter::once(HOST).chain(PORTS) {
            let config = PortConfig {
                mtu: mtu_of(port) as u32,
                vlans: scene.vlans(port),
                local: (port == HOST).then_some(BRIDGE),
                quota,
                ..PortConfig::default()
            };
            let plug = Control::Plug { bridge: ONLY, port: PortId(port), config, link: Wire::default() };
            plane.control(plug, now).unwrap();
        }
        Ours { plane, now }
    }

    pub(super) fn set(&mut self, vlan: VlanId, station: MacAddr, port: u16, kind: EntryKind) {
        let set = Control::SetStation { bridge: ONLY, vlan, station, port: PortId(port), kind };
        self.plane.control(set, self.now).unwrap();
    }

    pub(super) fn set_ageing(&mut self, ageing: Duration) {
        self.plane.switch_mut(ONLY).unwrap().fdb_mut().set_ageing(ageing, self.now);
    }
}

impl Bridge for Ours {
    fn send(&mut self, port: u16, frame: &[u8]) -> Copies {
        self.plane.link_mut(PortId(port)).unwrap().arriving = Some(frame.to_vec());
        self.plane.service(PortId(port), self.now);
        let ports: Vec<PortId> = self.plane.ports().collect();
        let mut copies = Copies::new();
        for port in ports {
            let left = std::mem::take(&mut self.plane.link_mut(port).unwrap().left);
            copies.extend(left.into_iter().map(|frame| (port.0, frame)));
        }
        copies
    }

    fn flush_port(&mut self, port: u16) {
        self.plane.control(Control::FlushPort { port: PortId(port) }, self.now).unwrap();
    }

    fn flush(&mut self) {
        PORTS.for_each(|port| self.flush_port(port));
    }

    fn age_at_once(&mut self) {
        self.set_ageing(Duration::ZERO);
    }

    fn age_slowly(&mut self) {
        self.set_ageing(forward::Config::default().ageing);
    }

    fn fix(&mut self, vlan: VlanId, station: MacAddr, port: u16) {
        self.set(vlan, station, port, EntryKind::Static);
    }

    fn stations(&mut self) -> Stations {
        let behind = |kind, port| match kind {
            EntryKind::Dynamic => Behind::Heard(port),
            EntryKind::Static | EntryKind::Sticky => Behind::Fixed(port),
        };
        let entries = self.plane.switch(ONLY).unwrap().fdb().entries(self.now);
        entries.into_iter().map(|it| ((it.vlan, it.station), behind(it.kind, it.port.0))).collect()
    }
}

/// What arrives, and what has left.
#[derive(Debug, Default)]
struct Wire {
    arriving: Option<Vec<u8>>,
    left: Vec<Vec<u8>>,
}

impl Link for Wire {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, _limit: usize) -> Received {
        let Some(frame) = self.arriving.take() else { return Received::WouldBlock };
        let mut shared = pool.take().expect("one at a time");
        let buffer = Arc::get_mut(&mut shared).expect("nobody else has it");
        buffer.room()[..frame.len()].copy_from_slice(&frame);
        buffer.set_len(frame.len());
        into.push(shared);
        Received::WouldBlock
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        let Some(retagged) = Retagged::new(frame.frame(), retag) else { return Transmit::Refused };
        self.left.push(retagged.pieces().concat());
        Transmit::Sent
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}
}
