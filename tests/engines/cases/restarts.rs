//! dockerd and our daemon are updated, or the machine is started anew: containers go on, or come back.

use std::collections::BTreeSet;

use super::cases;
use crate::docker::Docker;
use crate::host::{Host, fetched, waited_for};

cases![with_live_restore_containers_go_on_whoever_is_restarted, containers_that_restart_always_are_back_after_a_reboot,];

const SEEN: &str = "cat /sys/class/net/eth0/ifindex /sys/class/net/eth0/address; ip -4 address show dev eth0; ip route";

fn with_live_restore_containers_go_on_whoever_is_restarted(host: &mut Host) {
    const LIVE_RESTORE: [&str; 1] = ["--live-restore"];
    host.docker.stop();
    host.docker.start_again_with(&LIVE_RESTORE);
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    host.docker.starts("client", &["--network=ours"]);
    let seen = |docker: &Docker| {
        let inspected = docker.inspects("web", "{{.State.Pid}} {{json .NetworkSettings.Networks.ours}}");
        (inspected, docker.inside("web", SEEN))
    };
    let before = seen(&host.docker);
    for are_killed in [true, false] {
        if are_killed {
            host.docker.kill();
            host.pontoon.kill();
        } else {
            host.docker.stop();
            host.pontoon.stop();
        }
        host.pontoon.start_again();
        // While there is no dockerd, too.
        for whom in ["10.71.0.2", "127.0.0.1:8080"] {
            assert_eq!(fetched(whom).as_deref(), Some("web"), "{whom}");
        }
        host.docker.start_again_with(&LIVE_RESTORE);
        assert_eq!(seen(&host.docker), before);
        assert_eq!(host.docker.asks("client", "web"), "web");
        assert_eq!(host.docker.asks("client", "198.51.100.2"), "you are 198.51.100.1");
    }
    // What it has taken over it ends as usual.
    let docker = &host.docker;
    docker.does(&["stop", "client"]);
    docker.does(&["start", "client"]);
    assert_eq!(docker.asks("client", "web"), "web");
    docker.does(&["rm", "--force", "web", "client"]);
    docker.does(&["network", "rm", "ours"]);
    let is_empty = || host.pontoon.does(&["ps", "--all"]).lines().nth(1).is_none().then_some(());
    assert!(waited_for(is_empty).is_some(), "{}", host.pontoon.does(&["ps", "--all"]));
    host.docker.stop();
    host.docker.start_again();
}

fn containers_that_restart_always_are_back_after_a_reboot(host: &mut Host) {
    const ALWAYS: [&str; 2] = ["--network=ours", "--restart=always"];
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.starts("gone", &["--network=ours"]);
    host.docker.serves("web", &[&ALWAYS[..], &["--ip=10.71.0.80", "-p", "8080:80"]].concat());
    host.docker.serves("shop", &ALWAYS);
    host.docker.starts("client", &ALWAYS);
    host.reboot();
    let docker = &host.docker;
    for whom in ["web", "shop"] {
        let is_back = || docker.try_asking("client", whom).is_well().then_some(());
        assert!(waited_for(is_back).is_some(), "{whom}");
        assert_eq!(docker.asks("client", whom), whom);
    }
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
    assert_eq!(docker.asks("client", "198.51.100.2"), "you are 198.51.100.1");
    assert_eq!(docker.address("web"), "10.71.0.80");
    docker.does(&["start", "gone"]);
    let names = ["web", "shop", "client", "gone"];
    let addresses: BTreeSet<String> = names.iter().map(|name| docker.address(name)).collect();
    assert_eq!(addresses.len(), names.len(), "none twice: {addresses:?}");
    for name in names {
        let own = docker.inside(name, "ip -4 -o address show dev eth0 | grep -o 'inet [^ /]*'");
        assert_eq!(own, format!("inet {}", docker.address(name)), "{name}");
    }
    // And of what was before there is nothing.
    let listed = host.pontoon.does(&["ps", "--all"]);
    let leased: BTreeSet<String> = listed
        .lines()
        .skip(1)
        .map(|line| addresses.iter().find(|address| line.contains(*address)).cloned().unwrap_or_default())
        .collect();
    assert_eq!((listed.lines().count() - 1, leased), (names.len(), addresses), "{listed}");
}
