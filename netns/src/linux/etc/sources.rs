//! A container's own files on disk: written, changed while it runs, and shared with those that join it.
//!
//! A file that is there is changed in place and never replaced: what a container sees is this very file, mounted.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::backend::BackendError;
use crate::files::Files;
use crate::linux::failure::Step;
use crate::linux::records::absent_is_fine;
use crate::linux::world::Linux;
use crate::name::Id;

/// Where the host's name servers stand.
pub(in crate::linux) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How much is read of the host's resolv.conf. Resolvers themselves read three name servers.
const MAX_HOST_TEXT: u64 = 64 * 1024;

impl Linux {
    /// Gives a container its own files, or changes them while it runs, when they and those who joined it see the new text at
    /// once. Which files are its own is settled when its command is started: whatever is given a text by then. What the
    /// container itself has written into them is lost.
    ///
    /// # Errors
    /// If the container was not created, or a file can not be written; another may have been.
    pub fn write_files(&mut self, id: &Id, files: &Files) -> Result<(), BackendError> {
        let directory = self.paths().etc(id);
        Ok(rewrite(&directory, files).map_err(Step::WriteFiles.on(directory.display()))?)
    }
}

/// The host's `/etc/resolv.conf`, as text whatever its bytes; empty if there is none.
///
/// # Errors
/// If it is there and can not be read.
pub fn host_resolv_conf() -> io::Result<String> {
    match open_host_resolv_conf() {
        Ok(file) => read_host_text(&file),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(why) => Err(why),
    }
}

/// The host's `/etc/resolv.conf`, whatever that is.
pub(in crate::linux) fn open_host_resolv_conf() -> io::Result<File> {
    // Not to wait for a writer, should it be a pipe.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    File::options().read(true).custom_flags(nonblocking).open(RESOLV_CONF)
}

/// What stands in it, as far as anybody reads it.
pub(in crate::linux) fn read_host_text(file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(MAX_HOST_TEXT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes the files that are a container's own; those that are there keep their inodes.
pub(in crate::linux) fn rewrite(directory: &Path, files: &Files) -> io::Result<()> {
    make_readable_directory(directory)?;
    for (name, text) in files.own() {
        let mut file = File::options().create(true).write(true).truncate(false).open(directory.join(name))?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        // Cut to its length afterwards: whoever reads meanwhile finds it changed in part, but never empty.
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
    }
    Ok(())
}

/// Gives a joiner the files of the container that it joins, if that has any: the same inodes, so that both see every change,
/// and the joiner has them still when the other's directory is gone.
pub(in crate::linux) fn share(theirs: &Path, own: &Path) -> io::Result<()> {
    if !theirs.is_dir() {
        return Ok(());
    }
    make_readable_directory(own)?;
    Files::NAMES.into_iter().try_for_each(|name| absent_is_fine(fs::hard_link(theirs.join(name), own.join(name))))
}

/// It may come to be seen as `/etc`, and is to be searched by everybody then.
fn make_readable_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(why),
        Ok(()) | Err(_) => {}
    }
    fs::set_permissions(path, Permissions::from_mode(0o755))
}
