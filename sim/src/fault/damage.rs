//! Frames that arrive twice, or not as they were sent.

use std::time::Duration;

use super::probability;
use crate::rule::{Fate, Passage, Rule};

/// Lets some frames come twice.
#[derive(Clone, Debug)]
pub struct Duplicate(f64);

impl Duplicate {
    /// Doubles this share of all frames; the copy comes right behind the frame.
    ///
    /// # Panics
    /// If that is no probability.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Duplicate(probability(share))
    }
}

impl Rule for Duplicate {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        if passage.chance.happens(self.0) { Fate::Duplicate(Duration::ZERO) } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "duplicate"
    }
}

/// Changes some frames on their way. There is no Ethernet check sum that would give them away: as with netem, they reach
/// the stacks, and those of IP, TCP, UDP and ICMP have to see it. ARP and Ethernet headers have none.
#[derive(Clone, Debug)]
pub struct Corrupt {
    share: f64,
    damage: Damage,
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Bit,
    Bytes(usize),
}

impl Corrupt {
    /// Flips one bit, anywhere, of this share of all frames.
    ///
    /// # Panics
    /// If that is no probability.
    #[must_use]
    pub fn bit(share: f64) -> Self {
        Corrupt { share: probability(share), damage: Damage::Bit }
    }

    /// Changes so many bytes in a row, anywhere, of this share of all frames; all of a frame that is no longer. Each of the
    /// bytes is another one afterwards.
    ///
    /// # Panics
    /// If that is no probability.
    #[must_use]
    pub fn bytes(share: f64, count: usize) -> Self {
        Corrupt { share: probability(share), damage: Damage::Bytes(count) }
    }
}

impl Rule for Corrupt {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        if !passage.chance.happens(self.share) || passage.frame.is_empty() {
            return Fate::Pass;
        }
        let mut frame = passage.frame.to_vec();
        match self.damage {
            Damage::Bit => {
                let bit = passage.chance.below(frame.len() * 8);
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            Damage::Bytes(count) => {
                let count = count.min(frame.len());
                let from = passage.chance.below(frame.len() - count + 1);
                for byte in &mut frame[from..from + count] {
                    // Never by nothing: 1 to 255.
                    *byte ^= (1 + passage.chance.below(255)) as u8;
                }
            }
        }
        Fate::Corrupt(frame)
    }

    fn name(&self) -> &'static str {
        "corrupt"
    }
}
