//! A cable: what joins an interface in a namespace to a port of the switch, as a TAP does on Linux.
//!
//! The rules it keeps:
//!
//! * What each direction is like is its [`Cable`]'s to say. What is over its queue the sender loses: the interface counts
//!   `tx_dropped`, the switch is told [`Transmit::Full`].
//! * A frame counts as sent when the switch takes it, as a TAP has it, and as received when it has arrived.
//! * To an interface that is switched off nothing can be written: `Full`.
//! * When the interface is gone the port sees `Down`. When the switch is gone frames pile up, for its successor to take.
//!
//! * It carries super-frames with unfinished checksums as they are, unless its interface takes none, it has a rate, or there is a
//!   rule that may look at them: then they are cut and finished, as on a real wire. (Linux' `netem` does so before it corrupts
//!   a frame.)
//!
//! The machine's interface of a cable between two hosts may have packet sockets open ([`Jack::tap`]): then the switch takes what
//! comes, and the interface hears the same behind it.
//!
//! `shape` says what a cable is like, `line` what that does to the frames in one direction, `body` how they get in and out,
//! `statistics` what is counted; `handle` is what tests hold of it. A cable may also join two switches ([`trunk`]),
//! or two hosts ([`wire`]): then the machine that the daemon runs on is where the switch is otherwise.

mod body;
mod handle;
mod line;
mod shape;
mod statistics;

use std::rc::Rc;
use std::sync::Arc;

use switch::buffer::{Buffer, Pool};
use switch::dataplane::{Decided, Watch};
use switch::link::{Link, Received, Transmit};
use switch::verdict::DropReason;
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

use self::body::{Body, Far, Near};
pub use self::handle::CableHandle;
pub use self::shape::{Cable, QUEUE};
pub use self::statistics::{CableDrop, CableStatistics, Direction};
use crate::clock::Wake;
use crate::namespace::NamespaceId;
use crate::offload::Frame;
use crate::plant::Plant;
use crate::rule::LineId;

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

/// A port's end of a cable, to be plugged into a switch.
#[derive(Debug)]
pub struct CableEnd {
    body: Rc<Body>,
    /// What this end takes; the other way it sends.
    takes: Direction,
    /// Of an end that is a packet socket on the machine's interface.
    tap: Option<Tap>,
}

/// A packet socket on the machine's interface of a cable between two hosts, for as long as it is there.
#[derive(Debug)]
struct Tap(Rc<Body>);

/// What is told of the decisions about the frames that came out of an end.
#[derive(Debug)]
pub(crate) struct Observer {
    body: Rc<Body>,
    takes: Direction,
}

/// An interface's end. When it goes, the port goes.
#[derive(Debug)]
pub(crate) struct Jack {
    body: Rc<Body>,
    /// The way in which it sends.
    sends: Direction,
}

/// A new cable's end in a namespace; the interface is not switched on yet.
pub(crate) fn cable(id: CableId, plant: &Rc<Plant>, namespace: NamespaceId, shape: Cable) -> Jack {
    let body = Body::new(id, plant, Near::Port, Far::Interface(namespace), shape);
    Jack { body, sends: Direction::ToSwitch }
}

/// A new cable between the machine and another host: its end on the machine, and the other's. Each has a name for people.
pub(crate) fn wire(
    id: CableId,
    plant: &Rc<Plant>,
    [machine, other]: [(NamespaceId, &str); 2],
    shape: Cable,
) -> [Jack; 2] {
    let body = Body::new(id, plant, Near::Interface(machine.0), Far::Interface(other.0), shape);
    *body.ports.borrow_mut() = [machine.1.to_owned(), other.1.to_owned()];
    let end = |sends| Jack { body: Rc::clone(&body), sends };
    [end(Direction::FromSwitch), end(Direction::ToSwitch)]
}

/// A new cable between two switches. Each end has a number.
pub(crate) fn trunk(ids: [CableId; 2], plant: &Rc<Plant>, shape: Cable) -> CableHandle {
    let body = Body::new(ids[0], plant, Near::Port, Far::Port(ids[1]), shape);
    body.state.borrow_mut().up = [true; 2];
    CableHandle(body)
}

impl Counters {
    fn count_rx(&mut self, bytes: usize) {
        self.rx_packets += 1;
        self.rx_bytes += bytes as u64;
    }

    fn count_tx(&mut self, bytes: usize) {
        self.tx_packets += 1;
        self.tx_bytes += bytes as u64;
    }
}

impl CableEnd {
    fn new(body: &Rc<Body>, takes: Direction) -> Self {
        CableEnd { body: Rc::clone(body), takes, tap: None }
    }

    pub(crate) fn id(&self) -> CableId {
        match (self.takes, self.body.far.get()) {
            (Direction::FromSwitch, Far::Port(far)) => far,
            (Direction::ToSwitch, _) | (Direction::FromSwitch, Far::Interface(_)) => self.body.id,
        }
    }

    /// What is told of the decisions about the frames that come out of it.
    pub(crate) fn observer(&self) -> Observer {
        Observer { body: Rc::clone(&self.body), takes: self.takes }
    }

    /// Says what people call the port that this is plugged into.
    pub(crate) fn set_port(&self, name: &str) {
        name.clone_into(&mut self.body.ports.borrow_mut()[port_at(self.takes)]);
    }
}

impl Watch for Observer {
    fn frame(&mut self, decided: Decided<'_>) {
        let Decided { switch, buffer, verdict, .. } = decided;
        let (body, port) = (&*self.body, &self.body.ports.borrow()[port_at(self.takes)]);
        body.plant.hops.decide(port);
        let at = body.place(self.takes, port);
        body.plant.trace.decision(body.plant.clock.now(), at, switch, buffer, verdict);
    }
}

/// Which of the two ports takes what comes in a direction.
fn port_at(takes: Direction) -> usize {
    match takes {
        Direction::ToSwitch => 0,
        Direction::FromSwitch => 1,
    }
}

impl Link for CableEnd {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        let (body, state) = (&*self.body, &mut *self.body.state.borrow_mut());
        if body.is_over(state, self.takes) {
            return Received::Down;
        }
        body.plant.hops.begin();
        if self.tap.is_some() && !state.up[self.takes.back() as usize] {
            state.counters(self.takes.back()).rx_dropped += body.discard(state, self.takes, CableDrop::Off);
        }
        for _ in 0..limit {
            // Copied, not shared: the pool gets back what it gave, and its buffers are all of full size.
            let Some(mut shared) = pool.take() else { return Received::More };
            let Some(buffer) = Arc::get_mut(&mut shared) else { return Received::More };
            let Some(flight) = body.take(state, self.takes) else {
                pool.give(shared);
                return Received::WouldBlock;
            };
            let frame = &flight.frame.bytes;
            let len = frame.len().min(buffer.room().len());
            buffer.room()[..len].copy_from_slice(&frame[..len]);
            buffer.set_len(len);
            buffer.set_vnet(flight.frame.vnet);
            // The interface has sent one, however many of it arrive.
            if !flight.is_copy {
                state.counters(self.takes).count_tx(frame.len());
            }
            if self.tap.is_some() {
                state.counters(self.takes.back()).count_rx(frame.len());
                body.let_hear(state, &flight.frame);
            }
            body.plant.hops.take(flight.hops);
            into.push(shared);
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        let (body, sends) = (&*self.body, self.takes.back());
        let (gone, up) = (body.state.borrow().gone, body.state.borrow().up == [true; 2]);
        if gone {
            return Transmit::Down;
        }
        let retagged = Frame { bytes: retagged(frame.frame(), retag), vnet: retagged_header(frame.vnet(), retag) };
        let Ok(frames) = body.on_the_wire(sends, retagged) else { return Transmit::NotSegmentable };
        let hops = if up { body.plant.hops.leave().ok_or(CableDrop::Loop) } else { Err(CableDrop::Off) };
        let sent = match hops {
            Ok(hops) => frames.into_iter().try_for_each(|frame| body.hand_over(sends, frame, hops)),
            Err(why) => {
                body.refuse(&mut body.state.borrow_mut(), sends, why, frame.frame());
                Err(why)
            }
        };
        sent.map_or(Transmit::Full, |()| Transmit::Sent)
    }

    fn foretell(&self, frame: &Buffer, retag: Retag) -> Result<u64, DropReason> {
        let body = &*self.body;
        if body.state.borrow().gone {
            return Err(DropReason::LinkDown);
        }
        let retagged = Frame { bytes: retagged(frame.frame(), retag), vnet: retagged_header(frame.vnet(), retag) };
        let frames = body.on_the_wire(self.takes.back(), retagged);
        frames.map(|frames| frames.len() as u64).map_err(|_| DropReason::NotSegmentable)
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}
}

impl Jack {
    /// Another end for the switch, as a shim hands out another descriptor of the same TAP.
    pub(crate) fn switch_end(&self) -> CableEnd {
        // What piled up while nobody looked is seen by whoever looks now.
        self.body.plant.clock.wake_now(Wake::Port(self.body.id));
        CableEnd::new(&self.body, Direction::ToSwitch)
    }

    /// A packet socket on it.
    pub(crate) fn tap(&self) -> CableEnd {
        CableEnd { tap: Some(Tap::open(&self.body)), ..CableEnd::new(&self.body, self.sends.back()) }
    }

    /// Whether it leads to a switch.
    pub(crate) fn leads_to_switch(&self) -> bool {
        self.body.near == Near::Port
    }

    pub(crate) fn id(&self) -> CableId {
        self.body.id
    }

    /// The direction in which frames come.
    pub(crate) fn line(&self) -> LineId {
        LineId { cable: self.body.id, direction: self.sends.back() }
    }

    /// Whether nothing is on its way from here.
    pub(crate) fn is_silent(&self) -> bool {
        self.body.state.borrow_mut().path(self.sends).line.next_arrival().is_none()
    }

    /// What tests hold of it.
    pub(crate) fn handle(&self) -> CableHandle {
        CableHandle(Rc::clone(&self.body))
    }

    /// Sends a frame; it is lost and counted if there is no room for it.
    pub(crate) fn send(&self, frame: impl Into<Frame>) {
        // (Those who ask for no answer find the loss in the counters. What a host has made of one can be cut.)
        let frames = self.body.on_the_wire(self.sends, frame.into()).unwrap_or_default();
        for frame in frames {
            let _ = self.handle().send(self.sends, frame);
        }
    }

    /// Whether super-frames can be sent, and checksums left to others.
    pub(crate) fn offloads(&self) -> bool {
        self.body.state.borrow().offloads
    }

    /// Says whether they can.
    pub(crate) fn set_offload(&self, offloads: bool) {
        self.body.state.borrow_mut().offloads = offloads;
    }

    /// The next frame that has arrived. One that arrives at an interface that is switched off meanwhile is lost.
    pub(crate) fn receive(&self) -> Option<Frame> {
        let (body, state, takes) = (&*self.body, &mut *self.body.state.borrow_mut(), self.sends.back());
        if !state.up[self.sends as usize] {
            state.counters(self.sends).rx_dropped += body.discard(state, takes, CableDrop::Off);
            state.tapped.clear();
        }
        if takes == Direction::ToSwitch && !self.leads_to_switch() {
            let heard = state.tapped.pop_front();
            if heard.is_some() || state.taps > 0 {
                return heard;
            }
        }
        let flight = body.take(state, takes)?;
        let len = flight.frame.bytes.len();
        state.counters(self.sends).count_rx(len);
        if !self.leads_to_switch() && !flight.is_copy {
            state.counters(takes).count_tx(len);
        }
        Some(flight.frame)
    }

    /// Its interface is taken to another namespace.
    pub(crate) fn take_to(&self, namespace: NamespaceId) {
        self.body.far.set(Far::Interface(namespace));
        self.body.wake(&mut self.body.state.borrow_mut(), Direction::FromSwitch);
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.body.state.borrow_mut().up[self.sends as usize] = up;
    }

    pub(crate) fn counters(&self) -> Counters {
        self.body.state.borrow().counters[self.sends as usize]
    }

    /// A frame came that nothing on this machine understands.
    pub(crate) fn count_unknown(&self) {
        self.body.state.borrow_mut().counters(self.sends).rx_dropped += 1;
    }
}

impl Tap {
    fn open(body: &Rc<Body>) -> Self {
        Tap::count(body, |taps| taps + 1);
        Tap(Rc::clone(body))
    }

    /// What is on its way comes to whoever takes it now.
    fn count(body: &Body, change: impl FnOnce(usize) -> usize) {
        let state = &mut *body.state.borrow_mut();
        state.taps = change(state.taps);
        body.wake(state, Direction::ToSwitch);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        Tap::count(&self.0, |taps| taps - 1);
    }
}

impl Drop for Jack {
    fn drop(&mut self) {
        self.body.state.borrow_mut().gone = true;
        self.body.plant.clock.wake_now(Wake::Port(self.body.id));
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

/// The offload header of the same frame then.
fn retagged_header(vnet: VnetHeader, retag: Retag) -> VnetHeader {
    match retag {
        Retag::Keep | Retag::Replace(_) => vnet,
        Retag::Push(_) => vnet.shifted(4),
        Retag::Pop => vnet.shifted(-4),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

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
        let plant = Rc::new(Plant::new(clock.clone(), 0));
        let shape = Cable { latency: Duration::from_micros(1), ..Cable::default() };
        let jack = cable(CableId(1), &plant, NamespaceId(0), shape);
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
        let jack = cable(CableId(1), &Rc::new(Plant::new(Clock::default(), 0)), NamespaceId(0), Cable::default());
        let mut end = jack.switch_end();
        assert_eq!(end.transmit(&Arc::new(Buffer::new()), Retag::Keep), Transmit::Full);
        drop(jack);
        assert_eq!(end.transmit(&Arc::new(Buffer::new()), Retag::Keep), Transmit::Down);
        assert_eq!(end.receive(&mut Pool::new(1), &mut Vec::new(), 1), Received::Down);
    }

    #[test]
    fn a_frame_that_arrives_in_a_moment_that_was_looked_at_already_wakes_again() {
        let clock = Clock::default();
        let plant = Rc::new(Plant::new(clock.clone(), 0));
        let jack = cable(CableId(1), &plant, NamespaceId(0), Cable { latency: Duration::ZERO, ..Cable::default() });
        jack.set_up(true);
        let (mut end, mut pool, mut taken) = (CableEnd::new(&jack.body, Direction::ToSwitch), Pool::new(9), Vec::new());
        for sent in 1..=2 {
            jack.send(vec![0; 60]);
            assert_eq!(clock.pop_due(), Some(Wake::Port(CableId(1))));
            assert_eq!(end.receive(&mut pool, &mut taken, 9), Received::WouldBlock);
            assert_eq!((taken.len(), clock.pop_due()), (sent, None));
        }
    }
}
