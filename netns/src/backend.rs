//! [`Backend`]: what the manager asks of the world, in our own words. One of the two seams; Linux and the simulator are
//! behind it.
//!
//! A container is made in two steps, so that its port is on the switch before its command runs: [`Backend::create`] makes
//! the namespaces and the interface, [`Backend::start`] the process. [`Backend::destroy`] undoes both, whatever of them was
//! done, and may be called twice. What is saved is kept by key, atomically: after a crash there is the old or the new.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use switch::account::{Account, Counters};
use switch::link::Link;
use switch::mac::MacAddr;

use crate::borrowed::Unfit;
use crate::files::Files;
use crate::firewall::Policy;
use crate::guest::Place;
use crate::lease::Lease;
use crate::name::Id;
use crate::names::NameTable;
use crate::network::EndpointKind;
use crate::publish::PortMapping;

/// What has become of the host's firewall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirewallNews {
    /// Something of ours is missing that [`Backend::protect`] had put there, and has not put back since.
    pub is_broken: bool,
    /// Rules of others are not what they were.
    pub others_changed: bool,
    /// Some of them are gone, or there is a new chain, so that [`Backend::pass_docker`] may have something to do.
    pub others_restarted: bool,
}

/// The world that the manager acts on.
pub trait Backend {
    /// What joins a port of the switch to an interface.
    type Link: Link;
    /// The command of a container and its streams.
    type Command;

    /// The IPv4 prefixes of the host's addresses and routes. Those of an interface of ours are left out, which is told by
    /// its name and its MAC: a name alone may be another instance's by now.
    ///
    /// # Errors
    /// If the host's addresses and routes can not be read.
    fn host_prefixes(&mut self, except: Option<(&str, MacAddr)>) -> Result<Vec<Ipv4Net>, BackendError>;

    /// Makes the host's interface in a bridge network, or takes over the one that living containers kept for us. One of ours
    /// that nobody has any more may be about to vanish: that is waited for.
    ///
    /// # Errors
    /// [`BackendError::NameTaken`] if the host has another interface of that name; or the step that failed.
    fn open_gateway(&mut self, gateway: &Gateway<'_>) -> Result<Self::Link, BackendError>;

    /// Takes the host's interface in a bridge network away. Does nothing if it is not there.
    ///
    /// # Errors
    /// If it stays.
    fn close_gateway(&mut self, name: &str) -> Result<(), BackendError>;

    /// An interface of the host, and what speaks against borrowing it; `None` if there is none.
    ///
    /// # Errors
    /// If the host's interfaces can not be read.
    fn interface(&mut self, which: Which<'_>) -> Result<Option<HostInterface>, BackendError>;

    /// Makes an interface of the host a link, and lets the host itself hear nothing by it from now on. Again for one that is
    /// borrowed and has another name now, or another MTU. Nothing else of it changes.
    ///
    /// # Errors
    /// The step that failed; what was done is to be undone by [`Backend::return_interface`].
    fn borrow_interface(&mut self, interface: &HostInterface) -> Result<Self::Link, BackendError>;

    /// Lets the host hear again what comes in by an interface, whoever borrowed it: this daemon or an earlier one. Does
    /// nothing if it is not there.
    ///
    /// # Errors
    /// If the host may still not hear it.
    fn return_interface(&mut self, identity: &str) -> Result<(), BackendError>;

    /// Whether interfaces of the host may be others than they were since this was last asked, while any is borrowed. Never
    /// waits.
    fn have_interfaces_changed(&mut self) -> bool;

    /// Which life of the machine this is: another after each reboot, when no process of an earlier one lives.
    ///
    /// # Errors
    /// If it can not be told.
    fn boot(&mut self) -> Result<String, BackendError>;

    /// Makes the namespaces and the interfaces of a container. Nothing runs in it yet.
    ///
    /// # Errors
    /// The step that failed; what was made is to be undone by [`Backend::destroy`].
    fn create(&mut self, spec: &Spec<'_>) -> Result<Created<Self::Link>, BackendError>;

    /// Starts the command of a container that was created. Returns its process, as the host numbers it.
    ///
    /// # Errors
    /// If it does not run: not found, not executable, or something of ours.
    fn start(&mut self, id: &Id, command: Self::Command) -> Result<u32, StartError>;

    /// Makes a further interface in a container that runs.
    ///
    /// # Errors
    /// The step that failed; what was made is to be undone by [`Backend::detach`].
    fn attach(&mut self, id: &Id, interface: &Interface<'_>) -> Result<Self::Link, BackendError>;

    /// Deletes an interface of a container that runs, however much of it was made, by this daemon or by an earlier one. Does
    /// nothing if it is not there, or the container is not.
    ///
    /// # Errors
    /// If it stays.
    fn detach(&mut self, id: &Id, ifname: &str, kind: EndpointKind) -> Result<(), BackendError>;

    /// Says where a container that runs sends what has no other way: out of which interface, by which router.
    ///
    /// # Errors
    /// If it can not be changed.
    fn set_default_route(&mut self, id: &Id, route: Option<(&str, Ipv4Addr)>) -> Result<(), BackendError>;

    /// The host's `/etc/resolv.conf`; empty if there is none.
    ///
    /// # Errors
    /// If it can not be read.
    fn host_resolv_conf(&mut self) -> Result<String, BackendError>;

    /// Writes a container's own files in `/etc`. Which ones it has of its own is settled when its command starts; later
    /// changes are seen in it at once.
    ///
    /// # Errors
    /// If they can not be written.
    fn write_files(&mut self, id: &Id, files: &Files) -> Result<(), BackendError>;

    /// Passes what comes to ports of the host on to ports of a container at `target`, in place of what was passed on to it
    /// before. It goes on without a daemon, and ends with the container.
    ///
    /// # Errors
    /// If a port can not be had: then none is.
    fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError>;

    /// Whether ports are passed on to a container, by this daemon's doing or by an earlier one's.
    fn is_published(&mut self, id: &Id) -> bool;

    /// The next container that lives and whose ports are passed on no more although nobody asked for that, since the last
    /// call. Never waits.
    fn poll_unpublished(&mut self) -> Option<Id>;

    /// Passes nothing on to a container any more: its ports of the host are free when it returns.
    ///
    /// # Errors
    /// If they are not.
    fn unpublish(&mut self, id: &Id) -> Result<(), BackendError>;

    /// How the host forwards without us, in words that [`Backend::stop_forwarding`] understands, if it does not forward by
    /// itself: how it does now, or how it did before an instance that has switched it on.
    ///
    /// # Errors
    /// If that can not be read.
    fn forwarding(&mut self) -> Result<Option<String>, BackendError>;

    /// Switches the host's forwarding on.
    ///
    /// # Errors
    /// If it can not be.
    fn forward(&mut self) -> Result<(), BackendError>;

    /// Makes the host forward as it did `before` us, if no other instance needs that it forwards: the last one to leave does.
    ///
    /// # Errors
    /// If it can not be.
    fn stop_forwarding(&mut self, before: &str) -> Result<(), BackendError>;

    /// Makes the host's firewall for our networks this policy, whole. With `before`, what the host did not forward before us
    /// it does not forward now.
    ///
    /// # Errors
    /// If there is no firewall to be had: the last policy still holds.
    fn protect(&mut self, policy: &Policy, before: Option<&str>) -> Result<(), BackendError>;

    /// Lets what leaves these bridges of the instance, and what answers it, pass the rules that Docker keeps on the host, which
    /// drop whatever is not of a bridge of Docker's own; but not to such a bridge. Other bridges of the instance pass no more.
    /// Does nothing where Docker keeps no rules.
    ///
    /// # Errors
    /// If the rules can not be read or written.
    fn pass_docker(&mut self, instance: &str, bridges: &[String]) -> Result<(), BackendError> {
        let _ = (instance, bridges);
        Ok(())
    }

    /// What has become of the host's firewall since this was last asked. Never waits.
    fn poll_firewall(&mut self) -> FirewallNews;

    /// What of others drops the traffic of a bridge of ours, each in a sentence with its remedy.
    ///
    /// # Errors
    /// If that can not be read.
    fn foreign_drops(&mut self, bridge: &str) -> Result<Vec<String>, BackendError>;

    /// Answers questions about names at a gateway's address, from this table in place of the last one under this key.
    ///
    /// # Errors
    /// If the address can not be listened at.
    fn serve_names(&mut self, key: &str, gateway: Ipv4Addr, table: NameTable) -> Result<(), BackendError>;

    /// Answers none any more.
    fn stop_names(&mut self, key: &str);

    /// Finds a container that an earlier daemon made, and takes over its interfaces.
    ///
    /// # Errors
    /// If it is not known whether it lives.
    fn adopt(&mut self, spec: &Spec<'_>) -> Result<Adopted<Self::Link>, BackendError>;

    /// Gives a guest whose keeper has ended another, if its interface has not gone as well: it is there by this daemon's own hold on it, and
    /// nothing of it changes. Returns the new one's process, or `None` if there is no such interface.
    ///
    /// # Errors
    /// If no keeper is to be had: the interface stays for now, and this may be tried again.
    fn replace_keeper(&mut self, spec: &Spec<'_>) -> Result<Option<u32>, BackendError>;

    /// What the interface of a guest is called where it is now, if it is there.
    fn guest_interface(&self, id: &Id) -> Option<String>;

    /// Replaces [`Spec::note`] of a container.
    ///
    /// # Errors
    /// If it can not be written; the old note is still there.
    fn note(&mut self, id: &Id, note: &str) -> Result<(), BackendError>;

    /// What there is of containers outside the records: of each that was created and not discarded, [`Spec::note`]. It is
    /// for the case that a record is lost while its container lives.
    ///
    /// # Errors
    /// If it can not be looked for.
    fn noted(&mut self) -> Result<Vec<Noted>, BackendError>;

    /// Sends a signal, by its number, to the command of a container.
    ///
    /// # Errors
    /// If it can not be delivered.
    fn signal(&mut self, id: &Id, signal: i32) -> Result<(), BackendError>;

    /// Ends every process of a container; when it returns, its namespaces and interfaces are gone too, unless a
    /// `container:` joiner keeps the namespace. Does nothing for a container that is gone. Returns the exit status of its
    /// command, if there was one and it is known.
    ///
    /// # Errors
    /// If something stays that can not be ended.
    fn destroy(&mut self, id: &Id) -> Result<Option<i32>, BackendError>;

    /// The next container that has ended since the last call, with the exit status of its command (128+N for signal N).
    /// Never waits.
    fn poll_ended(&mut self) -> Option<(Id, i32)>;

    /// Deletes what a container left on disk: its log, its exit status.
    ///
    /// # Errors
    /// If something stays.
    fn discard(&mut self, id: &Id) -> Result<(), BackendError>;

    /// The account under `key` (as of [`Backend::save`]), which outlives the daemon but not the machine's life: it goes on, or
    /// begins at `since`, in seconds since 1970. Nobody else has it.
    ///
    /// # Errors
    /// If it can not be made or found.
    fn account<T: Counters>(&mut self, key: &str, since: u64) -> Result<Account<T>, BackendError>;

    /// The keys of all accounts, ascending.
    ///
    /// # Errors
    /// If they can not be known.
    fn accounts(&mut self) -> Result<Vec<String>, BackendError>;

    /// Forgets an account. Whoever still has it counts for nobody. Does nothing if it is not there.
    ///
    /// # Errors
    /// If it stays.
    fn close_account(&mut self, key: &str) -> Result<(), BackendError>;

    /// How many frames each interface could not send, as it counts itself, by its name: those of a container that runs, of
    /// which a process is given, or of the host. None where it can not be known.
    fn transmit_drops(&self, of: Option<(&Id, u32)>) -> BTreeMap<String, u64>;

    /// Keeps `text` under `key` (letters, digits, `-`, `_`), replacing what was there.
    ///
    /// # Errors
    /// If it can not be written; the old text is still there.
    fn save(&mut self, key: &str, text: &str) -> Result<(), BackendError>;

    /// The same for what is there for good: it has outlived a loss of power once this has returned.
    ///
    /// # Errors
    /// As [`Backend::save`].
    fn save_for_good(&mut self, key: &str, text: &str) -> Result<(), BackendError> {
        // (There is none to be lost, unless somebody says otherwise.)
        self.save(key, text)
    }

    /// Forgets `key`; does nothing if it is not there.
    ///
    /// # Errors
    /// If it can not be deleted.
    fn forget(&mut self, key: &str) -> Result<(), BackendError>;

    /// Everything that is kept, by key in ascending order.
    ///
    /// # Errors
    /// If it can not be read.
    fn load(&mut self) -> Result<Vec<(String, String)>, BackendError>;

    /// Puts what is kept under `key`, which is corrupt, aside; returns where it is now, for people to read.
    ///
    /// # Errors
    /// If it can not be moved.
    fn set_aside(&mut self, key: &str) -> Result<String, BackendError>;
}

/// Which interface of the host is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// The one that has this name now.
    Named(&'a str),
    /// The one with this identity, whatever it is called.
    Known(&'a str),
}

/// An interface of the host that is to be a port of ours, or is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInterface {
    /// Which it is, whatever it is called: no other interface has this in the same life of the machine. Letters, digits, `_`.
    pub identity: String,
    /// What it is called.
    pub name: String,
    /// The longest IP packet that it takes, in bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// The host's addresses on it, but for those of the link only (`fe80::/10`). Only looked for by name.
    pub addresses: Vec<IpNet>,
    /// Interfaces that are made upon it, which hear by it: VLANs, macvlans. Only looked for by name.
    pub upper: Vec<String>,
    /// What speaks against borrowing it. By identity only what lies in the interface itself.
    pub unfit: Option<Unfit>,
}

/// The host's interface in a bridge network.
#[derive(Clone, Copy, Debug)]
pub struct Gateway<'a> {
    /// The interface's name, which is the bridge's.
    pub name: &'a str,
    /// Its address, MAC and MTU.
    pub lease: &'a Lease,
}

/// What a container is to be made of.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    /// Its id.
    pub id: &'a Id,
    /// Which network namespace it lives in.
    pub namespace: Namespace<'a>,
    /// Its interfaces.
    pub interfaces: Vec<Interface<'a>>,
    /// Its host name, if it has one of its own.
    pub hostname: Option<&'a str>,
    /// Whether its output is kept in a log.
    pub log: bool,
    /// What is to be known of it should its record be lost; kept with the container, not with the records.
    pub note: &'a str,
}

/// What a container was created with, as it is found later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Which container. Its short id is right, the rest is only if there is a note.
    pub id: Id,
    /// [`Spec::note`], unless that is lost too.
    pub note: Option<String>,
}

/// Which network namespace a container lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace<'a> {
    /// One of its own.
    New,
    /// The host's.
    Host,
    /// That of another container.
    Of(&'a Id),
    /// Another engine's: nothing of ours runs there, and the container is a keeper of its one interface, which is a TAP. It stands
    /// in no namespace of its own, [`Backend::create`] is all that it needs to run, and it ends when its interface has: with
    /// the namespace that the engine has taken it to, or by somebody's hand. It is made, destroyed and discarded again under
    /// the same id. [`Interface::is_default`] says nothing: its routes are in the place.
    Guest(&'a Place),
}

/// An interface in a container.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a> {
    /// Its name inside.
    pub name: &'a str,
    /// What it is configured with.
    pub lease: &'a Lease,
    /// What joins it to the switch.
    pub kind: EndpointKind,
    /// Whether the default route goes this way, by the lease's gateway.
    pub is_default: bool,
    /// Whether it takes super-frames.
    pub offload: bool,
    /// Whether it is to tell everybody on its network whose address this is now, when it is made: somebody may remember another
    /// station. An interface that another engine configures tells nobody.
    pub announces: bool,
    /// The bridge it belongs to, whose gateway interface the container keeps alive while there is no daemon.
    pub bridge: &'a str,
}

/// The switch's ends of a container's interfaces, by their names inside.
pub type Links<L> = Vec<(String, L)>;

/// A container whose namespaces and interfaces are there.
#[derive(Debug)]
pub struct Created<L> {
    /// The process that stands for it.
    pub pid: u32,
    /// The switch's ends of its interfaces.
    pub links: Links<L>,
}

/// What became of a container while there was no daemon.
#[derive(Debug)]
pub enum Adopted<L> {
    /// Its command runs.
    Running {
        /// The process of the command.
        pid: u32,
        /// The switch's ends of the interfaces that it still has.
        links: Links<L>,
    },
    /// It has ended, or its command never started.
    Ended {
        /// The exit status of its command, if it is known.
        status: Option<i32>,
    },
}

/// The world failed: which operation, on what, and why.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The host has an interface of this name already.
    #[error("the host has an interface {0} already")]
    NameTaken(String),
    /// The container is not there.
    #[error("no such container is running")]
    Gone,
    /// An operation failed.
    #[error("{operation} {object}: {cause}")]
    Failed {
        /// What was tried, such as `open TAP`.
        operation: &'static str,
        /// On what, such as `eth0 in web`.
        object: String,
        /// Why it failed.
        cause: String,
        /// What the user may do about it, if we know.
        hint: Option<&'static str>,
    },
}

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such command.
    #[error("{0}: command not found")]
    NotFound(String),
    /// It is there, but can not be executed.
    #[error("{0}: {1}")]
    NotExecutable(String, String),
    /// Something of ours failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
