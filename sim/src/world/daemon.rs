//! [`Daemon`]: a manager and a data plane, and what goes from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netns::manager::Manager;
use switch::dataplane::{BridgeId, Control, Dataplane, Event};
use switch::fdb::FdbEvent;
use switch::time::Instant;
use switch::verdict::PortId;

use crate::backend::SimBackend;
use crate::cable::{CableEnd, CableId};
use crate::clock::{Clock, Wake};
use crate::trace::Trace;

/// What ends with a daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) manager: Manager<SimBackend>,
    pub(super) dataplane: Dataplane<CableEnd>,
    pub(super) ports: BTreeMap<CableId, PortId>,
    pub(super) manager_wakes: Option<Instant>,
    pub(super) dataplane_wakes: Option<Instant>,
}

impl Daemon {
    /// # Panics
    /// If the manager asks for what can not be: a port twice, or one that is not there.
    pub(super) fn obey(&mut self, control: Control<CableEnd>, now: Instant, trace: &Trace) {
        trace.event(now, &in_words(&control));
        if let Control::Plug { port, link, config, .. } = &control {
            link.set_port(&config.name);
            self.ports.insert(link.id(), *port);
        }
        let takes_away = matches!(control, Control::Unplug { .. } | Control::RemoveBridge { .. });
        let done = self.dataplane.control(control, now);
        assert_eq!(done, Ok(()), "the manager and the data plane disagree");
        if takes_away {
            let left: BTreeSet<PortId> = self.dataplane.ports().collect();
            self.ports.retain(|_, port| left.contains(port));
        }
    }

    pub(super) fn take_events(&mut self, now: Instant, trace: &Trace) {
        while let Some(event) = self.dataplane.poll_event() {
            match event {
                Event::PortDown { port } => {
                    trace.event(now, &format!("port {} is gone", port.0));
                    self.ports.retain(|_, other| *other != port);
                    // A network that is down says so to who asks for it.
                    let _ = self.manager.port_down(port);
                }
            }
        }
        if trace.is_written_down() {
            while let Some((bridge, event)) = self.dataplane.poll_fdb_event() {
                trace.event(now, &self.told(bridge, event));
            }
        }
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

/// A change of the data plane in words.
fn in_words(control: &Control<CableEnd>) -> String {
    match control {
        Control::AddBridge { name, .. } => format!("bridge {name} is made"),
        Control::RemoveBridge { bridge } => format!("bridge {} is removed", bridge.0),
        Control::Plug { port, config, .. } => format!("{} is plugged in as port {}", config.name, port.0),
        Control::Unplug { port } => format!("port {} is unplugged", port.0),
        Control::SetStation { station, port, .. } => format!("{station} is set behind port {}", port.0),
        Control::ClearStation { station, .. } => format!("{station} is cleared"),
        Control::FlushPort { port } => format!("port {} is flushed", port.0),
    }
}
