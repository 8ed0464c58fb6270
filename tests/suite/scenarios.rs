//! What a user observes, each observation once, for both worlds.

pub mod announcing;
mod bridge;
mod counters;
mod crashes;
mod data_plane;
mod etc;
mod events;
mod explain;
mod fairness;
mod ipv6;
mod lifecycle;
mod modes;
pub mod names;
mod networks;
mod outside;
mod ports;
mod published;
mod recordings;
mod recovery;
mod refusals;
mod sandboxes;
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
        pub const ALL: &[$crate::scenarios::Scenario] = $crate::scenarios::table![$($name),*];
    };
}
use scenarios;

/// The same as a value.
macro_rules! table {
    ($($name:ident),* $(,)?) => {
        &[$($crate::scenarios::Scenario { name: stringify!($name), play: $name }),*]
    };
}
use table;

/// Those that only a real kernel can play.
pub fn on_linux_only() -> impl Iterator<Item = &'static Scenario> {
    data_plane::WITH_OFFLOAD.iter()
}

/// Those about frames, which a real kernel plays once more with the engine that the daemon does not choose there.
pub fn with_epoll() -> impl Iterator<Item = &'static Scenario> {
    [data_plane::ALL, data_plane::WITH_OFFLOAD, fairness::ALL, ports::ALL].into_iter().flatten()
}

/// Those for both worlds.
pub fn in_both_worlds() -> impl Iterator<Item = &'static Scenario> {
    [
        announcing::ALL,
        names::ALL,
        networks::ALL,
        user_networks::ALL,
        bridge::ALL,
        counters::ALL,
        modes::ALL,
        lifecycle::ALL,
        refusals::ALL,
        data_plane::ALL,
        etc::ALL,
        events::ALL,
        ipv6::ALL,
        explain::ALL,
        fairness::ALL,
        outside::ALL,
        ports::ALL,
        published::ALL,
        recordings::ALL,
        recovery::ALL,
        crashes::ALL,
        sandboxes::ALL,
    ]
    .into_iter()
    .flatten()
}
