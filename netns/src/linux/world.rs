//! [`Linux`]: the backend of a real host.
//!
//! It holds no namespace open: a descriptor of one, as of a TAP in it, would keep it for ever. What stands for a container is
//! its shim, and what is held of a shim is a channel and pidfds.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;
use rustix::event::epoll;
use switch::link::port::PortLink;
use switch::link::tap::TapError;

use super::failure::{Failure, Step};
use super::handle::{Handle, KILLED, PATIENCE, is_over_within, status_left};
use super::netlink::Netlink;
use super::paths::Paths;
use super::process::{Command, NotStarted, Streams};
use super::protocol::{InterfacePlan, NetworkNamespace, Plan, Reply, Request};
use super::records::{Records, absent_is_fine, make_directory};
use super::survey::{index_of, prefixes};
use super::{setup, wire::WireError};
use crate::backend::{Adopted, Backend, BackendError, Created, Gateway, Interface, Namespace, Spec, StartError};
use crate::name::Id;

/// Containers in namespaces of the kernel, TAPs as links. It acts in the network and mount namespace of the thread that
/// calls it, which is the host as far as it knows.
#[derive(Debug)]
pub struct Linux {
    paths: Paths,
    exe: PathBuf,
    records: Records,
    shim_log: File,
    /// Ready when a container may have ended.
    watch: OwnedFd,
    handles: BTreeMap<u64, Handle>,
    next: u64,
    /// Gateways' TAPs, by the name of the bridge: of the one that is open, or of those that adopted shims kept.
    gateways: BTreeMap<String, OwnedFd>,
    ended: VecDeque<(Id, i32)>,
}

impl Linux {
    /// A backend that keeps its things in `paths`. `exe` is the program that a shim is: one whose `main` begins with
    /// [`super::dispatch`], usually `/proc/self/exe`.
    ///
    /// # Errors
    /// If the directories can not be made.
    pub fn new(paths: Paths, exe: PathBuf) -> Result<Self, BackendError> {
        for directory in [&paths.runtime, &paths.state, &paths.logs()] {
            make_directory(directory).map_err(Step::CreateDirectory.on(directory.display()))?;
        }
        let records = Records::open(paths.records()).map_err(Step::CreateDirectory.on(paths.records().display()))?;
        let log = paths.shim_log();
        let shim_log = File::options().create(true).append(true).open(&log).map_err(Step::OpenLog.on(log.display()))?;
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(Step::Watch.on("containers"))?;
        Ok(Linux {
            paths,
            exe,
            records,
            shim_log,
            watch,
            handles: BTreeMap::new(),
            next: 0,
            gateways: BTreeMap::new(),
            ended: VecDeque::new(),
        })
    }

    /// Becomes readable when [`Backend::poll_ended`] should be asked.
    #[must_use]
    pub fn ended_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Waits for the shims of containers that have ended: they tell of the end first and delete the interface then. To be
    /// called by a daemon before it says that everything is gone.
    pub fn wait_until_clean(&mut self) {
        let leaving: Vec<u64> =
            self.handles.iter().filter(|(_, handle)| handle.ended.is_some()).map(|(number, _)| *number).collect();
        for number in leaving {
            if let Some(mut handle) = self.handles.remove(&number)
                && is_over_within(&handle.pidfd, PATIENCE).unwrap_or(true)
            {
                handle.reap();
            }
        }
    }

    /// Where this instance keeps its things.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Ends this process, as by SIGKILL, after so many more changes of what is saved: for tests of recovery.
    pub fn crash_after_saves(&mut self, changes: u32) {
        self.records.crash_after(changes);
    }

    fn handle(&mut self, id: &Id) -> Option<&mut Handle> {
        self.handles.values_mut().find(|handle| handle.id == *id && handle.ended.is_none())
    }

    /// Keeps a handle, and watches it from now on.
    fn keep(&mut self, handle: Handle) -> Result<(), Failure> {
        let data = || epoll::EventData::new_u64(self.next);
        let add = |source: BorrowedFd<'_>| epoll::add(&self.watch, source, data(), epoll::EventFlags::IN);
        let channel = handle.channel.as_ref().map_or(Ok(()), |channel| add(channel.as_fd()));
        let watched = channel.and_then(|()| add(handle.pidfd.as_fd()));
        let id = handle.id.clone();
        self.handles.insert(self.next, handle);
        self.next += 1;
        watched.map_err(Step::Watch.on(id.short()))
    }

    /// Looks at a shim of which something was heard.
    fn observe(&mut self, number: u64) {
        let Some(handle) = self.handles.get_mut(&number) else { return };
        let told_before = handle.ended.is_some();
        handle.hear();
        if let Some(status) = handle.ended.filter(|_| !told_before) {
            self.ended.push_back((handle.id.clone(), status));
        }
        if handle.is_over() {
            if let Some(mut handle) = self.handles.remove(&number) {
                handle.reap();
                if handle.ended.is_none() {
                    let status = status_left(&self.paths, &handle.id).unwrap_or(KILLED);
                    self.ended.push_back((handle.id, status));
                }
            }
        } else if let Some(init) = &handle.init
            && is_over_within(&handle.pidfd, Duration::ZERO).unwrap_or(true)
        {
            // The shim was killed, and init is about to follow: that is what there is to wait for.
            let _ = epoll::delete(&self.watch, &handle.pidfd);
            let _ = epoll::add(&self.watch, init, epoll::EventData::new_u64(number), epoll::EventFlags::IN);
        }
    }

    /// The plan of a container, and the descriptors that belong to it.
    fn plan(&mut self, spec: &Spec<'_>) -> Result<(Plan, Vec<OwnedFd>), BackendError> {
        let mut fds = Vec::new();
        let namespace = match spec.namespace {
            Namespace::New => NetworkNamespace::New,
            Namespace::Host => NetworkNamespace::Host,
            Namespace::Of(target) => {
                let shim = self.handle(target).ok_or(BackendError::Gone)?;
                shim.tell(&Request::Share).map_err(|why| Step::JoinNamespace.failed(target.short(), why))?;
                fds.push(shim.pidfd.try_clone().map_err(Step::JoinNamespace.on(target.short()))?);
                NetworkNamespace::Joined
            }
        };
        let gateway = spec.interface.as_ref().and_then(|interface| self.gateways.get_key_value(interface.bridge));
        if let Some((bridge, fd)) = gateway {
            fds.push(fd.try_clone().map_err(Step::SpawnShim.on(bridge))?);
        }
        let plan = Plan {
            namespace,
            interface: spec.interface.as_ref().map(interface_plan),
            hostname: spec.hostname.map(ToOwned::to_owned),
            gateway: gateway.map(|(bridge, _)| bridge.clone()),
        };
        Ok((plan, fds))
    }

    fn streams(&self, id: &Id, streams: Streams) -> Result<Vec<OwnedFd>, Failure> {
        match streams {
            Streams::Caller { stdin, stdout, stderr, attach } => Ok(vec![stdin, stdout, stderr, attach]),
            Streams::Log => {
                let path = self.paths.log(id);
                let failed = || Step::OpenLog.on::<std::io::Error>(path.display());
                let null = File::open("/dev/null").map_err(failed())?;
                let log = File::options().create(true).append(true).open(&path).map_err(failed())?;
                let also = log.try_clone().map_err(failed())?;
                Ok(vec![null.into(), log.into(), also.into()])
            }
        }
    }
}

impl Backend for Linux {
    type Link = PortLink;
    type Command = Command;

    fn host_prefixes(&mut self, except: Option<&str>) -> Result<Vec<Ipv4Net>, BackendError> {
        Ok(prefixes(except).map_err(Step::ReadHost.on("the host's addresses and routes"))?)
    }

    fn open_gateway(&mut self, gateway: &Gateway<'_>) -> Result<PortLink, BackendError> {
        let Gateway { name, lease } = *gateway;
        let kept = std::mem::take(&mut self.gateways).remove(name);
        let link = match kept {
            // As it was configured. Only if it still is there: the host may have deleted it.
            Some(fd) if index_of(name).is_some() => {
                PortLink::from_fd(fd, true).map_err(|why| Step::AdoptTap.failed(name, why))?
            }
            Some(_) | None => {
                let link = PortLink::create(name, true).map_err(|why| match why {
                    TapError::NameTaken { name } => BackendError::NameTaken(name),
                    why => Step::CreateTap.failed(name, why).into(),
                })?;
                setup::disable_ipv6(name)?;
                let mut netlink = Netlink::open().map_err(Step::Configure.on(name))?;
                setup::configure(&mut netlink, name, lease.mac, lease.mtu, lease.ip, None)?;
                link
            }
        };
        let dup = link.try_clone_fd().map_err(Step::AdoptTap.on(name))?;
        self.gateways.insert(name.to_owned(), dup);
        Ok(link)
    }

    fn create(&mut self, spec: &Spec<'_>) -> Result<Created<PortLink>, BackendError> {
        let (plan, fds) = self.plan(spec)?;
        let mut handle = Handle::spawn(&self.paths, &self.exe, spec.id, &self.shim_log)?;
        let pid = handle.pid;
        let answer = handle.ask(&Request::Create(plan), &fds);
        self.keep(handle)?;
        match answer {
            Ok((Reply::Created, mut fds)) => Ok(Created { pid, link: link_from(fds.pop(), spec)? }),
            Ok((Reply::Failed { failure }, _)) => Err(failure.into()),
            Ok((other, _)) => Err(unexpected(spec.id, &other).into()),
            Err(why) => Err(Step::AskShim.failed(spec.id.short(), why).into()),
        }
    }

    fn start(&mut self, id: &Id, command: Command) -> Result<(), StartError> {
        let attached = matches!(command.streams, Streams::Caller { .. });
        let fds = self.streams(id, command.streams).map_err(BackendError::from)?;
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        let answer = handle.ask(&Request::Start { process: command.process, attached }, &fds);
        match answer {
            Ok((Reply::Started, mut fds)) => {
                handle.init = fds.pop();
                Ok(())
            }
            Ok((Reply::NotStarted { why }, _)) => Err(start_error(why)),
            Ok((other, _)) => Err(BackendError::from(unexpected(id, &other)).into()),
            Err(why) => Err(BackendError::from(Step::AskShim.failed(id.short(), why)).into()),
        }
    }

    fn adopt(&mut self, spec: &Spec<'_>) -> Result<Adopted<PortLink>, BackendError> {
        let ended = |backend: &Self| Adopted::Ended { status: status_left(&backend.paths, spec.id) };
        let found = Handle::connect(&self.paths, spec.id).map_err(Step::Attach.on(spec.id.short()))?;
        let Some(mut handle) = found else {
            end_unknown(&self.paths, spec.id).map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(ended(self));
        };
        let (init, tap, gateway, fds) = match handle.ask(&Request::Attach, &[]) {
            Ok((Reply::Attached { init, tap, gateway }, fds)) => (init, tap, gateway, fds),
            Ok((Reply::Ended { .. }, _)) | Err(WireError::Closed) => {
                handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
                return Ok(ended(self));
            }
            Ok((other, _)) => return Err(unexpected(spec.id, &other).into()),
            Err(why) => return Err(Step::AskShim.failed(spec.id.short(), why).into()),
        };
        if !init {
            // Its creator died before the command was started, so it is on its way out.
            handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(Adopted::Ended { status: None });
        }
        let mut fds = fds.into_iter();
        handle.init = fds.next();
        let link = link_from(if tap { fds.next() } else { None }, spec);
        if let Some((bridge, fd)) = gateway.zip(fds.next()) {
            self.gateways.entry(bridge).or_insert(fd);
        }
        let pid = handle.pid;
        self.keep(handle)?;
        // An interface that was deleted inside is no reason to doubt the container.
        Ok(Adopted::Running { pid, link: link.unwrap_or_default() })
    }

    fn signal(&mut self, id: &Id, signal: i32) -> Result<(), BackendError> {
        if rustix::process::Signal::from_named_raw(signal).is_none() {
            return Err(Step::Signal.failed(id.short(), format!("{signal} is the number of no signal")).into());
        }
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        handle.tell(&Request::Signal { signal }).map_err(|why| Step::Signal.failed(id.short(), why).into())
    }

    fn destroy(&mut self, id: &Id) -> Result<Option<i32>, BackendError> {
        let known: Vec<u64> = self.handles.iter().filter(|(_, handle)| handle.id == *id).map(|(n, _)| *n).collect();
        let mut said = None;
        for number in &known {
            if let Some(handle) = self.handles.get_mut(number) {
                handle.end().map_err(Step::EndShim.on(id.short()))?;
                said = handle.ended;
            }
            self.handles.remove(number);
        }
        self.ended.retain(|(ended, _)| ended != id);
        if known.is_empty() && self.paths.container(id).exists() {
            end_unknown(&self.paths, id).map_err(Step::EndShim.on(id.short()))?;
        }
        let socket = self.paths.socket(id);
        absent_is_fine(std::fs::remove_file(&socket)).map_err(Step::Delete.on(socket.display()))?;
        // The status stays where it is until `discard`: whoever asked may die before it is saved elsewhere.
        Ok(said.or_else(|| status_left(&self.paths, id)))
    }

    fn poll_ended(&mut self) -> Option<(Id, i32)> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                return Some(ended);
            }
            let mut events = Vec::with_capacity(16);
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let waited = epoll::wait(&self.watch, rustix::buffer::spare_capacity(&mut events), Some(&now));
            if !waited.is_ok_and(|found| found > 0) {
                return None;
            }
            for event in &events {
                self.observe(event.data.u64());
            }
        }
    }

    fn discard(&mut self, id: &Id) -> Result<(), BackendError> {
        let (log, directory) = (self.paths.log(id), self.paths.container(id));
        absent_is_fine(std::fs::remove_file(&log)).map_err(Step::Delete.on(log.display()))?;
        absent_is_fine(std::fs::remove_dir_all(&directory)).map_err(Step::Delete.on(directory.display()))?;
        Ok(())
    }

    fn save(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        Ok(self.records.save(key, text).map_err(Step::SaveRecord.on(key))?)
    }

    fn forget(&mut self, key: &str) -> Result<(), BackendError> {
        Ok(self.records.forget(key).map_err(Step::DeleteRecord.on(key))?)
    }

    fn load(&mut self) -> Result<Vec<(String, String)>, BackendError> {
        Ok(self.records.load().map_err(Step::ReadRecords.on(self.paths.records().display()))?)
    }

    fn set_aside(&mut self, key: &str) -> Result<String, BackendError> {
        let place = self.records.set_aside(key).map_err(Step::SetAside.on(key))?;
        Ok(place.display().to_string())
    }
}

/// Ends the shim of an earlier daemon, if there is one, whatever it has come to.
fn end_unknown(paths: &Paths, id: &Id) -> std::io::Result<()> {
    if let Some(mut handle) = Handle::connect(paths, id)? {
        // For init's pidfd. One that has nothing to say any more is ended all the same.
        if let Ok((Reply::Attached { init: true, .. }, fds)) = handle.ask(&Request::Attach, &[]) {
            handle.init = fds.into_iter().next();
        }
        handle.end()?;
    }
    match Handle::find(paths, id)? {
        Some(mut handle) => handle.end(),
        None => Ok(()),
    }
}

fn interface_plan(interface: &Interface<'_>) -> InterfacePlan {
    let lease = interface.lease;
    InterfacePlan {
        name: interface.name.to_owned(),
        ip: lease.ip,
        mac: lease.mac,
        mtu: lease.mtu,
        gateway: lease.gateway,
        offload: interface.offload,
    }
}

fn link_from(tap: Option<OwnedFd>, spec: &Spec<'_>) -> Result<Option<PortLink>, Failure> {
    let Some((tap, interface)) = tap.zip(spec.interface) else { return Ok(None) };
    let link = PortLink::from_fd(tap, interface.offload).map_err(|why| Step::AdoptTap.failed(interface.name, why))?;
    Ok(Some(link))
}

fn unexpected(id: &Id, reply: &Reply) -> Failure {
    Step::AskShim.failed(id.short(), format!("it answers what was not asked: {reply:?}"))
}

fn start_error(why: NotStarted) -> StartError {
    match why {
        NotStarted::NotFound { command } => StartError::NotFound(command),
        NotStarted::NotExecutable { command, cause } => StartError::NotExecutable(command, cause),
        other @ NotStarted::Other { .. } => {
            let (object, cause) = ("the command".to_owned(), other.to_string());
            StartError::Backend(BackendError::Failed { operation: "start", object, cause, hint: None })
        }
    }
}
