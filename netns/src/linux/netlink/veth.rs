//! Veth pairs: both ends in one order to the kernel, so that there is never one without the other.

use std::io;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};

use super::Netlink;

/// A veth pair to be made. Both ends are down, and have no address.
#[derive(Clone, Copy, Debug)]
pub(in crate::linux) struct VethPair<'a> {
    /// The name of the end in the namespace that is spoken about. It never asks or answers by ARP.
    pub(in crate::linux) name: &'a str,
    /// The name of the other end.
    pub(in crate::linux) peer_name: &'a str,
    /// A process in the network namespace of the other end. By pid, since to open its namespace would be to look into that
    /// process, which may hold capabilities that we let go of.
    pub(in crate::linux) peer_pid: u32,
    /// The longest IP packet of both, in bytes.
    pub(in crate::linux) mtu: u32,
}

impl Netlink {
    /// Makes a veth pair. EEXIST: one of the two names is taken in its namespace, and nothing was made.
    pub(in crate::linux) fn create_veth(&mut self, pair: &VethPair<'_>) -> io::Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(pair.peer_name.to_owned()),
            LinkAttribute::Mtu(pair.mtu),
            LinkAttribute::NetNsPid(pair.peer_pid),
        ];
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Noarp;
        message.header.change_mask = LinkFlags::Noarp;
        message.attributes = vec![
            LinkAttribute::IfName(pair.name.to_owned()),
            LinkAttribute::Mtu(pair.mtu),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
            ]),
        ];
        self.order(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }
}
