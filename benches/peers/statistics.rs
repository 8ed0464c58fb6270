//! Medians, ranges, percentiles.

use serde::Serialize;

/// What came of all the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// None, if there are no values.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Spread { median, low, high })
    }

    /// The ratio of the medians; none to a base of 0, as a loss may be.
    pub fn ratio_to(&self, base: &Spread) -> Option<f64> {
        (base.median != 0.0).then(|| self.median / base.median)
    }
}

/// The value that so many percent of the sorted values do not exceed (the nearest rank); 0 if there are none.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
