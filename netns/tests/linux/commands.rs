//! How a command starts, what it has around it, and how other commands get in.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use netns::backend::StartError;
use netns::error::Error;
use netns::linux::{Command, NotStarted, Outcome, Process, Session, Streams};
use netns::manager::Now;
use rustix::pty::OpenptFlags;

use crate::world::{World, process, request, start};

crate::trials![
    the_status_is_the_commands,
    a_command_that_is_not_there_is_told_from_one_that_can_not_be_executed,
    a_directory_that_is_not_there_is_no_missing_command,
    the_path_in_the_environment_counts,
    arguments_need_not_be_utf8,
    the_environment_is_what_was_asked_for_and_the_host_name,
    a_command_inherits_nothing_of_ours,
    a_signal_reaches_the_command,
    a_signal_that_does_not_exist_is_refused,
    a_terminal_controls_its_command,
    a_log_has_what_was_written,
    exec_runs_inside,
    exec_tells_why_it_does_not_run,
    exec_ends_with_the_container,
    exec_takes_a_terminal,
];

fn the_status_is_the_commands() {
    let mut world = World::new();
    for (script, status) in [("true", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        assert_eq!(world.run_to_end("none", &["sh", "-c", script]), (status, String::new()), "{script}");
    }
    assert_eq!(world.run_to_end("bridge", &["true"]).0, 0);
}

fn refusal(world: &mut World, process: Process) -> StartError {
    let before = crate::world::traces();
    let refused = match world.try_run(request("bridge"), process) {
        Err(Error::Start(why)) => why,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(crate::world::traces(), before);
    assert!(world.manager().is_idle());
    assert_eq!(world.plugged(), 1, "only the gateway is plugged");
    refused
}

fn a_command_that_is_not_there_is_told_from_one_that_can_not_be_executed() {
    let mut world = World::new();
    let directory = world.paths().state;
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path.display().to_string()
    };
    let plain = write("plain", "#!/bin/sh\n", 0o644);
    let garbage = write("garbage", "neither a program nor a script\n", 0o755);
    let orphan = write("orphan", "#!/no/such/interpreter\n", 0o755);
    for missing in ["no-such-command", "/no/such/command", "/etc/passwd/command", "", &orphan] {
        let why = refusal(&mut world, process(&[missing]));
        assert!(matches!(why, StartError::NotFound(_)), "{missing}: {why}");
    }
    for (unfit, cause) in
        [(plain.as_str(), "Permission denied"), (&garbage, "Exec format error"), ("/etc", "Permission denied")]
    {
        let why = refusal(&mut world, process(&[unfit]));
        assert!(matches!(&why, StartError::NotExecutable(_, text) if text == cause), "{unfit}: {why}");
    }
    // With a terminal it takes another way.
    let tty = |argv: &[&str]| Process { tty: true, ..process(argv) };
    assert!(matches!(refusal(&mut world, tty(&["no-such-command"])), StartError::NotFound(_)));
    let why = refusal(&mut world, tty(&["true"]));
    assert!(matches!(why, StartError::Backend(_)), "the null device is no terminal: {why}");
}

fn a_directory_that_is_not_there_is_no_missing_command() {
    let why = refusal(&mut World::new(), Process { cwd: "/no/such/place".into(), ..process(&["true"]) });
    assert_eq!(why.to_string(), "start the command: change to the directory /no/such/place: No such file or directory");
}

fn the_path_in_the_environment_counts() {
    let mut world = World::new();
    let directory = world.paths().state;
    let own = directory.join("own-command");
    fs::write(&own, "#!/bin/sh\necho mine, in $(pwd)\n").expect("written");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("set");
    let path = format!("/nowhere:{}:/bin:/usr/bin", directory.display());
    let mut process =
        Process { env: vec![("PATH".into(), path.into())], cwd: "/tmp".into(), ..process(&["own-command"]) };
    let mut running = world.try_run(request("none"), process.clone()).expect("it runs");
    assert_eq!(running.session.wait(), Outcome::Started);
    assert_eq!(world.finish(running), (0, "mine, in /tmp\n".to_owned()));
    process.env.clear();
    assert!(matches!(refusal(&mut world, process), StartError::NotFound(_)));
}

fn arguments_need_not_be_utf8() {
    let mut world = World::new();
    let mut process = process(&["sh", "-c", "printf %s \"$1\" | od -An -tx1", "sh"]);
    process.argv.push(OsString::from_vec(vec![b'a', 0xff, b'\n', 0x80]).into());
    let mut running = world.try_run(request("none"), process).expect("it runs");
    assert_eq!(running.session.wait(), Outcome::Started);
    assert_eq!(world.finish(running), (0, " 61 ff 0a 80\n".to_owned()));
}

fn the_environment_is_what_was_asked_for_and_the_host_name() {
    let mut world = World::new();
    let mut process = process(&["env"]);
    process.env.push(("A".into(), "b=c".into()));
    let mut running = world.try_run(request("none"), process).expect("it runs");
    assert_eq!(running.session.wait(), Outcome::Started);
    let host_name = format!("HOSTNAME={}", running.id.short());
    let (_, output) = world.finish(running);
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=b=c", &host_name, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]);
}

/// Its descriptors (one is `ls`'s own) and its signals: none blocked, SIGPIPE not ignored.
const INHERITED: [&str; 3] =
    ["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; grep -E 'SigBlk|SigIgn' /proc/self/status; umask"];

fn inherits_nothing(output: &str) {
    assert!(output.starts_with("0 1 2 3 SigBlk:\t0000000000000000\n"), "{output}");
    let ignored = output.lines().nth(1).and_then(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.expect("the ignored signals"), 16).expect("a mask");
    assert_eq!(ignored & 1 << (13 - 1), 0, "SIGPIPE is ignored: {output}");
    assert!(output.ends_with("0022\n"), "{output}");
}

fn a_command_inherits_nothing_of_ours() {
    let mut world = World::new();
    let (_, output) = world.run_to_end("bridge", &INHERITED);
    inherits_nothing(&output);
    let id = world.run_detached("bridge", &["sleep", "1000"]);
    let mut inside = world.exec(&id, process(&INHERITED));
    inherits_nothing(&inside.output());
}

fn a_signal_that_does_not_exist_is_refused() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sleep", "1000"]);
    let now = Now { instant: switch::time::Instant::ZERO, unix: 0 };
    for number in [0, -1, 1000] {
        assert!(world.manager().kill(id.as_str(), number, now).is_err(), "{number}");
    }
}

fn a_signal_reaches_the_command() {
    let mut world = World::new();
    let trap = ["sh", "-c", "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.05; done"];
    let mut running = world.run("none", &trap);
    assert_eq!(running.line(), "ready");
    running.session.signal(10).expect("sent");
    assert_eq!(world.finish(running), (3, "caught\n".to_owned()));
    let mut running = world.run("none", &trap);
    assert_eq!(running.line(), "ready");
    let id = running.id.clone();
    world.kill(&id, 10);
    assert_eq!(world.finish(running), (3, "caught\n".to_owned()));
    // One without a handler ends as it would outside, although it is the only one in its namespace.
    let running = world.run("none", &["sleep", "1000"]);
    let id = running.id.clone();
    world.kill(&id, 15);
    assert_eq!(world.finish(running).0, 143);
}

/// The two ends of a pseudo-terminal.
fn terminal() -> (fs::File, std::os::fd::OwnedFd) {
    let near = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    rustix::pty::grantpt(&near).expect("granted");
    rustix::pty::unlockpt(&near).expect("unlocked");
    let far = rustix::pty::ioctl_tiocgptpeer(&near, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    (near.into(), far.expect("its far end"))
}

fn read_until(terminal: &mut fs::File, end: &str) -> String {
    let mut seen = String::new();
    let mut piece = [0; 256];
    while !seen.contains(end) {
        let length = terminal.read(&mut piece).expect("it is open");
        seen.push_str(str::from_utf8(&piece[..length]).expect("UTF-8"));
    }
    seen
}

fn a_terminal_controls_its_command() {
    let mut world = World::new();
    let (mut near, far) = terminal();
    let (mut session, attach) = Session::pair().expect("a pair");
    let streams = Streams::Caller {
        stdin: crate::world::borrowed(&far),
        stdout: crate::world::borrowed(&far),
        stderr: far,
        attach,
    };
    let script = "echo session $(cut -d' ' -f6 /proc/$$/stat) is $$; exec sleep 1000";
    let process = Process { tty: true, ..process(&["sh", "-c", script]) };
    start(world.manager(), request("none"), Command { process, streams }).expect("it runs");
    assert_eq!(session.wait(), Outcome::Started);
    let seen = read_until(&mut near, "\n");
    assert!(seen.contains("session 2 is 2"), "{seen}");
    near.write_all(b"\x03").expect("Ctrl-C");
    assert_eq!(world.wait_for_end().status, 130);
    assert_eq!(session.wait(), Outcome::Exited(130));
}

fn a_log_has_what_was_written() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sh", "-c", "echo out; echo err >&2; cat; exit 5"]);
    assert_eq!(world.wait_for_end().status, 5);
    let log = world.paths().log(&id);
    assert_eq!(fs::read_to_string(&log).expect("a log"), "out\nerr\n");
    let view = world.manager().inspect(id.as_str()).expect("it is listed");
    assert_eq!((view.state.as_str(), view.exit_status), ("exited", Some(5)));
    world.remove(&id);
    assert!(!log.exists());
    assert!(!world.paths().container(&id).exists());
}

fn exec_runs_inside() {
    let mut world = World::new();
    let id = world.run_detached("bridge", &["sleep", "1000"]);
    let script = "ls /sys/class/net; cat /proc/sys/kernel/hostname; cat /proc/1/comm; pwd; kill -INT $$";
    let mut inside = world.exec(&id, Process { cwd: "/usr".into(), ..process(&["sh", "-c", script]) });
    assert_eq!(inside.session.wait(), Outcome::Started);
    assert_eq!(inside.output(), format!("eth0\nlo\n{}\npontoon\n/usr\n", id.short()));
    assert_eq!(inside.session.wait(), Outcome::Exited(130));
    let mut inside = world.exec(&id, process(&["sh", "-c", "sleep 1000; exit 3"]));
    assert_eq!(inside.session.wait(), Outcome::Started);
    inside.session.signal(15).expect("sent");
    assert_eq!(inside.session.wait(), Outcome::Exited(143));
    assert_eq!(inside.session.wait(), Outcome::Lost);
}

fn exec_tells_why_it_does_not_run() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sleep", "1000"]);
    let mut why = |process| match world.exec(&id, process).session.wait() {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(why(process(&["no-such-command"])), NotStarted::NotFound { .. }));
    assert!(matches!(why(process(&["/etc"])), NotStarted::NotExecutable { .. }));
    assert!(matches!(why(Process { cwd: "/no/such/place".into(), ..process(&["true"]) }), NotStarted::Other { .. }));
    assert!(matches!(why(Process::default()), NotStarted::Other { .. }));
}

fn exec_ends_with_the_container() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sleep", "1000"]);
    let mut inside = world.exec(&id, process(&["sleep", "1000"]));
    assert_eq!(inside.session.wait(), Outcome::Started);
    world.kill(&id, 15);
    assert_eq!(world.wait_for_end().status, 143);
    assert_eq!(inside.session.wait(), Outcome::Exited(137));
    let gone = netns::linux::exec(&world.paths(), &id, process(&["true"]), [(); 3].map(|()| crate::world::null()));
    assert!(matches!(gone, Err(netns::backend::BackendError::Gone)));
}

fn exec_takes_a_terminal() {
    let mut world = World::new();
    let id = world.run_detached("none", &["sleep", "1000"]);
    let (mut near, far) = terminal();
    let streams = [crate::world::borrowed(&far), crate::world::borrowed(&far), far];
    let shell = Process { tty: true, ..process(&["sh", "-c", "test -t 0 && echo a terminal; exec sleep 1000"]) };
    let mut session = netns::linux::exec(&world.paths(), &id, shell, streams).expect("the container is there");
    assert_eq!(session.wait(), Outcome::Started);
    read_until(&mut near, "a terminal");
    near.write_all(b"\x03").expect("Ctrl-C");
    assert_eq!(session.wait(), Outcome::Exited(130));
}
