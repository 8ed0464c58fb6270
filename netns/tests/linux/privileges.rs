//! Which capabilities our processes hold, and that commands have what their user has all the same.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use netns::linux::{Outcome, Process};

use crate::world::{World, process, request};

crate::trials![
    a_shim_and_an_init_hold_what_they_need_and_no_more,
    a_command_has_what_its_user_has,
    a_command_may_start_where_only_another_user_may_look,
    the_namespace_of_a_container_is_joined_and_left,
    a_command_that_became_another_user_gets_its_signals,
];

/// KILL, NET_ADMIN, SYS_ADMIN.
const SHIM: &str = "0000000000201020";
/// SYS_ADMIN.
const INIT: &str = "0000000000200000";
const NOTHING: &str = "0000000000000000";
/// Nobody in particular.
const OTHER: u32 = 65534;

/// One line of `/proc/PID/status`.
fn status(pid: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":"));
    value.expect("a line").trim().to_owned()
}

fn parent_of(pid: &str) -> String {
    status(pid, "PPid")
}

fn assert_holds(pid: &str, mask: &str) {
    assert_eq!(["CapEff", "CapPrm", "CapInh", "CapAmb"].map(|set| status(pid, set)), [mask, mask, NOTHING, NOTHING]);
    // What execution gives back is as it was.
    assert_eq!(status(pid, "CapBnd"), status("self", "CapBnd"));
}

fn a_shim_and_an_init_hold_what_they_need_and_no_more() {
    let mut world = World::new();
    for network in ["bridge", "none", "host"] {
        let id = world.run_detached(network, &["sleep", "1000"]);
        let command = world.manager().inspect(id.as_str()).expect("it runs").pid.to_string();
        let init = parent_of(&command);
        let shim = parent_of(&init);
        assert_holds(&init, INIT);
        assert_holds(&shim, SHIM);
        for task in fs::read_dir(format!("/proc/{shim}/task")).expect("threads") {
            assert_holds(&task.expect("a thread").file_name().to_string_lossy(), SHIM);
        }
    }
}

fn a_command_has_what_its_user_has() {
    let mut world = World::new();
    let masks = ["grep", "-E", "^Cap(Eff|Prm|Inh|Bnd|Amb)", "/proc/self/status"];
    let text = fs::read_to_string("/proc/self/status").expect("a status");
    let is_mask = |line: &&str| line.starts_with("Cap");
    let own: String = text.lines().filter(is_mask).map(|line| format!("{line}\n")).collect();
    assert_eq!(world.run_to_end("bridge", &masks), (0, own.clone()));
    let id = world.run_detached("none", &["sleep", "1000"]);
    let mut inside = world.exec(&id, process(&masks));
    assert_eq!(inside.output(), own);
    // And it may use them.
    let file = world.paths().state.join("theirs");
    fs::write(&file, "").expect("written");
    let chown = ["chown", &OTHER.to_string(), &file.display().to_string()].map(ToOwned::to_owned);
    assert_eq!(world.run_to_end("bridge", &chown.each_ref().map(String::as_str)), (0, String::new()));
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(&file).expect("it is there")), OTHER);
}

fn a_command_may_start_where_only_another_user_may_look() {
    let mut world = World::new();
    let private = world.paths().state.join("private");
    fs::create_dir(&private).expect("made");
    let own = private.join("own-command");
    fs::write(&own, "#!/bin/sh\necho here, in $(pwd)\n").expect("written");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).expect("set");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).expect("set");
    for path in [&own, &private] {
        chown(path, Some(OTHER), Some(OTHER)).expect("given away");
    }
    let path = format!("{}:/bin:/usr/bin", private.display());
    let there =
        Process { env: vec![("PATH".into(), path.into())], cwd: private.clone().into(), ..process(&["own-command"]) };
    let here = format!("here, in {}\n", private.display());
    let mut running = world.try_run(request("bridge"), there.clone()).expect("it runs");
    assert_eq!(running.session.wait(), Outcome::Started);
    assert_eq!(world.finish(running), (0, here.clone()));
    let id = world.run_detached("none", &["sleep", "1000"]);
    let mut inside = world.exec(&id, there);
    assert_eq!(inside.session.wait(), Outcome::Started);
    assert_eq!(inside.output(), here);
}

fn the_namespace_of_a_container_is_joined_and_left() {
    let mut world = World::new();
    let web = world.run_detached("bridge", &["sleep", "1000"]);
    let joins = format!("container:{}", web.as_str());
    let (status, seen) = world.run_to_end(&joins, &["ls", "/sys/class/net"]);
    assert_eq!((status, seen.as_str()), (0, "eth0\nlo\n"));
}

fn a_command_that_became_another_user_gets_its_signals() {
    let mut world = World::new();
    let script = "echo ready; exec sleep 1000";
    let other = OTHER.to_string();
    let argv = ["setpriv", "--reuid", &other, "--regid", &other, "--clear-groups", "sh", "-c", script];
    let mut running = world.run("none", &argv);
    assert_eq!(running.line(), "ready");
    let id = running.id.clone();
    world.kill(&id, 15);
    assert_eq!(world.finish(running).0, 143);
}
