//! Guests, as the daemon holds them: with their keeper a descriptor of their interface, which lives elsewhere.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use switch::link::port::PortLink;
use switch::link::tap::Whereabouts;

use super::verbs::unexpected;
use super::{Linux, interface_plan};
use crate::backend::{BackendError, Links, Namespace, Spec};
use crate::linux::failure::{Failure, Step};
use crate::linux::guest;
use crate::linux::handle::Handle;
use crate::linux::protocol::{Reply, Request};
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

    /// [`crate::backend::Backend::replace_keeper`].
    pub(super) fn start_another_keeper(&mut self, spec: &Spec<'_>) -> Result<Option<u32>, BackendError> {
        let (Some((_, tap)), Some(interface)) = (self.unkept.get(spec.id), spec.interfaces.first()) else {
            return Ok(None);
        };
        if guest::is_gone(tap) {
            self.unkept.remove(spec.id);
            return Ok(None);
        }
        let tap = tap.try_clone().map_err(Step::AdoptTap.on(interface.name))?;
        let (plan, fds) = self.plan(spec)?;
        let Linux { spawner, paths, exe, shim_log, files, .. } = self;
        let mut handle = Handle::spawn(spawner, paths, exe, spec.id, shim_log, files)?;
        let gateway = self.gateways.get(interface.bridge).map(OwnedFd::try_clone);
        let gateway = gateway.transpose().map_err(Step::AdoptTap.on(interface.bridge))?;
        let kept = match handle.ask(&Request::Create(plan), &fds) {
            Ok((Reply::Created, _)) => {
                let fds: Vec<OwnedFd> = [tap].into_iter().chain(gateway).collect();
                handle.ask(&Request::Keep(interface_plan(interface)), &fds)
            }
            other => other,
        };
        match kept {
            Ok((Reply::Added, _)) => {}
            failed => {
                // Not asked, or it might take the interface along.
                handle.kill().map_err(Step::EndShim.on(spec.id.short()))?;
                let _ = std::fs::remove_file(self.paths.socket(spec.id));
                return Err(match failed {
                    Ok((Reply::Failed { failure }, _)) => failure.into(),
                    Ok((other, _)) => unexpected(spec.id, &other).into(),
                    Err(why) => Step::AskShim.failed(spec.id.short(), why).into(),
                });
            }
        }
        handle.guest = self.unkept.remove(spec.id);
        let pid = handle.pid;
        self.keep(handle)?;
        Ok(Some(pid))
    }

    /// [`crate::backend::Backend::guest_interface`].
    pub(super) fn guest_name(&self, id: &Id) -> Option<String> {
        let (_, tap) = self.handles.values().find(|handle| handle.id == *id)?.guest.as_ref()?;
        Some(Whereabouts::of(tap).ok()?.name)
    }

    /// Deletes the interface that a killed keeper has left, if there is one.
    pub(super) fn delete_unkept(&mut self, id: &Id) -> std::io::Result<()> {
        self.unkept.remove(id).map_or(Ok(()), |(_, tap)| guest::delete(&tap))
    }

    /// How many frames the interface of a guest could not send, under its name in the record. None if this is no guest: the process
    /// of one that is lives on the host, whose interfaces are others.
    pub(super) fn guest_drops(&self, of: Option<(&Id, u32)>) -> Option<BTreeMap<String, u64>> {
        let (id, _) = of?;
        let (ifname, tap) = self.handles.values().find(|handle| handle.id == *id)?.guest.as_ref()?;
        Some(guest::transmit_drops(tap).map(|dropped| (ifname.clone(), dropped)).into_iter().collect())
    }
}
