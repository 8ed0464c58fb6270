//! The verbs about what hosts pass on: forwarding and the firewall, as an administrator has them, and the way of a packet.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Place, World};
use crate::router::ForwardStatistics;
use crate::socket::SocketError;

/// How long a probe waits for an answer.
const PROBE: Duration = Duration::from_secs(5);
/// How far a way is followed.
const HOPS: u8 = 30;

impl World {
    /// Whether the host forwards: its `net.ipv4.ip_forward`.
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.machine().router().forwarding.is_on()
    }

    /// Writes the host's `net.ipv4.ip_forward`, which switches all its interfaces.
    pub fn set_forwarding(&mut self, on: bool) {
        self.machine().router().forwarding.set(on);
    }

    /// Whether the host passes on what comes by one of its interfaces: `net.ipv4.conf.INTERFACE.forwarding`.
    #[must_use]
    pub fn interface_forwards(&self, interface: &str) -> bool {
        self.machine().router().forwarding.of(interface)
    }

    /// Writes the switch of one interface of the host.
    pub fn set_interface_forwarding(&mut self, interface: &str, on: bool) {
        self.machine().router().forwarding.set_interface(interface, on);
    }

    /// Whether there are rules of ours in the host's firewall.
    #[must_use]
    pub fn has_firewall(&self) -> bool {
        self.machine().router().firewall.is_there()
    }

    /// Takes all rules out of the host's firewall, as `nft flush ruleset` does; a daemon sees it at once.
    pub fn flush_firewall(&mut self) {
        self.machine().router().firewall.flush();
        self.settle_ends();
    }

    /// Gives the host's firewall a chain of somebody else's that drops whatever is forwarded, such as `ip filter` `FORWARD`, as
    /// Docker leaves it.
    pub fn add_foreign_drop(&mut self, table: &str, chain: &str) {
        self.machine().router().firewall.add_foreign(table, chain);
        self.settle_ends();
    }

    /// Lets such a chain pass what comes from an interface or goes to it. Whether there is one.
    pub fn accept_in_foreign(&mut self, table: &str, chain: &str, interface: &str) -> bool {
        let found = self.machine().router().firewall.accept_in_foreign(table, chain, interface);
        self.settle_ends();
        found
    }

    /// What became of packets that a host was to pass on.
    ///
    /// # Errors
    /// If the place is not there.
    pub fn forward_statistics(&mut self, place: &Place) -> Result<ForwardStatistics, SocketError> {
        self.within(place, |namespace, _| namespace.router.statistics.clone())
    }

    /// How many connections a host remembers, among them some that are over and that nobody has looked at since.
    ///
    /// # Errors
    /// If the place is not there.
    pub fn tracked_connections(&mut self, place: &Place) -> Result<usize, SocketError> {
        self.within(place, |namespace, _| namespace.router.connections())
    }

    /// The routers on the way to an address, as `traceroute -I` finds them, and the address itself at the end if it answers;
    /// `None` for each that says nothing.
    ///
    /// # Errors
    /// If the place is not there, or no route leads to the address.
    pub fn trace_route(&mut self, place: &Place, to: Ipv4Addr) -> Result<Vec<Option<Ipv4Addr>>, SocketError> {
        let mut way = Vec::new();
        for ttl in 1..=HOPS {
            let (sequence, since) = (self.new_echo(), self.clock.now());
            self.within(place, |namespace, _| namespace.probe(to, sequence, ttl, since))??;
            let mut answer = None;
            self.run_until(PROBE, |world| {
                answer = world.within(place, |namespace, _| namespace.take_probe(to, sequence)).ok().flatten();
                answer.is_some()
            });
            way.push(answer);
            if answer == Some(to) {
                break;
            }
        }
        Ok(way)
    }
}
