//! [`Sandbox`]: the network namespace that a runtime has made for a container.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cni::{Code, Failure};
use ipnet::Ipv4Net;
use netns::interface::InterfaceInfo;
use nix::sched::{CloneFlags, setns};

use crate::failure::cause_of;

/// A network namespace, held open.
#[derive(Debug)]
pub struct Sandbox {
    file: File,
    path: PathBuf,
}

/// What there is in a sandbox.
#[derive(Debug)]
pub struct Seen {
    /// All interfaces.
    pub interfaces: Vec<InterfaceInfo>,
    /// The routes of the main table: where to, by whom, out of which interface.
    pub routes: Vec<(Ipv4Net, Option<Ipv4Addr>, String)>,
}

impl Sandbox {
    /// Opens one.
    ///
    /// # Errors
    /// If the path leads to none, or to the host's own.
    pub fn open(netns: &str) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::new(Code::InvalidNetns, format_args!("open CNI_NETNS {netns}: {why}"));
        let io = |why: io::Error| wrong(cause_of(&why));
        let path = std::path::absolute(netns).map_err(io)?;
        let file = File::open(&path).map_err(io)?;
        if !is_netns(&file).map_err(io)? {
            return Err(wrong("it is no network namespace".into()));
        }
        let identity = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let host = File::open("/proc/thread-self/ns/net").map_err(io)?;
        if identity(&file).map_err(io)? == identity(&host).map_err(io)? {
            return Err(wrong("it is the host's own network namespace".into()));
        }
        Ok(Sandbox { file, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has an interface of this name.
    ///
    /// # Errors
    /// As of [`Sandbox::look`].
    pub fn has(&self, ifname: &str) -> Result<bool, Failure> {
        Ok(self.look()?.interfaces.iter().any(|interface| interface.name == ifname))
    }

    /// Looks into it.
    ///
    /// # Errors
    /// If this process may not, or the kernel can not be asked.
    pub fn look(&self) -> Result<Seen, Failure> {
        let look = || -> io::Result<Seen> {
            Ok(Seen { interfaces: netns::linux::interfaces()?, routes: netns::linux::routes()? })
        };
        let seen = enter(&self.file, look).and_then(|seen| seen);
        seen.map_err(|why| {
            let message = format_args!("look into the network namespace {}: {}", self.path.display(), cause_of(&why));
            Failure::new(Code::InvalidNetns, message)
        })
    }
}

fn is_netns(file: &File) -> io::Result<bool> {
    if nix::sys::statfs::fstatfs(file)?.filesystem_type() != nix::sys::statfs::NSFS_MAGIC {
        return Ok(false);
    }
    // Of another kind of namespace the kernel says that the argument is none.
    match enter(file, || ()) {
        Err(why) if why.raw_os_error() == Some(nix::libc::EINVAL) => Ok(false),
        entered => entered.map(|()| true),
    }
}

/// Does something in there, in a thread of its own: this one stays where it is.
fn enter<T: Send>(file: &File, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let entered = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        inside.join()
    });
    entered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
