//! [`Plan`]: what happens to a bridge, at random; and [`Scene`], the bridge that it happens to.

use std::collections::BTreeSet;
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use switch::mac::MacAddr;
use switch::vlan::{PortVlans, VlanId};

use super::all_ports;

/// The bridge's own port: the host.
pub(super) const HOST: u16 = 0;
/// The ports that stations are behind. The last one has a shorter MTU than the others.
pub(super) const PORTS: std::ops::RangeInclusive<u16> = 1..=5;
pub(super) const NARROW: u16 = 5;
pub(super) const MTU: usize = 1500;
pub(super) const NARROW_MTU: usize = 1000;
/// The bridge's own address.
pub(super) const BRIDGE: MacAddr = MacAddr([2, 0xbb, 0, 0, 0, 0]);

/// The kernel's own address of a port, which ours has none of: no plan speaks of it.
pub(super) const fn address_of_port(port: u16) -> MacAddr {
    MacAddr([2, 0xee, 0, 0, 0, port as u8])
}

pub(super) const fn mtu_of(port: u16) -> usize {
    if port == NARROW { NARROW_MTU } else { MTU }
}

/// A bridge's VLANs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// Native VLAN (0: none) and tagged VLANs of the host and of each port; none at all: tags are not looked at.
    members: Option<&'static [(u16, &'static [u16]); 6]>,
}

impl Scene {
    /// A bridge that does not look at tags.
    pub(super) const PLAIN: Scene = Scene { members: None };
    /// Access ports, trunks with and without a native VLAN, a port alone in a VLAN, one without any.
    pub(super) const VLANS: [Scene; 3] = [
        Scene { members: Some(&[(10, &[]), (10, &[]), (10, &[]), (20, &[]), (10, &[20, 30]), (0, &[10, 20])]) },
        Scene { members: Some(&[(1, &[2]), (1, &[2, 3]), (2, &[1, 3]), (0, &[1, 2, 3]), (3, &[1]), (0, &[])]) },
        Scene { members: Some(&[(0, &[]), (0, &[1, 2]), (0, &[1, 2]), (4094, &[1]), (2, &[]), (1, &[4094])]) },
    ];

    pub(super) fn has_vlans(self) -> bool {
        self.members.is_some()
    }

    /// Every VLAN that has a member.
    pub(super) fn all_vlans(self) -> BTreeSet<VlanId> {
        all_ports().flat_map(|port| self.vlans_of(port)).collect()
    }

    /// The VLANs that a station behind the port can be in.
    pub(super) fn vlans_of(self, port: u16) -> Vec<VlanId> {
        if self.has_vlans() { self.vlans(port).all() } else { vec![VlanId::NONE] }
    }

    pub(super) fn carries(self, port: u16, vlan: VlanId) -> bool {
        self.vlans_of(port).contains(&vlan)
    }

    pub(super) fn members(self, port: u16) -> (Option<VlanId>, Vec<VlanId>) {
        let Some(members) = self.members else { return (None, Vec::new()) };
        let (native, tagged) = members[usize::from(port)];
        (VlanId::new(native), tagged.iter().filter_map(|id| VlanId::new(*id)).collect())
    }

    pub(super) fn vlans(self, port: u16) -> PortVlans {
        let (native, tagged) = self.members(port);
        PortVlans::Trunk { native, tagged }
    }
}

/// One thing that happens to a bridge.
#[derive(Clone)]
pub(super) enum Step {
    Send(Sent),
    /// Forget the stations behind a port.
    FlushPort(u16),
    /// Forget all stations.
    Flush,
    /// From now on, learn nothing; what was learned is forgotten.
    AgeAtOnce,
    /// Learn again.
    AgeSlowly,
    /// This station stays behind this port, whatever is heard. (In one of the port's VLANs, by turns.)
    Fix {
        station: MacAddr,
        port: u16,
        turn: usize,
    },
}

/// A frame, and where it goes in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) port: u16,
    pub(super) to: MacAddr,
    pub(super) from: MacAddr,
    /// Outer tag first: TPID and control information.
    pub(super) tags: Vec<(u16, u16)>,
    pub(super) body: Body,
}

/// What stands behind addresses and tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// An EtherType for experiments, and so many bytes.
    Bytes(usize),
    /// IEEE 802.3: a length instead of an EtherType.
    Llc,
    /// A tag that ends after so many bytes of four.
    CutTag(usize),
}

impl Sent {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.to.0[..], &self.from.0].concat();
        for (tpid, control) in &self.tags {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(control.to_be_bytes());
        }
        match self.body {
            Body::Bytes(length) => {
                bytes.extend([0x88, 0xb5]);
                bytes.extend((0..length).map(|index| (index % 251) as u8));
            }
            Body::Llc => bytes.extend([0x00, 0x08, 0xaa, 0xaa, 0x03, 0, 0, 0, 1, 2]),
            Body::CutTag(length) => {
                bytes.extend([0x81, 0x00]);
                bytes.resize(bytes.len() + length, 7);
            }
        }
        bytes
    }
}

/// As a reader wants to have it who looks for what went wrong.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} by port {}, {:?}", self.from, self.to, self.port, self.body)?;
        self.tags.iter().try_for_each(|(tpid, control)| write!(f, ", tag {tpid:04x} {control:04x}"))
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Send(sent) => sent.fmt(f),
            Step::FlushPort(port) => write!(f, "flush port {port}"),
            Step::Flush => write!(f, "flush"),
            Step::AgeAtOnce => write!(f, "age at once"),
            Step::AgeSlowly => write!(f, "age slowly"),
            Step::Fix { station, port, turn } => write!(f, "fix {station} at port {port}, VLAN by turn {turn}"),
        }
    }
}

/// What happens to a bridge, in order.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) scene: usize,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    /// Of 5 to 20 steps, for one of so many scenes.
    pub(super) fn any(scenes: usize) -> impl Strategy<Value = Plan> {
        let several = prop_oneof![
            30 => sent().prop_map(|sent| vec![Step::Send(sent)]),
            6 => (station(), port(), port(), port()).prop_map(moves),
            2 => port().prop_map(|port| vec![Step::FlushPort(port)]),
            1 => Just(vec![Step::Flush]),
            1 => prop_oneof![Just(vec![Step::AgeAtOnce]), Just(vec![Step::AgeSlowly])],
            1 => (station(), port(), 0..3_usize).prop_map(|(station, port, turn)| vec![Step::Fix { station, port, turn }]),
        ];
        (0..scenes, vec(several, 5..=20)).prop_map(|(scene, steps)| Plan { scene, steps: steps.concat() })
    }
}

/// A station is heard at one port, then at another, and then spoken to.
fn moves((station, first, then, asker): (MacAddr, u16, u16, u16)) -> Vec<Step> {
    let asks = MacAddr([2, 0, 0, 0, 1, asker as u8]);
    let said = [(first, station, asks), (then, station, asks), (asker, asks, station)];
    let sent = |(port, from, to)| Step::Send(Sent { port, to, from, tags: Vec::new(), body: Body::Bytes(7) });
    said.map(sent).into()
}

fn sent() -> impl Strategy<Value = Sent> {
    let by_station = (port(), source(), destination(), tags(), body()).prop_map(|(port, from, to, tags, body)| Sent {
        port,
        to,
        from,
        tags,
        body,
    });
    let by_host = (destination(), tags()).prop_map(|(to, tags)| Sent {
        port: HOST,
        to,
        from: BRIDGE,
        tags,
        body: Body::Bytes(7),
    });
    prop_oneof![9 => by_station, 1 => by_host].prop_map(|mut sent| {
        // (The kernel would not let more into the port.)
        if let (NARROW, Body::Bytes(length)) = (sent.port, &mut sent.body) {
            *length = (*length).min(NARROW_MTU - 8);
        }
        // (What is behind a second tag, none of the two looks at.)
        if let Body::CutTag(_) = sent.body {
            sent.tags.truncate(1);
        }
        sent
    })
}

fn port() -> impl Strategy<Value = u16> {
    PORTS
}

/// One of few, so that they meet.
fn station() -> impl Strategy<Value = MacAddr> {
    (1..5_u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]))
}

/// A station, or what none can be.
fn source() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        12 => station(),
        1 => select(vec![MacAddr::ZERO, MacAddr::BROADCAST, MacAddr([1, 0, 0x5e, 0, 0, 1])]),
    ]
}

fn destination() -> impl Strategy<Value = MacAddr> {
    let groups = vec![MacAddr::BROADCAST, MacAddr([1, 0, 0x5e, 0, 0, 1]), MacAddr([0x33, 0x33, 0, 0, 0, 1])];
    prop_oneof![
        10 => station(),
        2 => Just(BRIDGE),
        1 => Just(MacAddr([2, 0, 0, 0, 0xff, 0xff])),
        1 => Just(MacAddr::ZERO),
        3 => select(groups),
        2 => (0..0x12_u8).prop_map(|last| MacAddr([1, 0x80, 0xc2, 0, 0, last])),
    ]
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let tpid = prop_oneof![4 => Just(0x8100_u16), 1 => Just(0x88a8), 1 => Just(0x9100)];
    let control = select(vec![0, 1, 2, 3, 10, 20, 30, 4094, 4095, 0x2001, 0xe00a, 0x1000]);
    let none = prop_oneof![Just(0_usize), Just(1), Just(1), Just(2)]
        .prop_flat_map(move |count| vec((tpid.clone(), control.clone()), count));
    prop_oneof![Just(Vec::new()), none]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        20 => Just(Body::Bytes(7)),
        2 => select(vec![NARROW_MTU - 8, NARROW_MTU, NARROW_MTU + 3, NARROW_MTU + 13, MTU - 8]).prop_map(Body::Bytes),
        2 => Just(Body::Llc),
        1 => (0..4_usize).prop_map(Body::CutTag),
    ]
}
