//! How the exact part of a recording is encoded, inside pcapng's blocks and options for local use. Little-endian.
//!
//! A block is [`MAGIC`], which tells ours from other people's, what kind it is, how many blocks of the same content follow it (a
//! long one is cut, so that nobody has to read a whole table at once), and the content: JSON, but for what comes often.

use serde::{Deserialize, Serialize};
use switch::link::Transmit;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, PortSet, Verdict};
use switch::vlan::{Retag, VlanId};
use switch::vnet::VnetHeader;
use zerocopy::{FromBytes, IntoBytes};

use super::{BridgeStart, CopyOut, Entry, FrameIn, Outcome, Scope, Start};
use crate::pcapng::{LOCAL_BLOCK, LOCAL_OPTION};

/// The type of all our blocks.
pub(super) const BLOCK: u32 = LOCAL_BLOCK | 0x706e_746e;
/// What their content begins with.
pub(super) const MAGIC: [u8; 8] = *b"pontoon1";
/// The exact form of a frame that came in, on its packet.
pub(super) const FRAME: u16 = LOCAL_OPTION | 0x706e;
/// The numbers of the bridge and of the port, on an interface.
pub(super) const PORT: u16 = LOCAL_OPTION | 0x706f;
/// How much of a content one block has.
pub(super) const CHUNK: usize = 1 << 20;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Start = 1,
    Bridge = 2,
    /// The start is told, and what comes now are entries.
    Begin = 3,
    Control = 4,
    Results = 5,
    Timeout = 6,
    PortDown = 7,
    Gap = 8,
    /// The exact form of the frame whose packet comes next, if it is too long for an option.
    Frame = 9,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Start,
        Kind::Bridge,
        Kind::Begin,
        Kind::Control,
        Kind::Results,
        Kind::Timeout,
        Kind::PortDown,
        Kind::Gap,
        Kind::Frame,
    ];
}

const CUT: &str = "what only Pontoon writes is cut";

/// What a block of ours begins with: whose it is, what it holds, how many blocks with more of the same content follow, and how
/// long its own is.
pub(super) fn header(kind: Kind, follow: u32, len: usize) -> [u8; 20] {
    let mut header = [0; 20];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&(kind as u32).to_le_bytes());
    header[12..16].copy_from_slice(&follow.to_le_bytes());
    header[16..].copy_from_slice(&(len as u32).to_le_bytes());
    header
}

/// Whether a block is one of ours, and not somebody else's who took the same type.
pub(super) fn is_ours(body: &[u8]) -> bool {
    body.starts_with(&MAGIC)
}

/// What a block of ours holds, how many follow it, and its content.
pub(super) fn parse(body: &[u8]) -> Result<(Kind, u32, &[u8]), String> {
    let mut rest = Rest(body);
    rest.take::<{ MAGIC.len() }>()?;
    let kind = u32::from_le_bytes(rest.take()?);
    let kind = Kind::ALL.into_iter().find(|known| *known as u32 == kind);
    let kind = kind.ok_or("a block of a kind that is not known: a later Pontoon may have made it")?;
    let follow = u32::from_le_bytes(rest.take()?);
    let len = u32::from_le_bytes(rest.take()?);
    Ok((kind, follow, rest.0.get(..len as usize).ok_or(CUT)?))
}

/// The start, without the bridges.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) application: String,
    pub(super) os: String,
    pub(super) hardware: String,
    pub(super) at: u64,
    pub(super) origin: u64,
    pub(super) snaplen: u32,
    pub(super) scope: Scope,
}

impl Head {
    pub(super) fn of(start: &Start) -> Self {
        Head {
            application: start.application.clone(),
            os: start.os.clone(),
            hardware: start.hardware.clone(),
            at: start.at.as_nanos(),
            origin: start.origin,
            snaplen: start.snaplen,
            scope: start.scope.clone(),
        }
    }

    pub(super) fn with(self, bridges: Vec<BridgeStart>) -> Start {
        let Head { application, os, hardware, at, origin, snaplen, scope } = self;
        Start { application, os, hardware, at: Instant::from_nanos(at), origin, snaplen, scope, bridges }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ControlAt<C> {
    pub(super) at: u64,
    pub(super) made: bool,
    /// A [`Control`](switch::dataplane::Control) without a link.
    pub(super) control: C,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GapAt<F> {
    pub(super) at: u64,
    pub(super) entries: u64,
    /// Ports and how many of each.
    pub(super) frames: F,
}

/// The exact form of a frame, but for its bytes, its true length and its time, which its packet has: port, offload header,
/// verdict, copies.
///
/// Ports and VLANs are 16 bits. A verdict is a code, and for 1 (unicast) and 2 (local) VLAN and egress; for 3 (flood) VLAN, how
/// many ports, and the ports; for 4 (drop) the reason. A reason is its name behind a byte with its length: names stay, numbers
/// do not. A copy is its egress and 0 with a reason, or else 1 + 8 × what the link answered + what happened to the tag, with the
/// tag's control information.
pub(super) fn frame(into: &mut Vec<u8>, frame: &FrameIn) {
    into.extend(frame.port.0.to_le_bytes());
    into.extend_from_slice(frame.vnet.as_bytes());
    match &frame.verdict {
        Verdict::Unicast { vlan, egress } => three(into, 1, vlan.get(), egress.0),
        Verdict::Local { vlan, egress } => three(into, 2, vlan.get(), egress.0),
        Verdict::Flood { vlan, to } => {
            three(into, 3, vlan.get(), to.iter().count() as u16);
            to.iter().for_each(|port| into.extend(port.0.to_le_bytes()));
        }
        Verdict::Drop(reason) => {
            into.push(4);
            name(into, reason.name());
        }
    }
    into.extend((frame.copies.len() as u16).to_le_bytes());
    for copy in &frame.copies {
        into.extend(copy.egress.0.to_le_bytes());
        match copy.outcome {
            Outcome::Dropped(reason) => {
                into.push(0);
                name(into, reason.name());
            }
            Outcome::Offered { retag, answer } => {
                let (code, control) = match retag {
                    Retag::Keep => (0, 0),
                    Retag::Push(control) => (1, control),
                    Retag::Pop => (2, 0),
                    Retag::Replace(control) => (3, control),
                };
                into.push(1 + 8 * answer_code(answer) + code);
                into.extend(control.to_le_bytes());
            }
        }
    }
}

/// The other way round. Bytes, length and time are the packet's.
pub(super) fn read_frame(exact: &[u8]) -> Result<FrameIn, String> {
    let mut rest = Rest(exact);
    let port = rest.port()?;
    let vnet = rest.take::<{ VnetHeader::LEN }>()?;
    let vnet = VnetHeader::read_from_bytes(&vnet).map_err(|_| CUT)?;
    let [verdict] = rest.take()?;
    let verdict = match verdict {
        1 => Verdict::Unicast { vlan: rest.vlan()?, egress: rest.port()? },
        2 => Verdict::Local { vlan: rest.vlan()?, egress: rest.port()? },
        3 => {
            let (vlan, count) = (rest.vlan()?, rest.number()?);
            let members = (0..count).map(|_| rest.port()).collect::<Result<_, _>>()?;
            Verdict::Flood { vlan, to: PortSet::new(members, port) }
        }
        4 => Verdict::Drop(rest.reason()?),
        other => return Err(format!("{other} is no decision")),
    };
    let count = rest.number()?;
    let copies = (0..count).map(|_| rest.copy()).collect::<Result<_, _>>()?;
    Ok(FrameIn { at: Instant::ZERO, port, vnet, bytes: Vec::new(), len: 0, verdict, copies })
}

/// An entry that is a time, and for two of them a port, and for one of those answers.
pub(super) fn short(kind: Kind, content: &[u8]) -> Result<Entry, String> {
    let mut rest = Rest(content);
    let at = Instant::from_nanos(u64::from_le_bytes(rest.take()?));
    match kind {
        Kind::Results => {
            let port = rest.port()?;
            let results = rest.0.iter().map(|code| answer(*code)).collect::<Result<_, _>>()?;
            Ok(Entry::Results { at, port, results })
        }
        Kind::PortDown => Ok(Entry::PortDown { at, port: rest.port()? }),
        Kind::Timeout => Ok(Entry::Timeout { at }),
        Kind::Start | Kind::Bridge | Kind::Begin | Kind::Control | Kind::Gap | Kind::Frame => {
            Err(format!("{kind:?} is no short entry"))
        }
    }
}

pub(super) fn answer_code(answer: Transmit) -> u8 {
    match answer {
        Transmit::Sent => 0,
        Transmit::Queued => 1,
        Transmit::Full => 2,
        Transmit::Refused => 3,
        Transmit::NotSegmentable => 4,
        Transmit::Down => 5,
    }
}

fn three(into: &mut Vec<u8>, code: u8, vlan: u16, last: u16) {
    into.push(code);
    into.extend(vlan.to_le_bytes());
    into.extend(last.to_le_bytes());
}

fn name(into: &mut Vec<u8>, name: &str) {
    into.push(name.len() as u8);
    into.extend_from_slice(name.as_bytes());
}

fn answer(code: u8) -> Result<Transmit, String> {
    match code {
        0 => Ok(Transmit::Sent),
        1 => Ok(Transmit::Queued),
        2 => Ok(Transmit::Full),
        3 => Ok(Transmit::Refused),
        4 => Ok(Transmit::NotSegmentable),
        5 => Ok(Transmit::Down),
        other => Err(format!("{other} is no answer of a link")),
    }
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u16, String> {
        self.take().map(u16::from_le_bytes)
    }

    fn port(&mut self) -> Result<PortId, String> {
        self.number().map(PortId)
    }

    fn vlan(&mut self) -> Result<VlanId, String> {
        match self.number()? {
            0 => Ok(VlanId::NONE),
            id => VlanId::new(id).ok_or_else(|| format!("there is no VLAN {id}")),
        }
    }

    fn reason(&mut self) -> Result<DropReason, String> {
        let [len] = self.take()?;
        let (name, rest) = self.0.split_at_checked(usize::from(len)).ok_or(CUT)?;
        self.0 = rest;
        let reason = DropReason::ALL.into_iter().find(|reason| reason.name().as_bytes() == name);
        reason.ok_or_else(|| format!("'{}' is no reason for a drop that is known", String::from_utf8_lossy(name)))
    }

    fn copy(&mut self) -> Result<CopyOut, String> {
        let egress = self.port()?;
        let [code] = self.take()?;
        let Some(code) = code.checked_sub(1) else {
            return Ok(CopyOut { egress, outcome: Outcome::Dropped(self.reason()?) });
        };
        let control = self.number()?;
        let retag = match code % 8 {
            0 => Retag::Keep,
            1 => Retag::Push(control),
            2 => Retag::Pop,
            3 => Retag::Replace(control),
            other => return Err(format!("{other} is nothing that happens to a tag")),
        };
        Ok(CopyOut { egress, outcome: Outcome::Offered { retag, answer: answer(code / 8)? } })
    }
}
