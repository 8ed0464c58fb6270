//! pcapng (draft-ietf-opsawg-pcapng), as far as a capture needs it: a section, its interfaces, its packets. Little-endian,
//! times in nanoseconds.

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;
/// As many bytes of a packet as there are.
const NO_SNAP: u32 = 0;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

/// Which way a packet goes, seen from the port that it is captured at (bits 0 and 1 of its flags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In = 1,
    Out = 2,
}

/// What a file begins with.
pub(super) fn section(into: &mut Vec<u8>) {
    block(into, SECTION, |body| {
        body.extend(BYTE_ORDER.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // How long the section is: nobody knows yet.
        body.extend((-1_i64).to_le_bytes());
        option(body, SECTION_APPLICATION, b"pontoon-sim");
        option(body, OPTION_END, &[]);
    });
}

/// An Ethernet interface. They are numbered from 0 on in the order in which they come.
pub(super) fn interface(into: &mut Vec<u8>, name: &str) {
    block(into, INTERFACE, |body| {
        body.extend(ETHERNET.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend(NO_SNAP.to_le_bytes());
        option(body, INTERFACE_NAME, name.as_bytes());
        // Ten to the minus ninth.
        option(body, INTERFACE_RESOLUTION, &[9]);
        option(body, OPTION_END, &[]);
    });
}

/// A packet, so many nanoseconds after 1970.
pub(super) fn packet(into: &mut Vec<u8>, interface: u32, nanos: u64, way: Way, comment: &str, frame: &[u8]) {
    let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    block(into, ENHANCED_PACKET, |body| {
        body.extend(interface.to_le_bytes());
        body.extend(((nanos >> 32) as u32).to_le_bytes());
        body.extend((nanos as u32).to_le_bytes());
        body.extend(len.to_le_bytes());
        body.extend(len.to_le_bytes());
        padded(body, frame);
        option(body, PACKET_FLAGS, &(way as u32).to_le_bytes());
        if !comment.is_empty() {
            option(body, OPTION_COMMENT, comment.as_bytes());
        }
        option(body, OPTION_END, &[]);
    });
}

/// A block: its type, its length, what is in it, and its length again.
fn block(into: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend(kind.to_le_bytes());
    into.extend([0; 4]);
    body(into);
    let len = u32::try_from(into.len() - start + 4).unwrap_or(u32::MAX).to_le_bytes();
    into[start + 4..start + 8].copy_from_slice(&len);
    into.extend(len);
}

fn option(into: &mut Vec<u8>, code: u16, value: &[u8]) {
    // A name or a comment longer than a length can say ends there.
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    into.extend(code.to_le_bytes());
    into.extend((value.len() as u16).to_le_bytes());
    padded(into, value);
}

fn padded(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend_from_slice(bytes);
    into.resize(into.len() + bytes.len().next_multiple_of(4) - bytes.len(), 0);
}
