//! [`Recorder`]: it watches a data plane, on that one's thread, and fills chunks of memory with what is to be kept.
//!
//! * It never waits and allocates nothing for a frame. What it fills are chunks, which a [`Sink`] takes when they are full and
//!   gives when they are empty.
//! * When there is none to be had, the capture loses entries, not the network frames. It counts them, and says so in the place
//!   where they are missing.
//! * What is not to be kept (another port, not in the filter, not dropped) is not even copied.

use std::time::Duration;

use switch::dataplane::{BridgeStart, Control, Decided, Outcome, Watch};
use switch::engine::Watcher;
use switch::link::Transmit;
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};

mod chunk;
mod ring;
mod sink;
#[cfg(test)]
mod tests;

pub use chunk::{CHUNK, Decoder};
pub use ring::{Ring, Saved};
pub use sink::{Drain, Sink, Tube, tube};

use crate::filter::Filter;
use crate::recording::{Entry, FrameIn};
use chunk::Other;

/// How long an entry waits at most before it is handed on, if its chunk does not get full and nobody is busy with an earlier one.
const PROMPT: Duration = Duration::from_millis(5);

/// What of a data plane is to be kept.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The ports whose frames are kept, those that come in by them and those that leave by them. `None`: all ports, those that
    /// come later too.
    pub ports: Option<Vec<PortId>>,
    /// What a frame must be like.
    pub filter: Option<Filter>,
    /// Whether only frames are kept that were dropped, or a copy of which was.
    pub drops: bool,
    /// How many bytes of a frame are kept at most; 0: all.
    pub snaplen: u32,
    /// After how many frames it ends; a frame counts once, whatever becomes of its copies.
    pub count: Option<u64>,
}

impl Selection {
    /// Whether all that comes is kept.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.ports.is_none() && self.filter.is_none() && !self.drops
    }

    /// Whether a frame is kept, of which all is known. (Of its ports only that one of them is wanted: a port may have been another
    /// one then.)
    #[must_use]
    pub fn keeps(&self, frame: &FrameIn) -> bool {
        let is_shown = |ports: &Vec<PortId>| {
            ports.contains(&frame.port) || frame.copies.iter().any(|copy| ports.contains(&copy.egress))
        };
        self.ports.as_ref().is_none_or(is_shown)
            && (!self.drops || frame.has_drops())
            && self.filter.as_ref().is_none_or(|filter| filter.matches(&frame.bytes, frame.len))
    }
}

/// What a recorder leaves when it ends.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// What it has seen.
    pub tally: Tally,
    /// What is missing at the end.
    pub gap: Option<Entry>,
    /// When it was told of something last.
    pub at: Instant,
}

/// What a recorder has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames that were kept.
    pub frames: u64,
    /// Frames that were lost for want of room.
    pub lost: u64,
}

/// Keeps what comes to a data plane.
pub struct Recorder<S> {
    selection: Selection,
    /// Whether entries that are no frames are kept as well.
    is_all: bool,
    sink: S,
    chunk: Option<Vec<u8>>,
    /// Where the frame begins whose copies are being told.
    open: Option<Open>,
    now: Instant,
    /// When the first entry of the chunk came.
    since: Instant,
    tally: Tally,
    lost_entries: u64,
    /// Frames that were lost since the last gap that was told, by the port that they came in by.
    lost_frames: Vec<(PortId, u64)>,
    is_done: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    start: usize,
    port: PortId,
    has_drops: bool,
}

impl Recorder<Ring> {
    /// What it keeps, but for the latest.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.sink
    }
}

impl<S: Sink> Recorder<S> {
    /// A recorder that begins now, with a data plane like this.
    pub fn new(selection: Selection, mut sink: S, start: Vec<BridgeStart>, now: Instant) -> Self {
        sink.start(start, now);
        Recorder {
            is_all: selection.is_all(),
            selection,
            chunk: sink.take(),
            sink,
            open: None,
            now,
            since: now,
            tally: Tally::default(),
            lost_entries: 0,
            lost_frames: Vec::new(),
            is_done: false,
        }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// When it was told of something last.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Ends it: what it still has goes to the sink.
    #[must_use]
    pub fn finish(mut self) -> End {
        self.close();
        self.put();
        End { tally: self.tally, gap: self.gap(), at: self.now }
    }

    /// What is missing since the latest entry that was kept, if anything is.
    #[must_use]
    pub fn gap(&self) -> Option<Entry> {
        let mut frames = self.lost_frames.clone();
        frames.sort_unstable();
        (self.lost_entries > 0).then_some(Entry::Gap { at: self.now, entries: self.lost_entries, frames })
    }

    /// Its sink, with all that it has kept so far.
    pub fn sink(&mut self) -> &mut S {
        self.hand_over();
        &mut self.sink
    }

    fn wants(&self, decided: &Decided<'_>) -> bool {
        let is_shown = self.selection.ports.as_ref().is_none_or(|ports| {
            ports.contains(&decided.ingress)
                || match decided.verdict {
                    Verdict::Unicast { egress, .. } | Verdict::Local { egress, .. } => ports.contains(egress),
                    Verdict::Flood { to, .. } => ports.iter().any(|port| to.absence(*port).is_none()),
                    Verdict::Drop(_) => false,
                }
        });
        let frame = decided.buffer.frame();
        is_shown && self.selection.filter.as_ref().is_none_or(|filter| filter.matches(frame, frame.len()))
    }

    /// The chunk, if it has, or can be made to have, room for so many bytes more.
    #[inline]
    fn room(&mut self, len: usize) -> Option<&mut Vec<u8>> {
        if self.lost_entries == 0
            && let Some(chunk) = &self.chunk
            && chunk.len() + len <= CHUNK
        {
            // (A second look, since a borrow can not be given back on one way only.)
            return self.chunk.as_mut();
        }
        self.make_room(len)
    }

    #[cold]
    fn make_room(&mut self, len: usize) -> Option<&mut Vec<u8>> {
        if self.chunk.as_ref().is_some_and(|chunk| chunk.len() + len > CHUNK) {
            self.put();
        }
        if self.chunk.is_none() {
            self.chunk = self.sink.take();
        }
        let (gap, now) = (self.lost_entries, self.now);
        let chunk = self.chunk.as_mut()?;
        if gap > 0 {
            // (Ten bytes a port: a fresh chunk has room for all that there can be, and this one may not.)
            if chunk.len() + len + 64 + 10 * self.lost_frames.len() > CHUNK {
                return None;
            }
            self.lost_frames.sort_unstable();
            chunk::other(chunk, now, Other::Gap(gap, &self.lost_frames));
            self.lost_entries = 0;
            self.lost_frames.clear();
        }
        self.chunk.as_mut().filter(|chunk| chunk.len() + len <= CHUNK)
    }

    /// Gives the chunk to the sink.
    fn put(&mut self) {
        if let Some(chunk) = self.chunk.take_if(|chunk| !chunk.is_empty()) {
            self.sink.put(chunk);
        }
    }

    fn hand_over(&mut self) {
        self.close();
        self.put();
        if self.chunk.is_none() {
            self.chunk = self.sink.take();
        }
    }

    /// All copies of the latest frame were told.
    #[inline]
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if self.selection.drops && !open.has_drops {
            if let Some(chunk) = &mut self.chunk {
                chunk.truncate(open.start);
            }
            return;
        }
        self.tally.frames += 1;
        if self.selection.count.is_some_and(|count| self.tally.frames >= count) {
            self.is_done = true;
            self.put();
            self.sink.end();
        }
    }

    #[cold]
    fn lose_frame(&mut self, port: PortId) {
        // A frame that would not have been kept may be among them: nobody knows any more.
        self.tally.lost += 1;
        self.lost_entries += 1;
        match self.lost_frames.iter_mut().find(|(other, _)| *other == port) {
            Some((_, lost)) => *lost += 1,
            None => self.lost_frames.push((port, 1)),
        }
    }

    fn other(&mut self, len: usize, other: Other<'_>) {
        self.close();
        if self.is_done {
            return;
        }
        let now = self.now;
        self.begin();
        match self.room(len + 64) {
            Some(chunk) => chunk::other(chunk, now, other),
            None => self.lost_entries += 1,
        }
    }

    /// An entry comes, perhaps the first of its chunk.
    #[inline]
    fn begin(&mut self) {
        if self.chunk.as_ref().is_none_or(Vec::is_empty) {
            self.since = self.now;
        }
    }

    fn is_waiting(&self) -> bool {
        !self.is_done && self.sink.is_prompt() && self.chunk.as_ref().is_some_and(|chunk| !chunk.is_empty())
    }
}

impl<S: Sink> Watch for Recorder<S> {
    fn control(&mut self, control: &Control<()>, now: Instant, made: bool) {
        self.now = now;
        if let (Control::Unplug { port }, Some(ports)) = (control, &mut self.selection.ports) {
            ports.retain(|other| other != port);
        }
        // Who shows a part wants to know the names of ports, too.
        let json = serde_json::to_vec(&(made, control)).expect("a change can be written as JSON");
        self.other(json.len(), Other::Control(&json));
    }

    #[inline]
    fn frame(&mut self, decided: Decided<'_>) {
        self.close();
        self.now = decided.now;
        if self.is_done || !self.wants(&decided) {
            return;
        }
        self.begin();
        let len = decided.buffer.frame().len();
        let kept = match self.selection.snaplen {
            0 => len,
            most => len.min(most as usize),
        };
        let Some(chunk) = self.room(chunk::frame_len(kept) + chunk::copy_len()) else {
            return self.lose_frame(decided.ingress);
        };
        let start = chunk.len();
        chunk::frame(chunk, decided, kept);
        let has_drops = matches!(decided.verdict, Verdict::Drop(_));
        self.open = Some(Open { start, port: decided.ingress, has_drops });
    }

    #[inline]
    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        let Some(open) = &mut self.open else { return };
        open.has_drops |= outcome.dropped().is_some();
        if let Some(chunk) = &mut self.chunk
            && chunk.len() + chunk::copy_len() <= CHUNK
        {
            return chunk::copy(chunk, open.start, egress, outcome);
        }
        self.copy_elsewhere(egress, outcome);
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        if self.is_all {
            self.other(0, Other::Result(port, answer));
        }
    }

    fn port_down(&mut self, port: PortId) {
        if let Some(ports) = &mut self.selection.ports {
            ports.retain(|other| *other != port);
        }
        self.other(0, Other::PortDown(port));
    }

    fn timeout(&mut self, now: Instant) {
        self.now = now;
        if self.is_all {
            self.other(0, Other::Timeout);
        }
    }
}

impl<S: Sink> Recorder<S> {
    /// The chunk is full in the midst of a frame's copies: the frame moves to the next one.
    #[cold]
    fn copy_elsewhere(&mut self, egress: PortId, outcome: Outcome) {
        let Some(open) = self.open.take() else { return };
        let Some(mut full) = self.chunk.take() else { return };
        let next = if open.start == 0 { None } else { self.sink.take() };
        let Some(mut next) = next else {
            full.truncate(open.start);
            self.chunk = Some(full);
            return self.lose_frame(open.port);
        };
        next.extend_from_slice(&full[open.start..]);
        full.truncate(open.start);
        self.sink.put(full);
        chunk::copy(&mut next, 0, egress, outcome);
        self.chunk = Some(next);
        self.since = self.now;
        self.open = Some(Open { start: 0, ..open });
    }
}

impl<S: Sink + 'static> Watcher for Recorder<S> {
    fn round(&mut self, now: Instant) -> bool {
        self.close();
        if self.is_waiting() && self.since + PROMPT <= now {
            if self.sink.is_idle() {
                self.hand_over();
            } else {
                // It has enough to do; the chunk gets fuller meanwhile.
                self.since = now;
            }
        }
        self.sink.wants_start(now, self.chunk.as_ref().map_or(0, Vec::len))
    }

    fn start(&mut self, state: Vec<BridgeStart>, now: Instant) {
        self.now = now;
        self.hand_over();
        self.sink.start(state, now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.is_waiting().then(|| self.since + PROMPT)
    }
}
