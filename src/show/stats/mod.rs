//! `stats`: what the switch has counted, by network and port. Every view derives from the one set of counters.
//!
//! All of it is the switch's view, as of `ip -s link` for the ports of `docker0`: `rx` is what came in by a port, which is
//! what the container behind it has sent.

mod rate;
mod select;
mod tables;
mod units;

use serde::Serialize;
use switch::counters::PortCounters;
use switch::dataplane::PortStatistics;

pub use self::rate::{grown_since, rates};
pub use self::select::{keep_only, sort, sort_ports};
pub use self::tables::{drops_table, networks_table, ports_table};
pub use self::units::Units;

/// A network's statistics, as the daemon tells them.
pub type Bridge = control::NetworkStatistics;

/// How a table looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// How numbers are written.
    pub units: Units,
    /// How many columns of characters there are, if that is known.
    pub width: Option<usize>,
    /// Whether there are colours.
    pub colour: bool,
}

impl Look {
    /// For nobody in particular: numbers in full, as wide as it gets.
    pub const PLAIN: Look = Look { units: Units::EXACT, width: None, colour: false };
}

/// Frames of one port that went nowhere for one reason, or reads of it that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drop {
    /// The port that they came from (`rx`) or were to leave by (`tx`).
    pub port: String,
    /// `rx` or `tx`.
    pub direction: &'static str,
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// Every reason that is not zero, by port.
#[must_use]
pub fn drops(bridges: &[Bridge]) -> Vec<Drop> {
    let of_port = |port: &PortStatistics| {
        let PortCounters { rx, tx } = &port.counters;
        let errors = port.rx_errors.iter().map(|(why, count)| ("rx", why.name(), count));
        let came = rx.drops.iter().map(|(why, count)| ("rx", why.name(), count));
        let left = tx.drops.iter().map(|(why, count)| ("tx", why.name(), count));
        let all = errors.chain(came).chain(left);
        let named = all.map(|(direction, reason, count)| Drop { port: port.name.clone(), direction, reason, count });
        named.collect::<Vec<Drop>>()
    };
    bridges.iter().flat_map(|bridge| &bridge.bridge.ports).flat_map(of_port).collect()
}

/// Whether for every port, for those that have gone and for their sum, rx = forwarded + flooded + local + Σ drops.
///
/// # Errors
/// All for which it does not hold, and the numbers.
pub fn check(bridges: &[Bridge]) -> Result<(), String> {
    let of = |name: &str, counters: &PortCounters| counters.check().err().map(|broken| format!("{name}: {broken}"));
    let of_bridge = |it: &Bridge| {
        let ports = it.bridge.ports.iter().filter_map(|port| of(&port.name, &port.counters));
        let departed = of(&format!("departed ports of {}", it.bridge.name), &it.bridge.departed);
        let total = of(&format!("all ports of {}", it.bridge.name), &it.total);
        ports.chain(departed).chain(total).collect::<Vec<_>>()
    };
    let broken: Vec<String> = bridges.iter().flat_map(of_bridge).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
}

#[cfg(test)]
mod tests {
    use switch::dataplane::BridgeStatistics;

    use super::*;

    /// Statistics of a network without traffic.
    pub(super) fn bridge(network: &str, name: &str, ports: &[&str]) -> Bridge {
        let port = |name: &&str| PortStatistics {
            port: Default::default(),
            name: (*name).to_owned(),
            is_local: false,
            since: 1_700_000_000,
            stations: 0,
            rx_missed: 0,
            rx_errors: Default::default(),
            counters: PortCounters::default(),
        };
        let bridge = BridgeStatistics {
            bridge: Default::default(),
            name: name.to_owned(),
            since: 1_700_000_000,
            fdb: Default::default(),
            stations: 0,
            ports: ports.iter().map(port).collect(),
            departed: PortCounters::default(),
        };
        Bridge::named(network.to_owned(), bridge)
    }

    pub(super) fn port_names(bridges: &[Bridge]) -> Vec<String> {
        bridges.iter().flat_map(|bridge| &bridge.bridge.ports).map(|port| port.name.clone()).collect()
    }

    #[test]
    fn a_broken_law_names_the_port() {
        let mut broken = bridge("bridge", "pontoon0", &["a.eth0", "b.eth0"]);
        assert_eq!(check(std::slice::from_ref(&broken)), Ok(()));
        broken.bridge.ports[1].counters.rx.packets = 1;
        assert!(check(std::slice::from_ref(&broken)).unwrap_err().starts_with("b.eth0: 1 frames received"));
        broken.bridge.ports.clear();
        broken.bridge.departed.rx.packets = 1;
        assert!(check(std::slice::from_ref(&broken)).unwrap_err().starts_with("departed ports of pontoon0: 1 frames"));
        broken.bridge.departed.rx.packets = 0;
        broken.total.rx.flooded = 1;
        assert!(check(&[broken]).unwrap_err().starts_with("all ports of pontoon0: 0 frames received"));
    }
}
