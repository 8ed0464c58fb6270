//! Rounds: each measure on each system in turn, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::load;
use super::measure::{Figure, Measure};
use super::options::Options;
use super::peer::Peer;
use super::report::{Failure, Integrity, LeftOut, Report, Results};
use super::start;
use super::systems::{self, System};

/// Starts those that are compared, measures them, and reports.
///
/// # Errors
/// If none of them can be measured.
pub fn run(options: &Options) -> Result<Report, String> {
    let (measures, length) = (options.measures(), options.length());
    let mut results = Results { busy_percent_before: load::busy_percent()?, ..Results::default() };
    let systems = start_all(&options.peers(), &mut results.left_out);
    if systems.is_empty() {
        let causes: Vec<String> = results.left_out.iter().map(|out| format!("{}: {}", out.label, out.cause)).collect();
        return Err(format!("nobody to measure: {}", causes.join("; ")));
    }
    let expected = measures.iter().map(|measure| measure.duration(length.as_secs_f64())).sum::<f64>()
        * systems.len() as f64
        * f64::from(options.rounds);
    eprintln!(
        "{} systems, rounds: {}; in all about {:.0} min",
        systems.len(),
        options.rounds,
        (expected / 60.0).ceil()
    );
    // What has failed once is not tried again: it may take long to fail.
    let mut given_up = BTreeSet::new();
    for round in 1..=options.rounds {
        for measure in measures.iter().copied().filter(|measure| *measure != Measure::Start) {
            for (peer, system) in &systems {
                if given_up.contains(&(*peer, measure)) {
                    continue;
                }
                let started = Instant::now();
                let said = match take(measure, *peer, system.as_ref(), length, &mut results) {
                    Ok(said) => said,
                    Err(cause) => {
                        given_up.insert((*peer, measure));
                        results.failures.push(Failure::new(*peer, measure, round, &cause));
                        format!("failed: {cause}")
                    }
                };
                let took = started.elapsed().as_secs_f64();
                eprintln!(
                    "round {round}/{}  {:<20} {:<18} {said}  ({took:.1} s)",
                    options.rounds,
                    measure.key(),
                    peer.label()
                );
            }
        }
    }
    let peers: Vec<Peer> = systems.iter().map(|(peer, _)| *peer).collect();
    drop(systems);
    results.busy_percent_after = load::busy_percent()?;
    if measures.contains(&Measure::Start) {
        start::measure(&peers, &mut results);
    }
    Ok(Report::new(&peers, options.rounds, options.seconds, results))
}

fn start_all(peers: &[Peer], left_out: &mut Vec<LeftOut>) -> Vec<(Peer, Box<dyn System>)> {
    let mut systems = Vec::new();
    for peer in peers {
        match systems::start(*peer) {
            Ok(system) => systems.push((*peer, system)),
            Err(cause) => {
                eprintln!("{} is left out: {cause}", peer.label());
                left_out.push(LeftOut::new(*peer, &cause));
            }
        }
    }
    systems
}

/// Measures once, notes what came of it, and says it in a few words.
fn take(
    measure: Measure,
    peer: Peer,
    system: &dyn System,
    length: std::time::Duration,
    results: &mut Results,
) -> Result<String, String> {
    if measure == Measure::Integrity {
        let found = load::check(system)?;
        let so_far = results.integrity.entry(peer).or_insert_with(Integrity::nothing_yet);
        *so_far = so_far.and(&found);
        return Ok(found.to_string());
    }
    let figures = load::take(measure, system, length)?;
    note(&mut results.values, peer, &figures);
    let word = |(figure, value): &(Figure, f64)| format!("{value:.2} {}", figure.words().unit);
    Ok(figures.iter().map(word).collect::<Vec<_>>().join(", "))
}

fn note(values: &mut BTreeMap<(Figure, Peer), Vec<f64>>, peer: Peer, figures: &[(Figure, f64)]) {
    for (figure, value) in figures {
        values.entry((*figure, peer)).or_default().push(*value);
    }
}
