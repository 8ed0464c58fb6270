//! [`Frames`]: the Ethernet frames of a capture file, pcap or pcapng, whoever wrote it.
//!
//! * Either byte order; times in micro- or nanoseconds.
//! * Of one frame at most 16 MiB are in memory.
//! * A file of another link type, and one that is cut short, are errors that say where. After one there are no more frames.

use std::io::{self, Chain, Cursor, Read};

use crate::pcapng::{Block, Blocks, ETHERNET, MAX_BLOCK, ReadError, fill, half, word};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// A frame of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When, in nanoseconds since 1970; 0 if the file does not say.
    pub nanos: u64,
    /// Its first bytes, as many as were captured.
    pub bytes: Vec<u8>,
    /// How long it is in truth.
    pub len: usize,
}

/// Reads frames.
#[derive(Debug)]
pub struct Frames<R> {
    file: File<R>,
    is_over: bool,
}

#[derive(Debug)]
enum File<R> {
    Pcap(Pcap<R>),
    /// (The bytes that told what it is come first.)
    Pcapng(Blocks<Chain<Cursor<[u8; 4]>, R>>),
}

/// A file as libpcap wrote it first: a header, and packets each with a header of its own.
#[derive(Debug)]
struct Pcap<R> {
    from: R,
    at: u64,
    is_big_endian: bool,
    /// How many nanoseconds one unit of the second part of a time is.
    unit: u64,
}

impl<R: Read> Frames<R> {
    /// Looks at what a file is. Whoever gives one puts a [`BufReader`](io::BufReader) in between.
    ///
    /// # Errors
    /// If it is no capture file, or one of another link type.
    pub fn new(mut from: R) -> Result<Self, ReadError> {
        let mut magic = [0; 4];
        if fill(&mut from, &mut magic).map_err(|error| ReadError::Io { at: 0, error })? < magic.len() {
            return Err(ReadError::Foreign);
        }
        let file = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (MICROSECONDS | NANOSECONDS, _) => File::Pcap(Pcap::new(from, magic, false)?),
            (_, MICROSECONDS | NANOSECONDS) => File::Pcap(Pcap::new(from, magic, true)?),
            _ => File::Pcapng(Blocks::new(Cursor::new(magic).chain(from))),
        };
        Ok(Frames { file, is_over: false })
    }

    fn frame(&mut self) -> Result<Option<Captured>, ReadError> {
        let blocks = match &mut self.file {
            File::Pcap(pcap) => return pcap.frame(),
            File::Pcapng(blocks) => blocks,
        };
        loop {
            match blocks.next()? {
                None => return Ok(None),
                Some((at, Block::Packet(packet))) => {
                    let link_type = packet.link_type;
                    if link_type != ETHERNET {
                        return Err(ReadError::LinkType { at, link_type });
                    }
                    let (nanos, bytes, len) = (packet.nanos, packet.bytes.to_vec(), packet.len as usize);
                    return Ok(Some(Captured { nanos, bytes, len }));
                }
                Some((_, Block::Section | Block::Interface { .. } | Block::Other { .. })) => {}
            }
        }
    }
}

impl<R: Read> Iterator for Frames<R> {
    type Item = Result<Captured, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.frame().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl<R: Read> Pcap<R> {
    fn new(mut from: R, magic: [u8; 4], is_big_endian: bool) -> Result<Self, ReadError> {
        let mut rest = [0; 20];
        let have = fill(&mut from, &mut rest).map_err(|error| ReadError::Io { at: 4, error })?;
        if have < rest.len() {
            return Err(ReadError::Cut { at: 0 });
        }
        // (The upper half of the link type's word tells of checksums.)
        let [.., t0, t1, t2, t3] = rest;
        let link_type = half(if is_big_endian { [t2, t3] } else { [t0, t1] }, is_big_endian);
        if link_type != ETHERNET {
            return Err(ReadError::LinkType { at: 20, link_type });
        }
        let unit = if word(magic, is_big_endian) == NANOSECONDS { 1 } else { 1000 };
        Ok(Pcap { from, at: 24, is_big_endian, unit })
    }

    fn frame(&mut self) -> Result<Option<Captured>, ReadError> {
        let (at, is_big_endian) = (self.at, self.is_big_endian);
        let io = |error: io::Error| ReadError::Io { at, error };
        let mut header = [0; 16];
        match fill(&mut self.from, &mut header).map_err(io)? {
            0 => return Ok(None),
            16 => {}
            _ => return Err(ReadError::Cut { at }),
        }
        let mut fields = [0; 4];
        for (field, bytes) in fields.iter_mut().zip(header.as_chunks().0) {
            *field = word(*bytes, is_big_endian);
        }
        let [seconds, part, captured, len] = fields;
        if captured > MAX_BLOCK {
            return Err(ReadError::Wrong { at, what: format!("a packet of {captured} bytes") });
        }
        let mut bytes = Vec::new();
        // (In steps, as it comes: a length is soon said.)
        let read = (&mut self.from).take(u64::from(captured)).read_to_end(&mut bytes).map_err(io)?;
        if read != captured as usize {
            return Err(ReadError::Cut { at });
        }
        self.at += 16 + u64::from(captured);
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(part) * self.unit;
        Ok(Some(Captured { nanos, bytes, len: len as usize }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcapng::{Interface, Packet, Section, Way, interface, packet, section};

    #[test]
    fn reads_what_libpcap_writes_in_either_byte_order() {
        let big = [
            &[0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1][..],
            &[0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 60, 1, 2, 3],
        ]
        .concat();
        let little = [
            &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0][..],
            &[7, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 60, 0, 0, 0, 1, 2, 3],
        ]
        .concat();
        let frame = |nanos| Captured { nanos, bytes: vec![1, 2, 3], len: 60 };
        assert_eq!(all(&big).unwrap(), [frame(7_000_009_000)]);
        assert_eq!(all(&little).unwrap(), [frame(7_000_000_009)]);
        assert_eq!(all(&little[..24]).unwrap(), []);
    }

    #[test]
    fn reads_a_pcapng_file() {
        assert_eq!(all(&file()).unwrap(), [Captured { nanos: 5, bytes: vec![1, 2, 3, 4, 5], len: 9000 }]);
    }

    #[test]
    fn another_link_type_is_an_error_that_says_which() {
        let mut pcap = [0; 24];
        pcap[..4].copy_from_slice(&MICROSECONDS.to_le_bytes());
        pcap[20] = 113;
        assert_eq!(error(&pcap), "at byte 20: link type 113, not Ethernet (1)");
        let mut pcapng = file();
        let (header, found) = (section_len(), pcapng[section_len() + 8]);
        assert_eq!(found, 1);
        pcapng[header + 8] = 101;
        let interface_len = usize::from(pcapng[header + 4]);
        assert_eq!(error(&pcapng), format!("at byte {}: link type 101, not Ethernet (1)", header + interface_len));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_says_so_or_ends_between_two_blocks() {
        let whole = file();
        let mut ends = Vec::new();
        for len in 0..whole.len() {
            match all(&whole[..len]) {
                Ok(frames) => ends.push((len, frames.len())),
                Err(ReadError::Cut { at }) => assert!(at < len as u64),
                Err(ReadError::Foreign) => assert!(len < 4),
                Err(other) => panic!("cut at {len}: {other}"),
            }
        }
        let interface_ends = section_len() + usize::from(whole[section_len() + 4]);
        assert_eq!(ends, [(section_len(), 0), (interface_ends, 0)]);
    }

    #[test]
    fn what_is_no_capture_is_called_so() {
        for foreign in [&b""[..], b"hi", b"\x7fELF and more", &[0; 64]] {
            assert_eq!(error(foreign), "it is no capture file");
        }
    }

    fn all(file: &[u8]) -> Result<Vec<Captured>, ReadError> {
        Frames::new(file)?.collect()
    }

    fn error(file: &[u8]) -> String {
        all(file).expect_err("it is none").to_string()
    }

    fn section_len() -> usize {
        let mut bytes = Vec::new();
        section(&mut bytes, &Section::default());
        bytes.len()
    }

    fn file() -> Vec<u8> {
        let mut bytes = Vec::new();
        section(&mut bytes, &Section::default());
        interface(&mut bytes, &Interface { name: "web.eth0", ..Interface::default() });
        let (comment, local) = ("drop: hairpin", &[(0x8001, &[7][..])][..]);
        let frame = [1, 2, 3, 4, 5];
        let (interface, nanos, way, dropped) = (0, 5, Way::In, 3);
        packet(&mut bytes, &Packet { interface, nanos, way, bytes: &[&frame], len: 9000, dropped, comment, local });
        bytes
    }
}
