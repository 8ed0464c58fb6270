//! A recording: all that came to a data plane, in order, and what became of it.
//!
//! A data plane has no will of its own. Its state at the start, and then each frame, each change, each answer of a link and each
//! look at the time, in their order, decide all that it does: so a second one that is given the same does the same, or has
//! changed. [`Start`] and [`Entry`] are that log as plain data; [`Writer`] makes a pcapng file of it, which Wireshark shows as a
//! capture, and [`Reader`] reads it again.
//!
//! # The file
//!
//! * An interface is a port, by its name. One that is plugged in later comes later; one that is plugged in again is a new one.
//! * A frame that comes in is an inbound packet of its port, with the decision as a comment in words: `unicast to web.eth0`,
//!   `flood to a.eth0, b.eth0`, `drop: hairpin`. Each copy follows as an outbound packet of the port that it leaves by, with the
//!   tag as the switch changed it; one that did not leave says `drop: exceeds_mtu`.
//! * All else is in blocks and options for local use, which other programs skip: the inbound packet has the exact form of the
//!   decision and of its copies in an option; the start, changes, answers, looks at the time and gaps are blocks.
//! * A part of a data plane (some ports, some frames) is written the same way. It can not be replayed, and says so.

mod codec;
mod read;
#[cfg(test)]
mod tests;
mod words;
mod write;

pub use read::{Reader, Recording, RecordingError};
pub use words::in_words;
pub use write::Writer;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use switch::dataplane::Control;
pub use switch::dataplane::{BridgeStart, Outcome};
use switch::link::Transmit;
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};
use switch::vnet::VnetHeader;

/// What a recording begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The program that made it, such as `pontoon 0.1.0`.
    pub application: String,
    /// The operating system it ran on; nothing if empty.
    pub os: String,
    /// The machine it ran on, such as `x86_64`; nothing if empty.
    pub hardware: String,
    /// When it begins, by the data plane's clock.
    pub at: Instant,
    /// When the data plane's clock was at its origin, in nanoseconds since 1970.
    pub origin: u64,
    /// How many bytes of a frame are kept at most; 0: all.
    pub snaplen: u32,
    /// Whether it has all that came, or what part of it.
    pub scope: Scope,
    /// The bridges, ascending, as they were at the start.
    pub bridges: Vec<BridgeStart>,
}

/// What a recording is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All that came: it can be replayed.
    #[default]
    Everything,
    /// Some of it: it can be looked at.
    Part {
        /// The ports whose packets are shown. Empty: all.
        ports: BTreeSet<PortId>,
        /// Whether only frames are shown that were dropped, and copies.
        drops: bool,
        /// In words, such as `web.eth0, drops only, tcp port 80`.
        what: String,
    },
}

/// One thing that came to the data plane. `at` is the time by its clock.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A frame came in.
    Frame(FrameIn),
    /// A change was asked for.
    Control {
        /// When.
        at: Instant,
        /// What.
        control: Control<()>,
        /// Whether it was made; otherwise nothing has changed.
        made: bool,
    },
    /// A link answered for copies that it had queued.
    Results {
        /// When.
        at: Instant,
        /// The port of the link.
        port: PortId,
        /// The answers, in the order in which the copies were queued.
        results: Vec<Transmit>,
    },
    /// The data plane was told what time it is, and forgot stations that had been silent for too long.
    Timeout {
        /// When.
        at: Instant,
    },
    /// A port went since its link had ended, at the end of a batch.
    PortDown {
        /// When.
        at: Instant,
        /// Which.
        port: PortId,
    },
    /// Here something is missing, since the capture could not keep up.
    Gap {
        /// When that was noticed.
        at: Instant,
        /// How many entries are missing.
        entries: u64,
        /// How many of them are frames, by the port they came in by, ascending, as far as that is known.
        frames: Vec<(PortId, u64)>,
    },
}

/// A frame that came in, what the switch decided, and what became of its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameIn {
    /// When.
    pub at: Instant,
    /// By which port.
    pub port: PortId,
    /// The offload header that came with it.
    pub vnet: VnetHeader,
    /// Its first bytes, as many as are kept.
    pub bytes: Vec<u8>,
    /// How long it is in truth, in bytes.
    pub len: usize,
    /// The decision.
    pub verdict: Verdict,
    /// Its copies, in the order in which they were made: one for each port of the verdict that was there.
    pub copies: Vec<CopyOut>,
}

/// One copy of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOut {
    /// The port it was to leave by.
    pub egress: PortId,
    /// What became of it.
    pub outcome: Outcome,
}

impl Entry {
    /// When it happened, by the data plane's clock.
    #[must_use]
    pub fn at(&self) -> Instant {
        match self {
            Entry::Frame(frame) => frame.at,
            Entry::Control { at, .. }
            | Entry::Results { at, .. }
            | Entry::Timeout { at }
            | Entry::PortDown { at, .. }
            | Entry::Gap { at, .. } => *at,
        }
    }
}

impl FrameIn {
    /// Whether the frame or a copy of it was dropped.
    #[must_use]
    pub fn has_drops(&self) -> bool {
        matches!(self.verdict, Verdict::Drop(_)) || self.copies.iter().any(|copy| copy.outcome.dropped().is_some())
    }
}
