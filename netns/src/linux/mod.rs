//! The Linux backend: namespaces, TAPs, and a process that stands for each container.
//!
//! The map, from the daemon inwards:
//!
//! * `world`: [`Linux`], the backend; `handle` is its hold on one container, `records` and `paths` are its disk, `survey` its
//!   eyes;
//! * `shim`: the process that makes a container and stands for it; `spawn` is who starts it, `setup` what it makes, `netlink` and
//!   `sysctl` how;
//! * `endpoint`: a veth pair instead of a TAP, the host's side of it; `ethtool`: what its other side may leave unfinished;
//! * `guest`: an interface that goes to a sandbox of another engine, and stays ours;
//! * `borrow`: an interface of the host that is a port for a while: what there is to know of it, and whether it changes;
//! * `init`: PID 1 of a container; `mounts` is its view, `etc` its own files in that; `exec`: how other commands get in; `program`: which file a command is;
//! * [`publish`]: the process that serves a container's published ports;
//! * [`session`]: the outer end of a command; `process`, [`text`]: what is started;
//! * [`privilege`]: which capabilities each of these processes holds;
//! * `protocol` over [`wire`]: what all of them say to each other; `failure`: what went wrong, across processes;
//! * [`firewall`]: our nftables tables, and who else's drop what is ours; [`forwarding`]: the host's `ip_forward`;
//! * [`names`]: the thread that answers DNS questions on the gateways;
//! * [`scratch`]: a namespace that stands for the host, for tests and demonstrations.
//!
//! Shim, init, trampoline and publisher are this same program: [`dispatch`] must be the first thing in its `main`. They are executed,
//! never forked: a fork of a process with threads may do next to nothing.

mod borrow;
mod endpoint;
mod etc;
mod ethtool;
mod exec;
mod failure;
pub mod firewall;
pub mod forwarding;
mod guest;
mod handle;
mod init;
mod limits;
mod mounts;
pub mod names;
mod netlink;
mod paths;
pub mod privilege;
mod process;
mod program;
mod protocol;
pub mod publish;
mod records;
pub mod scratch;
pub mod session;
mod setup;
mod shim;
mod signal;
mod spawn;
mod survey;
mod sys;
mod sysctl;
pub mod text;
pub mod wire;
mod world;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use self::etc::host_resolv_conf;
pub use self::paths::Paths;
pub use self::process::{Command, HOSTNAME, NotStarted, Process, Streams};
pub use self::session::{Outcome, Session, exec};
pub use self::survey::{interfaces, routes};
pub use self::world::Linux;

/// What the first argument of every process that this program starts for itself begins with, whether it is one of ours or
/// of the command's own. Such a process keeps no descriptor that it inherited but the three standard streams.
pub const HIDDEN: &str = "__";

/// Does what a hidden first argument says, and returns the exit code; `None` if there is no such argument. `argv` begins with
/// the name of the program.
pub fn dispatch(argv: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = argv.into_iter().skip(1);
    let role = arguments.next()?;
    let role = role.to_str()?;
    if role.starts_with(HIDDEN) {
        sys::close_inherited();
        // The kernel calls a process by the file it was executed from, which is `exe` here.
        let _ = rustix::thread::set_name(c"pontoon");
    }
    match role {
        protocol::SHIM => {
            // The id before it is there to be seen in the list of processes.
            Some(arguments.nth(1).map_or(ExitCode::FAILURE, |directory| shim::main(PathBuf::from(directory))))
        }
        protocol::INIT => Some(init::main()),
        protocol::EXEC => Some(exec::main()),
        protocol::PUBLISH => Some(publish::main()),
        _ => None,
    }
}
