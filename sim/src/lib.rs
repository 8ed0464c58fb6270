//! A simulated world for Pontoon: the same switch, data plane and manager as on Linux, without root, kernel or clock.
//!
//! ```
//! use netns::manager::RunRequest;
//! # use pontoon_sim as sim;
//! use sim::{Place, Program, World};
//!
//! let mut world = World::builder().seed(7).up()?;
//! let web = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
//! let address = world.inspect(web.name.as_str())?.networks["bridge"].ip.addr();
//! assert!(world.ping(&Place::Host, address));
//! # Ok::<(), netns::error::Error>(())
//! ```
//!
//! The map, from the bottom:
//!
//! * `clock`: virtual time, and the events to come; `trace`: what happened, as a hash, in words ([`World::trace`]) and for
//!   Wireshark ([`Capture`]);
//! * `cable`: what joins an interface to a port of the switch ([`CableEnd`], a [`switch::link::Link`]); it has a latency, a
//!   rate and a queue in each direction ([`Cable`]), which can be changed at any time ([`CableHandle`]); `plant`: what
//!   all cables of a world share; `hops`: how a loop of switches is found;
//! * [`rule`]: what is to become of frames on a cable ([`Rule`], [`Fate`]), and [`fault`]: rules ready made, from loss to
//!   partition; `chance`: where they take it from;
//! * `wire`, `neighbour`, `interface`, `namespace`: IPv4 on Ethernet, as Linux does it; `stack`: TCP and UDP, by smoltcp, which
//!   nothing else knows; `socket` and `calls`: ports and the calls of programs;
//! * `program`: what the command of a container does; `machine`: all that outlives a daemon; `backend`: what the manager
//!   asks of it ([`SimBackend`], a [`netns::backend::Backend`]);
//! * `world`: [`World`], the loop around all of it and the verbs of scenarios.
//!
//! What it does not do: IPv6, fragments, forwarding between interfaces. A cable has no rate unless it is given one: then TCP
//! runs as fast as its windows allow.

mod backend;
mod cable;
mod calls;
mod chance;
mod clock;
pub mod fault;
mod hops;
mod interface;
mod machine;
mod namespace;
mod neighbour;
mod plant;
mod program;
pub mod rule;
mod socket;
mod stack;
mod trace;
mod wire;
mod world;

pub use crate::backend::SimBackend;
pub use crate::cable::{Cable, CableDrop, CableEnd, CableHandle, CableStatistics, Direction, QUEUE};
pub use crate::chance::Chance;
pub use crate::program::Program;
pub use crate::rule::{Fate, LineId, Passage, Rule, RuleGuard, Scope};
pub use crate::socket::{SocketError, SocketId};
pub use crate::trace::Capture;
pub use crate::world::{Place, Runaway, Stream, World, WorldBuilder};
