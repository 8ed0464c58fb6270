//! The way out of the host, and what keeps networks apart on it.

use super::scenarios;
use crate::lab::{HOST, Lab, NetworkOrder, OUTSIDE, Order, Place, address, create, ip_on, run};

scenarios![
    who_is_outside_sees_the_hosts_address,
    an_internal_network_has_no_way_out_even_by_a_route_made_by_hand,
    nobody_outside_reaches_a_container_that_has_not_asked,
    networks_are_kept_apart_through_their_gateways_too,
    forwarding_is_on_for_containers_and_put_back_after_them,
    a_host_that_forwards_by_itself_goes_on_with_it,
    forwarding_that_somebody_switched_off_is_on_for_the_next_container,
    rules_that_somebody_takes_away_are_put_back,
    a_foreign_policy_that_drops_is_told_once,
];

/// What the server of these tests listens at.
const PORT: u16 = 9000;

fn who_is_outside_sees_the_hosts_address(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.serve(Place::Outside, PORT);
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web"));
    run(lab, Order::new("db").network("red"));
    let assert_way_out = |lab: &mut dyn Lab| {
        for container in ["web", "db"] {
            assert!(lab.ping(Place::In(container), address(OUTSIDE), 56), "{container}");
            assert!(lab.ping(Place::In(container), address(OUTSIDE), 1472), "{container}");
            let told = lab.tell(Place::In(container), address(OUTSIDE), PORT, "hello");
            assert_eq!(told, Ok(format!("hello from {HOST}")), "{container}");
            let told = lab.tell_by_udp(Place::In(container), address(OUTSIDE), PORT, "hello");
            assert_eq!(told, Some(format!("hello from {HOST}")), "{container}");
        }
    };
    assert_way_out(lab);
    lab.kill_daemon();
    lab.up();
    assert_way_out(lab);
    let length = lab.bulk() / 10;
    let done = lab.transfer(Place::In("web"), Place::Outside, address(OUTSIDE), length);
    assert_eq!((done.length, &done.received), (length, &done.sent));
}

fn an_internal_network_has_no_way_out_even_by_a_route_made_by_hand(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    create(lab, NetworkOrder::new("vault").internal().subnet("172.30.0.0/24"));
    run(lab, Order::new("safe").network("vault"));
    run(lab, Order::new("web"));
    assert!(!lab.ping(Place::In("safe"), address(OUTSIDE), 56));
    lab.route_by_hand(Place::In("safe"), address("172.30.0.1"));
    lab.route_by_hand(Place::Outside, address(HOST));
    assert!(lab.ping(Place::In("safe"), address("172.30.0.1"), 56), "the host itself answers");
    let safe = ip_on(lab, "safe", "vault");
    for (from, to) in [
        (Place::In("safe"), address(OUTSIDE)),
        (Place::In("safe"), address("172.17.0.2")),
        (Place::In("web"), safe),
        (Place::Outside, safe),
    ] {
        assert!(!lab.ping(from, to, 56), "{from:?} reaches {to}");
    }
}

fn nobody_outside_reaches_a_container_that_has_not_asked(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    run(lab, Order::new("web"));
    lab.route_by_hand(Place::Outside, address(HOST));
    assert!(!lab.ping(Place::Outside, address("172.17.0.2"), 56));
    assert!(lab.ping(Place::Outside, address(HOST), 56), "the host itself answers");
    assert!(lab.ping(Place::In("web"), address(OUTSIDE), 56), "and who asks is answered");
    assert!(!lab.ping(Place::Outside, address("172.17.0.2"), 56));
}

fn networks_are_kept_apart_through_their_gateways_too(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web"));
    run(lab, Order::new("db").network("red"));
    lab.serve(Place::In("web"), PORT);
    lab.serve(Place::Host, PORT);
    let web = ip_on(lab, "web", "bridge");
    assert!(!lab.ping(Place::In("db"), web, 56));
    assert_eq!(lab.tell_by_udp(Place::In("db"), web, PORT, "hello"), None);
    // The gateways are the host, by whichever of its addresses.
    for gateway in ["172.17.0.1", "172.18.0.1"] {
        assert!(lab.ping(Place::In("db"), address(gateway), 56), "{gateway}");
        let told = lab.tell(Place::In("db"), address(gateway), PORT, "hello");
        assert_eq!(told, Ok("hello from 172.18.0.2".to_owned()), "{gateway}");
    }
}

fn forwarding_is_on_for_containers_and_put_back_after_them(lab: &mut dyn Lab) {
    assert!(!lab.forwards());
    lab.up();
    assert!(lab.forwards() && lab.has_firewall());
    run(lab, Order::new("web"));
    lab.kill_daemon();
    assert!(lab.forwards() && lab.has_firewall(), "the container is not alone");
    lab.up();
    lab.down();
    assert!(!lab.forwards() && !lab.has_firewall());
}

fn a_host_that_forwards_by_itself_goes_on_with_it(lab: &mut dyn Lab) {
    lab.set_forwarding(true);
    lab.up();
    run(lab, Order::new("web"));
    lab.kill_daemon();
    lab.up();
    lab.down();
    assert!(lab.forwards());
}

fn forwarding_that_somebody_switched_off_is_on_for_the_next_container(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    run(lab, Order::new("web"));
    lab.set_forwarding(false);
    assert!(!lab.ping(Place::In("web"), address(OUTSIDE), 56));
    run(lab, Order::new("db"));
    assert!(lab.ping(Place::In("db"), address(OUTSIDE), 56));
    lab.down();
    assert!(!lab.forwards());
}

fn rules_that_somebody_takes_away_are_put_back(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    create(lab, NetworkOrder::new("red"));
    run(lab, Order::new("web").network("red"));
    run(lab, Order::new("db"));
    let web = ip_on(lab, "web", "red");
    for _ in 0..2 {
        lab.flush_firewall();
        lab.eventually("they are back", &mut |lab| lab.has_firewall());
        assert!(!lab.ping(Place::In("db"), web, 56));
        assert!(lab.ping(Place::In("db"), address(OUTSIDE), 56));
    }
    lab.kill_daemon();
    lab.flush_firewall();
    assert!(!lab.has_firewall(), "nobody looks after it");
    lab.up();
    assert!(lab.has_firewall());
    assert!(lab.ping(Place::In("db"), address(OUTSIDE), 56));
}

fn a_foreign_policy_that_drops_is_told_once(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    assert_eq!(lab.run_warned(Order::new("first")), Vec::<String>::new());
    // Docker is started after us, say.
    lab.add_foreign_drop();
    let warnings = lab.run_warned(Order::new("web"));
    let told = "the host's own firewall drops what leaves pontoon0 (table ip filter, chain FORWARD); to let it pass: ";
    assert!(warnings.len() == 1 && warnings[0].starts_with(told), "{warnings:?}");
    assert!(!lab.ping(Place::In("web"), address(OUTSIDE), 56), "it is as it was told");
    assert_eq!(lab.run_warned(Order::new("db")), Vec::<String>::new(), "once is enough");
}
