//! What the daemon, the shim, its helpers and the clients of a container say to each other, over [`super::wire`].

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use switch::mac::MacAddr;

use super::failure::Failure;
use super::process::{NotStarted, Process};
use super::text::OsText;
use crate::guest::Place;
use crate::network::EndpointKind;

/// The hidden first arguments with which the program executes itself.
pub(super) const SHIM: &str = "__shim";
pub(super) const INIT: &str = "__init";
pub(super) const EXEC: &str = "__exec";
pub(super) const PUBLISH: &str = "__publish";

/// To the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(super) enum Request {
    /// Make the namespaces. From the creator, first. Descriptor: a pidfd of the shim whose network namespace is to be joined,
    /// if it is [`NetworkNamespace::Joined`].
    Create(Plan),
    /// Make an interface, or configure the one of this name that was put into the namespace. Descriptor: the TAP of the
    /// bridge's gateway, to be kept alive, if there is one.
    AddInterface(InterfacePlan),
    /// Be the keeper of an interface of a guest that is there. Descriptors: its TAP, and that of the bridge's gateway, if there is one.
    Keep(InterfacePlan),
    /// Delete an interface; nothing if it is not there.
    RemoveInterface { name: String },
    /// Send what has no other way out of this interface, by this router; or nowhere.
    DefaultRoute { route: Option<(String, Ipv4Addr)> },
    /// Start the command. From the creator, second. Descriptors: stdin, stdout, stderr and, if `attached`, the attach channel.
    Start { process: Process, attached: bool },
    /// I am the new daemon.
    Attach,
    /// Another container is about to join your network namespace.
    Share,
    /// Send a signal to the command.
    Signal { signal: i32 },
    /// End every process.
    Kill,
    /// Start another process inside. Descriptors: stdin, stdout, stderr, attach channel.
    Exec { process: Process },
}

/// From the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(super) enum Reply {
    Created,
    /// Descriptor: the TAP, if it is one.
    Added,
    /// The interface is gone, or the route is set.
    Changed,
    /// The step asked for failed.
    Failed {
        failure: Failure,
    },
    /// The command runs, as this process of the host's. Descriptor: a pidfd of the container's init.
    Started {
        command: Option<u32>,
    },
    /// The command does not run.
    NotStarted {
        why: NotStarted,
    },
    /// To the new daemon. Descriptors: those that are said to be there, in this order.
    Attached {
        /// Init's pidfd, which means that the command was started.
        init: bool,
        /// The command's process, as the host numbers it, if it still runs.
        command: Option<u32>,
        /// The interfaces, by name; for each, whether it is a TAP, whose descriptor is here.
        interfaces: Vec<(String, bool)>,
        /// The bridges whose gateways' TAPs are here.
        gateways: Vec<String>,
    },
    /// The command has ended with this status, and no process of the container is left. Its interface goes before the shim
    /// does; before this is said, if the namespace was ever shared.
    Ended {
        status: i32,
    },
}

/// What a container is to be made of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) namespace: NetworkNamespace,
    pub(super) hostname: Option<String>,
    /// Where its one interface goes, if it is nothing but the keeper of that.
    #[serde(default)]
    pub(super) place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NetworkNamespace {
    New,
    Host,
    Joined,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InterfacePlan {
    pub(super) name: String,
    pub(super) kind: EndpointKind,
    pub(super) ip: Ipv4Net,
    pub(super) mac: MacAddr,
    pub(super) mtu: u32,
    /// Where the default route goes, if it goes by this interface.
    pub(super) default_route: Option<Ipv4Addr>,
    pub(super) offload: bool,
    /// Whether everybody on its network is told whose address this is now.
    pub(super) announces: bool,
    /// The bridge that it belongs to.
    pub(super) bridge: String,
}

/// From a container to whoever is attached to one of its commands.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    Started,
    NotStarted { why: NotStarted },
    Exited { status: i32 },
}

/// From whoever is attached.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(super) enum Order {
    Signal { signal: i32 },
}

/// From the shim to init. Descriptors: stdin, stdout, stderr.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InitOrder {
    pub(super) process: Process,
    /// Whether a fresh sysfs is needed, since the network namespace is not the one that the mounted sysfs shows.
    pub(super) own_sysfs: bool,
    /// The directory of the files that are to be seen in place of the host's in `/etc`, if there is one.
    pub(super) etc: Option<OsText>,
}

/// From init to the shim. Descriptors, if started: a pidfd of the command, and what changes of `/etc` are told by, if they are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum InitReport {
    Started,
    NotStarted { why: NotStarted },
}

/// To the trampoline. Descriptors: stdin, stdout, stderr and, if `enter`, a pidfd of the init whose mounts are to be seen.
/// The trampoline answers [`NotStarted`], or by closing the channel: its exec succeeded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Leap {
    pub(super) process: Process,
    pub(super) enter: bool,
}
