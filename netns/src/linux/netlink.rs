//! [`Netlink`]: the few questions and orders we have for the kernel's network, one at a time.
//!
//! A netlink socket belongs to the network namespace in which it was made, for ever: make one after each change of namespace.

mod elsewhere;
mod veth;

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use switch::mac::MacAddr;

pub(super) use self::elsewhere::is_own;
pub(super) use self::veth::VethPair;

/// The index of `lo` in every network namespace.
pub(super) const LOOPBACK: u32 = 1;

/// A conversation with the kernel about one network namespace.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// About the namespace that this thread is in.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Switches an interface on.
    pub(super) fn set_up(&mut self, index: u32) -> io::Result<()> {
        self.change_link(index, LinkFlags::Up, Vec::new())
    }

    /// Sets MAC and MTU of an interface that is switched off.
    pub(super) fn configure(&mut self, index: u32, mac: MacAddr, mtu: u32) -> io::Result<()> {
        let attributes = vec![LinkAttribute::Address(mac.0.to_vec()), LinkAttribute::Mtu(mtu)];
        self.change_link(index, LinkFlags::empty(), attributes)
    }

    /// Puts an interface into a group, by which firewall rules know it.
    pub(super) fn set_group(&mut self, index: u32, group: u32) -> io::Result<()> {
        self.change_link(index, LinkFlags::Up, vec![LinkAttribute::Group(group)])
    }

    /// Gives an interface an address, and the broadcast address of its subnet.
    pub(super) fn add_address(&mut self, index: u32, ip: Ipv4Net) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = ip.prefix_len();
        message.header.index = index;
        let address = IpAddr::V4(ip.addr());
        message.attributes.push(AddressAttribute::Address(address));
        message.attributes.push(AddressAttribute::Local(address));
        // RFC 3021: a prefix of 31 bits has no room for a broadcast address.
        if ip.prefix_len() <= 30 {
            message.attributes.push(AddressAttribute::Broadcast(ip.broadcast()));
        }
        self.order(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sends everything that has no other way to `gateway`.
    pub(super) fn add_default_route(&mut self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        self.route(index, Ipv4Net::default(), Some(gateway), NLM_F_EXCL)
    }

    /// Sends what is for `to` out of an interface, by this router if there is one. A route that is there already, to the same by
    /// another interface, goes before; this one is used when that is gone.
    pub(super) fn add_route(&mut self, index: u32, to: Ipv4Net, via: Option<Ipv4Addr>) -> io::Result<()> {
        self.route(index, to, via, NLM_F_APPEND)
    }

    fn route(&mut self, index: u32, to: Ipv4Net, via: Option<Ipv4Addr>, flag: u16) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = to.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.scope = if via.is_some() { RouteScope::Universe } else { RouteScope::Link };
        message.header.kind = RouteType::Unicast;
        if to.prefix_len() > 0 {
            message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to.network())));
        }
        message.attributes.extend(via.map(|router| RouteAttribute::Gateway(RouteAddress::Inet(router))));
        message.attributes.push(RouteAttribute::Oif(index));
        self.order(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | flag)
    }

    /// Deletes the default routes of the main table, all of them.
    pub(super) fn delete_default_routes(&mut self) -> io::Result<()> {
        let is_default = |route: &RouteMessage| {
            route.header.destination_prefix_length == 0
                && route.header.table == RouteHeader::RT_TABLE_MAIN
                && route.header.kind == RouteType::Unicast
        };
        let all = self.routes()?;
        all.into_iter().filter(is_default).try_for_each(|route| self.order(RouteNetlinkMessage::DelRoute(route), 0))
    }

    /// Deletes an interface.
    pub(super) fn delete_link(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.order(RouteNetlinkMessage::DelLink(message), 0)
    }

    /// The interface with this index, if there is one.
    pub(super) fn link(&mut self, index: u32) -> io::Result<Option<LinkMessage>> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        let answers = match self.ask(RouteNetlinkMessage::GetLink(question), NLM_F_ACK) {
            Err(why) if why.raw_os_error() == Some(nix::libc::ENODEV) => return Ok(None),
            answers => answers?,
        };
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }))
    }

    /// All interfaces.
    pub(super) fn links(&mut self) -> io::Result<Vec<LinkMessage>> {
        let answers = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let links = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        });
        Ok(links.collect())
    }

    /// All addresses of a family, or of all families.
    pub(super) fn addresses(&mut self, family: AddressFamily) -> io::Result<Vec<AddressMessage>> {
        let mut question = AddressMessage::default();
        question.header.family = family;
        let answers = self.dump(RouteNetlinkMessage::GetAddress(question))?;
        let addresses = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// All IPv4 routes, of all tables.
    pub(super) fn routes(&mut self) -> io::Result<Vec<RouteMessage>> {
        self.routes_of(AddressFamily::Inet)
    }

    /// All routes of a family, of all tables.
    pub(super) fn routes_of(&mut self, family: AddressFamily) -> io::Result<Vec<RouteMessage>> {
        let mut question = RouteMessage::default();
        question.header.address_family = family;
        let answers = self.dump(RouteNetlinkMessage::GetRoute(question))?;
        let routes = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        });
        Ok(routes.collect())
    }

    fn change_link(&mut self, index: u32, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.header.change_mask = flags;
        message.attributes = attributes;
        self.order(RouteNetlinkMessage::SetLink(message), 0)
    }

    fn order(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, NLM_F_ACK | flags).map(drop)
    }

    fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_DUMP)
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if self.read(&datagram, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Takes the messages of a datagram. Whether it was the last of the answer.
    fn read(&self, datagram: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))?;
            // Messages are aligned to four bytes; the last one may lack its padding.
            let length = (message.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(length..).unwrap_or_default();
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }
}
