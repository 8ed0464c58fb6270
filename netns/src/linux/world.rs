//! [`Linux`]: the backend of a real host.
//!
//! It holds no namespace open: a descriptor of one, as of a TAP in it, would keep it for ever. What stands for a container is
//! its shim, and what is held of a shim is a channel and pidfds.

mod accounts;
mod adopt;
mod borrow;
mod guests;
mod verbs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::epoll;
use rustix::process::Rlimit;

use super::borrow::Watch as LinkWatch;
use super::failure::{Failure, Step};
use super::firewall;
use super::forwarding::KeptOn;
use super::handle::{Handle, KILLED, PATIENCE, is_over_within, status_left};
use super::limits::allow_more_files;
use super::names::Resolver;
use super::paths::Paths;
use super::process::Streams;
use super::protocol::{InterfacePlan, NetworkNamespace, Plan, Reply, Request};
use super::publish::Publisher;
use super::records::{Records, make_directory};
use super::spawn::Spawner;
use crate::backend::{BackendError, Interface, Namespace, Spec};
use crate::firewall::{Policy, Tables};
use crate::name::Id;

/// Which number of what is watched is the firewall's.
const RULES: u64 = u64::MAX;
/// Which is that of the host's interfaces.
const LINKS: u64 = u64::MAX - 1;

/// Containers in namespaces of the kernel, TAPs as links. It acts in the network and mount namespace of the thread that
/// calls it, which is the host as far as it knows.
#[derive(Debug)]
pub struct Linux {
    paths: Paths,
    exe: PathBuf,
    spawner: Spawner,
    records: Records,
    shim_log: File,
    /// Ready when a container may have ended.
    watch: OwnedFd,
    handles: BTreeMap<u64, Handle>,
    next: u64,
    /// Gateways' TAPs, by the name of the bridge: of the one that is open, or of those that adopted shims kept.
    gateways: BTreeMap<String, OwnedFd>,
    ended: VecDeque<(Id, i32)>,
    /// Interfaces of guests whose keepers were killed, as [`Handle::guest`]: there by our hold alone.
    unkept: BTreeMap<Id, (String, OwnedFd)>,
    /// The host's ends of veth pairs, whose ingress the host's own stack must not hear.
    veths: BTreeSet<String>,
    /// The indices of interfaces of the host that are ports, by identity: the host's own stack must not hear them either.
    borrowed: BTreeMap<String, u32>,
    /// What becomes of the host's interfaces, while one of them is borrowed; and whether anything did.
    links: Option<LinkWatch>,
    have_links_changed: bool,
    /// The firewall's policy, once there is one, and how the host forwarded before us.
    policy: Option<(Policy, Option<String>)>,
    /// The tables that stand for it, unless somebody has taken them away.
    tables: Tables,
    /// What becomes of them; none where the kernel does not tell.
    rules: Option<firewall::Watch>,
    /// Whether we need what forwards on the host no more, so that it is not for our sake that others leave it on.
    leaving: bool,
    /// Whether Docker's rules let bridges of ours pass by our doing.
    passes_docker: bool,
    /// Who answers for names, once there is something to answer.
    resolver: Option<Resolver>,
    /// Who passes on to published ports, by container.
    publishers: BTreeMap<Id, Publisher>,
    /// Which number of what is watched is whose publisher.
    watched: BTreeMap<u64, Id>,
    /// Containers whose publisher somebody has ended.
    unpublished: VecDeque<Id>,
    /// That the host forwards.
    kept_on: KeptOn,
    /// How many open files were allowed before we took more: the containers' limit.
    files: Rlimit,
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
        let spawner = Spawner::start().map_err(Step::SpawnShim.on("any container"))?;
        let records = Records::open(paths.records()).map_err(Step::CreateDirectory.on(paths.records().display()))?;
        let log = paths.shim_log();
        let shim_log = File::options().create(true).append(true).open(&log).map_err(Step::OpenLog.on(log.display()))?;
        // A container costs us half a dozen.
        let files = allow_more_files().map_err(Step::Watch.on("more open files"))?;
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(Step::Watch.on("containers"))?;
        let rules = match firewall::Watch::start() {
            Ok(rules) => {
                let data = epoll::EventData::new_u64(RULES);
                epoll::add(&watch, &rules, data, epoll::EventFlags::IN).map_err(Step::Watch.on("the firewall"))?;
                Some(rules)
            }
            Err(why) => {
                tracing::debug!("hear of changes of the firewall: {why}");
                None
            }
        };
        Ok(Linux {
            paths,
            exe,
            spawner,
            records,
            shim_log,
            watch,
            handles: BTreeMap::new(),
            next: 0,
            gateways: BTreeMap::new(),
            ended: VecDeque::new(),
            unkept: BTreeMap::new(),
            veths: BTreeSet::new(),
            borrowed: BTreeMap::new(),
            links: None,
            have_links_changed: false,
            policy: None,
            tables: Tables::default(),
            rules,
            leaving: false,
            passes_docker: false,
            resolver: None,
            publishers: BTreeMap::new(),
            watched: BTreeMap::new(),
            unpublished: VecDeque::new(),
            kept_on: KeptOn::default(),
            files,
        })
    }

    /// Becomes readable when [`crate::backend::Backend::poll_ended`] should be asked.
    #[must_use]
    pub fn ended_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Lets go of the gateways' interfaces, and waits for the shims of containers that have ended. To be called by a daemon
    /// that ends, before it lets the next one in.
    pub fn let_go(&mut self) {
        self.gateways.clear();
        self.wait_until_clean();
    }

    /// Waits for the shims of containers that have ended: they tell of the end first and delete the interface then.
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

    /// Ends this process, as by SIGKILL, in so many steps: for tests of recovery. Each change of what is saved has two, before it
    /// and after it.
    pub fn crash_after_steps(&mut self, steps: u32) {
        self.records.crash_after(steps);
    }

    /// The youngest is looked at first: it is the one that is being started.
    fn handle(&mut self, id: &Id) -> Option<&mut Handle> {
        self.handles.values_mut().rev().find(|handle| handle.id == *id && handle.ended.is_none())
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

    /// Keeps a publisher, and watches it from now on.
    fn keep_publisher(&mut self, id: &Id, publisher: Publisher) -> Result<(), Failure> {
        let data = epoll::EventData::new_u64(self.next);
        let watched = epoll::add(&self.watch, publisher.as_fd(), data, epoll::EventFlags::IN);
        self.forget_publisher(id);
        self.watched.insert(self.next, id.clone());
        self.next += 1;
        self.publishers.insert(id.clone(), publisher);
        watched.map_err(Step::Watch.on(id.short()))
    }

    /// Lets go of a container's publisher, which is watched no more once its descriptor is closed.
    fn forget_publisher(&mut self, id: &Id) -> Option<Publisher> {
        self.watched.retain(|_, other| other != id);
        self.unpublished.retain(|other| other != id);
        self.publishers.remove(id)
    }

    /// A publisher has ended: with its container, or somebody has ended it.
    fn observe_publisher(&mut self, id: &Id) {
        if let Some(publisher) = self.forget_publisher(id) {
            // That it is over is known: this leaves no zombie.
            let _ = publisher.end();
        }
        let is_over = |shim: &mut Handle| is_over_within(&shim.pidfd, Duration::ZERO).unwrap_or(true);
        if self.handle(id).is_some_and(|shim| !is_over(shim)) {
            self.unpublished.push_back(id.clone());
        }
    }

    /// Takes in what was said of the firewall. Whether something of ours is missing.
    fn is_firewall_broken(&mut self) -> bool {
        // Before there is a policy there is nothing to miss.
        let instance = self.policy.as_ref().map_or("", |(policy, _)| policy.instance.as_str());
        self.rules.as_mut().is_some_and(|rules| rules.is_broken(instance, self.tables))
    }

    /// Looks at a shim or a publisher of which something was heard.
    fn observe(&mut self, number: u64) {
        if number == RULES {
            self.is_firewall_broken();
            return;
        }
        if number == LINKS {
            self.hear_of_links();
            return;
        }
        if let Some(id) = self.watched.get(&number).cloned() {
            return self.observe_publisher(&id);
        }
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
                    // It was killed, and could not clear up behind itself. What it kept there is as long as we hold it.
                    self.unkept.extend(handle.guest.take().map(|guest| (handle.id.clone(), guest)));
                    let _ = std::fs::remove_file(self.paths.socket(&handle.id));
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
        let (mut fds, mut place) = (Vec::new(), None);
        let namespace = match spec.namespace {
            Namespace::New => NetworkNamespace::New,
            Namespace::Host => NetworkNamespace::Host,
            Namespace::Of(target) => {
                let shim = self.handle(target).ok_or(BackendError::Gone)?;
                shim.tell(&Request::Share).map_err(|why| Step::JoinNamespace.failed(target.short(), why))?;
                fds.push(shim.pidfd.try_clone().map_err(Step::JoinNamespace.on(target.short()))?);
                NetworkNamespace::Joined
            }
            Namespace::Guest(to) => {
                place = Some(to.clone());
                NetworkNamespace::Host
            }
        };
        Ok((Plan { namespace, hostname: spec.hostname.map(ToOwned::to_owned), place }, fds))
    }

    /// Asks the shim of a container for something, and waits for the answer. That it says meanwhile that the container has
    /// ended is not lost.
    fn ask(&mut self, id: &Id, request: &Request, fds: &[OwnedFd]) -> Result<(Reply, Vec<OwnedFd>), BackendError> {
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        let answer = handle.ask(request, fds);
        match answer {
            Ok((Reply::Ended { status }, _)) => {
                handle.ended = Some(status);
                self.ended.push_back((id.clone(), status));
                Err(BackendError::Gone)
            }
            Ok((Reply::Failed { failure }, _)) => Err(failure.into()),
            Ok(answer) => Ok(answer),
            Err(why) => Err(Step::AskShim.failed(id.short(), why).into()),
        }
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

fn interface_plan(interface: &Interface<'_>) -> InterfacePlan {
    let lease = interface.lease;
    InterfacePlan {
        name: interface.name.to_owned(),
        kind: interface.kind,
        ip: lease.ip,
        mac: lease.mac,
        mtu: lease.mtu,
        default_route: interface.is_default.then_some(lease.gateway),
        offload: interface.offload,
        announces: interface.announces,
        bridge: interface.bridge.to_owned(),
    }
}
