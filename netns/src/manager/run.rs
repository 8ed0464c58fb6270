//! How a container comes to be: the request, its checks, and the four journalled steps.

use std::net::Ipv4Addr;

use switch::mac::MacAddr;

use super::networks::Net;
use super::salvage::note_of;
use super::{Manager, Now};
use crate::backend::{Backend, Interface, Namespace, Spec};
use crate::error::Error;
use crate::event::Event;
use crate::lease::{Lease, MAX_MTU, MIN_MTU};
use crate::mode::NetworkMode;
use crate::name::{Id, Name, make_up};
use crate::network::{Network, Owner};
use crate::publish::{PortMapping, check};
use crate::record::{Endpoint, EndpointPhase, Phase, Record};

/// What `run` asks for, the command's streams aside.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// `--name`.
    pub name: Option<Name>,
    /// `--network`.
    pub mode: NetworkMode,
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--mac-address`.
    pub mac: Option<MacAddr>,
    /// `--mtu`.
    pub mtu: Option<u32>,
    /// `-h`.
    pub hostname: Option<String>,
    /// `--network-alias`.
    pub aliases: Vec<String>,
    /// `-p`.
    pub publish: Vec<PortMapping>,
    /// `--dns`.
    pub dns: Vec<Ipv4Addr>,
    /// Not `--no-offload`.
    pub offload: bool,
    /// `-d`.
    pub detached: bool,
    /// `--rm`.
    pub auto_remove: bool,
    /// The command, to be shown.
    pub command: Vec<String>,
}

impl RunRequest {
    /// The plainest request: a foreground container on the default bridge network.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        RunRequest {
            name: None,
            mode: NetworkMode::bridge(),
            ip: None,
            mac: None,
            mtu: None,
            hostname: None,
            aliases: Vec::new(),
            publish: Vec::new(),
            dns: Vec::new(),
            offload: true,
            detached: false,
            auto_remove: false,
            command,
        }
    }

    /// An option that makes no sense in the mode asked for.
    fn conflict(&self) -> Option<&'static str> {
        let asks_interface = [
            (self.ip.is_some(), "--ip"),
            (self.mac.is_some(), "--mac-address"),
            (self.mtu.is_some(), "--mtu"),
            (!self.offload, "--no-offload"),
        ];
        let asks_aliases = (!self.aliases.is_empty(), "--network-alias");
        let asks_ports = (!self.publish.is_empty(), "-p");
        let asks_dns = (!self.dns.is_empty(), "--dns");
        let asks_hostname = (self.hostname.is_some(), "-h");
        let refused: Vec<(bool, &'static str)> = match self.mode {
            NetworkMode::Bridge(_) => Vec::new(),
            NetworkMode::Host | NetworkMode::None => {
                asks_interface.into_iter().chain([asks_aliases, asks_dns]).collect()
            }
            NetworkMode::Container(_) => {
                asks_interface.into_iter().chain([asks_aliases, asks_ports, asks_dns, asks_hostname]).collect()
            }
        };
        refused.into_iter().find(|(asked, _)| *asked).map(|(_, option)| option)
    }
}

/// How many name servers are asked: as many as by the C library (MAXNS, resolv.conf(5)), and by our own responders.
const SERVERS: usize = 3;
/// What a user is told who publishes ports of a container without a network of its own.
const NOT_PUBLISHED: &str = "published ports are ignored";

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Name,
    /// What the user is to know.
    pub warnings: Vec<String>,
}

impl<B: Backend> Manager<B> {
    /// Makes a container: its namespaces and its interface. Its port is on the switch when the caller has handed on what
    /// [`Manager::poll_control`] gives; only then may its command be started, with [`Manager::start`].
    ///
    /// # Errors
    /// Why there is none; whatever had been done is undone.
    pub fn create(&mut self, request: RunRequest, now: Now) -> Result<Started, Error> {
        self.reap(now);
        let is_ignored = match request.mode {
            NetworkMode::Host | NetworkMode::None => !request.publish.is_empty(),
            NetworkMode::Bridge(_) | NetworkMode::Container(_) => false,
        };
        let warnings = is_ignored.then(|| format!("{NOT_PUBLISHED} with --network {}", request.mode));
        let record = self.draft(request, now)?;
        let mut warnings: Vec<String> = warnings.into_iter().collect();
        if record.dns.len() > SERVERS {
            let first: Vec<String> = record.dns.iter().take(SERVERS).map(ToString::to_string).collect();
            warnings
                .push(format!("of the name servers of --dns only the first {SERVERS} are asked: {}", first.join(", ")));
        }
        if let Some(network) = record.endpoints.first().map(|endpoint| endpoint.network.clone()) {
            warnings.extend(self.no_way_out(&network));
        }
        let id = record.id.clone();
        let name = record.name.clone();
        self.records.insert(id.clone(), record);
        if self.has_published(&id) && self.published_address(&id).is_none() {
            warnings.push(format!("{NOT_PUBLISHED} as long as the container is on --internal networks only"));
        }
        self.make(&id, now).map_err(|failed| self.undo(&id, failed, now))?;
        let own = self.records.get(&id).and_then(|record| record.endpoints.first());
        warnings.extend(own.and_then(|endpoint| self.unresolved(&endpoint.network)));
        self.tell_of(&id, Event::ContainerCreated);
        Ok(Started { id, name, warnings })
    }

    /// Starts the command of a container that was just created.
    ///
    /// # Errors
    /// Why it does not run; the container is undone.
    pub fn start(&mut self, id: &Id, command: B::Command, now: Now) -> Result<(), Error> {
        let started = self.backend.start(id, command).map_err(Error::Start);
        let entered = started.and_then(|pid| self.enter(id, Phase::Running { pid }));
        entered.map_err(|failed| self.undo(id, failed, now))?;
        self.tell_of(id, Event::ContainerStarted);
        Ok(())
    }

    /// Gives up a container that was just created, because its port `failed` to be had.
    pub fn give_up(&mut self, id: &Id, failed: String, now: Now) -> Error {
        self.undo(id, Error::Port(failed), now)
    }

    /// The record of a container to be, all of the request checked.
    fn draft(&mut self, request: RunRequest, now: Now) -> Result<Record, Error> {
        let name = self.choose_name(request.name.clone())?;
        if let Some(option) = request.conflict() {
            return Err(Error::Conflict { option, mode: request.mode.to_string() });
        }
        if let Some(hostname) = request.hostname.as_deref().filter(|hostname| !is_hostname(hostname)) {
            return Err(Error::Hostname(hostname.to_owned()));
        }
        let is_nobodys = |server: &&Ipv4Addr| server.is_unspecified() || server.is_multicast() || server.is_broadcast();
        if let Some(nobodys) = request.dns.iter().find(is_nobodys) {
            return Err(Error::Dns(*nobodys));
        }
        check(&request.publish)?;
        let published = match &request.mode {
            NetworkMode::Bridge(_) => request.publish.clone(),
            NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => Vec::new(),
        };
        let shares = match &request.mode {
            NetworkMode::Container(target) => Some(self.sharer(target, &name)?),
            NetworkMode::Bridge(_) | NetworkMode::Host | NetworkMode::None => None,
        };
        let (mode, endpoints) = match &request.mode {
            NetworkMode::Bridge(network) => {
                let net = self.find_network(network.as_str())?;
                check_aliases(&net.network, &request.aliases)?;
                check_addresses(&net.network, request.ip)?;
                let lease = self.lease(net, request.ip, request.mac, request.mtu)?;
                let endpoint = Endpoint {
                    network: net.network.id.clone(),
                    ifname: "eth0".into(),
                    lease,
                    kind: net.network.endpoint,
                    aliases: request.aliases.clone(),
                    phase: EndpointPhase::Joined,
                };
                // As it is called, should it have been named by its id.
                (NetworkMode::Bridge(net.network.name.clone()), vec![endpoint])
            }
            mode @ (NetworkMode::Host | NetworkMode::Container(_) | NetworkMode::None) => (mode.clone(), Vec::new()),
        };
        let id = Id::random(&mut self.chance);
        let hostname = match &request.mode {
            NetworkMode::Host => request.hostname,
            NetworkMode::Container(_) => shares.as_ref().and_then(|target| self.records.get(target)?.hostname.clone()),
            NetworkMode::Bridge(_) | NetworkMode::None => request.hostname.or_else(|| Some(id.short().to_owned())),
        };
        Ok(Record {
            id,
            name,
            boot: self.boot.clone(),
            is_in_none: mode == NetworkMode::None,
            mode,
            shares,
            endpoints,
            offload: request.offload,
            hostname,
            published,
            dns: request.dns,
            command: request.command,
            detached: request.detached,
            auto_remove: request.auto_remove,
            created: now.unix,
            guest: None,
            sequence: self.next_sequence(),
            phase: Phase::Creating,
        })
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.records.values().map(|record| record.sequence).max().unwrap_or(0) + 1
    }

    fn choose_name(&mut self, asked: Option<Name>) -> Result<Name, Error> {
        match asked {
            None => {
                let records = &self.records;
                let taken = |name: &str| records.values().any(|record| record.name.as_str() == name);
                Ok(make_up(&mut self.chance, taken))
            }
            Some(name) => match self.records.values().find(|record| record.name == name && record.is_live()) {
                Some(other) => {
                    let engine = other.guest.as_ref().map(|guest| guest.engine);
                    Err(Error::NameInUse { name: name.into(), id: other.id.short().to_owned(), engine })
                }
                None => Ok(name),
            },
        }
    }

    /// The container whose namespace `container:target` shares. A joiner's own target may be a joiner, too.
    fn sharer(&self, target: &str, own_name: &Name) -> Result<Id, Error> {
        if target == own_name.as_str() {
            return Err(Error::JoinsItself(target.to_owned()));
        }
        let refused = |source| Error::Target { target: target.to_owned(), source: Box::new(source) };
        let record = self.find_own(target).map_err(refused)?;
        if record.is_live() { Ok(record.id.clone()) } else { Err(refused(Error::NotRunning(record.name.to_string()))) }
    }

    /// The address, MAC and MTU of a new interface on a network.
    pub(super) fn lease(
        &self,
        net: &Net,
        ip: Option<Ipv4Addr>,
        mac: Option<MacAddr>,
        mtu: Option<u32>,
    ) -> Result<Lease, Error> {
        let network = &net.network;
        if let Some(why) = &net.failed {
            return Err(Error::NetworkDown { network: network.name.to_string(), why: why.clone() });
        }
        let mtu = mtu.unwrap_or(network.mtu);
        if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
            return Err(Error::Mtu(mtu));
        }
        let leases = self.records.values().filter(|record| record.is_live());
        let leases = leases.filter_map(|record| record.endpoint(&network.id)).map(|endpoint| &endpoint.lease);
        network.lease(ip, mac, mtu, leases).map_err(|source| Error::Lease { network: network.name.to_string(), source })
    }

    /// The steps before the command, each saved before it is taken.
    fn make(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        let pid = self.make_interfaces(id)?;
        self.write_files(id)?;
        self.publish(id)?;
        self.serve_names_later(now);
        self.enter(id, Phase::Starting { pid })
    }

    /// The steps that containers and guests have in common: shim, namespaces and interfaces, whose ports are on the switch then. Returns the
    /// process id of the shim.
    pub(super) fn make_interfaces(&mut self, id: &Id) -> Result<u32, Error> {
        self.meet(id)?;
        self.save(id)?;
        let record = self.records.get(id).ok_or_else(|| Error::NoSuchContainer(id.short().to_owned()))?;
        let note = note_of(record, self.networks.values().map(|net| &net.network));
        let networks = &self.networks;
        let of = |network: &Id| networks.get(network).map(|net| &net.network);
        let created = self.backend.create(&spec_of(record, of, &note))?;
        for (ifname, link) in created.links {
            self.plug(id, &ifname, link)?;
        }
        Ok(created.pid)
    }

    /// Saves that `phase` is next, and enters it.
    pub(super) fn enter(&mut self, id: &Id, phase: Phase) -> Result<(), Error> {
        self.record(id)?.phase = phase;
        self.save(id)
    }
}

/// What the backend is asked for, for a container with this record. `network` knows the networks by their ids.
pub(super) fn spec_of<'a>(record: &'a Record, network: impl Fn(&Id) -> Option<&'a Network>, note: &'a str) -> Spec<'a> {
    let place = record.guest.as_ref().and_then(|guest| guest.place.as_ref());
    let namespace = match (&record.mode, &record.shares, place) {
        (_, _, Some(place)) => Namespace::Guest(place),
        (NetworkMode::Host, _, None) => Namespace::Host,
        (NetworkMode::Container(_), Some(target), None) => Namespace::Of(target),
        (NetworkMode::Container(_) | NetworkMode::Bridge(_) | NetworkMode::None, _, None) => Namespace::New,
    };
    let default = default_endpoint(record, &network).filter(|_| place.is_none()).map(|endpoint| &endpoint.ifname);
    let interfaces = record.endpoints.iter().map(|endpoint| {
        let is_default = default == Some(&endpoint.ifname);
        interface_of(endpoint, network(&endpoint.network), is_default, record.offload)
    });
    Spec {
        id: &record.id,
        namespace,
        interfaces: interfaces.collect(),
        hostname: record.hostname.as_deref(),
        log: record.detached,
        note,
    }
}

pub(super) fn interface_of<'a>(
    endpoint: &'a Endpoint,
    network: Option<&'a Network>,
    is_default: bool,
    offload: bool,
) -> Interface<'a> {
    let Endpoint { ifname, lease, kind, .. } = endpoint;
    let bridge = network.map_or("", |network| network.bridge.as_str());
    let announces = network.is_none_or(|network| network.strangers.surprises(lease));
    Interface { name: ifname, lease, kind: *kind, is_default, offload, announces, bridge }
}

/// The interface that the default route goes by: the first on a network with a way out.
pub(super) fn default_endpoint<'a>(
    record: &'a Record,
    network: impl Fn(&Id) -> Option<&'a Network>,
) -> Option<&'a Endpoint> {
    record.endpoints.iter().find(|endpoint| {
        endpoint.phase == EndpointPhase::Joined && network(&endpoint.network).is_some_and(|network| !network.internal)
    })
}

/// Docker gives out the addresses of its networks, and is not asked for one: whoever else comes says which he wants.
pub(super) fn check_addresses(network: &Network, asked: Option<Ipv4Addr>) -> Result<(), Error> {
    match (network.owner, asked) {
        (Owner::Docker, None) => {
            Err(Error::AddressesOfEngine { network: network.name.to_string(), engine: network.owner })
        }
        (Owner::Docker, Some(_)) | (Owner::User | Owner::Cni, _) => Ok(()),
    }
}

/// On the default network nobody is found by name.
pub(super) fn check_aliases(network: &Network, aliases: &[String]) -> Result<(), Error> {
    match aliases.first() {
        Some(alias) if network.is_default() => {
            Err(Error::AliasOnDefault { alias: alias.clone(), network: network.name.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

/// What Linux and RFC 1123 agree on.
pub(super) fn is_hostname(text: &str) -> bool {
    let ends = |edge: Option<char>| edge.is_some_and(|each| each.is_ascii_alphanumeric());
    text.len() <= 64
        && ends(text.chars().next())
        && ends(text.chars().last())
        && text.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '.' | '_'))
}
