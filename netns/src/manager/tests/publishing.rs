//! Ports: of the switch, and of the host.

use super::*;

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
fn the_number_of_a_port_that_has_gone_is_not_the_next_ones() {
    let mut lab = Lab::new();
    let ports: Vec<u16> = (0..4)
        .map(|_| {
            let web = lab.run("web", "bridge").id;
            let port = lab.manager.port_of(&web, "eth0").expect("a port");
            lab.manager.remove("web", true, lab.now).expect("removed");
            port.0
        })
        .collect();
    assert_eq!(ports, [1, 2, 3, 4]);
}
