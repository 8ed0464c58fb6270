//! [`Account`]: counters that outlive who counts.
//!
//! * Counters live in one place. That place is a page of memory of our own, or one that is shared with a file, so that a
//!   daemon that is killed leaves it as it was: the next one goes on counting where it ended.
//! * Whoever owns the account is the only one who writes it, by plain stores of 64 bits. Nobody else reads it meanwhile.
//! * A file that is none of ours, of another layout, or damaged is put aside, and the account begins anew.
//! * An account that is taken over is mended first ([`Counters::mend`]): a daemon that was killed between two stores for
//!   the same frame has counted only half of it.
//!
//! A file is one page, written before it is mapped: neither a full disk nor a hole in it can end the process later, which
//! is what the kernel does (SIGBUS) to whoever touches a page that is not there. So it must not be cut while it is in use.

mod departed;
mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use self::departed::Departed;
pub use self::file::{AccountError, Found};

/// How long an account is, in bytes: its header and counters, and room for more.
pub const LENGTH: usize = 4096;
const HEADER: usize = size_of::<Header>();

/// What an account may hold: plain numbers, of which any bytes are some.
pub trait Counters: FromBytes + IntoBytes + KnownLayout + Immutable + Clone + Default {
    /// Which counters these are, in which order: another version's are not taken for them.
    const KIND: u64;

    /// Makes counters consistent that were left in the middle of a change.
    fn mend(&mut self);
}

/// Counters, and where they are kept.
pub struct Account<T> {
    memory: Memory,
    counters: PhantomData<T>,
}

/// What stands before the counters.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    layout: u64,
    /// When counting began, in seconds since 1970.
    since: u64,
    /// Its number among those of one bridge, from 1 on.
    serial: u64,
    /// Whether it is counted among the departed.
    is_departed: u64,
    reserved: [u64; 3],
}

const MAGIC: [u8; 8] = *b"pontoon#";

enum Memory {
    Own { words: Box<[u64]>, home: Option<Home> },
    Mapped(MmapMut),
}

/// Where a lent account comes home to when it is dropped: the memory of a machine that does not exist.
#[derive(Clone, Debug, Default)]
pub struct Home(Arc<Mutex<Option<Box<[u64]>>>>);

impl<T: Counters> Account<T> {
    /// An account of our own, which ends with us. `since` is when it began, in seconds since 1970.
    #[must_use]
    pub fn new(since: u64) -> Self {
        let mut account = Self::of(Memory::Own { words: vec![0; LENGTH / 8].into(), home: None });
        account.begin(since);
        account
    }

    /// An account that comes home when it is dropped: with what is there already, or begun now.
    #[must_use]
    pub fn lend(home: &Home, since: u64) -> Self {
        let known = home.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_new = known.is_none();
        let words = known.unwrap_or_else(|| vec![0; LENGTH / 8].into());
        let mut account = Self::of(Memory::Own { words, home: Some(home.clone()) });
        if is_new {
            account.begin(since)
        } else {
            account.mend()
        }
        account
    }

    /// When counting began, in seconds since 1970; 0 where nobody said.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.header().since
    }

    const fn of(memory: Memory) -> Self {
        const { assert!(HEADER + size_of::<T>() <= LENGTH, "the counters fit their page") };
        Account { memory, counters: PhantomData }
    }

    /// Everything to zero.
    fn begin(&mut self, since: u64) {
        *self.header_mut() = Header { magic: MAGIC, layout: T::KIND, since, ..Header::default() };
        **self = T::default();
    }

    fn header(&self) -> &Header {
        Header::ref_from_bytes(&self.memory.bytes()[..HEADER]).expect("memory is aligned, and long enough")
    }

    fn header_mut(&mut self) -> &mut Header {
        Header::mut_from_bytes(&mut self.memory.bytes_mut()[..HEADER]).expect("memory is aligned, and long enough")
    }
}

impl<T: Counters> Deref for Account<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let bytes = &self.memory.bytes()[HEADER..HEADER + size_of::<T>()];
        T::ref_from_bytes(bytes).expect("memory is aligned, and long enough")
    }
}

impl<T: Counters> DerefMut for Account<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let bytes = &mut self.memory.bytes_mut()[HEADER..HEADER + size_of::<T>()];
        T::mut_from_bytes(bytes).expect("memory is aligned, and long enough")
    }
}

impl Memory {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Memory::Own { words, .. } => words.as_bytes(),
            Memory::Mapped(map) => map,
        }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Own { words, .. } => words.as_mut_bytes(),
            Memory::Mapped(map) => map,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Memory::Own { words, home: Some(home) } = self {
            *home.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::mem::take(words));
        }
    }
}

/// Whether two have counted the same since the same time.
impl<T: Counters + PartialEq> PartialEq for Account<T> {
    fn eq(&self, other: &Self) -> bool {
        self.since() == other.since() && **self == **other
    }
}

impl<T: Counters + Eq> Eq for Account<T> {}

impl<T: Counters> Default for Account<T> {
    fn default() -> Self {
        Account::new(0)
    }
}

/// A copy is one's own: two can not count in one place.
impl<T: Counters> Clone for Account<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::new(0);
        *copy.header_mut() = *self.header();
        *copy = T::clone(self);
        copy
    }
}

impl<T: Counters + fmt::Debug> fmt::Debug for Account<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("since", &self.since()).field("counters", &**self).finish()
    }
}

/// As plain data: what is read again is an account of one's own with the same numbers.
impl<T: Counters + Serialize> Serialize for Account<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Header { since, serial, is_departed, .. } = *self.header();
        ((since, serial, is_departed), &**self).serialize(serializer)
    }
}

impl<'de, T: Counters + Deserialize<'de>> Deserialize<'de> for Account<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ((since, serial, is_departed), counters): ((u64, u64, u64), T) = Deserialize::deserialize(deserializer)?;
        let mut account = Self::new(since);
        (account.header_mut().serial, account.header_mut().is_departed) = (serial, is_departed);
        *account = counters;
        Ok(account)
    }
}

/// FNV-1a, for telling one layout from another.
pub(crate) const fn fingerprint(seed: u64, text: &str) -> u64 {
    let (bytes, mut hash, mut at) = (text.as_bytes(), seed, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    // So that "ab", "c" is not "a", "bc".
    (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3)
}
