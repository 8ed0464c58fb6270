//! [`CableStatistics`]: what one direction of a cable has seen, and the law that no frame is lost in it uncounted.

use std::collections::BTreeMap;
use std::fmt;

/// One of the two directions of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// What the interface sends; on a cable between two networks, what the second one sends; on one between the machine and
    /// another host, what that host sends.
    ToSwitch,
    /// What the switch sends; on a cable between two networks, what the first one sends; on one between the machine and
    /// another host, what the machine sends.
    FromSwitch,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::ToSwitch, Direction::FromSwitch];

    pub(crate) const fn back(self) -> Self {
        match self {
            Direction::ToSwitch => Direction::FromSwitch,
            Direction::FromSwitch => Direction::ToSwitch,
        }
    }
}

/// Why a frame was lost in a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CableDrop {
    /// There was no room for it. Who sent it counts it as well: the interface as `tx_dropped`, the port as `link_full`.
    QueueFull,
    /// The interface is switched off. Counted as the one above; a frame that comes to it, as its `rx_dropped`.
    Off,
    /// It has crossed so many switches that it goes round in a loop: see [`Runaway`](crate::Runaway). Its port counts it as
    /// `link_full`.
    Loop,
    /// A [rule](crate::rule) of this name dropped it. Who sent it knows nothing of it.
    Rule(&'static str),
}

impl fmt::Display for CableDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CableDrop::QueueFull => f.write_str("queue full"),
            CableDrop::Off => f.write_str("interface off"),
            CableDrop::Loop => f.write_str("loop"),
            CableDrop::Rule(name) => f.write_str(name),
        }
    }
}

/// What one direction of a cable has seen, in frames.
///
/// The law: sent + duplicated = delivered + Σ dropped + in flight, for each direction of each cable, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CableStatistics {
    /// Handed over by the sender.
    pub sent: u64,
    /// Copies that were made on the way.
    pub duplicated: u64,
    /// Taken by the receiver.
    pub delivered: u64,
    /// Lost, by reason.
    pub dropped: BTreeMap<CableDrop, u64>,
    /// In the cable now: they wait, are on the wire, or have arrived and nobody has taken them.
    pub in_flight: u64,
}

impl CableStatistics {
    /// How many were lost for this reason.
    #[must_use]
    pub fn dropped_for(&self, why: CableDrop) -> u64 {
        self.dropped.get(&why).copied().unwrap_or_default()
    }

    /// Whether the law holds.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.sent + self.duplicated == self.delivered + self.dropped.values().sum::<u64>() + self.in_flight
    }
}
