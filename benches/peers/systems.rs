//! The systems that are compared: each has sixteen containers, numbered from 0, in namespaces of its own, and an outside behind
//! its host, which masquerades.

mod bridge;
mod by_hand;
mod docker;
mod end;
mod namespace;
mod ovs;
mod pontoon;
mod service;
mod taps;
mod vde;

use std::net::Ipv4Addr;

pub use by_hand::ByHand;
pub use end::End;
pub use namespace::enter;
pub use pontoon::Pontoon;

use super::load;
use super::peer::Peer;
use namespace::Keeper;

/// How many containers a system has: eight pairs.
pub const CONTAINERS: usize = 16;

/// A switch with containers on it.
pub trait System {
    /// A container.
    fn container(&self, number: usize) -> End;
    /// What is behind the host; none, if it has no outside.
    fn outside(&self) -> Option<End>;
}

/// Starts a system, and sees that each of its containers reaches another.
///
/// # Errors
/// Why this machine can not have it.
pub fn start(peer: Peer) -> Result<Box<dyn System>, String> {
    let system: Box<dyn System> = match peer {
        Peer::Kernel => Box::new(bridge::KernelBridge::new()?),
        Peer::Docker0 => Box::new(docker::Docker0::new()?),
        Peer::Vde => Box::new(vde::Vde::new()?),
        Peer::Ovs => Box::new(ovs::OpenVSwitch::new()?),
        Peer::Capturing => Box::new(Pontoon::capturing()?),
        Peer::Recording => Box::new(Pontoon::recording()?),
        Peer::Pontoon | Peer::PontoonEpoll | Peer::PontoonUring | Peer::PontoonVeth => {
            Box::new(Pontoon::with_outside(peer)?)
        }
    };
    let reach = |from: usize, to: End| {
        let failed = |why| format!("container {from} does not reach {}: {why}", to.address);
        load::reach(system.container(from), to).map_err(failed)
    };
    for number in 0..CONTAINERS {
        reach(number, system.container((number + 1) % CONTAINERS))?;
    }
    system.outside().map_or(Ok(()), |outside| reach(0, outside))?;
    Ok(system)
}

/// The gateway of every system.
const GATEWAY: &str = "10.77.0.1/16";
/// The subnet of every system.
const SUBNET: &str = "10.77.0.0/16";

/// The address of a container: those that Pontoon gives as well.
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 2 + number as u8)
}

/// Configures `eth0` in a container.
fn configure(container: &Keeper, number: usize) -> Result<(), String> {
    container.sh(&format!(
        "ip link set lo up && ip addr add {}/16 dev eth0 && ip link set eth0 mtu 1500 up && ip route add default via 10.77.0.1",
        address(number)
    ))
}

/// A namespace on a veth pair with a host.
struct Outside(Keeper);

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);

impl Outside {
    fn behind(host: &Keeper) -> Result<Self, String> {
        let outside = Keeper::of_network()?;
        host.sh(&format!(
            "ip link add uplink0 type veth peer name eth0 netns {} && ip addr add 10.200.0.1/24 dev uplink0 && ip link set uplink0 up",
            outside.pid()
        ))?;
        outside.sh(&format!("ip link set lo up && ip addr add {OUTSIDE}/24 dev eth0 && ip link set eth0 up"))?;
        Ok(Outside(outside))
    }

    fn end(&self) -> End {
        End { pid: self.0.pid(), address: OUTSIDE }
    }
}

/// What a host has that is no Docker: forwarding, and one rule for what leaves.
fn masquerade(host: &Keeper, bridge: &str) -> Result<(), String> {
    host.sh(&format!(
        "echo 1 > /proc/sys/net/ipv4/ip_forward && nft \"add table ip nat; \
         add chain ip nat out {{ type nat hook postrouting priority srcnat; }}; \
         add rule ip nat out ip saddr {SUBNET} oifname != {bridge} masquerade\""
    ))
}
