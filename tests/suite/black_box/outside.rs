//! The way out of the host, and back: what an outside sees, what it does not, and that the host is as before afterwards.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{pontoon, prints, tests};
use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, waited_for};
use crate::lab::{Lab, NetworkOrder, Order, Place, address, create, ip_on, prefix, run};

tests![
    containers_reach_the_outside_behind_the_hosts_address,
    nobody_outside_reaches_a_container_that_has_not_asked,
    a_published_port_is_reached_from_outside,
    the_hosts_own_rules_and_sysctls_are_as_before,
    a_daemon_killed_at_any_step_leaves_nothing_on_the_host_that_down_does_not_take_back,
    a_foreign_policy_is_told_with_a_remedy_that_works,
    what_somebody_takes_of_the_firewall_is_put_back,
    forwarding_that_somebody_switched_off_is_on_for_the_next_container,
    a_foreign_policy_that_comes_later_is_told_to_the_next_run,
    without_nft_there_is_no_way_out_and_it_is_said,
];

const OUTSIDE: &str = "10.200.0.2";

/// A namespace behind the host's uplink.
struct Outside {
    keeper: Child,
    inside: Inside,
}

impl Outside {
    fn new() -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        let keeper = unshare.spawn().expect("run unshare");
        let pid = keeper.id();
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let is_there =
            || std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|other| other != own).then_some(());
        assert!(waited_for(is_there).is_some(), "it has a namespace of its own");
        let host = Inside::here();
        host.ip(&["link", "add", "uplink0", "type", "veth", "peer", "name", "eth0", "netns", &pid.to_string()]);
        host.ip(&["address", "add", "10.200.0.1/24", "dev", "uplink0"]);
        // An IPv6 address would be tentative for a second, and the host would change by itself.
        host.ip(&["link", "set", "uplink0", "addrgenmode", "none"]);
        host.ip(&["link", "set", "uplink0", "up"]);
        let inside = Inside::of(pid.cast_signed());
        for words in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", "10.200.0.2/24", "dev", "eth0"],
            &["link", "set", "eth0", "up"],
        ] {
            inside.ip(words);
        }
        Outside { keeper, inside }
    }

    /// Whom a server out there sees when a container connects to it.
    fn peer_of(&self, lab: &mut Linux, container: &str) -> Option<Ipv4Addr> {
        let listener = self.inside.listen(9000).expect("listen");
        let client = Inside::of(lab.pid_of(container));
        client.connect(address(OUTSIDE), 9000).ok()?;
        let (_, peer) = listener.accept().expect("accept");
        match peer.ip() {
            std::net::IpAddr::V4(ip) => Some(ip),
            std::net::IpAddr::V6(_) => None,
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let gone = || std::fs::read_dir("/sys/class/net/uplink0").is_err().then_some(());
        assert!(waited_for(gone).is_some() || std::thread::panicking(), "the uplink goes with the outside");
    }
}

fn containers_reach_the_outside_behind_the_hosts_address() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    lab.up();
    create(&mut lab, NetworkOrder::new("red"));
    create(&mut lab, NetworkOrder::new("vault").internal());
    run(&mut lab, Order::new("web"));
    run(&mut lab, Order::new("db").network("red"));
    run(&mut lab, Order::new("safe").network("vault"));
    for container in ["web", "db"] {
        assert!(lab.ping(Place::In(container), address(OUTSIDE), 56), "{container}");
        assert_eq!(outside.peer_of(&mut lab, container), Some(address("10.200.0.1")), "{container}");
    }
    assert!(!lab.ping(Place::In("safe"), address(OUTSIDE), 56));
    // Not even by a route that was added by hand.
    let gateway = ip_on(&mut lab, "safe", "vault").octets();
    let gateway = Ipv4Addr::new(gateway[0], gateway[1], gateway[2], 1).to_string();
    Inside::of(lab.pid_of("safe")).ip(&["route", "add", "default", "via", &gateway]);
    assert!(!lab.ping(Place::In("safe"), address(OUTSIDE), 56));
    // It goes on without a daemon as far as the switch is not needed, and with the next one altogether.
    lab.kill_daemon();
    lab.up();
    assert_eq!(outside.peer_of(&mut lab, "db"), Some(address("10.200.0.1")));
    drop(outside);
    lab.finish();
}

fn nobody_outside_reaches_a_container_that_has_not_asked() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    lab.up();
    run(&mut lab, Order::new("web"));
    lab.listen(Place::In("web"), 80).expect("listen");
    outside.inside.ip(&["route", "add", "172.16.0.0/12", "via", "10.200.0.1"]);
    assert!(!outside.inside.ping(address("172.17.0.2"), 56));
    assert!(outside.inside.ping(address("10.200.0.1"), 56), "the host itself answers");
    drop(outside);
    lab.finish();
}

fn a_published_port_is_reached_from_outside() {
    let mut lab = Linux::new();
    let outside = Outside::new();
    lab.up();
    prints(&lab, &["run", "-d", "--name", "web", "-p", "8080:80", "--", "sleep", "infinity"]);
    let listener = Inside::of(lab.pid_of("web")).listen(80).expect("listen");
    let server = std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().expect("accept");
        stream.write_all(peer.ip().to_string().as_bytes()).expect("send");
    });
    let told = outside.inside.enter(|| {
        let to = SocketAddrV4::new(address("10.200.0.1"), 8080).into();
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(20)).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("receive");
        told
    });
    assert_eq!(told, "172.17.0.1");
    server.join().expect("the server");
    drop(outside);
    lab.finish();
}

fn nft(script: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("run nft");
    nft.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("write");
    assert!(nft.wait().expect("wait").success(), "{script}");
}

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

fn forwarding_that_somebody_switched_off_is_on_for_the_next_container() {
    const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
    let mut lab = Linux::new();
    let outside = Outside::new();
    lab.up();
    run(&mut lab, Order::new("web"));
    std::fs::write(IP_FORWARD, "0").expect("switch it off");
    run(&mut lab, Order::new("db"));
    assert!(lab.ping(Place::In("db"), address(OUTSIDE), 56));
    lab.down();
    assert_eq!(std::fs::read_to_string(IP_FORWARD).expect("a sysctl"), "0\n");
    drop(outside);
    lab.up();
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
