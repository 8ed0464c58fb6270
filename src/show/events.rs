//! `bridge monitor`, line by line: of stations and ports as bridge(8) tells of them, and of what it does not know in its manner.

use std::time::{Duration, UNIX_EPOCH};

use control::Told;
use netns::event::{Container, Entry, Event, Membership, Network, Port};

/// How much of an id is shown.
const SHORT: usize = 12;

/// One line: with its time in brackets, and with a label as bridge(8) has them when it tells of everything.
#[must_use]
pub fn line(told: &Told, timestamp: bool, labels: bool) -> String {
    let (label, text) = words(&told.event);
    let time = timestamp.then(|| {
        // (Microseconds are as much as there is.)
        let since = Duration::from_micros((told.time * 1e6).round() as u64);
        format!("[{}] ", humantime::format_rfc3339_micros(UNIX_EPOCH + since))
    });
    format!("{}{}{text}", time.unwrap_or_default(), if labels { label } else { "" })
}

fn words(event: &Event) -> (&'static str, String) {
    match event {
        Event::Learned(it) | Event::Set(it) => ("[NEIGH]", entry(it)),
        Event::Moved { entry: it, from } => ("[NEIGH]", format!("{} moved from {from}", entry(it))),
        Event::Aged(it) => ("[NEIGH]", format!("Deleted {} stale", entry(it))),
        Event::Evicted(it) => ("[NEIGH]", format!("Deleted {}", entry(it))),
        Event::PortUp(it) => ("[LINK]", format!("{} state forwarding", port(it))),
        Event::PortDown(it) => ("[LINK]", format!("Deleted {}", port(it))),
        Event::PortRenamed { port: it, from } => ("[LINK]", format!("{} renamed from {from}", port(it))),
        Event::ContainerCreated(it) => ("[CONTAINER]", format!("{} created", container(it))),
        Event::ContainerStarted(it) => ("[CONTAINER]", format!("{} started", container(it))),
        Event::ContainerExited { container: it, exit_status } => {
            ("[CONTAINER]", format!("{} exited ({exit_status})", container(it)))
        }
        Event::ContainerRemoved(it) => ("[CONTAINER]", format!("{} removed", container(it))),
        Event::NetworkCreated(it) => ("[NETWORK]", format!("{} created", network(it))),
        Event::NetworkRemoved(it) => ("[NETWORK]", format!("{} removed", network(it))),
        Event::Connected(it) => ("[NETWORK]", format!("{} connected", membership(it))),
        Event::Disconnected(it) => ("[NETWORK]", format!("{} disconnected", membership(it))),
        Event::Lost { count: 1 } => ("", "1 event lost".to_owned()),
        Event::Lost { count } => ("", format!("{count} events lost")),
    }
}

fn entry(Entry { mac, ifname, vlan, master, flags, state }: &Entry) -> String {
    let vlan = vlan.map(|vlan| format!("vlan {vlan} ")).unwrap_or_default();
    let words = flags.iter().chain([state]).filter(|word| !word.is_empty());
    let words: String = words.map(|word| format!(" {word}")).collect();
    format!("{mac} dev {ifname} {vlan}master {master}{words}")
}

fn port(Port { ifindex, ifname, master }: &Port) -> String {
    format!("{ifindex}: {ifname}: master {master}")
}

fn container(Container { container, id }: &Container) -> String {
    format!("{container} {}", short(id))
}

fn network(Network { network, id, bridge }: &Network) -> String {
    format!("{network} {} bridge {bridge}", short(id))
}

fn membership(Membership { network, container, id }: &Membership) -> String {
    format!("{network}: {container} {}", short(id))
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events there are, each with its line and its object.
    #[test]
    fn each_event_has_its_line_and_its_object() {
        let entry = || Entry {
            mac: "02:42:ac:11:00:02".parse().expect("a MAC"),
            ifname: "web.eth0".into(),
            vlan: None,
            master: "pontoon0".into(),
            flags: Vec::new(),
            state: String::new(),
        };
        let fixed = Entry { vlan: Some(7), flags: vec!["sticky".into()], state: "static".into(), ..entry() };
        let port = || Port { ifindex: 3, ifname: "web.eth0".into(), master: "pontoon0".into() };
        let id = "0123456789abcdef".to_owned();
        let container = || Container { container: "web".into(), id: id.clone() };
        let network = || Network { network: "back".into(), id: id.clone(), bridge: "br-0123456789ab".into() };
        let member = || Membership { network: "back".into(), container: "web".into(), id: id.clone() };
        let events = [
            Event::Learned(entry()),
            Event::Moved { entry: entry(), from: "db.eth0".into() },
            Event::Set(fixed),
            Event::Aged(entry()),
            Event::Evicted(entry()),
            Event::PortUp(port()),
            Event::PortDown(port()),
            Event::PortRenamed { port: port(), from: "0123456789ab.eth0".into() },
            Event::ContainerCreated(container()),
            Event::ContainerStarted(container()),
            Event::ContainerExited { container: container(), exit_status: 3 },
            Event::ContainerRemoved(container()),
            Event::NetworkCreated(network()),
            Event::NetworkRemoved(network()),
            Event::Connected(member()),
            Event::Disconnected(member()),
            Event::Lost { count: 1 },
            Event::Lost { count: 5 },
        ];
        let mut text = String::new();
        for event in events {
            let told = Told { time: 1_764_365_063.123_456, event };
            let json = serde_json::to_string(&told).expect("JSON");
            assert_eq!(serde_json::from_str::<Told>(&json).expect("the same"), told);
            text.push_str(&format!("{}\n{json}\n", line(&told, false, true)));
        }
        let time = Told { time: 1_764_365_063.123_456, event: Event::Learned(entry()) };
        text.push_str(&format!("{}\n", line(&time, true, false)));
        snapbox::assert_data_eq!(text, snapbox::file!["snapshots/events.txt"].raw());
    }
}
