//! [`Trace`]: what happened, as a hash that tells two runs apart, in words for people, and as captures for Wireshark.
//!
//! It has all of it: each frame that is handed to a cable, lost in it or taken from it; each decision of the switch; each
//! change of the data plane and of a container. The hash is always kept. Words and captures are made for whoever asks.
//!
//! A line of the words is `TIME PORT EVENT: FRAME`, the time in seconds since the world began, the port as the switch names
//! it. The events of a frame, in the order in which they come:
//!
//! * `sends`: the interface hands it to its cable;
//! * `unicast to …`, `flood to …`, `local to …`, `drop: …`: the switch takes it, and this is its verdict. Copies that do not fit
//!   a port say so behind its name;
//! * `receives`: it has arrived at the interface;
//! * `loses (…)`: it is lost on a cable, or for want of room on one, and why;
//! * `changes (…)`: rules delay, double or spoil it.
//!
//! Lines without a frame are of the world: `TIME - EVENT`.

mod capture;
mod hash;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::{Rc, Weak};

use ::capture::describe::describe;
use ::capture::pcapng::Way;
use switch::buffer::Buffer;
use switch::forward::Switch;
use switch::frame::Frame;
use switch::time::Instant;
use switch::verdict::{PortId, Verdict};

pub use self::capture::Capture;
use self::capture::Recording;
use self::hash::Hash;
use crate::cable::{CableDrop, Direction};
use crate::namespace::NamespaceId;
use crate::rule::{LineId, Resolved};

/// How many lines a trace in words has at most; the rest is only counted.
const LINES: usize = 1_000_000;

/// The trace of a world; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    hash: Hash,
    words: Option<Vec<String>>,
    unwritten: u64,
    captures: Vec<Weak<RefCell<Recording>>>,
}

/// Where something happened to a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Where<'a> {
    pub(crate) line: LineId,
    pub(crate) namespace: Option<NamespaceId>,
    pub(crate) port: &'a str,
    /// Whether a switch sends it there, not an interface.
    pub(crate) by_switch: bool,
    /// Whether it goes to an interface, not to a switch.
    pub(crate) to_interface: bool,
}

/// What happened to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    /// It was handed to the cable, and these rules had something to say of it.
    Sent(&'a [&'static str]),
    Lost(CableDrop),
    /// Its receiver has taken it.
    Arrived,
}

impl Trace {
    pub(crate) fn hash(&self) -> u64 {
        self.0.borrow().hash.get()
    }

    /// Begins to write down in words what happens.
    pub(crate) fn write_down(&self) {
        self.0.borrow_mut().words.get_or_insert_default();
    }

    pub(crate) fn is_written_down(&self) -> bool {
        self.0.borrow().words.is_some()
    }

    /// What was written down.
    pub(crate) fn words(&self) -> Vec<String> {
        let state = self.0.borrow();
        let rest = (state.unwritten > 0).then(|| format!("and {} more", state.unwritten));
        state.words.iter().flatten().cloned().chain(rest).collect()
    }

    /// Records the frames of some lines from now on.
    pub(crate) fn capture(&self, scope: Resolved) -> Capture {
        let (capture, recording) = Capture::new(scope);
        self.0.borrow_mut().captures.push(recording);
        capture
    }

    /// Something happened that is no frame's doing.
    pub(crate) fn event(&self, now: Instant, text: &str) {
        let state = &mut *self.0.borrow_mut();
        state.hash.add(now.as_nanos());
        state.hash.add_bytes(text.as_bytes());
        state.write(now, "-", text, None);
    }

    /// Something happened to a frame.
    pub(crate) fn frame(&self, now: Instant, at: Where<'_>, what: What<'_>, frame: &[u8]) {
        let state = &mut *self.0.borrow_mut();
        state.hash.add(now.as_nanos());
        state.hash.add(at.code() << 8 | what.code());
        match what {
            // It comes once more, changed or not.
            What::Sent(_) => state.hash.add(frame.len() as u64),
            What::Arrived | What::Lost(_) => state.hash.add_bytes(frame),
        }
        if state.words.is_none() && state.captures.is_empty() {
            return;
        }
        match what {
            What::Sent(by) => {
                if !at.by_switch {
                    state.write(now, at.port, "sends", Some(frame));
                }
                // (What goes to a switch is recorded with its verdict.)
                if at.to_interface || at.by_switch {
                    state.record(now, at, at.way(), &by.join(", "), frame);
                }
                if !by.is_empty() {
                    state.write(now, at.port, &format!("changes ({})", by.join(", ")), Some(frame));
                }
            }
            What::Lost(why) => {
                state.write(now, at.port, &format!("loses ({why})"), Some(frame));
                state.record(now, at, at.way(), &format!("lost: {why}"), frame);
            }
            What::Arrived if at.to_interface => state.write(now, at.port, "receives", Some(frame)),
            // The switch's verdict says so.
            What::Arrived => {}
        }
    }

    /// The switch has decided about a frame that came in by a port.
    pub(crate) fn decision(&self, now: Instant, at: Where<'_>, switch: &Switch, buffer: &Buffer, verdict: &Verdict) {
        let state = &mut *self.0.borrow_mut();
        state.hash.add(code(verdict));
        if state.words.is_none() && state.captures.is_empty() {
            return;
        }
        let decision = in_words(switch, buffer, verdict);
        state.write(now, at.port, &decision, Some(buffer.frame()));
        state.record(now, at, Way::In, &decision, buffer.frame());
    }
}

impl State {
    fn write(&mut self, now: Instant, port: &str, event: &str, frame: Option<&[u8]>) {
        let Some(words) = &mut self.words else { return };
        if words.len() >= LINES {
            self.unwritten += 1;
            return;
        }
        let nanos = now.as_nanos();
        let mut line = format!("{}.{:09} {port} {event}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        if let Some(frame) = frame {
            // To a string nothing can fail to be written.
            let _ = write!(line, ": {}", describe(frame, frame.len()));
        }
        words.push(line);
    }

    fn record(&mut self, now: Instant, at: Where<'_>, way: Way, comment: &str, frame: &[u8]) {
        self.captures.retain(|capture| {
            let Some(recording) = capture.upgrade() else { return false };
            recording.borrow_mut().add(now, at, way, comment, frame);
            true
        });
    }
}

impl Where<'_> {
    /// As the machine sees it.
    fn way(&self) -> Way {
        match self.line.direction {
            Direction::ToSwitch if !self.by_switch => Way::In,
            Direction::ToSwitch | Direction::FromSwitch => Way::Out,
        }
    }

    fn code(&self) -> u64 {
        u64::from(self.line.cable.0) << 1 | (self.line.direction as u64)
    }
}

impl What<'_> {
    fn code(&self) -> u64 {
        match self {
            What::Sent(by) => (by.len() as u64).min(63),
            What::Lost(_) => 64,
            What::Arrived => 65,
        }
    }
}

fn code(verdict: &Verdict) -> u64 {
    match verdict {
        Verdict::Unicast { vlan, egress } => 1 << 32 | u64::from(vlan.get()) << 16 | u64::from(egress.0),
        Verdict::Local { vlan, egress } => 2 << 32 | u64::from(vlan.get()) << 16 | u64::from(egress.0),
        // (Its copies follow, one by one.)
        Verdict::Flood { vlan, .. } => 3 << 32 | u64::from(vlan.get()) << 16,
        Verdict::Drop(reason) => 4 << 32 | *reason as u64,
    }
}

/// A verdict as people read it, with the ports by their names, and why a copy does not leave by one of them.
fn in_words(switch: &Switch, buffer: &Buffer, verdict: &Verdict) -> String {
    // (What a port takes of a super-frame is a matter of its segments, which the offload header tells of.)
    let frame = Frame::parse(buffer.frame(), buffer.vnet());
    let egress = |port: PortId, vlan| {
        let name = switch.port(port).map_or_else(|| format!("port {}", port.0), |config| config.name.clone());
        match frame.as_ref().map(|frame| switch.egress(port, frame, vlan)) {
            Ok(Err(why)) => format!("{name} ({why})"),
            Ok(Ok(_)) | Err(_) => name,
        }
    };
    match verdict {
        Verdict::Unicast { vlan, egress: port } => format!("unicast to {}", egress(*port, *vlan)),
        Verdict::Local { vlan, egress: port } => format!("local to {}", egress(*port, *vlan)),
        Verdict::Flood { vlan, to } => {
            let ports: Vec<String> = to.iter().map(|port| egress(port, *vlan)).collect();
            format!("flood to {}", ports.join(", "))
        }
        Verdict::Drop(reason) => format!("drop: {reason}"),
    }
}
