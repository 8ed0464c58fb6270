//! How a container ceases to be: by itself, by `stop`, by `kill`, by `rm`, or because a step of its start failed.
//!
//! All ways meet in [`Manager::settle`]: port, FDB entries, lease and name are free when it returns, whatever failed in it.
//! A container that could not be ended is not settled: it may live, so it keeps its record and its lease, and is tried
//! again.

use std::time::Duration;

use super::{Ended, Manager, Now, container_key};
use crate::backend::Backend;
use crate::error::Error;
use crate::event::Event;
use crate::name::Id;
use crate::record::{Phase, Record};

/// The signal that asks a command to end.
const SIGTERM: i32 = 15;
/// The signal that no process survives.
const SIGKILL: i32 = 9;
/// How long after a container could not be ended it is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(5);
/// The exit status of a container whose command's own is not known: as if it had been killed.
pub(super) const STATUS_UNKNOWN: i32 = 128 + SIGKILL;

impl<B: Backend> Manager<B> {
    /// Notes the containers that have ended since the last call: their ports, stations, addresses and names are free. Gives
    /// published ports that somebody has taken from a container back to it, and a guest whose keeper was killed another; puts back what somebody has taken of the firewall,
    /// and follows what has become of interfaces that are ports.
    pub fn reap(&mut self, now: Now) -> Vec<Ended> {
        self.present = now.unix;
        let mut ended = Vec::new();
        while let Some((id, status)) = self.backend.poll_ended() {
            if self.goes_on(&id, now) {
                continue;
            }
            let Some(record) = self.records.get(&id) else { continue };
            if record.guest.is_none() {
                ended.push(Ended { id: id.clone(), name: record.name.clone(), status });
            }
            for failed in self.settle(&id, status, now) {
                tracing::warn!(container = id.short(), "after its end: {failed}");
            }
        }
        while let Some(id) = self.backend.poll_unpublished() {
            self.publish_lost(&id, now);
        }
        self.look_after_the_firewall();
        self.look_after_interfaces();
        ended
    }

    /// Asks a container to end (SIGTERM), and sees to it that it does after `grace`. Returns its id; [`Manager::reap`]
    /// tells when it has ended. A container that is not running is left alone, as in Docker.
    ///
    /// # Errors
    /// If there is no such container, or the signal can not be sent.
    pub fn stop(&mut self, text: &str, grace: Duration, now: Now) -> Result<Id, Error> {
        self.reap(now);
        let (id, pid) = {
            let record = self.find_own(text)?;
            (record.id.clone(), record.pid())
        };
        let Some(pid) = pid else { return Ok(id) };
        let mut errors = self.begin_to_end(&id, pid);
        let deadline = now.instant + grace;
        self.deadlines.entry(id.clone()).and_modify(|at| *at = deadline.min(*at)).or_insert(deadline);
        if grace.is_zero() {
            errors.extend(self.end(&id, now).err());
        } else if let Err(failed) = self.backend.signal(&id, SIGTERM) {
            // One that can not be asked (its command has just ended, its init is stuck) is ended at the deadline.
            tracing::debug!(container = id.short(), "asking it to end: {failed}");
        }
        all_of(errors).map_or(Ok(id), Err)
    }

    /// Sends a signal to the command of a running container. Returns its id.
    ///
    /// # Errors
    /// If there is no such container, it is not running, or the signal can not be sent.
    pub fn kill(&mut self, text: &str, signal: i32, now: Now) -> Result<Id, Error> {
        self.reap(now);
        let (id, name, pid) = {
            let record = self.find_own(text)?;
            (record.id.clone(), record.name.to_string(), record.pid())
        };
        let Some(pid) = pid else { return Err(Error::NotRunning(name)) };
        if signal == SIGKILL {
            let mut errors = self.begin_to_end(&id, pid);
            errors.extend(self.end(&id, now).err());
            return all_of(errors).map_or(Ok(id), Err);
        }
        self.backend.signal(&id, signal)?;
        Ok(id)
    }

    /// Forgets a container that has ended: its record and its log. With `force` a running one is ended first.
    ///
    /// # Errors
    /// If there is no such container, it runs and `force` is not set, or something of it could not be removed.
    pub fn remove(&mut self, text: &str, force: bool, now: Now) -> Result<Id, Error> {
        self.reap(now);
        let (id, name, pid, is_live) = {
            let record = self.find_own(text)?;
            (record.id.clone(), record.name.to_string(), record.pid(), record.is_live())
        };
        let mut errors = Vec::new();
        if is_live {
            if !force {
                return Err(Error::Running(name));
            }
            errors.extend(pid.map(|pid| self.begin_to_end(&id, pid)).unwrap_or_default());
            errors.extend(self.end(&id, now).err());
        }
        // One that could not be ended keeps its record. (A transient one has taken its own along.)
        if self.records.contains_key(&id) && self.has_ended(&id) {
            errors.extend(self.remove_record(&id));
        }
        all_of(errors).map_or(Ok(id), Err)
    }

    /// Notes that a container is to end. Returns what failed: that the note can not be saved (a full disk) is no reason to
    /// let the container live.
    fn begin_to_end(&mut self, id: &Id, pid: u32) -> Vec<Error> {
        self.enter(id, Phase::Stopping { pid }).err().into_iter().collect()
    }

    /// Ends a container now, and settles what it leaves.
    pub(super) fn end(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        let status = match self.backend.destroy(id) {
            Ok(status) => status.unwrap_or(STATUS_UNKNOWN),
            Err(failed) => {
                self.deadlines.insert(id.clone(), now.instant + RETRY);
                return Err(failed.into());
            }
        };
        all_of(self.settle(id, status, now)).map_or(Ok(()), Err)
    }

    /// The time of a container is over: it was asked to stop and did not, or could not be ended before.
    pub(super) fn expire(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        if self.silent.remove(id) {
            self.deadlines.remove(id);
            return self.adopt_again(id, now);
        }
        if self.unkept.remove(id) && self.keep_again(id, now) {
            return Ok(());
        }
        let Ok(record) = self.record(id) else { return Ok(()) };
        match record.phase {
            Phase::Creating | Phase::Starting { .. } => self.undo_cut_short(id, now),
            Phase::Running { .. } | Phase::Stopping { .. } => self.end(id, now),
            Phase::Reserved | Phase::Exited { .. } | Phase::Removing => Ok(()),
        }
    }

    /// A container has ended with `status`: everything that it held is free now. Its record stays if a user may still ask
    /// for it. Returns what went wrong, all of it.
    pub(super) fn settle(&mut self, id: &Id, status: i32, now: Now) -> Vec<Error> {
        if self.is_guest(id) {
            return self.settle_guest(id, now);
        }
        self.unplug_all(id);
        self.close_accounts_of(id.as_str());
        let mut errors: Vec<Error> = self.unpublish(id).err().into_iter().collect();
        self.forget_troubles(id);
        self.tell_of(id, |container| Event::ContainerExited { container, exit_status: status });
        let Some(record) = self.records.get(id) else { return errors };
        if record.is_transient() {
            errors.extend(self.remove_record(id));
        } else {
            errors.extend(self.enter(id, Phase::Exited { status, at: now.unix }).err());
        }
        self.serve_names_later(now);
        errors
    }

    /// Nothing is to be tried again for a container.
    pub(super) fn forget_troubles(&mut self, id: &Id) {
        self.deadlines.remove(id);
        self.silent.remove(id);
        self.unpublished.remove(id);
        self.republished.remove(id);
        self.unkept.remove(id);
        self.keepers.remove(id);
    }

    /// A step of a start failed: nothing of the container stays (of a guest, its reservation). Returns the failure, and what went wrong on the way back.
    pub(super) fn undo(&mut self, id: &Id, failed: Error, now: Now) -> Error {
        if let Err(stuck) = self.backend.destroy(id) {
            // What may be there is not forgotten: this daemon tries again, or the next.
            self.deadlines.insert(id.clone(), now.instant + RETRY);
            return Error::Undo { first: Box::new(failed), also: vec![stuck.to_string()] };
        }
        let mut errors = vec![failed];
        if self.is_guest(id) {
            errors.extend(self.settle_guest(id, now));
            return all_of(errors).expect("there is one at least");
        }
        self.unplug_all(id);
        self.close_accounts_of(id.as_str());
        self.deadlines.remove(id);
        errors.extend(self.unpublish(id).err());
        errors.extend(self.remove_record(id));
        self.serve_names_later(now);
        all_of(errors).expect("there is one at least")
    }

    /// Undoes a start that was cut short. Nobody asks for the container any more, so all is well if nothing stays.
    pub(super) fn undo_cut_short(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        match self.undo(id, Error::NotRunning(id.short().to_owned()), now) {
            failed @ Error::Undo { .. } => Err(failed),
            _ => Ok(()),
        }
    }

    /// Deletes all that is on disk of a container that has ended. Its name is free even if that fails.
    pub(super) fn remove_record(&mut self, id: &Id) -> Vec<Error> {
        let noted = self.enter(id, Phase::Removing);
        // What could not be deleted stays in the saved record's care: the next daemon finishes it.
        self.tell_of(id, Event::ContainerRemoved);
        let removed = self.backend.discard(id).and_then(|()| self.backend.forget(&container_key(id)));
        self.records.remove(id);
        match removed {
            // All is gone: that it could not be noted before (the disk was full) matters no more.
            Ok(()) => Vec::new(),
            Err(failed) => noted.err().into_iter().chain([failed.into()]).collect(),
        }
    }

    /// The ids of the containers that live.
    #[must_use]
    pub fn living(&self) -> Vec<Id> {
        self.records.values().filter(|record| record.is_live()).map(|record| record.id.clone()).collect()
    }

    /// Whether a container has ended: its record is gone, or says so.
    #[must_use]
    pub fn has_ended(&self, id: &Id) -> bool {
        !self.records.get(id).is_some_and(Record::is_live)
    }
}

/// Several failures as one: the first, and all others. `None` if there is none.
pub(super) fn all_of(errors: Vec<Error>) -> Option<Error> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    let mut also: Vec<String> = errors.map(|error| error.to_string()).collect();
    also.dedup();
    also.retain(|other| *other != first.to_string());
    Some(if also.is_empty() { first } else { Error::Undo { first: Box::new(first), also } })
}
