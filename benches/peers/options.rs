//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use super::measure::Measure;
use super::peer::Peer;

/// Measures Pontoon against its peers in one run: interleaved rounds, medians, ranges, ratios to the kernel bridge
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --")]
pub struct Options {
    /// How many rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = RangedU64ValueParser::<u32>::new().range(1..=100))]
    pub rounds: u32,
    /// How long each load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = RangedU64ValueParser::<u64>::new().range(1..=600))]
    pub seconds: u64,
    /// Take only the measures with one of these in their names, such as `tcp,ping-pong`
    #[arg(long, value_name = "MEASURES", value_delimiter = ',')]
    only: Vec<Only>,
    /// Compare only these
    #[arg(long, value_name = "PEERS", value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// Write the report as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the ratios as an SVG, too
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Compare Pontoon with itself instead: captured, and with its flight recorder
    #[arg(long, conflicts_with = "peers")]
    watched: bool,
    /// No figure: ask every second, for so long and under full load, whether the counters add up
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..=86400))]
    #[arg(conflicts_with_all = ["watched", "peers", "only", "json", "plot"])]
    law: Option<u64>,
    /// What cargo says to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// How long to ask about the law, if that is all that is wanted.
    pub fn law(&self) -> Option<Duration> {
        self.law.map(Duration::from_secs)
    }

    /// How long each load lasts.
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Who is compared, each once, in the order asked for, except that the base of the ratios is the kernel bridge if it is among them.
    pub fn peers(&self) -> Vec<Peer> {
        let asked: &[Peer] = match (self.watched, self.peers.as_slice()) {
            (true, _) => &Peer::WATCHED,
            (false, []) => &Peer::USUAL,
            (false, peers) => peers,
        };
        let mut peers: Vec<Peer> = Vec::new();
        for peer in asked {
            if !peers.contains(peer) {
                peers.push(*peer);
            }
        }
        peers.sort_by_key(|peer| *peer != Peer::Kernel);
        peers
    }

    /// What is measured.
    pub fn measures(&self) -> Vec<Measure> {
        let is_wanted =
            |measure: &Measure| self.only.is_empty() || self.only.iter().any(|only| only.is_part_of(*measure));
        // What watches has no outside, and starts nothing.
        let can_be = |measure: &Measure| !(self.watched && (measure.is_outbound() || *measure == Measure::Start));
        Measure::ALL.into_iter().filter(is_wanted).filter(can_be).collect()
    }
}

/// A part of the name of one measure at least.
#[derive(Clone, Debug)]
struct Only(String);

impl Only {
    fn is_part_of(&self, measure: Measure) -> bool {
        measure.key().contains(&self.0)
    }
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let only = Only(text.to_owned());
        if !text.is_empty() && Measure::ALL.into_iter().any(|measure| only.is_part_of(measure)) {
            return Ok(only);
        }
        let names: Vec<&str> = Measure::ALL.into_iter().map(Measure::key).collect();
        Err(format!("no measure has this in its name; there are {}", names.join(", ")))
    }
}
