//! [`Facts`]: what was seen of a machine. Causes are in the kernel's words.

use netns::linux::firewall::Foreign;
use netns::linux::privilege::Feature;

use super::cni::Cni;
use super::engine::Engine;
use super::passage::Passage;

/// All that is looked at.
#[derive(Clone, Debug)]
pub struct Facts {
    pub tun: Tun,
    pub tap: Tap,
    /// The features that the user who asks has the capability for.
    pub held: Vec<Feature>,
    /// What became of making a namespace, by its kind.
    pub namespaces: Vec<(&'static str, Result<(), String>)>,
    /// What became of making a user namespace.
    pub user_namespace: Result<(), String>,
    pub nft: Nft,
    /// What other people's rules do to what the default network forwards; or why that is not known.
    pub foreign: Result<Foreign, String>,
    pub forwarding: Forwarding,
    /// The text of `/etc/resolv.conf`.
    pub resolv_conf: Result<String, String>,
    pub kernel: Kernel,
    /// Docker beside us.
    pub engine: Engine,
    /// And what its rules do to networks of ours.
    pub passage: Passage,
    /// CNI beside us.
    pub cni: Cni,
}

/// `/dev/net/tun`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tun {
    Absent,
    /// Something else is in its place.
    NoDevice,
    Denied,
    /// It can not be opened for another reason.
    Broken(String),
    Opens,
}

/// What became of making a TAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tap {
    /// There was no namespace to try it in.
    NotTried,
    Fails(String),
    Works {
        /// Whether it has the header that lets super-frames pass uncut.
        offload: bool,
    },
}

/// The program `nft`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nft {
    NotFound,
    /// It does not even tell its version.
    Broken(String),
    /// There was no namespace to try it in.
    NotTried {
        version: String,
    },
    /// It does not take a table like ours.
    Fails {
        version: String,
        why: String,
    },
    Works {
        version: String,
    },
}

/// `net.ipv4.ip_forward`.
#[derive(Clone, Debug)]
pub struct Forwarding {
    pub is_on: Result<bool, String>,
    /// Whether we have switched it on, and it should be on.
    pub for_us: bool,
    /// Whether /proc/sys is mounted so that it could be changed.
    pub is_writable: bool,
}

/// The kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub release: Result<String, String>,
    pub pidfd: Result<(), String>,
    /// What became of making a ring.
    pub io_uring: Result<(), String>,
}
