//! How containers come to be and end: what is asked for, what is refused, what stays.

use super::*;
use crate::manager::end::all_of;

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

#[test]
fn what_makes_no_sense_in_a_mode_is_refused_by_its_option() {
    let mut lab = Lab::new();
    lab.run("web", "bridge");
    type Asks = fn(RunRequest) -> RunRequest;
    let all: [(&str, Asks); 8] = [
        ("--ip", |request| RunRequest { ip: Some([10, 0, 0, 1].into()), ..request }),
        ("--mac-address", |request| RunRequest { mac: Some(switch::mac::MacAddr([2, 0, 0, 0, 0, 1])), ..request }),
        ("--mtu", |request| RunRequest { mtu: Some(1400), ..request }),
        ("--no-offload", |request| RunRequest { offload: false, ..request }),
        ("--network-alias", |request| RunRequest { aliases: vec!["www".into()], ..request }),
        ("--dns", |request| RunRequest { dns: vec![[192, 0, 2, 1].into()], ..request }),
        ("-p", |request| RunRequest { publish: publishing("x", "host", "1:1").publish, ..request }),
        ("-h", |request| RunRequest { hostname: Some("other".into()), ..request }),
    ];
    for (mode, refused) in [("host", 6), ("none", 6), ("container:web", 8)] {
        for (place, (option, ask)) in all.iter().enumerate() {
            let answer = lab.create(ask(request(&format!("c{place}"), mode)));
            let named = match &answer {
                Err(Error::Conflict { option, .. }) => Some(*option),
                Err(other) => panic!("{option} with {mode}: {other}"),
                Ok(_) => None,
            };
            assert_eq!(named, (place < refused).then_some(*option), "{option} with {mode}");
            if let Ok(started) = answer {
                lab.manager.remove(started.id.as_str(), true, lab.now).expect("removed");
            }
        }
    }
}

#[test]
fn a_host_name_is_one_that_linux_and_the_internet_agree_on() {
    let mut lab = Lab::new();
    let mut is_taken = |hostname: &str| {
        let asked = RunRequest { hostname: Some(hostname.into()), auto_remove: true, ..request("web", "none") };
        let answer = lab.create(asked);
        let is_taken = answer.is_ok();
        assert!(is_taken || matches!(answer, Err(Error::Hostname(_))), "{hostname}");
        let _ = lab.manager.remove("web", true, lab.now);
        is_taken
    };
    for good in ["a", "web.example.org", "a-b_c", "9", &"x".repeat(64)] {
        assert!(is_taken(good), "{good}");
    }
    for bad in ["", "-a", "a-", ".a", "a.", "a b", "a/b", &"x".repeat(65)] {
        assert!(!is_taken(bad), "{bad}");
    }
}

#[test]
fn a_container_joins_another_one_that_runs() {
    let mut lab = Lab::new();
    assert!(matches!(lab.create(request("web", "container:web")), Err(Error::JoinsItself(_))));
    assert!(matches!(lab.create(request("db", "container:web")), Err(Error::Target { .. })));
    lab.run("web", "bridge");
    lab.run("db", "container:web");
    let hostname = |lab: &Lab, name: &str| lab.manager.inspect(name).expect("it is there").hostname;
    assert_eq!(hostname(&lab, "db"), hostname(&lab, "web"));
    assert!(matches!(lab.create(request("web", "none")), Err(Error::NameInUse { .. })));
    lab.manager.stop("web", Duration::ZERO, lab.now).expect("stopped");
    assert!(matches!(lab.create(request("next", "container:web")), Err(Error::Target { .. })));
    lab.run("web", "none");
}

#[test]
fn what_is_kept_of_a_container_depends_on_how_it_was_run() {
    for (detached, auto_remove, is_kept) in
        [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
    {
        let mut lab = Lab::new();
        let web = lab.create(RunRequest { detached, auto_remove, ..request("web", "none") }).expect("a container").id;
        assert_eq!(lab.manager.inspect("web").expect("it is there").pid, 200);
        lab.host().ended.push_back((web, 3));
        let ended = lab.manager.reap(lab.now);
        assert_eq!(ended.iter().map(|ended| (ended.name.as_str(), ended.status)).collect::<Vec<_>>(), [("web", 3)]);
        assert_eq!(lab.manager.inspect("web").is_ok_and(|view| view.exit_status == Some(3)), is_kept);
    }
}

#[test]
fn signal_9_ends_a_container_and_any_other_is_passed_on() {
    let mut lab = Lab::new();
    lab.run("web", "none");
    assert_eq!(lab.times("signal", |lab| drop(lab.manager.kill("web", 1, lab.now).expect("sent"))), 1);
    assert_eq!(lab.states(), [("web".into(), "running".into())].into());
    assert_eq!(lab.times("signal", |lab| drop(lab.manager.kill("web", 9, lab.now).expect("ended"))), 0);
    assert_eq!(lab.states(), [("web".into(), "exited".into())].into());
    assert!(matches!(lab.manager.kill("web", 1, lab.now), Err(Error::NotRunning(_))));
}

#[test]
fn a_container_that_nobody_names_has_a_name_of_its_own() {
    let mut lab = Lab::new();
    let names: BTreeSet<Name> = (0..60)
        .map(|_| lab.create(RunRequest { name: None, ..request("x", "none") }).expect("a container").name)
        .collect();
    assert_eq!(names.len(), 60);
}
