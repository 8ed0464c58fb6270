//! What is listed, named and counted, and what becomes of what ends.

use super::*;
use crate::manager::end::all_of;

#[test]
fn a_manager_is_idle_when_no_container_is_listed() {
    let mut lab = Lab::new();
    assert!(lab.manager.is_idle());
    lab.run("web", "none");
    assert!(!lab.manager.is_idle());
    lab.manager.stop("web", Duration::ZERO, lab.now).expect("stopped");
    assert!(!lab.manager.is_idle(), "its record is asked for yet");
    lab.manager.remove("web", false, lab.now).expect("removed");
    assert!(lab.manager.is_idle());
}

#[test]
fn an_empty_text_names_nothing_however_many_there_are() {
    let mut lab = Lab::new();
    for count in 0..3 {
        assert_eq!(says(lab.manager.find("").map(drop)), "no such container: ", "of {count}");
        assert_eq!(says(lab.manager.inspect_network("").map(drop)), "no such network: ");
        lab.run(&format!("w{count}"), "none");
    }
}

#[test]
fn whose_container_ends_takes_its_own_ports_along_and_no_others() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.run("db", "bridge");
    let web = lab.run("web", "bridge").id;
    lab.connect("red", "web").expect("connected");
    let own: BTreeSet<_> = ["eth0", "eth1"].map(|ifname| lab.manager.port_of(&web, ifname).expect("a port")).into();
    lab.controls();
    lab.manager.remove("web", true, lab.now).expect("removed");
    let gone = lab.controls().into_iter().map(|control| match control {
        Control::Unplug { port } => port,
        other => panic!("{other:?}"),
    });
    assert_eq!(gone.collect::<BTreeSet<_>>(), own);
}

#[test]
fn each_switch_has_a_hash_of_its_own_and_the_same_daemon_the_same_ones() {
    let seeds = || {
        let mut lab = Lab::new();
        lab.create_network(network("red"));
        let configs = lab.controls().into_iter().filter_map(|control| match control {
            Control::AddBridge { config, .. } => Some(config),
            _ => None,
        });
        configs
            .map(|config| {
                assert_eq!(config, forward::Config { hash_seed: config.hash_seed, ..forward::Config::default() });
                config.hash_seed
            })
            .collect::<Vec<_>>()
    };
    let first = seeds();
    assert_eq!(first, seeds());
    assert!(first.len() == 2 && first[0] != first[1] && !first.contains(&0), "{first:?}");
}

#[test]
fn a_container_that_can_not_be_ended_keeps_its_record_and_is_tried_again() {
    let mut lab = Lab::new();
    lab.run("web", "bridge");
    lab.host().fail("destroy");
    assert_eq!(says(lab.manager.remove("web", true, lab.now)), "destroy it: told to fail");
    assert_eq!(lab.states(), [("web".into(), "running".into())].into());
    lab.host().failing.clear();
    assert_eq!(lab.times("destroy", |lab| assert!(lab.pass(4).is_empty())), 0);
    assert_eq!(lab.times("destroy", |lab| assert!(lab.pass(1).is_empty())), 1);
    assert_eq!(lab.states(), [("web".into(), "exited".into())].into());
    assert_eq!(lab.manager.poll_timeout(), None);
}

#[test]
fn several_failures_are_one_and_none_is_told_twice() {
    let error = |text: &str| Error::NoSuchNetwork(text.into());
    let told = |names: &[&str]| {
        all_of(names.iter().map(|name| error(name)).collect()).map(|failed| match failed {
            Error::Undo { first, also } => (first.to_string(), also),
            first => (first.to_string(), Vec::new()),
        })
    };
    let text = |name: &str| error(name).to_string();
    assert_eq!(told(&[]), None);
    assert_eq!(told(&["a"]), Some((text("a"), vec![])));
    assert_eq!(told(&["a", "a"]), Some((text("a"), vec![])));
    assert_eq!(told(&["a", "b", "b", "a", "c"]), Some((text("a"), vec![text("b"), text("c")])));
}

#[test]
fn the_newest_container_is_listed_first() {
    let mut lab = Lab::new();
    ["c", "a", "b"].iter().for_each(|name| drop(lab.run(name, "none")));
    let listed: Vec<String> = lab.manager.containers(true).into_iter().map(|view| view.name).collect();
    assert_eq!(listed, ["b", "a", "c"]);
    // The last of those who had a name is meant by it.
    lab.manager.stop("c", Duration::ZERO, lab.now).expect("stopped");
    let second = lab.run("c", "none").id;
    lab.manager.stop("c", Duration::ZERO, lab.now).expect("stopped");
    assert_eq!(lab.manager.find("c").expect("it is there").id, second);
}

#[test]
fn the_networks_that_are_no_bridges_list_who_is_on_them() {
    let mut lab = Lab::new();
    for (name, mode) in [("a", "none"), ("b", "host"), ("c", "none"), ("d", "host"), ("e", "bridge")] {
        lab.run(name, mode);
    }
    for ended in ["c", "d"] {
        lab.manager.stop(ended, Duration::ZERO, lab.now).expect("stopped");
    }
    let members = |lab: &Lab, network: &str| -> Vec<String> {
        let details = lab.manager.inspect_network(network).expect("it is there");
        details.containers.into_values().map(|member| member.name).collect()
    };
    assert_eq!((members(&lab, "none"), members(&lab, "host")), (vec!["a".into()], vec!["b".into()]));
    lab.disconnect("none", "a").expect("disconnected");
    assert_eq!((members(&lab, "none"), members(&lab, "host")), (vec![], vec!["b".into()]));
}

#[test]
fn a_port_is_its_containers_until_its_link_is_gone() {
    let mut lab = Lab::new();
    let db = lab.run("db", "bridge").id;
    let web = lab.run("web", "bridge").id;
    let port = |lab: &Lab, id: &Id| lab.manager.port_of(id, "eth0");
    let (own, other) = (port(&lab, &web).expect("a port"), port(&lab, &db).expect("a port"));
    assert_ne!(own, other);
    let owner = |lab: &Lab, port: PortId| lab.manager.owner_of(port).map(|record| record.id.clone());
    assert_eq!((owner(&lab, own), owner(&lab, other)), (Some(web.clone()), Some(db.clone())));
    lab.manager.port_down(own).expect("it is nobody's gateway");
    assert_eq!((port(&lab, &web), owner(&lab, own)), (None, None));
    assert_eq!(owner(&lab, other), Some(db));
}

#[test]
fn ports_are_listed_as_published_while_somebody_passes_them_on() {
    let mut lab = Lab::new();
    let publish = || publishing("web", "bridge", "8080:80");
    let web = lab.create(publish()).expect("a container").id;
    let listed = |lab: &Lab| lab.manager.inspect(web.as_str()).expect("it is there").published.len();
    assert_eq!(listed(&lab), 1);
    lab.host().fail("publish");
    lab.host().unpublished.push_back(web.clone());
    lab.manager.reap(lab.now);
    assert_eq!(listed(&lab), 0);
    lab.host().failing.clear();
    lab.restart();
    lab.host().published.clear();
    lab.restart();
    assert_eq!((listed(&lab), lab.host().published.len()), (1, 1));
    lab.create_network(internal("inner"));
    lab.connect("inner", "web").expect("connected");
    lab.disconnect("bridge", "web").expect("disconnected");
    assert_eq!((listed(&lab), lab.host().published.len()), (0, 0));
    lab.connect("bridge", "web").expect("connected");
    assert_eq!((listed(&lab), lab.host().published.len()), (1, 1));
    lab.manager.stop("web", Duration::ZERO, lab.now).expect("stopped");
    assert_eq!(listed(&lab), 0);
}

#[test]
fn a_publisher_that_ends_again_within_five_seconds_is_not_replaced() {
    for (pause, is_replaced) in [(4, false), (5, true), (6, true)] {
        let mut lab = Lab::new();
        let web = lab.create(publishing("web", "bridge", "8080:80")).expect("a container").id;
        let lose = |lab: &mut Lab| {
            lab.host().published.clear();
            lab.host().unpublished.push_back(web.clone());
            lab.manager.reap(lab.now);
            let listed = lab.manager.inspect("web").expect("it is there").published.len();
            assert_eq!(listed, lab.host().published.len());
            listed == 1
        };
        assert!(lose(&mut lab));
        lab.pass(pause);
        assert_eq!(lose(&mut lab), is_replaced, "after {pause} s");
    }
}

#[test]
fn whose_ports_are_published_by_nobody_is_told() {
    let mut lab = Lab::new();
    lab.create_network(internal("inner"));
    let warnings = |lab: &mut Lab, request| lab.create(request).expect("a container").warnings;
    let ignored = "published ports are ignored";
    assert_eq!(warnings(&mut lab, publishing("a", "host", "1:1")), [format!("{ignored} with --network host")]);
    assert_eq!(warnings(&mut lab, publishing("b", "none", "1:1")), [format!("{ignored} with --network none")]);
    let inner = format!("{ignored} as long as the container is on --internal networks only");
    assert_eq!(warnings(&mut lab, publishing("c", "inner", "1:1")), [inner]);
    assert_eq!(warnings(&mut lab, publishing("d", "bridge", "1:1")), Vec::<String>::new());
    for mode in ["host", "none", "inner"] {
        assert_eq!(warnings(&mut lab, request(&format!("e-{mode}"), mode)), Vec::<String>::new());
    }
}

#[test]
fn three_name_servers_are_asked_and_more_are_told_of() {
    let mut lab = Lab::new();
    let mut warnings = |count: u8| {
        let dns = (1..=count).map(|last| std::net::Ipv4Addr::new(192, 0, 2, last)).collect();
        lab.create(RunRequest { dns, ..request(&format!("w{count}"), "bridge") }).expect("a container").warnings
    };
    assert_eq!((warnings(1), warnings(3)), (vec![], vec![]));
    let told = "of the name servers of --dns only the first 3 are asked: 192.0.2.1, 192.0.2.2, 192.0.2.3";
    assert_eq!(warnings(4), [told]);
    for nobodys in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let dns = vec![nobodys.parse().expect("an address")];
        let refused = lab.create(RunRequest { dns, ..request("web", "bridge") });
        assert!(matches!(refused, Err(Error::Dns(_))), "{nobodys}");
    }
}
