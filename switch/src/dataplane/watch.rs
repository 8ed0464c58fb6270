//! [`Watch`]: who is told of all that goes into a data plane, and of what becomes of it.
//!
//! Its inputs are a complete log: changes ([`Control`]), frames with their offload headers, timeouts, what the links answer
//! and which of them end, each at its time and in its order. Whoever gives the same to another data plane that begins as
//! this one did ([`BridgeStart`](super::BridgeStart)) sees the same decisions and copies.
//!
//! The watcher is an argument, as time is: the loop around a data plane says who watches, call by call. `()` is nobody, and
//! costs nothing.

use super::Control;
use crate::buffer::Buffer;
use crate::forward::Switch;
use crate::link::Transmit;
use crate::time::Instant;
use crate::verdict::{DropReason, PortId, Verdict};
use crate::vlan::Retag;

/// A watcher of a data plane.
pub trait Watch {
    /// Whether there is anybody. What would only be made to be told is not made for nobody.
    #[inline]
    fn is_there(&self) -> bool {
        true
    }

    /// A change was made, or refused, as it will be again when it is repeated.
    fn control(&mut self, _control: &Control<()>, _now: Instant, _made: bool) {}

    /// A frame has come in and was decided about; no copy of it has left yet.
    #[inline]
    fn frame(&mut self, _decided: Decided<'_>) {}

    /// What became of one copy of the frame that was told of last, in the order in which they leave.
    #[inline]
    fn copy(&mut self, _egress: PortId, _outcome: Outcome) {}

    /// A link has answered for the oldest copy that it had queued.
    fn result(&mut self, _port: PortId, _answer: Transmit) {}

    /// A link has ended, and its port is taken away.
    fn port_down(&mut self, _port: PortId) {}

    /// Stations that have been silent for too long are about to be forgotten.
    fn timeout(&mut self, _now: Instant) {}
}

/// Nobody watches.
impl Watch for () {
    #[inline]
    fn is_there(&self) -> bool {
        false
    }
}

/// Whoever is lent watches.
impl<W: Watch + ?Sized> Watch for &mut W {
    #[inline]
    fn is_there(&self) -> bool {
        (**self).is_there()
    }

    fn control(&mut self, control: &Control<()>, now: Instant, made: bool) {
        (**self).control(control, now, made);
    }

    #[inline]
    fn frame(&mut self, decided: Decided<'_>) {
        (**self).frame(decided);
    }

    #[inline]
    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        (**self).copy(egress, outcome);
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        (**self).result(port, answer);
    }

    fn port_down(&mut self, port: PortId) {
        (**self).port_down(port);
    }

    fn timeout(&mut self, now: Instant) {
        (**self).timeout(now);
    }
}

/// Both watch; the first is told first.
impl<A: Watch, B: Watch> Watch for (A, B) {
    #[inline]
    fn is_there(&self) -> bool {
        self.0.is_there() || self.1.is_there()
    }

    fn control(&mut self, control: &Control<()>, now: Instant, made: bool) {
        self.0.control(control, now, made);
        self.1.control(control, now, made);
    }

    #[inline]
    fn frame(&mut self, decided: Decided<'_>) {
        self.0.frame(decided);
        self.1.frame(decided);
    }

    #[inline]
    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        self.0.copy(egress, outcome);
        self.1.copy(egress, outcome);
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        self.0.result(port, answer);
        self.1.result(port, answer);
    }

    fn port_down(&mut self, port: PortId) {
        self.0.port_down(port);
        self.1.port_down(port);
    }

    fn timeout(&mut self, now: Instant) {
        self.0.timeout(now);
        self.1.timeout(now);
    }
}

/// A frame that was decided about.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// When.
    pub now: Instant,
    /// The port that it came in by.
    pub ingress: PortId,
    /// The switch that has decided.
    pub switch: &'a Switch,
    /// The frame and its offload header; not always one that can be parsed.
    pub buffer: &'a Buffer,
    /// The decision.
    pub verdict: &'a Verdict,
}

/// What became of one copy of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The link was given it.
    Offered {
        /// What happens to the tag.
        retag: Retag,
        /// What the link said. After `Queued` comes a [`Watch::result`].
        answer: Transmit,
    },
    /// The link was not given it, and why.
    Dropped(DropReason),
}

impl Outcome {
    /// Why the copy did not leave; `None` if it did, or waits.
    #[must_use]
    pub const fn dropped(self) -> Option<DropReason> {
        match self {
            Outcome::Dropped(reason) => Some(reason),
            Outcome::Offered { answer, .. } => answer.dropped(),
        }
    }
}
