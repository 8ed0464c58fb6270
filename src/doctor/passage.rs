//! The way of the engines' networks through the rules that Docker keeps: whether ours, which lets them pass, are still there. A fact, how it
//! is found, and what it means.
//!
//! The daemon hears of what is done to nftables, and puts back what somebody takes away. Of iptables' older side the kernel tells nobody.

use control::{NetworkShown, Request, Status};
use netns::linux::firewall::passes_docker;
use netns::manager::NetworkView;
use netns::network::Owner;

use super::Finding;
use super::checks::{ok, warn};
use crate::client::Client;
use crate::failure::Failure;
use crate::paths::Dirs;

/// What was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// No daemon serves Docker, or there is no network that would have to pass.
    NotNeeded,
    /// The rules are as they should be.
    Open,
    /// They are not.
    Shut,
    /// They can not be read; why.
    Unknown(String),
}

/// Looks.
pub fn look(dirs: &Dirs) -> Passage {
    let Ok(Some((instance, bridges))) = bridges(dirs) else { return Passage::NotNeeded };
    match passes_docker(&instance, &bridges) {
        Ok(true) => Passage::Open,
        Ok(false) => Passage::Shut,
        Err(why) => Passage::Unknown(why.to_string()),
    }
}

/// The instance that serves Docker, and the bridges of the networks that have to pass.
fn bridges(dirs: &Dirs) -> Result<Option<(String, Vec<String>)>, Failure> {
    let Some(mut client) = Client::look(dirs)? else { return Ok(None) };
    let status: Status = client.ask(&Request::Status)?;
    if status.docker.is_none() {
        return Ok(None);
    }
    let mut instance = None;
    let mut bridges = Vec::new();
    for NetworkView { id, driver, owner, .. } in client.ask::<Vec<NetworkView>>(&Request::Networks)? {
        if driver != "bridge" {
            continue;
        }
        let NetworkShown { details: network, .. } = client.ask(&Request::InspectNetwork(id))?;
        let Some(bridge) = network.bridge else { continue };
        if let Some(number) = bridge.strip_prefix("pontoon").filter(|_| network.name == "bridge") {
            instance = Some(number.to_owned());
        } else if owner.is_some_and(|owner| owner != Owner::User) && !network.internal && is_there(&bridge) {
            bridges.push(bridge);
        }
    }
    Ok(instance.filter(|_| !bridges.is_empty()).map(|instance| (instance, bridges)))
}

/// Whether the host has an interface of this name: a network that is down has none, and nothing of it passes.
fn is_there(bridge: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(bridge).exists()
}

/// A finding where there is something to pass.
pub fn decide(passage: &Passage) -> Option<Finding> {
    let check = "Docker's rules";
    match passage {
        Passage::NotNeeded => None,
        Passage::Open => Some(ok(check, "they let Pontoon's networks of Docker's pass")),
        Passage::Shut => Some(warn(
            check,
            "FORWARD of iptables does not let Pontoon's networks of Docker's pass any more: somebody has removed the rules for it, as \
             `iptables-legacy -F FORWARD` does, of which the kernel tells nobody",
            "the next start of a container on one of them puts the rules back; so does the daemon when it starts anew, and containers \
             go on meanwhile: end it (SIGTERM) and `pontoon up --docker`, or `systemctl restart pontoon`",
        )),
        Passage::Unknown(why) => Some(warn(check, why, "ask again as root")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn only_a_passage_that_is_shut_or_not_known_is_a_reason_to_warn() {
        let status = |passage: &Passage| decide(passage).map(|finding| (finding.status, finding.hint.is_some()));
        assert_eq!(status(&Passage::NotNeeded), None);
        assert_eq!(status(&Passage::Open), Some((Status::Ok, false)));
        assert_eq!(status(&Passage::Shut), Some((Status::Warn, true)));
        assert_eq!(status(&Passage::Unknown("no".into())), Some((Status::Warn, true)));
    }
}
