//! The verbs about containers and networks, as the command line has them.

use std::time::Duration;

use netns::error::Error;
use netns::ifname::IfName;
use netns::manager::{ConnectRequest, ContainerView, NetworkDetails, NetworkRequest, NetworkView, RunRequest, Started};
use netns::name::{Id, Name};
use netns::network::Network;

use super::{World, no_daemon};
use crate::program::Command;

/// How long after its deadline a container may still be there.
const PATIENCE: Duration = Duration::from_secs(1);

impl World {
    /// Runs a container with a [`Program`](crate::Program) or a [`Process`](crate::Process). See [`World::spawn`] for async
    /// functions.
    ///
    /// No virtual time passes. Each container tells all others of its address, so where more than a cable's queue takes
    /// ([`QUEUE`](crate::QUEUE)) start in one instant, what comes behind finds no room, as one's first ARP request. Let some time pass
    /// between them, as it does everywhere else ([`World::advance`]).
    ///
    /// # Errors
    /// Why there is none.
    pub fn run(&mut self, request: RunRequest, program: impl Into<Command>) -> Result<Started, Error> {
        let started = self.ask(|manager, now| manager.create(request, now))?;
        // What happens to it without a daemon is said by its name, too.
        self.known.insert(started.name.to_string(), started.id.clone());
        let command = program.into().named(started.name.as_str());
        // (What the manager wants of the data plane is done before it is asked for more: the port is there.)
        self.ask(|manager, now| manager.start(&started.id, command, now))?;
        Ok(started)
    }

    /// Stops a container, and waits until it has ended: after `grace` it is killed.
    ///
    /// # Errors
    /// If there is no such container, or it does not end.
    pub fn stop(&mut self, name: &str, grace: Duration) -> Result<Id, Error> {
        let id = self.ask(|manager, now| manager.stop(name, grace, now))?;
        let has_ended = |world: &mut World| world.daemon.as_ref().is_none_or(|daemon| daemon.manager.has_ended(&id));
        if self.run_until(grace + PATIENCE, has_ended) && self.is_up() {
            Ok(id)
        } else {
            Err(Error::Running(name.to_owned()))
        }
    }

    /// Sends a signal to the command of a container.
    ///
    /// # Errors
    /// If there is none that runs.
    pub fn kill(&mut self, name: &str, signal: i32) -> Result<Id, Error> {
        let id = self.ask(|manager, now| manager.kill(name, signal, now))?;
        self.settle();
        Ok(id)
    }

    /// Removes a container that has ended; with `force`, one that runs.
    ///
    /// # Errors
    /// If there is none, or it runs.
    pub fn rm(&mut self, name: &str, force: bool) -> Result<Id, Error> {
        self.ask(|manager, now| manager.remove(name, force, now))
    }

    /// A container, in all detail.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn inspect(&mut self, name: &str) -> Result<ContainerView, Error> {
        self.ask(|manager, _| manager.inspect(name))
    }

    /// The containers that run, or all.
    ///
    /// # Errors
    /// If no daemon runs.
    pub fn containers(&mut self, all: bool) -> Result<Vec<ContainerView>, Error> {
        self.ask(|manager, _| Ok(manager.containers(all)))
    }

    /// The networks.
    ///
    /// # Errors
    /// If no daemon runs.
    pub fn networks(&mut self) -> Result<Vec<NetworkView>, Error> {
        self.ask(|manager, _| Ok(manager.networks()))
    }

    /// The bridge networks, the default one first: their bridges, subnets, gateways.
    ///
    /// # Errors
    /// If no daemon runs.
    pub fn bridge_networks(&mut self) -> Result<Vec<Network>, Error> {
        self.ask(|manager, _| Ok(manager.bridge_networks().into_iter().cloned().collect()))
    }

    /// Makes a bridge network.
    ///
    /// # Errors
    /// Why there is none.
    pub fn create_network(&mut self, request: NetworkRequest) -> Result<Id, Error> {
        self.ask(|manager, now| manager.create_network(request, now))
    }

    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// If it stays.
    pub fn remove_network(&mut self, name: &str) -> Result<Id, Error> {
        self.ask(|manager, now| manager.remove_network(name, now))
    }

    /// Removes all networks that nobody is on; the names of those that went.
    ///
    /// # Errors
    /// If one stays.
    pub fn prune_networks(&mut self) -> Result<Vec<Name>, Error> {
        self.ask(|manager, now| {
            let (gone, failures) = manager.prune_networks(now);
            failures.into_iter().next().map_or(Ok(gone), Err)
        })
    }

    /// A network, with the containers on it.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn inspect_network(&mut self, name: &str) -> Result<NetworkDetails, Error> {
        self.ask(|manager, _| manager.inspect_network(name))
    }

    /// Gives a container that runs an interface on a further network.
    ///
    /// # Errors
    /// Why it has none.
    pub fn connect_network(&mut self, network: &str, container: &str, request: ConnectRequest) -> Result<(), Error> {
        self.ask(|manager, now| manager.connect(network, container, request, now))
    }

    /// Takes a container off a network.
    ///
    /// # Errors
    /// If it is not on it.
    pub fn disconnect_network(&mut self, network: &str, container: &str) -> Result<(), Error> {
        self.ask(|manager, now| manager.disconnect(network, container, now))
    }

    /// Makes an interface of the host a port of a bridge: of a cable to a host outside ([`World::add_outside`]), or one with
    /// nothing behind it. What the user is warned of.
    ///
    /// # Errors
    /// Why it is none.
    pub fn add_port(&mut self, bridge: &str, interface: &IfName) -> Result<Vec<String>, Error> {
        self.ask(|manager, now| manager.add_port(bridge, interface, now))
    }

    /// Takes such a port away, and gives its interface back.
    ///
    /// # Errors
    /// If there is none.
    pub fn remove_port(&mut self, bridge: &str, port: &str) -> Result<(), Error> {
        self.ask(|manager, now| manager.remove_port(bridge, port, now))
    }

    /// What a container printed.
    ///
    /// # Errors
    /// If there is none.
    pub fn logs(&mut self, name: &str) -> Result<String, Error> {
        let id = self.id_of(name)?;
        let log = self.machine().containers.get(&id).map(|container| container.log.clone());
        log.ok_or_else(|| Error::NoSuchContainer(name.to_owned()))
    }

    /// Ends all containers, gives interfaces of the host back, and ends the daemon. Ended containers stay listed, for the next daemon to know.
    ///
    /// # Errors
    /// If no daemon runs, or a container does not end.
    pub fn down(&mut self, grace: Duration) -> Result<(), Error> {
        let left = self.ask(|manager, now| Ok(manager.release_all(now)))?;
        if let Some(left) = left.into_iter().next() {
            return Err(left);
        }
        let living = self.daemon.as_ref().ok_or_else(no_daemon)?.manager.living();
        for id in living {
            self.stop(id.as_str(), grace)?;
        }
        let stuck = self.ask(|manager, now| Ok(manager.remove_ports(now)))?;
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.manager.close();
        }
        self.kill_daemon();
        stuck.into_iter().next().map_or(Ok(()), Err)
    }

    pub(super) fn id_of(&mut self, name: &str) -> Result<Id, Error> {
        self.ask(|manager, _| manager.find(name).map(|record| record.id.clone()))
    }
}
