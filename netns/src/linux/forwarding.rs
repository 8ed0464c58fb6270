//! [`Forwarding`]: the host's `net.ipv4.ip_forward`, switched on for our bridges and put back exactly.
//!
//! To write `ip_forward` (which is `conf/all/forwarding`) writes other sysctls as well, whichever way it changes: the kernel
//! sets `conf/default/forwarding` and that of every interface to the same, and `conf/all/accept_redirects` to the opposite
//! (`inet_forward_change` in net/ipv4/devinet.c). A host may have set any of them by itself before. So all of them are read
//! first, to be journalled, and it is from that journal that they are restored.
//!
//! `/proc/sys/net` shows the network namespace of the thread that looks, not of the process: no `thread-self` is needed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::failure::{Failure, Step};
use super::text::OsText;
use crate::backend::BackendError;

const IPV4: &str = "/proc/sys/net/ipv4";

/// The sysctls that switching forwarding on changes, as they were. To be saved before [`Forwarding::turn_on`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// `ip_forward`.
    on: bool,
    /// `conf/all/accept_redirects`.
    accept_redirects: bool,
    /// `conf/default/forwarding`.
    default: bool,
    /// `conf/INTERFACE/forwarding`, in the order of the names.
    interfaces: Vec<(OsText, bool)>,
}

impl Forwarding {
    /// As it is in the network namespace of the calling thread.
    ///
    /// # Errors
    /// If `/proc/sys` can not be read.
    pub fn read() -> Result<Self, BackendError> {
        Ok(Self::survey()?)
    }

    /// Whether the host forwarded before us.
    #[must_use]
    pub fn was_on(&self) -> bool {
        self.on
    }

    /// The interfaces that forwarded what they received though the host as a whole did not: for
    /// [`crate::firewall::Policy::forwarded`]. One with a name that is no text is not among them.
    pub fn forwarded(&self) -> impl Iterator<Item = &str> {
        let forwarded = self.interfaces.iter().filter(|(_, forwards)| *forwards && !self.on);
        forwarded.filter_map(|(name, _)| name.0.to_str())
    }

    /// Switches forwarding on, unless it was. Returns whether it was off, so that it is to be restored.
    ///
    /// The policy that guards what is not ours must be applied before.
    ///
    /// # Errors
    /// If `/proc/sys` can not be written.
    pub fn turn_on(&self) -> Result<bool, BackendError> {
        if self.on {
            return Ok(false);
        }
        write("ip_forward", true)?;
        Ok(true)
    }

    /// Puts all of it back, unless the host forwarded before us. An interface that came in between gets what it would have
    /// got without us. May be called again, if it failed or the process ended in the middle of it.
    ///
    /// # Errors
    /// If `/proc/sys` can not be written. It goes on after a failure, and reports the first.
    pub fn restore(&self) -> Result<(), BackendError> {
        if self.on {
            return Ok(());
        }
        // First, for it changes the others.
        let mut result = write("ip_forward", false);
        result = result.and(write("conf/default/forwarding", self.default));
        match names() {
            Ok(names) => {
                for name in names {
                    let known = self.interfaces.iter().find(|(known, _)| *known == name);
                    let before = known.map_or(self.default, |(_, forwards)| *forwards);
                    result = result.and(write(sysctl_of(&name), before));
                }
            }
            Err(why) => result = result.and(Err(why)),
        }
        result = result.and(write("conf/all/accept_redirects", self.accept_redirects));
        Ok(result?)
    }

    fn survey() -> Result<Self, Failure> {
        let mut interfaces = Vec::new();
        for name in names()? {
            // One that has gone meanwhile is not there to be restored.
            if let Some(forwards) = read(sysctl_of(&name))? {
                interfaces.push((name, forwards));
            }
        }
        let need =
            |name: &str| read(name)?.ok_or_else(|| Step::ReadHost.failed(path(name).display(), "it is not there"));
        Ok(Forwarding {
            on: need("ip_forward")?,
            accept_redirects: need("conf/all/accept_redirects")?,
            default: need("conf/default/forwarding")?,
            interfaces,
        })
    }
}

/// Sees to it that the host forwards: the network namespace in which it is first asked to.
///
/// The file stays open, because it is asked for each container. A path below `/proc/sys/net` has an entry in the kernel's cache of
/// names for each network namespace in which somebody has gone it, all under one hash: with a thousand containers the way there
/// takes longer than all else that a container's start costs the daemon.
#[derive(Debug, Default)]
pub struct KeptOn {
    file: Option<File>,
}

impl KeptOn {
    /// Switches forwarding on if it is off, whatever it was. Writes nothing if it is on: writing resets what others have set.
    ///
    /// # Errors
    /// If `/proc/sys` can not be read or written.
    pub fn keep(&mut self) -> Result<(), BackendError> {
        if self.file.is_none() {
            self.file = File::open(path("ip_forward")).ok();
        }
        let mut first = [b'0'];
        let read = self.file.as_ref().map(|file| file.read_at(&mut first, 0));
        // (What could not be read so is asked for, and reported, by its name.)
        if matches!(read, Some(Ok(1))) && first != [b'0'] { Ok(()) } else { Ok(write("ip_forward", true)?) }
    }
}

/// The interfaces that have sysctls, sorted.
fn names() -> Result<Vec<OsText>, Failure> {
    let failed = |why: io::Error| Step::ReadHost.on(path("conf").display())(why);
    let mut names = Vec::new();
    for entry in fs::read_dir(path("conf")).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != OsStr::new("all") && name != OsStr::new("default") {
            names.push(OsText(name));
        }
    }
    names.sort();
    Ok(names)
}

fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(IPV4).join(name)
}

/// By path: an interface's name may have dots, which mean something to `sysctl`.
fn sysctl_of(interface: &OsText) -> PathBuf {
    Path::new("conf").join(interface.as_path()).join("forwarding")
}

fn read(name: impl AsRef<Path>) -> Result<Option<bool>, Failure> {
    let path = path(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim() != "0")),
        Err(why) if is_gone(&why) => Ok(None),
        Err(why) => Err(Step::ReadHost.on(path.display())(why)),
    }
}

/// Writes what is not so already. An interface that has gone needs nothing.
fn write(name: impl AsRef<Path>, value: bool) -> Result<(), Failure> {
    if matches!(read(&name)?, Some(current) if current != value) {
        let path = path(name);
        match fs::write(&path, if value { "1" } else { "0" }) {
            Err(why) if !is_gone(&why) => return Err(Step::SetSysctl.on(path.display())(why)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_gone(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::NotFound
}
