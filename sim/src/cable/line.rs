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
use crate::offload::Frame;

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
    /// Whether it is one more than was sent.
    pub(super) is_copy: bool,
    /// How many switches it has crossed.
    pub(super) hops: u8,
    /// The frame.
    pub(super) frame: Frame,
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

    /// A frame is handed over: it is on its way, or there is no room for it. It takes `delay` longer than it would, and each
    /// of its copies so much longer than that; a copy for which there is no room is nobody's loss but the line's.
    pub(super) fn send(
        &mut self,
        frame: impl Into<Frame>,
        hops: u8,
        delay: Duration,
        copies: &[Duration],
        now: Instant,
    ) -> Result<(), CableDrop> {
        self.statistics.sent += 1;
        let frame = frame.into();
        let copied: Vec<Frame> = copies.iter().map(|_| frame.clone()).collect();
        self.put(frame, hops, delay, false, now)?;
        for (copy, after) in copied.into_iter().zip(copies) {
            self.statistics.duplicated += 1;
            // It is counted as lost.
            let _ = self.put(copy, hops, delay.saturating_add(*after), true, now);
        }
        Ok(())
    }

    /// Whether there is room for a frame of this length.
    pub(super) fn room(&self, len: usize) -> Result<(), CableDrop> {
        let bytes = self.bytes.saturating_add(len);
        let is_full = self.frames.len() >= self.shape.queue_frames || bytes > self.shape.queue_bytes;
        if is_full { Err(CableDrop::QueueFull) } else { Ok(()) }
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
        waiting.into_iter().for_each(|flight| self.place(flight, now));
    }

    fn put(&mut self, frame: Frame, hops: u8, delay: Duration, is_copy: bool, now: Instant) -> Result<(), CableDrop> {
        self.room(frame.bytes.len()).inspect_err(|why| self.lose(*why))?;
        self.bytes += frame.bytes.len();
        self.sent += 1;
        let (number, never) = (self.sent, Instant::FAR_FUTURE);
        self.place(Flight { number, begins: never, ends: never, arrival: never, delay, is_copy, hops, frame }, now);
        Ok(())
    }

    /// Says when a frame leaves and arrives, and puts it where its arrival belongs.
    fn place(&mut self, mut flight: Flight, now: Instant) {
        let serialisation = self.shape.serialisation(flight.frame.bytes.len());
        flight.begins = self.free_at.max(now);
        flight.ends = serialisation.map_or(Instant::FAR_FUTURE, |time| flight.begins + time);
        self.free_at = flight.ends;
        self.last_arrival = (flight.ends + self.shape.latency).max(self.last_arrival);
        let arrival = self.last_arrival + flight.delay;
        flight.arrival = arrival;
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
        self.bytes -= flight.frame.bytes.len();
        Some(flight)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant::from_secs(1);

    /// A line of 1 ms on which the shortest frame takes 84 µs.
    fn slow() -> Line {
        Line::new(Cable { latency: Duration::from_millis(1), rate: Some(8_000_000), ..Cable::default() })
    }

    fn frame(mark: u8) -> Vec<u8> {
        vec![mark; 60]
    }

    fn send(line: &mut Line, frame: Vec<u8>) -> Result<(), CableDrop> {
        line.send(frame, 0, Duration::ZERO, &[], NOW)
    }

    fn arrivals(line: &mut Line) -> Vec<(u8, u64)> {
        let mut seen = Vec::new();
        while let Some(at) = line.next_arrival() {
            while let Some(flight) = line.deliver(at) {
                seen.push((flight.frame.bytes[0], at.since(NOW).as_micros() as u64));
            }
        }
        seen
    }

    #[test]
    fn frames_take_their_turn_on_the_wire() {
        let mut line = slow();
        (0..3).for_each(|mark| send(&mut line, frame(mark)).expect("room"));
        assert!(!line.has_arrived(NOW + Duration::from_micros(1083)));
        assert_eq!(arrivals(&mut line), [(0, 1084), (1, 1168), (2, 1252)]);
        assert_eq!((line.statistics().delivered, line.bytes), (3, 0));
    }

    #[test]
    fn what_is_over_in_frames_or_in_bytes_is_lost() {
        let mut line = Line::new(Cable { queue_frames: 3, queue_bytes: 150, ..Cable::default() });
        assert_eq!(send(&mut line, frame(0)), Ok(()));
        assert_eq!(send(&mut line, frame(1)), Ok(()));
        assert_eq!(send(&mut line, frame(2)), Err(CableDrop::QueueFull), "180 bytes");
        assert_eq!(send(&mut line, vec![3; 30]), Ok(()));
        assert_eq!(send(&mut line, Vec::new()), Err(CableDrop::QueueFull), "4 frames");
        let seen = line.statistics();
        assert_eq!((seen.sent, seen.dropped_for(CableDrop::QueueFull), seen.in_flight), (5, 2, 3));
        assert!(seen.adds_up());
    }

    #[test]
    fn nothing_passes_without_a_rate_until_there_is_one() {
        let mut line = slow();
        line.reshape(Cable { rate: Some(0), queue_frames: 2, ..line.shape() }, NOW);
        assert_eq!(send(&mut line, frame(0)), Ok(()));
        assert_eq!(send(&mut line, frame(1)), Ok(()));
        assert_eq!(send(&mut line, frame(2)), Err(CableDrop::QueueFull));
        assert_eq!((line.next_arrival(), line.deliver(Instant::FAR_FUTURE).is_none()), (None, true));
        line.reshape(Cable { rate: Some(8_000_000), ..line.shape() }, NOW + Duration::from_secs(1));
        assert_eq!(arrivals(&mut line), [(0, 1_001_084), (1, 1_001_168)]);
    }

    #[test]
    fn a_change_holds_for_what_is_not_on_the_wire_yet() {
        let mut line = slow();
        (0..3).for_each(|mark| send(&mut line, frame(mark)).expect("room"));
        let twice = Cable { rate: Some(16_000_000), latency: Duration::ZERO, ..line.shape() };
        line.reshape(twice, NOW + Duration::from_micros(50));
        assert_eq!(arrivals(&mut line), [(0, 1084), (1, 1084), (2, 1084)], "none overtakes the first");
    }

    #[test]
    fn a_frame_that_takes_longer_is_overtaken_and_its_copies_come_after_it() {
        let mut line = slow();
        let (long, copies) = (Duration::from_micros(100), [Duration::ZERO, Duration::from_micros(1000)]);
        line.send(frame(0), 0, long, &copies, NOW).expect("room");
        send(&mut line, frame(1)).expect("room");
        assert_eq!(arrivals(&mut line), [(0, 1184), (0, 1268), (1, 1336), (0, 2352)]);
        let seen = line.statistics();
        assert_eq!((seen.sent, seen.duplicated, seen.delivered, seen.adds_up()), (2, 2, 4, true));
    }

    #[test]
    fn a_copy_without_room_is_lost_and_counted() {
        let mut line = Line::new(Cable { queue_frames: 2, ..Cable::default() });
        assert_eq!(line.send(frame(0), 0, Duration::ZERO, &[Duration::ZERO; 2], NOW), Ok(()));
        let seen = line.statistics();
        assert_eq!((seen.sent, seen.duplicated, seen.dropped_for(CableDrop::QueueFull)), (1, 2, 1));
        assert!(seen.adds_up());
    }

    proptest! {
        /// Whatever happens to a line, no frame is lost uncounted, none arrives before its time, and those that are given no
        /// time of their own keep their order.
        #[test]
        fn the_law_holds(steps in proptest::collection::vec(step(), 0..200)) {
            let mut line = Line::new(Cable { queue_frames: 8, queue_bytes: 5000, ..Cable::default() });
            let (mut now, mut sent, mut last) = (NOW, 0_u32, None);
            for step in steps {
                match step {
                    Step::Send { len, delay, copies } => {
                        sent += 1;
                        let mut frame = sent.to_be_bytes().to_vec();
                        frame.resize(len + 5, u8::from(delay.is_zero()));
                        let _ = line.send(frame, 0, delay, &copies, now);
                    }
                    Step::Refuse(why) => line.refuse(why),
                    Step::Wait(time) => now = now + time,
                    Step::Reshape(shape) => line.reshape(shape, now),
                    Step::Deliver => while let Some(flight) = line.deliver(now) {
                        prop_assert!(flight.arrival <= now);
                        if flight.frame.bytes[4] == 1 && !flight.is_copy {
                            let number = Some(flight.frame.bytes[..4].to_vec());
                            prop_assert!(number > last);
                            last = number;
                        }
                    },
                    Step::Discard => drop(line.discard(CableDrop::Off, now)),
                }
                let seen = line.statistics();
                prop_assert!(seen.adds_up(), "{seen:?}");
                prop_assert_eq!(line.bytes, line.frames.iter().map(|flight| flight.frame.bytes.len()).sum::<usize>());
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send { len: usize, delay: Duration, copies: Vec<Duration> },
        Refuse(CableDrop),
        Wait(Duration),
        Reshape(Cable),
        Deliver,
        Discard,
    }

    fn step() -> impl Strategy<Value = Step> {
        let time = || prop_oneof![Just(Duration::ZERO), (0..3000_u64).prop_map(Duration::from_micros)];
        let copies = prop_oneof![4 => Just(Vec::new()), 1 => proptest::collection::vec(time(), 1..3)];
        let send = (0..1500_usize, time(), copies).prop_map(|(len, delay, copies)| Step::Send { len, delay, copies });
        let rate = prop_oneof![Just(None), Just(Some(0)), Just(Some(10_000_000)), Just(Some(1_000_000_000))];
        let shape = (time(), rate, 0..9_usize, 0..9000_usize).prop_map(|(latency, rate, queue_frames, queue_bytes)| {
            Step::Reshape(Cable { latency, rate, queue_frames, queue_bytes })
        });
        prop_oneof![
            8 => send,
            1 => Just(Step::Refuse(CableDrop::Rule("loss"))),
            6 => time().prop_map(Step::Wait),
            1 => shape,
            4 => Just(Step::Deliver),
            1 => Just(Step::Discard),
        ]
    }
}
