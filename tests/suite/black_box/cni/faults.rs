//! Daemons that are killed, stand still, or can not be; runtimes that go in the midst; and any order of all that.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;

use control::{CniAdd, CniNetwork, CniOrder, Request};
use netns::linux::wire::Channel;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::super::tests;
use super::{Runtime, address_in, end_of_sandbox, sandbox, sandbox_path};
use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, processes, waited_for};
use crate::lab::{Lab, address, names};

tests![
    an_interface_outlives_the_daemon_and_the_next_one_has_it,
    whatever_step_kills_the_daemon_nothing_is_left_after_del,
    what_nobody_was_told_of_goes,
    a_daemon_that_stands_still_can_serve_nobody,
    where_no_daemon_can_be_status_says_so_and_del_has_nothing_to_do,
    whatever_happens_in_any_order_no_address_is_two_containers,
];

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

fn an_interface_outlives_the_daemon_and_the_next_one_has_it() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let [one, two] = ["one", "two"].map(sandbox);
    let made = runtime.add("one").ok();
    lab.kill_daemon();
    assert!(one.interfaces().iter().any(|interface| interface.name == "eth0" && interface.up));
    // Whoever is next brings the daemon, and with it everything.
    let at_two = address_in(&runtime.add("two").ok());
    assert!(one.ping(at_two, 56) && one.ping(GATEWAY, 56));
    lab.kill_daemon();
    runtime.check("one", &made).ok();
    assert!(two.ping(address_in(&made), 56));
    lab.kill_daemon();
    runtime.ask("STATUS", "").ok();
    assert!(two.ping(address_in(&made), 56));
    lab.kill_daemon();
    runtime.gc(&["two"]).ok();
    assert!(one.interfaces().iter().all(|interface| interface.name == "lo") && two.ping(GATEWAY, 56));
    lab.kill_daemon();
    runtime.del("two").ok();
    lab.up();
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}

fn whatever_step_kills_the_daemon_nothing_is_left_after_del() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let one = sandbox("one");
    runtime.add("one").ok();
    runtime.del("one").ok();
    for command in ["ADD", "DEL"] {
        for steps in 1..=14 {
            if command == "DEL" {
                runtime.add("one").ok();
                lab.kill_daemon();
            }
            lab.daemon_pid().into_iter().for_each(processes::kill_and_wait);
            lab.up_killed_after(steps);
            let said = runtime.ask(command, "one");
            if command == "ADD" && said.status != 0 {
                let told = said.failed(11);
                assert_eq!(told, "ask the daemon: the other side closed the connection", "after {steps} steps");
            } else if command == "ADD" {
                assert!(one.ping(GATEWAY, 56), "after {steps} steps");
            } else {
                assert_eq!(said.status, 0, "after {steps} steps: {:#}", said.said);
            }
            // One that has not come so far would be killed over what follows.
            lab.daemon_pid().into_iter().for_each(processes::kill_and_wait);
            runtime.del("one").ok();
            assert!(one.interfaces().iter().all(|interface| interface.name == "lo"), "{command}, {steps} steps");
            lab.up();
            assert_eq!(names(&mut lab, true), Vec::<String>::new(), "{command}, {steps} steps");
            assert_eq!(address_in(&runtime.add("one").ok()), address("10.88.0.2"));
            runtime.del("one").ok();
        }
    }
    lab.finish();
}

fn what_nobody_was_told_of_goes() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let one = sandbox("one");
    let network = CniNetwork {
        subnet: Some(crate::lab::prefix("10.88.0.0/24")),
        ..CniNetwork::new("web".parse().expect("a name"))
    };
    let add = CniAdd::new(network, "one", "eth0".parse().expect("a name"), sandbox_path("one"));
    let socket = UnixStream::connect(lab.runtime_dir().join("pontoon.sock")).expect("connect");
    let mut channel = Channel::new(socket);
    channel.send(&Request::Cni(CniOrder::Add(Box::new(add))), &[]).expect("sent");
    drop(channel);
    let log = || std::fs::read_to_string(lab.runtime_dir().join("daemon.log")).unwrap_or_default();
    let is_told = || log().contains("who asked for an interface has gone").then_some(());
    assert!(waited_for(is_told).is_some(), "{}", log());
    let is_gone = || one.interfaces().iter().all(|interface| interface.name == "lo").then_some(());
    assert!(waited_for(is_gone).is_some());
    lab.eventually("it is forgotten", &mut |lab| names(lab, true).is_empty());
    assert_eq!(address_in(&runtime.add("one").ok()), address("10.88.0.2"));
    lab.finish();
}

fn a_daemon_that_stands_still_can_serve_nobody() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let signal = |lab: &Linux, pid: i32, signal: Signal| {
        nix::sys::signal::kill(Pid::from_raw(pid), signal).expect("send a signal");
        lab.runtime_dir()
    };
    let daemon = lab.daemon_pid().expect("a daemon");
    let directory = signal(&lab, daemon, Signal::SIGSTOP);
    let told = runtime.ask("STATUS", "").failed(50);
    assert_eq!(told, format!("the daemon in {} does not answer", directory.display()));
    signal(&lab, daemon, Signal::SIGCONT);
    runtime.ask("STATUS", "").ok();
    // Containers that are there hear nothing meanwhile.
    sandbox("one");
    runtime.add("one").ok();
    signal(&lab, daemon, Signal::SIGSTOP);
    assert_eq!(runtime.ask("STATUS", "").failed(51), told);
    signal(&lab, daemon, Signal::SIGCONT);
    runtime.ask("STATUS", "").ok();
    lab.finish();
}

fn where_no_daemon_can_be_status_says_so_and_del_has_nothing_to_do() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let file = lab.dir().join("file");
    std::fs::write(&file, "").expect("write a file");
    let nowhere = runtime.with("runtimeDir", json!(file.join("run"))).with("stateDir", json!(file.join("state")));
    sandbox("one");
    for command in ["STATUS", "ADD"] {
        let told = nowhere.ask(command, "one").failed(50);
        assert!(told.contains("Not a directory"), "{told}");
    }
    nowhere.del("one").ok();
    nowhere.gc(&[]).ok();
    // A network that is full can serve nobody, either.
    let small = runtime.with("subnet", json!("10.88.0.0/30"));
    small.add("one").ok();
    let told = small.ask("STATUS", "").failed(50);
    assert_eq!(told, "network web: no free address is left from 10.88.0.0 to 10.88.0.3");
    sandbox("two");
    assert_eq!(small.add("two").failed(11), "network web: no free address is left in the subnet 10.88.0.0/30");
    lab.finish();
}

/// Whether two of these have an address in common, and whether all of them are reached.
fn are_apart(living: &BTreeMap<String, Value>) {
    let mut seen: BTreeMap<Ipv4Addr, &str> = BTreeMap::new();
    for (container, made) in living {
        let own = address_in(made);
        assert_eq!(seen.insert(own, container), None, "{own} is {container}'s, too");
        let inside = Inside::at(sandbox_path(container));
        let has = |interface: &netns::interface::InterfaceInfo| {
            interface.name == "eth0" && interface.ipv4.iter().any(|ip| ip.addr() == own)
        };
        assert!(inside.interfaces().iter().any(has), "{container} has {own}");
    }
}

fn whatever_happens_in_any_order_no_address_is_two_containers() {
    let seed = std::env::var("PONTOON_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    println!("PONTOON_SEED={seed}");
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut pick = |below: u32| chance.next_u32() % below;
    let mut lab = Linux::new();
    // Few addresses for many containers: what is not free is wanted.
    let runtime = Runtime::new(&lab).with("subnet", json!("10.88.0.0/29"));
    let all: Vec<String> = (0..7).map(|number| format!("c{number}")).collect();
    all.iter().for_each(|container| drop(sandbox(container)));
    let mut living: BTreeMap<String, Value> = BTreeMap::new();
    for step in 0..90 {
        let container = &all[pick(7) as usize];
        match pick(10) {
            0..=4 => {
                let was_there = living.contains_key(container);
                let said = match pick(4) {
                    0 => {
                        let ip = format!("10.88.0.{}", 2 + pick(5));
                        runtime.with("runtimeConfig", json!({ "ips": [ip] })).add(container)
                    }
                    _ => runtime.add(container),
                };
                println!("{step}: ADD {container}: {}", said.status);
                match said.status {
                    0 => {
                        assert!(!was_there, "{container} has it already");
                        living.insert(container.clone(), said.ok());
                    }
                    // It is there; or none is free, or not the one that is asked for.
                    4 => assert!(was_there, "{said:?}"),
                    11 | 100 => assert!(!was_there && !living.is_empty(), "{said:?}"),
                    _ => panic!("{said:?}"),
                }
            }
            5 | 6 => {
                println!("{step}: DEL {container}");
                runtime.del(container).ok();
                living.remove(container);
            }
            7 => {
                let spared: Vec<&str> = living.keys().map(String::as_str).filter(|_| pick(3) > 0).collect();
                println!("{step}: GC but {spared:?}");
                runtime.gc(&spared).ok();
                let spared: Vec<String> = spared.into_iter().map(String::from).collect();
                living.retain(|container, _| spared.contains(container));
            }
            8 => {
                println!("{step}: the sandbox of {container} is another one");
                end_of_sandbox(container);
                drop(sandbox(container));
                // Its address is not free until the runtime says so, or has it anew.
                if living.remove(container).is_some() {
                    runtime.del(container).ok();
                }
            }
            _ => {
                println!("{step}: the daemon is killed");
                lab.daemon_pid().into_iter().for_each(processes::kill_and_wait);
            }
        }
        are_apart(&living);
    }
    // All that live are reached, once there is a daemon.
    lab.up();
    for container in living.keys() {
        assert!(Inside::at(sandbox_path(container)).ping(GATEWAY, 56), "{container} reaches the gateway");
    }
    let mut again = runtime.plugin("pontoon-cni", "GC", "");
    again.env("CNI_PATH", "/nowhere");
    runtime.with("cni.dev/valid-attachments", json!([])).execute(again).ok();
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}
