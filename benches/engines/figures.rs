//! [`Sample`]: what was measured, and the report of all of them.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::statistics::Spread;

/// Where it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// No network at all: what the engine takes by itself.
    None,
    /// A user-defined network of Docker's own bridge driver: the base of the ratios.
    Bridge,
    /// A network of ours.
    Pontoon,
}

impl Network {
    pub const ALL: [Network; 3] = [Network::None, Network::Bridge, Network::Pontoon];

    /// What Docker calls it.
    pub fn name(self) -> &'static str {
        match self {
            Network::None => "none",
            Network::Bridge => "theirs",
            Network::Pontoon => "ours",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Network::None => "no network",
            Network::Bridge => "Docker's bridge",
            Network::Pontoon => "--driver pontoon",
        }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    Start,
    Tcp,
    PingPong,
    PingPongP50,
    PingPongP99,
}

impl Measure {
    const ALL: [Measure; 5] =
        [Measure::Start, Measure::Tcp, Measure::PingPong, Measure::PingPongP50, Measure::PingPongP99];

    fn label(self) -> &'static str {
        match self {
            Measure::Start => "docker run --rm … true, ms",
            Measure::Tcp => "TCP, one stream, Gbit/s",
            Measure::PingPong => "ping-pong, 1/s",
            Measure::PingPongP50 => "ping-pong, p50, µs",
            Measure::PingPongP99 => "ping-pong, p99, µs",
        }
    }
}

/// One figure of one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub measure: Measure,
    pub network: Network,
    pub value: f64,
}

/// None, where it was not measured.
fn spread(samples: &[Sample], measure: Measure, network: Network) -> Option<Spread> {
    let is_wanted = |sample: &&Sample| sample.measure == measure && sample.network == network;
    Spread::of(&samples.iter().filter(is_wanted).map(|sample| sample.value).collect::<Vec<_>>())
}

/// What came of one round.
pub fn line(samples: &[Sample], round: u32, rounds: u32) -> String {
    let mut text = format!("round {round}/{rounds}");
    for measure in [Measure::Start, Measure::Tcp, Measure::PingPong] {
        let both = [Network::Bridge, Network::Pontoon].map(|network| spread(samples, measure, network));
        if let [Some(theirs), Some(ours)] = both {
            let (theirs, ours) = (number(theirs.median), number(ours.median));
            let _ = write!(text, "   {}: {theirs} and {ours}", measure.label());
        }
    }
    text + "\n"
}

/// Medians, ranges, and the ratio of ours to Docker's own.
pub fn table(samples: &[Sample], rounds: u32, seconds: u64) -> String {
    let mut text = format!(
        "\n{rounds} interleaved rounds, {seconds} s for each load. Medians, ranges in brackets, ratio of the medians of ours to Docker's bridge.\n\n"
    );
    let columns = Network::ALL.map(|network| format!("{:>26}", network.label())).concat();
    let _ = writeln!(text, "{:<28}{columns}{:>8}", "", "ratio");
    for measure in Measure::ALL {
        let spreads = Network::ALL.map(|network| spread(samples, measure, network));
        let cell = |spread: &Option<Spread>| {
            let cell = spread.map_or("-".to_owned(), |spread| {
                format!("{} ({}–{})", number(spread.median), number(spread.low), number(spread.high))
            });
            format!("{cell:>26}")
        };
        let cells = spreads.each_ref().map(cell).concat();
        let [_, theirs, ours] = spreads;
        let ratio = theirs.zip(ours).and_then(|(theirs, ours)| ours.ratio_to(&theirs));
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = writeln!(text, "{:<28}{cells}{ratio:>8}", measure.label());
    }
    text
}

/// As many digits as mean something.
fn number(value: f64) -> String {
    let digits = if value < 100.0 { 1 } else { 0 };
    format!("{value:.digits$}")
}
