//! Interfaces of the host as ports: taken, followed while they are, and given back.
//!
//! * An interface is silenced before its port is plugged in, and heard again when that has gone.
//! * One that is deleted, or moved to another namespace, is a port no more. One that is renamed or gets another MTU is plugged in
//!   anew, under the name that it has: stations are learned again, counters go on.
//! * The next daemon takes it again if it is the one that it was, by identity and name, in the same life of the machine; else it
//!   says so, and forgets it.
//! * One that can not be given back is no port any more, but it is not forgotten: it is tried again when asked, or by the next
//!   daemon.

use switch::dataplane::Control;
use switch::port::PortConfig;
use switch::verdict::PortId;

use super::accounts::interface_owner;
use super::end::all_of;
use super::{Manager, Now, save_as};
use crate::backend::{Backend, BackendError, HostInterface, Which};
use crate::borrowed::{Borrowed, BorrowedPhase, Unfit};
use crate::error::Error;
use crate::ifname::IfName;
use crate::name::Id;

/// What the keys of records begin with; the interface's identity follows.
pub(crate) const KEY: &str = "borrowed-";

/// An interface that is borrowed.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: Borrowed,
    /// As it was when it was plugged in.
    mtu: u32,
    /// None while it is none yet, and when it could not be given back.
    pub(super) port: Option<PortId>,
}

/// What became of an interface while there was no daemon.
pub(super) struct Retaken<L> {
    pub(super) record: Borrowed,
    pub(super) found: Found<L>,
}

/// What there is of it.
pub(super) enum Found<L> {
    /// It was taken again.
    Taken { mtu: u32, link: L },
    /// It is to be given back; why, unless that was on its way.
    Lost(Option<String>),
}

impl<B: Backend> Manager<B> {
    /// Makes an interface of the host a port of a bridge, called as the interface is. Returns what the user is to know.
    ///
    /// # Errors
    /// Why it is none; whatever had been done is undone.
    pub fn add_port(&mut self, bridge: &str, interface: &IfName, now: Now) -> Result<Vec<String>, Error> {
        self.reap(now);
        let network = self.network_of_bridge(bridge)?;
        self.bridge_of(&network)?;
        let found = self.backend.interface(Which::Named(interface.as_str()))?;
        let found = found.ok_or_else(|| Error::NoHostInterface(interface.to_string()))?;
        if let Some(left) = self.borrowed.get(&found.identity).filter(|held| held.port.is_none()) {
            let identity = left.record.identity.clone();
            all_of(self.give_back(&identity)).map_or(Ok(()), Err)?;
        }
        if let Some(why) = self.unfit(&found) {
            return Err(Error::Unfit { name: found.name, why });
        }
        let warnings = self.warnings_about(&found, &network);
        let record = Borrowed {
            identity: found.identity.clone(),
            name: found.name.clone(),
            network,
            boot: self.boot.clone(),
            phase: BorrowedPhase::Taking,
        };
        self.borrowed.insert(found.identity.clone(), Held { record, mtu: found.mtu, port: None });
        self.take(&found).map_err(|failed| {
            let errors = std::iter::once(failed).chain(self.give_back(&found.identity)).collect();
            all_of(errors).expect("there is one at least")
        })?;
        Ok(warnings)
    }

    /// Takes a port off its bridge, and gives its interface back to the host.
    ///
    /// # Errors
    /// If there is no such port, it is a container's or the bridge's own, or its interface can not be given back.
    pub fn remove_port(&mut self, bridge: &str, port: &str, now: Now) -> Result<(), Error> {
        self.reap(now);
        let network = self.network_of_bridge(bridge)?;
        let held = self.borrowed.values().filter(|held| held.record.name == port);
        let mut held = held.filter(|held| held.record.network == network);
        match held.next().map(|held| held.record.identity.clone()) {
            Some(identity) => all_of(self.give_back(&identity)).map_or(Ok(()), Err),
            None => Err(self.no_such_port(bridge, port)),
        }
    }

    /// Gives all interfaces back to the host. Returns what failed.
    pub fn remove_ports(&mut self, now: Now) -> Vec<Error> {
        self.reap(now);
        let all: Vec<String> = self.borrowed.keys().cloned().collect();
        all.iter().flat_map(|identity| self.give_back(identity)).collect()
    }

    /// The names of the interfaces of the host that are ports of a network's bridge, in order.
    pub(super) fn interfaces_on(&self, network: &Id) -> Vec<String> {
        let on_it = self.borrowed.values().filter(|held| held.record.network == *network);
        let mut names: Vec<String> = on_it.map(|held| held.record.name.clone()).collect();
        names.sort();
        names
    }

    /// Which interface of the host a port is.
    pub(super) fn interface_at(&self, port: PortId) -> Option<String> {
        let held = self.borrowed.values().find(|held| held.port == Some(port))?;
        Some(held.record.identity.clone())
    }

    /// The link of an interface has ended: the port has gone already.
    pub(super) fn interface_is_gone(&mut self, identity: &str) -> Result<(), Error> {
        if let Some(held) = self.borrowed.get_mut(identity) {
            held.port = None;
            tracing::warn!("interface {} is gone, and its port with it", held.record.name);
        }
        all_of(self.give_back(identity)).map_or(Ok(()), Err)
    }

    /// Follows what has become of interfaces that are ports.
    pub(super) fn look_after_interfaces(&mut self) {
        if self.borrowed.is_empty() || !self.backend.have_interfaces_changed() {
            return;
        }
        let ports = self.borrowed.values().filter(|held| held.port.is_some());
        let ports: Vec<String> = ports.map(|held| held.record.identity.clone()).collect();
        for identity in ports {
            if let Err(failed) = self.follow(&identity) {
                tracing::warn!("{failed}");
            }
        }
    }

    /// What was found of an interface that an earlier daemon had: it is a port again, or is given back. Returns what there is
    /// to be told.
    pub(super) fn resume_port(&mut self, record: Borrowed, found: Found<B::Link>) -> Vec<String> {
        let (identity, name, network) = (record.identity.clone(), record.name.clone(), record.network.clone());
        let bridge = self
            .networks
            .get(&network)
            .map_or_else(|| format!("network {}", network.short()), |net| net.network.bridge.clone());
        let lost = match found {
            Found::Lost(why) => {
                self.borrowed.insert(identity.clone(), Held { record, mtu: 0, port: None });
                why
            }
            Found::Taken { mtu, link } => {
                self.borrowed.insert(identity.clone(), Held { record, mtu, port: None });
                match self.plug_interface(&identity, link) {
                    Ok(()) => return Vec::new(),
                    Err(failed) => Some(failed.to_string()),
                }
            }
        };
        let told = lost.map(|why| format!("interface {name} is no port of {bridge} any more: {why}"));
        let failed = self.give_back(&identity).into_iter().map(|failed| format!("interface {name}: {failed}"));
        told.into_iter().chain(failed).collect()
    }

    /// The steps of a port to be, each saved before it is taken.
    fn take(&mut self, found: &HostInterface) -> Result<(), Error> {
        let identity = &found.identity;
        self.save_borrowed(identity)?;
        let link = self.backend.borrow_interface(found)?;
        self.plug_interface(identity, link)?;
        self.enter_borrowed(identity, BorrowedPhase::Held)
    }

    fn plug_interface(&mut self, identity: &str, link: B::Link) -> Result<(), Error> {
        let port = self.free_port()?;
        let Some(held) = self.borrowed.get(identity) else { return Ok(()) };
        let (network, name, mtu) = (held.record.network.clone(), held.record.name.clone(), held.mtu);
        let bridge = self.bridge_of(&network)?;
        self.meet_anybody(&network)?;
        let config = PortConfig { name, mtu, ..PortConfig::default() };
        self.controls.push_back(Control::Plug { bridge, port, config, link });
        self.count_port(&network, Some(&interface_owner(identity)), port);
        if let Some(held) = self.borrowed.get_mut(identity) {
            held.port = Some(port);
        }
        Ok(())
    }

    fn unplug_interface(&mut self, identity: &str) {
        if let Some(port) = self.borrowed.get_mut(identity).and_then(|held| held.port.take()) {
            self.controls.push_back(Control::Unplug { port });
        }
    }

    /// Takes the port away, if it still is one, and gives its interface back. Returns what failed: then it is not forgotten.
    fn give_back(&mut self, identity: &str) -> Vec<Error> {
        self.unplug_interface(identity);
        self.close_accounts_of(&interface_owner(identity));
        // What can not be noted (the disk is full) does not matter if all goes well.
        let noted = self.enter_borrowed(identity, BorrowedPhase::Returning);
        let returned = self.backend.return_interface(identity);
        match returned.and_then(|()| self.backend.forget(&key(identity))) {
            Ok(()) => {
                self.borrowed.remove(identity);
                Vec::new()
            }
            Err(failed) => noted.err().into_iter().chain([failed.into()]).collect(),
        }
    }

    /// One of those whose interfaces may have changed.
    fn follow(&mut self, identity: &str) -> Result<(), Error> {
        let found = self.backend.interface(Which::Known(identity))?;
        let Some(held) = self.borrowed.get_mut(identity) else { return Ok(()) };
        let name = held.record.name.clone();
        let Some(found) = found else {
            tracing::warn!("interface {name} is gone, and its port with it");
            return all_of(self.give_back(identity)).map_or(Ok(()), Err);
        };
        if found.name == name && found.mtu == held.mtu {
            return Ok(());
        }
        if let Some(why) = Unfit::of_name(&found.name) {
            tracing::warn!(
                "interface {name} is called {} now, and is no port any more: {why}",
                found.name.escape_debug()
            );
            return all_of(self.give_back(identity)).map_or(Ok(()), Err);
        }
        (held.record.name, held.mtu) = (found.name.clone(), found.mtu);
        let again = self.backend.borrow_interface(&found).map_err(Error::from).and_then(|link| {
            self.save_borrowed(identity)?;
            self.unplug_interface(identity);
            self.plug_interface(identity, link)
        });
        again.map_err(|failed| {
            let errors = std::iter::once(failed).chain(self.give_back(identity)).collect();
            all_of(errors).expect("there is one at least")
        })
    }

    /// What speaks against an interface.
    fn unfit(&self, found: &HostInterface) -> Option<Unfit> {
        let held = self.borrowed.get(&found.identity).and_then(|held| self.networks.get(&held.record.network));
        let is_port = held.map(|net| Unfit::IsPort(net.network.bridge.clone()));
        is_port.or_else(|| found.unfit.clone()).or_else(|| Unfit::of_name(&found.name))
    }

    /// What the user of an interface is to know.
    fn warnings_about(&self, found: &HostInterface, network: &Id) -> Vec<String> {
        let HostInterface { name, mtu, up, addresses, upper, .. } = found;
        let mut warnings = Vec::new();
        if !up {
            warnings.push(format!("interface {name} is down: nothing crosses it until `ip link set dev {name} up`"));
        }
        if !addresses.is_empty() {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            warnings.push(format!(
                "interface {name} has the address {}: the host can not be reached by it as long as it is a port",
                addresses.join(", ")
            ));
        }
        if !upper.is_empty() {
            let upper = upper.join(", ");
            warnings.push(format!("{upper} is upon interface {name}, and hears nothing as long as that is a port"));
        }
        let usual = self.networks.get(network).map_or(0, |net| net.network.mtu);
        if *mtu < usual {
            warnings.push(format!(
                "the MTU of interface {name} is {mtu}, and that of the network {usual}: longer frames are dropped there"
            ));
        }
        warnings
    }

    /// The network whose bridge is called so.
    fn network_of_bridge(&self, bridge: &str) -> Result<Id, Error> {
        let networks = || self.networks.values().map(|net| &net.network);
        if let Some(network) = networks().find(|network| network.bridge == bridge) {
            return Ok(network.id.clone());
        }
        let meant = networks().find(|network| network.name.as_str() == bridge).map(|network| network.bridge.clone());
        Err(Error::NoSuchBridge { bridge: bridge.to_owned(), meant })
    }

    /// Why there is nothing to give back.
    fn no_such_port(&self, bridge: &str, port: &str) -> Error {
        if self.networks.values().any(|net| net.gateway.is_some() && net.network.bridge == port) {
            return Error::PortOfBridge(port.to_owned());
        }
        let of_container = self.ports.keys().find_map(|(id, ifname)| {
            let record = self.records.get(id).filter(|record| record.port_name(ifname) == port)?;
            let endpoint = record.endpoints.iter().find(|endpoint| endpoint.ifname == *ifname)?;
            let network = self.networks.get(&endpoint.network)?.network.name.to_string();
            let (container, owner) = (record.name.to_string(), record.owner());
            Some(Error::PortOfContainer { port: port.to_owned(), container, owner, network })
        });
        of_container.unwrap_or_else(|| {
            let held = self.borrowed.values().find(|held| held.record.name == port);
            let elsewhere = held.and_then(|held| self.networks.get(&held.record.network));
            let elsewhere = elsewhere.map(|net| net.network.bridge.clone());
            Error::NoSuchPort { bridge: bridge.to_owned(), port: port.to_owned(), elsewhere }
        })
    }

    fn enter_borrowed(&mut self, identity: &str, phase: BorrowedPhase) -> Result<(), Error> {
        if let Some(held) = self.borrowed.get_mut(identity) {
            held.record.phase = phase;
        }
        self.save_borrowed(identity)
    }

    fn save_borrowed(&mut self, identity: &str) -> Result<(), Error> {
        let Some(held) = self.borrowed.get(identity) else { return Ok(()) };
        save_as(&mut self.backend, &key(identity), &held.record)
    }
}

/// Takes again, of the interfaces that an earlier daemon had, those that are what they were.
pub(super) fn retake_all<B: Backend>(backend: &mut B, records: Vec<Borrowed>, boot: &str) -> Vec<Retaken<B::Link>> {
    let retaken = records.into_iter().map(|record| {
        let found = match record.phase {
            BorrowedPhase::Taking | BorrowedPhase::Returning => Found::Lost(None),
            BorrowedPhase::Held if record.boot != boot => Found::Lost(Some("the machine has started anew".into())),
            BorrowedPhase::Held => retake(backend, &record).unwrap_or_else(|why| Found::Lost(Some(why.to_string()))),
        };
        Retaken { record, found }
    });
    retaken.collect()
}

fn retake<B: Backend>(backend: &mut B, record: &Borrowed) -> Result<Found<B::Link>, BackendError> {
    let lost = |why: String| Ok(Found::Lost(Some(why)));
    let Some(found) = backend.interface(Which::Known(&record.identity))? else { return lost("it is gone".into()) };
    if found.name != record.name {
        return lost(format!("it is called {} now", found.name));
    }
    match &found.unfit {
        // It was a port before: the user has been told of the route, and the rule that says so is our own.
        None | Some(Unfit::HasDefaultRoute | Unfit::IsOthers) => {
            let link = backend.borrow_interface(&found)?;
            Ok(Found::Taken { mtu: found.mtu, link })
        }
        Some(why) => lost(why.to_string()),
    }
}

fn key(identity: &str) -> String {
    format!("{KEY}{identity}")
}
