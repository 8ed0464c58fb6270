//! Guests: interfaces in sandboxes of other engines, and the keepers that hold them.

use std::collections::BTreeMap;
use std::rc::Rc;

use ipnet::Ipv4Net;
use netns::backend::{BackendError, Links, Spec};
use netns::files::Files;
use netns::guest::Place;
use netns::name::Id;

use super::container::{Container, State};
use super::{Daemon, HOST, Machine};
use crate::cable::{CableEnd, CableId, cable};
use crate::interface::{Interface, Kind};
use crate::namespace::NamespaceId;
use crate::program;

/// What the files that stand for sandboxes are called, but for their names.
const SANDBOXES: &str = "/run/netns/";

impl Machine {
    /// Another engine makes a sandbox.
    pub(crate) fn add_sandbox(&mut self, name: &str) {
        let home = self.new_namespace();
        self.sandboxes.insert(name.to_owned(), home);
    }

    /// A sandbox ends with all that is in it: processes, interfaces, and with those their keepers.
    pub(crate) fn end_sandbox(&mut self, name: &str) {
        let Some(home) = self.sandboxes.remove(name) else { return };
        self.end_processes_in(home);
        let Some(namespace) = self.namespaces.get(&home) else { return };
        let cables: Vec<CableId> = namespace.interfaces.iter().filter_map(|each| each.kind.cable()).collect();
        cables.into_iter().for_each(|cable| self.interface_is_gone(cable));
        self.namespaces.remove(&home);
    }

    /// The keeper of an interface sees that it has gone, and ends.
    pub(crate) fn interface_is_gone(&mut self, cable: CableId) {
        let keeps = |container: &Container| container.keeps == Some(cable) && container.is_alive();
        let keeper = self.containers.iter().find(|(_, container)| keeps(container)).map(|(id, _)| id.clone());
        if let Some(id) = keeper {
            self.end_command(&id, 0);
        }
    }

    /// The keepers of the interfaces in a sandbox are killed.
    pub(crate) fn kill_keepers(&mut self, sandbox: &str) {
        let home = self.sandboxes.get(sandbox).copied();
        let lies_there = |cable| self.interface_on(cable).is_some_and(|(namespace, _)| Some(namespace) == home);
        let keepers = self.containers.iter().filter(|(_, container)| container.keeps.is_some_and(lies_there));
        let keepers: Vec<Id> = keepers.map(|(id, _)| id.clone()).collect();
        keepers.iter().for_each(|id| self.kill_shim(id));
    }

    /// A keeper is killed. Whether a daemon holds the interface as well, so that it stays.
    pub(super) fn leave_to_the_daemon(&mut self, id: &Id) -> bool {
        if self.daemon != Daemon::Alive {
            return false;
        }
        let Some(keeper) = self.containers.get_mut(id).filter(|container| container.keeps.is_some()) else {
            return false;
        };
        keeper.state = State::Ended(None);
        self.plant.trace.event(self.clock.now(), &format!("the keeper of {} is killed", id.short()));
        self.retire_publisher(id);
        true
    }

    /// Another keeper holds an interface that only the daemon held; its process, if there is one.
    pub(crate) fn replace_keeper(&mut self, id: &Id) -> Option<u32> {
        if !self.unkept().contains(id) {
            return None;
        }
        let pid = self.new_pid();
        let keeper = self.containers.get_mut(id)?;
        (keeper.pid, keeper.state) = (pid, State::Running(program::WITHOUT_HANDLERS));
        Some(pid)
    }

    /// What the interface of a guest is called where it is.
    pub(crate) fn name_of_guest(&self, id: &Id) -> Option<String> {
        let (_, name) = self.interface_on(self.containers.get(id)?.keeps?)?;
        Some(name)
    }

    /// Guests whose interfaces have no keeper.
    pub(super) fn unkept(&self) -> Vec<Id> {
        let is_unkept = |container: &Container| {
            let cable = container.keeps.filter(|_| !container.is_alive());
            cable.is_some_and(|cable| self.interface_on(cable).is_some())
        };
        self.containers.iter().filter(|(_, container)| is_unkept(container)).map(|(id, _)| id.clone()).collect()
    }

    /// The interface of a guest that has no keeper goes, if there is one.
    pub(crate) fn delete_unkept(&mut self, id: &Id) {
        let Some(cable) = self.containers.get(id).filter(|container| !container.is_alive()).and_then(|it| it.keeps)
        else {
            return;
        };
        if let Some((namespace, name)) = self.interface_on(cable) {
            self.namespace(namespace).delete(&name);
        }
    }

    /// Makes the interface of a guest, and its keeper.
    pub(super) fn create_guest(
        &mut self,
        spec: &Spec<'_>,
        place: &Place,
    ) -> Result<(u32, Links<CableEnd>), BackendError> {
        let Some(interface) = spec.interfaces.first() else { return Err(BackendError::Gone) };
        let (namespace, name) = match place {
            Place::Host { ifname } => (HOST, ifname),
            Place::Inside { netns, ifname, .. } => (self.sandbox_at(netns)?, ifname),
        };
        if self.namespace(namespace).interface(name).is_some() {
            return Err(BackendError::NameTaken(name.clone()));
        }
        let jack = cable(self.new_cable(), &self.plant, namespace, self.shape());
        jack.set_offload(self.offload && interface.offload);
        let (link, kept) = (jack.switch_end(), jack.id());
        let made = Interface::new(name, interface.lease.mac, interface.lease.mtu, Kind::Cable(jack));
        self.namespace(namespace).put_in(made);
        if let Place::Inside { routes, .. } = place {
            self.configure(namespace, name, interface.lease.ip);
            if interface.announces {
                self.namespace(namespace).announce(name);
            }
            for route in routes.iter().filter(|route| route.to.prefix_len() == 0) {
                let router = route.via.unwrap_or(interface.lease.gateway);
                self.namespace(namespace).add_default_route(router, name);
            }
        }
        let pid = self.new_pid();
        let keeper = Container {
            pid,
            namespace: HOST,
            keeps: Some(kept),
            interfaces: BTreeMap::from([(interface.name.to_owned(), interface.bridge.to_owned())]),
            hostname: None,
            logs: false,
            log: String::new(),
            note: spec.note.to_owned(),
            files: Files::default(),
            publisher: None,
            // It is all that runs, and has no handlers that would matter.
            state: State::Running(program::WITHOUT_HANDLERS),
            exit: Rc::default(),
        };
        self.containers.insert(spec.id.clone(), keeper);
        Ok((pid, vec![(interface.name.to_owned(), link)]))
    }

    /// Switches an interface on, with its only address. Nobody is told, as other engines do not.
    pub(crate) fn configure(&mut self, namespace: NamespaceId, name: &str, address: Ipv4Net) {
        let namespace = self.namespace(namespace);
        if let Some(interface) = namespace.interface(name) {
            interface.addresses = vec![address];
            interface.set_up(true);
        }
    }

    /// Takes an interface to another namespace, under another name. Whether it was there.
    pub(crate) fn take_interface(
        &mut self,
        (from, name): (NamespaceId, &str),
        (to, other): (NamespaceId, &str),
    ) -> bool {
        let Some(mut interface) = self.namespace(from).take_out(name) else { return false };
        other.clone_into(&mut interface.name);
        self.namespace(to).put_in(interface);
        true
    }

    /// Where the interface on a cable is now, and what it is called there.
    pub(super) fn interface_on(&self, cable: CableId) -> Option<(NamespaceId, String)> {
        self.namespaces.iter().find_map(|(id, namespace)| {
            let found = namespace.interfaces.iter().find(|interface| interface.kind.cable() == Some(cable))?;
            Some((*id, found.name.clone()))
        })
    }

    /// The link of a guest, if it still has its interface.
    pub(super) fn links_of_guest(&mut self, id: &Id) -> Links<CableEnd> {
        let link = self.of_guest(id, |ifname, interface| match &interface.kind {
            Kind::Cable(jack) => Some((ifname.to_owned(), jack.switch_end())),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        });
        link.flatten().into_iter().collect()
    }

    /// Looks at the interface of a guest, with the name that its record has for it.
    pub(super) fn of_guest<T>(&self, id: &Id, look: impl FnOnce(&str, &Interface) -> T) -> Option<T> {
        let container = self.containers.get(id)?;
        let cable = container.keeps?;
        let ifname = container.interfaces.keys().next()?;
        let interfaces = self.namespaces.values().flat_map(|namespace| &namespace.interfaces);
        let mut interfaces = interfaces.filter(|interface| interface.kind.cable() == Some(cable));
        Some(look(ifname, interfaces.next()?))
    }

    fn sandbox_at(&self, netns: &str) -> Result<NamespaceId, BackendError> {
        let known = netns.strip_prefix(SANDBOXES).and_then(|name| self.sandboxes.get(name));
        known.copied().ok_or_else(|| BackendError::Failed {
            operation: "open the network namespace",
            object: netns.to_owned(),
            cause: "no such file".to_owned(),
            hint: None,
        })
    }
}
