//! [`Counters`]: what became of queries. For each at all times: queries = ignored + foreign + answered + relayed + failed +
//! full + abandoned + those under way.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often what has happened since the resolver was started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        /// The counters, where the thread counts and others read.
        #[derive(Debug, Default)]
        pub(super) struct Tally { $(pub(super) $name: Count,)* }

        impl Tally {
            pub(super) fn read(&self) -> Counters {
                Counters { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Messages that came from clients.
    queries,
    /// Of these: what was no query.
    ignored,
    /// Of these: what came from outside the network. A connection from there counts as one.
    foreign,
    /// Of these: what was answered here.
    answered,
    /// Of these: what another server answered.
    relayed,
    /// Of these: what no other server answered in time, or there was none to ask. The answer was SERVFAIL.
    failed,
    /// Of these: what came when too much was passed on already. The answer was SERVFAIL.
    full,
    /// Of these: what was still under way when its client or its network went.
    abandoned,
    /// How often another server was asked.
    tries,
    /// What came instead of an answer: from a forger, or one to an older question.
    strays,
    /// Answers that the client's socket had no room for.
    undelivered,
    /// Connections that were one too many.
    turned_away,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn up(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}
