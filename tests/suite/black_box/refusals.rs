//! Bad input: what is said, the hint, the exit status; and nothing is lost.

use std::fs;

use super::{fails, pontoon, prints, tests};
use crate::lab::linux::Linux;
use crate::lab::{Lab, Order, Place, run, run_all};

tests![
    bad_targets_addresses_and_names_are_told_with_a_hint,
    name_servers_that_nobody_asks_are_told,
    a_command_that_does_not_run_is_told,
    a_full_pool_is_told,
    a_corrupt_record_is_kept_aside_and_told,
    a_subnet_of_the_host_is_refused,
    what_is_not_there_is_told,
    what_may_be_several_containers_or_networks_is_told,
    an_alias_on_the_default_network_is_refused,
    what_networks_refuse_is_told_with_a_hint,
    each_of_several_containers_has_its_turn,
];

fn an_alias_on_the_default_network_is_refused() {
    let mut lab = Linux::new();
    lab.up();
    prints(&lab, &["network", "create", "red"]);
    run(&mut lab, Order::new("web").network("red"));
    let refused = "pontoon: no alias www on network bridge: aliases are for user-defined networks only\n\
                   hint: `pontoon network create` makes one\n";
    fails(&lab, &["network", "connect", "--alias", "www", "bridge", "web"], 1, refused);
    fails(&lab, &["run", "--network-alias", "www", "--", "true"], 125, refused);
    prints(&lab, &["network", "connect", "bridge", "web"]);
    lab.finish();
}

fn bad_targets_addresses_and_names_are_told_with_a_hint() {
    let mut lab = Linux::new();
    lab.up();
    run(&mut lab, Order::new("web").mac("02:00:00:00:00:09"));
    run(&mut lab, Order::new("job").program(crate::lab::Program::Exit(0)));
    lab.wait_ended("job");
    let before = lab.census();
    let all_containers = "hint: `pontoon ps -a` lists all containers\n";
    let those_that_run = "hint: `pontoon ps` lists those that run\n";
    let free_address = "hint: without --ip a free address is chosen\n";
    let made_mac = "hint: without --mac-address one is made of the address\n";
    let who_has_it = "hint: `pontoon ps` shows which container has it\n";
    let bad: &[(&[&str], &str, &str)] = &[
        (&["--network", "container:nobody"], "--network container:nobody: no such container: nobody", all_containers),
        (&["--network", "container:job"], "--network container:job: container job is not running", those_that_run),
        (
            &["--name", "me", "--network", "container:me"],
            "a container can not join its own network namespace: 'me' is the container itself",
            "hint: name one that runs: `pontoon ps` lists them\n",
        ),
        (
            &["--network", "container:web", "--ip", "172.17.0.9"],
            "--ip can not be used with --network container:web",
            "hint: the network is web's: give --ip to web\n",
        ),
        (
            &["--network", "container:web", "-h", "me"],
            "-h can not be used with --network container:web",
            "hint: the network is web's: give -h to web\n",
        ),
        (
            &["--network", "none", "--ip", "172.17.0.9"],
            "--ip can not be used with --network none",
            "hint: leave --ip out, or use it on a bridge network\n",
        ),
        (
            &["--network", "host", "--network-alias", "www"],
            "--network-alias can not be used with --network host",
            "hint: leave --network-alias out, or use it on a network that `pontoon network create` made\n",
        ),
        (
            &["--dns", "10.9.9.9", "--dns", "0.0.0.0"],
            "--dns 0.0.0.0 is no address of a name server: it is unspecified, multicast or broadcast",
            "hint: without --dns the host's name servers are asked\n",
        ),
        (&["--ip", "10.0.0.1"], "network bridge: address 10.0.0.1 is not in the subnet 172.17.0.0/16", free_address),
        (&["--ip", "172.17.0.2"], "network bridge: address 172.17.0.2 is in use by another container", who_has_it),
        (
            &["--ip", "172.17.0.0"],
            "network bridge: address 172.17.0.0 is the network address of the subnet",
            free_address,
        ),
        (
            &["--ip", "172.17.255.255"],
            "network bridge: address 172.17.255.255 is the broadcast address of the subnet",
            free_address,
        ),
        (&["--ip", "172.17.0.1"], "network bridge: address 172.17.0.1 is the gateway's", free_address),
        (&["--name", "web"], "the name 'web' is in use by container [SHORT]", "hint: `pontoon stop web` frees it\n"),
        (
            &["--mac-address", "01:00:5e:00:00:01"],
            "network bridge: MAC address 01:00:5e:00:00:01 is a multicast address, which no interface can have",
            made_mac,
        ),
        (
            &["--mac-address", "02:00:00:00:00:09"],
            "network bridge: MAC address 02:00:00:00:00:09 is in use by another station",
            who_has_it,
        ),
        (&["--mtu", "67"], "an MTU of 67 is out of range: 68 to 65521 bytes", ""),
        (&["--mtu", "65522"], "an MTU of 65522 is out of range: 68 to 65521 bytes", ""),
        (&["--network", "backend"], "no such network: backend", "hint: `pontoon network ls` lists the networks\n"),
    ];
    for (options, message, hint) in bad {
        for detach in [&["run", "-d"][..], &["run"]] {
            let arguments = [detach, options, &["--", "true"]].concat();
            fails(&lab, &arguments, 125, &format!("pontoon: {message}\n{hint}"));
        }
    }
    assert_eq!(lab.census(), before);
    lab.finish();
}

fn name_servers_that_nobody_asks_are_told() {
    let mut lab = Linux::new();
    lab.up();
    let servers = ["--dns", "10.9.9.1", "--dns", "10.9.9.2", "--dns", "10.9.9.3", "--dns", "10.9.9.4"];
    let three = pontoon(&lab, &[&["run"], &servers[..6], &["--", "true"]].concat());
    assert_eq!((three.status, three.stderr.as_str()), (0, ""));
    let four = pontoon(&lab, &[&["run"], &servers[..], &["--", "true"]].concat());
    let warning =
        "pontoon: warning: of the name servers of --dns only the first 3 are asked: 10.9.9.1, 10.9.9.2, 10.9.9.3\n";
    assert_eq!((four.status, four.stderr.as_str()), (0, warning));
    lab.finish();
}

fn a_command_that_does_not_run_is_told() {
    let mut lab = Linux::new();
    lab.up();
    let file = lab.dir().join("plain");
    fs::write(&file, "no program").expect("write a file");
    let file = file.display().to_string();
    for detach in [&["run", "-d"][..], &["run"]] {
        fails(
            &lab,
            &[detach, &["--", "no-such-command"]].concat(),
            127,
            "pontoon: no-such-command: command not found\n",
        );
        fails(&lab, &[detach, &["--", "/no/such"]].concat(), 127, "pontoon: /no/such: command not found\n");
        fails(&lab, &[detach, &["--", &file]].concat(), 126, "pontoon: [DIR]/plain: Permission denied\n");
    }
    run_all(&mut lab, &["web"]);
    fails(&lab, &["exec", "web", "--", "no-such-command"], 127, "pontoon: no-such-command: command not found\n");
    fails(&lab, &["exec", "web", "--", &file], 126, "pontoon: [DIR]/plain: Permission denied\n");
    lab.finish();
}

fn a_full_pool_is_told() {
    let mut lab = Linux::new();
    prints(&lab, &["up", "--detach", "--bip", "172.30.0.1/30"]);
    run_all(&mut lab, &["web"]);
    assert_eq!(crate::lab::ip_of(&mut lab, "web"), crate::lab::address("172.30.0.2"));
    let full = "pontoon: network bridge: no free address is left in the subnet 172.30.0.0/30\n\
                hint: stop a container, or choose a larger subnet with `pontoon up --bip ADDRESS/LENGTH`\n";
    fails(&lab, &["run", "-d", "--", "sleep", "infinity"], 125, full);
    lab.stop("web", 10).expect("stop web");
    run_all(&mut lab, &["next"]);
    assert!(lab.ping(Place::Host, crate::lab::address("172.30.0.2"), 56));
    lab.finish();
}

fn a_corrupt_record_is_kept_aside_and_told() {
    let mut lab = Linux::new();
    lab.up();
    let networks = lab.networks();
    run_all(&mut lab, &["web", "db"]);
    run(&mut lab, Order::new("job").program(crate::lab::Program::Exit(0)));
    lab.wait_ended("job");
    let id = crate::lab::inspect(&mut lab, "job").id;
    lab.kill_daemon();
    let record = find(&lab.state_dir(), &format!("container-{id}")).expect("there is a record");
    fs::write(&record, "{ \"id\": tru").expect("spoil it");
    let warnings = lab.up_warned();
    assert_eq!(crate::lab::names(&mut lab, true), ["db", "job", "web"], "nothing is lost");
    assert_eq!(lab.networks(), networks);
    let told = warnings.iter().find(|line| line.contains("is corrupt")).expect("the user is told");
    let place = told.rsplit_once("kept as ").expect("and of the place").1;
    assert_eq!(fs::read_to_string(place).expect("it is there"), "{ \"id\": tru");
    crate::lab::assert_all_reach_each_other(&mut lab, &["web", "db"]);
    lab.finish();
}

fn a_subnet_of_the_host_is_refused() {
    let mut lab = Linux::new();
    lab.host_address(crate::lab::prefix("172.30.1.1/24"));
    let refused = "pontoon: network bridge: the subnet 172.30.0.0/16 overlaps 172.30.1.0/24, an address or a route of the host\n\
                   hint: `pontoon up --bip ADDRESS/LENGTH` chooses another subnet\n";
    fails(&lab, &["up", "--detach", "--bip", "172.30.0.1/16"], 1, refused);
    lab.up();
    let has_no_effect = "pontoon: a daemon runs already (pid [PID]); --bip 172.29.0.1/16 has no effect on it\n\
                         hint: `pontoon down` first\n";
    let pid = lab.daemon_pid().expect("a daemon runs");
    let said = pontoon(&lab, &["up", "--detach", "--bip", "172.29.0.1/16"]);
    assert_eq!((said.status, said.stderr.replace(&format!("pid {pid}"), "pid [PID]")), (1, has_no_effect.to_owned()));
    lab.finish();
}

fn what_is_not_there_is_told() {
    let mut lab = Linux::new();
    lab.up();
    let nobody = "pontoon: no such container: nobody\nhint: `pontoon ps -a` lists all containers\n";
    for arguments in [&["stop", "nobody"][..], &["kill", "nobody"], &["rm", "nobody"], &["logs", "nobody"]] {
        fails(&lab, arguments, 1, nobody);
    }
    fails(&lab, &["exec", "nobody", "--", "true"], 125, nobody);
    let listed = "hint: `pontoon show` lists bridges and ports\n";
    fails(&lab, &["show", "br9"], 1, &format!("pontoon: no such bridge: br9\n{listed}"));
    let all = "hint: `pontoon stats` shows all ports, `pontoon network ls` all networks\n";
    fails(&lab, &["stats", "br9"], 1, &format!("pontoon: no such network, container or port: br9\n{all}"));
    let meant = "pontoon: no such network, container or port: pontoon1\n\
                 hint: did you mean pontoon0? `pontoon stats` shows all\n";
    fails(&lab, &["stats", "pontoon1"], 1, meant);
    fails(&lab, &["bridge", "fdb", "show", "br", "br9"], 1, &format!("pontoon: no such bridge: br9\n{listed}"));
    fails(&lab, &["bridge", "fdb", "show", "dev", "x.eth0"], 1, &format!("pontoon: no such port: x.eth0\n{listed}"));
    lab.finish();
}

fn what_may_be_several_containers_or_networks_is_told() {
    let lab = Linux::new();
    prints(&lab, &["up", "--detach"]);
    // Among so many, two begin with the same digit.
    let digit_of_two = |make: &dyn Fn(usize) -> String| {
        let mut digits = std::collections::BTreeSet::new();
        (0..17).map(make).find_map(|id| (!digits.insert(id[..1].to_owned())).then(|| id[..1].to_owned()))
    };
    let hint = "hint: give more digits of the id, or the name\n";
    let digit = digit_of_two(&|_| prints(&lab, &["run", "-d", "--network", "none", "--", "sleep", "infinity"]));
    let digit = digit.expect("there are 16 digits");
    let ambiguous = format!("'{digit}' is ambiguous: it is the beginning of 2 containers' ids\n{hint}");
    fails(&lab, &["stop", &digit], 1, &format!("pontoon: {ambiguous}"));
    fails(&lab, &["exec", &digit, "--", "true"], 125, &format!("pontoon: {ambiguous}"));
    let target = format!("container:{digit}");
    let refused = format!("pontoon: --network {target}: {ambiguous}");
    fails(&lab, &["run", "--network", &target, "--", "true"], 125, &refused);
    // (A digit may be the beginning of a network that is always there, too.)
    let digit = digit_of_two(&|number| prints(&lab, &["network", "create", &format!("net{number}")]));
    let digit = digit.expect("there are 16 digits");
    let said = pontoon(&lab, &["network", "rm", &digit]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.starts_with(&format!("pontoon: '{digit}' is ambiguous: ")), "{}", said.stderr);
    assert!(said.stderr.ends_with(&format!(" networks' ids\n{hint}")), "{}", said.stderr);
    prints(&lab, &["down"]);
}

fn what_networks_refuse_is_told_with_a_hint() {
    let mut lab = Linux::new();
    lab.up();
    prints(&lab, &["network", "create", "red"]);
    run(&mut lab, Order::new("web").network("red"));
    run_all(&mut lab, &["db"]);
    let in_use = "pontoon: network red is in use by web\n\
                  hint: `pontoon network disconnect red CONTAINER` takes one off it, `pontoon stop` ends one\n";
    fails(&lab, &["network", "rm", "red"], 1, in_use);
    let exists = "pontoon: there is a network red already\nhint: `pontoon network inspect red` shows it\n";
    fails(&lab, &["network", "create", "red"], 1, exists);
    let not_on_it = "pontoon: container db is not on network red\n\
                     hint: `pontoon network inspect red` shows the containers on it\n";
    fails(&lab, &["network", "disconnect", "red", "db"], 1, not_on_it);
    prints(&lab, &["stop", "db"]);
    let ended = "pontoon: container db is not running\nhint: `pontoon ps` lists those that run\n";
    fails(&lab, &["network", "connect", "red", "db"], 1, ended);
    fails(&lab, &["exec", "db", "--", "true"], 125, ended);
    let no_room = "pontoon: network blue: the range 10.22.0.0/32 has no address for a container: what it has is the gateway's, \
                   or no host's in 10.22.0.0/24\n\
                   hint: a larger --ip-range has room; without one the whole subnet is used\n";
    let ranged = ["network", "create", "--subnet", "10.22.0.0/24", "--ip-range", "10.22.0.0/32", "blue"];
    fails(&lab, &ranged, 1, no_room);
    let only_started = "pontoon: container web can not be connected to the host's network: only started on it\n\
                        hint: `pontoon run --network host` starts one on it\n";
    fails(&lab, &["network", "connect", "host", "web"], 1, only_started);
    let none_left = "pontoon: network last: every default subnet overlaps an address or a route of the host, or another network\n\
                     hint: --subnet chooses another one\n";
    for address in ["172.16.0.1/12", "192.168.0.1/16"] {
        lab.host_address(crate::lab::prefix(address));
    }
    fails(&lab, &["network", "create", "last"], 1, none_left);
    // What is hinted at works.
    prints(&lab, &["network", "disconnect", "red", "web"]);
    assert_eq!(prints(&lab, &["network", "rm", "red"]), "red\n");
    lab.finish();
}

fn each_of_several_containers_has_its_turn() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let said = pontoon(&lab, &["stop", "nobody", "web", "nothing", "db"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, "web\ndb\n"));
    assert!(said.stderr.contains("no such container: nobody") && said.stderr.contains("no such container: nothing"));
    assert_eq!(crate::lab::names(&mut lab, false), Vec::<String>::new());
    lab.finish();
}

/// The file below a directory whose name begins so.
fn find(dir: &std::path::Path, beginning: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
        let is_it = entry.file_name().to_string_lossy().starts_with(beginning);
        if is_it { Some(entry.path()) } else { find(&entry.path(), beginning) }
    })
}
