//! [`Linux`]: the lab on a real kernel. It is a user: it runs `pontoon` and reads what that prints. What goes on inside a
//! container it looks up itself ([`inside`]), so that no answer is taken from the one who is examined.
//!
//! It lives in a cage (see [`crate::cage`]): whatever it leaves behind goes with that.

pub mod capture;
mod command;
pub mod inside;
pub mod monitor;
mod orders;
pub mod outside;
mod pids;
pub mod processes;
mod records;
mod remains;
mod sandboxes;
mod waiting;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;

use ipnet::{IpNet, Ipv4Net};
use netns::event::Event;
use netns::interface::InterfaceInfo;
use netns::manager::{ContainerView, NetworkDetails, NetworkView};
use serde::Deserialize;
use sim::AddressState;
use switch::dataplane::BridgeStatistics;
use switch::explain::Explanation;
use switch::mac::MacAddr;

use self::capture::Capture;
use self::command::{refusal_of, warnings_in};
pub use self::command::{status_of, text};
use self::inside::{Ear, Inside};
use self::monitor::Monitor;
use self::outside::Outside;
pub use self::waiting::{PATIENCE, waited_for};
use super::{
    Bridge, Census, Connection, Lab, Listener, NetError, NetworkOrder, Order, Place, Refusal, Sniffer, Station,
    Transferred,
};
use crate::cage::DIR;

/// How much a bulk transfer is, in bytes.
const BULK: u64 = 300_000_000;
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// A world of namespaces and processes.
pub struct Linux {
    dir: PathBuf,
    /// How its daemon is to read and write frames: `None`, as it chooses.
    io: Option<&'static str>,
    /// The processes of commands, as last seen.
    pids: BTreeMap<String, i32>,
    /// Somebody who waits for a container in the foreground, each.
    clients: Vec<Child>,
    listeners: Vec<Option<TcpListener>>,
    /// Both ends of each.
    connections: Vec<(TcpStream, TcpStream)>,
    ears: Vec<Ear>,
    names_made: usize,
    monitor: Option<Monitor>,
    outside: Option<Outside>,
}

impl Linux {
    /// A world with a host and no daemon.
    pub fn new() -> Self {
        Linux::called("one")
    }

    /// The same, with a daemon that reads and writes frames by epoll.
    pub fn with_epoll() -> Self {
        Linux { io: Some("epoll"), ..Linux::new() }
    }

    /// A second instance beside the first has another name, and with it other directories.
    pub fn called(name: &str) -> Self {
        let dir = Path::new(DIR).join(name);
        std::fs::create_dir(&dir).unwrap_or_else(|why| panic!("make {}: {why}", dir.display()));
        Linux {
            dir,
            io: None,
            pids: BTreeMap::new(),
            clients: Vec::new(),
            listeners: Vec::new(),
            connections: Vec::new(),
            ears: Vec::new(),
            names_made: 0,
            monitor: None,
            outside: None,
        }
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A directory for what a test wants to write down.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn inside(&mut self, place: Place<'_>) -> Inside {
        match place {
            Place::Host => Inside::here(),
            Place::In(name) => Inside::of(self.pid_of(name)),
            Place::Outside => self.outside.as_ref().expect("there is a host outside").inside(),
            Place::Sandbox(name) => Inside::at(sandboxes::path(name)),
        }
    }
}

impl Lab for Linux {
    fn host_address(&mut self, address: Ipv4Net) {
        self.names_made += 1;
        let name = format!("uplink{}", self.names_made);
        self.add_dummy(Place::Host, &name, MacAddr([0x52, 0x54, 0, 0, 0, self.names_made as u8]), address);
    }

    fn add_outside(&mut self) {
        self.outside = Some(Outside::new());
    }

    fn route_by_hand(&mut self, place: Place<'_>, router: Ipv4Addr) {
        self.inside(place).ip(&["route", "replace", "default", "via", &router.to_string()]);
    }

    fn forwards(&mut self) -> bool {
        std::fs::read_to_string(IP_FORWARD).expect("read a sysctl").trim_end() == "1"
    }

    fn set_forwarding(&mut self, on: bool) {
        std::fs::write(IP_FORWARD, if on { "1" } else { "0" }).expect("write a sysctl");
    }

    fn has_firewall(&mut self) -> bool {
        outside::tables().contains("table inet pontoon_")
    }

    fn flush_firewall(&mut self) {
        outside::nft("flush ruleset\n");
    }

    fn add_foreign_drop(&mut self) {
        outside::nft(
            "table ip filter {\nchain FORWARD {\ntype filter hook forward priority filter; policy drop;\n}\n}\n",
        );
    }

    fn up(&mut self) {
        // (One that runs already is not told again.)
        match self.io {
            Some(io) if self.attempt(&["up", "--detach", "--io", io]).is_ok() => {
                let status: serde_json::Value = self.json(&["status"]);
                assert_eq!(status["io"], io);
            }
            _ => drop(self.says(&["up", "--detach"])),
        }
    }

    fn up_killed_after(&mut self, steps: u32) {
        let mut up = self.command(&["up", "--detach"]);
        up.env("PONTOON_CRASH_AFTER_STEPS", steps.to_string());
        up.output().unwrap_or_else(|why| panic!("run pontoon: {why}"));
    }

    fn up_warned(&mut self) -> Vec<String> {
        let output = self.command(&["up", "--detach"]).output().unwrap_or_else(|why| panic!("run pontoon: {why}"));
        warnings_in(&output)
    }

    fn spoil_records(&mut self, beginning: &str) {
        records::spoil(&self.state_dir(), beginning);
    }

    fn saved_state(&mut self, container: &str) -> Option<String> {
        records::saved_state(&self.state_dir(), container)
    }

    fn record(&mut self, meanwhile: &mut dyn FnMut(&mut dyn Lab)) -> Vec<u8> {
        self.names_made += 1;
        let path = self.dir.join(format!("recording-{}.pcapng", self.names_made));
        let capture = Capture::start(self.command(&["capture", "--all", "-w", &path.display().to_string()]));
        meanwhile(self);
        let output = capture.interrupt();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.ends_with(", 0 lost by the capture\n"), "{said}");
        std::fs::read(&path).unwrap_or_else(|why| panic!("read {}: {why}", path.display()))
    }

    fn monitor(&mut self) {
        self.monitor = Some(Monitor::start(self.command(&["bridge", "monitor", "--json"])));
    }

    fn happened_until(&mut self, is_last: &dyn Fn(&Event) -> bool) -> Vec<Event> {
        self.monitor.as_mut().expect("somebody listens").until(is_last)
    }

    fn down(&mut self) {
        self.says(&["down"]);
        self.pids.clear();
        for mut client in self.clients.drain(..) {
            client.wait().expect("wait for a client");
        }
    }

    fn kill_daemon(&mut self) {
        let pid = self.daemon_pid().unwrap_or_else(|| panic!("no daemon answers{}", self.daemon_log()));
        processes::kill_and_wait(pid);
    }

    fn reboot(&mut self) {
        // As far as can be had: all processes of ours are killed, what does not outlive a reboot goes, and the number of the
        // kernel's life is another. (/proc belongs to this cage.)
        self.kill_daemon();
        for pid in processes::ours() {
            processes::kill_and_wait(pid);
        }
        let is_gone = waited_for(|| self.interfaces(Place::Host).iter().all(|own| own.name == "lo").then_some(()));
        assert!(is_gone.is_some(), "interfaces are left: {:?}", self.interfaces(Place::Host));
        for mut client in self.clients.drain(..) {
            client.wait().expect("wait for a client");
        }
        self.pids.clear();
        std::fs::remove_dir_all(self.runtime_dir()).expect("what is in /run does not outlive a reboot");
        processes::change_boot_id(&self.dir);
    }

    fn daemon_runs(&mut self) -> bool {
        self.daemon_pid().is_some()
    }

    fn run(&mut self, order: Order) -> Result<String, Refusal> {
        self.start(&order)
    }

    fn run_warned(&mut self, order: Order) -> Vec<String> {
        let arguments = self.arguments_of(&order);
        let output = self.pontoon(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let warnings = warnings_in(&output);
        self.note_pid(text(&output.stdout).trim_end());
        warnings
    }

    fn run_to_end(&mut self, order: Order) -> Result<i32, Refusal> {
        let arguments = self.arguments_of(&order);
        let output = self.pontoon(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        if text(&output.stderr).contains("pontoon: ") { Err(refusal_of(&output)) } else { Ok(status_of(&output)) }
    }

    fn stop(&mut self, container: &str, grace_seconds: u64) -> Result<(), Refusal> {
        self.attempt(&["stop", "-t", &grace_seconds.to_string(), container]).map(drop)
    }

    fn kill(&mut self, container: &str, signal: i32) -> Result<(), Refusal> {
        self.attempt(&["kill", "-s", &signal.to_string(), container]).map(drop)
    }

    fn rm(&mut self, container: &str, force: bool) -> Result<(), Refusal> {
        let arguments: &[&str] = if force { &["rm", "-f", container] } else { &["rm", container] };
        self.attempt(arguments).map(drop)
    }

    fn kill_shim(&mut self, container: &str) {
        processes::kill_and_wait(self.shim_of(container));
    }

    fn kill_keeper(&mut self, sandbox: &str) {
        processes::kill_and_wait(records::keeper_of(&self.state_dir(), sandbox));
    }

    fn kill_publisher(&mut self, container: &str) {
        let id = self.inspect(container).expect("it is there").id;
        let find = || processes::publisher_of(&id);
        let publisher = find().expect("there is a publisher");
        processes::kill_and_wait(publisher);
        assert!(waited_for(|| find().filter(|pid| *pid != publisher)).is_some(), "there is another");
    }

    fn kill_command(&mut self, container: &str) {
        let command = self.pid_of(container);
        let shim = processes::grandparent_of(command);
        processes::kill(command);
        // Whoever looks next finds the end written down.
        shim.into_iter().for_each(processes::wait_for);
    }

    fn wait_ended(&mut self, container: &str) {
        let what = format!("the end of {container}");
        self.eventually(&what, &mut |lab| match lab.inspect(container) {
            Ok(view) => view.state == "exited",
            Err(refusal) => refusal.message.starts_with("no such container"),
        });
    }

    fn create_network(&mut self, order: NetworkOrder) -> Result<String, Refusal> {
        let arguments = orders::network(order);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(self.attempt(&arguments)?.trim_end().to_owned())
    }

    fn remove_network(&mut self, network: &str) -> Result<(), Refusal> {
        self.attempt(&["network", "rm", network]).map(drop)
    }

    fn prune_networks(&mut self) -> Vec<String> {
        let said = self.says(&["network", "prune"]);
        said.lines().skip(1).map(ToOwned::to_owned).collect()
    }

    fn inspect_network(&mut self, network: &str) -> Result<NetworkDetails, Refusal> {
        let said = self.attempt(&["network", "inspect", network])?;
        let views: Vec<NetworkDetails> = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"));
        Ok(views.into_iter().next().expect("inspect tells of the network"))
    }

    fn connect_network(&mut self, network: &str, container: &str, ip: Option<Ipv4Addr>) -> Result<(), Refusal> {
        let ip = ip.map(|ip| ip.to_string());
        let mut arguments = vec!["network", "connect"];
        arguments.extend(ip.iter().flat_map(|ip| ["--ip", ip.as_str()]));
        arguments.extend([network, container]);
        self.attempt(&arguments).map(drop)
    }

    fn disconnect_network(&mut self, network: &str, container: &str) -> Result<(), Refusal> {
        self.attempt(&["network", "disconnect", network, container]).map(drop)
    }

    fn add_port(&mut self, bridge: &str, interface: &str) -> Result<Vec<String>, Refusal> {
        let output = self.pontoon(&["port", "add", bridge, interface]);
        if output.status.success() { Ok(warnings_in(&output)) } else { Err(refusal_of(&output)) }
    }

    fn remove_port(&mut self, bridge: &str, port: &str) -> Result<(), Refusal> {
        self.attempt(&["port", "del", bridge, port]).map(drop)
    }

    fn add_sandbox(&mut self, name: &str) {
        sandboxes::add(name);
    }

    fn end_sandbox(&mut self, name: &str) {
        sandboxes::end(name);
    }

    fn attach(&mut self, sandbox: &str, publish: &[&str]) -> Result<Ipv4Addr, String> {
        sandboxes::attach(self, sandbox, publish)
    }

    fn detach(&mut self, sandbox: &str) {
        sandboxes::detach(self, sandbox);
    }

    fn ps(&mut self, all: bool) -> Vec<ContainerView> {
        self.json(if all { &["ps", "-a"] } else { &["ps"] })
    }

    fn inspect(&mut self, container: &str) -> Result<ContainerView, Refusal> {
        let said = self.attempt(&["inspect", container])?;
        let views: Vec<ContainerView> = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"));
        Ok(views.into_iter().next().expect("inspect tells of the container"))
    }

    fn networks(&mut self) -> Vec<NetworkView> {
        self.json(&["network", "ls"])
    }

    fn bridges(&mut self) -> Vec<Bridge> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            id: String,
            interfaces: Vec<String>,
        }
        let rows: Vec<Row> = self.json(&["show"]);
        rows.into_iter().map(|Row { name, id, interfaces }| Bridge { name, id, interfaces }).collect()
    }

    fn fdb(&mut self) -> Vec<Station> {
        #[derive(Deserialize)]
        struct Row {
            mac: MacAddr,
            ifname: String,
            state: String,
        }
        let rows: Vec<Row> = self.json(&["bridge", "fdb", "show"]);
        let row = |row: Row| Station { mac: row.mac, port: row.ifname, is_permanent: row.state == "permanent" };
        rows.into_iter().map(row).collect()
    }

    fn statistics(&mut self) -> Vec<BridgeStatistics> {
        self.json(&["stats"])
    }

    fn explain(&mut self, port: &str, frame: &[u8]) -> Result<Explanation<String>, Refusal> {
        let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let said = self.attempt(&["explain", port, &digits, "--json"])?;
        Ok(serde_json::from_str(&said).unwrap_or_else(|why| panic!("{said}: {why}")))
    }

    fn check_law(&mut self) -> Result<(), String> {
        self.attempt(&["stats", "--check"]).map(drop).map_err(|refusal| refusal.message)
    }

    fn census(&mut self) -> Census {
        self.counted()
    }

    fn interfaces(&mut self, place: Place<'_>) -> Vec<InterfaceInfo> {
        self.inside(place).interfaces()
    }

    fn ifindex(&mut self, place: Place<'_>, interface: &str) -> u32 {
        self.inside(place).ifindex(interface)
    }

    fn default_route(&mut self, place: Place<'_>) -> Option<Ipv4Addr> {
        self.inside(place).default_route()
    }

    fn hostname(&mut self, container: &str) -> String {
        self.says(&["exec", container, "--", "cat", "/proc/sys/kernel/hostname"]).trim_end().to_owned()
    }

    fn etc(&mut self, container: &str) -> [String; 3] {
        let read = |name: &str| self.says(&["exec", container, "--", "cat", &format!("/etc/{name}")]);
        ["resolv.conf", "hosts", "hostname"].map(read)
    }

    fn host_resolv_conf(&mut self, text: &str) {
        // In the mounts of the cage: the machine's own is not touched.
        let file = self.dir.join("resolv.conf");
        std::fs::write(&file, text).expect("write a resolv.conf");
        let flags = nix::mount::MsFlags::MS_BIND;
        nix::mount::mount(Some(&file), "/etc/resolv.conf", None::<&str>, flags, None::<&str>)
            .expect("mount a resolv.conf");
    }

    fn logs(&mut self, container: &str) -> Result<String, Refusal> {
        self.attempt(&["logs", container])
    }

    fn set_link(&mut self, place: Place<'_>, interface: &str, up: bool) {
        self.inside(place).ip(&["link", "set", "dev", interface, if up { "up" } else { "down" }]);
    }

    fn rename_link(&mut self, place: Place<'_>, interface: &str, name: &str) {
        self.inside(place).ip(&["link", "set", "dev", interface, "name", name]);
    }

    fn set_mtu(&mut self, place: Place<'_>, interface: &str, mtu: u32) {
        self.inside(place).ip(&["link", "set", "dev", interface, "mtu", &mtu.to_string()]);
    }

    fn delete_link(&mut self, place: Place<'_>, interface: &str) {
        self.inside(place).ip(&["link", "del", "dev", interface]);
    }

    fn add_address(&mut self, place: Place<'_>, interface: &str, address: IpNet) {
        self.inside(place).ip(&["address", "add", &address.to_string(), "dev", interface]);
    }

    fn add_dummy(&mut self, place: Place<'_>, name: &str, mac: MacAddr, address: Ipv4Net) {
        let inside = self.inside(place);
        // A persistent TAP that nobody opens: not every kernel has dummy interfaces.
        inside.ip(&["tuntap", "add", "dev", name, "mode", "tap"]);
        inside.ip(&["link", "set", "dev", name, "address", &mac.to_string()]);
        inside.ip(&["address", "add", &address.to_string(), "dev", name]);
        inside.ip(&["link", "set", "dev", name, "up"]);
    }

    fn ping(&mut self, from: Place<'_>, to: Ipv4Addr, size: usize) -> bool {
        self.inside(from).ping(to, size)
    }

    fn listen(&mut self, place: Place<'_>, port: u16) -> Result<Listener, NetError> {
        let listener = self.inside(place).listen(port)?;
        self.listeners.push(Some(listener));
        Ok(Listener(self.listeners.len() - 1))
    }

    fn close(&mut self, listener: Listener) {
        self.listeners[listener.0] = None;
    }

    fn connect(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16) -> Result<(), NetError> {
        self.inside(from).connect(to, port)
    }

    fn serve(&mut self, place: Place<'_>, port: u16) {
        self.inside(place).serve(port);
    }

    fn tell(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16, text: &str) -> Result<String, NetError> {
        self.inside(from).tell(to, port, text)
    }

    fn tell_by_udp(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16, text: &str) -> Option<String> {
        let told = self.inside(from).ask_within(inside::ECHO_PATIENCE, to, port, text.as_bytes())?;
        Some(String::from_utf8(told).expect("text"))
    }

    fn open(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr) -> Connection {
        let ends = inside::connection(&self.inside(from), &self.inside(to), at);
        self.connections.push(ends);
        Connection(self.connections.len() - 1)
    }

    fn write(&mut self, connection: Connection, bytes: &[u8]) {
        self.connections[connection.0].0.write_all(bytes).expect("write");
    }

    fn read(&mut self, connection: Connection, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.connections[connection.0].1.read_exact(&mut bytes).expect("it arrives");
        bytes
    }

    fn transfer(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr, length: u64) -> Transferred {
        let (from, to) = (self.inside(from), self.inside(to));
        inside::transfer(&from, &to, at, length)
    }

    fn udp(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let (from, to) = (self.inside(from), self.inside(to));
        inside::datagram(&from, &to, at, payload)
    }

    fn enable_ipv6(&mut self, place: Place<'_>, interface: &str) {
        self.inside(place).enable_ipv6(interface);
    }

    fn ipv6_addresses(&mut self, place: Place<'_>, interface: &str) -> BTreeMap<Ipv6Addr, AddressState> {
        self.inside(place).ipv6_addresses(interface)
    }

    fn ping6(&mut self, from: Place<'_>, to: Ipv6Addr, size: usize) -> bool {
        self.inside(from).ping6(to, size)
    }

    fn transfer6(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv6Addr, length: u64) -> Transferred {
        let (from, to) = (self.inside(from), self.inside(to));
        inside::transfer(&from, &to, at, length)
    }

    fn udp6(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
        let (from, to) = (self.inside(from), self.inside(to));
        inside::datagram(&from, &to, at, payload)
    }

    fn ask(&mut self, from: Place<'_>, server: Ipv4Addr, query: &[u8]) -> Option<Vec<u8>> {
        self.inside(from).ask(server, 53, query)
    }

    fn bulk(&self) -> u64 {
        BULK
    }

    fn inject(&mut self, place: Place<'_>, interface: &str, frame: &[u8]) {
        self.inside(place).inject(interface, frame);
    }

    fn inject_all(&mut self, place: Place<'_>, interface: &str, frames: &mut dyn Iterator<Item = Vec<u8>>) {
        self.inside(place).inject_all(interface, frames);
    }

    fn sniff(&mut self, place: Place<'_>, interface: &str) -> Sniffer {
        let ear = self.inside(place).sniff(interface);
        self.ears.push(ear);
        Sniffer(self.ears.len() - 1)
    }

    fn heard_until(&mut self, sniffer: Sniffer, last: &[u8]) -> Vec<Vec<u8>> {
        self.ears[sniffer.0].heard_until(last)
    }

    fn eventually(&mut self, what: &str, is_so: &mut dyn FnMut(&mut dyn Lab) -> bool) {
        let found = waited_for(|| is_so(self).then_some(()));
        assert!(found.is_some(), "waited in vain for: {what}{}", self.daemon_log());
    }

    fn finish(&mut self) {
        self.monitor = None;
        self.outside = None;
        self.up();
        assert_eq!(self.check_law(), Ok(()), "the law of the counters");
        self.down();
        self.assert_nothing_is_left();
    }
}
