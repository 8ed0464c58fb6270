//! A container's own files below `/etc`, and that the host's are none of its business.
//!
//! Each test has a copy of the machine's `/etc` on a file system of its own, in a scratch mount namespace.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command as Program;
use std::time::Instant;

use netns::files::Files;
use netns::linux::{Command, Outcome, Session, Streams};
use netns::manager::Now;
use netns::name::Id;
use nix::mount::{MsFlags, mount};
use rustix::event::Timespec;

use crate::world::{PATIENCE, Running, World, null, process, request, traces};

crate::trials![
    a_container_sees_its_own_files_and_the_host_its_own,
    a_file_that_is_not_its_own_is_the_hosts,
    without_files_of_its_own_a_container_sees_the_hosts,
    where_the_host_has_links_a_container_has_files,
    what_the_host_lacks_a_container_has,
    a_read_only_etc_is_no_obstacle,
    what_is_mounted_below_etc_is_still_there_when_it_is_covered,
    an_etc_on_an_overlay_is_covered_as_well,
    everybody_may_read_them,
    what_is_rewritten_is_seen_at_once,
    a_container_writes_its_own_file_and_not_the_hosts,
    exec_sees_what_the_container_sees,
    a_joiner_has_the_files_of_its_target_and_keeps_them,
    they_stay_when_the_host_renames_a_file_over_its_own,
    they_stay_when_the_host_puts_its_own_aside,
    they_stay_when_the_host_deletes_its_own,
    they_stay_when_the_host_exchanges_the_directory,
    a_cover_goes_when_the_host_has_all_names,
    what_the_command_mounts_over_them_is_left_alone,
    a_name_that_is_a_directory_is_refused,
];

const NOW: Now = Now { instant: switch::time::Instant::ZERO, unix: 1_700_000_000 };
const READ_ALL: [&str; 4] = ["cat", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];
const OWN: &str = "own resolv.conf\nown hosts\nown hostname\n";

/// What stands below `/etc`, links and all, with what a change would change.
type Contents = BTreeMap<String, (u64, u32, Vec<u8>)>;

fn own() -> Files {
    let text = |name: &str| Some(format!("own {name}\n"));
    Files { resolv_conf: text("resolv.conf"), hosts: text("hosts"), hostname: text("hostname") }
}

/// A world whose host has an `/etc` that may be changed, with three known files in it.
fn world() -> World {
    let world = World::new();
    mount(Some("etc"), "/mnt", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).expect("a tmpfs");
    assert!(Program::new("cp").args(["-a", "/etc/.", "/mnt"]).status().expect("cp").success());
    mount(Some("/mnt"), "/etc", None::<&str>, MsFlags::MS_MOVE, None::<&str>).expect("moved");
    for name in Files::NAMES {
        let path = Path::new("/etc").join(name);
        let _ = fs::remove_file(&path);
        fs::write(path, format!("host {name}\n")).expect("written");
    }
    world
}

fn contents() -> Contents {
    let mut found = BTreeMap::new();
    let mut directories = vec![Path::new("/etc").to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let about = fs::symlink_metadata(&path).expect("it is there");
            let bytes = if about.is_dir() {
                directories.push(path.clone());
                Vec::new()
            } else if about.is_symlink() {
                fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).expect("read")
            };
            found.insert(path.display().to_string(), (about.ino(), about.mode(), bytes));
        }
    }
    found
}

/// Starts a container with these files; what it writes can be read.
fn try_run(world: &mut World, network: &str, files: Option<&Files>, argv: &[&str]) -> Result<Running, String> {
    let id = world.manager().create(request(network), NOW).expect("created").id;
    world.drive();
    // In place of what the manager has written.
    let directory = world.manager().backend().paths().etc(&id);
    if !network.starts_with("container:") && network != "host" {
        fs::remove_dir_all(&directory).expect("it has files of its own");
    }
    if let Some(files) = files {
        world.manager().backend().write_files(&id, files).expect("written");
    }
    let (output, writer) = std::io::pipe().expect("a pipe");
    let (session, attach) = Session::pair().expect("a pair");
    let (stdout, stderr) = (writer.try_clone().expect("a dup").into(), writer.into());
    let command =
        Command { process: process(argv), streams: Streams::Caller { stdin: null(), stdout, stderr, attach } };
    let started = world.manager().start(&id, command, NOW);
    world.drive();
    let mut running = Running { id, session, output };
    started.map_err(|why| why.to_string())?;
    assert_eq!(running.session.wait(), Outcome::Started);
    Ok(running)
}

fn run(world: &mut World, files: Option<&Files>, argv: &[&str]) -> Running {
    try_run(world, "bridge", files, argv).expect("it runs")
}

fn run_to_end(world: &mut World, files: Option<&Files>, argv: &[&str]) -> String {
    let running = run(world, files, argv);
    world.finish(running).1
}

/// What a command inside a running container writes.
fn inside(world: &mut World, id: &Id, argv: &[&str]) -> String {
    let mut running = world.exec(id, process(argv));
    assert_eq!(running.session.wait(), Outcome::Started);
    running.output()
}

/// Waits until a command inside writes this.
#[expect(clippy::disallowed_methods, reason = "a deadline bounds how long a failure hangs")]
fn wait_until_inside(world: &mut World, id: &Id, argv: &[&str], expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = inside(world, id, argv);
        if seen == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{argv:?} says {seen}");
        let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        rustix::event::poll(&mut [], Some(&moment)).expect("polled");
    }
}

/// Lets `test` do something with a running container that has its own files. Nothing but what it does to the host stays.
fn with_container(test: impl FnOnce(&mut World, &Id)) {
    let mut world = world();
    let before = traces();
    let running = run(&mut world, Some(&own()), &["sleep", "1000"]);
    let id = running.id.clone();
    assert_eq!(inside(&mut world, &id, &READ_ALL), OWN);
    test(&mut world, &id);
    world.kill(&id, 15);
    assert_eq!(world.finish(running).0, 143);
    assert_eq!(traces(), before);
}

fn a_container_sees_its_own_files_and_the_host_its_own() {
    let mut world = world();
    let (before, traces_before) = (contents(), traces());
    for network in ["bridge", "none", "host"] {
        let running = try_run(&mut world, network, Some(&own()), &READ_ALL).expect("it runs");
        assert_eq!(world.finish(running), (0, OWN.to_owned()), "{network}");
    }
    assert_eq!(contents(), before);
    assert_eq!(traces(), traces_before);
}

fn a_file_that_is_not_its_own_is_the_hosts() {
    let mut world = world();
    let files = Files { hosts: None, ..own() };
    let seen = run_to_end(&mut world, Some(&files), &READ_ALL);
    assert_eq!(seen, "own resolv.conf\nhost hosts\nown hostname\n");
}

fn without_files_of_its_own_a_container_sees_the_hosts() {
    let mut world = world();
    let expected = "host resolv.conf\nhost hosts\nhost hostname\n";
    assert_eq!(run_to_end(&mut world, None, &READ_ALL), expected);
    assert_eq!(run_to_end(&mut world, Some(&Files::default()), &READ_ALL), expected);
}

fn where_the_host_has_links_a_container_has_files() {
    let mut world = world();
    fs::remove_file("/etc/resolv.conf").expect("removed");
    fs::remove_file("/etc/hosts").expect("removed");
    fs::remove_file("/etc/hostname").expect("removed");
    // To nowhere, below a directory that is not there; to itself; to a file that others use as well.
    symlink("../run/no-such-directory/stub-resolv.conf", "/etc/resolv.conf").expect("a link");
    symlink("hosts", "/etc/hosts").expect("a link");
    symlink("passwd", "/etc/hostname").expect("a link");
    let (before, traces_before) = (contents(), traces());
    assert_eq!(run_to_end(&mut world, Some(&own()), &READ_ALL), OWN);
    let passwd = fs::read_to_string("/etc/passwd").expect("read");
    assert_eq!(run_to_end(&mut world, Some(&own()), &["cat", "/etc/passwd"]), passwd);
    // The rest of /etc is the host's own: what is written there arrives.
    assert_eq!(run_to_end(&mut world, Some(&own()), &["sh", "-c", "echo x > /etc/pontoon-test"]), "");
    assert_eq!(fs::read_to_string("/etc/pontoon-test").expect("read"), "x\n");
    fs::remove_file("/etc/pontoon-test").expect("removed");
    assert_eq!(contents(), before);
    assert_eq!(traces(), traces_before);
}

fn what_the_host_lacks_a_container_has() {
    let mut world = world();
    for name in Files::NAMES {
        fs::remove_file(Path::new("/etc").join(name)).expect("removed");
        let (before, traces_before) = (contents(), traces());
        assert_eq!(run_to_end(&mut world, Some(&own()), &READ_ALL), OWN, "without {name}");
        let passwd = fs::read_to_string("/etc/passwd").expect("read");
        assert_eq!(run_to_end(&mut world, Some(&own()), &["cat", "/etc/passwd"]), passwd);
        // Covered by what can not be written, which is said and nothing is lost.
        let refused = run_to_end(&mut world, Some(&own()), &["sh", "-c", "echo x > /etc/new"]);
        assert!(refused.contains("Read-only file system"), "{refused}");
        let written = run_to_end(&mut world, Some(&own()), &["sh", "-c", "echo x > /etc/hosts; cat /etc/hosts"]);
        assert_eq!(written, "x\n");
        assert_eq!(contents(), before);
        assert_eq!(traces(), traces_before);
    }
}

fn a_read_only_etc_is_no_obstacle() {
    let mut world = world();
    let remount = |flags| mount(None::<&str>, "/etc", None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>);
    fs::remove_file("/etc/hostname").expect("removed");
    fs::remove_file("/etc/resolv.conf").expect("removed");
    symlink("../run/no-such-directory/stub-resolv.conf", "/etc/resolv.conf").expect("a link");
    remount(MsFlags::MS_RDONLY).expect("read-only");
    let (before, traces_before) = (contents(), traces());
    assert_eq!(run_to_end(&mut world, Some(&own()), &READ_ALL), OWN);
    assert_eq!(contents(), before);
    remount(MsFlags::empty()).expect("writable");
    fs::write("/etc/hostname", "host hostname\n").expect("written");
    remount(MsFlags::MS_RDONLY).expect("read-only");
    assert_eq!(run_to_end(&mut world, Some(&own()), &READ_ALL), OWN);
    assert_eq!(traces(), traces_before);
}

fn what_is_mounted_below_etc_is_still_there_when_it_is_covered() {
    let mut world = world();
    fs::create_dir("/etc/below").expect("made");
    mount(Some("below"), "/etc/below", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
    fs::write("/etc/below/file", "mounted\n").expect("written");
    // As in a container of Docker's.
    mount(Some("/etc/passwd"), "/etc/hosts", None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("bound");
    fs::remove_file("/etc/hostname").expect("removed");
    let before = traces();
    assert_eq!(run_to_end(&mut world, Some(&own()), &READ_ALL), OWN);
    assert_eq!(run_to_end(&mut world, Some(&own()), &["cat", "/etc/below/file"]), "mounted\n");
    assert_eq!(traces(), before);
}

fn an_etc_on_an_overlay_is_covered_as_well() {
    let mut world = world();
    // As in a container of Docker's: one overlay may be on another, a third may not.
    mount(Some("layers"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
    fs::create_dir("/mnt/upper").expect("made");
    fs::create_dir("/mnt/work").expect("made");
    let layers = "lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work";
    mount(Some("overlay"), "/etc", Some("overlay"), MsFlags::empty(), Some(layers)).expect("an overlay");
    fs::remove_file("/etc/hostname").expect("removed");
    let (before, traces_before) = (contents(), traces());
    assert_eq!(run_to_end(&mut world, Some(&own()), &READ_ALL), OWN);
    assert_eq!(contents(), before);
    assert_eq!(traces(), traces_before);
}

fn everybody_may_read_them() {
    let mut world = world();
    for absent in [false, true] {
        if absent {
            fs::remove_file("/etc/hostname").expect("removed");
        }
        let mut argv = vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        argv.extend(READ_ALL);
        assert_eq!(run_to_end(&mut world, Some(&own()), &argv), OWN);
    }
}

fn what_is_rewritten_is_seen_at_once() {
    with_container(|world, id| {
        for hosts in ["a much longer text than the one that stood there before\n", "short\n", ""] {
            let files = Files { hosts: Some(hosts.to_owned()), ..Files::default() };
            world.manager().backend().write_files(id, &files).expect("written");
            let expected = format!("own resolv.conf\n{hosts}own hostname\n");
            assert_eq!(inside(world, id, &READ_ALL), expected);
        }
        assert_eq!(fs::read_to_string("/etc/hosts").expect("read"), "host hosts\n");
    });
}

fn a_container_writes_its_own_file_and_not_the_hosts() {
    with_container(|world, id| {
        assert_eq!(
            inside(world, id, &["sh", "-c", "echo 192.0.2.1 peer >> /etc/hosts; cat /etc/hosts"]),
            "own hosts\n192.0.2.1 peer\n"
        );
        assert_eq!(fs::read_to_string("/etc/hosts").expect("read"), "host hosts\n");
    });
}

fn exec_sees_what_the_container_sees() {
    with_container(|world, id| {
        let list = ["sh", "-c", "stat -c %i /etc/resolv.conf /etc/hosts /etc/hostname"];
        let seen = inside(world, id, &list);
        let etc = world.paths().etc(id);
        let expected: String = Files::NAMES
            .iter()
            .map(|name| format!("{}\n", fs::metadata(etc.join(name)).expect("it is there").ino()))
            .collect();
        assert_eq!(seen, expected);
    });
}

fn a_joiner_has_the_files_of_its_target_and_keeps_them() {
    let mut world = world();
    let before = traces();
    let first = run(&mut world, Some(&own()), &["sleep", "1000"]);
    let join = |world: &mut World, id: &Id| {
        try_run(world, &format!("container:{}", id.short()), None, &["sleep", "1000"]).expect("it joins")
    };
    let second = join(&mut world, &first.id);
    let third = join(&mut world, &second.id);
    let files = Files { hosts: Some("changed\n".to_owned()), ..Files::default() };
    world.manager().backend().write_files(&first.id, &files).expect("written");
    let expected = "own resolv.conf\nchanged\nown hostname\n";
    for id in [&second.id, &third.id] {
        assert_eq!(inside(&mut world, id, &READ_ALL), expected);
    }
    world.remove(&first.id);
    assert!(!world.paths().container(&first.id).exists());
    // A new file of the host's, for which the joiner has to mount its own anew.
    fs::write("/etc/new", "newer\n").expect("written");
    fs::rename("/etc/new", "/etc/resolv.conf").expect("renamed");
    for id in [&second.id, &third.id] {
        wait_until_inside(&mut world, id, &READ_ALL, expected);
        world.remove(id);
    }
    world.manager().backend().wait_until_clean();
    assert_eq!(traces(), before);
}

fn they_stay_when_the_host_renames_a_file_over_its_own() {
    with_container(|world, id| {
        for round in 0..20 {
            for name in Files::NAMES {
                let path = Path::new("/etc").join(name);
                // By turns a file and a link.
                match round % 2 {
                    0 => fs::write("/etc/new", format!("{name} {round}")).expect("written"),
                    _ => symlink("no-such-file", "/etc/new").expect("a link"),
                }
                fs::rename("/etc/new", &path).expect("renamed");
                let is_link = fs::symlink_metadata(&path).expect("it is there").is_symlink();
                assert_eq!(is_link, round % 2 != 0);
            }
            wait_until_inside(world, id, &READ_ALL, OWN);
        }
        assert_eq!(mounted(world, id), 3);
    });
}

fn they_stay_when_the_host_puts_its_own_aside() {
    with_container(|world, id| {
        fs::rename("/etc/hosts", "/etc/hosts~").expect("renamed");
        fs::write("/etc/hosts", "new\n").expect("written");
        wait_until_inside(world, id, &READ_ALL, OWN);
        wait_until_inside(world, id, &["cat", "/etc/hosts~"], "host hosts\n");
        assert_eq!(fs::read_to_string("/etc/hosts").expect("read"), "new\n");
        assert_eq!(mounted(world, id), 3);
    });
}

fn they_stay_when_the_host_deletes_its_own() {
    with_container(|world, id| {
        fs::remove_file("/etc/resolv.conf").expect("removed");
        let before = contents();
        wait_until_inside(world, id, &READ_ALL, OWN);
        assert_eq!(contents(), before);
        fs::remove_file("/etc/hosts").expect("removed");
        wait_until_inside(world, id, &READ_ALL, OWN);
    });
}

fn they_stay_when_the_host_exchanges_the_directory() {
    let mut world = world();
    // One that can be renamed: a file system's root can not.
    mount(Some("root"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
    assert!(Program::new("cp").args(["-a", "/etc", "/mnt/etc"]).status().expect("cp").success());
    nix::mount::umount("/etc").expect("unmounted");
    let directory = Path::new("/mnt");
    for entry in fs::read_dir("/").expect("a root") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), directory.join(entry.file_name()));
        let kind = entry.file_type().expect("a kind");
        if kind.is_symlink() {
            symlink(fs::read_link(&from).expect("a link"), &to).expect("a link");
        } else if kind.is_dir() && entry.file_name() != "etc" && entry.file_name() != "mnt" {
            fs::create_dir(&to).expect("made");
            mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>).expect("bound");
        }
    }
    fs::create_dir("/mnt/mnt").expect("made");
    std::env::set_current_dir("/").expect("set");
    nix::unistd::pivot_root("/mnt", "/mnt/mnt").expect("a new root");
    nix::mount::umount2("/mnt", nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
    let running = run(&mut world, Some(&own()), &["sleep", "1000"]);
    let id = running.id.clone();
    assert!(Program::new("cp").args(["-a", "/etc", "/etc.new"]).status().expect("cp").success());
    fs::rename("/etc", "/etc.old").expect("renamed");
    fs::rename("/etc.new", "/etc").expect("renamed");
    wait_until_inside(&mut world, &id, &READ_ALL, OWN);
    wait_until_inside(&mut world, &id, &["cat", "/etc.old/hosts"], "host hosts\n");
    fs::remove_dir_all("/etc").expect("removed");
    fs::create_dir("/etc").expect("made");
    wait_until_inside(&mut world, &id, &READ_ALL, OWN);
    assert_eq!(contents(), Contents::new());
    world.kill(&id, 15);
    world.finish(running);
}

fn a_cover_goes_when_the_host_has_all_names() {
    let mut world = world();
    fs::remove_file("/etc/hostname").expect("removed");
    let before = traces();
    let running = run(&mut world, Some(&own()), &["sleep", "1000"]);
    let id = running.id.clone();
    let write = ["sh", "-c", "echo x 2>/dev/null > /etc/pontoon-test && echo written || echo refused"];
    assert!(inside(&mut world, &id, &write).contains("refused"));
    fs::write("/etc/hostname", "host hostname\n").expect("written");
    wait_until_inside(&mut world, &id, &write, "written\n");
    wait_until_inside(&mut world, &id, &READ_ALL, OWN);
    assert_eq!(fs::read_to_string("/etc/pontoon-test").expect("read"), "x\n");
    assert_eq!(mounted(&mut world, &id), 3);
    world.kill(&id, 15);
    world.finish(running);
    assert_eq!(traces(), before);
}

fn what_the_command_mounts_over_them_is_left_alone() {
    with_container(|world, id| {
        assert_eq!(inside(world, id, &["mount", "--bind", "/etc/passwd", "/etc/hosts"]), "");
        let passwd = fs::read_to_string("/etc/passwd").expect("read");
        // So that it is looked at, and seen to be put right.
        fs::write("/etc/new", "newer\n").expect("written");
        fs::rename("/etc/new", "/etc/resolv.conf").expect("renamed");
        wait_until_inside(world, id, &["cat", "/etc/resolv.conf"], "own resolv.conf\n");
        assert_eq!(inside(world, id, &["cat", "/etc/hosts"]), passwd);
    });
}

fn a_name_that_is_a_directory_is_refused() {
    let mut world = world();
    fs::remove_file("/etc/hosts").expect("removed");
    fs::create_dir("/etc/hosts").expect("made");
    let before = traces();
    let refused = try_run(&mut world, "bridge", Some(&own()), &READ_ALL).err().expect("refused");
    assert_eq!(refused, "start the command: mount /etc/hosts: Is a directory");
    assert_eq!(traces(), before);
    assert!(world.manager().is_idle());
}

/// How many mounts there are on or below a container's `/etc` that the host does not have.
fn mounted(world: &mut World, id: &Id) -> usize {
    let table = inside(world, id, &["cat", "/proc/self/mountinfo"]);
    let on_etc = |table: &str| {
        table.lines().filter(|line| line.split(' ').nth(4).is_some_and(|at| at.starts_with("/etc"))).count()
    };
    on_etc(&table) - on_etc(&traces().0)
}
