//! [`Departed`]: the sum of the ports that a bridge had once, so that no frame vanishes from the books with its port.
//!
//! A port that goes joins the departed; should it come back with the same account, it leaves them again and counts on. The
//! sum of a bridge's ports and its departed never shrinks. Either step is one store: a daemon that is killed in the middle of
//! it has done all of it, or nothing.

use std::sync::atomic::{Ordering, compiler_fence};

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Account, Counters, fingerprint};
use crate::counters::PortCounters;

/// The sum of the ports that have gone.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Departed {
    /// Which of the two sums holds (bit 0), and what the last step was: whose account (from bit 2 on), and whether it has
    /// joined or left (bit 1).
    step: u64,
    /// How many accounts have a number.
    serials: u64,
    sums: [PortCounters; 2],
}

impl Departed {
    /// The sum.
    #[must_use]
    pub fn sum(&self) -> &PortCounters {
        &self.sums[(self.step & 1) as usize]
    }

    #[cfg(test)]
    pub(crate) fn sum_mut(&mut self) -> &mut PortCounters {
        &mut self.sums[(self.step & 1) as usize]
    }

    /// An account that is to count for a port of this bridge. One that was among the departed leaves them.
    pub(crate) fn admit(&mut self, account: &mut Account<PortCounters>) {
        self.recognise(account);
        if account.header().is_departed != 0 {
            self.take(account, false);
        }
    }

    /// The port of an account has gone.
    pub(crate) fn join(&mut self, account: &mut Account<PortCounters>) {
        self.recognise(account);
        if account.header().is_departed == 0 {
            self.take(account, true);
        }
    }

    /// Gives an account its number, or makes it know what became of it: a daemon may have been killed between the step and
    /// its note in the account.
    fn recognise(&mut self, account: &mut Account<PortCounters>) {
        let last = self.step;
        let header = account.header_mut();
        if header.serial == 0 {
            self.serials += 1;
            header.serial = self.serials;
        } else if header.serial == last >> 2 {
            header.is_departed = last >> 1 & 1;
        }
        // Numbers given out before this account of the sum began anew are not given out again.
        self.serials = self.serials.max(header.serial);
    }

    fn take(&mut self, account: &mut Account<PortCounters>, joins: bool) {
        let mut sum = self.sum().clone();
        if joins {
            sum += &**account;
        } else {
            sum -= &**account;
        }
        let (serial, other) = (account.header().serial, !self.step & 1);
        self.sums[other as usize] = sum;
        compiler_fence(Ordering::SeqCst);
        self.step = serial << 2 | u64::from(joins) << 1 | other;
        compiler_fence(Ordering::SeqCst);
        account.header_mut().is_departed = u64::from(joins);
        compiler_fence(Ordering::SeqCst);
    }
}

impl Counters for Departed {
    const KIND: u64 = fingerprint(PortCounters::KIND, "departed");

    fn mend(&mut self) {
        // The sum that holds was finished before it came to hold.
    }
}
