//! [`Tuple`]: what tells one connection from another: protocol, addresses and ports.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::icmp;
use crate::wire::{self, Packet};

/// One direction of a connection of IPv4. Of an ICMP echo the asking side has the identifier as its port, the other side has 0; of
/// other protocols both have 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tuple {
    pub(crate) protocol: u8,
    pub(crate) source: SocketAddrV4,
    pub(crate) destination: SocketAddrV4,
}

impl Tuple {
    /// That of a packet; `None` of IPv6, of ICMP that is no echo, and of what is cut short.
    pub(crate) fn of(packet: &Packet) -> Option<Self> {
        read(packet.ip())
    }

    /// That of the packet that an ICMP error is about.
    pub(crate) fn of_error(packet: &Packet) -> Option<Self> {
        read(icmp::subject(packet)?)
    }

    /// The other direction of the same.
    pub(crate) fn back(self) -> Self {
        Tuple { source: self.destination, destination: self.source, ..self }
    }
}

fn read(ip: &[u8]) -> Option<Tuple> {
    if ip.first()? >> 4 != 4 {
        return None;
    }
    let header = usize::from(ip.first()? & 0x0f) * 4;
    let (protocol, payload) = (*ip.get(9)?, ip.get(header..)?);
    let address =
        |at: usize| -> Option<Ipv4Addr> { Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?)) };
    let number = |at: usize| -> Option<u16> { Some(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?])) };
    let (source, destination) = match protocol {
        wire::TCP | wire::UDP => (number(0)?, number(2)?),
        wire::ICMP => match payload.first()? {
            8 => (number(4)?, 0),
            0 => (0, number(4)?),
            _ => return None,
        },
        _ => (0, 0),
    };
    Some(Tuple {
        protocol,
        source: SocketAddrV4::new(address(12)?, source),
        destination: SocketAddrV4::new(address(16)?, destination),
    })
}
