//! Frames that get lost: each for itself, or in bursts.

use std::collections::BTreeMap;

use super::probability;
use crate::rule::{Fate, LineId, Passage, Rule};

/// Loses frames, each with the same probability.
#[derive(Clone, Debug)]
pub struct Loss(f64);

impl Loss {
    /// Loses this share of all frames.
    ///
    /// # Panics
    /// If that is no probability.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Loss(probability(share))
    }
}

impl Rule for Loss {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        if passage.chance.happens(self.0) { Fate::Drop } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "loss"
    }
}

/// Loses frames in bursts, as a radio link does: the model of Gilbert and Elliott.
///
/// Each line is in a good or in a bad state, a good one at first. Before each frame it may go over to the other, and each
/// state loses frames with a probability of its own. In the long run p / (p + r) of the frames meet a bad line, and bad
/// times are 1 / r frames long.
#[derive(Clone, Debug)]
pub struct GilbertElliott {
    to_bad: f64,
    to_good: f64,
    loss_when_good: f64,
    loss_when_bad: f64,
    bad: BTreeMap<LineId, bool>,
}

impl GilbertElliott {
    /// Goes bad with probability `p` and good again with probability `r`; a bad line loses everything, a good one nothing.
    ///
    /// # Panics
    /// If one of them is no probability.
    #[must_use]
    pub fn new(p: f64, r: f64) -> Self {
        let (to_bad, to_good) = (probability(p), probability(r));
        GilbertElliott { to_bad, to_good, loss_when_good: 0.0, loss_when_bad: 1.0, bad: BTreeMap::new() }
    }

    /// What a good and a bad line lose: 1 - k and 1 - h of the model.
    ///
    /// # Panics
    /// If one of them is no probability.
    #[must_use]
    pub fn loss(self, when_good: f64, when_bad: f64) -> Self {
        GilbertElliott { loss_when_good: probability(when_good), loss_when_bad: probability(when_bad), ..self }
    }
}

impl Rule for GilbertElliott {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        let bad = self.bad.entry(passage.line).or_default();
        if passage.chance.happens(if *bad { self.to_good } else { self.to_bad }) {
            *bad = !*bad;
        }
        let loss = if *bad { self.loss_when_bad } else { self.loss_when_good };
        if passage.chance.happens(loss) { Fate::Drop } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "gilbert-elliott"
    }
}
