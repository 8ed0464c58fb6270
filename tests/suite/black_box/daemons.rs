//! Daemons: started by the way, to stay, side by side.

use super::{fails, pontoon, prints, tests};
use crate::lab::linux::{Linux, processes, waited_for};
use crate::lab::{Lab, Order, Place, Program, address, interface, run, run_all};

tests![
    run_starts_a_daemon_that_ends_after_its_last_container,
    a_daemon_started_by_the_way_keeps_ended_containers,
    networks_are_there_without_a_daemon,
    up_adopts_a_daemon_started_by_the_way,
    up_in_the_foreground_says_that_it_listens,
    up_in_the_foreground_waits_for_a_daemon_that_is_ending_and_is_the_next,
    up_in_the_foreground_takes_the_place_of_a_daemon_started_by_the_way,
    down_leaves_nothing,
    down_ends_what_a_killed_daemon_left_and_puts_the_host_back,
    a_daemon_that_is_asked_to_end_leaves_its_containers,
    two_instances_do_not_disturb_each_other,
    an_instance_that_comes_back_finds_another_subnet,
    a_full_house_is_told_to_who_comes,
    whoever_comes_while_down_is_under_way_is_served_by_the_next_daemon,
    twenty_containers_started_at_once_all_run,
    run_takes_over_what_a_killed_daemon_left,
    the_demo_leaves_nothing,
];

fn run_starts_a_daemon_that_ends_after_its_last_container() {
    let mut lab = Linux::new();
    let said = pontoon(&lab, &["run", "--", "sh", "-c", "exit 4"]);
    let started = "pontoon: started a daemon, which ends after its last container\n";
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (4, "", started));
    let is_gone = waited_for(|| processes::others().is_empty().then_some(()));
    assert!(is_gone.is_some(), "it does not end: {:?}", processes::others());
    lab.assert_nothing_is_left();
    // And again, as often as one likes.
    assert_eq!(pontoon(&lab, &["run", "--", "true"]).status, 0);
    assert!(waited_for(|| processes::others().is_empty().then_some(())).is_some());
    lab.assert_nothing_is_left();
}

fn a_daemon_started_by_the_way_keeps_ended_containers() {
    let mut lab = Linux::new();
    assert_eq!(pontoon(&lab, &["run", "-d", "--name", "job", "--", "sh", "-c", "echo done; exit 3"]).status, 0);
    lab.wait_ended("job");
    assert_eq!(crate::lab::names(&mut lab, true), ["job"]);
    assert_eq!(prints(&lab, &["logs", "job"]), "done\n");
    prints(&lab, &["rm", "job"]);
    assert!(waited_for(|| processes::others().is_empty().then_some(())).is_some(), "{:?}", processes::others());
}

fn networks_are_there_without_a_daemon() {
    let lab = Linux::new();
    let started = "pontoon: started a daemon, which ends after its last container\n";
    let alone = |arguments: &[&str]| {
        let said = pontoon(&lab, arguments);
        assert_eq!((said.status, said.stderr.as_str()), (0, started), "{arguments:?}");
        assert!(waited_for(|| processes::others().is_empty().then_some(())).is_some(), "{:?}", processes::others());
        said.stdout
    };
    alone(&["network", "create", "--subnet", "10.9.0.0/24", "red"]);
    alone(&["network", "create", "blue"]);
    let listed = alone(&["network", "ls"]);
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["bridge", "host", "none", "blue", "red"], "{listed}");
    let shown: serde_json::Value = serde_json::from_str(&alone(&["network", "inspect", "red"])).expect("JSON");
    assert_eq!(shown[0]["subnet"], "10.9.0.0/24");
    assert_eq!(alone(&["network", "rm", "red"]), "red\n");
    assert_eq!(alone(&["network", "prune"]), "Deleted Networks:\nblue\n");
    for words in ["connect", "disconnect"] {
        let told = format!("{started}pontoon: no such container: web\nhint: `pontoon ps -a` lists all containers\n");
        fails(&lab, &["network", words, "bridge", "web"], 1, &told);
        assert!(waited_for(|| processes::others().is_empty().then_some(())).is_some(), "{:?}", processes::others());
    }
    // What is asked of containers is asked of a daemon that is there.
    for words in [&["ps"][..], &["show"]] {
        let told = "pontoon: no daemon listens in [DIR]/run\n\
                    hint: `pontoon up` starts one; `pontoon run` and `pontoon network` do so by themselves\n";
        fails(&lab, words, 1, told);
    }
}

fn up_adopts_a_daemon_started_by_the_way() {
    let mut lab = Linux::new();
    run_all(&mut lab, &["web"]);
    let pid = lab.daemon_pid().expect("a daemon runs");
    let said = pontoon(&lab, &["up", "--detach"]);
    let adopted = format!("pontoon: a daemon runs already (pid {pid}); it stays up\n");
    assert_eq!((said.status, said.stderr.as_str()), (0, adopted.as_str()));
    lab.rm("web", true).expect("rm -f web");
    assert_eq!(lab.daemon_pid(), Some(pid), "it stays without containers");
    assert!(prints(&lab, &["status"]).contains("stays until `pontoon down`"));
    lab.finish();
}

fn up_in_the_foreground_says_that_it_listens() {
    use std::io::{BufRead, BufReader};
    let mut lab = Linux::new();
    let mut daemon = lab.command(&["up"]).spawn().expect("run pontoon");
    let mut line = String::new();
    BufReader::new(daemon.stderr.take().expect("a pipe")).read_line(&mut line).expect("read");
    assert!(line.starts_with("pontoon: listening at "), "{line}");
    assert_eq!(lab.daemon_pid(), Some(daemon.id().cast_signed()));
    run_all(&mut lab, &["web"]);
    lab.down();
    assert!(daemon.wait().expect("wait").success());
    lab.assert_nothing_is_left();
}

fn up_in_the_foreground_waits_for_a_daemon_that_is_ending_and_is_the_next() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::DirBuilderExt;
    let mut lab = Linux::new();
    assert!(!lab.state_dir().exists());
    // One that is ending has no socket any more, and its lock yet.
    std::fs::DirBuilder::new().mode(0o700).create(lab.runtime_dir()).expect("make a directory");
    let lock = std::fs::File::create(lab.runtime_dir().join("lock")).expect("make the lock");
    lock.lock().expect("take the lock");
    let mut daemon = lab.command(&["up"]).spawn().expect("run pontoon");
    // It makes its directories just before it tries to have the lock.
    assert!(waited_for(|| lab.state_dir().exists().then_some(())).is_some());
    assert!(daemon.try_wait().expect("look at it").is_none());
    drop(lock);
    let mut line = String::new();
    BufReader::new(daemon.stderr.take().expect("a pipe")).read_line(&mut line).expect("read");
    assert!(line.starts_with("pontoon: listening at "), "{line}");
    assert_eq!(lab.daemon_pid(), Some(daemon.id().cast_signed()));
    lab.down();
    assert!(daemon.wait().expect("wait").success());
    lab.assert_nothing_is_left();
}

fn up_in_the_foreground_takes_the_place_of_a_daemon_started_by_the_way() {
    use std::io::{BufRead, BufReader};
    let mut lab = Linux::new();
    run_all(&mut lab, &["web"]);
    let before = lab.daemon_pid().expect("a daemon runs");
    let mut daemon = lab.command(&["up"]).spawn().expect("run pontoon");
    let mut line = String::new();
    BufReader::new(daemon.stderr.take().expect("a pipe")).read_line(&mut line).expect("read");
    assert!(line.starts_with("pontoon: listening at "), "{line}");
    let after = lab.daemon_pid();
    assert!(after == Some(daemon.id().cast_signed()) && after != Some(before), "{after:?}");
    assert!(lab.ping(Place::In("web"), address("172.17.0.1"), 56), "its containers go on");
    lab.rm("web", true).expect("rm -f web");
    assert!(prints(&lab, &["status"]).contains("stays until `pontoon down`"));
    lab.down();
    assert!(daemon.wait().expect("wait").success());
    lab.assert_nothing_is_left();
}

fn down_leaves_nothing() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    run(&mut lab, Order::new("stubborn").program(Program::IgnoreTerm).foreground());
    run(&mut lab, Order::new("sidecar").network("container:web"));
    prints(&lab, &["kill", "stubborn"]);
    assert_eq!(prints(&lab, &["down"]), "");
    lab.assert_nothing_is_left();
}

fn down_ends_what_a_killed_daemon_left_and_puts_the_host_back() {
    let mut lab = Linux::new();
    let forwards = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a sysctl");
    let before = forwards();
    let nothing =
        "pontoon: there is nothing to end: no daemon listens in [DIR]/run, and none has left anything\n".to_owned();
    for ends_before in [false, true] {
        lab.up();
        run_all(&mut lab, &["web"]);
        assert_eq!(forwards(), "1\n");
        let shim = lab.shim_of("web");
        lab.kill_daemon();
        if ends_before {
            processes::kill_and_wait(shim);
        }
        let said = pontoon(&lab, &["down"]);
        let started = "pontoon: started a daemon, which ends after its last container\n";
        assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (0, "", started));
        assert_eq!(forwards(), before);
        lab.assert_nothing_is_left();
        fails(&lab, &["down"], 0, &nothing);
        lab.up();
        prints(&lab, &["rm", "web"]);
        lab.down();
    }
}

fn a_daemon_that_is_asked_to_end_leaves_its_containers() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let pid = lab.daemon_pid().expect("a daemon runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).expect("ask it");
    assert!(waited_for(|| (!processes::all().contains(&pid)).then_some(())).is_some());
    assert!(interface(&mut lab, Place::In("web"), "eth0").up);
    lab.up();
    crate::lab::assert_all_reach_each_other(&mut lab, &["web", "db"]);
    lab.finish();
}

fn two_instances_do_not_disturb_each_other() {
    let (mut one, mut two) = (Linux::new(), Linux::called("two"));
    one.up();
    two.up();
    run_all(&mut one, &["web", "db"]);
    run_all(&mut two, &["web", "db"]);
    assert_eq!(interface(&mut one, Place::Host, "pontoon0").ipv4, [crate::lab::prefix("172.17.0.1/16")]);
    assert_eq!(interface(&mut two, Place::Host, "pontoon1").ipv4, [crate::lab::prefix("172.18.0.1/16")]);
    assert_eq!(two.bridges()[0].name, "pontoon1");
    crate::lab::assert_all_reach_each_other(&mut one, &["web", "db"]);
    crate::lab::assert_all_reach_each_other(&mut two, &["web", "db"]);
    one.kill_daemon();
    crate::lab::assert_all_reach_each_other(&mut two, &["web", "db"]);
    one.up();
    two.down();
    crate::lab::assert_all_reach_each_other(&mut one, &["web", "db"]);
    assert_eq!(crate::lab::ip_of(&mut one, "web"), address("172.17.0.2"));
    one.finish();
}

fn an_instance_that_comes_back_finds_another_subnet() {
    let (mut one, mut two) = (Linux::new(), Linux::called("two"));
    one.up();
    one.down();
    two.up();
    // Its name and its subnet are the other's by now.
    one.up();
    run_all(&mut one, &["web"]);
    run_all(&mut two, &["web"]);
    assert_eq!(interface(&mut two, Place::Host, "pontoon0").ipv4, [crate::lab::prefix("172.17.0.1/16")]);
    assert_eq!(interface(&mut one, Place::Host, "pontoon1").ipv4, [crate::lab::prefix("172.18.0.1/16")]);
    for (lab, gateway) in [(&mut one, "172.18.0.1"), (&mut two, "172.17.0.1")] {
        assert!(lab.ping(Place::In("web"), address(gateway), 56));
    }
    two.down();
    one.finish();
}

fn a_full_house_is_told_to_who_comes() {
    use std::os::unix::net::UnixStream;
    let mut lab = Linux::new();
    lab.up();
    let socket = lab.runtime_dir().join("pontoon.sock");
    let mut idle = Vec::new();
    let said = loop {
        let said = pontoon(&lab, &["ps"]);
        if said.status != 0 {
            break said;
        }
        idle.extend((0..64).map(|_| UnixStream::connect(&socket).expect("connect")));
        assert!(idle.len() < 2000, "there is no end");
    };
    let busy = "pontoon: the daemon is busy: 512 clients are connected\nhint: try again when some have gone\n";
    assert_eq!((said.status, said.stderr.as_str()), (1, busy));
    drop(idle);
    assert!(waited_for(|| (pontoon(&lab, &["ps"]).status == 0).then_some(())).is_some());
    lab.finish();
}

fn whoever_comes_while_down_is_under_way_is_served_by_the_next_daemon() {
    let mut lab = Linux::new();
    for _ in 0..6 {
        lab.up();
        run_all(&mut lab, &["web"]);
        let start = |arguments: &[&str]| lab.command(arguments).spawn().expect("run pontoon");
        let clients = [
            start(&["down"]),
            start(&["run", "--", "true"]),
            start(&["up", "--detach"]),
            start(&["run", "-d", "--rm", "--", "true"]),
        ];
        for (number, client) in clients.into_iter().enumerate() {
            let output = client.wait_with_output().expect("wait");
            let said = crate::lab::linux::text(&output.stderr);
            // A container that was there in time is asked to end by `down`.
            let is_ended = number == 1 && output.status.code() == Some(143);
            assert!(output.status.success() || is_ended, "{number}: {said}");
        }
        if lab.daemon_pid().is_some() {
            lab.down();
        }
    }
}

fn twenty_containers_started_at_once_all_run() {
    let mut lab = Linux::new();
    // No daemon runs: all of them want to start one.
    let names: Vec<String> = (10..30).map(|number| format!("c{number}")).collect();
    let clients: Vec<_> = names
        .iter()
        .map(|name| {
            lab.command(&["run", "-d", "--name", name, "--", "sleep", "infinity"]).spawn().expect("run pontoon")
        })
        .collect();
    for client in clients {
        let output = client.wait_with_output().expect("wait");
        assert!(output.status.success(), "{}", crate::lab::linux::text(&output.stderr));
    }
    assert_eq!(crate::lab::names(&mut lab, false), names);
    let addresses: std::collections::BTreeSet<_> = names.iter().map(|name| crate::lab::ip_of(&mut lab, name)).collect();
    assert_eq!(addresses.len(), 20);
    assert_eq!(addresses.last(), Some(&address("172.17.0.21")));
    crate::lab::assert_all_reach_each_other(&mut lab, &["c10", "c19", "c29"]);
    let daemons = processes::others().iter().filter(|line| line.contains("__daemon")).count();
    assert_eq!(daemons, 1);
    lab.finish();
}

fn run_takes_over_what_a_killed_daemon_left() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    lab.kill_daemon();
    run_all(&mut lab, &["db"]);
    crate::lab::assert_all_reach_each_other(&mut lab, &["web", "db"]);
    lab.finish();
}

fn the_demo_leaves_nothing() {
    let mut lab = Linux::new();
    let before = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
    let interfaces = lab.interfaces(Place::Host);
    let said = pontoon(&lab, &["demo", "--world", "host"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{}", said.stdout);
    for heading in ["bridge", "host", "container:web", "none"] {
        assert!(said.stdout.contains(&format!("== {heading}")), "{heading}: {}", said.stdout);
    }
    lab.assert_nothing_is_left();
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts"), before);
    assert_eq!(lab.interfaces(Place::Host), interfaces);
}
