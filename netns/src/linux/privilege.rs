//! Least privilege: which capability each feature takes, and who of us holds which.
//!
//! * The data is [`Feature`] (what is done, and its one capability) and [`Role`] (which of our processes does it). To hold
//!   one more or one less is a change of one of these two tables.
//! * What a process does not need leaves its effective, permitted, inheritable and ambient sets for good: [`hold_only`].
//! * The **bounding set stays** as it was found, and so does what a user without root passes on as ambient. A container is a
//!   network, not a sandbox: its command is executed as the daemon's user, and has what that user's commands have.
//!
//! So with root, execution gives everything back: every shim, init and trampoline begins with all that the bounding set
//! allows, does its work, and lets go. They do so at these points, and for these reasons:
//!
//! * the daemon, at its start, before it has a second thread: a thread keeps what it has when another lets go;
//! * a shim, when it has made its namespaces. To join the namespace of another shim is to look into that process, and the
//!   kernel lets only those do it who hold all that the other holds, as one from before this module did;
//! * a keeper, when its interface is made. The file that stands for a sandbox may be `/proc/PID/ns/net`, and to open that is to
//!   look into a process which may hold more than we do;
//! * init, when the command runs. It looks the command up and changes to its directory with the very powers that the command
//!   is going to have (CAP_DAC_OVERRIDE among them: root's commands may well start in another user's private directory);
//!   afterwards it waits, and sees to the container's own files in `/etc`, which are mounts;
//! * a trampoline never: it becomes the command;
//! * a publisher lets go of everything, by itself: what needed a capability, ports below 1024, the daemon has done for it.
//!
//! With `no_new_privs` execution gives nothing back. Then what is permitted is kept by those of us who execute something,
//! and leaves the effective set only.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use crate::backend::BackendError;

/// What to do if there can be no container.
const NO_DAEMON: &str = "containers take root, or CAP_NET_ADMIN and CAP_SYS_ADMIN as ambient capabilities; `pontoon doctor` \
                         looks at what else there is";

/// What takes a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// TAPs, addresses, routes, firewall tables, sysctls of the network.
    Interfaces,
    /// To make and to enter namespaces, to mount.
    Namespaces,
    /// To listen on a port below 1024: published ports, the DNS responder.
    LowPorts,
    /// Packet sockets, for networks whose endpoints are veth pairs.
    PacketSockets,
    /// Signals to commands that have become another user.
    Signals,
    /// To enter a container's mount namespace, for `exec`.
    EnterMounts,
}

impl Feature {
    /// All of them, those first without which there is nothing.
    pub const ALL: [Feature; 6] = [
        Feature::Interfaces,
        Feature::Namespaces,
        Feature::LowPorts,
        Feature::PacketSockets,
        Feature::Signals,
        Feature::EnterMounts,
    ];

    const fn bit(self) -> CapabilitySet {
        match self {
            Feature::Interfaces => CapabilitySet::NET_ADMIN,
            Feature::Namespaces => CapabilitySet::SYS_ADMIN,
            Feature::LowPorts => CapabilitySet::NET_BIND_SERVICE,
            Feature::PacketSockets => CapabilitySet::NET_RAW,
            Feature::Signals => CapabilitySet::KILL,
            Feature::EnterMounts => CapabilitySet::SYS_CHROOT,
        }
    }

    /// The name of its capability, as capabilities(7) has it.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Feature::Interfaces => "CAP_NET_ADMIN",
            Feature::Namespaces => "CAP_SYS_ADMIN",
            Feature::LowPorts => "CAP_NET_BIND_SERVICE",
            Feature::PacketSockets => "CAP_NET_RAW",
            Feature::Signals => "CAP_KILL",
            Feature::EnterMounts => "CAP_SYS_CHROOT",
        }
    }

    /// What it is for, in a few words.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Feature::Interfaces => "interfaces, addresses, routes, firewall",
            Feature::Namespaces => "namespaces and mounts",
            Feature::LowPorts => "published ports and names: ports below 1024",
            Feature::PacketSockets => "networks with -o endpoint=veth",
            Feature::Signals => "signals to commands that became another user",
            Feature::EnterMounts => "exec",
        }
    }

    /// What the user may do where it is missing.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Feature::Interfaces | Feature::Namespaces => {
                "containers take root, or CAP_NET_ADMIN and CAP_SYS_ADMIN as ambient capabilities"
            }
            Feature::LowPorts => {
                "choose a port from 1024 on, or start the daemon with CAP_NET_BIND_SERVICE, which root has unless it was \
                 taken away"
            }
            Feature::PacketSockets => {
                "use -o endpoint=tap, or start the daemon with CAP_NET_RAW, which root has unless it was taken away"
            }
            Feature::Signals => {
                "`pontoon stop` ends the container all the same; CAP_KILL, which root has unless it was taken away, lets \
                 the daemon's containers signal other users' processes"
            }
            Feature::EnterMounts => {
                "start the daemon with CAP_SYS_CHROOT, too: a user other than root takes it for `pontoon exec`"
            }
        }
    }

    /// Whether there is no container at all without it.
    #[must_use]
    pub const fn is_essential(self) -> bool {
        matches!(self, Feature::Interfaces | Feature::Namespaces)
    }
}

/// One of our processes that live long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The daemon.
    Daemon,
    /// The process that stands for a container.
    Shim,
    /// The process that stands for an interface in a sandbox of another engine, once that is made.
    Keeper,
    /// A container's process 1, once the command runs.
    Init,
}

impl Role {
    /// What it does that takes a capability.
    #[must_use]
    pub const fn features(self) -> &'static [Feature] {
        match self {
            Role::Daemon => &[Feature::Interfaces, Feature::Namespaces, Feature::LowPorts, Feature::PacketSockets],
            Role::Shim => &[Feature::Interfaces, Feature::Namespaces, Feature::Signals],
            // It deletes the interface, wherever that is, and enters nothing.
            Role::Keeper => &[Feature::Interfaces],
            // Its own files in /etc are mounted again when the command replaced them.
            Role::Init => &[Feature::Namespaces],
        }
    }

    /// Whether it goes on to execute others of us, who are to have what it was started with.
    const fn executes(self) -> bool {
        match self {
            Role::Daemon | Role::Shim => true,
            Role::Keeper | Role::Init => false,
        }
    }
}

fn bits(features: &[Feature]) -> CapabilitySet {
    features.iter().fold(CapabilitySet::empty(), |all, feature| all | feature.bit())
}

/// What a thread holds, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    ambient: CapabilitySet,
}

/// What a process of this role is left with.
fn reduced(role: Role, before: Held, no_new_privs: bool) -> CapabilitySets {
    let effective = before.permitted & bits(role.features());
    let passed_on = if role.executes() { before.ambient & bits(&Feature::ALL) } else { CapabilitySet::empty() };
    let permitted = if no_new_privs && role.executes() { before.permitted } else { effective | passed_on };
    // The ambient set never exceeds these two: the kernel cuts it down to them.
    CapabilitySets { effective, permitted, inheritable: before.inheritable & passed_on }
}

/// Lets go of every capability that this role does not need. For a process with one thread: others would keep theirs.
///
/// # Errors
/// If the kernel does not let us, which it always does.
pub fn hold_only(role: Role) -> io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    let ambient = Feature::ALL.into_iter().filter(|feature| is_ambient(*feature)).collect::<Vec<_>>();
    let before = Held { permitted: now.permitted, inheritable: now.inheritable, ambient: bits(&ambient) };
    let no_new_privs = rustix::thread::no_new_privs().unwrap_or(false);
    Ok(rustix::thread::set_capabilities(None, reduced(role, before, no_new_privs))?)
}

fn is_ambient(feature: Feature) -> bool {
    rustix::thread::capability_is_in_ambient_set(feature.bit()).unwrap_or(false)
}

/// What the daemon does first: it sees to it that it has what no container can be without, and lets go of the rest.
///
/// # Errors
/// If CAP_NET_ADMIN or CAP_SYS_ADMIN is missing: which, and what to do.
pub fn drop_all_but_needed() -> Result<(), BackendError> {
    let failed =
        |cause: String, hint| BackendError::Failed { operation: "start", object: "the daemon".to_owned(), cause, hint };
    let lacking: Vec<&str> = Feature::ALL
        .into_iter()
        .filter(|feature| feature.is_essential() && missing(*feature).is_some())
        .map(Feature::capability)
        .collect();
    match lacking.as_slice() {
        [] => hold_only(Role::Daemon)
            .map_err(|why| failed(format!("let go of capabilities: {}", super::process::cause_of(&why)), None)),
        [one] => Err(failed(format!("{one} is missing"), Some(NO_DAEMON))),
        several => Err(failed(format!("{} are missing", several.join(" and ")), Some(NO_DAEMON))),
    }
}

/// The capability that this thread would need for a feature and does not have in effect.
#[must_use]
pub fn missing(feature: Feature) -> Option<&'static str> {
    let has = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(feature.bit()));
    (!has).then(|| feature.capability())
}

/// Whether the kernel would let one process send a signal to another, both as this `/proc` numbers them; `None` if one of
/// them is gone.
pub(super) fn may_signal(from: u32, to: u32) -> Option<bool> {
    let read = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    signal_is_allowed(&read(from)?, &read(to)?)
}

/// kill(2): the real or effective user of the sender is the real or saved user of the target, or the sender has CAP_KILL.
fn signal_is_allowed(from: &str, to: &str) -> Option<bool> {
    let field = |status: &str, name: &str| -> Option<Vec<String>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().map(ToOwned::to_owned).collect())
    };
    // Real, effective, saved, file system.
    let (own, other) = (field(from, "Uid:")?, field(to, "Uid:")?);
    let effective = u64::from_str_radix(field(from, "CapEff:")?.first()?, 16).ok()?;
    let is_same = own.iter().take(2).any(|own| Some(own) == other.first() || Some(own) == other.get(2));
    Some(is_same || CapabilitySet::from_bits_retain(effective).contains(CapabilitySet::KILL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Held {
        Held { permitted: CapabilitySet::all(), inheritable: CapabilitySet::empty(), ambient: CapabilitySet::empty() }
    }

    fn set(bits: u64) -> CapabilitySet {
        CapabilitySet::from_bits_retain(bits)
    }

    #[test]
    fn root_keeps_what_its_role_needs_and_nothing_else() {
        let expected = [
            (Role::Daemon, 1 << 10 | 1 << 12 | 1 << 13 | 1 << 21),
            (Role::Shim, 1 << 5 | 1 << 12 | 1 << 21),
            (Role::Keeper, 1 << 12),
            (Role::Init, 1 << 21),
        ];
        for (role, mask) in expected {
            let sets = reduced(role, root(), false);
            assert_eq!((sets.effective, sets.permitted), (set(mask), set(mask)), "{role:?}");
            assert_eq!(sets.inheritable, CapabilitySet::empty(), "{role:?}");
        }
    }

    #[test]
    fn nothing_is_gained() {
        let held = Held { permitted: set(1 << 12), ..root() };
        assert_eq!(reduced(Role::Daemon, held, false).effective, set(1 << 12));
        assert_eq!(reduced(Role::Init, held, false).effective, set(0));
    }

    #[test]
    fn another_user_passes_on_what_others_of_us_need() {
        // NET_ADMIN, SYS_ADMIN, SYS_CHROOT, and SYS_TIME, which none of us needs.
        let all = set(1 << 12 | 1 << 21 | 1 << 18 | 1 << 25);
        let held = Held { permitted: all, inheritable: all, ambient: all };
        let sets = reduced(Role::Daemon, held, false);
        assert_eq!(sets.effective, set(1 << 12 | 1 << 21));
        assert_eq!((sets.permitted, sets.inheritable), (set(1 << 12 | 1 << 21 | 1 << 18), sets.permitted));
        let sets = reduced(Role::Init, held, false);
        assert_eq!((sets.permitted, sets.inheritable), (set(1 << 21), set(0)), "init executes nothing any more");
    }

    #[test]
    fn what_execution_would_not_give_back_stays_permitted() {
        let sets = reduced(Role::Shim, root(), true);
        assert_eq!(sets.permitted, CapabilitySet::all());
        assert_eq!(sets.effective, bits(Role::Shim.features()));
        assert_eq!(reduced(Role::Init, root(), true).permitted, set(1 << 21));
    }

    #[test]
    fn every_capability_has_one_feature_and_its_right_name() {
        for feature in Feature::ALL {
            let name = format!("CapabilitySet({})", &feature.capability()["CAP_".len()..]);
            assert_eq!(format!("{:?}", feature.bit()), name);
        }
        assert_eq!(bits(&Feature::ALL).bits().count_ones() as usize, Feature::ALL.len());
    }

    #[test]
    fn a_signal_takes_the_same_user_or_the_capability() {
        let status = |uids: &str, caps: &str| format!("Name:\tx\nUid:\t{uids}\nCapEff:\t{caps}\n");
        let root = status("0\t0\t0\t0", "0000000000203000");
        let killer = status("0\t0\t0\t0", "0000000000203020");
        let other = status("7\t7\t7\t7", "0000000000000000");
        assert_eq!(signal_is_allowed(&root, &root), Some(true));
        assert_eq!(signal_is_allowed(&root, &other), Some(false));
        assert_eq!(signal_is_allowed(&killer, &other), Some(true));
        assert_eq!(signal_is_allowed(&root, &status("7\t7\t0\t7", "0")), Some(true), "the saved user counts");
        assert_eq!(signal_is_allowed(&root, ""), None);
    }
}
