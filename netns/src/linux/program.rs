//! Which file a command is: as `execvp` finds it, but that a file without an interpreter is an error, as in Docker, and not
//! a script for the shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::process::{NotStarted, Process};

/// Where commands are looked for if their environment has no `PATH`: Docker's default.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file to execute, as seen from the current directory. One that a path leads to is not looked at: the kernel will say.
pub(super) fn find(process: &Process) -> Result<PathBuf, NotStarted> {
    let command = process.argv.first().ok_or_else(|| NotStarted::other("find", "the command", "there is none"))?;
    let name = command.as_ref();
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let not_found = NotStarted::NotFound { command: command.to_string() };
    if name.is_empty() {
        return Err(not_found);
    }
    let path = process.env.iter().rev().find(|(key, _)| key.as_ref() == "PATH").map(|(_, value)| value.as_ref());
    let mut answer = not_found;
    for directory in path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes().split(|byte| *byte == b':') {
        // An empty entry is the current directory.
        let directory = if directory.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(directory) };
        let candidate = Path::new(directory).join(name);
        if !candidate.is_file() {
            continue;
        }
        match rustix::fs::access(&candidate, Access::EXEC_OK) {
            Ok(()) => return Ok(candidate),
            Err(why) => answer = NotStarted::from_exec(command, &why.into()),
        }
    }
    Err(answer)
}
