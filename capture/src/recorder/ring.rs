//! [`Ring`]: a sink that keeps the latest chunks in memory, for whoever asks what has just happened.
//!
//! It is made of segments, each of which begins with what the data plane was like: so what is left when the oldest go can be
//! replayed from its first entry. A segment ends after an eighth of the time, or of the memory, that the ring may have.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use switch::dataplane::BridgeStart;
use switch::time::Instant;

use super::{CHUNK, Sink};

/// How many segments the ring has, about.
const SEGMENTS: usize = 8;

/// Keeps the latest.
#[derive(Debug)]
pub struct Ring {
    keep: Duration,
    /// How many chunks it has at most.
    limit: usize,
    /// How many it has: empty, full, or out to be filled.
    made: usize,
    empty: Vec<Vec<u8>>,
    segments: VecDeque<Segment>,
}

#[derive(Clone, Debug)]
struct Segment {
    start: Arc<Vec<BridgeStart>>,
    at: Instant,
    chunks: Vec<Arc<Vec<u8>>>,
}

/// What a ring had when it was saved.
#[derive(Debug)]
pub struct Saved {
    segments: Vec<Segment>,
}

impl Ring {
    /// A ring that keeps what is younger than `keep`, and for that has at most `memory` bytes, what the data plane was like
    /// aside. What is older may be kept as well, up to an eighth of the time more.
    #[must_use]
    pub fn new(keep: Duration, memory: usize) -> Self {
        let limit = (memory / CHUNK).max(2 * SEGMENTS);
        Ring { keep, limit, made: 0, empty: Vec::new(), segments: VecDeque::new() }
    }

    /// A copy of what there is, which costs next to nothing.
    #[must_use]
    pub fn save(&self) -> Saved {
        Saved { segments: self.segments.iter().cloned().collect() }
    }

    /// When the oldest entry can have come.
    #[must_use]
    pub fn reaches_back_to(&self) -> Option<Instant> {
        self.segments.front().map(|oldest| oldest.at)
    }

    /// How many bytes it has taken.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.made * CHUNK
    }

    /// Forgets the oldest segment, but not the only one.
    fn forget(&mut self) -> bool {
        if self.segments.len() < 2 {
            return false;
        }
        for chunk in self.segments.pop_front().into_iter().flat_map(|oldest| oldest.chunks) {
            match Arc::try_unwrap(chunk) {
                Ok(mut chunk) => {
                    chunk.clear();
                    self.empty.push(chunk);
                }
                // It is being saved: whoever does that has the last of it.
                Err(_) => self.made -= 1,
            }
        }
        true
    }
}

impl Sink for Ring {
    fn put(&mut self, chunk: Vec<u8>) {
        if let Some(segment) = self.segments.back_mut() {
            segment.chunks.push(Arc::new(chunk));
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(chunk) = self.empty.pop() {
                return Some(chunk);
            }
            if self.made < self.limit {
                self.made += 1;
                return Some(Vec::with_capacity(CHUNK));
            }
            if !self.forget() {
                return None;
            }
        }
    }

    fn start(&mut self, state: Vec<BridgeStart>, now: Instant) {
        // (One that has nothing in it is of no use to anybody.)
        if self.segments.back().is_some_and(|last| last.chunks.is_empty()) {
            self.segments.pop_back();
        }
        self.segments.push_back(Segment { start: Arc::new(state), at: now, chunks: Vec::new() });
        while self.segments.get(1).is_some_and(|next| next.at + self.keep <= now) {
            self.forget();
        }
    }

    fn wants_start(&self, now: Instant, pending: usize) -> bool {
        let Some(last) = self.segments.back() else { return false };
        let is_long = now.since(last.at) >= self.keep / SEGMENTS as u32;
        let is_large = last.chunks.len() * SEGMENTS >= self.limit;
        is_large || (is_long && (pending > 0 || !last.chunks.is_empty()))
    }
}

impl Saved {
    /// What the data plane was like at the beginning, and when that was.
    #[must_use]
    pub fn start(&self) -> Option<(&[BridgeStart], Instant)> {
        self.segments.first().map(|first| (&first.start[..], first.at))
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().flat_map(|segment| &segment.chunks).map(|chunk| &chunk[..])
    }
}
