//! [`Firewall`]: what may pass from one interface to another, and what leaves under the host's own address.
//!
//! The tables of instances are [`Policy`]s, and mean what [`Policy::script`] says for `nft`. Beside them are chains of others,
//! as far as tests need some: they drop all that is forwarded but for interfaces that they name. A packet passes if every
//! table and every chain lets it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use netns::firewall::{Policy, PolicyError};

/// The firewall of one namespace.
#[derive(Debug, Default)]
pub(crate) struct Firewall {
    /// By instance.
    tables: BTreeMap<String, Policy>,
    /// By table and name.
    foreign: BTreeMap<(String, String), Foreign>,
    others_changed: bool,
}

/// A chain of somebody else's at the forward hook, whose policy is to drop.
#[derive(Clone, Debug, Default)]
struct Foreign {
    /// The interfaces whose packets it accepts, whichever way they go.
    accepts: BTreeSet<String>,
}

impl Firewall {
    /// Whether connections are tracked: only where there are rules that ask for it.
    pub(crate) fn is_there(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Puts a policy, whole, in the place of the instance's last one.
    pub(crate) fn apply(&mut self, policy: &Policy) -> Result<(), PolicyError> {
        // What nft would not understand is no policy here either.
        policy.script()?;
        if policy.networks.is_empty() && !policy.guards {
            self.tables.remove(&policy.instance);
        } else {
            self.tables.insert(policy.instance.clone(), policy.clone());
        }
        Ok(())
    }

    /// Whether an instance's table is as it was put there.
    pub(crate) fn has(&self, policy: &Policy) -> bool {
        let expected = (!policy.networks.is_empty() || policy.guards).then_some(policy);
        self.tables.get(&policy.instance) == expected
    }

    /// `nft flush ruleset`.
    pub(crate) fn flush(&mut self) {
        self.others_changed |= !self.foreign.is_empty();
        (self.tables, self.foreign) = Default::default();
    }

    /// Whether a rule at an interface's ingress drops all that comes in.
    pub(crate) fn silences(&self, interface: &str) -> bool {
        self.tables.values().any(|policy| policy.silenced.iter().any(|name| name == interface))
    }

    /// What instances have noted of how the host forwarded before any of them, by instance.
    pub(crate) fn journals(&self) -> impl Iterator<Item = (&str, &str)> {
        let noted = self.tables.values().filter(|policy| !policy.journal.is_empty());
        noted.map(|policy| (policy.instance.as_str(), policy.journal.as_str()))
    }

    /// Somebody else's chain is there now.
    pub(crate) fn add_foreign(&mut self, table: &str, chain: &str) {
        self.foreign.insert((table.to_owned(), chain.to_owned()), Foreign::default());
        self.others_changed = true;
    }

    /// Somebody else's chain, if it is there, lets pass what comes from an interface or goes to it.
    pub(crate) fn accept_in_foreign(&mut self, table: &str, chain: &str, interface: &str) -> bool {
        let Some(foreign) = self.foreign.get_mut(&(table.to_owned(), chain.to_owned())) else { return false };
        foreign.accepts.insert(interface.to_owned());
        self.others_changed = true;
        true
    }

    /// Whether rules of others have changed since this was last asked.
    pub(crate) fn take_others(&mut self) -> bool {
        std::mem::take(&mut self.others_changed)
    }

    /// Whether they have.
    pub(crate) fn have_others_changed(&self) -> bool {
        self.others_changed
    }

    /// The chains of others that drop the traffic of a bridge: table and name.
    pub(crate) fn foreign_drops(&self, bridge: &str) -> impl Iterator<Item = (&str, &str)> {
        let drops = self.foreign.iter().filter(move |(_, foreign)| !foreign.accepts.contains(bridge));
        drops.map(|((table, chain), _)| (table.as_str(), chain.as_str()))
    }

    /// Whether a packet may pass from one interface to another. `is_answer` says whether it belongs to a connection that was
    /// begun before, or is an error about one.
    pub(crate) fn lets_pass(&self, input: &str, output: &str, is_answer: bool) -> bool {
        let accepted = |foreign: &Foreign| foreign.accepts.contains(input) || foreign.accepts.contains(output);
        let is_bridge = |name: &str| self.tables.values().any(|policy| network(policy, name).is_some());
        self.foreign.values().all(accepted)
            && self.tables.values().all(|policy| match (network(policy, input), network(policy, output)) {
                (Some(from), _) if input == output => from.bridge == output,
                (Some(from), to) => !from.internal && to.is_none(),
                (None, Some(to)) => !to.internal && is_answer,
                (None, None) => {
                    let is_others = is_bridge(input) || is_bridge(output);
                    !policy.guards || is_others || policy.forwarded.iter().any(|each| each == input)
                }
            })
    }

    /// Whether a connection that begins leaves under the host's address.
    pub(crate) fn masquerades(&self, source: Ipv4Addr, output: &str) -> bool {
        let networks = self.tables.values().flat_map(|policy| &policy.networks).filter(|network| !network.internal);
        networks.into_iter().any(|network| network.subnet.contains(&source) && network.bridge != output)
    }
}

fn network<'a>(policy: &'a Policy, bridge: &str) -> Option<&'a netns::firewall::PolicyNetwork> {
    policy.networks.iter().find(|network| network.bridge == bridge)
}

#[cfg(test)]
mod tests {
    use netns::firewall::PolicyNetwork;

    use super::*;

    fn policy() -> Policy {
        let network = |bridge: &str, subnet: &str, internal| PolicyNetwork {
            bridge: bridge.to_owned(),
            subnet: subnet.parse().expect("a subnet"),
            internal,
        };
        let networks = vec![
            network("pontoon0", "172.17.0.0/16", false),
            network("br-red", "172.18.0.0/16", false),
            network("br-vault", "172.19.0.0/16", true),
        ];
        Policy { instance: "0".into(), networks, guards: true, forwarded: vec!["lan0".into()], ..Policy::default() }
    }

    #[test]
    fn only_what_leaves_and_its_answers_pass() {
        let mut firewall = Firewall::default();
        assert!(firewall.lets_pass("a", "b", false));
        firewall.apply(&policy()).expect("a policy");
        let passes = |from: &str, to: &str| [false, true].map(|answer| firewall.lets_pass(from, to, answer));
        assert_eq!(passes("pontoon0", "uplink0"), [true, true]);
        assert_eq!(passes("uplink0", "pontoon0"), [false, true]);
        assert_eq!(passes("pontoon0", "br-red"), [false, false], "networks are isolated from each other");
        assert_eq!(passes("br-vault", "uplink0"), [false, false]);
        assert_eq!(passes("uplink0", "br-vault"), [false, false]);
        assert_eq!(passes("br-vault", "br-vault"), [true, true]);
        assert_eq!(passes("uplink0", "uplink1"), [false, false], "nothing more is forwarded than before");
        assert_eq!(passes("lan0", "uplink0"), [true, true]);
        let masquerades = |source: [u8; 4], output| firewall.masquerades(source.into(), output);
        assert!(masquerades([172, 17, 0, 2], "uplink0") && !masquerades([172, 17, 0, 2], "pontoon0"));
        assert!(!masquerades([172, 19, 0, 2], "uplink0") && !masquerades([10, 0, 0, 1], "uplink0"));
    }

    #[test]
    fn a_foreign_chain_drops_what_it_does_not_name() {
        let mut firewall = Firewall::default();
        firewall.apply(&policy()).expect("a policy");
        assert!(!firewall.take_others());
        firewall.add_foreign("ip filter", "FORWARD");
        assert!(!firewall.lets_pass("pontoon0", "uplink0", false) && firewall.take_others() && !firewall.take_others());
        assert_eq!(firewall.foreign_drops("pontoon0").collect::<Vec<_>>(), [("ip filter", "FORWARD")]);
        assert!(firewall.accept_in_foreign("ip filter", "FORWARD", "pontoon0"));
        assert!(
            firewall.lets_pass("pontoon0", "uplink0", false) && firewall.foreign_drops("pontoon0").next().is_none()
        );
        firewall.flush();
        assert!(!firewall.has(&policy()) && !firewall.is_there() && firewall.take_others());
    }
}
