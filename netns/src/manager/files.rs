//! What stands in a container's files in `/etc`: written before its command starts, and again when its networks change.

use std::net::Ipv4Addr;

use super::Manager;
use crate::backend::Backend;
use crate::error::Error;
use crate::files::{Files, Resolution, hostname, hosts, resolv_conf};
use crate::mode::NetworkMode;
use crate::name::Id;
use crate::network::Network;
use crate::record::{EndpointPhase, Record};

impl<B: Backend> Manager<B> {
    /// Writes a container's files anew, as its record has it now.
    pub(super) fn write_files(&mut self, id: &Id) -> Result<(), Error> {
        let Some(record) = self.records.get(id) else { return Ok(()) };
        let host_text = match record.mode {
            NetworkMode::Bridge(_) | NetworkMode::None => self.backend.host_resolv_conf()?,
            // Theirs is the host's, or another container's, whether we could read it or not.
            NetworkMode::Host | NetworkMode::Container(_) => String::new(),
        };
        let networks = &self.networks;
        let network = |id: &Id| networks.get(id).map(|net| &net.network);
        match files_of(record, network, &host_text) {
            Some(files) => Ok(self.backend.write_files(id, &files)?),
            None => Ok(()),
        }
    }
}

/// The files of a container with this record, by its network mode; `None` if it has those of another.
fn files_of<'a>(record: &Record, network: impl Fn(&Id) -> Option<&'a Network>, host_text: &str) -> Option<Files> {
    match record.mode {
        NetworkMode::Container(_) => return None,
        NetworkMode::Host => {
            return Some(Files { hostname: record.hostname.as_deref().map(hostname), ..Files::default() });
        }
        NetworkMode::Bridge(_) | NetworkMode::None => {}
    }
    let joined = record.endpoints.iter().filter(|endpoint| endpoint.phase == EndpointPhase::Joined);
    let addresses: Vec<Ipv4Addr> = joined.clone().map(|endpoint| endpoint.lease.ip.addr()).collect();
    let of_user =
        joined.clone().filter_map(|endpoint| network(&endpoint.network)).find(|network| !network.is_default());
    let of_default = joined.filter_map(|endpoint| network(&endpoint.network)).find(|network| network.is_default());
    let resolution = match (of_user, of_default) {
        (Some(network), _) => Resolution::Responder { gateway: network.gateway },
        (None, Some(_)) if !record.dns.is_empty() => Resolution::Servers(&record.dns),
        (None, Some(network)) => Resolution::Hosts { gateway: network.gateway },
        (None, None) => Resolution::Nowhere,
    };
    let host_name = record.hostname.as_deref().unwrap_or_default();
    Some(Files {
        resolv_conf: Some(resolv_conf(host_text, resolution)),
        hosts: Some(hosts(host_name, &addresses)),
        hostname: Some(hostname(host_name)),
    })
}
