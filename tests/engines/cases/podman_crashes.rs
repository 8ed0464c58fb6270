//! Our daemon ends before its time, or the machine does, with Podman's containers on the network.

use super::cases;
use super::podman::OURS;
use crate::host::{Host, IMAGE, fetched, waited_for};

cases![an_interface_outlives_our_daemon, our_daemon_may_be_killed_at_each_step, a_reboot_leaves_nothing_in_the_way,];

fn an_interface_outlives_our_daemon(host: &mut Host) {
    host.podman.serves("web", &[OURS, "-p", "8080:80"]);
    host.podman.serves("client", &[OURS]);
    let before = host.podman.inside("web", "cat /sys/class/net/eth0/ifindex; ip -4 address show dev eth0");
    host.pontoon.kill();
    host.pontoon.start_again();
    assert_eq!(host.podman.inside("web", "cat /sys/class/net/eth0/ifindex; ip -4 address show dev eth0"), before);
    assert_eq!(host.podman.asks("client", "10.89.128.2"), "web");
    assert_eq!(fetched("127.0.0.1:8080").as_deref(), Some("web"));
}

/// An ADD whose daemon is killed fails, and Podman takes back what there may be of it; a DEL goes on with the next daemon. Whatever comes
/// after finds all free.
fn our_daemon_may_be_killed_at_each_step(host: &mut Host) {
    let (mut failed, mut went_on) = (0, 0);
    // Every third step, by which both sides of a change come in turn.
    for steps in (1..).step_by(3) {
        host.pontoon.stop();
        host.pontoon.start_to_crash(steps);
        let said = host.podman.try_to(&["run", "--rm", OURS, "-p", "8080:80", IMAGE, "ip", "route"]);
        let is_crashed = host.pontoon.has_ended();
        if said.is_well() {
            let routes = "default via 10.89.128.1 dev eth0 \n10.89.128.0/20 dev eth0 scope link  src 10.89.128.2 \n";
            assert_eq!(said.stdout, routes, "step {steps}");
            went_on += usize::from(is_crashed);
        } else {
            let is_expected =
                is_crashed && said.stderr.contains("ask the daemon: the other side closed the connection");
            assert!(is_expected, "step {steps}: {said:?}");
            failed += 1;
        }
        drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
        if !is_crashed {
            break;
        }
        host.pontoon.start_again_alone();
        let left = host.pontoon.does(&["ps", "--all"]);
        assert_eq!(left.lines().count(), 1, "step {steps}: {left}");
    }
    assert!(failed > 1 && went_on > 1, "both ADD and DEL have steps: {failed} and {went_on}");
    host.pontoon.stop();
    host.pontoon.start_again();
}

fn a_reboot_leaves_nothing_in_the_way(host: &mut Host) {
    for name in ["web", "gone", "forgotten"] {
        host.podman.serves(name, &[OURS]);
    }
    host.reboot();
    // Of Podman's state and of ours what is on the disk is still there.
    assert_eq!(host.podman.does(&["ps", "--all", "--format={{.Names}}"]).lines().count(), 3);
    assert_eq!(host.pontoon.does(&["ps", "--all"]).lines().count(), 1, "no container has come through it");
    host.podman.does(&["rm", "--force", "--time=0", "gone"]);
    host.podman.does(&["start", "web"]);
    host.podman.starts("client", &[OURS]);
    assert!(waited_for(|| fetched("10.89.128.2")).is_some(), "the lowest address is free");
    assert_eq!(host.podman.asks("client", "web"), "web");
    assert_eq!(host.podman.asks("client", "198.51.100.2"), "you are 198.51.100.1");
    host.podman.does(&["rm", "--force", "--time=0", "web", "client", "forgotten"]);
    assert_eq!(host.pontoon.does(&["ps", "--all"]).lines().count(), 1);
}
