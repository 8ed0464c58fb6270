//! Interfaces of the host that are ports for a while: what there is to know of one, and [`Watch`], which hears whether any of
//! them changes.
//!
//! An interface is known by its network namespace and its index in it: no other has that index as long as it is there, and the
//! kernel counts on and on.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use netlink_packet_route::route::{RouteHeader, RouteMessage, RouteType};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc;

use super::netlink::Netlink;
use super::survey::oif;
use crate::backend::{HostInterface, Which};
use crate::borrowed::Unfit;
use crate::firewall::GROUP;

/// What there is to know of an interface in the network namespace of the calling thread; `None` if there is none. Who has it
/// but the kernel and we, is not looked for.
///
/// Of one that is known already by its identity it is not asked again what depends on it: addresses, routes, other interfaces.
/// It is looked at whenever any interface of the host changes, and the host may have thousands.
pub(super) fn look_at(which: Which<'_>) -> io::Result<Option<HostInterface>> {
    let mut netlink = Netlink::open()?;
    match which {
        Which::Known(identity) => {
            let Some(index) = index_in(identity)? else { return Ok(None) };
            Ok(netlink.link(index)?.map(|link| described(identity.to_owned(), &link)))
        }
        Which::Named(name) => {
            let links = netlink.links()?;
            let Some(link) = links.iter().find(|link| name_of(link) == Some(name)) else { return Ok(None) };
            let index = link.header.index;
            let mut found = described(identity_of(namespace()?, index), link);
            let addresses = netlink.addresses(AddressFamily::Unspec)?;
            let own = addresses.iter().filter(|address| address.header.index == index);
            found.addresses = own.filter_map(address_of).collect();
            let upper = links.iter().filter(|other| is_upon(other, index));
            found.upper = upper.filter_map(name_of).map(str::to_owned).collect();
            if found.unfit.is_none() {
                let families = [AddressFamily::Inet, AddressFamily::Inet6];
                let routes = families.map(|family| netlink.routes_of(family));
                for route in routes.into_iter().collect::<io::Result<Vec<_>>>()?.concat() {
                    if is_default_by(&route, index) {
                        found.unfit = Some(Unfit::HasDefaultRoute);
                    }
                }
            }
            Ok(Some(found))
        }
    }
}

/// What the kernel says of an interface by itself.
fn described(identity: String, link: &LinkMessage) -> HostInterface {
    let mtu = link.attributes.iter().find_map(|each| match each {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    HostInterface {
        identity,
        name: name_of(link).unwrap_or_default().to_owned(),
        mtu: mtu.unwrap_or_default(),
        up: link.header.flags.contains(LinkFlags::Up),
        addresses: Vec::new(),
        upper: Vec::new(),
        unfit: unfit(link),
    }
}

/// The index of the interface with this identity, if it is one of the calling thread's network namespace.
pub(super) fn index_in(identity: &str) -> io::Result<Option<u32>> {
    let (namespace_of, index) = identity.split_once('_').unwrap_or_default();
    let is_here = namespace()?.to_string() == namespace_of;
    Ok(index.parse().ok().filter(|_| is_here))
}

/// What an interface is called now.
pub(super) fn name_at(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index).ok()?.into_string().ok()
}

fn identity_of(namespace: u64, index: u32) -> String {
    format!("{namespace}_{index}")
}

/// The number of the network namespace that this thread is in.
fn namespace() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|each| match each {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

/// An address by which the host is reached from elsewhere than the link itself.
fn address_of(message: &AddressMessage) -> Option<IpNet> {
    let of = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    // Of a point-to-point interface `Address` is the peer's.
    let local = of(|each| match each {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let address = of(|each| match each {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    let ip = local.or(address)?;
    let is_of_link = matches!(ip, IpAddr::V6(ip) if Ipv6Addr::is_unicast_link_local(&ip));
    IpNet::new(ip, message.header.prefix_len).ok().filter(|_| !is_of_link)
}

/// Whether an interface is made upon the one with this index and hears by it. (Of a veth pair each says that it is upon the
/// other.)
fn is_upon(link: &LinkMessage, index: u32) -> bool {
    let is_on_it = link.attributes.contains(&LinkAttribute::Link(index));
    let kinds = link.attributes.iter().filter_map(|each| match each {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let hears = |info: &LinkInfo| {
        matches!(
            info,
            LinkInfo::Kind(
                InfoKind::Vlan | InfoKind::MacVlan | InfoKind::MacVtap | InfoKind::IpVlan | InfoKind::IpVtap
            )
        )
    };
    is_on_it && kinds.flatten().any(hears)
}

fn unfit(link: &LinkMessage) -> Option<Unfit> {
    if link.header.flags.contains(LinkFlags::Loopback) {
        return Some(Unfit::Loopback);
    }
    if link.header.link_layer_type != LinkLayerType::Ether {
        return Some(Unfit::NotEthernet);
    }
    let master = link.attributes.iter().find_map(|each| match each {
        LinkAttribute::Controller(master) => Some(*master),
        _ => None,
    });
    if let Some(master) = master.filter(|master| *master != 0) {
        return Some(Unfit::HasMaster(name_at(master).unwrap_or_else(|| format!("interface {master}"))));
    }
    link.attributes.contains(&LinkAttribute::Group(GROUP)).then_some(Unfit::IsOurs)
}

/// Whether a route is a default one, and leads out of the interface with this index.
fn is_default_by(route: &RouteMessage, index: u32) -> bool {
    let header = &route.header;
    header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast
        && oif(route) == Some(index)
}

/// The multicast group of news about interfaces: RTNLGRP_LINK in linux/rtnetlink.h.
const LINK_GROUP: u32 = 1;
/// The longest datagram of the kernel's, in bytes; what is in it does not matter.
const DATAGRAM: usize = 32 << 10;

/// The kernel's announcements about interfaces in the network namespace of the thread that made it.
#[derive(Debug)]
pub(super) struct Watch(Socket);

impl Watch {
    pub(super) fn start() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.add_membership(LINK_GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(Watch(socket))
    }

    /// Whether anything has been announced since this was last asked. Which interface it is about is for who asks to see.
    pub(super) fn has_news(&mut self) -> bool {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        let mut is_news = false;
        loop {
            datagram.clear();
            match self.0.recv(&mut datagram, 0) {
                Ok(_) => is_news = true,
                // Some were lost.
                Err(why) if why.raw_os_error() == Some(libc::ENOBUFS) => is_news = true,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return is_news,
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interface upon the one with index 7.
    fn upon(kind: InfoKind) -> LinkMessage {
        let mut link = LinkMessage::default();
        let info = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]);
        link.attributes = vec![LinkAttribute::IfName("it".into()), LinkAttribute::Link(7), info];
        link
    }

    #[test]
    fn what_is_made_upon_an_interface_hears_by_it_and_the_other_end_of_a_veth_pair_does_not() {
        for kind in [InfoKind::Vlan, InfoKind::MacVlan, InfoKind::IpVlan] {
            assert!(is_upon(&upon(kind.clone()), 7) && !is_upon(&upon(kind.clone()), 8), "{kind:?}");
        }
        assert!(!is_upon(&upon(InfoKind::Veth), 7));
    }

    #[test]
    fn addresses_of_the_link_alone_do_not_count() {
        let address = |ip: &str, length| {
            let mut message = AddressMessage::default();
            message.header.prefix_len = length;
            message.attributes = vec![AddressAttribute::Address(ip.parse().expect("an address"))];
            address_of(&message).map(|address| address.to_string())
        };
        assert_eq!(address("fe80::1", 64), None);
        assert_eq!(address("2001:db8::1", 64).as_deref(), Some("2001:db8::1/64"));
        assert_eq!(address("10.0.0.1", 8).as_deref(), Some("10.0.0.1/8"));
    }

    #[test]
    fn an_identity_is_of_one_namespace() {
        let here = namespace().expect("there is one");
        assert_eq!(index_in(&identity_of(here, 7)).expect("it is read"), Some(7));
        for other in [identity_of(here + 1, 7), String::new(), "7".into(), format!("{here}_x")] {
            assert_eq!(index_in(&other).expect("it is read"), None, "{other}");
        }
    }
}
