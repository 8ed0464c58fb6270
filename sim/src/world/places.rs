//! [`Place`]: where a program runs, and what it sees and changes there.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netns::error::Error;
use netns::interface::InterfaceInfo;

use super::World;
use crate::interface::Kind;
use crate::machine::HOST;
use crate::namespace::{Namespace, NamespaceId};
use crate::socket::SocketError;
use crate::wire;

/// What the host is called.
const HOSTNAME: &str = "host";
/// The process id of programs on the host itself.
const INIT: u32 = 1;

/// Where a program runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the host itself.
    Host,
    /// In a container, by name or id.
    Container(String),
    /// On a host outside, by its name: see [`World::add_outside`].
    Outside(String),
    /// In a sandbox of another engine, by its name: see [`World::add_sandbox`].
    Sandbox(String),
}

impl Place {
    /// In the container of this name or id.
    #[must_use]
    pub fn container(name: impl Into<String>) -> Self {
        Place::Container(name.into())
    }

    /// On the host outside of this name.
    #[must_use]
    pub fn outside(name: impl Into<String>) -> Self {
        Place::Outside(name.into())
    }

    /// In the sandbox of this name.
    #[must_use]
    pub fn sandbox(name: impl Into<String>) -> Self {
        Place::Sandbox(name.into())
    }
}

impl World {
    /// The interfaces that a program sees, in the order in which they were made.
    ///
    /// # Errors
    /// If the place is not there.
    pub fn interfaces(&mut self, place: &Place) -> Result<Vec<InterfaceInfo>, Error> {
        let interfaces = self
            .within(place, |namespace, _| namespace.interfaces.iter().map(crate::interface::Interface::info).collect());
        interfaces.map_err(|_| not_there(place))
    }

    /// The next hop of the default route.
    ///
    /// # Errors
    /// If the place is not there.
    pub fn default_route(&mut self, place: &Place) -> Result<Option<Ipv4Addr>, Error> {
        self.within(place, |namespace, _| namespace.default_route()).map_err(|_| not_there(place))
    }

    /// The host name that a program sees.
    ///
    /// # Errors
    /// If the place is not there.
    pub fn hostname(&mut self, place: &Place) -> Result<String, Error> {
        let (_, pid) = self.locate(place).ok_or_else(|| not_there(place))?;
        if let Place::Outside(name) | Place::Sandbox(name) = place {
            return Ok(name.clone());
        }
        let machine = self.machine();
        let container = machine.containers.values().find(|container| container.pid == pid);
        Ok(container.and_then(|container| container.hostname.clone()).unwrap_or_else(|| HOSTNAME.to_owned()))
    }

    /// Switches an interface on or off.
    ///
    /// # Errors
    /// If the place or the interface is not there.
    pub fn set_link(&mut self, place: &Place, interface: &str, up: bool) -> Result<(), SocketError> {
        let found = self.within(place, |namespace, _| namespace.set_link(interface, up))?;
        if found { Ok(()) } else { Err(SocketError::NoSuchDevice) }
    }

    /// Says how long the packets are that an interface takes.
    ///
    /// # Errors
    /// If the place or the interface is not there.
    pub fn set_mtu(&mut self, place: &Place, interface: &str, mtu: u32) -> Result<(), SocketError> {
        self.within(place, |namespace, _| namespace.set_mtu(interface, mtu))?.ok_or(SocketError::NoSuchDevice)?;
        self.settle_ends();
        Ok(())
    }

    /// Gives an interface another name, as `ip link set NAME name OTHER` does.
    ///
    /// # Errors
    /// If the place or the interface is not there, or another interface has the name.
    pub fn rename_interface(&mut self, place: &Place, interface: &str, name: &str) -> Result<(), SocketError> {
        self.within(place, |namespace, _| {
            let is_there = |name: &str| namespace.interfaces.iter().any(|each| each.name == name);
            match (is_there(interface), is_there(name)) {
                (false, _) => Err(SocketError::NoSuchDevice),
                (true, true) => Err(SocketError::AddressInUse),
                (true, false) => {
                    namespace.rename(interface, name);
                    Ok(())
                }
            }
        })??;
        self.settle_ends();
        Ok(())
    }

    /// Adds an interface with an address by hand. Nothing is behind it.
    ///
    /// # Errors
    /// If the place is not there, or has an interface of that name.
    pub fn add_interface(&mut self, place: &Place, name: &str, address: Ipv4Net) -> Result<(), SocketError> {
        self.within(place, |namespace, _| {
            if namespace.interface(name).is_some() {
                return Err(SocketError::AddressInUse);
            }
            namespace.add_dummy(name, address);
            Ok(())
        })?
    }

    /// Deletes an interface.
    ///
    /// # Errors
    /// If the place or the interface is not there, or it is `lo`.
    pub fn delete_interface(&mut self, place: &Place, interface: &str) -> Result<(), SocketError> {
        self.within(place, |namespace, _| match namespace.interface(interface).map(|found| &found.kind) {
            None => Err(SocketError::NoSuchDevice),
            Some(Kind::Loopback(_)) => Err(SocketError::Invalid),
            Some(Kind::Cable(_) | Kind::Dummy(_)) => {
                namespace.delete(interface);
                Ok(())
            }
        })??;
        self.settle_ends();
        Ok(())
    }

    /// Puts a frame on the wire, as a packet socket does.
    ///
    /// # Errors
    /// If the place or the interface is not there, the interface is off, or the frame is too short or too long for it.
    pub fn inject(&mut self, place: &Place, interface: &str, frame: &[u8]) -> Result<(), SocketError> {
        self.within(place, |namespace, _| {
            let interface = namespace.interface(interface).ok_or(SocketError::NoSuchDevice)?;
            let tag = if frame.get(12..14) == Some(&wire::TYPE_VLAN.to_be_bytes()) { 4 } else { 0 };
            if !interface.up {
                return Err(SocketError::NetworkDown);
            }
            if frame.len() < wire::ETHERNET {
                return Err(SocketError::Invalid);
            }
            if frame.len() > interface.mtu as usize + wire::ETHERNET + tag {
                return Err(SocketError::MessageSize);
            }
            interface.send(frame.to_vec());
            Ok(())
        })?
    }

    /// The frames that arrived at an interface since this was last asked. The first call begins to listen.
    ///
    /// # Errors
    /// If the place or the interface is not there.
    pub fn sniff(&mut self, place: &Place, interface: &str) -> Result<Vec<Vec<u8>>, SocketError> {
        self.within(place, |namespace, _| {
            let interface = namespace.interface(interface).ok_or(SocketError::NoSuchDevice)?;
            Ok(interface.sniffed.replace(Vec::new()).unwrap_or_default())
        })?
    }

    /// Does something in the namespace of a place, as the process that the place is.
    pub(super) fn within<T>(
        &mut self,
        place: &Place,
        work: impl FnOnce(&mut Namespace, u32) -> T,
    ) -> Result<T, SocketError> {
        let (namespace, pid) = self.locate(place).ok_or(SocketError::NoSuchDevice)?;
        Ok(work(self.machine().namespace(namespace), pid))
    }

    /// The namespace of a place and its process. Containers are looked for on the machine, so that it needs no daemon: by
    /// the name that the daemon's record has, living before dead.
    pub(super) fn locate(&mut self, place: &Place) -> Option<(NamespaceId, u32)> {
        let name = match place {
            Place::Host => return Some((HOST, INIT)),
            Place::Outside(name) => return self.machine().outside.get(name).map(|home| (*home, INIT)),
            Place::Sandbox(name) => return self.machine().sandboxes.get(name).map(|home| (*home, INIT)),
            Place::Container(name) => name,
        };
        if let Ok(id) = self.id_of(name) {
            self.known.insert(name.clone(), id);
        }
        let machine = self.machine();
        let container = machine.containers.get(self.known.get(name)?)?;
        container.is_alive().then_some((container.namespace, container.pid))
    }
}

pub(super) fn not_there(place: &Place) -> Error {
    match place {
        Place::Host => Error::NotRunning(HOSTNAME.to_owned()),
        Place::Container(name) | Place::Outside(name) | Place::Sandbox(name) => Error::NotRunning(name.clone()),
    }
}
