//! Our daemon is away for longer than dockerd asks again, which is 15 seconds for each call.

use std::time::Duration;

use super::cases;
use crate::docker::Docker;
use crate::host::{Host, IMAGE, fetched, waited_for};
use crate::said::Said;

cases![what_dockerd_gives_up_while_our_daemon_is_away_is_made_good_when_it_is_back];

fn what_dockerd_gives_up_while_our_daemon_is_away_is_made_good_when_it_is_back(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.create(&["--subnet=10.72.0.0/16"], "idle");
    host.docker.serves("stays", &["--network=ours"]);
    host.docker.starts("stopped", &["--network=ours", "-p", "8080:80"]);
    host.docker.starts("removed", &["--network=ours", "-p", "8081:80"]);
    let shown = |host: &Host| host.pontoon.does(&["ps", "--all"]) + &host.pontoon.does(&["network", "ls"]);
    let are_named =
        || ["stays", "stopped", "removed", "idle"].iter().all(|name| shown(host).contains(name)).then_some(());
    assert!(waited_for(are_named).is_some(), "{}", shown(host));
    host.pontoon.kill();
    // All at once: each call is asked again for its 15 seconds, and an end takes three of them.
    let clients = [
        &["run", "--network=ours", "--name=late", IMAGE, "true"][..],
        &["network", "rm", "idle"],
        &["stop", "stopped"],
        &["rm", "--force", "removed"],
    ]
    .map(|arguments| Docker::begins(&[&["--log-level=error"], arguments].concat()));
    let [run, network, stop, removal] =
        clients.map(|client| Said::from(client.wait_with_output().expect("wait for docker")));
    assert!(
        run.status == Some(125) && run.stderr.contains("failed to create endpoint late on network ours"),
        "{run:?}"
    );
    assert!(run.stderr.contains("dial unix /run/docker/plugins/pontoon.sock: connect: connection refused"), "{run:?}");
    // To dockerd these are over, whatever it was answered.
    assert_eq!(
        [network.printed("network rm"), stop.printed("stop"), removal.printed("rm")],
        ["idle", "stopped", "removed"]
    );
    host.docker.does(&["rm", "late"]);
    assert_eq!(host.docker.does(&["ps", "--all", "--format", "{{.Names}}"]), "stopped\nstays");
    host.pontoon.start_to_miss_after(Duration::from_millis(500));
    assert!(waited_for(|| host.pontoon.try_to(&["ps"]).is_well().then_some(())).is_some(), "it listens");
    let is_over = || (!["stopped", "removed", "idle"].iter().any(|name| shown(host).contains(name))).then_some(());
    assert!(waited_for(is_over).is_some(), "{}", shown(host));
    assert!(shown(host).contains(" stays "), "{}", shown(host));
    host.pontoon.stop();
    host.pontoon.start_again();
    let docker = &host.docker;
    docker.does(&["start", "stopped"]);
    assert_eq!(docker.asks("stopped", "stays"), "stays");
    docker.create(&["--subnet=10.72.0.0/16"], "idle");
    docker.serves("new", &["--network=ours", "-p", "8081:80"]);
    assert_eq!(fetched("127.0.0.1:8081").as_deref(), Some("new"));
}
