//! What a shim does when it is asked to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::task::Task;
use super::{FIRST, MAX_TASKS, Shim};
use crate::linux::failure::{Failure, Step};
use crate::linux::netlink::Netlink;
use crate::linux::paths::etc_in;
use crate::linux::process::{NotStarted, Process};
use crate::linux::protocol::{Event, InitOrder, InterfacePlan, Reply, Request};
use crate::linux::setup::{make_interface, route as route_to};
use crate::linux::wire::{Channel, MAX_FDS};

impl Shim {
    pub(super) fn serve(&mut self, peer: u64, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Create(_) => self.peers.remove(&peer).map_or((), drop),
            Request::AddInterface(plan) => self.add_interface(peer, plan, fds),
            Request::Keep(plan) => self.keep(peer, plan, fds),
            Request::RemoveInterface { name } => {
                let removed = self.remove_interface(&name);
                self.tell_changed(peer, removed);
            }
            Request::DefaultRoute { route } => {
                let routed = route_to(route.as_ref().map(|(name, gateway)| (name.as_str(), *gateway)));
                self.tell_changed(peer, routed);
            }
            Request::Start { process, attached } => self.start(peer, process, attached, fds),
            Request::Attach => self.attach(peer),
            Request::Share => self.shared = true,
            Request::Signal { signal } => self.signal(FIRST, signal),
            Request::Kill => self.kill(),
            Request::Exec { process } => self.exec(process, fds),
        }
    }

    fn start(&mut self, peer: u64, process: Process, attached: bool, mut fds: Vec<OwnedFd>) {
        let mut attached = if attached { fds.pop().map(Channel::from) } else { None };
        let started = if peer == FIRST && !self.tasks.contains_key(&FIRST) && self.place.is_none() {
            Task::init(self.init_order(process), &fds)
        } else {
            Err(NotStarted::other("start", "the command", "only its creator can, once"))
        };
        match started {
            Ok(task) => {
                let (init, command) = (task.pidfd.try_clone(), task.command_pid());
                let task = self.tasks.entry(FIRST).or_insert(task);
                task.attached = attached;
                task.tell(&Event::Started);
                if let Ok(init) = init {
                    self.reply(peer, &Reply::Started { command }, &[init.as_fd()]);
                }
            }
            Err(why) => {
                refuse(attached.as_mut(), &why);
                self.reply(peer, &Reply::NotStarted { why }, &[]);
            }
        }
    }

    fn add_interface(&mut self, peer: u64, plan: InterfacePlan, fds: Vec<OwnedFd>) {
        let made = if self.place.is_some() { self.make_for_guest(&plan) } else { make_interface(&plan) };
        let made = made.and_then(|interface| {
            let tap = interface.tap.as_ref().map(|tap| tap.as_fd().try_clone_to_owned()).transpose();
            Ok((interface, tap.map_err(Step::CreateTap.on(&plan.name))?))
        });
        match made {
            Ok((interface, tap)) => {
                self.interfaces.insert(plan.name, interface);
                self.gateways.extend(fds.into_iter().next().map(|fd| (plan.bridge, fd)));
                self.reply(peer, &Reply::Added, &tap.iter().map(AsFd::as_fd).collect::<Vec<_>>());
            }
            Err(failure) => self.reply(peer, &Reply::Failed { failure }, &[]),
        }
    }

    /// Deletes an interface that was made here; whatever else is called so is the container's own affair.
    fn remove_interface(&mut self, name: &str) -> Result<(), Failure> {
        let Some(interface) = self.interfaces.get(name) else { return Ok(()) };
        let Some(index) = interface.index else {
            self.close();
            return Ok(());
        };
        let gone = Netlink::open().and_then(|mut netlink| netlink.delete_link(index));
        match gone {
            // It was deleted inside.
            Err(why) if why.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {}
            gone => gone.map_err(Step::DeleteInterface.on(name))?,
        }
        self.interfaces.remove(name);
        // A network that the container is on no more may go.
        let Shim { interfaces, gateways, .. } = self;
        gateways.retain(|bridge, _| interfaces.values().any(|interface| interface.bridge == *bridge));
        Ok(())
    }

    fn tell_changed(&mut self, peer: u64, outcome: Result<(), Failure>) {
        let reply = outcome.map_or_else(|failure| Reply::Failed { failure }, |()| Reply::Changed);
        self.reply(peer, &reply, &[]);
    }

    fn init_order(&self, process: Process) -> InitOrder {
        let etc = etc_in(&self.directory);
        InitOrder { process, own_sysfs: self.own_sysfs, etc: etc.is_dir().then(|| etc.into_os_string().into()) }
    }

    fn attach(&mut self, peer: u64) {
        let init = self.tasks.get(&FIRST).map(|task| task.pidfd.try_clone());
        let taps = self.interfaces.values().filter_map(|interface| interface.tap.as_ref());
        let taps = taps.map(|tap| tap.as_fd().try_clone_to_owned());
        let gateways = self.gateways.values().map(OwnedFd::try_clone);
        let fds: Result<Vec<OwnedFd>, io::Error> = init.into_iter().chain(taps).chain(gateways).collect();
        let fds = match fds {
            Ok(fds) if fds.len() <= MAX_FDS => fds,
            // Said, not left to be guessed from a silence, which could be the container's end.
            Ok(fds) => {
                let failure =
                    Step::Attach.failed("a shim", format_args!("it has {} descriptors to hand over", fds.len()));
                return self.reply(peer, &Reply::Failed { failure }, &[]);
            }
            Err(why) => {
                let failure = Step::Attach.on::<io::Error>("a shim")(why);
                return self.reply(peer, &Reply::Failed { failure }, &[]);
            }
        };
        let reply = Reply::Attached {
            init: self.tasks.contains_key(&FIRST),
            command: self.tasks.get(&FIRST).and_then(Task::command_pid),
            interfaces: self.interfaces.iter().map(|(name, own)| (name.clone(), own.tap.is_some())).collect(),
            gateways: self.gateways.keys().cloned().collect(),
        };
        self.reply(peer, &reply, &fds.iter().map(AsFd::as_fd).collect::<Vec<_>>());
    }

    fn exec(&mut self, process: Process, mut fds: Vec<OwnedFd>) {
        let mut attached = fds.pop().map(Channel::from);
        let room = self.tasks.len() < MAX_TASKS;
        let started = match self.tasks.get(&FIRST) {
            Some(init) if room => Task::exec(process, &fds, &init.pidfd),
            Some(_) => Err(NotStarted::other("start", "the command", "the container has too many already")),
            None => Err(NotStarted::other("start", "the command", "the container does not run")),
        };
        match started {
            Ok(mut task) => {
                task.attached = attached;
                let number = self.number();
                self.tasks.insert(number, task);
            }
            Err(why) => refuse(attached.as_mut(), &why),
        }
    }

    fn signal(&mut self, task: u64, signal: i32) {
        if let Some(task) = self.tasks.get(&task) {
            task.signal(signal);
        }
    }

    /// Ends init, and every process with it. Without one there is nothing to wait for, but an interface that is kept.
    fn kill(&mut self) {
        match self.tasks.get(&FIRST) {
            Some(init) => init.kill(),
            None => {
                drop(self.peers.remove(&FIRST));
                if self.keeps() {
                    self.close();
                }
            }
        }
    }
}

/// Tells whoever asked for a command that there is none.
fn refuse(attached: Option<&mut Channel>, why: &NotStarted) {
    if let Some(attached) = attached {
        let _ = attached.send(&Event::NotStarted { why: why.clone() }, &[]);
    }
}
