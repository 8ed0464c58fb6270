//! [`Queue`]: the frames of a link that somebody else reads and writes, while the link itself does neither.
//!
//! A loop that has the kernel do that in the background puts frames in that have come, takes frames out that are to leave,
//! and says what became of each. To the data plane it is a link like any other.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::buffer::{Buffer, Pool};
use crate::link::{Received, Transmit};
use crate::vlan::Retag;

/// What waits on either side.
#[derive(Debug, Default)]
pub struct Queue {
    inbox: VecDeque<Arc<Buffer>>,
    outbox: VecDeque<(Arc<Buffer>, Retag)>,
    /// What became of each frame that was taken out, from the oldest that the data plane has not been told of.
    answers: VecDeque<Option<Transmit>>,
    /// The number of the first of them.
    oldest: u64,
    /// The link writes by itself.
    is_for_reading_only: bool,
    is_down: bool,
}

impl Queue {
    /// Has the link itself write, so that what becomes of a frame is known at once; or not any more. To be changed while nothing
    /// waits to be written.
    pub fn set_for_reading_only(&mut self, is_for_reading_only: bool) {
        self.is_for_reading_only = is_for_reading_only;
    }

    /// A frame has come in.
    #[inline]
    pub fn arrived(&mut self, frame: Arc<Buffer>) {
        self.inbox.push_back(frame);
    }

    /// Nothing will come in any more; what has come is received before that is told.
    pub fn went_down(&mut self) {
        self.is_down = true;
    }

    /// Takes out all that has come and was not received: the link goes.
    pub(crate) fn take_arrived(&mut self) -> impl Iterator<Item = Arc<Buffer>> + '_ {
        self.inbox.drain(..)
    }

    /// Takes the next frame that is to leave, and the number under which it is to be answered for.
    #[inline]
    pub fn next_outgoing(&mut self) -> Option<(u64, Arc<Buffer>, Retag)> {
        let (frame, retag) = self.outbox.pop_front()?;
        let number = self.oldest + self.answers.len() as u64;
        self.answers.push_back(None);
        Some((number, frame, retag))
    }

    /// Says what became of a frame that was taken out; they may come in any order.
    #[inline]
    pub fn answer(&mut self, number: u64, answer: Transmit) {
        let slot = number.checked_sub(self.oldest).and_then(|at| self.answers.get_mut(at as usize));
        debug_assert!(matches!(slot, Some(None)), "an answer for a frame that waits for none: {number}");
        if let Some(slot) = slot {
            *slot = Some(answer);
        }
    }

    /// [`Link::receive`](crate::link::Link::receive). The frames bring their buffers along.
    #[inline]
    pub(crate) fn receive(&mut self, _: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        let count = limit.min(self.inbox.len());
        into.extend(self.inbox.drain(..count));
        match (self.inbox.is_empty(), self.is_down) {
            (false, _) => Received::More,
            (true, true) => Received::Down,
            (true, false) => Received::WouldBlock,
        }
    }

    /// [`Link::transmit`](crate::link::Link::transmit).
    ///
    /// `None`: the link is to write it.
    #[inline]
    pub(crate) fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Option<Transmit> {
        if self.is_for_reading_only {
            return None;
        }
        self.outbox.push_back((Arc::clone(frame), retag));
        Some(Transmit::Queued)
    }

    /// [`Link::flush`](crate::link::Link::flush): results in the order in which the frames were queued.
    #[inline]
    pub(crate) fn flush(&mut self, results: &mut Vec<Transmit>) {
        while let Some(&Some(answer)) = self.answers.front() {
            self.answers.pop_front();
            self.oldest += 1;
            results.push(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vnet::VnetHeader;

    fn frame(byte: u8) -> Arc<Buffer> {
        Arc::new(Buffer::holding(&[byte; 60], VnetHeader::default()))
    }

    fn flushed(queue: &mut Queue) -> Vec<Transmit> {
        let mut results = Vec::new();
        queue.flush(&mut results);
        results
    }

    #[test]
    fn answers_are_told_in_the_order_of_the_frames_whatever_order_they_come_in() {
        let mut queue = Queue::default();
        for byte in 0..3 {
            assert_eq!(queue.transmit(&frame(byte), Retag::Keep), Some(Transmit::Queued));
        }
        let numbers: Vec<u64> = std::iter::from_fn(|| queue.next_outgoing())
            .map(|(number, frame, _)| (number, frame.frame()[0]))
            .map(|(number, byte)| {
                assert_eq!(u64::from(byte), number);
                number
            })
            .collect();
        queue.answer(numbers[2], Transmit::Sent);
        assert_eq!(flushed(&mut queue), []);
        queue.answer(numbers[0], Transmit::Full);
        assert_eq!(flushed(&mut queue), [Transmit::Full]);
        queue.answer(numbers[1], Transmit::Refused);
        assert_eq!(flushed(&mut queue), [Transmit::Refused, Transmit::Sent]);
        queue.transmit(&frame(9), Retag::Keep);
        assert_eq!(queue.next_outgoing().map(|(number, ..)| number), Some(3), "numbers are not used again");
        queue.set_for_reading_only(true);
        assert_eq!(queue.transmit(&frame(9), Retag::Keep), None);
        assert!(queue.next_outgoing().is_none());
    }

    #[test]
    fn what_has_come_is_received_before_the_end_is_told() {
        let mut queue = Queue::default();
        let (mut pool, mut into) = (Pool::new(1), Vec::new());
        (0..3).for_each(|byte| queue.arrived(frame(byte)));
        queue.went_down();
        assert_eq!(queue.receive(&mut pool, &mut into, 2), Received::More);
        assert_eq!(queue.receive(&mut pool, &mut into, 2), Received::Down);
        assert_eq!(into.iter().map(|frame| frame.frame()[0]).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
