//! The tables of `stats`.
//!
//! A port that has lost something stands out: by an exclamation mark, and where there are colours in one. Where there is no
//! room for all columns, those go that say the least.

use switch::counters::PortCounters;
use switch::dataplane::PortStatistics;

use super::{Bridge, Drop, Look};
use crate::show::{table, text};

/// The columns of ports: heading, and the order in which they go when there is no room; those without one stay.
const COLUMNS: [(&str, Option<u8>); 12] = [
    ("PORT", None),
    ("", None),
    ("PACKETS", None),
    ("BYTES", None),
    ("UNICAST", Some(2)),
    ("MULTICAST", Some(1)),
    ("BROADCAST", Some(0)),
    ("FORWARDED", Some(5)),
    ("FLOODED", Some(4)),
    ("LOCAL", Some(3)),
    ("DROPPED", None),
    ("MISSED", Some(6)),
];

/// Two lines a port: what came in by it, and what left.
#[must_use]
pub fn ports_table<'a>(ports: impl IntoIterator<Item = &'a PortStatistics>, look: &Look) -> String {
    let rows: Vec<(bool, [Vec<String>; 2])> =
        ports.into_iter().map(|port| (has_lost(port), port_rows(port, look))).collect();
    let mut left: Vec<usize> = (0..COLUMNS.len()).collect();
    loop {
        let headings: Vec<&str> = left.iter().map(|column| COLUMNS[*column].0).collect();
        let mut shown = table(&headings);
        for row in rows.iter().flat_map(|(_, rows)| rows) {
            shown.add_row(left.iter().map(|column| row[*column].as_str()));
        }
        let numbers: Vec<usize> = (2..left.len()).collect();
        let shown = text(shown, &numbers);
        let fits = look.width.is_none_or(|width| shown.lines().all(|line| line.chars().count() <= width));
        let next =
            left.iter().copied().filter(|column| COLUMNS[*column].1.is_some()).min_by_key(|column| COLUMNS[*column].1);
        match next.filter(|_| !fits) {
            Some(column) => left.retain(|other| *other != column),
            None => return coloured(&shown, rows.iter().map(|(has_lost, _)| *has_lost), look.colour),
        }
    }
}

fn port_rows(port: &PortStatistics, look: &Look) -> [Vec<String>; 2] {
    let PortCounters { rx, tx } = &port.counters;
    let units = look.units;
    let mark = |direction: &str, lost: u64| if lost == 0 { direction.to_owned() } else { format!("{direction} !") };
    let counts = |numbers: &[u64]| numbers.iter().map(|number| units.count(*number)).collect::<Vec<String>>();
    let came = [
        vec![
            port.name.clone(),
            mark("rx", rx.dropped + port.rx_missed + port.rx_errors.total()),
            units.count(rx.packets),
            units.bytes(rx.bytes),
        ],
        counts(&[
            rx.unicast,
            rx.multicast,
            rx.broadcast,
            rx.forwarded,
            rx.flooded,
            rx.local,
            rx.dropped,
            port.rx_missed,
        ]),
    ];
    let left = [
        vec![String::new(), mark("tx", tx.dropped), units.count(tx.packets), units.bytes(tx.bytes)],
        counts(&[tx.unicast, tx.multicast, tx.broadcast]),
        vec![String::new(); 3],
        counts(&[tx.dropped]),
        vec![String::new()],
    ];
    [came.concat(), left.concat()]
}

fn has_lost(port: &PortStatistics) -> bool {
    port.counters.rx.dropped + port.counters.tx.dropped + port.rx_missed + port.rx_errors.total() > 0
}

/// The lines of ports that have lost something, in red.
fn coloured(text: &str, has_lost: impl Iterator<Item = bool>, colour: bool) -> String {
    if !colour {
        return text.to_owned();
    }
    let of_line = std::iter::once(false).chain(has_lost.flat_map(|lost| [lost; 2]));
    let line = |(line, lost): (&str, bool)| if lost { format!("\x1b[31m{line}\x1b[0m\n") } else { format!("{line}\n") };
    text.lines().zip(of_line).map(line).collect()
}

/// The table of `stats --drops`.
#[must_use]
pub fn drops_table(drops: &[Drop], look: &Look) -> String {
    let mut rows = table(&["PORT", "", "REASON", "COUNT"]);
    for drop in drops {
        rows.add_row([&drop.port, drop.direction, drop.reason, &look.units.count(drop.count)]);
    }
    text(rows, &[3])
}

/// The table of `stats --networks`: the FDB, and the sum of the ports.
#[must_use]
pub fn networks_table(bridges: &[Bridge], look: &Look) -> String {
    let headings = [
        "NETWORK", "BRIDGE", "PORTS", "STATIONS", "LEARNED", "EXPIRED", "EVICTED", "MOVED", "REFUSED", "PACKETS",
        "BYTES", "DROPPED",
    ];
    let mut rows = table(&headings);
    for it in bridges {
        let (fdb, total, units) = (&it.bridge.fdb, &it.total, look.units);
        let names = [it.network.clone(), it.bridge.name.clone()];
        let states = [it.bridge.ports.len(), it.bridge.stations].map(|number| number.to_string());
        let table = [fdb.learned, fdb.expired, fdb.evicted, fdb.moved, fdb.refused].map(|number| units.count(number));
        let moved = [units.count(total.rx.packets), units.bytes(total.rx.bytes)];
        let dropped = units.count(total.rx.dropped + total.tx.dropped);
        rows.add_row(names.into_iter().chain(states).chain(table).chain(moved).chain([dropped]));
    }
    text(rows, &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
}

#[cfg(test)]
mod tests {
    use snapbox::{assert_data_eq, str};
    use switch::link::errors::ReadError;
    use switch::verdict::DropReason;

    use super::super::tests::bridge;
    use super::super::{Units, drops};
    use super::*;

    fn busy() -> Bridge {
        let mut it = bridge("bridge", "pontoon0", &["pontoon0", "web.eth0", "db.eth0"]);
        let web = &mut it.bridge.ports[1].counters;
        (web.rx.packets, web.rx.bytes, web.rx.unicast, web.rx.broadcast) = (1_234_567, 9_876_543_210, 1_234_560, 7);
        (web.rx.forwarded, web.rx.flooded, web.rx.local) = (1_234_000, 7, 560);
        (web.tx.packets, web.tx.bytes, web.tx.unicast) = (12, 1_200, 12);
        let db = &mut it.bridge.ports[2];
        db.counters.rx.count_unreadable(3, DropReason::Runt);
        db.counters.tx.drop(DropReason::ExceedsMtu);
        db.rx_missed = 20_000;
        db.rx_errors = std::collections::BTreeMap::from([(ReadError::InterfaceDown, 2)]).into();
        (it.bridge.fdb.learned, it.bridge.fdb.expired, it.bridge.stations) = (3, 1, 3);
        Bridge::named(it.network, it.bridge)
    }

    fn look(width: Option<usize>, colour: bool) -> Look {
        Look { units: Units { exact: false, seconds: None }, width, colour }
    }

    #[test]
    fn a_port_has_two_lines_and_one_that_has_lost_something_a_mark() {
        let busy = busy();
        assert_data_eq!(
            ports_table(&busy.bridge.ports, &look(None, false)),
            str![[r#"
PORT              PACKETS     BYTES   UNICAST   MULTICAST   BROADCAST   FORWARDED   FLOODED   LOCAL   DROPPED   MISSED
pontoon0   rx           0         0         0           0           0           0         0       0         0        0
           tx           0         0         0           0           0                                       0
web.eth0   rx       1.23M   9.20GiB     1.23M           0           7       1.23M         7     560         0        0
           tx          12      1200        12           0           0                                       0
db.eth0    rx !         1         3         0           0           0           0         0       0         1    20.0k
           tx !         0         0         0           0           0                                       1

"#]]
        );
        assert_data_eq!(
            ports_table(&busy.bridge.ports, &Look::PLAIN),
            str![[r#"
PORT              PACKETS        BYTES   UNICAST   MULTICAST   BROADCAST   FORWARDED   FLOODED   LOCAL   DROPPED   MISSED
pontoon0   rx           0            0         0           0           0           0         0       0         0        0
           tx           0            0         0           0           0                                       0
web.eth0   rx     1234567   9876543210   1234560           0           7     1234000         7     560         0        0
           tx          12         1200        12           0           0                                       0
db.eth0    rx !         1            3         0           0           0           0         0       0         1    20000
           tx !         0            0         0           0           0                                       1

"#]]
        );
    }

    #[test]
    fn columns_that_say_little_go_first_where_it_is_narrow() {
        let busy = busy();
        assert_data_eq!(
            ports_table(&busy.bridge.ports, &look(Some(80), false)),
            str![[r#"
PORT              PACKETS     BYTES   FORWARDED   FLOODED   DROPPED   MISSED
pontoon0   rx           0         0           0         0         0        0
           tx           0         0                               0
web.eth0   rx       1.23M   9.20GiB       1.23M         7         0        0
           tx          12      1200                               0
db.eth0    rx !         1         3           0         0         1    20.0k
           tx !         0         0                               1

"#]]
        );
        assert_data_eq!(
            ports_table(&busy.bridge.ports, &look(Some(10), false)),
            str![[r#"
PORT              PACKETS     BYTES   DROPPED
pontoon0   rx           0         0         0
           tx           0         0         0
web.eth0   rx       1.23M   9.20GiB         0
           tx          12      1200         0
db.eth0    rx !         1         3         1
           tx !         0         0         1

"#]]
        );
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        let busy = busy();
        let shown = ports_table(&busy.bridge.ports, &look(Some(60), true));
        let red: Vec<bool> =
            shown.lines().map(|line| line.starts_with("\x1b[31m") && line.ends_with("\x1b[0m")).collect();
        assert_eq!(red, [false, false, false, false, false, true, true]);
        assert!(!ports_table(&busy.bridge.ports, &look(Some(60), false)).contains('\x1b'));
    }

    #[test]
    fn drops_are_listed_by_port_and_reason() {
        assert_data_eq!(
            drops_table(&drops(&[busy()]), &Look::PLAIN),
            str![[r#"
PORT           REASON           COUNT
db.eth0   rx   interface_down       2
db.eth0   rx   runt                 1
db.eth0   tx   exceeds_mtu          1

"#]]
        );
    }

    #[test]
    fn a_network_has_a_line() {
        assert_data_eq!(
            networks_table(&[busy(), bridge("back", "br-1", &[])], &look(None, false)),
            str![[r#"
NETWORK   BRIDGE     PORTS   STATIONS   LEARNED   EXPIRED   EVICTED   MOVED   REFUSED   PACKETS     BYTES   DROPPED
bridge    pontoon0       3          3         3         1         0       0         0     1.23M   9.20GiB         2
back      br-1           0          0         0         0         0       0         0         0         0         0

"#]]
        );
    }

    #[test]
    fn json_is_as_published() {
        let json = serde_json::to_string_pretty(&busy()).unwrap();
        assert_data_eq!(
            json,
            str![[r#"
{
  "network": "bridge",
  "bridge": 0,
  "name": "pontoon0",
  "since": 1700000000,
  "fdb": {
    "learned": 3,
    "set": 0,
    "expired": 1,
    "evicted": 0,
    "moved": 0,
    "refused": 0,
    "refused_static": 0,
    "refused_sticky": 0,
    "refused_quota": 0,
    "refused_table_full": 0
  },
  "stations": 3,
  "ports": [
    {
      "port": 0,
      "name": "pontoon0",
      "is_local": false,
      "since": 1700000000,
      "stations": 0,
      "rx_missed": 0,
      "rx_errors": {},
      "rx": {
        "packets": 0,
        "bytes": 0,
        "unicast": 0,
        "multicast": 0,
        "broadcast": 0,
        "super_frames": 0,
        "wire_frames": 0,
        "forwarded": 0,
        "flooded": 0,
        "local": 0,
        "dropped": 0,
        "drops": {}
      },
      "tx": {
        "packets": 0,
        "bytes": 0,
        "unicast": 0,
        "multicast": 0,
        "broadcast": 0,
        "super_frames": 0,
        "wire_frames": 0,
        "dropped": 0,
        "drops": {}
      }
    },
    {
      "port": 0,
      "name": "web.eth0",
      "is_local": false,
      "since": 1700000000,
      "stations": 0,
      "rx_missed": 0,
      "rx_errors": {},
      "rx": {
        "packets": 1234567,
        "bytes": 9876543210,
        "unicast": 1234560,
        "multicast": 0,
        "broadcast": 7,
        "super_frames": 0,
        "wire_frames": 0,
        "forwarded": 1234000,
        "flooded": 7,
        "local": 560,
        "dropped": 0,
        "drops": {}
      },
      "tx": {
        "packets": 12,
        "bytes": 1200,
        "unicast": 12,
        "multicast": 0,
        "broadcast": 0,
        "super_frames": 0,
        "wire_frames": 0,
        "dropped": 0,
        "drops": {}
      }
    },
    {
      "port": 0,
      "name": "db.eth0",
      "is_local": false,
      "since": 1700000000,
      "stations": 0,
      "rx_missed": 20000,
      "rx_errors": {
        "interface_down": 2
      },
      "rx": {
        "packets": 1,
        "bytes": 3,
        "unicast": 0,
        "multicast": 0,
        "broadcast": 0,
        "super_frames": 0,
        "wire_frames": 1,
        "forwarded": 0,
        "flooded": 0,
        "local": 0,
        "dropped": 1,
        "drops": {
          "runt": 1
        }
      },
      "tx": {
        "packets": 0,
        "bytes": 0,
        "unicast": 0,
        "multicast": 0,
        "broadcast": 0,
        "super_frames": 0,
        "wire_frames": 0,
        "dropped": 1,
        "drops": {
          "exceeds_mtu": 1
        }
      }
    }
  ],
  "departed": {
    "rx": {
      "packets": 0,
      "bytes": 0,
      "unicast": 0,
      "multicast": 0,
      "broadcast": 0,
      "super_frames": 0,
      "wire_frames": 0,
      "forwarded": 0,
      "flooded": 0,
      "local": 0,
      "dropped": 0,
      "drops": {}
    },
    "tx": {
      "packets": 0,
      "bytes": 0,
      "unicast": 0,
      "multicast": 0,
      "broadcast": 0,
      "super_frames": 0,
      "wire_frames": 0,
      "dropped": 0,
      "drops": {}
    }
  },
  "total": {
    "rx": {
      "packets": 1234568,
      "bytes": 9876543213,
      "unicast": 1234560,
      "multicast": 0,
      "broadcast": 7,
      "super_frames": 0,
      "wire_frames": 1,
      "forwarded": 1234000,
      "flooded": 7,
      "local": 560,
      "dropped": 1,
      "drops": {
        "runt": 1
      }
    },
    "tx": {
      "packets": 12,
      "bytes": 1200,
      "unicast": 12,
      "multicast": 0,
      "broadcast": 0,
      "super_frames": 0,
      "wire_frames": 0,
      "dropped": 1,
      "drops": {
        "exceeds_mtu": 1
      }
    }
  }
}
"#]]
        );
        let json = serde_json::to_string(&drops(&[busy()])).unwrap();
        assert_data_eq!(
            json,
            str![[
                r#"[{"port":"db.eth0","direction":"rx","reason":"interface_down","count":2},{"port":"db.eth0","direction":"rx","reason":"runt","count":1},{"port":"db.eth0","direction":"tx","reason":"exceeds_mtu","count":1}]"#
            ]]
        );
    }
}
