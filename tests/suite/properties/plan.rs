//! [`Plan`]: what happens to a switch, at random.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::{PortVlans, VlanId};

use crate::frames::{EXPERIMENTAL, ethernet, tagged};

const PORTS: u16 = 5;

/// One thing that happens to a switch.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Plug {
        port: u16,
        vlans: PortVlans,
        local: bool,
        quota: usize,
        mtu: u32,
    },
    Unplug {
        port: u16,
    },
    Send {
        port: u16,
        from: MacAddr,
        to: MacAddr,
        tag: Option<u16>,
    },
    /// A station is heard at one port, at another, and then spoken to.
    Move {
        station: MacAddr,
        first: u16,
        then: u16,
        asker: u16,
    },
    Wait {
        seconds: u64,
    },
}

/// What happens to a switch, in order.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) vlan_filtering: bool,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    pub(super) fn any(vlan_filtering: bool) -> impl Strategy<Value = Plan> {
        proptest::collection::vec(step(), 1..120).prop_map(move |steps| Plan { vlan_filtering, steps })
    }

    pub(super) fn either() -> impl Strategy<Value = Plan> {
        any::<bool>().prop_flat_map(Plan::any)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let port = || 0..PORTS;
    prop_oneof![
        // (Their payload has seven bytes, and a tag comes on top.)
        3 => (port(), vlans(), any::<bool>(), select(vec![1, 2, 1024]), select(vec![1500, 1500, 1500, 6, 7]))
            .prop_map(|(port, vlans, local, quota, mtu)| Step::Plug { port, vlans, local, quota, mtu }),
        1 => port().prop_map(|port| Step::Unplug { port }),
        8 => (port(), source(), destination(), tag()).prop_map(|(port, from, to, tag)| Step::Send { port, from, to, tag }),
        2 => (station(), port(), port(), port())
            .prop_map(|(station, first, then, asker)| Step::Move { station, first, then, asker }),
        1 => select(vec![0, 1, 150, 299, 300, 301]).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn vlan() -> impl Strategy<Value = VlanId> {
    select(vec![1, 2, 3]).prop_map(|id| VlanId::new(id).expect("a VLAN"))
}

fn vlans() -> impl Strategy<Value = PortVlans> {
    let tagged = proptest::collection::vec(vlan(), 0..3);
    prop_oneof![
        vlan().prop_map(PortVlans::Access),
        (proptest::option::of(vlan()), tagged).prop_map(|(native, tagged)| PortVlans::Trunk { native, tagged }),
    ]
}

fn tag() -> impl Strategy<Value = Option<u16>> {
    proptest::option::weighted(0.3, select(vec![0, 1, 2, 3, 4095, 0x2001]))
}

/// One of few, so that they meet.
fn station() -> impl Strategy<Value = MacAddr> {
    (1..5_u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]))
}

/// A station, the bridge's own address, or a forged one.
pub(super) fn source() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        12 => station(),
        1 => Just(local_mac(0)),
        1 => select(vec![MacAddr::ZERO, MacAddr::BROADCAST, MacAddr([1, 0, 0x5e, 0, 0, 1])]),
    ]
}

pub(super) fn destination() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        8 => station(),
        2 => (0..PORTS).prop_map(local_mac),
        1 => Just(MacAddr([2, 0, 0, 0, 0xff, 0xff])),
        1 => Just(MacAddr::BROADCAST),
        1 => Just(MacAddr([1, 0, 0x5e, 0, 0, 1])),
        1 => select(vec![0x00, 0x0f, 0x10]).prop_map(|last| MacAddr([1, 0x80, 0xc2, 0, 0, last])),
    ]
}

fn local_mac(port: u16) -> MacAddr {
    MacAddr([2, 0x42, 0xe0, 0, 0, port as u8])
}

/// A step that makes sense where it stands.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Plug(PortId, PortConfig, Instant),
    Unplug(PortId),
    Send { port: PortId, from: MacAddr, to: MacAddr, tag: Option<u16>, now: Instant },
    Wait(Instant),
}

/// Turns the steps of a plan into events: what can not be (a frame from a port that is not there) is left out.
pub(super) fn follow(
    plan: &Plan,
    mut each: impl FnMut(Event) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut plugged = BTreeSet::new();
    let mut now = Instant::ZERO;
    for step in &plan.steps {
        match step.clone() {
            Step::Plug { port, vlans, local, quota, mtu } => {
                if plugged.insert(port) {
                    let local = local.then(|| local_mac(port));
                    let config = PortConfig { vlans, local, quota, mtu, ..PortConfig::default() };
                    each(Event::Plug(PortId(port), config, now))?;
                }
            }
            Step::Unplug { port } => {
                if plugged.remove(&port) {
                    each(Event::Unplug(PortId(port)))?;
                }
            }
            Step::Send { port, from, to, tag } => {
                if plugged.contains(&port) {
                    each(Event::Send { port: PortId(port), from, to, tag, now })?;
                }
            }
            Step::Move { station, first, then, asker } => {
                let asks = MacAddr([2, 0, 0, 0, 1, asker as u8]);
                for (port, from, to) in [(first, station, asks), (then, station, asks), (asker, asks, station)] {
                    if plugged.contains(&port) {
                        each(Event::Send { port: PortId(port), from, to, tag: None, now })?;
                    }
                }
            }
            Step::Wait { seconds } => {
                now = now + Duration::from_secs(seconds);
                each(Event::Wait(now))?;
            }
        }
    }
    Ok(())
}

pub(super) fn bytes_of(to: MacAddr, from: MacAddr, tag: Option<u16>) -> Vec<u8> {
    match tag {
        Some(tci) => tagged(to, from, tci, b"a frame"),
        None => ethernet(to, from, EXPERIMENTAL, b"a frame"),
    }
}
