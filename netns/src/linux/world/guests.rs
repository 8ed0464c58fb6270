//! Guests, as the daemon holds them: with their keeper a descriptor of their interface, which lives elsewhere.

use std::collections::BTreeMap;

use switch::link::port::PortLink;

use super::Linux;
use crate::backend::{Links, Namespace, Spec};
use crate::linux::failure::{Failure, Step};
use crate::linux::guest;
use crate::name::Id;

impl Linux {
    /// Notes the interface of a guest. Does nothing for other containers.
    pub(super) fn remember_guest(&mut self, spec: &Spec<'_>, links: &Links<PortLink>) -> Result<(), Failure> {
        if let (Namespace::Guest(_), Some((ifname, link))) = (spec.namespace, links.first())
            && let Some(handle) = self.handle(spec.id)
        {
            let tap = link.try_clone_fd().map_err(Step::AdoptTap.on(ifname))?;
            handle.guest = Some((ifname.clone(), tap));
        }
        Ok(())
    }

    /// How many frames the interface of a guest could not send, under its name in the record. None if this is no guest: the process
    /// of one that is lives on the host, whose interfaces are others.
    pub(super) fn guest_drops(&self, of: Option<(&Id, u32)>) -> Option<BTreeMap<String, u64>> {
        let (id, _) = of?;
        let (ifname, tap) = self.handles.values().find(|handle| handle.id == *id)?.guest.as_ref()?;
        Some(guest::transmit_drops(tap).map(|dropped| (ifname.clone(), dropped)).into_iter().collect())
    }
}
