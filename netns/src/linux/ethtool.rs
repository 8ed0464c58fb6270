//! Switches off what a veth's end would leave to its peer although no offload header can tell of it.
//!
//! A veth claims to be able to finish anything, since its peer is a kernel too. But a frame that crosses the switch has an
//! offload header of ten bytes, which knows TCP and UDP straight above IP. Of a super-frame within a tunnel (VXLAN, GRE) it
//! tells only half, and an SCTP checksum, which is none of the internet's, it would have finished as if it were. What is
//! switched off here the container's own kernel does before the frame leaves, as it does for a TAP, which claims none of it.
//!
//! By generic netlink, in the namespace of the calling thread. A kernel without this (before 5.8) is content.

use std::convert::Infallible;
use std::io;

use netlink_packet_core::{
    DefaultNla, Emitable as _, NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;

/// As `ethtool -k` calls them. Older kernels do not know all of them.
const UNSPEAKABLE: [&str; 13] = [
    "tx-gre-segmentation",
    "tx-gre-csum-segmentation",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-tunnel-remcsum-segmentation",
    "tx-sctp-segmentation",
    "tx-esp-segmentation",
    "tx-tcp-accecn-segmentation",
    "tx-gso-list",
    "tx-gso-partial",
    "tx-checksum-sctp",
];

/// Switches all that off for the interface `name`.
pub(super) fn offload_only_what_can_be_said(name: &str) -> io::Result<()> {
    let mut ethtool = match Ethtool::open() {
        Err(why) if why.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
        ethtool => ethtool?,
    };
    for feature in UNSPEAKABLE {
        match ethtool.switch_off(name, feature) {
            // A name that this kernel does not know.
            Err(why) if why.raw_os_error() == Some(libc::EINVAL) => {}
            result => result?,
        }
    }
    Ok(())
}

struct Ethtool {
    socket: Socket,
    family: u16,
    sequence: u32,
}

/// A message of generic netlink: its header and attributes, as bytes.
#[derive(Clone, Debug)]
struct Generic {
    family: u16,
    bytes: Vec<u8>,
}

/// Bytes of the header of generic netlink: command, version, two reserved.
const HEADER: usize = 4;
/// Marks the kind of an attribute that holds attributes.
const NESTED: u16 = 0x8000;

// From linux/ethtool_netlink.h: the attribute that names the interface, in every message.
const FEATURES_HEADER: u16 = 1;
const HEADER_DEV_NAME: u16 = 2;

impl Ethtool {
    /// ENOENT: this kernel does not have it.
    fn open() -> io::Result<Ethtool> {
        const NAME: u16 = libc::CTRL_ATTR_FAMILY_NAME as u16;
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut it = Ethtool { socket, family: libc::GENL_ID_CTRL as u16, sequence: 0 };
        let answer = it.ask(libc::CTRL_CMD_GETFAMILY as u8, &[attribute(NAME, b"ethtool\0")])?;
        let family =
            answer.as_ref().and_then(|answer| find(&answer.bytes, libc::CTRL_ATTR_FAMILY_ID as u16)?.try_into().ok());
        it.family = family
            .map(u16::from_ne_bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no number for ethtool"))?;
        Ok(it)
    }

    fn switch_off(&mut self, interface: &str, feature: &str) -> io::Result<()> {
        const FEATURES_SET: u8 = 12;
        const FEATURES_WANTED: u16 = 3;
        const HEADER_FLAGS: u16 = 3;
        const OMIT_REPLY: u32 = 2;
        const BITSET_BITS: u16 = 3;
        const BITSET_BITS_BIT: u16 = 1;
        const BITSET_BIT_NAME: u16 = 2;
        let header =
            [attribute(HEADER_DEV_NAME, &terminated(interface)), attribute(HEADER_FLAGS, &OMIT_REPLY.to_ne_bytes())];
        // A bit that is named and has no value is off.
        let bit = nest(BITSET_BITS_BIT, &[attribute(BITSET_BIT_NAME, &terminated(feature))]);
        let wanted = [nest(BITSET_BITS, &[bit])];
        self.ask(FEATURES_SET, &[nest(FEATURES_HEADER, &header), nest(FEATURES_WANTED, &wanted)]).map(drop)
    }

    fn ask(&mut self, command: u8, attributes: &[DefaultNla]) -> io::Result<Option<Generic>> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK;
        header.sequence_number = self.sequence;
        let bytes = [vec![command, 1, 0, 0], emit(attributes)].concat();
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(Generic { family: self.family, bytes }));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = None;
        loop {
            // Answer and acknowledgement come each in a datagram of its own.
            let (datagram, _) = self.socket.recv_from_full()?;
            let message = NetlinkMessage::<Generic>::deserialize(&datagram)
                .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))?;
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::InnerMessage(said) => answer = Some(said),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answer),
                _ => {}
            }
        }
    }
}

/// The value of the first attribute of this kind in a message.
fn find(message: &[u8], kind: u16) -> Option<&[u8]> {
    let mut rest = message.get(HEADER..)?;
    while let [len0, len1, kind0, kind1, ..] = *rest {
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        if u16::from_ne_bytes([kind0, kind1]) & !NESTED == kind {
            return rest.get(4..len);
        }
        rest = rest.get(len.next_multiple_of(4).max(4)..)?;
    }
    None
}

fn attribute(kind: u16, value: &[u8]) -> DefaultNla {
    DefaultNla::new(kind, value.to_vec())
}

fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NESTED, emit(attributes))
}

fn emit(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.bytes);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Generic { family: header.message_type, bytes: payload.to_vec() })
    }
}

impl From<Generic> for NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        NetlinkPayload::InnerMessage(message)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Which of these features of an interface are on.
    pub(in crate::linux) fn are_on<const N: usize>(name: &str, features: [&str; N]) -> [bool; N] {
        const FEATURES_GET: u8 = 11;
        const FEATURES_ACTIVE: u16 = 4;
        let header = nest(FEATURES_HEADER, &[attribute(HEADER_DEV_NAME, &terminated(name))]);
        let answer = Ethtool::open().unwrap().ask(FEATURES_GET, &[header]).unwrap().expect("an answer");
        // The names of those that are on stand in it.
        let active = find(&answer.bytes, FEATURES_ACTIVE).expect("a set");
        features.map(|feature| {
            let feature = terminated(feature);
            active.windows(feature.len()).any(|text| text == feature)
        })
    }

    #[test]
    fn an_attribute_is_found_behind_others_and_not_past_the_end() {
        let message = [&[1, 2, 0, 0][..], &emit(&[attribute(7, b"seven"), nest(2, &[attribute(9, b"nine")])])].concat();
        assert_eq!(find(&message, 7), Some(&b"seven"[..]));
        assert_eq!(find(&message, 2), Some(&emit(&[attribute(9, b"nine")])[..]));
        assert_eq!(find(&message, 9), None);
        for len in 0..16 {
            assert_eq!(find(&message[..len.min(12)], 7), None, "{len}");
        }
        assert_eq!(find(&[0; 40], 1), None);
    }
}
