//! What the switch decides about a frame, as plain data: compare it, print it, take a snapshot of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::vlan::VlanId;

/// The number of a port. Unique in a data plane, not only in one switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortId(pub u16);

/// The decision about one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To one port: the station is known.
    Unicast {
        /// The VLAN the frame belongs to.
        vlan: VlanId,
        /// The port it leaves by.
        egress: PortId,
    },
    /// To every other port of the VLAN: the station is unknown, or a group.
    Flood {
        /// The VLAN the frame belongs to.
        vlan: VlanId,
        /// The ports it leaves by, never the ingress port; the bridge's local port among them, if there is one.
        to: PortSet,
    },
    /// To the bridge's own port: the host itself.
    Local {
        /// The VLAN the frame belongs to.
        vlan: VlanId,
        /// The local port.
        egress: PortId,
    },
    /// To nobody.
    Drop(DropReason),
}

/// Why a frame, or one copy of it, went no further. One counter per variant and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DropReason {
    // At ingress: counted for the port that the frame came from, part of the law.
    /// Shorter than an Ethernet header.
    Runt,
    /// Longer than any buffer: what is behind its end is lost.
    Oversized,
    /// A VLAN tag that is cut off.
    TruncatedTag,
    /// The offload header that came with the frame can not be true of it.
    BadOffload,
    /// The source is a group address, which no station has.
    MulticastSource,
    /// The source is 00:00:00:00:00:00.
    ZeroSource,
    /// The destination is one that bridges do not forward: 01:80:C2:00:00:00 to 0F.
    ReservedDestination,
    /// The port does not carry the VLAN of the frame's tag.
    IngressVlan,
    /// The frame is untagged and the port has no native VLAN.
    Untagged,
    /// The destination is behind the port that the frame came from.
    Hairpin,
    /// The destination is behind a port that does not carry the frame's VLAN.
    EgressVlan,
    /// There is no other port in the VLAN.
    NoEgress,
    // At egress: counted for the port that this copy was to leave by.
    /// The frame, or a segment of it, is longer than the egress port's MTU allows.
    ExceedsMtu,
    /// A super-frame or an unfinished checksum that can not be finished in software for a port without offload.
    NotSegmentable,
    /// The link had no room, or its far side is switched off.
    LinkFull,
    /// The link refused the frame itself.
    LinkRefused,
    /// The link is gone.
    LinkDown,
}

impl DropReason {
    /// All of them, in the order of the counters.
    pub const ALL: [DropReason; 17] = [
        DropReason::Runt,
        DropReason::Oversized,
        DropReason::TruncatedTag,
        DropReason::BadOffload,
        DropReason::MulticastSource,
        DropReason::ZeroSource,
        DropReason::ReservedDestination,
        DropReason::IngressVlan,
        DropReason::Untagged,
        DropReason::Hairpin,
        DropReason::EgressVlan,
        DropReason::NoEgress,
        DropReason::ExceedsMtu,
        DropReason::NotSegmentable,
        DropReason::LinkFull,
        DropReason::LinkRefused,
        DropReason::LinkDown,
    ];

    /// Whether it is counted at ingress, as a whole frame, or at egress, as one copy.
    #[must_use]
    pub const fn is_ingress(self) -> bool {
        (self as u8) < (DropReason::ExceedsMtu as u8)
    }

    /// Its name in JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::Runt => "runt",
            DropReason::Oversized => "oversized",
            DropReason::TruncatedTag => "truncated_tag",
            DropReason::BadOffload => "bad_offload",
            DropReason::MulticastSource => "multicast_source",
            DropReason::ZeroSource => "zero_source",
            DropReason::ReservedDestination => "reserved_destination",
            DropReason::IngressVlan => "ingress_vlan",
            DropReason::Untagged => "untagged",
            DropReason::Hairpin => "hairpin",
            DropReason::EgressVlan => "egress_vlan",
            DropReason::NoEgress => "no_egress",
            DropReason::ExceedsMtu => "exceeds_mtu",
            DropReason::NotSegmentable => "not_segmentable",
            DropReason::LinkFull => "link_full",
            DropReason::LinkRefused => "link_refused",
            DropReason::LinkDown => "link_down",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The ports that a flooded frame leaves by: the members of its VLAN but for the ingress port.
///
/// Cheap to make and to clone: the members are shared, and made anew only when a port comes or goes.
#[derive(Clone)]
pub struct PortSet {
    members: Arc<[PortId]>,
    ingress: PortId,
}

impl PortSet {
    /// The ports of `members` (ascending) without `ingress`.
    #[must_use]
    pub fn new(members: Arc<[PortId]>, ingress: PortId) -> Self {
        PortSet { members, ingress }
    }

    /// The ports, ascending.
    pub fn iter(&self) -> impl Iterator<Item = PortId> + '_ {
        self.members.iter().copied().filter(|port| *port != self.ingress)
    }

    /// Why `port` is not in the set; `None` if it is.
    #[must_use]
    pub fn absence(&self, port: PortId) -> Option<Absence> {
        if port == self.ingress {
            Some(Absence::Ingress)
        } else if self.members.binary_search(&port).is_err() {
            Some(Absence::NotInVlan)
        } else {
            None
        }
    }
}

impl Verdict {
    /// How many copies leave, at most.
    #[inline]
    #[must_use]
    pub fn copies(&self) -> usize {
        match self {
            Verdict::Unicast { .. } | Verdict::Local { .. } => 1,
            Verdict::Flood { to, .. } => to.members.len(),
            Verdict::Drop(_) => 0,
        }
    }
}

/// Why a port is not in a [`PortSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The frame came from it.
    Ingress,
    /// It does not carry the VLAN, or is no port of this switch.
    NotInVlan,
}

impl PartialEq for PortSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for PortSet {}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|port| port.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_wherever_it_is_told() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "its counter's place");
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("{:?}", reason.name()));
            assert_eq!(reason.to_string(), reason.name());
        }
    }

    #[test]
    fn the_reasons_of_ingress_come_before_those_of_egress() {
        let first_at_egress = DropReason::ALL.iter().position(|reason| !reason.is_ingress());
        assert_eq!(first_at_egress.map(|at| DropReason::ALL[at]), Some(DropReason::ExceedsMtu));
        assert!(!DropReason::LinkDown.is_ingress());
    }

    #[test]
    fn a_port_set_says_who_is_in_it_and_why_others_are_not() {
        let set = set(&[1, 2, 5], 2);
        assert_eq!(set.iter().collect::<Vec<_>>(), [PortId(1), PortId(5)]);
        let absences = [1, 2, 3, 5].map(|port| set.absence(PortId(port)));
        assert_eq!(absences, [None, Some(Absence::Ingress), Some(Absence::NotInVlan), None]);
        assert_eq!(format!("{set:?}"), "{1, 5}");
    }

    #[test]
    fn port_sets_are_equal_if_the_same_ports_are_in_them() {
        assert_eq!(set(&[1, 2, 5], 2), set(&[1, 5], 9));
        assert_ne!(set(&[1, 2, 5], 2), set(&[1, 2, 5], 1));
    }

    fn set(members: &[u16], ingress: u16) -> PortSet {
        PortSet::new(members.iter().copied().map(PortId).collect(), PortId(ingress))
    }
}
