//! Nobody is taken for a station that has gone, in whatever order stations come to addresses.

use libtest_mimic::Failed;
use proptest::prelude::*;

use crate::lab::sim::Sim;
use crate::scenarios::announcing::{Holder, follow_one_another};

use super::holds;

pub(super) fn nobody_is_taken_for_who_has_gone() -> Result<(), Failed> {
    let mac = prop_oneof![3 => Just(None), 2 => (6..9_u8).prop_map(Some)];
    let holder =
        (1..5_u8, mac, prop::bool::weighted(0.2)).prop_map(|(address, mac, kills)| Holder { address, mac, kills });
    holds(&proptest::collection::vec(holder, 1..12), |holders| {
        follow_one_another(&mut Sim::new(), &holders);
        Ok(())
    })
}
