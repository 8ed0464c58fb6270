//! A cable: what joins an interface in a namespace to a port of the switch, as a TAP does on Linux.
//!
//! The rules it keeps, all of them a TAP's:
//!
//! * Each direction holds at most [`QUEUE`] frames. The sender in the namespace loses what is over (its `tx_dropped`); the
//!   switch is told [`Transmit::Full`].
//! * A frame counts as sent when the switch takes it, and as received when the switch has written it.
//! * To an interface that is switched off nothing can be written: `Full`.
//! * When the interface is gone the port sees `Down`. When the switch is gone frames pile up, for its successor to take.
//!
//! It cuts no super-frame and finishes no checksum, having no hardware to do so: such a frame is `Refused`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use switch::buffer::{Buffer, Pool};
use switch::link::{Link, Received, Transmit};
use switch::time::Instant;
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

use crate::clock::{Clock, Wake};
use crate::namespace::NamespaceId;

/// How many frames wait in one direction: a TAP's `txqueuelen`.
pub const QUEUE: usize = 1000;

/// The number of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CableId(pub(crate) u32);

/// What an interface counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_dropped: u64,
}

#[derive(Debug)]
struct Cable {
    id: CableId,
    clock: Clock,
    namespace: NamespaceId,
    latency: Duration,
    to_switch: Direction,
    to_interface: Direction,
    up: bool,
    gone: bool,
    counters: Counters,
}

/// What is on its way, the oldest first.
#[derive(Debug, Default)]
struct Direction {
    frames: VecDeque<(Instant, Vec<u8>)>,
    last_wake: Option<Instant>,
}

/// The switch's end of a cable, for the manager to plug in.
#[derive(Debug)]
pub struct CableEnd(Rc<RefCell<Cable>>);

/// The interface's end. When it goes, the port goes.
#[derive(Debug)]
pub(crate) struct Jack(Rc<RefCell<Cable>>);

/// A new cable's end in a namespace; the interface is not switched on yet.
pub(crate) fn cable(id: CableId, clock: &Clock, namespace: NamespaceId, latency: Duration) -> Jack {
    Jack(Rc::new(RefCell::new(Cable {
        id,
        clock: clock.clone(),
        namespace,
        latency,
        to_switch: Direction::default(),
        to_interface: Direction::default(),
        up: false,
        gone: false,
        counters: Counters::default(),
    })))
}

impl Direction {
    /// Puts a frame on the way, and sees to it that its receiver looks when it arrives.
    fn push(&mut self, frame: Vec<u8>, arrival: Instant, clock: &Clock, receiver: Wake) {
        self.frames.push_back((arrival, frame));
        if self.last_wake != Some(arrival) {
            self.last_wake = Some(arrival);
            clock.wake_at(arrival, receiver);
        }
    }

    fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.frames.pop_front_if(|(arrival, _)| *arrival <= now).map(|(_, frame)| frame)
    }
}

impl CableEnd {
    pub(crate) fn id(&self) -> CableId {
        self.0.borrow().id
    }
}

impl Link for CableEnd {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        let cable = &mut *self.0.borrow_mut();
        // What the interface had sent before it went was with the switch long ago.
        let is_empty = cable.to_switch.frames.is_empty();
        let now = match (cable.gone, is_empty) {
            (false, _) => cable.clock.now(),
            (true, false) => Instant::FAR_FUTURE,
            (true, true) => return Received::Down,
        };
        for _ in 0..limit {
            if cable.to_switch.frames.front().is_none_or(|(arrival, _)| *arrival > now) {
                return Received::WouldBlock;
            }
            // Copied, not shared: the pool gets back what it gave, and its buffers are all of full size.
            let Some(mut shared) = pool.take() else { return Received::More };
            let Some(buffer) = Arc::get_mut(&mut shared) else { return Received::More };
            let Some(frame) = cable.to_switch.pop(now) else { return Received::WouldBlock };
            let len = frame.len().min(buffer.room().len());
            buffer.room()[..len].copy_from_slice(&frame[..len]);
            buffer.set_len(len);
            buffer.set_vnet(VnetHeader::default());
            cable.counters.tx_packets += 1;
            cable.counters.tx_bytes += frame.len() as u64;
            cable.clock.note(u64::from(cable.id.0) << 8, &frame);
            into.push(shared);
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        let cable = &mut *self.0.borrow_mut();
        let outcome = if cable.gone {
            Transmit::Down
        } else if frame.vnet().is_gso() || frame.vnet().needs_checksum() {
            Transmit::Refused
        } else if !cable.up || cable.to_interface.frames.len() >= QUEUE {
            Transmit::Full
        } else {
            Transmit::Sent
        };
        if outcome != Transmit::Sent {
            cable.clock.note(u64::from(cable.id.0) << 8 | 2, frame.frame());
            return outcome;
        }
        let frame = retagged(frame.frame(), retag);
        cable.counters.rx_packets += 1;
        cable.counters.rx_bytes += frame.len() as u64;
        cable.clock.note(u64::from(cable.id.0) << 8 | 1, &frame);
        let arrival = cable.clock.now() + cable.latency;
        cable.to_interface.push(frame, arrival, &cable.clock, Wake::Namespace(cable.namespace));
        outcome
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}
}

impl Jack {
    /// Another end for the switch, as a shim hands out another descriptor of the same TAP.
    pub(crate) fn switch_end(&self) -> CableEnd {
        let cable = self.0.borrow();
        // What piled up while nobody looked is seen by whoever looks now.
        cable.clock.wake_now(Wake::Port(cable.id));
        CableEnd(Rc::clone(&self.0))
    }

    /// Whether nothing is on its way to the switch.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.borrow().to_switch.frames.is_empty()
    }

    /// Sends a frame to the switch; it is lost and counted if too many wait.
    pub(crate) fn send(&self, frame: Vec<u8>) {
        let cable = &mut *self.0.borrow_mut();
        if !cable.up || cable.to_switch.frames.len() >= QUEUE {
            cable.counters.tx_dropped += 1;
            return;
        }
        let arrival = cable.clock.now() + cable.latency;
        cable.to_switch.push(frame, arrival, &cable.clock, Wake::Port(cable.id));
    }

    /// The next frame that has arrived. One that arrives at an interface that is switched off meanwhile is lost.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let cable = &mut *self.0.borrow_mut();
        let now = cable.clock.now();
        while let Some(frame) = cable.to_interface.pop(now) {
            if cable.up {
                return Some(frame);
            }
            cable.counters.rx_dropped += 1;
        }
        None
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.0.borrow_mut().up = up;
    }

    pub(crate) fn counters(&self) -> Counters {
        self.0.borrow().counters
    }

    /// A frame came that nothing on this machine understands.
    pub(crate) fn count_unknown(&self) {
        self.0.borrow_mut().counters.rx_dropped += 1;
    }
}

impl Drop for Jack {
    fn drop(&mut self) {
        let cable = &mut *self.0.borrow_mut();
        cable.gone = true;
        cable.clock.wake_now(Wake::Port(cable.id));
    }
}

/// A copy of `frame` with its outer tag changed. A frame too short to have addresses is copied as it is.
fn retagged(frame: &[u8], retag: Retag) -> Vec<u8> {
    const TPID: [u8; 2] = [0x81, 0x00];
    let Some((addresses, rest)) = frame.split_at_checked(12) else { return frame.to_vec() };
    let untagged = rest.get(4..).unwrap_or_default();
    match retag {
        Retag::Keep => frame.to_vec(),
        Retag::Push(control) => [addresses, &TPID, &control.to_be_bytes(), rest].concat(),
        Retag::Pop => [addresses, untagged].concat(),
        Retag::Replace(control) => [addresses, &rest[..2.min(rest.len())], &control.to_be_bytes(), untagged].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_pushed_replaced_and_popped_behind_the_addresses() {
        let plain: Vec<u8> = (0..20).collect();
        let pushed = retagged(&plain, Retag::Push(0x2005));
        assert_eq!(pushed[12..16], [0x81, 0x00, 0x20, 0x05]);
        let replaced = retagged(&pushed, Retag::Replace(7));
        assert_eq!(replaced[12..16], [0x81, 0x00, 0x00, 0x07]);
        assert_eq!(retagged(&replaced, Retag::Pop), plain);
    }

    #[test]
    fn a_full_cable_loses_the_newest_and_counts_it() {
        let clock = Clock::default();
        let jack = cable(CableId(1), &clock, NamespaceId(0), Duration::from_micros(1));
        jack.set_up(true);
        (0..QUEUE + 3).for_each(|_| jack.send(vec![0; 60]));
        assert_eq!(jack.counters().tx_dropped, 3);
        let (mut end, mut pool, mut taken) = (jack.switch_end(), Pool::new(2000), Vec::new());
        clock.jump_to(clock.now() + Duration::from_micros(1));
        assert_eq!(end.receive(&mut pool, &mut taken, 2000), Received::WouldBlock);
        assert_eq!((taken.len(), jack.counters().tx_packets), (QUEUE, QUEUE as u64));
    }

    #[test]
    fn the_port_sees_that_the_interface_is_gone() {
        let jack = cable(CableId(1), &Clock::default(), NamespaceId(0), Duration::ZERO);
        let mut end = jack.switch_end();
        assert_eq!(end.transmit(&Arc::new(Buffer::new()), Retag::Keep), Transmit::Full);
        drop(jack);
        assert_eq!(end.transmit(&Arc::new(Buffer::new()), Retag::Keep), Transmit::Down);
        assert_eq!(end.receive(&mut Pool::new(1), &mut Vec::new(), 1), Received::Down);
    }
}
