//! A round, as a case of the harness of the tests: all measures on all networks.

use std::time::{Duration, Instant};

use crate::figures::{Measure, Network, Sample};
use crate::host::{Host, IMAGE};
use crate::load;
use crate::systems::End;

/// What a round is called. How many seconds a load lasts comes after it.
pub const ROUND: &str = "round";
/// How many containers are started in a round on each network.
const STARTS: usize = 3;

/// Something that the host plays.
pub struct Case {
    pub name: String,
    pub play: fn(&mut Host),
}

/// All there is.
pub fn all() -> impl Iterator<Item = Case> {
    [Case { name: ROUND.to_owned(), play: round }].into_iter()
}

/// The message is the length of a load, and becomes the figures.
fn round(host: &mut Host) {
    let length = Duration::from_secs(host.message.parse().expect("a number of seconds"));
    host.docker.does(&["network", "create", Network::Bridge.name()]);
    host.docker.create(&[], Network::Pontoon.name());
    let pairs = [Network::Bridge, Network::Pontoon].map(|network| (network, pair(host, network)));
    let mut samples = Vec::new();
    let mut take = |measure, network, value| samples.push(Sample { measure, network, value });
    // What comes first finds the engine still busy with what was before.
    started(host, Network::None);
    for _ in 0..STARTS {
        for network in Network::ALL {
            take(Measure::Start, network, started(host, network));
        }
    }
    for (network, pair) in pairs {
        let gbits = load::bulk(&[pair], &[], length).unwrap_or_else(|why| panic!("{network:?}: {why}"));
        take(Measure::Tcp, network, gbits);
    }
    for (network, pair) in pairs {
        let trips = load::ping_pong(&[pair], length).unwrap_or_else(|why| panic!("{network:?}: {why}"));
        take(Measure::PingPong, network, trips.per_second);
        take(Measure::PingPongP50, network, trips.p50);
        take(Measure::PingPongP99, network, trips.p99);
    }
    host.message = serde_json::to_string(&samples).expect("figures are JSON");
}

/// Two containers on a network.
fn pair(host: &Host, network: Network) -> (End, End) {
    let [from, to] = ["a", "b"].map(|letter| {
        let name = format!("{}-{letter}", network.name());
        host.docker.starts(&name, &["--network", network.name()]);
        let pid = host.docker.inspects(&name, "{{.State.Pid}}").parse().expect("a process");
        End { pid, address: host.docker.address(&name).parse().expect("an address") }
    });
    load::reach(from, to).unwrap_or_else(|why| panic!("{network:?}: one container reaches the other: {why}"));
    (from, to)
}

/// How many milliseconds a container takes that does nothing, from the command to its end.
fn started(host: &Host, network: Network) -> f64 {
    let began = Instant::now();
    host.docker.does(&["run", "--rm", "--network", network.name(), IMAGE, "true"]);
    began.elapsed().as_secs_f64() * 1e3
}
