//! [`Sink`]: where full chunks go and empty ones come from; [`tube`] is one whose other end is another thread.

use crossbeam_channel::{Receiver, Sender, bounded};
use switch::dataplane::BridgeStart;
use switch::time::Instant;

use super::CHUNK;

/// Where a recorder's chunks go. It is called on the data plane's thread and never waits.
pub trait Sink: Send {
    /// Takes a chunk with entries.
    fn put(&mut self, chunk: Vec<u8>);

    /// Gives an empty chunk with room for [`CHUNK`] bytes, if there is one.
    fn take(&mut self) -> Option<Vec<u8>>;

    /// What the data plane is like before the next entry.
    fn start(&mut self, _state: Vec<BridgeStart>, _now: Instant) {}

    /// Whether it wants to know again what the data plane is like, with so many bytes in the chunk that it will get next.
    fn wants_start(&self, _now: Instant, _pending: usize) -> bool {
        false
    }

    /// Whether somebody waits to see entries as they come.
    fn is_prompt(&self) -> bool {
        false
    }

    /// Whether that one has seen all that there was.
    fn is_idle(&self) -> bool {
        true
    }

    /// No more will come: the recorder has all that it was to keep.
    fn end(&mut self) {}
}

/// The recorder's end of a tube.
#[derive(Debug)]
pub struct Tube {
    full: Option<Sender<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
}

/// The other end: chunks come out in order, and are to be given back.
#[derive(Debug)]
pub struct Drain {
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
}

/// A sink, and the other end of it, with so many chunks between them.
#[must_use]
pub fn tube(chunks: usize) -> (Tube, Drain) {
    let (full, filled) = bounded(chunks);
    let (empty, emptied) = bounded(chunks);
    for _ in 0..chunks {
        // There is room for as many.
        let _ = empty.try_send(Vec::with_capacity(CHUNK));
    }
    (Tube { full: Some(full), empty: emptied }, Drain { full: filled, empty })
}

impl Sink for Tube {
    fn put(&mut self, chunk: Vec<u8>) {
        // There is room for all chunks that there are. Nobody there: then nobody wants it.
        let _ = self.full.as_ref().map(|full| full.try_send(chunk));
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.empty.try_recv().ok()
    }

    fn is_prompt(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        self.full.as_ref().is_none_or(Sender::is_empty)
    }

    fn end(&mut self) {
        self.full = None;
    }
}

impl Drain {
    /// Where chunks come out; it ends when no more will come.
    #[must_use]
    pub fn chunks(&self) -> &Receiver<Vec<u8>> {
        &self.full
    }

    /// Gives a chunk back.
    pub fn give_back(&self, mut chunk: Vec<u8>) {
        chunk.clear();
        let _ = self.empty.try_send(chunk);
    }
}
