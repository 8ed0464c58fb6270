//! [`Train`]: datagrams of one flow that follow one another, joined to one super-frame of UDP.
//!
//! A kernel that takes frames one by one walks all of its stack for each. A train it takes in one walk, and cuts it up at the
//! socket that it is for, or wherever else it meets what takes single frames only. So that nobody can tell the difference by what
//! comes out there, only frames are joined that this gives back as they were:
//!
//! * UDP over IPv4 or IPv6 to a single station, without options and in one piece, with an unfinished checksum that is truly the
//!   pseudo-header's: as a kernel hands over what a local socket has sent;
//! * all with the same headers but for what is counted anew: lengths, checksums, and the identification of IPv4, which must count
//!   up by one (where it stays zero, as a socket that is not connected has it, they are left alone);
//! * with the same amount of data each, only the last with less, and none without any;
//! * whose IPv4 header's own checksum is right: a wrong one would be put right.
//!
//! Pure: headers in, headers out. Whoever writes a train puts the data together.

use std::ops::Deref;

use crate::frame::Tag;
use crate::offload::checksum::Sum;
use crate::vnet::{GSO_NONE, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

/// The most datagrams of a train: as many as every kernel takes that takes any (`UDP_MAX_SEGMENTS`, once 64).
pub const MAX_FRAMES: usize = 64;

/// Ethernet, two tags, IPv6, UDP.
const MAX_HEADER: usize = 14 + 2 * Tag::LEN + IPV6 + UDP;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

/// A train: its headers, and how long it is so far.
#[derive(Clone, Debug)]
pub struct Train {
    /// The headers of the first frame.
    header: [u8; MAX_HEADER],
    at: Headers,
    vnet: VnetHeader,
    /// Bytes of data in each but the last.
    size: usize,
    data: usize,
    frames: usize,
    /// The last one was shorter: no other may follow it.
    is_complete: bool,
}

/// The headers of a train, from Ethernet's to that of UDP.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where the headers of a datagram begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Headers {
    network: usize,
    transport: usize,
}

/// Whether a frame may be part of a train, by its offload header alone: the cheap question that spares most frames the others.
#[inline]
#[must_use]
pub const fn is_candidate(vnet: &VnetHeader) -> bool {
    vnet.flags == NEEDS_CSUM && vnet.gso_type == GSO_NONE && vnet.csum_offset == 6 && vnet.hdr_len == 0
}

impl Train {
    /// A train of one frame so far, if there can be one that begins with it.
    #[must_use]
    pub fn begin(frame: &[u8], vnet: &VnetHeader) -> Option<Train> {
        let at = Headers::of(frame, vnet)?;
        let end = at.transport + UDP;
        let size = frame.len() - end;
        let addresses = if at.transport - at.network == IPV4 { at.network + 12 } else { at.network + 8 };
        let pseudo_header = Sum::default().bytes(&frame[addresses..at.transport]).word(17).word(get(frame, end - 4));
        if get(frame, end - 2) != !pseudo_header.finish() {
            return None;
        }
        let mut header = [0; MAX_HEADER];
        header[..end].copy_from_slice(&frame[..end]);
        Some(Train { header, at, vnet: *vnet, size, data: size, frames: 1, is_complete: false })
    }

    /// Takes one more frame, if it may be the next. Returns the data that it adds.
    pub fn join<'a>(&mut self, frame: &'a [u8], vnet: &VnetHeader) -> Option<&'a [u8]> {
        let end = self.at.transport + UDP;
        let longest = self.at.network + usize::from(u16::MAX);
        let fits = self.frames < MAX_FRAMES && !self.is_complete && end + self.data + self.size <= longest;
        if !fits || *vnet != self.vnet || frame.len() > end + self.size || !self.is_alike(frame) {
            return None;
        }
        (Headers::of(frame, vnet)? == self.at).then_some(())?;
        let data = &frame[end..];
        self.is_complete = data.len() < self.size;
        self.data += data.len();
        self.frames += 1;
        Some(data)
    }

    /// How many frames it has.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// The headers of the whole, which are as long as those of each frame, and its offload header.
    #[must_use]
    pub fn headers(&self) -> (Header, VnetHeader) {
        let Headers { network, transport } = self.at;
        let udp_len = number(UDP + self.data);
        let mut bytes = self.header;
        put(&mut bytes, transport + 6, self.checksum_for(udp_len));
        put(&mut bytes, transport + 4, udp_len);
        if transport - network == IPV4 {
            put(&mut bytes, network + 2, number(IPV4 + UDP + self.data));
            put(&mut bytes, network + 10, 0);
            let sum = Sum::default().bytes(&bytes[network..transport]).finish();
            put(&mut bytes, network + 10, sum);
        } else {
            put(&mut bytes, network + 4, udp_len);
        }
        let len = transport + UDP;
        let vnet = VnetHeader { gso_type: GSO_UDP_L4, hdr_len: number(len), gso_size: number(self.size), ..self.vnet };
        (Header { bytes, len }, vnet)
    }

    /// Whether the headers of `frame` are the next one's, as far as they depend on the first.
    fn is_alike(&self, frame: &[u8]) -> bool {
        let Headers { network, transport } = self.at;
        let first = &self.header[..transport + UDP];
        // (One without data could not be told from none.)
        if frame.len() <= first.len() || frame[..network] != first[..network] {
            return false;
        }
        let (mine, its) = (&first[network..transport], &frame[network..transport]);
        let is_same_network = if transport - network == IPV4 {
            let identification = get(mine, 4).wrapping_add(self.frames as u16);
            its[..2] == mine[..2]
                && get(its, 4) == identification
                && its[6..10] == mine[6..10]
                && its[12..] == mine[12..]
        } else {
            its[..4] == mine[..4] && its[6..] == mine[6..]
        };
        is_same_network
            && frame[transport..transport + 4] == first[transport..transport + 4]
            && get(frame, transport + 6) == self.checksum_for(get(frame, transport + 4))
    }

    /// What stands in the field of the unfinished checksum, which is the sum of the pseudo-header, where a datagram of this
    /// flow is so long. As the kernel changes it when it cuts (RFC 1624).
    fn checksum_for(&self, udp_len: u16) -> u16 {
        let (sum, len) = (get(&self.header, self.at.transport + 6), get(&self.header, self.at.transport + 4));
        add(add(sum, !len), udp_len)
    }
}

impl Headers {
    /// Those of a datagram that may be part of a train.
    fn of(frame: &[u8], vnet: &VnetHeader) -> Option<Headers> {
        const GROUP: u8 = 1;
        const DO_NOT_FRAGMENT: u16 = 0x4000;
        if !is_candidate(vnet) || frame.first()? & GROUP != 0 {
            return None;
        }
        let mut network = 14;
        let mut ethertype = get(frame.get(..network)?, 12);
        while network < 14 + 2 * Tag::LEN && matches!(ethertype, Tag::CUSTOMER | Tag::SERVICE) {
            network += Tag::LEN;
            ethertype = get(frame.get(..network)?, network - 2);
        }
        let packet = &frame[network..];
        let transport = match ethertype {
            0x0800 => {
                let header = packet.get(..IPV4)?;
                let is_plain = header[0] == 0x45 && get(header, 6) & !DO_NOT_FRAGMENT == 0 && header[9] == 17;
                let is_whole = usize::from(get(header, 2)) == packet.len();
                (is_plain && is_whole && Sum::default().bytes(header).finish() == 0).then_some(network + IPV4)?
            }
            0x86dd => {
                let header = packet.get(..IPV6)?;
                let is_plain = header[0] >> 4 == 6 && header[6] == 17;
                let is_whole = usize::from(get(header, 4)) == packet.len() - IPV6;
                (is_plain && is_whole).then_some(network + IPV6)?
            }
            _ => return None,
        };
        let datagram = &frame[transport..];
        let is_whole = datagram.len() > UDP && usize::from(get(datagram, 4)) == datagram.len();
        (is_whole && usize::from(vnet.csum_start) == transport).then_some(Headers { network, transport })
    }
}

/// The sum of two numbers in ones' complement.
fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

fn number(len: usize) -> u16 {
    u16::try_from(len).expect("a train is no longer than an IP packet")
}

fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
pub(crate) mod tests;
