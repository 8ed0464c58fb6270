//! Switches that break one rule each, to know that the property sees.

use std::collections::BTreeMap;
use std::time::Duration;

use libtest_mimic::Failed;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use switch::fdb::EntryKind;
use switch::forward::{self, Switch};
use switch::frame::Frame;
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, Verdict};
use switch::vlan::{PortVlans, Retag, VlanId};
use switch::vnet::VnetHeader;

use super::agreement::{Decides, agrees};
use super::plan::Plan;
use super::{AGEING, KNOWN};

/// The TPID of the tags in a plan.
const TPID: [u8; 2] = [0x81, 0x00];

/// Which rule a broken switch breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    LearnsMulticastSources,
    NeverAges,
    SendsBackWhereItCameFrom,
    IgnoresThatAStationMoves,
    FloodsOutsideTheVlan,
    KnowsNoQuota,
    LooksAtNoTag,
    KnowsNoMtu,
    LetsTagsLeaveAsTheyCame,
    ForgetsNoStationOfAPortThatGoes,
    ForwardsReservedAddresses,
    TakesTheZeroAddressForAStation,
    LetsAnybodyHaveTheHostsAddress,
    TakesUntaggedFramesOnEveryTrunk,
}

/// A switch that breaks one rule.
struct Saboteur {
    /// None: it is a switch as it should be.
    rule: Option<Broken>,
    switch: Switch,
    ports: BTreeMap<PortId, PortConfig>,
    now: Instant,
}

impl Saboteur {
    fn new(rule: Option<Broken>, vlan_filtering: bool) -> Self {
        let ageing = if rule == Some(Broken::NeverAges) { Duration::from_secs(1_000_000) } else { AGEING };
        let config = forward::Config { ageing, vlan_filtering, ..forward::Config::default() };
        Saboteur { rule, switch: Switch::new(config), ports: BTreeMap::new(), now: Instant::ZERO }
    }

    /// As if every group address were a station's: with the bit that makes it a group taken away from the source.
    fn take_group_for_station(&mut self, port: PortId, frame: &Frame<'_>, now: Instant) -> Verdict {
        let mut bytes = frame.bytes().to_vec();
        bytes[6] &= !1;
        self.take_instead(port, &bytes, now)
    }

    fn take_instead(&mut self, port: PortId, bytes: &[u8], now: Instant) -> Verdict {
        let forged = Frame::parse(bytes, VnetHeader::default()).expect("it was a frame before");
        self.switch.ingress(port, &forged, now)
    }
}

impl Decides for Saboteur {
    fn plug(&mut self, port: PortId, mut config: PortConfig, now: Instant) {
        match self.rule {
            Some(Broken::KnowsNoQuota) => config.quota = PortConfig::default().quota,
            Some(Broken::KnowsNoMtu) => config.mtu = PortConfig::default().mtu,
            Some(Broken::TakesUntaggedFramesOnEveryTrunk) => {
                if let PortVlans::Trunk { native: native @ None, .. } = &mut config.vlans {
                    *native = VlanId::new(1);
                }
            }
            _ => {}
        }
        self.ports.insert(port, config.clone());
        Decides::plug(&mut self.switch, port, config, now);
    }

    fn unplug(&mut self, port: PortId) {
        self.ports.remove(&port);
        let known = self.switch.fdb().entries(self.now);
        self.switch.unplug(port);
        if self.rule == Some(Broken::ForgetsNoStationOfAPortThatGoes) {
            for old in known.iter().filter(|old| old.port == port && old.kind == EntryKind::Dynamic) {
                let _ = self.switch.fdb_mut().set(old.vlan, old.station, port, EntryKind::Dynamic, self.now);
            }
        }
    }

    fn ingress(&mut self, port: PortId, frame: &Frame<'_>, now: Instant) -> Verdict {
        self.now = now;
        let before = self.switch.fdb().entries(now);
        match self.rule {
            Some(Broken::LearnsMulticastSources) if frame.source().is_multicast() => {
                return self.take_group_for_station(port, frame, now);
            }
            Some(Broken::LooksAtNoTag) if frame.bytes()[12..14] == TPID => {
                let bytes = [&frame.bytes()[..12], &frame.bytes()[16..]].concat();
                return self.take_instead(port, &bytes, now);
            }
            None
            | Some(
                Broken::LearnsMulticastSources
                | Broken::NeverAges
                | Broken::KnowsNoQuota
                | Broken::LooksAtNoTag
                | Broken::KnowsNoMtu
                | Broken::LetsTagsLeaveAsTheyCame
                | Broken::ForgetsNoStationOfAPortThatGoes
                | Broken::TakesUntaggedFramesOnEveryTrunk,
            ) => {}
            Some(Broken::TakesTheZeroAddressForAStation) if frame.source() == MacAddr::ZERO => {
                let mut bytes = frame.bytes().to_vec();
                bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0xff, 0xfe]);
                return self.take_instead(port, &bytes, now);
            }
            Some(Broken::TakesTheZeroAddressForAStation) => {}
            Some(Broken::LetsAnybodyHaveTheHostsAddress) => {
                let verdict = self.switch.ingress(port, frame, now);
                for old in before.iter().filter(|old| old.kind == EntryKind::Static && old.station == frame.source()) {
                    let _ = self.switch.fdb_mut().set(old.vlan, old.station, port, EntryKind::Dynamic, now);
                }
                return verdict;
            }
            Some(Broken::ForwardsReservedAddresses) if frame.destination().is_reserved() => {
                let mut bytes = frame.bytes().to_vec();
                // A group that is nobody's.
                bytes[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 99]);
                return self.take_instead(port, &bytes, now);
            }
            Some(Broken::ForwardsReservedAddresses) => {}
            Some(Broken::IgnoresThatAStationMoves) => {
                let verdict = self.switch.ingress(port, frame, now);
                for old in before.iter().filter(|old| old.kind == EntryKind::Dynamic && old.station == frame.source()) {
                    let _ = self.switch.fdb_mut().set(old.vlan, old.station, old.port, EntryKind::Dynamic, now);
                }
                return verdict;
            }
            Some(Broken::SendsBackWhereItCameFrom) => {
                let verdict = self.switch.ingress(port, frame, now);
                let is_hairpin = verdict == Verdict::Drop(DropReason::Hairpin);
                return if is_hairpin { Verdict::Unicast { vlan: VlanId::NONE, egress: port } } else { verdict };
            }
            Some(Broken::FloodsOutsideTheVlan) => {
                let verdict = self.switch.ingress(port, frame, now);
                let Verdict::Flood { vlan, .. } = verdict else { return verdict };
                let all = self.ports.keys().copied().collect();
                return Verdict::Flood { vlan, to: switch::verdict::PortSet::new(all, port) };
            }
        }
        self.switch.ingress(port, frame, now)
    }

    fn egress(&self, port: PortId, frame: &Frame<'_>, vlan: VlanId) -> Result<Retag, DropReason> {
        let retag = self.switch.egress(port, frame, vlan)?;
        Ok(if self.rule == Some(Broken::LetsTagsLeaveAsTheyCame) { Retag::Keep } else { retag })
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.switch.handle_timeout(now);
    }
}

pub(super) fn catches_every_broken_switch() -> Result<(), Failed> {
    let judge = |rule| {
        let config = Config { rng_seed: RngSeed::Fixed(KNOWN[0]), failure_persistence: None, ..Config::default() };
        let agrees = |plan: Plan| agrees(&plan, &mut Saboteur::new(rule, plan.vlan_filtering));
        TestRunner::new(config).run(&Plan::either(), agrees)
    };
    judge(None).map_err(|why| format!("one that breaks no rule: {why}"))?;
    for rule in [
        Broken::LearnsMulticastSources,
        Broken::NeverAges,
        Broken::SendsBackWhereItCameFrom,
        Broken::IgnoresThatAStationMoves,
        Broken::FloodsOutsideTheVlan,
        Broken::KnowsNoQuota,
        Broken::LooksAtNoTag,
        Broken::KnowsNoMtu,
        Broken::LetsTagsLeaveAsTheyCame,
        Broken::ForgetsNoStationOfAPortThatGoes,
        Broken::ForwardsReservedAddresses,
        Broken::TakesTheZeroAddressForAStation,
        Broken::LetsAnybodyHaveTheHostsAddress,
        Broken::TakesUntaggedFramesOnEveryTrunk,
    ] {
        match judge(Some(rule)) {
            // By a verdict, and not by a panic of its own.
            Err(TestError::Fail(why, plan)) if why.message().contains(" by port ") => {
                println!("{rule:?} is caught in {} steps", plan.steps.len());
            }
            other => return Err(format!("{rule:?} is not caught: {other:?}").into()),
        }
    }
    Ok(())
}
