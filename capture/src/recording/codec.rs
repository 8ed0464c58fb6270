//! How the exact part of a recording is encoded, inside pcapng's blocks and options for local use. Little-endian.
//!
//! A block is [`MAGIC`], which tells ours from other people's, what kind it is, how many blocks of the same content follow it (a
//! long one is cut, so that nobody has to read a whole table at once), and the content: JSON, but for what comes often.

use serde::{Deserialize, Serialize};
use switch::dataplane::Control;
use switch::link::Transmit;
use switch::verdict::{PortId, Verdict};
use switch::vlan::Retag;
use zerocopy::IntoBytes;

use super::{FrameIn, Outcome, Scope, Start};
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

/// What a block of ours begins with: whose it is, what it holds, and how many blocks with more of the same content follow.
pub(super) fn header(kind: Kind, follow: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&(kind as u32).to_le_bytes());
    header[12..].copy_from_slice(&follow.to_le_bytes());
    header
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
}

#[derive(Debug, Serialize)]
pub(super) struct ControlAt<'a> {
    pub(super) at: u64,
    pub(super) made: bool,
    pub(super) control: &'a Control<()>,
}

#[derive(Debug, Serialize)]
pub(super) struct GapAt<'a> {
    pub(super) at: u64,
    pub(super) entries: u64,
    pub(super) frames: &'a [(PortId, u64)],
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
