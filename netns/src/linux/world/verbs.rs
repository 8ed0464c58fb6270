//! What the manager may ask of a real host: [`Backend`] for [`Linux`], verb by verb.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use ipnet::Ipv4Net;
use rustix::event::{Timespec, epoll};
use switch::link::port::PortLink;
use switch::link::tap::TapError;

use super::Linux;
use crate::backend::{Adopted, Backend, BackendError, Created, Gateway, Noted, Spec, StartError};
use crate::linux::failure::{Failure, Step};
use crate::linux::handle::{Handle, status_left};
use crate::linux::netlink::Netlink;
use crate::linux::paths::Paths;
use crate::linux::privilege::may_signal;
use crate::linux::process::{Command, NotStarted, Streams};
use crate::linux::protocol::{Reply, Request};
use crate::linux::records::{absent_is_fine, absent_is_none, make_directory};
use crate::linux::setup;
use crate::linux::survey::{index_of, prefixes};
use crate::linux::wire::WireError;
use crate::name::Id;

impl Backend for Linux {
    type Link = PortLink;
    type Command = Command;

    fn host_prefixes(&mut self, except: Option<&str>) -> Result<Vec<Ipv4Net>, BackendError> {
        Ok(prefixes(except).map_err(Step::ReadHost.on("the host's addresses and routes"))?)
    }

    fn open_gateway(&mut self, gateway: &Gateway<'_>) -> Result<PortLink, BackendError> {
        let Gateway { name, lease } = *gateway;
        let kept = std::mem::take(&mut self.gateways).remove(name);
        let link = match kept {
            // As it was configured. Only if it still is there: the host may have deleted it.
            Some(fd) if index_of(name).is_some() => {
                PortLink::from_fd(fd, true).map_err(|why| Step::AdoptTap.failed(name, why))?
            }
            Some(_) | None => {
                let link = PortLink::create(name, true).map_err(|why| match why {
                    TapError::NameTaken { name } => BackendError::NameTaken(name),
                    why => Step::CreateTap.failed(name, why).into(),
                })?;
                setup::disable_ipv6(name)?;
                let mut netlink = Netlink::open().map_err(Step::Configure.on(name))?;
                setup::configure(&mut netlink, name, lease.mac, lease.mtu, lease.ip, None)?;
                link
            }
        };
        let dup = link.try_clone_fd().map_err(Step::AdoptTap.on(name))?;
        self.gateways.insert(name.to_owned(), dup);
        Ok(link)
    }

    fn create(&mut self, spec: &Spec<'_>) -> Result<Created<PortLink>, BackendError> {
        let (plan, fds) = self.plan(spec)?;
        let (directory, note) = (self.paths.container(spec.id), self.paths.note(spec.id));
        make_directory(&directory).map_err(Step::CreateDirectory.on(directory.display()))?;
        fs::write(&note, format!("{}\n{}", spec.id, spec.note)).map_err(Step::SaveRecord.on(note.display()))?;
        let mut handle = Handle::spawn(&self.paths, &self.exe, spec.id, &self.shim_log, &self.files)?;
        let pid = handle.pid;
        let answer = handle.ask(&Request::Create(plan), &fds);
        self.keep(handle)?;
        match answer {
            Ok((Reply::Created, mut fds)) => Ok(Created { pid, link: link_from(fds.pop(), spec)? }),
            Ok((Reply::Failed { failure }, _)) => Err(failure.into()),
            Ok((other, _)) => Err(unexpected(spec.id, &other).into()),
            Err(why) => Err(Step::AskShim.failed(spec.id.short(), why).into()),
        }
    }

    fn start(&mut self, id: &Id, command: Command) -> Result<u32, StartError> {
        let attached = matches!(command.streams, Streams::Caller { .. });
        let fds = self.streams(id, command.streams).map_err(BackendError::from)?;
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        let answer = handle.ask(&Request::Start { process: command.process, attached }, &fds);
        match answer {
            Ok((Reply::Started { command }, mut fds)) => {
                handle.init = fds.pop();
                handle.command = command;
                Ok(command.unwrap_or(handle.pid))
            }
            Ok((Reply::NotStarted { why }, _)) => Err(start_error(why)),
            Ok((other, _)) => Err(BackendError::from(unexpected(id, &other)).into()),
            Err(why) => Err(BackendError::from(Step::AskShim.failed(id.short(), why)).into()),
        }
    }

    fn adopt(&mut self, spec: &Spec<'_>) -> Result<Adopted<PortLink>, BackendError> {
        let ended = |backend: &Self| Adopted::Ended { status: status_left(&backend.paths, spec.id) };
        let found = Handle::connect(&self.paths, spec.id).map_err(Step::Attach.on(spec.id.short()))?;
        let Some(mut handle) = found else {
            end_unknown(&self.paths, spec.id).map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(ended(self));
        };
        let (init, command, tap, gateway, fds) = match handle.ask(&Request::Attach, &[]) {
            Ok((Reply::Attached { init, command, tap, gateway }, fds)) => (init, command, tap, gateway, fds),
            Ok((Reply::Ended { .. }, _)) | Err(WireError::Closed) => {
                handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
                return Ok(ended(self));
            }
            Ok((other, _)) => return Err(unexpected(spec.id, &other).into()),
            Err(why) => return Err(Step::AskShim.failed(spec.id.short(), why).into()),
        };
        if !init {
            // Its creator died before the command was started, so it is on its way out.
            handle.end().map_err(Step::EndShim.on(spec.id.short()))?;
            return Ok(Adopted::Ended { status: None });
        }
        let mut fds = fds.into_iter();
        handle.init = fds.next();
        handle.command = command;
        let link = link_from(if tap { fds.next() } else { None }, spec);
        if let Some((bridge, fd)) = gateway.zip(fds.next()) {
            self.gateways.entry(bridge).or_insert(fd);
        }
        let pid = command.unwrap_or(handle.pid);
        self.keep(handle)?;
        // An interface that was deleted inside is no reason to doubt the container.
        Ok(Adopted::Running { pid, link: link.unwrap_or_default() })
    }

    fn noted(&mut self) -> Result<Vec<Noted>, BackendError> {
        let directory = self.paths.containers();
        let read = || -> io::Result<Vec<Noted>> {
            let mut found = Vec::new();
            let Some(entries) = absent_is_none(fs::read_dir(&directory))? else { return Ok(found) };
            for entry in entries {
                let name = entry?.file_name();
                // A directory is named by the short id, and the rest of an id leads to nothing on disk.
                let Ok(short) = Id::try_from(format!("{:0<64}", name.to_string_lossy())) else { continue };
                let text = fs::read_to_string(self.paths.note(&short)).unwrap_or_default();
                let noted = text.split_once('\n').and_then(|(id, note)| {
                    let id = Id::try_from(id.to_owned()).ok().filter(|id| id.short() == short.short())?;
                    Some(Noted { id, note: Some(note.to_owned()) })
                });
                found.push(noted.unwrap_or(Noted { id: short, note: None }));
            }
            found.sort_by(|one, other| one.id.cmp(&other.id));
            Ok(found)
        };
        Ok(read().map_err(Step::ReadRecords.on(directory.display()))?)
    }

    fn signal(&mut self, id: &Id, signal: i32) -> Result<(), BackendError> {
        if rustix::process::Signal::from_named_raw(signal).is_none() {
            return Err(Step::Signal.failed(id.short(), format!("{signal} is the number of no signal")).into());
        }
        let handle = self.handle(id).ok_or(BackendError::Gone)?;
        // The shim sends it, and has no way to say that it may not.
        if handle.command.and_then(|command| may_signal(handle.pid, command)) == Some(false) {
            return Err(Step::Signal.denied(id.short()).into());
        }
        handle.tell(&Request::Signal { signal }).map_err(|why| Step::Signal.failed(id.short(), why).into())
    }

    fn destroy(&mut self, id: &Id) -> Result<Option<i32>, BackendError> {
        let known: Vec<u64> = self.handles.iter().filter(|(_, handle)| handle.id == *id).map(|(n, _)| *n).collect();
        let mut said = None;
        for number in &known {
            if let Some(handle) = self.handles.get_mut(number) {
                handle.end().map_err(Step::EndShim.on(id.short()))?;
                said = handle.ended;
            }
            self.handles.remove(number);
        }
        self.ended.retain(|(ended, _)| ended != id);
        if known.is_empty() && self.paths.container(id).exists() {
            end_unknown(&self.paths, id).map_err(Step::EndShim.on(id.short()))?;
        }
        let socket = self.paths.socket(id);
        absent_is_fine(fs::remove_file(&socket)).map_err(Step::Delete.on(socket.display()))?;
        // The status stays where it is until `discard`: whoever asked may die before it is saved elsewhere.
        Ok(said.or_else(|| status_left(&self.paths, id)))
    }

    fn poll_ended(&mut self) -> Option<(Id, i32)> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                return Some(ended);
            }
            let mut events = Vec::with_capacity(16);
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let waited = epoll::wait(&self.watch, rustix::buffer::spare_capacity(&mut events), Some(&now));
            if !waited.is_ok_and(|found| found > 0) {
                return None;
            }
            for event in &events {
                self.observe(event.data.u64());
            }
        }
    }

    fn discard(&mut self, id: &Id) -> Result<(), BackendError> {
        let (log, directory) = (self.paths.log(id), self.paths.container(id));
        absent_is_fine(fs::remove_file(&log)).map_err(Step::Delete.on(log.display()))?;
        absent_is_fine(fs::remove_dir_all(&directory)).map_err(Step::Delete.on(directory.display()))?;
        Ok(())
    }

    fn save(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        Ok(self.records.save(key, text).map_err(Step::SaveRecord.on(key))?)
    }

    fn forget(&mut self, key: &str) -> Result<(), BackendError> {
        Ok(self.records.forget(key).map_err(Step::DeleteRecord.on(key))?)
    }

    fn load(&mut self) -> Result<Vec<(String, String)>, BackendError> {
        Ok(self.records.load().map_err(Step::ReadRecords.on(self.paths.records().display()))?)
    }

    fn set_aside(&mut self, key: &str) -> Result<String, BackendError> {
        let place = self.records.set_aside(key).map_err(Step::SetAside.on(key))?;
        Ok(place.display().to_string())
    }
}

/// Ends the shim of an earlier daemon, if there is one, whatever it has come to.
fn end_unknown(paths: &Paths, id: &Id) -> io::Result<()> {
    if let Some(mut handle) = Handle::connect(paths, id)? {
        // For init's pidfd. One that has nothing to say any more is ended all the same.
        if let Ok((Reply::Attached { init: true, .. }, fds)) = handle.ask(&Request::Attach, &[]) {
            handle.init = fds.into_iter().next();
        }
        handle.end()?;
    }
    match Handle::find(paths, id)? {
        Some(mut handle) => handle.end(),
        None => Ok(()),
    }
}

fn link_from(tap: Option<OwnedFd>, spec: &Spec<'_>) -> Result<Option<PortLink>, Failure> {
    let Some((tap, interface)) = tap.zip(spec.interface) else { return Ok(None) };
    let link = PortLink::from_fd(tap, interface.offload).map_err(|why| Step::AdoptTap.failed(interface.name, why))?;
    Ok(Some(link))
}

fn unexpected(id: &Id, reply: &Reply) -> Failure {
    Step::AskShim.failed(id.short(), format!("it answers what was not asked: {reply:?}"))
}

fn start_error(why: NotStarted) -> StartError {
    match why {
        NotStarted::NotFound { command } => StartError::NotFound(command),
        NotStarted::NotExecutable { command, cause } => StartError::NotExecutable(command, cause),
        other @ NotStarted::Other { .. } => {
            let (object, cause, hint) = ("the command".to_owned(), other.to_string(), other.hint());
            StartError::Backend(BackendError::Failed { operation: "start", object, cause, hint })
        }
    }
}
