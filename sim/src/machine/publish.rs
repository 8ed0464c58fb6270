//! [`Publisher`]: whoever has the ports of the host that a container publishes.

use std::net::Ipv4Addr;

use netns::backend::BackendError;
use netns::name::Id;
use netns::publish::PortMapping;

use super::{Daemon, Machine};

/// Whoever has the ports of the host that a container publishes. Whose they are and where they lead is as on Linux; what
/// comes to them is passed on to nobody.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) target: Ipv4Addr,
    pub(crate) mappings: Vec<PortMapping>,
}

impl Machine {
    /// Gives a living container ports of the host, all or none, in place of those that it had.
    pub(crate) fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError> {
        self.living(id)?;
        self.unpublish(id);
        let taken = self.containers.values().filter_map(|container| container.publisher.as_ref());
        let taken: Vec<&PortMapping> = taken.flat_map(|publisher| &publisher.mappings).collect();
        if let Some(wanted) = mappings.iter().find(|wanted| taken.iter().any(|taken| wanted.overlaps(taken))) {
            return Err(BackendError::Failed {
                operation: "publish",
                object: wanted.host_side(),
                cause: "Address already in use".to_owned(),
                hint: None,
            });
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.publisher = Some(Publisher { target, mappings: mappings.to_vec() });
        }
        Ok(())
    }

    /// A container's ports of the host are free.
    pub(crate) fn unpublish(&mut self, id: &Id) {
        if let Some(container) = self.containers.get_mut(id) {
            container.publisher = None;
        }
    }

    /// Whoever has a container's ports of the host is killed.
    pub(crate) fn kill_publisher(&mut self, id: &Id) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.publisher.take().is_some() && self.daemon == Daemon::Alive {
            self.unpublished.push_back(id.clone());
        }
    }
}
