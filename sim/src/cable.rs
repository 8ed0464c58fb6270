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
//! It cuts no super-frame and finishes no checksum, having no hardware to do so: such a frame is `Refused`.
//!
//! `shape` says what a cable is like, `line` what that does to the frames in one direction, `statistics` what is counted,
//! `handle` what tests hold of it.

mod handle;
mod line;
mod shape;
mod statistics;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use switch::buffer::{Buffer, Pool};
use switch::forward::Switch;
use switch::link::{Link, Received, Transmit};
use switch::time::Instant;
use switch::verdict::Verdict;
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

pub use self::handle::CableHandle;
use self::line::Line;
pub use self::shape::{Cable, QUEUE};
pub use self::statistics::{CableDrop, CableStatistics, Direction};
use crate::clock::Wake;
use crate::namespace::NamespaceId;
use crate::plant::Plant;
use crate::rule::{Judgement, LineId};
use crate::trace::{What, Where};

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

/// What both ends of a cable hold.
#[derive(Debug)]
struct Body {
    id: CableId,
    plant: Rc<Plant>,
    namespace: NamespaceId,
    /// What people call the port.
    port: RefCell<String>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    to_switch: Path,
    from_switch: Path,
    up: bool,
    gone: bool,
    counters: Counters,
}

/// A line, and when its receiver is to look.
#[derive(Debug)]
struct Path {
    line: Line,
    wake: Option<Instant>,
}

/// The switch's end of a cable, for the manager to plug in.
#[derive(Debug)]
pub struct CableEnd(Rc<Body>);

/// What is told of the switch's decisions.
#[derive(Debug)]
pub(crate) struct Observer(Rc<Body>);

/// The interface's end. When it goes, the port goes.
#[derive(Debug)]
pub(crate) struct Jack(Rc<Body>);

/// A new cable's end in a namespace; the interface is not switched on yet.
pub(crate) fn cable(id: CableId, plant: &Rc<Plant>, namespace: NamespaceId, shape: Cable) -> Jack {
    let path = || Path { line: Line::new(shape), wake: None };
    let state = State { to_switch: path(), from_switch: path(), up: false, gone: false, counters: Counters::default() };
    let (plant, port) = (Rc::clone(plant), RefCell::default());
    Jack(Rc::new(Body { id, plant, namespace, port, state: RefCell::new(state) }))
}

impl Body {
    /// Who takes what comes in a direction.
    fn receiver(&self, direction: Direction) -> Wake {
        match direction {
            Direction::ToSwitch => Wake::Port(self.id),
            Direction::FromSwitch => Wake::Namespace(self.namespace),
        }
    }

    /// A frame is handed over, and is on its way as the rules have it: of what they do to it the sender knows nothing.
    fn hand_over(&self, direction: Direction, frame: Vec<u8>) -> Result<(), CableDrop> {
        let Judgement { frame, delay, copies, dropped_by, by } = self.judge(direction, frame);
        let state = &mut *self.state.borrow_mut();
        if let Some(name) = dropped_by {
            self.refuse(state, direction, CableDrop::Rule(name), &frame);
            if direction == Direction::ToSwitch {
                state.counters.count_tx(frame.len());
            }
            return Ok(());
        }
        let line = &mut state.path(direction).line;
        if let Err(why) = line.room(frame.len()) {
            self.refuse(state, direction, why, &frame);
            return Err(why);
        }
        self.note(direction, What::Sent(&by), &frame);
        line.send(frame, delay, &copies, self.plant.clock.now())?;
        self.arm(state, direction);
        Ok(())
    }

    /// A frame is handed over and lost at once.
    fn refuse(&self, state: &mut State, direction: Direction, why: CableDrop, frame: &[u8]) {
        state.path(direction).line.refuse(why);
        self.note(direction, What::Lost(why), frame);
    }

    fn note(&self, direction: Direction, what: What<'_>, frame: &[u8]) {
        let port = &self.port.borrow();
        self.plant.trace.frame(self.plant.clock.now(), self.place(direction, port), what, frame);
    }

    fn place<'a>(&self, direction: Direction, port: &'a str) -> Where<'a> {
        Where { line: LineId { cable: self.id, direction }, namespace: Some(self.namespace), port }
    }

    fn judge(&self, direction: Direction, frame: Vec<u8>) -> Judgement {
        let rules = &self.plant.rules;
        if rules.is_empty() {
            return Judgement::of(frame);
        }
        let line = LineId { cable: self.id, direction };
        let now = self.plant.clock.now().since(Instant::ZERO);
        rules.judge(now, line, Some(self.namespace), &self.port.borrow(), frame)
    }

    /// Sees to it that the receiver looks when the next frame arrives.
    fn arm(&self, state: &mut State, direction: Direction) {
        let now = self.plant.clock.now();
        let path = state.path(direction);
        let Some(at) = path.line.next_arrival().map(|at| at.max(now)) else { return };
        // A wake-up of the past came when nobody was there to look.
        if path.wake.is_none_or(|wake| at < wake || wake < now) {
            path.wake = Some(at);
            self.plant.clock.wake_at(at, self.receiver(direction));
        }
    }

    /// The receiver has looked.
    fn disarm(&self, state: &mut State, direction: Direction) {
        let now = self.plant.clock.now();
        state.path(direction).wake.take_if(|wake| *wake <= now);
    }
}

impl State {
    fn path(&mut self, direction: Direction) -> &mut Path {
        match direction {
            Direction::ToSwitch => &mut self.to_switch,
            Direction::FromSwitch => &mut self.from_switch,
        }
    }
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
    pub(crate) fn id(&self) -> CableId {
        self.0.id
    }

    /// What is told of the decisions about the frames that come out of it.
    pub(crate) fn observer(&self) -> Observer {
        Observer(Rc::clone(&self.0))
    }

    /// Says what people call the port that this is plugged into.
    pub(crate) fn set_port(&self, name: &str) {
        name.clone_into(&mut self.0.port.borrow_mut());
    }
}

impl Observer {
    pub(crate) fn decided(&self, switch: &Switch, frame: &Buffer, verdict: &Verdict) {
        let (body, port) = (&*self.0, &self.0.port.borrow());
        let at = body.place(Direction::ToSwitch, port);
        body.plant.trace.decision(body.plant.clock.now(), at, switch, frame.frame(), verdict);
    }
}

impl Link for CableEnd {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        let (body, state) = (&*self.0, &mut *self.0.state.borrow_mut());
        // What the interface had sent before it went was with the switch long ago.
        let now = match (state.gone, state.to_switch.line.next_arrival()) {
            (false, _) => body.plant.clock.now(),
            (true, Some(_)) => Instant::FAR_FUTURE,
            (true, None) => return Received::Down,
        };
        body.disarm(state, Direction::ToSwitch);
        for _ in 0..limit {
            if !state.to_switch.line.has_arrived(now) {
                body.arm(state, Direction::ToSwitch);
                return Received::WouldBlock;
            }
            // Copied, not shared: the pool gets back what it gave, and its buffers are all of full size.
            let Some(mut shared) = pool.take() else { return Received::More };
            let Some(buffer) = Arc::get_mut(&mut shared) else { return Received::More };
            let Some(flight) = state.to_switch.line.deliver(now) else { return Received::WouldBlock };
            let frame = &flight.frame;
            let len = frame.len().min(buffer.room().len());
            buffer.room()[..len].copy_from_slice(&frame[..len]);
            buffer.set_len(len);
            buffer.set_vnet(VnetHeader::default());
            // The interface has sent one, however many of it arrive.
            if !flight.is_copy {
                state.counters.count_tx(frame.len());
            }
            body.note(Direction::ToSwitch, What::Arrived, frame);
            into.push(shared);
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        let body = &*self.0;
        if body.state.borrow().gone {
            Transmit::Down
        } else if frame.vnet().is_gso() || frame.vnet().needs_checksum() {
            Transmit::Refused
        } else if !body.state.borrow().up {
            body.refuse(&mut body.state.borrow_mut(), Direction::FromSwitch, CableDrop::Off, frame.frame());
            Transmit::Full
        } else {
            let sent = body.hand_over(Direction::FromSwitch, retagged(frame.frame(), retag));
            sent.map_or(Transmit::Full, |()| Transmit::Sent)
        }
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}
}

impl Jack {
    /// Another end for the switch, as a shim hands out another descriptor of the same TAP.
    pub(crate) fn switch_end(&self) -> CableEnd {
        // What piled up while nobody looked is seen by whoever looks now.
        self.0.plant.clock.wake_now(Wake::Port(self.0.id));
        CableEnd(Rc::clone(&self.0))
    }

    pub(crate) fn id(&self) -> CableId {
        self.0.id
    }

    /// Whether nothing is on its way to the switch.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.state.borrow().to_switch.line.next_arrival().is_none()
    }

    /// What tests hold of it.
    pub(crate) fn handle(&self) -> CableHandle {
        CableHandle(Rc::clone(&self.0))
    }

    /// Sends a frame to the switch; it is lost and counted if there is no room for it.
    pub(crate) fn send(&self, frame: Vec<u8>) {
        let body = &*self.0;
        let sent = if body.state.borrow().up {
            body.hand_over(Direction::ToSwitch, frame)
        } else {
            body.refuse(&mut body.state.borrow_mut(), Direction::ToSwitch, CableDrop::Off, &frame);
            Err(CableDrop::Off)
        };
        if sent.is_err() {
            body.state.borrow_mut().counters.tx_dropped += 1;
        }
    }

    /// The next frame that has arrived. One that arrives at an interface that is switched off meanwhile is lost.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let (body, state) = (&*self.0, &mut *self.0.state.borrow_mut());
        let now = body.plant.clock.now();
        body.disarm(state, Direction::FromSwitch);
        if !state.up {
            while let Some(flight) = state.from_switch.line.discard(CableDrop::Off, now) {
                state.counters.rx_dropped += 1;
                body.note(Direction::FromSwitch, What::Lost(CableDrop::Off), &flight.frame);
            }
        }
        let Some(flight) = state.from_switch.line.deliver(now) else {
            body.arm(state, Direction::FromSwitch);
            return None;
        };
        state.counters.count_rx(flight.frame.len());
        body.note(Direction::FromSwitch, What::Arrived, &flight.frame);
        Some(flight.frame)
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.0.state.borrow_mut().up = up;
    }

    pub(crate) fn counters(&self) -> Counters {
        self.0.state.borrow().counters
    }

    /// A frame came that nothing on this machine understands.
    pub(crate) fn count_unknown(&self) {
        self.0.state.borrow_mut().counters.rx_dropped += 1;
    }
}

impl Drop for Jack {
    fn drop(&mut self) {
        self.0.state.borrow_mut().gone = true;
        self.0.plant.clock.wake_now(Wake::Port(self.0.id));
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
        let (mut end, mut pool, mut taken) = (CableEnd(Rc::clone(&jack.0)), Pool::new(9), Vec::new());
        for sent in 1..=2 {
            jack.send(vec![0; 60]);
            assert_eq!(clock.pop_due(), Some(Wake::Port(CableId(1))));
            assert_eq!(end.receive(&mut pool, &mut taken, 9), Received::WouldBlock);
            assert_eq!((taken.len(), clock.pop_due()), (sent, None));
        }
    }
}
