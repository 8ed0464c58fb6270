//! [`Watcher`]: a [`Watch`] at an engine, which has the loop's time and may ask for the state that its log begins with.

use std::any::Any;

use crate::dataplane::{BridgeStart, Control, Dataplane, Decided, Outcome, Watch};
use crate::link::{Link, Transmit};
use crate::time::Instant;
use crate::verdict::PortId;

/// Who watches the data plane of an [`Engine`](super::Engine). It is called on the data plane's thread, and must not wait.
pub trait Watcher: Watch + Any + Send {
    /// A round of the loop is over: every port that was ready had its turn. Says whether a [`Watcher::start`] is wanted,
    /// before anything else happens.
    fn round(&mut self, _now: Instant) -> bool {
        false
    }

    /// The state between two batches, which was asked for.
    fn start(&mut self, _state: Vec<BridgeStart>, _now: Instant) {}

    /// When [`Watcher::round`] wants to be called at the latest, though nothing happens.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// A watcher, by its number; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(u64);

/// Those that there are, in the order in which they came.
#[derive(Default)]
pub(super) struct Watchers {
    all: Vec<(WatcherId, Box<dyn Watcher>)>,
    next: u64,
}

impl Watchers {
    pub(super) fn add(&mut self, watcher: Box<dyn Watcher>) -> WatcherId {
        let id = WatcherId(self.next);
        self.next += 1;
        self.all.push((id, watcher));
        id
    }

    pub(super) fn get_mut(&mut self, id: WatcherId) -> Option<&mut dyn Watcher> {
        self.all.iter_mut().find(|(other, _)| *other == id).map(|(_, watcher)| &mut **watcher)
    }

    pub(super) fn remove(&mut self, id: WatcherId) -> Option<Box<dyn Watcher>> {
        let at = self.all.iter().position(|(other, _)| *other == id)?;
        Some(self.all.remove(at).1)
    }

    pub(super) fn round<L: Link>(&mut self, dataplane: &mut Dataplane<L>, now: Instant) {
        let mut wanting: Vec<usize> = Vec::new();
        for (at, (_, watcher)) in self.all.iter_mut().enumerate() {
            if watcher.round(now) {
                wanting.push(at);
            }
        }
        for at in wanting {
            let state = self.start_state(dataplane, now);
            self.all[at].1.start(state, now);
        }
    }

    /// The state to begin with. What is to be forgotten for it, others are told of.
    pub(super) fn start_state<L: Link>(&mut self, dataplane: &mut Dataplane<L>, now: Instant) -> Vec<BridgeStart> {
        while dataplane.poll_timeout().is_some_and(|due| due <= now) {
            dataplane.handle_timeout_watched(now, self);
        }
        dataplane.start_state(now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.all.iter().filter_map(|(_, watcher)| watcher.poll_timeout()).min()
    }
}

impl Watch for Watchers {
    fn is_there(&self) -> bool {
        !self.all.is_empty()
    }

    fn control(&mut self, control: &Control<()>, now: Instant, made: bool) {
        self.all.iter_mut().for_each(|(_, watcher)| watcher.control(control, now, made));
    }

    fn frame(&mut self, decided: Decided<'_>) {
        self.all.iter_mut().for_each(|(_, watcher)| watcher.frame(decided));
    }

    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        self.all.iter_mut().for_each(|(_, watcher)| watcher.copy(egress, outcome));
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        self.all.iter_mut().for_each(|(_, watcher)| watcher.result(port, answer));
    }

    fn port_down(&mut self, port: PortId) {
        self.all.iter_mut().for_each(|(_, watcher)| watcher.port_down(port));
    }

    fn timeout(&mut self, now: Instant) {
        self.all.iter_mut().for_each(|(_, watcher)| watcher.timeout(now));
    }
}
