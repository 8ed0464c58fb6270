//! Guests: interfaces in sandboxes of other engines.

use netns::event::Event;
use netns::guest::{GuestRequest, Place as At, Route};
use netns::manager::{NetworkRequest, RunRequest};
use netns::network::Owner;
use netns::publish::PortMapping;
use pontoon_sim::{Place, World};

use super::*;

const DOCKER: Owner = Owner::Docker;
const CNI: Owner = Owner::Cni;
const GATEWAY: [u8; 4] = [172, 18, 0, 1];

/// A daemon with a network that is called `red`.
fn world(owner: Owner) -> World {
    let mut world = World::builder().up().expect("a world");
    create_network(&mut world, owner);
    world
}

fn create_network(world: &mut World, owner: Owner) {
    let request = NetworkRequest { owner, ..NetworkRequest::new("red".parse().expect("a name")) };
    world.create_network(request).expect("a network");
}

/// What is left once the network is removed.
fn remains(world: &mut World, owner: Owner) -> Vec<String> {
    world.remove_network_of(owner, "red").expect("removed");
    world.remains()
}

/// An endpoint that Docker has taken into a sandbox of the same name.
fn join(world: &mut World, key: &str) -> Place {
    let sandbox = world.add_sandbox(key);
    let lease = world.reserve(GuestRequest::new(DOCKER, key, "red")).expect("reserved").lease;
    let on_host = format!("pt-{key}");
    world.open_guest(DOCKER, key, At::Host { ifname: on_host.clone() }).expect("open");
    world.take_into_sandbox(&on_host, &sandbox, "eth0", lease.ip).expect("taken");
    world.set_default_route(&sandbox, lease.gateway).expect("a route");
    sandbox
}

fn inside(sandbox: &str, ifname: &str) -> At {
    let default = Route { to: "0.0.0.0/0".parse().expect("a prefix"), via: Some(GATEWAY.into()) };
    At::Inside { netns: format!("/run/netns/{sandbox}"), ifname: ifname.into(), routes: vec![default] }
}

/// The names of the interfaces in a place, `lo` aside.
fn interfaces(world: &mut World, place: &Place) -> Vec<String> {
    let all = world.interfaces(place).expect("it is there").into_iter().map(|each| each.name);
    all.filter(|name| name != "lo").collect()
}

#[test]
fn an_interface_that_docker_has_moved_reaches_containers_of_ours_and_of_its_own() {
    let mut world = world(DOCKER);
    let on_host = At::Host { ifname: "pt-web".into() };
    let lease = world.reserve(GuestRequest::new(DOCKER, "web", "red")).expect("reserved").lease;
    world.open_guest(DOCKER, "web", on_host).expect("open");
    let made = world.interfaces(&Place::Host).expect("the host").into_iter().find(|each| each.name == "pt-web");
    let made = made.expect("it is there");
    assert_eq!((made.up, made.ipv4, made.mac, made.mtu), (false, vec![], lease.mac, lease.mtu));
    world.release_guest(DOCKER, "web").expect("released");

    let (web, db) = (join(&mut world, "web"), join(&mut world, "db"));
    let at = RunRequest { ip: Some([172, 18, 0, 4].into()), ..bridge_request("own", "red") };
    let own = world.run(at, Program::Sleep).expect("a container");
    assert_eq!(interfaces(&mut world, &Place::Host), ["pontoon0", &format!("br-{}", bridge_id(&mut world))]);
    for (from, to) in [(&web, [172, 18, 0, 3]), (&db, [172, 18, 0, 2]), (&web, [172, 18, 0, 4]), (&web, GATEWAY)] {
        assert!(world.ping(from, to), "{from:?} to {to:?}");
    }
    assert!(world.ping(&Place::container(own.name.as_str()), [172, 18, 0, 2]));
    // It is moved back, and goes on being the same port.
    world.take_out_of_sandbox(&web, "eth0", "pt-web").expect("taken");
    assert!(!world.ping(&db, [172, 18, 0, 2]));
    world.take_into_sandbox("pt-web", &web, "eth7", lease.ip).expect("taken");
    assert!(world.ping(&db, [172, 18, 0, 2]));
}

fn bridge_id(world: &mut World) -> String {
    let networks = world.bridge_networks().expect("networks");
    networks.iter().find(|network| network.name.as_str() == "red").expect("it is there").id.short().to_owned()
}

fn bridge_request(name: &str, network: &str) -> RunRequest {
    RunRequest {
        name: Some(name.parse().expect("a name")),
        mode: network.parse().expect("a mode"),
        ..RunRequest::new(vec!["sleep".into()])
    }
}

#[test]
fn an_interface_in_a_sandbox_of_cni_has_all_that_it_needs() {
    let mut world = world(CNI);
    let pod = world.add_sandbox("pod");
    world.reserve(GuestRequest::new(CNI, "pod/net0", "red")).expect("reserved");
    let open = world.open_guest(CNI, "pod/net0", inside("pod", "net0")).expect("open");
    assert_eq!(open.port.as_deref(), Some("pod.net0"));
    let own = world.interfaces(&pod).expect("it is there").into_iter().find(|each| each.name == "net0").expect("one");
    assert_eq!((own.up, own.ipv4, own.mac), (true, vec![open.lease.ip], open.lease.mac));
    assert_eq!(world.default_route(&pod).expect("it is there"), Some(GATEWAY.into()));
    assert!(world.ping(&pod, GATEWAY));
    let unknown = world.open_guest(CNI, "pod/net0", inside("nowhere", "net0")).expect_err("refused");
    assert_eq!(unknown.to_string(), "open the network namespace /run/netns/nowhere: no such file");
    assert_eq!(interfaces(&mut world, &pod), Vec::<String>::new());
    world.release_guest(CNI, "pod/net0").expect("released");
    assert_eq!(remains(&mut world, CNI), Vec::<String>::new());
}

#[test]
fn guests_go_on_without_a_daemon_and_the_next_one_has_them() {
    let mut world = world(DOCKER);
    let (web, db) = (join(&mut world, "web"), join(&mut world, "db"));
    world.publish_guest(DOCKER, "web", PortMapping::parse("80:80").expect("a port")).expect("published");
    assert!(world.ping(&web, [172, 18, 0, 3]));
    world.kill_daemon();
    assert!(!world.ping(&web, [172, 18, 0, 3]));
    world.end_sandbox("db");
    assert_eq!(world.up().expect("a daemon"), Vec::<String>::new());
    assert!(world.ping(&web, GATEWAY));
    let guests = world.guests(DOCKER).expect("a daemon");
    let states: Vec<_> = guests.iter().map(|guest| (guest.key.as_str(), guest.port.is_some())).collect();
    assert_eq!(states, [("web", true), ("db", false)]);
    assert_eq!(world.published_to("web"), Some([172, 18, 0, 2].into()));
    assert!(world.interfaces(&db).is_err());
}

#[test]
fn a_sandbox_that_ends_frees_the_port_and_keeps_the_address() {
    let mut world = world(DOCKER);
    let (web, _) = (join(&mut world, "web"), join(&mut world, "db"));
    world.publish_guest(DOCKER, "db", PortMapping::parse("80:80").expect("a port")).expect("published");
    world.happened();
    world.end_sandbox("db");
    let told: Vec<Event> = world.happened().into_iter().map(|(_, event)| event).collect();
    assert!(told.iter().any(|event| matches!(event, Event::PortDown(port) if port.ifname == "db.eth0")), "{told:?}");
    assert!(told.iter().any(|event| matches!(event, Event::Disconnected(_))), "{told:?}");
    assert_eq!(world.published_to("db"), None);
    assert!(!world.ping(&web, [172, 18, 0, 3]));
    let next = world.reserve(GuestRequest::new(DOCKER, "next", "red")).expect("reserved");
    assert_eq!(next.lease.ip.addr().to_string(), "172.18.0.4");
    world.release_guest(DOCKER, "db").expect("released");
    let next = world.reserve(GuestRequest::new(DOCKER, "third", "red")).expect("reserved");
    assert_eq!(next.lease.ip.addr().to_string(), "172.18.0.3");
}

#[test]
fn a_port_follows_the_name_of_its_container() {
    let mut world = world(DOCKER);
    let web = join(&mut world, "0123456789abcdef");
    world.happened();
    world.name_guest(DOCKER, "0123456789abcdef", "web").expect("named");
    let told: Vec<Event> = world.happened().into_iter().map(|(_, event)| event).collect();
    let [Event::PortRenamed { port, from }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((port.ifname.as_str(), from.as_str()), ("web.eth0", "0123456789ab.eth0"));
    assert!(world.ping(&web, GATEWAY));
    assert!(world.fdb().iter().any(|row| row.name == "web.eth0"));
    let ports = world.statistics().into_iter().flat_map(|bridge| bridge.ports).map(|port| port.name);
    assert_eq!(ports.filter(|name| name.starts_with("web")).collect::<Vec<_>>(), ["web.eth0"]);
}

#[test]
fn after_a_reboot_and_after_down_nothing_of_guests_is_there() {
    let mut world = world(DOCKER);
    join(&mut world, "web");
    world.reboot();
    assert_eq!(world.up().expect("a daemon"), Vec::<String>::new());
    assert_eq!(world.guests(DOCKER).expect("a daemon"), []);
    assert_eq!(remains(&mut world, DOCKER), Vec::<String>::new());
    create_network(&mut world, DOCKER);
    let web = join(&mut world, "web");
    world.down(std::time::Duration::ZERO).expect("down");
    assert_eq!(world.remains(), Vec::<String>::new());
    assert_eq!(interfaces(&mut world, &web), Vec::<String>::new());
}

#[test]
fn guests_that_go_together_may_have_something_to_say_to_each_other() {
    let mut world = world(CNI);
    for key in ["one", "two", "three"] {
        world.add_sandbox(key);
        world.reserve(GuestRequest::new(CNI, key, "red")).expect("reserved");
        // Each tells of its address, and nobody has heard that yet.
        world.open_guest(CNI, key, inside(key, "eth0")).expect("open");
    }
    world.down(std::time::Duration::ZERO).expect("down");
    assert_eq!(world.remains(), Vec::<String>::new());
}

#[test]
fn wherever_a_daemon_is_killed_the_next_one_has_a_guest_whole_or_as_it_was() {
    let steps: [fn(&mut World); 5] = [
        |world| drop(world.reserve(GuestRequest::new(CNI, "pod/eth0", "red"))),
        |world| drop(world.open_guest(CNI, "pod/eth0", inside("pod", "eth0"))),
        |world| drop(world.publish_guest(CNI, "pod/eth0", PortMapping::parse("80:80").expect("a port"))),
        |world| drop(world.close_guest(CNI, "pod/eth0")),
        |world| drop(world.release_guest(CNI, "pod/eth0")),
    ];
    for struck in 0..steps.len() {
        for after in 1..12 {
            let mut world = world(CNI);
            let pod = world.add_sandbox("pod");
            steps[..struck].iter().for_each(|step| step(&mut world));
            let before = world.guests(CNI).expect("a daemon");
            world.crash_after_changes(after);
            steps[struck](&mut world);
            if world.is_up() {
                break;
            }
            assert_eq!(world.up().expect("a daemon"), Vec::<String>::new());
            let guests = world.guests(CNI).expect("a daemon");
            assert!(guests.len() <= 1, "{guests:?}");
            let is_open = guests.iter().any(|guest| guest.port.is_some());
            assert_eq!(interfaces(&mut world, &pod).len(), usize::from(is_open), "step {struck} after {after}");
            assert_eq!(world.ping(&pod, GATEWAY), is_open, "step {struck} after {after}");
            if let (Some(guest), Some(before)) = (guests.first(), before.first()) {
                assert_eq!(guest.lease, before.lease);
            }
            // Whatever it was left with, it can be had, and be let go.
            steps.iter().take(3).for_each(|step| step(&mut world));
            assert!(world.ping(&pod, GATEWAY), "step {struck} after {after}");
            world.release_guest(CNI, "pod/eth0").expect("released");
            assert_eq!(remains(&mut world, CNI), Vec::<String>::new(), "step {struck} after {after}");
        }
    }
}
