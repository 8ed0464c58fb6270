//! [`Link`]: frames in, frames out. One of the two seams between the switch and its world.
//!
//! * [`tap`]: a TAP with offload; [`plain`]: one without; [`packet`]: an interface of the host, such as our end of a veth
//!   pair; [`port`]: any of them, one switch holds mixed ports;
//! * [`errors`]: why they could not be read;
//! * [`retag`]: a frame with its tag changed, for whoever writes one.

pub mod errors;
pub(crate) mod finish;
mod held;
pub mod packet;
pub mod plain;
pub mod port;
pub mod queue;
pub mod retag;
pub(crate) mod sys;
pub mod tap;
#[cfg(test)]
mod tests;
pub(crate) mod tun;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::errors::ReadErrors;
use self::queue::Queue;
use crate::buffer::{Buffer, Pool};
use crate::verdict::DropReason;
use crate::vlan::Retag;

/// What lies between a port of the switch and a station: a TAP, a packet socket, a simulated cable.
///
/// All calls return at once. A frame handed to `transmit` is copied or shared before the call returns.
pub trait Link {
    /// Takes frames that have arrived, at most `limit`, into buffers of `pool`, and appends them to `into`. One that does
    /// not fit fills all the room of its buffer: the switch counts it as [`DropReason::Oversized`].
    ///
    /// [`DropReason::Oversized`]: crate::verdict::DropReason::Oversized
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received;

    /// Queues or sends one frame, changing its tag as `retag` says. Answers for this frame, where that is known already;
    /// otherwise [`Transmit::Queued`], and the answer comes from [`Link::flush`].
    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit;

    /// The same for a frame of a batch that [`Link::flush`] will end: the link may keep it until then, and send it together with
    /// others.
    #[inline]
    fn transmit_in_batch(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        self.transmit(frame, retag)
    }

    /// What `transmit` would come to, without sending: as how many frames this one would leave, or why not. Only what can be known
    /// beforehand: whether there is room, and whether the far side is switched on, is told by `transmit` alone.
    ///
    /// # Errors
    /// The reason for which it would be dropped.
    fn foretell(&self, frame: &Buffer, retag: Retag) -> Result<u64, DropReason> {
        let _ = (frame, retag);
        Ok(1)
    }

    /// Ends a batch of transmissions: whatever was queued starts now. Appends the results that have become known, each for
    /// one frame that was `Queued`, in the order in which they were queued.
    fn flush(&mut self, results: &mut Vec<Transmit>);

    /// The queue by which somebody else may read and write its frames, if it lets them. From then on the link itself does
    /// neither.
    fn queue(&mut self) -> Option<&mut Queue> {
        None
    }

    /// How many frames were lost before they could be received, where the link can tell: for want of room, above all.
    fn missed(&self) -> u64 {
        0
    }

    /// How often it could not be read, other than that nothing was there, and why.
    fn read_errors(&self) -> ReadErrors {
        ReadErrors::default()
    }
}

/// How a call of [`Link::receive`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The limit was reached, or the pool ran dry: there may be more.
    More,
    /// Nothing is left for now.
    WouldBlock,
    /// The link is gone for good, and its port with it.
    Down,
}

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transmit {
    /// It left.
    Sent,
    /// It waits; the answer comes with a later [`Link::flush`].
    Queued,
    /// There was no room, or the far interface is switched off: this copy is dropped and counted, the port stays.
    Full,
    /// The frame is at fault (a bad offload header, EINVAL): dropped and counted, the port stays.
    Refused,
    /// The link takes finished frames only, and this one can not be finished in software: dropped and counted, the port
    /// stays.
    NotSegmentable,
    /// The link is gone for good, and its port with it.
    Down,
}

impl Transmit {
    /// Why the frame did not leave; `None` if it did, or waits.
    #[inline]
    #[must_use]
    pub const fn dropped(self) -> Option<DropReason> {
        match self {
            Transmit::Sent | Transmit::Queued => None,
            Transmit::Full => Some(DropReason::LinkFull),
            Transmit::Refused => Some(DropReason::LinkRefused),
            Transmit::NotSegmentable => Some(DropReason::NotSegmentable),
            Transmit::Down => Some(DropReason::LinkDown),
        }
    }
}
