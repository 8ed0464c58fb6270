//! A reboot: every process of the host ends at once, and nothing is left but what is on its disks.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{DIR, Host, make_podmans_bridges, shell, waited_for};
use crate::said::run;

/// What the kernel calls its life. It has one only: files over it make another of it.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// What the host has before anybody starts.
const INTERFACES: [&str; 2] = ["lo", "uplink0"];

impl Host {
    /// Ends everything as a power failure does, and starts what a service manager starts: our daemon, then dockerd.
    pub fn reboot(&mut self) {
        self.docker.kill();
        self.pontoon.kill();
        self.end_every_process();
        unmount_all();
        forget_run();
        forget_network();
        change_boot();
        self.pontoon.start_again();
        self.docker.start_again();
        make_podmans_bridges(&self.podman).expect("Podman's bridges");
    }

    /// But this one, and those that stand for the world.
    fn end_every_process(&self) {
        let spared = [1, std::process::id(), self.outside.pid()];
        let others = || -> Vec<u32> {
            let entries = std::fs::read_dir("/proc").expect("list the processes").flatten();
            let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            // One that has ended and is waited for has no memory.
            let lives = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
            pids.filter(|pid| !spared.contains(pid) && lives(pid)).collect()
        };
        let are_gone = || {
            let left = others();
            for pid in &left {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        };
        assert!(waited_for(are_gone).is_some(), "processes stay: {:?}", others());
    }
}

/// What lies in `/run`, and on the disks that are in there as well.
fn unmount_all() {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("list the mounts");
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let below: Vec<&str> = places.filter(|place| place.starts_with("/run/")).collect();
    for place in below.iter().rev() {
        umount2(*place, MntFlags::MNT_DETACH).unwrap_or_else(|why| panic!("unmount {place}: {why}"));
    }
}

/// `/run` and `/dev/shm` are empty; what stands for the disks stays.
fn forget_run() {
    let entries = ["/run", "/dev/shm"].map(|dir| std::fs::read_dir(dir).expect("list a directory").flatten());
    for entry in entries.into_iter().flatten() {
        let path = entry.path();
        if path == Path::new(DIR) {
            continue;
        }
        let is_dir = entry.file_type().expect("a kind").is_dir();
        let gone = if is_dir { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.unwrap_or_else(|why| panic!("remove {}: {why}", path.display()));
    }
    std::fs::create_dir("/run/lock").expect("make /run/lock");
}

/// Interfaces, rules and settings of the kernel's.
fn forget_network() {
    let entries = std::fs::read_dir("/sys/class/net").expect("list the interfaces").flatten();
    for name in entries.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if !INTERFACES.contains(&name.as_str()) && Path::new("/sys/class/net").join(&name).is_dir() {
            // Its other end may have taken it along.
            shell(&format!("ip link delete {name}"));
        }
    }
    run(&["nft", "flush", "ruleset"]);
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("switch forwarding off");
}

fn change_boot() {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("a UUID");
    let file = Path::new(DIR).join("boot_id");
    std::fs::write(&file, uuid).expect("write");
    mount(Some(&file), BOOT, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("mount over the kernel's");
}
