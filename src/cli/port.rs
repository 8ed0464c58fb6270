//! `port …`: interfaces of the host as ports.

use clap::{Args, Subcommand};
use netns::ifname::IfName;

/// `port …`
#[derive(Debug, Subcommand)]
pub enum PortCommand {
    /// Make an Ethernet interface of the host a port of a bridge, as `brctl addif` does
    Add(PortAddArgs),
    /// Take such a port away, and give its interface back to the host
    #[command(visible_alias = "delete")]
    Del(PortDelArgs),
}

/// `port add`
///
/// Whatever comes in by the interface is the bridge's, and the host hears nothing of it any more. Else the interface stays as
/// it is: up or down, its addresses, its MTU, its name, which is the port's too. The port outlives the daemon, and the next one
/// has it again; `pontoon port del`, `pontoon down` and a restart of the machine give the interface back.
#[derive(Debug, Args)]
pub struct PortAddArgs {
    /// The bridge: `pontoon show` lists them
    pub bridge: String,
    /// The interface, such as one end of a veth pair or the TAP of a virtual machine
    #[arg(value_name = "IFNAME")]
    pub interface: IfName,
}

/// `port del`
#[derive(Debug, Args)]
pub struct PortDelArgs {
    /// The bridge
    pub bridge: String,
    /// The port
    pub port: String,
}
