//! Keepers that somebody kills: a guest's interface outlives its keeper while there is a daemon, and gets another one.

use std::time::Duration;

use super::end::RETRY;
use super::run::spec_of;
use super::{Manager, Now};
use crate::backend::Backend;
use crate::name::Id;
use crate::record::Phase;

/// How long a keeper must have lived to be replaced at once: one that can not live is not started for ever.
const PAUSE: Duration = Duration::from_secs(5);

impl<B: Backend> Manager<B> {
    /// The keeper of a guest has ended. Whether the guest goes on all the same: another keeper holds its interface, or will in a moment.
    pub(super) fn goes_on(&mut self, id: &Id, now: Now) -> bool {
        if self.keepers.get(id).is_some_and(|last| now.instant < *last + PAUSE) {
            // Should the interface be no more, the switch tells of that, and it is looked at then.
            return self.is_kept(id) && self.keep_later(id, now);
        }
        self.keep_again(id, now)
    }

    /// The same, whenever it was last tried.
    pub(super) fn keep_again(&mut self, id: &Id, now: Now) -> bool {
        if !self.is_kept(id) {
            return false;
        }
        let Some(record) = self.records.get(id) else { return false };
        let networks = &self.networks;
        let of = |network: &Id| networks.get(network).map(|net| &net.network);
        let replaced = self.backend.replace_keeper(&spec_of(record, of, ""));
        self.keepers.insert(id.clone(), now.instant);
        let pid = match replaced {
            Ok(Some(pid)) => pid,
            Ok(None) => return false,
            Err(failed) => {
                tracing::warn!(container = id.short(), "the keeper was ended by somebody else: {failed}");
                return self.keep_later(id, now);
            }
        };
        tracing::warn!(container = id.short(), "the keeper was ended by somebody else: another holds the interface");
        self.deadlines.remove(id);
        self.unkept.remove(id);
        if let Err(failed) = self.enter(id, Phase::Running { pid }) {
            tracing::warn!(container = id.short(), "{failed}");
        }
        // Its publisher has ended with the old one.
        if let Err(failed) = self.publish(id) {
            self.unpublished.insert(id.clone());
            tracing::warn!(container = id.short(), "{failed}");
        }
        true
    }

    /// Whether this is a guest that has an interface and is to keep it.
    fn is_kept(&self, id: &Id) -> bool {
        let Some(record) = self.records.get(id) else { return false };
        record.guest.as_ref().is_some_and(|guest| !guest.is_leaving) && matches!(record.phase, Phase::Running { .. })
    }

    fn keep_later(&mut self, id: &Id, now: Now) -> bool {
        self.deadlines.insert(id.clone(), now.instant + RETRY);
        self.unkept.insert(id.clone());
        true
    }
}
