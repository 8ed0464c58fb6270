//! Pontoon against the kernel bridge, end to end, in one run: `cargo bench --bench peers [-- --rounds N --seconds S --only MEASURE]`.
//!
//! Each system has containers of its own in a scratch namespace that stands for the host, with the same MTU and the same
//! congestion control. Rounds are interleaved (A B A B …); what counts is the ratio of the medians. Needs root, iproute2,
//! nftables and iperf3.
//!
//! `--watched` compares Pontoon with itself instead: nobody watches, a capture of everything runs, the flight recorder keeps ten
//! seconds. `--law SECONDS` measures nothing but asks whether the counters add up under load ([`law`]).
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(unreachable_pub, reason = "a program has no outside: `pub` is for its other modules")]

mod law;
mod load;
mod systems;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use load::Measure;
use systems::{KernelBridge, Pontoon, System};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        println!("the peers are measured by `cargo bench --bench peers`, not tested");
        return;
    }
    let number = |name: &str, otherwise: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let rounds = number("--rounds", 5);
    let only = arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    let length = Duration::from_secs(number("--seconds", 3));
    if let Err(why) = netns::linux::scratch::can_run() {
        eprintln!("the peers can not be measured here: {why}");
        std::process::exit(1);
    }
    netns::linux::scratch::enter().expect("enter a scratch namespace");
    let law = number("--law", 0);
    if law > 0 {
        return law::hold(Duration::from_secs(law));
    }
    let is_watched = arguments.iter().any(|argument| argument == "--watched");
    let mut peers: Vec<Box<dyn System>> = if is_watched {
        vec![Box::new(Pontoon::new()), Box::new(Pontoon::capturing()), Box::new(Pontoon::recording())]
    } else {
        vec![Box::new(KernelBridge::new()), Box::new(Pontoon::new())]
    };
    let mut results: BTreeMap<(Measure, &'static str), Vec<f64>> = BTreeMap::new();
    for round in 1..=rounds {
        // (What watches has no outside.)
        let can_be = |measure: &Measure| !(is_watched && measure.is_outbound());
        let is_wanted = |measure: &Measure| only.is_none_or(|only| measure.name().contains(only)) && can_be(measure);
        for measure in Measure::ALL.into_iter().filter(is_wanted) {
            for peer in &mut peers {
                let result = measure.take(peer.as_ref(), length);
                eprintln!("round {round}/{rounds}  {:<24} {:<14} {result:.2}", measure.name(), peer.name());
                results.entry((measure, peer.name())).or_default().push(result);
                if let Some((extra, value)) = measure.efficiency(result) {
                    results.entry((extra, peer.name())).or_default().push(value);
                }
            }
        }
    }
    for other in &peers[1..] {
        print_table(&results, peers[0].name(), other.name(), !is_watched);
    }
    drop(peers);
    if !is_watched {
        start_up();
    }
}

fn print_table(
    results: &BTreeMap<(Measure, &'static str), Vec<f64>>,
    base: &'static str,
    other: &'static str,
    has_floor: bool,
) {
    let title = if has_floor { "floor" } else { "" };
    println!("\n{:<26} {base:>22} {other:>22} {:>7} {title:>6}", "", "ratio");
    let measures: std::collections::BTreeSet<Measure> = results.keys().map(|(measure, _)| *measure).collect();
    for measure in measures {
        let (Some(a), Some(b)) = (results.get(&(measure, base)), results.get(&(measure, other))) else { continue };
        let floor = measure.floor().filter(|_| has_floor).map_or(String::new(), |floor| format!("{floor:.2}"));
        let ratio = median(b) / median(a);
        println!("{:<26} {:>22} {:>22} {ratio:>7.2} {floor:>6}", measure.name(), spread(a), spread(b));
    }
}

/// `pontoon run -- true` against the same made by hand, from an empty scratch namespace with a bridge (or a daemon) there.
fn start_up() {
    const TIMES: usize = 20;
    let mut by_hand = systems::ByHand::new();
    let mut pontoon = Pontoon::empty();
    let (mut hand, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        hand.push(milliseconds(|| by_hand.run_true()));
        ours.push(milliseconds(|| pontoon.run_true()));
    }
    println!("\n{:<26} {:>22} {:>22} {:>7}", "start, run `true`, end", "by hand (ip), ms", "pontoon run, ms", "ratio");
    println!("{:<26} {:>22} {:>22} {:>7.2}", "", spread(&hand), spread(&ours), median(&ours) / median(&hand));
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The median, and the range in brackets.
fn spread(values: &[f64]) -> String {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    format!("{:.2} ({low:.2}–{high:.2})", median(values))
}
