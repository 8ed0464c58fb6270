//! [`Daemon`]: a manager and a data plane, and what goes from one to the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use netns::event::{Event, Narrator};
use netns::manager::Manager;
use switch::dataplane::{self, BridgeId, Change, Control, ControlError, Dataplane, Serviced};
use switch::fdb::FdbEvent;
use switch::time::Instant;
use switch::verdict::PortId;

use crate::backend::SimBackend;
use crate::cable::{CableEnd, CableId};
use crate::clock::{Clock, Wake};
use crate::recording::{Recorders, Recording};
use crate::trace::Trace;

/// What ends with a daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) manager: Manager<SimBackend>,
    pub(super) dataplane: Dataplane<CableEnd>,
    pub(super) ports: BTreeMap<CableId, PortId>,
    /// Ports that have gone with their links: the manager may have wanted to take them away in the same moment.
    went: BTreeSet<PortId>,
    pub(super) manager_wakes: Option<Instant>,
    pub(super) dataplane_wakes: Option<Instant>,
    recorders: Recorders,
    narrator: Narrator,
    happened: VecDeque<(Duration, Event)>,
    lost: u64,
}

/// How many events a world remembers for who asks.
const EVENTS: usize = 65_536;

impl Daemon {
    pub(super) fn new(manager: Manager<SimBackend>) -> Self {
        let mut dataplane = Dataplane::new(dataplane::Settings::default());
        let narrator = Narrator::new(dataplane.follow());
        Daemon {
            manager,
            dataplane,
            ports: BTreeMap::new(),
            went: BTreeSet::new(),
            manager_wakes: None,
            dataplane_wakes: None,
            recorders: Recorders::default(),
            narrator,
            happened: VecDeque::new(),
            lost: 0,
        }
    }

    /// # Panics
    /// If the manager asks for what can not be: a port twice, or one that is not there.
    pub(super) fn obey(&mut self, control: Control<CableEnd>, now: Instant, trace: &Trace) {
        if let Some(words) = in_words(&control) {
            trace.event(now, &words);
        }
        if let Control::Plug { port, link, config, .. } = &control {
            link.set_port(&config.name);
            self.ports.insert(link.id(), *port);
            self.went.remove(port);
        }
        if let Control::RenamePort { port, name } = &control
            && let Some(link) = self.dataplane.link(*port)
        {
            link.set_port(name);
        }
        let takes_away = matches!(control, Control::Unplug { .. } | Control::RemoveBridge { .. });
        let done = self.dataplane.control_watched(control, now, &mut self.recorders);
        match done {
            Err(ControlError::NoPort(port)) if takes_away && self.went.contains(&port) => {}
            done => assert_eq!(done, Ok(()), "the manager and the data plane disagree"),
        }
        if takes_away {
            let left: BTreeSet<PortId> = self.dataplane.ports().collect();
            self.ports.retain(|_, port| left.contains(port));
        }
    }

    /// Lets the switch take a batch from a cable; `None` if there is no port for it.
    pub(super) fn serve(&mut self, cable: CableId, now: Instant) -> Option<Serviced> {
        let port = *self.ports.get(&cable)?;
        let observer = self.dataplane.link(port)?.observer();
        Some(self.dataplane.service_watched(port, now, &mut (observer, &mut self.recorders)))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.dataplane.handle_timeout_watched(now, &mut self.recorders);
    }

    /// Records what comes to the data plane from now on.
    pub(super) fn record(&mut self, now: Instant) -> Recording {
        // What is to be forgotten for the state at its start, earlier recordings are told of.
        while self.dataplane.poll_timeout().is_some_and(|due| due <= now) {
            self.handle_timeout(now);
        }
        self.recorders.begin(self.dataplane.start_state(now), now)
    }

    pub(super) fn take_events(&mut self, now: Instant, trace: &Trace) {
        while let Some(event) = self.dataplane.poll_event() {
            match event {
                dataplane::Event::PortDown { port } => {
                    trace.event(now, &format!("port {} is gone", port.0));
                    self.ports.retain(|_, other| *other != port);
                    self.went.insert(port);
                    // A network that is down says so to who asks for it.
                    let _ = self.manager.port_down(port);
                }
            }
        }
        while let Some(change) = self.dataplane.poll_change() {
            if let Change::Fdb { bridge, event } = &change
                && trace.is_written_down()
            {
                trace.event(now, &self.told(*bridge, *event));
            }
            if let Some(event) = self.narrator.tell(change) {
                self.tell(now, event);
            }
        }
    }

    /// Takes note of what the manager tells of.
    pub(super) fn hear_the_manager(&mut self, now: Instant) {
        while let Some(event) = self.manager.poll_event() {
            self.tell(now, event);
        }
    }

    /// The oldest are lost when there are too many, and that is told.
    fn tell(&mut self, now: Instant, event: Event) {
        if self.happened.len() == EVENTS {
            self.happened.pop_front();
            self.lost += 1;
        }
        self.happened.push_back((now.since(Instant::ZERO), event));
    }

    /// What has happened since this was last asked, with the time since the world began.
    pub(super) fn take_happened(&mut self) -> Vec<(Duration, Event)> {
        let lost = match std::mem::take(&mut self.lost) {
            0 => None,
            count => self.happened.front().map(|(at, _)| (*at, Event::Lost { count })),
        };
        lost.into_iter().chain(self.happened.drain(..)).collect()
    }

    /// A change of an FDB in words, with the ports by their names.
    fn told(&self, bridge: BridgeId, event: FdbEvent) -> String {
        let name = |port: PortId| {
            let config = self.dataplane.switch(bridge).and_then(|switch| switch.port(port));
            config.map_or_else(|| format!("port {}", port.0), |config| config.name.clone())
        };
        match event {
            FdbEvent::Learned { station, port, .. } => format!("{station} is behind {}", name(port)),
            FdbEvent::Moved { station, from, to, .. } => {
                format!("{station} has moved from {} to {}", name(from), name(to))
            }
            FdbEvent::Set { station, port, .. } => format!("{station} is behind {} for good", name(port)),
            FdbEvent::Expired { station, .. } => format!("{station} has been silent for too long"),
            FdbEvent::Evicted { station, .. } => format!("{station} is forgotten"),
        }
    }

    pub(super) fn schedule(&mut self, clock: &Clock) {
        let wakes = [
            (self.manager.poll_timeout(), &mut self.manager_wakes, Wake::Manager),
            (self.dataplane.poll_timeout(), &mut self.dataplane_wakes, Wake::Dataplane),
        ];
        for (next, last, who) in wakes {
            if let Some(at) = next.filter(|at| last.is_none_or(|last| *at < last)) {
                *last = Some(at);
                // Never at once, or a timer that does not move on would hold the world still.
                clock.wake_at(at.max(clock.now() + Duration::from_nanos(1)), who);
            }
        }
    }
}

/// A change of the data plane in words; none for where it counts.
fn in_words(control: &Control<CableEnd>) -> Option<String> {
    Some(match control {
        Control::AddBridge { name, .. } => format!("bridge {name} is made"),
        Control::RemoveBridge { bridge } => format!("bridge {} is removed", bridge.0),
        Control::Plug { port, config, .. } => format!("{} is plugged in as port {}", config.name, port.0),
        Control::CountBridge { .. } | Control::CountPort { .. } | Control::CountDeparted { .. } => return None,
        Control::Unplug { port } => format!("port {} is unplugged", port.0),
        Control::RenamePort { port, name } => format!("port {} is called {name}", port.0),
        Control::SetStation { station, port, .. } => format!("{station} is set behind port {}", port.0),
        Control::ClearStation { station, .. } => format!("{station} is cleared"),
        Control::FlushPort { port } => format!("port {} is flushed", port.0),
    })
}
