//! [`CATALOGUE`]: every family of samples that there is, and what it is read from. Names and units are as Prometheus would have them.

use switch::dataplane::{BridgeStatistics, PortStatistics};
use switch::link::errors::ReadError;
use switch::verdict::DropReason;

use super::About;

/// Samples of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Its name, without what the kind puts behind it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is, in one sentence without its full stop.
    pub(super) help: &'static str,
    /// The names of its labels, in the order in which the source gives their values.
    pub(super) labels: &'static [&'static str],
    pub(super) source: Source,
}

/// What its numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Go up only.
    Counter,
    /// Go up and down.
    Gauge,
    /// Are always 1: what there is to know is in the labels.
    Info,
}

/// The values of the labels that a port has not anyway, and the number.
pub(super) type Sample = (Vec<&'static str>, u64);

/// What it is read from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// One sample a port.
    Port(fn(&PortStatistics) -> u64),
    /// Several samples a port, with the values of further labels.
    PortBy(fn(&PortStatistics) -> Vec<Sample>),
    /// One sample a bridge.
    Bridge(fn(&BridgeStatistics) -> u64),
    /// Samples of the daemon, with the value of the only label, where there is one.
    Daemon(fn(&About) -> Vec<(String, u64)>),
}

impl Family {
    /// The name of its samples.
    #[cfg(test)]
    pub(super) fn full_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        };
        format!("{}{suffix}", self.name)
    }
}

const PORT: &[&str] = &["bridge", "network", "port", "container"];
const BRIDGE: &[&str] = &["bridge", "network"];

const fn port(name: &'static str, help: &'static str, count: fn(&PortStatistics) -> u64) -> Family {
    Family { name, kind: Kind::Counter, help, labels: PORT, source: Source::Port(count) }
}

const fn bridge(name: &'static str, help: &'static str, count: fn(&BridgeStatistics) -> u64) -> Family {
    Family { name, kind: Kind::Counter, help, labels: BRIDGE, source: Source::Bridge(count) }
}

const fn gauge(family: Family) -> Family {
    Family { kind: Kind::Gauge, ..family }
}

/// All of them, in the order in which they are written.
pub(super) const CATALOGUE: &[Family] = &[
    Family {
        name: "pontoon_build",
        kind: Kind::Info,
        help: "The daemon's version",
        labels: &["version"],
        source: Source::Daemon(|about| vec![(about.version.clone(), 1)]),
    },
    Family {
        name: "pontoon_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the daemon started, in seconds since 1970",
        labels: &[],
        source: Source::Daemon(|about| vec![(String::new(), about.started)]),
    },
    Family {
        name: "pontoon_containers",
        kind: Kind::Gauge,
        help: "Containers that are listed, by state",
        labels: &["state"],
        source: Source::Daemon(|about| {
            about.containers.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect()
        }),
    },
    Family {
        name: "pontoon_monitors",
        kind: Kind::Gauge,
        help: "How many listen to what happens (bridge monitor)",
        labels: &[],
        source: Source::Daemon(|about| vec![(String::new(), about.monitors)]),
    },
    Family {
        name: "pontoon_monitor_events_lost",
        kind: Kind::Counter,
        help: "Events that were lost since who listened did not keep up",
        labels: &[],
        source: Source::Daemon(|about| vec![(String::new(), about.events_lost)]),
    },
    port("pontoon_port_receive_packets", "Frames that came in; a super-frame is one", |it| it.counters.rx.packets),
    port("pontoon_port_receive_bytes", "Bytes of frames that came in, with their Ethernet headers", |it| {
        it.counters.rx.bytes
    }),
    port("pontoon_port_receive_unicast_packets", "Frames that came in for one station", |it| it.counters.rx.unicast),
    port("pontoon_port_receive_multicast_packets", "Frames that came in for a group", |it| it.counters.rx.multicast),
    port("pontoon_port_receive_broadcast_packets", "Frames that came in for everybody", |it| it.counters.rx.broadcast),
    port("pontoon_port_receive_super_frames", "Super-frames that came in", |it| it.counters.rx.super_frames),
    port(
        "pontoon_port_receive_wire_frames",
        "Frames that came in, each super-frame as those that it stands for",
        |it| it.counters.rx.wire_frames,
    ),
    port(
        "pontoon_port_receive_missed_packets",
        "Frames that never came to the switch, since nobody had room for them",
        |it| it.rx_missed,
    ),
    Family {
        name: "pontoon_port_receive_errors",
        kind: Kind::Counter,
        help: "How often a port could not be read, other than that nothing was there, by reason",
        labels: &["bridge", "network", "port", "container", "reason"],
        source: Source::PortBy(|it| ReadError::ALL.map(|why| (vec![why.name()], it.rx_errors.of(why))).into()),
    },
    Family {
        name: "pontoon_port_decisions",
        kind: Kind::Counter,
        help: "What was decided about frames that came in; the sum is pontoon_port_receive_packets_total",
        labels: &["bridge", "network", "port", "container", "decision"],
        source: Source::PortBy(|it| {
            let rx = &it.counters.rx;
            let decisions =
                [("forwarded", rx.forwarded), ("flooded", rx.flooded), ("local", rx.local), ("dropped", rx.dropped)];
            decisions.map(|(decision, count)| (vec![decision], count)).into()
        }),
    },
    port("pontoon_port_transmit_packets", "Copies that left; a super-frame is one", |it| it.counters.tx.packets),
    port("pontoon_port_transmit_bytes", "Bytes of copies that left, with their Ethernet headers", |it| {
        it.counters.tx.bytes
    }),
    port("pontoon_port_transmit_unicast_packets", "Copies that left for one station", |it| it.counters.tx.unicast),
    port("pontoon_port_transmit_multicast_packets", "Copies that left for a group", |it| it.counters.tx.multicast),
    port("pontoon_port_transmit_broadcast_packets", "Copies that left for everybody", |it| it.counters.tx.broadcast),
    port("pontoon_port_transmit_super_frames", "Super-frames that left", |it| it.counters.tx.super_frames),
    port(
        "pontoon_port_transmit_wire_frames",
        "Copies that left, each super-frame as the frames that it stands for",
        |it| it.counters.tx.wire_frames,
    ),
    Family {
        name: "pontoon_port_drops",
        kind: Kind::Counter,
        help: "Frames that came in and went nowhere (receive), and copies that did not leave (transmit), by reason",
        labels: &["bridge", "network", "port", "container", "direction", "reason"],
        source: Source::PortBy(|it| {
            let of = |reason: DropReason| {
                let (direction, drops) = match reason.is_ingress() {
                    true => ("receive", &it.counters.rx.drops),
                    false => ("transmit", &it.counters.tx.drops),
                };
                (vec![direction, reason.name()], drops.of(reason))
            };
            DropReason::ALL.map(of).into()
        }),
    },
    gauge(port("pontoon_port_stations", "Stations behind the port that count towards its quota", |it| {
        it.stations as u64
    })),
    gauge(bridge("pontoon_bridge_ports", "Ports of the bridge, the host's own included", |it| it.ports.len() as u64)),
    bridge("pontoon_bridge_receive_packets", "Frames that came in by any port, also those that have gone", |it| {
        it.ports.iter().map(|port| port.counters.rx.packets).sum::<u64>() + it.departed.rx.packets
    }),
    bridge("pontoon_bridge_receive_bytes", "Bytes that came in by any port, also those that have gone", |it| {
        it.ports.iter().map(|port| port.counters.rx.bytes).sum::<u64>() + it.departed.rx.bytes
    }),
    bridge("pontoon_bridge_transmit_packets", "Copies that left by any port, also those that have gone", |it| {
        it.ports.iter().map(|port| port.counters.tx.packets).sum::<u64>() + it.departed.tx.packets
    }),
    bridge("pontoon_bridge_transmit_bytes", "Bytes that left by any port, also those that have gone", |it| {
        it.ports.iter().map(|port| port.counters.tx.bytes).sum::<u64>() + it.departed.tx.bytes
    }),
    gauge(bridge("pontoon_fdb_entries", "Entries of the FDB", |it| it.stations as u64)),
    bridge("pontoon_fdb_learned", "Entries made by hearing a station", |it| it.fdb.learned),
    bridge("pontoon_fdb_set", "Entries made by hand", |it| it.fdb.set),
    bridge("pontoon_fdb_moved", "Stations heard behind another port than before", |it| it.fdb.moved),
    bridge("pontoon_fdb_expired", "Entries whose station was silent for too long", |it| it.fdb.expired),
    bridge("pontoon_fdb_evicted", "Entries taken away by hand, by a flush, or with their port", |it| it.fdb.evicted),
    bridge("pontoon_fdb_refused", "Frames whose source could not be learned", |it| it.fdb.refused),
];
