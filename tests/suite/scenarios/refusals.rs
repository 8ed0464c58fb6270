//! What can not be done: what is said of it, with which status; and nothing is lost.

use super::scenarios;
use crate::lab::{Lab, Order, Program, Refusal, names, run, run_all};

scenarios![
    a_container_can_not_join_what_is_not_there,
    a_joiner_can_have_nothing_of_its_own,
    host_and_none_containers_have_no_interface_to_configure,
    an_address_that_can_not_be_had_is_refused,
    a_mac_that_can_not_be_had_is_refused,
    an_mtu_out_of_range_is_refused,
    a_network_that_is_not_there_is_refused,
    a_host_name_that_is_none_is_refused,
    a_running_container_is_not_removed_without_force,
    a_container_that_is_not_there_is_refused,
];

fn a_container_can_not_join_what_is_not_there(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("job").program(Program::Exit(0)));
    lab.wait_ended("job");
    refused(
        lab,
        &[
            (Order::new("x").network("container:nobody"), "--network container:nobody: no such container: nobody"),
            (Order::new("x").network("container:job"), "--network container:job: container job is not running"),
            (
                Order::new("x").network("container:x"),
                "a container can not join its own network namespace: 'x' is the container itself",
            ),
        ],
    );
}

fn a_joiner_can_have_nothing_of_its_own(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    let joiner = || Order::new("x").network("container:web");
    refused(
        lab,
        &[
            (joiner().ip("172.17.0.9"), "--ip can not be used with --network container:web"),
            (joiner().mac("02:00:00:00:00:09"), "--mac-address can not be used with --network container:web"),
            (joiner().mtu(1400), "--mtu can not be used with --network container:web"),
            (joiner().offload(false), "--no-offload can not be used with --network container:web"),
            (joiner().hostname("other"), "-h can not be used with --network container:web"),
        ],
    );
}

fn host_and_none_containers_have_no_interface_to_configure(lab: &mut dyn Lab) {
    lab.up();
    refused(
        lab,
        &[
            (Order::new("x").network("host").ip("172.17.0.9"), "--ip can not be used with --network host"),
            (Order::new("x").network("none").ip("172.17.0.9"), "--ip can not be used with --network none"),
            (Order::new("x").network("none").mtu(1400), "--mtu can not be used with --network none"),
        ],
    );
}

fn an_address_that_can_not_be_had_is_refused(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web").ip("172.17.0.9"));
    refused(
        lab,
        &[
            (Order::new("x").ip("172.18.0.2"), "network bridge: address 172.18.0.2 is not in the subnet 172.17.0.0/16"),
            (Order::new("x").ip("172.17.0.9"), "network bridge: address 172.17.0.9 is in use by another container"),
            (
                Order::new("x").ip("172.17.0.0"),
                "network bridge: address 172.17.0.0 is the network address of the subnet",
            ),
            (
                Order::new("x").ip("172.17.255.255"),
                "network bridge: address 172.17.255.255 is the broadcast address of the subnet",
            ),
            (Order::new("x").ip("172.17.0.1"), "network bridge: address 172.17.0.1 is the gateway's"),
        ],
    );
}

fn a_mac_that_can_not_be_had_is_refused(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web").mac("02:00:00:00:00:09"));
    let group = "MAC address 01:00:5e:00:00:01 is a multicast address, which no interface can have";
    refused(
        lab,
        &[
            (Order::new("x").mac("01:00:5e:00:00:01"), &format!("network bridge: {group}")),
            (
                Order::new("x").mac("02:00:00:00:00:09"),
                "network bridge: MAC address 02:00:00:00:00:09 is in use by another station",
            ),
            (Order::new("x").mac("00:00:00:00:00:00"), "network bridge: MAC address 00:00:00:00:00:00 is no station's"),
        ],
    );
}

fn an_mtu_out_of_range_is_refused(lab: &mut dyn Lab) {
    lab.up();
    refused(
        lab,
        &[
            (Order::new("x").mtu(67), "an MTU of 67 is out of range: 68 to 65521 bytes"),
            (Order::new("x").mtu(65_522), "an MTU of 65522 is out of range: 68 to 65521 bytes"),
            (Order::new("x").mtu(0), "an MTU of 0 is out of range: 68 to 65521 bytes"),
        ],
    );
}

fn a_network_that_is_not_there_is_refused(lab: &mut dyn Lab) {
    lab.up();
    refused(lab, &[(Order::new("x").network("backend"), "no such network: backend")]);
}

fn a_host_name_that_is_none_is_refused(lab: &mut dyn Lab) {
    lab.up();
    let rule = "at most 64 letters, digits, '-', '_' and '.', a letter or digit at each end";
    let said = |name: &str| format!("'{name}' is not a host name: {rule}");
    let long = "x".repeat(65);
    refused(
        lab,
        &[
            (Order::new("x").hostname("two words"), &said("two words")),
            (Order::new("x").hostname("-x"), &said("-x")),
            (Order::new("x").hostname(&long), &said(&long)),
        ],
    );
}

fn a_running_container_is_not_removed_without_force(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    assert_eq!(lab.rm("web", false), Err(Refusal { status: 1, message: "container web is running".into() }));
    assert_eq!(names(lab, false), ["web"]);
}

fn a_container_that_is_not_there_is_refused(lab: &mut dyn Lab) {
    lab.up();
    let refused = Err(Refusal { status: 1, message: "no such container: nobody".into() });
    assert_eq!(lab.inspect("nobody").map(drop), refused);
    assert_eq!(lab.stop("nobody", 1), refused);
    assert_eq!(lab.kill("nobody", 9), refused);
    assert_eq!(lab.rm("nobody", true), refused);
}

/// Each order is refused by Pontoon itself with these words, and changes nothing.
fn refused(lab: &mut dyn Lab, orders: &[(Order, &str)]) {
    let (listed, before) = (names(lab, true), lab.census());
    for (order, message) in orders {
        let what = format!("{order:?}");
        let said = Refusal { status: 125, message: (*message).to_owned() };
        assert_eq!(lab.run(order.clone()), Err(said.clone()), "{what}");
        assert_eq!(lab.run_to_end(order.clone().foreground()), Err(said), "{what}, in the foreground");
    }
    assert_eq!((names(lab, true), lab.census()), (listed, before));
}
