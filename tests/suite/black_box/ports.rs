//! `port add` and `port del` as a user meets them: what is refused, what shows the port, and how the interface is given back.

use std::process::{Command, Stdio};
use std::sync::Arc;

use netns::event::Event;
use serde_json::Value;
use switch::buffer::{Buffer, Pool};
use switch::link::tap::Tap;
use switch::link::{Link as _, Transmit};
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

use super::{fails, looks_like, pontoon, prints, tests};
use crate::frames::{EXPERIMENTAL, ethernet};
use crate::lab::linux::capture::Capture;
use crate::lab::linux::inside::Inside;
use crate::lab::linux::monitor::Monitor;
use crate::lab::linux::{Linux, processes, text, waited_for};
use crate::lab::{Lab, Order, Place, address, mac_of, ports, run, run_all, sorted, station};

tests![
    what_can_not_be_a_port_is_told_with_a_hint,
    an_interface_is_given_back_as_it_was,
    what_a_killed_daemon_has_borrowed_down_gives_back,
    an_interface_that_moves_to_another_namespace_is_no_port_any_more,
    a_port_of_the_host_is_known_by_the_name_of_its_interface,
    a_port_of_the_host_keeps_the_daemon_and_an_orderly_end_leaves_it_to_the_next,
    an_interface_with_a_name_that_no_port_can_have_is_given_back,
    a_tap_of_somebody_else_is_a_port_whatever_happens_to_it,
    a_tap_of_somebody_else_is_a_port_whatever_happens_to_it_with_epoll,
];

/// Makes a veth pair on the host, both ends switched on and without IPv6, of which the first one is to be a port.
fn pair(name: &str, other: &str) {
    ip(&["link", "add", "name", name, "type", "veth", "peer", "name", other]);
    for end in [name, other] {
        ip(&["link", "set", "dev", end, "addrgenmode", "none"]);
        ip(&["link", "set", "dev", end, "up"]);
    }
    // The kernel takes note of a carrier a moment later, and of a route for groups after that.
    for end in [name, other] {
        let is_up =
            || (!said_by("ip", &["-6", "route", "show", "table", "local", "dev", end]).is_empty()).then_some(());
        assert!(waited_for(is_up).is_some(), "{end} has a carrier");
    }
}

fn ip(words: &[&str]) {
    Inside::here().ip(words);
}

fn said_by(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap_or_else(|why| panic!("run {program}: {why}"));
    assert!(output.status.success(), "{program} {}: {}", words.join(" "), text(&output.stderr));
    text(&output.stdout)
}

/// All that the host can be asked about its interfaces, and its firewall.
fn host() -> [String; 5] {
    [
        said_by("ip", &["-d", "-j", "link"]),
        said_by("ip", &["-j", "address"]),
        said_by("ip", &["-j", "route", "show", "table", "all"]),
        said_by("ip", &["-6", "-j", "route", "show", "table", "all"]),
        said_by("nft", &["list", "ruleset"]),
    ]
}

/// The interfaces by which the host hears nothing, for the sake of an instance.
fn silenced(instance: u8) -> String {
    let table = format!("pontoon_{instance}");
    let output = Command::new("nft").args(["list", "table", "netdev", &table]).stderr(Stdio::null()).output();
    let listed = text(&output.expect("run nft").stdout);
    // `device "a"`, or `devices = { a, b }`.
    let hook = listed.split_once("hook ingress device").and_then(|(_, rest)| rest.split_once(" priority"));
    let names = hook.map_or("", |(names, _)| names.trim_start_matches("s ="));
    names.trim_matches([' ', '{', '}', '"']).to_owned()
}

fn what_can_not_be_a_port_is_told_with_a_hint() {
    let mut lab = Linux::new();
    lab.up();
    let mut other = Linux::called("two");
    other.up();
    run_all(&mut lab, &["web"]);
    pair("veth1", "veth2");
    pair("theirs", "veth3");
    pair("web.eth1", "veth4");
    pair("veth*", "veth5");
    pair("inner", "veth6");
    prints(&other, &["port", "add", "pontoon1", "theirs"]);
    prints(&lab, &["port", "add", "pontoon0", "veth1"]);
    ip(&["link", "add", "name", "br0", "type", "bridge"]);
    ip(&["link", "set", "dev", "inner", "master", "br0"]);
    ip(&["tuntap", "add", "dev", "tun0", "mode", "tun"]);
    ip(&["address", "add", "10.9.0.1/24", "dev", "veth2"]);
    ip(&["route", "add", "default", "via", "10.9.0.2", "dev", "veth2"]);
    let ethernet =
        "hint: `ip link add NAME type veth peer name OTHER` makes two Ethernet interfaces, joined by a cable\n";
    let rename = "hint: `ip link set dev NAME name OTHER` gives it another name\n";
    let refused: &[(&str, &str, &str)] = &[
        ("lo", "it is the loopback interface", ethernet),
        ("tun0", "it carries no Ethernet frames", ethernet),
        ("inner", "it belongs to br0 already", "hint: `ip link set dev inner nomaster` takes it off\n"),
        ("veth1", "it is a port of pontoon0 already", "hint: `pontoon port del pontoon0 veth1` gives it back\n"),
        ("pontoon0", "it is one of Pontoon's own", ""),
        ("pontoon1", "it is one of Pontoon's own", ""),
        ("theirs", "another instance of Pontoon has it", ""),
        (
            "veth2",
            "the host's default route leads out of it",
            "hint: the host would hear nothing from its router any more: let the route lead elsewhere first \
             (`ip route show default dev veth2`)\n",
        ),
        ("web.eth1", "the ports of containers are called so", rename),
        ("veth*", "no firewall rule can name it", rename),
    ];
    let before = (host(), lab.census());
    for (interface, why, hint) in refused {
        let message = format!("pontoon: interface {interface} can not be a port: {why}\n{hint}");
        fails(&lab, &["port", "add", "pontoon0", interface], 1, &message);
    }
    let bridges = "hint: `pontoon show` lists bridges and ports\n";
    let told: &[(&[&str], &str)] = &[
        (&["add", "pontoon0", "veth9"], "no such interface: veth9\nhint: `ip link` lists the host's interfaces\n"),
        (&["add", "br0", "veth3"], &format!("no such bridge: br0\n{bridges}")),
        (&["add", "bridge", "veth3"], "no such bridge: bridge\nhint: the bridge of that network is pontoon0\n"),
        (&["del", "br0", "veth1"], &format!("no such bridge: br0\n{bridges}")),
        (&["del", "pontoon0", "veth9"], &format!("bridge pontoon0 has no port veth9\n{bridges}")),
        (&["del", "pontoon0", "a b"], &format!("bridge pontoon0 has no port a b\n{bridges}")),
        (
            &["del", "pontoon0", "web.eth0"],
            "port web.eth0 is that of container web\nhint: `pontoon network disconnect bridge web` takes it off\n",
        ),
        (&["del", "pontoon0", "pontoon0"], "port pontoon0 is the bridge's own: it goes with the network\n"),
    ];
    for (words, message) in told {
        fails(&lab, &[&["port"][..], words].concat(), 1, &format!("pontoon: {message}"));
    }
    assert_eq!((host(), lab.census()), before);
    prints(&other, &["port", "del", "pontoon1", "theirs"]);
    prints(&lab, &["port", "add", "pontoon0", "theirs"]);
    other.says(&["down"]);
    lab.finish();
}

fn an_interface_is_given_back_as_it_was() {
    let mut lab = Linux::new();
    pair("veth1", "veth2");
    ip(&["link", "set", "dev", "veth1", "mtu", "1400", "alias", "the uplink"]);
    ip(&["address", "add", "10.9.0.1/24", "dev", "veth1"]);
    ip(&["-6", "address", "add", "2001:db8::1/64", "dev", "veth1", "nodad"]);
    ip(&["route", "add", "10.10.0.0/16", "via", "10.9.0.2"]);
    let of_old = host();
    lab.up();
    let with_us = host();
    let warned = "pontoon: warning: interface veth1 has the address 10.9.0.1/24, 2001:db8::1/64: the host can not be \
                  reached by it as long as it is a port\n\
                  pontoon: warning: the MTU of interface veth1 is 1400, and that of the network 1500: longer frames are \
                  dropped there\n";
    let said = pontoon(&lab, &["port", "add", "pontoon0", "veth1"]);
    assert_eq!((said.status, said.stdout.as_str()), (0, ""));
    looks_like(&lab, &said.stderr, warned);
    assert_eq!(silenced(0), "veth1");
    let [links, addresses, routes, routes6, _] = host();
    assert_eq!([addresses, routes, routes6], [&with_us[1], &with_us[2], &with_us[3]].map(String::clone));
    assert_ne!(links, with_us[0], "it is promiscuous");
    prints(&lab, &["port", "del", "pontoon0", "veth1"]);
    assert_eq!(host(), with_us);

    // And by `down`, which leaves nothing of us at all.
    assert_eq!(pontoon(&lab, &["port", "add", "pontoon0", "veth1"]).status, 0);
    prints(&lab, &["down"]);
    assert_eq!(host(), of_old);
    // One that is down is a port, too, and stays so.
    ip(&["link", "set", "dev", "veth2", "down"]);
    let said = pontoon(&lab, &["port", "add", "pontoon0", "veth2"]);
    let warning = "pontoon: warning: interface veth2 is down: nothing crosses it until `ip link set dev veth2 up`\n";
    assert!(said.status == 0 && said.stderr.ends_with(warning), "{said:?}");
    prints(&lab, &["port", "delete", "pontoon0", "veth2"]);
    lab.finish();
}

fn what_a_killed_daemon_has_borrowed_down_gives_back() {
    let mut lab = Linux::new();
    pair("veth1", "veth2");
    let of_old = host();
    lab.up();
    prints(&lab, &["port", "add", "pontoon0", "veth1"]);
    lab.kill_daemon();
    assert_eq!(silenced(0), "veth1");
    lab.says(&["down"]);
    assert_eq!(host(), of_old);

    // A daemon that is killed at any step of taking it, or of giving it back.
    for command in ["add", "del"] {
        for steps in 1..=12 {
            lab.up();
            if command == "del" {
                prints(&lab, &["port", "add", "pontoon0", "veth1"]);
            }
            lab.kill_daemon();
            lab.up_killed_after(steps);
            pontoon(&lab, &["port", command, "pontoon0", "veth1"]);
            // One that has not come so far would be killed over what follows.
            lab.daemon_pid().into_iter().for_each(processes::kill_and_wait);
            lab.says(&["down"]);
            assert_eq!(host(), of_old, "{command}, killed after {steps} steps");
        }
    }
    lab.finish();
}

fn an_interface_that_moves_to_another_namespace_is_no_port_any_more() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    pair("veth1", "veth2");
    prints(&lab, &["port", "add", "pontoon0", "veth1"]);
    let mut monitor = Monitor::start(lab.command(&["bridge", "monitor", "--json"]));
    let web = lab.pid_of("web").to_string();
    ip(&["link", "set", "dev", "veth1", "netns", &web]);
    monitor.until(&|event| matches!(event, Event::PortDown(port) if port.ifname == "veth1"));
    lab.eventually("it is no port any more", &mut |lab| ports(lab) == ["web.eth0"]);
    lab.eventually("nothing is silenced", &mut |_| silenced(0).is_empty());
    // It is nobody's there, and another one of the name can be a port here.
    pair("veth1", "veth3");
    prints(&lab, &["port", "add", "pontoon0", "veth1"]);
    assert_eq!(silenced(0), "veth1");
    drop(monitor);
    lab.finish();
}

/// A virtual machine's, say.
fn a_tap_of_somebody_else_is_a_port_whatever_happens_to_it() {
    a_tap_is_a_port(Linux::new());
}

fn a_tap_of_somebody_else_is_a_port_whatever_happens_to_it_with_epoll() {
    a_tap_is_a_port(Linux::with_epoll());
}

fn a_tap_is_a_port(mut lab: Linux) {
    lab.up();
    run_all(&mut lab, &["web"]);
    let add = |lab: &mut Linux| {
        let tap = Tap::create("vm0").expect("a TAP");
        ip(&["link", "set", "dev", "vm0", "addrgenmode", "none"]);
        ip(&["link", "set", "dev", "vm0", "up"]);
        prints(lab, &["port", "add", "pontoon0", "vm0"]);
        talks_to_web(lab, tap)
    };
    let mut tap = add(&mut lab);
    for _ in 0..3 {
        ip(&["link", "set", "dev", "vm0", "down"]);
        ip(&["link", "set", "dev", "vm0", "up"]);
        tap = talks_to_web(&mut lab, tap);
    }
    for words in [&["down"][..], &["name", "vm1"], &["up"]] {
        let name = if words == ["up"] { "vm1" } else { "vm0" };
        ip(&[&["link", "set", "dev", name], words].concat());
    }
    lab.eventually("it is called so", &mut |lab| sorted(ports(lab)) == ["vm1", "web.eth0"]);
    tap = talks_to_web(&mut lab, tap);
    drop(tap);
    lab.eventually("it has gone", &mut |lab| ports(lab) == ["web.eth0"]);
    lab.eventually("nothing is silenced", &mut |_| silenced(0).is_empty());

    let tap = add(&mut lab);
    let web = lab.pid_of("web").to_string();
    ip(&["link", "set", "dev", "vm0", "netns", &web]);
    lab.eventually("it is elsewhere", &mut |lab| ports(lab) == ["web.eth0"]);
    lab.eventually("nothing is silenced", &mut |_| silenced(0).is_empty());
    drop(tap);
    prints(&lab, &["stats", "--check"]);
    lab.finish();
}

/// Whoever has the TAP and the container hear each other.
fn talks_to_web(lab: &mut Linux, mut tap: Tap) -> Tap {
    let everybody = station("ff:ff:ff:ff:ff:ff");
    let hello = ethernet(everybody, station("02:00:00:00:00:77"), EXPERIMENTAL, b"hello");
    let ear = lab.sniff(Place::In("web"), "eth0");
    let sent = tap.transmit(&Arc::new(Buffer::holding(&hello, VnetHeader::default())), Retag::Keep);
    assert_eq!(sent, Transmit::Sent);
    lab.heard_until(ear, &hello);
    let web = mac_of(lab, "web");
    let answer = ethernet(everybody, web, EXPERIMENTAL, b"hello yourself");
    lab.inject(Place::In("web"), "eth0", &answer);
    let heard = waited_for(|| {
        let mut frames = Vec::new();
        tap.receive(&mut Pool::new(64), &mut frames, 64);
        frames.iter().any(|frame| frame.frame() == answer).then_some(())
    });
    assert!(heard.is_some(), "the other side hears");
    tap
}

fn a_port_of_the_host_is_known_by_the_name_of_its_interface() {
    let mut lab = Linux::new();
    lab.up();
    run(&mut lab, Order::new("web"));
    pair("lan.10", "veth2");
    prints(&lab, &["port", "add", "pontoon0", "lan.10"]);
    let shown = prints(&lab, &["show"]);
    assert!(shown.ends_with("\tweb.eth0\n\t\t\t\t\t\t\tlan.10\n"), "{shown}");
    let known: Value = lab.json(&["show", "pontoon0"]);
    assert_eq!(known[0]["interfaces"], serde_json::json!(["web.eth0", "lan.10"]));
    let stranger = station("02:00:00:00:00:77");
    let hello = ethernet(station("ff:ff:ff:ff:ff:ff"), stranger, EXPERIMENTAL, b"hello");
    let capture = Capture::start(lab.command(&["capture", "lan.10", "-c", "1"]));
    lab.inject(Place::Host, "veth2", &hello);
    let captured = text(&capture.end().stdout);
    assert!(captured.contains("02:00:00:00:00:77") && captured.contains("lan.10"), "{captured}");
    assert_eq!(
        prints(&lab, &["bridge", "fdb", "show", "dev", "lan.10"]),
        "02:00:00:00:00:77 dev lan.10 master pontoon0\n"
    );
    let stations: Vec<Value> = lab.json(&["bridge", "fdb", "show", "dev", "lan.10"]);
    assert_eq!(stations[0]["ifname"], "lan.10");
    let explained = prints(&lab, &["explain", "web", "--to", "02:00:00:00:00:77"]);
    assert!(explained.contains("lan.10"), "{explained}");
    let counted: Vec<Value> = lab.json(&["stats", "lan.10"]);
    assert_eq!(counted[0]["ports"][0]["name"], "lan.10");
    assert_eq!(counted[0]["ports"][0]["rx"]["packets"], 1);
    // No container is called so, although it looks like the port of one.
    let none = pontoon(&lab, &["stats", "lan"]);
    assert_eq!((none.status, none.stdout.as_str()), (1, ""));
    let none = pontoon(&lab, &["capture", "lan", "-c", "1"]);
    assert_ne!(none.status, 0, "{}", none.stdout);
    prints(&lab, &["port", "del", "pontoon0", "lan.10"]);
    fails(
        &lab,
        &["bridge", "fdb", "show", "dev", "lan.10"],
        1,
        "pontoon: no such port: lan.10\nhint: `pontoon show` lists bridges and ports\n",
    );
    lab.finish();
}

fn a_port_of_the_host_keeps_the_daemon_and_an_orderly_end_leaves_it_to_the_next() {
    let mut lab = Linux::new();
    pair("veth1", "veth2");
    // The command starts a daemon, which ends by itself when nobody needs it any more.
    let said = pontoon(&lab, &["port", "add", "pontoon0", "veth1"]);
    assert_eq!((said.status, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    let daemon = lab.daemon_pid().expect("it stays for the port");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::SIGTERM).expect("ask it to end");
    processes::wait_for(daemon);
    assert_eq!(silenced(0), "veth1", "the next daemon has it again, and nobody hears by it until then");
    lab.up();
    assert_eq!(sorted(ports(&mut lab)), ["veth1"]);
    assert_eq!(silenced(0), "veth1");
    prints(&lab, &["port", "del", "pontoon0", "veth1"]);
    lab.finish();
}

fn an_interface_with_a_name_that_no_port_can_have_is_given_back() {
    let mut lab = Linux::new();
    lab.up();
    pair("veth1", "veth2");
    pair("veth3", "veth4");
    prints(&lab, &["port", "add", "pontoon0", "veth1"]);
    prints(&lab, &["port", "add", "pontoon0", "veth3"]);
    ip(&["link", "set", "dev", "veth1", "down"]);
    ip(&["link", "set", "dev", "veth1", "name", "a\"b"]);
    lab.eventually("it is no port any more", &mut |lab| ports(lab) == ["veth3"]);
    lab.eventually("the other one is silenced", &mut |_| silenced(0) == "veth3");
    // What the firewall is told next is understood.
    prints(&lab, &["network", "create", "red"]);
    run(&mut lab, Order::new("db").network("red"));
    assert!(lab.ping(Place::In("db"), address("172.18.0.1"), 56));
    lab.finish();
}
