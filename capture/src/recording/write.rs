//! [`Writer`]: a recording as a pcapng file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use switch::dataplane::{BridgeId, Control};
use switch::link::retag::Retagged;
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::Retag;

use super::codec::{self, BLOCK, CHUNK, FRAME, Kind, PORT};
use super::{CopyOut, Entry, FrameIn, Outcome, Scope, Start, in_words};
use crate::pcapng::{self, Interface, Packet, Section, Statistics, Way};

/// Writes a recording as it comes. What is written is a whole file up to the last entry at any time; [`Writer::finish`] adds the
/// statistics.
///
/// Each entry is one call of `write_all`; whoever writes to a file puts a [`BufWriter`](io::BufWriter) in between. Nothing is
/// allocated for an entry once it is warm.
#[derive(Debug)]
pub struct Writer<W> {
    into: W,
    buffer: Vec<u8>,
    exact: Vec<u8>,
    comment: String,
    start: u64,
    origin: u64,
    snaplen: u32,
    scope: Scope,
    ports: BTreeMap<PortId, Port>,
    /// By number: one for each port that was plugged in and shown.
    interfaces: Vec<Counts>,
}

#[derive(Debug)]
struct Port {
    bridge: BridgeId,
    name: String,
    /// `None` if it is not shown.
    interface: Option<u32>,
}

/// What the statistics tell of an interface.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    received: u64,
    lost: u64,
    /// Of those that were lost: since the last packet.
    lost_lately: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// Those of `into`.
    pub fn new(into: W, start: &Start) -> io::Result<Self> {
        let mut writer = Writer {
            into,
            buffer: Vec::new(),
            exact: Vec::new(),
            comment: String::new(),
            start: start.at.as_nanos(),
            origin: start.origin,
            snaplen: start.snaplen,
            scope: start.scope.clone(),
            ports: BTreeMap::new(),
            interfaces: Vec::new(),
        };
        let (hardware, os, application) = (&start.hardware, &start.os, &start.application);
        pcapng::section(&mut writer.buffer, &Section { hardware, os, application });
        writer.json(Kind::Start, &codec::Head::of(start))?;
        for bridge in &start.bridges {
            if writer.scope == Scope::Everything {
                writer.json(Kind::Bridge, bridge)?;
            }
            for (port, config) in &bridge.switch.ports {
                writer.plug(bridge.bridge, *port, &config.name);
            }
        }
        writer.block(Kind::Begin, &[]);
        writer.write()?;
        Ok(writer)
    }

    /// Appends an entry; nothing of it, if it is not in the recording's scope.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let is_exact = self.scope == Scope::Everything;
        match entry {
            Entry::Frame(frame) => self.frame(frame, is_exact),
            Entry::Control { at, control, made } => {
                if is_exact {
                    self.json(Kind::Control, &codec::ControlAt { at: at.as_nanos(), made: *made, control })?;
                }
                if *made {
                    self.control(control);
                }
            }
            Entry::Results { at, port, results } if is_exact => {
                self.exact.clear();
                self.exact.extend(port.0.to_le_bytes());
                self.exact.extend(results.iter().map(|answer| codec::answer_code(*answer)));
                self.block(Kind::Results, &at.as_nanos().to_le_bytes());
            }
            Entry::Timeout { at } if is_exact => {
                self.exact.clear();
                self.block(Kind::Timeout, &at.as_nanos().to_le_bytes());
            }
            Entry::PortDown { at, port } => {
                if is_exact {
                    self.exact.clear();
                    self.exact.extend(port.0.to_le_bytes());
                    self.block(Kind::PortDown, &at.as_nanos().to_le_bytes());
                }
                self.ports.remove(port);
            }
            Entry::Gap { at, entries, frames } => {
                for (port, lost) in frames {
                    if let Some(counts) = self.counts_of(*port) {
                        counts.lost += lost;
                        counts.lost_lately += lost;
                    }
                }
                self.json(Kind::Gap, &codec::GapAt { at: at.as_nanos(), entries: *entries, frames })?;
            }
            Entry::Results { .. } | Entry::Timeout { .. } => {}
        }
        self.write()
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }

    /// Ends the recording with what there is to be said of each interface, and gives back what it was written to, flushed.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn finish(mut self, at: Instant) -> io::Result<W> {
        let (start, end) = (self.unix(self.start), self.unix(at.as_nanos()));
        for (interface, counts) in self.interfaces.iter().enumerate() {
            let (received, dropped) = (counts.received + counts.lost, counts.lost);
            let statistics = Statistics { interface: interface as u32, start, end, received, dropped };
            pcapng::statistics(&mut self.buffer, &statistics);
        }
        self.write()?;
        self.into.flush()?;
        Ok(self.into)
    }

    fn control(&mut self, control: &Control<()>) {
        match control {
            Control::Plug { bridge, port, config, link: () } => self.plug(*bridge, *port, &config.name),
            Control::Unplug { port } => drop(self.ports.remove(port)),
            Control::RemoveBridge { bridge } => self.ports.retain(|_, port| port.bridge != *bridge),
            // What comes by it from now on is that of another interface: one that was told of keeps its name.
            Control::RenamePort { port, name } => {
                if let Some(bridge) = self.ports.get(port).map(|known| known.bridge) {
                    self.plug(bridge, *port, name);
                }
            }
            Control::AddBridge { .. }
            | Control::SetStation { .. }
            | Control::ClearStation { .. }
            | Control::FlushPort { .. }
            | Control::CountBridge { .. }
            | Control::CountPort { .. }
            | Control::CountDeparted { .. } => {}
        }
    }

    /// A port is there from now on, as an interface of its own if it is shown.
    fn plug(&mut self, bridge: BridgeId, port: PortId, name: &str) {
        let is_shown = match &self.scope {
            Scope::Everything => true,
            Scope::Part { ports, .. } => ports.is_empty() || ports.contains(&port),
        };
        let interface = is_shown.then(|| {
            let number = self.interfaces.len() as u32;
            self.comment.clear();
            // To a string nothing can fail to be written.
            let _ = write!(self.comment, "port {} of bridge {}", port.0, bridge.0);
            let [b0, b1] = bridge.0.to_le_bytes();
            let [p0, p1] = port.0.to_le_bytes();
            let local = [(PORT, &[b0, b1, p0, p1][..])];
            let (description, snaplen) = (&self.comment, self.snaplen);
            pcapng::interface(&mut self.buffer, &Interface { name, description, snaplen, local: &local });
            self.interfaces.push(Counts::default());
            number
        });
        self.ports.insert(port, Port { bridge, name: name.to_owned(), interface });
    }

    fn frame(&mut self, frame: &FrameIn, is_exact: bool) {
        let drops_only = matches!(self.scope, Scope::Part { drops: true, .. });
        if drops_only && !frame.has_drops() {
            return;
        }
        if let Some(interface) = self.interface(frame.port) {
            self.comment.clear();
            let ports = &self.ports;
            in_words(&mut self.comment, &frame.verdict, |into, port| put_name(into, ports, port));
            self.exact.clear();
            if is_exact {
                codec::frame(&mut self.exact, frame);
                // (A flood to some thousand ports.)
                if self.exact.len() > usize::from(u16::MAX) {
                    self.block(Kind::Frame, &[]);
                    self.exact.clear();
                }
            }
            self.packet(interface, frame, Way::In, Retag::Keep, is_exact);
        }
        for copy in &frame.copies {
            if drops_only && copy.outcome.dropped().is_none() {
                continue;
            }
            self.copy(frame, copy);
        }
    }

    fn copy(&mut self, frame: &FrameIn, copy: &CopyOut) {
        let Some(interface) = self.interface(copy.egress) else { return };
        self.comment.clear();
        if let Some(reason) = copy.outcome.dropped() {
            // To a string nothing can fail to be written.
            let _ = write!(self.comment, "drop: {reason}");
        } else {
            self.comment.push_str("from ");
            put_name(&mut self.comment, &self.ports, frame.port);
        }
        let retag = match copy.outcome {
            Outcome::Offered { retag, .. } => retag,
            Outcome::Dropped(_) => Retag::Keep,
        };
        self.packet(interface, frame, Way::Out, retag, false);
    }

    /// Appends a packet, with the comment that was made, and what is exact if it is asked for.
    fn packet(&mut self, interface: u32, frame: &FrameIn, way: Way, retag: Retag, is_exact: bool) {
        let counts = &mut self.interfaces[interface as usize];
        counts.received += 1;
        let dropped = std::mem::take(&mut counts.lost_lately);
        let kept = match self.snaplen {
            0 => &frame.bytes[..],
            most => &frame.bytes[..frame.bytes.len().min(most as usize)],
        };
        // (Of a frame that is cut within its tag, what there is.)
        let retagged = Retagged::new(kept, retag);
        let (mut pieces, shift) = match &retagged {
            Some(it) => (it.pieces(), it.shift()),
            None => ([kept, &[], &[]], 0),
        };
        if self.snaplen != 0 {
            cut(&mut pieces, self.snaplen as usize);
        }
        let local = [(FRAME, &self.exact[..])];
        let packet = Packet {
            interface,
            nanos: self.origin.wrapping_add(frame.at.as_nanos()),
            way,
            bytes: &pieces,
            len: frame.len.saturating_add_signed(isize::from(shift)),
            dropped,
            comment: &self.comment,
            local: if is_exact { &local } else { &[] },
        };
        pcapng::packet(&mut self.buffer, &packet);
    }

    /// The interface of a port, if it is shown. One that nobody has told of is made now.
    fn interface(&mut self, port: PortId) -> Option<u32> {
        if !self.ports.contains_key(&port) {
            self.plug(BridgeId(0), port, &format!("port {}", port.0));
        }
        self.ports.get(&port)?.interface
    }

    fn counts_of(&mut self, port: PortId) -> Option<&mut Counts> {
        let interface = self.interface(port)?;
        self.interfaces.get_mut(interface as usize)
    }

    fn unix(&self, nanos: u64) -> u64 {
        self.origin.wrapping_add(nanos)
    }

    /// Appends a block: what is given, and then what is exact.
    fn block(&mut self, kind: Kind, before: &[u8]) {
        let header = codec::header(kind, 0, before.len() + self.exact.len());
        pcapng::local(&mut self.buffer, BLOCK, &[&header, before, &self.exact]);
    }

    /// Appends a value in as many blocks as it takes.
    fn json(&mut self, kind: Kind, value: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_vec(value)?;
        let chunks = json.chunks(CHUNK).rev().enumerate().collect::<Vec<_>>();
        for (follow, chunk) in chunks.into_iter().rev() {
            pcapng::local(&mut self.buffer, BLOCK, &[&codec::header(kind, follow as u32, chunk.len()), chunk]);
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.into.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

fn put_name(into: &mut String, ports: &BTreeMap<PortId, Port>, port: PortId) {
    match ports.get(&port) {
        Some(port) => into.push_str(&port.name),
        // To a string nothing can fail to be written.
        None => drop(write!(into, "port {}", port.0)),
    }
}

/// Leaves at most `most` bytes of the pieces together.
fn cut(pieces: &mut [&[u8]], most: usize) {
    let mut left = most;
    for piece in pieces {
        *piece = &piece[..piece.len().min(left)];
        left -= piece.len();
    }
}
