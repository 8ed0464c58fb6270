use std::collections::BTreeMap;

use netns::manager::RunRequest;
use sim::{Place, Program, World};

use super::catalogue::{CATALOGUE, Kind, Source};
use super::*;

/// Where the metrics are documented.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

#[test]
fn the_document_lists_what_there_is_and_nothing_else() {
    let document = std::fs::read_to_string(DOCUMENT).expect("the document is there");
    let listed: Vec<&str> = document.lines().filter(|line| line.starts_with("| `pontoon_")).collect();
    let row = |family: &Family| {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        };
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {kind} | {} | {} |", family.full_name(), labels.join(" "), family.help)
    };
    let there: Vec<String> = CATALOGUE.iter().map(row).collect();
    assert_eq!(listed, there, "it should be:\n{}", there.join("\n"));
}

#[test]
fn what_is_written_is_what_the_catalogue_has() {
    let (world, about) = a_world();
    let text = render(&world.statistics(), &about, Format::Prometheus);
    let types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let kind = |family: &Family| if family.kind == Kind::Counter { "counter" } else { "gauge" };
    let expected: Vec<String> =
        CATALOGUE.iter().map(|family| format!("{} {}", family.full_name(), kind(family))).collect();
    assert_eq!(types, expected);
    for family in CATALOGUE {
        let name = family.full_name();
        let samples = samples(&text).filter(|(of, _)| of.split('{').next() == Some(&name)).count();
        let ports: usize = world.statistics().iter().map(|bridge| bridge.ports.len()).sum();
        match family.source {
            Source::Port(_) => assert_eq!(samples, ports, "{name}"),
            Source::PortBy(_) => assert!(samples > 0 && samples.is_multiple_of(ports), "{name}: {samples}"),
            Source::Bridge(_) => assert_eq!(samples, world.statistics().len(), "{name}"),
            Source::Daemon(_) => assert!(samples > 0, "{name}"),
        }
    }
}

#[test]
fn the_simulators_statistics_are_written_by_the_same_code() {
    let (world, about) = a_world();
    let statistics = world.statistics();
    let text = render(&statistics, &about, Format::Prometheus);
    let values: BTreeMap<&str, u64> = samples(&text).collect();
    let web = r#"bridge="pontoon0",network="bridge",port="web.eth0",container="web""#;
    let counters = &statistics[0].ports.iter().find(|port| port.name == "web.eth0").expect("it has a port").counters;
    assert_eq!(values[&*format!("pontoon_port_receive_packets_total{{{web}}}")], counters.rx.packets);
    assert_eq!(values[&*format!("pontoon_port_transmit_bytes_total{{{web}}}")], counters.tx.bytes);
    let of = |decision: &str| values[&*format!("pontoon_port_decisions_total{{{web},decision=\"{decision}\"}}")];
    assert_eq!(["forwarded", "flooded", "local", "dropped"].map(of).iter().sum::<u64>(), counters.rx.packets);
    assert!(counters.rx.packets > 0 && counters.rx.bytes > 0);
    let host = r#"bridge="pontoon0",network="bridge",port="pontoon0",container="""#;
    assert!(values.contains_key(&*format!("pontoon_port_receive_packets_total{{{host}}}")), "{text}");
    assert_eq!(values[r#"pontoon_containers{state="running"}"#], 2);
    assert_eq!(values[r#"pontoon_containers{state="exited"}"#], 0);
    assert_eq!(values[r#"pontoon_build_info{version="1.2.3"}"#], 1);
    assert_eq!(values["pontoon_start_time_seconds"], 1_700_000_000);
    assert_eq!(values[r#"pontoon_fdb_learned_total{bridge="pontoon0",network="bridge"}"#], statistics[0].fdb.learned);
}

#[test]
fn no_counter_goes_back_when_a_port_goes() {
    let (mut world, about) = a_world();
    let before = render(&world.statistics(), &about, Format::Prometheus);
    world.rm("web", true).expect("it goes");
    let after = render(&world.statistics(), &about, Format::Prometheus);
    let after: BTreeMap<&str, u64> = samples(&after).collect();
    for (name, count) in samples(&before).filter(|(name, _)| name.contains("_total")) {
        let still = after.get(name).copied();
        assert_eq!(still.is_none(), name.contains(r#"port="web.eth0""#), "{name}");
        assert!(still.is_none_or(|still| still >= count), "{name}: {count}, then {still:?}");
    }
}

#[test]
fn values_of_labels_are_escaped() {
    let about = About { version: "a\"b\\c\nd".to_owned(), ..About::default() };
    let text = render(&[], &about, Format::Prometheus);
    assert!(text.contains("pontoon_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
}

#[test]
fn a_client_gets_the_format_that_it_takes() {
    let scraper = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Format::accepted(scraper), Format::OpenMetrics);
    for accept in ["", "*/*", "text/plain", "application/openmetrics-text;q=0, text/plain", "text/html,*/*;q=0.8"] {
        assert_eq!(Format::accepted(accept), Format::Prometheus, "{accept}");
    }
}

#[test]
fn the_two_formats_differ_in_their_comments_only() {
    let (world, about) = a_world();
    let [older, newer] =
        [Format::Prometheus, Format::OpenMetrics].map(|format| render(&world.statistics(), &about, format));
    assert_eq!(samples(&older).collect::<Vec<_>>(), samples(&newer).collect::<Vec<_>>());
    assert!(newer.ends_with("# EOF\n") && !older.contains("# EOF"));
    assert!(newer.contains("# TYPE pontoon_port_receive_packets counter\n"));
    assert!(older.contains("# TYPE pontoon_port_receive_packets_total counter\n"));
}

/// The samples of a text: each with its labels, and its value.
fn samples(text: &str) -> impl Iterator<Item = (&str, u64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name, value.parse().unwrap_or_else(|why| panic!("{line}: {why}")))
    })
}

fn a_world() -> (World, About) {
    let mut world = World::builder().seed(7).build();
    world.up().expect("the daemon starts");
    for name in ["web", "db"] {
        let request = RunRequest {
            name: Some(name.parse().expect("a name")),
            detached: true,
            ..RunRequest::new(vec!["sleep".to_owned()])
        };
        world.run(request, Program::Sleep).expect("it runs");
    }
    assert!(world.ping(&Place::container("web"), [172, 17, 0, 3]), "db answers");
    let containers = world.containers(true).expect("the daemon answers");
    let networks = world.bridge_networks().expect("the daemon answers").into_iter();
    let networks = networks.map(|network| (network.bridge, network.name.to_string())).collect();
    let about = About { version: "1.2.3".to_owned(), started: 1_700_000_000, networks, ..About::default() };
    (world, about.with_containers(&containers))
}
