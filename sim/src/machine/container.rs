//! [`Container`]: a shim and a command, from its creation to its end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

use netns::backend::{self, BackendError, Links, Spec, StartError};
use netns::files::Files;
use netns::name::Id;

use super::publish::Publisher;
use super::{HOST, Machine};
use crate::cable::{CableEnd, CableId};
use crate::clock::Wake;
use crate::interface::Kind;
use crate::namespace::NamespaceId;
use crate::processes::Process;
use crate::program::{self, Code, Command, Program};

/// The exit status of what signal N ended is this and N.
const SIGNALLED: i32 = 128;
const SIGKILL: i32 = 9;

/// A container, as the machine sees it: a shim and a command.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) pid: u32,
    pub(crate) namespace: NamespaceId,
    /// The cable of the interface that it keeps, if it is a guest: that lies wherever its engine has taken it.
    pub(super) keeps: Option<CableId>,
    /// Its interfaces by name, each with the bridge it belongs to.
    pub(super) interfaces: BTreeMap<String, String>,
    pub(crate) hostname: Option<String>,
    /// Whether its output is kept.
    pub(crate) logs: bool,
    pub(crate) log: String,
    /// What is known of it should its record be lost.
    pub(crate) note: String,
    /// Its own files in `/etc`.
    pub(crate) files: Files,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) state: State,
    /// What its command ended with, for whoever started it, also when the container is gone.
    pub(crate) exit: Rc<Cell<Option<i32>>>,
}

/// How far a command has come.
#[derive(Debug)]
pub(crate) enum State {
    Created,
    Running(Program),
    /// With the status, if the command ever ran.
    Ended(Option<i32>),
}

impl Container {
    pub(crate) fn is_alive(&self) -> bool {
        match self.state {
            State::Created | State::Running(_) => true,
            State::Ended(_) => false,
        }
    }
}

impl Machine {
    /// Makes the namespace and the interface of a container.
    pub(crate) fn create(&mut self, spec: &Spec<'_>) -> Result<(u32, Links<CableEnd>), BackendError> {
        if let backend::Namespace::Guest(place) = spec.namespace {
            return self.create_guest(spec, place);
        }
        let namespace = match spec.namespace {
            netns::backend::Namespace::New => self.new_namespace(),
            netns::backend::Namespace::Host | netns::backend::Namespace::Guest(_) => HOST,
            netns::backend::Namespace::Of(target) => self.living(target)?.namespace,
        };
        let container = Container {
            pid: self.new_pid(),
            namespace,
            keeps: None,
            interfaces: BTreeMap::new(),
            hostname: spec.hostname.map(str::to_owned),
            logs: spec.log,
            log: String::new(),
            note: spec.note.to_owned(),
            files: self.files_shared(spec),
            publisher: None,
            state: State::Created,
            exit: Rc::default(),
        };
        let pid = container.pid;
        self.containers.insert(spec.id.clone(), container);
        let attached =
            |interface: &backend::Interface<'_>| Ok((interface.name.to_owned(), self.attach(spec.id, interface)?));
        let links: Result<Links<CableEnd>, BackendError> = spec.interfaces.iter().map(attached).collect();
        Ok((pid, links?))
    }

    /// Those of the container that it joins.
    fn files_shared(&self, spec: &Spec<'_>) -> Files {
        match spec.namespace {
            backend::Namespace::Of(target) => {
                self.containers.get(target).map(|target| target.files.clone()).unwrap_or_default()
            }
            backend::Namespace::New | backend::Namespace::Host | backend::Namespace::Guest(_) => Files::default(),
        }
    }

    /// Writes a container's own files, which those who have joined it see too.
    pub(crate) fn write_files(&mut self, id: &Id, files: &Files) {
        let Some(namespace) = self.containers.get(id).map(|container| container.namespace) else { return };
        let sharing = self.containers.iter_mut().filter(|(other, container)| {
            *other == id || (namespace != HOST && container.namespace == namespace && container.is_alive())
        });
        for (_, container) in sharing {
            container.files.update(files);
        }
    }

    /// What is known of a container should its record be lost is now this.
    pub(crate) fn note(&mut self, id: &Id, note: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            note.clone_into(&mut container.note);
        }
    }

    /// Makes an interface in a living container.
    pub(crate) fn attach(&mut self, id: &Id, interface: &backend::Interface<'_>) -> Result<CableEnd, BackendError> {
        let namespace = self.living(id)?.namespace;
        if self.namespace(namespace).interface(interface.name).is_some() {
            return Err(BackendError::NameTaken(interface.name.to_owned()));
        }
        let (name, bridge) = (interface.name.to_owned(), interface.bridge.to_owned());
        if let Some(container) = self.containers.get_mut(id) {
            container.interfaces.insert(name, bridge);
        }
        let gateway = interface.is_default.then_some(interface.lease.gateway);
        let link = self.plug_in(namespace, interface.name, interface.lease, gateway, self.offload && interface.offload);
        if interface.announces {
            self.namespace(namespace).announce(interface.name);
        }
        Ok(link)
    }

    /// Deletes an interface of a container, if it is there.
    pub(crate) fn detach(&mut self, id: &Id, ifname: &str) {
        let Some(container) = self.containers.get_mut(id).filter(|container| container.is_alive()) else { return };
        let namespace = container.namespace;
        if container.interfaces.remove(ifname).is_some() {
            self.namespace(namespace).delete(ifname);
        }
    }

    /// Replaces the default route of a living container.
    pub(crate) fn set_default_route(&mut self, id: &Id, route: Option<(&str, Ipv4Addr)>) -> Result<(), BackendError> {
        let namespace = self.living(id)?.namespace;
        self.namespace(namespace).set_default_route(route);
        Ok(())
    }

    pub(crate) fn start(&mut self, id: &Id, command: Command) -> Result<u32, StartError> {
        match command.0 {
            program::Kind::Data(program) => self.start_program(id, program),
            program::Kind::Code(code) => self.start_code(id, code),
        }
    }

    fn start_code(&mut self, id: &Id, Code { name, main }: Code) -> Result<u32, StartError> {
        let container = self.containers.get_mut(id).ok_or(BackendError::Gone)?;
        container.state = State::Running(program::WITHOUT_HANDLERS);
        let (pid, namespace) = (container.pid, container.namespace);
        let process = Process { name, namespace, container: Some(id.clone()), is_program: true };
        self.begin_as(pid, process, program::main(main));
        Ok(pid)
    }

    fn start_program(&mut self, id: &Id, program: Program) -> Result<u32, StartError> {
        match program {
            Program::NotFound(name) => return Err(StartError::NotFound(name)),
            Program::NotExecutable(name) => return Err(StartError::NotExecutable(name, "Permission denied".into())),
            Program::Sleep | Program::Exit(_) | Program::SleepFor(..) | Program::Print(..) | Program::IgnoreTerm => {}
        }
        let clock = self.clock.clone();
        let container = self.containers.get_mut(id).ok_or(BackendError::Gone)?;
        if let Some((after, _)) = program.end() {
            clock.wake_at(clock.now() + after, Wake::Program(container.pid));
        }
        if container.logs {
            container.log.push_str(program.output());
        }
        container.state = State::Running(program);
        let pid = container.pid;
        self.plant.trace.event(clock.now(), &format!("container {} runs", id.short()));
        Ok(pid)
    }

    pub(crate) fn signal(&mut self, id: &Id, signal: i32) -> Result<(), BackendError> {
        let State::Running(program) = &self.living(id)?.state else { return Err(BackendError::Gone) };
        if program.dies_of(signal) {
            self.end_command(id, SIGNALLED + signal);
        }
        Ok(())
    }

    /// The command of a container has ended.
    pub(crate) fn end_command(&mut self, id: &Id, status: i32) {
        self.end(id, Some(status));
        self.ended.push_back((id.clone(), status));
    }

    /// The shim of a container is killed: all of it ends, and nobody is left to tell the status of its command. What a keeper held stays while
    /// a daemon holds it as well.
    pub(crate) fn kill_shim(&mut self, id: &Id) {
        if self.living(id).is_ok() {
            if !self.leave_to_the_daemon(id) {
                self.end(id, None);
            }
            self.ended.push_back((id.clone(), SIGNALLED + SIGKILL));
        }
    }

    /// The time of a command that ends by itself is over.
    pub(crate) fn run_out(&mut self, pid: u32) {
        let Some((id, container)) = self.containers.iter().find(|(_, container)| container.pid == pid) else { return };
        let State::Running(program) = &container.state else { return };
        let (id, Some((_, status))) = (id.clone(), program.end()) else { return };
        self.end_command(&id, status);
    }

    /// Ends all of a container, at once. Returns the status of its command, if it ever ran.
    pub(crate) fn destroy(&mut self, id: &Id) -> Option<i32> {
        self.ended.retain(|(ended, _)| ended != id);
        match self.containers.get(id)?.state {
            State::Running(_) => self.end(id, Some(SIGNALLED + SIGKILL)),
            State::Created => self.end(id, None),
            State::Ended(_) => self.delete_unkept(id),
        }
        match self.containers.get(id)?.state {
            State::Ended(status) => status,
            State::Created | State::Running(_) => None,
        }
    }

    pub(crate) fn poll_ended(&mut self) -> Option<(Id, i32)> {
        self.ended.pop_front()
    }

    /// Whether there is something that the daemon sees without being asked.
    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty() || !self.unpublished.is_empty() || self.has_firewall_news() || self.has_interface_news()
    }

    /// Other ends of the cables of a living container, of those interfaces that it still has.
    pub(crate) fn links_of(&mut self, id: &Id) -> Links<CableEnd> {
        let Some(container) = self.containers.get(id) else { return Vec::new() };
        if container.keeps.is_some() {
            return self.links_of_guest(id);
        }
        let (namespace, names) = (container.namespace, container.interfaces.keys().cloned().collect::<Vec<_>>());
        let namespace = self.namespace(namespace);
        let link = |name: String| match &namespace.interface(&name)?.kind {
            Kind::Cable(jack) => Some((name, jack.switch_end())),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        };
        names.into_iter().filter_map(link).collect()
    }

    /// A command and its processes end, and what only they kept goes with them. The kernel closes their sockets while there
    /// still are interfaces, so that their peers hear of it.
    pub(super) fn end(&mut self, id: &Id, status: Option<i32>) {
        let Some(container) = self.containers.get_mut(id).filter(|container| container.is_alive()) else { return };
        container.state = State::Ended(status);
        container.exit.set(Some(status.unwrap_or(SIGNALLED + SIGKILL)));
        let status_in_words = status.map_or_else(String::new, |status| format!(" with status {status}"));
        self.plant.trace.event(self.clock.now(), &format!("container {} ends{status_in_words}", id.short()));
        let (home, interfaces, pid) = (container.namespace, std::mem::take(&mut container.interfaces), container.pid);
        let keeps = container.keeps;
        let now = self.clock.now();
        self.end_processes(Some(id));
        self.retire_publisher(id);
        let is_empty = !self.containers.values().any(|other| other.namespace == home && other.is_alive());
        let namespace = self.namespace(home);
        namespace.close_all(pid, now);
        let gone: Vec<(NamespaceId, String)> = match keeps {
            Some(cable) => self.interface_on(cable).into_iter().collect(),
            None => interfaces.into_keys().map(|name| (home, name)).collect(),
        };
        for (namespace, name) in gone {
            let namespace = self.namespace(namespace);
            let cable = namespace.busy_cable(&name);
            namespace.delete(&name);
            self.last_words.extend(cable);
        }
        if is_empty && home != HOST {
            self.namespaces.remove(&home);
        }
        self.drop_gateways();
    }

    pub(super) fn living(&self, id: &Id) -> Result<&Container, BackendError> {
        self.containers.get(id).filter(|container| container.is_alive()).ok_or(BackendError::Gone)
    }
}
