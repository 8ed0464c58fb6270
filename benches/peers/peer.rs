//! Who is compared.

use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// A system that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// The Linux bridge with veth pairs, without br_netfilter: what all others are compared with
    Kernel,
    /// The same as Docker leaves it: br_netfilter on, and its iptables rules
    #[value(name = "docker0")]
    Docker0,
    /// Pontoon with the engine it chooses itself
    Pontoon,
    /// Pontoon with `--io epoll`
    PontoonEpoll,
    /// Pontoon with `--io uring`
    PontoonUring,
    /// Pontoon with veth pairs in place of TAPs (`-o endpoint=veth`)
    PontoonVeth,
    /// vde_switch (Debian's package vde2), on TAPs
    Vde,
    /// Open vSwitch's userspace datapath (Debian's package openvswitch-switch), on TAPs
    Ovs,
    /// Pontoon while all frames are captured.
    #[value(skip)]
    Capturing,
    /// Pontoon with its flight recorder.
    #[value(skip)]
    Recording,
}

impl Peer {
    /// Those that are compared unless others are asked for.
    pub const USUAL: [Peer; 6] =
        [Peer::Kernel, Peer::Docker0, Peer::PontoonEpoll, Peer::PontoonUring, Peer::Vde, Peer::Ovs];
    /// Those that `--watched` compares.
    pub const WATCHED: [Peer; 3] = [Peer::Pontoon, Peer::Capturing, Peer::Recording];

    /// What options and JSON call it.
    pub fn key(self) -> &'static str {
        match self {
            Peer::Kernel => "kernel",
            Peer::Docker0 => "docker0",
            Peer::Pontoon => "pontoon",
            Peer::PontoonEpoll => "pontoon-epoll",
            Peer::PontoonUring => "pontoon-uring",
            Peer::PontoonVeth => "pontoon-veth",
            Peer::Vde => "vde",
            Peer::Ovs => "ovs",
            Peer::Capturing => "capturing",
            Peer::Recording => "recording",
        }
    }

    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Peer::Kernel => "kernel bridge",
            Peer::Docker0 => "docker0",
            Peer::Pontoon => "Pontoon",
            Peer::PontoonEpoll => "Pontoon, epoll",
            Peer::PontoonUring => "Pontoon, io_uring",
            Peer::PontoonVeth => "Pontoon, veth",
            Peer::Vde => "vde_switch",
            Peer::Ovs => "Open vSwitch",
            Peer::Capturing => "capturing",
            Peer::Recording => "flight recorder",
        }
    }

    /// Whether it is Pontoon, in whatever way.
    pub fn is_pontoon(self) -> bool {
        match self {
            Peer::Kernel | Peer::Docker0 | Peer::Vde | Peer::Ovs => false,
            Peer::Pontoon
            | Peer::PontoonEpoll
            | Peer::PontoonUring
            | Peer::PontoonVeth
            | Peer::Capturing
            | Peer::Recording => true,
        }
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}
