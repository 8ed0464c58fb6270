//! Cables through which something does not pass at all.

use std::collections::BTreeSet;
use std::time::Duration;

use switch::mac::MacAddr;

use crate::rule::{Fate, LineId, Passage, Rule};
use crate::wire;

/// Lets nothing pass. In one direction of a cable it is what a half-broken fibre does: one side still hears the other.
#[derive(Clone, Debug, Default)]
pub struct Cut;

impl Rule for Cut {
    fn decide(&mut self, _: &mut Passage<'_>) -> Fate {
        Fate::Drop
    }

    fn name(&self) -> &'static str {
        "cut"
    }
}

/// Lets everything pass for a while and then nothing for a while, in turns, from the beginning of the world on.
#[derive(Clone, Debug)]
pub struct Flap {
    up: Duration,
    down: Duration,
}

impl Flap {
    /// Passes for `up`, then does not for `down`. Of no length at all both, it passes.
    #[must_use]
    pub fn new(up: Duration, down: Duration) -> Self {
        Flap { up, down }
    }
}

impl Rule for Flap {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        let period = self.up.saturating_add(self.down).as_nanos();
        let is_down = period != 0 && passage.now.as_nanos() % period >= self.up.as_nanos();
        if is_down { Fate::Drop } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "flap"
    }
}

/// Lets long frames vanish without a word, as a tunnel does that nobody told its MTU to.
#[derive(Clone, Debug)]
pub struct MtuHole(usize);

impl MtuHole {
    /// Frames longer than this vanish, in bytes from the Ethernet header on: 1414 for an MTU of 1400.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        MtuHole(longest)
    }
}

impl Rule for MtuHole {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        if passage.frame.len() > self.0 { Fate::Drop } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "mtu-hole"
    }
}

/// Lets nothing from some stations reach some cables.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) from: BTreeSet<MacAddr>,
    pub(crate) to: BTreeSet<LineId>,
}

impl Rule for Partition {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        let Passage { line, frame, .. } = passage;
        let is_cut =
            self.to.contains(line) && frame.get(6..12).is_some_and(|source| self.from.contains(&wire::mac(source)));
        if is_cut { Fate::Drop } else { Fate::Pass }
    }

    fn name(&self) -> &'static str {
        "partition"
    }
}
