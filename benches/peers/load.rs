//! The load that measures: iperf3 for bulk and floods, plain sockets for round trips, paced datagrams and integrity.

mod cpu;
mod datagrams;
mod integrity;
mod iperf;
mod round_trips;
mod stream;

use std::time::Duration;

pub use cpu::busy_percent;
pub use integrity::check;
pub use iperf::{bulk, flood};
pub use round_trips::reach;
use stream::{be_patient, connect};

use super::measure::{Figure, Measure};
use super::search;
use super::systems::{CONTAINERS, End, System};

/// Who connects, and to whom.
pub type Pair = (End, End);

/// How long anything may take that is not the load itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts a load on a system; the figures.
///
/// # Errors
/// What did not work.
pub fn take(measure: Measure, system: &dyn System, length: Duration) -> Result<Vec<(Figure, f64)>, String> {
    let pairs: Vec<Pair> =
        (0..CONTAINERS / 2).map(|pair| (system.container(2 * pair), system.container(2 * pair + 1))).collect();
    let pair = &pairs[..1];
    let out = || system.outside().map(|outside| [(system.container(0), outside)]).ok_or("it has no outside");
    Ok(match measure {
        Measure::Tcp1 => {
            let (gbits, per_core) = bulk_per_core(pair, 1, length)?;
            vec![(Figure::Tcp1, gbits), (Figure::Tcp1PerCore, per_core)]
        }
        Measure::Tcp4 => {
            let (gbits, per_core) = bulk_per_core(pair, 4, length)?;
            vec![(Figure::Tcp4, gbits), (Figure::Tcp4PerCore, per_core)]
        }
        Measure::TcpPairs => vec![(Figure::TcpPairs, bulk(&pairs, &[], length)?)],
        Measure::UdpFlood => {
            let flood = flood(pair, length)?;
            vec![(Figure::UdpFlood, flood.received_kpps), (Figure::UdpFloodLoss, flood.lost_percent)]
        }
        Measure::UdpLossless => {
            vec![(Figure::UdpLossless, search::highest(|kpps| datagrams::trial(pairs[0], kpps))?)]
        }
        Measure::PingPong => {
            let trips = round_trips::ping_pong(pair, length)?;
            vec![
                (Figure::PingPong, trips.per_second),
                (Figure::PingPongP50, trips.p50),
                (Figure::PingPongP99, trips.p99),
            ]
        }
        Measure::PingPongPairs => {
            let trips = round_trips::ping_pong(&pairs, length)?;
            vec![
                (Figure::PingPongPairs, trips.per_second),
                (Figure::PingPongPairsP50, trips.p50),
                (Figure::PingPongPairsP99, trips.p99),
            ]
        }
        Measure::Outbound => vec![(Figure::Outbound, bulk(&out()?, &[], length)?)],
        Measure::Download => vec![(Figure::Download, bulk(&out()?, &["-R"], length)?)],
        Measure::OutboundPingPong => {
            vec![(Figure::OutboundPingPong, round_trips::ping_pong(&out()?, length)?.per_second)]
        }
        // These have reports of their own.
        Measure::Integrity | Measure::Start => Vec::new(),
    })
}

/// Gbit/s of so many streams, and Gbit for each second that a core was busy.
fn bulk_per_core(pair: &[Pair], streams: usize, length: Duration) -> Result<(f64, f64), String> {
    let before = cpu::busy_seconds()?;
    let gbits = bulk(pair, &["-P", &streams.to_string()], length)?;
    let used = cpu::busy_seconds()? - before;
    Ok((gbits, gbits * length.as_secs_f64() / used.max(0.01)))
}
