//! The calls, carried out on the manager. What makes is done already where all is as it is asked for: dockerd asks again when an answer
//! was lost. What undoes has nothing to do for what is not known.
//!
//! The interface of an endpoint is made at Join, on the host, and goes at DeleteEndpoint. Not at Leave: then libnetwork has yet to
//! take it back from the sandbox, and forgets only what it has found there.

use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::sync::MutexGuard;

use docker::options::Options;
use docker::ports::{are_met, choose};
use docker::{Call, EndpointOrder, JoinOrder, Method, NetworkOrder, ProgramOrder, Refused, Subject, reply};
use netns::error::Error;
use netns::guest::{GuestRequest, GuestView, Place};
use netns::manager::{NetworkRequest, Now};
use netns::name::Id;
use netns::network::{Network, Owner};
use netns::publish::{PortMapping, Protocol};
use netns::subnet::SubnetRequest;
use serde_json::Value;

use super::cause::Cause;
use super::names::Namer;
use crate::daemon::Daemon;
use crate::daemon::state::State;

/// How often ports are chosen anew, should somebody take one between the look and the leap.
const CHOICES: usize = 4;
/// What a user may do whose networks are known to Docker only.
const FORGOTTEN: &str =
    "Docker has it and Pontoon does not, as when Pontoon's state directory has gone: remove it and create it again";

/// Carries a call out. `None` if this daemon ends: the next one is to be asked.
pub(super) fn carry_out(daemon: &Daemon, namer: &Namer, method: Method, call: Call) -> Option<Result<Value, Refused>> {
    let (object, makes) = match &call {
        Call::Activate => return Some(Ok(reply::activated())),
        Call::GetCapabilities => return Some(Ok(reply::capabilities())),
        Call::GwAllocCheck => return Some(Ok(reply::gateways())),
        Call::EndpointOperInfo(_) => return Some(Ok(reply::nothing_to_tell())),
        Call::Nothing => return Some(Ok(reply::done())),
        Call::CreateNetwork(order) => (order.id.to_string(), true),
        Call::CreateEndpoint(order) => (order.endpoint.to_string(), true),
        Call::Join(order) => (order.endpoint.to_string(), true),
        Call::Program(order) => (order.endpoint.to_string(), true),
        Call::DeleteNetwork(network) => (network.clone(), false),
        Call::Leave(subject) | Call::Revoke(subject) | Call::DeleteEndpoint(subject) => {
            (subject.endpoint.clone(), false)
        }
    };
    let object: String = object.chars().take(Id::SHORT).collect();
    let (busy, state) = daemon.let_in(makes)?;
    tracing::debug!("Docker: {} {}", method.operation(), object.escape_debug());
    let mut desk = Desk { state, now: daemon.now() };
    let done = match call {
        Call::CreateNetwork(order) => desk.create_network(*order),
        Call::DeleteNetwork(network) => desk.delete_network(network),
        Call::CreateEndpoint(order) => desk.create_endpoint(&order),
        Call::DeleteEndpoint(subject) => desk.delete_endpoint(&subject),
        Call::Join(order) => desk.join(&order),
        Call::Leave(subject) | Call::Revoke(subject) => desk.revoke(&subject),
        Call::Program(order) => desk.program(&order),
        Call::Activate | Call::GetCapabilities | Call::GwAllocCheck | Call::EndpointOperInfo(_) | Call::Nothing => {
            Ok(reply::done())
        }
    };
    let _ = desk.state.pump();
    drop(desk);
    drop(busy);
    if makes {
        namer.nudge();
    }
    Some(done.map_err(|Cause { text, hint }| method.refused(&object, text).with_hint(hint)))
}

/// Where one call is carried out.
struct Desk<'a> {
    state: MutexGuard<'a, State>,
    now: Now,
}

impl Desk<'_> {
    fn create_network(&mut self, order: NetworkOrder) -> Result<Value, Cause> {
        if let Ok(known) = self.state.manager.network(order.id.as_str()) {
            return if is_as_ordered(known, &order) {
                Ok(reply::done())
            } else {
                let name = Some(known.name.as_str()).filter(|name| *name != order.id.short());
                let called = name.map(|name| format!(", {name}")).unwrap_or_default();
                Err(Cause::from(format!("there is another network of this id{called}")))
            };
        }
        // Docker does not say what it is called: that is asked for later.
        let name = order.id.short().parse().map_err(|why| Cause::from(format!("{why}")))?;
        let request = NetworkRequest {
            subnet: SubnetRequest { subnet: Some(order.subnet), gateway: Some(order.gateway), ip_range: None },
            internal: order.internal,
            mtu: order.options.mtu,
            labels: order.said,
            owner: Owner::Docker,
            id: Some(order.id),
            bridge: order.options.bridge,
            ..NetworkRequest::new(name)
        };
        let created = self.state.manager.create_network(request, self.now);
        let plugged = self.state.pump();
        let id = created?;
        if let Err(why) = plugged {
            let _ = self.state.manager.remove_network_of(Owner::Docker, id.as_str(), self.now);
            return Err(Cause::from(format!("put it on the switch: {why}")));
        }
        Ok(reply::done())
    }

    fn delete_network(&mut self, network: String) -> Result<Value, Cause> {
        let Ok(id) = Id::try_from(network) else { return Ok(reply::done()) };
        if self.network(&id).is_ok() {
            self.state.manager.remove_network_of(Owner::Docker, id.as_str(), self.now)?;
        }
        Ok(reply::done())
    }

    fn create_endpoint(&mut self, order: &EndpointOrder) -> Result<Value, Cause> {
        self.network(&order.network)?;
        let request = GuestRequest {
            ip: order.ip,
            mac: order.mac,
            ..GuestRequest::new(Owner::Docker, order.endpoint.as_str(), order.network.as_str())
        };
        let GuestView { lease, .. } = self.state.manager.reserve(request, self.now)?;
        let address = order.ip.is_none().then_some(lease.ip);
        Ok(reply::endpoint(address, (!order.mac_is_filled).then_some(lease.mac)))
    }

    fn delete_endpoint(&mut self, subject: &Subject) -> Result<Value, Cause> {
        self.state.manager.release(Owner::Docker, &subject.endpoint, self.now)?;
        Ok(reply::done())
    }

    fn join(&mut self, order: &JoinOrder) -> Result<Value, Cause> {
        let prefix = options_of(self.network(&order.network)?).prefix;
        self.guest(&order.network, &order.endpoint)?;
        let ifname = format!("pt-{}", order.endpoint.short());
        let place = Place::Host { ifname: ifname.clone() };
        let guest = self.state.manager.open_guest(Owner::Docker, order.endpoint.as_str(), place, self.now)?;
        if let Err(failed) = self.state.pump() {
            return Err(self.state.manager.give_up(&guest.id, failed.to_string(), self.now).into());
        }
        Ok(reply::joined(&ifname, &prefix, (!guest.internal).then_some(guest.lease.gateway)))
    }

    fn program(&mut self, order: &ProgramOrder) -> Result<Value, Cause> {
        let otherwise = options_of(self.network(&order.network)?).host_binding;
        let guest = self.guest(&order.network, &order.endpoint)?;
        if are_met(&order.ports, &guest.published, otherwise) {
            return Ok(reply::done());
        }
        let has_choice = order.ports.iter().any(|wanted| wanted.host.len() > 1);
        let mut tries = if has_choice { CHOICES } else { 1 };
        loop {
            let mappings = choose(&order.ports, otherwise, is_free)?;
            let published =
                self.state.manager.publish_guest(Owner::Docker, order.endpoint.as_str(), mappings, self.now);
            tries -= 1;
            match published {
                Ok(()) => return Ok(reply::done()),
                Err(failed) if tries == 0 => return Err(failed.into()),
                Err(_) => {}
            }
        }
    }

    fn revoke(&mut self, subject: &Subject) -> Result<Value, Cause> {
        self.state.manager.unpublish_guest(Owner::Docker, &subject.endpoint, self.now)?;
        Ok(reply::done())
    }

    /// A network of Docker's.
    fn network(&self, id: &Id) -> Result<&Network, Cause> {
        let known = self.state.manager.network(id.as_str()).ok();
        known.filter(|network| network.owner == Owner::Docker).ok_or_else(|| {
            let text = Error::NoSuchNetwork(id.short().to_owned()).to_string();
            Cause { text, hint: Some(FORGOTTEN.to_owned()) }
        })
    }

    /// An endpoint of Docker's on this network.
    fn guest(&self, network: &Id, endpoint: &Id) -> Result<GuestView, Cause> {
        let guest = self.state.manager.guest(Owner::Docker, endpoint.as_str());
        guest
            .filter(|guest| guest.network_id == *network)
            .ok_or_else(|| Cause::from(format!("there is no such endpoint on network {}", network.short())))
    }
}

/// Whether a network is what is asked for, but for its name.
fn is_as_ordered(network: &Network, order: &NetworkOrder) -> bool {
    network.owner == Owner::Docker
        && (network.subnet, network.gateway, network.internal) == (order.subnet, order.gateway, order.internal)
        && network.labels == order.said
}

/// What a network of Docker's was made with. (It would not be there if they could not be read.)
fn options_of(network: &Network) -> Options {
    Options::read(&network.labels).unwrap_or_default()
}

/// Whether a port of the host could be had just now.
fn is_free(mapping: &PortMapping) -> bool {
    let address = SocketAddrV4::new(mapping.ip, mapping.host);
    match mapping.protocol {
        Protocol::Tcp => TcpListener::bind(address).is_ok(),
        Protocol::Udp => UdpSocket::bind(address).is_ok(),
    }
}
