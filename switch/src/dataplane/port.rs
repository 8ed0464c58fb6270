//! [`Port`]: what the data plane keeps for a port, and how one copy leaves by it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{BridgeId, Outcome, Watch};
use crate::account::Account;
use crate::buffer::{Buffer, Pool};
use crate::counters::{PortCounters, Traffic};
use crate::forward::Switch;
use crate::frame::{Frame, Tag};
use crate::link::{Link, Received, Transmit};
use crate::slots::Slots;
use crate::verdict::{DropReason, PortId};
use crate::vlan::{Retag, VlanId};

/// After how many copies a port's turn ends, in the middle of a batch: as many as those of 64 floods to 16 ports.
pub(super) const COPIES: usize = 1024;

/// A port: its link, its counters, and the copies whose fate is not known yet.
#[derive(Debug)]
pub(super) struct Port<L> {
    pub(super) bridge: BridgeId,
    pub(super) link: L,
    pub(super) counters: Account<PortCounters>,
    /// Copies that the link has queued and not answered for. The link's own bound is its bound.
    pub(super) queued: VecDeque<Traffic>,
    /// Frames that its turn was not long enough for. At most a batch, and only now and then: who has had too many is given fewer.
    pub(super) waiting: Vec<Arc<Buffer>>,
    /// How many frames it is given at a time.
    limit: usize,
    pub(super) is_touched: bool,
    pub(super) has_ended: bool,
}

impl<L> Port<L> {
    pub(super) fn new(bridge: BridgeId, link: L, limit: usize) -> Self {
        Port {
            bridge,
            link,
            counters: Account::default(),
            queued: VecDeque::new(),
            waiting: Vec::new(),
            limit,
            is_touched: false,
            has_ended: false,
        }
    }

    /// Frames for one turn: those that wait, or what has arrived.
    #[inline]
    pub(super) fn take(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, most: usize) -> Received
    where
        L: Link,
    {
        if self.waiting.is_empty() {
            return self.link.receive(pool, into, self.limit.min(most));
        }
        into.append(&mut self.waiting);
        Received::More
    }

    /// What is left of a batch waits. Next time it is half as many frames, if these had more copies than a turn is long, so that few
    /// wait; twice as many if there is room.
    #[inline]
    pub(super) fn end_turn(&mut self, batch: &mut Vec<Arc<Buffer>>, done: usize, copies: usize, most: usize) {
        if done < batch.len() {
            self.waiting.extend(batch.drain(done..));
        }
        if copies > COPIES {
            self.limit = (self.limit / 2).max(1);
        } else if copies <= COPIES / 2 {
            self.limit = (self.limit * 2).min(most);
        }
    }

    /// Whether a copy is given to the link, and with which tag.
    #[inline]
    pub(super) fn admit(
        &self,
        own: PortId,
        switch: &Switch,
        frame: &Frame<'_>,
        vlan: VlanId,
    ) -> Result<Retag, DropReason> {
        if self.has_ended { Err(DropReason::LinkDown) } else { switch.egress(own, frame, vlan) }
    }

    #[inline]
    pub(super) fn touch(&mut self, own: PortId, touched: &mut Vec<PortId>) {
        if !self.is_touched {
            self.is_touched = true;
            touched.push(own);
        }
    }

    #[cold]
    pub(super) fn end(&mut self, own: PortId, ended: &mut Vec<PortId>) {
        if !self.has_ended {
            self.has_ended = true;
            ended.push(own);
        }
    }

    #[inline]
    pub(super) fn conclude(&mut self, own: PortId, traffic: Traffic, result: Transmit, ended: &mut Vec<PortId>) {
        match (result, result.dropped()) {
            (Transmit::Queued, _) => self.queued.push_back(traffic),
            (_, None) => self.counters.tx.count(traffic),
            (_, Some(reason)) => self.counters.tx.drop(reason),
        }
        if result == Transmit::Down {
            self.end(own, ended);
        }
    }
}

/// The parts of a data plane that sending a copy needs, while the verdict lends the rest.
pub(super) struct Copy<'a, L, W> {
    pub(super) switch: &'a Switch,
    pub(super) ports: &'a mut Slots<Port<L>>,
    pub(super) touched: &'a mut Vec<PortId>,
    pub(super) ended: &'a mut Vec<PortId>,
    pub(super) watch: &'a mut W,
}

impl<L: Link, W: Watch> Copy<'_, L, W> {
    #[inline]
    pub(super) fn send(
        &mut self,
        egress: PortId,
        buffer: &Arc<Buffer>,
        frame: &Frame<'_>,
        vlan: VlanId,
        traffic: Traffic,
    ) {
        let Some(port) = self.ports.get_mut(egress.0) else { return };
        let retag = match port.admit(egress, self.switch, frame, vlan) {
            Ok(retag) => retag,
            Err(reason) => {
                self.watch.copy(egress, Outcome::Dropped(reason));
                return port.counters.tx.drop(reason);
            }
        };
        let traffic = match retag {
            Retag::Keep | Retag::Replace(_) => traffic,
            Retag::Push(_) => traffic.longer_by(Tag::LEN as i32),
            Retag::Pop => traffic.longer_by(-(Tag::LEN as i32)),
        };
        port.touch(egress, self.touched);
        // Whoever watches is told at once what became of each copy.
        let result = if self.watch.is_there() {
            port.link.transmit(buffer, retag)
        } else {
            port.link.transmit_in_batch(buffer, retag)
        };
        self.watch.copy(egress, Outcome::Offered { retag, answer: result });
        port.conclude(egress, traffic, result, self.ended);
    }
}
