//! What would become of a frame: the steps of [`Dataplane::forward`], told and not taken.

use super::{Bridge, Dataplane};
use crate::buffer::Buffer;
use crate::explain::{Decision, Egress, Explanation, Fate, Found, Header, Out, Step};
use crate::frame::Frame;
use crate::link::Link;
use crate::time::Instant;
use crate::verdict::{Absence, DropReason, PortId, Verdict};
use crate::vlan::VlanId;
use crate::vnet::VnetHeader;

impl<L: Link> Dataplane<L> {
    /// The port that people call so; the bridge's own port is called as the bridge.
    #[must_use]
    pub fn port_named(&self, name: &str) -> Option<PortId> {
        self.ports().find(|port| self.name_of(*port) == name)
    }

    /// What people call a port.
    #[must_use]
    pub fn name_of(&self, port: PortId) -> &str {
        self.config_of(port).map_or("", |config| config.name.as_str())
    }

    /// What [`Dataplane::forward`] would do with a frame that came in by `ingress`, step by step, and why. Sends and changes
    /// nothing: neither FDB, counters nor events. `None`: there is no such port.
    ///
    /// Costs no more than the ports of one bridge take to be asked whether the frame fits, however large the FDB is.
    #[must_use]
    pub fn explain(&self, ingress: PortId, bytes: &[u8], vnet: VnetHeader, now: Instant) -> Option<Explanation> {
        let bridge = self.bridges.get(self.ports.get(ingress.0)?.bridge.0)?;
        let explained = |steps, egress, decision| {
            Some(Explanation { bridge: bridge.name.clone(), port: ingress, steps, egress, decision })
        };
        let frame = match Frame::parse(bytes, vnet) {
            Ok(frame) => frame,
            Err(reason) => {
                let step = Step::Unreadable { length: bytes.len(), reason };
                return explained(vec![step], Vec::new(), Decision::Drop { reason });
            }
        };
        let (decision, verdict) = bridge.switch.explain(ingress, &frame, now);
        let buffer = Buffer::holding(bytes, vnet);
        let copies = Copies { plane: self, bridge, ingress, frame: &frame, buffer: &buffer };
        let egress = copies.of(&verdict, &decision);
        let steps = [Step::Parsed(Header::of(&frame))].into_iter().chain(decision).collect();
        explained(steps, egress, Decision::from(&verdict))
    }

    /// The same for a port by its name, and with the names of all ports. `None`: there is no such port.
    #[must_use]
    pub fn explain_named(
        &self,
        ingress: &str,
        bytes: &[u8],
        vnet: VnetHeader,
        now: Instant,
    ) -> Option<Explanation<String>> {
        let explanation = self.explain(self.port_named(ingress)?, bytes, vnet, now)?;
        Some(explanation.named(|port| self.name_of(port).to_owned()))
    }

    fn config_of(&self, port: PortId) -> Option<&crate::port::PortConfig> {
        self.bridges.get(self.ports.get(port.0)?.bridge.0)?.switch.port(port)
    }
}

/// The copies of one frame, port by port.
struct Copies<'a, L> {
    plane: &'a Dataplane<L>,
    bridge: &'a Bridge,
    ingress: PortId,
    frame: &'a Frame<'a>,
    buffer: &'a Buffer,
}

impl<L: Link> Copies<'_, L> {
    /// Every port of the bridge; none if the frame was dropped before its destination was looked up.
    fn of(&self, verdict: &Verdict, steps: &[Step]) -> Vec<Egress> {
        let Some(Step::Lookup { found, .. }) = steps.last() else { return Vec::new() };
        let egress =
            |port| Egress { port, is_local: self.bridge.is_local(port), fate: self.fate(port, verdict, found) };
        self.bridge.switch.ports().map(egress).collect()
    }

    fn fate(&self, port: PortId, verdict: &Verdict, found: &Found) -> Fate {
        let out = |because| Fate::Out { because };
        match verdict {
            Verdict::Flood { vlan, to } => match to.absence(port) {
                None => self.copy(port, *vlan),
                Some(Absence::Ingress) => out(Out::Ingress),
                Some(Absence::NotInVlan) => out(Out::NotInVlan),
            },
            Verdict::Unicast { vlan, egress } | Verdict::Local { vlan, egress } if *egress == port => {
                self.copy(port, *vlan)
            }
            _ if port == self.ingress => out(Out::Ingress),
            Verdict::Unicast { .. } | Verdict::Local { .. } => out(Out::OtherPort),
            // A station that is known is behind this port, and out of its VLAN, or behind another one.
            Verdict::Drop(_) => match found {
                Found::Known { behind, .. } if *behind != port => out(Out::OtherPort),
                Found::Known { .. } | Found::Group | Found::Expired { .. } | Found::Unknown => out(Out::NotInVlan),
            },
        }
    }

    /// A copy that the verdict asks for.
    fn copy(&self, port: PortId, vlan: VlanId) -> Fate {
        let switch = &self.bridge.switch;
        let Some(it) = self.plane.ports.get(port.0) else {
            return Fate::Dropped { reason: DropReason::LinkDown, fit: None };
        };
        let admitted = it.admit(port, switch, self.frame, vlan);
        let frames = admitted.and_then(|retag| it.link.foretell(self.buffer, retag));
        match (frames, switch.fit(port, self.frame, vlan)) {
            (Ok(frames), Ok(fit)) => Fate::Leaves { fit, frames },
            (Err(reason), fit) => Fate::Dropped { reason, fit: fit.ok() },
            (Ok(_), Err(reason)) => Fate::Dropped { reason, fit: None },
        }
    }
}

#[cfg(test)]
mod tests;
