//! [`Record`]: what is known of one container, and how far its life has come. The record is the journal.
//!
//! The manager saves the record with the phase it is about to enter *before* it acts. A daemon that finds a record knows
//! from its phase what may have been done, and either carries on or undoes it: see [`crate::manager`].

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::guest::Guest;
use crate::lease::Lease;
use crate::mode::NetworkMode;
use crate::name::{Id, Name};
use crate::network::{EndpointKind, Owner};
use crate::publish::PortMapping;

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Name,
    /// In which life of the machine it was made.
    pub boot: String,
    /// What `--network` said.
    pub mode: NetworkMode,
    /// Whether it is on the network `none`, and therefore on no other.
    pub is_in_none: bool,
    /// The container whose namespace it shares, in mode `container:`.
    pub shares: Option<Id>,
    /// Its interfaces on bridge networks, in the order in which it came to them.
    pub endpoints: Vec<Endpoint>,
    /// Whether its interfaces take super-frames (not so with `--no-offload`).
    pub offload: bool,
    /// Its host name, if it has one of its own.
    pub hostname: Option<String>,
    /// Its ports that are reached by ports of the host.
    pub published: Vec<PortMapping>,
    /// The name servers that it asked for.
    pub dns: Vec<Ipv4Addr>,
    /// The command and its arguments, to be shown.
    pub command: Vec<String>,
    /// Whether it was started with `-d`: then its record, its log and its status outlive it until `rm`.
    pub detached: bool,
    /// Whether it was started with `--rm`.
    pub auto_remove: bool,
    /// What there is to know of it if it is another engine's: then it has no command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Its number in the order in which containers were made.
    pub sequence: u64,
    /// How far it has come.
    pub phase: Phase,
}

/// An interface of a container on a bridge network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: Id,
    /// What the interface is called inside: `eth0`, `eth1` and so on.
    pub ifname: String,
    /// What it is configured with.
    pub lease: Lease,
    /// What joins it to the switch.
    pub kind: EndpointKind,
    /// Further names of the container on this network.
    pub aliases: Vec<String>,
    /// How far it has come.
    pub phase: EndpointPhase,
}

/// How far an endpoint has come. Saved before what it stands for is done, as [`Phase`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointPhase {
    /// The interface is about to be made in a container that runs. Found later: undo.
    Joining,
    /// The interface is there, or comes with its container.
    Joined,
    /// The interface is about to be deleted. Found later: finish.
    Leaving,
}

/// How far a container's life has come. Each phase is saved before what it stands for is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Phase {
    /// Of a guest: the address is leased, and there is no interface. Found later: it stays so, until the machine starts anew.
    Reserved,
    /// The address is leased; namespaces and interface are about to be made. Found later: undo.
    Creating,
    /// Namespaces and interface are there; the command is about to be started. Found later: undo, unless it runs.
    Starting {
        /// The shim.
        pid: u32,
    },
    /// The command runs. Found later: take it over, or note its end.
    Running {
        /// The command's process.
        pid: u32,
    },
    /// It was told to stop. Found later: end it.
    Stopping {
        /// The command's process.
        pid: u32,
    },
    /// It has ended; its lease is free. Found later: nothing to do.
    Exited {
        /// Its exit status; 128+N if signal N ended it.
        status: i32,
        /// When, in seconds since 1970.
        at: u64,
    },
    /// Its log and record are about to go. Found later: finish.
    Removing,
}

impl Record {
    /// Whether it holds its lease and its name: from the first step of its start to the moment of its end.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.phase {
            Phase::Reserved
            | Phase::Creating
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. } => true,
            Phase::Exited { .. } | Phase::Removing => false,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.guest.as_ref().map_or(Owner::User, |guest| guest.engine)
    }

    /// Whether it may have interfaces: it lives, and is more than a reservation.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_live() && self.phase != Phase::Reserved
    }

    /// The process that stands for it, while there is one: the command's, as soon as it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.phase {
            Phase::Starting { pid } | Phase::Running { pid } | Phase::Stopping { pid } => Some(pid),
            Phase::Reserved | Phase::Creating | Phase::Exited { .. } | Phase::Removing => None,
        }
    }

    /// Whether nothing of it is to stay when it ends.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.auto_remove || !self.detached
    }

    /// Its interface on a network.
    #[must_use]
    pub fn endpoint(&self, network: &Id) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.network == *network)
    }

    /// A name that none of its interfaces has: `eth0`, or the first that is free.
    #[must_use]
    pub fn free_ifname(&self) -> String {
        let is_free = |name: &String| !self.endpoints.iter().any(|endpoint| endpoint.ifname == *name);
        (0..=MAX_ENDPOINTS).map(|number| format!("eth{number}")).find(is_free).unwrap_or_default()
    }

    /// What people call one of its interfaces: the only one of a guest as its engine does, if that is known.
    pub(crate) fn shown<'a>(&'a self, ifname: &'a str) -> &'a str {
        self.guest.as_ref().and_then(|guest| guest.ifname.as_deref()).unwrap_or(ifname)
    }

    /// The name of the port of one of its interfaces on the switch.
    #[must_use]
    pub fn port_name(&self, ifname: &str) -> String {
        format!("{}.{}", self.name, self.shown(ifname))
    }
}

/// The container whose port is called so, `web` of `web.eth0`; `None` if no container's is. (An interface of the host can be no
/// port under such a name.)
#[must_use]
pub fn container_of(port: &str) -> Option<&str> {
    let (container, number) = port.rsplit_once(".eth")?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && container.parse::<Name>().is_ok()).then_some(container)
}

/// How many networks a container may be on: their descriptors go in one message.
pub const MAX_ENDPOINTS: usize = 15;
