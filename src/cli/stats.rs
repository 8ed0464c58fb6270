//! `stats` and its options.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Json;

/// `stats`
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Only these: networks, bridges, containers or ports; * and ? stand for anything
    #[arg(value_name = "NAME")]
    pub only: Vec<String>,
    /// One line a network: its FDB, and the sum of its ports, also of those that have gone
    #[arg(long, conflicts_with = "drops")]
    pub networks: bool,
    /// Every reason for which frames were dropped, by port
    #[arg(long)]
    pub drops: bool,
    /// Verify that for every port rx = forwarded + flooded + local + drops
    #[arg(long, conflicts_with_all = ["rate", "drops", "networks", "json"])]
    pub check: bool,
    /// Again and again, every so many seconds (2 if none are said), until Ctrl-C
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = parse_watch)]
    pub watch: Option<Watch>,
    /// How much there is a second, over one second or the interval of --watch
    #[arg(long)]
    pub rate: bool,
    /// The order of ports: the largest first, names from A to Z
    #[arg(long, value_name = "KEY")]
    pub sort: Option<SortKey>,
    /// The other way round
    #[arg(short, long)]
    pub reverse: bool,
    /// Numbers in full, not as 1.2M
    #[arg(long)]
    pub exact: bool,
    /// For a program: always numbers in full; with --watch one line each time
    #[command(flatten)]
    pub json: Json,
}

/// What stands behind `--watch`.
#[derive(Clone, Debug, PartialEq)]
pub enum Watch {
    /// The interval.
    Every(Duration),
    /// No number: a name that is meant for the list.
    Name(String),
}

/// What ports are sorted by: in and out together, where there are both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// The port's name
    Name,
    /// Frames
    Packets,
    /// Bytes
    Bytes,
    /// Frames and copies that were dropped
    Drops,
    /// Frames that never came to the switch
    Missed,
    /// Frames to one station
    Unicast,
    /// Frames to a group
    Multicast,
    /// Frames to all
    Broadcast,
    /// Frames that were flooded
    Flooded,
}

impl StatsArgs {
    /// The interval of `--watch`, if it is asked for.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.watch.as_ref().map(|watch| match watch {
            Watch::Every(interval) => *interval,
            Watch::Name(_) => DEFAULT_INTERVAL,
        })
    }

    /// All names that were said.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let behind_watch = self.watch.iter().filter_map(|watch| match watch {
            Watch::Every(_) => None,
            Watch::Name(name) => Some(name.clone()),
        });
        behind_watch.chain(self.only.iter().cloned()).collect()
    }
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest and the longest interval, in seconds.
const INTERVALS: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

fn parse_watch(text: &str) -> Result<Watch, String> {
    match text.parse::<f64>() {
        Ok(seconds) if INTERVALS.contains(&seconds) => Ok(Watch::Every(Duration::from_secs_f64(seconds))),
        Ok(_) => Err(format!("an interval is {} to {} seconds", INTERVALS.start(), INTERVALS.end())),
        Err(_) => Ok(Watch::Name(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_behind_watch_is_a_name() {
        assert_eq!(parse_watch("0.5"), Ok(Watch::Every(Duration::from_millis(500))));
        assert_eq!(parse_watch("web.eth0"), Ok(Watch::Name("web.eth0".into())));
        for wrong in ["0", "-1", "0.01", "86401", "inf", "NaN"] {
            assert!(parse_watch(wrong).is_err(), "{wrong}");
        }
    }
}
