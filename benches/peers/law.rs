//! `--law SECONDS`: whether the counters add up on a switch under full load, asked every second, while ports come and go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::load::{Pair, bulk, flood};
use super::peer::Peer;
use super::systems::{Pontoon, System};

/// Loads a switch with four streams, a flood and a port that comes and goes for so long; prints what was asked and found.
///
/// # Errors
/// The first answer that does not add up, or what else went wrong.
pub fn hold(length: Duration) -> Result<(), String> {
    let pontoon = Pontoon::with_outside(Peer::Pontoon)?;
    let pair = |number: usize| -> Pair { (pontoon.container(2 * number), pontoon.container(2 * number + 1)) };
    let (streams, datagrams) = ([pair(0)], [pair(1)]);
    let came = AtomicU64::new(0);
    let started = Instant::now();
    let (bulk, flood, ports, checked) = std::thread::scope(|scope| {
        let bulk = scope.spawn(|| bulk(&streams, &["-P", "4"], length));
        let flood = scope.spawn(|| flood(&datagrams, length));
        let ports = scope.spawn(|| come_and_go(&pontoon, &came, started, length));
        // (A violation is told when the load, which is bounded, has ended.)
        let checked = check(&pontoon, started, length);
        (bulk.join(), flood.join(), ports.join(), checked)
    });
    let (checks, slowest) = checked?;
    let gbits = bulk.map_err(|_| "the streams panicked")??;
    let kpps = flood.map_err(|_| "the flood panicked")??.received_kpps;
    ports.map_err(|_| "the ports panicked")??;
    println!(
        "{checks} checks in {} s, none broken; the slowest took {:.0} ms",
        length.as_secs(),
        slowest.as_secs_f64() * 1e3
    );
    println!(
        "meanwhile: TCP x4 {gbits:.1} Gbit/s, UDP 64 B {kpps:.0} kpps received, {} ports came and went",
        came.into_inner()
    );
    println!("{}", String::from_utf8_lossy(&pontoon.command(&["stats", "--networks"])?));
    Ok(())
}

/// How many checks there were, and what the slowest took.
fn check(pontoon: &Pontoon, started: Instant, length: Duration) -> Result<(u32, Duration), String> {
    let (mut checks, mut slowest) = (0, Duration::ZERO);
    while started.elapsed() < length {
        let asked = Instant::now();
        // A status other than 0 is a violation.
        pontoon.command(&["stats", "--check"])?;
        slowest = slowest.max(asked.elapsed());
        checks += 1;
        std::thread::sleep(Duration::from_secs(1).saturating_sub(asked.elapsed()));
    }
    Ok((checks, slowest))
}

fn come_and_go(pontoon: &Pontoon, came: &AtomicU64, started: Instant, length: Duration) -> Result<(), String> {
    while started.elapsed() < length {
        pontoon.run_true()?;
        came.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
