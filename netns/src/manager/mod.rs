//! [`Manager`]: containers and networks, and what is done about them, in order.
//!
//! The rules it keeps:
//!
//! * Intent is saved before a step is taken ([`crate::record::Phase`]). To undo a step that failed and to recover from a crash are the
//!   same code: [`Manager::open`] calls what [`Manager::create`] and [`Manager::start`] call on failure.
//! * A lease is not stored beside the container, it is part of its record: it can not outlive it. Ports and FDB entries
//!   end with it in the same call.
//! * Tear-down goes on after a failure and reports every one.
//!
//! It reads no clock (`now` is seconds since 1970, for people; deadlines are [`switch::time::Instant`]) and does no I/O but
//! through its [`Backend`]. What the switch is to do, it says by [`Manager::poll_control`]: the caller hands that on to the
//! data plane, in order.

mod accounts;
pub(crate) mod borrow;
mod connect;
mod end;
mod events;
mod files;
pub(crate) mod guard;
mod guests;
mod keepers;
mod names;
mod networks;
mod publish;
mod recover;
mod run;
mod salvage;
mod sandboxes;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ipnet::Ipv4Net;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use switch::dataplane::Control;
use switch::forward;
use switch::time::Instant;
use switch::verdict::PortId;

use self::accounts::Accounts;
use self::borrow::Held;
pub use self::connect::ConnectRequest;
use self::networks::Net;
pub use self::networks::NetworkRequest;
pub use self::run::{RunRequest, Started};
pub use self::view::{ContainerView, InterfaceView, MemberView, NetworkDetails, NetworkView};
use crate::backend::{Backend, BackendError};
use crate::error::Error;
use crate::name::{Id, Name};
use crate::names::NameTable;
use crate::record::Record;

/// How long `stop` waits between asking (SIGTERM) and ending (SIGKILL), if the user does not say.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// What the manager is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where ids, names and the FDB's hash come from: random on a real host, given in the simulator.
    pub seed: u64,
    /// The gateway's address and prefix of the default network, if the user chose it; otherwise the first free pool.
    pub bip: Option<Ipv4Net>,
    /// Whether the host's forwarding is left alone until the first container comes. dockerd, at its start, has the host drop what
    /// nobody lets pass, but only if it finds forwarding off; so does whoever is to start before it.
    pub defers_forwarding: bool,
}

/// Two times: one for deadlines, one for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Seconds since 1970.
    pub unix: u64,
}

/// A container that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Name,
    /// The exit status of its command.
    pub status: i32,
}

/// Containers and networks.
#[derive(Debug)]
pub struct Manager<B: Backend> {
    backend: B,
    chance: ChaCha8Rng,
    /// Which life of the machine this is.
    boot: String,
    networks: BTreeMap<Id, Net>,
    /// The network called `bridge`.
    default: Id,
    predefined: view::Predefined,
    records: BTreeMap<Id, Record>,
    /// The ports of containers' interfaces, by container and name inside.
    ports: BTreeMap<(Id, String), PortId>,
    /// Interfaces of the host that are ports of ours, by their identities.
    borrowed: BTreeMap<String, Held>,
    last_port: PortId,
    deadlines: BTreeMap<Id, Instant>,
    /// How the host forwarded before us, if we have switched it on.
    forwarding: Option<guard::Before>,
    /// Whether this host's Docker is served.
    is_beside_docker: bool,
    /// Whether forwarding is not switched on yet although there are networks: see [`Settings::defers_forwarding`].
    defers_forwarding: bool,
    /// The networks whose way out was looked at for rules of others.
    looked_at: BTreeSet<Id>,
    /// Whether the firewall is as our networks need it.
    is_guarded: bool,
    /// The names that are served, by network; the networks whose names could not be, and why; and when these are tried again.
    served: BTreeMap<Id, NameTable>,
    unserved: BTreeMap<Id, String>,
    names_again: Option<Instant>,
    /// Containers of an earlier daemon that did not answer when they were to be taken over: tried again at their deadline.
    silent: BTreeSet<Id>,
    /// Containers whose published ports could not be had again after their publisher had been ended; and when those that
    /// could were.
    unpublished: BTreeSet<Id>,
    republished: BTreeMap<Id, Instant>,
    /// Guests whose keeper was ended and who have no other yet: tried again at their deadline; and when those that have another got it.
    unkept: BTreeSet<Id>,
    keepers: BTreeMap<Id, Instant>,
    /// Where ports and bridges count.
    accounts: Accounts,
    /// When something was last asked of us, in seconds since 1970.
    present: u64,
    controls: VecDeque<Control<B::Link>>,
    events: events::Events,
}

/// How many ports there may be, gateways' included.
const PORTS: u16 = 16_384;

impl<B: Backend> Manager<B> {
    /// Starts: finds what is saved, sets up the default network, takes over the containers that live and undoes what was
    /// left half done. Returns warnings for people besides: records that were corrupt, things that could not be undone.
    ///
    /// # Errors
    /// If there is no subnet for the default network, or its gateway can not be made.
    pub fn open(backend: B, settings: &Settings, now: Now) -> Result<(Self, Vec<String>), Error> {
        recover::open(backend, settings, now)
    }

    /// The next thing that the data plane is to do. To be asked until `None` after each call of the manager.
    pub fn poll_control(&mut self) -> Option<Control<B::Link>> {
        let control = self.controls.pop_front();
        if control.is_none() {
            self.close_spent_accounts();
        }
        control
    }

    /// When [`Manager::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.values().copied().chain(self.names_again).min()
    }

    /// Ends the containers whose time to stop by themselves is over, and tries again what could not be had. Returns what could not be done.
    pub fn handle_timeout(&mut self, now: Now) -> Vec<Error> {
        self.present = now.unix;
        let due: Vec<Id> =
            self.deadlines.iter().filter(|(_, at)| **at <= now.instant).map(|(id, _)| id.clone()).collect();
        let failures = due.iter().filter_map(|id| self.expire(id, now).err()).collect();
        if self.names_again.is_some_and(|at| at <= now.instant) {
            self.serve_names_later(now);
        }
        failures
    }

    /// Whether no container is listed, running or not, and no interface of the host is a port.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.records.is_empty() && self.borrowed.is_empty()
    }

    /// The backend, for what only it knows.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// The container that `text` names: by name, by id, or by an unambiguous beginning of an id. A name is free when its
    /// container has ended, so several may have it: it means the one that lives, or else the last.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn find(&self, text: &str) -> Result<&Record, Error> {
        let named = self.records.values().filter(|record| record.name.as_str() == text);
        if let Some(record) = named.max_by_key(|record| (record.is_live(), record.sequence)) {
            return Ok(record);
        }
        let mut matching = self.records.values().filter(|record| record.id.as_str().starts_with(text));
        match (matching.next(), matching.count()) {
            (Some(record), 0) if !text.is_empty() => Ok(record),
            (Some(_), more) if !text.is_empty() => Err(Error::Ambiguous { prefix: text.to_owned(), count: more + 1 }),
            _ => Err(Error::NoSuchContainer(text.to_owned())),
        }
    }

    /// The record of a container that is known to be there.
    fn record(&mut self, id: &Id) -> Result<&mut Record, Error> {
        self.records.get_mut(id).ok_or_else(|| Error::NoSuchContainer(id.short().to_owned()))
    }

    fn save(&mut self, id: &Id) -> Result<(), Error> {
        let Some(record) = self.records.get(id) else { return Ok(()) };
        save_as(&mut self.backend, &container_key(id), record)
    }

    /// A number that no port has. Numbers go round, so that news of a port that has gone is never taken for news of the
    /// next one.
    fn free_port(&mut self) -> Result<PortId, Error> {
        let gateways = self.networks.values().filter_map(|net| net.gateway);
        let borrowed = self.borrowed.values().filter_map(|held| held.port);
        let used: BTreeSet<PortId> = self.ports.values().copied().chain(gateways).chain(borrowed).collect();
        let after_last = (self.last_port.0 + 1..PORTS).chain(0..=self.last_port.0).map(PortId);
        self.last_port = after_last.into_iter().find(|port| !used.contains(port)).ok_or(Error::NoPort)?;
        Ok(self.last_port)
    }

    /// Puts the link of one of a container's interfaces on its network's switch.
    fn plug(&mut self, id: &Id, ifname: &str, link: B::Link) -> Result<(), Error> {
        let port = self.free_port()?;
        let record = self.record(id)?;
        let name = record.port_name(ifname);
        let endpoint = record.endpoints.iter().find(|endpoint| endpoint.ifname == ifname);
        let endpoint = endpoint.ok_or_else(|| Error::NoSuchInterface(name.clone()))?;
        let (network, mtu) = (endpoint.network.clone(), endpoint.lease.mtu);
        let bridge = self.bridge_of(&network)?;
        let config = switch::port::PortConfig { name, mtu, ..Default::default() };
        self.controls.push_back(Control::Plug { bridge, port, config, link });
        self.count_port(&network, Some(id.as_str()), port);
        self.ports.insert((id.clone(), ifname.to_owned()), port);
        Ok(())
    }

    /// Takes one of a container's ports, and the stations behind it, off the switch.
    fn unplug(&mut self, id: &Id, ifname: &str) {
        if let Some(port) = self.ports.remove(&(id.clone(), ifname.to_owned())) {
            self.controls.push_back(Control::Unplug { port });
        }
    }

    /// Takes all of a container's ports off the switches.
    fn unplug_all(&mut self, id: &Id) {
        let own: Vec<String> = self.ports.keys().filter(|(of, _)| of == id).map(|(_, ifname)| ifname.clone()).collect();
        own.iter().for_each(|ifname| self.unplug(id, ifname));
    }
}

fn container_key(id: &Id) -> String {
    format!("container-{id}")
}

/// Keeps something under a key, for [`recover::open`] to find.
fn save_as<B: Backend>(backend: &mut B, key: &str, value: &impl serde::Serialize) -> Result<(), Error> {
    Ok(backend.save(key, &text_of(key, value)?)?)
}

/// The same, for what outlives a loss of power.
fn save_for_good<B: Backend>(backend: &mut B, key: &str, value: &impl serde::Serialize) -> Result<(), Error> {
    Ok(backend.save_for_good(key, &text_of(key, value)?)?)
}

fn text_of(key: &str, value: &impl serde::Serialize) -> Result<String, BackendError> {
    serde_json::to_string_pretty(value).map_err(|why| {
        let (operation, object) = ("save the record", key.to_owned());
        BackendError::Failed { operation, object, cause: why.to_string(), hint: None }
    })
}

fn chance_from(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn switch_config(chance: &mut ChaCha8Rng) -> forward::Config {
    forward::Config { hash_seed: chance.next_u64(), ..forward::Config::default() }
}
