//! IPv6 where somebody switches it on: the switch carries it as anything else, and hosts are as Linux' are.

use std::net::Ipv6Addr;

use sim::AddressState;

use crate::lab::{Lab, Order, Place};
use crate::scenarios::scenarios;

scenarios![
    ipv6_crosses_the_switch_once_it_is_switched_on,
    an_ipv6_address_that_is_taken_is_refused,
    an_interface_that_was_off_has_lost_its_ipv6_addresses,
];

const WEB: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const DB: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);

fn ipv6_crosses_the_switch_once_it_is_switched_on(lab: &mut dyn Lab) {
    two_on_ipv6(lab);
    let (web, db) = (Place::In("web"), Place::In("db"));
    assert!(lab.ping6(web, DB, 56) && lab.ping6(db, WEB, 1452));
    assert!(!lab.ping6(db, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9), 56), "nobody has it");
    let length = 3_000_000;
    let carried = lab.transfer6(web, db, DB, length);
    assert_eq!((carried.length, &carried.received), (length, &carried.sent));
    assert_eq!(lab.udp6(db, web, WEB, b"a datagram"), b"a datagram");
    let own: Vec<Ipv6Addr> = lab.ipv6_addresses(web, "eth0").into_keys().collect();
    let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x42, 0xacff, 0xfe11, 2);
    assert_eq!(own, [WEB, local], "one of its own making");
    assert!(lab.fdb().iter().all(|station| !station.mac.is_multicast() || station.is_permanent));
    assert_eq!(lab.check_law(), Ok(()));
}

fn an_ipv6_address_that_is_taken_is_refused(lab: &mut dyn Lab) {
    two_on_ipv6(lab);
    lab.add_address(Place::In("db"), "eth0", format!("{WEB}/64").parse().expect("an address"));
    settled(lab, "db", WEB, AddressState::Duplicate);
    settled(lab, "web", WEB, AddressState::Preferred);
    // Whoever has it in vain takes no other's word for it, and finds nobody there.
    assert!(!lab.ping6(Place::In("db"), WEB, 56));
}

fn an_interface_that_was_off_has_lost_its_ipv6_addresses(lab: &mut dyn Lab) {
    two_on_ipv6(lab);
    let (web, db) = (Place::In("web"), Place::In("db"));
    lab.set_link(web, "eth0", false);
    lab.set_link(web, "eth0", true);
    lab.eventually("its own address", &mut |lab| {
        let all = lab.ipv6_addresses(Place::In("web"), "eth0");
        all.len() == 1 && all.values().all(|state| *state == AddressState::Preferred)
    });
    assert!(!lab.ping6(db, WEB, 56));
}

/// `web` and `db`, with an address each.
fn two_on_ipv6(lab: &mut dyn Lab) {
    lab.up();
    for (name, ip) in [("web", WEB), ("db", DB)] {
        lab.run(Order::new(name)).expect("run");
        lab.enable_ipv6(Place::In(name), "eth0");
        lab.add_address(Place::In(name), "eth0", format!("{ip}/64").parse().expect("an address"));
    }
    for (name, ip) in [("web", WEB), ("db", DB)] {
        settled(lab, name, ip, AddressState::Preferred);
    }
}

fn settled(lab: &mut dyn Lab, name: &str, ip: Ipv6Addr, state: AddressState) {
    lab.eventually(&format!("{ip} of {name} is {state:?}"), &mut |lab| {
        lab.ipv6_addresses(Place::In(name), "eth0").get(&ip) == Some(&state)
    });
}
