//! [`Sim`]: the lab in the simulator. Time is virtual: to wait costs nothing, and two runs are the same.

mod sandboxes;
mod traffic;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use netns::event::Event;
use netns::interface::InterfaceInfo;
use netns::manager::{ConnectRequest, ContainerView, NetworkDetails, NetworkRequest, NetworkView};
use netns::network::Owner;
use netns::subnet::SubnetRequest;
use sim::net::TcpStream;
use sim::{AddressState, SocketId, World};
use switch::dataplane::BridgeStatistics;
use switch::explain::Explanation;
use switch::fdb::EntryKind;
use switch::mac::MacAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::sandboxes::key_of;
use self::traffic::{serve_connections, serve_datagrams};
use self::words::{net_error, program_of, refusal, refusal_of_run, request_of, there};
use super::{
    Bridge, Census, Connection, HOST, Lab, Listener, NetError, NetworkOrder, OUTSIDE, Order, Place, Refusal, Sniffer,
    Station, Transferred, address, sorted,
};

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something.
const A_MOMENT: Duration = Duration::from_millis(5);
/// How much a bulk transfer is, in bytes.
const BULK: u64 = 3_000_000;
/// What the host outside is called here.
const OUTSIDE_NAME: &str = "outside";

/// A simulated world.
pub struct Sim {
    world: World,
    listeners: Vec<SocketId>,
    connections: Vec<sim::Stream>,
    ears: Vec<(sim::Place, String)>,
    uplinks: usize,
    /// Events that nobody has waited for yet.
    happened: Vec<Event>,
}

impl Sim {
    /// A world with a host and no daemon.
    pub fn new() -> Self {
        Sim {
            world: World::builder().seed(1).build(),
            listeners: Vec::new(),
            connections: Vec::new(),
            ears: Vec::new(),
            uplinks: 0,
            happened: Vec::new(),
        }
    }

    /// Lets everything arrive that is on its way.
    pub fn settle(&mut self) {
        self.world.advance(Duration::from_secs(1));
    }

    /// What has come in so far.
    pub fn heard(&mut self, sniffer: Sniffer) -> Vec<Vec<u8>> {
        let (place, interface) = self.ears[sniffer.0].clone();
        self.world.sniff(&place, &interface).expect("the interface is there")
    }
}

impl Lab for Sim {
    fn host_address(&mut self, address: Ipv4Net) {
        self.uplinks += 1;
        let name = format!("uplink{}", self.uplinks);
        self.world.add_interface(&sim::Place::Host, &name, address).expect("the host takes an interface");
    }

    fn add_outside(&mut self) {
        let there = address(OUTSIDE);
        let here = address(HOST);
        let net = |ip| Ipv4Net::new(ip, 24).expect("a prefix");
        self.world.add_outside(OUTSIDE_NAME, net(there), "uplink0", net(here)).expect("there is none yet");
    }

    fn route_by_hand(&mut self, place: Place<'_>, router: Ipv4Addr) {
        self.world.set_default_route(&there(place), router).expect("the router is there");
    }

    fn forwards(&mut self) -> bool {
        self.world.forwards()
    }

    fn set_forwarding(&mut self, on: bool) {
        self.world.set_forwarding(on);
    }

    fn has_firewall(&mut self) -> bool {
        self.world.has_firewall()
    }

    fn flush_firewall(&mut self) {
        self.world.flush_firewall();
    }

    fn add_foreign_drop(&mut self) {
        self.world.add_foreign_drop("ip filter", "FORWARD");
    }

    fn up(&mut self) {
        let warnings = self.world.up().expect("the daemon starts");
        assert_eq!(warnings, Vec::<String>::new());
    }

    fn up_killed_after(&mut self, steps: u32) {
        self.world.crash_after_changes(steps);
        // It may not survive its own start.
        let _ = self.world.up();
    }

    fn up_warned(&mut self) -> Vec<String> {
        self.world.up().expect("the daemon starts")
    }

    fn spoil_records(&mut self, beginning: &str) {
        assert_ne!(self.world.spoil_records(beginning, super::SPOILT), 0, "no record begins with {beginning}");
    }

    fn saved_state(&mut self, container: &str) -> Option<String> {
        self.world.records().iter().find_map(|(_, record)| super::state_in(record, container))
    }

    fn record(&mut self, meanwhile: &mut dyn FnMut(&mut dyn Lab)) -> Vec<u8> {
        let recording = self.world.record().expect("a daemon runs");
        meanwhile(self);
        recording.bytes()
    }

    fn monitor(&mut self) {
        self.world.happened();
    }

    fn happened_until(&mut self, is_last: &dyn Fn(&Event) -> bool) -> Vec<Event> {
        let mut events: Vec<Event> = self.happened.drain(..).collect();
        self.settle();
        events.extend(self.world.happened().into_iter().map(|(_, event)| event));
        let last = events.iter().position(is_last).unwrap_or_else(|| panic!("it does not come: {events:?}"));
        self.happened = events.split_off(last + 1);
        events
    }

    fn down(&mut self) {
        self.world.down(netns::manager::STOP_GRACE).expect("all containers end");
    }

    fn kill_daemon(&mut self) {
        assert!(self.world.is_up(), "no daemon runs");
        self.world.kill_daemon();
    }

    fn reboot(&mut self) {
        self.world.reboot();
    }

    fn daemon_runs(&mut self) -> bool {
        self.world.is_up()
    }

    fn run(&mut self, order: Order) -> Result<String, Refusal> {
        let program = program_of(order.program);
        let started = self.world.run(request_of(&order), program).map_err(|error| refusal_of_run(&error))?;
        self.world.advance(Duration::ZERO);
        // So that the place is known by its name also while there is no daemon to ask.
        let _ = self.world.hostname(&sim::Place::container(started.name.to_string()));
        Ok(started.id.to_string())
    }

    fn run_warned(&mut self, order: Order) -> Vec<String> {
        let started = self.world.run(request_of(&order), program_of(order.program)).expect("nothing speaks against it");
        let _ = self.world.hostname(&sim::Place::container(started.name.to_string()));
        started.warnings
    }

    fn run_to_end(&mut self, order: Order) -> Result<i32, Refusal> {
        let program = program_of(order.program);
        let started = self.world.run(request_of(&order), program).map_err(|error| refusal_of_run(&error))?;
        let mut status = None;
        self.world.run_until(PATIENCE, |world| {
            status = world.ended().into_iter().find(|ended| ended.id == started.id).map(|ended| ended.status);
            status.is_some()
        });
        Ok(status.expect("the command ends"))
    }

    fn stop(&mut self, container: &str, grace_seconds: u64) -> Result<(), Refusal> {
        self.world.stop(container, Duration::from_secs(grace_seconds)).map(drop).map_err(|error| refusal(&error))
    }

    fn kill(&mut self, container: &str, signal: i32) -> Result<(), Refusal> {
        self.world.kill(container, signal).map(drop).map_err(|error| refusal(&error))
    }

    fn rm(&mut self, container: &str, force: bool) -> Result<(), Refusal> {
        self.world.rm(container, force).map(drop).map_err(|error| refusal(&error))
    }

    fn kill_keeper(&mut self, sandbox: &str) {
        self.world.kill_keepers(sandbox);
    }

    fn kill_shim(&mut self, container: &str) {
        self.world.kill_shim(container);
    }

    fn kill_publisher(&mut self, container: &str) {
        self.world.kill_publisher(container);
    }

    fn kill_command(&mut self, container: &str) {
        self.world.kill_command(container);
    }

    fn wait_ended(&mut self, container: &str) {
        self.eventually(&format!("the end of {container}"), &mut |lab| match lab.inspect(container) {
            Ok(view) => view.state == "exited",
            Err(refusal) => refusal.message.starts_with("no such container"),
        });
    }

    fn create_network(&mut self, order: NetworkOrder) -> Result<String, Refusal> {
        let request = NetworkRequest {
            subnet: SubnetRequest { subnet: order.subnet, gateway: order.gateway, ip_range: order.ip_range },
            internal: order.internal,
            mtu: order.mtu,
            endpoint: order.endpoint,
            ..NetworkRequest::new(order.name.parse().expect("a name"))
        };
        self.world.create_network(request).map(String::from).map_err(|error| refusal(&error))
    }

    fn remove_network(&mut self, network: &str) -> Result<(), Refusal> {
        self.world.remove_network(network).map(drop).map_err(|error| refusal(&error))
    }

    fn prune_networks(&mut self) -> Vec<String> {
        self.world.prune_networks().expect("all of them go").into_iter().map(String::from).collect()
    }

    fn inspect_network(&mut self, network: &str) -> Result<NetworkDetails, Refusal> {
        self.world.inspect_network(network).map_err(|error| refusal(&error))
    }

    fn connect_network(&mut self, network: &str, container: &str, ip: Option<Ipv4Addr>) -> Result<(), Refusal> {
        let request = ConnectRequest { ip, ..ConnectRequest::default() };
        self.world.connect_network(network, container, request).map_err(|error| refusal(&error))
    }

    fn disconnect_network(&mut self, network: &str, container: &str) -> Result<(), Refusal> {
        self.world.disconnect_network(network, container).map_err(|error| refusal(&error))
    }

    fn add_port(&mut self, bridge: &str, interface: &str) -> Result<Vec<String>, Refusal> {
        let interface = interface.parse().expect("a name");
        let added = self.world.add_port(bridge, &interface).map_err(|error| refusal(&error));
        self.world.advance(Duration::ZERO);
        added
    }

    fn remove_port(&mut self, bridge: &str, port: &str) -> Result<(), Refusal> {
        self.world.remove_port(bridge, port).map_err(|error| refusal(&error))
    }

    fn add_sandbox(&mut self, name: &str) {
        self.world.add_sandbox(name);
    }

    fn end_sandbox(&mut self, name: &str) {
        self.world.end_sandbox(name);
    }

    fn attach(&mut self, sandbox: &str, publish: &[&str]) -> Result<Ipv4Addr, String> {
        self.up();
        let attached = self.attach_guest(&key_of(sandbox), sandbox, publish);
        if attached.is_err() && self.world.is_up() {
            let _ = self.world.release_guest(Owner::Cni, &key_of(sandbox));
        }
        attached.map_err(|error| error.to_string())
    }

    fn detach(&mut self, sandbox: &str) {
        self.up();
        self.world.release_guest(Owner::Cni, &key_of(sandbox)).expect("all of it goes");
    }

    fn ps(&mut self, all: bool) -> Vec<ContainerView> {
        self.world.containers(all).expect("a daemon answers")
    }

    fn inspect(&mut self, container: &str) -> Result<ContainerView, Refusal> {
        self.world.inspect(container).map_err(|error| refusal(&error))
    }

    fn networks(&mut self) -> Vec<NetworkView> {
        self.world.networks().expect("a daemon answers")
    }

    fn bridges(&mut self) -> Vec<Bridge> {
        let networks = self.world.bridge_networks().expect("a daemon answers");
        let statistics = self.world.statistics();
        let bridge = |network: netns::network::Network| {
            let own = statistics.iter().filter(|bridge| bridge.name == network.bridge);
            let ports = own.flat_map(|bridge| &bridge.ports).filter(|port| !port.is_local);
            let interfaces = ports.map(|port| port.name.clone()).collect();
            let id = format!("8000.{}", network.mac.to_string().replace(':', ""));
            Bridge { name: network.bridge, id, interfaces }
        };
        networks.into_iter().map(bridge).collect()
    }

    fn fdb(&mut self) -> Vec<Station> {
        let rows = self.world.fdb().into_iter();
        rows.map(|row| Station { mac: row.station, port: row.name, is_permanent: row.kind == EntryKind::Static })
            .collect()
    }

    fn statistics(&mut self) -> Vec<BridgeStatistics> {
        self.world.statistics()
    }

    fn explain(&mut self, port: &str, frame: &[u8]) -> Result<Explanation<String>, Refusal> {
        let no_port = || Refusal { status: 1, message: format!("no such port: {port}") };
        self.world.explain(port, frame).ok_or_else(no_port)
    }

    fn check_law(&mut self) -> Result<(), String> {
        let ports = self.world.statistics().into_iter().flat_map(|bridge| bridge.ports);
        let broken: Vec<String> = ports
            .filter_map(|port| port.counters.check().err().map(|broken| format!("{}: {broken}", port.name)))
            .collect();
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }

    fn census(&mut self) -> Census {
        let namespaces = self.world.remains().iter().filter(|line| line.starts_with("namespace ")).count();
        let lease = |view: ContainerView| Some((view.name, view.networks.get("bridge")?.ip.addr()));
        Census {
            namespaces: namespaces + 1,
            mounts: 0,
            interfaces: sorted(self.interfaces(Place::Host).into_iter().map(|own| own.name).collect()),
            ports: sorted(self.bridges().into_iter().flat_map(|bridge| bridge.interfaces).collect()),
            leases: self.ps(true).into_iter().filter_map(lease).collect(),
        }
    }

    fn interfaces(&mut self, place: Place<'_>) -> Vec<InterfaceInfo> {
        self.world.interfaces(&there(place)).expect("the place is there")
    }

    fn ifindex(&mut self, place: Place<'_>, interface: &str) -> u32 {
        self.world.ifindex(&there(place), interface).expect("the interface is there")
    }

    fn default_route(&mut self, place: Place<'_>) -> Option<Ipv4Addr> {
        self.world.default_route(&there(place)).expect("the place is there")
    }

    fn hostname(&mut self, container: &str) -> String {
        self.world.hostname(&sim::Place::container(container)).expect("the container is there")
    }

    fn etc(&mut self, container: &str) -> [String; 3] {
        let files = self.world.files(container).expect("the container is there");
        [files.resolv_conf, files.hosts, files.hostname].map(Option::unwrap_or_default)
    }

    fn host_resolv_conf(&mut self, text: &str) {
        self.world.set_resolv_conf(text);
    }

    fn logs(&mut self, container: &str) -> Result<String, Refusal> {
        self.world.logs(container).map_err(|error| refusal(&error))
    }

    fn set_link(&mut self, place: Place<'_>, interface: &str, up: bool) {
        self.world.set_link(&there(place), interface, up).expect("the interface is there");
    }

    fn rename_link(&mut self, place: Place<'_>, interface: &str, name: &str) {
        self.world.rename_interface(&there(place), interface, name).expect("the name is free");
    }

    fn set_mtu(&mut self, place: Place<'_>, interface: &str, mtu: u32) {
        self.world.set_mtu(&there(place), interface, mtu).expect("the interface is there");
    }

    fn delete_link(&mut self, place: Place<'_>, interface: &str) {
        self.world.delete_interface(&there(place), interface).expect("the interface is there");
    }

    fn add_address(&mut self, place: Place<'_>, interface: &str, address: IpNet) {
        self.world.add_address(&there(place), interface, address).expect("the interface takes an address");
    }

    fn add_dummy(&mut self, place: Place<'_>, name: &str, _mac: MacAddr, address: Ipv4Net) {
        self.world.add_interface(&there(place), name, address).expect("the place takes an interface");
    }

    fn ping(&mut self, from: Place<'_>, to: Ipv4Addr, size: usize) -> bool {
        self.world.ping_sized(&there(from), to, size).is_ok()
    }

    fn listen(&mut self, place: Place<'_>, port: u16) -> Result<Listener, NetError> {
        let socket = self.world.listen(&there(place), Ipv4Addr::UNSPECIFIED, port).map_err(net_error)?;
        self.listeners.push(socket);
        Ok(Listener(self.listeners.len() - 1))
    }

    fn close(&mut self, listener: Listener) {
        self.world.close(self.listeners[listener.0]);
    }

    fn connect(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16) -> Result<(), NetError> {
        let stream = self.world.connect(&there(from), to, port).map_err(net_error)?;
        self.world.close(stream.client);
        self.world.close(stream.server);
        Ok(())
    }

    fn serve(&mut self, place: Place<'_>, port: u16) {
        self.world.exec(&there(place), serve_connections(port)).expect("the place is there");
        self.world.exec(&there(place), serve_datagrams(port)).expect("the place is there");
    }

    fn tell(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16, text: &str) -> Result<String, NetError> {
        let text = text.to_owned();
        let told = self.world.block_on(&there(from), async move {
            let mut stream = TcpStream::connect((to, port)).await?;
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            let mut told = String::new();
            stream.read_to_string(&mut told).await?;
            io::Result::Ok(told)
        });
        told.map_err(|why| net_error(*why.get_ref().and_then(|why| why.downcast_ref()).expect("an error of sockets")))
    }

    fn tell_by_udp(&mut self, from: Place<'_>, to: Ipv4Addr, port: u16, text: &str) -> Option<String> {
        let socket = self.world.udp_bind(&there(from), Ipv4Addr::UNSPECIFIED, 0).expect("bind");
        let to = SocketAddrV4::new(to, port);
        let sent = self.world.udp_send(socket, to, text.as_bytes());
        let told = sent.and_then(|()| self.world.udp_recv(socket, Duration::from_secs(3)));
        self.world.close(socket);
        let (from, told) = told.ok()?;
        (from == SocketAddr::from(to)).then(|| String::from_utf8(told).expect("text"))
    }

    fn open(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr) -> Connection {
        let port = 5002;
        let listener = self.world.listen(&there(to), Ipv4Addr::UNSPECIFIED, port).expect("listen");
        let stream = self.world.connect(&there(from), at, port).expect("connect");
        self.world.close(listener);
        self.connections.push(stream);
        Connection(self.connections.len() - 1)
    }

    fn write(&mut self, connection: Connection, bytes: &[u8]) {
        let taken = self.world.send(self.connections[connection.0].client, bytes);
        assert_eq!(taken, Ok(bytes.len()), "there is room for it");
    }

    fn read(&mut self, connection: Connection, length: usize) -> Vec<u8> {
        let end = self.connections[connection.0].server;
        let mut bytes = Vec::new();
        self.world.run_until(PATIENCE, |world| {
            world.receive(end, &mut bytes).expect("it is open");
            bytes.len() >= length
        });
        assert_eq!(bytes.len(), length, "it arrives, and no more");
        bytes
    }

    fn transfer(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr, length: u64) -> Transferred {
        self.transfer_to(from, to, at.into(), length)
    }

    fn udp(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        self.udp_to(from, to, at.into(), payload)
    }

    fn enable_ipv6(&mut self, place: Place<'_>, interface: &str) {
        self.world.set_ipv6(&there(place), interface, true).expect("the interface is there");
    }

    fn ipv6_addresses(&mut self, place: Place<'_>, interface: &str) -> BTreeMap<Ipv6Addr, AddressState> {
        let all = self.world.ipv6_addresses(&there(place), interface).expect("the interface is there");
        all.into_iter().map(|(net, state)| (net.addr(), state)).collect()
    }

    fn ping6(&mut self, from: Place<'_>, to: Ipv6Addr, size: usize) -> bool {
        self.world.ping_sized(&there(from), to, size).is_ok()
    }

    fn transfer6(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv6Addr, length: u64) -> Transferred {
        self.transfer_to(from, to, at.into(), length)
    }

    fn udp6(&mut self, from: Place<'_>, to: Place<'_>, at: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
        self.udp_to(from, to, at.into(), payload)
    }

    fn ask(&mut self, from: Place<'_>, server: Ipv4Addr, query: &[u8]) -> Option<Vec<u8>> {
        let socket = self.world.udp_bind(&there(from), Ipv4Addr::UNSPECIFIED, 0).expect("bind");
        let sent = self.world.udp_send(socket, SocketAddrV4::new(server, 53), query);
        let answer = sent.and_then(|()| self.world.udp_recv(socket, Duration::from_secs(5)));
        self.world.close(socket);
        answer.ok().map(|(_, answer)| answer)
    }

    fn bulk(&self) -> u64 {
        BULK
    }

    fn inject(&mut self, place: Place<'_>, interface: &str, frame: &[u8]) {
        self.world.inject(&there(place), interface, frame).expect("the interface takes the frame");
    }

    fn inject_all(&mut self, place: Place<'_>, interface: &str, frames: &mut dyn Iterator<Item = Vec<u8>>) {
        for frame in frames {
            self.inject(place, interface, &frame);
        }
    }

    fn sniff(&mut self, place: Place<'_>, interface: &str) -> Sniffer {
        // What an earlier ear has left is not for this one.
        self.world.sniff(&there(place), interface).expect("the interface is there");
        self.ears.push((there(place), interface.to_owned()));
        Sniffer(self.ears.len() - 1)
    }

    fn heard_until(&mut self, sniffer: Sniffer, last: &[u8]) -> Vec<Vec<u8>> {
        let (place, interface) = self.ears[sniffer.0].clone();
        let mut heard: Vec<Vec<u8>> = Vec::new();
        let came = self.world.run_until(PATIENCE, |world| {
            heard.extend(world.sniff(&place, &interface).expect("the interface is there"));
            heard.iter().any(|frame| frame == last)
        });
        assert!(came, "the frame {last:02x?} does not come; heard: {heard:02x?}");
        let end = heard.iter().position(|frame| frame == last).map_or(heard.len(), |at| at + 1);
        heard.truncate(end);
        heard
    }

    fn eventually(&mut self, what: &str, is_so: &mut dyn FnMut(&mut dyn Lab) -> bool) {
        let deadline = self.world.now() + PATIENCE;
        while !is_so(self) {
            assert!(self.world.now() < deadline, "waited in vain for: {what}");
            self.world.advance(A_MOMENT);
        }
    }

    fn finish(&mut self) {
        self.up();
        assert_eq!(self.check_law(), Ok(()), "the law of the counters");
        self.down();
        let is_ours = |line: &&String| line.starts_with("namespace ") || line.starts_with("port ");
        let remains = self.world.remains();
        let left: Vec<&String> = remains.iter().filter(is_ours).collect();
        assert!(left.is_empty(), "this is left: {left:?}");
        let interfaces = self.interfaces(Place::Host);
        assert!(interfaces.iter().all(|own| !own.name.starts_with("pontoon")), "interfaces are left: {interfaces:?}");
    }
}
