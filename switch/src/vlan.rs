//! VLANs (IEEE 802.1Q): identifiers, which VLANs a port is a member of, and what happens to a tag at egress.

use serde::{Deserialize, Serialize};

/// A VLAN, 1 to 4094; [`VlanId::NONE`] (0) is the only VLAN of a switch that does not look at tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN of everything where tags are not looked at.
    pub const NONE: VlanId = VlanId(0);
    /// The VLAN of a port by default, where tags are looked at.
    pub const DEFAULT: VlanId = VlanId(1);

    /// `None` for 0 and for more than 4094 (0xFFF is reserved, IEEE 802.1Q-2022, table 9-2).
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        if id == 0 || id > 4094 { None } else { Some(VlanId(id)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// What happens to the outer tag of a frame when it leaves a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retag {
    /// It goes as it came.
    #[default]
    Keep,
    /// A tag with this control information (priority, DEI, VLAN) is put behind the source address.
    Push(u16),
    /// The outer tag is taken away.
    Pop,
    /// The outer tag is replaced by one with this control information.
    Replace(u16),
}

/// Which VLANs a port carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortVlans {
    /// One VLAN; frames are untagged on the link, tagged ones of another VLAN are dropped at ingress.
    Access(VlanId),
    /// Several VLANs, tagged on the link; untagged frames belong to `native`, and without one are dropped.
    Trunk {
        /// The VLAN whose frames are untagged on the link.
        native: Option<VlanId>,
        /// The VLANs whose frames are tagged on the link, ascending.
        tagged: Vec<VlanId>,
    },
}

impl Default for PortVlans {
    fn default() -> Self {
        PortVlans::Access(VlanId::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_a_number_from_1_to_4094() {
        let numbers = (0..=u16::MAX).filter_map(VlanId::new).map(VlanId::get);
        assert!(numbers.eq(1..=4094));
        assert_eq!(VlanId::NONE.get(), 0);
    }
}
