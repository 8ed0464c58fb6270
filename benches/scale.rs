//! Many containers on one bridge: `sudo cargo bench --bench scale [-- --containers N --program PATH]`, 2,000 of them by default.
//!
//! They are started one after the other on the default network, of a daemon of their own in a scratch namespace that stands for the
//! host. Then: how long each start took, in neighbourhoods of ten; what the daemon costs while nobody speaks, in time, memory and files;
//! whether all are reachable, from the gateway and from one another. Needs root.
//!
//! Reached is who refuses a connection: nobody listens in the containers, and only a stack that is there can say so.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netns::linux::scratch;
use nix::sched::{CloneFlags, setns};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);
/// Nobody listens there.
const PORT: u16 = 9;
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all questions together may take.
const ENOUGH: Duration = Duration::from_secs(150);
/// How long the daemon is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(10);
/// The kernel's unit of processor time, in a second (`USER_HZ`).
const TICKS: f64 = 100.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        println!("the scale is measured by `cargo bench --bench scale`, not tested");
        return;
    }
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let count = value("--containers").map_or(2000, |number| number.parse().expect("a number of containers"));
    let program = value("--program").map_or_else(|| env!("CARGO_BIN_EXE_pontoon").into(), PathBuf::from);
    if let Err(why) = scratch::can_run() {
        eprintln!("the scale can not be measured here: {why}");
        std::process::exit(1);
    }
    scratch::enter().expect("enter a scratch namespace");
    let pontoon = Pontoon::up(program);
    let started = (0..count).map(|number| pontoon.start(number)).collect::<Vec<_>>();
    tell_starts(&started);
    let containers = pontoon.containers();
    assert_eq!(containers.len(), count, "all of them run");
    pontoon.tell_costs(&containers);
    tell_reachable(&containers);
    let began = Instant::now();
    drop(pontoon);
    println!("all stopped and taken away: {:.1} s", began.elapsed().as_secs_f64());
}

/// The tenth, the middle one, and the last, each the median of ten neighbours.
fn tell_starts(started: &[Duration]) {
    let around = |last: usize| {
        let mut ten = started[last.saturating_sub(10)..last].to_vec();
        ten.sort_unstable();
        ten[ten.len() / 2].as_secs_f64() * 1e3
    };
    let (tenth, last) = (10.min(started.len()), started.len());
    for number in [tenth, last / 2, last] {
        println!("start of the {number}th, medians of the ten up to it: {:.1} ms", around(number.max(1)));
    }
    println!("ratio of the last to the tenth: {:.2}", around(last) / around(tenth));
}

/// Each container is asked by the host and by the one before it; and asks the gateway.
///
/// The kernel's table of neighbours is one for all namespaces and smaller than what is asked for here, and it does not let go for half
/// a minute of who has just answered. So who has asked forgets, and with that also who asked it before.
fn tell_reachable(containers: &[Container]) {
    let began = Instant::now();
    let is_time_left = || began.elapsed() < ENOUGH;
    let (mut host, mut neighbour, mut gateway) = (0, 0, 0);
    for (from, to) in containers.iter().zip(containers.iter().cycle().skip(1)).take_while(|_| is_time_left()) {
        host += usize::from(reaches(from.address));
        if host % 100 == 0 {
            forget();
        }
        let [to_neighbour, to_gateway] = within(from.pid, || {
            let reached = [to.address, GATEWAY].map(reaches);
            forget();
            reached
        });
        neighbour += usize::from(to_neighbour);
        gateway += usize::from(to_gateway);
    }
    println!(
        "of {}: reached by the host {host}, by the neighbour {neighbour}; reach the gateway {gateway} ({:.1} s for all)",
        containers.len(),
        began.elapsed().as_secs_f64(),
    );
}

fn reaches(address: Ipv4Addr) -> bool {
    let address = SocketAddr::new(IpAddr::V4(address), PORT);
    TcpStream::connect_timeout(&address, PATIENCE).is_err_and(|why| why.kind() == ErrorKind::ConnectionRefused)
}

/// Empties the table of neighbours of the namespace that this thread is in.
fn forget() {
    let ip = Command::new("ip").args(["neigh", "flush", "all"]).output().expect("run ip");
    assert!(ip.status.success(), "ip neigh flush all: {}", String::from_utf8_lossy(&ip.stderr));
}

/// Does something in the network namespace of a process.
fn within<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    let enter_and_work = || {
        let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the namespace of a container");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter it");
        work()
    };
    thread::scope(|scope| scope.spawn(enter_and_work).join()).expect("the thread in the container")
}

/// A daemon of our own.
struct Pontoon {
    program: PathBuf,
    dir: PathBuf,
}

struct Container {
    /// Its command.
    pid: u32,
    address: Ipv4Addr,
}

impl Pontoon {
    fn up(program: PathBuf) -> Self {
        let dir = std::env::temp_dir().join(format!("pontoon-scale-{}", std::process::id()));
        let pontoon = Pontoon { program, dir };
        pontoon.command(&["up", "--detach"]);
        pontoon
    }

    fn start(&self, number: usize) -> Duration {
        let began = Instant::now();
        self.command(&["run", "-d", "--name", &format!("c{number}"), "--", "sleep", "100000"]);
        began.elapsed()
    }

    /// By their addresses.
    fn containers(&self) -> Vec<Container> {
        let listed: Vec<serde_json::Value> = serde_json::from_slice(&self.command(&["ps", "--json"])).expect("JSON");
        let container = |view: &serde_json::Value| {
            let address = view["networks"]["bridge"]["ip"].as_str()?.split('/').next()?.parse().ok()?;
            Some(Container { pid: u32::try_from(view["pid"].as_u64()?).ok()?, address })
        };
        let mut containers: Vec<Container> = listed.iter().map(|view| container(view).expect("it runs")).collect();
        containers.sort_by_key(|container| container.address);
        containers
    }

    fn tell_costs(&self, containers: &[Container]) {
        let status: serde_json::Value = serde_json::from_slice(&self.command(&["status", "--json"])).expect("JSON");
        let daemon = u32::try_from(status["pid"].as_u64().expect("a pid")).expect("a pid");
        // (What the last starts have set going comes to its end.)
        thread::sleep(IDLE);
        let before = processor_ticks(daemon);
        thread::sleep(IDLE);
        let spent = (processor_ticks(daemon) - before) as f64 / TICKS;
        println!("idle: {spent:.2} s of a processor in {} s, by ticks of 10 ms", IDLE.as_secs());
        let files = fs::read_dir(format!("/proc/{daemon}/fd")).expect("its files").count();
        let each = (files as f64) / containers.len() as f64;
        let limit = files_allowed(daemon);
        println!("engine: {}", status["io"]);
        println!(
            "daemon: {:.1} MiB, {files} files ({each:.1} a container; {limit} allowed)",
            kibibytes(daemon) / 1024.0
        );
        // The command's parent is its init, and that one's the shim.
        let sample = containers.iter().step_by(containers.len().div_ceil(50));
        let (inits, shims): (Vec<f64>, Vec<f64>) = sample
            .map(|container| {
                let init = parent(container.pid);
                (kibibytes(init), kibibytes(parent(init)))
            })
            .unzip();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        println!("per container: shim {:.0} KiB, init {:.0} KiB (proportional set size)", mean(&shims), mean(&inits));
    }

    fn command(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(&self.program);
        command.arg("--runtime-dir").arg(self.dir.join("run")).arg("--state-dir").arg(self.dir.join("state"));
        let output = command.args(arguments).stdin(Stdio::null()).output().expect("run pontoon");
        assert!(output.status.success(), "pontoon {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Drop for Pontoon {
    fn drop(&mut self) {
        self.command(&["down"]);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// User and system time of a process.
fn processor_ticks(pid: u32) -> u64 {
    stat(pid)[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

fn parent(pid: u32) -> u32 {
    stat(pid)[1].parse().expect("a pid")
}

/// The fields of /proc/PID/stat behind the name.
fn stat(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    fields.split_whitespace().map(str::to_owned).collect()
}

/// Memory of a process: its own, and its share of what it shares.
fn kibibytes(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a process");
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line of it");
    pss.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn files_allowed(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line of it");
    files.split_whitespace().next().expect("a number").to_owned()
}
