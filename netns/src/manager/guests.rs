//! Guests: interfaces in sandboxes of other engines, from the reservation of an address to its end.
//!
//! An engine's face says what happens, one verb each; that it may say it twice, or never, is allowed for:
//!
//! * What undoes does nothing for an endpoint that is not known, and what makes does nothing where all is as it is asked for.
//! * A guest whose interface has gone by itself keeps its address until the engine lets it go, as Docker gives it out only then.
//! * Docker gives the address of an endpoint out again when it was killed, and says nothing of the old one: who comes with an
//!   address of Docker's that another guest of Docker's has, has it.
//! * A reservation does not outlive the machine's life: engines make their endpoints anew.

use super::end::{RETRY, all_of};
use super::run::{check_aliases, is_hostname};
use super::{Manager, Now};
use crate::backend::Backend;
use crate::error::Error;
use crate::event::Event;
use crate::guest::{FIRST_INTERFACE, Guest, GuestRequest, GuestView, Place, name_for};
use crate::mode::NetworkMode;
use crate::name::{Id, Name};
use crate::network::{EndpointKind, Network, Owner};
use crate::publish::{PortMapping, check};
use crate::record::{Endpoint, EndpointPhase, Phase, Record};

impl<B: Backend> Manager<B> {
    /// Leases an address and a MAC for an endpoint of another engine. There is no interface yet.
    ///
    /// # Errors
    /// If what is asked for can not be had, or the endpoint is there and otherwise than asked for.
    pub fn reserve(&mut self, request: GuestRequest, now: Now) -> Result<GuestView, Error> {
        self.reap(now);
        check(&request.published)?;
        if let Some(hostname) = request.hostname.as_deref().filter(|hostname| !is_hostname(hostname)) {
            return Err(Error::Hostname(hostname.to_owned()));
        }
        let network = self.find_network(&request.network)?.network.clone();
        check_aliases(&network, &request.aliases)?;
        if let Some(id) = self.guest_id(request.engine, &request.key) {
            let record = self.record(&id)?;
            if record.guest.as_ref().is_some_and(|guest| guest.is_leaving) {
                self.release_guest(&id, now)?;
            } else if !is_as_asked(record, &network, &request) {
                let (engine, key, container) = (request.engine, request.key, record.name.to_string());
                return Err(Error::GuestExists { engine, key, container });
            } else {
                return self.reserve_again(&id, request, now);
            }
        }
        for stale in self.stale_guests(&network.id, &request) {
            tracing::info!(container = stale.short(), "its engine gives its address to another: it is released");
            self.release_guest(&stale, now)?;
        }
        let record = self.draft_guest(request, &network, now)?;
        let id = record.id.clone();
        self.records.insert(id.clone(), record);
        if let Err(failed) = self.save(&id) {
            // Nothing else was done: what of it is on disk, if anything, goes with it.
            let mut errors = vec![failed];
            errors.extend(self.remove_record(&id));
            return Err(all_of(errors).expect("there is one at least"));
        }
        self.tell_of(&id, Event::ContainerCreated);
        self.guest_view(&id)
    }

    /// Makes the interface of a guest. Its port is on the switch when the caller has handed on what [`Manager::poll_control`]
    /// gives; only then is the engine to be told that it is there. If it can not be had, [`Manager::give_up`] makes the guest a
    /// reservation again.
    ///
    /// # Errors
    /// If there is no such guest, or why it has none; it is a reservation then, whatever had been done is undone.
    pub fn open_guest(&mut self, engine: Owner, key: &str, place: Place, now: Now) -> Result<GuestView, Error> {
        self.reap(now);
        let id = self.known_guest(engine, key)?;
        if self.silent.contains(&id) {
            return Err(Error::Silent(self.record(&id)?.name.to_string()));
        }
        let record = self.record(&id)?;
        let is_there = record.guest.as_ref().is_some_and(|guest| guest.place.as_ref() == Some(&place));
        if is_there && matches!(record.phase, Phase::Running { .. }) {
            return self.guest_view(&id);
        }
        self.close_guest(engine, key, now)?;
        let record = self.record(&id)?;
        for endpoint in &mut record.endpoints {
            place.ifname().clone_into(&mut endpoint.ifname);
        }
        if let Some(guest) = &mut record.guest {
            guest.place = Some(place);
        }
        record.phase = Phase::Creating;
        self.make_guest(&id).map_err(|failed| self.undo(&id, failed, now))?;
        self.let_guests_out(engine);
        self.tell_of_guest(&id, Event::Connected);
        self.serve_names_later(now);
        self.guest_view(&id)
    }

    /// Passes ports of the host on to a guest, in place of those that were passed on to it before; as soon as it is open.
    ///
    /// # Errors
    /// If there is no such guest, or a port can not be had: then all is as before.
    pub fn publish_guest(
        &mut self,
        engine: Owner,
        key: &str,
        mappings: Vec<PortMapping>,
        now: Now,
    ) -> Result<(), Error> {
        self.reap(now);
        check(&mappings)?;
        let id = self.known_guest(engine, key)?;
        let before = self.record(&id)?.published.clone();
        if before == mappings && (before.is_empty() || self.backend.is_published(&id)) {
            return Ok(());
        }
        // Those that were go first, so that the next daemon knows whose ports are passed on if this one is killed in between.
        let changed = self.set_published(&id, Vec::new()).and_then(|()| self.set_published(&id, mappings));
        changed.map_err(|failed| {
            let mut errors = vec![failed];
            errors.extend(self.set_published(&id, before).err());
            all_of(errors).expect("there is one at least")
        })
    }

    /// Passes nothing on to a guest any more. Does nothing if there is no such guest.
    ///
    /// # Errors
    /// If a port stays in use.
    pub fn unpublish_guest(&mut self, engine: Owner, key: &str, now: Now) -> Result<(), Error> {
        match self.guest_id(engine, key) {
            Some(_) => self.publish_guest(engine, key, Vec::new(), now),
            None => Ok(()),
        }
    }

    /// Takes the interface of a guest away, wherever its engine has taken it. The guest is a reservation again. Does nothing if
    /// there is no such guest, or it has none.
    ///
    /// # Errors
    /// If something stays; it is tried again later.
    pub fn close_guest(&mut self, engine: Owner, key: &str, now: Now) -> Result<(), Error> {
        self.reap(now);
        let Some(id) = self.guest_id(engine, key) else { return Ok(()) };
        let record = self.record(&id)?;
        if !record.is_open() {
            return Ok(());
        }
        let pid = record.pid();
        let noted = pid.and_then(|pid| self.enter(&id, Phase::Stopping { pid }).err());
        let errors = noted.into_iter().chain(self.end(&id, now).err()).collect();
        all_of(errors).map_or(Ok(()), Err)
    }

    /// A guest is no more: its interface, its ports of the host, its address and its name are free. Does nothing if there is no
    /// such guest.
    ///
    /// # Errors
    /// If something stays; it is tried again later.
    pub fn release(&mut self, engine: Owner, key: &str, now: Now) -> Result<(), Error> {
        self.reap(now);
        self.guest_id(engine, key).map_or(Ok(()), |id| self.release_guest(&id, now))
    }

    /// The same for every guest of every engine. Returns what failed.
    pub fn release_all(&mut self, now: Now) -> Vec<Error> {
        self.reap(now);
        let guests = self.records.values().filter(|record| record.guest.is_some());
        let guests: Vec<Id> = guests.map(|record| record.id.clone()).collect();
        guests.iter().filter_map(|id| self.release_guest(id, now).err()).collect()
    }

    /// Calls a guest as its engine calls the container, now that this is known; if another container is called so, something
    /// after it. Its port on the switch is renamed, too, and called as the interface is.
    ///
    /// # Errors
    /// If there is no such guest, or it can not be saved.
    pub fn name_guest(&mut self, engine: Owner, key: &str, named: &str, now: Now) -> Result<GuestView, Error> {
        self.reap(now);
        let id = self.known_guest(engine, key)?;
        let ifname = self.name_inside(&id);
        let record = self.record(&id)?;
        let is_known = |guest: &Guest| guest.named.as_deref() == Some(named) && guest.ifname == ifname;
        if record.guest.as_ref().is_some_and(is_known) {
            return self.guest_view(&id);
        }
        let endpoint = record.endpoints.first().map(|endpoint| endpoint.network.clone());
        let network = endpoint.and_then(|network| Some(self.networks.get(&network)?.network.name.clone()));
        let name = self.guest_name(Some(named), key, &network.unwrap_or(Name::from_static("network")), Some(&id));
        let record = self.record(&id)?;
        if let Some(guest) = &mut record.guest {
            guest.named = Some(named.to_owned());
            guest.ifname = ifname;
        }
        record.name = name;
        let renamed = self.save_and_note(&id);
        let record = self.records.get(&id).ok_or_else(|| Error::NoSuchContainer(id.short().to_owned()))?;
        for ((_, ifname), port) in self.ports.iter().filter(|((of, _), _)| *of == id) {
            let name = record.port_name(ifname);
            self.controls.push_back(switch::dataplane::Control::RenamePort { port: *port, name });
        }
        self.serve_names_later(now);
        renamed?;
        self.guest_view(&id)
    }

    /// What the engine calls the interface that it has taken from the host. One that is back there is about to go.
    fn name_inside(&self, id: &Id) -> Option<String> {
        let guest = self.records.get(id)?.guest.as_ref()?;
        let Some(Place::Host { ifname }) = &guest.place else { return None };
        let now = self.backend.guest_interface(id).filter(|now| now != ifname);
        now.or_else(|| guest.ifname.clone())
    }

    /// The guests of an engine, in the order in which they came.
    #[must_use]
    pub fn guests(&self, engine: Owner) -> Vec<GuestView> {
        let is_its = |record: &&Record| record.guest.as_ref().is_some_and(|guest| guest.engine == engine);
        let mut guests: Vec<&Record> = self.records.values().filter(is_its).collect();
        guests.sort_by_key(|record| record.sequence);
        guests.into_iter().filter_map(|record| self.guest_view(&record.id).ok()).collect()
    }

    /// One guest.
    #[must_use]
    pub fn guest(&self, engine: Owner, key: &str) -> Option<GuestView> {
        self.guest_view(&self.guest_id(engine, key)?).ok()
    }

    /// The container that `text` names, if it is one of ours: what becomes of a guest says its engine.
    pub(super) fn find_own(&self, text: &str) -> Result<&Record, Error> {
        let record = self.find(text)?;
        match &record.guest {
            Some(guest) => Err(Error::OfEngine { container: record.name.to_string(), engine: guest.engine }),
            None => Ok(record),
        }
    }

    /// The container that `text` names, if something can be run in it.
    ///
    /// # Errors
    /// If there is none, or several; if it does not run, or is another engine's.
    pub fn locate(&self, text: &str) -> Result<&Id, Error> {
        let record = self.find_own(text)?;
        if record.is_live() { Ok(&record.id) } else { Err(Error::NotRunning(record.name.to_string())) }
    }

    pub(super) fn is_guest(&self, id: &Id) -> bool {
        self.records.get(id).is_some_and(|record| record.guest.is_some())
    }

    /// A guest goes, whatever it has.
    pub(super) fn release_guest(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        let record = self.record(id)?;
        if let Some(guest) = &mut record.guest {
            guest.is_leaving = true;
        }
        if let Some(pid) = record.pid() {
            record.phase = Phase::Stopping { pid };
        }
        let is_open = record.is_open();
        let noted = self.save(id);
        let failed = if is_open { self.end(id, now).err() } else { all_of(self.forget_guest(id, now)) };
        match failed {
            // All is gone: that it could not be noted before (the disk was full) matters no more.
            None => Ok(()),
            failed => all_of(noted.err().into_iter().chain(failed).collect()).map_or(Ok(()), Err),
        }
    }

    /// The interface of a guest is no more, by whatever: its port, its stations and its ports of the host are free. It is a
    /// reservation then, if it is not to go. Returns what went wrong, all of it.
    pub(super) fn settle_guest(&mut self, id: &Id, now: Now) -> Vec<Error> {
        self.unplug_all(id);
        let mut errors: Vec<Error> = self.unpublish(id).err().into_iter().collect();
        self.forget_troubles(id);
        let Some(record) = self.records.get(id) else { return errors };
        if matches!(record.phase, Phase::Running { .. } | Phase::Stopping { .. }) {
            self.tell_of_guest(id, Event::Disconnected);
        }
        if self.is_guest_over(id) {
            errors.extend(self.forget_guest(id, now));
            return errors;
        }
        if let Err(stuck) = self.backend.discard(id) {
            // What is left of it would be in the way of the next one.
            self.deadlines.insert(id.clone(), now.instant + RETRY);
            let pid = self.records.get(id).and_then(Record::pid).unwrap_or(0);
            errors.extend(self.enter(id, Phase::Stopping { pid }).err());
            errors.push(stuck.into());
            return errors;
        }
        if let Some(guest) = self.records.get_mut(id).and_then(|record| record.guest.as_mut()) {
            (guest.place, guest.ifname) = (None, None);
        }
        errors.extend(self.enter(id, Phase::Reserved).err());
        self.serve_names_later(now);
        errors
    }

    /// Goes on with what an earlier daemon had of guests: those that are over go.
    pub(super) fn finish_guests(&mut self, now: Now) -> Vec<Error> {
        let reserved = self.records.values().filter(|record| record.guest.is_some() && record.phase == Phase::Reserved);
        let reserved: Vec<Id> = reserved.map(|record| record.id.clone()).collect();
        let over: Vec<Id> = reserved.into_iter().filter(|id| self.is_guest_over(id)).collect();
        over.iter().flat_map(|id| self.forget_guest(id, now)).collect()
    }

    /// Whether nothing keeps a guest without an interface: it was to go, the machine has started anew, or its network has gone
    /// or moved.
    fn is_guest_over(&self, id: &Id) -> bool {
        let Some(record) = self.records.get(id) else { return true };
        let is_leaving = record.guest.as_ref().is_some_and(|guest| guest.is_leaving);
        let has_network = record.endpoints.iter().all(|endpoint| {
            let net = self.networks.get(&endpoint.network);
            net.is_some_and(|net| net.network.subnet.contains(&endpoint.lease.ip.addr()))
        });
        is_leaving || record.boot != self.boot || !has_network
    }

    fn forget_guest(&mut self, id: &Id, now: Now) -> Vec<Error> {
        self.close_accounts_of(id.as_str());
        let errors = self.remove_record(id);
        self.serve_names_later(now);
        errors
    }

    /// The steps of an interface, each saved before it is taken.
    fn make_guest(&mut self, id: &Id) -> Result<(), Error> {
        let pid = self.make_interfaces(id)?;
        self.publish(id)?;
        self.enter(id, Phase::Running { pid })
    }

    /// Passes these on to a guest if none or others were; the record has it before it is done.
    fn set_published(&mut self, id: &Id, mappings: Vec<PortMapping>) -> Result<(), Error> {
        let record = self.record(id)?;
        if record.published == mappings && mappings.is_empty() {
            return Ok(());
        }
        record.published = mappings;
        let (is_open, is_wanted) = (record.is_open(), !record.published.is_empty());
        if !is_open {
            return self.save(id);
        }
        self.save_and_note(id)?;
        if is_wanted { self.publish(id) } else { self.unpublish_whatever(id) }
    }

    /// A guest that asks for what it has.
    fn reserve_again(&mut self, id: &Id, request: GuestRequest, now: Now) -> Result<GuestView, Error> {
        let record = self.record(id)?;
        if record.phase == Phase::Reserved {
            for endpoint in &mut record.endpoints {
                endpoint.aliases.clone_from(&request.aliases);
            }
            (record.published, record.hostname) = (request.published, request.hostname);
            if let Some(guest) = &mut record.guest {
                guest.sandbox = request.sandbox.or(guest.sandbox.take());
            }
            self.save(id)?;
        }
        match request.named {
            Some(named) => self.name_guest(request.engine, &request.key, &named, now),
            None => self.guest_view(id),
        }
    }

    /// Guests that Docker has forgotten: it gives their address to another, or a MAC of one without an interface.
    fn stale_guests(&self, network: &Id, request: &GuestRequest) -> Vec<Id> {
        let is_stale = |record: &&Record| {
            let Some(endpoint) = record.endpoint(network) else { return false };
            let has_address = request.ip == Some(endpoint.lease.ip.addr());
            let has_mac = !record.is_open() && request.mac == Some(endpoint.lease.mac);
            record.guest.as_ref().is_some_and(|guest| guest.engine == Owner::Docker) && (has_address || has_mac)
        };
        if request.engine != Owner::Docker {
            return Vec::new();
        }
        self.records.values().filter(is_stale).map(|record| record.id.clone()).collect()
    }

    /// The record of a guest to be.
    fn draft_guest(&mut self, request: GuestRequest, network: &Network, now: Now) -> Result<Record, Error> {
        let lease = self.lease(self.net(&network.id)?, request.ip, request.mac, request.mtu)?;
        let id = Id::random(&mut self.chance);
        let name = self.guest_name(request.named.as_deref(), &request.key, &network.name, None);
        let endpoint = Endpoint {
            network: network.id.clone(),
            ifname: FIRST_INTERFACE.to_owned(),
            lease,
            kind: EndpointKind::Tap,
            aliases: request.aliases,
            phase: EndpointPhase::Joined,
        };
        let guest = Guest {
            engine: request.engine,
            key: request.key,
            named: request.named,
            sandbox: request.sandbox,
            place: None,
            ifname: None,
            is_leaving: false,
        };
        Ok(Record {
            id,
            name,
            boot: self.boot.clone(),
            mode: NetworkMode::Bridge(network.name.clone()),
            is_in_none: false,
            shares: None,
            endpoints: vec![endpoint],
            offload: true,
            hostname: request.hostname,
            published: request.published,
            dns: Vec::new(),
            command: Vec::new(),
            detached: false,
            auto_remove: false,
            guest: Some(guest),
            created: now.unix,
            sequence: self.next_sequence(),
            phase: Phase::Reserved,
        })
    }

    /// What a guest is to be called, which no other container is.
    fn guest_name(&self, named: Option<&str>, key: &str, network: &Name, own: Option<&Id>) -> Name {
        let others = || self.records.values().filter(|record| record.is_live() && Some(&record.id) != own);
        name_for(named, key, network, |name| others().any(|record| record.name.as_str() == name))
    }

    fn guest_id(&self, engine: Owner, key: &str) -> Option<Id> {
        let mut records = self.records.values();
        let is_it = |guest: &Guest| guest.engine == engine && guest.key == key;
        records.find(|record| record.guest.as_ref().is_some_and(is_it)).map(|record| record.id.clone())
    }

    fn known_guest(&self, engine: Owner, key: &str) -> Result<Id, Error> {
        self.guest_id(engine, key).ok_or_else(|| Error::NoSuchGuest { engine, key: key.to_owned() })
    }

    fn guest_view(&self, id: &Id) -> Result<GuestView, Error> {
        let unknown = || Error::NoSuchContainer(id.short().to_owned());
        let record = self.records.get(id).ok_or_else(unknown)?;
        let (guest, endpoint) = record.guest.as_ref().zip(record.endpoints.first()).ok_or_else(unknown)?;
        let network = &self.net(&endpoint.network)?.network;
        let port = self.port_of(id, &endpoint.ifname);
        Ok(GuestView {
            id: id.clone(),
            name: record.name.clone(),
            engine: guest.engine,
            key: guest.key.clone(),
            named: guest.named.clone(),
            sandbox: guest.sandbox.clone(),
            network: network.name.to_string(),
            network_id: network.id.clone(),
            lease: endpoint.lease.clone(),
            internal: network.internal,
            place: guest.place.clone(),
            ifname: guest.ifname.clone(),
            port: port.map(|_| record.port_name(&endpoint.ifname)),
            published: record.published.clone(),
        })
    }

    fn tell_of_guest(&mut self, id: &Id, event: fn(crate::event::Membership) -> Event) {
        let endpoint = self.records.get(id).and_then(|record| record.endpoints.first());
        let network = endpoint.and_then(|endpoint| self.networks.get(&endpoint.network));
        if let Some(name) = network.map(|net| net.network.name.to_string()) {
            self.tell_of_member(&name, id, event);
        }
    }
}

/// Whether a guest is what is asked for.
fn is_as_asked(record: &Record, network: &Network, request: &GuestRequest) -> bool {
    let Some(endpoint) = record.endpoint(&network.id) else { return false };
    let lease = &endpoint.lease;
    request.ip.is_none_or(|ip| ip == lease.ip.addr())
        && request.mac.is_none_or(|mac| mac == lease.mac)
        && request.mtu.unwrap_or(network.mtu) == lease.mtu
}
