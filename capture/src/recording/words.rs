//! Decisions in words.

use std::fmt::Write as _;

use switch::verdict::{PortId, Verdict};

/// Appends a decision as people read it: `unicast to web.eth0`, `flood to a.eth0, b.eth0`, `drop: hairpin`. `name` appends what
/// a port is called.
pub fn in_words(into: &mut String, verdict: &Verdict, mut name: impl FnMut(&mut String, PortId)) {
    match verdict {
        Verdict::Unicast { egress, .. } => {
            into.push_str("unicast to ");
            name(into, *egress);
        }
        Verdict::Local { egress, .. } => {
            into.push_str("local to ");
            name(into, *egress);
        }
        Verdict::Flood { to, .. } => {
            for (at, port) in to.iter().enumerate() {
                into.push_str(if at == 0 { "flood to " } else { ", " });
                name(into, port);
            }
        }
        Verdict::Drop(reason) => {
            // To a string nothing can fail to be written.
            let _ = write!(into, "drop: {reason}");
        }
    }
}
