//! [`Line`]: one direction of a cable. Pure: a frame and a time in, frames out when their time has come.
//!
//! The rules it keeps:
//!
//! * Frames leave one after the other, each when the one before it has left the wire; then they fly for the latency.
//! * A frame that is given more time on its way comes later and holds nobody up: others may overtake it. Those that are
//!   given none arrive in the order in which they were sent.
//! * When the shape changes, the change holds for frames that are not on the wire yet.

use std::collections::VecDeque;
use std::time::Duration;

use switch::time::Instant;

use super::shape::Cable;
use super::statistics::{CableDrop, CableStatistics};

/// One direction of a cable, and what is in it.
#[derive(Debug)]
pub(super) struct Line {
    shape: Cable,
    /// By arrival; those of one moment in the order in which they were sent.
    frames: VecDeque<Flight>,
    bytes: usize,
    /// When the wire is free again.
    free_at: Instant,
    /// When the last frame arrives that was given no time of its own.
    last_arrival: Instant,
    sent: u64,
    statistics: CableStatistics,
}

/// A frame on its way.
#[derive(Debug)]
pub(super) struct Flight {
    number: u64,
    begins: Instant,
    ends: Instant,
    arrival: Instant,
    delay: Duration,
    /// The frame.
    pub(super) frame: Vec<u8>,
}

impl Line {
    pub(super) fn new(shape: Cable) -> Self {
        Line {
            shape,
            frames: VecDeque::new(),
            bytes: 0,
            free_at: Instant::ZERO,
            last_arrival: Instant::ZERO,
            sent: 0,
            statistics: CableStatistics::default(),
        }
    }

    /// A frame is handed over: it is on its way, or there is no room for it.
    pub(super) fn send(&mut self, frame: Vec<u8>, now: Instant) -> Result<(), CableDrop> {
        self.statistics.sent += 1;
        self.put(frame, Duration::ZERO, now)
    }

    /// A frame is lost before or behind the wire.
    pub(super) fn lose(&mut self, why: CableDrop) {
        *self.statistics.dropped.entry(why).or_default() += 1;
    }

    /// A frame is handed over and lost at once.
    pub(super) fn refuse(&mut self, why: CableDrop) {
        self.statistics.sent += 1;
        self.lose(why);
    }

    /// When the next frame arrives; `None` if none does as things are.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.frames.front().map(|flight| flight.arrival).filter(|arrival| *arrival != Instant::FAR_FUTURE)
    }

    /// Whether a frame has arrived.
    pub(super) fn has_arrived(&self, now: Instant) -> bool {
        self.next_arrival().is_some_and(|arrival| arrival <= now)
    }

    /// The next frame that has arrived, and is the receiver's now.
    pub(super) fn deliver(&mut self, now: Instant) -> Option<Flight> {
        let flight = self.take(now)?;
        self.statistics.delivered += 1;
        Some(flight)
    }

    /// The next frame that has arrived and that nobody takes.
    pub(super) fn discard(&mut self, why: CableDrop, now: Instant) -> Option<Flight> {
        let flight = self.take(now)?;
        self.lose(why);
        Some(flight)
    }

    pub(super) fn shape(&self) -> Cable {
        self.shape
    }

    pub(super) fn statistics(&self) -> CableStatistics {
        CableStatistics { in_flight: self.frames.len() as u64, ..self.statistics.clone() }
    }

    /// Changes what the line is like, for all frames that are not on the wire yet.
    pub(super) fn reshape(&mut self, shape: Cable, now: Instant) {
        self.shape = shape;
        // (A frame that began on a wire without a rate has not left and never would.)
        let has_begun = |flight: &Flight| flight.begins <= now && flight.ends != Instant::FAR_FUTURE;
        let (begun, mut waiting): (Vec<_>, Vec<_>) = self.frames.drain(..).partition(has_begun);
        self.free_at = begun.iter().map(|flight| flight.ends).max().unwrap_or(now);
        self.last_arrival =
            begun.iter().filter(|flight| flight.delay.is_zero()).map(|flight| flight.arrival).max().unwrap_or(now);
        self.frames = begun.into();
        waiting.sort_by_key(|flight| flight.number);
        waiting.into_iter().for_each(|flight| self.place(flight.number, flight.frame, flight.delay, now));
    }

    fn put(&mut self, frame: Vec<u8>, delay: Duration, now: Instant) -> Result<(), CableDrop> {
        let bytes = self.bytes.saturating_add(frame.len());
        if self.frames.len() >= self.shape.queue_frames || bytes > self.shape.queue_bytes {
            self.lose(CableDrop::QueueFull);
            return Err(CableDrop::QueueFull);
        }
        self.bytes = bytes;
        self.sent += 1;
        self.place(self.sent, frame, delay, now);
        Ok(())
    }

    /// Puts a frame where its arrival belongs.
    fn place(&mut self, number: u64, frame: Vec<u8>, delay: Duration, now: Instant) {
        let begins = self.free_at.max(now);
        let ends = self.shape.serialisation(frame.len()).map_or(Instant::FAR_FUTURE, |time| begins + time);
        self.free_at = ends;
        let arrival = (ends + self.shape.latency).max(self.last_arrival);
        self.last_arrival = arrival;
        let arrival = arrival + delay;
        let flight = Flight { number, begins, ends, arrival, delay, frame };
        if self.frames.back().is_none_or(|last| last.arrival <= arrival) {
            return self.frames.push_back(flight);
        }
        let at = self.frames.partition_point(|other| other.arrival <= arrival);
        self.frames.insert(at, flight);
    }

    fn take(&mut self, now: Instant) -> Option<Flight> {
        if !self.has_arrived(now) {
            return None;
        }
        let flight = self.frames.pop_front()?;
        self.bytes -= flight.frame.len();
        Some(flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(1);

    /// A line of 1 ms on which the shortest frame takes 84 µs.
    fn slow() -> Line {
        Line::new(Cable { latency: Duration::from_millis(1), rate: Some(8_000_000), ..Cable::default() })
    }

    fn frame(mark: u8) -> Vec<u8> {
        vec![mark; 60]
    }

    fn arrivals(line: &mut Line) -> Vec<(u8, u64)> {
        let mut seen = Vec::new();
        while let Some(at) = line.next_arrival() {
            while let Some(flight) = line.deliver(at) {
                seen.push((flight.frame[0], at.since(NOW).as_micros() as u64));
            }
        }
        seen
    }

    #[test]
    fn frames_take_their_turn_on_the_wire() {
        let mut line = slow();
        (0..3).for_each(|mark| line.send(frame(mark), NOW).expect("room"));
        assert!(!line.has_arrived(NOW + Duration::from_micros(1083)));
        assert_eq!(arrivals(&mut line), [(0, 1084), (1, 1168), (2, 1252)]);
        assert_eq!((line.statistics().delivered, line.bytes), (3, 0));
    }

    #[test]
    fn what_is_over_in_frames_or_in_bytes_is_lost() {
        let mut line = Line::new(Cable { queue_frames: 3, queue_bytes: 150, ..Cable::default() });
        assert_eq!(line.send(frame(0), NOW), Ok(()));
        assert_eq!(line.send(frame(1), NOW), Ok(()));
        assert_eq!(line.send(frame(2), NOW), Err(CableDrop::QueueFull), "180 bytes");
        assert_eq!(line.send(vec![3; 30], NOW), Ok(()));
        assert_eq!(line.send(Vec::new(), NOW), Err(CableDrop::QueueFull), "4 frames");
        let seen = line.statistics();
        assert_eq!((seen.sent, seen.dropped_for(CableDrop::QueueFull), seen.in_flight), (5, 2, 3));
        assert!(seen.adds_up());
    }

    #[test]
    fn nothing_passes_without_a_rate_until_there_is_one() {
        let mut line = slow();
        line.reshape(Cable { rate: Some(0), queue_frames: 2, ..line.shape() }, NOW);
        assert_eq!(line.send(frame(0), NOW), Ok(()));
        assert_eq!(line.send(frame(1), NOW), Ok(()));
        assert_eq!(line.send(frame(2), NOW), Err(CableDrop::QueueFull));
        assert_eq!((line.next_arrival(), line.deliver(Instant::FAR_FUTURE).is_none()), (None, true));
        line.reshape(Cable { rate: Some(8_000_000), ..line.shape() }, NOW + Duration::from_secs(1));
        assert_eq!(arrivals(&mut line), [(0, 1_001_084), (1, 1_001_168)]);
    }

    #[test]
    fn a_change_holds_for_what_is_not_on_the_wire_yet() {
        let mut line = slow();
        (0..3).for_each(|mark| line.send(frame(mark), NOW).expect("room"));
        let twice = Cable { rate: Some(16_000_000), latency: Duration::ZERO, ..line.shape() };
        line.reshape(twice, NOW + Duration::from_micros(50));
        assert_eq!(arrivals(&mut line), [(0, 1084), (1, 1084), (2, 1084)], "none overtakes the first");
    }
}
