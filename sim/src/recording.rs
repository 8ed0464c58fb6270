//! [`Recording`]: all that comes to the data plane, as `pontoon capture --all -w FILE` has it on a host.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

use ::capture::recorder::{CHUNK, Decoder, Recorder, Selection, Sink};
use ::capture::recording::{Scope, Start, Writer};
use switch::dataplane::{BridgeStart, Control, Decided, Outcome, Watch};
use switch::link::Transmit;
use switch::time::Instant;
use switch::verdict::PortId;

use crate::world::EPOCH;

/// How many bytes of entries a recording holds; what comes after is only counted.
const ROOM: usize = 256 << 20;

/// All that has come to the data plane of a daemon since [`World::record`](crate::World::record), and what was decided, as the file
/// that `pontoon capture --all -w FILE` would have written on a host. `pontoon sim replay` and [`capture::replay`](::capture::replay)
/// read it, and so does Wireshark.
///
/// * It begins with the bridges as they were in that moment.
/// * It ends with the daemon, whether that is killed or has nothing more to do: what came until then stays, and is whole. The next
///   daemon has a data plane of its own, and is recorded by whoever asks for it.
/// * Nobody records any more when this is dropped.
/// * It holds 256 MiB. What comes after is only counted, and the file says at its end how much that is: it can be replayed as far as
///   there.
/// * A world begins on 2023-11-14 at 22:13:20 UTC.
pub struct Recording {
    start: Start,
    recorder: Rc<RefCell<Recorder<Heap>>>,
}

/// Who records a data plane: nobody, or several.
#[derive(Debug, Default)]
pub(crate) struct Recorders(Vec<Weak<RefCell<Recorder<Heap>>>>);

/// Keeps entries one behind the other, up to so many bytes.
struct Heap {
    room: usize,
    entries: Vec<u8>,
    empty: Vec<Vec<u8>>,
}

impl Recording {
    fn new(bridges: Vec<BridgeStart>, now: Instant, room: usize) -> Self {
        let start = Start {
            application: "pontoon-sim".to_owned(),
            os: String::new(),
            hardware: String::new(),
            at: now,
            origin: EPOCH * 1_000_000_000,
            snaplen: 0,
            scope: Scope::Everything,
            bridges,
        };
        let heap = Heap { room, entries: Vec::new(), empty: Vec::new() };
        let recorder = Recorder::new(Selection::default(), heap, Vec::new(), now);
        Recording { start, recorder: Rc::new(RefCell::new(recorder)) }
    }

    /// The file as it is by now.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.write().expect("to memory nothing can fail to be written")
    }

    /// How many frames are in it.
    #[must_use]
    pub fn frames(&self) -> u64 {
        let recorder = &mut *self.recorder.borrow_mut();
        // (The latest counts when no more copies of it can come, as it is now.)
        recorder.sink();
        recorder.tally().frames
    }

    /// How many frames are not in it, since it was full.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.recorder.borrow().tally().lost
    }

    fn write(&self) -> io::Result<Vec<u8>> {
        let recorder = &mut *self.recorder.borrow_mut();
        let mut writer = Writer::new(Vec::new(), &self.start)?;
        let (mut decoder, mut entries) = (Decoder::new(), &recorder.sink().entries[..]);
        while let Some(entry) = decoder.next(&mut entries) {
            writer.entry(entry)?;
        }
        if let Some(gap) = recorder.gap() {
            writer.entry(&gap)?;
        }
        writer.finish(recorder.now())
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("since", &self.start.at).finish_non_exhaustive()
    }
}

impl Recorders {
    /// One more records, from now on, a data plane that is like this.
    pub(crate) fn begin(&mut self, bridges: Vec<BridgeStart>, now: Instant) -> Recording {
        self.0.retain(|recorder| recorder.strong_count() > 0);
        let recording = Recording::new(bridges, now, ROOM);
        self.0.push(Rc::downgrade(&recording.recorder));
        recording
    }

    fn tell(&self, mut told: impl FnMut(&mut Recorder<Heap>)) {
        self.0.iter().filter_map(Weak::upgrade).for_each(|recorder| told(&mut recorder.borrow_mut()));
    }
}

impl Watch for Recorders {
    fn is_there(&self) -> bool {
        self.0.iter().any(|recorder| recorder.strong_count() > 0)
    }

    fn control(&mut self, control: &Control<()>, now: Instant, made: bool) {
        self.tell(|recorder| recorder.control(control, now, made));
    }

    fn frame(&mut self, decided: Decided<'_>) {
        self.tell(|recorder| recorder.frame(decided));
    }

    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        self.tell(|recorder| recorder.copy(egress, outcome));
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        self.tell(|recorder| recorder.result(port, answer));
    }

    fn port_down(&mut self, port: PortId) {
        self.tell(|recorder| recorder.port_down(port));
    }

    fn timeout(&mut self, now: Instant) {
        self.tell(|recorder| recorder.timeout(now));
    }
}

impl Sink for Heap {
    fn put(&mut self, mut chunk: Vec<u8>) {
        self.entries.extend_from_slice(&chunk);
        chunk.clear();
        self.empty.push(chunk);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        if self.entries.len() + CHUNK > self.room {
            return None;
        }
        Some(self.empty.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::capture::recording::{self, Entry};

    use super::*;

    #[test]
    fn one_that_is_full_says_how_much_is_missing() {
        let recording = Recording::new(Vec::new(), Instant::ZERO, CHUNK);
        let mut now = Instant::ZERO;
        for _ in 0..CHUNK {
            now = now + Duration::from_nanos(1);
            recording.recorder.borrow_mut().timeout(now);
        }
        let file = recording.bytes();
        let mut entries = recording::Recording::read(&file[..]).expect("it is whole").entries;
        let kept = entries.len() - 1;
        assert!(kept > 1000, "{kept}");
        assert_eq!(entries.pop(), Some(Entry::Gap { at: now, entries: (CHUNK - kept) as u64, frames: Vec::new() }));
        assert_eq!(entries.pop(), Some(Entry::Timeout { at: Instant::from_nanos(kept as u64) }));
        assert!(recording.bytes() == file, "to look at it changes nothing");
    }
}
