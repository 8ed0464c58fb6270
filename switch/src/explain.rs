//! [`Explanation`]: why a frame goes where it goes, step by step, as plain data.
//!
//! Rules:
//! * The decision is written once: [`Switch::ingress_told`](crate::forward::Switch::ingress_told) tells each step to a
//!   [`Narrate`] as it takes it. `()` hears nothing, and a frame that nobody asked about pays nothing.
//! * The steps are the rules that stand in [`crate::forward`], in their order: those of one frame end with the rule that
//!   decided.
//! * An explanation changes and sends nothing: the decision is made on an excerpt of the switch, which is forgotten.
//! * What only the moment of sending tells is not foretold: whether the link has room, whether its far side is up.
//!
//! Ports are numbers for whoever has the switch, and names for everybody else: hence the parameter `P`.

use serde::{Deserialize, Serialize};

use crate::fdb::{EntryKind, FdbEntry, Learned, Refusal};
use crate::forward::Fit;
use crate::frame::{Frame, Tag};
use crate::mac::MacAddr;
use crate::verdict::{DropReason, PortId, Verdict};
use crate::vlan::VlanId;

mod named;

/// Who is told of the steps of a decision while it is made.
pub trait Narrate {
    /// Takes note of a step. One that nobody wants is not even put together.
    fn tell(&mut self, step: impl FnOnce() -> Step);
}

/// Nobody.
impl Narrate for () {
    #[inline(always)]
    fn tell(&mut self, _: impl FnOnce() -> Step) {}
}

impl Narrate for Vec<Step> {
    fn tell(&mut self, step: impl FnOnce() -> Step) {
        self.push(step());
    }
}

/// What would become of one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation<P = PortId> {
    /// The bridge that decides.
    pub bridge: String,
    /// The port that the frame comes in by.
    pub port: P,
    /// How it is decided, in order.
    pub steps: Vec<Step<P>>,
    /// Each port of the bridge, ascending, if the frame gets as far as to be given to any.
    pub egress: Vec<Egress<P>>,
    /// What is decided.
    #[serde(flatten)]
    pub decision: Decision<P>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step<P = PortId> {
    /// The frame has a whole header.
    Parsed(Header),
    /// It has not, and is dropped.
    Unreadable {
        /// Its length in bytes.
        length: usize,
        /// Why.
        reason: DropReason,
    },
    /// Whether a station can have the source's address.
    Source {
        /// The address.
        station: MacAddr,
        /// Why the frame is dropped, if none can.
        reason: Option<DropReason>,
    },
    /// Which VLAN the frame belongs to, and whether the port carries it.
    Vlan {
        /// The VLAN; none if there is none to be found, or it is no number of one.
        vlan: Option<VlanId>,
        /// How it was found.
        by: FoundBy,
        /// Why the frame is dropped, if the port does not carry it.
        reason: Option<DropReason>,
    },
    /// What is learned of the source.
    Learning {
        /// The source.
        station: MacAddr,
        /// What hearing it does to the FDB.
        #[serde(flatten)]
        learned: Lesson<P>,
        /// How many stations the port has then towards its quota.
        stations: usize,
        /// How many it may have.
        quota: usize,
    },
    /// The destination is one that is not forwarded, and the frame is dropped.
    Reserved {
        /// The destination.
        destination: MacAddr,
    },
    /// Where the destination is.
    Lookup {
        /// The destination.
        station: MacAddr,
        /// What is known of it.
        #[serde(flatten)]
        found: Found<P>,
    },
}

/// What the switch reads of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whom it is for.
    pub destination: MacAddr,
    /// Whom it is from.
    pub source: MacAddr,
    /// Its tags, at most two.
    pub tags: Vec<TagInfo>,
    /// What stands behind them: an EtherType from 0x0600, a length up to 1500.
    pub ethertype: u16,
    /// Its length in bytes.
    pub length: usize,
    /// How many frames it is on a real wire: one, unless it is a super-frame.
    pub wire_frames: u64,
    /// The length of the longest of these, in bytes.
    pub longest_segment: usize,
}

/// A tag, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagInfo {
    /// What kind of tag: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// The VLAN's number; 0 in a tag that carries a priority only.
    pub vlan: u16,
    /// The priority, 0 to 7.
    pub priority: u8,
    /// Whether it may be dropped before others.
    pub drop_eligible: bool,
}

/// How the VLAN of a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The switch does not look at tags: there is but one.
    NotFiltering,
    /// The outer tag names it.
    Tag,
    /// The outer tag carries a priority only: it is the port's native one.
    PriorityTag,
    /// There is no tag that counts: it is the port's native one.
    Native,
}

/// What hearing a station does to the FDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Lesson<P = PortId> {
    /// It was not known, and now is.
    New,
    /// It is where it was, and its age starts anew.
    Refreshed,
    /// It was behind another port.
    Moved {
        /// Which.
        from: P,
    },
    /// The table stays as it is.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The port that the table has it behind, if it has.
        behind: Option<P>,
    },
}

/// What the FDB knows of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Found<P = PortId> {
    /// It is a group: there is nothing to look up.
    Group,
    /// It is behind a port.
    Known {
        /// Which.
        behind: P,
        /// How the entry behaves.
        kind: EntryKind,
        /// How long ago it was last heard, or the entry set, in whole seconds.
        age: u64,
    },
    /// It was behind a port, but has been silent for the ageing time.
    Expired {
        /// Which.
        behind: P,
        /// How long ago it was last heard, in whole seconds.
        age: u64,
    },
    /// Nothing.
    Unknown,
}

/// One port, and whether a copy of the frame leaves by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Egress<P = PortId> {
    /// The port.
    pub port: P,
    /// Whether it is the bridge's own: the host.
    pub is_local: bool,
    /// What becomes of the copy.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What becomes of the copy for one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// There is none.
    Out {
        /// Why not.
        because: Out,
    },
    /// There is one, and it is dropped.
    Dropped {
        /// Why.
        reason: DropReason,
        /// How it fits, where that was looked at.
        #[serde(flatten)]
        fit: Option<Fit>,
    },
    /// It leaves.
    Leaves {
        /// How it fits.
        #[serde(flatten)]
        fit: Fit,
        /// As how many frames: several where a link without offload needs a super-frame cut into segments.
        frames: u64,
    },
}

/// Why a port gets no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Out {
    /// The frame came from it.
    Ingress,
    /// It does not carry the VLAN.
    NotInVlan,
    /// The destination is behind another port.
    OtherPort,
}

/// A verdict, its ports by `P`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Decision<P = PortId> {
    /// To one port: the station is known.
    Unicast {
        /// Which.
        to: P,
    },
    /// To every other port of the VLAN.
    Flood {
        /// Which, ascending.
        to: Vec<P>,
    },
    /// To the bridge's own port: the host itself.
    Local {
        /// Which.
        to: P,
    },
    /// To nobody.
    Drop {
        /// Why.
        reason: DropReason,
    },
}

impl Header {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        Header {
            destination: frame.destination(),
            source: frame.source(),
            tags: frame.outer().into_iter().chain(frame.inner()).map(TagInfo::from).collect(),
            ethertype: frame.ethertype(),
            length: frame.bytes().len(),
            wire_frames: frame.wire_frames(),
            longest_segment: frame.longest_segment(),
        }
    }
}

impl From<Tag> for TagInfo {
    fn from(tag: Tag) -> Self {
        let [priority_bits, _] = tag.tci.to_be_bytes();
        let (priority, drop_eligible) = (priority_bits >> 5, priority_bits & 0x10 != 0);
        TagInfo { tpid: tag.tpid, vlan: tag.vid(), priority, drop_eligible }
    }
}

impl FoundBy {
    /// `tag`: the one that counts, where tags are looked at.
    pub(crate) fn of(tag: Option<Tag>) -> Self {
        match tag {
            Some(tag) if tag.vid() != 0 => FoundBy::Tag,
            Some(_) => FoundBy::PriorityTag,
            None => FoundBy::Native,
        }
    }
}

impl Found {
    /// `known`: what the lookup gave; `entry`: what the table has, expired or not.
    pub(crate) fn of(known: Option<PortId>, entry: Option<FdbEntry>) -> Self {
        match (known, entry) {
            (Some(behind), Some(FdbEntry { kind, age, .. })) => Found::Known { behind, kind, age: age.as_secs() },
            (None, Some(FdbEntry { port, age, .. })) => Found::Expired { behind: port, age: age.as_secs() },
            (Some(_) | None, None) => Found::Unknown,
        }
    }
}

impl Lesson {
    /// `behind`: the port that the table has the station behind, after it was heard.
    pub(crate) fn of(learned: Learned, behind: Option<PortId>) -> Self {
        match learned {
            Learned::New => Lesson::New,
            Learned::Refreshed => Lesson::Refreshed,
            Learned::Moved { from } => Lesson::Moved { from },
            Learned::Refused(refusal) => Lesson::Refused { refusal, behind },
        }
    }
}

impl From<&Verdict> for Decision {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Unicast { vlan: _, egress } => Decision::Unicast { to: *egress },
            Verdict::Flood { vlan: _, to } => Decision::Flood { to: to.iter().collect() },
            Verdict::Local { vlan: _, egress } => Decision::Local { to: *egress },
            Verdict::Drop(reason) => Decision::Drop { reason: *reason },
        }
    }
}
