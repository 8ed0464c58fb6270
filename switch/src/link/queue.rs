//! [`Queue`]: the frames of a link that somebody else reads and writes, while the link itself does neither.
//!
//! A loop that has the kernel do that in the background puts frames in that have come, takes frames out that are to leave,
//! and says what became of each. To the data plane it is a link like any other.

use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;

use nix::errno::Errno;

use crate::buffer::{Buffer, Pool};
use crate::link::errors::{Failed, ReadErrors, Reads};
use crate::link::{Received, Transmit};
use crate::offload::train::{self, Train};
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
    /// The link takes datagrams that are [joined](crate::offload::train).
    takes_trains: bool,
    /// The link writes by itself.
    is_for_reading_only: bool,
    is_down: bool,
    reads: Reads,
}

/// What is to leave in one piece: a frame, or several that were joined.
#[derive(Debug)]
pub struct Outgoing {
    /// The number of the first of the frames, under which it is to be answered for.
    pub number: u64,
    /// How many frames it is.
    pub frames: usize,
    /// The bytes, and their offload header.
    pub buffer: Arc<Buffer>,
    /// How the tag is to be changed.
    pub retag: Retag,
}

impl Queue {
    /// A queue of a link that takes trains, or of one that does not.
    pub(crate) fn new(takes_trains: bool) -> Queue {
        Queue { takes_trains, ..Queue::default() }
    }

    /// Has the link itself write, so that what becomes of a frame is known at once; or not any more. To be changed while nothing
    /// waits to be written.
    pub fn set_for_reading_only(&mut self, is_for_reading_only: bool) {
        self.is_for_reading_only = is_for_reading_only;
    }

    /// A frame has come in.
    #[inline]
    pub fn arrived(&mut self, frame: Arc<Buffer>) {
        self.inbox.push_back(frame);
        self.reads.went_well();
    }

    /// A read failed, in a way that says not only that there is nothing yet. Says whether to read again; otherwise it
    /// is down: nothing will come in any more, and what has come is received before that is told.
    pub fn read_failed(&mut self, errno: Errno) -> bool {
        self.is_down |= self.reads.failed(errno) == Failed::Down;
        !self.is_down
    }

    pub(crate) fn read_errors(&self) -> ReadErrors {
        self.reads.errors()
    }

    /// How many frames have come in and were not received.
    pub(crate) fn arrivals(&self) -> usize {
        self.inbox.len()
    }

    /// Takes out all that has come and was not received: the link goes.
    pub(crate) fn take_arrived(&mut self) -> impl Iterator<Item = Arc<Buffer>> + '_ {
        self.inbox.drain(..)
    }

    /// Takes what is to leave next. The buffers of frames that are now part of another are given to `emptied`.
    #[inline]
    pub fn next_outgoing(&mut self, emptied: &mut impl FnMut(Arc<Buffer>)) -> Option<Outgoing> {
        let (mut buffer, retag) = self.outbox.pop_front()?;
        let number = self.oldest + self.answers.len() as u64;
        let mut frames = 1;
        if self.takes_trains && train::is_candidate(&buffer.vnet()) && !self.outbox.is_empty() {
            frames = self.join(&mut buffer, retag, emptied);
        }
        self.answers.extend(iter::repeat_n(None, frames));
        Some(Outgoing { number, frames, buffer, retag })
    }

    /// Joins to a frame those behind it that may be. Returns how many they are now.
    fn join(&mut self, first: &mut Arc<Buffer>, retag: Retag, emptied: &mut impl FnMut(Arc<Buffer>)) -> usize {
        // (What leaves by other ports, too, stays as it is.)
        let Some(first) = Arc::get_mut(first).filter(|it| it.is_full_size()) else { return 1 };
        let Some(mut train) = Train::begin(first.frame(), &first.vnet()) else { return 1 };
        while let Some((next, its_retag)) = self.outbox.front() {
            let Some(data) =
                Some(()).filter(|()| *its_retag == retag).and_then(|()| train.join(next.frame(), &next.vnet()))
            else {
                break;
            };
            first.append(data);
            self.outbox.pop_front().into_iter().for_each(|(buffer, _)| emptied(buffer));
        }
        if train.frames() > 1 {
            let (header, vnet) = train.headers();
            first.frame_mut()[..header.len()].copy_from_slice(&header);
            first.set_vnet(vnet);
        }
        train.frames()
    }

    /// Says what became of frames that were taken out together, by the number of the first; in any order.
    #[inline]
    pub fn answer(&mut self, number: u64, frames: usize, answer: Transmit) {
        let from = number.checked_sub(self.oldest).map_or(usize::MAX, |at| at as usize);
        for at in from..from.saturating_add(frames) {
            let slot = self.answers.get_mut(at);
            debug_assert!(matches!(slot, Some(None)), "an answer for a frame that waits for none: {number}");
            if let Some(slot) = slot {
                *slot = Some(answer);
            }
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
    use crate::link::tests::datagram;
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
        let numbers: Vec<u64> = std::iter::from_fn(|| queue.next_outgoing(&mut drop))
            .map(|out| (out.number, out.buffer.frame()[0]))
            .map(|(number, byte)| {
                assert_eq!(u64::from(byte), number);
                number
            })
            .collect();
        queue.answer(numbers[2], 1, Transmit::Sent);
        assert_eq!(flushed(&mut queue), []);
        queue.answer(numbers[0], 1, Transmit::Full);
        assert_eq!(flushed(&mut queue), [Transmit::Full]);
        queue.answer(numbers[1], 1, Transmit::Refused);
        assert_eq!(flushed(&mut queue), [Transmit::Refused, Transmit::Sent]);
        queue.transmit(&frame(9), Retag::Keep);
        assert_eq!(queue.next_outgoing(&mut drop).map(|out| out.number), Some(3), "numbers are not used again");
        queue.set_for_reading_only(true);
        assert_eq!(queue.transmit(&frame(9), Retag::Keep), None);
        assert!(queue.next_outgoing(&mut drop).is_none());
    }

    #[test]
    fn what_has_come_is_received_before_the_end_is_told() {
        let mut queue = Queue::default();
        let (mut pool, mut into) = (Pool::new(1), Vec::new());
        (0..3).for_each(|byte| queue.arrived(frame(byte)));
        assert!(!queue.read_failed(Errno::EBADFD));
        assert_eq!(queue.receive(&mut pool, &mut into, 2), Received::More);
        assert_eq!(queue.receive(&mut pool, &mut into, 2), Received::Down);
        assert_eq!(into.iter().map(|frame| frame.frame()[0]).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn datagrams_of_one_flow_leave_in_one_piece_and_are_answered_for_one_by_one() {
        let mut queue = Queue::new(true);
        let datagrams: Vec<Arc<Buffer>> = (0..3).map(datagram).collect();
        for datagram in datagrams {
            assert_eq!(queue.transmit(&datagram, Retag::Keep), Some(Transmit::Queued));
        }
        queue.transmit(&frame(9), Retag::Keep);
        let mut emptied = 0;
        let out = queue.next_outgoing(&mut |_| emptied += 1).unwrap();
        assert_eq!((out.number, out.frames, emptied), (0, 3, 2));
        assert_eq!((out.buffer.frame().len(), out.buffer.vnet().gso_size), (42 + 3, 1));
        assert_eq!(out.buffer.frame()[42..], [0, 1, 2]);
        let other = queue.next_outgoing(&mut |_| emptied += 1).unwrap();
        assert_eq!((other.number, other.frames, emptied), (3, 1, 2));
        queue.answer(other.number, other.frames, Transmit::Sent);
        queue.answer(out.number, out.frames, Transmit::Full);
        assert_eq!(flushed(&mut queue), [Transmit::Full, Transmit::Full, Transmit::Full, Transmit::Sent]);
    }

    /// What somebody else holds, too, does not change; nor are frames joined that get different tags, or none that the link takes.
    #[test]
    fn datagrams_that_others_have_or_that_get_other_tags_leave_one_by_one() {
        let pieces = |mut queue: Queue, tags: [Retag; 2], is_held: bool| {
            let mut held = Vec::new();
            for (number, retag) in (0..).zip(tags) {
                let datagram = datagram(number);
                queue.transmit(&datagram, retag);
                if is_held {
                    held.push(datagram);
                }
            }
            std::iter::from_fn(|| queue.next_outgoing(&mut drop)).map(|out| out.frames).collect::<Vec<_>>()
        };
        assert_eq!(pieces(Queue::new(true), [Retag::Keep; 2], true), [1, 1], "somebody holds them");
        assert_eq!(pieces(Queue::new(true), [Retag::Push(1); 2], false), [2]);
        assert_eq!(pieces(Queue::new(true), [Retag::Push(1), Retag::Push(2)], false), [1, 1]);
        assert_eq!(pieces(Queue::new(false), [Retag::Push(1); 2], false), [1, 1]);
    }
}
