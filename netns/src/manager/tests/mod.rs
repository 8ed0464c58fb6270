//! The manager on [`paper`]: what it asks of a host that has a firewall, rivals and containers that do not answer. What is
//! seen by containers is in the scenarios, which are played in both worlds.

mod borrowing;
mod guarding;
mod guesting;
mod guesting_at_random;
mod joining;
mod listing;
mod naming;
mod networking;
mod paper;
mod publishing;
mod recovering;
mod running;
mod salvaging;

use std::cell::{RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use switch::dataplane::Control;
use switch::time::Instant;

use self::paper::{Host, Paper, Wire};
use super::*;
use crate::mode::NetworkMode;
use crate::publish::PortMapping;

/// A host and the daemon on it.
struct Lab {
    host: Rc<RefCell<Host>>,
    manager: Manager<Paper>,
    now: Now,
}

impl Lab {
    /// A host that does not forward by itself, and whose name server can be reached.
    fn new() -> Self {
        Lab::on(Host {
            boot: "1".into(),
            forwarding: Some("off".into()),
            resolv_conf: "nameserver 192.0.2.1\n".into(),
            ..Host::default()
        })
    }

    fn on(host: Host) -> Self {
        let (lab, warnings) = Lab::open(Rc::new(RefCell::new(host)), at(0)).expect("a manager");
        assert_eq!(warnings, Vec::<String>::new());
        lab
    }

    fn open(host: Rc<RefCell<Host>>, now: Now) -> Result<(Self, Vec<String>), Error> {
        let settings = Settings { seed: 7, bip: None, defers_forwarding: false };
        let (manager, warnings) = Manager::open(Paper(Rc::clone(&host)), &settings, now)?;
        Ok((Lab { host, manager, now }, warnings))
    }

    /// The daemon is killed and another takes over. Returns its warnings.
    fn restart(&mut self) -> Vec<String> {
        let (lab, warnings) = Lab::open(Rc::clone(&self.host), self.now).expect("a manager");
        *self = lab;
        warnings
    }

    fn host(&self) -> RefMut<'_, Host> {
        self.host.borrow_mut()
    }

    fn pass(&mut self, seconds: u64) -> Vec<Error> {
        self.now = at(self.now.unix + seconds);
        self.manager.handle_timeout(self.now)
    }

    fn create(&mut self, request: RunRequest) -> Result<Started, Error> {
        let started = self.manager.create(request, self.now)?;
        self.manager.start(&started.id, Some(200), self.now)?;
        Ok(started)
    }

    /// Runs `NAME` with `--network MODE`.
    fn run(&mut self, name: &str, mode: &str) -> Started {
        self.create(request(name, mode)).expect("a container")
    }

    fn create_network(&mut self, request: NetworkRequest) -> Id {
        self.manager.create_network(request, self.now).expect("a network")
    }

    fn connect(&mut self, network: &str, container: &str) -> Result<(), Error> {
        self.manager.connect(network, container, ConnectRequest::default(), self.now)
    }

    fn disconnect(&mut self, network: &str, container: &str) -> Result<(), Error> {
        self.manager.disconnect(network, container, self.now)
    }

    /// What the switch was told since this was last asked, but for where it counts.
    fn controls(&mut self) -> Vec<Control<Wire>> {
        let all = std::iter::from_fn(|| self.manager.poll_control());
        let counts = |control: &Control<Wire>| {
            matches!(control, Control::CountBridge { .. } | Control::CountPort { .. } | Control::CountDeparted { .. })
        };
        all.filter(|control| !counts(control)).collect()
    }

    /// What was asked of the host since this was last asked.
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.host().asked)
    }

    /// How often the host is asked for something while this is done.
    fn times(&mut self, what: &str, work: impl FnOnce(&mut Self)) -> usize {
        self.asked();
        work(self);
        self.asked().into_iter().filter(|asked| *asked == what).count()
    }

    /// The states of the containers, by name.
    fn states(&self) -> BTreeSet<(String, String)> {
        self.manager.containers(true).into_iter().map(|view| (view.name, view.state)).collect()
    }
}

fn at(seconds: u64) -> Now {
    Now { instant: Instant::ZERO + Duration::from_secs(seconds), unix: seconds }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A container that is kept until it is removed.
fn request(called: &str, mode: &str) -> RunRequest {
    let mode: NetworkMode = mode.parse().expect("a mode");
    RunRequest { name: Some(name(called)), mode, detached: true, ..RunRequest::new(vec!["sleep".into()]) }
}

fn network(called: &str) -> NetworkRequest {
    NetworkRequest::new(name(called))
}

fn internal(called: &str) -> NetworkRequest {
    NetworkRequest { internal: true, ..network(called) }
}

fn publishing(called: &str, mode: &str, ports: &str) -> RunRequest {
    RunRequest { publish: PortMapping::parse(ports).expect("ports"), ..request(called, mode) }
}

fn says<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.expect_err("refused").to_string()
}
