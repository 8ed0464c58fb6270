//! What helps a frame to arrive that would not.

use switch::explain::{Decision, Fate, Lesson, Step};
use switch::fdb::Refusal;
use switch::verdict::DropReason;

use super::Told;

/// Nothing, for a frame that goes where it should.
pub(super) fn of(told: &Told, captured: bool) -> Vec<String> {
    let learning = told.steps.iter().find_map(learning);
    let decided = match &told.decision {
        Decision::Drop { reason } => ingress(told, *reason),
        Decision::Unicast { .. } | Decision::Local { .. } | Decision::Flood { .. } => None,
    };
    learning.into_iter().chain(too_long(told, captured)).chain(decided).collect()
}

/// Why answers would go astray.
fn learning(step: &Step<String>) -> Option<String> {
    let Step::Learning { station, learned, quota, .. } = step else { return None };
    match learned {
        Lesson::New | Lesson::Refreshed => None,
        Lesson::Moved { from } => Some(format!(
            "if somebody behind {from} has the address {station} as well, each takes the other's frames: `--mac-address` gives one \
             another"
        )),
        Lesson::Refused { refusal, .. } => match refusal {
            Refusal::Quota => Some(format!(
                "beyond {quota} stations behind one port new ones are not learned, and what is for {station} is flooded"
            )),
            Refusal::Static | Refusal::Sticky => {
                Some(format!("what is for {station} goes to the port of its entry: `pontoon bridge fdb show` lists it"))
            }
            Refusal::TableFull => Some(format!("what is for {station} is flooded until other stations are forgotten")),
            Refusal::NotKept => None,
        },
    }
}

/// A copy that is longer than a port takes.
fn too_long(told: &Told, captured: bool) -> Option<String> {
    let mtu = told.egress.iter().find_map(|egress| match egress.fate {
        Fate::Dropped { reason: DropReason::ExceedsMtu, fit: Some(fit) } => Some(fit.mtu),
        _ => None,
    })?;
    let hint =
        format!("both ends of a network need the same MTU, here {mtu}: `pontoon run --mtu`, `network create --mtu`");
    let super_frame = "; TCP's longer ones in a capture are super-frames, which cross in segments";
    Some(if captured { hint + super_frame } else { hint })
}

fn ingress(told: &Told, reason: DropReason) -> Option<String> {
    let port = &told.port;
    let hint = match reason {
        DropReason::Hairpin => {
            format!("source and destination are behind the same port, {port}: they talk without the switch")
        }
        DropReason::NoEgress => {
            format!("{port} is alone on its network: `pontoon show {}` lists the ports", told.bridge)
        }
        DropReason::ReservedDestination => {
            "what is for bridges only ends at the first one: use another group".to_owned()
        }
        DropReason::MulticastSource | DropReason::ZeroSource => {
            "the sender's interface needs an address of its own".to_owned()
        }
        DropReason::IngressVlan => format!("{port} is to carry the VLAN, or the sender to use one that it carries"),
        DropReason::Untagged => format!("the sender is to tag its frames, or {port} to have a native VLAN"),
        DropReason::EgressVlan => {
            "the destination is behind a port that does not carry the VLAN: both ends need the same".to_owned()
        }
        DropReason::Runt | DropReason::TruncatedTag => {
            "is the frame whole? It begins with the destination's address".to_owned()
        }
        DropReason::BadOffload => {
            "the sender is to say where its frame's headers end, or nothing: with offload off (`ethtool -K`) it says nothing".to_owned()
        }
        DropReason::Oversized
        | DropReason::ExceedsMtu
        | DropReason::NotSegmentable
        | DropReason::LinkFull
        | DropReason::LinkRefused
        | DropReason::LinkDown => return None,
    };
    Some(hint)
}
