//! What the manager tells of: containers and networks that come, change and go. Whoever drives it takes the events after each call.

use std::collections::VecDeque;

use super::Manager;
use crate::backend::Backend;
use crate::event::{Container, Event, Membership, Network as NetworkName};
use crate::name::Id;
use crate::network::Network;
use crate::record::Record;

/// How many events wait at most: more than one call makes. Then the oldest are lost, and that is told.
const LIMIT: usize = 1024;

/// Events that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: VecDeque<Event>,
    lost: u64,
}

impl Events {
    fn push(&mut self, event: Event) {
        if self.waiting.len() == LIMIT {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(event);
    }

    fn pop(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.lost) {
            0 => self.waiting.pop_front(),
            count => Some(Event::Lost { count }),
        }
    }
}

impl<B: Backend> Manager<B> {
    /// The next thing that has happened. To be asked until `None` after each call of the manager, before its controls are
    /// handed on: what they do comes of it.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Tells of a container that is known.
    pub(super) fn tell_of(&mut self, id: &Id, event: impl FnOnce(Container) -> Event) {
        if let Some(record) = self.records.get(id) {
            self.events.push(event(container(record)));
        }
    }

    pub(super) fn tell_of_network(&mut self, network: &Network, event: impl FnOnce(NetworkName) -> Event) {
        let Network { name, id, bridge, .. } = network;
        self.events.push(event(NetworkName { network: name.to_string(), id: id.to_string(), bridge: bridge.clone() }));
    }

    /// Tells that a container has come to a network, or left one.
    pub(super) fn tell_of_member(&mut self, network: &str, id: &Id, event: impl FnOnce(Membership) -> Event) {
        if let Some(record) = self.records.get(id) {
            let Container { container, id } = container(record);
            self.events.push(event(Membership { network: network.to_owned(), container, id }));
        }
    }
}

fn container(record: &Record) -> Container {
    Container { container: record.name.to_string(), id: record.id.to_string() }
}
