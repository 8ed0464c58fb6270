//! What the daemon does when `pontoon-cni` asks it.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netns::error::Error;
use netns::guest::{self, GuestRequest, Route};
use netns::manager::NetworkRequest;
use netns::network::Owner;
use netns::publish::PortMapping;
use netns::subnet::SubnetRequest;

use super::Sim;
use crate::lab::PODS;

impl Sim {
    /// What the daemon does when `pontoon-cni` asks for an interface.
    pub(super) fn attach_guest(&mut self, key: &str, sandbox: &str, publish: &[&str]) -> Result<Ipv4Addr, Error> {
        let (name, subnet) = PODS;
        if self.world.bridge_networks()?.iter().all(|network| network.name.as_str() != name) {
            let subnet = SubnetRequest { subnet: Some(subnet.parse().expect("a subnet")), ..SubnetRequest::default() };
            let name = name.parse().expect("a name");
            self.world.create_network(NetworkRequest { owner: Owner::Cni, subnet, ..NetworkRequest::new(name) })?;
        }
        let published = publish.iter().flat_map(|port| PortMapping::parse(port).expect("a port")).collect();
        let request = GuestRequest { published, ..GuestRequest::new(Owner::Cni, key, name) };
        let lease = self.world.reserve(request)?.lease;
        let default = Route { to: Ipv4Net::default(), via: Some(lease.gateway) };
        let netns = format!("/run/netns/{sandbox}");
        let place = guest::Place::Inside { netns, ifname: "eth0".into(), routes: vec![default] };
        self.world.open_guest(Owner::Cni, key, place)?;
        Ok(lease.ip.addr())
    }
}

/// What CNI's ADD calls an attachment by `eth0`.
pub(super) fn key_of(sandbox: &str) -> String {
    format!("{sandbox}/eth0")
}
