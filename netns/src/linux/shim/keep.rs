//! The keeper: the shim of a guest, whose sandbox and commands are another engine's.
//!
//! * It stays in the host's namespaces, and has no command. What it has is the interface, by its descriptor, wherever the engine
//!   has taken it.
//! * Once the interface is made it needs its creator no more. It ends when it is told to, and takes the interface away then; or
//!   when the interface is no more, which is how it goes with a sandbox that its engine has ended without a word to us.
//! * If it is killed the daemon gives the interface to another one, which knows no difference. Killed without a daemon it takes the interface along.
//! * From then on it holds one capability.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use switch::link::port::PortLink;

use super::Shim;
use crate::linux::failure::{Failure, Step};
use crate::linux::guest;
use crate::linux::privilege::{self, Role};
use crate::linux::protocol::{InterfacePlan, Reply};
use crate::linux::setup::Interface;

/// How often it looks whether the interface is still there, in seconds. The kernel tells of its end as it tells of frames, and to
/// hear of that is to be woken by each. The switch hears of it at once, and the daemon ends the keeper then; so this is for the time
/// when there is none.
pub(super) const LOOK_AGAIN: i64 = 5;

impl Shim {
    /// Makes the one interface of a guest.
    pub(super) fn make_for_guest(&self, plan: &InterfacePlan) -> Result<Interface, Failure> {
        let refused = |why| Step::CreateTap.failed(&plan.name, why);
        let place = self.place.as_ref().ok_or_else(|| refused("this is no keeper"))?;
        if !self.interfaces.is_empty() {
            return Err(refused("a guest has one interface"));
        }
        let made = guest::make(&self.short_id(), plan, place);
        privilege::hold_only(Role::Keeper).map_err(Step::LetGo.on("a keeper"))?;
        Ok(Interface { tap: Some(made?), index: None, bridge: plan.bridge.clone() })
    }

    /// Holds the interface of a guest that another keeper made.
    pub(super) fn keep(&mut self, peer: u64, plan: InterfacePlan, fds: Vec<OwnedFd>) {
        let refused = |why| Step::AdoptTap.failed(&plan.name, why);
        let mut fds = fds.into_iter();
        let taken = if self.place.is_none() || !self.interfaces.is_empty() {
            Err(refused("this is no keeper without an interface"))
        } else {
            let tap = fds.next().ok_or_else(|| refused("a descriptor is missing"));
            tap.and_then(|tap| {
                PortLink::from_fd(tap, plan.offload).map_err(|why| Step::AdoptTap.failed(&plan.name, why))
            })
        };
        let taken = taken.and_then(|tap| {
            privilege::hold_only(Role::Keeper).map_err(Step::LetGo.on("a keeper"))?;
            Ok(tap)
        });
        match taken {
            Ok(tap) => {
                self.gateways.extend(fds.next().map(|fd| (plan.bridge.clone(), fd)));
                self.interfaces.insert(plan.name, Interface { tap: Some(tap), index: None, bridge: plan.bridge });
                self.reply(peer, &Reply::Added, &[]);
            }
            Err(failure) => self.reply(peer, &Reply::Failed { failure }, &[]),
        }
    }

    /// Whether there is an interface that lives by this process.
    pub(super) fn keeps(&self) -> bool {
        self.place.is_some() && !self.interfaces.is_empty()
    }

    /// Whether it has been taken away.
    pub(super) fn is_lost(&self) -> bool {
        self.keeps() && self.interfaces.values().filter_map(|interface| interface.tap.as_ref()).all(guest::is_gone)
    }

    /// Ends after the interface has.
    pub(super) fn lose(mut self) -> ExitCode {
        // What the daemon gives up when it hears of this, nobody else keeps.
        self.gateways.clear();
        for channel in self.peers.values_mut() {
            let _ = channel.send(&Reply::Ended { status: 0 }, &[]);
        }
        self.leave();
        ExitCode::SUCCESS
    }

    /// Takes the interface away, and with it the reason to be.
    pub(super) fn close(&mut self) {
        self.gateways.clear();
        for (name, Interface { tap, .. }) in std::mem::take(&mut self.interfaces) {
            // If it stays it goes with the last descriptor of it.
            if let Some(Err(why)) = tap.as_ref().map(guest::delete) {
                let _ = writeln!(io::stderr(), "pontoon: {}: delete {name}: {why}", self.directory.display());
            }
        }
    }

    fn short_id(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
