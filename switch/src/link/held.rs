//! [`Held`]: frames of a batch that a link keeps until it ends, or until one comes that is not like them, to write them as one.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use zerocopy::IntoBytes;

use crate::buffer::Buffer;
use crate::link::retag::Retagged;
use crate::link::{Transmit, tun};
use crate::offload::train::{self, MAX_FRAMES, Train};
use crate::vlan::Retag;

/// At most [`MAX_FRAMES`], which are a [`Train`], to be given the same tag.
#[derive(Debug, Default)]
pub(super) struct Held {
    frames: Vec<Arc<Buffer>>,
    retag: Retag,
    /// `None` while there is but one.
    train: Option<Train>,
    /// What became of frames that were held, until the link is asked.
    answers: Vec<Transmit>,
}

impl Held {
    /// Keeps a frame, unless it can be part of no train. What was held before it and is not like it is written first.
    #[inline]
    pub(super) fn keep(&mut self, fd: BorrowedFd<'_>, frame: &Arc<Buffer>, retag: Retag) -> bool {
        if !self.frames.is_empty() {
            if self.joins(frame, retag) {
                self.frames.push(Arc::clone(frame));
                return true;
            }
            self.write(fd);
        }
        if !train::is_candidate(&frame.vnet()) {
            return false;
        }
        self.retag = retag;
        self.frames.push(Arc::clone(frame));
        true
    }

    fn joins(&mut self, frame: &Buffer, retag: Retag) -> bool {
        if retag != self.retag || !train::is_candidate(&frame.vnet()) {
            return false;
        }
        if self.train.is_none() {
            self.train = Train::begin(self.frames[0].frame(), &self.frames[0].vnet());
        }
        self.train.as_mut().is_some_and(|train| train.join(frame.frame(), &frame.vnet()).is_some())
    }

    /// Writes what is held.
    pub(super) fn write(&mut self, fd: BorrowedFd<'_>) {
        let Some(first) = self.frames.first() else { return };
        let answer = match self.train.take().filter(|train| train.frames() > 1) {
            Some(train) => write_train(fd, &train, &self.frames, self.retag),
            None => write_one(fd, first, self.retag),
        };
        self.answers.extend(self.frames.drain(..).map(|_| answer));
    }

    /// [`Link::flush`](crate::link::Link::flush), for what was held and written.
    #[inline]
    pub(super) fn flush(&mut self, fd: BorrowedFd<'_>, results: &mut Vec<Transmit>) {
        self.write(fd);
        results.append(&mut self.answers);
    }
}

/// Writes one frame.
pub(super) fn write_one(fd: BorrowedFd<'_>, frame: &Buffer, retag: Retag) -> Transmit {
    if retag == Retag::Keep {
        return tun::write(fd, frame.with_header());
    }
    let Some(retagged) = Retagged::new(frame.frame(), retag) else { return Transmit::Refused };
    let vnet = frame.vnet().shifted(retagged.shift());
    let [before, tag, after] = retagged.pieces().map(IoSlice::new);
    tun::write_pieces(fd, &[IoSlice::new(vnet.as_bytes()), before, tag, after])
}

/// Writes headers made for the whole, and then the data of each frame from where it is.
fn write_train(fd: BorrowedFd<'_>, train: &Train, frames: &[Arc<Buffer>], retag: Retag) -> Transmit {
    const HEADERS: usize = 4;
    let (header, vnet) = train.headers();
    let Some(retagged) = Retagged::new(&header, retag) else { return Transmit::Refused };
    let vnet = vnet.shifted(retagged.shift());
    let [before, tag, after] = retagged.pieces();
    let mut pieces = [IoSlice::new(&[]); HEADERS + MAX_FRAMES];
    let headers = [vnet.as_bytes(), before, tag, after].into_iter();
    let data = frames.iter().map(|frame| &frame.frame()[header.len()..]);
    let count = pieces.iter_mut().zip(headers.chain(data)).map(|(piece, bytes)| *piece = IoSlice::new(bytes)).count();
    tun::write_pieces(fd, &pieces[..count])
}
