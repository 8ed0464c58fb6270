//! The loads of the benchmark against the peers that are used here.

#[path = "../peers/load/cpu.rs"]
mod cpu;
#[allow(dead_code, reason = "floods are not measured here")]
#[path = "../peers/load/iperf.rs"]
mod iperf;
#[path = "../peers/load/round_trips.rs"]
mod round_trips;
#[path = "../peers/load/stream.rs"]
mod stream;

use std::time::Duration;

pub use cpu::busy_percent;
pub use iperf::bulk;
pub use round_trips::{ping_pong, reach};
use stream::{be_patient, connect};

use super::systems::End;

/// Who connects, and to whom.
pub type Pair = (End, End);

/// How long anything may take that is not the load itself.
const PATIENCE: Duration = Duration::from_secs(10);
