//! [`ReadErrors`]: why links could not be read, other than that nothing was there or that they have ended.
//!
//! No part of the counters' law: what failed may have been a frame, or the news that an interface was set down. The port stays, as
//! long as a read now and then gives a frame, or nothing; one of which [`IN_A_ROW`] fail is a port no more, since to ask it again
//! would never end.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// After how many failures in a row a link is taken to have ended.
pub const IN_A_ROW: u8 = 16;

/// Why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ReadError {
    /// The interface was set down (ENETDOWN). It may be set up again.
    InterfaceDown,
    /// The kernel had no memory for it (ENOBUFS, ENOMEM).
    NoMemory,
    /// The kernel had a frame that it can not give, as one that no offload header can tell of (EINVAL). It is gone.
    Unreadable,
    /// Anything else (EIO).
    ReadFailed,
}

impl ReadError {
    /// All of them, in the order of the counters.
    pub const ALL: [ReadError; 4] =
        [ReadError::InterfaceDown, ReadError::NoMemory, ReadError::Unreadable, ReadError::ReadFailed];

    /// Its name in JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ReadError::InterfaceDown => "interface_down",
            ReadError::NoMemory => "no_memory",
            ReadError::Unreadable => "unreadable",
            ReadError::ReadFailed => "read_failed",
        }
    }

    const fn of(errno: Errno) -> ReadError {
        match errno {
            Errno::ENETDOWN => ReadError::InterfaceDown,
            Errno::ENOBUFS | Errno::ENOMEM => ReadError::NoMemory,
            Errno::EINVAL => ReadError::Unreadable,
            _ => ReadError::ReadFailed,
        }
    }
}

/// One counter per reason. In JSON, an object of those that are not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<ReadError, u64>", into = "BTreeMap<ReadError, u64>")]
pub struct ReadErrors([u64; ReadError::ALL.len()]);

impl ReadErrors {
    /// How many for this reason.
    #[must_use]
    pub const fn of(&self, why: ReadError) -> u64 {
        self.0[why as usize]
    }

    /// The reasons that there were, in the order of [`ReadError::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (ReadError, u64)> + '_ {
        ReadError::ALL.into_iter().map(|why| (why, self.of(why))).filter(|(_, count)| *count != 0)
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: ReadErrors) -> ReadErrors {
        ReadErrors(std::array::from_fn(|at| self.0[at] + other.0[at]))
    }

    /// Those that came since `earlier`; `None` if something of that was not counted yet then.
    #[must_use]
    pub fn since(self, earlier: ReadErrors) -> Option<ReadErrors> {
        let mut grown = self;
        for (now, then) in grown.0.iter_mut().zip(earlier.0) {
            *now = now.checked_sub(then)?;
        }
        Some(grown)
    }
}

impl From<BTreeMap<ReadError, u64>> for ReadErrors {
    fn from(counts: BTreeMap<ReadError, u64>) -> Self {
        let mut errors = ReadErrors::default();
        counts.iter().for_each(|(why, count)| errors.0[*why as usize] = *count);
        errors
    }
}

impl From<ReadErrors> for BTreeMap<ReadError, u64> {
    fn from(errors: ReadErrors) -> Self {
        errors.iter().collect()
    }
}

/// What becomes of a link a read of which failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It is asked again.
    Counted,
    /// It is gone, or can not be read.
    Down,
}

/// How the reads of a link end.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    errors: ReadErrors,
    /// How many have failed since one did not.
    failed: u8,
}

impl Reads {
    /// There was a frame, or none.
    #[inline]
    pub(crate) fn went_well(&mut self) {
        self.failed = 0;
    }

    /// A read failed, in a way that says not only that there is nothing yet.
    #[cold]
    pub(crate) fn failed(&mut self, errno: Errno) -> Failed {
        if matches!(errno, Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::ENXIO) {
            return Failed::Down;
        }
        tracing::debug!(%errno, "read a link");
        let why = ReadError::of(errno);
        self.errors.0[why as usize] += 1;
        // Of which there is one for each time that it is set down.
        if why != ReadError::InterfaceDown {
            self.failed += 1;
        }
        if self.failed < IN_A_ROW { Failed::Counted } else { Failed::Down }
    }

    pub(crate) const fn errors(&self) -> ReadErrors {
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_wherever_it_is_told_and_a_counter() {
        for (errno, why) in [
            (Errno::ENETDOWN, ReadError::InterfaceDown),
            (Errno::ENOBUFS, ReadError::NoMemory),
            (Errno::ENOMEM, ReadError::NoMemory),
            (Errno::EINVAL, ReadError::Unreadable),
            (Errno::EIO, ReadError::ReadFailed),
        ] {
            let mut reads = Reads::default();
            assert_eq!(reads.failed(errno), Failed::Counted);
            let errors = reads.errors();
            assert_eq!(errors.iter().collect::<Vec<_>>(), [(why, 1)]);
            let json = serde_json::to_string(&errors).unwrap();
            assert_eq!(json, format!("{{\"{}\":1}}", why.name()));
            assert_eq!(serde_json::from_str::<ReadErrors>(&json).unwrap(), errors);
            assert_eq!((errors.with(errors).total(), errors.with(errors).since(errors)), (2, Some(errors)));
            assert_eq!(errors.since(errors.with(errors)), None);
        }
    }

    #[test]
    fn a_link_is_down_when_it_is_gone_or_can_not_be_read_again_and_again() {
        let mut reads = Reads::default();
        for gone in [Errno::EBADFD, Errno::EBADF, Errno::ENODEV, Errno::ENXIO] {
            assert_eq!((reads.failed(gone), reads.errors().total()), (Failed::Down, 0));
        }
        for _ in 0..2 {
            (1..IN_A_ROW).for_each(|_| assert_eq!(reads.failed(Errno::EIO), Failed::Counted));
            reads.went_well();
        }
        (1..IN_A_ROW).for_each(|_| assert_eq!(reads.failed(Errno::EIO), Failed::Counted));
        (0..100)
            .for_each(|_| assert_eq!(reads.failed(Errno::ENETDOWN), Failed::Counted, "however often it is set down"));
        assert_eq!(reads.failed(Errno::EIO), Failed::Down);
    }
}
