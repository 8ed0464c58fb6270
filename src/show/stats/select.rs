//! Which networks and ports are shown, and in which order.

use netns::record::container_of;
use switch::dataplane::PortStatistics;

use super::Bridge;
use crate::cli::stats::SortKey;

/// Leaves only what is named: networks and bridges with all their ports, containers with theirs, and ports. All, if nothing
/// is. `*` and `?` stand for any characters and for one.
///
/// # Errors
/// A name that nothing has, and the name that is most like it.
pub fn keep_only(bridges: &mut Vec<Bridge>, names: &[String]) -> Result<(), (String, Option<String>)> {
    let unknown = names.iter().find(|name| {
        let is_known = |bridge: &Bridge| {
            names_bridge(name, bridge) || bridge.bridge.ports.iter().any(|port| names_port(name, port))
        };
        !bridges.iter().any(is_known)
    });
    if let Some(unknown) = unknown {
        return Err((unknown.clone(), nearest(unknown, bridges)));
    }
    if names.is_empty() {
        return Ok(());
    }
    for it in bridges.iter_mut().filter(|bridge| !names.iter().any(|name| names_bridge(name, bridge))) {
        it.bridge.ports.retain(|port| names.iter().any(|name| names_port(name, port)));
    }
    bridges.retain(|bridge| !bridge.bridge.ports.is_empty() || names.iter().any(|name| names_bridge(name, bridge)));
    Ok(())
}

/// Sorts networks, and the ports of each: the largest first, names from A to Z.
pub fn sort(bridges: &mut [Bridge], key: SortKey, reverse: bool) {
    for bridge in bridges.iter_mut() {
        sort_ports(&mut bridge.bridge.ports, key, reverse);
    }
}

/// Sorts ports.
pub fn sort_ports<P: std::borrow::Borrow<PortStatistics>>(ports: &mut [P], key: SortKey, reverse: bool) {
    ports.sort_by(|one, other| {
        let (one, other) = (one.borrow(), other.borrow());
        let by_name = one.name.cmp(&other.name);
        let order = match key {
            SortKey::Name => by_name,
            _ => number(other, key).cmp(&number(one, key)).then(by_name),
        };
        if reverse { order.reverse() } else { order }
    });
}

fn number(port: &PortStatistics, key: SortKey) -> u64 {
    let (rx, tx) = (&port.counters.rx, &port.counters.tx);
    match key {
        SortKey::Name => 0,
        SortKey::Packets => rx.packets + tx.packets,
        SortKey::Bytes => rx.bytes + tx.bytes,
        SortKey::Drops => rx.dropped + tx.dropped,
        SortKey::Missed => port.rx_missed,
        SortKey::Unicast => rx.unicast + tx.unicast,
        SortKey::Multicast => rx.multicast + tx.multicast,
        SortKey::Broadcast => rx.broadcast + tx.broadcast,
        SortKey::Flooded => rx.flooded,
    }
}

fn names_bridge(pattern: &str, bridge: &Bridge) -> bool {
    matches(pattern, &bridge.network) || matches(pattern, &bridge.bridge.name)
}

/// A port is named by its own name, or by that of its container.
fn names_port(pattern: &str, port: &PortStatistics) -> bool {
    matches(pattern, &port.name) || container_of(&port.name).is_some_and(|container| matches(pattern, container))
}

/// Whether a text is as a pattern says: `*` is anything, `?` is one character, all else is itself.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // Where the last `*` was, and how much of the text it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match (pattern.get(at), star) {
            (Some('*'), _) => {
                star = Some((at, in_text));
                at += 1;
            }
            (Some(own), _) if *own == '?' || *own == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            (_, Some((last, taken))) => {
                star = Some((last, taken + 1));
                (at, in_text) = (last + 1, taken + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|each| *each == '*')
}

/// What the user may have meant.
fn nearest(name: &str, bridges: &[Bridge]) -> Option<String> {
    let ports = bridges.iter().flat_map(|bridge| &bridge.bridge.ports).map(|port| port.name.as_str());
    let containers = ports.clone().filter_map(container_of);
    let networks = bridges.iter().flat_map(|bridge| [bridge.network.as_str(), bridge.bridge.name.as_str()]);
    let known = networks.chain(containers).chain(ports);
    let distances = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    // (Of a name of one letter nothing would be left.)
    let length = name.chars().count();
    (distance <= (1 + length / 4).min(length / 2)).then(|| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bridge, port_names};
    use super::*;

    #[test]
    fn a_name_is_that_of_a_network_a_bridge_a_container_or_a_port() {
        let all = || {
            vec![bridge("bridge", "pontoon0", &["a.eth0", "b.eth0"]), bridge("back", "br-1", &["a.eth1", "c.d.eth0"])]
        };
        let left = |names: &[&str]| {
            let mut bridges = all();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            keep_only(&mut bridges, &names).map(|()| port_names(&bridges).join(" "))
        };
        assert_eq!(left(&[]).unwrap(), "a.eth0 b.eth0 a.eth1 c.d.eth0");
        assert_eq!(left(&["pontoon0"]).unwrap(), "a.eth0 b.eth0");
        assert_eq!(left(&["back"]).unwrap(), "a.eth1 c.d.eth0");
        assert_eq!(left(&["a"]).unwrap(), "a.eth0 a.eth1");
        assert_eq!(left(&["c.d"]).unwrap(), "c.d.eth0");
        assert_eq!(left(&["b.eth0", "br-1"]).unwrap(), "b.eth0 a.eth1 c.d.eth0");
        assert_eq!(left(&["*.eth1"]).unwrap(), "a.eth1");
        assert_eq!(left(&["?.eth0"]).unwrap(), "a.eth0 b.eth0");
        assert_eq!(left(&["a.eth9"]), Err(("a.eth9".into(), Some("a.eth0".into()))));
        assert_eq!(left(&["bakc"]), Err(("bakc".into(), Some("back".into()))));
        assert_eq!(left(&["nothing-like-it"]), Err(("nothing-like-it".into(), None)));
        assert_eq!(left(&["z*"]).unwrap_err().0, "z*");
    }

    #[test]
    fn a_star_stands_for_anything_and_a_question_mark_for_one() {
        let cases = [
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*.eth?", "web.eth0", true),
            ("*b*b", "abab", true),
            ("a**", "a", true),
            ("[a]", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn ports_are_sorted_with_the_largest_first_and_names_from_a_to_z() {
        let mut bridges = [bridge("bridge", "pontoon0", &["b.eth0", "a.eth0", "c.eth0"])];
        bridges[0].bridge.ports[0].counters.rx.packets = 2;
        bridges[0].bridge.ports[2].counters.tx.packets = 7;
        sort(&mut bridges, SortKey::Packets, false);
        assert_eq!(port_names(&bridges), ["c.eth0", "b.eth0", "a.eth0"]);
        sort(&mut bridges, SortKey::Packets, true);
        assert_eq!(port_names(&bridges), ["a.eth0", "b.eth0", "c.eth0"]);
        sort(&mut bridges, SortKey::Name, true);
        assert_eq!(port_names(&bridges), ["c.eth0", "b.eth0", "a.eth0"]);
    }
}
