//! [`Capture`]: what passed some ports, as a pcapng file: Wireshark reads it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use ::capture::pcapng::{self, Interface, Packet, Section, Way};
use switch::time::Instant;

use super::Where;
use crate::rule::Resolved;
use crate::world::EPOCH;

/// How many bytes a capture holds; what comes after is only counted.
const ROOM: usize = 256 << 20;

/// The frames of some ports since [`World::capture`](crate::World::capture). It ends when this is dropped.
///
/// * An interface of the file is a port of the switch, by its name. What comes into the switch is inbound, what leaves it
///   outbound.
/// * An inbound frame stands there when the switch takes it, with its verdict as a comment; an outbound one when the switch
///   sends it, with what rules do to it on its way.
/// * A frame that is lost on a cable stands there as well, with the reason as a comment: `lost: …`.
/// * Times are in nanoseconds. A world begins on 2023-11-14 at 22:13:20 UTC.
/// * It holds 256 MiB. What comes after is only counted.
#[derive(Debug)]
pub struct Capture(Rc<RefCell<Recording>>);

/// The file, while it grows.
#[derive(Debug)]
pub(super) struct Recording {
    scope: Resolved,
    bytes: Vec<u8>,
    /// The numbers of those that there are by now, by their names.
    interfaces: BTreeMap<String, u32>,
    missed: u64,
}

impl Capture {
    pub(super) fn new(scope: Resolved) -> (Self, Weak<RefCell<Recording>>) {
        let mut bytes = Vec::new();
        pcapng::section(&mut bytes, &Section { application: "pontoon-sim", ..Section::default() });
        let recording = Rc::new(RefCell::new(Recording { scope, bytes, interfaces: BTreeMap::new(), missed: 0 }));
        let weak = Rc::downgrade(&recording);
        (Capture(recording), weak)
    }

    /// The file as it is by now.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// How many frames are not in it, since it was full.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.0.borrow().missed
    }
}

impl Recording {
    pub(super) fn add(&mut self, now: Instant, at: Where<'_>, way: Way, comment: &str, frame: &[u8]) {
        if !self.scope.has(at.line, at.namespace) {
            return;
        }
        if self.bytes.len() >= ROOM {
            self.missed += 1;
            return;
        }
        let next = self.interfaces.len() as u32;
        let bytes = &mut self.bytes;
        let interface = *self.interfaces.entry(at.port.to_owned()).or_insert_with(|| {
            pcapng::interface(bytes, &Interface { name: at.port, ..Interface::default() });
            next
        });
        let nanos = EPOCH * 1_000_000_000 + now.as_nanos();
        let whole =
            Packet { interface, nanos, way, bytes: &[frame], len: frame.len(), dropped: 0, comment, local: &[] };
        pcapng::packet(bytes, &whole);
    }
}
