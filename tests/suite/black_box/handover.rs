//! From one daemon to the next, when it does not go by itself.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{fails, looks_like, pontoon, prints, tests};
use crate::lab::linux::inside::{Inside, datagram};
use crate::lab::linux::{Linux, PATIENCE, waited_for};
use crate::lab::{Lab, Order, address, assert_all_reach_each_other, ip_of, names, run, run_all};

tests![
    run_waits_for_the_end_of_down,
    a_state_directory_has_one_daemon,
    a_command_inherits_neither_ignored_signals_nor_our_limits,
    a_container_that_does_not_answer_is_not_given_up,
    a_veth_pair_of_a_container_that_answers_late_is_silenced,
    an_id_in_full_names_a_container_everywhere,
    the_daemon_holds_no_namespace,
    what_is_sent_while_there_is_no_daemon_waits_for_the_next,
];

fn run_waits_for_the_end_of_down() {
    let mut lab = Linux::new();
    lab.up();
    let asked = lab.dir().join("asked");
    let stubborn = format!("trap 'echo > {}' TERM; echo ready; while :; do sleep 1000 & wait; done", asked.display());
    prints(&lab, &["run", "-d", "--name", "stubborn", "--", "sh", "-c", &stubborn]);
    let is_ready = waited_for(|| (prints(&lab, &["logs", "stubborn"]) == "ready\n").then_some(()));
    assert!(is_ready.is_some(), "it listens to signals");
    let mut down = lab.command(&["down"]).spawn().expect("run pontoon");
    assert!(waited_for(|| asked.exists().then_some(())).is_some(), "it is asked to end");
    let late = lab.command(&["run", "-d", "--name", "late", "--", "sleep", "1000"]).spawn().expect("run pontoon");
    let up = lab.command(&["up", "--detach"]).spawn().expect("run pontoon");
    // What is there can still be seen, and ended.
    assert!(prints(&lab, &["ps"]).contains("stubborn"));
    prints(&lab, &["kill", "stubborn"]);
    assert!(down.wait().expect("wait").success());
    for client in [late, up] {
        let output = client.wait_with_output().expect("wait");
        assert!(output.status.success(), "{}", crate::lab::linux::text(&output.stderr));
    }
    assert_eq!(names(&mut lab, false), ["late"]);
    assert!(lab.ping(crate::lab::Place::Host, address("172.17.0.2"), 56));
    lab.finish();
}

fn a_state_directory_has_one_daemon() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let other = lab.dir().join("other").display().to_string();
    let refused = "pontoon: the state directory [DIR]/state belongs to another daemon that runs\n\
                   hint: an instance has both directories for itself: --runtime-dir and --state-dir\n";
    let mut up = Command::new(lab.command(&[]).get_program());
    up.args(["--runtime-dir", &other, "--state-dir"]).arg(lab.state_dir()).args(["up", "--detach"]);
    let output = up.output().expect("run pontoon");
    assert_eq!(output.status.code(), Some(1));
    looks_like(&lab, &crate::lab::linux::text(&output.stderr), refused);
    assert_eq!(names(&mut lab, false), ["web"]);
    lab.finish();
}

fn a_command_inherits_neither_ignored_signals_nor_our_limits() {
    let lab = Linux::new();
    let inner = lab.command(&["run", "--", "sh", "-c", "grep SigIgn /proc/self/status; ulimit -n"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP INT QUIT TERM USR1; ulimit -S -n 300; exec \"$0\" \"$@\""]);
    shell.arg(inner.get_program()).args(inner.get_args());
    shell.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = shell.stdin(Stdio::null()).output().expect("run a shell");
    let text = crate::lab::linux::text(&output.stdout);
    let (ignored, files) = text.split_once('\n').expect("two lines");
    let ignored = u64::from_str_radix(ignored.trim_start_matches("SigIgn:\t"), 16).expect("a mask");
    // (Real-time signals, from 32 on, are the C library's own affair.)
    assert_eq!((ignored & 0x7fff_ffff, files), (0, "300\n"));
}

fn a_container_that_does_not_answer_is_not_given_up() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let shim = Pid::from_raw(lab.shim_of("web"));
    kill(shim, Signal::SIGSTOP).expect("stop the shim");
    lab.kill_daemon();
    let refused = "pontoon: take over the interface pontoon0: it is held by containers that do not answer: web\n\
                   hint: let them go on, or end their shims (`ps` shows them as `pontoon __shim`)\n";
    fails(&lab, &["up", "--detach"], 1, refused);
    kill(shim, Signal::SIGCONT).expect("let the shim go on");
    lab.up();
    run_all(&mut lab, &["db"]);
    assert_all_reach_each_other(&mut lab, &["web", "db"]);

    // Another one holds the interface too: the network goes on, and the silent one comes back when it can.
    kill(shim, Signal::SIGSTOP).expect("stop the shim");
    lab.kill_daemon();
    assert_eq!(lab.up_warned().len(), 1);
    let said = pontoon(&lab, &["network", "disconnect", "bridge", "web"]);
    assert_eq!(said.status, 1);
    let refused = "pontoon: container web does not answer: it is not known what it has\nhint: ";
    assert!(said.stderr.starts_with(refused), "{}", said.stderr);
    run(&mut lab, Order::new("new"));
    assert_eq!(ip_of(&mut lab, "new"), address("172.17.0.4"));
    kill(shim, Signal::SIGCONT).expect("let the shim go on");
    lab.eventually("web is back", &mut |lab| lab.census().ports.contains(&"web.eth0".to_owned()));
    assert_all_reach_each_other(&mut lab, &["web", "db", "new"]);
    lab.finish();
}

fn a_veth_pair_of_a_container_that_answers_late_is_silenced() {
    let mut lab = Linux::new();
    lab.up();
    prints(&lab, &["network", "create", "-o", "endpoint=veth", "pairs"]);
    for name in ["web", "db"] {
        run(&mut lab, Order::new(name).network("pairs"));
    }
    run(&mut lab, Order::new("keeper"));
    let silenced = || {
        let listed = Command::new("nft").args(["list", "table", "netdev", "pontoon_0"]).output().expect("run nft");
        crate::lab::linux::text(&listed.stdout).matches("veth").count()
    };
    assert_eq!(silenced(), 2);
    let shim = Pid::from_raw(lab.shim_of("web"));
    kill(shim, Signal::SIGSTOP).expect("stop the shim");
    lab.kill_daemon();
    assert_eq!(lab.up_warned().len(), 1);
    assert_eq!(silenced(), 1, "what it has is not known yet");
    kill(shim, Signal::SIGCONT).expect("let the shim go on");
    lab.eventually("web is back and silenced", &mut |_| silenced() == 2);
    lab.finish();
}

fn an_id_in_full_names_a_container_everywhere() {
    let mut lab = Linux::new();
    lab.up();
    let id = prints(&lab, &["run", "-d", "--", "sleep", "1000"]).trim_end().to_owned();
    assert_eq!(id.len(), 64);
    let joined = format!("container:{id}");
    assert_eq!(pontoon(&lab, &["run", "--network", &joined, "--", "true"]).status, 0);
    for command in [&["exec", &id, "--", "true"][..], &["inspect", &id], &["stop", "-t", "0", &id], &["rm", &id]] {
        prints(&lab, command);
    }
    lab.finish();
}

fn the_daemon_holds_no_namespace() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    lab.kill_daemon();
    lab.up();
    run(&mut lab, Order::new("sidecar").network("container:web"));
    let daemon = lab.daemon_pid().expect("a daemon runs");
    let held: Vec<String> = std::fs::read_dir(format!("/proc/{daemon}/fd"))
        .expect("read its descriptors")
        .filter_map(|fd| Some(std::fs::read_link(fd.ok()?.path()).ok()?.display().to_string()))
        .collect();
    assert!(held.iter().any(|file| file == "/dev/net/tun"), "{held:?}");
    assert!(!held.iter().any(|file| file.starts_with("net:") || file.starts_with("mnt:")), "{held:?}");
    lab.finish();
}

fn what_is_sent_while_there_is_no_daemon_waits_for_the_next() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    // Whichever port is there first: nothing is sent out of it before the other is.
    let ways = [("web", "db"), ("db", "web")].map(|(from, to)| {
        let (near, far) = (Inside::of(lab.pid_of(from)), Inside::of(lab.pid_of(to)));
        let at = ip_of(&mut lab, to);
        assert_eq!(datagram(&near, &far, at, b"hello"), b"hello", "so that nobody has to ask for a MAC");
        let receiver = far.enter(|| UdpSocket::bind((at, 5000)).expect("bind"));
        receiver.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let sender = near.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind"));
        sender.connect((at, 5000)).expect("connect");
        (sender, receiver)
    });
    lab.kill_daemon();
    for (sender, _) in &ways {
        for number in 0..100_u32 {
            sender.send(&number.to_be_bytes()).expect("send");
        }
    }
    lab.up();
    for (_, receiver) in &ways {
        let mut came = [0; 4];
        let next = |_| receiver.recv(&mut came).map(|_| u32::from_be_bytes(came)).expect("receive");
        assert_eq!((0..100).map(next).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
    lab.finish();
}
