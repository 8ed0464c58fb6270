//! What there is in the current network namespace: interfaces, and the IPv4 prefixes that are in use.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use switch::mac::MacAddr;

use super::netlink::Netlink;
use crate::interface::InterfaceInfo;

/// The interfaces of the network namespace that this thread is in, in the kernel's order.
///
/// # Errors
/// If the kernel can not be asked.
pub fn interfaces() -> io::Result<Vec<InterfaceInfo>> {
    let mut netlink = Netlink::open()?;
    let links = netlink.links()?;
    let addresses = netlink.addresses(AddressFamily::Unspec)?;
    Ok(links.iter().map(|link| interface(link, &addresses)).collect())
}

/// The IPv4 routes of the main table of the network namespace that this thread is in: where to, by whom, out of which interface.
///
/// # Errors
/// If the kernel can not be asked.
pub fn routes() -> io::Result<Vec<(Ipv4Net, Option<Ipv4Addr>, String)>> {
    let mut netlink = Netlink::open()?;
    let links = netlink.links()?;
    let name_of = |index: u32| {
        let link = links.iter().find(|link| link.header.index == index)?;
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })
    };
    let routes = netlink.routes()?.into_iter().filter(|route| table_of(route) == u32::from(RouteHeader::RT_TABLE_MAIN));
    let routes = routes.filter_map(|route| {
        let gateway = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(*ip),
            _ => None,
        });
        let name = oif(&route).and_then(name_of).unwrap_or_default();
        Some((destination_of(&route)?, gateway, name))
    });
    Ok(routes.collect())
}

/// The IPv4 prefixes of addresses and of the main table's routes, but for loopback, the default route, and those of `except`.
pub(super) fn prefixes(except: Option<(&str, MacAddr)>) -> io::Result<Vec<Ipv4Net>> {
    let mut netlink = Netlink::open()?;
    let except = match except {
        Some((name, mac)) => index_with(&mut netlink, name, mac)?,
        None => None,
    };
    let of_addresses = netlink.addresses(AddressFamily::Inet)?;
    let of_routes = netlink.routes()?;
    let addresses = of_addresses.iter().filter(|address| Some(address.header.index) != except).flat_map(prefixes_of);
    let routes = of_routes.iter().filter(|route| except.is_none() || oif(route) != except).filter_map(prefix_of);
    let found: BTreeSet<Ipv4Net> = addresses.chain(routes).filter(|prefix| !prefix.addr().is_loopback()).collect();
    Ok(found.into_iter().collect())
}

/// The index of the interface with this name and MAC, if there is one.
pub(super) fn index_with(netlink: &mut Netlink, name: &str, mac: MacAddr) -> io::Result<Option<u32>> {
    let links = netlink.links()?;
    let own = links.iter().find(|link| {
        let has = |wanted: &LinkAttribute| link.attributes.contains(wanted);
        has(&LinkAttribute::IfName(name.to_owned())) && has(&LinkAttribute::Address(mac.0.to_vec()))
    });
    Ok(own.map(|link| link.header.index))
}

/// The index of the interface with this name, if there is one.
pub(super) fn index_of(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

fn interface(link: &LinkMessage, addresses: &[AddressMessage]) -> InterfaceInfo {
    let own = || addresses.iter().filter(|address| address.header.index == link.header.index);
    let mut info = InterfaceInfo {
        name: String::new(),
        mac: MacAddr::ZERO,
        mtu: 0,
        up: link.header.flags.contains(LinkFlags::Up),
        ipv4: own().filter_map(own_address).collect(),
        ipv6_count: own().filter(|address| address.header.family == AddressFamily::Inet6).count(),
        rx_packets: 0,
        rx_bytes: 0,
        rx_dropped: 0,
        tx_packets: 0,
        tx_bytes: 0,
        tx_dropped: 0,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => info.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => info.mtu = *mtu,
            LinkAttribute::Address(mac) => info.mac = mac.as_slice().try_into().map_or(MacAddr::ZERO, MacAddr),
            LinkAttribute::Stats64(stats) => {
                (info.rx_packets, info.rx_bytes, info.rx_dropped) =
                    (stats.rx_packets, stats.rx_bytes, stats.rx_dropped);
                (info.tx_packets, info.tx_bytes, info.tx_dropped) =
                    (stats.tx_packets, stats.tx_bytes, stats.tx_dropped);
            }
            _ => {}
        }
    }
    info
}

fn own_address(message: &AddressMessage) -> Option<Ipv4Net> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })?;
    Ipv4Net::new(local, message.header.prefix_len).ok()
}

/// Of a point-to-point interface there are two: its own address, and the prefix of the peer.
fn prefixes_of(message: &AddressMessage) -> impl Iterator<Item = Ipv4Net> {
    let length = message.header.prefix_len;
    message.attributes.iter().filter_map(move |attribute| match attribute {
        AddressAttribute::Address(IpAddr::V4(ip)) => Ipv4Net::new(*ip, length).ok().map(|prefix| prefix.trunc()),
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(Ipv4Net::from(*ip)),
        _ => None,
    })
}

fn prefix_of(route: &RouteMessage) -> Option<Ipv4Net> {
    if table_of(route) != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    destination_of(route).filter(|prefix| prefix.prefix_len() > 0)
}

fn table_of(route: &RouteMessage) -> u32 {
    let table = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    table.unwrap_or(u32::from(route.header.table))
}

/// Where a route leads.
fn destination_of(route: &RouteMessage) -> Option<Ipv4Net> {
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(*ip),
        _ => None,
    });
    Ipv4Net::new(destination.unwrap_or(Ipv4Addr::UNSPECIFIED), route.header.destination_prefix_length).ok()
}

/// The interface that a route leads out of.
pub(super) fn oif(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}
