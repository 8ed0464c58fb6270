//! Tests of what the benchmark against the peers computes and writes: options, statistics, the search, reports.
#![allow(dead_code, reason = "what measures is not here")]
#![expect(unreachable_pub, reason = "these are modules of a program")]

mod limits;
mod measure;
mod options;
mod peer;
mod report;
mod search;
mod statistics;

use clap::Parser;
use clap::error::ErrorKind;
use proptest::prelude::*;
use serde_json::json;

use measure::{Figure, Measure};
use options::Options;
use peer::Peer;
use report::{Failure, Integrity, LeftOut, Machine, Report, Results, plot, table};
use search::Trial;
use statistics::{Spread, percentile};

fn parsed(options: &[&str]) -> Result<Options, clap::Error> {
    Options::try_parse_from([&["peers", "--bench"], options].concat())
}

fn refused(options: &[&str]) -> clap::Error {
    let why = parsed(options).expect_err("it should be refused");
    assert_eq!(why.exit_code(), 2, "{why}");
    why
}

#[test]
fn compares_with_all_peers_and_takes_all_measures_unless_told_otherwise() {
    let options = parsed(&[]).unwrap();
    assert_eq!(options.peers(), Peer::USUAL);
    assert_eq!(options.measures(), Measure::ALL);
    assert_eq!((options.rounds, options.seconds), (5, 2));
}

#[test]
fn the_kernel_bridge_is_the_base_wherever_it_is_named_and_each_peer_is_there_once() {
    let options = parsed(&["--peers", "ovs,kernel,ovs,pontoon-uring"]).unwrap();
    assert_eq!(options.peers(), [Peer::Kernel, Peer::Ovs, Peer::PontoonUring]);
}

#[test]
fn only_takes_what_has_one_of_the_words_in_its_name() {
    let options = parsed(&["--only", "tcp-x,integrity"]).unwrap();
    assert_eq!(options.measures(), [Measure::Tcp1, Measure::Tcp4, Measure::Integrity]);
}

#[test]
fn who_is_watched_has_no_outside_and_starts_nothing() {
    let options = parsed(&["--watched"]).unwrap();
    assert_eq!(options.peers(), Peer::WATCHED);
    let measures = options.measures();
    assert!(!measures.iter().any(|measure| measure.is_outbound() || *measure == Measure::Start), "{measures:?}");
}

#[test]
fn wrong_usage_says_what_there_is() {
    assert_eq!(refused(&["--fast"]).kind(), ErrorKind::UnknownArgument);
    assert_eq!(refused(&["--rounds", "0"]).kind(), ErrorKind::ValueValidation);
    assert_eq!(refused(&["--watched", "--peers", "vde"]).kind(), ErrorKind::ArgumentConflict);
    assert_eq!(refused(&["--law", "3", "--json", "x"]).kind(), ErrorKind::ArgumentConflict);
    let peer = refused(&["--peers", "kernel,token-ring"]).to_string();
    assert!(peer.contains("token-ring") && peer.contains("docker0, pontoon, pontoon-epoll"), "{peer}");
    let measure = refused(&["--only", "tcp,quic"]).to_string();
    assert!(measure.contains("quic") && measure.contains("udp-lossless, ping-pong"), "{measure}");
}

#[test]
fn every_option_value_is_called_what_json_calls_it() {
    for peer in Peer::USUAL {
        assert_eq!(parsed(&["--peers", peer.key()]).unwrap().peers(), [peer]);
    }
}

#[test]
fn a_median_is_in_the_middle_and_a_range_has_all() {
    assert_eq!(Spread::of(&[]), None);
    assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
    assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, low: 1.0, high: 4.0 }));
}

#[test]
fn nothing_has_a_ratio_to_nothing() {
    let (some, none) = (Spread::of(&[3.0]).unwrap(), Spread::of(&[0.0]).unwrap());
    assert_eq!(some.ratio_to(&Spread::of(&[2.0]).unwrap()), Some(1.5));
    assert_eq!(some.ratio_to(&none), None);
}

#[test]
fn a_percentile_is_the_nearest_rank() {
    let hundred: Vec<u64> = (1..=100).collect();
    assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99), percentile(&hundred, 100)), (50, 99, 100));
    assert_eq!((percentile(&[7], 50), percentile(&[7], 99), percentile(&[], 50)), (7, 7, 0));
}

/// A switch that passes so much on and loses the rest.
fn limited(limit: f64) -> impl Fn(f64) -> Trial {
    move |sent| Trial { sent, received: sent.min(limit) }
}

proptest! {
    #[test]
    fn the_search_finds_the_limit_of_a_switch_in_few_trials(limit in 20.0..3900.0f64) {
        let (mut trials, switch) = (0, limited(limit));
        let found = search::highest(|kpps| { trials += 1; Ok::<_, ()>(switch(kpps)) }).unwrap();
        // A switch that is 0.5 % over its limit loses just that.
        prop_assert!(found <= limit && found > limit * 0.984, "{found} of {limit}");
        prop_assert!(trials <= 30, "{trials}");
    }

    #[test]
    fn a_sender_at_its_own_limit_is_not_taken_for_a_faster_one(limit in 30.0..3000.0f64) {
        let found = search::highest(|kpps| Ok::<_, ()>(limited(f64::INFINITY)(kpps.min(limit)))).unwrap();
        prop_assert!(found <= limit && found > limit * 0.93, "{found} of {limit}");
    }
}

#[test]
fn one_hiccup_does_not_decide_and_a_second_at_the_same_rate_does() {
    let search = |hiccups: usize| {
        let (mut trials, switch) = (0, limited(500.0));
        let lossy = |kpps| {
            trials += 1;
            let trial = switch(kpps);
            Ok::<_, ()>(if trials <= hiccups { Trial { received: trial.sent / 2.0, ..trial } } else { trial })
        };
        search::highest(lossy).unwrap()
    };
    assert_eq!(search(1), search(0));
    assert!(search(2) < 20.0);
}

#[test]
fn a_switch_that_loses_at_every_rate_has_none() {
    let lossy = |sent| Ok::<_, ()>(Trial { sent, received: sent * 0.99 });
    assert_eq!(search::highest(lossy), Ok(0.0));
    assert_eq!(search::highest(|_| Err("no route")), Err("no route"));
}

/// Two peers with figures, one that failed a measure, one that is missing.
fn report() -> Report {
    let mut results = Results::default();
    let mut note = |figure, peer, values: &[f64]| results.values.insert((figure, peer), values.to_vec());
    note(Figure::Tcp1, Peer::Kernel, &[40.0, 50.0, 45.0]);
    note(Figure::Tcp1, Peer::PontoonEpoll, &[36.0, 30.0, 45.0]);
    note(Figure::UdpFloodLoss, Peer::Kernel, &[2.0]);
    note(Figure::UdpFloodLoss, Peer::PontoonEpoll, &[40.0]);
    note(Figure::PingPongP50, Peer::Kernel, &[60.0]);
    note(Figure::Start, Peer::Kernel, &[20.0]);
    note(Figure::Start, Peer::PontoonEpoll, &[1234.0]);
    let sound = Integrity { bytes: 128 << 20, is_intact: true, wrong_checksums: 0 };
    results.integrity.insert(Peer::Kernel, sound.and(&sound));
    results.integrity.insert(Peer::PontoonEpoll, sound);
    results.failures.push(Failure::new(Peer::PontoonEpoll, Measure::PingPong, 2, "a round trip: timed out"));
    results.left_out.push(LeftOut::new(Peer::Vde, "vde_switch is not installed <Debian's package vde2>"));
    let mut report = Report::new(&[Peer::Kernel, Peer::PontoonEpoll], 3, 2, results);
    report.machine =
        Machine { cores: 2, kernel: "6.18".to_owned(), busy_percent_before: 1.5, busy_percent_after: 10.0 };
    report.does_not_show = &["That there is no wire."];
    report
}

#[test]
fn json_has_medians_ranges_ratios_and_who_is_missing() {
    let json = serde_json::to_value(report()).unwrap();
    let cell = |peer: &str, label: &str, [low, median, high]: [f64; 3], ratio: f64, values: &[f64]| {
        json!({
            "peer": peer, "label": label,
            "median": median, "low": low, "high": high, "ratio": ratio, "values": values,
        })
    };
    assert_eq!(
        json["figures"][0],
        json!({
            "figure": "tcp_x1", "label": "TCP, one stream", "unit": "Gbit/s", "is_lower_better": false,
            "floor": 0.65, "goal": 0.8,
            "results": [
                cell("kernel", "kernel bridge", [40.0, 45.0, 50.0], 1.0, &[40.0, 50.0, 45.0]),
                cell("pontoon-epoll", "Pontoon, epoll", [30.0, 36.0, 45.0], 0.8, &[36.0, 30.0, 45.0]),
            ],
        })
    );
    assert_eq!(json["figures"][1]["results"][1]["ratio"], json!(null), "a loss has no ratio");
    assert_eq!(
        json["integrity"],
        json!([
            { "peer": "kernel", "bytes": 256 << 20, "is_intact": true, "wrong_checksums": 0 },
            { "peer": "pontoon-epoll", "bytes": 128 << 20, "is_intact": true, "wrong_checksums": 0 },
        ])
    );
    assert_eq!(
        json["failures"],
        json!([{ "peer": "pontoon-epoll", "measure": "ping-pong", "round": 2, "cause": "a round trip: timed out" }])
    );
    assert_eq!(
        json["left_out"],
        json!([{ "peer": "vde", "label": "vde_switch", "cause": "vde_switch is not installed <Debian's package vde2>" }])
    );
    assert_eq!(
        json["machine"],
        json!({ "cores": 2, "kernel": "6.18", "busy_percent_before": 1.5, "busy_percent_after": 10.0 })
    );
    assert_eq!(json["does_not_show"], json!(["That there is no wire."]));
}

#[test]
fn the_table_says_the_same_to_people() {
    snapbox::assert_data_eq!(
        table::text(&report()),
        snapbox::str![[r#"

2 cores, kernel 6.18, 3 interleaved rounds of 2 s. Medians, ranges in brackets, ratios of the medians to: kernel bridge.

TCP, one stream, Gbit/s (Pontoon's floor 0.65, goal 0.80)
  kernel bridge             45.00          (40.00–50.00)    1.00
  Pontoon, epoll            36.00          (30.00–45.00)    0.80

UDP 64 B, a flood, lost, % (less is better)
  kernel bridge              2.00            (2.00–2.00)
  Pontoon, epoll            40.00          (40.00–40.00)

ping-pong, one pair, p50, µs (less is better)
  kernel bridge             60.00          (60.00–60.00)    1.00

start, run `true`, end, ms (less is better)
  by hand, with ip          20.00          (20.00–20.00)    1.00
  Pontoon, epoll            1,234          (1,234–1,234)   61.70

ratios at a glance                          kernel bridge  Pontoon, epoll
TCP, one stream, Gbit/s                              1.00            0.80
ping-pong, one pair, p50, µs                         1.00               -
start, run `true`, end, ms                           1.00           61.70

integrity: kernel bridge: 256 MiB arrived as sent, 0 wrong checksums
integrity: Pontoon, epoll: 128 MiB arrived as sent, 0 wrong checksums
failed: Pontoon, epoll, ping-pong, round 2: a round trip: timed out
left out: vde_switch: vde_switch is not installed <Debian's package vde2>

What this does not show:
* That there is no wire.

"#]]
    );
}

#[test]
fn the_plot_has_a_bar_for_each_ratio_and_names_who_is_missing() {
    let svg = plot::svg(&report());
    let bars: Vec<&str> = svg.lines().filter(|line| line.contains("<rect class=")).collect();
    // TCP and start of both, the ping-pong of one; a loss has none.
    assert_eq!(bars.len(), 5, "{svg}");
    assert_eq!(bars.iter().filter(|bar| bar.contains("class=\"ours\"")).count(), 2);
    let width =
        |bar: &str| -> f64 { bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap() };
    assert!((width(bars[1]) / width(bars[0]) - 0.8).abs() < 0.001, "{bars:?}");
    assert!(svg.contains(">0.80 (36.00)</text>"), "{svg}");
    assert!(svg.contains("left out: vde_switch: vde_switch is not installed &lt;Debian's package vde2&gt;"), "{svg}");
    assert!(svg.contains("failed: Pontoon, epoll, ping-pong, round 2: a round trip: timed out"), "{svg}");
    assert!(svg.contains("That there is no wire."), "{svg}");
}

#[test]
fn figures_of_a_machine_that_others_used_come_with_a_warning() {
    let mut report = report();
    let warning = "DO NOT KEEP THESE FIGURES: others used 55 % of the cores before the first round, 2 % after the last";
    assert!(!table::text(&report).contains("DO NOT KEEP") && !plot::svg(&report).contains("DO NOT KEEP"));
    (report.machine.busy_percent_before, report.machine.busy_percent_after) = (55.0, 2.0);
    assert!(table::text(&report).contains(warning) && plot::svg(&report).contains(warning));
}

#[test]
fn a_failure_of_ours_and_bytes_that_change_are_no_success_and_another_peers_failure_is() {
    let with = |change: fn(&mut Results)| {
        let mut results = Results::default();
        change(&mut results);
        Report::new(&[Peer::Kernel, Peer::Pontoon], 1, 1, results).is_sound()
    };
    let changed = Integrity { is_intact: false, ..Integrity::nothing_yet() };
    assert!(!changed.and(&Integrity::nothing_yet()).is_intact, "a later transfer mends nothing");
    assert!(with(|_| {}));
    assert!(with(|results| results.failures.push(Failure::new(Peer::Vde, Measure::Tcp1, 1, "timed out"))));
    assert!(!with(|results| results.failures.push(Failure::new(Peer::Pontoon, Measure::Tcp1, 1, "timed out"))));
    assert!(!with(|results| {
        results.integrity.insert(Peer::Pontoon, Integrity { wrong_checksums: 1, ..Integrity::nothing_yet() });
    }));
}
