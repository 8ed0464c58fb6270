//! The search for the highest rate at which next to nothing is lost: RFC 2544, 26.1, with bounds on how long it may take.
//!
//! It climbs by a factor until a rate is too much, then halves the factor between the last that was not and that one. A rate is
//! too much if it fails twice: on a machine with few cores a hiccup of the scheduler loses more than half a percent as well, and
//! one that comes early would otherwise decide.

/// What share of the datagrams may be lost, below this.
pub const LOSS: f64 = 0.005;
/// What share of a rate the sender must reach for the rate to count as tried.
const REACHED: f64 = 0.95;
/// Thousands a second: where the climb begins and where it ends at the latest.
const FIRST: f64 = 20.0;
const LAST: f64 = 4000.0;
const FACTOR: f64 = 1.6;
/// After these the answer is within 1.5 %.
const HALVINGS: u32 = 5;

/// What was sent and received in one trial, in thousands a second.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub sent: f64,
    pub received: f64,
}

impl Trial {
    fn is_passed(self, asked: f64) -> bool {
        self.sent >= asked * REACHED && self.received > self.sent * (1.0 - LOSS)
    }
}

/// The most that was received, in thousands a second, in a trial that lost less than [`LOSS`]; 0 if none did.
///
/// # Errors
/// The first of `trial`.
pub fn highest<E>(mut trial: impl FnMut(f64) -> Result<Trial, E>) -> Result<f64, E> {
    let mut best = 0.0;
    let mut passes = |rate: f64| -> Result<bool, E> {
        for _ in 0..2 {
            let result = trial(rate)?;
            if result.is_passed(rate) {
                best = result.received.max(best);
                return Ok(true);
            }
        }
        Ok(false)
    };
    let (mut good, mut next) = (FIRST / FACTOR, FIRST);
    while next < LAST && passes(next)? {
        (good, next) = (next, next * FACTOR);
    }
    let mut bad = next.min(LAST);
    for _ in 0..HALVINGS {
        let middle = (good * bad).sqrt();
        if passes(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(best)
}
