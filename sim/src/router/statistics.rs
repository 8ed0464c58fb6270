//! [`ForwardStatistics`]: what became of packets that were for somebody else.

use std::collections::BTreeMap;

/// Why a packet was not passed on, or not let out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardDrop {
    /// The interface by which it came does not forward.
    NotForwarding,
    /// It comes from an address that nobody out there can have: this host's own, a loopback, or none.
    Martian,
    /// It has had as many hops as it may. Its sender is told.
    TimeExceeded,
    /// No route leads there. Its sender is told.
    NoRoute,
    /// It is longer than the next link takes. Its sender is told, if it is not to be cut; fragments are not made here.
    TooLong,
    /// A rule of the firewall drops it.
    Firewall,
    /// No port is left under which it could leave.
    NoPort,
    /// There are too many connections.
    TooManyConnections,
    /// Nobody answers for its next hop. Its sender is told.
    Unreachable,
}

/// What became of packets that were for somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardStatistics {
    /// How many were passed on, a super-frame as one.
    pub forwarded: u64,
    dropped: BTreeMap<ForwardDrop, u64>,
}

impl ForwardStatistics {
    /// How many were dropped for a reason.
    #[must_use]
    pub fn dropped_for(&self, why: ForwardDrop) -> u64 {
        self.dropped.get(&why).copied().unwrap_or_default()
    }

    /// How many were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    pub(crate) fn drop_for(&mut self, why: ForwardDrop) {
        *self.dropped.entry(why).or_default() += 1;
    }
}
