//! Published ports: when somebody passes them on, to which address, and when no more.
//!
//! They lead to the container's address on the first network with a way out, as the default route does: when that changes,
//! they follow.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Manager, Now};
use crate::backend::{Backend, BackendError};
use crate::error::Error;
use crate::name::Id;
use crate::publish::PortMapping;
use crate::record::{Endpoint, EndpointPhase, Record};

/// How long a publisher must have run to be replaced when it has ended: one that can not live is not started for ever.
const PAUSE: Duration = Duration::from_secs(5);
/// The port of name servers (RFC 1035).
pub(super) const DOMAIN: u16 = 53;
/// What a user may do who wants to publish it.
pub(super) const ELSEWHERE: &str =
    "publish it on an address of the host that is not one of these, as in -p 192.0.2.1:53:53/udp";
/// What a user may do whose port another container has.
const ANOTHER: &str = "stop that container, or publish another port of the host";

impl<B: Backend> Manager<B> {
    /// Sees to it that a container's ports are passed on, if it has any and an address to pass them to.
    pub(super) fn publish(&mut self, id: &Id) -> Result<(), Error> {
        let (Some(record), Some(target)) = (self.records.get(id), self.published_address(id)) else { return Ok(()) };
        if record.published.is_empty() {
            return Ok(());
        }
        let published = self.backend.publish(id, target, &record.published);
        published.map_err(|failed| self.named(failed, record))?;
        self.unpublished.remove(id);
        Ok(())
    }

    /// Somebody has ended the process that passed a container's ports on: another takes its place, if the ports can be had
    /// and it was not the second time within a moment.
    pub(super) fn publish_lost(&mut self, id: &Id, now: Now) {
        let is_again = self.republished.get(id).is_some_and(|last| now.instant < *last + PAUSE);
        let published = if is_again { Ok(()) } else { self.publish(id) };
        match published {
            Ok(()) if !is_again => {
                self.republished.insert(id.clone(), now.instant);
                tracing::warn!(
                    container = id.short(),
                    "the publisher was ended by somebody else: another has its ports"
                );
            }
            Ok(()) => {
                self.unpublished.insert(id.clone());
                tracing::warn!(
                    container = id.short(),
                    "the publisher was ended again: the ports are published no more"
                );
            }
            Err(failed) => {
                self.unpublished.insert(id.clone());
                tracing::warn!(container = id.short(), "the publisher was ended by somebody else: {failed}");
            }
        }
    }

    /// A port that can not be had because another container has it says which; one that can not because we answer for names
    /// on it says where.
    fn named(&self, failed: BackendError, record: &Record) -> BackendError {
        let BackendError::Failed { operation, object, cause, hint } = failed else { return failed };
        let wanted = record.published.iter().find(|mapping| mapping.host_side() == object);
        if let Some(other) = wanted.and_then(|wanted| self.publisher_of(wanted, &record.id)) {
            let cause = format!("{cause}: container {} publishes it", other.name);
            return BackendError::Failed { operation, object, cause, hint: Some(ANOTHER) };
        }
        let wanted = wanted.filter(|mapping| mapping.host == DOMAIN);
        let answering = self.served.keys().filter_map(|network| Some(self.networks.get(network)?.network.gateway));
        let in_the_way =
            |gateway: &Ipv4Addr| wanted.is_some_and(|wanted| wanted.ip.is_unspecified() || wanted.ip == *gateway);
        let in_the_way: Vec<String> = answering.filter(in_the_way).map(|gateway| gateway.to_string()).collect();
        if in_the_way.is_empty() {
            return BackendError::Failed { operation, object, cause, hint };
        }
        let cause = format!("{cause}; names of our networks are answered on {}, port {DOMAIN}", in_the_way.join(", "));
        BackendError::Failed { operation, object, cause, hint: Some(ELSEWHERE) }
    }

    /// The container other than `own` that has a port of the host.
    fn publisher_of(&self, wanted: &PortMapping, own: &Id) -> Option<&Record> {
        let mut others = self.records.values().filter(|record| record.is_open() && record.id != *own);
        others.find(|record| {
            let has_it = record.published.iter().any(|mapping| mapping.overlaps(wanted));
            has_it && !self.unpublished.contains(&record.id) && self.published_address(&record.id).is_some()
        })
    }

    /// The same for a container that was taken over: its publisher may have gone on.
    pub(super) fn publish_again(&mut self, id: &Id) -> Result<(), Error> {
        match (self.backend.is_published(id), self.has_published(id)) {
            (true, true) => Ok(()),
            // Of a guest: the daemon was killed before it was done.
            (true, false) => self.unpublish_whatever(id),
            (false, _) => self.publish(id),
        }
    }

    /// Lets published ports follow a container whose address was `before`.
    pub(super) fn publish_anew(&mut self, id: &Id, before: Option<Ipv4Addr>) -> Result<(), Error> {
        let now = self.published_address(id);
        if now == before || !self.has_published(id) {
            return Ok(());
        }
        match now {
            Some(_) => self.publish(id),
            None => Ok(self.backend.unpublish(id)?),
        }
    }

    /// Nothing is passed on to a container any more.
    pub(super) fn unpublish(&mut self, id: &Id) -> Result<(), Error> {
        if self.has_published(id) { Ok(self.backend.unpublish(id)?) } else { Ok(()) }
    }

    /// The same, whatever its record says.
    pub(super) fn unpublish_whatever(&mut self, id: &Id) -> Result<(), Error> {
        self.unpublished.remove(id);
        Ok(self.backend.unpublish(id)?)
    }

    pub(super) fn published_address(&self, id: &Id) -> Option<Ipv4Addr> {
        let (ifname, _) = self.default_route(id)?;
        let endpoint = self.records.get(id)?.endpoints.iter().find(|endpoint| endpoint.ifname == ifname)?;
        Some(endpoint.lease.ip.addr())
    }

    /// Where published ports may lead as long as this interface is there, however far it has come: they follow it before its
    /// record says that it is joined, and leave it after its record says that it goes.
    pub(super) fn address_published_with(&self, id: &Id, ifname: &str) -> Option<Ipv4Addr> {
        let network = |id: &Id| self.networks.get(id).map(|net| &net.network);
        let may_lead_to = |endpoint: &&Endpoint| {
            let is_there = endpoint.phase == EndpointPhase::Joined || endpoint.ifname == ifname;
            is_there && network(&endpoint.network).is_some_and(|network| !network.internal)
        };
        let endpoint = self.records.get(id)?.endpoints.iter().find(may_lead_to)?;
        Some(endpoint.lease.ip.addr())
    }

    pub(super) fn has_published(&self, id: &Id) -> bool {
        self.records.get(id).is_some_and(|record| !record.published.is_empty())
    }
}
