//! What happens on the machine behind the daemon's back, whether there is one or not.

use ipnet::IpNet;
use netns::files::Files;

use super::{Place, World};
use crate::interface::Kind;
use crate::socket::SocketError;

const SIGKILL: i32 = 9;

impl World {
    /// Gives the host another `/etc/resolv.conf`.
    pub fn set_resolv_conf(&mut self, text: &str) {
        text.clone_into(&mut self.machine().resolv_conf);
    }

    /// A container's own files in `/etc`.
    ///
    /// # Errors
    /// If it is not there.
    pub fn files(&mut self, name: &str) -> Result<Files, SocketError> {
        let (_, pid) = self.locate(&Place::container(name)).ok_or(SocketError::NoSuchDevice)?;
        let machine = self.machine();
        let container = machine.containers.values().find(|container| container.pid == pid);
        container.map(|container| container.files.clone()).ok_or(SocketError::NoSuchDevice)
    }

    /// `kill -9` of the command of a container. Does nothing if it has ended.
    pub fn kill_command(&mut self, name: &str) {
        self.locate(&Place::container(name));
        if let Some(id) = self.known.get(name).cloned() {
            // One that has ended can not be killed, which is as well.
            let _ = self.machine().signal(&id, SIGKILL);
        }
        self.settle_ends();
    }

    /// `kill -9` of the shim of a container, with which all of the container ends and the status of its command is lost.
    pub fn kill_shim(&mut self, name: &str) {
        self.locate(&Place::container(name));
        if let Some(id) = self.known.get(name).cloned() {
            self.machine().kill_shim(&id);
        }
        self.settle_ends();
    }

    /// `kill -9` of the process that passes ports of the host on to a container. Does nothing if there is none.
    pub fn kill_publisher(&mut self, name: &str) {
        self.locate(&Place::container(name));
        if let Some(id) = self.known.get(name).cloned() {
            self.machine().kill_publisher(&id);
        }
        self.settle_ends();
    }

    /// The number of an interface that leads to a switch, which no other ever has.
    ///
    /// # Errors
    /// If the place or the interface is not there, or it leads to no switch.
    pub fn ifindex(&mut self, place: &Place, interface: &str) -> Result<u32, SocketError> {
        self.within(place, |namespace, _| match namespace.interface(interface).map(|found| &found.kind) {
            Some(Kind::Cable(jack)) => Ok(jack.id().0),
            Some(Kind::Loopback(_) | Kind::Dummy(_)) | None => Err(SocketError::NoSuchDevice),
        })?
    }

    /// Gives an interface a further address.
    ///
    /// # Errors
    /// If the place or the interface is not there, or it has the address; for one of IPv6 also if that is not switched on
    /// ([`World::set_ipv6`]), or the interface is off.
    pub fn add_address(&mut self, place: &Place, interface: &str, address: IpNet) -> Result<(), SocketError> {
        let now = self.clock.now();
        self.within(place, |namespace, _| {
            let address = match address {
                IpNet::V4(address) => address,
                IpNet::V6(address) => return namespace.add_address6(interface, address, now),
            };
            let interface = namespace.interface(interface).ok_or(SocketError::NoSuchDevice)?;
            if interface.addresses.contains(&address) {
                return Err(SocketError::AddressInUse);
            }
            interface.addresses.push(address);
            Ok(())
        })?
    }

    /// Lets the daemon see ends at once, as it sees them by pidfds.
    pub(super) fn settle_ends(&mut self) {
        self.see_ends();
        self.settle();
    }
}
