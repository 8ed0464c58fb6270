//! `bridge monitor`: what happens is told as it happens.

use netns::event::{Container, Event};

use super::scenarios;
use crate::frames;
use crate::lab::{Lab, NetworkOrder, Place, create, ip_of, mac_of, run_all, station};

scenarios![
    stations_and_ports_are_told_of_as_they_come_move_and_go,
    containers_and_networks_are_told_of_in_the_order_of_what_happens,
];

fn stations_and_ports_are_told_of_as_they_come_move_and_go(lab: &mut dyn Lab) {
    lab.up();
    lab.monitor();
    run_all(lab, &["web", "db"]);
    let (web, db, db_ip) = (mac_of(lab, "web"), mac_of(lab, "db"), ip_of(lab, "db"));
    assert!(lab.ping(Place::In("web"), db_ip, 56));
    let frame = frames::ethernet(station("ff:ff:ff:ff:ff:ff"), web, frames::EXPERIMENTAL, b"from elsewhere");
    lab.inject(Place::In("db"), "eth0", &frame);
    let events = lab.happened_until(&|event| matches!(event, Event::Moved { .. }));
    let mut learned: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Learned(entry) => {
                Some((entry.mac, entry.ifname.as_str(), entry.master.as_str(), entry.state.as_str()))
            }
            _ => None,
        })
        .collect();
    learned.sort_unstable();
    assert_eq!(learned, [(web, "web.eth0", "pontoon0", ""), (db, "db.eth0", "pontoon0", "")]);
    let ports: Vec<&str> = events
        .iter()
        .filter_map(|event| if let Event::PortUp(port) = event { Some(port.ifname.as_str()) } else { None })
        .collect();
    assert_eq!(ports, ["web.eth0", "db.eth0"]);
    let Some(Event::Moved { entry, from }) = events.last() else { unreachable!("it was waited for") };
    assert_eq!((entry.mac, entry.ifname.as_str(), from.as_str()), (web, "db.eth0", "web.eth0"));
    lab.stop("db", 10).expect("stop db");
    let events = lab.happened_until(&|event| matches!(event, Event::PortDown(port) if port.ifname == "db.eth0"));
    let is_gone =
        |event: &Event| matches!(event, Event::Evicted(entry) if entry.mac == db && entry.ifname == "db.eth0");
    let place = |what: &dyn Fn(&Event) -> bool| events.iter().position(what).unwrap_or_else(|| panic!("{events:?}"));
    assert!(place(&is_gone) < events.len() - 1, "a port takes its stations along: {events:?}");
}

fn containers_and_networks_are_told_of_in_the_order_of_what_happens(lab: &mut dyn Lab) {
    lab.up();
    lab.monitor();
    run_all(lab, &["web"]);
    create(lab, NetworkOrder::new("back"));
    lab.connect_network("back", "web", None).expect("connect");
    lab.disconnect_network("back", "web").expect("disconnect");
    lab.remove_network("back").expect("remove");
    lab.stop("web", 10).expect("stop");
    lab.rm("web", false).expect("rm");
    let events = lab.happened_until(&|event| matches!(event, Event::ContainerRemoved(_)));
    let told: Vec<String> = events.iter().filter_map(in_words).collect();
    assert_eq!(
        told,
        [
            "created web",
            "started web",
            "created back",
            "web connected to back",
            "web disconnected from back",
            "removed back",
            "exited web 143",
            "removed web"
        ]
    );
    // A port may go before its container is seen to, and the other way round.
    let ports: Vec<String> = events.iter().filter_map(port_in_words).collect();
    assert_eq!(ports, ["web.eth0 up", "web.eth1 up", "web.eth1 down", "web.eth0 down"]);
    let place = |what: &dyn Fn(&Event) -> bool| events.iter().position(what).unwrap_or_else(|| panic!("{events:?}"));
    let up = place(&|event| matches!(event, Event::PortUp(port) if port.ifname == "web.eth0"));
    assert!(
        up < place(&|event| matches!(event, Event::ContainerStarted(_))),
        "a command starts when its port is there"
    );
}

/// What is of ports, and not the host's own.
fn port_in_words(event: &Event) -> Option<String> {
    match event {
        Event::PortUp(it) if it.ifname != it.master => Some(format!("{} up", it.ifname)),
        Event::PortDown(it) if it.ifname != it.master => Some(format!("{} down", it.ifname)),
        _ => None,
    }
}

/// What is of containers and networks.
fn in_words(event: &Event) -> Option<String> {
    let name = |it: &Container| it.container.clone();
    Some(match event {
        Event::ContainerCreated(it) => format!("created {}", name(it)),
        Event::ContainerStarted(it) => format!("started {}", name(it)),
        Event::ContainerExited { container, exit_status } => format!("exited {} {exit_status}", name(container)),
        Event::ContainerRemoved(it) => format!("removed {}", name(it)),
        Event::NetworkCreated(it) => format!("created {}", it.network),
        Event::NetworkRemoved(it) => format!("removed {}", it.network),
        Event::Connected(it) => format!("{} connected to {}", it.container, it.network),
        Event::Disconnected(it) => format!("{} disconnected from {}", it.container, it.network),
        _ => return None,
    })
}
