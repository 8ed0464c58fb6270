//! [`Capture`]: the frames of a file, as tcpdump and Wireshark write it: pcap or pcapng.
//!
//! * They are read one by one, and memory does not grow with the file.
//! * Only Ethernet is understood. A file that ends in the middle of something is told, behind what was whole in it.
//! * A capture may hold only the beginning of a frame. The rest is taken for zeros, since the switch looks at the headers and at the
//!   length only, and that is told.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};
use switch::buffer::MAX_FRAME;

use crate::failure::{Failure, cause_of, io};

/// The first four bytes of a pcapng file.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A file of frames.
pub struct Capture {
    path: PathBuf,
    reader: Reader,
    count: u64,
}

/// A frame of a file.
pub struct Captured {
    /// Its number, from 1 on.
    pub number: u64,
    /// The frame, as long as it was.
    pub bytes: Vec<u8>,
    /// How much of it the file holds.
    pub held: usize,
}

enum Reader {
    Pcap(PcapReader<File>),
    /// With the link types of its interfaces.
    PcapNg(PcapNgReader<File>, Vec<DataLink>),
}

impl Capture {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// If that can not be, or it is no such file, or of frames that are not Ethernet's.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let operation = || format!("open the capture {}", path.display());
        let mut file = File::open(path).map_err(io(operation()))?;
        let mut magic = [0; 4];
        let is_pcapng = match file.read_exact(&mut magic) {
            Ok(()) => magic == PCAPNG,
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(why) => return Err(Failure::new(format_args!("{}: {}", operation(), cause_of(&why)))),
        };
        file.rewind().map_err(io(operation()))?;
        let reader = if is_pcapng {
            PcapNgReader::new(file).map(|reader| Reader::PcapNg(reader, Vec::new()))
        } else {
            PcapReader::new(file).map(Reader::Pcap)
        };
        let reader = reader.map_err(|why| match cause(&why) {
            Cause::Io(why) => Failure::new(format_args!("{}: {why}", operation())),
            Cause::Short | Cause::Odd => Failure::new(format_args!("{}: it is neither pcap nor pcapng", operation()))
                .with_hint("`tcpdump -w FILE` and Wireshark write such files"),
        })?;
        if let Reader::Pcap(reader) = &reader {
            is_ethernet(path, reader.header().datalink)?;
        }
        Ok(Capture { path: path.to_owned(), reader, count: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many frames have been read.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The next frame; none at the end.
    ///
    /// # Errors
    /// If the file is broken here. It is of no further use then.
    pub fn next(&mut self) -> Result<Option<Captured>, Failure> {
        let (path, number) = (&self.path, self.count + 1);
        let read = match &mut self.reader {
            Reader::Pcap(reader) => from_pcap(reader),
            Reader::PcapNg(reader, links) => from_pcapng(reader, links, path)?,
        };
        let Some((held, length)) = read.map_err(|why| broken(path, number, &why))? else { return Ok(None) };
        self.count = number;
        // What is longer than any frame is known to be too long by one byte more.
        let mut bytes = held;
        let whole = (length as usize).max(bytes.len()).min(MAX_FRAME + 1);
        let held = bytes.len();
        bytes.resize(whole, 0);
        Ok(Some(Captured { number, bytes, held }))
    }
}

impl Captured {
    /// What is to be known of it: nothing, if the file holds all of it.
    pub fn note(&self) -> String {
        if self.held >= self.bytes.len() {
            return String::new();
        }
        format!(" ({} of its bytes captured, the rest taken for zeros)", self.held)
    }
}

/// What a file holds of a frame, and how long the frame was.
type Held = Option<(Vec<u8>, u32)>;

fn from_pcap(reader: &mut PcapReader<File>) -> Result<Held, PcapError> {
    // (The raw one: the other is refused if the frame was longer than the capture's limit, which is what a limit is for.)
    let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
    packet.map(|packet| Some((packet.data.into_owned(), packet.orig_len)))
}

fn from_pcapng(
    reader: &mut PcapNgReader<File>,
    links: &mut Vec<DataLink>,
    path: &Path,
) -> Result<Result<Held, PcapError>, Failure> {
    loop {
        let (interface, data, length) = match reader.next_block() {
            None => return Ok(Ok(None)),
            Some(Err(why)) => return Ok(Err(why)),
            Some(Ok(Block::SectionHeader(_))) => {
                links.clear();
                continue;
            }
            Some(Ok(Block::InterfaceDescription(interface))) => {
                links.push(interface.linktype);
                continue;
            }
            Some(Ok(Block::EnhancedPacket(packet))) => (packet.interface_id, packet.data, packet.original_len),
            Some(Ok(Block::Packet(packet))) => (u32::from(packet.interface_id), packet.data, packet.original_len),
            Some(Ok(Block::SimplePacket(packet))) => (0, packet.data, packet.original_len),
            Some(Ok(_)) => continue,
        };
        let link = links.get(interface as usize).copied();
        let Some(link) = link else { return Ok(Err(PcapError::InvalidInterfaceId(interface))) };
        is_ethernet(path, link)?;
        let held = data.len().min(length as usize);
        return Ok(Ok(Some((data[..held].to_vec(), length))));
    }
}

fn is_ethernet(path: &Path, link: DataLink) -> Result<(), Failure> {
    if link == DataLink::ETHERNET {
        return Ok(());
    }
    let name = format!("{link:?}").to_lowercase();
    Err(Failure::new(format_args!(
        "read the capture {}: its frames are not Ethernet's, but of link type {} ({name})",
        path.display(),
        u32::from(link)
    ))
    .with_hint("capture on an Ethernet interface, not on `any`"))
}

enum Cause {
    Short,
    Odd,
    Io(String),
}

fn cause(why: &PcapError) -> Cause {
    match why {
        PcapError::IncompleteBuffer => Cause::Short,
        PcapError::IoError(why) if why.kind() == io::ErrorKind::UnexpectedEof => Cause::Short,
        PcapError::IoError(why) => Cause::Io(cause_of(why)),
        PcapError::InvalidField(_)
        | PcapError::Utf8Error(_)
        | PcapError::FromUtf8Error(_)
        | PcapError::InvalidInterfaceId(_) => Cause::Odd,
    }
}

fn broken(path: &Path, number: u64, why: &PcapError) -> Failure {
    let what = match cause(why) {
        Cause::Short => "the file is cut short".to_owned(),
        Cause::Odd => format!("the file is damaged: {}", why.to_string().to_lowercase()),
        Cause::Io(why) => why,
    };
    Failure::new(format_args!("read frame {number} of {}: {what}", path.display()))
}
