//! Docker's protocol for remote network drivers (libnetwork), as a driver sees it: without I/O, and without Linux.
//!
//! dockerd posts JSON to a path that names a method; [`read`](call::read) makes a checked [`Call`] of the two, or says what is wrong
//! ([`Refused`]) in the only form that dockerd shows to its user. [`reply`] has the answers.
//!
//! The rules it keeps:
//!
//! * A field that is not known is passed over, as newer engines send more; one of the wrong type is an error.
//! * What undoes something is read leniently: an id that can be nobody's is as good as one that is nobody's any more.
//! * What a user asked for and would not get is refused by name; never is it passed over.
//!
//! The map: [`call`], [`network`] with its [`options`], [`endpoint`] and [`ports`] are what comes in; [`reply`] and [`failure`] are what goes
//! out; [`engine`] reads what dockerd's own API says of names and of what is there, which the protocol does not send.

pub mod call;
pub mod endpoint;
pub mod engine;
pub mod failure;
mod lenient;
pub mod network;
pub mod options;
pub mod ports;
pub mod reply;

#[cfg(test)]
mod tests;

pub use self::call::{Call, Method};
pub use self::endpoint::{EndpointOrder, JoinOrder, ProgramOrder, Subject};
pub use self::failure::Refused;
pub use self::network::NetworkOrder;
pub use self::ports::Wanted;
