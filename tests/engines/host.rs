//! [`Host`]: the scratch host with its engines, where one case is played after the other.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::cases;
use crate::docker::{COMPOSE, DOCKER, DOCKERD, Docker};
use crate::outside::{OUTSIDE, Outside};
use crate::podman::{PODMAN, Podman};
use crate::pontoon::Pontoon;
use crate::said::{Said, run};

/// Where files are kept, in memory.
pub const DIR: &str = "/run/engines";
/// What the image is called, and where it comes from.
pub const IMAGE: &str = "busybox";
pub const BUSYBOX: &str = "/bin/busybox";
/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const A_MOMENT: Duration = Duration::from_millis(10);

/// Whether what the tests start is there.
///
/// # Errors
/// Which is not.
pub fn is_installed() -> Result<(), String> {
    let needed = [
        (DOCKERD, "docker.io"),
        (DOCKER, "docker.io"),
        (COMPOSE, "docker-compose"),
        (PODMAN, "podman"),
        ("/usr/lib/cni/portmap", "containernetworking-plugins"),
        (BUSYBOX, "busybox-static"),
    ];
    match needed.iter().find(|(path, _)| !Path::new(path).exists()) {
        None => Ok(()),
        Some((path, package)) => Err(format!("there is no {path} (Debian's package {package})")),
    }
}

/// A host with both engines.
pub struct Host {
    pub pontoon: Pontoon,
    pub docker: Docker,
    pub podman: Podman,
    pub outside: Outside,
    /// What comes with the order to play a case; what the case leaves there goes back with the answer.
    pub message: String,
}

impl Host {
    fn new(cgroup: &str) -> Result<Host, String> {
        std::fs::create_dir(DIR).map_err(|why| format!("make {DIR}: {why}"))?;
        let outside = Outside::new();
        std::fs::write("/etc/resolv.conf", format!("nameserver {OUTSIDE}\n"))
            .map_err(|why| format!("write /etc/resolv.conf: {why}"))?;
        // Before Docker, as with the units of a service manager.
        let pontoon = Pontoon::start()?;
        let docker = Docker::start(cgroup)?;
        let archive = make_image();
        docker.import(&archive, IMAGE);
        let podman = Podman::new(cgroup)?;
        podman.import(&archive, IMAGE);
        make_podmans_bridges(&podman)?;
        Ok(Host { pontoon, docker, podman, outside, message: String::new() })
    }

    /// Takes away what a case has left with the engines.
    fn clean(&self) {
        let docker = |arguments: &[&str]| self.docker.does(arguments);
        let containers = docker(&["ps", "--all", "--quiet"]);
        if !containers.is_empty() {
            docker(&[&["rm", "--force"], &containers.lines().collect::<Vec<_>>()[..]].concat());
        }
        let networks = docker(&["network", "ls", "--quiet", "--filter", "type=custom"]);
        if !networks.is_empty() {
            docker(&[&["network", "rm"], &networks.lines().collect::<Vec<_>>()[..]].concat());
        }
        if !self.podman.does(&["ps", "--all", "--quiet"]).is_empty() {
            self.podman.does(&["rm", "--all", "--force", "--time", "0"]);
        }
    }
}

/// The bridges of Podman's networks, and their rules, are made by their first containers, and stay.
pub fn make_podmans_bridges(podman: &Podman) -> Result<(), String> {
    for network in ["--network=podman", "--network=pontoon"] {
        podman.does(&["run", "--rm", network, "-p", "8080:80", IMAGE, "true"]);
    }
    // A container's last process tidies up behind its client's back.
    let is_of_podmans = |command: &String| command.contains("conmon") || command.contains(PODMAN);
    let is_settled = || (!processes().iter().any(is_of_podmans)).then_some(());
    waited_for(is_settled).ok_or_else(|| format!("Podman's containers do not end: {:?}", processes()))
}

/// What a case may change and has to put back: interfaces, rules of firewalls, processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    interfaces: BTreeSet<String>,
    rules: Vec<String>,
    processes: Vec<String>,
}

impl Census {
    pub fn take() -> Census {
        let interfaces = std::fs::read_dir("/sys/class/net").expect("list the interfaces");
        let interfaces = interfaces.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        // Docker puts some of its rules in again, in another order.
        let rules = run(&["nft", "--stateless", "list", "ruleset"]);
        let mut rules: Vec<String> = rules.lines().map(|rule| rule.trim().to_owned()).collect();
        rules.sort();
        Census { interfaces, rules, processes: processes() }
    }
}

impl Census {
    /// The lines that one has and the other has not.
    pub fn differs_from(&self, now: &Census) -> String {
        let lines = |census: &Census| -> Vec<String> {
            let interfaces = census.interfaces.iter().map(|name| format!("interface {name}"));
            let rules = census.rules.iter().map(|rule| format!("rule {rule}"));
            interfaces.chain(rules).chain(census.processes.iter().map(|command| format!("process {command}"))).collect()
        };
        let (before, now) = (lines(self), lines(now));
        let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}"));
        let new = now.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
        gone.chain(new).collect::<Vec<_>>().join("\n")
    }
}

/// The names of all processes there are; those that have ended and are waited for do not count.
fn processes() -> Vec<String> {
    let is_pid = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = std::fs::read_dir("/proc").expect("list the processes").flatten();
    let pids = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| is_pid(name));
    let mut commands: Vec<String> = pids
        .filter_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (!line.is_empty()).then(|| without_ids(line.trim_end()))
        })
        .collect();
    commands.sort();
    commands
}

/// A text with one word for all ids: an endpoint has another one each time that its container starts.
fn without_ids(line: &str) -> String {
    let is_id = |word: &str| matches!(word.len(), 12 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = line.split_inclusive(|each: char| !each.is_ascii_alphanumeric());
    let words = words.map(|word| {
        let (core, end) = word.split_at(word.trim_end_matches(|each: char| !each.is_ascii_alphanumeric()).len());
        if is_id(core) { format!("ID{end}") } else { word.to_owned() }
    });
    words.collect()
}

/// The image: busybox, in all of its names.
fn make_image() -> std::path::PathBuf {
    let root = Path::new(DIR).join("image");
    for dir in ["bin", "etc", "tmp", "www", "root", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(dir)).expect("make a directory");
    }
    std::fs::copy(BUSYBOX, root.join("bin/busybox")).expect("copy busybox");
    for name in run(&[BUSYBOX, "--list"]).lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("make a link");
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("write");
    std::fs::write(root.join("etc/group"), "root:x:0:\n").expect("write");
    let archive = Path::new(DIR).join("image.tar");
    run(&["tar", "-C", &root.display().to_string(), "-cf", &archive.display().to_string(), "."]);
    archive
}

/// Tries until something is there.
pub fn waited_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(found) => return Some(found),
            None if Instant::now() > end => return None,
            None => std::thread::sleep(A_MOMENT),
        }
    }
}

/// What the last panic said.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Is the host: starts the engines, tells how that went, and plays each case that it reads the name of,
/// with a message after it or none.
pub fn serve(cgroup: &str) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = panic.to_string();
    }));
    let mut host = match caught(|| Host::new(cgroup)).and_then(|host| host) {
        Ok(host) => host,
        Err(why) => {
            answer(&Err(why));
            return ExitCode::FAILURE;
        }
    };
    let before = Census::take();
    answer(&Ok(String::new()));
    for order in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (name, message) = order.split_once(' ').unwrap_or((&order, ""));
        message.clone_into(&mut host.message);
        answer(&play(&mut host, name, &before).map(|()| std::mem::take(&mut host.message)));
    }
    ExitCode::SUCCESS
}

fn answer(answer: &Result<String, String>) {
    println!("{}", serde_json::to_string(answer).expect("text is JSON"));
}

fn play(host: &mut Host, name: &str, before: &Census) -> Result<(), String> {
    let case = cases::all().find(|case| case.name == name).ok_or_else(|| format!("there is no case {name}"))?;
    let played =
        caught(|| (case.play)(host)).and_then(|()| caught(|| host.clean())).and_then(|()| is_as_before(before));
    played.map_err(|why| {
        format!("{why}\nthe engine's log:\n{}\nour daemon's:\n{}", host.docker.log(), host.pontoon.log())
    })
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| std::mem::take(&mut *PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner)))
}

/// Whether all is as it was before the case. Some ends take a moment.
fn is_as_before(before: &Census) -> Result<(), String> {
    let mut now = Census::take();
    let end = Instant::now() + Duration::from_secs(10);
    while now != *before && Instant::now() < end {
        std::thread::sleep(A_MOMENT);
        now = Census::take();
    }
    if now == *before { Ok(()) } else { Err(format!("it is not as it was before:\n{}", before.differs_from(&now))) }
}

/// What a server answers to the host by HTTP.
pub fn fetched(whom: &str) -> Option<String> {
    let said = shell(&format!("timeout 5 {BUSYBOX} wget -qO- http://{whom}/"));
    said.is_well().then(|| said.stdout.trim_end().to_owned())
}

/// Runs a shell's script on the host.
pub fn shell(script: &str) -> Said {
    Said::by(Command::new("sh").args(["-c", script]).stderr(Stdio::piped()))
}
