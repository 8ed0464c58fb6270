//! What is printed for people and for programs.

use serde_json::Value;

use super::{looks_like, prints, tests};
use crate::lab::linux::Linux;
use crate::lab::{Lab, Order, Place, Program, run, run_all};

tests![
    ps_is_a_table_as_dockers,
    network_ls_is_a_table_as_dockers,
    show_is_what_brctl_prints,
    fdb_is_what_bridge_prints,
    stats_and_drops_are_tables,
    status_tells_of_the_daemon,
    json_keys_are_as_published,
    json_may_be_asked_for_before_the_words_of_a_command,
    long_commands_are_cut_and_that_is_told,
    logs_are_what_a_detached_container_wrote,
    a_sysfs_agrees_with_the_namespace,
];

fn ps_is_a_table_as_dockers() {
    let mut lab = Linux::new();
    lab.up();
    assert_eq!(prints(&lab, &["ps"]), "CONTAINER ID   NAME   PID   NETWORK   IP   MAC   PORTS   STATUS\n");
    run_all(&mut lab, &["web"]);
    run(&mut lab, Order::new("sidecar").network("container:web"));
    run(&mut lab, Order::new("job").network("none").program(Program::Exit(3)));
    lab.wait_ended("job");
    let columns = |lab: &Linux, all: bool| -> Vec<Vec<String>> {
        let table = prints(lab, if all { &["ps", "-a"] } else { &["ps"] });
        // Three blanks part columns; the pid and the time differ between runs.
        let mut rows: Vec<Vec<String>> = table
            .lines()
            .map(|line| {
                line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(ToString::to_string).collect()
            })
            .collect();
        rows[1..].sort_by(|one, other| one[1].cmp(&other[1]));
        rows
    };
    let running = columns(&lab, false);
    assert_eq!(running.len(), 3);
    assert_eq!(running[2][1], "web");
    assert_eq!(running[2][3..6], ["bridge", "172.17.0.2", "02:42:ac:11:00:02"]);
    assert!(running[2][6].starts_with("Up "), "{running:?}");
    assert_eq!(running[1][3], "container:web");
    let all = columns(&lab, true);
    let job = all.iter().find(|row| row[1] == "job").expect("job is listed");
    assert_eq!(job[2], "none");
    assert!(job[3].starts_with("Exited (3) ") && job[3].ends_with(" ago"), "{job:?}");
    assert_eq!(job[0].len(), 12);
    lab.finish();
}

fn network_ls_is_a_table_as_dockers() {
    let mut lab = Linux::new();
    lab.up();
    let expected = "NETWORK ID     NAME     DRIVER   SCOPE   OWNER\n\
                    [SHORT]   bridge   bridge   local   pontoon\n\
                    [SHORT]   host     host     local   pontoon\n\
                    [SHORT]   none     null     local   pontoon\n";
    looks_like(&lab, &prints(&lab, &["network", "ls"]), expected);
    lab.finish();
}

fn show_is_what_brctl_prints() {
    let mut lab = Linux::new();
    lab.up();
    let empty = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\npontoon0\t\t8000.[MAC]\tno\t\t\n";
    looks_like(&lab, &prints(&lab, &["show"]), empty);
    run_all(&mut lab, &["web", "db"]);
    let two = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
               pontoon0\t\t8000.[MAC]\tno\t\tweb.eth0\n\t\t\t\t\t\t\tdb.eth0\n";
    looks_like(&lab, &prints(&lab, &["show"]), two);
    looks_like(&lab, &prints(&lab, &["show", "pontoon0"]), two);
    lab.finish();
}

fn fdb_is_what_bridge_prints() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    assert!(lab.ping(Place::In("web"), crate::lab::address("172.17.0.3"), 56));
    let expected = "02:42:ac:11:00:02 dev web.eth0 master pontoon0\n\
                    02:42:ac:11:00:03 dev db.eth0 master pontoon0\n\
                    [MAC] dev pontoon0 master pontoon0 permanent\n";
    looks_like(&lab, &prints(&lab, &["bridge", "fdb"]), expected);
    looks_like(&lab, &prints(&lab, &["bridge", "fdb", "show", "br", "pontoon0"]), expected);
    let one = "02:42:ac:11:00:02 dev web.eth0 master pontoon0\n";
    assert_eq!(prints(&lab, &["bridge", "fdb", "show", "dev", "web.eth0"]), one);
    lab.finish();
}

fn stats_and_drops_are_tables() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let table = prints(&lab, &["stats"]);
    let header: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(
        header,
        [
            "PORT",
            "PACKETS",
            "BYTES",
            "UNICAST",
            "MULTICAST",
            "BROADCAST",
            "FORWARDED",
            "FLOODED",
            "LOCAL",
            "DROPPED",
            "MISSED"
        ]
    );
    assert_eq!(table.lines().filter(|line| line.starts_with("web.eth0 ")).count(), 1);
    assert_eq!(prints(&lab, &["stats", "web.eth0"]).lines().count(), 3);
    let web = crate::lab::mac_of(&mut lab, "web");
    let reserved = crate::lab::station("01:80:c2:00:00:00");
    let frame = crate::frames::ethernet(reserved, web, crate::frames::EXPERIMENTAL, b"not to be forwarded");
    lab.inject(Place::In("web"), "eth0", &frame);
    lab.eventually("the drop is counted", &mut |lab| crate::lab::counters(lab, "web.eth0").rx.dropped == 1);
    let drops = "PORT          REASON                 COUNT\nweb.eth0   rx   reserved_destination       1\n";
    let printed = prints(&lab, &["stats", "--drops"]);
    let words = |text: &str| text.split_whitespace().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(words(&printed), words(drops));
    assert_eq!(prints(&lab, &["stats", "--check"]), "");
    lab.finish();
}

fn status_tells_of_the_daemon() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let pid = lab.daemon_pid().expect("a daemon runs").to_string();
    let expected = "pid:          [PID]\n\
                    version:      [VERSION]\n\
                    bridges:      pontoon0\n\
                    containers:   1 running, 1 in all\n\
                    life:         stays until `pontoon down`\n\
                    io:           uring\n\
                    runtime dir:  [DIR]/run\n\
                    state dir:    [DIR]/state\n";
    let expected = expected.replace("[PID]", &pid).replace("[VERSION]", env!("CARGO_PKG_VERSION"));
    looks_like(&lab, &prints(&lab, &["status"]), &expected);
    lab.finish();
}

fn json_keys_are_as_published() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    assert!(lab.ping(Place::In("web"), crate::lab::address("172.17.0.3"), 56));
    let first = |arguments: &[&str]| -> Value {
        let read: Value = serde_json::from_str(&prints(&lab, arguments)).expect("JSON");
        read.get(0).cloned().unwrap_or(read)
    };
    has_keys(&first(&["status", "-j"]), &["pid", "version", "bridges"]);
    has_keys(&first(&["network", "ls", "-j"]), &["id", "name", "driver", "scope"]);
    has_keys(&first(&["ps", "-j"]), &["id", "name", "pid", "network_mode", "networks", "published", "state"]);
    has_keys(&first(&["show", "-j"]), &["name", "id", "stp_enabled", "interfaces"]);
    has_keys(&first(&["bridge", "fdb", "show", "-j"]), &["mac", "ifname", "master", "flags", "state", "age"]);
    let stats = first(&["stats", "-j"]);
    has_keys(&stats, &["name", "ports"]);
    has_keys(&stats["ports"][0], &["name", "rx", "tx"]);
    has_keys(&stats["ports"][0]["rx"], &["packets", "bytes", "dropped", "multicast", "forwarded", "flooded", "local"]);
    let web = first(&["inspect", "web"]);
    has_keys(&web, &["id", "name", "pid", "network_mode", "networks", "published", "exit_status", "command"]);
    assert_eq!(web["networks"]["bridge"]["ip"], "172.17.0.2/16");
    assert_eq!(web["networks"]["bridge"]["mac"], "02:42:ac:11:00:02");
    assert_eq!(web["networks"]["bridge"]["gateway"], "172.17.0.1");
    assert_eq!(web["networks"]["bridge"]["port"], "web.eth0");
    lab.finish();
}

fn json_may_be_asked_for_before_the_words_of_a_command() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    assert!(lab.ping(Place::In("web"), crate::lab::address("172.17.0.1"), 56));
    let stations = |words: &'static [&'static str]| (words, "mac", 2);
    for (words, key, count) in [
        stations(&["bridge", "-j", "fdb", "show"]),
        stations(&["-j", "bridge", "fdb", "show"]),
        (&["network", "-j", "ls"], "name", 3),
    ] {
        let last: Vec<&str> = words.iter().copied().filter(|word| *word != "-j").chain(["-j"]).collect();
        let read = |words: &[&str]| -> Value { serde_json::from_str(&prints(&lab, words)).expect("JSON") };
        // (Time passes between the two.)
        let names = |value: Value| -> Vec<Value> {
            value.as_array().expect("an array").iter().map(|row| row[key].clone()).collect()
        };
        let told = names(read(words));
        assert!(told.len() == count && told.iter().all(Value::is_string), "{words:?}: {told:?}");
        assert_eq!(told, names(read(&last)), "{words:?}");
    }
    lab.finish();
}

/// Commands that are longer, all together, than any answer.
fn long_commands_are_cut_and_that_is_told() {
    let mut lab = Linux::new();
    lab.up();
    // Nearly as much as the kernel takes: 2 MiB in all, 128 KiB in one.
    let word = "x".repeat(120 << 10);
    for name in ["c0", "c1", "c2", "c3", "c4"] {
        let command = ["run", "-d", "--name", name, "--", "sh", "-c", "exec sleep infinity"];
        prints(&lab, &[&command[..], &[word.as_str(); 15]].concat());
    }
    run_all(&mut lab, &["web"]);
    let listed: Vec<Value> = serde_json::from_str(&prints(&lab, &["ps", "-j"])).expect("an array");
    let length = |view: &Value| -> usize {
        view["command"].as_array().expect("an array").iter().map(|word| word.as_str().expect("a word").len()).sum()
    };
    let mut told: Vec<_> =
        listed.iter().map(|view| (view["name"].as_str(), view["command_is_cut"].as_bool(), length(view))).collect();
    told.sort_unstable();
    let web = (Some("web"), Some(false), "sleep".len() + "infinity".len());
    let expected = ["c0", "c1", "c2", "c3", "c4"].map(|name| (Some(name), Some(true), 1024)).into_iter().chain([web]);
    assert_eq!(told, expected.collect::<Vec<_>>());
    let shown: Vec<Value> = serde_json::from_str(&prints(&lab, &["inspect", "c4", "web"])).expect("an array");
    let told: Vec<_> = shown.iter().map(|view| (view["command_is_cut"].as_bool(), length(view))).collect();
    assert_eq!(told, [(Some(true), 1 << 20), (Some(false), web.2)]);
    assert_eq!(prints(&lab, &["ps"]).lines().count(), 7);
    lab.finish();
}

fn logs_are_what_a_detached_container_wrote() {
    let mut lab = Linux::new();
    lab.up();
    let script = "echo to standard output; echo to standard error >&2; exit 4";
    prints(&lab, &["run", "-d", "--name", "job", "--", "sh", "-c", script]);
    lab.wait_ended("job");
    let log = prints(&lab, &["logs", "job"]);
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["to standard error", "to standard output"]);
    prints(&lab, &["rm", "job"]);
    lab.finish();
}

fn a_sysfs_agrees_with_the_namespace() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    run(&mut lab, Order::new("vault").network("none"));
    run(&mut lab, Order::new("monitor").network("host"));
    let listed = |container: &str| prints(&lab, &["exec", container, "--", "ls", "/sys/class/net"]);
    assert_eq!(listed("web"), "eth0\nlo\n");
    assert_eq!(listed("vault"), "lo\n");
    assert_eq!(listed("monitor"), "lo\npontoon0\n");
    let processes = prints(&lab, &["exec", "web", "--", "sh", "-c", "cat /proc/[0-9]*/comm | sort -u"]);
    assert!(processes.lines().any(|comm| comm == "sleep"), "{processes}");
    assert!(processes.lines().all(|comm| comm != "suite"), "only its own processes: {processes}");
    lab.finish();
}

fn has_keys(value: &Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for key in keys {
        assert!(object.contains_key(*key), "no key {key}: {value}");
    }
}
