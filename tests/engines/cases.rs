//! What is expected of the engines' networks.

mod compose;
mod crashes;
mod docker0;
mod many;
mod networks;
mod outages;
mod pages;
mod podman;
mod podman_crashes;
mod podman_networks;
mod published;
mod restarts;
mod seen;

use crate::host::Host;

/// Something that is expected.
pub struct Case {
    pub name: String,
    pub play: fn(&mut Host),
}

/// A table of functions under their own names.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[(&str, fn(&mut $crate::host::Host))] = &[$((stringify!($name), $name)),*];
    };
}
use cases;

/// All of them; those that wait longest come first, and the others are played meanwhile.
pub fn all() -> impl Iterator<Item = Case> {
    let groups = [
        ("outages", outages::ALL),
        ("docker0", docker0::ALL),
        ("networks", networks::ALL),
        ("published", published::ALL),
        ("compose", compose::ALL),
        ("many", many::ALL),
        ("seen", seen::ALL),
        ("pages", pages::ALL),
        ("podman", podman::ALL),
        ("podman_networks", podman_networks::ALL),
        ("podman_crashes", podman_crashes::ALL),
        ("crashes", crashes::ALL),
        ("restarts", restarts::ALL),
    ];
    groups.into_iter().flat_map(|(group, cases)| {
        cases.iter().map(move |(name, play)| Case { name: format!("{group}::{name}"), play: *play })
    })
}
