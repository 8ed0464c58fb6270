//! `pontoon run -- true` against the same made by hand, each on a host with nothing else on it.

use std::time::Instant;

use super::measure::{Figure, Measure};
use super::peer::Peer;
use super::report::{Failure, Results};
use super::systems::{ByHand, Pontoon};

const TIMES: usize = 20;

/// Measures the first Pontoon among the peers, if the kernel bridge is among them as well.
pub fn measure(peers: &[Peer], results: &mut Results) {
    let Some(peer) = peers.iter().copied().find(|peer| peer.is_pontoon()) else { return };
    if !peers.contains(&Peer::Kernel) {
        return;
    }
    match alternate(peer) {
        Ok((by_hand, ours)) => {
            results.values.insert((Figure::Start, Peer::Kernel), by_hand);
            results.values.insert((Figure::Start, peer), ours);
        }
        Err(cause) => results.failures.push(Failure::new(peer, Measure::Start, 1, &cause)),
    }
}

/// Milliseconds, by hand and ours.
fn alternate(peer: Peer) -> Result<(Vec<f64>, Vec<f64>), String> {
    let mut by_hand = ByHand::new()?;
    let pontoon = Pontoon::empty(peer)?;
    let (mut hand, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        hand.push(milliseconds(|| by_hand.run_true())?);
        ours.push(milliseconds(|| pontoon.run_true())?);
    }
    Ok((hand, ours))
}

fn milliseconds(work: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
