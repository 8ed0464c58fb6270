//! The switch decides as the model does, after every step of a plan.

use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use switch::forward::{self, Switch};
use switch::frame::Frame;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};
use switch::vnet::VnetHeader;

use crate::model::Model;

use super::plan::{Event, Plan, bytes_of, follow};
use super::{AGEING, holds};

/// A switch, or something that claims to be one.
pub(super) trait Decides {
    fn plug(&mut self, port: PortId, config: PortConfig, now: Instant);
    fn unplug(&mut self, port: PortId);
    fn ingress(&mut self, port: PortId, frame: &Frame<'_>, now: Instant) -> Verdict;
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

/// Whether a switch decides as the model does, after every step of a plan.
pub(super) fn agrees(plan: &Plan, switch: &mut impl Decides) -> Result<(), TestCaseError> {
    let mut model = Model::new(AGEING, plan.vlan_filtering);
    follow(plan, |event| match event {
        Event::Plug(port, config, now) => {
            model.plug(port, config.clone());
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
            prop_assert_eq!(verdict, expected, "{} -> {} by port {}, tag {:?}", from, to, port.0, tag);
            Ok(())
        }
    })
}
