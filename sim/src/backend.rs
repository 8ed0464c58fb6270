//! [`SimBackend`]: what the manager asks of the world, answered by a simulated machine.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

use ipnet::Ipv4Net;
use netns::backend::{
    Adopted, Backend, BackendError, Created, FirewallNews, Gateway, HostInterface, Interface, Noted, Spec, StartError,
    Which,
};
use netns::files::Files;
use netns::firewall::Policy;
use netns::name::Id;
use netns::names::NameTable;
use netns::network::EndpointKind;
use netns::publish::PortMapping;
use switch::account::{Account, Counters};
use switch::mac::MacAddr;

use crate::cable::CableEnd;
use crate::machine::{Container, Crash, Daemon, HOST, Machine, State};
use crate::program::Command;

/// A daemon's access to a simulated machine. It ends with the daemon; the machine does not.
#[derive(Debug)]
pub struct SimBackend(Rc<RefCell<Machine>>);

/// Something of the machine changes, and a daemon may be killed after it.
enum Change {
    Save,
    Other,
}

impl SimBackend {
    pub(crate) fn new(machine: &Rc<RefCell<Machine>>) -> Self {
        SimBackend(Rc::clone(machine))
    }

    /// The machine, unless the daemon was killed: then it can do nothing any more.
    fn machine(&self) -> Result<RefMut<'_, Machine>, BackendError> {
        let machine = self.0.borrow_mut();
        if machine.daemon == Daemon::Killed { Err(killed()) } else { Ok(machine) }
    }

    /// Makes a change, after which the daemon may be killed.
    fn change<T>(&mut self, kind: &Change, work: impl FnOnce(&mut Machine) -> T) -> Result<T, BackendError> {
        let mut machine = self.machine()?;
        let is_counted = match (&machine.crash, kind) {
            (Some(Crash::AfterSaves(_)), Change::Other) | (None, _) => false,
            (Some(Crash::AfterSaves(_)), Change::Save) => true,
            (Some(Crash::AfterChanges(_) | Crash::FailChange(_)), Change::Save | Change::Other) => true,
        };
        if !is_counted || machine.crash.as_mut().is_some_and(|crash| !crash.is_now()) {
            return Ok(work(&mut machine));
        }
        match machine.crash.take() {
            Some(Crash::FailChange(_)) => Err(failed("carry out", "a change", "it was told to fail")),
            Some(Crash::AfterSaves(_) | Crash::AfterChanges(_)) | None => {
                let result = work(&mut machine);
                machine.daemon = Daemon::Killed;
                Ok(result)
            }
        }
    }
}

/// What a daemon that was killed in the middle of something gets for every answer.
fn killed() -> BackendError {
    failed("go on", "after a crash", "the daemon was killed")
}

fn failed(operation: &'static str, object: &str, cause: &str) -> BackendError {
    BackendError::Failed { operation, object: object.to_owned(), cause: cause.to_owned(), hint: None }
}

impl Backend for SimBackend {
    type Link = CableEnd;
    type Command = Command;

    fn host_prefixes(&mut self, except: Option<(&str, MacAddr)>) -> Result<Vec<Ipv4Net>, BackendError> {
        let mut machine = self.machine()?;
        let interfaces = machine.namespace(HOST).interfaces.iter();
        let others = interfaces.filter(|each| Some((each.name.as_str(), each.mac)) != except);
        Ok(others.flat_map(|interface| interface.addresses.iter().map(Ipv4Net::trunc)).collect())
    }

    fn open_gateway(&mut self, gateway: &Gateway<'_>) -> Result<CableEnd, BackendError> {
        self.change(&Change::Other, |machine| machine.open_gateway(gateway.name, gateway.lease))?
    }

    fn close_gateway(&mut self, name: &str) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.close_gateway(name))
    }

    fn interface(&mut self, which: Which<'_>) -> Result<Option<HostInterface>, BackendError> {
        Ok(self.machine()?.look_at_interface(which))
    }

    fn borrow_interface(&mut self, interface: &HostInterface) -> Result<CableEnd, BackendError> {
        self.change(&Change::Other, |machine| machine.borrow_interface(interface))?
    }

    fn return_interface(&mut self, identity: &str) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.return_interface(identity))?
    }

    fn have_interfaces_changed(&mut self) -> bool {
        self.machine().is_ok_and(|mut machine| machine.have_interfaces_changed())
    }

    fn boot(&mut self) -> Result<String, BackendError> {
        Ok(self.machine()?.boots.to_string())
    }

    fn create(&mut self, spec: &Spec<'_>) -> Result<Created<CableEnd>, BackendError> {
        let (pid, links) = self.change(&Change::Other, |machine| machine.create(spec))??;
        Ok(Created { pid, links })
    }

    fn start(&mut self, id: &Id, command: Command) -> Result<u32, StartError> {
        self.change(&Change::Other, |machine| machine.start(id, command))?
    }

    fn attach(&mut self, id: &Id, interface: &Interface<'_>) -> Result<CableEnd, BackendError> {
        self.change(&Change::Other, |machine| machine.attach(id, interface))?
    }

    fn detach(&mut self, id: &Id, ifname: &str, _kind: EndpointKind) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.detach(id, ifname))
    }

    fn set_default_route(&mut self, id: &Id, route: Option<(&str, Ipv4Addr)>) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.set_default_route(id, route))?
    }

    fn host_resolv_conf(&mut self) -> Result<String, BackendError> {
        Ok(self.machine()?.resolv_conf.clone())
    }

    fn write_files(&mut self, id: &Id, files: &Files) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.write_files(id, files))
    }

    fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.publish(id, target, mappings))?
    }

    fn is_published(&mut self, id: &Id) -> bool {
        self.machine().is_ok_and(|machine| machine.containers.get(id).is_some_and(|it| it.publisher.is_some()))
    }

    fn poll_unpublished(&mut self) -> Option<Id> {
        self.machine().ok()?.unpublished.pop_front()
    }

    fn unpublish(&mut self, id: &Id) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.unpublish(id))
    }

    fn forwarding(&mut self) -> Result<Option<String>, BackendError> {
        Ok(self.machine()?.forwarding())
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        self.change(&Change::Other, Machine::forward)
    }

    fn stop_forwarding(&mut self, before: &str) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.stop_forwarding(before))?
    }

    fn protect(&mut self, policy: &Policy, before: Option<&str>) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.protect(policy, before))?
    }

    fn poll_firewall(&mut self) -> FirewallNews {
        self.machine().map_or_else(|_| FirewallNews::default(), |mut machine| machine.poll_firewall())
    }

    fn foreign_drops(&mut self, bridge: &str) -> Result<Vec<String>, BackendError> {
        Ok(self.machine()?.foreign_drops(bridge))
    }

    fn serve_names(&mut self, key: &str, gateway: Ipv4Addr, table: NameTable) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.serve_names(key, gateway, table))?
    }

    fn stop_names(&mut self, key: &str) {
        if let Ok(mut machine) = self.machine() {
            machine.stop_names(key);
        }
    }

    fn adopt(&mut self, spec: &Spec<'_>) -> Result<Adopted<CableEnd>, BackendError> {
        let mut machine = self.machine()?;
        let Some(container) = machine.containers.get(spec.id) else { return Ok(Adopted::Ended { status: None }) };
        match container.state {
            State::Ended(status) => Ok(Adopted::Ended { status }),
            State::Created | State::Running(_) => {
                let pid = container.pid;
                Ok(Adopted::Running { pid, links: machine.links_of(spec.id) })
            }
        }
    }

    fn replace_keeper(&mut self, spec: &Spec<'_>) -> Result<Option<u32>, BackendError> {
        self.change(&Change::Other, |machine| machine.replace_keeper(spec.id))
    }

    fn guest_interface(&self, id: &Id) -> Option<String> {
        self.machine().ok()?.name_of_guest(id)
    }

    fn note(&mut self, id: &Id, note: &str) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.note(id, note))
    }

    fn noted(&mut self) -> Result<Vec<Noted>, BackendError> {
        let machine = self.machine()?;
        let noted = |(id, container): (&Id, &Container)| Noted { id: id.clone(), note: Some(container.note.clone()) };
        Ok(machine.containers.iter().map(noted).collect())
    }

    fn signal(&mut self, id: &Id, signal: i32) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| machine.signal(id, signal))?
    }

    fn destroy(&mut self, id: &Id) -> Result<Option<i32>, BackendError> {
        self.change(&Change::Other, |machine| machine.destroy(id))
    }

    fn poll_ended(&mut self) -> Option<(Id, i32)> {
        self.machine().ok()?.poll_ended()
    }

    fn discard(&mut self, id: &Id) -> Result<(), BackendError> {
        self.change(&Change::Other, |machine| {
            machine.delete_unkept(id);
            drop(machine.containers.remove(id));
        })
    }

    // Counters are no change that a daemon is killed after: on a real host they are memory.

    fn account<T: Counters>(&mut self, key: &str, since: u64) -> Result<Account<T>, BackendError> {
        Ok(Account::lend(self.machine()?.accounts.entry(key.to_owned()).or_default(), since))
    }

    fn accounts(&mut self) -> Result<Vec<String>, BackendError> {
        Ok(self.machine()?.accounts.keys().cloned().collect())
    }

    fn close_account(&mut self, key: &str) -> Result<(), BackendError> {
        self.machine()?.accounts.remove(key);
        Ok(())
    }

    fn transmit_drops(&self, of: Option<(&Id, u32)>) -> BTreeMap<String, u64> {
        self.machine().map(|machine| machine.transmit_drops(of.map(|(id, _)| id))).unwrap_or_default()
    }

    fn save(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        self.change(&Change::Save, |machine| drop(machine.disk.insert(key.to_owned(), text.to_owned())))
    }

    fn forget(&mut self, key: &str) -> Result<(), BackendError> {
        self.change(&Change::Save, |machine| drop(machine.disk.remove(key)))
    }

    fn load(&mut self) -> Result<Vec<(String, String)>, BackendError> {
        let machine = self.machine()?;
        let kept = machine.disk.iter().filter(|(key, _)| !key.starts_with(ASIDE));
        Ok(kept.map(|(key, text)| (key.clone(), text.clone())).collect())
    }

    fn set_aside(&mut self, key: &str) -> Result<String, BackendError> {
        let place = format!("{ASIDE}{key}");
        self.change(&Change::Save, |machine| {
            if let Some(text) = machine.disk.remove(key) {
                machine.disk.insert(place.clone(), text);
            }
        })?;
        Ok(place)
    }
}

/// What keys that were set aside begin with; no key of the manager's does.
const ASIDE: &str = "corrupt/";
