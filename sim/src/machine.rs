//! [`Machine`]: all that outlives a daemon: namespaces, interfaces and their cables, processes, and what is on disk.
//!
//! On Linux the shims keep most of it. Here nothing has to be kept, it simply stays: but what a shim would not keep goes,
//! such as a gateway interface once neither a daemon nor a container of its network is left.

mod borrow;
mod container;
mod counters;
mod guard;
mod guest;
mod names;
mod publish;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;

use ipnet::Ipv4Net;
use netns::backend::BackendError;
use netns::lease::{DEFAULT_MTU, Lease};
use netns::name::Id;
use switch::account::Home;
use switch::mac::MacAddr;

use self::borrow::Borrowed;
pub(crate) use self::container::{Container, State};
use self::guard::Guard;
use self::names::Responder;
use crate::cable::{Cable, CableEnd, CableId, cable, wire};
use crate::clock::{Clock, mix};
use crate::context::WorldId;
use crate::executor::Executor;
use crate::interface::{Interface, Kind};
use crate::namespace::{Namespace, NamespaceId};
use crate::plant::Plant;
use crate::processes::Processes;

/// The host's namespace, which is always there.
pub(crate) const HOST: NamespaceId = NamespaceId(0);
/// What the interface of a host outside is called there.
pub(crate) const OUTSIDE_INTERFACE: &str = "eth0";
/// What the MACs of the host's own interfaces begin with; their address follows.
pub(crate) const HOST_OUI: [u8; 2] = [0x52, 0x54];
/// What those of hosts outside begin with.
const OUTSIDE_OUI: [u8; 2] = [0x52, 0x56];

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
    /// The hosts outside, by name.
    pub(crate) outside: BTreeMap<String, NamespaceId>,
    /// Sandboxes that other engines have made, by name.
    pub(crate) sandboxes: BTreeMap<String, NamespaceId>,
    /// The host's interfaces that are gateways of ours.
    gateways: Vec<String>,
    /// The host's interfaces that are ports, by identity.
    borrowed: BTreeMap<String, Borrowed>,
    pub(crate) disk: BTreeMap<String, String>,
    /// Counters of the switch, by the manager's keys.
    pub(crate) accounts: BTreeMap<String, Home>,
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
    guard: Guard,
}

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
            outside: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            gateways: Vec::new(),
            borrowed: BTreeMap::new(),
            disk: BTreeMap::new(),
            accounts: BTreeMap::new(),
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
            guard: Guard::default(),
        };
        machine.new_namespace();
        // The host has IPv6, if only to itself; containers have none (see the Linux backend).
        let begun = machine.clock.now();
        machine.namespace(HOST).set_inet6("lo", true, begun).expect("there is a lo");
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
                Kind::Cable(jack) if jack.leads_to_switch() => Ok(jack.switch_end()),
                Kind::Cable(_) | Kind::Loopback(_) | Kind::Dummy(_) => Err(BackendError::NameTaken(name.to_owned())),
            };
        }
        self.gateways.push(name.to_owned());
        Ok(self.plug_in(HOST, name, lease, None, self.offload))
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

    /// Everything that runs is gone. What is on disk stays.
    pub(crate) fn reboot(&mut self) {
        self.daemon = Daemon::None;
        self.crash = None;
        self.boots += 1;
        self.borrowed.clear();
        self.accounts.clear();
        let all: Vec<Id> = self.containers.keys().cloned().collect();
        all.iter().for_each(|id| self.end(id, None));
        let sandboxes: Vec<String> = self.sandboxes.keys().cloned().collect();
        sandboxes.iter().for_each(|name| self.end_sandbox(name));
        self.end_processes(None);
        self.last_words.clear();
        self.containers.clear();
        self.end_responders();
        self.ended.clear();
        self.drop_gateways();
        self.router().reset();
    }

    /// A daemon starts. It is told of ends that it lives to see; of earlier ones it asks itself.
    pub(crate) fn daemon_starts(&mut self) {
        self.daemon = Daemon::Alive;
        self.guard = Guard::default();
        self.borrowed.clear();
        self.ended.clear();
        self.unpublished.clear();
    }

    /// The daemon is gone: shims that wait for its word give up, and what nobody keeps goes.
    pub(crate) fn daemon_ends(&mut self) {
        self.daemon = Daemon::None;
        self.crash = None;
        self.borrowed.clear();
        let waiting: Vec<Id> = self
            .containers
            .iter()
            .filter(|(_, container)| matches!(container.state, State::Created))
            .map(|(id, _)| id.clone())
            .collect();
        waiting.iter().for_each(|id| self.end(id, None));
        self.unkept().iter().for_each(|id| self.delete_unkept(id));
        self.end_responders();
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

    pub(crate) fn new_namespace(&mut self) -> NamespaceId {
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

    /// Joins the host and another one, whose namespace is there, by a cable.
    /// `name` is what its end of the cable is called in traces.
    pub(crate) fn wire_up(
        &mut self,
        (interface, address): (&str, Ipv4Net),
        other: NamespaceId,
        name: &str,
        there: Ipv4Net,
    ) {
        let names = [(HOST, interface), (other, name)];
        let jacks = wire(self.new_cable(), &self.plant, names, self.shape);
        let ends = [(HOST, interface, address, HOST_OUI), (other, OUTSIDE_INTERFACE, there, OUTSIDE_OUI)];
        for (jack, (namespace, interface, address, [a, b])) in jacks.into_iter().zip(ends) {
            jack.set_offload(self.offload);
            let [c, d, e, f] = address.addr().octets();
            let mac = MacAddr([a, b, c, d, e, f]);
            self.namespace(namespace).add(Interface::new(interface, mac, DEFAULT_MTU, Kind::Cable(jack)), address);
        }
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
