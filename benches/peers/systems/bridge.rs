//! The Linux bridge with veth pairs.

use super::namespace::Keeper;
use super::{CONTAINERS, End, GATEWAY, Outside, System, address, configure, masquerade};

/// A host with a bridge, and containers on it.
pub struct Bridged {
    pub host: Keeper,
    containers: Vec<Keeper>,
    outside: Outside,
}

impl Bridged {
    /// With a bridge of this name, for which `prepare` readies the host before there are containers.
    pub fn new(bridge: &str, prepare: impl FnOnce(&Keeper) -> Result<(), String>) -> Result<Self, String> {
        let host = Keeper::of_host()?;
        host.sh(&format!(
            "ip link add {bridge} type bridge && ip addr add {GATEWAY} dev {bridge} && ip link set {bridge} up"
        ))?;
        prepare(&host)?;
        let mut containers = Vec::new();
        for number in 0..CONTAINERS {
            let container = Keeper::of_network()?;
            let pid = container.pid();
            host.sh(&format!(
                "ip link add v{number} type veth peer name eth0 netns {pid} && ip link set v{number} master {bridge} up"
            ))?;
            configure(&container, number)?;
            containers.push(container);
        }
        let outside = Outside::behind(&host)?;
        Ok(Bridged { host, containers, outside })
    }
}

impl System for Bridged {
    fn container(&self, number: usize) -> End {
        End { pid: self.containers[number].pid(), address: address(number) }
    }

    fn outside(&self) -> Option<End> {
        Some(self.outside.end())
    }
}

/// The bridge alone. Where br_netfilter is loaded it is off for this one.
pub struct KernelBridge(Bridged);

impl KernelBridge {
    pub fn new() -> Result<Self, String> {
        let prepare = |host: &Keeper| {
            host.sh("cd /proc/sys/net/bridge 2>/dev/null || exit 0; \
                 for each in iptables ip6tables arptables; do echo 0 > bridge-nf-call-$each; done")?;
            masquerade(host, "br0")
        };
        Bridged::new("br0", prepare).map(KernelBridge)
    }
}

impl System for KernelBridge {
    fn container(&self, number: usize) -> End {
        self.0.container(number)
    }

    fn outside(&self) -> Option<End> {
        self.0.outside()
    }
}
