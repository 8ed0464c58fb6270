//! What an earlier daemon left: shims, which are asked for what they hold.

use std::io;

use switch::link::port::PortLink;

use super::Linux;
use super::verbs::unexpected;
use crate::backend::{Adopted, BackendError, Namespace, Spec};
use crate::linux::failure::Step;
use crate::linux::handle::{Handle, PATIENCE, is_over_within, status_left};
use crate::linux::paths::Paths;
use crate::linux::protocol::{Reply, Request};
use crate::linux::wire::WireError;
use crate::name::Id;

impl Linux {
    /// [`crate::backend::Backend::adopt`].
    pub(super) fn take_over(&mut self, spec: &Spec<'_>) -> Result<Adopted<PortLink>, BackendError> {
        let ended = |backend: &Self| Adopted::Ended { status: status_left(&backend.paths, spec.id) };
        let found = Handle::connect(&self.paths, spec.id).map_err(Step::Attach.on(spec.id.short()))?;
        let Some(mut handle) = found else {
            end_unknown(&self.paths, spec.id).map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(ended(self));
        };
        let (init, command, interfaces, gateways, fds) = match handle.ask(&Request::Attach, &[]) {
            Ok((Reply::Attached { init, command, interfaces, gateways }, fds)) => {
                (init, command, interfaces, gateways, fds)
            }
            Ok((Reply::Ended { .. }, _)) => {
                handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
                return Ok(ended(self));
            }
            // It hung up because it ends; or it serves as many as it can, which is no reason to end it.
            Err(WireError::Closed) => {
                if !is_over_within(&handle.pidfd, PATIENCE).map_err(Step::Attach.on(spec.id.short()))? {
                    return Err(Step::AskShim.failed(spec.id.short(), WireError::Closed).into());
                }
                handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
                return Ok(ended(self));
            }
            Ok((Reply::Failed { failure }, _)) => return Err(failure.into()),
            Ok((other, _)) => return Err(unexpected(spec.id, &other).into()),
            Err(why) => return Err(Step::AskShim.failed(spec.id.short(), why).into()),
        };
        let is_guest = matches!(spec.namespace, Namespace::Guest(_));
        if !init && !is_guest {
            // Its creator died before the command was started, so it is on its way out.
            handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(Adopted::Ended { status: None });
        }
        let mut fds = fds.into_iter();
        handle.init = if init { fds.next() } else { None };
        handle.command = command;
        let mut links = Vec::new();
        for (ifname, is_tap) in interfaces {
            let tap = if is_tap { fds.next() } else { None };
            // An interface that was deleted inside is no reason to doubt the container.
            if let Some(interface) = spec.interfaces.iter().find(|interface| interface.name == ifname)
                && let Ok(link) = self.link(spec.id, interface, tap)
            {
                links.push((ifname, link));
            }
        }
        for (bridge, fd) in gateways.into_iter().zip(fds) {
            self.gateways.entry(bridge).or_insert(fd);
        }
        if is_guest && links.is_empty() {
            // Whatever became of its interface: there is none to keep.
            handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(Adopted::Ended { status: None });
        }
        let pid = command.unwrap_or(handle.pid);
        self.keep(handle)?;
        self.remember_guest(spec, &links)?;
        Ok(Adopted::Running { pid, links })
    }
}

/// Ends the shim of an earlier daemon, if there is one, whatever it has come to.
pub(super) fn end_unknown(paths: &Paths, id: &Id) -> io::Result<()> {
    if let Some(mut handle) = Handle::connect(paths, id)? {
        // For init's pidfd. One that has nothing to say any more is ended all the same.
        if let Ok((Reply::Attached { init: true, .. }, fds)) = handle.ask(&Request::Attach, &[]) {
            handle.init = fds.into_iter().next();
        }
        handle.end()?;
    }
    match Handle::find(paths, id)? {
        Some(mut handle) => handle.end(),
        None => Ok(()),
    }
}
