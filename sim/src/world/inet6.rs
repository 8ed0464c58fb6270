//! The verbs of IPv6, which is nowhere but on the host's `lo` until somebody switches it on.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use ipnet::Ipv6Net;

use super::{Place, World};
use crate::inet6::AddressState;
use crate::socket::SocketError;

impl World {
    /// Switches IPv6 on or off at an interface, as `sysctl net.ipv6.conf.eth0.disable_ipv6=0` does. Then it has an address of
    /// its own making, and takes further ones ([`World::add_address`]). In a container, `lo` is another interface.
    ///
    /// An address is tentative until nobody has been heard to have it, which takes up to two seconds.
    ///
    /// ```
    /// # use std::net::Ipv6Addr;
    /// # use std::time::Duration;
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::{Place, Program, World};
    /// let mut world = World::builder().up()?;
    /// let mut places = Vec::new();
    /// for address in ["fd00::2/64", "fd00::3/64"] {
    ///     let run = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
    ///     let place = Place::container(run.name.as_str());
    ///     world.set_ipv6(&place, "eth0", true)?;
    ///     world.add_address(&place, "eth0", address.parse()?)?;
    ///     places.push(place);
    /// }
    /// world.advance(Duration::from_secs(2));
    /// assert!(world.ping(&places[0], "fd00::3".parse::<Ipv6Addr>()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the place or the interface is not there, or the interface carries less than IPv6 demands, 1280 bytes.
    pub fn set_ipv6(&mut self, place: &Place, interface: &str, on: bool) -> Result<(), SocketError> {
        let now = self.clock.now();
        self.within(place, |namespace, _| namespace.set_inet6(interface, on, now))?
    }

    /// The IPv6 addresses of an interface, and what has become of them.
    ///
    /// # Errors
    /// If the place or the interface is not there.
    pub fn ipv6_addresses(
        &mut self,
        place: &Place,
        interface: &str,
    ) -> Result<Vec<(Ipv6Net, AddressState)>, SocketError> {
        self.within(place, |namespace, _| {
            let interface = namespace.interface(interface).ok_or(SocketError::NoSuchDevice)?;
            Ok(interface.inet6.iter().flat_map(crate::inet6::Inet6::addresses).collect())
        })?
    }

    /// Adds a default route by a gateway, as `ip route add default via` does.
    ///
    /// # Errors
    /// If the place or the interface is not there, or no address of the interface is of the gateway's network.
    pub fn add_default_route(&mut self, place: &Place, interface: &str, gateway: IpAddr) -> Result<(), SocketError> {
        self.within(place, |namespace, _| match gateway {
            IpAddr::V4(gateway) => {
                let found = namespace.interface(interface).ok_or(SocketError::NoSuchDevice)?;
                if !found.addresses.iter().any(|own| own.contains(&gateway)) {
                    return Err(SocketError::NetworkUnreachable);
                }
                namespace.add_default_route(gateway, interface);
                Ok(())
            }
            IpAddr::V6(gateway) => namespace.add_default_route6(gateway, interface),
        })?
    }

    /// A link-local address of this interface, for sockets and for [`World::ping_at`]. Its port is 0.
    ///
    /// # Errors
    /// If the place or the interface is not there, or it leads to no switch.
    pub fn scoped(&mut self, place: &Place, interface: &str, ip: Ipv6Addr) -> Result<SocketAddrV6, SocketError> {
        Ok(SocketAddrV6::new(ip, 0, 0, self.ifindex(place, interface)?))
    }
}
