//! Hosts outside: each on a cable of its own to an interface of the machine.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Place, World};
use crate::machine::HOST;
use crate::socket::SocketError;

impl World {
    /// Adds a host outside, on a cable to a new interface of the machine. Like the machine it has a stack of its own, and runs
    /// programs. It outlives a reboot of the machine, and knows of no route but that to the network between them.
    ///
    /// Its interface is called `eth0`. For traces the ends of the cable are `INTERFACE` and `NAME.eth0`; the one that
    /// [`World::cable`] finds at either end is the same.
    ///
    /// ```
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::{Place, Program, World};
    /// let mut world = World::builder().build();
    /// let there = "10.200.0.2/24".parse().unwrap();
    /// let server = world.add_outside("server", there, "uplink0", "10.200.0.1/24".parse().unwrap())?;
    /// assert!(world.ping(&Place::Host, [10, 200, 0, 2]));
    /// assert!(world.ping(&server, [10, 200, 0, 1]));
    /// # Ok::<(), pontoon_sim::SocketError>(())
    /// ```
    ///
    /// # Errors
    /// If there is a host of that name, or the machine has an interface of that name.
    pub fn add_outside(
        &mut self,
        name: &str,
        address: Ipv4Net,
        interface: &str,
        machine: Ipv4Net,
    ) -> Result<Place, SocketError> {
        {
            let mut host = self.machine();
            if host.outside.contains_key(name) || host.namespace(HOST).interface(interface).is_some() {
                return Err(SocketError::AddressInUse);
            }
            let home = host.new_namespace();
            host.outside.insert(name.to_owned(), home);
            host.wire_up((interface, machine), home, &format!("{name}.eth0"), address);
        }
        Ok(Place::outside(name))
    }

    /// Sends what has no other way by this router from now on, as `ip route replace default via` does.
    ///
    /// # Errors
    /// If the place is not there, or the router is on none of its networks.
    pub fn set_default_route(&mut self, place: &Place, router: Ipv4Addr) -> Result<(), SocketError> {
        self.within(place, |namespace, _| {
            let interfaces = namespace.interfaces.iter().filter(|each| each.up);
            let mut beside = interfaces.filter(|each| each.addresses.iter().any(|own| own.contains(&router)));
            let interface = beside.next().ok_or(SocketError::NetworkUnreachable)?.name.clone();
            namespace.set_default_route(Some((&interface, router)));
            Ok(())
        })?
    }
}
