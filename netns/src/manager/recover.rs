//! How a manager starts: the networks, and what an earlier daemon left, from its records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use switch::verdict::PortId;

use super::accounts::Accounts;
use super::borrow::{self, Retaken, retake_all};
use super::end::all_of;
use super::guard::{Before, FORWARDING};
use super::networks::{Net, network_key, open_gateway, save_network};
use super::run::spec_of;
use super::salvage::salvage;
use super::{Manager, Now, Settings, chance_from, save_as, view};
use crate::backend::{Adopted, Backend, BackendError, Gateway, Links};
use crate::borrowed::Borrowed;
use crate::error::Error;
use crate::name::{Id, Name};
use crate::network::Network;
use crate::pools::overlap;
use crate::record::{EndpointPhase, Phase, Record};
use crate::strangers::Strangers;
use crate::subnet::{Subnet, SubnetError, SubnetRequest, Taken};

/// How long after a container did not answer it is asked again. To ask takes a moment in which nothing else is done.
const ASK_AGAIN: Duration = Duration::from_secs(8);
/// What the records of networks begin with. That of the default network is called so, those of others by their ids.
const NETWORK: &str = "network-";
pub(super) const DEFAULT: &str = "network-bridge";
const PREDEFINED: &str = "networks";
/// The numbers that are tried for `pontoonN`.
const BRIDGE_NAMES: std::ops::Range<u32> = 0..1000;

/// What was found of a container.
type Found<L> = Result<Adopted<L>, BackendError>;

pub(super) fn open<B: Backend>(
    mut backend: B,
    settings: &Settings,
    now: Now,
) -> Result<(Manager<B>, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let chance = chance_from(settings.seed);
    let boot = backend.boot()?;
    let saved = load(&mut backend, &mut warnings)?;
    match take_over(backend, chance, boot, saved, settings, now, &mut warnings) {
        Ok(manager) => Ok((manager, warnings)),
        // What was found on the way may well be why.
        Err(failed) if !warnings.is_empty() => Err(Error::Undo { first: Box::new(failed), also: warnings }),
        Err(failed) => Err(failed),
    }
}

fn take_over<B: Backend>(
    mut backend: B,
    mut chance: ChaCha8Rng,
    boot: String,
    saved: Saved,
    settings: &Settings,
    now: Now,
    warnings: &mut Vec<String>,
) -> Result<Manager<B>, Error> {
    let Saved { mut records, mut networks, borrowed, predefined, forwarding } = saved;
    salvage(&mut backend, &mut records, &mut networks, warnings)?;
    let predefined = match predefined {
        Some(predefined) => predefined,
        None => {
            let made = view::Predefined { host: Id::random(&mut chance), none: Id::random(&mut chance) };
            save_as(&mut backend, PREDEFINED, &made)?;
            made
        }
    };

    // The living first: their shims kept the gateways' interfaces, and the subnets that they use are the networks'.
    let adopted = adopt_all(&mut backend, &records, &networks, &boot);
    // Before the firewall is written anew: the host is not to hear by them in between.
    let retaken = retake_all(&mut backend, borrowed, &boot);
    // Where nobody is left who could remember anybody, nobody surprises. (Who is behind an interface of the host is met again.)
    for network in networks.iter_mut().filter(|network| !is_in_use(&network.id, &records, &adopted)) {
        network.strangers = Strangers::default();
    }
    let default = networks.iter().position(Network::is_default);
    let known = default.map(|at| networks.remove(at));
    let (network, gateway) = open_default(&mut backend, &mut chance, known, &records, &adopted, settings)?;
    save_as(&mut backend, DEFAULT, &network)?;

    // Who was there before a reboot is not.
    let is_deserted = !records.values().any(|record| record.boot == boot && record.is_open());
    let mut manager = Manager {
        backend,
        chance,
        boot: boot.clone(),
        networks: BTreeMap::new(),
        default: network.id.clone(),
        predefined,
        records,
        ports: BTreeMap::new(),
        borrowed: BTreeMap::new(),
        last_port: PortId(PORT_BEFORE_FIRST),
        deadlines: BTreeMap::new(),
        // After a reboot the host forwards as its administrator has it.
        forwarding: forwarding.filter(|before| before.boot == boot),
        is_beside_docker: settings.defers_forwarding,
        defers_forwarding: settings.defers_forwarding && is_deserted,
        looked_at: BTreeSet::new(),
        is_guarded: false,
        served: BTreeMap::new(),
        unserved: BTreeMap::new(),
        names_again: None,
        silent: BTreeSet::new(),
        unpublished: BTreeSet::new(),
        republished: BTreeMap::new(),
        unkept: BTreeSet::new(),
        keepers: BTreeMap::new(),
        accounts: Accounts::default(),
        present: now.unix,
        controls: VecDeque::new(),
        events: super::events::Events::default(),
    };
    if let Err(failed) = manager.find_accounts() {
        warnings.push(format!("counters of networks that are no more stay: {failed}"));
    }
    manager.add_bridge(network, gateway)?;
    for network in networks {
        reopen(&mut manager, network, warnings);
    }
    if let Err(failed) = manager.protect() {
        warnings.push(format!("containers have no way out of the host: {failed}"));
    }
    for (id, found) in adopted {
        if let Err(failed) = resume(&mut manager, &id, found, now) {
            warnings.push(format!("container {}: {failed}", id.short()));
        }
    }
    finish(&mut manager, now, warnings);
    warnings.extend(manager.finish_guests(now).iter().map(ToString::to_string));
    retaken.into_iter().for_each(|Retaken { record, found }| warnings.extend(manager.resume_port(record, found)));
    manager.settle_accounts();
    warnings.extend(manager.serve_names(now));
    Ok(manager)
}

/// The number whose successor, as [`Manager::free_port`] counts, is 0.
const PORT_BEFORE_FIRST: u16 = super::PORTS;

impl<B: Backend> Manager<B> {
    /// Tries once more to take over a container that did not answer before.
    pub(super) fn adopt_again(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        let Some(record) = self.records.get(id) else { return Ok(()) };
        let networks = &self.networks;
        let of = |network: &Id| networks.get(network).map(|net| &net.network);
        let found = self.backend.adopt(&spec_of(record, of, ""));
        let mut errors: Vec<Error> = resume(self, id, found, now).err().into_iter().collect();
        // The firewall silences the host's ends of veth pairs that we know of.
        if !self.silent.contains(id) {
            errors.extend(self.protect().err());
        }
        all_of(errors).map_or(Ok(()), Err)
    }
}

/// What was saved.
struct Saved {
    records: BTreeMap<Id, Record>,
    networks: Vec<Network>,
    borrowed: Vec<Borrowed>,
    predefined: Option<view::Predefined>,
    forwarding: Option<Before>,
}

fn load<B: Backend>(backend: &mut B, warnings: &mut Vec<String>) -> Result<Saved, Error> {
    let mut saved = Saved {
        records: BTreeMap::new(),
        networks: Vec::new(),
        borrowed: Vec::new(),
        predefined: None,
        forwarding: None,
    };
    for (key, text) in backend.load()? {
        if key.starts_with(NETWORK) {
            saved.networks.extend(read_or_set_aside::<B, Network>(backend, &key, &text, warnings)?);
        } else if key.starts_with(borrow::KEY) {
            saved.borrowed.extend(read_or_set_aside::<B, Borrowed>(backend, &key, &text, warnings)?);
        } else if key == PREDEFINED {
            saved.predefined = read_or_set_aside(backend, &key, &text, warnings)?;
        } else if key == FORWARDING {
            saved.forwarding = read_or_set_aside(backend, &key, &text, warnings)?;
        } else if key.starts_with("container-")
            && let Some(record) = read_or_set_aside::<B, Record>(backend, &key, &text, warnings)?
        {
            saved.records.insert(record.id.clone(), record);
        }
    }
    Ok(saved)
}

/// Finds what became of every container that had begun its life. Those of an earlier life of the machine are not looked for:
/// whoever has their process numbers now is somebody else.
fn adopt_all<B: Backend>(
    backend: &mut B,
    records: &BTreeMap<Id, Record>,
    networks: &[Network],
    boot: &str,
) -> Vec<(Id, Found<B::Link>)> {
    let of = |id: &Id| networks.iter().find(|network| network.id == *id);
    let mut adopted = Vec::new();
    for record in records.values() {
        let found = match record.phase {
            // It is undone later, as every start that was cut short. But a keeper outlives its creator, and keeps the gateway's
            // interface, which is to be opened before that.
            Phase::Creating if record.guest.is_some() && record.boot == boot => {
                if let Err(failed) = backend.destroy(&record.id) {
                    tracing::warn!(container = record.id.short(), "a guest that was not made: {failed}");
                }
                continue;
            }
            Phase::Reserved | Phase::Creating | Phase::Removing | Phase::Exited { .. } => continue,
            Phase::Starting { .. } | Phase::Running { .. } | Phase::Stopping { .. } if record.boot != boot => {
                Ok(Adopted::Ended { status: None })
            }
            Phase::Starting { .. } | Phase::Running { .. } | Phase::Stopping { .. } => {
                backend.adopt(&spec_of(record, of, ""))
            }
        };
        adopted.push((record.id.clone(), found));
    }
    adopted
}

/// Whether a container lives on a network; one that does not answer may.
fn is_in_use<L>(network: &Id, records: &BTreeMap<Id, Record>, adopted: &[(Id, Found<L>)]) -> bool {
    adopted.iter().any(|(id, found)| {
        let is_on_it = records.get(id).is_some_and(|record| record.endpoint(network).is_some());
        is_on_it && matches!(found, Ok(Adopted::Running { .. }) | Err(_))
    })
}

/// A container that had begun its life: carries on with it, or settles its end. One that does not answer keeps all that it
/// has, and is asked again later.
fn resume<B: Backend>(manager: &mut Manager<B>, id: &Id, found: Found<B::Link>, now: Now) -> Result<(), Error> {
    let (is_to_end, is_of_this_life) = {
        let boot = manager.boot.clone();
        let record = manager.record(id)?;
        let is_leaving = record.guest.as_ref().is_some_and(|guest| guest.is_leaving);
        (is_leaving || matches!(record.phase, Phase::Stopping { .. }), record.boot == boot)
    };
    let found = found.inspect_err(|_| {
        manager.silent.insert(id.clone());
        manager.deadlines.insert(id.clone(), now.instant + ASK_AGAIN);
    })?;
    match found {
        Adopted::Running { .. } if is_to_end => manager.end(id, now),
        Adopted::Running { pid, links } => {
            let mut errors = plug_all(manager, id, links);
            errors.extend(manager.finish_endpoints(id, now));
            errors.extend(manager.publish_again(id).err());
            errors.extend(manager.enter(id, Phase::Running { pid }).err());
            all_of(errors).map_or(Ok(()), Err)
        }
        Adopted::Ended { status: Some(status) } => all_of(manager.settle(id, status, now)).map_or(Ok(()), Err),
        Adopted::Ended { status: None } if !is_of_this_life => {
            let errors = manager.settle(id, super::end::STATUS_UNKNOWN, now);
            all_of(errors).map_or(Ok(()), Err)
        }
        Adopted::Ended { status: None } => {
            let never_ran = matches!(manager.record(id)?.phase, Phase::Starting { .. });
            if never_ran { manager.undo_cut_short(id, now) } else { manager.end(id, now) }
        }
    }
}

/// Interfaces that were joining or leaving are not plugged in: they go.
fn plug_all<B: Backend>(manager: &mut Manager<B>, id: &Id, links: Links<B::Link>) -> Vec<Error> {
    let joined: BTreeSet<String> = match manager.record(id) {
        Ok(record) => record
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.phase == EndpointPhase::Joined)
            .map(|endpoint| endpoint.ifname.clone())
            .collect(),
        Err(failed) => return vec![failed],
    };
    let links = links.into_iter().filter(|(ifname, _)| joined.contains(ifname));
    links.filter_map(|(ifname, link)| manager.plug(id, &ifname, link).err()).collect()
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
        let is_of_this_life = manager.records.get(&id).is_some_and(|record| record.boot == manager.boot);
        let undone = if is_of_this_life {
            manager.undo_cut_short(&id, now)
        } else {
            all_of(manager.remove_record(&id)).map_or(Ok(()), Err)
        };
        if let Err(failed) = undone {
            warnings.push(format!("container {}: {failed}", id.short()));
        }
    }
}

/// A user-defined network of an earlier daemon. One whose interface can not be had again stays, and says why.
fn reopen<B: Backend>(manager: &mut Manager<B>, network: Network, warnings: &mut Vec<String>) {
    let name = network.name.clone();
    if network.is_leaving {
        let gone = manager.backend.close_gateway(&network.bridge);
        if let Err(failed) = gone.and_then(|()| manager.backend.forget(&network_key(&network.id))) {
            warnings.push(format!("network {name}: {failed}"));
        }
        return;
    }
    // Its record may have been salvaged.
    let saved = save_network(&mut manager.backend, &network);
    if let Err(failed) = saved.and_then(|()| manager.open_network(network.clone())) {
        warnings.push(format!("network {name}: {failed}"));
        let (id, failed) = (network.id.clone(), Some(failed.to_string()));
        manager.networks.insert(id, Net { network, bridge: None, gateway: None, failed });
    }
}

/// The default network and the switch's end of its gateway. A network that is known keeps its id for ever, and its subnet
/// and name unless the host has taken them meanwhile and no container lives on it.
fn open_default<B: Backend>(
    backend: &mut B,
    chance: &mut ChaCha8Rng,
    known: Option<Network>,
    records: &BTreeMap<Id, Record>,
    adopted: &[(Id, Found<B::Link>)],
    settings: &Settings,
) -> Result<(Network, B::Link), Error> {
    let in_use = known.as_ref().is_some_and(|network| is_in_use(&network.id, records, adopted));
    let id = known.as_ref().map_or_else(|| Id::random(chance), |network| network.id.clone());
    for _ in 0..BRIDGE_NAMES.len() {
        let Subnet { subnet, gateway, .. } = choose_default(backend, known.as_ref(), in_use, settings)?;
        let asks_gateway = known.as_ref().is_some_and(|network| network.asks_gateway);
        let strangers = known.as_ref().map(|network| network.strangers.clone()).unwrap_or_default();
        let named = Network::new(id.clone(), Name::from_static("bridge"));
        let network = Network { subnet, gateway, asks_gateway, strangers, ..named };
        match open_under_a_free_name(backend, network, known.as_ref(), in_use) {
            Ok(Some(opened)) => return Ok(opened),
            // Another instance has just taken the subnet: the next one is chosen.
            Ok(None) => {}
            Err(BackendError::NameTaken(bridge)) if in_use && adopted.iter().any(|(_, found)| found.is_err()) => {
                return Err(Error::GatewayHeld { bridge, containers: silent_names(records, adopted) });
            }
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Error::Subnet { network: "bridge".into(), source: SubnetError::NoneFree })
}

/// The subnet of the default network: the one that it had, that the user asks for, or the first that is free.
fn choose_default<B: Backend>(
    backend: &mut B,
    known: Option<&Network>,
    in_use: bool,
    settings: &Settings,
) -> Result<Subnet, Error> {
    let taken = backend.host_prefixes(known.map(|network| (network.bridge.as_str(), network.mac)))?;
    let is_free = |network: &Network| !taken.iter().any(|other| overlap(network.subnet, *other));
    match (known, settings.bip) {
        (Some(network), _) if in_use => return Ok(subnet_of(network)),
        (Some(network), None) if is_free(network) => return Ok(subnet_of(network)),
        (Some(_) | None, _) => {}
    }
    let (subnet, gateway) = (settings.bip.map(|bip| bip.trunc()), settings.bip.map(|bip| bip.addr()));
    let request = SubnetRequest { subnet, gateway, ip_range: None };
    let chosen = request.choose(&taken.into_iter().map(Taken::by_host).collect::<Vec<_>>());
    chosen.map_err(|source| Error::Subnet { network: "bridge".into(), source })
}

/// Makes the interface of the default network under the name that it had, or else the first `pontoonN` that is free. `None`
/// if somebody has taken the subnet meanwhile.
fn open_under_a_free_name<B: Backend>(
    backend: &mut B,
    network: Network,
    known: Option<&Network>,
    in_use: bool,
) -> Result<Option<(Network, B::Link)>, BackendError> {
    // The interface of a network in use is the one that its containers have kept for us, and no other.
    let others = if in_use { 0..0 } else { BRIDGE_NAMES };
    let candidates = others.map(|number| format!("pontoon{number}"));
    let mut last = BackendError::Gone;
    for bridge in known.map(|known| known.bridge.clone()).into_iter().chain(candidates) {
        let network = Network { bridge, ..network.clone() };
        let opened = if in_use {
            let lease = network.gateway_lease();
            backend.open_gateway(&Gateway { name: &network.bridge, lease: &lease }).map(Some)
        } else {
            open_gateway(backend, &network)
        };
        match opened {
            Ok(link) => return Ok(link.map(|link| (network, link))),
            Err(taken @ BackendError::NameTaken(_)) => last = taken,
            Err(failed) => return Err(failed),
        }
    }
    Err(last)
}

fn subnet_of(network: &Network) -> Subnet {
    Subnet { subnet: network.subnet, gateway: network.gateway, ip_range: network.ip_range }
}

/// The names of containers that did not answer.
fn silent_names<L>(records: &BTreeMap<Id, Record>, adopted: &[(Id, Found<L>)]) -> String {
    let silent = adopted.iter().filter(|(_, found)| found.is_err());
    let names: Vec<&str> = silent.filter_map(|(id, _)| Some(records.get(id)?.name.as_str())).collect();
    names.join(", ")
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
