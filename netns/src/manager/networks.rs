//! Networks: made, looked up, removed.
//!
//! Of a user-defined network the record is saved before its bridge is made, and says so before its bridge goes: whatever a
//! killed daemon left of it, the next one finishes.

use std::collections::{BTreeMap, BTreeSet};

use switch::dataplane::{BridgeId, Control};
use switch::port::PortConfig;
use switch::verdict::PortId;

use super::end::all_of;
use super::recover::DEFAULT;
use super::{Manager, Now, save_for_good, switch_config};
use crate::backend::{Backend, BackendError, Gateway, Which};
use crate::error::Error;
use crate::event::Event;
use crate::ifname::IfName;
use crate::lease::{DEFAULT_MTU, MAX_MTU, MIN_MTU};
use crate::mode::NetworkMode;
use crate::name::{Id, Name};
use crate::network::{EndpointKind, Network, Owner};
use crate::pools::overlap;
use crate::record::{Endpoint, Record};
use crate::strangers::Strangers;
use crate::subnet::{Subnet, SubnetError, SubnetRequest, Taken};

/// How many networks there may be, the three that are always there aside.
const MAX_NETWORKS: usize = 1000;
/// The names of the networks that are always there.
const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];
/// What else has a meaning of its own behind `--network`.
const RESERVED: [&str; 2] = ["default", "container"];

/// What `network create` asks for.
#[derive(Clone, Debug)]
pub struct NetworkRequest {
    /// Its name.
    pub name: Name,
    /// `--subnet`, `--gateway`, `--ip-range`.
    pub subnet: SubnetRequest,
    /// `--internal`.
    pub internal: bool,
    /// `--mtu`.
    pub mtu: Option<u32>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `-o endpoint=…`.
    pub endpoint: EndpointKind,
    /// Whose it will be.
    pub owner: Owner,
    /// The id that its owner has given it; otherwise one is made up.
    pub id: Option<Id>,
    /// What its bridge is called; otherwise after its id.
    pub bridge: Option<IfName>,
}

impl NetworkRequest {
    /// The plainest request.
    #[must_use]
    pub fn new(name: Name) -> Self {
        NetworkRequest {
            name,
            subnet: SubnetRequest::default(),
            internal: false,
            mtu: None,
            labels: BTreeMap::new(),
            endpoint: EndpointKind::Tap,
            owner: Owner::User,
            id: None,
            bridge: None,
        }
    }
}

/// A network and its bridge.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) network: Network,
    /// Its switch; none if the host's interface in it could not be made again when the daemon started.
    pub(super) bridge: Option<BridgeId>,
    /// The port of the host's interface in it.
    pub(super) gateway: Option<PortId>,
    /// Why it has no interface on the host, if it could not be made again.
    pub(super) failed: Option<String>,
}

impl<B: Backend> Manager<B> {
    /// Makes a bridge network. Returns its id.
    ///
    /// # Errors
    /// Why there is none; whatever had been done is undone.
    pub fn create_network(&mut self, request: NetworkRequest, now: Now) -> Result<Id, Error> {
        let name = request.name.to_string();
        check_name(&request.name)?;
        if self.networks.values().any(|net| net.network.name == request.name) {
            return Err(Error::NetworkExists(name));
        }
        if let Some(known) = request.id.as_ref().and_then(|id| self.networks.get(id)) {
            return Err(Error::NetworkExists(known.network.name.to_string()));
        }
        if self.networks.len() > MAX_NETWORKS {
            return Err(Error::TooManyNetworks(MAX_NETWORKS));
        }
        let mtu = request.mtu.unwrap_or(DEFAULT_MTU);
        if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
            return Err(Error::Mtu(mtu));
        }
        if let Some(bridge) = request.bridge.as_ref().map(IfName::as_str) {
            // Should anything fail, the interface of this name is deleted: it must not be somebody's.
            let is_known = self.networks.values().any(|net| net.network.bridge == bridge);
            if is_known || self.backend.interface(Which::Named(bridge))?.is_some() {
                return Err(Error::BridgeExists(bridge.to_owned()));
            }
        }
        let id = request.id.unwrap_or_else(|| Id::random(&mut self.chance));
        let mut network = Network {
            bridge: request.bridge.map_or_else(|| format!("br-{}", id.short()), String::from),
            mtu,
            internal: request.internal,
            labels: request.labels,
            endpoint: request.endpoint,
            owner: request.owner,
            created: now.unix,
            ..Network::new(id.clone(), request.name)
        };
        self.make_network(&mut network, &request.subnet).map_err(|failed| self.give_up_network(&network, failed))?;
        self.tell_of_network(&network, Event::NetworkCreated);
        self.serve_names_later(now);
        Ok(id)
    }

    /// The steps of a network to be, which gets its subnet on the way.
    fn make_network(&mut self, network: &mut Network, asked: &SubnetRequest) -> Result<(), Error> {
        let refused = |name: &Name, source| Error::Subnet { network: name.to_string(), source };
        for _ in 0..TRIES {
            let taken = self.taken_prefixes()?;
            let chosen = asked.choose(&taken).map_err(|source| refused(&network.name, source))?;
            Subnet { subnet: network.subnet, gateway: network.gateway, ip_range: network.ip_range } = chosen;
            save_network(&mut self.backend, network)?;
            if let Some(gateway) = open_gateway(&mut self.backend, network)? {
                self.add_bridge(network.clone(), gateway)?;
                return self.protect();
            }
        }
        Err(refused(&network.name, SubnetError::NoneFree))
    }

    /// Notes on a container's networks, before it is there, that its addresses will be remembered with MACs of its own.
    pub(super) fn meet(&mut self, id: &Id) -> Result<(), Error> {
        let endpoints = self.records.get(id).map(|record| record.endpoints.clone()).unwrap_or_default();
        for Endpoint { network, lease, .. } in &endpoints {
            self.note_strangers(network, |strangers| strangers.meet(lease))?;
        }
        Ok(())
    }

    /// Notes on a network, before an interface of the host is a port of it, that anybody may be there.
    pub(super) fn meet_anybody(&mut self, network: &Id) -> Result<(), Error> {
        self.note_strangers(network, Strangers::meet_anybody)
    }

    /// What is noted is on disk before it is true.
    fn note_strangers(&mut self, network: &Id, note: impl FnOnce(&mut Strangers) -> bool) -> Result<(), Error> {
        let Some(net) = self.networks.get_mut(network) else { return Ok(()) };
        let mut strangers = net.network.strangers.clone();
        if note(&mut strangers) {
            let noted = Network { strangers, ..net.network.clone() };
            let key = if *network == self.default { DEFAULT.to_owned() } else { network_key(network) };
            save_for_good(&mut self.backend, &key, &noted)?;
            net.network = noted;
        }
        Ok(())
    }

    /// A network's bridge goes from the switch, and from what is known.
    fn take_bridge_away(&mut self, network: &Id) {
        if let Some(bridge) = self.networks.remove(network).and_then(|net| net.bridge) {
            self.controls.push_back(Control::RemoveBridge { bridge });
        }
        self.close_accounts_on(network);
    }

    /// A network that could not be made leaves nothing, however far it had come.
    fn give_up_network(&mut self, network: &Network, failed: Error) -> Error {
        self.take_bridge_away(&network.id);
        let mut errors = vec![failed];
        errors.extend(self.backend.close_gateway(&network.bridge).err().map(Error::from));
        errors.extend(self.backend.forget(&network_key(&network.id)).err().map(Error::from));
        all_of(errors).expect("there is one at least")
    }

    /// Calls a network of another engine as that engine calls it, now that this is known.
    ///
    /// # Errors
    /// If there is no such network, another is called so, or the name has a meaning of its own; or it can not be saved.
    pub fn name_network(&mut self, id: &Id, name: &Name, now: Now) -> Result<(), Error> {
        let before = self.net(id)?.network.name.clone();
        if before == *name {
            return Ok(());
        }
        check_name(name)?;
        if self.networks.values().any(|net| net.network.name == *name) {
            return Err(Error::NetworkExists(name.to_string()));
        }
        let Some(net) = self.networks.get_mut(id) else { return Err(Error::NoSuchNetwork(id.short().to_owned())) };
        net.network.name = name.clone();
        let mut errors: Vec<Error> = save_network(&mut self.backend, &net.network).err().into_iter().collect();
        let members: Vec<Id> = self.members(id).into_iter().map(|record| record.id.clone()).collect();
        for member in members {
            if let Ok(record) = self.record(&member)
                && record.mode == NetworkMode::Bridge(before.clone())
            {
                record.mode = NetworkMode::Bridge(name.clone());
            }
            errors.extend(self.save_and_note(&member).err());
        }
        self.serve_names_later(now);
        all_of(errors).map_or(Ok(()), Err)
    }

    /// Removes a network that nobody is on, a user's or one of CNI. Returns its id.
    ///
    /// # Errors
    /// If there is no such network, it is one that stays, or it is in use by a container or an interface of the host; or something of it could not be removed.
    pub fn remove_network(&mut self, text: &str, now: Now) -> Result<Id, Error> {
        self.remove_network_of(Owner::User, text, now)
    }

    /// The same, also for a network of an engine that has forgotten it: Docker holds a network for removed whatever it is answered,
    /// and if nobody answers. What that has left on it without an interface is released.
    ///
    /// # Errors
    /// As [`remove_network`](Self::remove_network), but for its owner.
    pub fn remove_forgotten_network(&mut self, text: &str, now: Now) -> Result<Id, Error> {
        self.reap(now);
        let known = self.find_network(text).map(|net| &net.network).ok().filter(|network| network.owner != Owner::User);
        let Some(network) = known else { return self.remove_network(text, now) };
        let open: Vec<&Record> = self.members(&network.id).into_iter().filter(|record| record.is_open()).collect();
        if !open.is_empty() {
            return Err(in_use(network, &open));
        }
        self.remove_network_of(network.owner, text, now)
    }

    /// Removes a network of this owner that nobody is on but guests of this owner, which are released. Returns its id.
    ///
    /// # Errors
    /// As [`remove_network`](Self::remove_network), and if it is somebody else's.
    pub fn remove_network_of(&mut self, owner: Owner, text: &str, now: Now) -> Result<Id, Error> {
        self.reap(now);
        if let Some(name) = self.predefined_name(text) {
            return Err(Error::PredefinedNetwork { network: name.to_owned(), done: "removed" });
        }
        let network = self.find_network(text)?.network.clone();
        // No runtime of CNI says when a network of its goes: a person does.
        let is_left_to_people = owner == Owner::User && network.owner == Owner::Cni;
        if network.owner != owner && !is_left_to_people {
            return Err(Error::NetworkOwned { network: network.name.to_string(), owner: network.owner });
        }
        let (stale, members): (Vec<&Record>, Vec<&Record>) =
            self.members(&network.id).into_iter().partition(|record| {
                owner != Owner::User && record.guest.as_ref().is_some_and(|guest| guest.engine == owner)
            });
        if !members.is_empty() {
            return Err(in_use(&network, &members));
        }
        let ports = self.interfaces_on(&network.id);
        if !ports.is_empty() {
            let (network, bridge) = (network.name.to_string(), network.bridge);
            return Err(Error::NetworkHasPorts { network, bridge, ports: ports.join(", ") });
        }
        // Their engine removes no network that has endpoints: it has forgotten these.
        let stale: Vec<Id> = stale.into_iter().map(|record| record.id.clone()).collect();
        let stuck: Vec<Error> = stale.iter().filter_map(|id| self.release_guest(id, now).err()).collect();
        if let Some(stuck) = all_of(stuck) {
            return Err(stuck);
        }
        save_network(&mut self.backend, &Network { is_leaving: true, ..network.clone() })?;
        self.take_bridge_away(&network.id);
        self.tell_of_network(&network, Event::NetworkRemoved);
        self.serve_names_later(now);
        // What stays, the next daemon finds in the saved record's care.
        let gone = self.backend.close_gateway(&network.bridge);
        let gone = gone.and_then(|()| self.backend.forget(&network_key(&network.id)));
        let mut errors: Vec<Error> = gone.err().map(Error::from).into_iter().collect();
        errors.extend(self.protect().err());
        all_of(errors).map_or(Ok(network.id), Err)
    }

    /// Removes all user-defined networks that nobody is on. Returns the names of those that went, and what failed.
    pub fn prune_networks(&mut self, now: Now) -> (Vec<Name>, Vec<Error>) {
        self.reap(now);
        let unused = self.networks.values().filter(|net| net.network.id != self.default);
        let unused = unused.filter(|net| net.network.owner == Owner::User);
        let unused = unused.filter(|net| self.members(&net.network.id).is_empty());
        let unused = unused.filter(|net| self.interfaces_on(&net.network.id).is_empty());
        let mut unused: Vec<Name> = unused.map(|net| net.network.name.clone()).collect();
        unused.sort();
        let mut failures = Vec::new();
        unused.retain(|name| match self.remove_network(name.as_str(), now) {
            Ok(_) => true,
            Err(failed) => {
                failures.push(failed);
                false
            }
        });
        (unused, failures)
    }

    /// The bridge network that `text` names: by name, by id, or by an unambiguous beginning of an id.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn network(&self, text: &str) -> Result<&Network, Error> {
        self.find_network(text).map(|net| &net.network)
    }

    /// The same, with its bridge.
    pub(super) fn find_network(&self, text: &str) -> Result<&Net, Error> {
        if let Some(net) = self.networks.values().find(|net| net.network.name.as_str() == text) {
            return Ok(net);
        }
        let found = self.networks.values().find(|net| net.network.id.as_str().starts_with(text));
        match (found, self.begin_with(text)) {
            (Some(net), 1) => Ok(net),
            (_, 0 | 1) => Err(Error::NoSuchNetwork(text.to_owned())),
            (_, count) => Err(Error::AmbiguousNetwork { prefix: text.to_owned(), count }),
        }
    }

    /// How many networks have an id that begins so, those among them that are no bridges.
    fn begin_with(&self, text: &str) -> usize {
        let ids = self.networks.keys().chain([&self.predefined.host, &self.predefined.none]);
        if text.is_empty() { 0 } else { ids.filter(|id| id.as_str().starts_with(text)).count() }
    }

    /// A network that is known to be there.
    pub(super) fn net(&self, id: &Id) -> Result<&Net, Error> {
        self.networks.get(id).ok_or_else(|| Error::NoSuchNetwork(id.short().to_owned()))
    }

    /// Whether a network has a switch.
    ///
    /// # Errors
    /// Why it has none.
    pub fn is_up(&self, id: &Id) -> Result<(), Error> {
        self.bridge_of(id).map(drop)
    }

    /// The switch of a network.
    pub(super) fn bridge_of(&self, id: &Id) -> Result<BridgeId, Error> {
        let net = self.net(id)?;
        net.bridge.ok_or_else(|| {
            let why = net.failed.clone().unwrap_or_default();
            Error::NetworkDown { network: net.network.name.to_string(), why }
        })
    }

    /// Which of the networks that are always there `text` names, if one: by name, by id, or by an unambiguous beginning of an id.
    pub(super) fn predefined_name(&self, text: &str) -> Option<&'static str> {
        if let Some(name) = PREDEFINED.into_iter().find(|name| *name == text) {
            return Some(name);
        }
        if self.begin_with(text) != 1 || self.networks.values().any(|net| net.network.name.as_str() == text) {
            return None;
        }
        let ids = [&self.default, &self.predefined.host, &self.predefined.none];
        PREDEFINED.into_iter().zip(ids).find(|(_, id)| id.as_str().starts_with(text)).map(|(name, _)| name)
    }

    /// The containers that live on a network, by name.
    pub(super) fn members(&self, network: &Id) -> Vec<&Record> {
        let mut members: Vec<&Record> = self.on(network).collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        members
    }

    /// The same in no order of interest, for what is asked at each start.
    pub(super) fn on<'a>(&'a self, network: &Id) -> impl Iterator<Item = &'a Record> {
        self.records.values().filter(|record| record.is_live() && record.endpoint(network).is_some())
    }

    /// Makes the host's interface in a network, and its switch.
    pub(super) fn open_network(&mut self, network: Network) -> Result<(), Error> {
        let lease = network.gateway_lease();
        let link = self.backend.open_gateway(&Gateway { name: &network.bridge, lease: &lease })?;
        self.add_bridge(network, link)
    }

    /// Makes the host's interface in a network again, which somebody has deleted.
    pub(super) fn reopen_gateway(&mut self, network: &Network) -> Result<(), Error> {
        let lease = network.gateway_lease();
        let link = self.backend.open_gateway(&Gateway { name: &network.bridge, lease: &lease })?;
        let (bridge, port) = (self.bridge_of(&network.id)?, self.free_port()?);
        self.controls.push_back(Control::Plug { bridge, port, config: gateway_config(network), link });
        self.count_port(&network.id, None, port);
        if let Some(net) = self.networks.get_mut(&network.id) {
            net.gateway = Some(port);
        }
        Ok(())
    }

    /// Puts a network whose gateway is there on the switch.
    pub(super) fn add_bridge(&mut self, network: Network, gateway: B::Link) -> Result<(), Error> {
        let (bridge, port) = (self.free_bridge(), self.free_port()?);
        let config = switch_config(&mut self.chance);
        let local = gateway_config(&network);
        self.controls.push_back(Control::AddBridge { bridge, name: network.bridge.clone(), config });
        self.count_bridge(&network.id, bridge);
        self.controls.push_back(Control::Plug { bridge, port, config: local, link: gateway });
        self.count_port(&network.id, None, port);
        self.networks
            .insert(network.id.clone(), Net { network, bridge: Some(bridge), gateway: Some(port), failed: None });
        Ok(())
    }

    fn free_bridge(&self) -> BridgeId {
        let used: BTreeSet<BridgeId> = self.networks.values().filter_map(|net| net.bridge).collect();
        (0..=u16::MAX).map(BridgeId).find(|bridge| !used.contains(bridge)).unwrap_or_default()
    }

    /// Every prefix that a new network must not overlap.
    fn taken_prefixes(&mut self) -> Result<Vec<Taken>, BackendError> {
        let own = self.networks.values().map(|net| &net.network);
        let own: Vec<Taken> = own.map(|network| Taken::by_network(network.subnet, network.name.as_str())).collect();
        // Our own gateways are addresses of the host, too: named for what they are, they come first.
        let host = self.backend.host_prefixes(None)?;
        Ok(own.into_iter().chain(host.into_iter().map(Taken::by_host)).collect())
    }
}

fn gateway_config(network: &Network) -> PortConfig {
    let (name, local) = (network.bridge.clone(), Some(network.mac));
    PortConfig { name, mtu: network.mtu, local, ..PortConfig::default() }
}

/// How often another instance may have taken a subnet in the moment in which we did.
const TRIES: usize = 8;

/// Makes the host's interface in a network whose subnet was free a moment ago. `None` if somebody else has taken it
/// meanwhile: then the interface is gone again.
pub(super) fn open_gateway<B: Backend>(backend: &mut B, network: &Network) -> Result<Option<B::Link>, BackendError> {
    let lease = network.gateway_lease();
    let link = backend.open_gateway(&Gateway { name: &network.bridge, lease: &lease })?;
    let others = backend.host_prefixes(Some((&network.bridge, network.mac)))?;
    if others.iter().any(|other| overlap(*other, network.subnet)) {
        drop(link);
        backend.close_gateway(&network.bridge)?;
        return Ok(None);
    }
    Ok(Some(link))
}

/// Which containers a network is in use by, and whose they are.
fn in_use(network: &Network, members: &[&Record]) -> Error {
    let named = members.iter().map(|record| match record.owner() {
        Owner::User => record.name.to_string(),
        engine @ (Owner::Docker | Owner::Cni) => format!("{} ({engine})", record.name),
    });
    let containers = named.collect::<Vec<_>>().join(", ");
    let owners: BTreeSet<Owner> = members.iter().map(|record| record.owner()).collect();
    Error::NetworkInUse { network: network.name.to_string(), containers, owners: owners.into_iter().collect() }
}

/// Whether a user-defined network may be called so.
fn check_name(name: &Name) -> Result<(), Error> {
    let text = name.as_str();
    if PREDEFINED.contains(&text) {
        return Err(Error::PredefinedNetwork { network: name.to_string(), done: "created" });
    }
    if RESERVED.contains(&text) { Err(Error::ReservedNetworkName(name.to_string())) } else { Ok(()) }
}

/// Where the record of a user-defined network is kept.
pub(super) fn network_key(id: &Id) -> String {
    format!("network-{id}")
}

pub(super) fn save_network<B: Backend>(backend: &mut B, network: &Network) -> Result<(), Error> {
    save_for_good(backend, &network_key(&network.id), network)
}
