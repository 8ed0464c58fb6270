//! `bridge monitor` as a user meets it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use netns::event::Event;
use serde_json::Value;

use super::{fails, looks_like, prints, tests};
use crate::lab::linux::monitor::Monitor;
use crate::lab::linux::{Linux, PATIENCE, waited_for};
use crate::lab::{Lab, run_all};

tests![
    the_monitor_prints_lines_as_bridge_does,
    the_monitor_prints_what_is_asked_for_and_when,
    the_monitor_prints_an_object_a_line_for_programs,
    the_monitor_waits_for_the_next_daemon,
    the_monitor_keeps_no_daemon_from_its_end_and_hears_the_last_of_it,
    the_monitor_ends_when_its_reader_goes,
    the_monitor_needs_a_daemon_and_words_that_it_knows,
    so_many_may_listen_and_those_who_do_not_read_hold_nobody_up,
];

fn the_monitor_prints_lines_as_bridge_does() {
    let mut lab = Linux::new();
    lab.up();
    let mut monitor = Monitor::start(lab.command(&["bridge", "monitor"]));
    prints(&lab, &["run", "--rm", "--name", "job", "--network", "none", "--", "true"]);
    prints(&lab, &["network", "create", "back"]);
    let lines: Vec<String> = (0..5).map(|_| monitor.line()).collect();
    let expected = "[CONTAINER]job [SHORT] created\n[CONTAINER]job [SHORT] started\n[CONTAINER]job [SHORT] exited (0)\n\
                    [CONTAINER]job [SHORT] removed\n[NETWORK]back [SHORT] bridge br-[SHORT] created\n";
    looks_like(&lab, &format!("{}\n", lines.join("\n")), expected);
    let link = monitor.line();
    assert!(
        link.starts_with("[LINK]") && link.contains(": master br-") && link.ends_with(" state forwarding"),
        "{link}"
    );
    drop(monitor);
    lab.finish();
}

fn the_monitor_prints_what_is_asked_for_and_when() {
    let mut lab = Linux::new();
    lab.up();
    let mut links = Monitor::start(lab.command(&["bridge", "monitor", "-t", "link", "dev", "db.eth0"]));
    let mut stations = Monitor::start(lab.command(&["bridge", "monitor", "fdb", "br", "pontoon0", "dev", "web.eth0"]));
    run_all(&mut lab, &["web", "db"]);
    assert!(lab.ping(crate::lab::Place::In("web"), crate::lab::address("172.17.0.3"), 56));
    let up = links.line();
    let (time, text) = up.split_once("] ").expect("a time");
    assert!(
        time.starts_with("[20") && time.ends_with('Z') && time.len() == "[2026-11-28T21:28:37.101256Z".len(),
        "{up}"
    );
    assert!(text.ends_with(": db.eth0: master pontoon0 state forwarding"), "{up}");
    assert_eq!(stations.line(), "02:42:ac:11:00:02 dev web.eth0 master pontoon0");
    lab.stop("web", 10).expect("stop web");
    assert_eq!(stations.line(), "Deleted 02:42:ac:11:00:02 dev web.eth0 master pontoon0");
    drop((links, stations));
    lab.finish();
}

fn the_monitor_prints_an_object_a_line_for_programs() {
    let mut lab = Linux::new();
    lab.up();
    let mut monitor = Monitor::start(lab.command(&["bridge", "monitor", "-j", "container"]));
    run_all(&mut lab, &["web"]);
    let created: Value = serde_json::from_str(&monitor.line()).expect("JSON");
    assert_eq!((&created["event"], &created["container"]), (&"container_created".into(), &"web".into()));
    assert_eq!(created["id"].as_str().map(str::len), Some(64));
    let started: Value = serde_json::from_str(&monitor.line()).expect("JSON");
    assert_eq!(started["event"], "container_started");
    let [before, after] = [&created, &started].map(|told| told["time"].as_f64().expect("a time"));
    assert!(1.7e9 < before && before <= after, "{before} {after}");
    drop(monitor);
    lab.finish();
}

fn the_monitor_waits_for_the_next_daemon() {
    let mut lab = Linux::new();
    lab.up();
    let mut monitor = Monitor::start(lab.command(&["bridge", "monitor", "-j"]));
    lab.kill_daemon();
    assert_eq!(monitor.says(), "pontoon: the daemon has gone; waiting for the next");
    lab.up();
    assert_eq!(monitor.says(), "pontoon: listening");
    run_all(&mut lab, &["web"]);
    let events = monitor.until(&|event| matches!(event, Event::ContainerStarted(_)));
    assert!(events.iter().any(|event| matches!(event, Event::PortUp(port) if port.ifname == "web.eth0")), "{events:?}");
    lab.down();
    assert_eq!(monitor.says(), "pontoon: the daemon has gone; waiting for the next");
    assert_eq!(monitor.goes(), (Some(0), String::new()));
    lab.finish();
}

fn the_monitor_keeps_no_daemon_from_its_end_and_hears_the_last_of_it() {
    let mut lab = Linux::new();
    // A daemon that ends by itself after its last container.
    let started = lab.pontoon(&["run", "-d", "--name", "web", "--network", "none", "--", "sleep", "infinity"]);
    assert!(started.status.success());
    let mut monitor = Monitor::start(lab.command(&["bridge", "monitor", "-j"]));
    lab.rm("web", true).expect("rm -f");
    monitor.until(&|event| matches!(event, Event::ContainerRemoved(_)));
    assert_eq!(monitor.says(), "pontoon: the daemon has gone; waiting for the next");
    assert!(!lab.daemon_runs());
    drop(monitor);
    lab.finish();
}

fn the_monitor_ends_when_its_reader_goes() {
    let mut lab = Linux::new();
    lab.up();
    // Though nothing happens that it could print.
    let monitor = Monitor::start(lab.command(&["bridge", "monitor"]));
    assert_eq!(monitor.goes(), (Some(0), String::new()));
    lab.finish();
}

fn the_monitor_needs_a_daemon_and_words_that_it_knows() {
    let mut lab = Linux::new();
    let none = "pontoon: no daemon listens in [DIR]/run\n\
                hint: `pontoon up` starts one; `pontoon run` and `pontoon network` do so by themselves\n";
    fails(&lab, &["bridge", "monitor"], 1, none);
    let hint = "hint: bridge monitor [all|fdb|link|container|network] [br BRIDGE] [dev PORT]\n";
    fails(&lab, &["bridge", "monitor", "vlan"], 2, &format!("pontoon: 'vlan' is not understood\n{hint}"));
    fails(&lab, &["bridge", "monitor", "fdb", "br"], 2, &format!("pontoon: 'br' needs a name behind it\n{hint}"));
    lab.finish();
}

fn so_many_may_listen_and_those_who_do_not_read_hold_nobody_up() {
    let mut lab = Linux::new();
    lab.up();
    let listen = || {
        let mut stream = UnixStream::connect(lab.runtime_dir().join("pontoon.sock")).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
        stream.write_all(b"{\"fds\":0,\"body\":\"monitor\"}\n").expect("ask");
        let mut first = [0; 1];
        stream.read_exact(&mut first).expect("an answer");
        stream
    };
    let deaf: Vec<UnixStream> = (0..32).map(|_| listen()).collect();
    let why = "pontoon: 32 listen already\nhint: try again when some have gone\n";
    fails(&lab, &["bridge", "monitor"], 1, why);
    for _ in 0..20 {
        prints(&lab, &["run", "--rm", "--", "true"]);
    }
    // Of one who goes the daemon hears at once, but not at the same time as the next comes.
    drop(deaf);
    let waited = waited_for(|| {
        let mut listening = lab.command(&["bridge", "monitor"]).spawn().expect("run pontoon");
        let mut said = [0; 18];
        listening.stderr.take().expect("a pipe").read_exact(&mut said).expect("it says something");
        let _ = listening.kill();
        let _ = listening.wait();
        (said == *b"pontoon: listening").then_some(())
    });
    assert!(waited.is_some(), "there is room again");
    lab.finish();
}
