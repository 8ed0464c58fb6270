//! [`Blocks`]: the blocks of a pcapng file one by one, whoever wrote it.
//!
//! * Both byte orders, and any number of sections, each with interfaces of its own.
//! * Of one block at most 16 MiB are in memory; a longer one is an error.
//! * An error says at which byte of the file its block begins. After one there is nothing more.

use std::io::{self, Read};

use super::options::Options;
use super::{BYTE_ORDER, ENHANCED_PACKET, INTERFACE, INTERFACE_NAME, INTERFACE_RESOLUTION, SECTION};

/// How long a block may be, in bytes.
pub const MAX_BLOCK: u32 = 16 << 20;
/// How many interfaces a section may have.
const MAX_INTERFACES: usize = 1 << 20;

const SIMPLE_PACKET: u32 = 3;

/// Why a capture file can not be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not give it.
    #[error("read at byte {at}: {error}")]
    Io {
        /// Where.
        at: u64,
        /// Why.
        error: io::Error,
    },
    /// It ends where more has to come.
    #[error("it is cut short: what begins at byte {at} is not whole")]
    Cut {
        /// Where that begins.
        at: u64,
    },
    /// Something in it is wrong.
    #[error("at byte {at}: {what}")]
    Wrong {
        /// Where what is wrong begins.
        at: u64,
        /// What it is.
        what: String,
    },
    /// It is not of Ethernet.
    #[error("at byte {at}: link type {link_type}, not Ethernet (1)")]
    LinkType {
        /// Where that shows.
        at: u64,
        /// Of what it is.
        link_type: u16,
    },
    /// It is something else.
    #[error("it is no capture file")]
    Foreign,
}

/// What is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// A section begins, and with it the numbers of interfaces anew.
    Section,
    /// An interface.
    Interface {
        /// What people call it; nothing if empty.
        name: &'a str,
        /// Its options.
        options: Options<'a>,
    },
    /// A packet.
    Packet(PacketIn<'a>),
    /// Something else.
    Other {
        /// The type of the block.
        kind: u32,
        /// Its content.
        body: &'a [u8],
    },
}

/// A packet as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketIn<'a> {
    /// The number of its interface within the section.
    pub interface: u32,
    /// The link type of that; 1 is Ethernet.
    pub link_type: u16,
    /// When, in nanoseconds since 1970; 0 if it does not say.
    pub nanos: u64,
    /// How long it is in truth.
    pub len: u32,
    /// Its first bytes, as many as were captured.
    pub bytes: &'a [u8],
    /// Its options.
    pub options: Options<'a>,
}

/// Reads blocks.
#[derive(Debug)]
pub struct Blocks<R> {
    from: R,
    /// Where in the file the next block begins.
    at: u64,
    body: Vec<u8>,
    is_big_endian: bool,
    interfaces: Vec<Interface>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    snaplen: u32,
    /// As the option has it: minus the exponent of ten; with the highest bit set, of two.
    resolution: u8,
}

impl<R: Read> Blocks<R> {
    /// Reads a file from its beginning. Nothing is read yet.
    #[must_use]
    pub fn new(from: R) -> Self {
        Blocks { from, at: 0, body: Vec::new(), is_big_endian: false, interfaces: Vec::new(), is_over: false }
    }

    /// The next block, and at which byte of the file it begins; `None` at the end of the file.
    ///
    /// # Errors
    /// If it can not be read, is cut short or malformed.
    #[expect(clippy::should_implement_trait, reason = "an iterator can not lend what it gives")]
    pub fn next(&mut self) -> Result<Option<(u64, Block<'_>)>, ReadError> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        let at = self.at;
        let Some(kind) = self.fetch()? else { return Ok(None) };
        if kind == SECTION {
            self.interfaces.clear();
        }
        if kind == INTERFACE {
            let interface = described(&self.body, self.is_big_endian).map_err(|what| ReadError::Wrong { at, what })?;
            if self.interfaces.len() == MAX_INTERFACES {
                return Err(ReadError::Wrong { at, what: format!("more than {MAX_INTERFACES} interfaces") });
            }
            self.interfaces.push(interface);
        }
        let block = interpret(kind, &self.body, self.is_big_endian, &self.interfaces);
        self.is_over = block.is_err();
        block.map(|block| Some((at, block))).map_err(|what| ReadError::Wrong { at, what })
    }

    /// Reads the next block's content, and gives its type.
    fn fetch(&mut self) -> Result<Option<u32>, ReadError> {
        let at = self.at;
        let wrong = |what: String| ReadError::Wrong { at, what };
        let mut header = [0; 8];
        match self.fill(&mut header)? {
            0 => return Ok(None),
            // (Four bytes are enough to tell that it is none of ours.)
            4.. if at == 0 && header[..4] != SECTION.to_le_bytes() => return Err(ReadError::Foreign),
            8 => {}
            _ => return Err(ReadError::Cut { at }),
        }
        let [k0, k1, k2, k3, l0, l1, l2, l3] = header;
        self.body.clear();
        let mut have = 8;
        // The type of a section reads the same from both ends: what tells the byte order comes third.
        if [k0, k1, k2, k3] == SECTION.to_le_bytes() {
            let mut order = [0; 4];
            self.whole(&mut order, at)?;
            self.is_big_endian = match u32::from_le_bytes(order) {
                BYTE_ORDER => false,
                other if other.swap_bytes() == BYTE_ORDER => true,
                _ if at == 0 => return Err(ReadError::Foreign),
                _ => return Err(wrong("a section without a byte order".to_owned())),
            };
            self.body.extend(order);
            have = 12;
        }
        let len = word([l0, l1, l2, l3], self.is_big_endian);
        if !len.is_multiple_of(4) || len < have + 4 {
            return Err(wrong(format!("no block is {len} bytes long")));
        }
        if len > MAX_BLOCK {
            return Err(wrong(format!("a block of {len} bytes: more than {MAX_BLOCK} are not read")));
        }
        // (In steps, as it comes: a length is soon said.)
        let left = u64::from(len - have - 4);
        let read = (&mut self.from).take(left).read_to_end(&mut self.body);
        let read = read.map_err(|error| ReadError::Io { at, error })?;
        if read as u64 != left {
            return Err(ReadError::Cut { at });
        }
        let mut again = [0; 4];
        self.whole(&mut again, at)?;
        if word(again, self.is_big_endian) != len {
            let again = word(again, self.is_big_endian);
            return Err(wrong(format!("a block of {len} bytes that says {again} at its end")));
        }
        self.at += u64::from(len);
        Ok(Some(word([k0, k1, k2, k3], self.is_big_endian)))
    }

    fn whole(&mut self, into: &mut [u8], at: u64) -> Result<(), ReadError> {
        if self.fill(into)? == into.len() { Ok(()) } else { Err(ReadError::Cut { at }) }
    }

    /// Reads as much of it as there is, and says how much that is.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        fill(&mut self.from, into).map_err(|error| ReadError::Io { at: self.at, error })
    }
}

/// Reads as much of it as there is, and says how much that is.
pub(crate) fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < into.len() {
        match from.read(&mut into[have..]) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

fn described(body: &[u8], is_big_endian: bool) -> Result<Interface, String> {
    let Some(([l0, l1, _, _, s0, s1, s2, s3], rest)) = body.split_first_chunk() else {
        return Err("the description of an interface is cut".to_owned());
    };
    let options = Options::check(rest, is_big_endian)?;
    let resolution = options.iter().find(|(code, value)| *code == INTERFACE_RESOLUTION && value.len() == 1);
    Ok(Interface {
        link_type: half([*l0, *l1], is_big_endian),
        snaplen: word([*s0, *s1, *s2, *s3], is_big_endian),
        resolution: resolution.map_or(6, |(_, value)| value[0]),
    })
}

fn interpret<'a>(
    kind: u32,
    body: &'a [u8],
    is_big_endian: bool,
    interfaces: &[Interface],
) -> Result<Block<'a>, String> {
    let word = |bytes: [u8; 4]| word(bytes, is_big_endian);
    match kind {
        SECTION => Ok(Block::Section),
        INTERFACE => {
            let options = Options::check(body.get(8..).unwrap_or_default(), is_big_endian)?;
            let name = options.iter().find(|(code, _)| *code == INTERFACE_NAME);
            let name = name.map_or(Ok(""), |(_, name)| std::str::from_utf8(name));
            Ok(Block::Interface { name: name.map_err(|error| format!("an interface's name: {error}"))?, options })
        }
        ENHANCED_PACKET => {
            let (fields, rest) = body.as_chunks::<4>().0.split_first_chunk::<5>().ok_or("a packet's block is cut")?;
            let [number, high, low, captured, len] = fields.map(word);
            let interface = interfaces.get(number as usize).ok_or_else(|| format!("a packet of interface {number}"))?;
            let rest = rest.as_flattened();
            let captured = captured as usize;
            let padded = captured.checked_next_multiple_of(4).filter(|padded| *padded <= rest.len());
            let padded = padded.ok_or_else(|| format!("a packet of {captured} bytes that is longer than its block"))?;
            Ok(Block::Packet(PacketIn {
                interface: number,
                link_type: interface.link_type,
                nanos: nanos(u64::from(high) << 32 | u64::from(low), interface.resolution),
                len,
                bytes: &rest[..captured],
                options: Options::check(&rest[padded..], is_big_endian)?,
            }))
        }
        SIMPLE_PACKET => {
            let (len, bytes) = body.split_first_chunk().ok_or("a packet's block is cut")?;
            let interface = interfaces.first().ok_or("a packet without an interface")?;
            let len = word(*len);
            let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
            let bytes = bytes.get(..len.min(snaplen) as usize).ok_or("a packet that is longer than its block")?;
            let (link_type, options) = (interface.link_type, Options::default());
            Ok(Block::Packet(PacketIn { interface: 0, link_type, nanos: 0, len, bytes, options }))
        }
        kind => Ok(Block::Other { kind, body }),
    }
}

/// So many units of time, in nanoseconds.
fn nanos(units: u64, resolution: u8) -> u64 {
    const SECOND: u128 = 1_000_000_000;
    let (units, exponent) = (u128::from(units), u32::from(resolution & 0x7f));
    let nanos = if resolution & 0x80 != 0 {
        // (94 bits, before it is shifted.)
        (units * SECOND) >> exponent
    } else if exponent <= 9 {
        units * 10_u128.pow(9 - exponent)
    } else {
        10_u128.checked_pow(exponent - 9).map_or(0, |divisor| units / divisor)
    };
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

pub(crate) fn word(bytes: [u8; 4], is_big_endian: bool) -> u32 {
    if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

pub(crate) fn half(bytes: [u8; 2], is_big_endian: bool) -> u16 {
    if is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}
