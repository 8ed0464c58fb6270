//! [`Record`]: what is known of one container, and how far its life has come. The record is the journal.
//!
//! The manager saves the record with the phase it is about to enter *before* it acts. A daemon that finds a record knows
//! from its phase what may have been done, and either carries on or undoes it: see [`crate::manager`].

use serde::{Deserialize, Serialize};

use crate::lease::Lease;
use crate::mode::NetworkMode;
use crate::name::{Id, Name};

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Name,
    /// What `--network` said.
    pub mode: NetworkMode,
    /// The container whose namespace it shares, in mode `container:`.
    pub shares: Option<Id>,
    /// What its interface is configured with; only on a bridge network.
    pub lease: Option<Lease>,
    /// Whether its interface takes super-frames (not so with `--no-offload`).
    pub offload: bool,
    /// Its host name, if it has one of its own.
    pub hostname: Option<String>,
    /// The command and its arguments, to be shown.
    pub command: Vec<String>,
    /// Whether it was started with `-d`: then its record, its log and its status outlive it until `rm`.
    pub detached: bool,
    /// Whether it was started with `--rm`.
    pub auto_remove: bool,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// How far it has come.
    pub phase: Phase,
}

/// How far a container's life has come. Each phase is saved before what it stands for is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Phase {
    /// The address is leased; namespaces and interface are about to be made. Found later: undo.
    Creating,
    /// Namespaces and interface are there; the command is about to be started. Found later: undo, unless it runs.
    Starting {
        /// The shim.
        pid: u32,
    },
    /// The command runs. Found later: take it over, or note its end.
    Running {
        /// The command's process.
        pid: u32,
    },
    /// It was told to stop. Found later: end it.
    Stopping {
        /// The command's process.
        pid: u32,
    },
    /// It has ended; its lease is free. Found later: nothing to do.
    Exited {
        /// Its exit status; 128+N if signal N ended it.
        status: i32,
        /// When, in seconds since 1970.
        at: u64,
    },
    /// Its log and record are about to go. Found later: finish.
    Removing,
}

impl Record {
    /// Whether it holds its lease and its name: from the first step of its start to the moment of its end.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.phase {
            Phase::Creating | Phase::Starting { .. } | Phase::Running { .. } | Phase::Stopping { .. } => true,
            Phase::Exited { .. } | Phase::Removing => false,
        }
    }

    /// The process that stands for it, while there is one: the command's, as soon as it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.phase {
            Phase::Starting { pid } | Phase::Running { pid } | Phase::Stopping { pid } => Some(pid),
            Phase::Creating | Phase::Exited { .. } | Phase::Removing => None,
        }
    }

    /// When it ended, in seconds since 1970, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        match self.phase {
            Phase::Exited { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Whether nothing of it is to stay when it ends.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.auto_remove || !self.detached
    }

    /// The name of its port on the switch.
    #[must_use]
    pub fn port_name(&self) -> String {
        format!("{}.{}", self.name, IFNAME)
    }
}

/// The name of a container's first interface, inside.
pub const IFNAME: &str = "eth0";
