//! Bytes on the wire, as far as a host looks at them below TCP and UDP: Ethernet, ARP (RFC 826), IPv4 and ICMP echo.

use std::net::{Ipv4Addr, SocketAddrV4};

use switch::mac::MacAddr;
use switch::vnet::VnetHeader;

use crate::offload::Frame;

pub(crate) const ETHERNET: usize = 14;
pub(crate) const TYPE_IPV4: u16 = 0x0800;
pub(crate) const TYPE_ARP: u16 = 0x0806;
pub(crate) const TYPE_VLAN: u16 = 0x8100;
pub(crate) const TYPE_IPV6: u16 = 0x86dd;
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const IPV4: usize = 20;
const ICMP_HEADER: usize = 8;
const UDP_HEADER: usize = 8;

/// An IPv4 packet with room in front for the Ethernet header, so that it becomes a frame without being copied.
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
    /// whole IPv4 packet. Fragments are none: nothing here makes any.
    pub(crate) fn from_frame(frame: Frame) -> Option<Self> {
        let mut frame = frame.finish().ok()?;
        let header = frame.get(ETHERNET..ETHERNET + IPV4)?;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let whole = header[0] >> 4 == 4 && (IPV4..=len).contains(&header_len) && ETHERNET + len <= frame.len();
        if !whole || fragment || checksum(frame.get(ETHERNET..ETHERNET + header_len)?, 0) != 0 {
            return None;
        }
        frame.truncate(ETHERNET + len);
        Some(Packet { bytes: frame, vnet: VnetHeader::default() })
    }

    pub(crate) fn ip(&self) -> &[u8] {
        &self.bytes[ETHERNET..]
    }

    pub(crate) fn ip_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[ETHERNET..]
    }

    pub(crate) fn source(&self) -> Ipv4Addr {
        address(&self.ip()[12..])
    }

    pub(crate) fn destination(&self) -> Ipv4Addr {
        address(&self.ip()[16..])
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.ip()[9]
    }

    /// What the IPv4 header carries.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.ip()[usize::from(self.ip()[0] & 0x0f) * 4..]
    }

    /// The destination port, of TCP and UDP.
    pub(crate) fn destination_port(&self) -> Option<u16> {
        self.payload().get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]))
    }

    /// Source and destination, of TCP and UDP.
    pub(crate) fn ends(&self) -> Option<(SocketAddrV4, SocketAddrV4)> {
        let source = self.payload().get(..2).map(|port| u16::from_be_bytes([port[0], port[1]]))?;
        let destination = self.destination_port()?;
        Some((SocketAddrV4::new(self.source(), source), SocketAddrV4::new(self.destination(), destination)))
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
        ethernet(&mut self.bytes, destination, source, TYPE_IPV4);
        Frame { bytes: self.bytes, vnet: self.vnet }
    }

    fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload_len: usize) -> Self {
        let mut packet = Packet::zeroed(IPV4 + payload_len);
        let len = u16::try_from(IPV4 + payload_len).unwrap_or(u16::MAX);
        let header = &mut packet.ip_mut()[..IPV4];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&len.to_be_bytes());
        header[6] = 0x40; // Don't fragment.
        header[8] = 64;
        header[9] = protocol;
        header[12..16].copy_from_slice(&source.octets());
        header[16..20].copy_from_slice(&destination.octets());
        let sum = checksum(header, 0);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// An ICMP echo request, or the reply to one (RFC 792).
    pub(crate) fn echo(source: Ipv4Addr, destination: Ipv4Addr, echo: &Echo) -> Self {
        let mut packet = Packet::new(source, destination, ICMP, ICMP_HEADER + echo.data.len());
        let icmp = &mut packet.ip_mut()[IPV4..];
        icmp[0] = if echo.reply { 0 } else { 8 };
        icmp[4..6].copy_from_slice(&echo.id.to_be_bytes());
        icmp[6..8].copy_from_slice(&echo.sequence.to_be_bytes());
        icmp[ICMP_HEADER..].copy_from_slice(&echo.data);
        let sum = checksum(icmp, 0);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// The echo in this packet, if it is one and whole.
    pub(crate) fn as_echo(&self) -> Option<Echo> {
        let icmp = self.payload();
        if self.protocol() != ICMP || icmp.len() < ICMP_HEADER || checksum(icmp, 0) != 0 || icmp[1] != 0 {
            return None;
        }
        let reply = match icmp[0] {
            0 => true,
            8 => false,
            _ => return None,
        };
        let id = u16::from_be_bytes([icmp[4], icmp[5]]);
        let sequence = u16::from_be_bytes([icmp[6], icmp[7]]);
        Some(Echo { reply, id, sequence, data: icmp[ICMP_HEADER..].to_vec() })
    }

    /// A UDP datagram (RFC 768).
    pub(crate) fn datagram(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), data: &[u8]) -> Self {
        let len = UDP_HEADER + data.len();
        let mut packet = Packet::new(source.0, destination.0, UDP, len);
        let pseudo: u32 =
            packet.ip()[12..20].as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        let udp = &mut packet.ip_mut()[IPV4..];
        udp[0..2].copy_from_slice(&source.1.to_be_bytes());
        udp[2..4].copy_from_slice(&destination.1.to_be_bytes());
        udp[4..6].copy_from_slice(&len.to_be_bytes());
        udp[UDP_HEADER..].copy_from_slice(data);
        // A sum of zero is sent as all ones: zero means "none".
        let sum = match checksum(udp, pseudo + u32::from(UDP) + u32::from(len)) {
            0 => 0xffff,
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// How long a datagram with this much data is as a packet.
    pub(crate) const fn datagram_len(data: usize) -> usize {
        IPV4 + UDP_HEADER + data
    }

    /// How long an echo with this much data is as a packet.
    pub(crate) const fn echo_len(data: usize) -> usize {
        IPV4 + ICMP_HEADER + data
    }
}

/// An ICMP echo request or reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) reply: bool,
    pub(crate) id: u16,
    pub(crate) sequence: u16,
    pub(crate) data: Vec<u8>,
}

/// ARP for IPv4 on Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) reply: bool,
    pub(crate) sender: (MacAddr, Ipv4Addr),
    pub(crate) target: (MacAddr, Ipv4Addr),
}

impl Arp {
    /// What the payload of a frame says; `None` if it is not about IPv4 on Ethernet.
    pub(crate) fn parse(arp: &[u8]) -> Option<Self> {
        if arp.len() < 28 || arp[..6] != [0, 1, 8, 0, 6, 4] {
            return None;
        }
        let reply = match u16::from_be_bytes([arp[6], arp[7]]) {
            1 => false,
            2 => true,
            _ => return None,
        };
        let station = |at: usize| (mac(&arp[at..]), address(&arp[at + 6..]));
        Some(Arp { reply, sender: station(8), target: station(18) })
    }

    pub(crate) fn into_frame(self, destination: MacAddr) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 28];
        ethernet(&mut frame, destination, self.sender.0, TYPE_ARP);
        let operation = if self.reply { 2 } else { 1 };
        frame[ETHERNET..][..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
        for (at, (mac, ip)) in [(22, self.sender), (32, self.target)] {
            frame[at..at + 6].copy_from_slice(&mac.0);
            frame[at + 6..at + 10].copy_from_slice(&ip.octets());
        }
        frame
    }
}

/// The MAC that `bytes` begin with.
pub(crate) fn mac(bytes: &[u8]) -> MacAddr {
    let mut mac = [0; 6];
    mac.copy_from_slice(&bytes[..6]);
    MacAddr(mac)
}

fn address(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])
}

fn ethernet(frame: &mut [u8], destination: MacAddr, source: MacAddr, ethertype: u16) {
    frame[..6].copy_from_slice(&destination.0);
    frame[6..12].copy_from_slice(&source.0);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
}

/// The Internet checksum (RFC 1071); zero over data that has its checksum in it.
fn checksum(bytes: &[u8], initial: u32) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let mut sum = initial;
    for word in words {
        sum += u32::from(u16::from_be_bytes(*word));
    }
    sum += rest.first().map_or(0, |last| u32::from(*last) << 8);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arp_reads_what_it_writes() {
        let arp = Arp {
            reply: true,
            sender: (MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1)),
            target: (MacAddr([2, 0, 0, 0, 0, 2]), Ipv4Addr::new(10, 0, 0, 2)),
        };
        assert_eq!(Arp::parse(&arp.into_frame(MacAddr::BROADCAST)[ETHERNET..]), Some(arp));
    }

    #[test]
    fn an_echo_survives_padding_but_not_a_flipped_bit() {
        let echo = Echo { reply: false, id: 7, sequence: 1, data: b"odd".to_vec() };
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut frame = Packet::echo(a, b, &echo).into_frame(MacAddr::BROADCAST, MacAddr::ZERO).bytes;
        frame.resize(60, 0xee);
        let packet = Packet::from_frame(frame.clone().into()).expect("a packet");
        assert_eq!((packet.source(), packet.destination(), packet.as_echo()), (a, b, Some(echo)));
        frame[ETHERNET + 21] ^= 1;
        assert_eq!(Packet::from_frame(frame.into()).and_then(|packet| packet.as_echo()), None);
    }
}
