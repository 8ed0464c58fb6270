//! [`Lab`]: what a user does and sees, in either world. A scenario knows nothing else.
//!
//! * A [`Place`] is where one looks from: the host, or a container by its name.
//! * What is waited for has a deadline that bounds how long a failure may hang; nothing is asserted about time.
//! * A verb that can not be carried out although it must panics with what was said; what a user may be refused is a
//!   [`Refusal`], the same text in both worlds.

pub mod linux;
pub mod sim;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ::sim::AddressState;
use ipnet::{IpNet, Ipv4Net};
use netns::event::Event;
use netns::interface::InterfaceInfo;
use netns::manager::{ContainerView, NetworkDetails, NetworkView};
use netns::network::EndpointKind;
use switch::counters::PortCounters;
use switch::dataplane::BridgeStatistics;
use switch::explain::Explanation;
use switch::mac::MacAddr;

/// The address of the host outside.
pub const OUTSIDE: &str = "10.200.0.2";
/// The host's address on the network between them.
pub const HOST: &str = "10.200.0.1";
/// The network of sandboxes, and its subnet.
pub const PODS: (&str, &str) = ("pods", "10.88.0.0/24");
/// What is no record.
pub const SPOILT: &str = "{ \"id\": tru";

/// Where one looks from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The host.
    Host,
    /// A container, by name.
    In(&'a str),
    /// The host outside: see [`Lab::add_outside`].
    Outside,
    /// A sandbox of another engine, by name: see [`Lab::add_sandbox`].
    Sandbox(&'a str),
}

/// What `run` is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    pub name: Option<String>,
    pub network: String,
    pub ip: Option<Ipv4Addr>,
    pub mac: Option<MacAddr>,
    pub mtu: Option<u32>,
    pub hostname: Option<String>,
    pub dns: Vec<Ipv4Addr>,
    pub aliases: Vec<String>,
    pub publish: Vec<String>,
    pub offload: bool,
    pub detach: bool,
    pub rm: bool,
    pub program: Program,
}

/// What runs in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Does nothing until it is asked to end.
    Sleep,
    /// Ends at once with this status.
    Exit(u8),
    /// Does nothing, even when it is asked to end.
    IgnoreTerm,
    /// Ends itself by a signal.
    KillSelf(i32),
    /// Is not there.
    NotFound,
    /// Is a file that is no program.
    NotExecutable,
    /// Writes this line and ends.
    Print(&'static str),
}

impl Order {
    /// A detached container of this name on the default network, which sleeps.
    pub fn new(name: &str) -> Self {
        Order { name: Some(name.to_owned()), ..Order::nameless() }
    }

    /// The same without a name.
    pub fn nameless() -> Self {
        Order {
            name: None,
            network: "bridge".to_owned(),
            ip: None,
            mac: None,
            mtu: None,
            hostname: None,
            dns: Vec::new(),
            aliases: Vec::new(),
            publish: Vec::new(),
            offload: true,
            detach: true,
            rm: false,
            program: Program::Sleep,
        }
    }

    pub fn network(mut self, mode: &str) -> Self {
        self.network = mode.to_owned();
        self
    }

    pub fn ip(mut self, ip: &str) -> Self {
        self.ip = Some(address(ip));
        self
    }

    pub fn mac(mut self, mac: &str) -> Self {
        self.mac = Some(station(mac));
        self
    }

    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    pub fn hostname(mut self, hostname: &str) -> Self {
        self.hostname = Some(hostname.to_owned());
        self
    }

    pub fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }

    pub fn publish(mut self, port: &str) -> Self {
        self.publish.push(port.to_owned());
        self
    }

    pub fn dns(mut self, server: &str) -> Self {
        self.dns.push(address(server));
        self
    }

    pub fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    pub fn foreground(mut self) -> Self {
        self.detach = false;
        self
    }

    pub fn rm(mut self) -> Self {
        self.rm = true;
        self
    }

    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }
}

/// What `network create` is asked for.
#[derive(Clone, Debug, Default)]
pub struct NetworkOrder {
    pub name: String,
    pub subnet: Option<Ipv4Net>,
    pub gateway: Option<Ipv4Addr>,
    pub ip_range: Option<Ipv4Net>,
    pub internal: bool,
    pub mtu: Option<u32>,
    pub endpoint: EndpointKind,
}

impl NetworkOrder {
    /// A plain network of this name.
    pub fn new(name: &str) -> Self {
        NetworkOrder { name: name.to_owned(), ..NetworkOrder::default() }
    }

    pub fn subnet(mut self, subnet: &str) -> Self {
        self.subnet = Some(subnet.parse().unwrap_or_else(|why| panic!("{subnet}: {why}")));
        self
    }

    pub fn gateway(mut self, gateway: &str) -> Self {
        self.gateway = Some(address(gateway));
        self
    }

    pub fn ip_range(mut self, range: &str) -> Self {
        self.ip_range = Some(range.parse().unwrap_or_else(|why| panic!("{range}: {why}")));
        self
    }

    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }
}

/// What a user is told when something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The exit status.
    pub status: i32,
    /// What failed, and why; without the hint.
    pub message: String,
}

/// A bridge, as `show` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    pub name: String,
    pub id: String,
    pub interfaces: Vec<String>,
}

/// A line of `bridge fdb show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    pub mac: MacAddr,
    pub port: String,
    pub is_permanent: bool,
}

/// Why a network call of a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// The port is taken here.
    AddressInUse,
    /// Nobody listens there.
    Refused,
    /// No answer.
    TimedOut,
    /// There is no way there.
    Unreachable,
    /// The other side has broken it off.
    Reset,
}

/// A listening socket, for as long as the lab or [`Lab::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener(pub usize);

/// An open TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection(pub usize);

/// An open ear on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sniffer(pub usize);

/// What a bulk transfer was, at its two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// SHA-256 of what was sent.
    pub sent: String,
    /// SHA-256 of what arrived.
    pub received: String,
    /// How many bytes arrived.
    pub length: u64,
}

/// What there is in the world besides records: to be the same before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Network namespaces, the host's included.
    pub namespaces: usize,
    /// Mounts that the host sees.
    pub mounts: usize,
    /// The host's interfaces.
    pub interfaces: Vec<String>,
    /// Ports of the bridge, by name.
    pub ports: Vec<String>,
    /// Addresses that are leased, by container.
    pub leases: BTreeMap<String, Ipv4Addr>,
}

/// A world with one host in it.
pub trait Lab {
    /// Gives the host an address, before its daemon starts.
    fn host_address(&mut self, address: Ipv4Net);
    /// Adds a host outside, with the address [`OUTSIDE`], on a cable to a new interface `uplink0` of the host, which has the
    /// address [`HOST`] there.
    fn add_outside(&mut self);
    /// Sends what has no other way by this router, whatever was said before.
    fn route_by_hand(&mut self, place: Place<'_>, router: Ipv4Addr);
    /// Whether the host forwards.
    fn forwards(&mut self) -> bool;
    fn set_forwarding(&mut self, on: bool);
    /// Whether there are rules of ours in the host's firewall.
    fn has_firewall(&mut self) -> bool;
    /// Takes all rules out of it.
    fn flush_firewall(&mut self);
    /// Puts a chain FORWARD into the table `ip filter` that drops all, as Docker does.
    fn add_foreign_drop(&mut self);

    /// Starts a daemon that stays, if none runs; takes over what an earlier one left.
    fn up(&mut self);
    /// The same, with a daemon that is killed in its `steps`-th step: before or after each change of a record on Linux, in the
    /// simulator after any change at all. It may well not survive its own start.
    fn up_killed_after(&mut self, steps: u32);
    /// Starts a daemon that has something to say about what it finds; returns its warnings.
    fn up_warned(&mut self) -> Vec<String>;
    /// Overwrites, while no daemon runs, every saved record whose name begins so with what is none.
    fn spoil_records(&mut self, beginning: &str);
    /// What state the saved record of a container says that it is in.
    fn saved_state(&mut self, container: &str) -> Option<String>;
    /// Records all that comes to the data plane meanwhile (`capture --all -w FILE`); the file.
    fn record(&mut self, meanwhile: &mut dyn FnMut(&mut dyn Lab)) -> Vec<u8>;
    /// From now on, hears of what happens (`bridge monitor`).
    fn monitor(&mut self);
    /// What has happened since, up to and with the first event that `is_last`, which is waited for.
    fn happened_until(&mut self, is_last: &dyn Fn(&Event) -> bool) -> Vec<Event>;
    /// Ends all containers and the daemon.
    fn down(&mut self);
    /// `kill -9` of the daemon.
    fn kill_daemon(&mut self);
    /// The machine is started anew: every process is gone, and what does not outlive that.
    fn reboot(&mut self);
    /// Whether a daemon answers.
    fn daemon_runs(&mut self) -> bool;

    /// Runs a container; returns its id once it runs. One in the foreground is waited for by somebody in the background.
    fn run(&mut self, order: Order) -> Result<String, Refusal>;
    /// Runs a detached container that nothing speaks against; what its user is warned of.
    fn run_warned(&mut self, order: Order) -> Vec<String>;
    /// Runs a container in the foreground to its end; returns its exit status.
    fn run_to_end(&mut self, order: Order) -> Result<i32, Refusal>;
    fn stop(&mut self, container: &str, grace_seconds: u64) -> Result<(), Refusal>;
    fn kill(&mut self, container: &str, signal: i32) -> Result<(), Refusal>;
    fn rm(&mut self, container: &str, force: bool) -> Result<(), Refusal>;
    /// `kill -9` of the process that stands for a container.
    fn kill_shim(&mut self, container: &str);
    /// `kill -9` of the keeper of a sandbox's interface.
    fn kill_keeper(&mut self, sandbox: &str);
    /// `kill -9` of the process that passes published ports on to a container, until the daemon has seen it.
    fn kill_publisher(&mut self, container: &str);
    /// `kill -9` of the command in a container, from outside.
    fn kill_command(&mut self, container: &str);
    /// Waits until a container has ended, as the daemon sees it.
    fn wait_ended(&mut self, container: &str);

    /// `network create`; returns its id.
    fn create_network(&mut self, order: NetworkOrder) -> Result<String, Refusal>;
    fn remove_network(&mut self, network: &str) -> Result<(), Refusal>;
    /// `network prune`; the names of those that went.
    fn prune_networks(&mut self) -> Vec<String>;
    fn inspect_network(&mut self, network: &str) -> Result<NetworkDetails, Refusal>;
    /// `network connect`, perhaps with an address.
    fn connect_network(&mut self, network: &str, container: &str, ip: Option<Ipv4Addr>) -> Result<(), Refusal>;
    fn disconnect_network(&mut self, network: &str, container: &str) -> Result<(), Refusal>;

    /// `port add`; what the user is warned of.
    fn add_port(&mut self, bridge: &str, interface: &str) -> Result<Vec<String>, Refusal>;
    /// `port del`.
    fn remove_port(&mut self, bridge: &str, port: &str) -> Result<(), Refusal>;

    /// A runtime of containers makes a sandbox: a network namespace with `lo`.
    fn add_sandbox(&mut self, name: &str);
    /// A sandbox ends, and what is in it.
    fn end_sandbox(&mut self, name: &str);
    /// Attaches a sandbox by `eth0` to the network [`PODS`], as its runtime asks with CNI's ADD, with ports of the host; its address, or
    /// what was said instead. Starts a daemon if none runs.
    fn attach(&mut self, sandbox: &str, publish: &[&str]) -> Result<Ipv4Addr, String>;
    /// Takes it off, with CNI's DEL.
    fn detach(&mut self, sandbox: &str);

    fn ps(&mut self, all: bool) -> Vec<ContainerView>;
    fn inspect(&mut self, container: &str) -> Result<ContainerView, Refusal>;
    fn networks(&mut self) -> Vec<NetworkView>;
    fn bridges(&mut self) -> Vec<Bridge>;
    fn fdb(&mut self) -> Vec<Station>;
    fn statistics(&mut self) -> Vec<BridgeStatistics>;
    /// What would become of a frame that came in by a port.
    fn explain(&mut self, port: &str, frame: &[u8]) -> Result<Explanation<String>, Refusal>;
    /// `stats --check`: for each port, rx = forwarded + flooded + local + drops; what is wrong, if not.
    fn check_law(&mut self) -> Result<(), String>;
    fn census(&mut self) -> Census;

    fn interfaces(&mut self, place: Place<'_>) -> Vec<InterfaceInfo>;
    /// The number of an interface, which a new one never has again.
    fn ifindex(&mut self, place: Place<'_>, interface: &str) -> u32;
    fn default_route(&mut self, place: Place<'_>) -> Option<Ipv4Addr>;
    fn hostname(&mut self, container: &str) -> String;
    /// What a container reads in /etc/resolv.conf, /etc/hosts and /etc/hostname.
    fn etc(&mut self, container: &str) -> [String; 3];
    /// Gives the host a /etc/resolv.conf.
    fn host_resolv_conf(&mut self, text: &str);
    /// What a detached container has written.
    fn logs(&mut self, container: &str) -> Result<String, Refusal>;
    fn set_link(&mut self, place: Place<'_>, interface: &str, up: bool);
    /// Gives an interface that is switched off another name.
    fn rename_link(&mut self, place: Place<'_>, interface: &str, name: &str);
    fn set_mtu(&mut self, place: Place<'_>, interface: &str, mtu: u32);
    fn delete_link(&mut self, place: Place<'_>, interface: &str);
    /// Configures an interface by hand.
    fn add_address(&mut self, place: Place<'_>, interface: &str, address: IpNet);
    /// Switches IPv6 on at an interface, which has none: `sysctl net.ipv6.conf.IF.disable_ipv6=0`.
    fn enable_ipv6(&mut self, place: Place<'_>, interface: &str);
    /// The IPv6 addresses of an interface, and what has become of them, in order.
    fn ipv6_addresses(&mut self, place: Place<'_>, interface: &str) -> BTreeMap<Ipv6Addr, AddressState>;
    /// Makes an interface by hand that leads nowhere, switched on, with an address.
    fn add_dummy(&mut self, place: Place<'_>, name: &str, mac: MacAddr, address: Ipv4Net);
    /// Sends one echo request with a payload of so many bytes; whether the answer came.
    fn ping(&mut self, from: Place<'_>, to: Ipv4Addr, size: usize) -> bool;
    fn listen(&mut self, place: Place<'_>, port: u16) -> Result<Listener, NetError>;
    fn close(&mut self, listener: Listener);
    /// Connects, and closes at once.
    fn connect(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16) -> Result<(), NetError>;
    /// Serves a port from now on, by TCP and UDP: whoever says TEXT, in a whole connection or a datagram, hears `TEXT from
    /// ADDRESS`, the address that it seems to have.
    fn serve(&mut self, place: Place<'_>, port: u16);
    /// Says something to such a server by TCP, and that this is all; what is heard until that is all.
    fn tell(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16, text: &str) -> Result<String, NetError>;
    /// The same by UDP; nothing if no answer comes from where it was sent to.
    fn tell_by_udp(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16, text: &str) -> Option<String>;
    /// Opens a TCP connection to a listener made for it.
    fn open(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr) -> Connection;
    /// Writes into a connection, at the end that opened it.
    fn write(&mut self, connection: Connection, bytes: &[u8]);
    /// Reads so many bytes at its other end.
    fn read(&mut self, connection: Connection, length: usize) -> Vec<u8>;
    /// Sends bytes by TCP to a listener made for it.
    fn transfer(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr, length: u64) -> Transferred;
    /// Sends one datagram to a socket made for it; what arrived.
    fn udp(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr, payload: &[u8]) -> Vec<u8>;
    /// An echo request by IPv6, and whether its answer came back whole.
    fn ping6(&mut self, from: Place<'_>, to: Ipv6Addr, size: usize) -> bool;
    /// [`Lab::transfer`] by IPv6.
    fn transfer6(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv6Addr, length: u64) -> Transferred;
    /// [`Lab::udp`] by IPv6.
    fn udp6(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv6Addr, payload: &[u8]) -> Vec<u8>;
    /// Sends a question to port 53 of a server; its answer.
    fn ask(&mut self, from: Place<'_>, server: Ipv4Addr, query: &[u8]) -> Option<Vec<u8>>;
    /// How long a bulk transfer is in this world.
    fn bulk(&self) -> u64;

    /// Sends a frame as it is out of an interface.
    fn inject(&mut self, place: Place<'_>, interface: &str, frame: &[u8]);
    /// The same with many, one after the other, as fast as it goes. Some may be lost where they are sent.
    fn inject_all(&mut self, place: Place<'_>, interface: &str, frames: &mut dyn Iterator<Item = Vec<u8>>);
    /// From now on, hears what comes in by an interface.
    fn sniff(&mut self, place: Place<'_>, interface: &str) -> Sniffer;
    /// What has come in, up to and with the frame `last`, which is waited for.
    fn heard_until(&mut self, sniffer: Sniffer, last: &[u8]) -> Vec<Vec<u8>>;

    /// Asks again and again until the answer is yes.
    ///
    /// # Panics
    /// If it is still no at the deadline; `what` was waited for.
    fn eventually(&mut self, what: &str, is_so: &mut dyn FnMut(&mut dyn Lab) -> bool);
    /// The end: everything goes, and nothing is left.
    fn finish(&mut self);
}

/// Runs containers of these names on the default network.
pub fn run_all(lab: &mut dyn Lab, names: &[&str]) {
    for name in names {
        run(lab, Order::new(name));
    }
}

/// Runs a container that nothing speaks against.
pub fn run(lab: &mut dyn Lab, order: Order) -> String {
    let what = format!("{order:?}");
    lab.run(order).unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"))
}

/// The state in a saved record, if it is that of this container.
pub fn state_in(record: &str, container: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(record).ok()?;
    let state = record["phase"]["state"].as_str()?.to_owned();
    (record["name"] == container).then_some(state)
}

/// The interface of this name.
pub fn interface(lab: &mut dyn Lab, place: Place<'_>, name: &str) -> InterfaceInfo {
    let all = lab.interfaces(place);
    let found = all.iter().find(|own| own.name == name).cloned();
    found.unwrap_or_else(|| panic!("no {name} at {place:?}: {all:?}"))
}

/// Makes a network that nothing speaks against.
pub fn create(lab: &mut dyn Lab, order: NetworkOrder) -> String {
    let what = format!("{order:?}");
    lab.create_network(order).unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"))
}

/// The address of a container on the default network.
pub fn ip_of(lab: &mut dyn Lab, container: &str) -> Ipv4Addr {
    network_of(lab, container).ip.addr()
}

/// The address of a container on a network.
pub fn ip_on(lab: &mut dyn Lab, container: &str, network: &str) -> Ipv4Addr {
    let view = inspect(lab, container);
    let interface = view.networks.get(network).unwrap_or_else(|| panic!("{container} is not on {network}: {view:?}"));
    interface.ip.addr()
}

/// The MAC of a container on the default network.
pub fn mac_of(lab: &mut dyn Lab, container: &str) -> MacAddr {
    network_of(lab, container).mac
}

fn network_of(lab: &mut dyn Lab, container: &str) -> netns::manager::InterfaceView {
    let view = inspect(lab, container);
    view.networks.get("bridge").cloned().unwrap_or_else(|| panic!("{container} is on no bridge: {view:?}"))
}

/// What is known of a container that is listed.
pub fn inspect(lab: &mut dyn Lab, container: &str) -> ContainerView {
    lab.inspect(container).unwrap_or_else(|refusal| panic!("inspect {container}: {refusal:?}"))
}

/// The names that `ps` shows, in alphabetical order.
pub fn names(lab: &mut dyn Lab, all: bool) -> Vec<String> {
    let mut names: Vec<String> = lab.ps(all).into_iter().map(|view| view.name).collect();
    names.sort();
    names
}

/// The ports of a bridge by name: a daemon that takes over numbers them in an order of its own.
pub fn sorted(mut ports: Vec<String>) -> Vec<String> {
    ports.sort();
    ports
}

/// The bridge's ports.
pub fn ports(lab: &mut dyn Lab) -> Vec<String> {
    lab.bridges().into_iter().flat_map(|bridge| bridge.interfaces).collect()
}

/// What the switch has counted for a port that is there.
pub fn counters(lab: &mut dyn Lab, port: &str) -> PortCounters {
    let all = lab.statistics().into_iter().flat_map(|bridge| bridge.ports);
    let found = all.into_iter().find(|counted| counted.name == port);
    found.unwrap_or_else(|| panic!("no port {port}")).counters
}

/// Each reaches each, by address.
pub fn assert_all_reach_each_other(lab: &mut dyn Lab, containers: &[&str]) {
    for from in containers {
        for to in containers.iter().filter(|to| *to != from) {
            let address = ip_of(lab, to);
            assert!(lab.ping(Place::In(from), address, 56), "{from} does not reach {to} at {address}");
        }
    }
}

pub fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

pub fn prefix(text: &str) -> Ipv4Net {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

pub fn station(text: &str) -> MacAddr {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}
