//! `--law SECONDS`: whether the counters add up on a switch under full load, asked every second, while ports come and go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::load::{Pair, bulk, flood};
use super::systems::{Pontoon, System};

/// Loads a switch with four streams, a flood and a port that comes and goes for so long; prints what was asked and found.
///
/// # Panics
/// At the first answer that does not add up.
pub fn hold(length: Duration) {
    let pontoon = Pontoon::new();
    let pair = |number: usize| -> Pair { (pontoon.container(2 * number), pontoon.container(2 * number + 1)) };
    let (streams, datagrams) = ([pair(0)], [pair(1)]);
    let came = AtomicU64::new(0);
    let (mut checks, mut slowest) = (0, Duration::ZERO);
    let started = Instant::now();
    let (gbits, kpps) = std::thread::scope(|scope| {
        let bulk = scope.spawn(|| bulk(&streams, &["-P", "4"], length));
        let flood = scope.spawn(|| flood(&datagrams, length));
        scope.spawn(|| {
            // By the clock, and not until it is told: a check that fails ends the run.
            while started.elapsed() < length {
                pontoon.command(&["run", "--", "true"]);
                came.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        while started.elapsed() < length {
            let asked = Instant::now();
            // A status other than 0 is a violation: it ends the run.
            pontoon.command(&["stats", "--check"]);
            slowest = slowest.max(asked.elapsed());
            checks += 1;
            std::thread::sleep(Duration::from_secs(1).saturating_sub(asked.elapsed()));
        }
        (bulk.join().expect("the streams"), flood.join().expect("the flood"))
    });
    let came = came.into_inner();
    println!(
        "{checks} checks in {} s, none broken; the slowest took {:.0} ms",
        length.as_secs(),
        slowest.as_secs_f64() * 1e3
    );
    println!("meanwhile: TCP x4 {gbits:.1} Gbit/s, UDP 64 B {kpps:.0} kpps received, {came} ports came and went");
    println!("{}", String::from_utf8_lossy(&pontoon.command(&["stats", "--networks"])));
}
