//! Where ports and bridges count: accounts that outlive the daemon, and whose they are.
//!
//! * A port is that of one container on one network, whatever its interface is called there. It counts on when it comes back:
//!   after a daemon, a broken link, or `network disconnect` and `connect`. It ends with its container. That of an interface
//!   of the host ends when the interface is given back.
//! * What a port that is gone has counted is among the departed of its bridge, and ends with the network.
//! * An account that can not be had costs the counters their memory, and nobody the network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use switch::account::{Account, Counters};
use switch::dataplane::{BridgeId, Control};
use switch::verdict::PortId;

use super::Manager;
use crate::backend::Backend;
use crate::error::Error;
use crate::name::Id;

/// The accounts that there are, by their keys.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    known: BTreeSet<String>,
    /// Those of ports that the switch has had from this daemon.
    counted: BTreeSet<String>,
    /// Those that are to go once the switch has counted them among the departed.
    spent: VecDeque<String>,
    /// How many of the spent ones the switch has heard of.
    heard: usize,
}

impl<B: Backend> Manager<B> {
    /// The accounts that an earlier daemon has left. What can not be known begins anew.
    pub(super) fn find_accounts(&mut self) -> Result<(), Error> {
        self.accounts.known = self.backend.accounts()?.into_iter().collect();
        Ok(())
    }

    /// A bridge that was just made counts for its network.
    pub(super) fn count_bridge(&mut self, network: &Id, bridge: BridgeId) {
        let (departed, fdb) = (self.account(departed_key(network)), self.account(fdb_key(network)));
        self.controls.push_back(Control::CountBridge { bridge, departed, fdb });
    }

    /// A port that was just plugged in counts for its owner, or for the host.
    pub(super) fn count_port(&mut self, network: &Id, owner: Option<&str>, port: PortId) {
        let key = port_key(network, owner);
        self.accounts.counted.insert(key.clone());
        let account = self.account(key);
        self.controls.push_back(Control::CountPort { port, account });
    }

    /// A container has ended, or an interface was given back: its ports do not come back.
    pub(super) fn close_accounts_of(&mut self, owner: &str) {
        let is_its = |key: &str| key.starts_with(PORT) && key.rsplit('-').next() == Some(owner);
        self.depart(is_its);
        self.spend(is_its);
    }

    /// A network has gone, and all that was counted on it.
    pub(super) fn close_accounts_on(&mut self, network: &Id) {
        self.spend(|key| key.contains(network.as_str()));
    }

    /// Settles the accounts of ports that an earlier daemon had and that have not come back: containers that have ended, and
    /// networks that have gone.
    pub(super) fn settle_accounts(&mut self) {
        self.depart(|key| key.starts_with(PORT));
        let (networks, records, borrowed) = (&self.networks, &self.records, &self.borrowed);
        let is_wanted = |key: &str| {
            let Some((_, owners)) = key.split_once('-') else { return false };
            let (network, owner) = owners.split_once('-').unwrap_or((owners, ""));
            let lives = |owner| records.values().any(|record| record.id.as_str() == owner && record.is_live());
            let is_held = |owner| borrowed.keys().any(|identity| interface_owner(identity) == owner);
            networks.keys().any(|id| id.as_str() == network) && (owner.is_empty() || lives(owner) || is_held(owner))
        };
        let unwanted: Vec<String> = self.accounts.known.iter().filter(|key| !is_wanted(key)).cloned().collect();
        self.spend(|key| unwanted.iter().any(|unwanted| unwanted == key));
    }

    /// Lets the accounts go whose ports the switch has taken away. To be called when all controls have been handed on: what
    /// was handed on before the last such call has been done.
    pub(super) fn close_spent_accounts(&mut self) {
        for key in self.accounts.spent.drain(..self.accounts.heard) {
            if let Err(failed) = self.backend.close_account(&key) {
                tracing::warn!("{failed}");
            }
        }
        self.accounts.heard = self.accounts.spent.len();
    }

    /// What the interfaces of running containers, and the host's in our networks, had no room for: frames that never came to
    /// the switch, by port. As the interface counts them itself, since it was made.
    #[must_use]
    pub fn missed(&self) -> BTreeMap<PortId, u64> {
        let mut missed = BTreeMap::new();
        let containers: BTreeSet<Id> = self.ports.keys().map(|(id, _)| id.clone()).collect();
        for id in containers {
            let Some(pid) = self.records.get(&id).and_then(|record| record.pid()) else { continue };
            let dropped = self.backend.transmit_drops(Some((&id, pid)));
            let own = self.ports.iter().filter(|((of, _), _)| *of == id);
            missed.extend(own.filter_map(|((_, ifname), port)| Some((*port, *dropped.get(ifname)?))));
        }
        let of_host = self.backend.transmit_drops(None);
        let gateways = self.networks.values().filter_map(|net| Some((net.gateway?, of_host.get(&net.network.bridge)?)));
        missed.extend(gateways.map(|(port, dropped)| (port, *dropped)));
        missed
    }

    fn account<T: Counters>(&mut self, key: String) -> Account<T> {
        let opened = self.backend.account(&key, self.present);
        self.accounts.known.insert(key);
        opened.unwrap_or_else(|failed| {
            tracing::warn!("counters will not outlive this daemon: {failed}");
            Account::new(self.present)
        })
    }

    /// Counts the accounts of ports among the departed which this daemon has never had: whose ports it has taken away are
    /// there already.
    fn depart(&mut self, is_gone: impl Fn(&str) -> bool) {
        let gone = self.accounts.known.difference(&self.accounts.counted).filter(|key| is_gone(key));
        let gone: Vec<String> = gone.cloned().collect();
        for key in gone {
            let network = key.split('-').nth(1).unwrap_or_default();
            let net = self.networks.iter().find(|(id, _)| id.as_str() == network).map(|(_, net)| net);
            let Some(bridge) = net.and_then(|net| net.bridge) else { continue };
            self.accounts.counted.insert(key.clone());
            let account = self.account(key);
            self.controls.push_back(Control::CountDeparted { bridge, account });
        }
    }

    fn spend(&mut self, is_spent: impl Fn(&str) -> bool) {
        let Accounts { known, counted, spent, .. } = &mut self.accounts;
        let keys: Vec<String> = known.iter().filter(|key| is_spent(key)).cloned().collect();
        for key in keys {
            known.remove(&key);
            counted.remove(&key);
            spent.push_back(key);
        }
    }
}

/// What the keys of ports begin with.
const PORT: &str = "port-";

fn port_key(network: &Id, owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("{PORT}{network}-{owner}"),
        None => format!("{PORT}{network}"),
    }
}

/// Whose the account of an interface of the host is. (A container's is its id.)
pub(super) fn interface_owner(identity: &str) -> String {
    format!("interface_{identity}")
}

fn departed_key(network: &Id) -> String {
    format!("departed-{network}")
}

fn fdb_key(network: &Id) -> String {
    format!("fdb-{network}")
}
