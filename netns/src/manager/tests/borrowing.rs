//! Interfaces of the host as ports: taken, followed and given back, whatever goes wrong on the way.

use ipnet::IpNet;
use switch::port::PortConfig;

use super::*;
use crate::backend::HostInterface;
use crate::borrowed::{Borrowed, BorrowedPhase, Unfit};

/// A host with one Ethernet interface more.
fn lab_with(name: &str) -> Lab {
    let mut lab = Lab::new();
    lab.controls();
    lab.host().ethernet.insert("1_7".into(), ethernet(name));
    lab
}

fn ethernet(name: &str) -> HostInterface {
    HostInterface { identity: "1_7".into(), name: name.into(), mtu: 1500, up: true, ..HostInterface::default() }
}

impl Lab {
    fn add_port(&mut self, name: &str) -> Result<Vec<String>, Error> {
        self.manager.add_port("pontoon0", &name.parse().expect("a name"), self.now)
    }

    fn remove_port(&mut self, name: &str) -> Result<(), Error> {
        self.manager.remove_port("pontoon0", name, self.now)
    }

    /// Lets something become of an interface, and the daemon see it.
    fn change(&mut self, change: impl FnOnce(&mut Host)) {
        change(&mut self.host());
        self.host().have_interfaces_changed = true;
        self.manager.reap(self.now);
    }

    /// What was plugged in and out, in words.
    fn plugged(&mut self) -> Vec<String> {
        let told = self.controls().into_iter().map(|control| match control {
            Control::Plug { config: PortConfig { name, mtu, .. }, link, .. } => {
                format!("plug {name} of {mtu} bytes by {}", link.0)
            }
            Control::Unplug { .. } => "unplug".to_owned(),
            other => format!("{other:?}"),
        });
        told.collect()
    }

    fn saved(&self) -> Option<Borrowed> {
        let host = self.host.borrow();
        host.disk.get("borrowed-1_7").map(|text| serde_json::from_str(text).expect("a record"))
    }

    fn is_untouched(&self) -> bool {
        self.saved().is_none() && self.host().silenced.is_empty()
    }
}

#[test]
fn an_interface_is_silenced_before_its_port_is_plugged_in_and_heard_after_that_has_gone() {
    let mut lab = lab_with("veth1");
    lab.asked();
    assert_eq!(lab.add_port("veth1").expect("a port"), Vec::<String>::new());
    assert_eq!(lab.plugged(), ["plug veth1 of 1500 bytes by veth1"]);
    assert_eq!(lab.saved().map(|record| (record.name, record.phase)), Some(("veth1".into(), BorrowedPhase::Held)));
    assert_eq!(lab.host().silenced.len(), 1);
    assert!(!lab.manager.is_idle());
    // (The network's record, since anybody may be behind it.)
    assert_eq!(lab.asked(), ["save", "borrow_interface", "save", "save"]);
    lab.remove_port("veth1").expect("given back");
    assert_eq!(lab.plugged(), ["unplug"]);
    assert!(lab.is_untouched() && lab.manager.is_idle());
    assert_eq!(lab.asked(), ["save", "return_interface", "forget"]);
}

#[test]
fn what_speaks_against_an_interface_is_told_and_nothing_is_done() {
    let mut lab = lab_with("veth1");
    lab.asked();
    let refused = |lab: &mut Lab, why: Unfit| {
        lab.host().ethernet.get_mut("1_7").expect("it is there").unfit = Some(why);
        says(lab.add_port("veth1"))
    };
    let about = "interface veth1 can not be a port: ";
    for (why, said) in [
        (Unfit::Loopback, "it is the loopback interface"),
        (Unfit::NotEthernet, "it carries no Ethernet frames"),
        (Unfit::HasMaster("br0".into()), "it belongs to br0 already"),
        (Unfit::IsOurs, "it is one of Pontoon's own"),
        (Unfit::IsOthers, "another instance of Pontoon has it"),
        (Unfit::HasDefaultRoute, "the host's default route leads out of it"),
    ] {
        assert_eq!(refused(&mut lab, why), format!("{about}{said}"));
    }
    lab.host().ethernet.insert("1_7".into(), ethernet("web.eth0"));
    let said = "interface web.eth0 can not be a port: the ports of containers are called so";
    assert_eq!(says(lab.add_port("web.eth0")), said);
    assert_eq!(says(lab.add_port("veth9")), "no such interface: veth9");
    let other = |lab: &mut Lab, bridge| {
        let failed = lab.manager.add_port(bridge, &"veth1".parse().expect("a name"), lab.now).expect_err("refused");
        (failed.to_string(), failed.hint().expect("a hint"))
    };
    let listed = "`pontoon show` lists bridges and ports";
    assert_eq!(other(&mut lab, "br0"), ("no such bridge: br0".into(), listed.into()));
    let meant = "the bridge of that network is pontoon0";
    assert_eq!(other(&mut lab, "bridge"), ("no such bridge: bridge".into(), meant.into()));
    assert_eq!((lab.plugged(), lab.asked()), (Vec::new(), Vec::new()));
}

#[test]
fn a_port_is_added_once_and_only_what_was_added_is_given_back() {
    let mut lab = lab_with("veth1");
    let id = lab.create_network(network("red"));
    let red = format!("br-{}", id.short());
    lab.run("web", "red");
    lab.add_port("veth1").expect("a port");
    assert_eq!(says(lab.add_port("veth1")), "interface veth1 can not be a port: it is a port of pontoon0 already");
    let refused = |lab: &mut Lab, bridge: &str, port: &str| {
        let failed = lab.manager.remove_port(bridge, port, lab.now).expect_err("refused");
        (failed.to_string(), failed.hint())
    };
    assert_eq!(
        refused(&mut lab, &red, "veth1"),
        (format!("bridge {red} has no port veth1"), Some("veth1 is a port of pontoon0".into()))
    );
    assert_eq!(refused(&mut lab, "pontoon0", "veth2").0, "bridge pontoon0 has no port veth2");
    assert_eq!(
        refused(&mut lab, &red, "web.eth0"),
        (
            "port web.eth0 is that of container web".into(),
            Some("`pontoon network disconnect red web` takes it off".into())
        )
    );
    let own = "port pontoon0 is the bridge's own: it goes with the network";
    assert_eq!(refused(&mut lab, "pontoon0", "pontoon0"), (own.into(), None));
    assert_eq!(lab.host().silenced.len(), 1);
}

#[test]
fn whoever_loses_something_is_warned() {
    let mut lab = lab_with("veth1");
    let address: IpNet = "192.0.2.7/24".parse().expect("a prefix");
    let interface = HostInterface {
        up: false,
        mtu: 1400,
        addresses: vec![address, "2001:db8::1/64".parse().expect("a prefix")],
        upper: vec!["veth1.5".into()],
        ..ethernet("veth1")
    };
    lab.host().ethernet.insert("1_7".into(), interface);
    assert_eq!(
        lab.add_port("veth1").expect("a port"),
        [
            "interface veth1 is down: nothing crosses it until `ip link set dev veth1 up`",
            "interface veth1 has the address 192.0.2.7/24, 2001:db8::1/64: the host can not be reached by it as long as it \
             is a port",
            "veth1.5 is upon interface veth1, and hears nothing as long as that is a port",
            "the MTU of interface veth1 is 1400, and that of the network 1500: longer frames are dropped there",
        ]
    );
    assert_eq!(lab.plugged(), ["plug veth1 of 1400 bytes by veth1"]);
}

#[test]
fn a_step_that_fails_leaves_nothing() {
    for step in ["save", "borrow_interface"] {
        let mut lab = lab_with("veth1");
        lab.host().fail(step);
        assert_eq!(says(lab.add_port("veth1")), format!("{step} it: told to fail"));
        assert!(lab.is_untouched() && lab.manager.is_idle(), "{step}");
        lab.host().failing.clear();
        lab.add_port("veth1").expect("a port");
    }
}

#[test]
fn what_can_not_be_given_back_is_no_port_any_more_and_is_tried_again() {
    let mut lab = lab_with("veth1");
    lab.add_port("veth1").expect("a port");
    lab.host().fail("return_interface");
    assert_eq!(says(lab.remove_port("veth1")), "return_interface it: told to fail");
    assert_eq!(lab.plugged(), ["plug veth1 of 1500 bytes by veth1", "unplug"]);
    assert_eq!(says(lab.remove_port("veth1")), "return_interface it: told to fail");
    assert_eq!(lab.saved().map(|record| record.phase), Some(BorrowedPhase::Returning));
    assert_eq!(says(lab.add_port("veth1")), "return_interface it: told to fail");
    lab.host().failing.clear();
    // The next daemon finishes it.
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert!(lab.is_untouched());
    lab.add_port("veth1").expect("a port");
}

#[test]
fn an_interface_that_vanishes_is_a_port_no_more() {
    let mut lab = lab_with("veth1");
    lab.add_port("veth1").expect("a port");
    lab.plugged();
    lab.change(|host| host.ethernet.clear());
    assert_eq!(lab.plugged(), ["unplug"]);
    assert!(lab.is_untouched());
    // The data plane may see it first: then the port has gone already.
    lab.host().ethernet.insert("1_7".into(), ethernet("veth1"));
    lab.add_port("veth1").expect("a port");
    let port = lab.controls().into_iter().find_map(|control| match control {
        Control::Plug { port, .. } => Some(port),
        _ => None,
    });
    lab.manager.port_down(port.expect("it was plugged in")).expect("it is cleared up");
    assert!(lab.plugged().is_empty() && lab.is_untouched() && lab.manager.is_idle());
}

#[test]
fn an_interface_that_is_renamed_or_gets_another_mtu_is_plugged_in_anew() {
    let mut lab = lab_with("veth1");
    lab.add_port("veth1").expect("a port");
    lab.plugged();
    lab.change(|host| host.ethernet.get_mut("1_7").expect("it is there").name = "lan".into());
    assert_eq!(lab.plugged(), ["unplug", "plug lan of 1500 bytes by lan"]);
    assert_eq!(lab.host().silenced["1_7"], "lan");
    assert_eq!(lab.saved().map(|record| record.name), Some("lan".into()));
    lab.change(|host| host.ethernet.get_mut("1_7").expect("it is there").mtu = 9000);
    assert_eq!(lab.plugged(), ["unplug", "plug lan of 9000 bytes by lan"]);
    // Something else of it, or of another interface.
    lab.change(|host| host.ethernet.get_mut("1_7").expect("it is there").up = false);
    assert_eq!(lab.plugged(), Vec::<String>::new());
    lab.remove_port("lan").expect("it is called so");
    assert!(lab.is_untouched());
}

#[test]
fn an_interface_that_gets_a_name_which_no_port_can_have_is_given_back() {
    for name in ["web.eth0", "a\"b"] {
        let mut lab = lab_with("veth1");
        lab.add_port("veth1").expect("a port");
        lab.plugged();
        lab.change(|host| host.ethernet.get_mut("1_7").expect("it is there").name = name.into());
        assert_eq!(lab.plugged(), ["unplug"]);
        assert!(lab.is_untouched(), "{name}");
    }
}

#[test]
fn the_next_daemon_has_the_port_again_if_the_interface_is_the_one_that_it_was() {
    let mut lab = lab_with("veth1");
    lab.add_port("veth1").expect("a port");
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert!(lab.plugged().iter().any(|told| told == "plug veth1 of 1500 bytes by veth1"));
    assert!(!lab.manager.is_idle());

    let told = |change: &dyn Fn(&mut Host)| {
        let mut lab = lab_with("veth1");
        lab.add_port("veth1").expect("a port");
        change(&mut lab.host());
        let warnings = lab.restart();
        assert!(lab.is_untouched() && lab.manager.is_idle());
        assert!(!lab.plugged().iter().any(|told| told.contains("veth1")));
        assert_eq!(lab.restart(), Vec::<String>::new(), "it is told once");
        warnings
    };
    let about = "interface veth1 is no port of pontoon0 any more: ";
    assert_eq!(told(&|host| host.ethernet.clear()), [format!("{about}it is gone")]);
    assert_eq!(told(&|host| host.boot = "2".into()), [format!("{about}the machine has started anew")]);
    let interface = |host: &mut Host, change: &dyn Fn(&mut HostInterface)| {
        change(host.ethernet.get_mut("1_7").expect("it is there"));
    };
    let renamed = told(&|host| interface(host, &|it| it.name = "lan".into()));
    assert_eq!(renamed, [format!("{about}it is called lan now")]);
    let bridged = told(&|host| interface(host, &|it| it.unfit = Some(Unfit::HasMaster("br0".into()))));
    assert_eq!(bridged, [format!("{about}it belongs to br0 already")]);
}

#[test]
fn a_daemon_that_ends_leaves_ports_to_the_next_and_down_gives_them_back() {
    let mut lab = lab_with("veth1");
    lab.add_port("veth1").expect("a port");
    lab.asked();
    assert!(lab.manager.close().is_empty());
    assert_eq!(lab.asked(), Vec::<&str>::new(), "the firewall stands");
    assert!(lab.manager.remove_ports(lab.now).is_empty());
    assert!(lab.is_untouched());
    assert!(lab.manager.close().is_empty());
    assert_eq!(lab.asked().last(), Some(&"protect"));
}

#[test]
fn a_network_with_such_a_port_is_in_use() {
    let mut lab = lab_with("veth1");
    let id = lab.create_network(network("red"));
    let red = format!("br-{}", id.short());
    lab.manager.add_port(&red, &"veth1".parse().expect("a name"), lab.now).expect("a port");
    assert_eq!(
        says(lab.manager.remove_network("red", lab.now)),
        "network red is in use: interfaces of the host are ports of its bridge: veth1"
    );
    let (gone, failures) = lab.manager.prune_networks(lab.now);
    assert!(gone.is_empty() && failures.is_empty());
    lab.manager.remove_port(&red, "veth1", lab.now).expect("given back");
    lab.manager.remove_network("red", lab.now).expect("removed");
}

#[test]
fn a_port_counts_on_until_its_interface_is_given_back() {
    let mut lab = lab_with("veth1");
    lab.add_port("veth1").expect("a port");
    lab.controls();
    let key = |lab: &Lab| lab.host().accounts.keys().find(|key| key.ends_with("-interface_1_7")).cloned();
    let counted = key(&lab).expect("it counts");
    lab.restart();
    lab.controls();
    assert_eq!(key(&lab), Some(counted));
    lab.remove_port("veth1").expect("given back");
    lab.controls();
    lab.controls();
    assert_eq!(key(&lab), None);
}
