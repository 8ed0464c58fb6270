//! Chunks: the form that entries have between the data plane's thread and whoever keeps or writes them. It never leaves the
//! process, so it is what is cheapest to write: numbers in the machine's order, one behind the other.
//!
//! An entry is its length in all, its kind, its time, and what the kind has. The ports of a flood are those of its copies, which
//! are written anyway.

use std::sync::Arc;

use switch::dataplane::{Decided, Outcome};
use switch::link::Transmit;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, PortSet, Verdict};
use switch::vlan::{Retag, VlanId};
use switch::vnet::VnetHeader;
use zerocopy::{FromBytes, IntoBytes};

use crate::recording::{CopyOut, Entry, FrameIn};

/// The size of a chunk, in bytes. An entry that is longer is lost.
pub const CHUNK: usize = 256 << 10;

const FRAME: u8 = 1;
const CONTROL: u8 = 2;
const RESULT: u8 = 3;
const TIMEOUT: u8 = 4;
const PORT_DOWN: u8 = 5;
const GAP: u8 = 6;

/// Length, kind, time.
const HEADER: usize = 4 + 1 + 8;
/// What a frame has before its bytes: header, port, offload header, true length, kept length, verdict (code, VLAN, egress or
/// reason), number of copies.
const FRAME_HEADER: usize = HEADER + 2 + VnetHeader::LEN + 4 + 4 + 5 + 2;
/// Where the number of copies stands.
const COPIES_AT: usize = FRAME_HEADER - 2;
/// Egress, outcome, tag, control information of the tag.
const COPY: usize = 6;

/// How much room a frame takes, its copies aside.
pub(super) const fn frame_len(kept: usize) -> usize {
    FRAME_HEADER + kept
}

/// How much room a copy takes.
pub(super) const fn copy_len() -> usize {
    COPY
}

/// Appends a frame, of which `kept` bytes are kept, without copies.
#[inline]
pub(super) fn frame(into: &mut Vec<u8>, decided: Decided<'_>, kept: usize) {
    let Decided { now, ingress, switch: _, buffer, verdict } = decided;
    let bytes = buffer.frame();
    let (code, vlan, last) = match verdict {
        Verdict::Unicast { vlan, egress } => (1, vlan.get(), egress.0),
        Verdict::Local { vlan, egress } => (2, vlan.get(), egress.0),
        Verdict::Flood { vlan, to: _ } => (3, vlan.get(), 0),
        Verdict::Drop(reason) => (4, 0, *reason as u16),
    };
    let mut header = [0; FRAME_HEADER];
    header[..4].copy_from_slice(&((FRAME_HEADER + kept) as u32).to_ne_bytes());
    header[4] = FRAME;
    header[5..13].copy_from_slice(&now.as_nanos().to_ne_bytes());
    header[13..15].copy_from_slice(&ingress.0.to_ne_bytes());
    header[15..25].copy_from_slice(buffer.vnet().as_bytes());
    header[25..29].copy_from_slice(&(bytes.len() as u32).to_ne_bytes());
    header[29..33].copy_from_slice(&(kept as u32).to_ne_bytes());
    header[33] = code;
    header[34..36].copy_from_slice(&vlan.to_ne_bytes());
    header[36..38].copy_from_slice(&last.to_ne_bytes());
    into.extend_from_slice(&header);
    into.extend_from_slice(&bytes[..kept]);
}

/// Appends a copy to the frame that begins at `start`.
#[inline]
pub(super) fn copy(into: &mut Vec<u8>, start: usize, egress: PortId, outcome: Outcome) {
    let (code, tag, control) = match outcome {
        Outcome::Dropped(reason) => (reason as u8, 0xff, 0),
        Outcome::Offered { retag, answer } => {
            let (tag, control) = match retag {
                Retag::Keep => (0, 0),
                Retag::Push(control) => (1, control),
                Retag::Pop => (2, 0),
                Retag::Replace(control) => (3, control),
            };
            (answer as u8, tag, control)
        }
    };
    let [e0, e1] = egress.0.to_ne_bytes();
    let [c0, c1] = control.to_ne_bytes();
    into.extend_from_slice(&[e0, e1, code, tag, c0, c1]);
    let at = start + COPIES_AT;
    let count = u16::from_ne_bytes([into[at], into[at + 1]]) + 1;
    into[at..at + 2].copy_from_slice(&count.to_ne_bytes());
    let len = (into.len() - start) as u32;
    into[start..start + 4].copy_from_slice(&len.to_ne_bytes());
}

/// What is no frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Other<'a> {
    /// `made` and the change as JSON.
    Control(&'a [u8]),
    Result(PortId, Transmit),
    Timeout,
    PortDown(PortId),
    /// How many entries, and frames by port.
    Gap(u64, &'a [(PortId, u64)]),
}

/// Appends what is no frame.
pub(super) fn other(into: &mut Vec<u8>, now: Instant, other: Other<'_>) {
    let start = into.len();
    let kind = match other {
        Other::Control(_) => CONTROL,
        Other::Result(..) => RESULT,
        Other::Timeout => TIMEOUT,
        Other::PortDown(_) => PORT_DOWN,
        Other::Gap(..) => GAP,
    };
    into.extend_from_slice(&[0; 4]);
    into.push(kind);
    into.extend_from_slice(&now.as_nanos().to_ne_bytes());
    match other {
        Other::Control(json) => into.extend_from_slice(json),
        Other::Result(port, answer) => {
            into.extend_from_slice(&port.0.to_ne_bytes());
            into.push(answer as u8);
        }
        Other::Timeout => {}
        Other::PortDown(port) => into.extend_from_slice(&port.0.to_ne_bytes()),
        Other::Gap(entries, frames) => {
            into.extend_from_slice(&entries.to_ne_bytes());
            for (port, lost) in frames {
                into.extend_from_slice(&port.0.to_ne_bytes());
                into.extend_from_slice(&lost.to_ne_bytes());
            }
        }
    }
    let len = (into.len() - start) as u32;
    into[start..start + 4].copy_from_slice(&len.to_ne_bytes());
}

/// Reads chunks. What the latest entry was made of is used again for the next one.
#[derive(Debug, Default)]
pub struct Decoder {
    entry: Option<Entry>,
    flood: Option<(PortId, PortSet)>,
}

impl Decoder {
    /// A decoder.
    #[must_use]
    pub fn new() -> Self {
        Decoder::default()
    }

    /// The entry that `chunk` begins with, which is what is behind it then; `None` at its end.
    ///
    /// # Panics
    /// If it was not written by a [`Recorder`](super::Recorder).
    pub fn next(&mut self, chunk: &mut &[u8]) -> Option<&Entry> {
        let (len, _) = u32::read_from_prefix(chunk).ok()?;
        let (entry, rest) = chunk.split_at(len as usize);
        *chunk = rest;
        let kind = entry[4];
        let mut fields = Fields(&entry[5..]);
        let at = Instant::from_nanos(fields.next());
        let decoded = match kind {
            FRAME => self.frame(at, fields),
            CONTROL => {
                let (made, control) = serde_json::from_slice(fields.0).expect("a recorder has written it");
                Entry::Control { at, control, made }
            }
            RESULT => {
                let port = PortId(fields.next());
                Entry::Results { at, port, results: vec![answer(fields.next())] }
            }
            TIMEOUT => Entry::Timeout { at },
            PORT_DOWN => Entry::PortDown { at, port: PortId(fields.next()) },
            GAP => {
                let entries = fields.next();
                let count = fields.0.len() / 10;
                let frames = (0..count).map(|_| (PortId(fields.next()), fields.next())).collect();
                Entry::Gap { at, entries, frames }
            }
            other => unreachable!("no recorder writes entries of kind {other}"),
        };
        Some(self.entry.insert(decoded))
    }

    fn frame(&mut self, at: Instant, mut fields: Fields<'_>) -> Entry {
        let (mut bytes, mut copies) = match self.entry.take() {
            Some(Entry::Frame(FrameIn { bytes, copies, .. })) => (bytes, copies),
            _ => (Vec::new(), Vec::new()),
        };
        bytes.clear();
        copies.clear();
        let port = PortId(fields.next());
        let vnet = VnetHeader::read_from_bytes(fields.take(VnetHeader::LEN)).expect("as long as it is");
        let (len, kept): (u32, u32) = (fields.next(), fields.next());
        let (code, vlan, last): (u8, u16, u16) = (fields.next(), fields.next(), fields.next());
        let count: u16 = fields.next();
        bytes.extend_from_slice(fields.take(kept as usize));
        copies.extend((0..count).map(|_| {
            let (egress, code, tag, control) = (fields.next(), fields.next(), fields.next(), fields.next());
            CopyOut { egress: PortId(egress), outcome: outcome(code, tag, control) }
        }));
        let vlan = VlanId::new(vlan).unwrap_or(VlanId::NONE);
        let verdict = match code {
            1 => Verdict::Unicast { vlan, egress: PortId(last) },
            2 => Verdict::Local { vlan, egress: PortId(last) },
            3 => Verdict::Flood { vlan, to: self.flood_to(port, &copies) },
            _ => Verdict::Drop(DropReason::ALL[usize::from(last)]),
        };
        Entry::Frame(FrameIn { at, port, vnet, bytes, len: len as usize, verdict, copies })
    }

    /// The ports of a flood; often the same as of the one before.
    fn flood_to(&mut self, ingress: PortId, copies: &[CopyOut]) -> PortSet {
        let ports = || copies.iter().map(|copy| copy.egress);
        if let Some((last, to)) = &self.flood
            && *last == ingress
            && to.iter().eq(ports())
        {
            return to.clone();
        }
        let to = PortSet::new(ports().collect::<Arc<[PortId]>>(), ingress);
        self.flood = Some((ingress, to.clone()));
        to
    }
}

fn outcome(code: u8, tag: u8, control: u16) -> Outcome {
    let retag = match tag {
        0 => Retag::Keep,
        1 => Retag::Push(control),
        2 => Retag::Pop,
        3 => Retag::Replace(control),
        _ => return Outcome::Dropped(DropReason::ALL[usize::from(code)]),
    };
    Outcome::Offered { retag, answer: answer(code) }
}

fn answer(code: u8) -> Transmit {
    const ALL: [Transmit; 6] =
        [Transmit::Sent, Transmit::Queued, Transmit::Full, Transmit::Refused, Transmit::NotSegmentable, Transmit::Down];
    ALL[usize::from(code)]
}

/// What is left of an entry.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next<T: FromBytes>(&mut self) -> T {
        T::read_from_bytes(self.take(size_of::<T>())).unwrap_or_else(|_| unreachable!("as long as it is"))
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}
