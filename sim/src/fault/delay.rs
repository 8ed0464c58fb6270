//! Frames that take longer than others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::probability;
use crate::rule::{Fate, LineId, Passage, Rule};

/// Gives each frame a time of its own on top of its cable's. Frames overtake one another, as with netem, unless
/// [`Jitter::in_order`] forbids it.
#[derive(Clone, Debug)]
pub struct Jitter {
    distribution: Distribution,
    /// When the last frame of each line was let go, if they keep their order.
    released: Option<BTreeMap<LineId, Duration>>,
}

#[derive(Clone, Copy, Debug)]
enum Distribution {
    Uniform(Duration),
    Normal { mean: Duration, deviation: Duration },
}

impl Jitter {
    /// From nothing to `longest`, each as likely as any other.
    #[must_use]
    pub fn uniform(longest: Duration) -> Self {
        Jitter { distribution: Distribution::Uniform(longest), released: None }
    }

    /// Normally distributed. What would be less than nothing is nothing; none is more than six deviations from the mean.
    #[must_use]
    pub fn normal(mean: Duration, deviation: Duration) -> Self {
        Jitter { distribution: Distribution::Normal { mean, deviation }, released: None }
    }

    /// Lets no frame overtake another of the same line: one that would waits for the one before it.
    #[must_use]
    pub fn in_order(self) -> Self {
        Jitter { released: Some(BTreeMap::new()), ..self }
    }
}

impl Rule for Jitter {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        let drawn = match self.distribution {
            Distribution::Uniform(longest) => passage.chance.up_to(longest),
            Distribution::Normal { mean, deviation } => {
                let seconds = mean.as_secs_f64() + passage.chance.normal() * deviation.as_secs_f64();
                Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
            }
        };
        let Some(released) = &mut self.released else { return Fate::DeliverAfter(drawn) };
        let last = released.entry(passage.line).or_default();
        *last = passage.now.saturating_add(drawn).max(*last);
        Fate::DeliverAfter(*last - passage.now)
    }

    fn name(&self) -> &'static str {
        "jitter"
    }
}

/// Holds some frames back, so that those behind them overtake them.
#[derive(Clone, Debug)]
pub struct Reorder {
    share: f64,
    by: Duration,
}

impl Reorder {
    /// Holds this share of all frames back for so long.
    ///
    /// # Panics
    /// If that is no probability.
    #[must_use]
    pub fn new(share: f64, by: Duration) -> Self {
        Reorder { share: probability(share), by }
    }
}

impl Rule for Reorder {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        if passage.chance.happens(self.share) { Fate::DeliverAfter(self.by) } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "reorder"
    }
}
