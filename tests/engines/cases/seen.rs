//! What our own commands show of the engines' containers.

use std::process::{Command, Stdio};

use super::cases;
use crate::host::{Host, fetched, waited_for};
use crate::pontoon::COMMAND;

cases![
    our_commands_know_containers_and_networks_by_the_engines_names,
    what_down_takes_from_a_container_it_has_again_when_it_is_restarted,
];

fn our_commands_know_containers_and_networks_by_the_engines_names(host: &mut Host) {
    let (docker, pontoon) = (&host.docker, &host.pontoon);
    let id = docker.create(&["--subnet=10.71.0.0/16"], "ours");
    docker.starts("web", &["--network=ours", "-p", "8080:80"]);
    docker.starts("db", &["--network=ours"]);
    // Docker is asked for the names at once where somebody asks for one.
    assert!(pontoon.does(&["network", "inspect", "ours"]).contains(&id));
    let are_known = || {
        let known = pontoon.does(&["ps"]);
        let has = |name: &str| known.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
        (has("web") && has("db")).then_some(known)
    };
    let known = waited_for(are_known).expect("the names");
    let web = known.lines().find(|line| line.contains(" web ")).expect("a line");
    for part in ["ours", "10.71.0.2", "02:42:0a:47:00:02", "0.0.0.0:8080->80/tcp"] {
        assert!(web.contains(part), "{web}");
    }
    let bridge = format!("br-{}", &id[..12]);
    let listed = pontoon.does(&["network", "ls"]);
    assert!(listed.lines().any(|line| line.starts_with(&id[..12]) && line.contains(" ours ")), "{listed}");
    let shown = pontoon.does(&["show"]);
    assert!(shown.contains(&bridge) && shown.contains("web.eth0") && shown.contains("db.eth0"), "{shown}");
    assert!(docker.reaches("db", "web"));
    let counted = pontoon.does(&["stats", "web"]);
    assert!(counted.contains("web.eth0   rx"), "{counted}");
    let explained = pontoon.does(&["explain", "web", "--to", "db"]);
    assert!(explained.starts_with(&format!("60 bytes into web.eth0 of bridge {bridge}\n")), "{explained}");
    assert!(explained.ends_with("verdict: unicast to db.eth0"), "{explained}");
    let inspected = pontoon.does(&["network", "inspect", "ours"]);
    assert!(inspected.contains("\"name\": \"web\""), "{inspected}");

    let mut capture = Command::new("timeout");
    capture.args(["20", COMMAND, "capture", "web", "-c", "1", "icmp"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let capture = capture.spawn().expect("capture");
    let stops = waited_for(|| {
        docker.reaches("db", "web");
        std::fs::read_to_string(format!("/proc/{}/stat", capture.id()))
            .map_or(true, |stat| stat.contains(" Z "))
            .then_some(())
    });
    assert!(stops.is_some(), "a frame is captured");
    let said = String::from_utf8_lossy(&capture.wait_with_output().expect("wait").stdout).into_owned();
    assert!(said.contains("web.eth0") && said.contains("ICMP"), "{said}");

    // On a further network it is another interface, and called as it is in there.
    docker.create(&["--subnet=10.72.0.0/16"], "more");
    docker.does(&["network", "connect", "more", "web"]);
    let is_second = || pontoon.does(&["show"]).contains("web.more.eth1").then_some(());
    assert!(waited_for(is_second).is_some(), "{}", pontoon.does(&["show"]));
    assert!(docker.inside("web", "ls /sys/class/net").contains("eth1"));

    // They are the engine's to manage.
    for words in [&["rm", "-f", "web"][..], &["stop", "web"], &["network", "rm", "ours"]] {
        let said = pontoon.try_to(words);
        assert!(said.status == Some(1) && said.stderr.contains("belongs to docker"), "{said:?}");
    }
    let doctor = pontoon.try_to(&["doctor"]);
    assert!(doctor.is_well(), "{doctor:?}");
}

fn what_down_takes_from_a_container_it_has_again_when_it_is_restarted(host: &mut Host) {
    host.docker.create(&["--subnet=10.71.0.0/16"], "ours");
    host.docker.serves("web", &["--network=ours", "-p", "8080:80"]);
    let is_named = || host.pontoon.does(&["ps"]).contains(" web ").then_some(());
    assert!(waited_for(is_named).is_some(), "{}", host.pontoon.does(&["ps"]));
    let said = host.pontoon.try_to(&["down"]);
    let told = "pontoon: warning: 1 container of docker has lost its network: web; `docker restart` gives it back to one once \
                `pontoon up --docker` serves again\n";
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (Some(0), "", told));
    assert!(waited_for(|| host.pontoon.has_ended().then_some(())).is_some(), "the daemon ends");
    assert_eq!(host.docker.inside("web", "ls /sys/class/net"), "lo");
    host.pontoon.start_again();
    host.docker.does(&["restart", "--time", "0", "web"]);
    let is_back = || (fetched("127.0.0.1:8080").as_deref() == Some("web")).then_some(());
    assert!(waited_for(is_back).is_some(), "{}", host.pontoon.does(&["ps"]));
}
