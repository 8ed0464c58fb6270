//! What a runtime of containers asks by way of `pontoon-cni`: its attachments are guests of the manager's.
//!
//! * The network of a configuration is made when the first interface is, and stays: nobody tells when a configuration goes. A
//!   configuration that contradicts the network that is there is refused.
//! * A runtime that makes an interface again for a container whose sandbox is another one by now has forgotten the first: it goes.

use std::net::Ipv4Addr;

use cni::Code;
use control::{Answer, CniAdd, CniAttached, CniNetwork, CniOrder};
use netns::error::Error;
use netns::guest::{GuestRequest, GuestView, Place, Route};
use netns::manager::{NetworkRequest, Now};
use netns::network::{LeaseError, Network, Owner};
use netns::publish::PortMapping;
use netns::subnet::SubnetRequest;

use super::Daemon;
use super::serve::value;
use super::state::State;
use crate::failure::Failure;

/// Whose guests they are.
const ENGINE: Owner = Owner::Cni;

/// Carries out what is asked; what is made goes with [`take_back`] if it can not be told.
pub(super) fn carry_out(daemon: &Daemon, state: &mut State, order: CniOrder) -> Result<Answer, Failure> {
    let now = daemon.now();
    state.manager.reap(now);
    let mut warnings = Vec::new();
    let done = match order {
        CniOrder::Add(add) => {
            let attached = attach(state, &add, now);
            warnings.extend(state.manager.warnings_on(add.network.name.as_str()));
            attached.and_then(value)
        }
        CniOrder::Check { network, key, publish } => check(state, network.as_str(), &key, &publish).and_then(value),
        CniOrder::Del { key } => state.manager.release(ENGINE, &key, now).map_err(in_code).and_then(value),
        CniOrder::Gc { network, spared } => collect(state, network.as_str(), &spared, now).and_then(value),
        CniOrder::Status(network) => status(state, &network).and_then(value),
    };
    let _ = state.pump();
    daemon.poke();
    done.map(|done| if warnings.is_empty() { Answer::Done(done) } else { Answer::Warned { done, warnings } })
}

/// Takes an interface away that its runtime has not been told of.
pub(super) fn take_back(daemon: &Daemon, key: &str) {
    tracing::warn!(key, "who asked for an interface has gone before it was there: it goes, too");
    let mut state = daemon.state();
    if let Err(failed) = state.manager.release(ENGINE, key, daemon.now()) {
        tracing::warn!(key, "{failed}");
    }
    let _ = state.pump();
    drop(state);
    daemon.poke();
}

fn attach(state: &mut State, add: &CniAdd, now: Now) -> Result<CniAttached, Failure> {
    let key = add.key();
    let network = network(state, &add.network, now)?;
    let place = Place::Inside {
        netns: add.netns.display().to_string(),
        ifname: add.ifname.as_str().to_owned(),
        routes: routes(add, &network),
    };
    if let Some(before) = state.manager.guest(ENGINE, &key) {
        if before.port.is_some() && netns_of(before.place.as_ref()) == netns_of(Some(&place)) {
            let message = format_args!("make the interface {} of container {}: it is there", add.ifname, add.container);
            return Err(Failure::new(message).with_status(Code::InvalidEnvironment as i32));
        }
        state.manager.release(ENGINE, &key, now).map_err(in_code)?;
    }
    let ip = match (add.ip, add.pool) {
        (None, Some(pool)) => Some(free_in(state, &network, pool)?),
        (ip, _) => ip,
    };
    let request = GuestRequest {
        ip,
        mac: add.mac,
        aliases: add.aliases.iter().map(ToString::to_string).collect(),
        published: add.publish.clone(),
        sandbox: Some(add.netns.display().to_string()),
        named: add.name.as_ref().map(ToString::to_string),
        ..GuestRequest::new(ENGINE, &key, network.id.as_str())
    };
    state.manager.reserve(request, now).map_err(in_code)?;
    let opened = open(state, &key, place, now);
    if opened.is_err() {
        // Nobody comes back to a reservation of this engine's.
        let _ = state.manager.release(ENGINE, &key, now);
    }
    opened.map(|view| attached(state, &view)).map_err(in_code)
}

/// It is told of when its port is on the switch, and not before.
fn open(state: &mut State, key: &str, place: Place, now: Now) -> Result<GuestView, Error> {
    let view = state.manager.open_guest(ENGINE, key, place, now)?;
    state.pump().map_err(|failed| state.manager.give_up(&view.id, failed.to_string(), now))?;
    Ok(view)
}

/// The network that a configuration means: the one that is there, or one that is made now.
fn network(state: &mut State, asked: &CniNetwork, now: Now) -> Result<Network, Failure> {
    if let Some(network) = known(state, asked)? {
        return Ok(network);
    }
    let subnet = SubnetRequest { subnet: asked.subnet, gateway: asked.gateway, ip_range: None };
    let request = NetworkRequest {
        subnet,
        mtu: asked.mtu,
        internal: asked.internal,
        owner: ENGINE,
        ..NetworkRequest::new(asked.name.clone())
    };
    let id = state.manager.create_network(request, now).map_err(in_code)?;
    if let Err(why) = state.pump() {
        let _ = state.manager.remove_network_of(ENGINE, id.as_str(), now);
        let _ = state.pump();
        return Err(Failure::new(format_args!("put the network on the switch: {why}")));
    }
    Ok(state.manager.network(id.as_str()).map_err(in_code)?.clone())
}

/// The network of a configuration, if it is there, and as the configuration has it.
fn known(state: &State, asked: &CniNetwork) -> Result<Option<Network>, Failure> {
    let Ok(network) = state.manager.network(asked.name.as_str()) else { return Ok(None) };
    // (An id, or the beginning of one, is no name here.)
    if network.name != asked.name {
        return Ok(None);
    }
    let differs = |what: &str, is: String, asked: String| {
        let message = format_args!("network {}: its {what} is {is}, and {asked} in the configuration", network.name);
        Err(Failure::new(message)
            .with_hint(format!("`pontoon network rm {}` removes a network that nobody is on", network.name))
            .with_status(Code::InvalidConfiguration as i32))
    };
    if network.owner == Owner::Docker {
        let message = format_args!("network {} belongs to {}", network.name, network.owner);
        return Err(Failure::new(message).with_status(Code::InvalidConfiguration as i32));
    }
    match asked {
        CniNetwork { subnet: Some(subnet), .. } if *subnet != network.subnet => {
            differs("subnet", network.subnet.to_string(), subnet.to_string())
        }
        CniNetwork { gateway: Some(gateway), .. } if *gateway != network.gateway => {
            differs("gateway", network.gateway.to_string(), gateway.to_string())
        }
        CniNetwork { mtu: Some(mtu), .. } if *mtu != network.mtu => {
            differs("MTU", network.mtu.to_string(), mtu.to_string())
        }
        CniNetwork { internal, .. } if *internal != network.internal => {
            let word = |internal: bool| if internal { "internal" } else { "not internal" };
            differs("way out", word(network.internal).into(), word(*internal).into())
        }
        _ => Ok(Some(network.clone())),
    }
}

/// The first address of a pool that nobody has.
fn free_in(state: &mut State, network: &Network, (first, last): (Ipv4Addr, Ipv4Addr)) -> Result<Ipv4Addr, Failure> {
    let details = state.manager.inspect_network(network.id.as_str()).map_err(in_code)?;
    let mut taken: Vec<Ipv4Addr> = details.containers.values().filter_map(|member| Some(member.ip?.addr())).collect();
    taken.extend([network.gateway, network.subnet.network(), network.subnet.broadcast()]);
    taken.sort();
    let mut all = (u32::from(first)..=u32::from(last)).map(Ipv4Addr::from);
    all.find(|address| taken.binary_search(address).is_err()).ok_or_else(|| {
        let message = format_args!("network {}: no free address is left from {first} to {last}", network.name);
        Failure::new(message).with_status(Code::TryAgain as i32)
    })
}

fn routes(add: &CniAdd, network: &Network) -> Vec<Route> {
    match &add.routes {
        Some(routes) => {
            let via = |by: Option<Ipv4Addr>| Some(by.unwrap_or(network.gateway));
            routes.iter().map(|route| Route { to: route.to, via: via(route.by) }).collect()
        }
        None if network.internal => Vec::new(),
        None => vec![Route { to: ipnet::Ipv4Net::default(), via: Some(network.gateway) }],
    }
}

fn netns_of(place: Option<&Place>) -> Option<&str> {
    match place? {
        Place::Inside { netns, .. } => Some(netns),
        Place::Host { .. } => None,
    }
}

fn attached(state: &State, view: &GuestView) -> CniAttached {
    CniAttached {
        ip: view.lease.ip,
        mac: view.lease.mac,
        mtu: view.lease.mtu,
        gateway: view.lease.gateway,
        internal: view.internal,
        nameserver: state.manager.answers_names(&view.network_id).then_some(view.lease.gateway),
    }
}

fn check(state: &State, network: &str, key: &str, publish: &[PortMapping]) -> Result<CniAttached, Failure> {
    let failed = |why: String, code: Code| Failure::new(format_args!("check {key}: {why}")).with_status(code as i32);
    let view = state.manager.guest(ENGINE, key);
    let view = view.ok_or_else(|| failed("there is no such interface".into(), Code::UnknownContainer))?;
    if view.network != network {
        return Err(failed(format!("it is on network {}", view.network), Code::CheckFailed));
    }
    if view.port.is_none() {
        return Err(failed("its interface has gone".into(), Code::CheckFailed));
    }
    let lost = publish.iter().find(|wanted| !view.published.contains(wanted));
    match lost {
        Some(lost) => Err(failed(format!("port {lost} is not published"), Code::CheckFailed)),
        None => Ok(attached(state, &view)),
    }
}

fn collect(state: &mut State, network: &str, spared: &[String], now: Now) -> Result<Vec<String>, Failure> {
    let all = state.manager.guests(ENGINE).into_iter().filter(|view| view.network == network);
    let stale: Vec<String> = all.map(|view| view.key).filter(|key| !spared.contains(key)).collect();
    let mut failures = Vec::new();
    for key in &stale {
        failures.extend(state.manager.release(ENGINE, key, now).err());
    }
    failures.into_iter().next().map_or(Ok(stale), |failed| Err(in_code(failed)))
}

fn status(state: &mut State, asked: &CniNetwork) -> Result<(), Failure> {
    let Some(network) = known(state, asked)? else { return Ok(()) };
    if let Err(down) = state.manager.is_up(&network.id) {
        return Err(Failure::from(down).with_status(Code::NotAvailableLimited as i32));
    }
    let all = (network.subnet.network(), network.subnet.broadcast());
    free_in(state, &network, all).map(drop).map_err(|failure| failure.with_status(Code::NotAvailable as i32))
}

/// What the manager says, with the specification's code of it where it has one.
fn in_code(failed: Error) -> Failure {
    let code = match &failed {
        Error::Lease { source: LeaseError::PoolExhausted(_) | LeaseError::RangeExhausted(_), .. }
        | Error::Silent(_)
        | Error::NetworkDown { .. } => Code::TryAgain,
        Error::Subnet { .. } | Error::Mtu(_) | Error::ReservedNetworkName(_) | Error::PredefinedNetwork { .. } => {
            Code::InvalidConfiguration
        }
        _ => Code::Daemon,
    };
    Failure::from(failed).with_status(code as i32)
}
