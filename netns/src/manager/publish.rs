//! Published ports: when somebody passes them on, to which address, and when no more.
//!
//! They lead to the container's address on the first network with a way out, as the default route does: when that changes,
//! they follow.

use std::net::Ipv4Addr;

use super::Manager;
use crate::backend::Backend;
use crate::error::Error;
use crate::name::Id;
use crate::record::{Endpoint, EndpointPhase};

impl<B: Backend> Manager<B> {
    /// Sees to it that a container's ports are passed on, if it has any and an address to pass them to.
    pub(super) fn publish(&mut self, id: &Id) -> Result<(), Error> {
        let (Some(record), Some(target)) = (self.records.get(id), self.published_address(id)) else { return Ok(()) };
        if record.published.is_empty() {
            return Ok(());
        }
        Ok(self.backend.publish(id, target, &record.published)?)
    }

    /// The same for a container that was taken over: its publisher may have gone on.
    pub(super) fn publish_again(&mut self, id: &Id) -> Result<(), Error> {
        if self.backend.is_published(id) { Ok(()) } else { self.publish(id) }
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
