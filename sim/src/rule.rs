//! [`Rule`]: what is to become of a frame on a cable, as a test wants it. Faults are rules.
//!
//! * A rule is installed in a [`Scope`] (the whole world, a place, a cable; one direction or both) by
//!   [`World::add_rule`](crate::World::add_rule), and goes when its [`RuleGuard`] is dropped.
//! * A frame comes before the rules when its sender hands it over, before it waits for the wire. All rules in whose scope it
//!   is are asked, **in the order in which they were installed**, and what they say **adds up**: delays are summed, each
//!   [`Fate::Duplicate`] makes one copy more of what finally goes on its way, and what a [`Fate::Corrupt`] makes of the frame
//!   is what the rules after it see. [`Fate::Drop`] ends it: nobody else is asked, and there are no copies.
//! * Copies do not come before the rules again.
//! * A frame that a rule drops is lost on the way: its sender knows nothing of it and counts it as sent, its receiver sees
//!   nothing. The cable counts it, under the rule's name.
//! * A frame that is delayed may be overtaken. It counts in the cable's queue for as long as it is on its way.
//!
//! A closure is a rule:
//!
//! ```
//! use std::time::Duration;
//! use pontoon_sim::{Fate, Passage, Scope, World};
//!
//! let mut world = World::builder().up()?;
//! let no_arp = |passage: &mut Passage<'_>| match passage.frame.get(12..14) {
//!     Some([0x08, 0x06]) => Fate::Drop,
//!     _ => Fate::Pass,
//! };
//! let guard = world.add_rule(Scope::world().to_switch(), no_arp).expect("the world is there");
//! world.advance(Duration::from_secs(1));
//! drop(guard); // ARP is back.
//! # Ok::<(), netns::error::Error>(())
//! ```

mod list;
mod scope;

use std::time::Duration;

pub use self::list::RuleGuard;
pub(crate) use self::list::{Judgement, Rules};
pub use self::scope::Scope;
pub(crate) use self::scope::{Applies, Extent, Resolved};
use crate::cable::{CableId, Direction};
use crate::chance::Chance;

/// What is to become of a frame, as one rule has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing, as far as this rule is concerned.
    Pass,
    /// It arrives so much later than it would.
    DeliverAfter(Duration),
    /// A copy of it arrives as well, so much after the frame itself.
    Duplicate(Duration),
    /// These bytes arrive instead.
    Corrupt(Vec<u8>),
    /// It is lost.
    Drop,
}

/// A frame that is about to go over a cable.
#[derive(Debug)]
#[non_exhaustive]
pub struct Passage<'a> {
    /// The time since the world began.
    pub now: Duration,
    /// Which direction of which cable, for rules that remember something of each.
    pub line: LineId,
    /// What people call the port that the cable leads to, such as `web.eth0`.
    pub port: &'a str,
    /// The frame as the rules before have left it, from its Ethernet header on, with neither padding nor check sum.
    pub frame: &'a [u8],
    /// Where to take chance from.
    pub chance: &'a mut Chance,
}

/// One direction of one cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineId {
    pub(crate) cable: CableId,
    /// Which direction.
    pub direction: Direction,
}

/// Decides about frames.
pub trait Rule {
    /// What is to become of a frame.
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate;

    /// What the frames are counted under that it drops.
    fn name(&self) -> &'static str {
        "rule"
    }
}

impl<F: FnMut(&mut Passage<'_>) -> Fate> Rule for F {
    fn decide(&mut self, passage: &mut Passage<'_>) -> Fate {
        self(passage)
    }
}
