//! Which capabilities our processes hold and commands have, what is said of a missing one, and users other than root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{Said, looks_like, pontoon, prints, tests};
use crate::lab::linux::{Linux, processes, waited_for};
use crate::lab::{Lab, run_all};

tests![
    every_process_of_ours_holds_what_it_needs_and_no_more,
    a_command_has_what_its_caller_has,
    without_an_essential_capability_no_daemon_starts,
    a_capability_that_one_feature_takes_is_no_reason_not_to_start,
    a_signal_that_may_not_be_sent_is_told,
    another_users_private_directory_is_refused,
    a_user_with_ambient_capabilities_runs_containers,
    a_user_without_them_is_told_whose_a_daemon_is,
    the_demo_of_a_user_without_them_runs_in_the_simulator,
    the_doctor_finds_this_machine_fit,
    the_doctor_tells_of_what_was_taken_away,
    the_doctor_tells_nobody_what_is_missing,
    the_doctor_changes_nothing,
    the_doctor_waits_for_no_nft,
    up_tells_a_service_manager_when_it_listens,
];

/// NET_BIND_SERVICE, NET_ADMIN, NET_RAW and SYS_ADMIN.
const DAEMON: &str = "0000000000203400";
/// KILL, NET_ADMIN, SYS_ADMIN.
const SHIM: &str = "0000000000201020";
/// SYS_ADMIN.
const INIT: &str = "0000000000200000";
const NOTHING: &str = "0000000000000000";
/// Nobody in particular.
const NOBODY: u32 = 65534;
const ESSENTIAL: &str = "hint: containers take root, or CAP_NET_ADMIN and CAP_SYS_ADMIN as ambient capabilities; \
                         `pontoon doctor` looks at what else there is\n";

/// The capability sets of a thread or process.
fn sets(of: &str) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{of}/status")).expect("read a status");
    status.lines().filter(|line| line.starts_with("Cap")).map(ToOwned::to_owned).collect()
}

/// Every thread holds this, can get no more than it, and passes on what it was started with.
fn assert_holds(pid: i32, mask: &str) {
    let bounding = sets("self").into_iter().find(|line| line.starts_with("CapBnd")).expect("a bounding set");
    let expected = [
        format!("CapInh:\t{NOTHING}"),
        format!("CapPrm:\t{mask}"),
        format!("CapEff:\t{mask}"),
        bounding,
        format!("CapAmb:\t{NOTHING}"),
    ];
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).expect("read the threads") {
        let thread = thread.expect("a thread").file_name().to_string_lossy().into_owned();
        assert_eq!(sets(&thread), expected, "thread {thread} of {pid}");
    }
}

/// `pontoon`, started by `setpriv` with these options.
fn after(lab: &Linux, options: &[&str], arguments: &[&str]) -> Said {
    let pontoon = lab.command(arguments);
    let mut command = Command::new("setpriv");
    command.args(options).arg(pontoon.get_program()).args(pontoon.get_args());
    command.stdin(Stdio::null()).output().expect("run setpriv").into()
}

fn daemons_end() {
    let is_over = waited_for(|| processes::others().is_empty().then_some(()));
    assert!(is_over.is_some(), "processes are left: {:?}", processes::others());
}

fn every_process_of_ours_holds_what_it_needs_and_no_more() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    // A second thread for a client, too.
    let mut waiting = lab.command(&["run", "--name", "front", "--", "sleep", "1000"]).spawn().expect("run pontoon");
    assert!(waited_for(|| lab.inspect("front").ok().filter(|view| view.state == "running")).is_some());
    let daemon = lab.daemon_pid().expect("a daemon runs");
    assert_holds(daemon, DAEMON);
    for name in ["web", "db", "front"] {
        let command = lab.pid_of(name);
        let shim = lab.shim_of(name);
        assert_holds(shim, SHIM);
        let init = processes::all().into_iter().find(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains(&format!("\nPPid:\t{shim}\n")) && *pid != command
        });
        assert_holds(init.expect("a shim has an init"), INIT);
        assert_eq!(sets(&command.to_string()), sets("self"));
    }
    prints(&lab, &["kill", "front"]);
    waiting.wait().expect("wait for the client");
    lab.finish();
}

fn a_command_has_what_its_caller_has() {
    let lab = Linux::new();
    let own = sets("self").join("\n") + "\n";
    let show = ["run", "--", "grep", "^Cap", "/proc/self/status"];
    assert_eq!(pontoon(&lab, &show).stdout, own);
    daemons_end();
    // With another bounding set, there is another daemon.
    let masks = after(&lab, &["--bounding-set", "-net_raw,-sys_time"], &show).stdout;
    let mut direct = Command::new("setpriv");
    direct.args(["--bounding-set", "-net_raw,-sys_time", "grep", "^Cap", "/proc/self/status"]);
    let direct = direct.output().expect("run setpriv");
    assert_eq!(masks, crate::lab::linux::text(&direct.stdout));
    assert_ne!(masks, own);
    daemons_end();
    // Where execution gives nothing back, it is the same.
    assert_eq!(after(&lab, &["--no-new-privs"], &show).stdout, own);
    // And root's power over other users' files, which none of ours holds any more.
    let file = lab.dir().join("theirs");
    std::fs::write(&file, "x").expect("write a file");
    chown(&file, Some(NOBODY), Some(NOBODY)).expect("give it away");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).expect("set its mode");
    let said = pontoon(&lab, &["run", "--", "sh", "-c", &format!("cat {0} && chown 0 {0}", file.display())]);
    assert_eq!((said.status, said.stdout.as_str()), (0, "x"), "{}", said.stderr);
}

fn without_an_essential_capability_no_daemon_starts() {
    let lab = Linux::new();
    for (taken, missing) in [
        ("-net_admin", "CAP_NET_ADMIN is missing"),
        ("-sys_admin", "CAP_SYS_ADMIN is missing"),
        ("-all", "CAP_NET_ADMIN and CAP_SYS_ADMIN are missing"),
    ] {
        let expected = format!("pontoon: start the daemon: {missing}\n{ESSENTIAL}");
        for (arguments, status) in [(&["up"][..], 1), (&["up", "--detach"], 1), (&["run", "--", "true"], 125)] {
            let said = after(&lab, &["--bounding-set", taken], arguments);
            assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (status, "", expected.as_str()));
        }
    }
    assert_eq!(processes::others(), [""; 0]);
}

fn a_capability_that_one_feature_takes_is_no_reason_not_to_start() {
    let mut lab = Linux::new();
    let said = after(&lab, &["--bounding-set", "-net_bind_service,-net_raw,-kill,-sys_chroot"], &["up", "--detach"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    assert_eq!(sets(&lab.daemon_pid().expect("a daemon runs").to_string())[2], "CapEff:\t0000000000201000");
    run_all(&mut lab, &["web"]);
    let said = pontoon(&lab, &["exec", "web", "--", "true"]);
    let expected = "pontoon: enter the container: Operation not permitted: CAP_SYS_CHROOT is missing\n\
                    hint: start the daemon with CAP_SYS_CHROOT, too: a user other than root takes it for `pontoon exec`\n";
    assert_eq!((said.status, said.stderr.as_str()), (125, expected));
    let said = pontoon(&lab, &["network", "create", "-o", "endpoint=veth", "pairs"]);
    let expected = "pontoon: warning: names are not resolved on network pairs: answer names on 172.18.0.1, UDP port 53: \
                    Permission denied; ports below 1024 need CAP_NET_BIND_SERVICE\n";
    assert_eq!((said.status, said.stderr.as_str()), (0, expected));
    let said = pontoon(&lab, &["run", "--network", "pairs", "--", "true"]);
    assert_eq!(said.status, 125);
    assert!(said.stderr.starts_with("pontoon: open a packet socket on veth"), "{}", said.stderr);
    let expected = ": Operation not permitted: CAP_NET_RAW is missing\n\
                    hint: use -o endpoint=tap, or start the daemon with CAP_NET_RAW, which root has unless it was taken away\n";
    assert!(said.stderr.ends_with(expected), "{}", said.stderr);
    lab.finish();
}

fn a_signal_that_may_not_be_sent_is_told() {
    let mut lab = Linux::new();
    assert_eq!(after(&lab, &["--bounding-set", "-kill"], &["up", "--detach"]).status, 0);
    let nobody = NOBODY.to_string();
    let become_nobody = ["setpriv", "--reuid", &nobody, "--regid", &nobody, "--clear-groups", "sleep", "infinity"];
    prints(&lab, &[&["run", "-d", "--name", "web", "--"], &become_nobody[..]].concat());
    let pid = lab.pid_of("web");
    let is_nobody = || std::fs::metadata(format!("/proc/{pid}")).map(|of| std::os::unix::fs::MetadataExt::uid(&of));
    assert!(waited_for(|| is_nobody().is_ok_and(|uid| uid == NOBODY).then_some(())).is_some());
    let said = pontoon(&lab, &["kill", "-s", "TERM", "web"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    let expected = "pontoon: send a signal to [SHORT]: Operation not permitted: CAP_KILL is missing\n\
                    hint: `pontoon stop` ends the container all the same; CAP_KILL, which root has unless it was taken away, \
                    lets the daemon's containers signal other users' processes\n";
    looks_like(&lab, &said.stderr, expected);
    assert_eq!(prints(&lab, &["stop", "-t", "0", "web"]), "web\n");
    prints(&lab, &["rm", "web"]);
    // With it, a signal to such a command arrives.
    lab.down();
    lab.up();
    prints(&lab, &[&["run", "-d", "--name", "web", "--"], &become_nobody[..]].concat());
    prints(&lab, &["kill", "-s", "TERM", "web"]);
    lab.wait_ended("web");
    prints(&lab, &["rm", "web"]);
    lab.finish();
}

fn another_users_private_directory_is_refused() {
    let lab = Linux::new();
    let private = lab.dir().join("private");
    std::fs::create_dir(&private).expect("make a directory");
    chown(&private, Some(NOBODY), Some(NOBODY)).expect("give it away");
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).expect("set its mode");
    let mut command = Command::new(lab.command(&[]).get_program());
    command.arg("--runtime-dir").arg(private.join("run")).arg("--state-dir").arg(private.join("state"));
    let said: Said = command.args(["run", "--", "true"]).output().expect("run pontoon").into();
    let expected = "pontoon: make the directory [DIR]/private/run: Permission denied\n\
                    hint: the daemon does without root's power over other users' files (CAP_DAC_OVERRIDE): choose \
                    directories that are root's, with --runtime-dir and --state-dir\n";
    assert_eq!(said.status, 125);
    looks_like(&lab, &said.stderr, expected);
}

/// A place for a user who is not root: the program where he may execute it, a device that he may open, a directory.
fn make_room_for_nobody(lab: &Linux) -> PathBuf {
    let program = lab.dir().join("pontoon");
    std::fs::write(&program, "").expect("make a file");
    bind(&PathBuf::from(env!("CARGO_BIN_EXE_pontoon")), &program);
    let devices = lab.dir().join("devices");
    std::fs::create_dir(&devices).expect("make a directory");
    mount(Some("tmpfs"), &devices, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("mount devices");
    let tun = devices.join("tun");
    mknod(&tun, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(10, 200)).expect("make a device");
    std::fs::set_permissions(&tun, std::fs::Permissions::from_mode(0o666)).expect("set its mode");
    bind(&tun, &PathBuf::from("/dev/net/tun"));
    chown(lab.dir(), Some(NOBODY), Some(NOBODY)).expect("give a directory away");
    program
}

fn bind(from: &PathBuf, to: &PathBuf) {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a bind mount");
}

/// Runs `pontoon` as a user who is not root, with these capabilities as ambient ones.
fn as_nobody(lab: &Linux, program: &PathBuf, capabilities: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new("setpriv");
    // Where everybody may be: this checkout may be in a private directory.
    command.current_dir("/");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps", capabilities]);
    command.args(["--ambient-caps", capabilities]).arg(program);
    command.arg("--runtime-dir").arg(lab.runtime_dir()).arg("--state-dir").arg(lab.state_dir()).args(arguments);
    command.stdin(Stdio::null()).output().expect("run setpriv").into()
}

fn a_user_with_ambient_capabilities_runs_containers() {
    let mut lab = Linux::new();
    let program = make_room_for_nobody(&lab);
    // One that none of us needs is let go of, and so are not these.
    let mine = "+net_admin,+sys_admin,+sys_chroot,+sys_time";
    let nobody = |arguments: &[&str]| {
        let said = as_nobody(&lab, &program, mine, arguments);
        // Where the kernel has tables of iptables-legacy, only root may look whether they drop something.
        let unread = "pontoon: warning: /proc/thread-self/net/ip_tables_names can not be read: Permission denied\n";
        assert_eq!((said.status, said.stderr.replace(unread, "").as_str()), (0, ""), "{arguments:?}");
        said.stdout
    };
    nobody(&["up", "--detach"]);
    nobody(&["run", "-d", "--name", "web", "--", "sleep", "infinity"]);
    let passed_on = "0000000000241000";
    let seen = nobody(&["run", "--", "sh", "-c", "id -u; ls /sys/class/net; grep CapEff /proc/self/status"]);
    assert_eq!(seen, format!("65534\neth0\nlo\nCapEff:\t{passed_on}\n"));
    assert_eq!(nobody(&["run", "--network", "container:web", "--", "ls", "/sys/class/net"]), "eth0\nlo\n");
    assert_eq!(nobody(&["run", "--network", "none", "--", "ls", "/sys/class/net"]), "lo\n");
    assert_eq!(nobody(&["exec", "web", "--", "id", "-u"]), "65534\n");
    let daemon = std::fs::read_to_string(lab.runtime_dir().join("daemon.log"));
    assert!(daemon.is_ok_and(|log| !log.contains("ERROR")));
    let shim = processes::all().into_iter().find(|pid| processes::words_of(*pid).contains("__shim")).expect("a shim");
    let held = sets(&shim.to_string());
    assert_eq!([&held[0], &held[1]], [&format!("CapInh:\t{passed_on}"), &format!("CapPrm:\t{passed_on}")]);
    assert_eq!([&held[2], &held[4]], ["CapEff:\t0000000000201000", &format!("CapAmb:\t{passed_on}")]);
    nobody(&["kill", "-s", "TERM", "web"]);
    nobody(&["down"]);
    lab.assert_nothing_is_left();
}

fn a_user_without_them_is_told_whose_a_daemon_is() {
    let mut lab = Linux::new();
    let program = make_room_for_nobody(&lab);
    let told = "pontoon: no daemon listens in [DIR]/run\n\
                hint: to start one takes root: `sudo pontoon up`; without it there is `pontoon demo`\n";
    for (arguments, status) in [
        (&["network", "ls"][..], 1),
        (&["network", "create", "red"], 1),
        (&["network", "rm", "red"], 1),
        (&["ps"], 1),
        (&["run", "--", "true"], 125),
    ] {
        let said = as_nobody(&lab, &program, "-all", arguments);
        assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{arguments:?}: {}", said.stderr);
        looks_like(&lab, &said.stderr, told);
    }
    // One that is there is not his to ask.
    chown(lab.dir(), Some(0), Some(0)).expect("take the directory back");
    lab.up();
    std::fs::set_permissions(lab.runtime_dir(), std::fs::Permissions::from_mode(0o755)).expect("set its mode");
    let said = as_nobody(&lab, &program, "-all", &["network", "ls"]);
    let told = "pontoon: connect to the daemon at [DIR]/run/pontoon.sock: Permission denied\n\
                hint: the daemon's user may, usually root: `sudo pontoon …`\n";
    assert_eq!(said.status, 1);
    looks_like(&lab, &said.stderr, told);
    lab.finish();
}

fn the_demo_of_a_user_without_them_runs_in_the_simulator() {
    let lab = Linux::new();
    let program = make_room_for_nobody(&lab);
    let demo = |words: &[&str]| {
        let said = as_nobody(&lab, &program, "-all", words);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
        said.stdout
    };
    let (told, simulated) = (demo(&["demo"]), demo(&["demo", "--world", "sim"]));
    let (why, tale) = told.split_once("\n\n").expect("a reason, and the tale");
    assert!(
        why.starts_with("This machine allows no real namespaces here (network and mount namespaces can not be made: ")
    );
    assert!(why.ends_with("), so the demo runs in the simulator."), "{why}");
    assert_eq!(tale, simulated);
    let said = as_nobody(&lab, &program, "-all", &["demo", "--world", "host"]);
    let hint = "hint: `pontoon demo --world sim` needs no privileges\n";
    assert!(said.status == 1 && said.stderr.ends_with(hint), "{}: {}", said.status, said.stderr);
}

fn findings(said: &Said) -> Vec<[String; 3]> {
    let findings: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).expect("an array");
    let word = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    findings.iter().map(|finding| ["status", "check", "finding"].map(|key| word(finding, key))).collect()
}

fn the_doctor_finds_this_machine_fit() {
    let lab = Linux::new();
    let found = findings(&pontoon(&lab, &["doctor", "--json"]));
    for check in ["/dev/net/tun", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "namespaces", "kernel", "pidfd"] {
        assert!(found.iter().any(|[status, own, _]| own == check && status == "ok"), "{check}: {found:?}");
    }
    assert!(found.iter().any(|[_, check, finding]| check == "TAP" && finding.starts_with("one can be made")));
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("read a sysctl");
    let told = found.iter().find(|[_, check, _]| check == "net.ipv4.ip_forward").expect("it is looked at");
    assert!(told[2].starts_with(forwarding.trim()), "{told:?}");
}

fn the_doctor_tells_of_what_was_taken_away() {
    let lab = Linux::new();
    let said = after(&lab, &["--bounding-set", "-net_raw,-net_admin"], &["doctor", "--json"]);
    assert_eq!((said.status, said.stderr.as_str()), (1, ""));
    let found = findings(&said);
    let of = |check: &str| found.iter().find(|[_, own, _]| own == check).expect("it is looked at").clone();
    assert_eq!(of("CAP_NET_RAW")[0], "warn");
    assert_eq!(of("CAP_NET_ADMIN")[0], "fail");
    assert_eq!(of("CAP_SYS_ADMIN")[0], "ok");
    let [status, _, finding] = of("TAP");
    assert_eq!((status.as_str(), finding.as_str()), ("fail", "create TAP `pontoon-doctor`: Operation not permitted"));
}

fn the_doctor_tells_nobody_what_is_missing() {
    let lab = Linux::new();
    let program = make_room_for_nobody(&lab);
    let said = as_nobody(&lab, &program, "-all", &["doctor", "--json"]);
    assert_eq!((said.status, said.stderr.as_str()), (1, ""));
    let found = findings(&said);
    let failing: Vec<&str> = found.iter().filter(|each| each[0] == "fail").map(|each| each[1].as_str()).collect();
    let expected = ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "namespaces"];
    assert!(expected.iter().all(|check| failing.contains(check)), "{found:?}");
    assert!(!failing.contains(&"/dev/net/tun"), "the device is his to open: {found:?}");
    let tap = found.iter().find(|each| each[1] == "TAP").expect("it is looked at");
    assert_eq!([&tap[0], &tap[2]], ["warn", "not tried: there is no namespace to try it in"]);
}

fn the_doctor_changes_nothing() {
    let mut lab = Linux::new();
    let look = |lab: &mut Linux| {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
        let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("read a sysctl");
        let rules =
            Command::new("nft").args(["list", "ruleset"]).output().map(|output| output.stdout).unwrap_or_default();
        (mounts, forwarding, rules, lab.interfaces(crate::lab::Place::Host))
    };
    let before = look(&mut lab);
    pontoon(&lab, &["doctor"]);
    assert!(look(&mut lab) == before);
    assert_eq!(processes::others(), [""; 0]);
    assert!(!lab.runtime_dir().exists() && !lab.state_dir().exists());
}

fn the_doctor_waits_for_no_nft() {
    let lab = Linux::new();
    let program = lab.dir().join("nft");
    let mut doctor = lab.command(&["doctor", "--json"]);
    doctor.env("PATH", lab.dir().display().to_string() + ":/usr/bin:/bin");
    for (script, status, expected) in [
        ("exec sleep 1000", "fail", "it does not run: it takes longer than 5 seconds"),
        ("echo broken >&2; exit 3", "fail", "it does not run: broken"),
        // Whatever it leaves behind holds its output open.
        ("sleep 1000 & echo nft 9", "ok", "nft 9; it can masquerade"),
        (
            "test $1 = --version && echo nft 9 && exit; echo no such table >&2; exit 1",
            "fail",
            "nft 9, but it can not masquerade: no such table",
        ),
    ] {
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("write a script");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set its mode");
        let said: Said = doctor.output().expect("run pontoon").into();
        let found = findings(&said);
        let nft = found.iter().find(|[_, check, _]| check == "nft").expect("it is looked at");
        assert_eq!([nft[0].as_str(), nft[2].as_str()], [status, expected], "{script}");
    }
}

fn up_tells_a_service_manager_when_it_listens() {
    let mut lab = Linux::new();
    let path = lab.dir().join("notify");
    let manager = UnixDatagram::bind(&path).expect("bind a socket");
    manager.set_read_timeout(Some(crate::lab::linux::PATIENCE)).expect("set a limit");
    let mut daemon = lab.command(&["up"]).env("NOTIFY_SOCKET", &path).spawn().expect("run pontoon");
    let mut told = [0; 256];
    let length = manager.recv(&mut told).expect("the daemon says something");
    assert_eq!(String::from_utf8_lossy(&told[..length]).trim_end(), "READY=1");
    assert_eq!(lab.daemon_pid(), Some(daemon.id().cast_signed()), "it listens, and is the process that was started");
    lab.down();
    assert!(daemon.wait().expect("wait").success());
}
