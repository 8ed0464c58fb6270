//! [`Instant`]: a moment of a world.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::context;

/// A moment of a world, to the nanosecond. Those of two worlds have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(switch::time::Instant);

impl Instant {
    /// This moment.
    ///
    /// # Panics
    /// If no program of a world asks.
    #[must_use]
    #[track_caller]
    pub fn now() -> Self {
        Instant(context::current().now())
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.since(earlier.0)
    }

    /// How long after `earlier` this is, if it is not before it.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        (*self >= earlier).then(|| self.duration_since(earlier))
    }

    /// As [`Instant::duration_since`].
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }

    /// How long ago this was.
    ///
    /// # Panics
    /// If no program of a world asks.
    #[must_use]
    #[track_caller]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// The moment so long after this, if a world can have it.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.as_nanos().checked_add(nanos).map(Instant::from_nanos)
    }

    /// The moment so long before this, if a world can have it.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.as_nanos().checked_sub(nanos).map(Instant::from_nanos)
    }

    pub(super) fn inner(self) -> switch::time::Instant {
        self.0
    }

    fn from_nanos(nanos: u64) -> Self {
        Instant(switch::time::Instant::from_nanos(nanos))
    }
}

impl From<switch::time::Instant> for Instant {
    fn from(at: switch::time::Instant) -> Self {
        Instant(at)
    }
}

/// What no world lives to see is the last moment that it could.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// # Panics
    /// If that was before the world.
    fn sub(self, duration: Duration) -> Instant {
        match self.checked_sub(duration) {
            Some(instant) => instant,
            None => panic!("{duration:?} before {self:?} there was no world"),
        }
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}
