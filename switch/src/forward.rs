//! [`Switch`]: what becomes of a frame (IEEE 802.1Q-2022, 8.6). Pure: no I/O, no clock, no lock.
//!
//! Rules, in the order in which they are applied to a frame that comes in:
//! 1. A source that no station can have, a group or all zeros, drops the frame; nothing is learned.
//! 2. The frame's VLAN is found, and the port must carry it. Where the switch does not look at tags (the default) there
//!    is but [`VlanId::NONE`], and tags cross like payload. Where it does, only an outer C-tag (0x8100) counts; one with
//!    VLAN 0 carries a priority only, and the frame is as if untagged; an S-tag (0x88a8) is payload.
//! 3. The source is learned, also from frames that rule 4 drops, as the Linux bridge does it.
//! 4. 01:80:C2:00:00:00 to 0F are not forwarded.
//! 5. A group, or a station that is not known, goes to all other ports of the VLAN; a known one to its port, but never
//!    back to the port that the frame came from, and never out of its VLAN.
//!
//! At egress each copy must fit the port's MTU, segment by segment, and gets the tag that the port has for the VLAN.
//!
//! Each rule tells what it found to whoever wants to know ([`Switch::ingress_told`], [`crate::explain`]).
//!
//! What it does not do: rewrite a byte (the link does, as [`Retag`] says), run spanning tree, or snoop multicast.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::explain::{Found, FoundBy, Lesson, Narrate, Step};
use crate::fdb::{EntryKind, Fdb, FdbSnapshot, Refusal};
use crate::frame::{Frame, Tag};
use crate::mac::MacAddr;
use crate::port::{PortConfig, Tagging};
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::{DropReason, PortId, PortSet, Verdict};
use crate::vlan::{Retag, VlanId};

mod excerpt;

/// How a switch behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a silent station is remembered; zero: nothing is learned.
    pub ageing: Duration,
    /// Whether tags are looked at.
    pub vlan_filtering: bool,
    /// Seed of the FDB's hash. A real host draws one, so that nobody can make addresses that collide, and records it.
    pub hash_seed: u64,
    /// How many stations the FDB holds at most.
    pub max_stations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { ageing: Fdb::DEFAULT_AGEING, vlan_filtering: false, hash_seed: 0, max_stations: 65_536 }
    }
}

/// Why a port can not be plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlugError {
    /// The number is taken.
    #[error("port {} is there already", .0.0)]
    Taken(PortId),
    /// The FDB has no room for the address of a local port.
    #[error("no room in the FDB for the address of port {}", .0.0)]
    TableFull(PortId),
}

/// How a copy of a frame fits the port that it is to leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// What happens to its outer tag there.
    pub tag: Retag,
    /// The length of the longest frame that the copy is on a real wire, with the tag that it has there, in bytes.
    pub length: usize,
    /// How long that may be, in bytes.
    pub limit: usize,
    /// The port's MTU, which the limit comes of.
    pub mtu: u32,
}

/// A switch: ports, FDB and flood sets.
#[derive(Debug)]
pub struct Switch {
    config: Config,
    fdb: Fdb,
    ports: Slots<PortConfig>,
    /// Members of each VLAN that has any, by VLAN.
    floods: Vec<(VlanId, Arc<[PortId]>)>,
}

/// A switch as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchSnapshot {
    /// How it behaves.
    pub config: Config,
    /// Its ports, by number.
    pub ports: Vec<(PortId, PortConfig)>,
    /// Its stations.
    pub fdb: FdbSnapshot,
}

impl Switch {
    /// A switch without ports.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let fdb = Fdb::new(config.ageing, config.max_stations, config.hash_seed);
        Switch { config, fdb, ports: Slots::new(), floods: Vec::new() }
    }

    /// Adds a port. The address of a local one becomes a static station of each of its VLANs.
    ///
    /// # Errors
    /// If the number is taken, or the FDB has no room for the address of a local port.
    pub fn plug(&mut self, port: PortId, config: PortConfig, now: Instant) -> Result<(), PlugError> {
        if self.ports.contains(port.0) {
            return Err(PlugError::Taken(port));
        }
        let config = PortConfig { vlans: config.vlans.sorted(), ..config };
        let vlans = self.vlans_of(&config);
        self.fdb.set_quota(port, config.quota);
        if let Some(station) = config.local {
            let set = |vlan: &VlanId| self.fdb.set(*vlan, station, port, EntryKind::Static, now);
            let all: Result<(), Refusal> = vlans.iter().try_for_each(set);
            if all.is_err() {
                self.fdb.remove_port(port);
                return Err(PlugError::TableFull(port));
            }
        }
        self.ports.insert(port.0, config);
        self.rebuild_floods(&vlans);
        Ok(())
    }

    /// Takes a port away, and its stations with it. Whether it was there.
    pub fn unplug(&mut self, port: PortId) -> bool {
        let Some(config) = self.ports.remove(port.0) else { return false };
        self.fdb.remove_port(port);
        let vlans = self.vlans_of(&config);
        self.rebuild_floods(&vlans);
        true
    }

    /// Calls a port something else. Returns what it was called; none if it is not there.
    pub fn rename(&mut self, port: PortId, name: String) -> Option<String> {
        Some(std::mem::replace(&mut self.ports.get_mut(port.0)?.name, name))
    }

    /// Decides about a frame that came in by port `ingress`, and learns from it.
    ///
    /// # Panics
    /// If `ingress` is not plugged in.
    #[inline]
    pub fn ingress(&mut self, ingress: PortId, frame: &Frame<'_>, now: Instant) -> Verdict {
        self.ingress_told(ingress, frame, now, &mut ())
    }

    /// The same, and tells of each step. [`Switch::explain`] is for those who want the steps without what comes of them.
    ///
    /// # Panics
    /// If `ingress` is not plugged in.
    #[inline]
    pub fn ingress_told(
        &mut self,
        ingress: PortId,
        frame: &Frame<'_>,
        now: Instant,
        tell: &mut impl Narrate,
    ) -> Verdict {
        let (source, destination) = (frame.source(), frame.destination());
        let refused = refusal_of(source);
        tell.tell(|| Step::Source { station: source, reason: refused });
        if let Some(reason) = refused {
            return Verdict::Drop(reason);
        }
        let vlan = match self.classify(ingress, frame, tell) {
            Ok(vlan) => vlan,
            Err(reason) => return Verdict::Drop(reason),
        };
        let learned = self.fdb.learn(vlan, source, ingress, now);
        tell.tell(|| {
            let behind = self.fdb.entry(vlan, source, now).map(|entry| entry.port);
            let (stations, quota) = (self.fdb.stations(ingress), self.fdb.quota(ingress));
            Step::Learning { station: source, learned: Lesson::of(learned, behind), stations, quota }
        });
        if destination.is_multicast() {
            if destination.is_reserved() {
                tell.tell(|| Step::Reserved { destination });
                return Verdict::Drop(DropReason::ReservedDestination);
            }
            tell.tell(|| Step::Lookup { station: destination, found: Found::Group });
            return self.flood(vlan, ingress);
        }
        let known = self.fdb.lookup(vlan, destination, now);
        tell.tell(|| {
            let found = Found::of(known, self.fdb.entry(vlan, destination, now));
            Step::Lookup { station: destination, found }
        });
        match known {
            Some(egress) => self.unicast(vlan, ingress, egress),
            None => self.flood(vlan, ingress),
        }
    }

    /// Has what a decision about this frame will need of the FDB brought nearer. Nothing else: no step of a decision is taken.
    ///
    /// # Panics
    /// If `ingress` is not plugged in.
    #[inline]
    pub fn look_ahead(&self, ingress: PortId, frame: &Frame<'_>) {
        let Ok(vlan) = self.classify(ingress, frame, &mut ()) else { return };
        self.fdb.look_ahead(vlan, frame.source());
        if !frame.destination().is_multicast() {
            self.fdb.look_ahead(vlan, frame.destination());
        }
    }

    /// Whether a copy of `frame` fits port `egress`, and what happens to its tag there. `vlan` is the verdict's.
    ///
    /// # Errors
    /// [`DropReason::ExceedsMtu`]; [`DropReason::LinkDown`] if there is no such port, and [`DropReason::EgressVlan`] if
    /// it does not carry the VLAN, neither of which happens to a port of the verdict.
    #[inline]
    pub fn egress(&self, egress: PortId, frame: &Frame<'_>, vlan: VlanId) -> Result<Retag, DropReason> {
        let fit = self.fit(egress, frame, vlan)?;
        if fit.length > fit.limit { Err(DropReason::ExceedsMtu) } else { Ok(fit.tag) }
    }

    /// How long a copy of `frame` is for port `egress`, and how long it may be.
    ///
    /// # Errors
    /// As [`Switch::egress`], but for the MTU, which is the caller's to compare.
    #[inline(always)]
    pub fn fit(&self, egress: PortId, frame: &Frame<'_>, vlan: VlanId) -> Result<Fit, DropReason> {
        let port = self.ports.get(egress.0).ok_or(DropReason::LinkDown)?;
        let retag = if self.config.vlan_filtering {
            retag(frame, vlan, port.vlans.tagging(vlan).ok_or(DropReason::EgressVlan)?)
        } else {
            Retag::Keep
        };
        // (IP packet and LLC alike: the MTU is what may follow the header, and one tag comes on top of it, as in IEEE
        // 802.3's 1522 bytes. A second tag is part of the payload.)
        let (length, tagged) = match retag {
            Retag::Keep | Retag::Replace(_) => (frame.longest_segment(), frame.outer().is_some()),
            Retag::Push(_) => (frame.longest_segment() + Tag::LEN, true),
            Retag::Pop => (frame.longest_segment() - Tag::LEN, frame.inner().is_some()),
        };
        let limit = port.mtu as usize + Frame::HEADER + if tagged { Tag::LEN } else { 0 };
        Ok(Fit { tag: retag, length, limit, mtu: port.mtu })
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A port's configuration.
    #[must_use]
    pub fn port(&self, port: PortId) -> Option<&PortConfig> {
        self.ports.get(port.0)
    }

    /// The ports, ascending.
    pub fn ports(&self) -> impl Iterator<Item = PortId> + '_ {
        self.ports.iter().map(|(port, _)| PortId(port))
    }

    /// Its stations.
    #[must_use]
    pub fn fdb(&self) -> &Fdb {
        &self.fdb
    }

    /// Its stations, to be changed by hand.
    pub fn fdb_mut(&mut self) -> &mut Fdb {
        &mut self.fdb
    }

    /// Forgets stations that have been silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.fdb.handle_timeout(now);
    }

    /// When [`Switch::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.fdb.poll_timeout()
    }

    /// The switch as plain data.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> SwitchSnapshot {
        let ports = self.ports.iter().map(|(port, config)| (PortId(port), config.clone())).collect();
        SwitchSnapshot { config: self.config.clone(), ports, fdb: self.fdb.snapshot(now) }
    }

    /// The switch that a snapshot was taken of.
    ///
    /// # Errors
    /// If the snapshot is none of a switch: one port twice, or more local addresses than the table may hold.
    pub fn restore(snapshot: SwitchSnapshot, now: Instant) -> Result<Self, PlugError> {
        let mut switch = Switch::new(snapshot.config);
        for (port, config) in snapshot.ports {
            switch.plug(port, config, now)?;
        }
        while switch.fdb.poll_event().is_some() {}
        switch.fdb.restore(&snapshot.fdb, now);
        Ok(switch)
    }

    #[inline]
    fn classify(&self, ingress: PortId, frame: &Frame<'_>, tell: &mut impl Narrate) -> Result<VlanId, DropReason> {
        let Some(port) = self.ports.get(ingress.0) else {
            panic!("a frame came in by port {}, which is not plugged in", ingress.0)
        };
        if !self.config.vlan_filtering {
            tell.tell(|| Step::Vlan { vlan: Some(VlanId::NONE), by: FoundBy::NotFiltering, reason: None });
            return Ok(VlanId::NONE);
        }
        let tag = customer_tag(frame);
        let (vlan, carried, reason) = match tag {
            Some(tag) if tag.vid() != 0 => {
                let vlan = VlanId::new(tag.vid());
                let carried = vlan.filter(|vlan| port.vlans.tagging(*vlan).is_some());
                (vlan, carried, DropReason::IngressVlan)
            }
            Some(_) | None => (port.vlans.native(), port.vlans.native(), DropReason::Untagged),
        };
        tell.tell(|| Step::Vlan { vlan, by: FoundBy::of(tag), reason: carried.is_none().then_some(reason) });
        carried.ok_or(reason)
    }

    #[inline]
    fn unicast(&self, vlan: VlanId, ingress: PortId, egress: PortId) -> Verdict {
        if egress == ingress {
            return Verdict::Drop(DropReason::Hairpin);
        }
        // A learned station is in a VLAN of its port; a static one need not be.
        match self.ports.get(egress.0).filter(|port| self.carries(port, vlan)) {
            Some(port) if port.local.is_some() => Verdict::Local { vlan, egress },
            Some(_) => Verdict::Unicast { vlan, egress },
            None => Verdict::Drop(DropReason::EgressVlan),
        }
    }

    #[inline]
    fn flood(&self, vlan: VlanId, ingress: PortId) -> Verdict {
        let members = self.floods.binary_search_by_key(&vlan, |(vlan, _)| *vlan).map(|at| &self.floods[at].1);
        match members {
            Ok(members) if members.len() > 1 => Verdict::Flood { vlan, to: PortSet::new(Arc::clone(members), ingress) },
            // The ingress port is a member itself.
            Ok(_) | Err(_) => Verdict::Drop(DropReason::NoEgress),
        }
    }

    #[inline]
    fn carries(&self, port: &PortConfig, vlan: VlanId) -> bool {
        !self.config.vlan_filtering || port.vlans.tagging(vlan).is_some()
    }

    fn vlans_of(&self, port: &PortConfig) -> Vec<VlanId> {
        if self.config.vlan_filtering { port.vlans.all() } else { vec![VlanId::NONE] }
    }

    fn rebuild_floods(&mut self, vlans: &[VlanId]) {
        for vlan in vlans {
            let carrying = self.ports.iter().filter(|(_, port)| self.carries(port, *vlan));
            let members: Arc<[PortId]> = carrying.map(|(port, _)| PortId(port)).collect();
            match self.floods.binary_search_by_key(vlan, |(vlan, _)| *vlan) {
                Ok(at) if members.is_empty() => drop(self.floods.remove(at)),
                Ok(at) => self.floods[at].1 = members,
                Err(at) => self.floods.insert(at, (*vlan, members)),
            }
        }
    }
}

/// Why no station can have this address as its own.
#[inline]
fn refusal_of(source: MacAddr) -> Option<DropReason> {
    if source.is_multicast() {
        Some(DropReason::MulticastSource)
    } else if source == MacAddr::ZERO {
        Some(DropReason::ZeroSource)
    } else {
        None
    }
}

#[inline]
fn customer_tag(frame: &Frame<'_>) -> Option<Tag> {
    frame.outer().filter(|tag| tag.tpid == Tag::CUSTOMER)
}

fn retag(frame: &Frame<'_>, vlan: VlanId, tagging: Tagging) -> Retag {
    match (customer_tag(frame), tagging) {
        (None, Tagging::Untagged) => Retag::Keep,
        (None, Tagging::Tagged) => Retag::Push(vlan.get()),
        // A priority tag goes as well: a station that wants no tags may not understand it.
        (Some(_), Tagging::Untagged) => Retag::Pop,
        (Some(tag), Tagging::Tagged) if tag.vid() == vlan.get() => Retag::Keep,
        (Some(tag), Tagging::Tagged) => Retag::Replace(tag.priority_bits() | vlan.get()),
    }
}

#[cfg(test)]
mod tests;
