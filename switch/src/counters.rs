//! [`PortCounters`]: what a port has seen, and the law that no frame gets lost uncounted.
//!
//! The law: received = forwarded + flooded + local + Σ drops at ingress, for every port, always. Copies that a flood or
//! a unicast sends are counted at the port they leave by: sent, or dropped with a reason.
//!
//! Names are those of `ip -s -j link` where it has one: `rx` and `tx` with `packets`, `bytes`, `dropped`, `multicast`.
//! `multicast` is groups without broadcast. A frame whose header can not be read, or whose offload header can not be true, is
//! none of the three kinds, and no super-frame.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::account::{Counters, fingerprint};
use crate::frame::Frame;
use crate::mac::MacAddr;
use crate::verdict::{DropReason, Verdict};

/// The counters of one port.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PortCounters {
    /// Frames that came in.
    pub rx: RxCounters,
    /// Copies that were to leave.
    pub tx: TxCounters,
}

/// Frames that came in by a port.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RxCounters {
    /// All of them; a super-frame is one.
    pub packets: u64,
    /// Their bytes, Ethernet headers included.
    pub bytes: u64,
    /// To a single station.
    pub unicast: u64,
    /// To a group.
    pub multicast: u64,
    /// To all stations.
    pub broadcast: u64,
    /// Super-frames among them.
    pub super_frames: u64,
    /// How many frames they are on a real wire.
    pub wire_frames: u64,
    /// Went to one port.
    pub forwarded: u64,
    /// Went to all other ports of the VLAN.
    pub flooded: u64,
    /// Went to the host.
    pub local: u64,
    /// Went nowhere.
    pub dropped: u64,
    /// Those, by reason.
    pub drops: Drops,
}

/// Copies that were to leave by a port.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TxCounters {
    /// Those that left; a super-frame is one.
    pub packets: u64,
    /// Their bytes, Ethernet headers included.
    pub bytes: u64,
    /// To a single station.
    pub unicast: u64,
    /// To a group.
    pub multicast: u64,
    /// To all stations.
    pub broadcast: u64,
    /// Super-frames among them.
    pub super_frames: u64,
    /// How many frames they are on a real wire.
    pub wire_frames: u64,
    /// Copies that did not leave.
    pub dropped: u64,
    /// Those, by reason.
    pub drops: Drops,
}

impl PortCounters {
    /// Whether the law holds.
    ///
    /// # Errors
    /// The numbers that do not add up.
    pub fn check(&self) -> Result<(), Imbalance> {
        let RxCounters { packets, forwarded, flooded, local, dropped, .. } = self.rx;
        let by_reason: u64 =
            DropReason::ALL.iter().filter(|why| why.is_ingress()).map(|why| self.rx.drops.of(*why)).sum();
        if packets == forwarded + flooded + local + by_reason && dropped == by_reason {
            return Ok(());
        }
        Err(Imbalance { packets, forwarded, flooded, local, dropped, by_reason })
    }
}

impl RxCounters {
    /// Counts a frame whose header can not be read, or whose offload header can not be true.
    #[cold]
    pub fn count_unreadable(&mut self, length: usize, reason: DropReason) {
        self.packets += 1;
        self.bytes += length as u64;
        self.wire_frames += 1;
        self.drop(reason);
    }

    /// Counts a frame and what was decided about it.
    #[inline]
    pub fn count(&mut self, traffic: Traffic, verdict: &Verdict) {
        self.packets += 1;
        self.bytes += u64::from(traffic.bytes);
        self.super_frames += u64::from(traffic.is_super);
        self.wire_frames += u64::from(traffic.wire_frames);
        match traffic.cast {
            Cast::Unicast => self.unicast += 1,
            Cast::Multicast => self.multicast += 1,
            Cast::Broadcast => self.broadcast += 1,
        }
        match verdict {
            Verdict::Unicast { .. } => self.forwarded += 1,
            Verdict::Flood { .. } => self.flooded += 1,
            Verdict::Local { .. } => self.local += 1,
            Verdict::Drop(reason) => self.drop(*reason),
        }
    }

    fn drop(&mut self, reason: DropReason) {
        self.dropped += 1;
        self.drops.add(reason);
    }
}

impl TxCounters {
    /// Counts a copy that left.
    #[inline]
    pub fn count(&mut self, traffic: Traffic) {
        self.packets += 1;
        self.bytes += u64::from(traffic.bytes);
        self.super_frames += u64::from(traffic.is_super);
        self.wire_frames += u64::from(traffic.wire_frames);
        match traffic.cast {
            Cast::Unicast => self.unicast += 1,
            Cast::Multicast => self.multicast += 1,
            Cast::Broadcast => self.broadcast += 1,
        }
    }

    /// Counts a copy that did not leave.
    pub fn drop(&mut self, reason: DropReason) {
        self.dropped += 1;
        self.drops.add(reason);
    }
}

/// What the counters want to know of a frame; small, so that it can wait beside a frame whose fate is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    bytes: u32,
    wire_frames: u32,
    cast: Cast,
    is_super: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cast {
    #[default]
    Unicast,
    Multicast,
    Broadcast,
}

impl Traffic {
    /// Of a frame as it is.
    #[inline]
    #[must_use]
    pub fn of(frame: &Frame<'_>) -> Self {
        Traffic {
            bytes: frame.bytes().len() as u32,
            wire_frames: frame.wire_frames() as u32,
            cast: Cast::of(frame.destination()),
            is_super: frame.vnet().is_gso(),
        }
    }

    /// Of the same frame with so many bytes more or less: a tag pushed or popped.
    #[inline]
    #[must_use]
    pub const fn longer_by(self, bytes: i32) -> Self {
        Traffic { bytes: self.bytes.saturating_add_signed(bytes), ..self }
    }
}

impl Cast {
    #[inline]
    const fn of(destination: MacAddr) -> Self {
        if !destination.is_multicast() {
            Cast::Unicast
        } else if destination.is_broadcast() {
            Cast::Broadcast
        } else {
            Cast::Multicast
        }
    }
}

/// One counter per reason. In JSON, an object of those that are not zero.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(transparent)]
#[serde(from = "BTreeMap<DropReason, u64>", into = "BTreeMap<DropReason, u64>")]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// How many for this reason.
    #[must_use]
    pub const fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// One more for this reason.
    pub const fn add(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// The reasons that there were, in the order of [`DropReason::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.of(*reason))).filter(|(_, count)| *count != 0)
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl From<BTreeMap<DropReason, u64>> for Drops {
    fn from(counts: BTreeMap<DropReason, u64>) -> Self {
        let mut drops = Drops::default();
        counts.iter().for_each(|(reason, count)| drops.0[*reason as usize] = *count);
        drops
    }
}

impl From<Drops> for BTreeMap<DropReason, u64> {
    fn from(drops: Drops) -> Self {
        drops.iter().collect()
    }
}

/// The law does not hold: a frame was lost without being counted, or counted twice. Always a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{packets} frames received are not {forwarded} forwarded + {flooded} flooded + {local} local + {dropped} dropped \
     ({by_reason} by reason)"
)]
pub struct Imbalance {
    packets: u64,
    forwarded: u64,
    flooded: u64,
    local: u64,
    dropped: u64,
    by_reason: u64,
}

impl PortCounters {
    /// All counters, as the numbers that they are: none can be forgotten in a sum.
    fn numbers(&self) -> &[u64; NUMBERS] {
        zerocopy::transmute_ref!(self)
    }

    fn numbers_mut(&mut self) -> &mut [u64; NUMBERS] {
        zerocopy::transmute_mut!(self)
    }

    /// What was counted since `earlier`, number by number; `None` if something of it was not counted yet then: these are
    /// not later counters of the same port.
    #[must_use]
    pub fn since(&self, earlier: &PortCounters) -> Option<PortCounters> {
        let mut grown = self.clone();
        for (now, then) in grown.numbers_mut().iter_mut().zip(earlier.numbers()) {
            *now = now.checked_sub(*then)?;
        }
        Some(grown)
    }
}

const NUMBERS: usize = size_of::<PortCounters>() / size_of::<u64>();

impl Counters for PortCounters {
    const KIND: u64 = {
        let mut layout = fingerprint(size_of::<PortCounters>() as u64, "rx tx; 1");
        let mut at = 0;
        while at < DropReason::ALL.len() {
            layout = fingerprint(layout, DropReason::ALL[at].name());
            at += 1;
        }
        layout
    };

    /// What was decided about a frame is what counts: one that was half counted is not, or is.
    fn mend(&mut self) {
        let at_ingress = DropReason::ALL.iter().filter(|why| why.is_ingress());
        self.rx.dropped = at_ingress.map(|why| self.rx.drops.of(*why)).sum();
        self.rx.packets = self.rx.forwarded + self.rx.flooded + self.rx.local + self.rx.dropped;
        self.tx.dropped = self.tx.drops.total();
    }
}

impl AddAssign<&PortCounters> for PortCounters {
    fn add_assign(&mut self, other: &PortCounters) {
        self.numbers_mut().iter_mut().zip(other.numbers()).for_each(|(sum, count)| *sum = sum.wrapping_add(*count));
    }
}

impl SubAssign<&PortCounters> for PortCounters {
    fn sub_assign(&mut self, other: &PortCounters) {
        self.numbers_mut().iter_mut().zip(other.numbers()).for_each(|(sum, count)| *sum = sum.saturating_sub(*count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vlan::VlanId;
    use crate::vnet::{GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

    #[test]
    fn a_drop_has_its_counter() {
        for reason in DropReason::ALL.into_iter().filter(|reason| reason.is_ingress()) {
            let mut counters = PortCounters::default();
            counters.rx.count(traffic([2; 6]), &Verdict::Drop(reason));
            assert_eq!(counters.rx.drops.iter().collect::<Vec<_>>(), [(reason, 1)]);
            assert_eq!(counters.check(), Ok(()));
        }
    }

    #[test]
    fn reasons_stand_in_the_order_of_their_counters() {
        for (position, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position);
        }
    }

    #[test]
    fn tells_frames_by_their_destination() {
        let mut rx = RxCounters::default();
        let verdict = Verdict::Drop(DropReason::NoEgress);
        for destination in [[2; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [1, 0, 0x5e, 0, 0, 2], [0x33; 6]] {
            rx.count(traffic(destination), &verdict);
        }
        assert_eq!((rx.unicast, rx.multicast, rx.broadcast), (1, 3, 1));
        assert_eq!((rx.packets, rx.bytes), (5, 5 * 14));
    }

    #[test]
    fn a_super_frame_is_one_packet_and_many_on_the_wire() {
        let mut bytes = vec![0; 14 + 20 + 8 + 3000];
        bytes[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        bytes[14 + 9] = 17;
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: GSO_UDP_L4,
            gso_size: 1000,
            csum_start: 34,
            csum_offset: 6,
            ..VnetHeader::default()
        };
        let traffic = Traffic::of(&Frame::parse(&bytes, vnet).unwrap());
        let (mut rx, mut tx) = (RxCounters::default(), TxCounters::default());
        rx.count(traffic, &Verdict::Unicast { vlan: VlanId::NONE, egress: crate::verdict::PortId(1) });
        tx.count(traffic.longer_by(4));
        assert_eq!((rx.packets, rx.super_frames, rx.wire_frames, rx.bytes), (1, 1, 3, 3042));
        assert_eq!((tx.packets, tx.super_frames, tx.wire_frames, tx.bytes), (1, 1, 3, 3046));
    }

    #[test]
    fn sees_a_frame_that_was_not_accounted_for() {
        let mut counters = PortCounters::default();
        counters.rx.packets = 1;
        let imbalance = counters.check().unwrap_err();
        assert_eq!(
            imbalance.to_string(),
            "1 frames received are not 0 forwarded + 0 flooded + 0 local + 0 dropped (0 by reason)"
        );
        // A reason of egress does not account for a frame that came in.
        counters.rx.drop(DropReason::LinkFull);
        assert!(counters.check().is_err());
    }

    #[test]
    fn shows_drops_as_an_object_without_zeros() {
        let mut drops = Drops::default();
        assert_eq!(serde_json::to_string(&drops).unwrap(), "{}");
        drops.add(DropReason::LinkFull);
        drops.add(DropReason::Runt);
        drops.add(DropReason::Runt);
        let json = serde_json::to_string(&drops).unwrap();
        assert_eq!(json, r#"{"runt":2,"link_full":1}"#);
        assert_eq!(serde_json::from_str::<Drops>(&json).unwrap(), drops);
        assert_eq!(drops.total(), 3);
    }

    #[test]
    fn sums_add_up_counter_by_counter() {
        let mut one = PortCounters::default();
        one.rx.count_unreadable(3, DropReason::Runt);
        one.rx.count(traffic([0xff; 6]), &Verdict::Drop(DropReason::NoEgress));
        one.tx.count(traffic([2; 6]));
        one.tx.drop(DropReason::LinkDown);
        let mut sum = PortCounters::default();
        sum += &one;
        assert_eq!(sum, one);
        sum += &one;
        assert_eq!((sum.rx.packets, sum.rx.bytes, sum.tx.packets, sum.tx.dropped), (4, 34, 2, 2));
        assert_eq!(sum.check(), Ok(()));
    }

    fn traffic(destination: [u8; 6]) -> Traffic {
        let bytes = [&destination[..], &[2; 8]].concat();
        Traffic::of(&Frame::parse(&bytes, VnetHeader::default()).unwrap())
    }
}
