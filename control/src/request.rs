//! [`Request`]: what a client asks of the daemon. What a field may be is in [`crate::bounds`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netns::ifname::IfName;
use netns::linux::Process;
use netns::manager::{NetworkRequest, RunRequest};
use netns::mode::NetworkMode;
use netns::name::Name;
use netns::network::EndpointKind;
use netns::publish::PortMapping;
use netns::subnet::SubnetRequest;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;

use crate::cni::CniOrder;
use crate::frame_bytes::FrameBytes;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Are you there? A daemon that has answered this does not end before the client has gone.
    Hello,
    /// The same from who is about to ask for a container, or for the daemon to stay: not answered while `down` is under way.
    Enter,
    /// Who are you? Answer: [`Status`](crate::Status).
    Status,
    /// Do not end by yourself any more.
    Stay,
    /// End all containers, then yourself. Answer: nothing, once all are gone.
    Down,
    /// Run a container. Answer: [`Running`](crate::Running); then, in the foreground, `Ended` when it has ended. With file descriptors
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
    /// Answer: an array of [`Shown`](crate::Shown).
    Containers {
        /// The ended ones, too.
        all: bool,
    },
    /// Answer: [`Shown`](crate::Shown).
    Inspect(String),
    /// Answer: where the log is.
    Log(String),
    /// Answer: an array of network views.
    Networks,
    /// Make a network. Answer: its id.
    CreateNetwork(Box<NetworkOrder>),
    /// Remove a network.
    RemoveNetwork {
        /// Its name or id.
        network: String,
        /// Also one of another engine, which has forgotten it.
        force: bool,
    },
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
        aliases: Vec<Name>,
    },
    /// Take a container off a network.
    Disconnect {
        /// The network.
        network: String,
        /// The container.
        container: String,
    },
    /// Make an interface of the host a port of a bridge.
    AddPort {
        /// The bridge.
        bridge: String,
        /// The interface.
        interface: IfName,
    },
    /// Take such a port away, and give its interface back.
    RemovePort {
        /// The bridge.
        bridge: String,
        /// The port.
        port: String,
    },
    /// Answer: an array of bridges' statistics.
    Statistics,
    /// Answer: an array of [`Bridge`](crate::Bridge).
    Bridges,
    /// Answer: an array of [`Station`](crate::Station).
    Stations,
    /// Tell of what happens. Answer: nothing, once no event is missed any more; then one [`Told`](crate::Told) after the other.
    Monitor,
    /// What would become of a frame. Answer: an [`Explanation`](switch::explain::Explanation), its ports by name.
    Explain {
        /// The port that it comes in by.
        port: String,
        /// The frame.
        frame: FrameBytes,
    },
    /// Write what the data plane does to the descriptor that comes with it. Answer: [`Capturing`](crate::Capturing), then, when the client
    /// has closed its side for writing or there is a reason to end, [`Captured`](crate::Captured). With `last` only that.
    Capture(Box<CaptureOrder>),
    /// What a runtime of containers asks by way of the plugin `pontoon-cni`.
    Cni(CniOrder),
}

/// What `run` asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrder {
    /// `--name`.
    pub name: Option<Name>,
    /// `--network`.
    pub network: NetworkMode,
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--mac-address`.
    pub mac: Option<MacAddr>,
    /// `--mtu`.
    pub mtu: Option<u32>,
    /// `-h`.
    pub hostname: Option<String>,
    /// `--network-alias`.
    pub aliases: Vec<Name>,
    /// `-p`.
    pub publish: Vec<PortMapping>,
    /// `--dns`.
    pub dns: Vec<Ipv4Addr>,
    /// Not `--no-offload`.
    pub offload: bool,
    /// `-d`.
    pub detach: bool,
    /// `--rm`.
    pub auto_remove: bool,
    /// The command.
    pub process: Process,
}

impl RunOrder {
    /// What the manager is asked for, and what is to be executed then.
    #[must_use]
    pub fn into_parts(self) -> (RunRequest, Process) {
        let request = RunRequest {
            name: self.name,
            mode: self.network,
            ip: self.ip,
            mac: self.mac,
            mtu: self.mtu,
            hostname: self.hostname,
            aliases: self.aliases.into_iter().map(String::from).collect(),
            publish: self.publish,
            dns: self.dns,
            offload: self.offload,
            detached: self.detach,
            auto_remove: self.auto_remove,
            command: self.process.argv.iter().map(ToString::to_string).collect(),
        };
        (request, self.process)
    }
}

/// What `network create` asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOrder {
    /// Its name.
    pub name: Name,
    /// `--subnet`.
    pub subnet: Option<Ipv4Net>,
    /// `--gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// `--ip-range`.
    pub ip_range: Option<Ipv4Net>,
    /// `--internal`.
    pub internal: bool,
    /// `--mtu`.
    pub mtu: Option<u32>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `-o endpoint=…`.
    pub endpoint: EndpointKind,
}

impl From<NetworkOrder> for NetworkRequest {
    fn from(order: NetworkOrder) -> Self {
        let NetworkOrder { name, subnet, gateway, ip_range, internal, mtu, labels, endpoint } = order;
        NetworkRequest {
            name,
            subnet: SubnetRequest { subnet, gateway, ip_range },
            internal,
            mtu,
            labels,
            endpoint,
            owner: netns::network::Owner::User,
            id: None,
            bridge: None,
        }
    }
}

/// What `capture` asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureOrder {
    /// The ports, by their names; none: all.
    pub ports: Vec<String>,
    /// What a frame must be like.
    pub filter: Option<String>,
    /// Only what was dropped.
    pub drops: bool,
    /// How many bytes of a frame are kept; 0: all.
    pub snaplen: u32,
    /// After how many frames it ends.
    pub count: Option<u64>,
    /// What the flight recorder has, instead of what comes.
    pub last: bool,
}
