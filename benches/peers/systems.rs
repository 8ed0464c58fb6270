//! The systems that are compared: each has sixteen containers, numbered from 0, in namespaces of its own, and an outside behind
//! its host, which masquerades.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// How many containers a system has: eight pairs.
pub const CONTAINERS: usize = 16;

/// A switch with containers on it.
pub trait System {
    /// What the table calls it.
    fn name(&self) -> &'static str;
    /// A container.
    fn container(&self, number: usize) -> End;
    /// What is behind the host.
    fn outside(&self) -> End;
}

/// Where a load begins or ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// A process in its namespace.
    pub pid: u32,
    pub address: Ipv4Addr,
}

/// A namespace on a veth pair with the host.
struct Outside(Child);

impl Outside {
    /// Behind the host that the process `host` is on, or that this one is on.
    fn new(host: Option<u32>) -> Self {
        let keeper = namespace_keeper();
        let pid = keeper.id();
        let script = format!(
            "ip link add uplink0 type veth peer name eth0 netns {pid} && ip addr add 10.200.0.1/24 dev uplink0 && \
             ip link set uplink0 up"
        );
        host.map_or_else(|| shell(&script), |host| within(host, &script));
        within(pid, &format!("ip link set lo up && ip addr add {OUTSIDE}/24 dev eth0 && ip link set eth0 up"));
        Outside(keeper)
    }

    fn end(&self) -> End {
        End { pid: self.0.id(), address: OUTSIDE }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);

/// The Linux bridge with veth pairs.
pub struct KernelBridge {
    /// The processes that keep the namespaces: the bridge's, then the containers'.
    keepers: Vec<Child>,
    outside: Outside,
}

impl KernelBridge {
    pub fn new() -> Self {
        let mut keepers = vec![namespace_keeper()];
        let host = keepers[0].id();
        within(
            host,
            &format!(
                "ip link add br0 type bridge && ip addr add 10.77.0.1/16 dev br0 && ip link set br0 up{NO_FILTER}"
            ),
        );
        for number in 0..CONTAINERS {
            let keeper = namespace_keeper();
            let pid = keeper.id();
            within(
                host,
                &format!(
                    "ip link add v{number} type veth peer name eth0 netns {pid} && ip link set v{number} master br0 up"
                ),
            );
            within(
                pid,
                &format!(
                    "ip link set lo up && ip addr add {}/16 dev eth0 && ip link set eth0 up && ip route add default via 10.77.0.1",
                    address(number)
                ),
            );
            keepers.push(keeper);
        }
        // What docker0 has: forwarding, and one rule for what leaves.
        let nat = "add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }; \
                   add rule ip nat out ip saddr 10.77.0.0/16 oifname != br0 masquerade";
        within(host, &format!("echo 1 > /proc/sys/net/ipv4/ip_forward && nft \"{nat}\""));
        let outside = Outside::new(Some(host));
        KernelBridge { keepers, outside }
    }
}

/// Docker leaves br_netfilter on; the plain bridge is measured without it.
const NO_FILTER: &str =
    "; [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables";

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 1, 1 + number as u8)
}

impl System for KernelBridge {
    fn name(&self) -> &'static str {
        "kernel bridge"
    }

    fn container(&self, number: usize) -> End {
        End { pid: self.keepers[1 + number].id(), address: address(number) }
    }

    fn outside(&self) -> End {
        self.outside.end()
    }
}

impl Drop for KernelBridge {
    fn drop(&mut self) {
        for keeper in &mut self.keepers {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}

/// Pontoon, with its own containers.
pub struct Pontoon {
    name: &'static str,
    dir: PathBuf,
    containers: Vec<End>,
    outside: Option<Outside>,
    /// Who watches it meanwhile.
    capture: Option<Child>,
}

impl Pontoon {
    /// With the containers running.
    pub fn new() -> Self {
        Pontoon::with_containers(Pontoon::up("pontoon", &[]), true)
    }

    /// The same, and a capture of all ports, of whole frames and to nowhere, runs all the time.
    pub fn capturing() -> Self {
        let mut pontoon = Pontoon::with_containers(Pontoon::up("capturing", &[]), false);
        let capture = pontoon.prepare(&["capture", "--all", "-w", "/dev/null"]).stderr(Stdio::piped()).spawn();
        let mut capture = capture.expect("run pontoon");
        let mut said = String::new();
        // It says that it captures; what comes later is in it.
        let _ = BufReader::new(capture.stderr.as_mut().expect("a pipe")).read_line(&mut said);
        assert!(said.contains("capturing"), "pontoon capture: {said}");
        pontoon.capture = Some(capture);
        pontoon
    }

    /// The same, and the flight recorder keeps the last ten seconds.
    pub fn recording() -> Self {
        Pontoon::with_containers(Pontoon::up("flight recorder", &["--flight-recorder", "10"]), false)
    }

    fn with_containers(mut pontoon: Self, has_outside: bool) -> Self {
        pontoon.outside = has_outside.then(|| Outside::new(None));
        for number in 0..CONTAINERS {
            let name = format!("c{number}");
            pontoon.command(&["run", "-d", "--name", &name, "--", "sleep", "100000"]);
            let inspected = pontoon.command(&["inspect", &name]);
            let views: serde_json::Value = serde_json::from_slice(&inspected).expect("JSON");
            let pid = views[0]["pid"].as_u64().expect("a pid") as u32;
            let ip = views[0]["networks"]["bridge"]["ip"].as_str().expect("an address");
            let address = ip.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
            pontoon.containers.push(End { pid, address });
        }
        pontoon
    }

    /// With a daemon only.
    pub fn empty() -> Self {
        Pontoon::up("pontoon", &[])
    }

    fn up(name: &'static str, options: &[&str]) -> Self {
        let unique = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let dir = std::env::temp_dir().join(format!("pontoon-bench-{}-{unique}", std::process::id()));
        let pontoon = Pontoon { name, dir, containers: Vec::new(), outside: None, capture: None };
        pontoon.command(&[&["up", "--detach"], options].concat());
        pontoon
    }

    pub fn run_true(&mut self) {
        self.command(&["run", "--", "true"]);
    }

    pub fn command(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.prepare(arguments).output().expect("run pontoon");
        assert!(output.status.success(), "pontoon {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn prepare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pontoon"));
        command.arg("--runtime-dir").arg(self.dir.join("run")).arg("--state-dir").arg(self.dir.join("state"));
        command.args(arguments).stdin(Stdio::null());
        command
    }
}

impl System for Pontoon {
    fn name(&self) -> &'static str {
        self.name
    }

    fn container(&self, number: usize) -> End {
        self.containers[number]
    }

    fn outside(&self) -> End {
        self.outside.as_ref().expect("it has one, as it has containers").end()
    }
}

impl Drop for Pontoon {
    fn drop(&mut self) {
        self.command(&["down"]);
        if let Some(mut capture) = self.capture.take() {
            let _ = capture.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What one would type without Pontoon, to run `true` on a bridge.
pub struct ByHand {
    host: Child,
    /// A veth outlives its namespace by a moment, and its name with it.
    times: usize,
}

impl ByHand {
    pub fn new() -> Self {
        let host = namespace_keeper();
        // `ip netns` keeps its names below /run: one of our own, in this scratch mount namespace.
        shell("mount -t tmpfs pontoon-bench /run");
        within(host.id(), "ip link add br0 type bridge && ip addr add 10.77.0.1/16 dev br0 && ip link set br0 up");
        ByHand { host, times: 0 }
    }

    pub fn run_true(&mut self) {
        self.times += 1;
        let veth = format!("v{}", self.times);
        within(
            self.host.id(),
            &format!(
                "ip netns add c && ip link add {veth} type veth peer name eth0 netns c && ip link set {veth} master br0 up && \
                 ip -n c link set lo up && ip -n c addr add 10.77.0.2/16 dev eth0 && ip -n c link set eth0 up && \
                 ip -n c route add default via 10.77.0.1 && ip netns exec c true && ip netns del c"
            ),
        );
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

/// A process that does nothing but keep a new network namespace.
fn namespace_keeper() -> Child {
    let start = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
        Command::new("sleep").arg("100000").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("sleep")
    };
    std::thread::spawn(start).join().expect("a keeper")
}

fn within(pid: u32, script: &str) {
    shell(&format!("nsenter --net=/proc/{pid}/ns/net sh -ec '{script}'"));
}

fn shell(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).status().expect("sh");
    assert!(status.success(), "{script}: {status}");
}
