//! Ends of loads, which are containers here, and the way into their namespaces.

#[path = "../peers/systems/end.rs"]
mod end;
#[allow(dead_code, reason = "these namespaces are made by an engine")]
#[path = "../peers/systems/namespace.rs"]
mod namespace;

pub use end::End;
pub use namespace::{enter, find};
