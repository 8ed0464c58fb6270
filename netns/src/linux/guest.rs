//! The interface of a guest: a TAP that is made on the host and goes to a sandbox of another engine.
//!
//! * It is made on the host, always: a TAP's descriptor keeps the network namespace alive in which `/dev/net/tun` was opened. So it
//!   keeps no sandbox, and dies with whichever it is in.
//! * It bears a mark by which people, and we, see whose it is (`ip link` shows it as `alias`).
//! * Wherever it was moved, whatever it is called there, it is found by its descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::libc;
use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use switch::link::port::PortLink;
use switch::link::tap::{TapError, Whereabouts};

use super::failure::{Failure, Step};
use super::netlink::{Netlink, is_own};
use super::protocol::InterfacePlan;
use super::setup::{configure, disable_ipv6, notify_of_addresses};
use super::survey::index_of;
use crate::backend::BackendError;
use crate::guest::{Place, Route};
use crate::name::Id;

/// Makes the interface of the guest with this short id. For a process of one thread, which is in the host's network namespace, and is again afterwards.
pub(super) fn make(id: &str, plan: &InterfacePlan, place: &Place) -> Result<PortLink, Failure> {
    match place {
        Place::Host { ifname } => make_on_host(id, ifname, plan),
        Place::Inside { netns, ifname, routes } => make_inside(id, plan, netns, ifname, routes),
    }
}

/// Makes it on the host, switched off. (IPv6 could switch it on only by somebody's hand; then it has no address all the same.)
fn make_on_host(id: &str, name: &str, plan: &InterfacePlan) -> Result<PortLink, Failure> {
    let tap = PortLink::create(name, plan.offload).map_err(|why| Step::CreateTap.failed(name, why))?;
    disable_ipv6(name)?;
    let prepared = Netlink::open().and_then(|mut netlink| {
        let index = index_of(name).ok_or(Errno::NODEV)?;
        netlink.prepare(index, plan.mac, plan.mtu, &mark(id))
    });
    prepared.map_err(Step::Configure.on(name))?;
    Ok(tap)
}

fn make_inside(id: &str, plan: &InterfacePlan, netns: &str, name: &str, routes: &[Route]) -> Result<PortLink, Failure> {
    let failed = || Step::MakeInside.on::<io::Error>(netns);
    // Not to wait for a writer, should it be a pipe.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let sandbox = File::options().read(true).custom_flags(flags).open(netns).map_err(failed())?;
    let host = File::open("/proc/thread-self/ns/net").map_err(failed())?;
    if is_own(sandbox.as_fd()).map_err(failed())? {
        return Err(Step::MakeInside.failed(netns, "it is the host's own network namespace"));
    }
    let inside = Inside { netns, sandbox: sandbox.as_fd(), host: host.as_fd() };
    // Before it costs the host an interface.
    inside.run(|| match index_of(name) {
        Some(_) => Err(taken(netns, name)),
        None => Ok(()),
    })?;
    let temporary = temporary_name(id);
    let tap = make_on_host(id, &temporary, plan)?;
    let moved = Netlink::open().and_then(|mut netlink| {
        let index = index_of(&temporary).ok_or(Errno::NODEV)?;
        netlink.move_link(index, sandbox.as_fd(), name)
    });
    moved.map_err(|why| match why.kind() {
        io::ErrorKind::AlreadyExists => taken(netns, name),
        _ => failed()(why),
    })?;
    inside.run(|| {
        disable_ipv6(name)?;
        if plan.announces {
            notify_of_addresses(name)?;
        }
        let mut netlink = Netlink::open().map_err(Step::Configure.on(name))?;
        let index = configure(&mut netlink, name, plan.mac, plan.mtu, plan.ip, None)?;
        for Route { to, via } in routes {
            let added = netlink.add_route(index, *to, *via);
            added.map_err(Step::Configure.on(format!("{name} with the route to {to}")))?;
        }
        Ok(())
    })?;
    Ok(tap)
}

fn taken(netns: &str, name: &str) -> Failure {
    Step::MakeInside.failed(netns, format!("it has an interface {name} already"))
}

/// A sandbox that this process enters for a moment.
struct Inside<'a> {
    netns: &'a str,
    sandbox: BorrowedFd<'a>,
    host: BorrowedFd<'a>,
}

impl Inside<'_> {
    fn run(&self, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        setns(self.sandbox, CloneFlags::CLONE_NEWNET).map_err(|why| match why {
            nix::Error::EINVAL => Step::MakeInside.failed(self.netns, "it is no network namespace"),
            why => Step::MakeInside.on(self.netns)(why),
        })?;
        let done = work();
        setns(self.host, CloneFlags::CLONE_NEWNET).map_err(Step::MakeInside.on("the host"))?;
        done
    }
}

/// What it is called on the host while it is on its way: 15 bytes, which is all that a name may have.
fn temporary_name(id: &str) -> String {
    format!("ptn{id}")
}

/// Whose it is, for all to see.
fn mark(id: &str) -> String {
    format!("pontoon {id}")
}

/// Takes away what an earlier life of this guest left on the host under the name that it is to have.
///
/// # Errors
/// [`BackendError::NameTaken`] if it is another's.
pub(super) fn make_way(id: &Id, name: &str) -> Result<(), BackendError> {
    let Some(index) = index_of(name) else { return Ok(()) };
    let mut netlink = Netlink::open().map_err(Step::ReadHost.on("the host's interfaces"))?;
    let link = netlink.link(index).map_err(Step::ReadHost.on("the host's interfaces"))?;
    let is_ours = |link: &LinkMessage| link.attributes.contains(&LinkAttribute::IfAlias(mark(id.short())));
    match link {
        Some(link) if is_ours(&link) => {
            let gone = netlink.delete_link(index);
            if index_of(name).is_none() { Ok(()) } else { Ok(gone.map_err(Step::DeleteInterface.on(name))?) }
        }
        Some(_) => Err(BackendError::NameTaken(name.to_owned())),
        None => Ok(()),
    }
}

/// Deletes the interface wherever it is, while its descriptors are still open: to close the last one would do it as well, but keep
/// whoever does that waiting, and that may be the data plane.
pub(super) fn delete(tap: &impl AsFd) -> io::Result<()> {
    // Somebody may be moving or renaming it at this moment.
    for _ in 0..ATTEMPTS {
        if is_gone(tap) {
            return Ok(());
        }
        let deleted = match Whereabouts::of(tap) {
            Ok(place) => Netlink::open().and_then(|mut netlink| netlink.delete_link_at(&place)),
            // Its namespace is dying: nobody can enter it any more, and the kernel is about to end what is in it.
            Err(TapError::Query { errno: nix::Error::EINVAL }) if is_gone_within(tap, DYING) => return Ok(()),
            Err(why) => Err(io::Error::other(why)),
        };
        match deleted {
            Err(_) if is_gone(tap) => return Ok(()),
            Err(why) if why.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => {}
            done => return done,
        }
    }
    Err(io::Error::other("it is moved all the time"))
}

/// How often an interface that is somewhere else by now is looked for.
const ATTEMPTS: usize = 8;

/// How long a network namespace may take to die, which the kernel sees to in its own time, one after the other.
const DYING: Timespec = Timespec { tv_sec: 3, tv_nsec: 0 };

/// Whether the interface is no more: it was deleted, or the namespace that it was in.
pub(super) fn is_gone(tap: &impl AsFd) -> bool {
    is_gone_within(tap, Timespec { tv_sec: 0, tv_nsec: 0 })
}

fn is_gone_within(tap: &impl AsFd, patience: Timespec) -> bool {
    let mut polled = [PollFd::new(tap, PollFlags::empty())];
    let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&patience)));
    polled[0].revents().contains(PollFlags::ERR)
}

/// How many frames the interface could not send, as it counts itself.
pub(super) fn transmit_drops(tap: &impl AsFd) -> Option<u64> {
    let place = Whereabouts::of(tap).ok()?;
    let link = Netlink::open().ok()?.link_at(&place).ok()??;
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some(stats.tx_dropped),
        _ => None,
    })
}
