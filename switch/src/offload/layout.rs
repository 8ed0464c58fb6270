//! [`Layout`]: where the headers of a frame stand, found by parsing them.
//!
//! * Only as much is understood as the kernel offloads: IPv4 or IPv6, TCP or UDP, behind at most two VLAN tags.
//! * Nor more than can be cut into segments: where a checksum is about other addresses than the header has, it is an error.
//! * The hints of an offload header are not looked at: `hdr_len` of a forwarded frame is known to be wrong at times.
//! * Every length comes from the network and is checked against the frame's end before it is used.

/// Where the headers of one TCP or UDP frame stand, counted from the first byte of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The IP version.
    pub ip: Ip,
    /// Where the IP header begins.
    pub network: usize,
    /// Which protocol the IP packet carries.
    pub transport: Transport,
    /// Where the TCP or UDP header begins.
    pub transport_start: usize,
    /// Where the payload begins.
    pub payload: usize,
}

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The protocol above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Its number in IP (IANA, protocol numbers).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        }
    }

    /// Where its checksum stands in its header.
    #[must_use]
    pub const fn checksum_offset(self) -> usize {
        match self {
            Transport::Tcp => 16,
            Transport::Udp => 6,
        }
    }
}

/// Why no layout was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A header reaches past the end of the frame, or says that it is shorter than it can be.
    #[error("a header is cut off")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("EtherType {0:#06x} is neither IPv4 nor IPv6")]
    NotIp(u16),
    /// Neither TCP nor UDP.
    #[error("IP protocol {0} is neither TCP nor UDP")]
    NotTransport(u8),
    /// An IP fragment: the transport header belongs to a larger packet.
    #[error("it is an IP fragment")]
    Fragment,
    /// An IPv6 packet on its way by other addresses than those that its checksum is about: behind a routing header that
    /// is not used up (RFC 8200, 8.1), or from a mobile node away from home (RFC 6275, 6.3).
    #[error("its checksum is not about the addresses in its IPv6 header")]
    OtherAddresses,
}

impl Layout {
    /// Finds the headers of `frame`.
    pub fn parse(frame: &[u8]) -> Result<Layout, LayoutError> {
        let (ether_type, network) = network_header(frame)?;
        let (ip, protocol, transport_start) = match ether_type {
            ETHERTYPE_IPV4 => ipv4(frame, network)?,
            ETHERTYPE_IPV6 => ipv6(frame, network)?,
            other => return Err(LayoutError::NotIp(other)),
        };
        let (transport, payload) = match protocol {
            6 => (Transport::Tcp, transport_start + tcp_header_len(frame, transport_start)?),
            17 => (Transport::Udp, transport_start + 8),
            other => return Err(LayoutError::NotTransport(other)),
        };
        if payload > frame.len() {
            return Err(LayoutError::Truncated);
        }
        Ok(Layout { ip, network, transport, transport_start, payload })
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const MAX_TAGS: usize = 2;

/// The EtherType behind the VLAN tags, and where the header that it announces begins.
fn network_header(frame: &[u8]) -> Result<(u16, usize), LayoutError> {
    let mut at = 12;
    for _ in 0..MAX_TAGS {
        match u16_at(frame, at)? {
            ETHERTYPE_VLAN | ETHERTYPE_QINQ => at += 4,
            ether_type => return Ok((ether_type, at + 2)),
        }
    }
    Ok((u16_at(frame, at)?, at + 2))
}

fn ipv4(frame: &[u8], at: usize) -> Result<(Ip, u8, usize), LayoutError> {
    const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;
    let header = frame.get(at..at + 20).ok_or(LayoutError::Truncated)?;
    let len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || len < 20 {
        return Err(LayoutError::Truncated);
    }
    if u16_at(header, 6)? & MORE_FRAGMENTS_OR_OFFSET != 0 {
        return Err(LayoutError::Fragment);
    }
    Ok((Ip::V4, header[9], at + len))
}

fn ipv6(frame: &[u8], at: usize) -> Result<(Ip, u8, usize), LayoutError> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let header = frame.get(at..at + 40).ok_or(LayoutError::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(LayoutError::Truncated);
    }
    let mut next_header = header[6];
    let mut at = at + 40;
    // Each extension header is at least 8 bytes long, so the frame's end bounds this.
    loop {
        match next_header {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let len = 8 + usize::from(*frame.get(at + 1).ok_or(LayoutError::Truncated)?) * 8;
                let extension = frame.get(at..at + len).ok_or(LayoutError::Truncated)?;
                let segments_left = extension[3];
                if next_header == ROUTING && segments_left != 0
                    || next_header == DESTINATION && has_home_address(&extension[2..])
                {
                    return Err(LayoutError::OtherAddresses);
                }
                next_header = extension[0];
                at += len;
            }
            FRAGMENT => return Err(LayoutError::Fragment),
            protocol => return Ok((Ip::V6, protocol, at)),
        }
    }
}

/// Whether there is a home address among these options (RFC 8200, 4.2; RFC 6275, 6.3). Options that make no sense have none.
fn has_home_address(mut options: &[u8]) -> bool {
    const PAD_1: u8 = 0;
    const HOME_ADDRESS: u8 = 0xc9;
    loop {
        options = match options {
            [HOME_ADDRESS, ..] => return true,
            [PAD_1, rest @ ..] => rest,
            [_, len, rest @ ..] => rest.get(usize::from(*len)..).unwrap_or_default(),
            [_] | [] => return false,
        };
    }
}

fn tcp_header_len(frame: &[u8], at: usize) -> Result<usize, LayoutError> {
    let offset_and_reserved = frame.get(at + 12).ok_or(LayoutError::Truncated)?;
    let len = usize::from(offset_and_reserved >> 4) * 4;
    if len < 20 { Err(LayoutError::Truncated) } else { Ok(len) }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, LayoutError> {
    let pair = bytes.get(at..at + 2).ok_or(LayoutError::Truncated)?;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}
