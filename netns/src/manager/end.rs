//! How a container ceases to be: by itself, by `stop`, by `kill`, by `rm`, or because a step of its start failed.
//!
//! All ways meet in [`Manager::settle`]: port, FDB entries, lease and name are free when it returns, whatever failed in it.
//! A container that could not be ended is not settled: it may live, so it keeps its record and its lease, and is tried
//! again.

use std::time::Duration;

use super::{Ended, Manager, Now, container_key};
use crate::backend::Backend;
use crate::error::Error;
use crate::name::Id;
use crate::record::{Phase, Record};

/// The signal that asks a command to end.
const SIGTERM: i32 = 15;
/// The signal that no process survives.
const SIGKILL: i32 = 9;
/// How long after a container could not be ended it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// The exit status of a container whose command's own is not known: as if it had been killed.
const STATUS_UNKNOWN: i32 = 128 + SIGKILL;

impl<B: Backend> Manager<B> {
    /// Notes the containers that have ended since the last call: their ports, stations, addresses and names are free.
    pub fn reap(&mut self, now: Now) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some((id, status)) = self.backend.poll_ended() {
            let Some(record) = self.records.get(&id) else { continue };
            ended.push(Ended { id: id.clone(), name: record.name.clone(), status });
            for failed in self.settle(&id, status, now) {
                tracing::warn!(container = id.short(), "after its end: {failed}");
            }
        }
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
            let record = self.find(text)?;
            (record.id.clone(), record.pid())
        };
        let Some(pid) = pid else { return Ok(id) };
        self.enter(&id, Phase::Stopping { pid })?;
        let deadline = now.instant + grace;
        self.deadlines.entry(id.clone()).and_modify(|at| *at = deadline.min(*at)).or_insert(deadline);
        if grace.is_zero() {
            return self.end(&id, now).map(|()| id);
        }
        // One that can not be asked (its command has just ended, its init is stuck) is ended at the deadline.
        if let Err(failed) = self.backend.signal(&id, SIGTERM) {
            tracing::debug!(container = id.short(), "asking it to end: {failed}");
        }
        Ok(id)
    }

    /// Sends a signal to the command of a running container. Returns its id.
    ///
    /// # Errors
    /// If there is no such container, it is not running, or the signal can not be sent.
    pub fn kill(&mut self, text: &str, signal: i32, now: Now) -> Result<Id, Error> {
        self.reap(now);
        let (id, name, pid) = {
            let record = self.find(text)?;
            (record.id.clone(), record.name.to_string(), record.pid())
        };
        let Some(pid) = pid else { return Err(Error::NotRunning(name)) };
        if signal == SIGKILL {
            self.enter(&id, Phase::Stopping { pid })?;
            return self.end(&id, now).map(|()| id);
        }
        self.backend.signal(&id, signal)?;
        Ok(id)
    }

    /// Forgets a container that has ended: its record and its log. With `force` a running one is ended first.
    ///
    /// # Errors
    /// If there is no such container, or it runs and `force` is not set.
    pub fn remove(&mut self, text: &str, force: bool, now: Now) -> Result<Id, Error> {
        self.reap(now);
        let (id, name, pid, is_live) = {
            let record = self.find(text)?;
            (record.id.clone(), record.name.to_string(), record.pid(), record.is_live())
        };
        if is_live {
            if !force {
                return Err(Error::Running(name));
            }
            if let Some(pid) = pid {
                self.enter(&id, Phase::Stopping { pid })?;
            }
            self.end(&id, now)?;
        }
        match self.remove_record(&id) {
            errors if errors.is_empty() => Ok(id),
            errors => Err(all_of(errors)),
        }
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
        match self.settle(id, status, now) {
            errors if errors.is_empty() => Ok(()),
            errors => Err(all_of(errors)),
        }
    }

    /// The time of a container is over: it was asked to stop and did not, or could not be ended before.
    pub(super) fn expire(&mut self, id: &Id, now: Now) -> Result<(), Error> {
        let Ok(record) = self.record(id) else { return Ok(()) };
        match record.phase {
            Phase::Creating | Phase::Starting { .. } => self.undo_cut_short(id, now),
            Phase::Running { .. } | Phase::Stopping { .. } => self.end(id, now),
            Phase::Exited { .. } | Phase::Removing => Ok(()),
        }
    }

    /// A container has ended with `status`: everything that it held is free now. Its record stays if a user may still ask
    /// for it. Returns what went wrong, all of it.
    pub(super) fn settle(&mut self, id: &Id, status: i32, now: Now) -> Vec<Error> {
        self.unplug(id);
        self.deadlines.remove(id);
        let Some(record) = self.records.get(id) else { return Vec::new() };
        if record.is_transient() {
            return self.remove_record(id);
        }
        self.enter(id, Phase::Exited { status, at: now.unix }).err().into_iter().collect()
    }

    /// A step of a start failed: nothing of the container stays. Returns the failure, and what went wrong on the way back.
    pub(super) fn undo(&mut self, id: &Id, failed: Error, now: Now) -> Error {
        if let Err(stuck) = self.backend.destroy(id) {
            // What may be there is not forgotten: this daemon tries again, or the next.
            self.deadlines.insert(id.clone(), now.instant + RETRY);
            return Error::Undo { first: Box::new(failed), also: vec![stuck.to_string()] };
        }
        self.unplug(id);
        self.deadlines.remove(id);
        let also: Vec<String> = self.remove_record(id).iter().map(ToString::to_string).collect();
        if also.is_empty() { failed } else { Error::Undo { first: Box::new(failed), also } }
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
        let mut errors = Vec::new();
        errors.extend(self.enter(id, Phase::Removing).err());
        // What could not be deleted stays in the saved record's care: the next daemon finishes it.
        match self.backend.discard(id) {
            Ok(()) => errors.extend(self.backend.forget(&container_key(id)).err().map(Error::from)),
            Err(failed) => errors.push(failed.into()),
        }
        self.records.remove(id);
        errors
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

/// Several failures as one: the first, and all others.
fn all_of(mut errors: Vec<Error>) -> Error {
    let first = errors.remove(0);
    if errors.is_empty() {
        return first;
    }
    Error::Undo { first: Box::new(first), also: errors.iter().map(ToString::to_string).collect() }
}
