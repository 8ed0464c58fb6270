//! [`Guest`]: an interface of ours in a sandbox that another engine has made: a Docker endpoint, an attachment of CNI.
//!
//! In the manager it is a container without a command: it has the same [`crate::record::Record`], and with it a lease, ports and
//! recovery. What runs it is the engine's; ours is a keeper, which holds the interface while there is no daemon. One record
//! stands for one endpoint: a container of Docker's on two networks is two guests.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;

use crate::lease::Lease;
use crate::name::{Id, MAX_NAME, Name};
use crate::network::Owner;
use crate::publish::PortMapping;

/// What is known of a guest besides what is known of every container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Whose it is.
    pub engine: Owner,
    /// What the engine calls the endpoint, which no other of its endpoints is called: Docker's EndpointID, or `CONTAINERID/IFNAME`
    /// of CNI.
    pub key: String,
    /// What the engine calls the container, once that is known.
    pub named: Option<String>,
    /// What the engine calls the sandbox, if that is known.
    pub sandbox: Option<String>,
    /// Where its interface is, from the moment in which it is about to be made until it is gone.
    pub place: Option<Place>,
    /// What the engine calls the interface that it has taken from the host, once that is seen.
    #[serde(default)]
    pub ifname: Option<String>,
    /// Whether nothing of it is to stay once its interface is gone. Found later: finish.
    pub is_leaving: bool,
}

/// Where the interface of a guest is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "in")]
pub enum Place {
    /// On the host, switched off and with its MAC and MTU only: the engine takes it where it wants it, and does the rest.
    Host {
        /// What it is called there.
        ifname: String,
    },
    /// In a namespace that is there, with all that it needs.
    Inside {
        /// A file that stands for the namespace, such as `/run/netns/NAME`.
        netns: String,
        /// What the interface is called inside.
        ifname: String,
        /// Its routes, besides that to its own subnet.
        routes: Vec<Route>,
    },
}

/// A route by a guest's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads; `0.0.0.0/0` is the default route.
    pub to: Ipv4Net,
    /// The router; none for what is reached on the link itself.
    pub via: Option<Ipv4Addr>,
}

impl Place {
    /// What the interface is taken to be called inside until that is seen. Docker calls the first one of a container so, and does not say.
    #[must_use]
    pub fn ifname(&self) -> &str {
        match self {
            Place::Host { .. } => FIRST_INTERFACE,
            Place::Inside { ifname, .. } => ifname,
        }
    }
}

/// What the first interface of a container is called.
pub(crate) const FIRST_INTERFACE: &str = "eth0";

/// What an engine asks for when it makes an endpoint.
#[derive(Clone, Debug)]
pub struct GuestRequest {
    /// Who asks.
    pub engine: Owner,
    /// [`Guest::key`].
    pub key: String,
    /// On which network: its name or id.
    pub network: String,
    /// The address that it must have.
    pub ip: Option<Ipv4Addr>,
    /// The MAC that it must have.
    pub mac: Option<MacAddr>,
    /// Its MTU, if not the network's.
    pub mtu: Option<u32>,
    /// Further names of the container on this network.
    pub aliases: Vec<String>,
    /// Its ports that are reached by ports of the host, once it is open.
    pub published: Vec<PortMapping>,
    /// The container's host name, if it is known.
    pub hostname: Option<String>,
    /// [`Guest::sandbox`].
    pub sandbox: Option<String>,
    /// [`Guest::named`].
    pub named: Option<String>,
}

impl GuestRequest {
    /// The plainest request: any address of the network.
    #[must_use]
    pub fn new(engine: Owner, key: &str, network: &str) -> Self {
        GuestRequest {
            engine,
            key: key.to_owned(),
            network: network.to_owned(),
            ip: None,
            mac: None,
            mtu: None,
            aliases: Vec::new(),
            published: Vec::new(),
            hostname: None,
            sandbox: None,
            named: None,
        }
    }
}

/// A guest, as its engine's face and `doctor` see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestView {
    /// Its id among our containers.
    pub id: Id,
    /// Its name among our containers.
    pub name: Name,
    /// Whose it is.
    pub engine: Owner,
    /// [`Guest::key`].
    pub key: String,
    /// [`Guest::named`].
    pub named: Option<String>,
    /// [`Guest::sandbox`].
    pub sandbox: Option<String>,
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: Id,
    /// What its interface is configured with.
    pub lease: Lease,
    /// Whether no way leads out of the network: then there is no default route.
    pub internal: bool,
    /// Where its interface is; none if it has none.
    pub place: Option<Place>,
    /// [`Guest::ifname`].
    pub ifname: Option<String>,
    /// The name of its port on the switch, if it has one.
    pub port: Option<String>,
    /// Its published ports.
    pub published: Vec<PortMapping>,
}

impl GuestView {
    /// Whether it is known what its interface is called, if it has one.
    #[must_use]
    pub fn is_found(&self) -> bool {
        !matches!(self.place, Some(Place::Host { .. })) || self.ifname.is_some()
    }
}

/// A name for a container that the engine calls `named`, or whose endpoint it calls `key`, as near as a name may be. `taken`
/// knows the names that others have: then the network's is put behind it, and then a number.
pub(crate) fn name_for(named: Option<&str>, key: &str, network: &Name, taken: impl Fn(&str) -> bool) -> Name {
    let wanted =
        named.and_then(name_of).unwrap_or_else(|| as_name(key.split('/').next().unwrap_or_default(), Id::SHORT));
    let wanted = if wanted.is_empty() { "guest".to_owned() } else { wanted };
    let with = |more: &str| {
        let more: String = more.chars().take(MAX_NAME / 2).collect();
        format!("{}{more}", &wanted[..wanted.len().min(MAX_NAME - more.len())])
    };
    let numbered = (2_u64..).map(|number| with(&format!("-{number}")));
    let candidates = [wanted.clone(), with(&format!(".{network}"))].into_iter().chain(numbered);
    let parsed = candidates.filter(|name| !taken(name)).find_map(|name| name.parse().ok());
    parsed.expect("of all numbers one is free")
}

/// The name of a container that the engine calls `named`, if nobody else has it; none if nothing of that may stand in a name.
pub(crate) fn name_of(named: &str) -> Option<String> {
    Some(as_name(named.trim_start_matches('/'), MAX_NAME)).filter(|name| !name.is_empty())
}

/// What of a text may stand in a name, as long as that may be.
fn as_name(text: &str, most: usize) -> String {
    let kept = text.chars().map(|each| if each.is_ascii_alphanumeric() || "_.-".contains(each) { each } else { '-' });
    kept.skip_while(|first| !first.is_ascii_alphanumeric()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(named: Option<&str>, key: &str, taken: &[&str]) -> String {
        name_for(named, key, &"red".parse().expect("a name"), |name| taken.contains(&name)).to_string()
    }

    #[test]
    fn a_guest_is_called_as_its_engine_calls_it_or_else_by_its_key() {
        assert_eq!(name(Some("/web"), "0123456789abcdef", &[]), "web");
        assert_eq!(name(None, "0123456789abcdef", &[]), "0123456789ab");
        assert_eq!(name(None, "0123456789abcdef/eth0", &[]), "0123456789ab");
        assert_eq!(name(Some("my web/1"), "0123", &[]), "my-web-1");
        assert_eq!((name(Some("__"), "0123", &[]), name(None, "/", &[])), ("0123".into(), "guest".into()));
    }

    #[test]
    fn a_name_that_another_has_gets_the_networks_behind_it_and_then_a_number() {
        assert_eq!(name(Some("web"), "0123", &["web"]), "web.red");
        assert_eq!(name(Some("web"), "0123", &["web", "web.red"]), "web-2");
        assert_eq!(name(Some("web"), "0123", &["web", "web.red", "web-2"]), "web-3");
        let long = "x".repeat(70);
        assert_eq!(name(Some(&long), "0123", &[&long[..63]]), format!("{}.red", &long[..59]));
    }

    proptest! {
        #[test]
        fn whatever_an_engine_calls_it_there_is_a_name_that_nobody_has(
            named in proptest::option::of(".{0,80}"),
            key in ".{0,80}",
            network in "[a-z][a-z_.-]{0,62}",
            taken in prop::collection::vec(any::<bool>(), 0..4),
        ) {
            let asked = std::cell::Cell::new(0);
            let is_taken = |_: &str| {
                asked.set(asked.get() + 1);
                taken.get(asked.get() - 1).copied().unwrap_or(false)
            };
            let name = name_for(named.as_deref(), &key, &network.parse().expect("a name"), is_taken);
            prop_assert!(name.as_str().parse::<Name>().is_ok());
        }
    }
}
