//! The containers of a switch that makes its TAPs itself: each is moved into its container, where it becomes `eth0`.

use super::namespace::Keeper;
use super::{CONTAINERS, End, GATEWAY, Outside, System, address, configure, masquerade};

/// A host whose TAPs have become containers' interfaces, and one its own.
pub struct Tapped {
    _host: Keeper,
    containers: Vec<Keeper>,
    outside: Outside,
}

/// The switch's TAP for a container, while it is not there yet.
pub fn name(number: usize) -> String {
    format!("tap{number}")
}

impl Tapped {
    /// Of a host with all of the TAPs; `gateway` is the interface of its own.
    pub fn new(host: Keeper, gateway: &str) -> Result<Self, String> {
        host.sh(&format!("ip addr add {GATEWAY} dev {gateway} && ip link set {gateway} mtu 1500 up"))?;
        masquerade(&host, gateway)?;
        let mut containers = Vec::new();
        for number in 0..CONTAINERS {
            let container = Keeper::of_network()?;
            host.sh(&format!("ip link set {} netns {} name eth0", name(number), container.pid()))?;
            configure(&container, number)?;
            containers.push(container);
        }
        let outside = Outside::behind(&host)?;
        Ok(Tapped { _host: host, containers, outside })
    }
}

impl System for Tapped {
    fn container(&self, number: usize) -> End {
        End { pid: self.containers[number].pid(), address: address(number) }
    }

    fn outside(&self) -> Option<End> {
        Some(self.outside.end())
    }
}
