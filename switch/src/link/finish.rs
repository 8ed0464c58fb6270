//! A frame made ready for whoever takes finished frames only: cut into segments, and its checksums finished.
//!
//! One frame has one result: it is sent if all its segments were, otherwise what became of the first that was not; those
//! after it are not tried.

use std::io::IoSlice;

use crate::buffer::Buffer;
use crate::link::Transmit;
use crate::link::retag::Retagged;
use crate::offload::segment::Segmenter;
use crate::verdict::DropReason;
use crate::vlan::Retag;

/// How many finished frames `frame` becomes.
pub(crate) fn foretell(frame: &Buffer) -> Result<u64, DropReason> {
    let mut segmenter = Segmenter::new();
    let segments = segmenter.begin(frame.frame(), &frame.vnet()).map_err(|_| DropReason::NotSegmentable)?;
    Ok(segments.count() as u64)
}

/// Finishes `frame` in software and gives each of the finished frames, in pieces, to `send`.
pub(crate) fn transmit(
    segmenter: &mut Segmenter,
    frame: &Buffer,
    retag: Retag,
    mut send: impl FnMut(&[IoSlice<'_>; 4]) -> Transmit,
) -> Transmit {
    let Ok(mut segments) = segmenter.begin(frame.frame(), &frame.vnet()) else {
        return Transmit::NotSegmentable;
    };
    while let Some(segment) = segments.next() {
        let Some(header) = Retagged::new(segment.header, retag) else { return Transmit::Refused };
        let [before, tag, after] = header.pieces().map(IoSlice::new);
        let result = send(&[before, tag, after, IoSlice::new(segment.payload)]);
        if result != Transmit::Sent {
            return result;
        }
    }
    Transmit::Sent
}
