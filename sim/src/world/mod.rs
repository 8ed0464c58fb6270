//! [`World`]: a host with a daemon on it, its containers, and time.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use netns::backend::BackendError;
use netns::error::Error;
use netns::event::Event;
use netns::manager::{Ended, Manager, Now, Settings};
use netns::name::Id;
use switch::dataplane::{BridgeStatistics, Control, FdbRow, Serviced};
use switch::explain::Explanation;
use switch::time::Instant;
use switch::vnet::VnetHeader;

use crate::backend::SimBackend;
use crate::cable::CableId;
use crate::clock::{Clock, Wake, mix};
use crate::machine::{self, Crash, Machine};
use crate::namespace::NamespaceId;
use crate::plant::Plant;

mod builder;
mod cables;
mod containers;
mod daemon;
mod hosts;
mod inet6;
mod join;
mod outside;
mod places;
mod programs;
mod router;
mod rules;
mod runaway;
mod sandboxes;
mod talk;
mod tracing;

pub use self::builder::WorldBuilder;
use self::daemon::Daemon;
use self::join::Join;
pub use self::places::Place;
pub use self::programs::{ProgramHandle, Stuck};
pub use self::runaway::Runaway;
pub use self::talk::Stream;

/// When a world begins, in seconds since 1970.
pub(crate) const EPOCH: u64 = 1_700_000_000;

/// A simulated host.
#[derive(Debug)]
pub struct World {
    seed: u64,
    bip: Option<Ipv4Net>,
    clock: Clock,
    plant: Rc<Plant>,
    machine: Rc<RefCell<Machine>>,
    daemon: Option<Daemon>,
    /// How many daemons there have been: each has chance of its own.
    generation: u64,
    ended: Vec<Ended>,
    next_echo: u16,
    /// The cables between networks.
    joins: Vec<Join>,
    /// How many events one moment may have.
    budget: u64,
    /// Why the world can not go on, until somebody is told.
    runaway: Option<Runaway>,
    /// Containers by the names that places were given, so that a place is found without a daemon.
    known: BTreeMap<String, Id>,
}

impl World {
    /// A world to be made: seed 0, cables of 10 µs, a host with `lo` only.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Starts a daemon, which takes over what an earlier one left. Does nothing if one runs. Returns its warnings.
    ///
    /// # Errors
    /// If it does not start.
    pub fn up(&mut self) -> Result<Vec<String>, Error> {
        if self.daemon.is_some() {
            return Ok(Vec::new());
        }
        self.generation += 1;
        self.note("the daemon starts");
        self.machine().daemon_starts();
        let settings = Settings { seed: mix(self.seed ^ self.generation), bip: self.bip, defers_forwarding: false };
        let opened = Manager::open(SimBackend::new(&self.machine), &settings, self.both_clocks());
        let (manager, warnings) = opened.inspect_err(|_| self.machine().daemon_ends())?;
        self.daemon = Some(Daemon::new(manager));
        self.follow_up();
        self.plug_joins();
        self.settle();
        if self.daemon.is_some() { Ok(warnings) } else { Err(no_daemon()) }
    }

    /// Kills the daemon, as `kill -9` does: containers go on without a switch.
    pub fn kill_daemon(&mut self) {
        if self.daemon.take().is_some() {
            self.note("the daemon is killed");
        }
        self.machine().daemon_ends();
    }

    /// Starts the machine anew: daemon and containers are gone, and the host's interfaces that they made; the disk stays.
    pub fn reboot(&mut self) {
        self.note("the machine starts anew");
        self.daemon = None;
        self.machine().reboot();
    }

    /// What is saved, by key.
    #[must_use]
    pub fn records(&self) -> Vec<(String, String)> {
        self.machine().disk.iter().map(|(key, text)| (key.clone(), text.clone())).collect()
    }

    /// Replaces every saved record whose key begins with `beginning`, as a broken disk may. Returns how many there were.
    pub fn spoil_records(&mut self, beginning: &str, text: &str) -> usize {
        let mut machine = self.machine();
        let spoilt = machine.disk.iter_mut().filter(|(key, _)| key.starts_with(beginning));
        spoilt.map(|(_, record)| text.clone_into(record)).count()
    }

    /// Whether a daemon runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.daemon.is_some()
    }

    /// Kills the daemon in the middle of something: after it has `n` more times saved or forgotten something.
    pub fn crash_after_saves(&mut self, n: u32) {
        self.machine().crash = Some(Crash::AfterSaves(n));
    }

    /// Kills the daemon in the middle of something: after it has `n` more times changed anything, saved or made.
    pub fn crash_after_changes(&mut self, n: u32) {
        self.machine().crash = Some(Crash::AfterChanges(n));
    }

    /// Lets the `n`th change from now fail, as on a full disk or for want of a permission. Nothing of it is done.
    pub fn fail_change(&mut self, n: u32) {
        self.machine().crash = Some(Crash::FailChange(n));
    }

    /// The time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now().since(Instant::ZERO)
    }

    /// The counters of all bridges; none without a daemon.
    #[must_use]
    pub fn statistics(&self) -> Vec<BridgeStatistics> {
        let Some(daemon) = &self.daemon else { return Vec::new() };
        let (mut statistics, missed) = (daemon.dataplane.statistics(), daemon.manager.missed());
        for port in statistics.iter_mut().flat_map(|bridge| &mut bridge.ports) {
            port.rx_missed += missed.get(&port.port).copied().unwrap_or(0);
        }
        statistics
    }

    /// The stations of all networks; none without a daemon.
    #[must_use]
    pub fn fdb(&self) -> Vec<FdbRow> {
        let now = self.clock.now();
        self.daemon.as_ref().map_or_else(Vec::new, |daemon| daemon.dataplane.fdb(now))
    }

    /// What has happened since this was last asked, as `pontoon bridge monitor` tells of it, with the time since the world
    /// began. What a daemon tells that has gone since, nobody hears.
    pub fn happened(&mut self) -> Vec<(Duration, Event)> {
        self.daemon.as_mut().map(Daemon::take_happened).unwrap_or_default()
    }

    /// What would become of a frame that came in by the port of this name, step by step; nothing is sent or changed. `None`
    /// without a daemon, or such a port.
    #[must_use]
    pub fn explain(&self, port: &str, frame: &[u8]) -> Option<Explanation<String>> {
        let dataplane = &self.daemon.as_ref()?.dataplane;
        dataplane.explain_named(port, frame, VnetHeader::default(), self.clock.now())
    }

    /// The containers that were seen to end, since this was last asked.
    pub fn ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// Where the ports of the host that a container publishes lead, by its name; `None` if it publishes none now.
    #[must_use]
    pub fn published_to(&self, name: &str) -> Option<Ipv4Addr> {
        let id = self.daemon.as_ref()?.manager.find(name).ok()?.id.clone();
        self.machine().containers.get(&id)?.publisher.as_ref().map(|publisher| publisher.target)
    }

    /// What is on the machine beside the host itself, for tests that nothing is to stay: one line each.
    #[must_use]
    pub fn remains(&self) -> Vec<String> {
        let machine = self.machine();
        let others = || machine.outside.values().chain(machine.sandboxes.values());
        let is_ours = |id: &&NamespaceId| **id != machine::HOST && others().all(|other| other != *id);
        let namespaces = machine.namespaces.keys().filter(is_ours);
        let namespaces = namespaces.map(|id| format!("namespace {}", id.0));
        let containers = machine.containers.keys().map(|id| format!("container {}", id.short()));
        let records = machine.disk.keys().filter(|key| key.starts_with("container-")).cloned();
        let ports = self.daemon.iter().flat_map(|daemon| daemon.ports.values()).filter(|port| port.0 != 0);
        let ports = ports.map(|port| format!("port {}", port.0));
        namespaces.chain(containers).chain(records).chain(ports).collect()
    }

    fn machine(&self) -> RefMut<'_, Machine> {
        self.machine.borrow_mut()
    }

    fn both_clocks(&self) -> Now {
        Now { instant: self.clock.now(), unix: EPOCH + self.now().as_secs() }
    }

    /// Asks the manager for something, and does what follows from it.
    fn ask<T>(&mut self, work: impl FnOnce(&mut Manager<SimBackend>, Now) -> Result<T, Error>) -> Result<T, Error> {
        let now = self.both_clocks();
        let daemon = self.daemon.as_mut().ok_or_else(no_daemon)?;
        let answer = work(&mut daemon.manager, now);
        self.follow_up();
        self.bury();
        // Whoever asked a daemon that was killed over it never hears the answer.
        if self.daemon.is_some() { answer } else { Err(no_daemon()) }
    }

    /// Takes what an interface had sent before it went, while there still is a port for it.
    fn hear_last_words(&mut self) {
        let cables = std::mem::take(&mut self.machine().last_words);
        for cable in cables {
            while self.serve(cable) == Serviced::More {}
        }
    }

    /// Lets the switch take a batch from a cable.
    fn serve(&mut self, cable: CableId) -> Serviced {
        let now = self.clock.now();
        let Some(daemon) = &mut self.daemon else { return Serviced::Gone };
        let Some(serviced) = daemon.serve(cable, now) else { return Serviced::Gone };
        daemon.take_events(now, &self.plant.trace);
        self.follow_up();
        serviced
    }

    fn reap(&mut self) {
        let ended = self.ask(|manager, now| Ok(manager.reap(now)));
        self.ended.extend(ended.unwrap_or_default());
    }

    fn manager_timeout(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.manager_wakes = None;
        }
        // What can not be done is the log's; the scenario sees it by what stays.
        let _ = self.ask(|manager, now| Ok(manager.handle_timeout(now)));
    }

    fn dataplane_timeout(&mut self) {
        let now = self.clock.now();
        let Some(daemon) = &mut self.daemon else { return };
        daemon.dataplane_wakes = None;
        daemon.handle_timeout(now);
        daemon.take_events(now, &self.plant.trace);
        daemon.schedule(&self.clock);
    }

    /// Hands the manager's controls on to the data plane; buries a daemon that was killed over them.
    fn follow_up(&mut self) {
        if self.machine().daemon == machine::Daemon::Killed {
            self.kill_daemon();
        }
        self.hear_last_words();
        let now = self.clock.now();
        let Some(daemon) = &mut self.daemon else { return };
        daemon.hear_the_manager(now);
        while let Some(control) = daemon.manager.poll_control() {
            if let Control::Plug { link, .. } = &control {
                // What came before there was a port waits in the cable.
                self.clock.wake_now(Wake::Port(link.id()));
            }
            daemon.obey(control, now, &self.plant.trace);
        }
        daemon.take_events(now, &self.plant.trace);
        daemon.schedule(&self.clock);
    }
}

impl Drop for World {
    /// A test that fails says how it can be repeated; one that passes says nothing.
    fn drop(&mut self) {
        self.end_programs();
        if std::thread::panicking() {
            eprintln!("the simulator's seed is {}", self.seed);
        }
    }
}

/// What everybody gets who asks for a daemon that is not there.
fn no_daemon() -> Error {
    Error::Backend(BackendError::Failed {
        operation: "ask",
        object: "the daemon".to_owned(),
        cause: "it does not run".to_owned(),
        hint: Some("`pontoon up` starts it"),
    })
}
