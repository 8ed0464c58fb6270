//! How a manager starts: the default network, and what an earlier daemon left, from its records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use switch::dataplane::{BridgeId, Control};
use switch::port::PortConfig;

use super::run::spec_of;
use super::salvage::salvage;
use super::{BRIDGE_NAMES, GATEWAY_PORT, Manager, Now, Settings, broken, chance_from, first_host, switch_config, view};
use crate::backend::{Adopted, Backend, BackendError, Gateway};
use crate::error::Error;
use crate::lease::DEFAULT_MTU;
use crate::name::{Id, Name};
use crate::network::{Network, bridge_mac};
use crate::pools::{default_pools, first_free, overlap};
use crate::record::{Phase, Record};

/// How long after a container did not answer it is asked again. To ask takes a moment in which nothing else is done.
const ASK_AGAIN: Duration = Duration::from_secs(8);
const NETWORK_KEY: &str = "network-bridge";
const PREDEFINED_KEY: &str = "networks";

pub(super) fn open<B: Backend>(
    mut backend: B,
    settings: &Settings,
    now: Now,
) -> Result<(Manager<B>, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let mut chance = chance_from(settings.seed);
    let mut records = BTreeMap::new();
    let mut known_network = None;
    let mut predefined = None;
    for (key, text) in backend.load()? {
        if key == NETWORK_KEY {
            known_network = read_or_set_aside::<B, Network>(&mut backend, &key, &text, &mut warnings)?;
        } else if key == PREDEFINED_KEY {
            predefined = read_or_set_aside::<B, view::Predefined>(&mut backend, &key, &text, &mut warnings)?;
        } else if key.starts_with("container-")
            && let Some(record) = read_or_set_aside::<B, Record>(&mut backend, &key, &text, &mut warnings)?
        {
            records.insert(record.id.clone(), record);
        }
    }
    salvage(&mut backend, &mut records, &mut known_network, &mut warnings)?;
    let networks = match predefined {
        Some(networks) => networks,
        None => {
            let networks = view::Predefined { host: Id::random(&mut chance), none: Id::random(&mut chance) };
            save(&mut backend, PREDEFINED_KEY, &networks)?;
            networks
        }
    };

    // The living first: their shims kept the gateway interface, and the subnet that they use is the network's.
    let bridge = known_network.as_ref().map_or("", |network| network.bridge.as_str()).to_owned();
    let mut adopted = Vec::new();
    for record in records.values() {
        match record.phase {
            Phase::Creating | Phase::Removing | Phase::Exited { .. } => {}
            Phase::Starting { .. } | Phase::Running { .. } | Phase::Stopping { .. } => {
                let found = backend.adopt(&spec_of(record, &bridge, ""));
                adopted.push((record.id.clone(), found));
            }
        }
    }
    // One that does not answer may live.
    let in_use = adopted.iter().any(|(id, found)| {
        let on_bridge = records.get(id).is_some_and(|record| record.lease.is_some());
        on_bridge && matches!(found, Ok(Adopted::Running { .. }) | Err(_))
    });
    let silent = adopted.iter().filter(|(_, found)| found.is_err()).map(|(id, _)| id.clone()).collect();
    let opened = open_network(&mut backend, &mut chance, known_network, in_use, settings);
    let (network, gateway) = opened.map_err(|failed| match failed {
        Error::Backend(BackendError::NameTaken(bridge)) if in_use => {
            Error::GatewayHeld { bridge, containers: names_of(&records, &silent) }
        }
        failed => failed,
    })?;
    save(&mut backend, NETWORK_KEY, &network)?;

    let bridge = BridgeId(0);
    let local =
        PortConfig { name: network.bridge.clone(), mtu: network.mtu, local: Some(network.mac), ..Default::default() };
    let controls = VecDeque::from([
        Control::AddBridge { bridge, name: network.bridge.clone(), config: switch_config(&mut chance) },
        Control::Plug { bridge, port: GATEWAY_PORT, config: local, link: gateway },
    ]);
    let mut manager = Manager {
        backend,
        chance,
        network,
        networks,
        bridge,
        records,
        ports: BTreeMap::new(),
        last_port: GATEWAY_PORT,
        deadlines: BTreeMap::new(),
        silent: BTreeSet::new(),
        controls,
    };
    for (id, found) in adopted {
        if let Err(failed) = resume(&mut manager, &id, found, now) {
            warnings.push(format!("container {}: {failed}", id.short()));
        }
    }
    finish(&mut manager, now, &mut warnings);
    Ok((manager, warnings))
}

fn is_for_hosts(subnet: Ipv4Net) -> bool {
    const NOT: [Ipv4Net; 4] = [
        Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8),
        Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8),
        Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
        Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    !NOT.into_iter().any(|not| overlap(not, subnet))
}

fn names_of(records: &BTreeMap<Id, Record>, ids: &BTreeSet<Id>) -> String {
    let names: Vec<&str> = ids.iter().filter_map(|id| Some(records.get(id)?.name.as_str())).collect();
    names.join(", ")
}

impl<B: Backend> Manager<B> {
    /// Tries once more to take over a container that did not answer before.
    pub(super) fn adopt_again(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        let Some(record) = self.records.get(id) else { return Ok(()) };
        let found = self.backend.adopt(&spec_of(record, &self.network.bridge, ""));
        resume(self, id, found, now)
    }
}

/// A container that had begun its life: carries on with it, or settles its end. One that does not answer keeps all that it
/// has, and is asked again later.
fn resume<B: Backend>(
    manager: &mut Manager<B>,
    id: &Id,
    found: Result<Adopted<B::Link>, BackendError>,
    now: Now,
) -> Result<(), Error> {
    let stopping = matches!(manager.record(id)?.phase, Phase::Stopping { .. });
    let found = found.inspect_err(|_| {
        manager.silent.insert(id.clone());
        manager.deadlines.insert(id.clone(), now.instant + ASK_AGAIN);
    })?;
    match found {
        Adopted::Running { .. } if stopping => manager.end(id, now),
        Adopted::Running { pid, link } => {
            if let Some(link) = link {
                manager.plug(id, link)?;
            }
            manager.enter(id, Phase::Running { pid })
        }
        Adopted::Ended { status: Some(status) } => {
            manager.settle(id, status, now).into_iter().next().map_or(Ok(()), Err)
        }
        Adopted::Ended { status: None } => {
            let never_ran = matches!(manager.record(id)?.phase, Phase::Starting { .. });
            if never_ran { manager.undo_cut_short(id, now) } else { manager.end(id, now) }
        }
    }
}

/// Undoes starts that did not come far enough, and finishes removals.
fn finish<B: Backend>(manager: &mut Manager<B>, now: Now, warnings: &mut Vec<String>) {
    let half_done: Vec<Id> = manager
        .records
        .values()
        .filter(|record| matches!(record.phase, Phase::Creating | Phase::Removing))
        .map(|record| record.id.clone())
        .collect();
    for id in half_done {
        if let Err(failed) = manager.undo_cut_short(&id, now) {
            warnings.push(format!("container {}: {failed}", id.short()));
        }
    }
}

/// The default network and the switch's end of its gateway. A network that is known keeps its id for ever, and its subnet
/// and name unless the host has taken them meanwhile and no container lives on it.
fn open_network<B: Backend>(
    backend: &mut B,
    chance: &mut ChaCha8Rng,
    known: Option<Network>,
    in_use: bool,
    settings: &Settings,
) -> Result<(Network, B::Link), Error> {
    let own = known.as_ref().map(|network| network.bridge.clone());
    let taken = backend.host_prefixes(own.as_deref())?;
    let subnet = match (&known, settings.bip) {
        (Some(network), _) if in_use => Ipv4Net::new_assert(network.gateway, network.subnet.prefix_len()),
        (_, Some(bip)) if !is_for_hosts(bip) => {
            return Err(Error::Subnet { network: "bridge".into(), subnet: bip.trunc() });
        }
        (_, Some(bip)) => match taken.iter().find(|other| overlap(bip, **other)) {
            Some(other) => {
                return Err(Error::SubnetInUse { network: "bridge".into(), subnet: bip.trunc(), other: *other });
            }
            None => bip,
        },
        (Some(network), None) if !taken.iter().any(|other| overlap(network.subnet, *other)) => {
            Ipv4Net::new_assert(network.gateway, network.subnet.prefix_len())
        }
        _ => {
            let subnet = first_free(default_pools(), &taken).ok_or_else(|| Error::NoSubnet("bridge".into()))?;
            Ipv4Net::new_assert(first_host(subnet), subnet.prefix_len())
        }
    };
    let id = known.as_ref().map_or_else(|| Id::random(chance), |network| network.id.clone());
    let mut network = Network {
        name: Name::from_static("bridge"),
        mac: bridge_mac(&id),
        id,
        bridge: String::new(),
        subnet: subnet.trunc(),
        gateway: subnet.addr(),
        mtu: DEFAULT_MTU,
    };
    // The interface of a network in use is the one that its containers have kept for us, and no other.
    let others = if in_use && own.is_some() { 0..0 } else { BRIDGE_NAMES };
    let candidates = others.map(|number| format!("pontoon{number}"));
    let mut last = None;
    for name in own.into_iter().chain(candidates) {
        network.bridge = name;
        let lease = network.gateway_lease();
        match backend.open_gateway(&Gateway { name: &network.bridge, lease: &lease }) {
            Ok(link) => return Ok((network, link)),
            Err(taken @ BackendError::NameTaken(_)) => last = Some(taken),
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(last.unwrap_or(BackendError::Gone).into())
}

fn read_or_set_aside<B: Backend, T: DeserializeOwned>(
    backend: &mut B,
    key: &str,
    text: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<T>, Error> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(Some(value)),
        Err(why) => {
            let place = backend.set_aside(key)?;
            warnings.push(format!("the record {key} is corrupt ({why}); it is kept as {place}"));
            Ok(None)
        }
    }
}

fn save<B: Backend>(backend: &mut B, key: &str, value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|why| broken("save", key, &why))?;
    Ok(backend.save(key, &text)?)
}
