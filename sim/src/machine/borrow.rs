//! Interfaces of the host that are ports for a while, as [`netns::backend::Backend`] asks for them.
//!
//! One on a cable to a host outside gets a packet socket. One with nothing behind it takes nothing and gives nothing, as a TAP
//! that nobody has opened.

use ipnet::IpNet;
use netns::backend::{BackendError, HostInterface, Which};
use netns::borrowed::Unfit;

use super::{HOST, Machine};
use crate::cable::{CableEnd, Jack, cable};
use crate::inet6::Inet6;
use crate::interface::{Interface, Kind};

/// An interface of the host that is a port. It is forgotten with the daemon.
#[derive(Debug)]
pub(crate) struct Borrowed {
    /// Its name and its MTU, when the daemon has last looked.
    seen: (String, u32),
    /// The interface's end of a cable that leads nowhere, for one that has none.
    nowhere: Option<Jack>,
}

impl Machine {
    /// What there is to know of an interface of the host.
    pub(crate) fn look_at_interface(&mut self, which: Which<'_>) -> Option<HostInterface> {
        let host = self.namespace(HOST);
        let is_meant = |interface: &&Interface| match which {
            Which::Named(name) => interface.name == name,
            Which::Known(identity) => identity_of(interface) == identity,
        };
        let interface = host.interfaces.iter().find(is_meant)?;
        let own6 = interface.inet6.iter().flat_map(Inet6::addresses).map(|(address, _)| address);
        let own6 = own6.filter(|address| !address.addr().is_unicast_link_local());
        let unfit = match &interface.kind {
            Kind::Loopback(_) => Some(Unfit::Loopback),
            Kind::Cable(jack) if jack.leads_to_switch() => Some(Unfit::IsOurs),
            Kind::Cable(_) | Kind::Dummy(_) => {
                host.has_default_route_by(&interface.name).then_some(Unfit::HasDefaultRoute)
            }
        };
        Some(HostInterface {
            identity: identity_of(interface),
            name: interface.name.clone(),
            mtu: interface.mtu,
            up: interface.up,
            addresses: interface.addresses.iter().copied().map(IpNet::from).chain(own6.map(IpNet::from)).collect(),
            upper: Vec::new(),
            unfit,
        })
    }

    /// Makes an interface of the host a link, and lets the host hear nothing by it.
    pub(crate) fn borrow_interface(&mut self, interface: &HostInterface) -> Result<CableEnd, BackendError> {
        let HostInterface { identity, name, mtu, .. } = interface;
        let known = self.borrowed.remove(identity).and_then(|borrowed| borrowed.nowhere);
        let (id, shape, plant) = (self.new_cable(), self.shape(), self.plant.clone());
        let found = self.namespace(HOST).interfaces.iter().find(|each| identity_of(each) == *identity);
        let (link, nowhere) = match found.map(|found| &found.kind) {
            Some(Kind::Cable(jack)) => (jack.tap(), None),
            Some(Kind::Loopback(_) | Kind::Dummy(_)) => {
                let nowhere = known.unwrap_or_else(|| cable(id, &plant, HOST, shape));
                (nowhere.switch_end(), Some(nowhere))
            }
            None => return Err(gone(name)),
        };
        self.borrowed.insert(identity.clone(), Borrowed { seen: (name.clone(), *mtu), nowhere });
        self.apply_policy()?;
        Ok(link)
    }

    /// Lets the host hear an interface again.
    pub(crate) fn return_interface(&mut self, identity: &str) -> Result<(), BackendError> {
        self.borrowed.remove(identity);
        self.apply_policy()
    }

    /// Whether any that is borrowed is another than it was when this was last asked.
    pub(crate) fn have_interfaces_changed(&mut self) -> bool {
        let is_news = self.has_interface_news();
        if is_news {
            let all: Vec<String> = self.borrowed.keys().cloned().collect();
            for identity in all {
                let now = self.now_of(&identity);
                if let Some(borrowed) = self.borrowed.get_mut(&identity) {
                    borrowed.seen = now.unwrap_or_default();
                }
            }
        }
        is_news
    }

    /// The same without forgetting it.
    pub(super) fn has_interface_news(&self) -> bool {
        let is_other =
            |(identity, borrowed): (&String, &Borrowed)| self.now_of(identity).unwrap_or_default() != borrowed.seen;
        self.borrowed.iter().any(is_other)
    }

    /// What those that are borrowed are called now.
    pub(super) fn borrowed_names(&self) -> Vec<String> {
        self.borrowed.keys().filter_map(|identity| self.now_of(identity)).map(|(name, _)| name).collect()
    }

    /// The name and the MTU of an interface of the host.
    fn now_of(&self, identity: &str) -> Option<(String, u32)> {
        let interfaces = &self.namespaces.get(&HOST)?.interfaces;
        let found = interfaces.iter().find(|each| identity_of(each) == identity)?;
        Some((found.name.clone(), found.mtu))
    }
}

/// The number of its cable, which no other has; or its name.
fn identity_of(interface: &Interface) -> String {
    match interface.kind.cable() {
        Some(cable) => cable.0.to_string(),
        None => format!("nowhere_{}", interface.name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

fn gone(name: &str) -> BackendError {
    BackendError::Failed {
        operation: "open a packet socket on",
        object: name.to_owned(),
        cause: "it is another one by now".to_owned(),
        hint: None,
    }
}
