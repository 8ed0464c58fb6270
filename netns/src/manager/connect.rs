//! How a container that runs comes to another network, and leaves one.
//!
//! The record says what is about to be done before it is: an endpoint that was joining or leaving when a daemon was killed
//! is gone when the next one runs.

use std::net::Ipv4Addr;

use switch::mac::MacAddr;

use super::end::all_of;
use super::run::{check_addresses, check_aliases, default_endpoint, interface_of};
use super::salvage::note_of;
use super::{Manager, Now};
use crate::backend::Backend;
use crate::error::Error;
use crate::event::Event;
use crate::mode::NetworkMode;
use crate::name::Id;
use crate::record::{Endpoint, EndpointPhase, MAX_ENDPOINTS, Phase, Record};

/// What `network connect` asks for.
#[derive(Clone, Debug, Default)]
pub struct ConnectRequest {
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--mac-address`.
    pub mac: Option<MacAddr>,
    /// `--network-alias`.
    pub aliases: Vec<String>,
}

impl<B: Backend> Manager<B> {
    /// Gives a container that runs an interface on a further network: `eth1` and so on.
    ///
    /// # Errors
    /// Why it has none; whatever had been done is undone.
    pub fn connect(&mut self, network: &str, container: &str, request: ConnectRequest, now: Now) -> Result<(), Error> {
        self.reap(now);
        match self.predefined_name(network) {
            Some("none") => return self.connect_to_none(container),
            Some("host") => {
                let record = self.running(container)?;
                let container = record.name.to_string();
                return Err(match record.mode {
                    NetworkMode::Host => Error::AlreadyConnected { container, network: "host".into() },
                    _ => Error::NotConnectableToHost { container },
                });
            }
            _ => {}
        }
        let net = self.find_network(network)?;
        check_aliases(&net.network, &request.aliases)?;
        check_addresses(&net.network, request.ip)?;
        let record = self.connectable(container)?;
        let name = net.network.name.to_string();
        if record.endpoint(&net.network.id).is_some() {
            return Err(Error::AlreadyConnected { container: record.name.to_string(), network: name });
        }
        if record.endpoints.len() == MAX_ENDPOINTS {
            return Err(Error::TooManyEndpoints { container: record.name.to_string(), limit: MAX_ENDPOINTS });
        }
        let endpoint = Endpoint {
            network: net.network.id.clone(),
            ifname: record.free_ifname(),
            lease: self.lease(net, request.ip, request.mac, None)?,
            kind: net.network.endpoint,
            aliases: request.aliases,
            phase: EndpointPhase::Joining,
        };
        let (id, ifname) = (record.id.clone(), endpoint.ifname.clone());
        self.record(&id)?.endpoints.push(endpoint);
        self.join(&id, &ifname, now).map_err(|failed| {
            let mut errors = vec![failed];
            errors.extend(self.drop_endpoint(&id, &ifname, now));
            all_of(errors).expect("there is one at least")
        })?;
        self.tell_of_member(&name, &id, Event::Connected);
        Ok(())
    }

    /// Takes a container that runs off a network.
    ///
    /// # Errors
    /// If it is not on it, or something stays.
    pub fn disconnect(&mut self, network: &str, container: &str, now: Now) -> Result<(), Error> {
        self.reap(now);
        let (id, name) = {
            let record = self.running(container)?;
            (record.id.clone(), record.name.to_string())
        };
        if self.predefined_name(network) == Some("none") {
            let record = self.record(&id)?;
            if !record.is_in_none {
                return Err(Error::NotConnected { container: name, network: "none".into() });
            }
            record.is_in_none = false;
            return self.save(&id);
        }
        let network = match self.predefined_name(network) {
            Some("host") => return Err(Error::NotDisconnectable { container: name }),
            _ => self.find_network(network)?.network.clone(),
        };
        let record = self.record(&id)?;
        let endpoint = record.endpoints.iter_mut().find(|endpoint| endpoint.network == network.id);
        let not_on_it = || Error::NotConnected { container: name, network: network.name.to_string() };
        let endpoint = endpoint.ok_or_else(not_on_it)?;
        endpoint.phase = EndpointPhase::Leaving;
        let ifname = endpoint.ifname.clone();
        let mut errors: Vec<Error> = self.save_and_note(&id).err().into_iter().collect();
        errors.extend(self.drop_endpoint(&id, &ifname, now));
        self.tell_of_member(network.name.as_str(), &id, Event::Disconnected);
        all_of(errors).map_or(Ok(()), Err)
    }

    /// Does what a killed daemon had begun: endpoints that were joining or leaving go.
    pub(super) fn finish_endpoints(&mut self, id: &Id, now: Now) -> Vec<Error> {
        let Some(record) = self.records.get(id) else { return Vec::new() };
        let half_done = record.endpoints.iter().filter(|endpoint| endpoint.phase != EndpointPhase::Joined);
        let half_done: Vec<String> = half_done.map(|endpoint| endpoint.ifname.clone()).collect();
        half_done.iter().flat_map(|ifname| self.drop_endpoint(id, ifname, now)).collect()
    }

    /// The steps of an endpoint that is joining.
    fn join(&mut self, id: &Id, ifname: &str, now: Now) -> Result<(), Error> {
        self.meet(id)?;
        self.save_and_note(id)?;
        let (before, target) = (self.default_route(id), self.published_address(id));
        let link = {
            let record = self.records.get(id).ok_or_else(|| Error::NoSuchContainer(id.short().to_owned()))?;
            let endpoint = record.endpoints.iter().find(|endpoint| endpoint.ifname == ifname);
            let endpoint = endpoint.ok_or_else(|| Error::NoSuchInterface(record.port_name(ifname)))?;
            let network = self.networks.get(&endpoint.network).map(|net| &net.network);
            self.backend.attach(id, &interface_of(endpoint, network, false, record.offload))?
        };
        self.plug(id, ifname, link)?;
        if let Some(endpoint) = self.record(id)?.endpoints.iter_mut().find(|endpoint| endpoint.ifname == ifname) {
            endpoint.phase = EndpointPhase::Joined;
        }
        if self.default_route(id) != before {
            self.route_anew(id)?;
        }
        self.write_files(id)?;
        self.publish_anew(id, target)?;
        self.serve_names_later(now);
        self.save_and_note(id)
    }

    /// Takes an endpoint away, whatever of it there is. Returns what failed; the endpoint is gone from the record unless its
    /// interface stays, or published ports still lead to it: its address is not free then.
    fn drop_endpoint(&mut self, id: &Id, ifname: &str, now: Now) -> Vec<Error> {
        let target = self.address_published_with(id, ifname);
        let known = self.records.get_mut(id).map(|record| record.endpoints.iter_mut());
        let Some(endpoint) = known.and_then(|mut own| own.find(|endpoint| endpoint.ifname == ifname)) else {
            return Vec::new();
        };
        endpoint.phase = EndpointPhase::Leaving;
        let kind = endpoint.kind;
        self.unplug(id, ifname);
        if let Err(stuck) = self.backend.detach(id, ifname, kind) {
            return vec![stuck.into()];
        }
        if self.published_address(id) != target
            && let Err(stuck) = self.unpublish(id)
        {
            return vec![stuck];
        }
        if let Ok(record) = self.record(id) {
            record.endpoints.retain(|endpoint| endpoint.ifname != ifname);
        }
        // Wherever it went before: that may have been by this interface, and a daemon killed since.
        let steps = [self.route_anew(id), self.write_files(id), self.publish_anew(id, target), self.save_and_note(id)];
        self.serve_names_later(now);
        steps.into_iter().filter_map(Result::err).collect()
    }

    /// Saves a container's record, and with the container what is to be known should that be lost.
    pub(super) fn save_and_note(&mut self, id: &Id) -> Result<(), Error> {
        self.save(id)?;
        let Some(record) = self.records.get(id).filter(|record| record.phase != Phase::Reserved) else { return Ok(()) };
        let note = note_of(record, self.networks.values().map(|net| &net.network));
        Ok(self.backend.note(id, &note)?)
    }

    /// Makes the default route what it should be.
    fn route_anew(&mut self, id: &Id) -> Result<(), Error> {
        let route = self.default_route(id);
        let route = route.as_ref().map(|(ifname, gateway)| (ifname.as_str(), *gateway));
        Ok(self.backend.set_default_route(id, route)?)
    }

    pub(super) fn default_route(&self, id: &Id) -> Option<(String, Ipv4Addr)> {
        let network = |id: &Id| self.networks.get(id).map(|net| &net.network);
        let endpoint = default_endpoint(self.records.get(id)?, network)?;
        Some((endpoint.ifname.clone(), endpoint.lease.gateway))
    }

    fn connect_to_none(&mut self, container: &str) -> Result<(), Error> {
        let record = self.running(container)?;
        let (id, name) = (record.id.clone(), record.name.to_string());
        if record.is_in_none {
            return Err(Error::AlreadyConnected { container: name, network: "none".into() });
        }
        match record.mode {
            NetworkMode::Host | NetworkMode::Container(_) => {
                Err(Error::NotConnectable { container: name, mode: record.mode.clone() })
            }
            NetworkMode::Bridge(_) | NetworkMode::None if !record.endpoints.is_empty() => {
                Err(Error::NoneIsAlone { container: name })
            }
            NetworkMode::Bridge(_) | NetworkMode::None => {
                self.record(&id)?.is_in_none = true;
                self.save(&id)
            }
        }
    }

    /// A container that runs and may have interfaces of its own.
    fn connectable(&self, container: &str) -> Result<&Record, Error> {
        let record = self.running(container)?;
        let refused = || Error::NotConnectable { container: record.name.to_string(), mode: record.mode.clone() };
        match record.mode {
            NetworkMode::Host | NetworkMode::Container(_) => Err(refused()),
            NetworkMode::Bridge(_) | NetworkMode::None if record.is_in_none => {
                Err(Error::NotConnectable { container: record.name.to_string(), mode: NetworkMode::None })
            }
            NetworkMode::Bridge(_) | NetworkMode::None => Ok(record),
        }
    }

    /// A container that runs and does what it is told.
    fn running(&self, container: &str) -> Result<&Record, Error> {
        let record = self.find_own(container)?;
        if !record.is_live() {
            return Err(Error::NotRunning(record.name.to_string()));
        }
        // What it is told it would not do, and an address that it keeps is not free.
        if self.silent.contains(&record.id) { Err(Error::Silent(record.name.to_string())) } else { Ok(record) }
    }
}
