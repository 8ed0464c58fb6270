//! [`Paper`]: a host on paper. It does what it is asked, or fails where a test says so, and can be looked at: what a manager
//! left on it, and in which order it asked for what.
//!
//! The simulator has a machine on which things happen; here nothing does. What the simulator has no use for, such as a
//! firewall, containers that do not answer, and another instance that is quicker, is here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use ipnet::Ipv4Net;
use switch::account::{Account, Counters, Home};
use switch::buffer::{Buffer, Pool};
use switch::link::{Link, Received, Transmit};
use switch::mac::MacAddr;
use switch::vlan::Retag;

use crate::backend::{
    Adopted, Backend, BackendError, Created, FirewallNews, Gateway, HostInterface, Interface, Links, Namespace, Noted,
    Spec, StartError, Which,
};
use crate::files::Files;
use crate::firewall::Policy;
use crate::guest::Place;
use crate::name::Id;
use crate::names::NameTable;
use crate::network::EndpointKind;
use crate::publish::PortMapping;

/// What there is on the host. It outlives the daemons.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) boot: String,
    /// Addresses and routes that are not ours.
    pub(super) prefixes: Vec<Ipv4Net>,
    /// Prefixes that another instance takes in the moment in which we take an interface, one after the other.
    pub(super) rivals: VecDeque<Ipv4Net>,
    /// Interfaces that are not ours.
    pub(super) interfaces: BTreeSet<String>,
    /// Those that may be ports, by identity.
    pub(super) ethernet: BTreeMap<String, HostInterface>,
    /// The identities of those by which the host hears nothing, and what they were called then.
    pub(super) silenced: BTreeMap<String, String>,
    pub(super) have_interfaces_changed: bool,
    pub(super) gateways: BTreeMap<String, (Ipv4Net, MacAddr)>,
    /// Counters of the switch, by key.
    pub(super) accounts: BTreeMap<String, Home>,
    pub(super) containers: BTreeMap<Id, Made>,
    pub(super) disk: BTreeMap<String, String>,
    pub(super) aside: BTreeMap<String, String>,
    pub(super) ended: VecDeque<(Id, i32)>,
    pub(super) unpublished: VecDeque<Id>,
    pub(super) published: BTreeMap<Id, (Ipv4Addr, Vec<PortMapping>)>,
    /// How the host forwards without us, if it does not.
    pub(super) forwarding: Option<String>,
    pub(super) forwards: bool,
    /// The last policy, and how the host forwarded before us.
    pub(super) policy: Option<(Policy, Option<String>)>,
    pub(super) news: FirewallNews,
    /// The bridges that are to pass Docker's rules, as often as that was said.
    pub(super) passing: Vec<Vec<String>>,
    pub(super) foreign: BTreeMap<String, Vec<String>>,
    pub(super) tables: BTreeMap<String, (Ipv4Addr, NameTable)>,
    pub(super) resolv_conf: String,
    pub(super) files: BTreeMap<Id, Files>,
    /// What was asked for, but for questions, in order.
    pub(super) asked: Vec<&'static str>,
    /// What fails after so many more things that were asked for, and whether everything fails from then on: the daemon is killed.
    pub(super) strike: Option<(usize, bool)>,
    /// What fails.
    pub(super) failing: BTreeMap<&'static str, Failure>,
}

/// How something fails: on which object, and with which hint.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure {
    pub(super) object: String,
    pub(super) hint: Option<&'static str>,
}

/// A container.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) interfaces: BTreeMap<String, Plugged>,
    pub(super) route: Option<(String, Ipv4Addr)>,
    pub(super) runs: bool,
    /// It has ended, and this is its status if that is known.
    pub(super) end: Option<Option<i32>>,
    pub(super) note: Option<String>,
    /// Its interfaces and their bridges, as the daemon that took it over had them.
    pub(super) adopted: Vec<(String, String)>,
    pub(super) is_silent: bool,
    /// What a guest's interface is called where it is.
    pub(super) called: Option<String>,
    /// Its keeper was killed, and the interface is still there.
    pub(super) is_unkept: bool,
    /// Where its interface is, of a guest.
    pub(super) place: Option<Place>,
}

/// An interface of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plugged {
    pub(super) bridge: String,
    pub(super) ip: Ipv4Net,
    pub(super) mtu: u32,
    pub(super) offload: bool,
    pub(super) is_default: bool,
    pub(super) announces: bool,
    pub(super) kind: EndpointKind,
}

/// A daemon's access to the host.
#[derive(Debug)]
pub(super) struct Paper(pub(super) Rc<RefCell<Host>>);

/// A link on paper, by the name of the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wire(pub(super) String);

impl Link for Wire {
    fn receive(&mut self, _: &mut Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        Received::WouldBlock
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        Transmit::Sent
    }

    fn flush(&mut self, _: &mut Vec<Transmit>) {}
}

impl Host {
    fn does(&mut self, what: &'static str) -> Result<(), BackendError> {
        self.asked.push(what);
        match &mut self.strike {
            Some((0, kills)) => {
                let kills = *kills;
                self.strike = self.strike.filter(|_| kills);
                Err(told_to_fail(what, &Failure::default()))
            }
            Some((left, _)) => {
                *left -= 1;
                self.may(what)
            }
            None => self.may(what),
        }
    }

    fn may(&self, what: &'static str) -> Result<(), BackendError> {
        match self.failing.get(what) {
            None => Ok(()),
            Some(failure) => Err(told_to_fail(what, failure)),
        }
    }

    /// Lets something fail from now on.
    pub(super) fn fail(&mut self, what: &'static str) {
        self.failing.insert(what, Failure { object: "it".into(), hint: None });
    }

    pub(super) fn made(&mut self, id: &Id) -> &mut Made {
        self.containers.get_mut(id).expect("it is there")
    }

    fn links(&self, id: &Id) -> Links<Wire> {
        self.containers[id].interfaces.keys().map(|ifname| (ifname.clone(), Wire(ifname.clone()))).collect()
    }
}

fn told_to_fail(what: &'static str, Failure { object, hint }: &Failure) -> BackendError {
    BackendError::Failed { operation: what, object: object.clone(), cause: "told to fail".into(), hint: *hint }
}

fn made(interface: &Interface<'_>) -> Plugged {
    let Interface { lease, kind, is_default, offload, announces, bridge, .. } = *interface;
    Plugged { bridge: bridge.to_owned(), ip: lease.ip, mtu: lease.mtu, offload, is_default, announces, kind }
}

impl Backend for Paper {
    type Link = Wire;
    /// The process that it becomes; none if there is no such command.
    type Command = Option<u32>;

    fn host_prefixes(&mut self, except: Option<(&str, MacAddr)>) -> Result<Vec<Ipv4Net>, BackendError> {
        let host = self.0.borrow();
        host.may("host_prefixes")?;
        let own = host.gateways.iter().filter(|(name, (_, mac))| Some((name.as_str(), *mac)) != except);
        Ok(host.prefixes.iter().copied().chain(own.map(|(_, (ip, _))| ip.trunc())).collect())
    }

    fn open_gateway(&mut self, gateway: &Gateway<'_>) -> Result<Wire, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("open_gateway")?;
        if host.interfaces.contains(gateway.name) {
            return Err(BackendError::NameTaken(gateway.name.to_owned()));
        }
        host.gateways.insert(gateway.name.to_owned(), (gateway.lease.ip, gateway.lease.mac));
        if let Some(taken) = host.rivals.pop_front() {
            host.prefixes.push(taken);
        }
        Ok(Wire(gateway.name.to_owned()))
    }

    fn close_gateway(&mut self, name: &str) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("close_gateway")?;
        host.gateways.remove(name);
        Ok(())
    }

    fn interface(&mut self, which: Which<'_>) -> Result<Option<HostInterface>, BackendError> {
        let host = self.0.borrow();
        host.may("interface")?;
        let found = match which {
            Which::Named(name) => host.ethernet.values().find(|interface| interface.name == name),
            Which::Known(identity) => host.ethernet.get(identity),
        };
        Ok(found.cloned())
    }

    fn borrow_interface(&mut self, interface: &HostInterface) -> Result<Wire, BackendError> {
        let mut host = self.0.borrow_mut();
        // Half of it is done before it fails.
        host.silenced.insert(interface.identity.clone(), interface.name.clone());
        host.does("borrow_interface")?;
        Ok(Wire(interface.name.clone()))
    }

    fn return_interface(&mut self, identity: &str) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("return_interface")?;
        host.silenced.remove(identity);
        Ok(())
    }

    fn have_interfaces_changed(&mut self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().have_interfaces_changed)
    }

    fn boot(&mut self) -> Result<String, BackendError> {
        let host = self.0.borrow();
        host.may("boot")?;
        Ok(host.boot.clone())
    }

    fn create(&mut self, spec: &Spec<'_>) -> Result<Created<Wire>, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("create")?;
        let interfaces = spec.interfaces.iter().map(|each| (each.name.to_owned(), made(each)));
        let place = if let Namespace::Guest(place) = spec.namespace { Some(place.clone()) } else { None };
        let note = Some(spec.note.to_owned());
        // A guest has no command that would be started.
        let runs = place.is_some();
        let container = Made { interfaces: interfaces.collect(), note, runs, place, ..Made::default() };
        assert!(!host.containers.contains_key(spec.id), "it is there already");
        host.containers.insert(spec.id.clone(), container);
        Ok(Created { pid: 100, links: host.links(spec.id) })
    }

    fn start(&mut self, id: &Id, command: Option<u32>) -> Result<u32, StartError> {
        let mut host = self.0.borrow_mut();
        host.does("start")?;
        let pid = command.ok_or_else(|| StartError::NotFound("nope".into()))?;
        host.made(id).runs = true;
        Ok(pid)
    }

    fn attach(&mut self, id: &Id, interface: &Interface<'_>) -> Result<Wire, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("attach")?;
        host.made(id).interfaces.insert(interface.name.to_owned(), made(interface));
        Ok(Wire(interface.name.to_owned()))
    }

    fn detach(&mut self, id: &Id, ifname: &str, _: EndpointKind) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("detach")?;
        if let Some(made) = host.containers.get_mut(id) {
            made.interfaces.remove(ifname);
        }
        Ok(())
    }

    fn set_default_route(&mut self, id: &Id, route: Option<(&str, Ipv4Addr)>) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("set_default_route")?;
        host.made(id).route = route.map(|(ifname, gateway)| (ifname.to_owned(), gateway));
        Ok(())
    }

    fn host_resolv_conf(&mut self) -> Result<String, BackendError> {
        let host = self.0.borrow();
        host.may("host_resolv_conf")?;
        Ok(host.resolv_conf.clone())
    }

    fn write_files(&mut self, id: &Id, files: &Files) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("write_files")?;
        host.files.insert(id.clone(), files.clone());
        Ok(())
    }

    fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("publish")?;
        let mut others = host.published.iter().filter(|(other, _)| *other != id).flat_map(|(_, (_, theirs))| theirs);
        let taken = others.find(|theirs| mappings.iter().any(|mapping| mapping.overlaps(theirs)));
        if let Some(taken) = taken {
            let failure = Failure { object: taken.host_side(), hint: None };
            host.published.remove(id);
            return Err(told_to_fail("publish", &failure));
        }
        host.published.insert(id.clone(), (target, mappings.to_vec()));
        Ok(())
    }

    fn is_published(&mut self, id: &Id) -> bool {
        self.0.borrow().published.contains_key(id)
    }

    fn poll_unpublished(&mut self) -> Option<Id> {
        self.0.borrow_mut().unpublished.pop_front()
    }

    fn unpublish(&mut self, id: &Id) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("unpublish")?;
        host.published.remove(id);
        Ok(())
    }

    fn forwarding(&mut self) -> Result<Option<String>, BackendError> {
        let host = self.0.borrow();
        host.may("forwarding")?;
        Ok(host.forwarding.clone())
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("forward")?;
        host.forwards = true;
        Ok(())
    }

    fn stop_forwarding(&mut self, before: &str) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("stop_forwarding")?;
        host.forwards = host.forwarding.as_deref() != Some(before);
        Ok(())
    }

    fn protect(&mut self, policy: &Policy, before: Option<&str>) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("protect")?;
        host.policy = Some((policy.clone(), before.map(str::to_owned)));
        Ok(())
    }

    fn pass_docker(&mut self, _instance: &str, bridges: &[String]) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.may("pass_docker")?;
        host.passing.push(bridges.to_vec());
        Ok(())
    }

    fn poll_firewall(&mut self) -> FirewallNews {
        std::mem::take(&mut self.0.borrow_mut().news)
    }

    fn foreign_drops(&mut self, bridge: &str) -> Result<Vec<String>, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("foreign_drops")?;
        Ok(host.foreign.get(bridge).cloned().unwrap_or_default())
    }

    fn serve_names(&mut self, key: &str, gateway: Ipv4Addr, table: NameTable) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("serve_names")?;
        host.tables.insert(key.to_owned(), (gateway, table));
        Ok(())
    }

    fn stop_names(&mut self, key: &str) {
        self.0.borrow_mut().tables.remove(key);
    }

    fn adopt(&mut self, spec: &Spec<'_>) -> Result<Adopted<Wire>, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("adopt")?;
        let Some(made) = host.containers.get_mut(spec.id) else { return Ok(Adopted::Ended { status: None }) };
        made.adopted = spec.interfaces.iter().map(|each| (each.name.to_owned(), each.bridge.to_owned())).collect();
        match made {
            Made { is_silent: true, .. } => Err(BackendError::Gone),
            Made { end: Some(status), .. } => Ok(Adopted::Ended { status: *status }),
            Made { runs: false, .. } => Ok(Adopted::Ended { status: None }),
            Made { .. } => Ok(Adopted::Running { pid: 200, links: host.links(spec.id) }),
        }
    }

    fn replace_keeper(&mut self, spec: &Spec<'_>) -> Result<Option<u32>, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("replace_keeper")?;
        Ok(host.containers.get(spec.id).filter(|made| made.is_unkept).map(|_| 300))
    }

    fn guest_interface(&self, id: &Id) -> Option<String> {
        self.0.borrow().containers.get(id)?.called.clone()
    }

    fn note(&mut self, id: &Id, note: &str) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("note")?;
        host.made(id).note = Some(note.to_owned());
        Ok(())
    }

    fn noted(&mut self) -> Result<Vec<Noted>, BackendError> {
        let host = self.0.borrow();
        host.may("noted")?;
        Ok(host.containers.iter().map(|(id, made)| Noted { id: id.clone(), note: made.note.clone() }).collect())
    }

    fn signal(&mut self, _: &Id, _: i32) -> Result<(), BackendError> {
        self.0.borrow_mut().does("signal")
    }

    fn destroy(&mut self, id: &Id) -> Result<Option<i32>, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("destroy")?;
        let Some(made) = host.containers.get_mut(id) else { return Ok(None) };
        let status = made.end.unwrap_or(made.runs.then_some(137));
        (made.end, made.runs) = (Some(status), false);
        host.published.remove(id);
        host.ended.retain(|(ended, _)| ended != id);
        Ok(status)
    }

    fn poll_ended(&mut self) -> Option<(Id, i32)> {
        self.0.borrow_mut().ended.pop_front()
    }

    fn discard(&mut self, id: &Id) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("discard")?;
        host.containers.remove(id);
        Ok(())
    }

    // Who counts is nobody on paper: there is no switch.

    fn account<T: Counters>(&mut self, key: &str, since: u64) -> Result<Account<T>, BackendError> {
        Ok(Account::lend(self.0.borrow_mut().accounts.entry(key.to_owned()).or_default(), since))
    }

    fn accounts(&mut self) -> Result<Vec<String>, BackendError> {
        Ok(self.0.borrow().accounts.keys().cloned().collect())
    }

    fn close_account(&mut self, key: &str) -> Result<(), BackendError> {
        self.0.borrow_mut().accounts.remove(key);
        Ok(())
    }

    fn transmit_drops(&self, _of: Option<(&Id, u32)>) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    fn save(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("save")?;
        host.disk.insert(key.to_owned(), text.to_owned());
        Ok(())
    }

    fn forget(&mut self, key: &str) -> Result<(), BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("forget")?;
        host.disk.remove(key);
        Ok(())
    }

    fn load(&mut self) -> Result<Vec<(String, String)>, BackendError> {
        let host = self.0.borrow();
        host.may("load")?;
        Ok(host.disk.iter().map(|(key, text)| (key.clone(), text.clone())).collect())
    }

    fn set_aside(&mut self, key: &str) -> Result<String, BackendError> {
        let mut host = self.0.borrow_mut();
        host.does("set_aside")?;
        if let Some(text) = host.disk.remove(key) {
            host.aside.insert(key.to_owned(), text);
        }
        Ok(format!("corrupt/{key}"))
    }
}
