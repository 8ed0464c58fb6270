//! [`CniOrder`]: what the plugin `pontoon-cni` asks of the daemon, for a runtime of containers.
//!
//! A failure's exit status is the specification's code of it where there is one (see [`crate::Failure`]).

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use netns::ifname::IfName;
use netns::name::Name;
use netns::publish::PortMapping;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CniOrder {
    /// Make an interface in a network namespace, and the network if there is none of the name. Answer: [`CniAttached`]. If it can not
    /// be told the interface goes again.
    Add(Box<CniAdd>),
    /// Is it there as it was made? Answer: [`CniAttached`].
    Check {
        /// The network's name.
        network: Name,
        /// What of.
        key: String,
        /// The ports that are to be published.
        publish: Vec<PortMapping>,
    },
    /// Take it away, if it is there. Answer: nothing.
    Del {
        /// What.
        key: String,
    },
    /// Take all of a network's interfaces away but these. Answer: an array of the keys of those that went.
    Gc {
        /// The network's name.
        network: Name,
        /// The keys of those that stay.
        spared: Vec<String>,
    },
    /// Could an interface be made on the network? Answer: nothing.
    Status(CniNetwork),
}

/// A network as a configuration has it: what is not said may be anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniNetwork {
    /// Its name.
    pub name: Name,
    /// Its subnet.
    pub subnet: Option<Ipv4Net>,
    /// The host's address in it.
    pub gateway: Option<Ipv4Addr>,
    /// The MTU of its interfaces.
    pub mtu: Option<u32>,
    /// Whether no way leads out of it.
    pub internal: bool,
}

/// An interface to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniAdd {
    /// On which network.
    pub network: CniNetwork,
    /// The container's id, as the runtime has it.
    pub container: String,
    /// What the interface is called in it.
    pub ifname: IfName,
    /// A file that stands for its network namespace.
    pub netns: PathBuf,
    /// What people call the container.
    pub name: Option<Name>,
    /// The address that it asks for.
    pub ip: Option<Ipv4Addr>,
    /// The MAC that it asks for.
    pub mac: Option<MacAddr>,
    /// The first and the last address that it may have, if it asks for none.
    pub pool: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Further names on the network.
    pub aliases: Vec<Name>,
    /// Its ports that are reached by ports of the host.
    pub publish: Vec<PortMapping>,
    /// Its routes; the default route without it.
    pub routes: Option<Vec<CniRoute>>,
}

/// A route in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniRoute {
    /// Where to.
    pub to: Ipv4Net,
    /// By whom; by the network's gateway without it.
    pub by: Option<Ipv4Addr>,
}

/// An interface that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniAttached {
    /// Its address, with the length of the subnet's prefix.
    pub ip: Ipv4Net,
    /// Its MAC.
    pub mac: MacAddr,
    /// In bytes.
    pub mtu: u32,
    /// The host's address on the network.
    pub gateway: Ipv4Addr,
    /// Whether no way leads out of the network.
    pub internal: bool,
    /// Who answers for names on the network, if somebody does.
    pub nameserver: Option<Ipv4Addr>,
}

impl CniNetwork {
    /// One of which nothing but the name is known.
    #[must_use]
    pub fn new(name: Name) -> Self {
        CniNetwork { name, subnet: None, gateway: None, mtu: None, internal: false }
    }
}

impl CniAdd {
    /// The plainest request: any address of the network, and the default route.
    #[must_use]
    pub fn new(network: CniNetwork, container: &str, ifname: IfName, netns: impl Into<PathBuf>) -> Self {
        CniAdd {
            network,
            container: container.to_owned(),
            ifname,
            netns: netns.into(),
            name: None,
            ip: None,
            mac: None,
            pool: None,
            aliases: Vec::new(),
            publish: Vec::new(),
            routes: None,
        }
    }

    /// What the interface is known by.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.container, self.ifname.as_str())
    }
}
