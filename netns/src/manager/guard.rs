//! What the host forwards for our networks: masqueraded to the outside, and never from one network to another.
//!
//! * The firewall's tables come first, then forwarding is switched on, so that nothing is forwarded unguarded.
//! * Forwarding is switched on only if it was off, and how it was is saved before: whoever ends last, this daemon or a later
//!   one, puts it back.
//! * Beside an engine that sets the host's forwarding itself, it is left alone until the first container comes.
//! * What Docker's own rules would drop of its networks of ours they let pass, by rules in a chain of ours.
//! * Of several instances each guards, and the last one to end puts it back.
//! * What somebody takes of the tables is put back at once; forwarding, when the next container comes.
//! * Where there is no firewall to be had (no program `nft`) nothing is switched on: containers have no way out then, and there
//!   is but one network.

use serde::{Deserialize, Serialize};

use super::networks::Net;
use super::{Manager, save_as};
use crate::backend::{Backend, FirewallNews};
use crate::error::Error;
use crate::firewall::{Policy, PolicyNetwork};
use crate::name::Id;
use crate::network::Owner;

/// Where it is saved how the host forwarded before us.
pub(crate) const FORWARDING: &str = "forwarding";

/// How the host forwarded before us, in this life of the machine: the next one begins as the host's administrator has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) boot: String,
    /// As the backend says it.
    pub(super) state: String,
}

impl<B: Backend> Manager<B> {
    /// Makes the host's firewall and forwarding what our networks need now.
    pub(super) fn protect(&mut self) -> Result<(), Error> {
        self.is_guarded = false;
        if self.forwarding.is_none()
            && !self.defers_forwarding
            && let Some(state) = self.backend.forwarding()?
        {
            let before = Before { boot: self.boot.clone(), state };
            save_as(&mut self.backend, FORWARDING, &before)?;
            self.forwarding = Some(before);
        }
        let state = self.forwarding.as_ref().map(|before| before.state.as_str());
        self.backend.protect(&self.policy(), state)?;
        self.is_guarded = true;
        if state.is_some() {
            self.backend.forward()?;
        }
        self.pass_docker()
    }

    /// Lets what leaves the engines' networks pass Docker's own rules. Beside Docker only, but for those of Docker's that an
    /// earlier daemon has left.
    fn pass_docker(&mut self) -> Result<(), Error> {
        let is_beside_docker = self.is_beside_docker;
        let is_meant = |net: &&Net| {
            let passes = match net.network.owner {
                Owner::Docker => true,
                Owner::Cni => is_beside_docker,
                Owner::User => false,
            };
            passes && net.failed.is_none() && !net.network.internal
        };
        let bridges: Vec<String> =
            self.networks.values().filter(is_meant).map(|net| net.network.bridge.clone()).collect();
        Ok(self.backend.pass_docker(&self.instance(), &bridges)?)
    }

    /// Sees to it that a guest that has come finds a way out. Docker may have written its rules anew since the last one did.
    pub(super) fn let_guests_out(&mut self, engine: Owner) {
        let done = match (std::mem::take(&mut self.defers_forwarding), engine) {
            (true, _) => self.protect(),
            (false, Owner::Docker) => self.pass_docker(),
            (false, _) if self.is_beside_docker => self.pass_docker(),
            (false, _) => Ok(()),
        };
        if let Err(failed) = done {
            tracing::warn!("containers have no way out of the host: {failed}");
        }
    }

    /// Puts back what somebody has taken of our tables, as whoever loads a ruleset anew does. What others changed is looked at
    /// when next asked.
    pub(super) fn look_after_the_firewall(&mut self) {
        let FirewallNews { is_broken, others_changed, others_restarted } = self.backend.poll_firewall();
        if others_changed {
            self.looked_at.clear();
        }
        if others_restarted && let Err(failed) = self.pass_docker() {
            tracing::warn!("pass Docker's rules: {failed}");
        }
        if is_broken {
            tracing::warn!("somebody has removed rules of ours from the firewall: they are put back");
            match self.protect() {
                Ok(()) => tracing::info!("the rules of ours are in the firewall again"),
                Err(failed) => tracing::warn!("put them back: {failed}"),
            }
        }
    }

    /// Sees to it that whoever comes to a network finds a way out, also if somebody has switched forwarding off that we had
    /// switched on; what keeps them from it, in sentences.
    pub(super) fn no_way_out(&mut self, network: &Id) -> Vec<String> {
        if std::mem::take(&mut self.defers_forwarding)
            && let Err(failed) = self.protect()
        {
            return vec![format!("there is no way out of the host: {failed}")];
        }
        // Never without a guard: then nothing was switched on, and whoever starts the daemon has been told.
        let is_ours = self.is_guarded && self.forwarding.is_some();
        let forwards = if is_ours { self.backend.forward() } else { Ok(()) };
        let failed = forwards.err().map(|failed| format!("there is no way out of the host: {failed}"));
        failed.into_iter().chain(self.foreign_drops(network)).collect()
    }

    /// Leaves the host's firewall and forwarding as they were before us, if no container lives and no interface of the host is a
    /// port. To be called by a daemon that ends. Returns what failed.
    pub fn close(&mut self) -> Vec<Error> {
        if !self.living().is_empty() || !self.borrowed.is_empty() {
            return Vec::new();
        }
        let mut errors = Vec::new();
        if let Some(before) = self.forwarding.take() {
            match self.backend.stop_forwarding(&before.state) {
                Ok(()) => errors.extend(self.backend.forget(FORWARDING).err().map(Error::from)),
                Err(failed) => errors.push(failed.into()),
            }
        }
        errors.extend(self.backend.protect(&Policy::none(self.instance()), None).err().map(Error::from));
        errors.extend(self.backend.pass_docker(&self.instance(), &[]).err().map(Error::from));
        errors
    }

    /// What keeps containers of a network from the outside although we let them out: told once for each network, and again if
    /// rules of others have changed since.
    fn foreign_drops(&mut self, network: &Id) -> Vec<String> {
        let Some(net) = self.networks.get(network).filter(|net| !net.network.internal) else { return Vec::new() };
        if !self.looked_at.insert(network.clone()) {
            return Vec::new();
        }
        let found = self.backend.foreign_drops(&net.network.bridge);
        found.unwrap_or_else(|why| {
            tracing::debug!("look for firewall rules of others: {why}");
            Vec::new()
        })
    }

    fn policy(&self) -> Policy {
        let networks = self.networks.values().filter(|net| net.failed.is_none()).map(|net| &net.network);
        let networks = networks.map(|network| PolicyNetwork {
            bridge: network.bridge.clone(),
            subnet: network.subnet,
            internal: network.internal,
        });
        Policy { instance: self.instance(), networks: networks.collect(), ..Policy::default() }
    }

    /// What our tables are called by: the number of the default network's bridge, which no other instance on this host has.
    fn instance(&self) -> String {
        let bridge = self.networks.get(&self.default).map_or("", |net| net.network.bridge.as_str());
        bridge.trim_start_matches("pontoon").to_owned()
    }
}
