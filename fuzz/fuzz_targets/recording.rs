//! A file that may be a recording, a capture or nothing: whatever can be read of it, is, and what is written again is read as the
//! same.

#![no_main]

use capture::pcap::Frames;
use capture::recording::{Reader, Recording, Scope, Writer};
use libfuzzer_sys::fuzz_target;
use switch::time::Instant;

fuzz_target!(|file: &[u8]| {
    if let Ok(frames) = Frames::new(file) {
        let _ = frames.count();
    }
    let Ok(reader) = Reader::new(file) else { return };
    let start = reader.start().clone();
    let entries: Vec<_> = reader.map_while(Result::ok).collect();
    // (What is cut at reading stays within these; a part has no entries of its own.)
    if start.scope != Scope::Everything || start.snaplen != 0 {
        return;
    }
    let mut writer = Writer::new(Vec::new(), &start).expect("a vector takes all");
    entries.iter().for_each(|entry| writer.entry(entry).expect("a vector takes all"));
    let again = writer.finish(Instant::ZERO).expect("a vector takes all");
    assert_eq!(Recording::read(&again[..]).expect("it was written whole"), Recording { start, entries });
});
