//! Interfaces of the host that are ports for a while, and how the host is kept from hearing by them.

use rustix::event::epoll;
use switch::link::port::PortLink;

use super::{LINKS, Linux};
use crate::backend::{BackendError, HostInterface, Which};
use crate::borrowed::Unfit;
use crate::firewall::quote;
use crate::linux::borrow::{Watch, index_in, look_at, name_at};
use crate::linux::failure::Step;
use crate::linux::firewall::silenced_by_others;

/// What is read of the host.
const INTERFACES: &str = "the host's interfaces";

impl Linux {
    pub(super) fn look_at_interface(&mut self, which: Which<'_>) -> Result<Option<HostInterface>, BackendError> {
        let found = look_at(which).map_err(Step::ReadHost.on(INTERFACES))?;
        let Some(mut found) = found else { return Ok(None) };
        if self.veths.contains(&found.name) || self.gateways.contains_key(&found.name) {
            found.unfit = Some(Unfit::IsOurs);
        }
        if found.unfit.is_none() && matches!(which, Which::Named(_)) {
            let own = self.policy.as_ref().map_or("", |(policy, _)| policy.instance.as_str());
            let is_others = silenced_by_others(own, &found.name)?;
            found.unfit = is_others.then_some(Unfit::IsOthers);
        }
        Ok(Some(found))
    }

    pub(super) fn borrow_interface(&mut self, interface: &HostInterface) -> Result<PortLink, BackendError> {
        let HostInterface { identity, name, .. } = interface;
        let is_gone = || Step::OpenPacketSocket.failed(name, "it is another one by now");
        let index = index_in(identity).map_err(Step::ReadHost.on(INTERFACES))?.ok_or_else(is_gone)?;
        self.watch_links()?;
        self.borrowed.insert(identity.clone(), index);
        self.apply_policy()?;
        let link = PortLink::packet(name).map_err(|why| Step::OpenPacketSocket.failed(name, why))?;
        // By its name: what has it now may be another one than was looked at.
        if name_at(index).as_ref() == Some(name) { Ok(link) } else { Err(is_gone().into()) }
    }

    pub(super) fn return_interface(&mut self, identity: &str) -> Result<(), BackendError> {
        self.borrowed.remove(identity);
        if self.borrowed.is_empty() {
            self.links = None;
        }
        self.apply_policy()
    }

    /// The names of those that are borrowed, as far as they are there and a rule can say them.
    pub(super) fn borrowed_names(&self) -> impl Iterator<Item = String> + '_ {
        self.borrowed.values().filter_map(|index| name_at(*index)).filter(|name| quote(name).is_ok())
    }

    /// Takes in what was said of the host's interfaces.
    pub(super) fn hear_of_links(&mut self) {
        self.have_links_changed |= self.links.as_mut().is_some_and(Watch::has_news);
    }

    fn watch_links(&mut self) -> Result<(), BackendError> {
        if self.links.is_some() {
            return Ok(());
        }
        let links = Watch::start().map_err(Step::Watch.on(INTERFACES))?;
        let data = epoll::EventData::new_u64(LINKS);
        epoll::add(&self.watch, &links, data, epoll::EventFlags::IN).map_err(Step::Watch.on(INTERFACES))?;
        self.links = Some(links);
        // What was looked at before may be old.
        self.have_links_changed = true;
        Ok(())
    }
}
