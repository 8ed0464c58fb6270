//! `Switch` against the model of the test suite, which shares no code with it: whatever happens to both, they decide alike.
//!
//! An input is a byte that says whether tags are looked at, and then steps of five bytes: what happens, to which port, and
//! three more that depend on it.

#![no_main]

#[path = "../../tests/suite/frames.rs"]
#[expect(dead_code, reason = "the suite needs more of them")]
mod frames;
#[path = "../../tests/suite/model.rs"]
mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use switch::fdb::{EntryKind, FdbCounters};
use switch::forward::{Config, Switch};
use switch::frame::Frame;
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};
use switch::vlan::{PortVlans, VlanId};
use switch::vnet::VnetHeader;

use crate::frames::{EXPERIMENTAL, ethernet, tagged};
use crate::model::Model;

const PORTS: u8 = 6;
const AGEING: Duration = Duration::from_secs(300);

fuzz_target!(|input: &[u8]| {
    let Some((settings, steps)) = input.split_first() else { return };
    let vlan_filtering = settings & 1 != 0;
    let config = Config { ageing: AGEING, vlan_filtering, hash_seed: u64::from(*settings), ..Config::default() };
    let mut both = Both {
        switch: Switch::new(config),
        model: Model::new(AGEING, vlan_filtering),
        plugged: BTreeSet::new(),
        now: Instant::ZERO,
    };
    for step in steps.as_chunks::<5>().0 {
        both.happens(*step);
        both.keeps_its_books();
    }
});

struct Both {
    switch: Switch,
    model: Model,
    plugged: BTreeSet<PortId>,
    now: Instant,
}

impl Both {
    fn happens(&mut self, [what, port, a, b, c]: [u8; 5]) {
        let port = PortId(u16::from(port % PORTS));
        match what % 16 {
            0..3 => self.plug(port, a, b, c),
            3 if self.plugged.remove(&port) => {
                assert!(self.switch.unplug(port));
                self.model.unplug(port);
            }
            4 => {
                self.now = self.now + Duration::from_secs(u64::from(a) * 2);
                self.switch.handle_timeout(self.now);
            }
            5 => self.switch = Switch::restore(self.switch.snapshot(self.now), self.now).expect("it was a switch"),
            6.. if self.plugged.contains(&port) => self.send(port, a, b, c),
            _ => {}
        }
    }

    fn plug(&mut self, port: PortId, native: u8, tagged: u8, rest: u8) {
        if !self.plugged.insert(port) {
            return;
        }
        let native = VlanId::new(u16::from(native % 4));
        let vlans = match native {
            Some(vlan) if rest & 1 != 0 => PortVlans::Access(vlan),
            _ => PortVlans::Trunk {
                native,
                tagged: (1..=3).filter(|id| tagged & 1 << id != 0).filter_map(VlanId::new).collect(),
            },
        };
        let local = (rest & 2 != 0).then(|| local_mac(port));
        let quota = [1024, 1024, 0, 1, 2, 3, 4, 5][usize::from(rest >> 5)];
        let config = PortConfig { vlans, local, quota, ..PortConfig::default() };
        self.model.plug(port, config.clone());
        self.switch.plug(port, config, self.now).expect("its number is free, and there is room");
    }

    fn send(&mut self, port: PortId, from: u8, to: u8, tag: u8) {
        let (from, to) = (station(from), station(to));
        let tag =
            [None, Some(0), Some(1), Some(2), Some(3), Some(4095), Some(0x6002), Some(0x1000)][usize::from(tag % 8)];
        let bytes = match tag {
            Some(control) => tagged(to, from, control, b"a frame"),
            None => ethernet(to, from, EXPERIMENTAL, b"a frame"),
        };
        let frame = Frame::parse(&bytes, VnetHeader::default()).expect("it is a frame");
        let expected = self.model.ingress(port, to, from, tag.map(|control| control & 0xfff), self.now);
        let verdict = self.switch.ingress(port, &frame, self.now);
        assert_eq!(verdict, expected, "{from} -> {to} by port {}, tag {tag:?}", port.0);
        let (vlan, egresses) = match verdict {
            Verdict::Unicast { vlan, egress } | Verdict::Local { vlan, egress } => (vlan, vec![egress]),
            Verdict::Flood { vlan, to } => (vlan, to.iter().collect()),
            Verdict::Drop(_) => return,
        };
        for egress in egresses {
            assert_ne!(egress, port);
            self.switch.egress(egress, &frame, vlan).expect("it is short, and the port carries its VLAN");
        }
    }

    fn keeps_its_books(&self) {
        let fdb = self.switch.fdb();
        let mut learned = fdb.entries(self.now);
        learned.retain(|entry| entry.kind == EntryKind::Dynamic);
        let mut learned: Vec<_> = learned.iter().map(|entry| (entry.vlan, entry.station, entry.port)).collect();
        learned.sort();
        assert_eq!(learned, self.model.stations(self.now), "what it has learned");
        let FdbCounters { learned, set, expired, evicted, .. } = fdb.counters();
        assert_eq!(learned + set, expired + evicted + fdb.len() as u64);
        for port in &self.plugged {
            assert!(fdb.stations(*port) <= self.switch.port(*port).expect("it is plugged in").quota);
        }
    }
}

fn local_mac(port: PortId) -> MacAddr {
    MacAddr([2, 0x42, 0xe0, 0, 0, port.0 as u8])
}

/// One of few, so that they meet: a station, a bridge's own port, a group, or what nobody has.
fn station(which: u8) -> MacAddr {
    match which % 32 {
        last @ 0..12 => MacAddr([2, 0, 0, 0, 0, last]),
        port @ 12..18 => local_mac(PortId(u16::from(port) - 12)),
        18 => MacAddr::ZERO,
        19 | 20 => MacAddr::BROADCAST,
        21 => MacAddr([1, 0, 0x5e, 0, 0, 1]),
        22 => MacAddr([0x33, 0x33, 0, 0, 0, 1]),
        last @ 23.. => MacAddr([1, 0x80, 0xc2, 0, 0, (last - 23) * 2]),
    }
}
