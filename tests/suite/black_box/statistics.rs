//! `stats` again and again: at a terminal or not, without a reader, without a daemon for a while, under load.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Said, fails, pontoon, prints, tests};
use crate::lab::linux::{Linux, status_of, text};
use crate::lab::{Lab, Order, Place, ip_of, run, run_all};

tests![
    watch_prints_a_document_a_line_until_it_is_interrupted,
    watch_waits_for_the_next_daemon_when_one_has_gone,
    watch_ends_quietly_when_nobody_reads_any_more,
    blocks_are_apart_where_nothing_can_be_written_over,
    a_rate_is_per_second,
    names_filter_and_keys_sort,
    a_narrow_place_has_fewer_columns,
    what_is_no_interval_or_key_is_wrong_usage,
    ps_and_inspect_show_traffic_as_the_container_sees_it,
    counters_that_are_spoilt_begin_anew_and_are_kept_aside,
    the_law_holds_while_ports_come_and_go_under_load,
];

/// A `stats` that runs until it is interrupted.
struct Watching {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Watching {
    fn new(lab: &Linux, arguments: &[&str]) -> Self {
        let mut command = lab.command(&[&["stats"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("run pontoon");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Watching { child, stdout, stderr }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("read");
        line
    }

    fn said(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("read");
        line
    }

    /// Ctrl-C; what it says after that.
    fn interrupt(mut self) -> Said {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).expect("interrupt it");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("read");
        self.stderr.read_to_string(&mut stderr).expect("read");
        let output = self.child.wait_with_output().expect("wait");
        Said { status: status_of(&output), stdout, stderr }
    }
}

fn watch_prints_a_document_a_line_until_it_is_interrupted() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let mut watching = Watching::new(&lab, &["--json", "--watch", "0.1", "web"]);
    for _ in 0..3 {
        let read: Value = serde_json::from_str(&watching.line()).expect("a document");
        assert_eq!(read[0]["ports"][0]["name"], "web.eth0");
    }
    let said = watching.interrupt();
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    lab.finish();
}

fn watch_waits_for_the_next_daemon_when_one_has_gone() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let mut watching = Watching::new(&lab, &["--json", "--watch", "0.1", "web"]);
    assert!(watching.line().starts_with('['));
    lab.kill_daemon();
    let said = watching.said();
    assert!(said.starts_with("pontoon: ") && said.ends_with("; waiting for a daemon that listens\n"), "{said}");
    lab.up();
    assert_eq!(watching.said(), "pontoon: a daemon listens again\n");
    // (What it had printed before may still be in the pipe.)
    assert!((0..20).all(|_| watching.line().starts_with('[')));
    assert_eq!(watching.interrupt().status, 0);
    // Nobody waits for one that was never there.
    lab.down();
    assert_eq!(pontoon(&lab, &["stats", "--watch"]).status, 1);
    lab.finish();
}

fn watch_ends_quietly_when_nobody_reads_any_more() {
    let mut lab = Linux::new();
    lab.up();
    let Watching { child, mut stdout, mut stderr } = Watching::new(&lab, &["--watch", "3600"]);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("read");
    assert!(line.starts_with("PORT"));
    drop(stdout);
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("read");
    let output = child.wait_with_output().expect("wait");
    assert_eq!((status_of(&output), said.as_str()), (0, ""));
    lab.finish();
}

fn blocks_are_apart_where_nothing_can_be_written_over() {
    let mut lab = Linux::new();
    lab.up();
    let mut watching = Watching::new(&lab, &["--watch", "0.1"]);
    let lines: Vec<String> = (0..5).map(|_| watching.line()).collect();
    assert!(lines[0].starts_with("PORT") && lines[1].starts_with("pontoon0"), "{lines:?}");
    assert_eq!((lines[3].as_str(), lines[4].as_str()), ("\n", lines[0].as_str()));
    assert!(lines.iter().all(|line| !line.contains('\x1b')));
    watching.interrupt();
    lab.finish();
}

fn a_rate_is_per_second() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let rates: Value = serde_json::from_str(&prints(&lab, &["stats", "--rate", "--json", "web"])).expect("JSON");
    assert!(rates["seconds"].as_f64().expect("a number") >= 1.0, "{rates}");
    let port = &rates["per_second"][0]["ports"][0];
    assert_eq!(port["name"], "web.eth0");
    assert!(port["rx"]["packets"].is_f64() && port["since"].is_u64(), "{port}");
    // (The other way round in words; the first reading is no rate.)
    let mut watching = Watching::new(&lab, &["--rate", "--watch", "0.1", "web"]);
    assert!(watching.line().starts_with("PORT"));
    assert_eq!(watching.interrupt().status, 0);
    lab.finish();
}

fn names_filter_and_keys_sort() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    assert!(lab.ping(Place::In("web"), crate::lab::address("172.17.0.1"), 56));
    let ports = |arguments: &[&str]| -> Vec<String> {
        let table = prints(&lab, &[&["stats"], arguments].concat());
        let names = table.lines().skip(1).filter(|line| !line.starts_with(' '));
        names.map(|line| line.split_whitespace().next().expect("a name").to_owned()).collect()
    };
    assert_eq!(ports(&["--sort", "name"]), ["db.eth0", "pontoon0", "web.eth0"]);
    assert_eq!(ports(&["--sort", "name", "-r"]), ["web.eth0", "pontoon0", "db.eth0"]);
    assert_eq!(ports(&["--sort", "packets", "*.eth0"]), ["web.eth0", "db.eth0"]);
    assert_eq!(ports(&["bridge"]).len(), 3, "a network by its name");
    assert_eq!(ports(&["web"]), ["web.eth0"]);
    let networks = prints(&lab, &["stats", "--networks"]);
    assert!(networks.lines().nth(1).expect("a line").starts_with("bridge    pontoon0       3 "), "{networks}");
    fails(
        &lab,
        &["stats", "wbe"],
        1,
        "pontoon: no such network, container or port: wbe\nhint: did you mean web? `pontoon stats` shows all\n",
    );
    lab.finish();
}

fn a_narrow_place_has_fewer_columns() {
    let mut lab = Linux::new();
    lab.up();
    let columns = |columns: &str| {
        let output = lab.command(&["stats"]).env("COLUMNS", columns).output().expect("run pontoon");
        let table = text(&output.stdout);
        table.lines().next().expect("a header").split_whitespace().count()
    };
    assert_eq!([columns("300"), columns("20"), columns("0"), columns("wide")], [11, 4, 11, 11]);
    lab.finish();
}

fn what_is_no_interval_or_key_is_wrong_usage() {
    let mut lab = Linux::new();
    lab.up();
    for wrong in [
        &["--watch", "0"][..],
        &["--watch=-1"],
        &["--sort", "beauty"],
        &["--check", "--rate"],
        &["--drops", "--networks"],
    ] {
        let said = pontoon(&lab, &[&["stats"], wrong].concat());
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{wrong:?}: {}", said.stderr);
    }
    lab.finish();
}

fn ps_and_inspect_show_traffic_as_the_container_sees_it() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let db = ip_of(&mut lab, "db");
    assert_eq!(lab.transfer(Place::In("web"), Place::In("db"), db, 1_000_000).length, 1_000_000);
    let first = |arguments: &[&str]| -> Value {
        let read: Value = serde_json::from_str(&prints(&lab, arguments)).expect("JSON");
        read[0].clone()
    };
    let sent = |traffic: &Value| traffic["tx_bytes"].as_u64().expect("a number");
    let received = |traffic: &Value| traffic["rx_bytes"].as_u64().expect("a number");
    let (web, db) = (first(&["inspect", "web"]), first(&["inspect", "db"]));
    assert!(sent(&web["traffic"]["bridge"]) > 1_000_000 && received(&web["traffic"]["bridge"]) < 1_000_000, "{web}");
    assert!(received(&db["traffic"]["bridge"]) > 1_000_000 && sent(&db["traffic"]["bridge"]) < 1_000_000, "{db}");
    let network = first(&["network", "inspect", "bridge"]);
    assert!(sent(&network["traffic"][web["id"].as_str().expect("an id")]) > 1_000_000, "{network}");
    assert!(network["statistics"]["rx"]["bytes"].as_u64().expect("a number") > 1_000_000, "{network}");
    let table = prints(&lab, &["ps", "--stats"]);
    assert!(table.lines().next().expect("a header").ends_with("STATUS         NET I/O") || table.contains("NET I/O"));
    assert_eq!(table.lines().filter(|line| line.contains("MiB") || line.contains("KiB")).count(), 2, "{table}");
    lab.finish();
}

fn counters_that_are_spoilt_begin_anew_and_are_kept_aside() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let db = ip_of(&mut lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    lab.kill_daemon();
    let counters = lab.runtime_dir().join("counters");
    let files: Vec<_> =
        std::fs::read_dir(&counters).expect("read it").map(|entry| entry.expect("a file").path()).collect();
    // The default network's sums, its FDB, the host's port, and two containers'.
    assert_eq!(files.len(), 5);
    for (number, file) in files.iter().enumerate() {
        let (content, length) = (std::fs::read(file).expect("read it"), [0, 17, 4096, 4097, 4096][number]);
        let spoilt: Vec<u8> = content.iter().copied().map(|byte| byte ^ 0x55).chain([0; 1]).take(length).collect();
        std::fs::write(file, spoilt).expect("spoil it");
    }
    lab.up();
    assert_eq!(lab.check_law(), Ok(()));
    assert!(lab.ping(Place::In("web"), db, 56));
    let mut aside = 0;
    for entry in std::fs::read_dir(&counters).expect("read it") {
        let path = entry.expect("a file").path();
        aside += usize::from(path.extension().is_some_and(|extension| extension == "unusable"));
    }
    assert_eq!(aside, 5);
    lab.finish();
}

/// `stats --check` looks ten times a second meanwhile, and ends with 1 at the first violation.
fn the_law_holds_while_ports_come_and_go_under_load() {
    let mut lab = Linux::new();
    lab.up();
    crate::lab::create(&mut lab, crate::lab::NetworkOrder::new("back"));
    run_all(&mut lab, &["web", "db"]);
    run(&mut lab, Order::new("other").network("back"));
    let db = ip_of(&mut lab, "db");
    let watching = Watching::new(&lab, &["--check", "--watch", "0.1"]);
    for round in 0..8 {
        let sent = lab.transfer(Place::In("web"), Place::In("db"), db, 20_000_000);
        assert_eq!(sent.received, sent.sent, "round {round}");
        lab.connect_network("back", "web", None).expect("connect");
        run_all(&mut lab, &["guest"]);
        assert!(lab.ping(Place::In("guest"), db, 56));
        let other = crate::lab::ip_on(&mut lab, "other", "back");
        assert!(lab.ping(Place::In("web"), other, 56));
        lab.disconnect_network("back", "web").expect("disconnect");
        lab.rm("guest", true).expect("rm -f");
        assert_eq!(lab.check_law(), Ok(()), "round {round}");
    }
    let said = watching.interrupt();
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
    lab.finish();
}
