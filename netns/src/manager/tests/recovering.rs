//! What a daemon makes of what an earlier one left.

use super::*;

#[test]
fn a_start_that_was_cut_short_and_can_not_be_undone_is_told_and_tried_again() {
    let mut lab = Lab::new();
    let web = lab.manager.create(request("web", "bridge"), lab.now).expect("a container").id;
    lab.host().fail("destroy");
    let warnings = lab.restart();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with(&format!("container {}: ", web.short())), "{warnings:?}");
    assert!(warnings[0].contains("destroy it: told to fail"), "{warnings:?}");
    assert_eq!(lab.states(), [("web".into(), "created".into())].into());
    lab.host().failing.clear();
    assert!(lab.pass(5).is_empty());
    assert!(lab.states().is_empty());
}

#[test]
fn a_container_is_taken_over_with_its_interfaces_on_their_networks() {
    let mut lab = Lab::new();
    let red = lab.create_network(network("red"));
    lab.create_network(network("blue"));
    let web = lab.run("web", "red").id;
    lab.connect("bridge", "web").expect("connected");
    assert_eq!(lab.restart(), Vec::<String>::new());
    let bridges = [("eth0".to_owned(), format!("br-{}", red.short())), ("eth1".to_owned(), "pontoon0".to_owned())];
    assert_eq!(lab.host().made(&web).adopted, bridges);
    assert_eq!(lab.manager.inspect("web").expect("it is there").networks.len(), 2);
}

#[test]
fn a_container_that_does_not_answer_keeps_what_it_has_and_is_asked_again() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.run("web", "bridge").id;
    lab.host().made(&web).is_silent = true;
    assert_eq!(lab.restart(), [format!("container {}: no such container is running", web.short())]);
    assert!(matches!(lab.connect("red", "web"), Err(Error::Silent(_))));
    let next = lab.run("next", "bridge").id;
    let address = |id: &Id| lab.host().made(id).interfaces["eth0"].ip;
    assert_ne!(address(&next), address(&web));

    assert_eq!(lab.times("adopt", |lab| assert!(lab.pass(7).is_empty())), 0);
    lab.asked();
    assert_eq!(lab.pass(1).len(), 1, "it does not answer yet");
    let asked = lab.asked();
    assert!(asked.contains(&"adopt") && !asked.contains(&"protect"), "{asked:?}");

    lab.host().made(&web).is_silent = false;
    lab.controls();
    assert_eq!(lab.times("protect", |lab| assert!(lab.pass(8).is_empty())), 1);
    assert_eq!(lab.controls().len(), 1, "its port");
    lab.connect("red", "web").expect("connected");
    assert_eq!(lab.manager.poll_timeout(), None);
}

#[test]
fn after_a_reboot_nothing_is_done_to_whoever_has_the_numbers_of_our_processes_now() {
    let mut lab = Lab::new();
    lab.run("runs", "bridge");
    lab.manager.create(request("starts", "bridge"), lab.now).expect("a container");
    for what in ["create", "destroy"] {
        lab.host().fail(what);
    }
    lab.create(request("half", "bridge")).expect_err("told to fail");
    lab.host().failing.clear();
    // (On paper a reboot makes nothing go.)
    lab.host().boot = "2".into();
    lab.asked();
    assert_eq!(lab.restart(), Vec::<String>::new());
    let asked = lab.asked();
    assert!(!asked.contains(&"adopt") && !asked.contains(&"destroy"), "{asked:?}");
    assert_eq!(lab.states(), [("runs".into(), "exited".into()), ("starts".into(), "exited".into())].into());
    assert_eq!(lab.manager.inspect("runs").expect("it is there").exit_status, Some(137));
}

#[test]
fn a_start_that_was_cut_short_in_this_life_is_undone() {
    let mut lab = Lab::new();
    for what in ["create", "destroy"] {
        lab.host().fail(what);
    }
    lab.create(request("half", "bridge")).expect_err("told to fail");
    lab.host().failing.clear();
    assert_eq!(lab.times("destroy", |lab| assert!(lab.restart().is_empty())), 1);
    assert!(lab.states().is_empty());
}

/// The subnet of the default network.
fn subnet(lab: &Lab) -> String {
    lab.manager.inspect_network("bridge").expect("it is there").subnet.expect("a subnet").to_string()
}

fn take(lab: &Lab, prefix: &str) {
    lab.host().prefixes.push(prefix.parse().expect("a prefix"));
}

#[test]
fn the_default_network_keeps_its_subnet_while_it_is_in_use_or_free() {
    let mut lab = Lab::on(Host {
        boot: "1".into(),
        prefixes: vec!["172.17.0.0/24".parse().expect("a prefix")],
        ..Host::default()
    });
    assert_eq!(subnet(&lab), "172.18.0.0/16");
    // The first one is free again: that is no reason to move.
    lab.host().prefixes.clear();
    lab.restart();
    assert_eq!(subnet(&lab), "172.18.0.0/16");
    let web = lab.run("web", "bridge").id;
    take(&lab, "172.18.5.0/24");
    lab.restart();
    assert_eq!(subnet(&lab), "172.18.0.0/16");
    lab.host().made(&web).is_silent = true;
    lab.restart();
    assert_eq!(subnet(&lab), "172.18.0.0/16");
}

#[test]
fn the_default_network_moves_when_the_host_has_taken_its_subnet_and_nobody_lives_on_it() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.run("other", "red");
    lab.run("ended", "bridge");
    lab.manager.stop("ended", Duration::ZERO, lab.now).expect("stopped");
    let id = lab.manager.inspect_network("bridge").expect("it is there").id;
    take(&lab, "172.17.5.0/24");
    lab.restart();
    assert_eq!(subnet(&lab), "172.19.0.0/16");
    assert_eq!(lab.manager.inspect_network("bridge").expect("it is there").id, id);
}

#[test]
fn a_gateway_that_a_silent_container_may_hold_is_not_made_under_another_name() {
    let open = |lab: &Lab| says(Lab::open(Rc::clone(&lab.host), at(9)).map(drop));
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.run("web", "bridge").id;
    let db = lab.run("db", "bridge").id;
    lab.host().interfaces.insert("pontoon0".into());
    assert_eq!(open(&lab), "the host has an interface pontoon0 already");
    for id in [&web, &db] {
        lab.host().made(id).is_silent = true;
    }
    let refused = Lab::open(Rc::clone(&lab.host), at(9)).map(drop).expect_err("refused");
    let Error::GatewayHeld { bridge, containers } = refused else { panic!("{refused}") };
    let mut containers: Vec<&str> = containers.split(", ").collect();
    containers.sort_unstable();
    assert_eq!((bridge.as_str(), containers), ("pontoon0", vec!["db", "web"]));
}

#[test]
fn a_silent_container_of_another_network_holds_no_gateway_of_the_default_one() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.run("web", "red").id;
    lab.host().made(&web).is_silent = true;
    lab.host().interfaces.extend((0..1000).map(|number| format!("pontoon{number}")));
    let refused = says(Lab::open(Rc::clone(&lab.host), at(9)).map(drop));
    assert_eq!(refused, "the host has an interface pontoon999 already");
}

#[test]
fn the_first_name_that_is_free_is_the_default_networks() {
    let interfaces = ["pontoon0", "pontoon1"].map(str::to_owned).into();
    let lab = Lab::on(Host { boot: "1".into(), interfaces, ..Host::default() });
    assert_eq!(lab.host().gateways.keys().collect::<Vec<_>>(), ["pontoon2"]);
    assert_eq!(lab.host().policy.clone().expect("a policy").0.instance, "2");
}

#[test]
fn a_daemon_that_can_not_start_tells_what_it_has_found_on_the_way() {
    let lab = Lab::new();
    lab.host().fail("open_gateway");
    let open = |lab: &Lab| Lab::open(Rc::clone(&lab.host), at(9)).map(drop).expect_err("refused");
    let first = "open_gateway it: told to fail";
    assert_eq!(open(&lab).to_string(), first);
    lab.host().disk.insert("container-x".into(), "nonsense".into());
    match open(&lab) {
        Error::Undo { first: why, also } => {
            assert_eq!((why.to_string().as_str(), also.len()), (first, 1));
            assert!(also[0].contains("the record container-x is corrupt"), "{also:?}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(lab.host().aside["container-x"], "nonsense");
}

#[test]
fn a_container_that_was_told_to_stop_is_ended_by_the_next_daemon() {
    let mut lab = Lab::new();
    lab.run("web", "bridge");
    lab.manager.stop("web", Duration::from_secs(10), lab.now).expect("asked");
    assert_eq!(lab.states(), [("web".into(), "running".into())].into());
    assert_eq!(lab.times("destroy", |lab| assert!(lab.restart().is_empty())), 1);
    assert_eq!(lab.states(), [("web".into(), "exited".into())].into());
}

#[test]
fn the_default_network_is_as_it_was_and_as_the_user_chose_it() {
    let host = Host { boot: "1".into(), resolv_conf: "nameserver ::1\n".into(), ..Host::default() };
    let host = Rc::new(RefCell::new(host));
    let bip = Some("10.7.0.9/24".parse().expect("an address"));
    let open = || {
        Manager::open(Paper(Rc::clone(&host)), &Settings { seed: 7, bip, defers_forwarding: false }, at(0))
            .expect("a manager")
            .0
    };
    let mut manager = open();
    let details = manager.inspect_network("bridge").expect("it is there");
    assert_eq!(details.gateway.map(|gateway| gateway.to_string()), Some("10.7.0.9".into()));
    let web = manager.create(request("web", "bridge"), at(0)).expect("a container").id;
    manager.start(&web, Some(200), at(0)).expect("started");
    // Its servers can be reached again, but who came before asks the gateway, also the next daemon's.
    host.borrow_mut().resolv_conf = "nameserver 192.0.2.1\n".into();
    host.borrow_mut().tables.clear();
    assert_eq!(
        open().inspect_network("bridge").expect("it is there"),
        manager.inspect_network("bridge").expect("it is there")
    );
    assert_eq!(host.borrow().tables.len(), 1);
}
