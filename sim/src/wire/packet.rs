//! [`Packet`]: a packet of IPv4 or IPv6.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use switch::mac::MacAddr;
use switch::vnet::VnetHeader;

use super::{ETHERNET, IPV4, IPV6, TCP, TYPE_IPV4, TYPE_IPV6, checksum, ethernet, ipv4, ipv6, sum};
use crate::offload::Frame;

/// An IP packet with room in front for the Ethernet header, so that it becomes a frame without being copied.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    /// What is left to do for it.
    pub(crate) vnet: VnetHeader,
}

impl Packet {
    /// A packet of `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        Packet { bytes: vec![0; ETHERNET + len], vnet: VnetHeader::default() }
    }

    /// The packet in a frame, its padding cut off and its checksum finished, a super-frame in one piece; `None` if it is no
    /// whole IP packet.
    pub(crate) fn from_frame(frame: Frame) -> Option<Self> {
        let VnetHeader { gso_type, gso_size, .. } = frame.vnet;
        let mut frame = frame.finish().ok()?;
        let ip = frame.get(ETHERNET..)?;
        let len = match u16::from_be_bytes([frame[12], frame[13]]) {
            TYPE_IPV4 => ipv4::whole(ip)?,
            TYPE_IPV6 => ipv6::whole(ip)?,
            _ => return None,
        };
        frame.truncate(ETHERNET + len);
        // What was one frame leaves as one, if it is passed on.
        let vnet = VnetHeader { gso_type, gso_size, ..VnetHeader::default() };
        Some(Packet { bytes: frame, vnet })
    }

    /// A packet between two addresses of one family, whose payload is zeros.
    ///
    /// # Panics
    /// If they are of two families: a route leads from one to the other, and none does.
    pub(super) fn new(source: IpAddr, destination: IpAddr, protocol: u8, payload_len: usize) -> Self {
        let mut packet = Packet::zeroed(header_len_to(destination) + payload_len);
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ipv4::write(packet.ip_mut(), source, destination, protocol);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                ipv6::write(packet.ip_mut(), source, destination, protocol);
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                panic!("no packet goes from {source} to {destination}");
            }
        }
        packet
    }

    pub(crate) fn ip(&self) -> &[u8] {
        &self.bytes[ETHERNET..]
    }

    pub(crate) fn ip_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[ETHERNET..]
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.ip()[0] >> 4 == 6
    }

    pub(crate) fn source(&self) -> IpAddr {
        if self.is_v6() { ipv6::address(&self.ip()[8..]).into() } else { v4(&self.ip()[12..]).into() }
    }

    pub(crate) fn destination(&self) -> IpAddr {
        if self.is_v6() { ipv6::address(&self.ip()[24..]).into() } else { v4(&self.ip()[16..]).into() }
    }

    /// What it carries, as IPv4's protocol or IPv6's next header.
    pub(crate) fn protocol(&self) -> u8 {
        self.ip()[if self.is_v6() { 6 } else { 9 }]
    }

    /// How many hops it may have, over IPv4.
    pub(crate) fn ttl(&self) -> u8 {
        self.ip()[8]
    }

    /// How long the IP header is.
    pub(crate) fn header_len(&self) -> usize {
        if self.is_v6() { IPV6 } else { ipv4::header_len(self.ip()) }
    }

    /// What the IP header carries.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.ip()[self.header_len()..]
    }

    pub(super) fn payload_mut(&mut self) -> &mut [u8] {
        let header = self.header_len();
        &mut self.ip_mut()[header..]
    }

    /// The destination port, of TCP and UDP.
    pub(crate) fn destination_port(&self) -> Option<u16> {
        self.payload().get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]))
    }

    /// Source and destination, of TCP and UDP.
    pub(crate) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let source = self.payload().get(..2).map(|port| u16::from_be_bytes([port[0], port[1]]))?;
        let destination = self.destination_port()?;
        Some((SocketAddr::new(self.source(), source), SocketAddr::new(self.destination(), destination)))
    }

    /// Whether this is the first packet of a TCP connection.
    pub(crate) fn is_syn(&self) -> bool {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        self.protocol() == TCP && self.payload().get(13).is_some_and(|flags| flags & (SYN | ACK) == SYN)
    }

    pub(crate) fn append(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
    }

    pub(crate) fn into_frame(mut self, destination: MacAddr, source: MacAddr) -> Frame {
        let ethertype = if self.is_v6() { TYPE_IPV6 } else { TYPE_IPV4 };
        ethernet(&mut self.bytes, destination, source, ethertype);
        Frame { bytes: self.bytes, vnet: self.vnet }
    }

    /// Writes into the IP header how long the packet is by now.
    pub(crate) fn write_len(&mut self) {
        if self.is_v6() { ipv6::write_len(self.ip_mut()) } else { ipv4::write_len(self.ip_mut()) }
    }

    /// What stands in the checksum field of a payload whose checksum somebody else is to finish.
    pub(crate) fn begun_checksum(&self) -> u16 {
        !checksum(&[], self.pseudo_sum(self.payload().len()))
    }

    /// The sum over the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) of a payload with this length.
    fn pseudo_sum(&self, len: usize) -> u32 {
        let addresses = if self.is_v6() { 8..40 } else { 12..20 };
        sum(&self.ip()[addresses]) + u32::from(self.protocol()) + u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// What has to stand in the checksum field of the payload, if zero does now; zero if the checksum is there and right.
    pub(super) fn payload_checksum(&self) -> u16 {
        checksum(self.payload(), self.pseudo_sum(self.payload().len()))
    }
}

/// How long the header of a packet to this address is.
pub(super) const fn header_len_to(destination: IpAddr) -> usize {
    match destination {
        IpAddr::V4(_) => IPV4,
        IpAddr::V6(_) => IPV6,
    }
}

fn v4(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])
}
