//! The kernel's bridge: each port is one end of a veth pair, and what leaves by it is read at the other end by a packet
//! socket; the host is a packet socket on the bridge's own interface.
//!
//! When has all that a frame becomes come out? A veth end queues what it is sent, on the CPU that sends, and the bridge
//! takes it from there; so does the far end with each copy. That queue is one for all interfaces of a CPU, first in, first
//! out. So this thread stays on one CPU, and sends a frame over a pair of its own, the bell, twice: when the first has
//! arrived the bridge has taken its frame, when the second has arrived, each copy of it is in the socket that it is for.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use netlink_packet_route::neighbour::NeighbourState;
use nix::mount::{MsFlags, mount};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, CpuSet, sched_getcpu, sched_setaffinity, unshare};
use nix::unistd::Pid;
use switch::buffer::{Buffer, Pool};
use switch::link::packet::PacketPort;
use switch::link::{Link as _, Transmit};
use switch::mac::MacAddr;
use switch::vlan::{Retag, VlanId};
use switch::vnet::VnetHeader;

use super::neighbours::{Entry, Neighbours};
use super::plan::{BRIDGE, HOST, MTU, PORTS, address_of_port, mtu_of};
use super::{Behind, Bridge, Copies, Stations, all_ports};
use crate::scene::waited_for;
use crate::sys;

/// One bridge of the kernel, its ports, and what is at their far ends.
pub(super) struct Kernel {
    name: String,
    index: u32,
    /// The host and the far end of each port.
    ends: BTreeMap<u16, PacketPort>,
    /// Port by index of its interface.
    ports: BTreeMap<u32, u16>,
    bell: [PacketPort; 2],
    pool: Pool,
    neighbours: Neighbours,
}

/// Makes the network namespace and the mounts of this thread a bridge's own, and the thread one CPU's.
pub(super) fn enter() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing).unwrap();
    for which in ["all", "default"] {
        // (Where there is no IPv6 at all there is nothing to switch off.)
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
    }
    let mut here = CpuSet::new();
    here.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &here).unwrap();
}

impl Kernel {
    /// Bridge `br` and this number, in the namespace of this thread, with all ports.
    pub(super) fn whole(number: usize) -> Self {
        Kernel::new(number, &{ PORTS }.collect::<Vec<_>>(), BRIDGE)
    }

    /// Bridge `br` and this number, in the namespace of this thread, with these ports and this address.
    pub(super) fn new(number: usize, ports: &[u16], address: MacAddr) -> Self {
        let name = format!("br{number}");
        batch(&links(number, ports, address));
        let index = if_nametoindex(name.as_str()).unwrap();
        let host = PacketPort::open(&name).unwrap();
        // A promiscuous host would be given every frame.
        sys::end_promiscuity(&host.try_clone_fd().unwrap(), index);
        let far_end = |port: &u16| (*port, PacketPort::open(&format!("s{number}.{port}")).unwrap());
        let near_end = |port: &u16| (if_nametoindex(format!("p{number}.{port}").as_str()).unwrap(), *port);
        let mut kernel = Kernel {
            name,
            index,
            ends: ports.iter().map(far_end).chain([(HOST, host)]).collect(),
            ports: ports.iter().map(near_end).chain([(index, HOST)]).collect(),
            bell: ["bell", "ear"].map(|end| PacketPort::open(&format!("{end}{number}")).unwrap()),
            pool: Pool::new(2),
            neighbours: Neighbours::open(),
        };
        waited_for(|| kernel.is_ready().then_some(()));
        kernel.ring();
        kernel
    }

    /// As it was at first.
    pub(super) fn reset(&mut self) {
        self.flush();
        self.age_slowly();
        for fixed in self.entries().iter().filter(|entry| entry.state == NeighbourState::Noarp) {
            self.neighbours.clear(fixed);
        }
        assert_eq!(self.stations().into_values().filter(|behind| !matches!(behind, Behind::Fixed(HOST))).count(), 0);
    }

    /// As `bridge fdb add ... static` does it: without `sticky`.
    pub(super) fn fix_loosely(&mut self, vlan: VlanId, station: MacAddr, port: u16) {
        self.neighbours.fix(vlan, station, self.interface(port), false);
    }

    /// Sets the ageing time of all entries.
    pub(super) fn set_ageing(&mut self, ageing: Duration) {
        // In hundredths of a second: what user space calls a tick.
        self.write("bridge/ageing_time", &(ageing.as_millis() / 10).to_string());
    }

    /// Whether every entry that has expired is gone. (One that is there is still used.)
    pub(super) fn is_swept(&mut self) -> bool {
        self.entries().iter().all(|entry| entry.state != NeighbourState::Stale)
    }

    fn write(&self, file: &str, value: &str) {
        fs::write(format!("/sys/class/net/{}/{file}", self.name), value).unwrap();
    }

    /// Whether every interface has its carrier, and every port forwards.
    fn is_ready(&self) -> bool {
        const FORWARDING: &str = "3";
        let number = &self.name["br".len()..];
        let says = |file: String, what| fs::read_to_string(format!("/sys/class/net/{file}")).unwrap().trim() == what;
        let forwards = |port: &u16| *port == HOST || says(format!("p{number}.{port}/brport/state"), FORWARDING);
        says(format!("br{number}/carrier"), "1")
            && says(format!("bell{number}/carrier"), "1")
            && self.ports.values().all(forwards)
    }

    fn interface(&self, port: u16) -> u32 {
        self.ports.iter().find(|(_, it)| **it == port).map(|(index, _)| *index).unwrap()
    }

    /// But the addresses of the ports.
    fn entries(&mut self) -> Vec<Entry> {
        let mut entries = self.neighbours.of_bridge(self.index);
        entries.retain(|entry| all_ports().all(|port| entry.station != address_of_port(port)));
        entries
    }

    fn ring(&mut self) {
        let [bell, ear] = &mut self.bell;
        let sound = Arc::new(Buffer::holding(&[0xff; 14], VnetHeader::default()));
        for _ in 0..2 {
            assert_eq!(bell.transmit(&sound, Retag::Keep), Transmit::Sent);
            // (All but always it is there at once.)
            let heard = take(ear, &mut self.pool);
            let heard = if heard.is_empty() { waited_for(|| some(take(ear, &mut self.pool))) } else { heard };
            assert_eq!(heard.len(), 1, "one frame over the bell's pair");
        }
    }
}

impl Bridge for Kernel {
    fn send(&mut self, port: u16, frame: &[u8]) -> Copies {
        let frame = Arc::new(Buffer::holding(frame, VnetHeader::default()));
        assert_eq!(self.ends.get_mut(&port).unwrap().transmit(&frame, Retag::Keep), Transmit::Sent, "into port {port}");
        self.ring();
        let mut copies = Copies::new();
        for (port, end) in &mut self.ends {
            copies.extend(take(end, &mut self.pool).into_iter().map(|frame| (*port, frame)));
        }
        copies
    }

    fn flush_port(&mut self, port: u16) {
        let number = &self.name["br".len()..];
        fs::write(format!("/sys/class/net/p{number}.{port}/brport/flush"), "1").unwrap();
    }

    fn flush(&mut self) {
        self.write("bridge/flush", "1");
    }

    /// The kernel looks for what has expired a moment after it is told.
    fn age_at_once(&mut self) {
        self.set_ageing(Duration::ZERO);
        if !self.is_swept() {
            waited_for(|| self.is_swept().then_some(()));
        }
    }

    fn age_slowly(&mut self) {
        self.set_ageing(Duration::from_secs(300));
    }

    fn fix(&mut self, vlan: VlanId, station: MacAddr, port: u16) {
        self.neighbours.fix(vlan, station, self.interface(port), true);
    }

    fn stations(&mut self) -> Stations {
        let known = self.entries().into_iter().filter_map(|entry| {
            let port = self.ports[&entry.interface];
            let behind = match entry.state {
                NeighbourState::Reachable => Behind::Heard(port),
                NeighbourState::Noarp | NeighbourState::Permanent => Behind::Fixed(port),
                NeighbourState::Stale => return None,
                other => panic!("an entry in state {other:?}"),
            };
            Some(((entry.vlan, entry.station), behind))
        });
        known.collect()
    }
}

/// The frames that wait at one end.
fn take(end: &mut PacketPort, pool: &mut Pool) -> Vec<Vec<u8>> {
    let mut shared = Vec::new();
    let mut frames = Vec::new();
    loop {
        end.receive(pool, &mut shared, 1);
        let Some(frame) = shared.pop() else { return frames };
        frames.push(frame.frame().to_vec());
        pool.give(frame);
    }
}

fn some<T>(several: Vec<T>) -> Option<Vec<T>> {
    (!several.is_empty()).then_some(several)
}

/// What `ip` is told to make a bridge and its ports.
fn links(number: usize, ports: &[u16], address: MacAddr) -> Vec<String> {
    let (bridge, bell, ear) = (format!("br{number}"), format!("bell{number}"), format!("ear{number}"));
    let mut lines = vec![
        format!("link add {bridge} address {address} type bridge stp_state 0 mcast_snooping 0 vlan_default_pvid 0"),
        format!("link add {bell} type veth peer name {ear}"),
    ];
    for port in ports {
        let (near, far, mtu) = (format!("p{number}.{port}"), format!("s{number}.{port}"), mtu_of(*port));
        let address = address_of_port(*port);
        lines.push(format!("link add {near} mtu {mtu} address {address} type veth peer name {far} mtu {MTU}"));
        lines.push(format!("link set {near} master {bridge} up"));
        lines.push(format!("link set {far} up"));
    }
    lines.extend([bridge, bell, ear].map(|name| format!("link set {name} up")));
    lines
}

/// Runs `ip` with one line for each thing to do.
fn batch(lines: &[String]) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let status = ip.wait().unwrap();
    assert!(status.success(), "ip: {status}, of {lines:#?}");
}
