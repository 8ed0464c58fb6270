//! [`Cable`]: what one direction of a cable is like: how long, how fast, how much waits in it.

use std::time::Duration;

/// How many frames wait in one direction unless a cable says otherwise: a TAP's `txqueuelen`.
pub const QUEUE: usize = 1000;

/// What one direction of a cable is like.
///
/// * `latency` is the time from a frame's end at one side to its end at the other.
/// * `rate` is that of the line, in bits per second. Each frame takes its time on the wire, padded to 60 bytes, with its
///   check sum, the preamble before it and the gap behind it (24 bytes more than the frame; IEEE 802.3-2022, 3.1.1 and
///   4.4.2), so that a rate of 1 Gbit/s is a Gigabit Ethernet: 1,488,095 of the shortest frames a second. `None` is no
///   rate at all: frames take no time but the latency.
/// * `queue_frames` and `queue_bytes` bound what is in the cable, from the moment that the sender hands a frame over until the
///   receiver takes it: what waits for the wire, what is on it, and what nobody has taken yet. This is the `limit` of
///   `tc`'s netem, and as there a long fast line needs more than the default. A frame for which there is no room is lost,
///   and the sender counts it.
///
/// Frames do not overtake one another, also where the latency changes. A rate of zero lets nothing pass: frames wait, are
/// lost when the queue is full, and go on when there is a rate again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cable {
    /// How long a frame is on its way, once it is on the wire as a whole.
    pub latency: Duration,
    /// Bits per second; `None` is no limit, zero a cable through which nothing passes.
    pub rate: Option<u64>,
    /// How many frames are in it at most.
    pub queue_frames: usize,
    /// How many bytes they have at most, counted from the Ethernet header on.
    pub queue_bytes: usize,
}

impl Default for Cable {
    /// 10 µs, no rate, [`QUEUE`] frames of any length.
    fn default() -> Self {
        Cable { latency: Duration::from_micros(10), rate: None, queue_frames: QUEUE, queue_bytes: usize::MAX }
    }
}

/// The shortest frame on a real wire, without its check sum.
const SHORTEST: usize = 60;
/// Check sum, preamble with start delimiter, and the gap to the next frame, in bytes.
const AROUND: usize = 4 + 8 + 12;

impl Cable {
    /// How long a frame of `len` bytes keeps the wire busy; `None` is for ever.
    #[must_use]
    pub fn serialisation(&self, len: usize) -> Option<Duration> {
        let Some(rate) = self.rate else { return Some(Duration::ZERO) };
        let bits = (len.max(SHORTEST) + AROUND) as u128 * 8;
        let nanos = (bits * 1_000_000_000).div_ceil(u128::from(rate).max(1));
        (rate != 0).then(|| Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gigabit_is_that_of_ethernet() {
        let gigabit = Cable { rate: Some(1_000_000_000), ..Cable::default() };
        assert_eq!(gigabit.serialisation(60), Some(Duration::from_nanos(672)));
        assert_eq!(gigabit.serialisation(14), Some(Duration::from_nanos(672)), "it is padded");
        assert_eq!(gigabit.serialisation(1514), Some(Duration::from_nanos(12_304)));
    }

    #[test]
    fn no_rate_takes_no_time_and_a_rate_of_zero_all_of_it() {
        assert_eq!(Cable::default().serialisation(1514), Some(Duration::ZERO));
        assert_eq!(Cable { rate: Some(0), ..Cable::default() }.serialisation(60), None);
        let slowest = Cable { rate: Some(1), ..Cable::default() };
        assert_eq!(slowest.serialisation(60), Some(Duration::from_secs(672)));
        let fastest = Cable { rate: Some(u64::MAX), ..Cable::default() };
        assert_eq!(fastest.serialisation(60), Some(Duration::from_nanos(1)), "no frame takes less than no time");
    }
}
