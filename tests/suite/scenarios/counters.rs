//! What is counted: what the containers' own interfaces have counted too, whatever becomes of the daemon.

use switch::counters::PortCounters;
use switch::dataplane::BridgeStatistics;

use super::scenarios;
use crate::lab::{Lab, NetworkOrder, Order, Place, create, interface, ip_of, ip_on, run, run_all};

scenarios![
    the_switch_has_counted_what_the_containers_have,
    so_it_has_on_veth_pairs_from_when_they_are_plugged_in,
    counters_outlive_a_killed_daemon,
    a_port_that_comes_back_counts_on,
    what_a_container_counted_stays_with_its_network,
    what_a_container_counted_stays_also_if_no_daemon_sees_its_end,
    counters_begin_anew_with_the_machine,
];

fn the_switch_has_counted_what_the_containers_have(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    // With super-frames, where the world has them.
    let sent = lab.transfer(Place::In("web"), Place::In("db"), db, 3_000_000);
    assert_eq!(sent.sent, sent.received);
    agrees(lab, "web");
    agrees(lab, "db");
    assert_eq!(lab.check_law(), Ok(()));
}

/// There a frame that is sent while nobody listens does not wait: such as an interface's own announcement when it is set up.
fn so_it_has_on_veth_pairs_from_when_they_are_plugged_in(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder { endpoint: netns::network::EndpointKind::Veth, ..NetworkOrder::new("pairs") });
    run(lab, Order::new("web").network("pairs"));
    run(lab, Order::new("db").network("pairs"));
    let both = ["web", "db"];
    let before = both.map(|container| beyond(lab, container));
    assert!(
        before.iter().all(|[packets, bytes, rest @ ..]| *packets <= 1 && *bytes <= 42 && *rest == [0, 0]),
        "{before:?}"
    );
    let db = ip_on(lab, "db", "pairs");
    let sent = lab.transfer(Place::In("web"), Place::In("db"), db, 3_000_000);
    assert_eq!(sent.sent, sent.received);
    lab.eventually("the switch has counted what the containers have", &mut |lab| {
        both.map(|container| beyond(lab, container)) == before
    });
    assert!(crate::lab::counters(lab, "web.eth0").rx.bytes > 3_000_000);
}

fn counters_outlive_a_killed_daemon(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    for _ in 0..3 {
        assert!(lab.ping(Place::In("web"), db, 56));
        agrees(lab, "web");
        let before = bridge(lab);
        lab.kill_daemon();
        lab.up();
        agrees(lab, "web");
        agrees(lab, "db");
        let after = bridge(lab);
        assert_eq!(since(&after, "web.eth0"), since(&before, "web.eth0"));
        assert_eq!(after.since, before.since);
        assert!(has_grown(&total(&after), &total(&before)));
        assert!(after.fdb.learned >= before.fdb.learned && after.fdb.learned > 0);
        let held = after.stations as u64;
        assert_eq!(after.fdb.learned + after.fdb.set, after.fdb.expired + after.fdb.evicted + held);
        assert_eq!(lab.check_law(), Ok(()));
    }
    assert!(counters(&bridge(lab), "web.eth0").rx.packets >= 3);
}

fn a_port_that_comes_back_counts_on(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("back"));
    run(lab, Order::new("db").network("back"));
    run_all(lab, &["web"]);
    lab.connect_network("back", "web", None).expect("connect");
    let db = ip_on(lab, "db", "back");
    assert!(lab.ping(Place::In("web"), db, 56));
    let on_back =
        |lab: &mut dyn Lab| lab.statistics().into_iter().find(|bridge| bridge.name != "pontoon0").expect("back");
    let first = on_back(lab);
    assert!(counters(&first, "web.eth1").rx.packets > 0);
    lab.disconnect_network("back", "web").expect("disconnect");
    let without = on_back(lab);
    assert!(without.ports.iter().all(|port| port.name != "web.eth1"));
    assert!(has_grown(&without.departed, counters(&first, "web.eth1")));
    lab.kill_daemon();
    lab.up();
    lab.connect_network("back", "web", None).expect("connect again");
    assert!(lab.ping(Place::In("web"), db, 56));
    let last = on_back(lab);
    let (then, now) = (counters(&first, "web.eth1"), counters(&last, "web.eth1"));
    assert!(has_grown(now, then) && now.rx.packets > then.rx.packets, "{then:?} {now:?}");
    assert_eq!(last.departed, PortCounters::default(), "it has left the departed");
    assert_eq!(since(&last, "web.eth1"), since(&first, "web.eth1"));
    assert_eq!(lab.check_law(), Ok(()));
}

fn what_a_container_counted_stays_with_its_network(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    let before = bridge(lab);
    lab.rm("web", true).expect("rm -f web");
    let gone = bridge(lab);
    assert!(has_grown(&gone.departed, counters(&before, "web.eth0")));
    assert!(has_grown(&total(&gone), &total(&before)));
    run_all(lab, &["web"]);
    let anew = bridge(lab);
    assert!(counters(&anew, "web.eth0").rx.packets < counters(&before, "web.eth0").rx.packets, "it begins at zero");
    agrees(lab, "web");
    lab.kill_daemon();
    lab.up();
    let after = bridge(lab);
    assert!(has_grown(&after.departed, &gone.departed));
    assert!(has_grown(&total(&after), &total(&anew)));
    assert_eq!(lab.check_law(), Ok(()));
}

fn what_a_container_counted_stays_also_if_no_daemon_sees_its_end(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    agrees(lab, "web");
    let before = bridge(lab);
    lab.kill_daemon();
    lab.kill_command("web");
    lab.up();
    let after = bridge(lab);
    assert_eq!(after.departed, *counters(&before, "web.eth0"));
    lab.kill_daemon();
    lab.up();
    assert_eq!(bridge(lab).departed, after.departed, "once");
    assert_eq!(lab.check_law(), Ok(()));
}

fn counters_begin_anew_with_the_machine(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web", "db"]);
    let db = ip_of(lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    lab.reboot();
    lab.up();
    let anew = bridge(lab);
    assert_eq!((anew.departed.clone(), anew.fdb.learned), (PortCounters::default(), 0));
}

/// Packets and bytes, both ways, are what the container's own interface says. What is on its way arrives meanwhile.
fn agrees(lab: &mut dyn Lab, container: &str) {
    let what = format!("the switch has counted what {container} has");
    lab.eventually(&what, &mut |lab| beyond(lab, container) == [0; 4]);
}

/// What a container's interface has counted and the switch has not: packets and bytes sent, packets and bytes received.
fn beyond(lab: &mut dyn Lab, container: &str) -> [i64; 4] {
    let own = interface(lab, Place::In(container), "eth0");
    let port = crate::lab::counters(lab, &format!("{container}.eth0"));
    let own = [own.tx_packets, own.tx_bytes, own.rx_packets, own.rx_bytes];
    let switch = [port.rx.packets, port.rx.bytes, port.tx.packets, port.tx.bytes];
    std::array::from_fn(|at| own[at].cast_signed() - switch[at].cast_signed())
}

fn bridge(lab: &mut dyn Lab) -> BridgeStatistics {
    lab.statistics().into_iter().find(|bridge| bridge.name == "pontoon0").expect("the default network")
}

fn counters<'a>(bridge: &'a BridgeStatistics, port: &str) -> &'a PortCounters {
    let found = bridge.ports.iter().find(|counted| counted.name == port);
    &found.unwrap_or_else(|| panic!("no port {port}: {bridge:?}")).counters
}

fn since(bridge: &BridgeStatistics, port: &str) -> u64 {
    bridge.ports.iter().find(|counted| counted.name == port).expect("it is there").since
}

fn total(bridge: &BridgeStatistics) -> PortCounters {
    let mut sum = bridge.departed.clone();
    bridge.ports.iter().for_each(|port| sum += &port.counters);
    sum
}

/// Whether no number has become less.
fn has_grown(now: &PortCounters, then: &PortCounters) -> bool {
    now.since(then).is_some()
}
