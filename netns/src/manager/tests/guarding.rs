//! The host's firewall and forwarding: guarded before anything is forwarded, and put back by whoever leaves last.

use super::*;
use crate::firewall::{Policy, PolicyNetwork};
use crate::network::Owner;

/// The policy in force, and how the host forwarded before us.
fn policy(lab: &Lab) -> (Policy, Option<String>) {
    lab.host().policy.clone().expect("a policy")
}

fn default_network() -> PolicyNetwork {
    PolicyNetwork { bridge: "pontoon0".into(), subnet: "172.17.0.0/16".parse().expect("a subnet"), internal: false }
}

/// A host on which others drop what leaves our default network.
fn lab_with_drops() -> Lab {
    let lab = Lab::new();
    lab.host().foreign.insert("pontoon0".into(), vec!["somebody drops it".into()]);
    lab
}

#[test]
fn nothing_is_forwarded_unguarded_and_how_it_was_before_is_saved_first() {
    let lab = Lab::new();
    let networks = vec![default_network()];
    let expected = Policy { instance: "0".into(), networks, ..Policy::default() };
    assert_eq!(policy(&lab), (expected, Some("off".into())));
    assert!(lab.host().forwards);
    assert_eq!(lab.host().disk["forwarding"].replace([' ', '\n'], ""), r#"{"boot":"1","state":"off"}"#);
    assert_eq!(lab.asked()[3..], ["save", "protect", "forward"]);
}

#[test]
fn the_policy_has_every_network_that_is_up() {
    let mut lab = Lab::new();
    let id = lab.create_network(internal("inner"));
    let inner = lab.manager.inspect_network("inner").expect("it is there");
    let inner =
        PolicyNetwork { bridge: format!("br-{}", id.short()), subnet: inner.subnet.expect("a subnet"), internal: true };
    let mut networks = policy(&lab).0.networks;
    networks.sort_by_key(|network| network.internal);
    assert_eq!(networks, [default_network(), inner]);
    lab.manager.remove_network("inner", lab.now).expect("removed");
    assert_eq!(policy(&lab).0.networks, [default_network()]);
}

#[test]
fn where_the_host_forwards_by_itself_nothing_is_switched_on_or_put_back() {
    let mut lab = Lab::on(Host { boot: "1".into(), forwards: true, ..Host::default() });
    assert_eq!(policy(&lab).1, None);
    lab.run("web", "bridge");
    lab.manager.remove("web", true, lab.now).expect("removed");
    assert!(lab.manager.close().is_empty());
    let asked = lab.asked();
    assert!(!asked.contains(&"forward") && !asked.contains(&"stop_forwarding"), "{asked:?}");
}

#[test]
fn where_there_is_no_firewall_nothing_is_forwarded_and_the_user_is_told() {
    let host = Host { boot: "1".into(), forwarding: Some("off".into()), ..Host::default() };
    let host = Rc::new(RefCell::new(host));
    host.borrow_mut().fail("protect");
    let (mut lab, warnings) = Lab::open(host, at(0)).expect("a manager");
    assert_eq!(warnings, ["containers have no way out of the host: protect it: told to fail"]);
    assert_eq!(lab.run("web", "bridge").warnings, Vec::<String>::new());
    assert!(!lab.host().forwards);
}

#[test]
fn whoever_comes_makes_the_host_forward_again() {
    let mut lab = Lab::new();
    lab.host().forwards = false;
    assert_eq!(lab.run("web", "bridge").warnings, Vec::<String>::new());
    assert!(lab.host().forwards);
    lab.host().fail("forward");
    let warnings = lab.run("db", "bridge").warnings;
    assert_eq!(warnings, ["there is no way out of the host: forward it: told to fail"]);
}

#[test]
fn what_somebody_takes_of_our_rules_is_put_back() {
    let mut lab = Lab::new();
    assert_eq!(lab.times("protect", |lab| drop(lab.manager.reap(lab.now))), 0);
    lab.host().news.is_broken = true;
    assert_eq!(lab.times("protect", |lab| drop(lab.manager.reap(lab.now))), 1);
    assert_eq!(policy(&lab).0.networks, [default_network()]);
}

#[test]
fn what_others_drop_is_told_once_for_each_network_and_again_when_their_rules_change() {
    let mut lab = lab_with_drops();
    lab.create_network(network("red"));
    assert_eq!(lab.run("a", "bridge").warnings, ["somebody drops it"]);
    assert_eq!(lab.run("b", "bridge").warnings, Vec::<String>::new());
    assert_eq!(lab.run("c", "red").warnings, Vec::<String>::new());
    lab.host().news.others_changed = true;
    assert_eq!(lab.run("d", "bridge").warnings, ["somebody drops it"]);
    lab.host().news.others_changed = true;
    lab.manager.reap(lab.now);
    assert_eq!(lab.manager.warnings_on("bridge"), ["somebody drops it"]);
}

#[test]
fn whoever_is_on_an_internal_network_is_told_of_no_drops() {
    let mut lab = Lab::new();
    let id = lab.create_network(internal("inner"));
    lab.host().foreign.insert(format!("br-{}", id.short()), vec!["somebody drops it".into()]);
    assert_eq!(lab.run("a", "inner").warnings, Vec::<String>::new());
}

#[test]
fn the_last_to_leave_puts_everything_back_and_nobody_does_while_a_container_lives() {
    let mut lab = Lab::new();
    lab.run("web", "bridge");
    let guarded = policy(&lab);
    assert!(lab.manager.close().is_empty());
    assert_eq!((policy(&lab), lab.host().forwards), (guarded, true));
    lab.manager.remove("web", true, lab.now).expect("removed");
    assert!(lab.manager.close().is_empty());
    assert_eq!((policy(&lab), lab.host().forwards), ((Policy::none("0"), None), false));
    assert!(!lab.host().disk.contains_key("forwarding"));
}

#[test]
fn what_could_not_be_put_back_is_told_and_stays_on_record() {
    let mut lab = Lab::new();
    lab.host().fail("stop_forwarding");
    let told: Vec<String> = lab.manager.close().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["stop_forwarding it: told to fail"]);
    assert!(lab.host().disk.contains_key("forwarding"));
}

#[test]
fn how_the_host_forwarded_before_is_remembered_until_it_starts_anew() {
    let mut lab = Lab::new();
    lab.host().forwarding = Some("something else".into());
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(policy(&lab).1, Some("off".into()));
    lab.host().boot = "2".into();
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(policy(&lab).1, Some("something else".into()));
}

#[test]
fn beside_docker_forwarding_is_left_alone_until_somebody_comes() {
    let host = Host { boot: "1".into(), forwarding: Some("off".into()), ..Host::default() };
    let host = Rc::new(RefCell::new(host));
    let settings = Settings { seed: 7, bip: None, defers_forwarding: true };
    let opened = Manager::open(Paper(Rc::clone(&host)), &settings, at(0));
    let (manager, warnings) = opened.expect("a manager");
    let mut lab = Lab { host, manager, now: at(0) };
    assert_eq!((warnings, policy(&lab).1, lab.host().forwards), (Vec::new(), None, false));
    lab.create_network(network("red"));
    assert!(!lab.host().forwards);
    lab.run("web", "red");
    assert_eq!((policy(&lab).1, lab.host().forwards), (Some("off".into()), true));
    // Who had come is no more after a reboot, though a record tells of it.
    (lab.host().boot, lab.host().forwards) = ("2".into(), false);
    let (manager, warnings) = Manager::open(Paper(Rc::clone(&lab.host)), &settings, at(0)).expect("a manager");
    lab.manager = manager;
    assert_eq!((warnings, lab.host().forwards), (Vec::new(), false));
    lab.run("shop", "red");
    assert!(lab.host().forwards);
}

#[test]
fn networks_of_dockers_pass_its_rules_and_again_when_these_begin_anew() {
    let mut lab = Lab::new();
    let of_docker = |digit: &str, internal| {
        let id = Id::try_from(digit.repeat(64)).expect("an id");
        NetworkRequest { owner: Owner::Docker, id: Some(id.clone()), internal, ..network(id.short()) }
    };
    lab.create_network(network("red"));
    assert_eq!(lab.host().passing.pop(), Some(Vec::new()));
    let id = lab.create_network(of_docker("a", false));
    lab.create_network(of_docker("b", true));
    assert_eq!(lab.host().passing.pop(), Some(vec!["br-aaaaaaaaaaaa".to_owned()]));
    lab.host().passing.clear();
    lab.manager.reap(lab.now);
    assert_eq!(lab.host().passing.len(), 0);
    lab.host().news.others_restarted = true;
    lab.manager.reap(lab.now);
    assert_eq!(lab.host().passing, [["br-aaaaaaaaaaaa"]]);
    lab.manager.remove_network_of(Owner::Docker, id.as_str(), lab.now).expect("nobody is on it");
    assert_eq!(lab.host().passing.pop(), Some(Vec::new()));
}
