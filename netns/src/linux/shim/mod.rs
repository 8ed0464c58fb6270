//! The shim: the small process that stands for a container and outlives the daemon.
//!
//! * It makes the namespaces and the interfaces, is the parent of the container's init, and tells how the command ended.
//! * It holds a descriptor of each TAP and of each gateway's, so that none vanishes with the daemon, and hands them to
//!   whichever daemon asks on its socket.
//! * As long as no command was started it lives for its creator alone: when that is gone, so is the shim.
//! * The shim of a guest is a keeper ([`keep`]): it has no command to start, and lives as long as its interface.
//! * When it is gone, so are the container's processes. So are its interfaces, unless the shim was killed: then each goes with
//!   the daemon's descriptor of it.
//!
//! One thread, one loop, which waits for descriptors only. It stays in the host's mount and PID namespaces: its `/proc` is
//! the host's.

mod end;
mod keep;
mod serve;
mod task;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::consts::FORBIDDEN;

use self::task::Task;
use super::exec::channel_on_stdin;
use super::failure::{Failure, Step};
use super::privilege::{self, Role};
use super::protocol::{Event, NetworkNamespace, Plan, Reply, Request};
use super::setup::{self, Interface};
use super::wire::{Channel, WireError};
use crate::guest::Place;

/// How long anyone may leave an answer unread.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most connections and the most processes started from outside, init included.
const MAX_PEERS: usize = 64;
const MAX_TASKS: usize = 1024;

/// The creator among the peers, and init among the tasks.
const FIRST: u64 = 0;

/// What the hidden command `__shim ID DIRECTORY` does.
pub(super) fn main(directory: PathBuf) -> ExitCode {
    // Signals of the daemon's terminal are not for us.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    if catch_ignored_signals().is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(mut creator) = channel_on_stdin() else { return ExitCode::FAILURE };
    let _ = creator.set_timeouts(None, Some(PATIENCE));
    let Ok((Request::Create(plan), fds)) = creator.recv::<Request>() else { return ExitCode::FAILURE };
    match Shim::make(plan, fds, directory) {
        Ok(shim) => shim.run(creator),
        Err(failure) => {
            let _ = creator.send(&Reply::Failed { failure }, &[]);
            ExitCode::FAILURE
        }
    }
}

/// What is ignored stays so across exec, and whoever started the daemon may have ignored something (`nohup`): nothing of
/// that is to reach the command. What is caught is the default again after exec.
fn catch_ignored_signals() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    for signal in 1..=31 {
        if ignored & 1 << (signal - 1) != 0 && !FORBIDDEN.contains(&signal) {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
    }
    Ok(())
}

struct Shim {
    directory: PathBuf,
    own_sysfs: bool,
    /// Where the interface is made, if this is a keeper.
    place: Option<Place>,
    /// Whether other containers may be in the network namespace.
    shared: bool,
    /// By name.
    interfaces: BTreeMap<String, Interface>,
    /// Gateways' TAPs, by the name of the bridge.
    gateways: BTreeMap<String, OwnedFd>,
    listener: UnixListener,
    peers: BTreeMap<u64, Channel>,
    tasks: BTreeMap<u64, Task>,
    next: u64,
}

/// What a descriptor in the loop stands for.
enum Source {
    Listener,
    Peer(u64),
    /// The trampoline of a task has something to say.
    Launch(u64),
    /// Whoever is attached to a task has.
    Attached(u64),
    /// A task has ended.
    End(u64),
    /// The interface that is kept is no more.
    Lost,
}

/// Which network namespace this process is in.
fn network_namespace() -> Option<PathBuf> {
    std::fs::read_link("/proc/self/ns/net").ok()
}

impl Shim {
    fn make(plan: Plan, fds: Vec<OwnedFd>, directory: PathBuf) -> Result<Shim, Failure> {
        let joined = fds.into_iter().next();
        if joined.is_some() != (plan.namespace == NetworkNamespace::Joined) {
            return Err(Step::MakeNamespaces.failed("a container", "a descriptor is missing"));
        }
        let before = network_namespace();
        setup::make(&plan, joined)?;
        if plan.place.is_none() {
            privilege::hold_only(Role::Shim).map_err(Step::LetGo.on("a shim"))?;
        }
        let socket = directory.join("shim.sock");
        let listener = UnixListener::bind(&socket)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(Step::Listen.on(socket.display()))?;
        Ok(Shim {
            directory,
            // To join a container in mode host is to stay where we are: the sysfs there tells the truth already, and the kernel
            // would not mount it over itself.
            own_sysfs: network_namespace() != before,
            place: plan.place,
            shared: false,
            interfaces: BTreeMap::new(),
            gateways: BTreeMap::new(),
            listener,
            peers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next: FIRST + 1,
        })
    }

    fn run(mut self, creator: Channel) -> ExitCode {
        self.peers.insert(FIRST, creator);
        self.reply(FIRST, &Reply::Created, &[]);
        loop {
            if !self.peers.contains_key(&FIRST) && !self.tasks.contains_key(&FIRST) && !self.keeps() {
                self.leave();
                return ExitCode::SUCCESS;
            }
            for source in self.wait() {
                match source {
                    Source::Listener => self.accept(),
                    Source::Peer(peer) => self.hear_peer(peer),
                    Source::Launch(task) => self.hear_launch(task),
                    Source::Attached(task) => self.hear_attached(task),
                    Source::End(FIRST) => return self.end(),
                    Source::End(task) => self.end_task(task),
                    Source::Lost => return self.lose(),
                }
            }
        }
    }

    /// Waits until something is ready.
    fn wait(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        if self.is_lost() {
            sources.push(Source::Lost);
            return sources;
        }
        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        for (peer, channel) in &self.peers {
            sources.push(Source::Peer(*peer));
            fds.push(channel.as_fd());
        }
        for (number, task) in &self.tasks {
            if let Some(launch) = &task.launch {
                sources.push(Source::Launch(*number));
                fds.push(launch.as_fd());
            }
            if let Some(attached) = &task.attached {
                sources.push(Source::Attached(*number));
                fds.push(attached.as_fd());
            }
            sources.push(Source::End(*number));
            fds.push(task.pidfd.as_fd());
        }
        // Last: whoever has gone makes room for who comes.
        sources.push(Source::Listener);
        fds.push(self.listener.as_fd());
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let patience = self.keeps().then_some(Timespec { tv_sec: keep::LOOK_AGAIN, tv_nsec: 0 });
        match rustix::event::poll(&mut polled, patience.as_ref()) {
            Ok(_) => {
                sources.into_iter().zip(&polled).filter(|(_, fd)| !fd.revents().is_empty()).map(|(it, _)| it).collect()
            }
            Err(_) => Vec::new(),
        }
    }

    fn accept(&mut self) {
        let Ok((socket, _)) = self.listener.accept() else { return };
        let channel = Channel::new(socket);
        if self.peers.len() < MAX_PEERS && channel.set_timeouts(None, Some(PATIENCE)).is_ok() {
            let number = self.number();
            self.peers.insert(number, channel);
        }
    }

    fn hear_peer(&mut self, peer: u64) {
        while let Some(channel) = self.peers.get_mut(&peer) {
            match channel.try_recv::<Request>() {
                Ok(Some((request, fds))) => self.serve(peer, request, fds),
                Ok(None) => return,
                Err(WireError::NotJson(_)) => {}
                Err(_) => {
                    self.peers.remove(&peer);
                }
            }
        }
    }

    fn hear_launch(&mut self, number: u64) {
        if let Some(task) = self.tasks.get_mut(&number) {
            task.hear_launch();
        }
    }

    fn hear_attached(&mut self, number: u64) {
        if let Some(task) = self.tasks.get_mut(&number) {
            task.hear_attached();
        }
    }

    fn end_task(&mut self, number: u64) {
        if let Some(mut task) = self.tasks.remove(&number) {
            let status = task.wait();
            task.tell(&Event::Exited { status });
        }
    }

    fn reply(&mut self, peer: u64, reply: &Reply, fds: &[BorrowedFd<'_>]) {
        if let Some(channel) = self.peers.get_mut(&peer)
            && channel.send(reply, fds).is_err()
        {
            self.peers.remove(&peer);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
