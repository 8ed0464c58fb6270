//! What the manager may ask of a real host: [`Backend`] for [`Linux`], verb by verb.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use ipnet::Ipv4Net;
use rustix::event::{Timespec, epoll};
use switch::account::{Account, Counters};
use switch::link::port::PortLink;
use switch::link::tap::TapError;
use switch::mac::MacAddr;

use super::accounts::transmit_drops;
use super::adopt::end_unknown;
use super::{Linux, interface_plan};
use crate::backend::{
    Adopted, Backend, BackendError, Created, FirewallNews, Gateway, HostInterface, Interface, Links, Namespace, Noted,
    Spec, StartError, Which,
};
use crate::files::Files;
use crate::firewall::{GROUP, Policy};
use crate::guest::Place;
use crate::linux::endpoint::{host_end, make_veth, remove_veth};
use crate::linux::etc;
use crate::linux::failure::{Failure, Step};
use crate::linux::firewall::{self, Foreign, ForeignDrop};
use crate::linux::forwarding::Forwarding;
use crate::linux::guest;
use crate::linux::handle::{Handle, status_left};
use crate::linux::names::Resolver;
use crate::linux::netlink::Netlink;
use crate::linux::privilege::may_signal;
use crate::linux::process::{Command, NotStarted, Streams};
use crate::linux::protocol::{Reply, Request};
use crate::linux::publish::Publisher;
use crate::linux::records::{absent_is_fine, absent_is_none, make_directory};
use crate::linux::setup;
use crate::linux::signal::signal_of;
use crate::linux::survey::{index_of, index_with, prefixes};
use crate::name::Id;
use crate::names::NameTable;
use crate::network::EndpointKind;
use crate::publish::PortMapping;

impl Backend for Linux {
    type Link = PortLink;
    type Command = Command;

    fn host_prefixes(&mut self, except: Option<(&str, MacAddr)>) -> Result<Vec<Ipv4Net>, BackendError> {
        Ok(prefixes(except).map_err(Step::ReadHost.on("the host's addresses and routes"))?)
    }

    fn open_gateway(&mut self, gateway: &Gateway<'_>) -> Result<PortLink, BackendError> {
        let Gateway { name, lease } = *gateway;
        let kept = self.gateways.remove(name);
        let link = match kept {
            // As it was configured. Only if it still is there: the host may have deleted it.
            Some(fd) if index_of(name).is_some() => {
                PortLink::from_fd(fd, true).map_err(|why| Step::AdoptTap.failed(name, why))?
            }
            Some(_) | None => {
                wait_for_leftover(name, lease.mac).map_err(Step::ReadHost.on("the host's interfaces"))?;
                let link = PortLink::create(name, true).map_err(|why| match why {
                    TapError::NameTaken { name } => BackendError::NameTaken(name),
                    why => Step::CreateTap.failed(name, why).into(),
                })?;
                setup::disable_ipv6(name)?;
                let mut netlink = Netlink::open().map_err(Step::Configure.on(name))?;
                let index = setup::configure(&mut netlink, name, lease.mac, lease.mtu, lease.ip, None)?;
                netlink.set_group(index, GROUP).map_err(Step::Configure.on(name))?;
                link
            }
        };
        let dup = link.try_clone_fd().map_err(Step::AdoptTap.on(name))?;
        self.gateways.insert(name.to_owned(), dup);
        Ok(link)
    }

    fn close_gateway(&mut self, name: &str) -> Result<(), BackendError> {
        self.gateways.remove(name);
        // (By hand: the switch and shims may still hold its file.)
        let Some(index) = index_of(name) else { return Ok(()) };
        let gone = Netlink::open().and_then(|mut netlink| netlink.delete_link(index));
        if index_of(name).is_none() { Ok(()) } else { Ok(gone.map_err(Step::DeleteInterface.on(name))?) }
    }

    fn interface(&mut self, which: Which<'_>) -> Result<Option<HostInterface>, BackendError> {
        self.look_at_interface(which)
    }

    fn borrow_interface(&mut self, interface: &HostInterface) -> Result<PortLink, BackendError> {
        Linux::borrow_interface(self, interface)
    }

    fn return_interface(&mut self, identity: &str) -> Result<(), BackendError> {
        Linux::return_interface(self, identity)
    }

    fn have_interfaces_changed(&mut self) -> bool {
        self.hear_of_links();
        std::mem::take(&mut self.have_links_changed)
    }

    fn boot(&mut self) -> Result<String, BackendError> {
        const BOOT: &str = "/proc/sys/kernel/random/boot_id";
        Ok(fs::read_to_string(BOOT).map(|id| id.trim().to_owned()).map_err(Step::ReadBoot.on(BOOT))?)
    }

    fn create(&mut self, spec: &Spec<'_>) -> Result<Created<PortLink>, BackendError> {
        let (plan, fds) = self.plan(spec)?;
        if let Namespace::Guest(Place::Host { ifname }) = spec.namespace {
            guest::make_way(spec.id, ifname)?;
        }
        let (directory, note) = (self.paths.container(spec.id), self.paths.note(spec.id));
        make_directory(&directory).map_err(Step::CreateDirectory.on(directory.display()))?;
        write_note(&note, spec.id, spec.note).map_err(Step::SaveRecord.on(note.display()))?;
        if let Namespace::Of(target) = spec.namespace {
            let (theirs, own) = (self.paths.etc(target), self.paths.etc(spec.id));
            etc::share(&theirs, &own).map_err(Step::WriteFiles.on(own.display()))?;
        }
        let Linux { spawner, paths, exe, shim_log, files, .. } = self;
        let mut handle = Handle::spawn(spawner, paths, exe, spec.id, shim_log, files)?;
        let pid = handle.pid;
        let answer = handle.ask(&Request::Create(plan), &fds);
        self.keep(handle)?;
        match answer {
            Ok((Reply::Created, _)) => {
                let attached =
                    |interface: &Interface<'_>| Ok((interface.name.to_owned(), self.attach(spec.id, interface)?));
                let links: Result<Links<PortLink>, BackendError> = spec.interfaces.iter().map(attached).collect();
                let links = links?;
                self.remember_guest(spec, &links)?;
                Ok(Created { pid, links })
            }
            Ok((Reply::Failed { failure }, _)) => Err(failure.into()),
            Ok((other, _)) => Err(unexpected(spec.id, &other).into()),
            Err(why) => Err(Step::AskShim.failed(spec.id.short(), why).into()),
        }
    }

    fn attach(&mut self, id: &Id, interface: &Interface<'_>) -> Result<PortLink, BackendError> {
        let plan = interface_plan(interface);
        if interface.kind == EndpointKind::Veth {
            self.make_veth(id, interface)?;
        }
        let gateway = self.gateways.get(interface.bridge).map(OwnedFd::try_clone);
        let gateway = gateway.transpose().map_err(Step::AdoptTap.on(interface.bridge))?;
        let fds: Vec<OwnedFd> = gateway.into_iter().collect();
        match self.ask(id, &Request::AddInterface(plan), &fds)? {
            (Reply::Added, mut fds) => Ok(self.link(id, interface, fds.pop())?),
            (other, _) => Err(unexpected(id, &other).into()),
        }
    }

    fn detach(&mut self, id: &Id, ifname: &str, kind: EndpointKind) -> Result<(), BackendError> {
        if kind == EndpointKind::Veth {
            // Whether we know of it or not: a daemon that was killed may have made it before the shim knew.
            let host_end = host_end_of(id, ifname);
            remove_veth(&host_end)?;
            self.veths.remove(&host_end);
        }
        match self.ask(id, &Request::RemoveInterface { name: ifname.to_owned() }, &[]) {
            Ok((Reply::Changed, _)) | Err(BackendError::Gone) => Ok(()),
            Ok((other, _)) => Err(unexpected(id, &other).into()),
            Err(failed) => Err(failed),
        }
    }

    fn set_default_route(&mut self, id: &Id, route: Option<(&str, Ipv4Addr)>) -> Result<(), BackendError> {
        let route = route.map(|(ifname, gateway)| (ifname.to_owned(), gateway));
        match self.ask(id, &Request::DefaultRoute { route }, &[])? {
            (Reply::Changed, _) => Ok(()),
            (other, _) => Err(unexpected(id, &other).into()),
        }
    }

    fn start(&mut self, id: &Id, command: Command) -> Result<u32, StartError> {
        let attached = matches!(command.streams, Streams::Caller { .. });
        let fds = self.streams(id, command.streams).map_err(BackendError::from)?;
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        let answer = handle.ask(&Request::Start { process: command.process, attached }, &fds);
        match answer {
            Ok((Reply::Started { command }, mut fds)) => {
                handle.init = fds.pop();
                handle.command = command;
                Ok(command.unwrap_or(handle.pid))
            }
            Ok((Reply::NotStarted { why }, _)) => Err(start_error(why)),
            Ok((other, _)) => Err(BackendError::from(unexpected(id, &other)).into()),
            Err(why) => Err(BackendError::from(Step::AskShim.failed(id.short(), why)).into()),
        }
    }

    fn host_resolv_conf(&mut self) -> Result<String, BackendError> {
        Ok(etc::host_resolv_conf().map_err(Step::ReadHost.on("/etc/resolv.conf"))?)
    }

    fn write_files(&mut self, id: &Id, files: &Files) -> Result<(), BackendError> {
        Linux::write_files(self, id, files)
    }

    fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError> {
        self.unpublish(id)?;
        let shim = self.handle(id).ok_or(BackendError::Gone)?.pidfd.try_clone();
        let shim = shim.map_err(Step::SpawnShim.on(id.short()))?;
        let directory = self.paths.container(id);
        let publisher = Publisher::start(&directory, &self.exe, &shim, target, mappings, &self.shim_log)?;
        Ok(self.keep_publisher(id, publisher)?)
    }

    fn is_published(&mut self, id: &Id) -> bool {
        if !self.publishers.contains_key(id)
            && let Ok(Some(publisher)) = Publisher::adopt(&self.paths.container(id))
            && let Err(failed) = self.keep_publisher(id, publisher)
        {
            tracing::warn!("{}", BackendError::from(failed));
        }
        self.publishers.get(id).is_some_and(|publisher| !publisher.is_over())
    }

    fn poll_unpublished(&mut self) -> Option<Id> {
        self.unpublished.pop_front()
    }

    fn unpublish(&mut self, id: &Id) -> Result<(), BackendError> {
        let known = self.forget_publisher(id);
        let found = match known {
            Some(publisher) => Some(publisher),
            None => Publisher::adopt(&self.paths.container(id)).map_err(Step::EndPublisher.on(id.short()))?,
        };
        Ok(found.map_or(Ok(()), Publisher::end).map_err(Step::EndPublisher.on(id.short()))?)
    }

    fn forwarding(&mut self) -> Result<Option<String>, BackendError> {
        let now = Forwarding::read()?;
        if now.was_on() {
            // By itself, unless an instance of ours has noted how it was: this one, or another that is not to end it for us.
            let mut noted = firewall::journals()?.into_iter().map(|journal| journal.text);
            return Ok(noted.find(|text| before_us(text).is_ok()));
        }
        let text = serde_json::to_string(&now).map_err(|why| Step::ReadHost.failed("the host's forwarding", why))?;
        Ok(Some(text))
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        self.kept_on.keep()
    }

    fn stop_forwarding(&mut self, before: &str) -> Result<(), BackendError> {
        let before = before_us(before)?;
        // Our note goes first, our guard last: of two who leave at once, one finds no note of the other at least.
        self.leaving = true;
        let unnoted = self.apply_policy();
        if self.others_forward()? {
            return unnoted;
        }
        before.restore()?;
        // One who came since may have found all switched on, and nothing to do.
        if self.others_forward()? {
            self.kept_on.keep()?;
        }
        unnoted
    }

    fn protect(&mut self, policy: &Policy, before: Option<&str>) -> Result<(), BackendError> {
        self.leaving = false;
        self.policy = Some((policy.clone(), before.map(ToOwned::to_owned)));
        self.apply_policy()
    }

    fn pass_docker(&mut self, instance: &str, bridges: &[String]) -> Result<(), BackendError> {
        if bridges.is_empty() && !self.passes_docker {
            return Ok(());
        }
        self.passes_docker = true;
        firewall::pass_docker(instance, bridges)?;
        self.passes_docker = !bridges.is_empty();
        Ok(())
    }

    fn poll_firewall(&mut self) -> FirewallNews {
        let is_broken = self.is_firewall_broken();
        let mut heard = |take: fn(&mut firewall::Watch) -> bool| self.rules.as_mut().is_some_and(take);
        let (others_changed, others_restarted) =
            (heard(firewall::Watch::take_others), heard(firewall::Watch::take_chains));
        FirewallNews { is_broken, others_changed, others_restarted }
    }

    fn foreign_drops(&mut self, bridge: &str) -> Result<Vec<String>, BackendError> {
        let Foreign { drops, unread } = firewall::foreign_drops(bridge)?;
        let told = drops.into_iter().map(|drop| {
            let ForeignDrop { table, chain, remedy } = drop;
            format!("the host's own firewall drops what leaves {bridge} (table {table}, chain {chain}); to let it pass: {remedy}")
        });
        Ok(told.chain(unread).collect())
    }

    fn serve_names(&mut self, key: &str, gateway: Ipv4Addr, table: NameTable) -> Result<(), BackendError> {
        let mut resolver = match self.resolver.take() {
            Some(resolver) => resolver,
            None => Resolver::start().map_err(Step::Watch.on("for questions about names"))?,
        };
        let served = resolver.serve(key, gateway, table);
        self.resolver = Some(resolver);
        served
    }

    fn stop_names(&mut self, key: &str) {
        if let Some(resolver) = &mut self.resolver {
            resolver.stop(key);
        }
    }

    fn adopt(&mut self, spec: &Spec<'_>) -> Result<Adopted<PortLink>, BackendError> {
        self.take_over(spec)
    }

    fn replace_keeper(&mut self, spec: &Spec<'_>) -> Result<Option<u32>, BackendError> {
        self.start_another_keeper(spec)
    }

    fn guest_interface(&self, id: &Id) -> Option<String> {
        self.guest_name(id)
    }

    fn note(&mut self, id: &Id, note: &str) -> Result<(), BackendError> {
        let path = self.paths.note(id);
        Ok(write_note(&path, id, note).map_err(Step::SaveRecord.on(path.display()))?)
    }

    fn noted(&mut self) -> Result<Vec<Noted>, BackendError> {
        let directory = self.paths.containers();
        let read = || -> io::Result<Vec<Noted>> {
            let mut found = Vec::new();
            let Some(entries) = absent_is_none(fs::read_dir(&directory))? else { return Ok(found) };
            for entry in entries {
                let name = entry?.file_name();
                // A directory is named by the short id, and the rest of an id leads to nothing on disk.
                let Ok(short) = Id::try_from(format!("{:0<64}", name.to_string_lossy())) else { continue };
                let text = fs::read_to_string(self.paths.note(&short)).unwrap_or_default();
                let noted = text.split_once('\n').and_then(|(id, note)| {
                    let id = Id::try_from(id.to_owned()).ok().filter(|id| id.short() == short.short())?;
                    Some(Noted { id, note: Some(note.to_owned()) })
                });
                found.push(noted.unwrap_or(Noted { id: short, note: None }));
            }
            found.sort_by(|one, other| one.id.cmp(&other.id));
            Ok(found)
        };
        Ok(read().map_err(Step::ReadRecords.on(directory.display()))?)
    }

    fn signal(&mut self, id: &Id, signal: i32) -> Result<(), BackendError> {
        if signal_of(signal).is_none() {
            return Err(Step::Signal.failed(id.short(), format!("{signal} is the number of no signal")).into());
        }
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        // The shim sends it, and has no way to say that it may not.
        if handle.command.and_then(|command| may_signal(handle.pid, command)) == Some(false) {
            return Err(Step::Signal.denied(id.short()).into());
        }
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
        self.delete_unkept(id).map_err(Step::DeleteInterface.on(id.short()))?;
        let socket = self.paths.socket(id);
        absent_is_fine(fs::remove_file(&socket)).map_err(Step::Delete.on(socket.display()))?;
        // The status stays where it is until `discard`: whoever asked may die before it is saved elsewhere.
        Ok(said.or_else(|| status_left(&self.paths, id)))
    }

    fn poll_ended(&mut self) -> Option<(Id, i32)> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                return Some(ended);
            }
            let mut events = Vec::with_capacity(16);
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
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
        self.delete_unkept(id).map_err(Step::DeleteInterface.on(id.short()))?;
        let (log, directory) = (self.paths.log(id), self.paths.container(id));
        absent_is_fine(fs::remove_file(&log)).map_err(Step::Delete.on(log.display()))?;
        absent_is_fine(fs::remove_dir_all(&directory)).map_err(Step::Delete.on(directory.display()))?;
        Ok(())
    }

    fn account<T: Counters>(&mut self, key: &str, since: u64) -> Result<Account<T>, BackendError> {
        self.open_account(key, since)
    }

    fn accounts(&mut self) -> Result<Vec<String>, BackendError> {
        self.list_accounts()
    }

    fn close_account(&mut self, key: &str) -> Result<(), BackendError> {
        self.remove_account(key)
    }

    fn transmit_drops(&self, of: Option<(&Id, u32)>) -> BTreeMap<String, u64> {
        match self.guest_drops(of) {
            Some(drops) => drops,
            None => transmit_drops(of.map(|(_, pid)| pid)),
        }
    }

    fn save(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        Ok(self.records.save(key, text).map_err(Step::SaveRecord.on(key))?)
    }

    fn save_for_good(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        Ok(self.records.save_for_good(key, text).map_err(Step::SaveRecord.on(key))?)
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

/// The host's end of the veth pair that is this interface of a container.
fn host_end_of(id: &Id, ifname: &str) -> String {
    let number = ifname.trim_start_matches("eth").parse().unwrap_or(0);
    host_end(id, number)
}

/// The old note or the new one is there at any moment, never half of one.
fn write_note(path: &Path, id: &Id, note: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{id}\n{note}")).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// How the host forwarded before us, as it was saved.
fn before_us(before: &str) -> Result<Forwarding, Failure> {
    serde_json::from_str(before).map_err(|why| Step::ReadRecords.failed("the host's forwarding", why))
}

/// How long an interface of ours that nobody has any more may take to vanish.
const LEFTOVER: Duration = Duration::from_secs(2);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until an interface with this name and MAC is gone: one of ours. To delete one takes the kernel a while, so that it
/// may be there for a moment after a killed daemon.
#[expect(clippy::disallowed_methods, reason = "the kernel tells of a deletion only to who has asked before")]
fn wait_for_leftover(name: &str, mac: MacAddr) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    for _ in 0..LEFTOVER.as_millis() / LOOK_AGAIN.as_millis() {
        if index_of(name).is_none() || index_with(&mut netlink, name, mac)?.is_none() {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

impl Linux {
    /// The firewall as it was asked for last, and what there is now that the host must not hear.
    pub(super) fn apply_policy(&mut self) -> Result<(), BackendError> {
        // Those of containers that have ended went with them.
        self.veths.retain(|veth| index_of(veth).is_some());
        let Some((policy, before)) = &self.policy else { return Ok(()) };
        // Who leaves nothing behind silences nothing: a pair may be there a moment longer than its container.
        let is_over = policy.networks.is_empty();
        let silent = self.veths.iter().cloned().chain(self.borrowed_names());
        let silenced: Vec<String> = silent.filter(|_| !is_over).collect();
        let policy = match before {
            None => Policy { silenced, ..policy.clone() },
            Some(before) => {
                let forwarded = before_us(before)?.forwarded().map(ToOwned::to_owned).collect();
                let journal = if self.leaving { String::new() } else { before.clone() };
                Policy { guards: true, forwarded, journal, silenced, ..policy.clone() }
            }
        };
        firewall::apply(&policy)?;
        self.tables = policy.tables();
        Ok(())
    }

    /// Whether another instance needs the host to forward, which one of us has switched on.
    fn others_forward(&self) -> Result<bool, Failure> {
        let own = self.policy.as_ref().map(|(policy, _)| policy.instance.as_str());
        Ok(firewall::journals()?.iter().any(|journal| Some(journal.instance.as_str()) != own))
    }

    /// Puts one end of a veth pair into a container, where its shim configures it, and silences the other.
    fn make_veth(&mut self, id: &Id, interface: &Interface<'_>) -> Result<(), BackendError> {
        let host_end = host_end_of(id, interface.name);
        let shim = self.handle(id).ok_or(BackendError::Gone)?;
        make_veth(&host_end, interface.name, shim.pid, interface.lease.mtu)?;
        // The number was the shim's if that is still there.
        if shim.is_over() {
            remove_veth(&host_end)?;
            return Err(BackendError::Gone);
        }
        self.veths.insert(host_end);
        self.apply_policy()
    }

    /// The switch's end of an interface that is there; `tap` is its file, if it is one.
    pub(super) fn link(
        &mut self,
        id: &Id,
        interface: &Interface<'_>,
        tap: Option<OwnedFd>,
    ) -> Result<PortLink, Failure> {
        if interface.kind == EndpointKind::Veth {
            let host_end = host_end_of(id, interface.name);
            let link = PortLink::packet(&host_end).map_err(|why| Step::OpenPacketSocket.failed(&host_end, why))?;
            self.veths.insert(host_end);
            return Ok(link);
        }
        let tap = tap.ok_or_else(|| Step::AdoptTap.failed(interface.name, "its descriptor did not come"))?;
        PortLink::from_fd(tap, interface.offload).map_err(|why| Step::AdoptTap.failed(interface.name, why))
    }
}

pub(super) fn unexpected(id: &Id, reply: &Reply) -> Failure {
    Step::AskShim.failed(id.short(), format!("it answers what was not asked: {reply:?}"))
}

fn start_error(why: NotStarted) -> StartError {
    match why {
        NotStarted::NotFound { command } => StartError::NotFound(command),
        NotStarted::NotExecutable { command, cause } => StartError::NotExecutable(command, cause),
        other @ NotStarted::Other { .. } => {
            let (object, cause, hint) = ("the command".to_owned(), other.to_string(), other.hint());
            StartError::Backend(BackendError::Failed { operation: "start", object, cause, hint })
        }
    }
}
