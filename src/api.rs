//! What a client and the daemon say to each other over the control socket: one request, its answer, and for a foreground
//! `run` the news of its end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netns::linux::Process;
use netns::mode::NetworkMode;
use netns::name::Name;
use netns::network::{EndpointKind, Network};
use netns::publish::PortMapping;
use serde::{Deserialize, Serialize};
use switch::dataplane::{BridgeStatistics, FdbRow};
use switch::fdb::EntryKind;
use switch::mac::MacAddr;
use switch::vlan::VlanId;

use crate::failure::Failure;

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Are you there? A daemon that has answered this does not end before the client has gone.
    Hello,
    /// The same from who is about to ask for a container, or for the daemon to stay: not answered while `down` is under way.
    Enter,
    /// Who are you? Answer: [`Status`].
    Status,
    /// Do not end by yourself any more.
    Stay,
    /// End all containers, then yourself. Answer: nothing, once all are gone.
    Down,
    /// Run a container. Answer: [`Running`]; then, in the foreground, `Ended` when it has ended. With file descriptors
    /// for a foreground container: stdin, stdout, stderr, and the attach channel.
    Run(Box<RunOrder>),
    /// The container that this names, for `exec`. Answer: its id, if it is running.
    Locate(String),
    /// Answer: the container's view, once it has ended.
    Stop {
        /// Which.
        container: String,
        /// Seconds that it has.
        grace: u64,
    },
    /// Send a signal.
    Kill {
        /// To which.
        container: String,
        /// Its number.
        signal: i32,
    },
    /// Forget.
    Remove {
        /// Which.
        container: String,
        /// Even if it runs.
        force: bool,
    },
    /// Answer: an array of container views.
    Containers {
        /// The ended ones, too.
        all: bool,
    },
    /// Answer: a container view.
    Inspect(String),
    /// Answer: where the log is.
    Log(String),
    /// Answer: an array of network views.
    Networks,
    /// Make a network. Answer: its id.
    CreateNetwork(Box<NetworkOrder>),
    /// Remove a network.
    RemoveNetwork(String),
    /// Remove all networks that nobody is on. Answer: an array of their names.
    PruneNetworks,
    /// Answer: all that is known of a network.
    InspectNetwork(String),
    /// Give a container an interface on a further network.
    Connect {
        /// The network.
        network: String,
        /// The container.
        container: String,
        /// The address it asks for.
        ip: Option<Ipv4Addr>,
        /// The MAC it asks for.
        mac: Option<MacAddr>,
        /// Further names on that network.
        aliases: Vec<String>,
    },
    /// Take a container off a network.
    Disconnect {
        /// The network.
        network: String,
        /// The container.
        container: String,
    },
    /// Answer: an array of bridges' statistics.
    Statistics,
    /// Answer: an array of [`Bridge`].
    Bridges,
    /// Answer: an array of [`Station`].
    Stations,
}

/// What `run` asks.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunOrder {
    pub name: Option<Name>,
    pub network: NetworkMode,
    pub ip: Option<Ipv4Addr>,
    pub mac: Option<MacAddr>,
    pub mtu: Option<u32>,
    pub hostname: Option<String>,
    pub aliases: Vec<String>,
    pub publish: Vec<PortMapping>,
    pub dns: Vec<Ipv4Addr>,
    pub offload: bool,
    pub detach: bool,
    pub auto_remove: bool,
    pub process: Process,
}

/// What `network create` asks.
#[derive(Debug, Serialize, Deserialize)]
pub struct NetworkOrder {
    pub name: Name,
    pub subnet: Option<Ipv4Net>,
    pub gateway: Option<Ipv4Addr>,
    pub ip_range: Option<Ipv4Net>,
    pub internal: bool,
    pub mtu: Option<u32>,
    pub labels: BTreeMap<String, String>,
    pub endpoint: EndpointKind,
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done; what was asked for.
    Done(serde_json::Value),
    /// It is not done.
    Failed(Failure),
    /// A foreground container has ended, and everything that it held is free.
    Ended,
}

/// A container that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the user is to know.
    pub warnings: Vec<String>,
}

/// The daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The bridges.
    pub bridges: Vec<String>,
    /// How many containers run.
    pub running: usize,
    /// How many containers there are, the ended ones included.
    pub containers: usize,
    /// Whether it ends by itself after the last container.
    pub ends_by_itself: bool,
    /// Where its socket is.
    pub runtime_dir: String,
    /// Where its records are.
    pub state_dir: String,
}

/// A bridge, as `show` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Its id: `8000.` and its MAC without colons.
    pub id: String,
    /// Always false: there is no spanning tree.
    pub stp_enabled: bool,
    /// Its ports, the host's own aside.
    pub interfaces: Vec<String>,
}

impl Bridge {
    /// The bridge of a network, with the ports that the statistics know.
    #[must_use]
    pub fn new(network: &Network, statistics: &[BridgeStatistics]) -> Self {
        let ports = statistics.iter().filter(|bridge| bridge.name == network.bridge).flat_map(|bridge| &bridge.ports);
        Bridge {
            name: network.bridge.clone(),
            id: format!("8000.{}", network.mac.to_string().replace(':', "")),
            stp_enabled: false,
            interfaces: ports.filter(|port| !port.is_local).map(|port| port.name.clone()).collect(),
        }
    }
}

/// An entry of the FDB, with the keys of `bridge -j fdb show`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Station {
    /// The station.
    pub mac: String,
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
    /// Seconds since it was last heard; 0 for one that does not age.
    pub age: u64,
}

impl Station {
    /// An entry of the FDB.
    #[must_use]
    pub fn new(row: FdbRow) -> Self {
        Station {
            mac: row.station.to_string(),
            ifname: row.name,
            vlan: (row.vlan != VlanId::NONE).then_some(row.vlan.get()),
            master: row.bridge,
            flags: if row.kind == EntryKind::Sticky { vec!["sticky".to_owned()] } else { Vec::new() },
            state: match row.kind {
                EntryKind::Static if row.is_local => "permanent".to_owned(),
                EntryKind::Static => "static".to_owned(),
                EntryKind::Dynamic | EntryKind::Sticky => String::new(),
            },
            age: row.age,
        }
    }
}
