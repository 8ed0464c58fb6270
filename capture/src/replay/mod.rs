//! [`Replay`]: gives a recording to a data plane of today, and says where it decides otherwise than the one that was recorded.
//!
//! Its links are scripted: they answer what the recorded ones did, and come and go as those. So all that is compared is the
//! switch's own: the verdict about each frame, which copies are made in which order, what happens to their tags, which of them
//! are not even given to their links, and which changes are refused.

mod script;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use switch::buffer::Buffer;
use switch::dataplane::{ControlError, Dataplane, Decided, Outcome, Settings, Watch};
use switch::frame::Frame;
use switch::link::Transmit;
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};

use crate::recording::{CopyOut, Entry, FrameIn, Scope, Start};
use script::Script;

/// How much of a frame a decision looks at, if it is no super-frame: addresses and two tags.
const LOOKED_AT: usize = Frame::HEADER + 8;
/// How many copies a link may have queued when a recording begins. More can be no recording's.
const QUEUED: u64 = 1 << 20;

/// A recording on its way through a data plane.
#[derive(Debug)]
pub struct Replay {
    plane: Dataplane<Script>,
    entries: u64,
    tally: Tally,
}

/// What was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub frames: u64,
    /// Changes of the data plane.
    pub controls: u64,
}

/// The data plane does something else than the one that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The number of the entry, counted from 1.
    pub entry: u64,
    /// What was recorded.
    pub recorded: Entry,
    /// What the data plane does now.
    pub now: Now,
}

/// What a data plane does with an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Now {
    /// It decides so about the frame, and makes these copies.
    Frame {
        /// The decision; `None` if there is no such port.
        verdict: Option<Verdict>,
        /// Its copies.
        copies: Vec<CopyOut>,
    },
    /// It makes the change, or why it does not.
    Control(Result<(), ControlError>),
    /// The link has nothing queued, or too little, or there is no such port.
    NothingToAnswer,
}

/// Why a recording can not be replayed, or no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotReplay {
    /// It has not all that came.
    #[error("it has only a part of what came to the data plane ({what})")]
    Part {
        /// Which part.
        what: String,
    },
    /// Too little of a frame is there.
    #[error("entry {entry}: of a frame {kept} bytes were kept, and a decision takes {needed} (--snaplen)")]
    Snaplen {
        /// The number of the entry.
        entry: u64,
        /// How many bytes were kept.
        kept: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The capture could not keep up.
    #[error("entry {entry}: {lost} entries are missing here, which the capture has lost")]
    Gap {
        /// The number of the entry.
        entry: u64,
        /// How many are missing.
        lost: u64,
    },
    /// The state that it begins with is none that a data plane can have.
    #[error("it begins with a state that no data plane can have: {0}")]
    Start(ControlError),
    /// The state that it begins with has more copies waiting than any link has.
    #[error("it begins with a state that no data plane can have: {0} copies wait for an answer")]
    Queued(u64),
}

/// What became of one entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The same as was recorded.
    Same,
    /// Something else.
    Differs(Box<Difference>),
}

impl Replay {
    /// A data plane as it was when the recording began.
    ///
    /// # Errors
    /// If the recording is a part, or its start makes no sense.
    pub fn begin(start: &Start) -> Result<Self, CannotReplay> {
        if let Scope::Part { what, .. } = &start.scope {
            return Err(CannotReplay::Part { what: what.clone() });
        }
        let mut plane = Dataplane::new(Settings { batch: 1, buffers: 1 });
        for bridge in &start.bridges {
            let queued =
                |port: PortId| bridge.queued.iter().find(|(other, _)| *other == port).map_or(0, |(_, count)| *count);
            if let Some((_, count)) = bridge.queued.iter().find(|(_, count)| *count > QUEUED) {
                return Err(CannotReplay::Queued(*count));
            }
            let script = |port| Script { queued: queued(port), ..Script::default() };
            plane.restore(bridge, start.at, script).map_err(CannotReplay::Start)?;
        }
        Ok(Replay { plane, entries: 0, tally: Tally::default() })
    }

    /// Gives the data plane the next entry. After a difference nothing more can be said: the two go separate ways.
    ///
    /// # Errors
    /// If it can not be replayed.
    pub fn step(&mut self, entry: &Entry) -> Result<Step, CannotReplay> {
        self.entries += 1;
        let now = match entry {
            Entry::Frame(frame) => self.frame(frame)?,
            Entry::Control { at, control, made } => {
                self.tally.controls += 1;
                let done = self.plane.control(control.with_link(|()| Script::default()), *at);
                (done.is_ok() != *made).then_some(Now::Control(done))
            }
            Entry::Results { at: _, port, results } => self.results(*port, results),
            Entry::Timeout { at } => {
                self.plane.handle_timeout(*at);
                None
            }
            Entry::PortDown { at, port } => self.port_down(*port, *at),
            Entry::Gap { entries, .. } => return Err(CannotReplay::Gap { entry: self.entries, lost: *entries }),
        };
        Ok(match now {
            None => Step::Same,
            Some(now) => Step::Differs(Box::new(Difference { entry: self.entries, recorded: entry.clone(), now })),
        })
    }

    /// What was replayed so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The data plane.
    #[must_use]
    pub fn dataplane(&self) -> &Dataplane<Script> {
        &self.plane
    }

    /// The data plane, for who wants to see that a difference is found.
    pub fn dataplane_mut(&mut self) -> &mut Dataplane<Script> {
        &mut self.plane
    }

    fn frame(&mut self, frame: &FrameIn) -> Result<Option<Now>, CannotReplay> {
        self.tally.frames += 1;
        let needed = looked_at(frame);
        if frame.bytes.len() < needed {
            return Err(CannotReplay::Snaplen { entry: self.entries, kept: frame.bytes.len(), needed });
        }
        for copy in &frame.copies {
            if let (Outcome::Offered { answer, .. }, Some(link)) = (copy.outcome, self.plane.link_mut(copy.egress)) {
                link.answers.push_back(answer);
            }
        }
        let mut bytes = frame.bytes.clone();
        bytes.resize(frame.len, 0);
        let buffer = Arc::new(Buffer::holding(&bytes, frame.vnet));
        let mut seen = Seen::default();
        let verdict = self.plane.forward_watched(frame.port, &buffer, frame.at, &mut seen);
        if verdict.as_ref() == Some(&frame.verdict) && seen.copies == frame.copies {
            return Ok(None);
        }
        Ok(Some(Now::Frame { verdict, copies: seen.copies }))
    }

    fn results(&mut self, port: PortId, results: &[Transmit]) -> Option<Now> {
        let Some(link) = self.plane.link_mut(port).filter(|link| link.queued >= results.len() as u64) else {
            return Some(Now::NothingToAnswer);
        };
        link.results.extend_from_slice(results);
        let mut seen = Seen::default();
        self.plane.settle_watched(port, &mut seen);
        (seen.results != results.len()).then_some(Now::NothingToAnswer)
    }

    fn port_down(&mut self, port: PortId, at: Instant) -> Option<Now> {
        let Some(link) = self.plane.link_mut(port) else {
            // It went with another one whose link had ended in the same batch.
            return None;
        };
        link.is_down = true;
        self.plane.service(port, at);
        while self.plane.poll_event().is_some() {}
        None
    }
}

/// How many bytes of a frame a decision looks at: of a super-frame also where its transport header says how long that is.
fn looked_at(frame: &FrameIn) -> usize {
    let headers = if frame.vnet.is_gso() { usize::from(frame.vnet.csum_start) + 13 } else { 0 };
    headers.max(LOOKED_AT).min(frame.len)
}

/// What the data plane of today does.
#[derive(Debug, Default)]
struct Seen {
    copies: Vec<CopyOut>,
    results: usize,
}

impl Watch for Seen {
    fn frame(&mut self, _: Decided<'_>) {
        self.copies.clear();
    }

    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        self.copies.push(CopyOut { egress, outcome });
    }

    fn result(&mut self, _: PortId, _: Transmit) {
        self.results += 1;
    }
}
