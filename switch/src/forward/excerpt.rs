//! An excerpt of a switch: as much of it as the decision about one frame can see or change.
//!
//! So a decision that is not to be costs neither the table nor the ports a copy: of the FDB the two stations go with it, of
//! the ports the one that the frame comes in by and those that the two stations are behind, of the flood sets that of the
//! frame's VLAN, which is shared. Counts, shares and limits are the whole switch's.

use super::Switch;
use crate::explain::Step;
use crate::frame::Frame;
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::{PortId, Verdict};

impl Switch {
    /// What [`Switch::ingress`] would decide about a frame, and how; nothing is learned or counted.
    ///
    /// # Panics
    /// If `ingress` is not plugged in.
    #[must_use]
    pub fn explain(&self, ingress: PortId, frame: &Frame<'_>, now: Instant) -> (Vec<Step>, Verdict) {
        let mut steps = Vec::new();
        let verdict = self.excerpt(ingress, frame).ingress_told(ingress, frame, now, &mut steps);
        (steps, verdict)
    }

    fn excerpt(&self, ingress: PortId, frame: &Frame<'_>) -> Switch {
        let vlan = self.classify(ingress, frame, &mut ()).ok();
        let stations = vlan.into_iter().flat_map(|vlan| [(vlan, frame.source()), (vlan, frame.destination())]);
        let (fdb, behind) = self.fdb.excerpt(ingress, stations);
        let mut ports = Slots::new();
        for port in behind.into_iter().chain([ingress]) {
            if let Some(config) = self.ports.get(port.0) {
                ports.insert(port.0, config.clone());
            }
        }
        let floods = self.floods.iter().filter(|(of, _)| Some(*of) == vlan).cloned().collect();
        Switch { config: self.config.clone(), fdb, ports, floods }
    }
}
