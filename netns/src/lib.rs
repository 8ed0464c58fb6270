//! Docker's four network modes on a switch of our own.
//!
//! The map:
//!
//! * [`mode`], [`name`], [`ifname`], [`publish`]: what a user types; [`pools`], [`network`], [`lease`]: who gets which address;
//! * [`record`]: what is known of a container, which is also the journal; [`files`]: what stands in its own
//!   files below `/etc`;
//! * [`guest`]: an interface of ours in a sandbox that another engine has made;
//! * [`borrowed`]: an interface of the host that is a port of ours for a while;
//! * [`event`]: what happens, as people are told of it;
//! * [`firewall`]: what the host may forward to and from our bridges;
//! * [`manager`]: what is done, in order, and undone;
//! * [`backend`]: what the manager asks of the world, the seam; [`linux`] is the real one, the simulator has its own.
//!
//! One thing to know first: the manager never touches a frame and the switch never touches a container. Between them go
//! [`switch::dataplane::Control`]s, one way.

pub mod backend;
pub mod borrowed;
pub mod error;
pub mod event;
pub mod files;
pub mod firewall;
pub mod guest;
pub mod ifname;
pub mod interface;
pub mod lease;
pub mod linux;
pub mod manager;
pub mod mode;
pub mod name;
pub mod names;
pub mod network;
pub mod pools;
pub mod publish;
pub mod record;
pub mod strangers;
pub mod subnet;
