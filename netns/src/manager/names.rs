//! Who is called what on which network: the tables that the gateways' responders answer from.
//!
//! The tables are made of the records, whole, whenever something has changed; one that is as before is not handed on. On the
//! default network nobody is found by name, as in Docker: containers ask the host's name servers themselves. Only where they
//! can not reach any of those, as where the host's is on its loopback interface, there is a responder that passes questions
//! on.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::publish::{DOMAIN, ELSEWHERE};
use super::recover::DEFAULT;
use super::sandboxes::Sandboxes;
use super::{Manager, Now, save_as};
use crate::backend::{Backend, BackendError};
use crate::files::names_reachable_server;
use crate::name::Id;
use crate::names::NameTable;
use crate::network::Network;
use crate::record::{Endpoint, EndpointPhase, Record};

/// How long after names could not be served it is tried again: whoever has the port may have left it.
const AGAIN: Duration = Duration::from_secs(5);

impl<B: Backend> Manager<B> {
    /// Brings the responders up to date. Returns what could not be served and why, each network once.
    pub(super) fn serve_names(&mut self, now: Now) -> Vec<String> {
        let passes_on = self.default_passes_on();
        let networks = self.networks.values().filter(|net| net.failed.is_none()).map(|net| &net.network);
        let networks = networks.filter(|network| passes_on || !network.is_default());
        let tables: BTreeMap<Id, NameTable> =
            networks.map(|network| (network.id.clone(), table_of(network, &self.records))).collect();
        let gone: Vec<Id> = self.served.keys().filter(|id| !tables.contains_key(*id)).cloned().collect();
        for id in gone {
            self.backend.stop_names(id.as_str());
            self.served.remove(&id);
        }
        self.unserved.retain(|id, _| tables.contains_key(id));
        let mut warnings = Vec::new();
        for (id, table) in tables {
            if self.served.get(&id) == Some(&table) {
                continue;
            }
            let Some(net) = self.networks.get(&id) else { continue };
            let gateway = net.network.gateway;
            match self.backend.serve_names(id.as_str(), gateway, table.clone()) {
                Ok(()) => {
                    if self.unserved.remove(&id).is_some() {
                        tracing::info!(network = %net.network.name, "names are resolved again");
                    }
                    self.served.insert(id, table);
                }
                Err(failed) => {
                    self.served.remove(&id);
                    let why = self.unserved_because(gateway, &failed);
                    if self.unserved.insert(id.clone(), why).is_none() {
                        warnings.extend(self.unresolved(&id));
                    }
                }
            }
        }
        self.names_again = (!self.unserved.is_empty()).then(|| now.instant + AGAIN);
        warnings
    }

    /// Whether somebody answers for names on a network, on the gateway's address.
    #[must_use]
    pub fn answers_names(&self, network: &Id) -> bool {
        self.served.contains_key(network)
    }

    /// What a user of this network is to know, if nobody answers for names on it. Nobody misses them on the default one.
    #[must_use]
    pub fn unresolved(&self, network: &Id) -> Option<String> {
        let why = self.unserved.get(network)?;
        let name = &self.networks.get(network).filter(|net| !net.network.is_default())?.network.name;
        Some(format!("names are not resolved on network {name}: {why}"))
    }

    /// What who comes to the network that `text` names is to know of it: that there is no way out, or that nobody answers for names.
    pub fn warnings_on(&mut self, text: &str) -> Vec<String> {
        let Ok(id) = self.find_network(text).map(|net| net.network.id.clone()) else { return Vec::new() };
        let mut warnings = self.no_way_out(&id);
        warnings.extend(self.unresolved(&id));
        warnings
    }

    /// Why there is no responder at this address, and what helps. If it is a port that we publish ourselves, no other
    /// program is to be looked for.
    fn unserved_because(&self, gateway: Ipv4Addr, failed: &BackendError) -> String {
        let BackendError::Failed { hint, .. } = failed else { return failed.to_string() };
        let in_the_way = |record: &&Record| {
            let mut wanted = record.published.iter().filter(|mapping| mapping.host == DOMAIN);
            record.is_open()
                && !self.unpublished.contains(&record.id)
                && wanted.any(|mapping| mapping.ip.is_unspecified() || mapping.ip == gateway)
        };
        match (self.records.values().find(in_the_way), hint) {
            (Some(record), _) => format!("{failed}; container {} publishes this port: {ELSEWHERE}", record.name),
            (None, Some(hint)) => format!("{failed}; {hint}"),
            (None, None) => failed.to_string(),
        }
    }

    /// Whether somebody on the default network needs the gateway to pass questions on.
    fn default_passes_on(&mut self) -> bool {
        // One that is on an internal network as well asks there, and has its way out here.
        let is_internal = |endpoint: &Endpoint| self.net(&endpoint.network).is_ok_and(|net| net.network.internal);
        let asks_there = |record: &Record| record.endpoints.len() > 1 && record.endpoints.iter().any(is_internal);
        let is_asked_for_others = self.on(&self.default).any(asks_there);
        let has_members = self.on(&self.default).next().is_some();
        let is_only_way = match self.backend.host_resolv_conf() {
            Ok(text) => !names_reachable_server(&text),
            Err(why) => {
                tracing::debug!("{why}");
                true
            }
        };
        let Some(net) = self.networks.get_mut(&self.default) else { return false };
        let asks_gateway = has_members && (is_only_way || net.network.asks_gateway);
        if net.network.asks_gateway != asks_gateway {
            net.network.asks_gateway = asks_gateway;
            // Found otherwise by the next daemon, it is no worse than if the host's servers had changed meanwhile.
            if let Err(failed) = save_as(&mut self.backend, DEFAULT, &net.network) {
                tracing::warn!("{failed}");
            }
        }
        is_only_way || asks_gateway || is_asked_for_others
    }

    /// The same where nobody waits for the answer.
    pub(super) fn serve_names_later(&mut self, now: Now) {
        for warning in self.serve_names(now) {
            tracing::warn!("{warning}");
        }
    }
}

fn table_of(network: &Network, records: &BTreeMap<Id, Record>) -> NameTable {
    let mut table = NameTable::new(network.name.as_str(), network.subnet, network.internal);
    let sandboxes = Sandboxes::of(records);
    let living = records.values().filter(|record| record.is_open());
    let members = living.filter_map(|record| Some((record, record.endpoint(&network.id)?)));
    for (record, endpoint) in members.filter(|(_, endpoint)| endpoint.phase == EndpointPhase::Joined) {
        let address = endpoint.lease.ip.addr();
        if !record.dns.is_empty() {
            table.upstreams.insert(address, record.dns.clone());
        }
        if network.is_default() {
            continue;
        }
        let names = [record.name.as_str(), record.id.short()];
        let further = endpoint.aliases.iter().map(String::as_str).chain(record.hostname.as_deref());
        let shared = sandboxes.shared_name(record);
        for name in names.into_iter().chain(further).chain(shared.as_deref()) {
            table.add(name, address);
        }
        table.hosts.insert(address, record.name.to_string());
        let others = sandboxes.endpoints(record).filter(|other| is_beside(other, network));
        let others: Vec<String> = others.map(|other| other.network.to_string()).collect();
        if !others.is_empty() {
            table.beside.insert(address, others);
        }
    }
    table
}

fn is_beside(endpoint: &Endpoint, network: &Network) -> bool {
    endpoint.network != network.id && endpoint.phase == EndpointPhase::Joined
}
