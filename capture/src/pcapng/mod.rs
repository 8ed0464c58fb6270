//! The pcapng format (draft-ietf-opsawg-pcapng), as far as a capture needs it: a section, its interfaces, its packets, and what
//! only we read.
//!
//! * Little-endian, link type Ethernet, times in nanoseconds since 1970.
//! * Each function appends one whole block to a buffer: nothing else is kept, so whoever writes decides where the bytes go, and
//!   an interface may come at any time before the first packet that names it.
//! * Block types and option codes with the highest bit set are for local use, and whoever does not know them skips them
//!   (sections 10.1 and 3.5.1 of the draft). They hold what a replay needs.
//! * [`Blocks`] reads such a file, and any other.

mod blocks;
mod options;

pub use blocks::{Block, Blocks, MAX_BLOCK, PacketIn, ReadError};
pub use options::Options;

pub(crate) use blocks::{fill, half, word};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
pub(crate) const ETHERNET: u16 = 1;

const OPTION_END: u16 = 0;
/// The code of a comment, on a block of any kind.
pub const OPTION_COMMENT: u16 = 1;
const SECTION_HARDWARE: u16 = 2;
const SECTION_OS: u16 = 3;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_DESCRIPTION: u16 = 3;
const INTERFACE_RESOLUTION: u16 = 9;
/// The code of the flags of a packet; the lowest two bits are which way it goes: 1 in, 2 out.
pub const PACKET_FLAGS: u16 = 2;
const PACKET_DROPPED: u16 = 4;
const STATISTICS_START: u16 = 2;
const STATISTICS_END: u16 = 3;
const STATISTICS_RECEIVED: u16 = 4;
const STATISTICS_DROPPED: u16 = 5;

/// The bit that makes a block type one for local use.
pub const LOCAL_BLOCK: u32 = 1 << 31;
/// The bit that makes the code of an option one for local use.
pub const LOCAL_OPTION: u16 = 1 << 15;

/// What a file says of where it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section<'a> {
    /// The machine, such as `x86_64`; nothing if empty.
    pub hardware: &'a str,
    /// The operating system; nothing if empty.
    pub os: &'a str,
    /// The program, such as `pontoon 0.1.0`.
    pub application: &'a str,
}

/// An Ethernet interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What else there is to be said of it; nothing if empty.
    pub description: &'a str,
    /// How many bytes of a packet are captured at most; 0: all.
    pub snaplen: u32,
    /// Options for local use.
    pub local: &'a [LocalOption<'a>],
}

/// An option that only we read. Its code has [`LOCAL_OPTION`] set.
pub type LocalOption<'a> = (u16, &'a [u8]);

/// Which way a packet goes, seen from the port that it is captured at (bits 0 and 1 of its flags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Into the switch.
    In = 1,
    /// Out of it.
    Out = 2,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The number of its interface: they are counted from 0 on, in the order in which they come in the file.
    pub interface: u32,
    /// When, in nanoseconds since 1970.
    pub nanos: u64,
    /// Which way.
    pub way: Way,
    /// Its first bytes, in pieces: as many as are captured.
    pub bytes: &'a [&'a [u8]],
    /// How long it is in truth, in bytes.
    pub len: usize,
    /// How many packets of its interface the capture lost since the one before it, if it lost any.
    pub dropped: u64,
    /// What is to be said of it; nothing if empty.
    pub comment: &'a str,
    /// Options for local use.
    pub local: &'a [LocalOption<'a>],
}

/// What a capture has to say of an interface when it ends. Times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The number of the interface.
    pub interface: u32,
    /// When the capture began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// How many packets came, those that were lost among them.
    pub received: u64,
    /// How many of them the capture lost.
    pub dropped: u64,
}

/// What a file begins with.
pub fn section(into: &mut Vec<u8>, section: &Section<'_>) {
    block(into, SECTION, |body| {
        body.extend(BYTE_ORDER.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // How long the section is: nobody knows yet.
        body.extend((-1_i64).to_le_bytes());
        text(body, SECTION_HARDWARE, section.hardware);
        text(body, SECTION_OS, section.os);
        text(body, SECTION_APPLICATION, section.application);
        option(body, OPTION_END, &[]);
    });
}

/// An interface. They are numbered from 0 on in the order in which they come.
pub fn interface(into: &mut Vec<u8>, interface: &Interface<'_>) {
    block(into, INTERFACE, |body| {
        body.extend(ETHERNET.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend(interface.snaplen.to_le_bytes());
        text(body, INTERFACE_NAME, interface.name);
        text(body, INTERFACE_DESCRIPTION, interface.description);
        // Ten to the minus ninth.
        option(body, INTERFACE_RESOLUTION, &[9]);
        local_options(body, interface.local);
        option(body, OPTION_END, &[]);
    });
}

/// A packet.
pub fn packet(into: &mut Vec<u8>, packet: &Packet<'_>) {
    let captured: usize = packet.bytes.iter().map(|piece| piece.len()).sum();
    block(into, ENHANCED_PACKET, |body| {
        body.extend(packet.interface.to_le_bytes());
        body.extend(halves(packet.nanos));
        body.extend((captured as u32).to_le_bytes());
        body.extend(u32::try_from(packet.len).unwrap_or(u32::MAX).to_le_bytes());
        packet.bytes.iter().for_each(|piece| body.extend_from_slice(piece));
        pad(body, captured);
        option(body, PACKET_FLAGS, &(packet.way as u32).to_le_bytes());
        if packet.dropped > 0 {
            option(body, PACKET_DROPPED, &packet.dropped.to_le_bytes());
        }
        text(body, OPTION_COMMENT, packet.comment);
        local_options(body, packet.local);
        option(body, OPTION_END, &[]);
    });
}

/// What there is to be said of an interface at the end.
pub fn statistics(into: &mut Vec<u8>, statistics: &Statistics) {
    block(into, INTERFACE_STATISTICS, |body| {
        body.extend(statistics.interface.to_le_bytes());
        body.extend(halves(statistics.end));
        option(body, STATISTICS_START, &halves(statistics.start));
        option(body, STATISTICS_END, &halves(statistics.end));
        option(body, STATISTICS_RECEIVED, &statistics.received.to_le_bytes());
        option(body, STATISTICS_DROPPED, &statistics.dropped.to_le_bytes());
        option(body, OPTION_END, &[]);
    });
}

/// A block that only we read, with its content in pieces. Its type has [`LOCAL_BLOCK`] set.
pub fn local(into: &mut Vec<u8>, kind: u32, content: &[&[u8]]) {
    debug_assert!(kind & LOCAL_BLOCK != 0, "block type {kind:#x} is not one for local use");
    block(into, kind, |body| {
        content.iter().for_each(|piece| body.extend_from_slice(piece));
        pad(body, content.iter().map(|piece| piece.len()).sum());
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

fn local_options(into: &mut Vec<u8>, options: &[LocalOption<'_>]) {
    for (code, value) in options {
        debug_assert!(code & LOCAL_OPTION != 0, "option {code:#x} is not one for local use");
        option(into, *code, value);
    }
}

/// A text, if there is one; at most as much of it as an option can hold.
fn text(into: &mut Vec<u8>, code: u16, text: &str) {
    if !text.is_empty() {
        option(into, code, &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX))]);
    }
}

/// # Panics
/// If the value is longer than an option can say.
fn option(into: &mut Vec<u8>, code: u16, value: &[u8]) {
    let Ok(len) = u16::try_from(value.len()) else { panic!("{} bytes for option {code:#x}", value.len()) };
    into.extend(code.to_le_bytes());
    into.extend(len.to_le_bytes());
    into.extend_from_slice(value);
    pad(into, value.len());
}

/// Zeros up to a whole number of words behind `len` bytes.
fn pad(into: &mut Vec<u8>, len: usize) {
    into.resize(into.len() + len.next_multiple_of(4) - len, 0);
}

/// A time: its upper half first, whatever the byte order.
fn halves(nanos: u64) -> [u8; 8] {
    let (high, low) = ((nanos >> 32) as u32, nanos as u32);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&high.to_le_bytes());
    bytes[4..].copy_from_slice(&low.to_le_bytes());
    bytes
}
