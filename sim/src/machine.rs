//! [`Machine`]: all that outlives a daemon: namespaces, interfaces and their cables, processes, and what is on disk.
//!
//! On Linux the shims keep most of it. Here nothing has to be kept, it simply stays: but what a shim would not keep goes,
//! such as a gateway interface once neither a daemon nor a container of its network is left.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use ipnet::Ipv4Net;
use netns::backend::{self, BackendError, Links, Spec, StartError};
use netns::files::Files;
use netns::lease::Lease;
use netns::name::Id;
use netns::names::{NameTable, Response, Transport, unavailable};
use netns::publish::PortMapping;

use crate::cable::{Cable, CableEnd, CableId, cable};
use crate::clock::{Clock, Wake, mix};
use crate::context::WorldId;
use crate::executor::Executor;
use crate::interface::{Interface, Kind};
use crate::namespace::{Namespace, NamespaceId};
use crate::plant::Plant;
use crate::processes::{Process, Processes};
use crate::program::{self, Code, Command, Program};

/// The host's namespace, which is always there.
pub(crate) const HOST: NamespaceId = NamespaceId(0);
/// The exit status of what signal N ended is this and N.
const SIGNALLED: i32 = 128;
const SIGKILL: i32 = 9;

/// The machine that a daemon runs on.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) world: WorldId,
    pub(crate) clock: Clock,
    pub(crate) executor: Executor,
    pub(crate) processes: Processes,
    plant: Rc<Plant>,
    seed: u64,
    /// Whether interfaces send and take super-frames, unless a container is told otherwise.
    pub(crate) offload: bool,
    /// What new cables are like.
    shape: Cable,
    pub(crate) namespaces: BTreeMap<NamespaceId, Namespace>,
    pub(crate) containers: BTreeMap<Id, Container>,
    /// The host's interfaces that are gateways of ours.
    gateways: Vec<String>,
    pub(crate) disk: BTreeMap<String, String>,
    /// Who answers for names on the host, by the daemon's keys.
    responders: BTreeMap<String, Responder>,
    turn: u64,
    /// The host's `/etc/resolv.conf`.
    pub(crate) resolv_conf: String,
    /// How often it was started anew.
    pub(crate) boots: u32,
    ended: VecDeque<(Id, i32)>,
    /// Containers whose publisher was killed, for the daemon to hear of.
    pub(crate) unpublished: VecDeque<Id>,
    /// Cables of interfaces that are gone, and what is still in them was sent before that.
    pub(crate) last_words: Vec<CableId>,
    next_pid: u32,
    next_namespace: u32,
    next_cable: u32,
    next_socket: u64,
    pub(crate) crash: Option<Crash>,
    pub(crate) daemon: Daemon,
}

/// Answers for names on one network.
#[derive(Debug)]
struct Responder {
    socket: u64,
    table: NameTable,
}

/// The port of name servers (RFC 1035).
const DOMAIN: u16 = 53;
/// The process id of the daemon.
const DAEMON: u32 = 2;

/// Whether there is a daemon, as the machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    None,
    Alive,
    /// It was killed in the middle of something, and can do nothing any more.
    Killed,
}

/// What is to go wrong in the middle of something: most often, the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// After so many more times that something was saved or forgotten.
    AfterSaves(u32),
    /// After so many more calls that changed anything.
    AfterChanges(u32),
    /// Not at all: but this call of those that change anything fails, and does nothing.
    FailChange(u32),
}

/// A container, as the machine sees it: a shim and a command.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) pid: u32,
    pub(crate) namespace: NamespaceId,
    /// Its interfaces by name, each with the bridge it belongs to.
    interfaces: BTreeMap<String, String>,
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

/// Whoever has the ports of the host that a container publishes. Whose they are and where they lead is as on Linux; what
/// comes to them is passed on to nobody.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) target: Ipv4Addr,
    pub(crate) mappings: Vec<PortMapping>,
}

/// How far a command has come.
#[derive(Debug)]
pub(crate) enum State {
    Created,
    Running(Program),
    /// With the status, if the command ever ran.
    Ended(Option<i32>),
}

impl Machine {
    pub(crate) fn new(plant: &Rc<Plant>, seed: u64, shape: Cable, host: &[(String, Ipv4Net)]) -> Self {
        let mut machine = Machine {
            world: WorldId::new(),
            executor: Executor::new(&plant.clock),
            processes: Processes::new(),
            clock: plant.clock.clone(),
            plant: Rc::clone(plant),
            seed,
            offload: true,
            shape,
            namespaces: BTreeMap::new(),
            containers: BTreeMap::new(),
            gateways: Vec::new(),
            disk: BTreeMap::new(),
            responders: BTreeMap::new(),
            turn: 0,
            resolv_conf: String::new(),
            boots: 0,
            ended: VecDeque::new(),
            unpublished: VecDeque::new(),
            last_words: Vec::new(),
            next_pid: 1000,
            next_namespace: HOST.0,
            next_cable: 0,
            next_socket: 0,
            crash: None,
            daemon: Daemon::None,
        };
        machine.new_namespace();
        for (name, address) in host {
            machine.namespace(HOST).add_dummy(name, *address);
        }
        machine
    }

    /// A namespace that is known to be there.
    ///
    /// # Panics
    /// If it is not: its number comes from a container, and it lives as long as that.
    pub(crate) fn namespace(&mut self, id: NamespaceId) -> &mut Namespace {
        self.namespaces.get_mut(&id).unwrap_or_else(|| panic!("namespace {} is gone, but somebody is in it", id.0))
    }

    pub(crate) fn new_socket(&mut self) -> u64 {
        self.next_socket += 1;
        self.next_socket
    }

    /// Makes the host's interface in a network, or hands out the one that is left.
    pub(crate) fn open_gateway(&mut self, name: &str, lease: &Lease) -> Result<CableEnd, BackendError> {
        if let Some(interface) = self.namespace(HOST).interface(name) {
            return match &interface.kind {
                Kind::Cable(jack) => Ok(jack.switch_end()),
                Kind::Loopback(_) | Kind::Dummy(_) => Err(BackendError::NameTaken(name.to_owned())),
            };
        }
        self.gateways.push(name.to_owned());
        Ok(self.plug_in(HOST, name, lease, None, self.offload))
    }

    /// Answers for names at a gateway's address from now on, or from another table.
    pub(crate) fn serve_names(&mut self, key: &str, gateway: Ipv4Addr, table: NameTable) -> Result<(), BackendError> {
        if let Some(responder) = self.responders.get_mut(key) {
            responder.table = table;
            return Ok(());
        }
        let socket = self.new_socket();
        let bound = self.namespace(HOST).bind_datagrams(socket, DAEMON, SocketAddrV4::new(gateway, DOMAIN));
        bound.map_err(|why| BackendError::Failed {
            operation: "listen for questions at",
            object: gateway.to_string(),
            cause: why.to_string(),
            hint: None,
        })?;
        self.responders.insert(key.to_owned(), Responder { socket, table });
        Ok(())
    }

    /// Answers for names no more.
    pub(crate) fn stop_names(&mut self, key: &str) {
        let now = self.clock.now();
        if let Some(responder) = self.responders.remove(key) {
            self.namespace(HOST).close(responder.socket, now);
        }
    }

    /// Answers the questions that have come. There is nobody behind the host to pass any on to.
    pub(crate) fn answer_names(&mut self) {
        let now = self.clock.now();
        let Machine { responders, namespaces, turn, .. } = self;
        let Some(host) = namespaces.get_mut(&HOST) else { return };
        for responder in responders.values() {
            while let Ok(Some((from, query))) = host.stack.receive_datagram(responder.socket) {
                if !responder.table.serves(*from.ip()) {
                    continue;
                }
                *turn += 1;
                let beside = responder.table.beside.get(from.ip()).map_or(&[][..], Vec::as_slice);
                let others: Vec<&NameTable> =
                    beside.iter().filter_map(|key| responders.get(key)).map(|other| &other.table).collect();
                let answer = match responder.table.respond_beside(&others, &query, Transport::Udp, *turn) {
                    Response::Answer(answer) => Some(answer),
                    Response::Forward => unavailable(&query),
                    Response::Ignore => None,
                };
                if let Some(answer) = answer {
                    // Who has no route back gets no answer.
                    let _ = host.send_datagram(responder.socket, from, &answer, now);
                }
            }
        }
    }

    /// Makes the namespace and the interface of a container.
    pub(crate) fn create(&mut self, spec: &Spec<'_>) -> Result<(u32, Links<CableEnd>), BackendError> {
        let namespace = match spec.namespace {
            netns::backend::Namespace::New => self.new_namespace(),
            netns::backend::Namespace::Host => HOST,
            netns::backend::Namespace::Of(target) => self.living(target)?.namespace,
        };
        let container = Container {
            pid: self.new_pid(),
            namespace,
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
            backend::Namespace::New | backend::Namespace::Host => Files::default(),
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

    /// Whoever has a container's ports of the host is killed.
    pub(crate) fn kill_publisher(&mut self, id: &Id) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.publisher.take().is_some() && self.daemon == Daemon::Alive {
            self.unpublished.push_back(id.clone());
        }
    }

    /// What is known of a container should its record be lost is now this.
    pub(crate) fn note(&mut self, id: &Id, note: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            note.clone_into(&mut container.note);
        }
    }

    /// Gives a living container ports of the host, all or none, in place of those that it had.
    pub(crate) fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError> {
        self.living(id)?;
        self.unpublish(id);
        let taken = self.containers.values().filter_map(|container| container.publisher.as_ref());
        let taken: Vec<&PortMapping> = taken.flat_map(|publisher| &publisher.mappings).collect();
        if let Some(wanted) = mappings.iter().find(|wanted| taken.iter().any(|taken| wanted.overlaps(taken))) {
            return Err(BackendError::Failed {
                operation: "publish",
                object: wanted.host_side(),
                cause: "Address already in use".to_owned(),
                hint: None,
            });
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.publisher = Some(Publisher { target, mappings: mappings.to_vec() });
        }
        Ok(())
    }

    /// A container's ports of the host are free.
    pub(crate) fn unpublish(&mut self, id: &Id) {
        if let Some(container) = self.containers.get_mut(id) {
            container.publisher = None;
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
        self.namespace(namespace).announce(interface.name);
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

    /// Deletes the host's interface in a network.
    pub(crate) fn close_gateway(&mut self, name: &str) {
        self.gateways.retain(|gateway| gateway != name);
        self.namespace(HOST).delete(name);
    }

    pub(crate) fn new_pid(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid
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
        let process = Process { name, namespace, container: Some(id.clone()) };
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

    /// The shim of a container is killed: all of it ends, and nobody is left to tell the status of its command.
    pub(crate) fn kill_shim(&mut self, id: &Id) {
        if self.living(id).is_ok() {
            self.end(id, None);
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
            State::Ended(_) => {}
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
        !self.ended.is_empty() || !self.unpublished.is_empty()
    }

    /// Other ends of the cables of a living container, of those interfaces that it still has.
    pub(crate) fn links_of(&mut self, id: &Id) -> Links<CableEnd> {
        let Some(container) = self.containers.get(id) else { return Vec::new() };
        let (namespace, names) = (container.namespace, container.interfaces.keys().cloned().collect::<Vec<_>>());
        let namespace = self.namespace(namespace);
        let link = |name: String| match &namespace.interface(&name)?.kind {
            Kind::Cable(jack) => Some((name, jack.switch_end())),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        };
        names.into_iter().filter_map(link).collect()
    }

    /// Everything that runs is gone. What is on disk stays.
    pub(crate) fn reboot(&mut self) {
        self.daemon = Daemon::None;
        self.crash = None;
        self.boots += 1;
        let all: Vec<Id> = self.containers.keys().cloned().collect();
        all.iter().for_each(|id| self.end(id, None));
        self.end_processes(None);
        self.last_words.clear();
        self.containers.clear();
        self.end_responders();
        self.ended.clear();
        self.drop_gateways();
    }

    /// They are threads of the daemon.
    fn end_responders(&mut self) {
        let keys: Vec<String> = self.responders.keys().cloned().collect();
        keys.iter().for_each(|key| self.stop_names(key));
    }

    /// A daemon starts. It is told of ends that it lives to see; of earlier ones it asks itself.
    pub(crate) fn daemon_starts(&mut self) {
        self.daemon = Daemon::Alive;
        self.ended.clear();
        self.unpublished.clear();
    }

    /// The daemon is gone: shims that wait for its word give up, and what nobody keeps goes.
    pub(crate) fn daemon_ends(&mut self) {
        self.daemon = Daemon::None;
        self.crash = None;
        let waiting: Vec<Id> = self
            .containers
            .iter()
            .filter(|(_, container)| matches!(container.state, State::Created))
            .map(|(id, _)| id.clone())
            .collect();
        waiting.iter().for_each(|id| self.end(id, None));
        self.end_responders();
        self.drop_gateways();
    }

    /// A command and its processes end, and what only they kept goes with them. The kernel closes their sockets while there
    /// still are interfaces, so that their peers hear of it.
    fn end(&mut self, id: &Id, status: Option<i32>) {
        let Some(container) = self.containers.get_mut(id).filter(|container| container.is_alive()) else { return };
        container.state = State::Ended(status);
        container.publisher = None;
        container.exit.set(Some(status.unwrap_or(SIGNALLED + SIGKILL)));
        let status_in_words = status.map_or_else(String::new, |status| format!(" with status {status}"));
        self.plant.trace.event(self.clock.now(), &format!("container {} ends{status_in_words}", id.short()));
        let (home, interfaces, pid) = (container.namespace, std::mem::take(&mut container.interfaces), container.pid);
        let now = self.clock.now();
        self.end_processes(Some(id));
        let is_empty = !self.containers.values().any(|other| other.namespace == home && other.is_alive());
        let namespace = self.namespace(home);
        namespace.close_all(pid, now);
        let cables: Vec<CableId> = interfaces.keys().filter_map(|name| namespace.busy_cable(name)).collect();
        interfaces.keys().for_each(|interface| namespace.delete(interface));
        if is_empty && home != HOST {
            self.namespaces.remove(&home);
        }
        self.last_words.extend(cables);
        self.drop_gateways();
    }

    fn drop_gateways(&mut self) {
        if self.daemon == Daemon::Alive {
            return;
        }
        for name in std::mem::take(&mut self.gateways) {
            let is_kept = |container: &Container| {
                container.is_alive() && container.interfaces.values().any(|bridge| *bridge == name)
            };
            if self.containers.values().any(is_kept) {
                self.gateways.push(name);
            } else {
                self.namespace(HOST).delete(&name);
            }
        }
    }

    fn living(&self, id: &Id) -> Result<&Container, BackendError> {
        self.containers.get(id).filter(|container| container.is_alive()).ok_or(BackendError::Gone)
    }

    fn new_namespace(&mut self) -> NamespaceId {
        let id = NamespaceId(self.next_namespace);
        self.next_namespace += 1;
        let seed = mix(self.seed ^ u64::from(id.0) << 32);
        self.namespaces.insert(id, Namespace::new(id, &self.clock, seed));
        id
    }

    pub(crate) fn new_cable(&mut self) -> CableId {
        self.next_cable += 1;
        CableId(self.next_cable)
    }

    /// What new cables are like.
    pub(crate) fn shape(&self) -> Cable {
        self.shape
    }

    fn plug_in(
        &mut self,
        namespace: NamespaceId,
        name: &str,
        lease: &Lease,
        gateway: Option<Ipv4Addr>,
        offload: bool,
    ) -> CableEnd {
        let jack = cable(self.new_cable(), &self.plant, namespace, self.shape);
        jack.set_offload(offload);
        let link = jack.switch_end();
        let namespace = self.namespace(namespace);
        namespace.add(Interface::new(name, lease.mac, lease.mtu, Kind::Cable(jack)), lease.ip);
        if let Some(gateway) = gateway {
            namespace.add_default_route(gateway, name);
        }
        link
    }
}

impl Crash {
    /// Counts one more; whether it was the last.
    pub(crate) fn is_now(&mut self) -> bool {
        let (Crash::AfterSaves(left) | Crash::AfterChanges(left) | Crash::FailChange(left)) = self;
        *left = left.saturating_sub(1);
        *left == 0
    }
}

impl Container {
    pub(crate) fn is_alive(&self) -> bool {
        match self.state {
            State::Created | State::Running(_) => true,
            State::Ended(_) => false,
        }
    }
}
