//! The switch decides as the model does, after every step of a plan.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use switch::forward::{self, Switch};
use switch::frame::Frame;
use switch::link::retag::Retagged;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, Verdict};
use switch::vlan::{PortVlans, Retag, VlanId};
use switch::vnet::VnetHeader;

use crate::model::Model;

use super::plan::{Event, Plan, bytes_of, follow};
use super::{AGEING, holds};

/// The TPID of the tags that a switch looks at.
const C_TAG: [u8; 2] = [0x81, 0x00];

/// A switch, or something that claims to be one.
pub(super) trait Decides {
    fn plug(&mut self, port: PortId, config: PortConfig, now: Instant);
    fn unplug(&mut self, port: PortId);
    fn ingress(&mut self, port: PortId, frame: &Frame<'_>, now: Instant) -> Verdict;
    fn egress(&self, port: PortId, frame: &Frame<'_>, vlan: VlanId) -> Result<Retag, DropReason>;
    fn handle_timeout(&mut self, now: Instant);
}

impl Decides for Switch {
    fn plug(&mut self, port: PortId, config: PortConfig, now: Instant) {
        Switch::plug(self, port, config, now).expect("the plan plugs in what is free");
    }

    fn unplug(&mut self, port: PortId) {
        Switch::unplug(self, port);
    }

    fn ingress(&mut self, port: PortId, frame: &Frame<'_>, now: Instant) -> Verdict {
        Switch::ingress(self, port, frame, now)
    }

    fn egress(&self, port: PortId, frame: &Frame<'_>, vlan: VlanId) -> Result<Retag, DropReason> {
        Switch::egress(self, port, frame, vlan)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Switch::handle_timeout(self, now);
    }
}

pub(super) fn decides_as_the_model_does(plans: impl Strategy<Value = Plan>) -> Result<(), Failed> {
    holds(&plans, |plan| {
        let config =
            forward::Config { ageing: AGEING, vlan_filtering: plan.vlan_filtering, ..forward::Config::default() };
        agrees(&plan, &mut Switch::new(config))
    })
}

/// Whether a switch decides as the model does, after every step of a plan, and lets each copy leave as its port wants it.
pub(super) fn agrees(plan: &Plan, switch: &mut impl Decides) -> Result<(), TestCaseError> {
    let mut model = Model::new(AGEING, plan.vlan_filtering);
    let mut configs = BTreeMap::new();
    follow(plan, |event| match event {
        Event::Plug(port, config, now) => {
            model.plug(port, config.clone());
            configs.insert(port, config.clone());
            switch.plug(port, config, now);
            Ok(())
        }
        Event::Unplug(port) => {
            model.unplug(port);
            switch.unplug(port);
            Ok(())
        }
        Event::Wait(now) => {
            switch.handle_timeout(now);
            Ok(())
        }
        Event::Send { port, from, to, tag, now } => {
            let bytes = bytes_of(to, from, tag);
            let frame = Frame::parse(&bytes, VnetHeader::default()).expect("it is a frame");
            let expected = model.ingress(port, to, from, tag.map(|tci| tci & 0x0fff), now);
            let verdict = switch.ingress(port, &frame, now);
            prop_assert_eq!(&verdict, &expected, "{} -> {} by port {}, tag {:?}", from, to, port.0, tag);
            for (egress, vlan) in copies_of(&verdict) {
                let expected = leaving(&bytes, &configs[&egress], vlan);
                let retag = switch.egress(egress, &frame, vlan);
                let left = retag.map(|retag| Retagged::new(&bytes, retag).expect("it has the tag").pieces().concat());
                prop_assert_eq!(left, expected, "{} -> {} by port {}, tag {:?}", from, to, egress.0, tag);
            }
            Ok(())
        }
    })
}

fn copies_of(verdict: &Verdict) -> Vec<(PortId, VlanId)> {
    match verdict {
        Verdict::Unicast { vlan, egress } | Verdict::Local { vlan, egress } => vec![(*egress, *vlan)],
        Verdict::Flood { vlan, to } => to.iter().map(|egress| (egress, *vlan)).collect(),
        Verdict::Drop(_) => Vec::new(),
    }
}

/// A frame as it leaves a port: without its C-tag, or with one that names the VLAN. Where nobody looks at tags it stays.
fn leaving(bytes: &[u8], config: &PortConfig, vlan: VlanId) -> Result<Vec<u8>, DropReason> {
    let (addresses, behind) = bytes.split_at(12);
    let control = (behind[..2] == C_TAG).then(|| u16::from_be_bytes([behind[2], behind[3]]));
    let wants_tag = match &config.vlans {
        PortVlans::Access(_) => false,
        PortVlans::Trunk { native, tagged } => *native != Some(vlan) && tagged.contains(&vlan),
    };
    let untagged = if control.is_some() { &behind[4..] } else { behind };
    let tag = (control.unwrap_or(0) & 0xf000 | vlan.get()).to_be_bytes();
    let out = match vlan {
        VlanId::NONE => bytes.to_vec(),
        _ if wants_tag => [addresses, &C_TAG, &tag, untagged].concat(),
        _ => [addresses, untagged].concat(),
    };
    let header = if out[12..14] == C_TAG { 18 } else { 14 };
    if out.len() > header + config.mtu as usize { Err(DropReason::ExceedsMtu) } else { Ok(out) }
}
