//! [`WorldBuilder`]: what a world is made with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use netns::error::Error;

#[cfg(doc)]
use super::Runaway;
use super::World;
use crate::cable::Cable;
use crate::clock::{Clock, mix};
use crate::context;
use crate::machine::Machine;
use crate::plant::Plant;

/// What a world is made with.
#[derive(Clone, Debug)]
pub struct WorldBuilder {
    seed: u64,
    cable: Cable,
    bip: Option<Ipv4Net>,
    host: Vec<(String, Ipv4Net)>,
    trace: bool,
    budget: u64,
    offload: bool,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        let (cable, host) = (Cable::default(), Vec::new());
        WorldBuilder { seed: 0, cable, bip: None, host, trace: false, budget: 10_000_000, offload: true }
    }
}

impl WorldBuilder {
    /// Where all chance comes from: ids, names, hashes, TCP's sequence numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What cables are like, unless they are told otherwise: see [`Cable::default`].
    #[must_use]
    pub fn cable(mut self, cable: Cable) -> Self {
        self.cable = cable;
        self
    }

    /// How long a frame is on its way through a cable.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.cable.latency = latency;
        self
    }

    /// How fast a cable is, in bits per second.
    #[must_use]
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.cable.rate = Some(bits_per_second);
        self
    }

    /// Whether hosts send and take super-frames with unfinished checksums, as Linux' do by their TAPs. They do, unless a
    /// container is told otherwise by its [`RunRequest`](netns::manager::RunRequest); where a cable has a rate or there is a rule,
    /// frames are those of a real wire all the same.
    #[must_use]
    pub fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// The gateway's address and prefix, as `--bip` says it.
    #[must_use]
    pub fn bip(mut self, bip: Ipv4Net) -> Self {
        self.bip = Some(bip);
        self
    }

    /// Gives the host an interface of its own with an address; nothing is behind it.
    #[must_use]
    pub fn host_address(mut self, name: &str, address: Ipv4Net) -> Self {
        self.host.push((name.to_owned(), address));
        self
    }

    /// Whether to write down in words what happens, for [`World::trace`].
    #[must_use]
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// How many events a single moment may have, before the world is said to be stuck in it ([`Runaway::Stuck`]): ten million,
    /// unless this says otherwise.
    #[must_use]
    pub fn event_budget(mut self, events: u64) -> Self {
        self.budget = events;
        self
    }

    /// The world, with a daemon on its host.
    ///
    /// # Errors
    /// If the daemon does not start.
    pub fn up(self) -> Result<World, Error> {
        let mut world = self.build();
        world.up()?;
        Ok(world)
    }

    /// The world, without a daemon yet.
    #[must_use]
    pub fn build(self) -> World {
        let clock = Clock::default();
        // (Other chance than that of ids and names.)
        let plant = Rc::new(Plant::new(clock.clone(), mix(!self.seed)));
        if self.trace {
            plant.trace.write_down();
        }
        let mut machine = Machine::new(&plant, mix(self.seed), self.cable, &self.host);
        machine.offload = self.offload;
        let world = machine.world;
        let machine = Rc::new(RefCell::new(machine));
        context::register(world, &machine);
        World {
            seed: self.seed,
            bip: self.bip,
            clock,
            plant,
            machine,
            daemon: None,
            generation: 0,
            ended: Vec::new(),
            joins: Vec::new(),
            budget: self.budget,
            runaway: None,
            next_echo: 0,
            known: BTreeMap::new(),
        }
    }
}
