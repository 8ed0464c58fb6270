//! Interfaces of the host as ports: what is behind one is on the bridge, the host hears nothing by it, and it gets it back as it was.

use netns::event::Event;
use switch::mac::MacAddr;
use switch::verdict::DropReason;

use super::scenarios;
use crate::frames::{EXPERIMENTAL, ethernet, pattern, tagged};
use crate::lab::{
    HOST, Lab, NetworkOrder, OUTSIDE, Order, Place, Refusal, address, counters, create, interface, ip_of, mac_of,
    ports, run, sorted,
};

scenarios![
    what_is_behind_an_interface_of_the_host_is_on_the_bridge,
    frames_cross_an_interface_of_the_host_with_their_tags_and_up_to_its_mtu,
    a_port_of_the_host_outlives_the_daemon_and_down_gives_it_back,
    an_interface_that_vanishes_takes_its_port_along,
    a_port_of_the_host_is_called_as_its_interface_is,
    a_port_of_the_host_stays_while_its_interface_is_down,
    what_can_not_be_a_port_is_refused,
    a_network_with_a_port_of_the_host_is_not_removed,
];

/// The address of the host outside on the default network.
const VISITOR: &str = "172.17.9.9";
const UPLINK: &str = "uplink0";

/// A host outside that would be on the default network, if anything led there; and a container that is.
fn visited(lab: &mut dyn Lab) {
    lab.add_outside();
    let there = format!("{VISITOR}/16").parse().expect("a prefix");
    lab.add_address(Place::Outside, "eth0", there);
    lab.up();
    run(lab, Order::new("web"));
}

/// Its interface becomes a port.
fn add(lab: &mut dyn Lab) {
    let warnings = lab.add_port("pontoon0", UPLINK).expect("a port");
    let lost = format!(
        "interface {UPLINK} has the address {HOST}/24: the host can not be reached by it as long as it is a port"
    );
    assert_eq!(warnings, [lost]);
}

/// Who has asked for an address in vain asks again after a second.
fn reaches_the_visitor_at_last(lab: &mut dyn Lab) {
    lab.eventually("the visitor is reached", &mut |lab| reaches_the_visitor(lab));
}

fn host_has_its_uplink_at_last(lab: &mut dyn Lab) {
    lab.eventually("the host has its interface again", &mut |lab| host_has_its_uplink(lab));
}

fn reaches_the_visitor(lab: &mut dyn Lab) -> bool {
    lab.ping(Place::In("web"), address(VISITOR), 56)
}

/// Whether the host itself still has its interface.
fn host_has_its_uplink(lab: &mut dyn Lab) -> bool {
    lab.ping(Place::Host, address(OUTSIDE), 56)
}

fn visitors_mac(lab: &mut dyn Lab) -> MacAddr {
    interface(lab, Place::Outside, "eth0").mac
}

fn what_is_behind_an_interface_of_the_host_is_on_the_bridge(lab: &mut dyn Lab) {
    visited(lab);
    assert!(!reaches_the_visitor(lab) && host_has_its_uplink(lab));
    let before = interface(lab, Place::Host, UPLINK);
    add(lab);
    assert_eq!(ports(lab), ["web.eth0", UPLINK]);
    reaches_the_visitor_at_last(lab);
    let (web, visitor) = (ip_of(lab, "web"), visitors_mac(lab));
    assert!(lab.ping(Place::Outside, web, 56) && lab.ping(Place::Outside, web, 1472));
    assert!(lab.fdb().iter().any(|row| row.mac == visitor && row.port == UPLINK));
    let gateway = address("172.17.0.1");
    assert!(lab.ping(Place::Outside, gateway, 56), "the host is on the bridge by its gateway's interface");
    for (from, to, at) in [
        (Place::In("web"), Place::Outside, address(VISITOR)),
        (Place::Outside, Place::In("web"), web),
        (Place::Outside, Place::Host, gateway),
    ] {
        let length = lab.bulk() / 10;
        let done = lab.transfer(from, to, at, length);
        assert_eq!((done.length, &done.received), (length, &done.sent), "{from:?} to {to:?}");
    }
    let counted = counters(lab, UPLINK);
    assert!(counted.rx.packets > 0 && counted.tx.packets > 0 && counted.rx.dropped == 0, "{counted:?}");
    assert!(!host_has_its_uplink(lab), "the host hears nothing by it");
    lab.flush_firewall();
    lab.eventually("the host hears nothing by it again", &mut |lab| !host_has_its_uplink(lab));

    lab.remove_port("pontoon0", UPLINK).expect("it is given back");
    assert_eq!(ports(lab), ["web.eth0"]);
    assert!(!lab.fdb().iter().any(|row| row.mac == visitor));
    host_has_its_uplink_at_last(lab);
    assert!(!reaches_the_visitor(lab));
    let after = interface(lab, Place::Host, UPLINK);
    assert_eq!((after.mac, after.mtu, after.up, after.ipv4), (before.mac, before.mtu, before.up, before.ipv4));
    let gone = Refusal { status: 1, message: format!("bridge pontoon0 has no port {UPLINK}") };
    assert_eq!(lab.remove_port("pontoon0", UPLINK), Err(gone));
}

fn frames_cross_an_interface_of_the_host_with_their_tags_and_up_to_its_mtu(lab: &mut dyn Lab) {
    visited(lab);
    add(lab);
    let (web, visitor) = (mac_of(lab, "web"), visitors_mac(lab));
    for (from, to, sender) in [(Place::Outside, Place::In("web"), visitor), (Place::In("web"), Place::Outside, web)] {
        let ear = lab.sniff(to, "eth0");
        let frames = [
            ethernet(MacAddr::BROADCAST, sender, EXPERIMENTAL, b"all"),
            tagged(MacAddr::BROADCAST, sender, 7, b"a VLAN"),
            tagged(MacAddr::BROADCAST, sender, 0x6000, &pattern(1496)),
            ethernet(if sender == web { visitor } else { web }, sender, EXPERIMENTAL, &pattern(1500)),
        ];
        frames.iter().for_each(|frame| lab.inject(from, "eth0", frame));
        let heard = lab.heard_until(ear, frames.last().expect("there is one"));
        let ours: Vec<_> = heard.into_iter().filter(|frame| frames.contains(frame)).collect();
        assert_eq!(ours, frames, "{from:?} to {to:?}");
    }
    // The interface gets another MTU: the port is plugged in anew.
    lab.set_mtu(Place::Host, UPLINK, 1000);
    let is_told = |lab: &mut dyn Lab| {
        let long = ethernet(visitor, web, EXPERIMENTAL, &pattern(1001));
        lab.inject(Place::In("web"), "eth0", &long);
        counters(lab, UPLINK).tx.drops.of(DropReason::ExceedsMtu) > 0
    };
    lab.eventually("what is longer than its MTU is a counted drop", &mut |lab| is_told(lab));
    let ear = lab.sniff(Place::Outside, "eth0");
    let longest = ethernet(visitor, web, EXPERIMENTAL, &pattern(1000));
    lab.inject(Place::In("web"), "eth0", &longest);
    assert!(lab.heard_until(ear, &longest).contains(&longest));
}

fn a_port_of_the_host_outlives_the_daemon_and_down_gives_it_back(lab: &mut dyn Lab) {
    visited(lab);
    add(lab);
    assert!(reaches_the_visitor(lab));
    let received = counters(lab, UPLINK).rx.packets;
    lab.kill_daemon();
    assert!(!host_has_its_uplink(lab), "as it was, until somebody takes it up");
    lab.up();
    assert_eq!(sorted(ports(lab)), [UPLINK, "web.eth0"]);
    assert!(reaches_the_visitor(lab) && !host_has_its_uplink(lab));
    assert!(counters(lab, UPLINK).rx.packets > received, "it counts on");
    // No container keeps the daemon, but the port does.
    lab.stop("web", 0).expect("stopped");
    lab.rm("web", false).expect("forgotten");
    lab.down();
    host_has_its_uplink_at_last(lab);
    lab.up();
    assert_eq!(ports(lab), Vec::<String>::new());
    assert!(host_has_its_uplink(lab));
}

fn an_interface_that_vanishes_takes_its_port_along(lab: &mut dyn Lab) {
    visited(lab);
    add(lab);
    assert!(reaches_the_visitor(lab));
    lab.monitor();
    lab.delete_link(Place::Host, UPLINK);
    let events = lab.happened_until(&|event| matches!(event, Event::PortDown(port) if port.ifname == UPLINK));
    let visitor_is_gone = |event: &Event| matches!(event, Event::Evicted(entry) if entry.ifname == UPLINK);
    assert!(events.iter().any(visitor_is_gone), "{events:?}");
    lab.eventually("it is no port any more", &mut |lab| ports(lab) == ["web.eth0"]);
    run(lab, Order::new("db"));
    let db = ip_of(lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    let gone = Refusal { status: 1, message: format!("bridge pontoon0 has no port {UPLINK}") };
    assert_eq!(lab.remove_port("pontoon0", UPLINK), Err(gone));

    // And while there is no daemon.
    lab.add_dummy(Place::Host, "spare0", MacAddr([2, 0, 0, 0, 0, 9]), "10.9.9.9/24".parse().expect("a prefix"));
    lab.add_port("pontoon0", "spare0").expect("a port");
    lab.kill_daemon();
    lab.delete_link(Place::Host, "spare0");
    assert_eq!(lab.up_warned(), ["interface spare0 is no port of pontoon0 any more: it is gone"]);
    assert_eq!(sorted(ports(lab)), ["db.eth0", "web.eth0"]);
}

fn a_port_of_the_host_is_called_as_its_interface_is(lab: &mut dyn Lab) {
    visited(lab);
    add(lab);
    assert!(reaches_the_visitor(lab));
    lab.set_link(Place::Host, UPLINK, false);
    lab.rename_link(Place::Host, UPLINK, "lan");
    lab.set_link(Place::Host, "lan", true);
    lab.eventually("the port has its new name", &mut |lab| ports(lab) == ["web.eth0", "lan"]);
    assert!(reaches_the_visitor(lab) && !host_has_its_uplink(lab));
    assert!(counters(lab, "lan").rx.packets > 0);
    lab.kill_daemon();
    lab.up();
    assert!(reaches_the_visitor(lab));
    lab.remove_port("pontoon0", "lan").expect("it is given back");
    host_has_its_uplink_at_last(lab);
}

fn a_port_of_the_host_stays_while_its_interface_is_down(lab: &mut dyn Lab) {
    visited(lab);
    add(lab);
    assert!(reaches_the_visitor(lab));
    for _ in 0..2 {
        lab.set_link(Place::Host, UPLINK, false);
        assert!(!reaches_the_visitor(lab));
        assert_eq!(ports(lab), ["web.eth0", UPLINK]);
        lab.set_link(Place::Host, UPLINK, true);
        lab.eventually("the visitor is back", &mut |lab| reaches_the_visitor(lab));
    }
}

fn what_can_not_be_a_port_is_refused(lab: &mut dyn Lab) {
    visited(lab);
    let refused = |lab: &mut dyn Lab, bridge: &str, interface: &str| {
        let Refusal { status, message } = lab.add_port(bridge, interface).expect_err("refused");
        assert_eq!(status, 1, "{message}");
        message
    };
    let about = |interface: &str, why: &str| format!("interface {interface} can not be a port: {why}");
    assert_eq!(refused(lab, "pontoon0", "lo"), about("lo", "it is the loopback interface"));
    assert_eq!(refused(lab, "pontoon0", "pontoon0"), about("pontoon0", "it is one of Pontoon's own"));
    assert_eq!(refused(lab, "pontoon0", "veth9"), "no such interface: veth9");
    assert_eq!(refused(lab, "br0", UPLINK), "no such bridge: br0");
    assert_eq!(refused(lab, "bridge", UPLINK), "no such bridge: bridge");
    lab.route_by_hand(Place::Host, address(OUTSIDE));
    assert_eq!(refused(lab, "pontoon0", UPLINK), about(UPLINK, "the host's default route leads out of it"));
    assert!(host_has_its_uplink(lab));

    lab.add_dummy(Place::Host, "spare0", MacAddr([2, 0, 0, 0, 0, 9]), "10.9.9.9/24".parse().expect("a prefix"));
    lab.add_port("pontoon0", "spare0").expect("a port");
    create(lab, NetworkOrder::new("red"));
    let red = lab.inspect_network("red").expect("it is there").bridge.expect("a bridge");
    for bridge in ["pontoon0", &red] {
        assert_eq!(refused(lab, bridge, "spare0"), about("spare0", "it is a port of pontoon0 already"));
    }
    let told =
        |lab: &mut dyn Lab, bridge: &str, port: &str| lab.remove_port(bridge, port).expect_err("refused").message;
    assert_eq!(told(lab, &red, "spare0"), format!("bridge {red} has no port spare0"));
    assert_eq!(told(lab, "pontoon0", "web.eth0"), "port web.eth0 is that of container web");
    assert_eq!(told(lab, "pontoon0", "pontoon0"), "port pontoon0 is the bridge's own: it goes with the network");
    assert_eq!(told(lab, "br0", "spare0"), "no such bridge: br0");
    assert_eq!(ports(lab), ["web.eth0", "spare0"]);
}

fn a_network_with_a_port_of_the_host_is_not_removed(lab: &mut dyn Lab) {
    visited(lab);
    create(lab, NetworkOrder::new("red").subnet("172.30.0.0/24"));
    let red = lab.inspect_network("red").expect("it is there").bridge.expect("a bridge");
    lab.add_port(&red, UPLINK).expect("a port");
    let in_use = format!("network red is in use: interfaces of the host are ports of its bridge: {UPLINK}");
    assert_eq!(lab.remove_network("red"), Err(Refusal { status: 1, message: in_use }));
    assert_eq!(lab.prune_networks(), Vec::<String>::new());
    // It leads to that network and no other.
    lab.add_address(Place::Outside, "eth0", "172.30.0.9/24".parse().expect("a prefix"));
    run(lab, Order::new("db").network("red"));
    assert!(lab.ping(Place::In("db"), address("172.30.0.9"), 56) && !reaches_the_visitor(lab));
    lab.stop("db", 0).expect("stopped");
    lab.remove_port(&red, UPLINK).expect("it is given back");
    lab.remove_network("red").expect("nobody is on it");
    host_has_its_uplink_at_last(lab);
}
