//! What the kernel lets a process of ours have.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows this process as many open files as it may allow itself: the usual limit, 1024, is soon reached. Returns what was
/// allowed before.
pub(super) fn allow_more_files() -> io::Result<Rlimit> {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before })?;
    Ok(before)
}
