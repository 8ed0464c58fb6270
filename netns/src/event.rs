//! [`Event`]: what happens on switches and to containers, with the names that people use. JSON keys, once published, stay.
//!
//! A switch tells of numbers; a [`Narrator`] knows what they are called.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switch::dataplane::{BridgeId, Change};
use switch::fdb::{EntryKind, FdbEvent};
use switch::mac::MacAddr;
use switch::verdict::PortId;
use switch::vlan::VlanId;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A station was heard for the first time, or again after its entry had aged.
    Learned(Entry),
    /// A station was heard behind another port than before.
    Moved {
        /// Where it is now.
        #[serde(flatten)]
        entry: Entry,
        /// The port that it was behind.
        from: String,
    },
    /// An entry was made by hand.
    Set(Entry),
    /// A station was silent for too long.
    Aged(Entry),
    /// An entry was taken away: by hand, by a flush, or with its port.
    Evicted(Entry),
    /// There is a port.
    PortUp(Port),
    /// A port is no more.
    PortDown(Port),
    /// A port is called something else: its container got another name.
    PortRenamed {
        /// What it is now.
        #[serde(flatten)]
        port: Port,
        /// What it was called.
        from: String,
    },
    /// A container was made; its command does not run yet.
    ContainerCreated(Container),
    /// A container's command runs.
    ContainerStarted(Container),
    /// A container has ended.
    ContainerExited {
        /// Which.
        #[serde(flatten)]
        container: Container,
        /// The exit status of its command.
        exit_status: i32,
    },
    /// A container is listed no more.
    ContainerRemoved(Container),
    /// There is a network.
    NetworkCreated(Network),
    /// A network is no more.
    NetworkRemoved(Network),
    /// A container that runs has come to a further network.
    Connected(Membership),
    /// A container that runs has left a network.
    Disconnected(Membership),
    /// More has happened here than could be told.
    Lost {
        /// How many events are missing.
        count: u64,
    },
}

/// An entry of an FDB, with the keys of `bridge -j fdb show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The station.
    pub mac: MacAddr,
    /// The port that it is behind.
    pub ifname: String,
    /// The VLAN, where the bridge looks at VLANs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The bridge.
    pub master: String,
    /// Nothing, or `sticky`.
    pub flags: Vec<String>,
    /// Empty for a learned one, `static`, or `permanent` for the bridge's own.
    pub state: String,
}

/// A port of a switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub ifindex: u16,
    /// What people call it.
    pub ifname: String,
    /// The bridge.
    pub master: String,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub container: String,
    /// Its id, 64 digits.
    pub id: String,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub network: String,
    /// Its id, 64 digits.
    pub id: String,
    /// Its bridge.
    pub bridge: String,
}

/// A container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The network's name.
    pub network: String,
    /// The container's name.
    pub container: String,
    /// The container's id, 64 digits.
    pub id: String,
}

/// Tells of changes in the words of people.
#[derive(Clone, Debug, Default)]
pub struct Narrator {
    bridges: BTreeMap<BridgeId, String>,
    ports: BTreeMap<PortId, (BridgeId, String, bool)>,
}

impl Narrator {
    /// One who knows what is there.
    #[must_use]
    pub fn new(there: Vec<Change>) -> Self {
        let mut it = Narrator::default();
        for change in there {
            it.tell(change);
        }
        it
    }

    /// What a change is, if it is anything that people are told.
    pub fn tell(&mut self, change: Change) -> Option<Event> {
        match change {
            Change::BridgeUp { bridge, name } => {
                self.bridges.insert(bridge, name);
                None
            }
            Change::BridgeDown { bridge } => {
                self.bridges.remove(&bridge);
                None
            }
            Change::PortUp { bridge, port, name, is_local } => {
                self.ports.insert(port, (bridge, name, is_local));
                Some(Event::PortUp(self.port(bridge, port)))
            }
            Change::PortDown { bridge, port } => {
                let gone = self.port(bridge, port);
                self.ports.remove(&port);
                Some(Event::PortDown(gone))
            }
            Change::PortRenamed { bridge, port, name, from } => {
                if let Some((_, known, _)) = self.ports.get_mut(&port) {
                    *known = name;
                }
                Some(Event::PortRenamed { port: self.port(bridge, port), from })
            }
            Change::Fdb { bridge, event } => Some(self.tell_of_a_station(bridge, event)),
            Change::Lost { count } => Some(Event::Lost { count }),
        }
    }

    /// The end of a port, from its number alone.
    pub fn tell_of_the_end(&mut self, port: PortId) -> Option<Event> {
        let bridge = self.ports.get(&port)?.0;
        self.tell(Change::PortDown { bridge, port })
    }

    /// Another name of a port, from its number and that name alone.
    pub fn tell_of_a_name(&mut self, port: PortId, name: String) -> Option<Event> {
        let (bridge, from, _) = self.ports.get(&port)?;
        let (bridge, from) = (*bridge, from.clone());
        self.tell(Change::PortRenamed { bridge, port, name, from })
    }

    /// The ends of all ports of a bridge that goes.
    pub fn tell_of_all_ends(&mut self, bridge: BridgeId) -> Vec<Event> {
        let ports = self.ports.iter().filter(|(_, (of, _, _))| *of == bridge).map(|(port, _)| *port);
        let ports: Vec<PortId> = ports.collect();
        ports.into_iter().filter_map(|port| self.tell_of_the_end(port)).collect()
    }

    fn tell_of_a_station(&self, bridge: BridgeId, event: FdbEvent) -> Event {
        let learned = |vlan, station, port| self.entry(bridge, vlan, station, port, EntryKind::Dynamic);
        match event {
            FdbEvent::Learned { vlan, station, port } => Event::Learned(learned(vlan, station, port)),
            FdbEvent::Moved { vlan, station, from, to } => {
                Event::Moved { entry: learned(vlan, station, to), from: self.port_name(from) }
            }
            FdbEvent::Set { vlan, station, port, kind } => Event::Set(self.entry(bridge, vlan, station, port, kind)),
            FdbEvent::Expired { vlan, station, port } => Event::Aged(learned(vlan, station, port)),
            FdbEvent::Evicted { vlan, station, port } => Event::Evicted(learned(vlan, station, port)),
        }
    }

    fn entry(&self, bridge: BridgeId, vlan: VlanId, mac: MacAddr, port: PortId, kind: EntryKind) -> Entry {
        let is_local = self.ports.get(&port).is_some_and(|(_, _, is_local)| *is_local);
        let state = match kind {
            EntryKind::Static if is_local => "permanent",
            EntryKind::Static => "static",
            EntryKind::Dynamic | EntryKind::Sticky => "",
        };
        Entry {
            mac,
            ifname: self.port_name(port),
            vlan: (vlan != VlanId::NONE).then_some(vlan.get()),
            master: self.bridge_name(bridge),
            flags: if kind == EntryKind::Sticky { vec!["sticky".to_owned()] } else { Vec::new() },
            state: state.to_owned(),
        }
    }

    fn port(&self, bridge: BridgeId, port: PortId) -> Port {
        Port { ifindex: port.0, ifname: self.port_name(port), master: self.bridge_name(bridge) }
    }

    fn port_name(&self, port: PortId) -> String {
        self.ports.get(&port).map_or_else(|| format!("port {}", port.0), |(_, name, _)| name.clone())
    }

    fn bridge_name(&self, bridge: BridgeId) -> String {
        self.bridges.get(&bridge).cloned().unwrap_or_else(|| format!("bridge {}", bridge.0))
    }
}
