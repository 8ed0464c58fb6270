//! [`Borrowed`]: an interface of the host that is a port of a bridge of ours until it is given back; and [`Unfit`], what
//! speaks against borrowing one.
//!
//! * It is known by its identity, whatever it is called: a name may be another's by tomorrow.
//! * While it is borrowed the host does not hear what comes in by it. Else it is as it was: addresses, routes, MAC, MTU.
//! * It outlives the daemon, as a container does. It does not outlive the life of the machine, nor `pontoon down`.

use serde::{Deserialize, Serialize};

use crate::firewall::quote;
use crate::name::Id;
use crate::record::container_of;

/// One interface that is borrowed, or about to be. The record is the journal: its phase is saved before it is acted upon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// Which interface: see [`crate::backend::HostInterface::identity`].
    pub identity: String,
    /// What it is called, and so its port.
    pub name: String,
    /// The network whose bridge it is a port of.
    pub network: Id,
    /// In which life of the machine it was borrowed.
    pub boot: String,
    /// How far that has come.
    pub phase: BorrowedPhase,
}

/// How far borrowing an interface has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BorrowedPhase {
    /// It is being taken. Found later: nobody has been told that it is a port, so it is given back.
    Taking,
    /// It is a port. Found later: it is taken again.
    Held,
    /// It is being given back. Found later: finish.
    Returning,
}

/// Why an interface can not be a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It leads nowhere but to the host itself.
    #[error("it is the loopback interface")]
    Loopback,
    /// It is for packets without an Ethernet header: a tunnel, most often.
    #[error("it carries no Ethernet frames")]
    NotEthernet,
    /// The kernel gives what comes in by it to another interface: a bridge, a bond, a VRF.
    #[error("it belongs to {0} already")]
    HasMaster(String),
    /// It is a port of ours.
    #[error("it is a port of {0} already")]
    IsPort(String),
    /// It is the host's interface in a network, or the host's end of a container's.
    #[error("it is one of Pontoon's own")]
    IsOurs,
    /// Another instance on this host has it.
    #[error("another instance of Pontoon has it")]
    IsOthers,
    /// Without it the host is cut off.
    #[error("the host's default route leads out of it")]
    HasDefaultRoute,
    /// Its name is what a container's port is called.
    #[error("the ports of containers are called so")]
    NamedAsContainers,
    /// Its name can not be said in a firewall rule.
    #[error("no firewall rule can name it")]
    Unspeakable,
}

impl Unfit {
    /// What speaks against a name, whichever interface has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        if container_of(name).is_some() {
            Some(Unfit::NamedAsContainers)
        } else {
            quote(name).is_err().then_some(Unfit::Unspeakable)
        }
    }

    /// What the user may do about it, for an interface of this name.
    #[must_use]
    pub fn hint(&self, name: &str) -> Option<String> {
        match self {
            Unfit::HasMaster(_) => Some(format!("`ip link set dev {name} nomaster` takes it off")),
            Unfit::IsPort(bridge) => Some(format!("`pontoon port del {bridge} {name}` gives it back")),
            Unfit::HasDefaultRoute => Some(format!(
                "the host would hear nothing from its router any more: let the route lead elsewhere first (`ip route show default dev {name}`)"
            )),
            Unfit::NamedAsContainers | Unfit::Unspeakable => {
                Some("`ip link set dev NAME name OTHER` gives it another name".into())
            }
            Unfit::Loopback | Unfit::NotEthernet => Some(
                "`ip link add NAME type veth peer name OTHER` makes two Ethernet interfaces, joined by a cable".into(),
            ),
            Unfit::IsOurs | Unfit::IsOthers => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_containers_port_may_have_is_none_for_a_borrowed_interface() {
        for taken in ["web.eth0", "a.b.eth15", "web.eth007"] {
            assert_eq!(Unfit::of_name(taken), Some(Unfit::NamedAsContainers), "{taken}");
        }
        for free in ["eth0", ".eth0", "web.eth", "web.ethx", "eth0.100", "web_eth0", "-x.eth0"] {
            assert_eq!(Unfit::of_name(free), None, "{free}");
        }
        for unspeakable in ["a\"b", "veth*"] {
            assert_eq!(Unfit::of_name(unspeakable), Some(Unfit::Unspeakable), "{unspeakable}");
        }
    }
}
