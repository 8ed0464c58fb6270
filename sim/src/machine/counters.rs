//! What interfaces count themselves.

use std::collections::BTreeMap;

use netns::name::Id;

use super::{HOST, Machine};
use crate::interface::Kind;

impl Machine {
    /// How many frames the interfaces of a container, or of the host, could not send.
    pub(crate) fn transmit_drops(&self, of: Option<&Id>) -> BTreeMap<String, u64> {
        if let Some(dropped) =
            of.and_then(|id| self.of_guest(id, |ifname, interface| (ifname.to_owned(), interface.info().tx_dropped)))
        {
            return BTreeMap::from([dropped]);
        }
        let namespace = match of {
            Some(id) => self.containers.get(id).map(|container| container.namespace),
            None => Some(HOST),
        };
        let interfaces = namespace.and_then(|id| self.namespaces.get(&id)).map_or(&[][..], |known| &known.interfaces);
        let dropped = interfaces.iter().filter_map(|interface| match &interface.kind {
            Kind::Cable(jack) => Some((interface.name.clone(), jack.counters().tx_dropped)),
            Kind::Loopback(_) | Kind::Dummy(_) => None,
        });
        dropped.collect()
    }
}
