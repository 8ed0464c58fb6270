//! Many containers at once, and one after another.

use std::collections::BTreeSet;

use super::cases;
use crate::docker::Docker;
use crate::host::{Census, Host, IMAGE, waited_for};

cases![
    twenty_cycles_leave_everything_as_before,
    twenty_runs_leave_our_daemon_as_it_was,
    fifty_containers_start_at_once,
];

fn fifty_containers_start_at_once(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet=10.71.0.0/16"], "ours");
    docker.starts("client", &["--network=ours"]);
    let names: Vec<String> = (0..50).map(|number| format!("c{number}")).collect();
    let started: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command =
                Docker::command(&["run", "-d", "--name", name, "--network=ours", IMAGE, "sleep", "1000000"]);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("run docker")
        })
        .collect();
    for client in started {
        let said = client.wait_with_output().expect("wait for docker");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let format = "{{.NetworkSettings.Networks.ours.IPAddress}} {{.NetworkSettings.Networks.ours.MacAddress}}";
    let seen = docker.does(&[&["inspect", "--format", format], &names[..]].concat());
    let addresses: BTreeSet<&str> = seen.lines().flat_map(|line| line.split(' ')).collect();
    assert_eq!(addresses.len(), 100, "an address and a MAC for each, none twice: {seen}");
    let script = "for n in $(seq 0 49); do ping -c 1 -W 5 c$n >/dev/null || echo c$n; done";
    assert_eq!(docker.inside("client", script), "", "each is reached by its name");
    docker.does(&[&["rm", "--force"], &names[..]].concat());
    assert_eq!(docker.does(&["network", "inspect", "--format", "{{len .Containers}}", "ours"]), "1");
}

fn twenty_cycles_leave_everything_as_before(host: &mut Host) {
    let docker = &host.docker;
    docker.create(&["--subnet=10.71.0.0/24"], "ours");
    docker.starts("web", &["--network=ours", "-p", "8080:80"]);
    // Now its command runs.
    assert!(docker.reaches("web", "10.71.0.1"));
    let before = Census::take();
    for _ in 0..20 {
        docker.does(&["restart", "--time", "0", "web"]);
        assert_eq!(docker.address("web"), "10.71.0.2");
    }
    assert!(docker.reaches("web", "10.71.0.1"));
    let now = waited_for(|| (Census::take() == before).then_some(()));
    assert!(now.is_some(), "{}", before.differs_from(&Census::take()));
}

/// What our daemon may have grown by in twenty runs, in KiB. A thread's memory that is lost in each, or a buffer, is more.
const GROWTH: u64 = 1024;
/// dockerd keeps up to two conversations for its next calls.
const CONVERSATIONS: usize = 2;

fn twenty_runs_leave_our_daemon_as_it_was(host: &mut Host) {
    let (docker, pontoon) = (&host.docker, &host.pontoon);
    docker.create(&["--subnet=10.71.0.0/24"], "ours");
    let run = || docker.does(&["run", "--rm", "--network=ours", "-p", "8080:80", IMAGE, "hostname", "-i"]);
    // Until all that is made once has been made.
    for _ in 0..5 {
        assert_eq!(run(), "10.71.0.2");
    }
    let has_no_leases = || pontoon.does(&["ps", "--all"]).lines().nth(1).is_none().then_some(());
    assert!(waited_for(has_no_leases).is_some(), "{}", pontoon.does(&["ps", "--all"]));
    let (census, before) = (Census::take(), pontoon.footprint());
    for _ in 0..20 {
        assert_eq!(run(), "10.71.0.2");
    }
    assert!(waited_for(has_no_leases).is_some(), "{}", pontoon.does(&["ps", "--all"]));
    let is_as_before = || {
        let now = pontoon.footprint();
        let is_as_small = now.files <= before.files
            && now.sockets <= before.sockets + CONVERSATIONS
            && now.threads <= before.threads
            && now.memory <= before.memory + GROWTH;
        (is_as_small && Census::take() == census).then_some(())
    };
    let differs = || format!("{before:?} became {:?}\n{}", pontoon.footprint(), census.differs_from(&Census::take()));
    assert!(waited_for(is_as_before).is_some(), "{}", differs());
}
