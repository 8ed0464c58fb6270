//! [`State`]: what the daemon knows, behind its one lock, and how the manager's wishes reach the data plane.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crossbeam_channel::TryRecvError;
use netns::event::Narrator;
use netns::linux::Linux;
use netns::manager::Manager;
use switch::dataplane::ControlError;
use switch::engine::{Engine, EngineError};
use switch::link::port::PortLink;

use super::capture::FlightRecorder;
use super::monitor::Listeners;
use super::{FIRST_CLIENT, journal};

/// What the daemon knows, behind its one lock.
pub(super) struct State {
    pub(super) manager: Manager<Linux>,
    /// `None` once the daemon ends.
    pub(super) engine: Option<Engine<PortLink>>,
    pub(super) stays: bool,
    pub(super) clients: usize,
    /// Their connections, by number.
    pub(super) connections: BTreeMap<u64, UnixStream>,
    pub(super) next_connection: u64,
    /// Clients that are told of what happens.
    pub(super) listeners: Listeners,
    /// Knows what ports are called, for the log.
    pub(super) narrator: Narrator,
    /// Clients that wait for the end of a container; not among `clients`.
    pub(super) waiting: usize,
    /// Clients whose request is being carried out.
    pub(super) busy: usize,
    pub(super) had_client: bool,
    /// `down` is under way: no container is started any more.
    pub(super) closing: bool,
    /// Nothing is carried out any more.
    pub(super) ending: bool,
    /// The data plane has ended by itself.
    pub(super) has_stopped: bool,
    /// How many captures are under way.
    pub(super) captures: usize,
    pub(super) flight_recorder: Option<FlightRecorder>,
}

impl State {
    /// Hands on to the data plane what the manager wants of it, in order.
    ///
    /// # Errors
    /// The first thing that the data plane refused; it was logged, and the rest was done. Or that the data plane has stopped:
    /// then nothing is known to have been done, and the daemon is about to end.
    pub(super) fn pump(&mut self) -> Result<(), EngineError> {
        while let Some(event) = self.manager.poll_event() {
            journal::log(&event);
            self.listeners.tell(&event);
        }
        // Together: what was sent while there was no daemon waits in the TAPs, and is for ports that come in the same breath.
        let controls: Vec<_> = std::iter::from_fn(|| self.manager.poll_control()).collect();
        controls
            .iter()
            .flat_map(|control| journal::told(&mut self.narrator, control))
            .for_each(|event| journal::log(&event));
        let Some(engine) = self.engine.as_ref().filter(|_| !controls.is_empty()) else { return Ok(()) };
        let mut outcome = Ok(());
        for done in engine.control_all(controls)? {
            match done {
                // Its link had ended before, and the port went with it.
                Ok(()) | Err(EngineError::Control(ControlError::NoPort(_))) => {}
                Err(why) => {
                    tracing::error!("the data plane: {why}");
                    outcome = outcome.and(Err(why));
                }
            }
        }
        outcome
    }

    pub(super) fn note_lost_ports(&mut self) {
        let Some(engine) = &self.engine else { return };
        let events = engine.events();
        loop {
            let port = match events.try_recv() {
                Ok(switch::dataplane::Event::PortDown { port }) => port,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.has_stopped = true;
                    return;
                }
            };
            self.narrator.tell_of_the_end(port).iter().for_each(journal::log);
            if let Err(failed) = self.manager.port_down(port) {
                tracing::warn!("an interface of the host is gone: {failed}");
            }
        }
    }

    pub(super) fn is_done(&self, since_start: Duration) -> bool {
        if self.ending {
            return self.busy == 0;
        }
        let waited = self.had_client || since_start >= FIRST_CLIENT;
        !self.stays && self.manager.is_idle() && self.clients == 0 && waited
    }
}
