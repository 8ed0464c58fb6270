//! [`Headers`]: a look at a frame, no deeper than a filter needs.
//!
//! * It copies a few fields and allocates nothing. Whatever is not whole is not there.
//! * Of IPv4 only the first fragment has ports, and so it is with IPv6. A header length that makes no sense has none.

use switch::frame::Tag;
use switch::mac::MacAddr;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const RARP: u16 = 0x8035;
pub(super) const IPV6: u16 = 0x86dd;

/// How many headers of IPv6 are walked.
const CHAIN: usize = 8;

/// How deep a filter has to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// The length will do.
    #[default]
    Nothing,
    /// Addresses, tags, EtherType; and the addresses behind them, which stand in fixed places.
    Link,
    /// The protocols in an IP header, and ports.
    Transport,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    /// How long the frame is in truth.
    pub(super) len: usize,
    /// Destination and source; `None` for a runt.
    pub(super) stations: Option<(MacAddr, MacAddr)>,
    /// The tags, from the outer one on.
    pub(super) tags: [Option<Tag>; 2],
    /// What stands behind the tags.
    pub(super) ethertype: Option<u16>,
    /// The bytes behind that.
    pub(super) payload: &'a [u8],
    /// The protocols: one of IPv4; the headers of IPv6, in order.
    protocols: [u8; CHAIN],
    protocols_len: usize,
    /// What has ports, by its number, and from which to which.
    pub(super) ports: Option<(u8, u16, u16)>,
}

impl<'a> Headers<'a> {
    #[inline]
    pub(super) fn parse(frame: &'a [u8], len: usize, depth: Depth) -> Self {
        let mut headers = Headers { len, ..Headers::default() };
        if depth >= Depth::Link {
            headers.link(frame);
        }
        if depth >= Depth::Transport {
            match headers.ethertype {
                Some(IPV4) => headers.ipv4(),
                Some(IPV6) => headers.ipv6(),
                Some(_) | None => {}
            }
        }
        headers
    }

    /// The protocols in the IP header: one of IPv4; the headers of IPv6, in order.
    #[inline]
    pub(super) fn protocols(&self) -> &[u8] {
        &self.protocols[..self.protocols_len]
    }

    /// (Not by [`Frame::parse`](switch::frame::Frame::parse): of a frame with half a tag there is still the rest.)
    #[inline]
    fn link(&mut self, frame: &'a [u8]) {
        let Some(([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5], mut rest)) = frame.split_first_chunk() else {
            return;
        };
        self.stations = Some((MacAddr([*d0, *d1, *d2, *d3, *d4, *d5]), MacAddr([*s0, *s1, *s2, *s3, *s4, *s5])));
        for at in 0..=self.tags.len() {
            let Some((ethertype, behind)) = rest.split_first_chunk() else { return };
            let ethertype = u16::from_be_bytes(*ethertype);
            let is_tag = matches!(ethertype, Tag::CUSTOMER | Tag::SERVICE);
            let Some(tag) = self.tags.get_mut(at).filter(|_| is_tag) else {
                self.ethertype = Some(ethertype);
                self.payload = behind;
                return;
            };
            let Some((control, behind)) = behind.split_first_chunk() else { return };
            *tag = Some(Tag { tpid: ethertype, tci: u16::from_be_bytes(*control) });
            rest = behind;
        }
    }

    #[inline]
    fn ipv4(&mut self) {
        let ip = self.payload;
        let Some(protocol) = ip.get(9) else { return };
        self.protocols[0] = *protocol;
        self.protocols_len = 1;
        let header = usize::from(ip[0] & 0x0f) * 4;
        let is_first = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff == 0;
        if is_first && header >= 20 {
            self.ports(*protocol, header);
        }
    }

    #[inline]
    fn ipv6(&mut self) {
        let ip = self.payload;
        let Some(mut next) = ip.get(6).copied() else { return };
        let mut at = 40;
        for place in 0..CHAIN {
            self.protocols[place] = next;
            self.protocols_len = place + 1;
            let Some([following, length, offset, flags]) = ip.get(at..).and_then(|rest| rest.first_chunk()) else {
                return;
            };
            let len = match next {
                // Hop-by-hop options, routing, destination options, mobility (RFC 8200, RFC 6275): in words of eight bytes.
                0 | 43 | 60 | 135 => (usize::from(*length) + 1) * 8,
                // A fragment's: only the first has what follows.
                44 if u16::from_be_bytes([*offset, *flags]) >> 3 == 0 => 8,
                44 => {
                    if let Some(place) = self.protocols.get_mut(place + 1) {
                        *place = *following;
                        self.protocols_len += 1;
                    }
                    return;
                }
                // Authentication (RFC 4302): in words of four bytes, without the first two of them.
                51 => (usize::from(*length) + 2) * 4,
                protocol => return self.ports(protocol, at),
            };
            at += len;
            next = *following;
        }
    }

    #[inline]
    fn ports(&mut self, protocol: u8, at: usize) {
        if !matches!(protocol, 6 | 17 | 132) {
            return;
        }
        if let Some([s0, s1, d0, d1]) = self.payload.get(at..).and_then(|rest| rest.first_chunk()) {
            self.ports = Some((protocol, u16::from_be_bytes([*s0, *s1]), u16::from_be_bytes([*d0, *d1])));
        }
    }
}
