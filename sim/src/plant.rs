//! [`Plant`]: what all cables of a world share.

use crate::clock::Clock;
use crate::hops::Hops;
use crate::rule::Rules;
use crate::trace::Trace;

/// The cable plant of a world.
#[derive(Debug)]
pub(crate) struct Plant {
    pub(crate) clock: Clock,
    pub(crate) rules: Rules,
    pub(crate) trace: Trace,
    pub(crate) hops: Hops,
}

impl Plant {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Plant { clock, rules: Rules::new(seed), trace: Trace::default(), hops: Hops::default() }
    }
}
