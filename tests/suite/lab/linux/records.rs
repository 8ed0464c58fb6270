//! What a daemon has written down, as it lies there.

use std::path::Path;

use netns::record::Record;

use crate::lab;

/// Makes the records whose names begin so unreadable.
pub fn spoil(state: &Path, beginning: &str) {
    let directory = state.join("records");
    let mut spoilt = 0;
    for entry in std::fs::read_dir(&directory).expect("read the records") {
        let path = entry.expect("read the records").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)) {
            std::fs::write(&path, lab::SPOILT).expect("spoil a record");
            spoilt += 1;
        }
    }
    assert_ne!(spoilt, 0, "no record begins with {beginning}");
}

/// What is saved of a container's state.
pub fn saved_state(state: &Path, container: &str) -> Option<String> {
    let records = std::fs::read_dir(state.join("records")).expect("read the records");
    records.flatten().find_map(|entry| {
        let record = std::fs::read_to_string(entry.path()).ok()?;
        lab::state_in(&record, container)
    })
}

/// The process that keeps a guest's interface.
pub fn keeper_of(state: &Path, sandbox: &str) -> i32 {
    // It may be the second, and there may be no daemon to ask.
    let records = std::fs::read_dir(state.join("records")).expect("read the records");
    let keeper = records.flatten().find_map(|entry| {
        let record: Record = serde_json::from_str(&std::fs::read_to_string(entry.path()).ok()?).ok()?;
        record.pid().filter(|_| record.name.as_str() == sandbox)
    });
    keeper.expect("it has a keeper").cast_signed()
}
