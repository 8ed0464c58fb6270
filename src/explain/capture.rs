//! [`Capture`]: the frames of a file, as tcpdump and Wireshark write it: pcap or pcapng.
//!
//! * They are read one by one, and memory does not grow with the file. A file that ends in the middle of something, or is damaged,
//!   is told behind what was whole in it.
//! * A capture may hold only the beginning of a frame. The rest is taken for zeros, since the switch looks at the headers and at the
//!   length only, and that is told.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use capture::pcap::Frames;
use capture::pcapng::ReadError;
use switch::buffer::MAX_FRAME;

use crate::failure::{Failure, cause_of, io};

/// A file of frames.
pub struct Capture {
    path: PathBuf,
    frames: Frames<BufReader<File>>,
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

impl Capture {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// If that can not be, or it is no such file, or of frames that are not Ethernet's.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(io(format_args!("open the capture {}", path.display())))?;
        let frames = Frames::new(BufReader::new(file)).map_err(|why| broken(path, &why))?;
        Ok(Capture { path: path.to_owned(), frames, count: 0 })
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
        let Some(read) = self.frames.next() else { return Ok(None) };
        let captured = read.map_err(|why| broken(&self.path, &why))?;
        self.count += 1;
        let mut bytes = captured.bytes;
        let held = bytes.len();
        // What is longer than any frame is known to be too long by one byte more.
        bytes.resize(captured.len.max(held).min(MAX_FRAME + 1), 0);
        Ok(Some(Captured { number: self.count, bytes, held }))
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

fn broken(path: &Path, why: &ReadError) -> Failure {
    let hint = match why {
        ReadError::LinkType { .. } => Some("capture on an Ethernet interface, not on `any`"),
        ReadError::Foreign => Some("`tcpdump -w FILE` and Wireshark write such files"),
        ReadError::Io { .. } | ReadError::Cut { .. } | ReadError::Wrong { .. } => None,
    };
    let cause = match why {
        ReadError::Io { at, error } => format!("at byte {at}: {}", cause_of(error)),
        other => other.to_string(),
    };
    let failure = Failure::new(format_args!("read the capture {}: {cause}", path.display()));
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
