//! What Prometheus reads: statistics as text, in either of its two formats.
//!
//! Pure: what is counted is counted elsewhere, and read when somebody asks. The simulator's statistics give the same text.
//! The map: [`catalogue`] is what there is; the rest is how it is written.

mod catalogue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use netns::manager::ContainerView;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use switch::dataplane::{BridgeStatistics, PortStatistics};

use self::catalogue::{CATALOGUE, Family, Kind, Source};

/// Which of Prometheus' two text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The older one, which everything reads.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The best that a client takes which sends this `Accept`.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let takes = |wanted: &str| {
            let mut words = wanted.split(';').map(str::trim);
            let is_it = words.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            let refused = |word: &str| matches!(word.split_once('='), Some(("q" | "Q", q)) if q.parse() == Ok(0.0));
            is_it && !words.any(refused)
        };
        if accept.split(',').any(takes) { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// As HTTP calls it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What is known beside the counters.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The daemon's version.
    pub version: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// How many containers there are, by state.
    pub containers: BTreeMap<&'static str, u64>,
    /// How many listen to `bridge monitor`.
    pub monitors: u64,
    /// How many events those have lost who ever did.
    pub events_lost: u64,
    /// The networks, by their bridges.
    pub networks: BTreeMap<String, String>,
    /// The containers, by their ports.
    pub owners: BTreeMap<String, String>,
}

impl About {
    /// Takes note of containers: how many there are, and whose ports are whose.
    #[must_use]
    pub fn with_containers(mut self, containers: &[ContainerView]) -> Self {
        self.containers = ["created", "running", "exited"].map(|state| (state, 0)).into();
        for container in containers {
            if let Some(count) = self.containers.get_mut(container.state.as_str()) {
                *count += 1;
            }
            let ports = container.networks.values().filter_map(|interface| interface.port.clone());
            self.owners.extend(ports.map(|port| (port, container.name.clone())));
        }
        self
    }
}

/// The whole text.
#[must_use]
pub fn render(bridges: &[BridgeStatistics], about: &About, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { bridges: bridges.to_vec(), about: about.clone() }));
    let mut written = String::new();
    text::encode(&mut written, &registry).expect("a string takes any text");
    match format {
        Format::OpenMetrics => written,
        Format::Prometheus => in_the_older_format(&written),
    }
}

/// What is counted at one moment.
#[derive(Debug)]
struct Scrape {
    bridges: Vec<BridgeStatistics>,
    about: About,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in CATALOGUE {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Info => MetricType::Info,
            };
            let mut encoder = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            self.write(family, &mut encoder)?;
        }
        Ok(())
    }
}

impl Scrape {
    fn write(&self, family: &Family, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let mut sample = |values: &[&str], count: u64| {
            let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(values.iter().copied()).collect();
            match family.kind {
                Kind::Info => encoder.encode_info(&labels),
                Kind::Counter | Kind::Gauge if labels.is_empty() => put(encoder, family.kind, count),
                Kind::Counter | Kind::Gauge => put(&mut encoder.encode_family(&labels)?, family.kind, count),
            }
        };
        let network = |bridge: &BridgeStatistics| self.about.networks.get(&bridge.name).map_or("", String::as_str);
        match family.source {
            Source::Port(count) => self.ports().try_for_each(|(bridge, port)| {
                sample(&[&bridge.name, network(bridge), &port.name, self.owner(port)], count(port))
            }),
            Source::PortBy(counts) => self.ports().try_for_each(|(bridge, port)| {
                let known = [bridge.name.as_str(), network(bridge), &port.name, self.owner(port)];
                counts(port).iter().try_for_each(|(values, count)| sample(&[&known, &values[..]].concat(), *count))
            }),
            Source::Bridge(count) => {
                self.bridges.iter().try_for_each(|bridge| sample(&[&bridge.name, network(bridge)], count(bridge)))
            }
            Source::Daemon(counts) => {
                counts(&self.about).iter().try_for_each(|(value, count)| sample(&[value], *count))
            }
        }
    }

    fn ports(&self) -> impl Iterator<Item = (&BridgeStatistics, &PortStatistics)> {
        self.bridges.iter().flat_map(|bridge| bridge.ports.iter().map(move |port| (bridge, port)))
    }

    /// The name of the container whose port this is; empty for the host's own.
    fn owner(&self, port: &PortStatistics) -> &str {
        self.about.owners.get(&port.name).map_or("", String::as_str)
    }
}

fn put(encoder: &mut MetricEncoder<'_>, kind: Kind, count: u64) -> fmt::Result {
    match kind {
        Kind::Counter => encoder.encode_counter::<NoLabelSet, u64, f64>(&count, None),
        Kind::Gauge | Kind::Info => encoder.encode_gauge(&i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

/// The same in the older format: there a family has the name of its samples, and neither an end mark nor types of its own for
/// what never changes.
fn in_the_older_format(openmetrics: &str) -> String {
    let types: BTreeMap<&str, &str> =
        openmetrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let Some((what, rest)) = line.strip_prefix("# ").and_then(|comment| comment.split_once(' ')) else {
            if line != "# EOF" {
                text.push_str(line);
                text.push('\n');
            }
            continue;
        };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (suffix, older) = match types.get(name) {
            Some(&"counter") => ("_total", "counter"),
            Some(&"info") => ("_info", "gauge"),
            Some(&other) => ("", other),
            None => ("", ""),
        };
        let rest = if what == "TYPE" { older } else { rest };
        text.push_str(&format!("# {what} {name}{suffix} {rest}\n"));
    }
    text
}
