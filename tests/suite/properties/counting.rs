//! Every frame is counted once, port by port, whatever the links answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use libtest_mimic::Failed;
use proptest::prelude::*;
use switch::buffer::{Buffer, Pool};
use switch::counters::PortCounters;
use switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use switch::forward;
use switch::link::{Link, Received, Transmit};
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};
use switch::vlan::Retag;

use crate::model::Model;

use super::plan::{Event, Plan, bytes_of, follow};
use super::{AGEING, holds};

/// A link that is not always ready: some copies it takes, some it refuses, some it answers for later.
#[derive(Debug, Default)]
struct Moody {
    arriving: Option<Vec<u8>>,
    copies: u64,
    queued: u64,
}

impl Link for Moody {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, _limit: usize) -> Received {
        let Some(frame) = self.arriving.take() else { return Received::WouldBlock };
        let mut shared = pool.take().expect("one at a time");
        let buffer = Arc::get_mut(&mut shared).expect("nobody else has it");
        buffer.room()[..frame.len()].copy_from_slice(&frame);
        buffer.set_len(frame.len());
        into.push(shared);
        Received::WouldBlock
    }

    fn transmit(&mut self, _frame: &Arc<Buffer>, _retag: Retag) -> Transmit {
        self.copies += 1;
        match self.copies % 5 {
            0 => Transmit::Full,
            1 | 2 => {
                self.queued += 1;
                Transmit::Queued
            }
            _ => Transmit::Sent,
        }
    }

    /// Answers for all but the latest.
    fn flush(&mut self, results: &mut Vec<Transmit>) {
        let known = self.queued.saturating_sub(1);
        self.queued -= known;
        results.extend((0..known).map(|_| Transmit::Sent));
    }
}

/// What a port must have counted: frames received and their bytes, and copies that were to leave by it.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    received: u64,
    bytes: u64,
    copies: u64,
}

pub(super) fn every_frame_is_counted_once() -> Result<(), Failed> {
    const BRIDGE: BridgeId = BridgeId(1);
    holds(&Plan::either(), |plan| {
        let vlan_filtering = plan.vlan_filtering;
        let config = forward::Config { ageing: AGEING, vlan_filtering, ..forward::Config::default() };
        let mut plane: Dataplane<Moody> = Dataplane::new(Settings { batch: 4, buffers: 4 });
        let mut model = Model::new(AGEING, vlan_filtering);
        let mut due: BTreeMap<PortId, Due> = BTreeMap::new();
        let mut departed = Due::default();
        let add = Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config };
        plane.control(add, Instant::ZERO).expect("it is the first");
        follow(&plan, |event| {
            match event {
                Event::Plug(port, config, now) => {
                    model.plug(port, config.clone());
                    let link = Moody::default();
                    plane.control(Control::Plug { bridge: BRIDGE, port, config, link }, now).expect("it is free");
                    due.insert(port, Due::default());
                }
                Event::Unplug(port) => {
                    model.unplug(port);
                    plane.control(Control::Unplug { port }, Instant::ZERO).expect("it is there");
                    let gone = due.remove(&port).expect("it was plugged in");
                    departed.received += gone.received;
                    departed.bytes += gone.bytes;
                    departed.copies += gone.copies;
                }
                Event::Wait(now) => plane.handle_timeout(now),
                Event::Send { port, from, to, tag, now } => {
                    let bytes = bytes_of(to, from, tag);
                    let own = due.get_mut(&port).expect("it was plugged in");
                    own.received += 1;
                    own.bytes += bytes.len() as u64;
                    let verdict = model.ingress(port, to, from, tag.map(|tci| tci & 0x0fff), now);
                    for egress in egresses_of(&verdict) {
                        due.get_mut(&egress).expect("it was plugged in").copies += 1;
                    }
                    plane.link_mut(port).expect("it was plugged in").arriving = Some(bytes);
                    plane.service(port, now);
                }
            }
            for (port, due) in &due {
                let PortCounters { rx, tx } = plane.counters(*port).expect("it was plugged in");
                let undecided = plane.link(*port).expect("it was plugged in").queued;
                prop_assert_eq!((rx.packets, rx.bytes), (due.received, due.bytes), "{:?}", port);
                prop_assert_eq!(tx.packets + tx.dropped + undecided, due.copies, "{:?}", port);
            }
            let gone = &plane.statistics()[0].departed;
            prop_assert_eq!((gone.rx.packets, gone.rx.bytes), (departed.received, departed.bytes));
            prop_assert_eq!(gone.tx.packets + gone.tx.dropped, departed.copies);
            prop_assert_eq!(plane.check(), Ok(()));
            let fdb = plane.switch(BRIDGE).expect("it is there").fdb();
            let made = fdb.counters().learned + fdb.counters().set;
            prop_assert_eq!(made, fdb.counters().expired + fdb.counters().evicted + fdb.len() as u64);
            Ok(())
        })
    })
}

fn egresses_of(verdict: &Verdict) -> Vec<PortId> {
    match verdict {
        Verdict::Unicast { egress, .. } | Verdict::Local { egress, .. } => vec![*egress],
        Verdict::Flood { to, .. } => to.iter().collect(),
        Verdict::Drop(_) => Vec::new(),
    }
}
