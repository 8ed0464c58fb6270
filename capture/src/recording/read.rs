//! [`Reader`]: a recording from its file.

use std::io::Read;

use serde::de::DeserializeOwned;
use switch::time::Instant;

use super::codec::{self, BLOCK, ControlAt, FRAME, GapAt, Head, Kind};
use super::{BridgeStart, Entry, FrameIn, Start};
use crate::pcapng::{Block, Blocks, PacketIn, ReadError};

/// How long a content that is in several blocks may be together, in bytes: the whole FDB of a bridge, many times over.
const MAX_CONTENT: usize = 256 << 20;

/// Why a file is no recording, or none that can be read on.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It can not be read as a pcapng file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is a capture, but none of ours, or something else.
    #[error("it is no recording of Pontoon's: {0}")]
    NoRecording(String),
    /// What only we write is not as we write it.
    #[error("at byte {at}: {what}")]
    Wrong {
        /// Where the block begins.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// A recording, whose start was read and whose entries come one by one. After an error there are no more.
#[derive(Debug)]
pub struct Reader<R> {
    blocks: Blocks<R>,
    start: Start,
    /// The exact form of the next frame, if it was too long for an option.
    exact: Option<Vec<u8>>,
    is_over: bool,
}

/// A recording as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What it begins with.
    pub start: Start,
    /// What came then.
    pub entries: Vec<Entry>,
}

impl Recording {
    /// Reads one into memory. [`Reader`] takes less of that, and gives what is before an error.
    ///
    /// # Errors
    /// If it is no recording, cut short or malformed.
    pub fn read(from: impl Read) -> Result<Self, RecordingError> {
        let reader = Reader::new(from)?;
        let start = reader.start.clone();
        let entries = reader.collect::<Result<_, _>>()?;
        Ok(Recording { start, entries })
    }
}

impl<R: Read> Reader<R> {
    /// Reads the start of a recording. Whoever gives a file puts a [`BufReader`](std::io::BufReader) in between.
    ///
    /// # Errors
    /// If it is no recording, cut short or malformed.
    pub fn new(from: R) -> Result<Self, RecordingError> {
        let mut blocks = Blocks::new(from);
        let none = || RecordingError::NoRecording("nothing in it tells how the data plane was".to_owned());
        let mut head: Option<Head> = None;
        let mut bridges: Vec<BridgeStart> = Vec::new();
        loop {
            let next = blocks.next().map_err(|error| match error {
                ReadError::Foreign => RecordingError::NoRecording("it is no pcapng file".to_owned()),
                other => RecordingError::Read(other),
            });
            let (at, block) = match next? {
                None => return Err(none()),
                Some(next) => next,
            };
            let wrong = |what: String| RecordingError::Wrong { at, what };
            let (kind, follow, content) = match block {
                Block::Section | Block::Interface { .. } => continue,
                Block::Packet(_) => return Err(none()),
                Block::Other { kind: BLOCK, body } if codec::is_ours(body) => codec::parse(body).map_err(wrong)?,
                Block::Other { .. } => continue,
            };
            let content = content.to_vec();
            match (kind, &head) {
                (Kind::Start, None) => head = Some(json(&mut blocks, at, follow, content)?),
                (Kind::Bridge, Some(_)) => bridges.push(json(&mut blocks, at, follow, content)?),
                (Kind::Begin, Some(_)) => break,
                (kind, _) => return Err(wrong(format!("{kind:?} before the start is told"))),
            }
        }
        let start = head.ok_or_else(none)?.with(bridges);
        Ok(Reader { blocks, start, exact: None, is_over: false })
    }

    /// What it begins with.
    #[must_use]
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The next entry.
    fn entry(&mut self) -> Result<Option<Entry>, RecordingError> {
        loop {
            let Some((at, block)) = self.blocks.next()? else { return Ok(None) };
            let wrong = |what: String| RecordingError::Wrong { at, what };
            let (kind, follow, content) = match block {
                // (Another recording behind it, as `cat` makes it: its start is another.)
                Block::Section => return Err(wrong("another section: it is two files in one".to_owned())),
                Block::Packet(packet) => match frame(&packet, &mut self.exact, self.start.origin).map_err(wrong)? {
                    Some(frame) => return Ok(Some(Entry::Frame(frame))),
                    None => continue,
                },
                Block::Other { kind: BLOCK, body } if codec::is_ours(body) => codec::parse(body).map_err(wrong)?,
                Block::Interface { .. } | Block::Other { .. } => continue,
            };
            return Ok(Some(match kind {
                Kind::Frame => {
                    self.exact = Some(content.to_vec());
                    continue;
                }
                Kind::Control => {
                    let content = content.to_vec();
                    let ControlAt { at, made, control } = json(&mut self.blocks, at, follow, content)?;
                    Entry::Control { at: Instant::from_nanos(at), control, made }
                }
                Kind::Gap => {
                    let content = content.to_vec();
                    let GapAt { at, entries, frames } = json(&mut self.blocks, at, follow, content)?;
                    Entry::Gap { at: Instant::from_nanos(at), entries, frames }
                }
                Kind::Results | Kind::Timeout | Kind::PortDown => codec::short(kind, content).map_err(wrong)?,
                Kind::Start | Kind::Bridge | Kind::Begin => return Err(wrong(format!("{kind:?} among entries"))),
            }));
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.entry().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The frame that a packet is, if it is one that came in.
fn frame(packet: &PacketIn<'_>, before: &mut Option<Vec<u8>>, origin: u64) -> Result<Option<FrameIn>, String> {
    let Some(option) = packet.options.find(FRAME) else { return Ok(None) };
    let before = before.take();
    let exact = match (&before, option) {
        (Some(long), []) => long,
        (_, option) => option,
    };
    let mut frame = codec::read_frame(exact)?;
    frame.at = Instant::from_nanos(packet.nanos.wrapping_sub(origin));
    frame.bytes = packet.bytes.to_vec();
    frame.len = packet.len as usize;
    Ok(Some(frame))
}

/// A value that is told in one block, of which this is the content, and so many that follow it.
fn json<T: DeserializeOwned>(
    blocks: &mut Blocks<impl Read>,
    at: u64,
    follow: u32,
    mut content: Vec<u8>,
) -> Result<T, RecordingError> {
    for left in (0..follow).rev() {
        let wrong = |what: &str| RecordingError::Wrong { at, what: what.to_owned() };
        let (_, block) = blocks.next()?.ok_or(ReadError::Cut { at })?;
        let Block::Other { kind: BLOCK, body } = block else { return Err(wrong("its blocks are interrupted")) };
        let (_, follow, more) = codec::parse(body).map_err(|what| wrong(&what))?;
        if follow != left {
            return Err(wrong("its blocks are out of order"));
        }
        if content.len() + more.len() > MAX_CONTENT {
            return Err(wrong("it is too long"));
        }
        content.extend_from_slice(more);
    }
    serde_json::from_slice(&content).map_err(|error| RecordingError::Wrong { at, what: error.to_string() })
}
