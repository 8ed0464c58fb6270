//! [`Guard`]: what a daemon has made of the host's firewall and forwarding, as [`netns::backend::Backend`] asks for it.
//!
//! The state of before is kept by the manager, in words; here it is noted in the firewall's table too, so that of several
//! instances the last one to leave puts it back.

use netns::backend::{BackendError, FirewallNews};
use netns::firewall::Policy;

use super::{HOST, Machine};
use crate::router::Router;
use crate::router::forwarding::Forwarding;

/// What a daemon has made of them. It is forgotten with the daemon.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// What it was asked for.
    policy: Option<(Policy, Option<String>)>,
    /// What it has put there.
    applied: Option<Policy>,
    /// Whether it ends, and needs nothing to be kept for it.
    leaving: bool,
}

impl Machine {
    pub(crate) fn router(&mut self) -> &mut Router {
        &mut self.namespace(HOST).router
    }

    /// How the host forwards without us, if not by itself.
    pub(crate) fn forwarding(&mut self) -> Option<String> {
        let router = self.router();
        if !router.forwarding.is_on() {
            return Some(router.forwarding.to_words());
        }
        let mut noted = router.firewall.journals().map(|(_, text)| text);
        noted.find(|text| Forwarding::from_words(text).is_some()).map(ToOwned::to_owned)
    }

    pub(crate) fn forward(&mut self) {
        self.router().forwarding.set(true);
    }

    pub(crate) fn stop_forwarding(&mut self, before: &str) -> Result<(), BackendError> {
        let before = before_us(before)?;
        self.guard.leaving = true;
        self.apply_policy()?;
        let own = self.guard.policy.as_ref().map(|(policy, _)| policy.instance.clone());
        let router = self.router();
        // (Ours is gone by now, if it was ever there.)
        if !router.firewall.journals().any(|(instance, _)| Some(instance) != own.as_deref()) {
            router.forwarding.restore(&before);
        }
        Ok(())
    }

    pub(crate) fn protect(&mut self, policy: &Policy, before: Option<&str>) -> Result<(), BackendError> {
        self.guard.leaving = false;
        self.guard.policy = Some((policy.clone(), before.map(ToOwned::to_owned)));
        self.apply_policy()
    }

    pub(super) fn apply_policy(&mut self) -> Result<(), BackendError> {
        let Some((mut policy, before)) = self.guard.policy.clone() else { return Ok(()) };
        if !policy.networks.is_empty() {
            policy.silenced = self.borrowed_names();
        }
        let policy = match before {
            None => policy,
            Some(before) => {
                let forwarded = before_us(&before)?.forwarded();
                let journal = if self.guard.leaving { String::new() } else { before };
                Policy { guards: true, forwarded, journal, ..policy }
            }
        };
        self.router()
            .firewall
            .apply(&policy)
            .map_err(|why| failed("apply", "the firewall's rules", &why.to_string()))?;
        self.guard.applied = Some(policy);
        Ok(())
    }

    pub(crate) fn poll_firewall(&mut self) -> FirewallNews {
        let others_changed = self.router().firewall.take_others();
        FirewallNews { is_broken: self.is_firewall_broken(), others_changed, ..FirewallNews::default() }
    }

    /// Whether there is something about the firewall that the daemon hears of without asking.
    pub(super) fn has_firewall_news(&self) -> bool {
        self.is_firewall_broken()
            || self.namespaces.get(&HOST).is_some_and(|host| host.router.firewall.have_others_changed())
    }

    fn is_firewall_broken(&self) -> bool {
        let host = self.namespaces.get(&HOST);
        host.zip(self.guard.applied.as_ref()).is_some_and(|(host, applied)| !host.router.firewall.has(applied))
    }

    /// What of others drops the traffic of a bridge, each with its remedy.
    pub(crate) fn foreign_drops(&mut self, bridge: &str) -> Vec<String> {
        let told = self.router().firewall.foreign_drops(bridge).map(|(table, chain)| {
            let rule =
                |side: &str, state: &str| format!("insert rule {table} {chain} {side} \"{bridge}\"{state} accept");
            let remedy = [rule("iifname", ""), rule("oifname", " ct state established,related")].join("; ");
            format!(
                "the host's own firewall drops what leaves {bridge} (table {table}, chain {chain}); to let it pass: \
                 nft '{remedy}'"
            )
        });
        told.collect()
    }
}

fn before_us(words: &str) -> Result<Forwarding, BackendError> {
    Forwarding::from_words(words).ok_or_else(|| failed("read", "how the host forwarded before", words))
}

fn failed(operation: &'static str, object: &str, cause: &str) -> BackendError {
    BackendError::Failed { operation, object: object.to_owned(), cause: cause.to_owned(), hint: None }
}
