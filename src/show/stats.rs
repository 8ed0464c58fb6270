//! `stats`: what the switch has counted, by port. Every view derives from the one set of counters.

use serde::Serialize;
use switch::counters::PortCounters;
use switch::dataplane::{BridgeStatistics, PortStatistics};
use switch::verdict::DropReason;

use super::{table, text};

/// A bridge's statistics, as the data plane tells them.
pub type Bridge = BridgeStatistics;

/// Leaves only the bridges and ports that are named; all, if none is.
///
/// # Errors
/// A name that is neither.
pub fn keep_only(bridges: &mut Vec<Bridge>, names: &[String]) -> Result<(), String> {
    let is_known = |name: &String| {
        bridges.iter().any(|bridge| bridge.name == *name || bridge.ports.iter().any(|port| port.name == *name))
    };
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(unknown.clone());
    }
    if names.is_empty() {
        return Ok(());
    }
    for bridge in bridges.iter_mut().filter(|bridge| !names.contains(&bridge.name)) {
        bridge.ports.retain(|port| names.contains(&port.name));
    }
    bridges.retain(|bridge| !bridge.ports.is_empty());
    Ok(())
}

/// Two lines a port: what came in by it, and what left.
#[must_use]
pub fn ports_table(bridges: &[Bridge]) -> String {
    let mut rows = table(&[
        "PORT",
        "",
        "PACKETS",
        "BYTES",
        "UNICAST",
        "MULTICAST",
        "BROADCAST",
        "FORWARDED",
        "FLOODED",
        "LOCAL",
        "DROPPED",
    ]);
    for port in bridges.iter().flat_map(|bridge| &bridge.ports) {
        let PortCounters { rx, tx } = &port.counters;
        let numbers = [
            rx.packets,
            rx.bytes,
            rx.unicast,
            rx.multicast,
            rx.broadcast,
            rx.forwarded,
            rx.flooded,
            rx.local,
            rx.dropped,
        ];
        rows.add_row([port.name.clone(), "rx".into()].into_iter().chain(numbers.map(|number| number.to_string())));
        let numbers = [tx.packets, tx.bytes, tx.unicast, tx.multicast, tx.broadcast].map(|number| number.to_string());
        let none = std::iter::repeat_n(String::new(), 3);
        let dropped = std::iter::once(tx.dropped.to_string());
        rows.add_row([String::new(), "tx".into()].into_iter().chain(numbers).chain(none).chain(dropped));
    }
    text(rows, &[2, 3, 4, 5, 6, 7, 8, 9, 10])
}

/// Frames of one port that went nowhere for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drop {
    /// The port that they came from (`rx`) or were to leave by (`tx`).
    pub port: String,
    /// `rx` or `tx`.
    pub direction: &'static str,
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub count: u64,
}

/// Every reason that is not zero, by port.
#[must_use]
pub fn drops(bridges: &[Bridge]) -> Vec<Drop> {
    let of_port = |port: &PortStatistics| {
        let PortCounters { rx, tx } = &port.counters;
        let both = rx.drops.iter().map(|drop| ("rx", drop)).chain(tx.drops.iter().map(|drop| ("tx", drop)));
        let named = both.map(|(direction, (reason, count))| Drop { port: port.name.clone(), direction, reason, count });
        named.collect::<Vec<Drop>>()
    };
    bridges.iter().flat_map(|bridge| &bridge.ports).flat_map(of_port).collect()
}

/// The table of `stats --drops`.
#[must_use]
pub fn drops_table(drops: &[Drop]) -> String {
    let mut rows = table(&["PORT", "", "REASON", "COUNT"]);
    for drop in drops {
        rows.add_row([&drop.port, drop.direction, drop.reason.name(), &drop.count.to_string()]);
    }
    text(rows, &[3])
}

/// Whether for every port, and for those that have gone, rx = forwarded + flooded + local + Σ drops.
///
/// # Errors
/// All for which it does not hold, and the numbers.
pub fn check(bridges: &[Bridge]) -> Result<(), String> {
    let of_port = |port: &PortStatistics| port.counters.check().err().map(|broken| format!("{}: {broken}", port.name));
    let of_departed = |bridge: &Bridge| {
        let broken = bridge.departed.check().err()?;
        Some(format!("departed ports of {}: {broken}", bridge.name))
    };
    let ports = bridges.iter().flat_map(|bridge| &bridge.ports).filter_map(of_port);
    let broken: Vec<String> = ports.chain(bridges.iter().filter_map(of_departed)).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(name: &str, ports: &[&str]) -> Bridge {
        let port = |name: &&str| PortStatistics {
            port: Default::default(),
            name: (*name).to_owned(),
            is_local: false,
            stations: 0,
            counters: PortCounters::default(),
        };
        Bridge {
            bridge: Default::default(),
            name: name.to_owned(),
            fdb: Default::default(),
            stations: 0,
            ports: ports.iter().map(port).collect(),
            departed: PortCounters::default(),
        }
    }

    #[test]
    fn a_bridge_stands_for_all_its_ports_and_a_port_for_itself() {
        let all = || vec![bridge("pontoon0", &["a.eth0", "b.eth0"]), bridge("br-1", &["c.eth0"])];
        let left = |names: &[&str]| {
            let mut bridges = all();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            keep_only(&mut bridges, &names)?;
            Ok::<_, String>(
                bridges.iter().flat_map(|bridge| &bridge.ports).map(|port| port.name.clone()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(left(&[]).unwrap(), ["a.eth0", "b.eth0", "c.eth0"]);
        assert_eq!(left(&["pontoon0"]).unwrap(), ["a.eth0", "b.eth0"]);
        assert_eq!(left(&["b.eth0", "br-1"]).unwrap(), ["b.eth0", "c.eth0"]);
        assert_eq!(left(&["d.eth0"]), Err("d.eth0".to_owned()));
    }

    #[test]
    fn a_broken_law_names_the_port() {
        let mut broken = bridge("pontoon0", &["a.eth0", "b.eth0"]);
        assert_eq!(check(std::slice::from_ref(&broken)), Ok(()));
        broken.ports[1].counters.rx.packets = 1;
        assert!(check(std::slice::from_ref(&broken)).unwrap_err().starts_with("b.eth0: 1 frames received"));
        broken.ports.clear();
        broken.departed.rx.packets = 1;
        assert!(check(&[broken]).unwrap_err().starts_with("departed ports of pontoon0: 1 frames received"));
    }

    #[test]
    fn drops_are_listed_by_port_and_reason() {
        let mut bridge = bridge("pontoon0", &["a.eth0"]);
        bridge.ports[0].counters.rx.count_unreadable(3, DropReason::Runt);
        bridge.ports[0].counters.tx.drop(DropReason::ExceedsMtu);
        let text = drops_table(&drops(&[bridge]));
        assert_eq!(
            text,
            "PORT          REASON        COUNT\na.eth0   rx   runt              1\na.eth0   tx   exceeds_mtu       1\n"
        );
    }
}
