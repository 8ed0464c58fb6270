//! How much a second: the difference of two readings.

use serde::Serialize;
use serde_json::{Number, Value};
use switch::dataplane::{BridgeStatistics, PortStatistics};
use switch::fdb::FdbCounters;

use super::Bridge;

/// What has been counted between two readings. What is there now and was not then, or has begun anew meanwhile (a container of
/// the same name), has counted all of it in between.
#[must_use]
pub fn grown_since(now: &[Bridge], then: &[Bridge]) -> Vec<Bridge> {
    let grown = |it: &Bridge| {
        let before = then.iter().find(|known| known.bridge.name == it.bridge.name);
        let ports = it.bridge.ports.iter().map(|port| {
            let before = before.and_then(|known| known.bridge.ports.iter().find(|known| known.name == port.name));
            port_since(port, before)
        });
        let fdb = before.map_or(it.bridge.fdb, |known| fdb_since(&it.bridge.fdb, &known.bridge.fdb));
        // (The departed are fewer when a port comes back. Their sum with the ports is never.)
        let departed = before.and_then(|known| it.bridge.departed.since(&known.bridge.departed)).unwrap_or_default();
        let total = before.and_then(|known| it.total.since(&known.total)).unwrap_or_else(|| it.total.clone());
        let bridge = BridgeStatistics { ports: ports.collect(), fdb, departed, ..it.bridge.clone() };
        Bridge { network: it.network.clone(), bridge, total }
    };
    now.iter().map(grown).collect()
}

fn port_since(now: &PortStatistics, then: Option<&PortStatistics>) -> PortStatistics {
    let same = then.and_then(|then| Some((now.counters.since(&then.counters)?, then)));
    let Some((counters, then)) = same else { return now.clone() };
    // (An interface that was made again, or opened again, has missed nothing yet.)
    let rx_missed = now.rx_missed.checked_sub(then.rx_missed).unwrap_or(now.rx_missed);
    let rx_errors = now.rx_errors.since(then.rx_errors).unwrap_or(now.rx_errors);
    PortStatistics { counters, rx_missed, rx_errors, ..now.clone() }
}

fn fdb_since(now: &FdbCounters, then: &FdbCounters) -> FdbCounters {
    let since = |of: fn(&FdbCounters) -> u64| of(now).saturating_sub(of(then));
    FdbCounters {
        learned: since(|fdb| fdb.learned),
        set: since(|fdb| fdb.set),
        expired: since(|fdb| fdb.expired),
        evicted: since(|fdb| fdb.evicted),
        moved: since(|fdb| fdb.moved),
        refused: since(|fdb| fdb.refused),
        refused_static: since(|fdb| fdb.refused_static),
        refused_sticky: since(|fdb| fdb.refused_sticky),
        refused_quota: since(|fdb| fdb.refused_quota),
        refused_table_full: since(|fdb| fdb.refused_table_full),
    }
}

/// Rates for a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Over how many seconds they were measured.
    pub seconds: f64,
    /// As without rates, with counters a second.
    pub per_second: Value,
}

/// Numbers that say how it is, and count nothing.
const STATES: [&str; 4] = ["bridge", "port", "since", "stations"];

/// What has grown in so many seconds, as rates: the same shape, with counters a second.
///
/// # Errors
/// If it can not be written as JSON.
pub fn rates<T: Serialize + ?Sized>(grown: &T, seconds: f64) -> serde_json::Result<Rates> {
    let mut per_second = serde_json::to_value(grown)?;
    divide(&mut per_second, seconds);
    Ok(Rates { seconds: rounded(seconds), per_second })
}

fn divide(value: &mut Value, seconds: f64) {
    match value {
        Value::Number(number) => {
            let rate = number.as_f64().map_or(0.0, |number| rounded(number / seconds));
            *number = Number::from_f64(rate).unwrap_or_else(|| 0.into());
        }
        Value::Array(values) => values.iter_mut().for_each(|value| divide(value, seconds)),
        Value::Object(fields) => {
            let counters = fields.iter_mut().filter(|(key, _)| !STATES.contains(&key.as_str()));
            counters.for_each(|(_, value)| divide(value, seconds));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// To thousandths: a clock tells no more.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::bridge;
    use super::*;

    #[test]
    fn what_grew_is_the_difference_and_what_is_new_all_of_it() {
        let mut then = bridge("bridge", "pontoon0", &["same", "anew"]);
        then.bridge.ports[0].counters.rx.packets = 5;
        then.bridge.ports[1].counters.rx.packets = 9;
        then.bridge.fdb.learned = 1;
        let mut now = bridge("bridge", "pontoon0", &["same", "anew", "new"]);
        for (port, packets) in now.bridge.ports.iter_mut().zip([7, 4, 3]) {
            port.counters.rx.packets = packets;
        }
        now.bridge.fdb.learned = 4;
        let grown = grown_since(&[now], &[then]);
        let packets: Vec<u64> = grown[0].bridge.ports.iter().map(|port| port.counters.rx.packets).collect();
        assert_eq!((packets, grown[0].bridge.fdb.learned), (vec![2, 4, 3], 3));
    }

    #[test]
    fn rates_have_the_shape_of_what_they_are_rates_of() {
        let mut grown = bridge("bridge", "pontoon0", &["web.eth0"]);
        grown.bridge.ports[0].counters.rx.packets = 3;
        let rates = rates(&[grown], 2.0).unwrap();
        let port = &rates.per_second[0]["ports"][0];
        assert_eq!((port["rx"]["packets"].as_f64(), port["since"].as_u64()), (Some(1.5), Some(1_700_000_000)));
    }
}
