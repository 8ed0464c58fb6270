//! `explain`: the steps of a decision in plain words, each with its reason and the clause that it comes of.
//!
//! Clauses are IEEE 802.1Q-2022's, if nothing else is said.

mod hints;

use switch::explain::{Decision, Egress, Explanation, Fate, Found, FoundBy, Header, Lesson, Out, Step};
use switch::fdb::{EntryKind, Refusal};
use switch::forward::Fit;
use switch::verdict::DropReason;
use switch::vlan::{Retag, VlanId};

use super::{table, text as lines_of};

/// How many ports a verdict names before it counts them.
const NAMED: usize = 4;

type Told = Explanation<String>;

/// The steps, the ports, what helps, and the verdict. `captured`: the frame comes of a file, which does not tell of super-frames.
#[must_use]
pub fn text(told: &Told, captured: bool) -> String {
    let mut steps = table(&["", "", ""]);
    for (number, step) in (1..).zip(&told.steps) {
        let (name, what) = in_words(told, step);
        steps.add_row([format!("{number}."), name.to_owned(), what]);
    }
    if !told.egress.is_empty() {
        steps.add_row([
            format!("{}.", told.steps.len() + 1),
            "egress".to_owned(),
            "which ports get a copy (8.6.4)".to_owned(),
        ]);
    }
    let mut text = format!("{} into {} of bridge {}\n", length(told), told.port, told.bridge);
    text.push_str(without_header(&lines_of(steps, &[])));
    text.push_str(&ports(&told.egress));
    for hint in hints::of(told, captured) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text.push_str(&format!("verdict: {}\n", verdict(told)));
    text
}

fn without_header(table: &str) -> &str {
    table.split_once('\n').map_or("", |(_, rows)| rows)
}

fn length(told: &Told) -> String {
    match told.steps.first() {
        Some(Step::Parsed(Header { length, .. }) | Step::Unreadable { length, .. }) => bytes(*length),
        _ => "a frame".to_owned(),
    }
}

fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

/// What a step is about, and what it found.
fn in_words(told: &Told, step: &Step<String>) -> (&'static str, String) {
    match step {
        Step::Parsed(header) => ("header", header_in_words(header)),
        Step::Unreadable { reason, .. } => ("header", unreadable(*reason)),
        Step::Source { station, reason } => (
            "source",
            match reason {
                None => format!("{station} is an address that a station can have"),
                Some(DropReason::MulticastSource) => {
                    format!("{station} is a group's address, which no station has (IEEE 802.3, 3.2.3)")
                }
                Some(_) => format!("{station} is nobody's address"),
            },
        ),
        Step::Vlan { vlan, by, reason } => ("vlan", vlan_in_words(told, *vlan, *by, *reason)),
        Step::Learning { station, learned, stations, quota } => {
            ("learning", format!("{} (8.7)", lesson(told, &station.to_string(), learned, *stations, *quota)))
        }
        Step::Reserved { destination } => {
            ("lookup", format!("{destination} is for bridges only, and never forwarded (8.6.3, table 8-1)"))
        }
        Step::Lookup { station, found } => {
            ("lookup", format!("{} (8.8)", found_in_words(told, &station.to_string(), found)))
        }
    }
}

fn header_in_words(header: &Header) -> String {
    let tags: Vec<String> = header
        .tags
        .iter()
        .map(|tag| {
            let kind = if tag.tpid == switch::frame::Tag::CUSTOMER { "C-tag" } else { "S-tag" };
            let eligible = if tag.drop_eligible { ", drop eligible" } else { "" };
            format!("{kind} of VLAN {} with priority {}{eligible}", tag.vlan, tag.priority)
        })
        .collect();
    let tags = if tags.is_empty() { "no tag".to_owned() } else { tags.join(" and ") };
    let segments = match header.wire_frames {
        1 => String::new(),
        several => format!(", a super-frame of {several} segments of at most {}", bytes(header.longest_segment)),
    };
    format!(
        "{} to {}, {}, {tags}{segments} (IEEE 802.3, 3.1.1)",
        header.source,
        header.destination,
        ethertype(header.ethertype)
    )
}

/// The name of a type, where it has one that everybody knows (IANA, IEEE 802 numbers).
fn ethertype(number: u16) -> String {
    let name = match number {
        0..=1500 => return format!("IEEE 802.3 with length {number}"),
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x86dd => "IPv6",
        0x8100 | 0x88a8 => "a third tag",
        0x88cc => "LLDP",
        _ => return format!("type {number:#06x}"),
    };
    format!("{name} ({number:#06x})")
}

fn unreadable(reason: DropReason) -> String {
    match reason {
        DropReason::Runt => "too short for an Ethernet header of 14 bytes (IEEE 802.3, 3.1.1)".to_owned(),
        DropReason::TruncatedTag => "the frame ends in the middle of a tag (clause 9)".to_owned(),
        DropReason::BadOffload => "its offload header can not be true of it (virtio 1.2, 5.1.6)".to_owned(),
        DropReason::Oversized => format!("no buffer holds more than {}", bytes(switch::buffer::MAX_FRAME)),
        other => other.to_string(),
    }
}

fn vlan_in_words(told: &Told, vlan: Option<VlanId>, by: FoundBy, reason: Option<DropReason>) -> String {
    let number = vlan.map(|vlan| vlan.get().to_string()).unwrap_or_default();
    let port = &told.port;
    match (by, reason) {
        (FoundBy::NotFiltering, _) => {
            format!("bridge {} does not look at tags: all its frames are of one VLAN", told.bridge)
        }
        (FoundBy::Tag, None) => format!("the tag says {number}, which {port} carries (6.9.1, 8.6.2)"),
        (FoundBy::Tag, Some(_)) if vlan.is_none() => "the tag says 4095, which is no VLAN (table 9-2)".to_owned(),
        (FoundBy::Tag, Some(_)) => format!("the tag says {number}, which {port} does not carry (8.6.2)"),
        (FoundBy::PriorityTag, None) => format!("the tag is of a priority only: {port} takes it for {number} (6.9.1)"),
        (FoundBy::Native, None) => format!("without a tag {port} takes it for {number} (6.9.1)"),
        (FoundBy::PriorityTag | FoundBy::Native, Some(_)) => {
            format!("without a VLAN in a tag it is of none: {port} has no native one (6.9.1)")
        }
    }
}

fn lesson(told: &Told, station: &str, learned: &Lesson<String>, stations: usize, quota: usize) -> String {
    let port = &told.port;
    let (refusal, behind) = match learned {
        Lesson::New => return format!("{station} was not known, and is behind {port} from now on"),
        Lesson::Refreshed => return format!("{station} is behind {port}, as known; its age starts anew"),
        Lesson::Moved { from } => return format!("{station} was behind {from}, and is behind {port} from now on"),
        Lesson::Refused { refusal, behind } => (refusal, behind),
    };
    let stays = match behind {
        Some(behind) => format!("{station} stays behind {behind}"),
        None => format!("{station} is not learned"),
    };
    match refusal {
        Refusal::Static => format!("{stays}: it has a static entry"),
        Refusal::Sticky => format!("{stays}: it has a sticky entry"),
        Refusal::Quota => format!("{stays}: {port} has {stations} stations, and may have {quota}"),
        Refusal::TableFull => format!("{stays}: the FDB is full"),
        Refusal::NotKept => format!("{stays}: the ageing time is zero"),
    }
}

fn found_in_words(told: &Told, station: &str, found: &Found<String>) -> String {
    match found {
        Found::Group if station == "ff:ff:ff:ff:ff:ff" => {
            format!("{station} is everybody: to all other ports of the VLAN")
        }
        Found::Group => format!("{station} is a group: to all other ports of the VLAN"),
        Found::Known { behind, kind: EntryKind::Static, .. } => format!("{station} is behind {behind}: a static entry"),
        Found::Known { behind, .. } if *behind == told.port && is_own_source(told, station) => {
            format!("{station} is behind {behind}: the source itself")
        }
        Found::Known { behind, kind, age } => {
            let sticky = if *kind == EntryKind::Sticky { ", a sticky entry" } else { "" };
            format!("{station} is behind {behind}: last heard {age} s ago{sticky}")
        }
        Found::Expired { behind, age } => {
            format!("{station} was behind {behind}, but was not heard for {age} s: to all other ports of the VLAN")
        }
        Found::Unknown => format!("{station} has not been heard: to all other ports of the VLAN"),
    }
}

fn is_own_source(told: &Told, station: &str) -> bool {
    matches!(told.steps.first(), Some(Step::Parsed(header)) if header.source.to_string() == station)
}

/// The ports, aligned.
fn ports(egress: &[Egress<String>]) -> String {
    if egress.is_empty() {
        return String::new();
    }
    let mut rows = table(&["", "", ""]);
    for Egress { port, is_local, fate } in egress {
        let name = if *is_local { format!("{port} (the host)") } else { port.clone() };
        let (way, why) = fate_in_words(fate);
        rows.add_row([format!("   {name}"), way.to_owned(), why]);
    }
    without_header(&lines_of(rows, &[])).to_owned()
}

fn fate_in_words(fate: &Fate) -> (&'static str, String) {
    match fate {
        Fate::Out { because } => (
            "out",
            match because {
                Out::Ingress => "the frame came in by it (8.6.1)",
                Out::NotInVlan => "it does not carry the VLAN (8.6.4)",
                Out::OtherPort => "the destination is behind another port (8.6.3)",
            }
            .to_owned(),
        ),
        Fate::Dropped { reason: DropReason::ExceedsMtu, fit: Some(fit) } => (
            "out",
            format!(
                "dropped: {} are more than the {} that its MTU of {} allows (6.5.8)",
                bytes(fit.length),
                fit.limit,
                fit.mtu
            ),
        ),
        Fate::Dropped { reason, .. } => ("out", format!("dropped: {}", egress_drop(*reason))),
        Fate::Leaves { fit, frames } => {
            let cut = if *frames > 1 { format!(", cut into {frames} frames") } else { String::new() };
            ("in", format!("{}, {} of at most {}{cut}", tag(fit), bytes(fit.length), fit.limit))
        }
    }
}

fn egress_drop(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotSegmentable => "it takes finished frames only, and this one can not be finished",
        DropReason::LinkDown => "its link has ended",
        DropReason::EgressVlan => "it does not carry the VLAN (8.6.4)",
        other => other.name(),
    }
}

fn tag(fit: &Fit) -> String {
    const VLAN: u16 = 0x0fff;
    match fit.tag {
        Retag::Keep => "as it came".to_owned(),
        Retag::Push(control) => format!("with a tag of VLAN {} put in (6.9.2)", control & VLAN),
        Retag::Pop => "with its outer tag taken out (6.9.2)".to_owned(),
        Retag::Replace(control) => format!("with its outer tag changed to VLAN {} (6.9.2)", control & VLAN),
    }
}

fn verdict(told: &Told) -> String {
    let dropped: Vec<DropReason> = told.egress.iter().filter_map(|egress| dropped(&egress.fate)).collect();
    match &told.decision {
        Decision::Drop { reason } => format!("dropped: {reason}"),
        Decision::Unicast { to } => format!("unicast to {to}{}", one_dropped(&dropped)),
        Decision::Local { to } => format!("to the host, by {to}{}", one_dropped(&dropped)),
        Decision::Flood { to } => {
            let whom = match to.len() {
                1..=NAMED => to.join(", "),
                many => format!("{many} ports"),
            };
            let lost = match dropped.len() {
                0 => String::new(),
                some if some == to.len() => ", where every copy is dropped".to_owned(),
                some => format!(", of which {some} drop their copy"),
            };
            format!("flooded to {whom}{lost}")
        }
    }
}

fn dropped(fate: &Fate) -> Option<DropReason> {
    match fate {
        Fate::Dropped { reason, .. } => Some(*reason),
        Fate::Out { .. } | Fate::Leaves { .. } => None,
    }
}

fn one_dropped(dropped: &[DropReason]) -> String {
    dropped.first().map(|reason| format!(", where it is dropped: {reason}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
