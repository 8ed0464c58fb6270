//! What came of a run: a table for people ([`table`]), a plot ([`plot`]), and JSON, which is this very structure.

pub mod plot;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::limits::LIMITS;
use super::measure::{Figure, Measure};
use super::peer::Peer;
use super::statistics::Spread;

/// What the rounds have brought, as it came.
#[derive(Debug, Default)]
pub struct Results {
    pub values: BTreeMap<(Figure, Peer), Vec<f64>>,
    pub integrity: BTreeMap<Peer, Integrity>,
    pub failures: Vec<Failure>,
    pub left_out: Vec<LeftOut>,
    /// What share of the cores others used, before there was a system and when they had gone.
    pub busy_percent_before: f64,
    pub busy_percent_after: f64,
}

/// A peer that was not measured.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    pub peer: Peer,
    pub label: &'static str,
    pub cause: String,
}

impl LeftOut {
    pub fn new(peer: Peer, cause: &str) -> Self {
        LeftOut { peer, label: peer.label(), cause: cause.to_owned() }
    }
}

/// A measure that a peer did not stand; it is not in later rounds.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub peer: Peer,
    pub measure: Measure,
    pub round: u32,
    pub cause: String,
}

impl Failure {
    pub fn new(peer: Peer, measure: Measure, round: u32, cause: &str) -> Self {
        Failure { peer, measure, round, cause: cause.to_owned() }
    }
}

/// Whether what arrived was what was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Integrity {
    /// How much was sent and hashed, both ways.
    pub bytes: u64,
    pub is_intact: bool,
    /// What all receivers together have refused, whatever the load, for a wrong checksum.
    pub wrong_checksums: u64,
}

impl Integrity {
    pub fn nothing_yet() -> Self {
        Integrity { bytes: 0, is_intact: true, wrong_checksums: 0 }
    }

    /// This, and what was found later. (The counters of checksums never go back.)
    #[must_use]
    pub fn and(&self, later: &Integrity) -> Integrity {
        Integrity {
            bytes: self.bytes + later.bytes,
            is_intact: self.is_intact && later.is_intact,
            wrong_checksums: later.wrong_checksums,
        }
    }

    fn is_sound(&self) -> bool {
        self.is_intact && self.wrong_checksums == 0
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = if self.is_intact { "arrived as sent" } else { "ARRIVED CHANGED" };
        write!(f, "{} MiB {hash}, {} wrong checksums", self.bytes >> 20, self.wrong_checksums)
    }
}

/// All that is to be said about a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub rounds: u32,
    pub seconds: u64,
    pub machine: Machine,
    /// Who was measured; the first is the base of all ratios.
    pub peers: Vec<Named>,
    pub left_out: Vec<LeftOut>,
    pub failures: Vec<Failure>,
    pub figures: Vec<Row>,
    pub integrity: Vec<Sound>,
    pub does_not_show: &'static [&'static str],
}

/// A peer and what people call it.
#[derive(Debug, Serialize)]
pub struct Named {
    pub peer: Peer,
    pub label: &'static str,
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub kernel: String,
    /// What share of the cores others used, in percent, before the first round and after the last.
    pub busy_percent_before: f64,
    pub busy_percent_after: f64,
}

/// One figure of all the peers that have it.
#[derive(Debug, Serialize)]
pub struct Row {
    pub figure: &'static str,
    pub label: &'static str,
    pub unit: &'static str,
    pub is_lower_better: bool,
    /// The ratio to the kernel bridge that Pontoon is to reach: the least, and the goal.
    pub floor: Option<f64>,
    pub goal: Option<f64>,
    pub results: Vec<Cell>,
}

/// One figure of one peer.
#[derive(Debug, Serialize)]
pub struct Cell {
    pub peer: Peer,
    pub label: &'static str,
    #[serde(flatten)]
    pub spread: Spread,
    /// Of the medians, to the base's.
    pub ratio: Option<f64>,
    pub values: Vec<f64>,
}

/// The integrity of one peer.
#[derive(Debug, Serialize)]
pub struct Sound {
    pub peer: Peer,
    #[serde(flatten)]
    pub integrity: Integrity,
}

impl Report {
    /// Of those that were measured, in this order; the first is the base of all ratios.
    pub fn new(peers: &[Peer], rounds: u32, seconds: u64, results: Results) -> Self {
        let mut rows: BTreeMap<Figure, Vec<Cell>> = BTreeMap::new();
        for peer in peers {
            for ((figure, _), values) in results.values.iter().filter(|((_, of), _)| of == peer) {
                let Some(spread) = Spread::of(values) else { continue };
                let base = results.values.get(&(*figure, peers[0])).and_then(|values| Spread::of(values));
                let ratio = base.filter(|_| figure.has_ratio()).and_then(|base| spread.ratio_to(&base));
                let label = if *peer == peers[0] { figure.base_label(*peer) } else { peer.label() };
                rows.entry(*figure).or_default().push(Cell {
                    peer: *peer,
                    label,
                    spread,
                    ratio,
                    values: values.clone(),
                });
            }
        }
        let has_aims = peers[0] == Peer::Kernel;
        let row = |(figure, results): (Figure, Vec<Cell>)| {
            let words = figure.words();
            let aims = figure.aims().filter(|_| has_aims);
            Row {
                figure: words.key,
                label: words.label,
                unit: words.unit,
                is_lower_better: words.is_lower_better,
                floor: aims.map(|(floor, _)| floor),
                goal: aims.map(|(_, goal)| goal),
                results,
            }
        };
        let sound = |peer: &Peer| {
            results.integrity.get(peer).map(|integrity| Sound { peer: *peer, integrity: integrity.clone() })
        };
        Report {
            rounds,
            seconds,
            machine: Machine::with(results.busy_percent_before, results.busy_percent_after),
            peers: peers.iter().map(|peer| Named { peer: *peer, label: peer.label() }).collect(),
            left_out: results.left_out,
            failures: results.failures,
            figures: rows.into_iter().map(row).collect(),
            integrity: peers.iter().filter_map(sound).collect(),
            does_not_show: &LIMITS,
        }
    }

    /// Those that have ratios. (A loss has none.)
    fn rows_with_ratios(&self) -> impl Iterator<Item = &Row> {
        self.figures.iter().filter(|row| row.results.iter().any(|cell| cell.ratio.is_some()))
    }

    /// How it was measured, in a few words.
    fn method(&self) -> String {
        let Machine { cores, kernel, .. } = &self.machine;
        let rounds =
            if self.rounds == 1 { "1 round".to_owned() } else { format!("{} interleaved rounds", self.rounds) };
        format!("{cores} cores, kernel {kernel}, {rounds} of {} s", self.seconds)
    }

    /// Whether nothing has failed that is ours, and nobody's bytes have changed on the way.
    pub fn is_sound(&self) -> bool {
        self.failures.iter().all(|failure| !failure.peer.is_pontoon())
            && self.integrity.iter().all(|sound| sound.integrity.is_sound())
    }
}

/// As much of the cores, in percent, a quiet machine uses.
const QUIET: f64 = 10.0;

impl Row {
    fn title(&self) -> String {
        format!("{}, {}{}", self.label, self.unit, if self.is_lower_better { " (less is better)" } else { "" })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}, {}, round {}: {}", self.peer.label(), self.measure.key(), self.round, self.cause)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "left out: {}: {}", self.label, self.cause)
    }
}

impl Machine {
    fn with(busy_percent_before: f64, busy_percent_after: f64) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: kernel.trim().to_owned(),
            busy_percent_before,
            busy_percent_after,
        }
    }

    /// A warning, if others have worked as well: they decide where the scheduler puts what is measured, and a round trip within a
    /// core takes a third of one between cores.
    fn warning(&self) -> Option<String> {
        let (before, after) = (self.busy_percent_before, self.busy_percent_after);
        (before.max(after) > QUIET).then(|| {
            format!("DO NOT KEEP THESE FIGURES: others used {before:.0} % of the cores before the first round, {after:.0} % after the last")
        })
    }
}
