//! [`WorldBuilder`]: what a world is made with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use netns::error::Error;

use super::World;
use crate::clock::{Clock, mix};
use crate::context;
use crate::machine::Machine;

/// What a world is made with.
#[derive(Clone, Debug)]
pub struct WorldBuilder {
    seed: u64,
    latency: Duration,
    bip: Option<Ipv4Net>,
    host: Vec<(String, Ipv4Net)>,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        WorldBuilder { seed: 0, latency: Duration::from_micros(10), bip: None, host: Vec::new() }
    }
}

impl WorldBuilder {
    /// Where all chance comes from: ids, names, hashes, TCP's sequence numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a frame is on its way through a cable.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
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
        let machine = Machine::new(clock.clone(), mix(self.seed), self.latency, &self.host);
        let world = machine.world;
        let machine = Rc::new(RefCell::new(machine));
        context::register(world, &machine);
        World {
            seed: self.seed,
            bip: self.bip,
            clock,
            machine,
            daemon: None,
            generation: 0,
            ended: Vec::new(),
            next_echo: 0,
            known: BTreeMap::new(),
        }
    }
}
