//! [`Daemon`]: a manager and a data plane, and what goes from one to the other.

use std::collections::BTreeMap;
use std::time::Duration;

use netns::manager::Manager;
use switch::dataplane::{Control, Dataplane, Event};
use switch::time::Instant;
use switch::verdict::PortId;

use crate::backend::SimBackend;
use crate::cable::{CableEnd, CableId};
use crate::clock::{Clock, Wake};

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
    pub(super) fn obey(&mut self, control: Control<CableEnd>, now: Instant) {
        if let Control::Plug { port, link, config, .. } = &control {
            link.set_port(&config.name);
            self.ports.insert(link.id(), *port);
        }
        if let Control::Unplug { port } = &control {
            self.ports.retain(|_, other| other != port);
        }
        let done = self.dataplane.control(control, now);
        assert_eq!(done, Ok(()), "the manager and the data plane disagree");
    }

    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.dataplane.poll_event() {
            match event {
                Event::PortDown { port } => {
                    self.ports.retain(|_, other| *other != port);
                    // A network that is down says so to who asks for it.
                    let _ = self.manager.port_down(port);
                }
            }
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
