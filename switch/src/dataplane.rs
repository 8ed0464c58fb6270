//! [`Dataplane`]: bridges, their links, frame memory and counters together; all of the switch but the loop around it.
//!
//! Rules:
//! * It is driven: `service` moves one batch of one port, `control` changes something between two batches, and time is
//!   an argument. It waits for nothing and asks nobody.
//! * A frame goes in one step from the port it came from to each port it leaves by; there is no queue in between. What
//!   a link can not take at once is that link's: it queues, or the copy is dropped and counted.
//! * One copy's misfortune is no other's: a link that is full, refuses or ends takes nothing from the rest of a flood or
//!   of a batch. A link that ends is used no more, and its port goes when the batch is over.
//! * A turn ends after a batch of frames, or sooner where frames become many copies: a broadcast storm on a bridge of a thousand ports
//!   holds up nobody for longer than another one's batch.
//! * Results of queued frames come in the order in which the frames were queued.
//! * Nothing is allocated per frame once the pool and the batch are warm.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account::{Account, Departed};
use crate::buffer::{Buffer, Pool};
use crate::counters::Traffic;
use crate::fdb::FdbEvent;
use crate::forward::Switch;
use crate::frame::Frame;
use crate::link::{Link, Received, Transmit};
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::{DropReason, PortId, Verdict};

mod ahead;
mod change;
mod control;
mod explain;
mod port;
mod report;
mod start;
mod watch;

pub use change::Change;
pub use control::{Control, ControlError};
pub use report::{BridgeStatistics, Event, FdbRow, PortStatistics, Unbalanced};
pub use start::BridgeStart;
pub use watch::{Decided, Outcome, Watch};

use change::Changes;
use port::{COPIES, Copy, Port};

/// The number of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BridgeId(pub u16);

/// How a data plane spends time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many frames of one port are moved at a time, before it is another port's turn.
    pub batch: usize,
    /// How many buffers of 64 KiB the pool makes at most; each is made when it is first needed.
    pub buffers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { batch: 64, buffers: 512 }
    }
}

/// What is left to do for a port after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serviced {
    /// There may be more frames: come again when it is the port's turn.
    More,
    /// There is nothing for now: come again when the link is ready.
    Idle,
    /// The port is not there, or no longer.
    Gone,
}

/// Bridges, their ports and links.
#[derive(Debug)]
pub struct Dataplane<L> {
    bridges: Slots<Bridge>,
    ports: Slots<Port<L>>,
    /// Ports whose links were given frames since the last flush.
    touched: Vec<PortId>,
    /// Ports whose links have ended since the last clearing up.
    ended: Vec<PortId>,
    events: VecDeque<Event>,
    /// `None` while nobody follows them.
    changes: Changes,
    pool: Pool,
    batch: Vec<Arc<Buffer>>,
    results: Vec<Transmit>,
    batch_limit: usize,
}

#[derive(Debug)]
struct Bridge {
    name: String,
    switch: Switch,
    departed: Account<Departed>,
    /// How many lost events of the FDB have been told of.
    lost_told: u64,
}

impl<L: Link> Dataplane<L> {
    /// A data plane without bridges.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let batch_limit = settings.batch.max(1);
        Dataplane {
            bridges: Slots::new(),
            ports: Slots::new(),
            touched: Vec::new(),
            ended: Vec::new(),
            events: VecDeque::new(),
            changes: None,
            pool: Pool::new(settings.buffers.max(1)),
            batch: Vec::with_capacity(batch_limit),
            results: Vec::with_capacity(batch_limit),
            batch_limit,
        }
    }

    /// Makes a change.
    ///
    /// # Errors
    /// If what it names is not there, or is there already, or there is no room for it. A link that could not be plugged
    /// in is dropped.
    pub fn control(&mut self, control: Control<L>, now: Instant) -> Result<(), ControlError> {
        self.control_watched(control, now, &mut ())
    }

    /// The same, and tells `watch` of it.
    ///
    /// # Errors
    /// As [`Dataplane::control`].
    pub fn control_watched(
        &mut self,
        control: Control<L>,
        now: Instant,
        watch: &mut impl Watch,
    ) -> Result<(), ControlError> {
        if !watch.is_there() {
            return self.change(control, now);
        }
        let told = control.without_link();
        let done = self.change(control, now);
        watch.control(&told, now, done.is_ok());
        done
    }

    fn change(&mut self, control: Control<L>, now: Instant) -> Result<(), ControlError> {
        match control {
            Control::AddBridge { bridge, name, config } => {
                if self.bridges.contains(bridge.0) {
                    return Err(ControlError::BridgeTaken(bridge));
                }
                let switch = Switch::new(config);
                self.bridges.insert(bridge.0, Bridge { name, switch, departed: Account::default(), lost_told: 0 });
                self.note(|it| it.bridge_up(bridge));
            }
            Control::RemoveBridge { bridge } => {
                let ports: Vec<PortId> = self.bridge(bridge)?.switch.ports().collect();
                for port in ports {
                    self.remove_port(port);
                }
                self.bridges.remove(bridge.0);
                self.note(|_| Change::BridgeDown { bridge });
            }
            Control::Plug { bridge, port, config, link } => {
                if self.ports.contains(port.0) {
                    return Err(ControlError::PortTaken(port));
                }
                self.gather();
                self.bridge(bridge)?.switch.plug(port, config, now)?;
                self.add_port(port, Port::new(bridge, link, self.batch_limit));
                // Before the station that a local port brings along.
                self.push(|it| it.port_up(bridge, port));
            }
            Control::CountBridge { bridge, departed, fdb } => {
                let it = self.bridge(bridge)?;
                it.switch.fdb_mut().count_in(fdb);
                // Of the ports that have gone under the account used so far: none, where this follows the bridge at once.
                it.departed = departed;
            }
            Control::CountPort { port, mut account } => {
                let it = self.ports.get_mut(port.0).ok_or(ControlError::NoPort(port))?;
                let bridge = self.bridges.get_mut(it.bridge.0).ok_or(ControlError::NoBridge(it.bridge))?;
                bridge.departed.admit(&mut account);
                *account += &it.counters;
                it.counters = account;
            }
            Control::CountDeparted { bridge, mut account } => {
                self.bridge(bridge)?.departed.join(&mut account);
            }
            Control::Unplug { port } => {
                self.remove_port(port).ok_or(ControlError::NoPort(port))?;
            }
            Control::RenamePort { port, name } => {
                let bridge = self.ports.get(port.0).ok_or(ControlError::NoPort(port))?.bridge;
                let from = self.bridge(bridge)?.switch.rename(port, name).ok_or(ControlError::NoPort(port))?;
                self.note(|it| it.port_renamed(bridge, port, from));
            }
            Control::SetStation { bridge, vlan, station, port, kind } => {
                let switch = &mut self.bridge(bridge)?.switch;
                switch.port(port).ok_or(ControlError::NoPort(port))?;
                switch.fdb_mut().set(vlan, station, port, kind, now)?;
            }
            Control::ClearStation { bridge, vlan, station } => {
                let fdb = self.bridge(bridge)?.switch.fdb_mut();
                fdb.remove(vlan, station).then_some(()).ok_or(ControlError::NoStation(station))?;
            }
            Control::FlushPort { port } => {
                let bridge = self.ports.get(port.0).ok_or(ControlError::NoPort(port))?.bridge;
                self.bridge(bridge)?.switch.fdb_mut().flush_port(port);
            }
        }
        Ok(())
    }

    /// Moves one batch of frames that came in by `port`, to the links they leave by, and flushes those.
    #[inline]
    pub fn service(&mut self, port: PortId, now: Instant) -> Serviced {
        self.service_watched(port, now, &mut ())
    }

    /// The same, and tells `watch` of each frame in its turn, and of all that becomes of it.
    pub fn service_watched(&mut self, port: PortId, now: Instant, watch: &mut impl Watch) -> Serviced {
        let Some(ingress) = self.ports.get_mut(port.0) else { return Serviced::Gone };
        let mut batch = std::mem::take(&mut self.batch);
        let received = ingress.take(&mut self.pool, &mut batch, self.batch_limit);
        self.look_ahead(port, &batch);
        let (mut done, mut copies) = (0, 0);
        // (What came before a link ended has no other turn.)
        while done < batch.len() && (copies < COPIES || received == Received::Down) {
            copies += self.forward_watched(port, &batch[done], now, watch).map_or(0, |verdict| verdict.copies());
            done += 1;
        }
        if let Some(ingress) = self.ports.get_mut(port.0) {
            ingress.end_turn(&mut batch, done, copies, self.batch_limit);
        }
        if received == Received::Down {
            self.end(port);
        }
        self.touch(port);
        self.flush_watched(watch);
        // Only now have links let go of what they had kept for the end of the batch.
        while let Some(buffer) = batch.pop() {
            self.pool.give(buffer);
        }
        self.batch = batch;
        match received {
            Received::Down => Serviced::Gone,
            Received::More | Received::WouldBlock if !self.ports.contains(port.0) => Serviced::Gone,
            Received::WouldBlock if !self.has_waiting(port) => Serviced::Idle,
            Received::More | Received::WouldBlock => Serviced::More,
        }
    }

    /// How many buffers there may be.
    pub(crate) fn buffers(&self) -> usize {
        self.pool.limit()
    }

    /// A buffer for a frame that is read for a link by somebody else; `None` when all are out.
    pub(crate) fn take_buffer(&mut self) -> Option<Arc<Buffer>> {
        self.pool.take()
    }

    /// Takes back a [buffer](Dataplane::take_buffer) with which nothing was done.
    pub(crate) fn give_buffer(&mut self, buffer: Arc<Buffer>) {
        self.pool.give(buffer);
    }

    /// How many frames wait for the turn of a port that lends its queue: they have come, and nothing was decided about them.
    pub(crate) fn waiting(&mut self, port: PortId) -> usize {
        let Some(it) = self.ports.get_mut(port.0) else { return 0 };
        it.waiting.len() + it.link.queue().map_or(0, |queue| queue.arrivals())
    }

    /// Takes back the buffer of a frame that a link had queued, and needs no longer.
    pub(crate) fn recycle(&mut self, buffer: Arc<Buffer>) {
        self.pool.recycle(buffer);
    }

    /// Asks the link of `port` for results of frames that it has queued: to be called when it says that there are some.
    pub fn settle(&mut self, port: PortId) {
        self.settle_watched(port, &mut ());
    }

    /// The same, and tells `watch` of the results.
    pub fn settle_watched(&mut self, port: PortId, watch: &mut impl Watch) {
        self.touch(port);
        self.flush_watched(watch);
    }

    /// Decides about one frame that came in by `ingress`, and gives a copy to each link it leaves by. The inner step of
    /// [`Dataplane::service`]; whoever calls it ends the batch with [`Dataplane::flush`].
    ///
    /// The verdict is for whoever wants to know; it is counted and carried out already. `None`: there is no such port.
    #[inline]
    pub fn forward(&mut self, ingress: PortId, buffer: &Arc<Buffer>, now: Instant) -> Option<Verdict> {
        self.forward_watched(ingress, buffer, now, &mut ())
    }

    /// The same, and tells `watch` of the frame and of each copy.
    #[inline]
    pub fn forward_watched(
        &mut self,
        ingress: PortId,
        buffer: &Arc<Buffer>,
        now: Instant,
        watch: &mut impl Watch,
    ) -> Option<Verdict> {
        let port = self.ports.get_mut(ingress.0)?;
        let switch = &mut self.bridges.get_mut(port.bridge.0)?.switch;
        let frame = match Frame::parse(buffer.frame(), buffer.vnet()) {
            Ok(frame) => frame,
            Err(reason) => {
                port.counters.rx.count_unreadable(buffer.frame().len(), reason);
                let verdict = Verdict::Drop(reason);
                watch.frame(Decided { now, ingress, switch, buffer, verdict: &verdict });
                return Some(verdict);
            }
        };
        let verdict = switch.ingress(ingress, &frame, now);
        let traffic = Traffic::of(&frame);
        port.counters.rx.count(traffic, &verdict);
        watch.frame(Decided { now, ingress, switch, buffer, verdict: &verdict });

        let (ports, touched, ended) = (&mut self.ports, &mut self.touched, &mut self.ended);
        let mut copy = Copy { switch, ports, touched, ended, watch };
        match &verdict {
            Verdict::Unicast { vlan, egress } | Verdict::Local { vlan, egress } => {
                copy.send(*egress, buffer, &frame, *vlan, traffic);
            }
            Verdict::Flood { vlan, to } => {
                for egress in to.iter() {
                    copy.send(egress, buffer, &frame, *vlan, traffic);
                }
            }
            Verdict::Drop(_) => {}
        }
        Some(verdict)
    }

    /// Ends a batch: flushes the links that were given frames, counts what became of them, and takes away the ports
    /// whose links have ended.
    pub fn flush(&mut self) {
        self.flush_watched(&mut ());
    }

    /// The same, and tells `watch` of results and of ports that go.
    pub fn flush_watched(&mut self, watch: &mut impl Watch) {
        // (In the order in which they were touched, and ended: a flood starts on its links by their numbers.)
        let mut touched = std::mem::take(&mut self.touched);
        touched.drain(..).for_each(|port| self.flush_link(port, watch));
        self.touched = touched;
        let mut ended = std::mem::take(&mut self.ended);
        ended.drain(..).for_each(|port| self.clear_up(port, watch));
        self.ended = ended;
        debug_assert_eq!(self.check(), Ok(()));
    }

    /// Forgets stations that have been silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout_watched(now, &mut ());
    }

    /// The same, and tells `watch` before.
    pub fn handle_timeout_watched(&mut self, now: Instant, watch: &mut impl Watch) {
        watch.timeout(now);
        self.bridges.iter_mut().for_each(|(_, bridge)| bridge.switch.handle_timeout(now));
    }

    /// When [`Dataplane::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.bridges.iter().filter_map(|(_, bridge)| bridge.switch.poll_timeout()).min()
    }

    /// The next thing that happened by itself.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next change of an FDB.
    pub fn poll_fdb_event(&mut self) -> Option<(BridgeId, FdbEvent)> {
        self.bridges.iter_mut().find_map(|(id, bridge)| Some((BridgeId(id), bridge.switch.fdb_mut().poll_event()?)))
    }

    /// The link behind a port.
    #[must_use]
    pub fn link(&self, port: PortId) -> Option<&L> {
        self.ports.get(port.0).map(|port| &port.link)
    }

    /// The link behind a port, to be changed: a capture begun, a cable cut.
    pub fn link_mut(&mut self, port: PortId) -> Option<&mut L> {
        self.ports.get_mut(port.0).map(|port| &mut port.link)
    }

    /// All ports of all bridges, ascending.
    pub fn ports(&self) -> impl Iterator<Item = PortId> + '_ {
        self.ports.iter().map(|(port, _)| PortId(port))
    }

    /// All bridges, ascending.
    pub fn bridges(&self) -> impl Iterator<Item = BridgeId> + '_ {
        self.bridges.iter().map(|(bridge, _)| BridgeId(bridge))
    }

    /// The switch of a bridge: its configuration, FDB and snapshot.
    #[must_use]
    pub fn switch(&self, bridge: BridgeId) -> Option<&Switch> {
        self.bridges.get(bridge.0).map(|bridge| &bridge.switch)
    }

    /// The switch of a bridge, to be changed by hand. Its ports are [`Dataplane::control`]'s.
    pub fn switch_mut(&mut self, bridge: BridgeId) -> Option<&mut Switch> {
        self.bridges.get_mut(bridge.0).map(|bridge| &mut bridge.switch)
    }

    fn bridge(&mut self, bridge: BridgeId) -> Result<&mut Bridge, ControlError> {
        self.bridges.get_mut(bridge.0).ok_or(ControlError::NoBridge(bridge))
    }

    fn has_waiting(&self, port: PortId) -> bool {
        self.ports.get(port.0).is_some_and(|it| !it.waiting.is_empty())
    }

    /// Marks a port whose link wants to be flushed.
    fn touch(&mut self, port: PortId) {
        if let Some(it) = self.ports.get_mut(port.0).filter(|it| !it.queued.is_empty()) {
            it.touch(port, &mut self.touched);
        }
    }

    fn end(&mut self, port: PortId) {
        if let Some(it) = self.ports.get_mut(port.0) {
            it.end(port, &mut self.ended);
        }
    }

    fn flush_link(&mut self, port: PortId, watch: &mut impl Watch) {
        let Some(it) = self.ports.get_mut(port.0) else { return };
        it.is_touched = false;
        if it.has_ended {
            return;
        }
        it.link.flush(&mut self.results);
        for result in self.results.drain(..) {
            let Some(traffic) = it.queued.pop_front() else {
                panic!("port {}: the link answered for a frame that it did not have", port.0)
            };
            watch.result(port, result);
            it.conclude(port, traffic, result, &mut self.ended);
        }
    }

    /// Takes away a port whose link has ended; not one that was plugged in under its number since.
    fn clear_up(&mut self, port: PortId, watch: &mut impl Watch) {
        if self.ports.get(port.0).is_some_and(|it| it.has_ended) {
            watch.port_down(port);
            self.remove_port(port);
            self.events.push_back(Event::PortDown { port });
        }
    }

    fn add_port(&mut self, port: PortId, it: Port<L>) {
        self.ports.insert(port.0, it);
        // Flushing and clearing up list each port at most once, so they never allocate again.
        let ports = self.ports.iter().count();
        self.touched.reserve(ports);
        self.ended.reserve(ports);
    }

    /// Takes a port out of everything. Copies that its link still had queued have not left.
    fn remove_port(&mut self, port: PortId) -> Option<L> {
        let mut it = self.ports.remove(port.0)?;
        it.queued.drain(..).for_each(|_| it.counters.tx.drop(DropReason::LinkDown));
        // (As if they had not been taken from the link yet, like those that have not.)
        it.waiting.drain(..).for_each(|buffer| self.pool.give(buffer));
        if let Some(queue) = it.link.queue() {
            queue.take_arrived().for_each(|buffer| self.pool.give(buffer));
        }
        if let Some(bridge) = self.bridges.get_mut(it.bridge.0) {
            bridge.switch.unplug(port);
            bridge.departed.join(&mut it.counters);
        }
        let bridge = it.bridge;
        self.note(|_| Change::PortDown { bridge, port });
        Some(it.link)
    }
}

#[cfg(test)]
mod tests;
