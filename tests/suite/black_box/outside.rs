//! The way out of the host, and back: what an outside sees, what it does not, and that the host is as before afterwards.

use std::process::Command;

use super::{pontoon, prints, tests};
use crate::lab::linux::outside::{Outside, nft};
use crate::lab::linux::{Linux, waited_for};
use crate::lab::{Lab, NetworkOrder, OUTSIDE, Order, Place, address, create, ip_on, prefix, run};

tests![
    the_hosts_own_rules_and_sysctls_are_as_before,
    a_daemon_killed_at_any_step_leaves_nothing_on_the_host_that_down_does_not_take_back,
    a_foreign_policy_is_told_with_a_remedy_that_works,
    what_somebody_takes_of_the_firewall_is_put_back,
    a_foreign_policy_that_comes_later_is_told_to_the_next_run,
    without_nft_there_is_no_way_out_and_it_is_said,
];

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|why| panic!("run {program}: {why}"));
    assert!(output.status.success(), "{program}: {}", crate::lab::linux::text(&output.stderr));
    crate::lab::linux::text(&output.stdout)
}

/// Everything of the host that we might have changed.
fn host() -> Vec<String> {
    let sysctls = ["ip_forward", "conf/all/accept_redirects", "conf/default/forwarding", "conf/uplink0/forwarding"];
    let sysctls = sysctls.map(|name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("a sysctl"));
    let shown: [&[&str]; 4] = [&["-d", "link"], &["address"], &["route", "show", "table", "all"], &["rule"]];
    let shown = shown.map(|words| said_by("ip", words));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    [said_by("nft", &["list", "ruleset"]), mounts].into_iter().chain(sysctls).chain(shown).collect()
}

/// Rules of the host's own.
const OWN_RULES: &str = concat!(
    "table inet own {\nchain forward {\ntype filter hook forward priority 5; policy accept;\n",
    "ip saddr 10.1.2.3 accept comment \"mine\"\n}\n}\n",
    "table ip pontoon_like {\nset s {\ntype ipv4_addr\nelements = { 10.1.2.3 }\n}\n}\n",
);

fn the_hosts_own_rules_and_sysctls_are_as_before() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    nft(OWN_RULES);
    let before = host();
    for end in ["down", "kill"] {
        lab.up();
        create(&mut lab, NetworkOrder::new("red"));
        prints(&lab, &["run", "-d", "--rm", "--name", "web", "-p", "8080:80", "--", "sleep", "infinity"]);
        run(&mut lab, Order::new("db").network("red").rm());
        assert!(said_by("nft", &["list", "tables"]).contains("table inet pontoon_0\n"));
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a sysctl"), "1\n");
        if end == "kill" {
            lab.kill_daemon();
            lab.up();
        }
        lab.down();
        lab.up();
        lab.remove_network("red").expect("network rm");
        lab.down();
        assert_eq!(host(), before, "{end}");
    }
    // One that ends by itself, too.
    assert_eq!(pontoon(&lab, &["run", "--rm", "--", "true"]).status, 0);
    assert!(waited_for(|| (host() == before).then_some(())).is_some(), "{:?}", host());
    drop(outside);
}

/// Every step of what touches the host: networks, ports, joining and leaving, and taking it all back.
fn a_daemon_killed_at_any_step_leaves_nothing_on_the_host_that_down_does_not_take_back() {
    const MANY: u32 = 200;
    let mut lab = Linux::new();
    let outside = Outside::new();
    nft(OWN_RULES);
    let before = host();
    let web = ["run", "-d", "--rm", "--name", "web", "-p", "8080:80", "--", "sleep", "infinity"];
    let db = ["run", "-d", "--rm", "--name", "db", "--network", "red", "--", "sleep", "infinity"];
    let work: [&[&str]; 7] = [
        &["network", "create", "red", "-o", "endpoint=veth"],
        &web,
        &db,
        &["network", "connect", "red", "web"],
        &["network", "disconnect", "bridge", "web"],
        &["rm", "-f", "db"],
        &["down"],
    ];
    for steps in 1..MANY {
        lab.up_killed_after(steps);
        // Only the daemon that is to be killed does any of it: a command that starts another would hide what was left.
        let done = work.iter().take_while(|words| lab.daemon_runs() && pontoon(&lab, words).status == 0).count();
        if lab.daemon_runs() {
            lab.kill_daemon();
        }
        let down = pontoon(&lab, &["down"]);
        assert_eq!(down.status, 0, "{}", down.stderr);
        assert_eq!(host(), before, "killed at step {steps}, after {done} commands; down: {down:?}");
        lab.up();
        if lab.networks().iter().any(|network| network.name == "red") {
            lab.remove_network("red").expect("network rm");
        }
        lab.down();
        assert_eq!(host(), before, "killed at step {steps}, after {done} commands and another daemon");
        if done == work.len() {
            assert!(steps > 20, "{steps}: each command takes steps");
            drop(outside);
            return;
        }
    }
    panic!("{MANY} steps are not enough");
}

fn a_foreign_policy_is_told_with_a_remedy_that_works() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    // As Docker leaves a host.
    nft(concat!(
        "table ip filter {\nchain DOCKER-USER {\n}\n",
        "chain FORWARD {\ntype filter hook forward priority filter; policy drop;\njump DOCKER-USER\n}\n}\n",
    ));
    lab.up();
    let said = pontoon(&lab, &["run", "-d", "--name", "web", "--", "sleep", "infinity"]);
    assert_eq!(said.status, 0);
    let warning = said.stderr.lines().find(|line| line.starts_with("pontoon: warning: ")).expect("it is told");
    assert!(warning.contains("table ip filter, chain FORWARD"), "{warning}");
    assert!(!lab.ping(Place::In("web"), address(OUTSIDE), 56), "it is as it was told");
    let second = pontoon(&lab, &["run", "-d", "--name", "db", "--", "sleep", "infinity"]);
    assert_eq!((second.status, second.stderr.as_str()), (0, ""), "once is enough");
    let (_, remedy) = warning.split_once("to let it pass: ").expect("a remedy");
    said_by("sh", &["-ec", remedy]);
    assert!(lab.ping(Place::In("web"), address(OUTSIDE), 56), "{remedy}");
    drop(outside);
    lab.finish();
}

fn what_somebody_takes_of_the_firewall_is_put_back() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    lab.up();
    create(&mut lab, NetworkOrder::new("red"));
    prints(&lab, &["network", "create", "-o", "endpoint=veth", "pairs"]);
    run(&mut lab, Order::new("web").network("red"));
    run(&mut lab, Order::new("db").network("pairs"));
    let web = ip_on(&mut lab, "web", "red");
    let ours = || {
        [
            said_by("nft", &["list", "table", "inet", "pontoon_0"]),
            said_by("nft", &["list", "table", "netdev", "pontoon_0"]),
        ]
    };
    let before = ours();
    // As a firewall's service does when it starts anew; and what a clumsy hand may do.
    for script in [
        concat!(
            "flush ruleset\n",
            "table inet filter {\nchain input {\ntype filter hook input priority 0; policy accept;\n}\n}\n"
        ),
        "delete table inet pontoon_0\n",
        "delete table netdev pontoon_0\n",
        "flush table inet pontoon_0\n",
    ] {
        nft(script);
        let is_back = || {
            let tables = said_by("nft", &["list", "tables"]);
            let both = tables.contains("table inet pontoon_0") && tables.contains("table netdev pontoon_0");
            (both && ours() == before).then_some(())
        };
        assert!(waited_for(is_back).is_some(), "{script}: {}", said_by("nft", &["list", "ruleset"]));
        assert!(!lab.ping(Place::In("db"), web, 56), "{script}");
        assert!(lab.ping(Place::In("db"), address(OUTSIDE), 56), "{script}");
    }
    drop(outside);
    lab.finish();
}

fn a_foreign_policy_that_comes_later_is_told_to_the_next_run() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    lab.up();
    let quiet = pontoon(&lab, &["run", "-d", "--", "sleep", "infinity"]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
    // Docker is started after us, say.
    nft("table ip filter {\nchain FORWARD {\ntype filter hook forward priority filter; policy drop;\n}\n}\n");
    let told = pontoon(&lab, &["run", "-d", "--", "sleep", "infinity"]);
    assert!(told.stderr.contains("table ip filter, chain FORWARD"), "{}", told.stderr);
    let quiet = pontoon(&lab, &["run", "-d", "--", "sleep", "infinity"]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""), "once is enough");
    // Who comes to another network by another way.
    create(&mut lab, NetworkOrder::new("red"));
    run(&mut lab, Order::new("web"));
    let told = pontoon(&lab, &["network", "connect", "red", "web"]);
    assert_eq!(told.status, 0);
    assert!(told.stderr.contains("table ip filter, chain FORWARD"), "{}", told.stderr);
    drop(outside);
    lab.finish();
}

fn without_nft_there_is_no_way_out_and_it_is_said() {
    let mut lab = Linux::new();
    lab.host_address(prefix("10.200.0.1/24"));
    // In the mounts of the cage: an empty directory where administrators' programs are.
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("none"), "/usr/sbin", Some("tmpfs"), flags, None::<&str>).expect("mount a tmpfs");
    let output = lab.command(&["up", "--detach"]).output().expect("run pontoon");
    let said = crate::lab::linux::text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("containers have no way out of the host: run the program nft: it is not installed"),
        "{said}"
    );
    run(&mut lab, Order::new("web"));
    assert!(lab.ping(Place::Host, address("172.17.0.2"), 56));
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a sysctl"), "0\n");
    let refused = lab.create_network(NetworkOrder::new("red")).expect_err("there is no firewall to keep it apart");
    assert!(refused.message.starts_with("run the program nft: it is not installed"), "{refused:?}");
    assert_eq!(lab.networks().len(), 3);
    lab.finish();
}
