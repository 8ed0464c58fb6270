//! What a user observes, each observation once, for both worlds.

mod bridge;
mod crashes;
mod data_plane;
mod etc;
mod lifecycle;
mod modes;
mod names;
mod networks;
mod recovery;
mod refusals;
mod user_networks;

use crate::lab::Lab;

/// One observation.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub play: fn(&mut dyn Lab),
}

/// A table of functions under their own names.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[$crate::scenarios::Scenario] =
            &[$($crate::scenarios::Scenario { name: stringify!($name), play: $name }),*];
    };
}
use scenarios;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        names::ALL,
        networks::ALL,
        user_networks::ALL,
        bridge::ALL,
        modes::ALL,
        lifecycle::ALL,
        refusals::ALL,
        data_plane::ALL,
        etc::ALL,
        recovery::ALL,
        crashes::ALL,
    ]
    .into_iter()
    .flatten()
}
