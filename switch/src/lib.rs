//! A learning Ethernet switch (IEEE 802.1D) as a library.
//!
//! The map, from the frame's point of view:
//!
//! * [`frame`]: the checked view of a frame; [`mac`], [`vlan`], [`vnet`] are its parts, [`buffer`] is its memory;
//! * [`fdb`]: which station is behind which port;
//! * [`forward`]: the [`forward::Switch`], which turns a frame into a [`verdict::Verdict`]. Pure: no I/O, no clock, no lock;
//! * [`explain`]: the same decision told step by step, and not taken;
//! * [`port`]: what a port is told; [`counters`]: what it has seen, and the law that no frame is lost uncounted;
//! * [`account`]: where that is counted, so that it outlives who counts;
//! * [`link`]: frames in, frames out, the seam to the world: TAPs on Linux, cables in the simulator;
//! * [`offload`]: segmentation and checksums in software, for a link that can not take a super-frame;
//! * [`dataplane`]: switches, links and counters together; [`engine`]: the loop that drives it on a real host.

pub mod account;
pub mod buffer;
pub mod counters;
pub mod dataplane;
pub mod engine;
pub mod explain;
pub mod fdb;
pub mod forward;
pub mod frame;
pub mod link;
pub mod mac;
pub mod offload;
pub mod port;
mod slots;
pub mod time;
pub mod verdict;
pub mod vlan;
pub mod vnet;
