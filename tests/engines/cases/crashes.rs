//! Somebody ends before his time.

use std::process::Child;
use std::time::Duration;

use serde_json::json;

use super::cases;
use crate::docker::Docker;
use crate::host::{Host, IMAGE, fetched, shell, waited_for};
use crate::said::Said;

cases![
    an_interface_outlives_our_daemon,
    an_interface_outlives_its_keeper,
    a_container_that_ends_while_our_daemon_is_down_is_let_go,
    a_start_waits_for_our_daemon_to_come_back,
    our_daemon_may_be_killed_within_each_call,
    what_the_engine_does_not_know_goes_and_what_it_knows_stays,
    containers_that_restart_always_are_back_after_a_restart_of_the_engine,
    a_killed_engine_hands_no_address_out_twice,
    both_may_be_killed_at_once,
];

const SEEN: &str = "cat /sys/class/net/eth0/ifindex /sys/class/net/eth0/address; ip -4 address show dev eth0; ip route";

fn an_interface_outlives_our_daemon(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    host.docker.starts("client", &["--network=ours"]);
    let before = host.docker.inside("web", SEEN);
    for is_killed in [true, false] {
        if is_killed {
            host.pontoon.kill();
        } else {
            host.pontoon.stop();
        }
        assert_eq!(host.docker.inside("web", SEEN), before);
        host.pontoon.start_again();
        assert_eq!(host.docker.inside("web", SEEN), before);
        assert_eq!(host.docker.asks("client", "web"), "web");
        assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
        assert_eq!(host.docker.asks("client", "198.51.100.2"), "you are 198.51.100.1");
    }
}

fn an_interface_outlives_its_keeper(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet=10.71.0.0/16"], "ours");
    docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    docker.starts("client", &["--network=ours"]);
    let before = docker.inside("web", SEEN);
    let keepers = || shell("grep -l -a __shi[m] /proc/[0-9]*/cmdline | cut -d/ -f3").stdout;
    let old = keepers();
    assert_eq!(old.lines().count(), 2);
    shell(&format!("kill -9 {}", old.replace('\n', " ")));
    let others = || {
        let now = keepers();
        (now.lines().count() == 2 && !now.lines().any(|pid| old.lines().any(|other| other == pid))).then_some(())
    };
    assert!(waited_for(others).is_some(), "{old} {}", keepers());
    assert_eq!(docker.inside("web", SEEN), before);
    assert_eq!(docker.asks("client", "web"), "web");
    let is_published = || (fetched("127.0.0.1:8080")? == "web").then_some(());
    assert!(waited_for(is_published).is_some());
    docker.does(&["restart", "--time", "0", "web"]);
    let is_there = || docker.try_asking("client", "web").is_well().then_some(());
    assert!(waited_for(is_there).is_some());
}

/// What a client printed in the end.
fn end(client: Child) -> String {
    let said = Said::from(client.wait_with_output().expect("wait for docker"));
    said.printed("docker")
}

/// Long enough for dockerd to have asked in vain.
const A_WHILE: Duration = Duration::from_millis(700);

fn a_container_that_ends_while_our_daemon_is_down_is_let_go(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.starts("web", &["--network=ours", "-p", "8080:80"]);
    host.pontoon.kill();
    let removal = Docker::begins(&["rm", "--force", "web"]);
    std::thread::sleep(A_WHILE);
    host.pontoon.start_again();
    end(removal);
    assert_eq!(
        host.docker.does(&["run", "--rm", "--network=ours", "-p", "8080:80", IMAGE, "hostname", "-i"]),
        "10.71.0.2"
    );
}

fn a_start_waits_for_our_daemon_to_come_back(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.pontoon.kill();
    let start = Docker::begins(&["run", "--rm", "--network=ours", IMAGE, "hostname", "-i"]);
    std::thread::sleep(A_WHILE);
    host.pontoon.start_again();
    assert_eq!(end(start), "10.71.0.2");
}

/// dockerd asks again when it finds nobody. When somebody died with its call, it asks again as well, but with an empty body (its
/// reader has been read): then the container does not start, and nothing of it may be in the way of the next. An endpoint whose
/// removal is lost so stays until its address is given out again, or until it has been missed for long enough, which no case waits for.
fn our_daemon_may_be_killed_within_each_call(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    // To call it by its name is a step as well, but of no call.
    let is_named = || host.pontoon.does(&["network", "ls"]).contains(" ours ").then_some(());
    assert!(waited_for(is_named).is_some(), "{}", host.pontoon.does(&["network", "ls"]));
    let mut started = 0;
    // Every third step, by which both sides of a change come in turn.
    for steps in (1..).step_by(3) {
        host.pontoon.stop();
        host.pontoon.start_to_crash(steps);
        let mut client = Docker::begins(&["run", "--rm", "--network=ours", "-p", "8080:80", IMAGE, "ip", "route"]);
        let mut is_crashed = false;
        let is_over = waited_for(|| {
            is_crashed = host.pontoon.has_ended();
            (is_crashed || client.try_wait().expect("look at docker").is_some()).then_some(())
        });
        assert!(is_over.is_some(), "step {steps}: neither ends");
        if is_crashed {
            host.pontoon.start_again();
        }
        let said = Said::from(client.wait_with_output().expect("wait for docker"));
        if said.is_well() {
            let route = "default via 10.71.0.1 dev eth0 \n10.71.0.0/16 dev eth0 scope link  src 10.71.0.2 \n";
            assert_eq!(said.stdout, route, "step {steps}");
            started += 1;
        } else {
            assert!(is_crashed && said.stderr.contains("the request can not be read"), "step {steps}: {said:?}");
        }
        drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
        if !is_crashed {
            break;
        }
    }
    assert!(started > 1, "what ends a container is done again");
    host.pontoon.stop();
    host.pontoon.start_again();
    // An endpoint whose removal got lost with the daemon goes when its address is given to the next.
    assert_eq!(host.docker.does(&["run", "--rm", "--network=ours", IMAGE, "hostname", "-i"]), "10.71.0.2");
    let is_empty = || host.pontoon.does(&["ps", "--all"]).lines().nth(1).is_none().then_some(());
    assert!(waited_for(is_empty).is_some(), "{}", host.pontoon.does(&["ps", "--all"]));
}

fn what_the_engine_does_not_know_goes_and_what_it_knows_stays(host: &mut Host) {
    let network = host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    let (stray, unknown) = ("5".repeat(64), "6".repeat(64));
    let endpoint = json!({
        "NetworkID": network, "EndpointID": stray, "Options": {},
        "Interface": {"Address": "10.71.0.9/16", "AddressIPv6": "", "MacAddress": ""},
    });
    let other = json!({
        "NetworkID": unknown, "Options": {}, "IPv6Data": [],
        "IPv4Data": [{"AddressSpace": "LocalDefault", "Gateway": "10.72.0.1/16", "Pool": "10.72.0.0/16"}],
    });
    for (method, body) in [("CreateEndpoint", &endpoint), ("CreateNetwork", &other)] {
        let answer = host.pontoon.hears(method, body);
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("Err"), "{answer}");
    }
    let shown = |host: &Host| host.pontoon.does(&["ps", "--all"]) + &host.pontoon.does(&["network", "ls"]);
    assert!([&stray[..12], &unknown[..12]].iter().all(|id| shown(host).contains(id)), "{}", shown(host));
    host.pontoon.stop();
    // No container starts meanwhile.
    host.pontoon.start_to_miss_after(Duration::from_millis(500));
    assert!(waited_for(|| host.pontoon.try_to(&["ps"]).is_well().then_some(())).is_some(), "it listens");
    let is_gone = || (![&stray[..12], &unknown[..12]].iter().any(|id| shown(host).contains(id))).then_some(());
    assert!(waited_for(is_gone).is_some(), "{}", shown(host));
    assert!(shown(host).contains(" ours "), "{}", shown(host));
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
    host.pontoon.stop();
    host.pontoon.start_again();
}

fn containers_that_restart_always_are_back_after_a_restart_of_the_engine(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.serves("web", &["--network=ours", "--restart=always", "-p", "8080:80"]);
    host.docker.starts("client", &["--network=ours", "--restart=always"]);
    host.docker.stop();
    host.docker.start_again();
    let docker = &host.docker;
    let is_back = || docker.try_asking("client", "web").is_well().then_some(());
    assert!(waited_for(is_back).is_some());
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
}

fn a_killed_engine_hands_no_address_out_twice(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.starts("old", &["--network=ours", "-p", "8080:80"]);
    host.docker.kill();
    host.docker.start_again();
    are_two_new_ones_well(host);
}

fn both_may_be_killed_at_once(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.starts("old", &["--network=ours", "-p", "8080:80"]);
    host.docker.kill();
    host.pontoon.kill();
    host.pontoon.start_again();
    host.docker.start_again();
    are_two_new_ones_well(host);
}

fn are_two_new_ones_well(host: &Host) {
    let docker = &host.docker;
    docker.serves("new", &["--network=ours", "-p", "8080:80"]);
    docker.starts("other", &["--network=ours"]);
    assert_ne!(docker.address("new"), docker.address("other"));
    assert_eq!(docker.asks("other", &docker.address("new")), "new");
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("new"));
    docker.does(&["rm", "--force", "old"]);
    assert_eq!(docker.asks("other", "new"), "new");
    assert_eq!(docker.does(&["run", "--rm", "--network=ours", IMAGE, "echo", "well"]), "well");
}
