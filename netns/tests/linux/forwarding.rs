//! Switching the host's forwarding on changes more than one sysctl; all of them are put back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use netns::linux::forwarding::{Forwarding, KeptOn};
use netns::linux::scratch;

use crate::places::sh;

crate::trials![
    every_sysctl_is_as_before_whatever_it_was,
    a_host_that_forwards_already_is_left_alone,
    an_interface_that_came_in_between_is_as_without_us,
    what_is_journalled_restores_after_a_crash,
    forwarding_is_switched_on_when_it_is_off_and_left_alone_when_it_is_on,
];

/// All of /proc/sys/net/ipv4 that can be read, as this thread's namespace has it.
fn sysctls() -> BTreeMap<String, String> {
    fn visit(directory: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, found);
            } else if let Ok(value) = fs::read_to_string(&path) {
                found.insert(path.display().to_string(), value);
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(Path::new("/proc/sys/net/ipv4"), &mut found);
    found
}

/// Which of them differ, with their new values.
fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let changed = after.iter().filter(|(key, value)| before[*key] != **value);
    changed.map(|(key, value)| format!("{}={}", key.trim_start_matches("/proc/sys/net/ipv4/"), value.trim())).collect()
}

fn enter(settings: &[&str]) {
    scratch::enter().expect("a scratch namespace");
    sh("ip link add eth1.7 type veth peer name eth2; ip link set eth1.7 up; ip link set eth2 up");
    for setting in settings {
        let (name, value) = setting.split_once('=').expect("NAME=VALUE");
        fs::write(Path::new("/proc/sys/net/ipv4").join(name), value).expect("written");
    }
}

fn every_sysctl_is_as_before_whatever_it_was() {
    let interesting =
        ["conf/all/accept_redirects", "conf/default/forwarding", "conf/eth1.7/forwarding", "conf/lo/forwarding"];
    for choice in 0..1 << interesting.len() {
        let settings: Vec<String> = std::iter::once("ip_forward=0".to_owned())
            .chain(interesting.iter().enumerate().map(|(bit, name)| format!("{name}={}", choice >> bit & 1)))
            .collect();
        // In a thread, and so a namespace, of its own.
        let done = std::thread::spawn(move || {
            enter(&settings.iter().map(String::as_str).collect::<Vec<_>>());
            let before = sysctls();
            assert_eq!(before["/proc/sys/net/ipv4/ip_forward"], "0\n");
            let forwarding = Forwarding::read().expect("read");
            assert_eq!(sysctls(), before);
            assert!(forwarding.turn_on().expect("written"));
            let on = sysctls();
            assert_eq!(on["/proc/sys/net/ipv4/ip_forward"], "1\n");
            assert_eq!(on["/proc/sys/net/ipv4/conf/eth2/forwarding"], "1\n");
            for _ in 0..2 {
                forwarding.restore().expect("written");
                assert_eq!(changed(&before, &sysctls()), [""; 0], "{settings:?}");
            }
        });
        done.join().expect("it is as before");
    }
}

fn a_host_that_forwards_already_is_left_alone() {
    enter(&["ip_forward=1", "conf/all/accept_redirects=1", "conf/eth2/forwarding=0"]);
    let before = sysctls();
    let forwarding = Forwarding::read().expect("read");
    assert!(forwarding.was_on());
    assert_eq!(forwarding.forwarded().collect::<Vec<_>>(), [""; 0]);
    assert!(!forwarding.turn_on().expect("nothing to do"));
    assert_eq!(changed(&before, &sysctls()), [""; 0]);
    forwarding.restore().expect("nothing to do");
    assert_eq!(changed(&before, &sysctls()), [""; 0]);
}

fn an_interface_that_came_in_between_is_as_without_us() {
    for default in ["0", "1"] {
        let done = std::thread::spawn(move || {
            enter(&["ip_forward=0", &format!("conf/default/forwarding={default}"), "conf/eth1.7/forwarding=1"]);
            let forwarding = Forwarding::read().expect("read");
            assert_eq!(forwarding.forwarded().collect::<Vec<_>>(), ["eth1.7"]);
            forwarding.turn_on().expect("written");
            sh("ip link add new type veth peer name newer; ip link delete eth1.7");
            forwarding.restore().expect("what has gone needs nothing");
            let after = sysctls();
            assert_eq!(after["/proc/sys/net/ipv4/conf/new/forwarding"], format!("{default}\n"));
            assert_eq!(after["/proc/sys/net/ipv4/ip_forward"], "0\n");
        });
        done.join().expect("it is as without us");
    }
}

fn what_is_journalled_restores_after_a_crash() {
    enter(&["ip_forward=0", "conf/all/accept_redirects=0", "conf/eth2/forwarding=1"]);
    let before = sysctls();
    let forwarding = Forwarding::read().expect("read");
    let journal = serde_json::to_string(&forwarding).expect("JSON");
    forwarding.turn_on().expect("written");
    // Ended in the middle of restoring.
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("written");
    assert_eq!(changed(&before, &sysctls()), ["conf/all/accept_redirects=1", "conf/eth2/forwarding=0"]);
    let journalled: Forwarding = serde_json::from_str(&journal).expect("as it was written");
    assert_eq!(journalled, forwarding);
    journalled.restore().expect("written");
    assert_eq!(changed(&before, &sysctls()), [""; 0]);
}

fn forwarding_is_switched_on_when_it_is_off_and_left_alone_when_it_is_on() {
    enter(&["ip_forward=0"]);
    let own = "/proc/sys/net/ipv4/conf/eth2/forwarding";
    let mut kept_on = KeptOn::default();
    for _ in 0..2 {
        kept_on.keep().expect("written");
        assert_eq!(sysctls()["/proc/sys/net/ipv4/ip_forward"], "1\n");
        // To write it again would reset this one.
        fs::write(own, "0").expect("written");
        kept_on.keep().expect("read");
        assert_eq!(sysctls()[own], "0\n");
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("written");
    }
}
