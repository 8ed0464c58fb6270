//! Guests: what an engine's face asks for, in the right order and in others.

use switch::port::PortConfig;

use super::*;
use crate::guest::{GuestRequest, GuestView, Place, Route};
use crate::lease::mac_of;
use crate::network::Owner;

const KEY: &str = "0123456789abcdef";
const FORGOTTEN: &str =
    "remove it with docker, which has made it; if it is not known there any more, --force removes it";

/// A host with a network of Docker's, by the id that Docker has given it.
fn lab() -> Lab {
    let mut lab = Lab::new();
    let subnet =
        crate::subnet::SubnetRequest { subnet: Some("10.7.0.0/24".parse().expect("a subnet")), ..Default::default() };
    let id = Some(docker_id());
    lab.create_network(NetworkRequest { id, owner: Owner::Docker, subnet, ..network("dock") });
    lab
}

fn docker_id() -> Id {
    Id::try_from("d0".repeat(32)).expect("an id")
}

fn asking(key: &str) -> GuestRequest {
    GuestRequest::new(Owner::Docker, key, docker_id().as_str())
}

fn at_address(key: &str, last: u8) -> GuestRequest {
    GuestRequest { ip: Some([10, 7, 0, last].into()), ..asking(key) }
}

fn on_host() -> Place {
    Place::Host { ifname: "pt0123".into() }
}

fn inside() -> Place {
    let default = Route { to: "0.0.0.0/0".parse().expect("a prefix"), via: Some([10, 7, 0, 1].into()) };
    Place::Inside { netns: "/run/netns/x".into(), ifname: "net0".into(), routes: vec![default] }
}

impl Lab {
    fn reserve(&mut self, request: GuestRequest) -> GuestView {
        self.manager.reserve(request, self.now).expect("reserved")
    }

    fn open_guest(&mut self, key: &str) -> GuestView {
        self.manager.open_guest(Owner::Docker, key, on_host(), self.now).expect("open")
    }

    fn guest(&self, key: &str) -> Option<GuestView> {
        self.manager.guest(Owner::Docker, key)
    }
}

/// The name and MTU of each port that was plugged in, and the new name of each that got one.
fn told(lab: &mut Lab) -> Vec<String> {
    let words = |control: Control<Wire>| match control {
        Control::Plug { config: PortConfig { name, .. }, .. } => format!("plug {name}"),
        Control::RenamePort { name, .. } => format!("rename {name}"),
        Control::Unplug { .. } => "unplug".into(),
        other => format!("{other:?}"),
    };
    lab.controls().into_iter().map(words).collect()
}

#[test]
fn an_endpoint_of_docker_lives_from_its_creation_to_its_deletion() {
    let mut lab = lab();
    lab.controls();
    lab.asked();
    let reserved = lab.reserve(at_address(KEY, 9));
    assert_eq!(reserved.lease.ip.to_string(), "10.7.0.9/24");
    assert_eq!(reserved.lease.mac, mac_of([10, 7, 0, 9].into()));
    assert_eq!((reserved.place, reserved.port), (None, None));
    assert_eq!(lab.asked(), ["save"]);
    assert!(lab.controls().is_empty());

    let open = lab.open_guest(KEY);
    assert_eq!((open.place, open.port.as_deref()), (Some(on_host()), Some("0123456789ab.eth0")));
    assert_eq!(told(&mut lab), ["plug 0123456789ab.eth0"]);
    let made = lab.host().made(&open.id).clone();
    assert_eq!((made.place, made.runs), (Some(on_host()), true));
    assert_eq!(made.interfaces["eth0"].bridge, "br-d0d0d0d0d0d0");
    let shown = lab.manager.inspect("0123456789ab").expect("it is there");
    assert_eq!(
        (shown.state.as_str(), shown.command, shown.engine),
        ("running", vec!["(docker)".into()], Some(Owner::Docker))
    );

    let ports = PortMapping::parse("8080:80").expect("a port");
    lab.manager.publish_guest(Owner::Docker, KEY, ports.clone(), lab.now).expect("published");
    assert_eq!(lab.host().published[&open.id], ([10, 7, 0, 9].into(), ports));
    assert_eq!(lab.manager.inspect("0123456789ab").expect("it is there").published.len(), 1);
    lab.manager.unpublish_guest(Owner::Docker, KEY, lab.now).expect("no more");
    assert!(lab.host().published.is_empty());

    lab.manager.close_guest(Owner::Docker, KEY, lab.now).expect("closed");
    assert_eq!(told(&mut lab), ["unplug"]);
    assert!(lab.host().containers.is_empty());
    assert_eq!(lab.guest(KEY).map(|view| (view.lease.ip, view.place)), Some((open.lease.ip, None)));
    lab.manager.release(Owner::Docker, KEY, lab.now).expect("released");
    assert!(lab.manager.is_idle() && lab.manager.containers(true).is_empty());
    assert!(!lab.host().disk.keys().any(|key| key.starts_with("container-")));
}

#[test]
fn what_undoes_does_nothing_for_an_endpoint_that_is_not_known() {
    let mut lab = lab();
    lab.asked();
    let now = lab.now;
    lab.manager.unpublish_guest(Owner::Docker, KEY, now).expect("nothing");
    lab.manager.close_guest(Owner::Docker, KEY, now).expect("nothing");
    lab.manager.release(Owner::Docker, KEY, now).expect("nothing");
    assert!(lab.asked().is_empty());
    let unknown = "docker has no endpoint 0123456789abcdef here";
    assert_eq!(says(lab.manager.open_guest(Owner::Docker, KEY, on_host(), now)), unknown);
    assert_eq!(says(lab.manager.publish_guest(Owner::Docker, KEY, Vec::new(), now)), unknown);
    assert_eq!(says(lab.manager.name_guest(Owner::Docker, KEY, "web", now)), unknown);
    // The same key is another endpoint of another engine.
    lab.reserve(asking(KEY));
    assert_eq!(lab.manager.guest(Owner::Cni, KEY), None);
    lab.manager.release(Owner::Cni, KEY, now).expect("nothing");
    assert!(lab.guest(KEY).is_some());
}

#[test]
fn what_is_asked_for_twice_is_done_once() {
    let mut lab = lab();
    let first = lab.reserve(at_address(KEY, 9));
    assert_eq!(lab.reserve(at_address(KEY, 9)), first);
    assert_eq!(lab.reserve(asking(KEY)), first);
    let refused = says(lab.manager.reserve(at_address(KEY, 10), lab.now));
    assert_eq!(
        refused,
        format!("the endpoint {KEY} of docker is there already, with other properties: container 0123456789ab")
    );
    let open = lab.open_guest(KEY);
    assert_eq!(lab.times("create", |lab| assert_eq!(lab.open_guest(KEY), open)), 0);
    // In another place it is another interface, and the first one goes.
    lab.asked();
    lab.manager.open_guest(Owner::Docker, KEY, inside(), lab.now).expect("open");
    let asked = lab.asked();
    let at = |what: &str| asked.iter().position(|asked| *asked == what);
    assert!(at("destroy") < at("create") && at("destroy").is_some(), "{asked:?}");
    assert_eq!(lab.guest(KEY).and_then(|view| view.port).as_deref(), Some("0123456789ab.net0"));
}

#[test]
fn an_address_that_docker_gives_out_again_is_taken_from_who_had_it() {
    let mut lab = lab();
    let stale = lab.reserve(at_address("aaaa", 9));
    lab.open_guest("aaaa");
    lab.controls();
    lab.reserve(at_address("bbbb", 9));
    assert_eq!(lab.guest("aaaa"), None);
    assert!(!lab.host().containers.contains_key(&stale.id));
    assert_eq!(told(&mut lab), ["unplug"]);
    // Not from a container of ours, and not for another engine.
    lab.create(RunRequest { ip: Some([10, 7, 0, 20].into()), ..request("own", "dock") }).expect("a container");
    let refused = "network dock: address 10.7.0.20 is in use by another container";
    assert_eq!(says(lab.manager.reserve(at_address("cccc", 20), lab.now)), refused);
    let cni = GuestRequest { engine: Owner::Cni, ..at_address("c/eth0", 9) };
    let refused = says(lab.manager.reserve(cni, lab.now));
    assert_eq!(refused, "network dock: address 10.7.0.9 is in use by another container");
    assert!(lab.guest("bbbb").is_some());
}

#[test]
fn a_mac_is_taken_only_from_one_without_an_interface() {
    let mut lab = lab();
    let mac = Some("02:00:00:00:00:09".parse().expect("a MAC"));
    let asking = |key: &str| GuestRequest { mac, ..asking(key) };
    lab.reserve(asking("aaaa"));
    lab.reserve(asking("bbbb"));
    assert_eq!(lab.guest("aaaa"), None);
    lab.open_guest("bbbb");
    let refused = says(lab.manager.reserve(asking("cccc"), lab.now));
    assert_eq!(refused, "network dock: MAC address 02:00:00:00:00:09 is in use by another station");
}

#[test]
fn a_guest_gets_the_name_of_its_container_once_that_is_known() {
    let mut lab = lab();
    lab.reserve(asking("aaaa"));
    lab.reserve(asking("bbbb"));
    let open = lab.open_guest("aaaa");
    lab.controls();
    let named = lab.manager.name_guest(Owner::Docker, "aaaa", "/web", lab.now).expect("named");
    assert_eq!((named.name.as_str(), named.port.as_deref()), ("web", Some("web.eth0")));
    assert_eq!(told(&mut lab), ["rename web.eth0"]);
    assert!(lab.host().made(&open.id).note.as_ref().is_some_and(|note| note.contains("\"web\"")));
    lab.manager.name_guest(Owner::Docker, "aaaa", "/web", lab.now).expect("named");
    assert!(told(&mut lab).is_empty());
    // Its other network: the same container, and another name here.
    let other = lab.manager.name_guest(Owner::Docker, "bbbb", "/web", lab.now).expect("named");
    assert_eq!(other.name.as_str(), "web.dock");
    let refused = lab.create(request("web", "bridge")).expect_err("refused");
    assert_eq!(refused.to_string(), format!("the name 'web' is in use by container {}", open.id.short()));
    assert_eq!(refused.hint().as_deref(), Some("it is docker's: choose another name"));
    let (_, table) = lab.host().tables[docker_id().as_str()].clone();
    assert_eq!(table.hosts.into_values().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn what_becomes_of_a_guest_says_its_engine() {
    let mut lab = lab();
    lab.create_network(network("red"));
    lab.reserve(GuestRequest { named: Some("web".into()), ..asking(KEY) });
    lab.open_guest(KEY);
    let belongs = "container web belongs to docker";
    let now = lab.now;
    let refusals = [
        says(lab.manager.stop("web", Duration::ZERO, now)),
        says(lab.manager.kill("web", 9, now)),
        says(lab.manager.remove("web", true, now)),
        says(lab.manager.connect("red", "web", ConnectRequest::default(), now)),
        says(lab.manager.disconnect("dock", "web", now)),
        says(lab.manager.locate("web")),
    ];
    assert_eq!(refusals, [belongs; 6]);
    assert_eq!(says(lab.create(request("joiner", "container:web"))), format!("--network container:web: {belongs}"));
    let refused = lab.manager.stop("web", Duration::ZERO, now).expect_err("refused");
    assert_eq!(refused.hint().as_deref(), Some("manage it with docker, which has made it"));
}

#[test]
fn a_network_of_an_engine_is_removed_by_its_engine_alone_and_takes_along_what_that_has_forgotten() {
    let mut lab = lab();
    let now = lab.now;
    let owner = |lab: &Lab, network: &str| lab.manager.inspect_network(network).expect("it is there").owner;
    assert_eq!((owner(&lab, "dock"), owner(&lab, "bridge")), (Some(Owner::Docker), None));
    let again = NetworkRequest { id: Some(docker_id()), owner: Owner::Docker, ..network("other") };
    assert_eq!(says(lab.manager.create_network(again, now)), "there is a network dock already");
    lab.reserve(asking("aaaa"));
    lab.open_guest("aaaa");
    let ip = lab.manager.network("dock").expect("it is there").subnet.hosts().last();
    lab.create(RunRequest { ip, ..request("own", "dock") }).expect("it is free");
    let refused = lab.manager.remove_network("dock", now).expect_err("refused");
    assert_eq!(refused.to_string(), "network dock belongs to docker");
    assert_eq!(refused.hint().as_deref(), Some(FORGOTTEN));
    assert_eq!(lab.manager.prune_networks(now).0, Vec::<Name>::new());
    let refused = says(lab.manager.remove_network_of(Owner::Docker, docker_id().as_str(), now));
    assert_eq!(refused, "network dock is in use by own");
    assert!(lab.guest("aaaa").is_some());
    lab.manager.remove("own", true, now).expect("removed");
    lab.manager.remove_network_of(Owner::Docker, docker_id().as_str(), now).expect("removed");
    assert_eq!(lab.guest("aaaa"), None);
    assert!(lab.host().containers.is_empty());
    // A user's network is no engine's, and its guests are in use like everybody.
    lab.create_network(network("red"));
    lab.reserve(GuestRequest::new(Owner::Cni, "c/eth0", "red"));
    assert_eq!(says(lab.manager.remove_network_of(Owner::Cni, "red", now)), "network red belongs to user");
    assert_eq!(says(lab.manager.remove_network("red", now)), "network red is in use by c (cni)");
}

#[test]
fn a_network_that_its_engine_has_forgotten_is_removed_by_force_once_nothing_is_on_it() {
    let mut lab = lab();
    let now = lab.now;
    lab.reserve(asking("aaaa"));
    lab.open_guest("aaaa");
    let guest = lab.guest("aaaa").expect("it is there").name;
    assert_eq!(
        says(lab.manager.remove_forgotten_network("dock", now)),
        format!("network dock is in use by {guest} (docker)")
    );
    lab.manager.close_guest(Owner::Docker, "aaaa", now).expect("closed");
    lab.manager.remove_forgotten_network("dock", now).expect("nothing is on it");
    assert_eq!((lab.guest("aaaa"), lab.manager.network("dock").is_err()), (None, true));
    assert_eq!(says(lab.manager.remove_forgotten_network("dock", now)), "no such network: dock");
    assert_eq!(
        says(lab.manager.remove_forgotten_network("bridge", now)),
        says(lab.manager.remove_network("bridge", now))
    );
    // Force does nothing else.
    lab.create_network(network("red"));
    lab.reserve(GuestRequest::new(Owner::Cni, "c/eth0", "red"));
    assert_eq!(says(lab.manager.remove_forgotten_network("red", now)), "network red is in use by c (cni)");
}

#[test]
fn a_guest_whose_sandbox_has_died_keeps_its_address_until_its_engine_lets_it_go() {
    let mut lab = lab();
    let id =
        lab.reserve(GuestRequest { published: PortMapping::parse("80:80").expect("a port"), ..at_address(KEY, 9) }).id;
    assert!(lab.host().published.is_empty());
    lab.open_guest(KEY);
    assert_eq!(lab.host().published.len(), 1);
    lab.controls();
    lab.host().made(&id).end = Some(None);
    lab.host().published.clear();
    lab.host().ended.push_back((id.clone(), 0));
    assert_eq!(lab.manager.reap(lab.now), []);
    assert_eq!(told(&mut lab), ["unplug"]);
    let view = lab.guest(KEY).expect("reserved");
    assert_eq!((view.lease.ip.to_string().as_str(), view.place, view.port), ("10.7.0.9/24", None, None));
    assert!(lab.host().containers.is_empty());
    // It may come back.
    assert!(lab.open_guest(KEY).port.is_some());
    assert_eq!(lab.host().published.len(), 1);
}

#[test]
fn the_next_daemon_takes_guests_over_and_makes_what_was_half_done_a_reservation() {
    let mut lab = lab();
    for key in ["aaaa", "bbbb", "cccc", "dddd"] {
        lab.reserve(asking(key));
    }
    let open = lab.open_guest("aaaa");
    let died = lab.open_guest("bbbb").id;
    lab.host().made(&died).end = Some(None);
    // What a daemon that is killed in the middle leaves.
    lab.host().fail("create");
    lab.host().fail("destroy");
    lab.manager.open_guest(Owner::Docker, "cccc", on_host(), lab.now).expect_err("told to fail");
    lab.host().failing.clear();
    let before = lab.guest("dddd");
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(lab.guest("aaaa"), Some(open));
    for key in ["bbbb", "cccc"] {
        assert_eq!(lab.guest(key).map(|view| (view.place, view.port)), Some((None, None)), "{key}");
    }
    assert_eq!(lab.guest("dddd"), before);
    assert_eq!(lab.host().containers.len(), 1);
}

#[test]
fn after_a_reboot_networks_of_engines_are_there_and_their_guests_are_not() {
    let mut lab = lab();
    for key in ["aaaa", "bbbb"] {
        lab.reserve(asking(key));
    }
    lab.open_guest("aaaa");
    lab.host().boot = "2".into();
    lab.host().containers.clear();
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(lab.manager.guests(Owner::Docker), []);
    assert!(lab.manager.network(docker_id().as_str()).is_ok());
    assert!(!lab.host().disk.keys().any(|key| key.starts_with("container-")));
}

#[test]
fn a_keeper_that_does_not_answer_is_asked_again_and_its_address_is_not_free() {
    let mut lab = lab();
    let id = lab.reserve(at_address(KEY, 9)).id;
    lab.open_guest(KEY);
    lab.host().made(&id).is_silent = true;
    assert_eq!(lab.restart().len(), 1);
    assert_eq!(
        says(lab.manager.open_guest(Owner::Docker, KEY, on_host(), lab.now)),
        format!("container {} does not answer: it is not known what it has", &KEY[..12])
    );
    let cni = GuestRequest { engine: Owner::Cni, ..at_address("c/eth0", 9) };
    assert!(lab.manager.reserve(cni, lab.now).is_err());
    lab.host().made(&id).is_silent = false;
    lab.controls();
    assert!(lab.pass(8).is_empty());
    assert_eq!(told(&mut lab), [format!("plug {}.eth0", &KEY[..12])]);
}

#[test]
fn a_guest_that_could_not_be_ended_is_tried_again_and_not_forgotten() {
    let mut lab = lab();
    lab.reserve(at_address(KEY, 9));
    lab.open_guest(KEY);
    lab.host().fail("destroy");
    lab.manager.release(Owner::Docker, KEY, lab.now).expect_err("told to fail");
    assert!(lab.guest(KEY).is_some());
    lab.host().failing.clear();
    assert!(lab.pass(5).is_empty());
    assert_eq!(lab.guest(KEY), None);
    assert!(lab.host().containers.is_empty());
    assert_eq!(lab.manager.poll_timeout(), None);
}

#[test]
fn ports_that_can_not_be_had_leave_those_that_were() {
    let mut lab = lab();
    let id = lab.reserve(at_address(KEY, 9)).id;
    lab.open_guest(KEY);
    lab.create(publishing("own", "bridge", "81:81")).expect("a container");
    let publish = |lab: &mut Lab, ports: &str| {
        lab.manager.publish_guest(Owner::Docker, KEY, PortMapping::parse(ports).expect("ports"), lab.now)
    };
    publish(&mut lab, "80:80").expect("published");
    let refused = says(publish(&mut lab, "81:80"));
    assert!(refused.ends_with("container own publishes it"), "{refused}");
    assert_eq!(lab.host().published[&id].1, PortMapping::parse("80:80").expect("a port"));
    assert_eq!(lab.guest(KEY).expect("open").published, PortMapping::parse("80:80").expect("a port"));
}

#[test]
fn a_lost_record_of_a_guest_comes_back_from_its_keeper() {
    let mut lab = lab();
    let id = lab.reserve(GuestRequest { named: Some("web".into()), ..at_address(KEY, 9) }).id;
    let open = lab.open_guest(KEY);
    lab.host().disk.insert(format!("container-{id}"), "nonsense".into());
    let warnings = lab.restart();
    assert!(
        warnings.iter().any(|warning| warning == "container web had no record; it is written anew"),
        "{warnings:?}"
    );
    assert_eq!(lab.guest(KEY), Some(open));
}

#[test]
fn ports_that_were_about_to_be_others_when_a_daemon_was_killed_are_those_of_the_record() {
    for steps in 0..6 {
        let mut lab = lab();
        let id = lab.reserve(at_address(KEY, 9)).id;
        lab.open_guest(KEY);
        let publish = |lab: &mut Lab, ports: &str| {
            lab.manager.publish_guest(Owner::Docker, KEY, PortMapping::parse(ports).expect("ports"), lab.now)
        };
        publish(&mut lab, "80:80").expect("published");
        lab.host().strike = Some((steps, true));
        publish(&mut lab, "81:80").expect_err("killed");
        lab.host().strike = None;
        assert_eq!(lab.restart(), Vec::<String>::new());
        let wanted = lab.guest(KEY).expect("open").published;
        let passed_on = lab.host().published.get(&id).map(|(_, ports)| ports.clone()).unwrap_or_default();
        assert_eq!(passed_on, wanted, "after {steps} steps");
    }
}

#[test]
fn what_is_left_of_an_interface_that_is_gone_is_cleared_up_later() {
    let mut lab = lab();
    lab.reserve(at_address(KEY, 9));
    lab.open_guest(KEY);
    lab.host().fail("discard");
    assert_eq!(says(lab.manager.close_guest(Owner::Docker, KEY, lab.now)), "discard it: told to fail");
    assert!(lab.manager.open_guest(Owner::Docker, KEY, on_host(), lab.now).is_err());
    lab.host().failing.clear();
    assert!(lab.pass(5).is_empty());
    assert!(lab.host().containers.is_empty());
    assert_eq!(lab.manager.poll_timeout(), None);
    assert!(lab.open_guest(KEY).port.is_some());
}

#[test]
fn a_guest_whose_port_has_gone_is_closed_at_once() {
    let mut lab = lab();
    lab.reserve(at_address(KEY, 9));
    let open = lab.open_guest(KEY);
    lab.asked();
    let port = lab.manager.port_of(&open.id, "eth0").expect("it has one");
    lab.manager.port_down(port).expect("noted");
    assert_eq!(lab.manager.poll_timeout(), Some(Instant::ZERO));
    assert_eq!(lab.manager.handle_timeout(lab.now).len(), 0);
    assert!(lab.asked().contains(&"destroy"));
    let closed = lab.guest(KEY).expect("its address is its engine's to free");
    assert_eq!((closed.place, closed.port, closed.lease), (None, None, open.lease));
    assert_eq!(lab.manager.poll_timeout(), None);
}

impl Lab {
    /// Somebody kills the keeper of a guest.
    fn kill_keeper(&mut self, id: &Id) {
        self.host().made(id).is_unkept = true;
        self.host().ended.push_back((id.clone(), 137));
        self.manager.reap(self.now);
    }

    fn pid(&self, id: &Id) -> u32 {
        self.manager.inspect(id.as_str()).expect("it is there").pid
    }
}

#[test]
fn a_killed_keeper_is_replaced_at_once_and_one_that_can_not_live_every_five_seconds() {
    let mut lab = lab();
    lab.reserve(asking(KEY));
    let id = lab.open_guest(KEY).id;
    let ports = PortMapping::parse("8080:80").expect("a port");
    lab.manager.publish_guest(Owner::Docker, KEY, ports, lab.now).expect("published");
    told(&mut lab);
    lab.asked();
    lab.kill_keeper(&id);
    // The switch is told nothing, and what passes on to it is made anew.
    assert_eq!((lab.pid(&id), told(&mut lab)), (300, Vec::new()));
    assert_eq!(lab.asked(), ["replace_keeper", "save", "publish"]);
    lab.kill_keeper(&id);
    assert_eq!(lab.asked(), Vec::<&str>::new());
    assert_eq!(lab.guest(KEY).and_then(|view| view.place), Some(on_host()));
    assert!(lab.pass(4).is_empty() && lab.asked().is_empty());
    assert!(lab.pass(1).is_empty());
    assert_eq!(lab.asked(), ["replace_keeper", "save", "publish"]);
    // None to be had is no reason to give up, either.
    lab.pass(60);
    lab.host().fail("replace_keeper");
    lab.kill_keeper(&id);
    lab.host().failing.clear();
    assert!(lab.pass(5).is_empty());
    assert_eq!(lab.asked(), ["replace_keeper", "replace_keeper", "save", "publish"]);
    assert_eq!(told(&mut lab), Vec::<String>::new());
    // Nobody is waited for who is to go.
    lab.pass(60);
    lab.host().fail("replace_keeper");
    lab.kill_keeper(&id);
    lab.manager.release(Owner::Docker, KEY, lab.now).expect("released");
    assert_eq!((told(&mut lab), lab.manager.poll_timeout()), (vec!["unplug".to_owned()], None));
    assert!(lab.manager.is_idle());
}

#[test]
fn a_guest_whose_interface_ends_while_it_waits_for_a_keeper_waits_no_more() {
    let mut lab = lab();
    lab.reserve(asking(KEY));
    let id = lab.open_guest(KEY).id;
    lab.kill_keeper(&id);
    lab.kill_keeper(&id);
    lab.host().made(&id).is_unkept = false;
    let plugged = |control: Control<Wire>| if let Control::Plug { port, .. } = control { Some(port) } else { None };
    let port = lab.controls().into_iter().filter_map(plugged).last().expect("it is on the switch");
    lab.manager.port_down(port).expect("noted");
    assert!(lab.pass(0).is_empty());
    assert_eq!(lab.guest(KEY).map(|view| (view.place, view.port)), Some((None, None)));
    assert_eq!(lab.manager.poll_timeout(), None);
}

#[test]
fn a_port_is_called_as_the_engine_calls_the_interface_that_it_has_taken() {
    let mut lab = lab();
    lab.reserve(asking(KEY));
    let id = lab.open_guest(KEY).id;
    told(&mut lab);
    let name = |lab: &mut Lab, called: &str| {
        lab.host().made(&id).called = Some(called.to_owned());
        let view = lab.manager.name_guest(Owner::Docker, KEY, "/web", lab.now).expect("named");
        (view.is_found(), view.port.expect("a port"), told(lab))
    };
    // It is where it was made, and is taken to be the first of its container.
    assert_eq!(name(&mut lab, "pt0123"), (false, "web.eth0".into(), vec!["rename web.eth0".into()]));
    assert_eq!(name(&mut lab, "eth1"), (true, "web.eth1".into(), vec!["rename web.eth1".into()]));
    // On its way back to the host it is called as it was.
    assert_eq!(name(&mut lab, "pt0123"), (true, "web.eth1".into(), Vec::new()));
    let shown = lab.manager.inspect("web").expect("it is there");
    assert_eq!(shown.networks["dock"].ifname, "eth1");
    // The next daemon knows, and finds the interface by the name in its record.
    lab.restart();
    assert_eq!(told(&mut lab).last().map(String::as_str), Some("plug web.eth1"));
    lab.manager.close_guest(Owner::Docker, KEY, lab.now).expect("closed");
    assert_eq!(lab.open_guest(KEY).port.as_deref(), Some("web.eth0"));
}
