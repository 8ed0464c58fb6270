//! Virtual time, as `tokio::time` has it. To wait costs nothing; what a program computes takes no time.

mod instant;
mod interval;
mod sleep;
mod timeout;

pub use std::time::Duration;

pub use self::instant::Instant;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Timeout, timeout, timeout_at};

/// Errors, where tokio has them.
pub mod error {
    pub use super::timeout::Elapsed;
}
