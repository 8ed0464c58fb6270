//! [`PortConfig`]: what a port is told when it is plugged in.

use serde::{Deserialize, Serialize};

use crate::mac::MacAddr;
use crate::vlan::{PortVlans, VlanId};

/// How a port behaves. Nothing but its name changes while the port is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortConfig {
    /// What people call it, such as `web/eth0`.
    pub name: String,
    /// The longest IP packet that the far side takes, in bytes: Ethernet header and tag come on top (RFC 894 has 1500).
    pub mtu: u32,
    /// The VLANs it carries; of no meaning where the switch does not look at tags.
    pub vlans: PortVlans,
    /// How many stations may be learned behind it, so that a flood of made-up addresses hurts no other port.
    pub quota: usize,
    /// The address of the bridge itself, if this is the bridge's own port: the host.
    pub local: Option<MacAddr>,
}

impl PortConfig {
    /// Stations a port may have by default: a container has one, and a nested bridge seldom hundreds.
    pub const DEFAULT_QUOTA: usize = 1024;
}

impl Default for PortConfig {
    fn default() -> Self {
        PortConfig {
            name: String::new(),
            mtu: 1500,
            vlans: PortVlans::default(),
            quota: PortConfig::DEFAULT_QUOTA,
            local: None,
        }
    }
}

/// How the frames of a VLAN look on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagging {
    /// Without a tag.
    Untagged,
    /// With a tag.
    Tagged,
}

impl PortVlans {
    /// How frames of `vlan` look on the link; `None` if the port does not carry it. The tagged VLANs must be ascending.
    #[inline]
    #[must_use]
    pub fn tagging(&self, vlan: VlanId) -> Option<Tagging> {
        match self {
            PortVlans::Access(access) => (*access == vlan).then_some(Tagging::Untagged),
            PortVlans::Trunk { native, .. } if *native == Some(vlan) => Some(Tagging::Untagged),
            PortVlans::Trunk { tagged, .. } => tagged.binary_search(&vlan).ok().map(|_| Tagging::Tagged),
        }
    }

    /// The VLAN of frames that come without a tag.
    #[inline]
    #[must_use]
    pub fn native(&self) -> Option<VlanId> {
        match self {
            PortVlans::Access(access) => Some(*access),
            PortVlans::Trunk { native, .. } => *native,
        }
    }

    /// All VLANs that the port carries, ascending.
    #[must_use]
    pub fn all(&self) -> Vec<VlanId> {
        match self {
            PortVlans::Access(access) => vec![*access],
            PortVlans::Trunk { native, tagged } => {
                let mut all: Vec<VlanId> = tagged.iter().copied().chain(*native).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        }
    }

    /// The same VLANs with the tagged ones ascending and named once, as lookups need them.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        if let PortVlans::Trunk { tagged, .. } = &mut self {
            tagged.sort_unstable();
            tagged.dedup();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_port_carries_one_vlan_untagged() {
        let access = PortVlans::Access(vlan(5));
        assert_eq!((access.tagging(vlan(5)), access.tagging(vlan(6))), (Some(Tagging::Untagged), None));
        assert_eq!((access.native(), access.all()), (Some(vlan(5)), vec![vlan(5)]));
        assert_eq!(access.clone().sorted(), access);
    }

    #[test]
    fn a_trunk_carries_several_and_its_native_one_untagged() {
        let trunk =
            PortVlans::Trunk { native: Some(vlan(5)), tagged: vec![vlan(9), vlan(7), vlan(5), vlan(9)] }.sorted();
        let tagged = vec![vlan(5), vlan(7), vlan(9)];
        assert_eq!(trunk, PortVlans::Trunk { native: Some(vlan(5)), tagged: tagged.clone() });
        let taggings = [5, 7, 9, 8].map(|id| trunk.tagging(vlan(id)));
        assert_eq!(taggings, [Some(Tagging::Untagged), Some(Tagging::Tagged), Some(Tagging::Tagged), None]);
        assert_eq!((trunk.native(), trunk.all()), (Some(vlan(5)), tagged));
        let without_native = PortVlans::Trunk { native: None, tagged: vec![vlan(7)] };
        assert_eq!((without_native.native(), without_native.all()), (None, vec![vlan(7)]));
    }

    fn vlan(id: u16) -> VlanId {
        VlanId::new(id).unwrap()
    }
}
