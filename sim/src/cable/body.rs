//! [`Body`]: what the ends of a cable hold together: its two lines, and how a frame gets into one and wakes its receiver.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use switch::offload::segment::SegmentError;
use switch::time::Instant;

use super::line::{Flight, Line};
use super::{Cable, CableDrop, CableId, Counters, Direction, QUEUE};
use crate::clock::Wake;
use crate::namespace::NamespaceId;
use crate::offload::Frame;
use crate::plant::Plant;
use crate::rule::{Judgement, LineId};
use crate::trace::{What, Where};

/// What the ends of a cable hold together.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) id: CableId,
    pub(super) plant: Rc<Plant>,
    pub(super) near: Near,
    /// An interface may be taken to another namespace.
    pub(super) far: Cell<Far>,
    /// What people call the port at the switch's end, and the one at the far end if there is one.
    pub(super) ports: RefCell<[String; 2]>,
    pub(super) state: RefCell<State>,
}

/// What is at the end that is the switch's, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Near {
    /// A port of a switch.
    Port,
    /// An interface in a namespace: the cable joins two hosts, and no switch has to do with it.
    Interface(NamespaceId),
}

/// What is at the end that is not the switch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Far {
    /// An interface in a namespace.
    Interface(NamespaceId),
    /// A port of another network's switch, for which the cable has another number.
    Port(CableId),
}

#[derive(Debug)]
pub(super) struct State {
    to_switch: Path,
    from_switch: Path,
    /// Whether what sends in a direction is switched on.
    pub(super) up: [bool; 2],
    pub(super) gone: bool,
    /// Whether interfaces take super-frames and unfinished checksums.
    pub(super) offloads: bool,
    /// What the interface counts that sends in a direction, if one does.
    pub(super) counters: [Counters; 2],
    /// How many packet sockets are open on the machine's interface of a cable between two hosts, and what they have taken of
    /// what the interface itself has not heard yet.
    pub(super) taps: usize,
    pub(super) tapped: VecDeque<Frame>,
}

/// A line, and when its receiver is to look.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) line: Line,
    wake: Option<Instant>,
}

impl Body {
    pub(super) fn new(id: CableId, plant: &Rc<Plant>, near: Near, far: Far, shape: Cable) -> Rc<Self> {
        let path = || Path { line: Line::new(shape), wake: None };
        let (to_switch, from_switch, counters) = (path(), path(), [Counters::default(); 2]);
        // A port is as the interface behind it.
        let up = Direction::ALL.map(|sends| sends == Direction::FromSwitch && near == Near::Port);
        let (taps, tapped) = (0, VecDeque::new());
        let state = State { to_switch, from_switch, up, gone: false, offloads: false, counters, taps, tapped };
        let far = Cell::new(far);
        Rc::new(Body { id, plant: Rc::clone(plant), near, far, ports: RefCell::default(), state: RefCell::new(state) })
    }

    /// What a frame is on its way in a direction: itself, or what a real wire would carry instead, where the cable is one since
    /// it has a rate, its interface takes no other, or a rule may look at it.
    pub(super) fn on_the_wire(&self, direction: Direction, frame: Frame) -> Result<Vec<Frame>, SegmentError> {
        let state = &mut *self.state.borrow_mut();
        let takes_all = self.namespace().is_none() || state.offloads;
        let is_wire = state.path(direction).line.shape().rate.is_some() || !self.plant.rules.is_empty();
        if frame.is_finished() || (takes_all && !is_wire) {
            return Ok(vec![frame]);
        }
        Ok(frame.cut()?.into_iter().map(Frame::from).collect())
    }

    /// A frame that has crossed so many switches is handed over, and is on its way as the rules have it: of what they do to it
    /// the sender knows nothing.
    pub(super) fn hand_over(&self, direction: Direction, frame: Frame, hops: u8) -> Result<(), CableDrop> {
        let Frame { bytes, vnet } = frame;
        let Judgement { frame, delay, copies, dropped_by, by } = self.judge(direction, bytes);
        let state = &mut *self.state.borrow_mut();
        if let Some(name) = dropped_by {
            self.refuse(state, direction, CableDrop::Rule(name), &frame);
            if self.interface(direction).is_some() {
                state.counters(direction).count_tx(frame.len());
            }
            return Ok(());
        }
        let line = &mut state.path(direction).line;
        if let Err(why) = line.room(frame.len()) {
            self.refuse(state, direction, why, &frame);
            return Err(why);
        }
        self.note(direction, What::Sent(&by), &frame);
        line.send(Frame { bytes: frame, vnet }, hops, delay, &copies, self.plant.clock.now())?;
        self.arm(state, direction);
        Ok(())
    }

    /// A frame is handed over and lost at once.
    pub(super) fn refuse(&self, state: &mut State, direction: Direction, why: CableDrop, frame: &[u8]) {
        state.path(direction).line.refuse(why);
        self.note(direction, What::Lost(why), frame);
    }

    /// The next frame that has come in a direction. The receiver is woken again for the one after it, if it has none yet.
    pub(super) fn take(&self, state: &mut State, direction: Direction) -> Option<Flight> {
        let now = self.plant.clock.now();
        state.path(direction).wake.take_if(|wake| *wake <= now);
        let until = if state.gone { Instant::FAR_FUTURE } else { now };
        let flight = state.path(direction).line.deliver(until);
        match &flight {
            Some(flight) => self.note(direction, What::Arrived, &flight.frame.bytes),
            None => self.arm(state, direction),
        }
        flight
    }

    /// Whether nothing more comes in a direction: an end is gone, and what it had sent has been taken. What an interface had
    /// sent before it went was with the switch long ago.
    pub(super) fn is_over(&self, state: &mut State, direction: Direction) -> bool {
        let has_more = self.interface(direction).is_some() && state.path(direction).line.next_arrival().is_some();
        state.gone && !has_more
    }

    /// All frames that have come in a direction are lost. Returns how many there were.
    pub(super) fn discard(&self, state: &mut State, direction: Direction, why: CableDrop) -> u64 {
        let now = self.plant.clock.now();
        let mut lost = 0;
        while let Some(flight) = state.path(direction).line.discard(why, now) {
            self.note(direction, What::Lost(why), &flight.frame.bytes);
            lost += 1;
        }
        lost
    }

    /// Sees to it that the receiver looks when the next frame arrives.
    pub(super) fn arm(&self, state: &mut State, direction: Direction) {
        let now = self.plant.clock.now();
        let path = state.path(direction);
        let Some(at) = path.line.next_arrival().map(|at| at.max(now)) else { return };
        // A wake-up of the past came when nobody was there to look.
        if path.wake.is_none_or(|wake| at < wake || wake < now) {
            path.wake = Some(at);
            self.plant.clock.wake_at(at, self.receiver(direction, state.taps > 0));
        }
    }

    /// Lets the receiver look now, whenever it was to look.
    pub(super) fn wake(&self, state: &mut State, direction: Direction) {
        state.path(direction).wake = None;
        self.arm(state, direction);
    }

    /// Where a frame is for the trace that leaves or enters a switch by the port of this name.
    pub(super) fn place<'a>(&self, direction: Direction, port: &'a str) -> Where<'a> {
        let [by_switch, to_interface] =
            [self.interface(direction).is_none(), self.interface(direction.back()).is_some()];
        Where { line: LineId { cable: self.id, direction }, namespace: self.namespace(), port, by_switch, to_interface }
    }

    fn note(&self, direction: Direction, what: What<'_>, frame: &[u8]) {
        let seen_by = match (what, self.near) {
            // Of two hosts each has a name of its own.
            (What::Arrived, Near::Interface(_)) => direction.back(),
            (What::Arrived | What::Sent(_) | What::Lost(_), _) => direction,
        };
        let port = &self.ports.borrow()[self.sender(seen_by)];
        self.plant.trace.frame(self.plant.clock.now(), self.place(direction, port), what, frame);
    }

    fn judge(&self, direction: Direction, frame: Vec<u8>) -> Judgement {
        let rules = &self.plant.rules;
        if rules.is_empty() {
            return Judgement::of(frame);
        }
        let line = LineId { cable: self.id, direction };
        let now = self.plant.clock.now().since(Instant::ZERO);
        rules.judge(now, line, self.namespace(), &self.ports.borrow()[self.sender(direction)], frame)
    }

    /// Who takes what comes in a direction.
    fn receiver(&self, direction: Direction, is_tapped: bool) -> Wake {
        match (direction, self.near, self.far.get()) {
            (Direction::ToSwitch, Near::Port, _) => Wake::Port(self.id),
            (Direction::ToSwitch, Near::Interface(_), _) if is_tapped => Wake::Port(self.id),
            (Direction::ToSwitch, Near::Interface(namespace), _)
            | (Direction::FromSwitch, _, Far::Interface(namespace)) => Wake::Namespace(namespace),
            (Direction::FromSwitch, _, Far::Port(port)) => Wake::Port(port),
        }
    }

    /// What a packet socket has taken of what came to the machine's interface, that hears it as well.
    pub(super) fn let_hear(&self, state: &mut State, frame: &Frame) {
        let Near::Interface(namespace) = self.near else { return };
        if state.tapped.len() < QUEUE {
            state.tapped.push_back(frame.clone());
            self.plant.clock.wake_now(Wake::Namespace(namespace));
        }
    }

    /// Which of the two ports sends in a direction. An interface is called as the port it leads to.
    fn sender(&self, direction: Direction) -> usize {
        match (direction, self.near, self.far.get()) {
            (Direction::ToSwitch, _, Far::Port(_)) | (Direction::ToSwitch, Near::Interface(_), _) => 1,
            (Direction::ToSwitch, Near::Port, Far::Interface(_)) | (Direction::FromSwitch, ..) => 0,
        }
    }

    /// The namespace of the interface that sends in a direction, if one does.
    fn interface(&self, sends: Direction) -> Option<NamespaceId> {
        match (sends, self.near) {
            (Direction::ToSwitch, _) => self.namespace(),
            (Direction::FromSwitch, Near::Port) => None,
            (Direction::FromSwitch, Near::Interface(namespace)) => Some(namespace),
        }
    }

    /// The namespace that the cable belongs to; of one between two hosts, that of the one which is not the machine.
    fn namespace(&self) -> Option<NamespaceId> {
        match self.far.get() {
            Far::Interface(namespace) => Some(namespace),
            Far::Port(_) => None,
        }
    }
}

impl State {
    pub(super) fn counters(&mut self, sends: Direction) -> &mut Counters {
        &mut self.counters[sends as usize]
    }

    pub(super) fn path(&mut self, direction: Direction) -> &mut Path {
        match direction {
            Direction::ToSwitch => &mut self.to_switch,
            Direction::FromSwitch => &mut self.from_switch,
        }
    }
}
