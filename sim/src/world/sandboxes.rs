//! Sandboxes that other engines have made, what those engines do with interfaces of ours there, and what they ask of us.

use ipnet::Ipv4Net;
use netns::error::Error;
use netns::guest::{self, GuestRequest, GuestView};
use netns::name::Id;
use netns::network::Owner;
use netns::publish::PortMapping;

use super::{Place, World};
use crate::machine::HOST;
use crate::socket::SocketError;

impl World {
    /// Another engine makes a sandbox: a network namespace with `lo` only, in which programs of its container run. The file that stands
    /// for it is `/run/netns/NAME`. Does nothing if there is one.
    pub fn add_sandbox(&mut self, name: &str) -> Place {
        if !self.machine().sandboxes.contains_key(name) {
            self.machine().add_sandbox(name);
        }
        Place::sandbox(name)
    }

    /// A sandbox ends, whether there is a daemon or not: its container has.
    pub fn end_sandbox(&mut self, name: &str) {
        self.machine().end_sandbox(name);
        self.settle_ends();
    }

    /// `kill -9` of the keepers of the interfaces in a sandbox.
    pub fn kill_keepers(&mut self, name: &str) {
        self.machine().kill_keepers(name);
        self.settle_ends();
    }

    /// Takes an interface of the host into a sandbox under another name, and configures it, as Docker does with one that its plugin
    /// has made.
    ///
    /// # Errors
    /// If one of them is not there, or the name is taken.
    pub fn take_into_sandbox(
        &mut self,
        interface: &str,
        sandbox: &Place,
        name: &str,
        address: Ipv4Net,
    ) -> Result<(), SocketError> {
        let (home, _) = self.locate(sandbox).ok_or(SocketError::NoSuchDevice)?;
        let mut machine = self.machine();
        if machine.namespace(home).interface(name).is_some() {
            return Err(SocketError::AddressInUse);
        }
        if !machine.take_interface((HOST, interface), (home, name)) {
            return Err(SocketError::NoSuchDevice);
        }
        machine.configure(home, name, address);
        Ok(())
    }

    /// Takes an interface of a sandbox back to the host under another name, as Docker does before it forgets it.
    ///
    /// # Errors
    /// If one of them is not there, or the name is taken.
    pub fn take_out_of_sandbox(&mut self, sandbox: &Place, name: &str, interface: &str) -> Result<(), SocketError> {
        let (home, _) = self.locate(sandbox).ok_or(SocketError::NoSuchDevice)?;
        let mut machine = self.machine();
        if machine.namespace(HOST).interface(interface).is_some() {
            return Err(SocketError::AddressInUse);
        }
        machine.take_interface((home, name), (HOST, interface)).then_some(()).ok_or(SocketError::NoSuchDevice)
    }

    /// Leases an address for an endpoint of another engine.
    ///
    /// # Errors
    /// As [`Manager::reserve`](netns::manager::Manager::reserve), as those below.
    pub fn reserve(&mut self, request: GuestRequest) -> Result<GuestView, Error> {
        self.ask(|manager, now| manager.reserve(request, now))
    }

    /// Makes the interface of an endpoint.
    ///
    /// # Errors
    /// Why it has none.
    pub fn open_guest(&mut self, engine: Owner, key: &str, place: guest::Place) -> Result<GuestView, Error> {
        let opened = self.ask(|manager, now| manager.open_guest(engine, key, place, now));
        self.settle();
        opened
    }

    /// Passes ports of the host on to an endpoint.
    ///
    /// # Errors
    /// If a port can not be had.
    pub fn publish_guest(&mut self, engine: Owner, key: &str, ports: Vec<PortMapping>) -> Result<(), Error> {
        self.ask(|manager, now| manager.publish_guest(engine, key, ports, now))
    }

    /// Calls an endpoint as its container is called.
    ///
    /// # Errors
    /// If there is none.
    pub fn name_guest(&mut self, engine: Owner, key: &str, name: &str) -> Result<GuestView, Error> {
        self.ask(|manager, now| manager.name_guest(engine, key, name, now))
    }

    /// Takes the interface of an endpoint away.
    ///
    /// # Errors
    /// If something stays.
    pub fn close_guest(&mut self, engine: Owner, key: &str) -> Result<(), Error> {
        self.ask(|manager, now| manager.close_guest(engine, key, now))
    }

    /// Lets an endpoint go, and its address.
    ///
    /// # Errors
    /// If something stays.
    pub fn release_guest(&mut self, engine: Owner, key: &str) -> Result<(), Error> {
        self.ask(|manager, now| manager.release(engine, key, now))
    }

    /// The endpoints of an engine.
    ///
    /// # Errors
    /// If no daemon runs.
    pub fn guests(&mut self, engine: Owner) -> Result<Vec<GuestView>, Error> {
        self.ask(|manager, _| Ok(manager.guests(engine)))
    }

    /// Removes a network of an engine.
    ///
    /// # Errors
    /// If it stays.
    pub fn remove_network_of(&mut self, engine: Owner, name: &str) -> Result<Id, Error> {
        self.ask(|manager, now| manager.remove_network_of(engine, name, now))
    }
}
